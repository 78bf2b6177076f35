//! `Memory`: an expensive function is computed once, ever.
//!
//! A call goes: key ([`crate::key`]) -> memory tier ([`hot`]) -> index or blob, or a claim ([`crate::store`],
//! [`waiting`]) -> codec ([`crate::codec`]) -> value; [`call`] is that road. Nothing that fails on it fails the
//! call: whatever cannot be loaded is computed, whatever cannot be stored is returned, and each has its reason in
//! [`Stats`].

mod arguments;
#[cfg(feature = "async")]
mod asynchronous;
mod cached;
mod call;
mod claim;
mod computation;
mod control;
mod explain;
mod global;
mod hot;
mod instances;
mod load;
mod lookup;
mod metadata;
#[cfg(feature = "async")]
mod offload;
mod reason;
mod report;
mod shelf;
mod stats;
mod time;
#[cfg(feature = "async")]
mod turns;
mod uses;
mod validity;
mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, Weak};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[doc(hidden)]
pub use arguments::{Made, MakeKey};
pub use cached::{Cached, CachedFn};
pub use explain::{ArgumentChange, Explanation};
#[cfg(unix)]
pub(crate) use global::VARIABLE as GLOBAL_VARIABLE;
#[doc(hidden)]
pub use global::{CachedCell, global_memory};
#[doc(hidden)]
pub use instances::{Instances, MethodCell, MethodCode, NotInKey, Road};
pub(crate) use lookup::{Asking, Looked};
pub use metadata::{ArgumentInfo, Metadata};
pub use reason::{MissReason, NotStoredReason};
pub use shelf::Shelved;
pub use stats::Stats;
#[cfg(unix)]
pub(crate) use stats::lookups_in;
pub use validity::Validity;

use crate::error::{Error, Result};
use crate::lock::{lock, whole};
use crate::store::used::{Calls, FunctionName};
use crate::store::{
    Access, Compression, DiskStore, EntryKey, Limits, Reduced, Setup, Size, Store, StoreError, location,
};
use crate::sys::exit;
use crate::task::Function;
#[cfg(unix)]
use crate::wire::message::MemoryAt;
use hot::HotTier;
use report::{Reporter, Sink};
use stats::Counters;
use uses::Gathered;
pub(crate) use waiting::Waiting;

const DEFAULT_HOT_BYTES: u64 = 64 << 20;

/// A cache of function results on disk. Clones share it.
///
/// Opening makes the directory if it is missing. Within a process a directory is opened once and shared by all who
/// open it. Any number of programs of one user, on one host, can use it at once: the first one serves the others over a
/// socket beside it, and when it ends or is killed another takes over. A call that is under way in one program is waited
/// for in the others, and never made twice. A program that cannot be served (the cache is held on another host, or by
/// another user) computes for itself, and says so once.
///
/// What is promised: a value is only ever served for the same function, code, version and arguments, after its digest
/// was checked; damage is a miss with a reason, and repaired by the next computation; a result that took more than
/// 10 ms to compute survives the killing of the process once the call has returned, a cheaper one some 200 ms later.
/// What is not: that a value is stored (a full disk, a value no codec carries: see [`Stats`]).
///
/// # Examples
/// ```
/// use larder::Memory;
///
/// #[larder::task]
/// fn slow_square(x: f64) -> f64 {
///     x * x // imagine an hour here
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let memory = Memory::open(dir.path().join("cache"))?;
/// let cached = memory.cached::<slow_square>();
/// assert_eq!(cached.call((3.0,)), 9.0); // computed and stored
/// assert_eq!(cached.call((3.0,)), 9.0); // loaded
/// assert_eq!((memory.stats().hits(), memory.stats().misses()), (1, 1));
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone)]
pub struct Memory {
    inner: Arc<Inner>,
}

struct Inner {
    /// `None` when disabled.
    place: Option<Arc<Shelves>>,
    counters: Counters,
    reporter: Reporter,
    /// Where in the program each closure's name and version was given first.
    named: Mutex<HashMap<(String, u64), &'static Location<'static>>>,
}

impl Inner {
    /// Warns of two closures that go by one name: they would share their results.
    fn note_name(&self, name: &str, version: u64, place: &'static Location<'static>) {
        let mut named = lock(&self.named);
        let first = *named.entry((name.to_owned(), version)).or_insert(place);
        drop(named);
        if first != place {
            self.reporter.warn_once(&format!("name {name} {version}"), || {
                format!(
                    "`cached_fn` is given the name `{name}` with version {version} at {first} and at {place}: they share \
                     their results, so if they are not the same function, name one of them otherwise"
                )
            });
        }
    }
}

/// What all who open one directory share.
struct Shelves {
    store: Box<dyn Store>,
    hot: HotTier,
    /// What is used, until the store is told.
    uses: Gathered,
    /// Who awaits what.
    #[cfg(feature = "async")]
    turns: Arc<turns::Turns>,
    // Last: the directory is struck off the list once the store is closed.
    _listed: Option<Listed>,
}

/// A directory, by its canonical path, and what it is open for.
type Opening = (PathBuf, Access);

/// The directories open in this process.
#[derive(Default)]
struct OpenDirectories {
    list: Mutex<HashMap<Opening, Weak<Shelves>>>,
    struck_off: Condvar,
}

static OPEN: LazyLock<OpenDirectories> = LazyLock::new(OpenDirectories::default);

/// A directory's place on the list of open ones.
struct Listed(Opening);

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&OPEN.list).remove(&self.0);
        OPEN.struck_off.notify_all();
    }
}

impl Memory {
    /// Opens the cache in the directory `location`, with the default options.
    ///
    /// # Errors
    /// `location` is a file, holds something that is no cache, was written by a newer release, or cannot be made or
    /// written to. The message names the path and the remedy.
    pub fn open(location: impl AsRef<Path>) -> Result<Memory> {
        Memory::builder().open(location)
    }

    /// Opens the cache in the directory `location` to load from it only: nothing there is made, changed or removed, and what
    /// is computed is not stored.
    ///
    /// A program that has the cache open for writing serves this one, which then finds what that one stores. Otherwise the
    /// index is copied to a temporary directory first, so what others store later is not found; opening takes as long
    /// as copying some 400 bytes for each entry.
    ///
    /// # Errors
    /// `location` is no cache, was written by a newer release, or cannot be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path();
    /// let square = |x: &f64| x * x;
    /// larder::Memory::open(dir)?.cached_fn("square", 1, square).call(&3.0);
    ///
    /// let memory = larder::Memory::open_read_only(dir)?;
    /// assert_eq!(memory.cached_fn("square", 1, square).call(&3.0), 9.0);
    /// assert_eq!(memory.stats().hits(), 1);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn open_read_only(location: impl AsRef<Path>) -> Result<Memory> {
        Memory::builder().open_read_only(location)
    }

    /// A memory in front of a store of one's own, or of a [`VolatileStore`](crate::store::VolatileStore).
    pub fn with_store(store: impl Store) -> Memory {
        Memory::builder().with_store(store)
    }

    /// A memory that never stores and never loads: every call computes. joblib's `location=None`.
    pub fn disabled() -> Memory {
        Memory::builder().disabled()
    }

    /// Options for opening.
    pub fn builder() -> MemoryBuilder {
        MemoryBuilder::default()
    }

    /// Wraps a function that carries [`#[larder::task]`](macro@crate::task) or [`#[larder::cached]`](macro@crate::cached).
    /// Its code is part of the key.
    pub fn cached<T: Function>(&self) -> Cached<T> {
        Cached::new(self.clone())
    }

    /// Wraps any closure. Nothing of its code is seen: `name` and `version` speak for it, so raise `version` with every
    /// change of meaning, and give different closures different names (one name and version given at two places of a
    /// program is warned of). What the closure captures is not in the key.
    ///
    /// The closure takes its argument by reference (several as a tuple) and must return something serde carries there and
    /// back (a `#[serde(skip)]` field is neither in the key nor in the stored result); the `Err` of a `Result` is returned
    /// and not stored.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// let twice = memory.cached_fn("twice", 1, |x: &f64| x * 2.0);
    /// assert_eq!(twice.call(&21.0), 42.0);
    ///
    /// let power = memory.cached_fn("power", 1, |(base, exponent): &(f64, i32)| base.powi(*exponent));
    /// assert_eq!(power.call(&(2.0, 10)), 1024.0);
    /// # Ok::<(), larder::Error>(())
    /// ```
    #[track_caller]
    pub fn cached_fn<A, R, F>(&self, name: impl Into<String>, version: u64, function: F) -> CachedFn<A, R, F>
    where
        A: Serialize + ?Sized,
        R: Serialize + DeserializeOwned,
        F: Fn(&A) -> R,
    {
        let name = name.into();
        self.inner.note_name(&name, version, Location::caller());
        CachedFn::new(self.clone(), name, version, function)
    }

    /// A call came to this.
    fn note_call(&self, shelves: &Shelves, function: &Arc<FunctionName>, entry: Option<&EntryKey>, calls: Calls) {
        if shelves.uses.call(function, entry, calls) {
            self.tell_uses(shelves);
        }
    }

    /// Tells the store what was used since it was told last.
    #[cold]
    fn tell_uses(&self, shelves: &Shelves) {
        if let Err(error) = shelves.tell_uses() {
            self.inner.reporter.warn_once("uses", || {
                format!("what is used of the cache could not be noted, so it counts as less used (this is said once): {error}")
            });
        }
    }

    /// The directory, or `None` when disabled or in a store that has none.
    pub fn location(&self) -> Option<&Path> {
        self.inner.place.as_ref().and_then(|shelves| shelves.store.path())
    }

    /// What this memory did since it was opened here. Other openings of the directory count apart.
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot()
    }

    /// How worker processes open this memory too; `None` if it is disabled.
    ///
    /// # Errors
    /// It has no directory.
    #[cfg(unix)]
    pub(crate) fn for_workers(&self) -> Result<Option<MemoryAt>> {
        let Some(shelves) = &self.inner.place else { return Ok(None) };
        let path = self.location().and_then(|path| std::path::absolute(path).ok()).ok_or_else(|| {
            crate::Error::invalid_option(
                "`memory` has a store without a directory, which worker processes cannot share: give one of \
                 `Memory::open`, or leave out `Backend::Processes`",
            )
        })?;
        let verbose = self.inner.reporter.level();
        Ok(Some(MemoryAt { path, read_only: shelves.store.is_read_only(), verbose }))
    }

    /// What this memory counted, as a list.
    #[cfg(unix)]
    pub(crate) fn counts(&self) -> Vec<u64> {
        self.inner.counters.list()
    }

    /// Adds what a memory on this directory counted in another process.
    #[cfg(unix)]
    pub(crate) fn add_counts(&self, counts: &[u64]) {
        self.inner.counters.add(counts);
    }

    /// Removes what is too much for these limits, what is worth the least first (see [`Limits`]), and says what it was. joblib's
    /// `reduce_size`. [`MemoryBuilder::max_bytes`] and its like hold to limits by themselves.
    ///
    /// # Errors
    /// A limit is zero or negative, or the store refuses; what is then left is whole.
    ///
    /// # Examples
    /// ```
    /// use larder::{Limits, Memory};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// let square = memory.cached_fn("square", 1, |x: &f64| x * x);
    /// (0..10).for_each(|x| drop(square.call(&f64::from(x))));
    /// assert_eq!(memory.reduce_size(&Limits::new().max_entries(4))?.entries, 6);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn reduce_size(&self, limits: &Limits) -> Result<Reduced> {
        self.reduce(limits, false)
    }

    /// What [`reduce_size`](Memory::reduce_size) with these limits would remove now.
    ///
    /// # Errors
    /// As [`reduce_size`](Memory::reduce_size).
    pub fn would_reduce(&self, limits: &Limits) -> Result<Reduced> {
        self.reduce(limits, true)
    }

    fn reduce(&self, limits: &Limits, dry: bool) -> Result<Reduced> {
        limits.check()?;
        let Some(shelves) = &self.inner.place else { return Ok(Reduced::default()) };
        // What is used in memory is worth keeping too.
        self.tell_uses(shelves);
        let reduced = shelves.store.reduce(limits, dry);
        if !dry {
            shelves.hot.clear();
        }
        reduced.map_err(|error| store_failed(shelves, &error))
    }

    /// Removes every entry of every function.
    ///
    /// # Errors
    /// The store refuses; what is then left is whole.
    pub fn clear(&self) -> Result<()> {
        let Some(shelves) = &self.inner.place else { return Ok(()) };
        shelves.hot.clear();
        let cleared = shelves.store.clear();
        // What a call in flight put there meanwhile.
        shelves.hot.clear();
        cleared.map_err(|error| store_failed(shelves, &error))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("location", &self.location()).finish_non_exhaustive()
    }
}

fn store_failed(shelves: &Shelves, error: &crate::store::StoreError) -> crate::Error {
    use crate::error::{Error, Kind, LocationReason};
    Error::new(Kind::Location {
        path: shelves.store.path().unwrap_or(Path::new("<not a directory>")).to_owned(),
        what: format!("failed: {error}"),
        reason: LocationReason::Io,
        source: None,
    })
}

/// How arrays that a function returns as [`Bulk`](crate::Bulk) are loaded. joblib's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MmapMode {
    /// Read into memory, as everything else.
    Off,
    /// Mapped, not copied: joblib's `"r"`. Where the system cannot map, they are read.
    #[default]
    Read,
}

/// Options of a [`Memory`]. Unset ones have the documented default.
#[derive(Clone, Default)]
#[must_use = "options do nothing until `open` or `disabled`"]
pub struct MemoryBuilder {
    /// 0: silent.
    verbose: u8,
    /// `None`: the default.
    hot_bytes: Option<u64>,
    compression: Compression,
    mmap_mode: MmapMode,
    limits: Limits,
    /// `None`: stderr.
    sink: Option<Sink>,
}

impl MemoryBuilder {
    /// How much is said on stderr. 0 (default): warnings only. 1: each computed call, with joblib's two lines (the call
    /// before, the time it took after); an ignored argument is `_` there. 2: also each load, and the reason of each miss.
    pub fn verbose(mut self, level: u8) -> MemoryBuilder {
        self.verbose = level;
        self
    }

    /// How many bytes of recent values are kept in memory, by their encoded size. Default 64 MiB; a value larger than a
    /// sixteenth of it is not kept; 0 keeps none. Where a directory is open already, its first opening decided.
    pub fn memory_tier_bytes(mut self, bytes: u64) -> MemoryBuilder {
        self.hot_bytes = Some(bytes);
        self
    }

    /// How large results are compressed on disk; see [`Compression`]. Default [`Compression::Off`]. Results that were stored
    /// otherwise are found all the same. Where a directory is open already, its first opening decided.
    pub fn compress(mut self, compression: Compression) -> MemoryBuilder {
        self.compression = compression;
        self
    }

    /// Whether results that can be mapped are; see [`MmapMode`]. Where a directory is open already, its first opening
    /// decided.
    pub fn mmap_mode(mut self, mode: MmapMode) -> MemoryBuilder {
        self.mmap_mode = mode;
        self
    }

    /// The most bytes that the cache may hold: encoded results before compression, with their records. A number, or a text such as
    /// `"10G"`, in powers of 1024. Held to on every write: what is worth the least goes first (see [`Limits`]), and a result
    /// larger than this is not stored at all. joblib's `bytes_limit`, which it holds to only when asked.
    ///
    /// Limits hold as long as this memory is open, for all programs that use the cache; where several ask for limits,
    /// the strictest holds. Default: none.
    pub fn max_bytes(mut self, size: impl Into<Size>) -> MemoryBuilder {
        self.limits = self.limits.max_bytes(size);
        self
    }

    /// The most entries that the cache may hold; as [`max_bytes`](MemoryBuilder::max_bytes). joblib's `items_limit`.
    pub fn max_entries(mut self, entries: u64) -> MemoryBuilder {
        self.limits = self.limits.max_entries(entries);
        self
    }

    /// How long an entry is kept that nobody uses; as [`max_bytes`](MemoryBuilder::max_bytes). Its use in memory counts, and
    /// is told to the cache within some seconds. joblib's `age_limit`.
    pub fn max_age(mut self, age: Duration) -> MemoryBuilder {
        self.limits = self.limits.max_age(age);
        self
    }

    /// Takes the lines that otherwise go to stderr: reports and warnings, without the final line break. Called from
    /// whatever thread makes the call; it must not call this memory.
    pub fn report_to(mut self, sink: impl Fn(&str) + Send + Sync + 'static) -> MemoryBuilder {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// Opens the cache in the directory `location`. See [`Memory::open`].
    ///
    /// # Errors
    /// As [`Memory::open`]; or an option has a value that means nothing.
    pub fn open(self, location: impl AsRef<Path>) -> Result<Memory> {
        self.open_path(location.as_ref())
    }

    /// Opens the cache in the directory `location` to load from it only. See [`Memory::open_read_only`].
    ///
    /// # Errors
    /// As [`Memory::open_read_only`].
    pub fn open_read_only(self, location: impl AsRef<Path>) -> Result<Memory> {
        let setup = self.setup(Access::ReadOnly)?;
        if !self.limits.is_none() {
            return Err(Error::invalid_option(
                "a cache that is open for reading only removes nothing: leave out `max_bytes`, `max_entries` and `max_age`, \
                 or open it for writing",
            ));
        }
        let shelves = Shelves::open(location.as_ref(), setup, self.hot_bytes)?;
        Ok(self.build(Some(shelves)))
    }

    fn open_path(self, path: &Path) -> Result<Memory> {
        let setup = self.setup(Access::ReadWrite)?;
        location::prepare(path)?;
        let shelves = Shelves::open(path, setup, self.hot_bytes)?;
        if !self.limits.is_none() {
            shelves.store.limit(&self.limits).map_err(|error| store_failed(&shelves, &error))?;
        }
        Ok(self.build(Some(shelves)))
    }

    fn setup(&self, access: Access) -> Result<Setup> {
        self.compression.check()?;
        self.limits.check()?;
        Ok(Setup { access, compression: self.compression, maps: self.mmap_mode == MmapMode::Read })
    }

    /// A memory in front of this store. See [`Memory::with_store`]. Limits that the store cannot hold to are warned of.
    pub fn with_store(self, store: impl Store) -> Memory {
        let shelves = Shelves::new(Box::new(store), self.hot_bytes, None);
        let limited = if self.limits.is_none() { Ok(()) } else { shelves.store.limit(&self.limits) };
        let memory = self.build(Some(Arc::new(shelves)));
        if let Err(error) = limited {
            memory.inner.reporter.warn(&format!("the limits are not held to: {error}"));
        }
        memory
    }

    /// A memory that never stores and never loads. See [`Memory::disabled`].
    pub fn disabled(self) -> Memory {
        self.build(None)
    }

    fn build(self, place: Option<Arc<Shelves>>) -> Memory {
        let reporter = Reporter::new(self.verbose, self.sink);
        if let Some(news) = place.as_ref().and_then(|shelves| shelves.store.news()) {
            reporter.warn(&news);
        }
        Memory { inner: Arc::new(Inner { place, counters: Counters::default(), reporter, named: Mutex::default() }) }
    }
}

impl fmt::Debug for MemoryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBuilder")
            .field("verbose", &self.verbose)
            .field("memory_tier_bytes", &self.hot_bytes)
            .field("compress", &self.compression)
            .field("mmap_mode", &self.mmap_mode)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Makes what is open safe at the end of the program.
fn settle_all() {
    // Whoever holds the list just now is opening or closing, and cannot be waited for here.
    if let Ok(list) = OPEN.list.try_lock() {
        for shelves in list.values().filter_map(Weak::upgrade) {
            // As in the end of a memory.
            let _ = shelves.tell_uses();
            shelves.store.settle();
        }
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        // Nobody is left to tell that it failed.
        let _ = self.tell_uses();
    }
}

impl Shelves {
    /// Tells the store what was used.
    fn tell_uses(&self) -> std::result::Result<(), StoreError> {
        if self.store.is_read_only() {
            return Ok(());
        }
        let uses = self.uses.take();
        if uses.is_empty() { Ok(()) } else { self.store.note_uses(&uses) }
    }

    fn new(store: Box<dyn Store>, hot_bytes: Option<u64>, listed: Option<Listed>) -> Shelves {
        Shelves {
            store,
            hot: HotTier::new(hot_bytes.unwrap_or(DEFAULT_HOT_BYTES)),
            uses: Gathered::new(),
            #[cfg(feature = "async")]
            turns: Arc::default(),
            _listed: listed,
        }
    }

    /// The shelves of the directory, those already open in this process if there are any.
    fn open(path: &Path, setup: Setup, hot_bytes: Option<u64>) -> Result<Arc<Shelves>> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let opening = (path, setup.access);
        // The list stays locked while the store opens: two threads must not race for one directory's lock file.
        let mut list = lock(&OPEN.list);
        while let Some(listed) = list.get(&opening) {
            match listed.upgrade() {
                Some(shelves) => return Ok(shelves),
                // Its last holder is just closing it.
                None => list = whole(OPEN.struck_off.wait(list)),
            }
        }
        let store = Box::new(DiskStore::open_at(&opening.0, setup)?);
        let shelves = Arc::new(Shelves::new(store, hot_bytes, Some(Listed(opening.clone()))));
        list.insert(opening, Arc::downgrade(&shelves));
        // A memory in a `static` is never dropped.
        exit::at_exit(settle_all);
        Ok(shelves)
    }
}
