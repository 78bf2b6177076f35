//! `Memory`: an expensive function is computed once, ever.
//!
//! A call goes: key ([`crate::key`]) -> memory tier ([`hot`]) -> index or blob, or a claim ([`crate::store`],
//! [`waiting`]) -> codec ([`crate::codec`]) -> value; [`call`] is that road. Nothing that fails on it fails the
//! call: whatever cannot be loaded is computed, whatever cannot be stored is returned, and each has its reason in
//! [`Stats`].

mod arguments;
#[cfg(feature = "async")]
mod asynchronous;
#[cfg(feature = "async")]
mod awaited_control;
mod bless;
mod builder;
mod cached;
mod call;
mod claim;
mod code_lists;
mod computation;
mod control;
mod explain;
mod global;
mod hot;
mod inputs;
mod instances;
mod inventory;
mod items;
mod load;
mod lookup;
mod metadata;
mod namesakes;
#[cfg(feature = "async")]
mod offload;
mod reason;
mod report;
mod runs;
mod shelf;
mod shelves;
mod stats;
pub(crate) mod survey;
mod time;
#[cfg(feature = "async")]
mod turns;
mod upkeep;
mod uses;
mod validity;
mod waiting;

use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use serde::de::DeserializeOwned;

#[doc(hidden)]
pub use arguments::{Made, MakeKey};
#[cfg(unix)]
pub(crate) use bless::NotBlessed;
pub(crate) use bless::Recall;
pub use bless::{Bless, BlessError, Blessed, BlessedCode, Blessing, Difference};
pub use builder::{MemoryBuilder, MmapMode};
pub use cached::{Cached, CachedFn};
pub(crate) use computation::{COSTLY, nanos};
pub use explain::{ArgumentChange, Explanation};
#[cfg(unix)]
pub(crate) use global::VARIABLE as GLOBAL_VARIABLE;
#[doc(hidden)]
pub use global::{CachedCell, global_memory};
#[doc(hidden)]
pub use instances::{Instances, MethodCell, MethodCode, NotInKey, Road};
pub use inventory::{CodeInfo, Entries, EntryInfo, FunctionInfo, Totals};
pub use items::{ItemChange, ItemChangeKind};
pub(crate) use lookup::{Answer, Asking, Kept, Looked, Safe};
pub use metadata::{ArgumentInfo, Metadata};
pub use reason::{MissReason, NotStoredReason};
pub use runs::{RunDetails, RunEnd, RunInfo, RunItem, RunItemState, RunProgram, RunProgramState};
pub use shelf::Shelved;
pub use stats::Stats;
#[cfg(unix)]
pub(crate) use stats::lookups_in;
pub use validity::Validity;

use crate::error::Result;
use crate::lock::lock;
use crate::store::used::{Calls, FunctionName};
use crate::store::{EntryKey, Limits, Reduced, Store};
use crate::task::Function;
#[cfg(unix)]
use crate::wire::message::MemoryAt;
use report::Reporter;
use shelves::Shelves;
use stats::Counters;
pub(crate) use waiting::Waiting;

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

    /// Tells whoever is told of this memory.
    pub(crate) fn warn(&self, words: &str) {
        self.inner.reporter.warn(words);
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
        let reduce = |store: &dyn Store| store.reduce(limits, dry);
        let reduced = if dry { reduce(&*shelves.store) } else { shelves.clear(reduce) };
        reduced.map_err(|error| store_failed(shelves, &error))
    }

    /// Removes every entry of every function. Another program that has values in its memory goes on with these.
    ///
    /// # Errors
    /// The store refuses; what is then left is whole.
    pub fn clear(&self) -> Result<()> {
        let Some(shelves) = &self.inner.place else { return Ok(()) };
        shelves.clear(|store| store.clear()).map_err(|error| store_failed(shelves, &error))
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
