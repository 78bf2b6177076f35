//! Memoizing parallel compute: expensive functions are computed once, and delayed calls run on many workers.
//!
//! ```
//! use larder::{Memory, Parallel, delayed};
//!
//! /// The attribute names the function, fingerprints its code and registers it for workers.
//! #[larder::task]
//! fn simulate(seed: u64, steps: u32) -> f64 {
//!     (0..steps).fold(seed as f64, |x, _| (x * 1.000_1).sin()) // imagine an hour here
//! }
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let cache = dir.path().join("cache");
//! let memory = Memory::open(cache)?;
//! let parallel = Parallel::new().n_jobs(-1).memory(&memory);
//! let first = parallel.run((0..100).map(|seed| delayed!(simulate(seed, 1000))))?; // computed, on every core
//! let again = parallel.run((0..100).map(|seed| delayed!(simulate(seed, 1000))))?; // loaded
//! assert_eq!(first, again);
//! assert_eq!((memory.stats().misses(), memory.stats().hits()), (100, 100));
//! # Ok::<(), larder::Error>(())
//! ```
//!
//! # The two roads
//!
//! - **[`Memory`]**: a function is wrapped once, with [`Memory::cached`], [`Memory::cached_fn`] or
//!   [`#[larder::cached]`](macro@cached). Its arguments and its code are hashed into a key; the result of a key is kept
//!   on disk and never computed again: not by another thread, not next month, not after a crash. What fails its digest
//!   is a miss with a [reason](MissReason), never a wrong value. Many programs share one directory.
//! - **[`Parallel`]**: [delayed](macro@delayed) calls or closures run on many workers, threads or
//!   [processes](Backend::Processes), and their results come back in order. A value that many calls share is a [`Payload`]:
//!   kept once, hashed once, encoded once. A panic or an `Err` comes back as a
//!   [`Failure`] with the item's index and arguments. [`Progress`] shows how far a run is, an [`Observer`] is told what happens in it,
//!   and [`progress`](progress()) shows how far an ordinary loop is.
//!
//! Names are joblib's where a joblib user would look for them: `n_jobs`, `delayed`, `batch_size`, `effective_n_jobs`.
//!
//! # Where to go on
//!
//! The README has the first five minutes, docs/key.md what enters a key, docs/format.md the bytes on disk,
//! docs/benchmarks.md the figures beside their floors, docs/design.md why things are as they are.

#![deny(unsafe_code)]

// So that the attributes, which name this crate from outside, work within it.
extern crate self as larder;

#[cfg(feature = "ndarray")]
mod array;
mod backend;
pub mod bulk;
mod codec;
#[cfg(feature = "conformance")]
pub mod conformance;
mod digest;
mod error;
mod frame;
mod key;
mod lock;
mod memory;
#[cfg(unix)]
mod memory_file;
mod panics;
mod parallel;
mod payload;
pub(crate) mod runs;
mod screen;
mod seed;
pub mod store;
mod sys;
mod task;
mod walk;
#[cfg(unix)]
mod wire;
mod worker;

#[cfg(feature = "ndarray")]
pub use array::BulkArray;
pub use backend::Backend;
pub use bulk::Bulk;
pub use codec::{CodecError, CodecId, Encoded};
pub use error::{Error, Result};
pub use larder_macros::{cached, main, task};
pub use memory::{
    ArgumentChange, ArgumentInfo, Bless, BlessError, Blessed, BlessedCode, Blessing, Cached, CachedFn, CodeInfo,
    Difference, Entries, EntryInfo, Explanation, FunctionInfo, ItemChange, ItemChangeKind, Memory, MemoryBuilder,
    Metadata, MissReason, MmapMode, NotStoredReason, RunDetails, RunEnd, RunInfo, RunItem, RunItemState, RunProgram,
    RunProgramState, Shelved, Stats, Totals, Validity,
};
pub use panics::Panic;
#[cfg(feature = "tracing")]
pub use parallel::TracingObserver;
pub use parallel::{
    BatchReport, BatchSize, CancelToken, Change, Chunks, Config, Event, EventKind, FailedAttempt, Failure, FailureKind,
    Halt, Incomplete, JsonLines, Limit, NamedIncomplete, NamedOutcome, NamedRun, Observer, OnError, Order, Outcome,
    Page, Pages, Parallel, PreDispatch, Prefer, Progress, ProgressCallback, ProgressIter, Require, Retry, RunId,
    RunPlan, RunReport, RunSummary, Schedule, SlowItem, Snapshot, Stopped, Stream, Timeout, UnorderedStream,
    WorkerReport, batch_process, chunks, config, cpu_count, effective_n_jobs, physical_cpu_count, progress,
};
pub use payload::Payload;
pub use screen::print_line;
#[cfg(feature = "rand")]
pub use seed::Generator;
pub use seed::{RunSeed, Seed};
pub use store::{
    Compression, Damage, Damaged, DiskUsage, Exported, Imported, Limits, Rebuilt, Reduced, Removal, Size, Tombstone,
    Verified, VerifyProgress, rebuild,
};
pub use task::{
    AsyncTask, Delayed, Dependency, Function, Input, Parameter, Setting, Task, TaskError, WithKey, registry,
};
pub use worker::init;

/// What the attributes expand to. Not for people: anything here may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::memory::{
        CachedCell, Instances, Made, MakeKey, MethodCell, MethodCode, NotInKey, Road, global_memory,
    };
    pub use crate::task::dependency::Depended;
    pub use crate::task::method::Method;
    pub use crate::task::probe;
    pub use crate::task::registry::TaskEntry;
    pub use crate::task::remote::Remote;
    pub use inventory;
    pub use larder_macros::delayed;
    pub use serde::de::DeserializeOwned;
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
