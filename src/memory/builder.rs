//! Options of a memory, and its opening.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::report::{Reporter, Sink};
use super::stats::Counters;
use super::{Inner, Memory, Shelves, store_failed};
use crate::error::{Error, Result};
use crate::store::{Access, Compression, Limits, Setup, Size, Store, location};

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
    must_exist: bool,
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

    /// Whether a directory that is no cache yet is an error, and left as it is. Default: it becomes one, if it is empty or
    /// missing. For programs that look after a cache which others make.
    pub fn must_exist(mut self, must_exist: bool) -> MemoryBuilder {
        self.must_exist = must_exist;
        self
    }

    /// The most bytes that the cache may hold: encoded results before compression, with their records. A number, or a text such as
    /// `"10G"`, in powers of 1024. Held to at the opening and on every write: what is worth the least goes first (see [`Limits`]), and a result
    /// larger than this is not stored at all. joblib's `bytes_limit`, which it holds to only when asked.
    ///
    /// Limits hold as long as this program has the cache open, and for all programs that use it meanwhile; where several are
    /// asked for, the strictest holds. Default: none.
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
        if self.must_exist {
            location::check(path)?;
        } else {
            location::prepare(path)?;
        }
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
            .field("must_exist", &self.must_exist)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
