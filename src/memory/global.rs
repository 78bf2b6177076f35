//! The memory that `#[larder::cached]` uses where it names none.

#[cfg(unix)]
use std::path::PathBuf;
use std::sync::OnceLock;

use super::{Cached, Memory};
use crate::error::{Error, Result};
use crate::task::Function;

static GLOBAL: OnceLock<Memory> = OnceLock::new();

/// The environment variable that names the directory, where the program does not.
pub(crate) const VARIABLE: &str = "LARDER_CACHE";

impl Memory {
    /// Makes this the memory of every [`#[larder::cached]`](macro@crate::cached) function that names none.
    ///
    /// Call it at the start of `main`: the first call of such a function settles the matter for the program.
    ///
    /// # Errors
    /// A global memory was set before, or a cached function was already called without one.
    ///
    /// # Examples
    /// ```
    /// use larder::Memory;
    ///
    /// #[larder::cached]
    /// fn fibonacci(n: u64) -> u64 {
    ///     if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// Memory::open(dir.path())?.make_global()?;
    /// assert_eq!(fibonacci(80), 23_416_728_348_467_685); // 81 computations, not 10^16
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn make_global(&self) -> Result<()> {
        GLOBAL.set(self.clone()).map_err(|_| {
            Error::invalid_option(
                "the global memory is settled already: call `make_global` once, \
                 before the first call of a `#[larder::cached]` function",
            )
        })
    }

    /// The directory of the global memory, if the program made one so.
    #[cfg(unix)]
    pub(crate) fn global_location() -> Option<PathBuf> {
        std::path::absolute(GLOBAL.get()?.location()?).ok()
    }

    /// The global memory: the one that was [made so](Memory::make_global), else the directory that the environment
    /// variable `LARDER_CACHE` names, else a [disabled](Memory::disabled) one. The last two say so on stderr if
    /// something is amiss.
    pub fn global() -> &'static Memory {
        GLOBAL.get_or_init(|| {
            let Some(location) = std::env::var_os(VARIABLE).filter(|location| !location.is_empty()) else {
                return warn_and_disable(format_args!(
                    "a `#[larder::cached]` function has no cache, so it computes each time: call \
                     `Memory::open(directory)?.make_global()?` first, or set {VARIABLE} to a directory"
                ));
            };
            Memory::open(&location).unwrap_or_else(|error| {
                warn_and_disable(format_args!("{VARIABLE} cannot be used, so nothing is cached: {error}"))
            })
        })
    }
}

fn warn_and_disable(words: std::fmt::Arguments<'_>) -> Memory {
    let memory = Memory::disabled();
    memory.inner.reporter.warn_once("global", || words.to_string());
    memory
}

/// The wrapper of one annotated function, made at its first call.
pub struct CachedCell<T: Function>(OnceLock<Cached<T>>);

impl<T: Function> CachedCell<T> {
    /// A cell for a `static`.
    #[expect(clippy::new_without_default, reason = "written by macros only")]
    pub const fn new() -> CachedCell<T> {
        CachedCell(OnceLock::new())
    }

    /// The wrapper, made with this memory at the first call.
    #[inline]
    pub fn get(&self, memory: impl FnOnce() -> Memory) -> &Cached<T> {
        self.0.get_or_init(|| memory().cached())
    }

    /// The wrapper, made with the global memory at the first call.
    #[inline]
    pub fn get_global(&self) -> &Cached<T> {
        self.get(global_memory)
    }
}

/// A handle of the global memory, for those who keep one.
pub fn global_memory() -> Memory {
    Memory::global().clone()
}
