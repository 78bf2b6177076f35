//! `Parallel`: delayed calls on many workers.
//!
//! A run ([`run`]) goes: input -> batches ([`feed`], [`batch`], [`schedule`]) -> workers ([`dispatch`], on a crew of
//! [`crate::backend`]), which do the [`work`] -> results in the order of the input, or the first failure ([`failure`]), or
//! all there is ([`outcome`], [`report`]); [`progress`] watches. What a run does not say itself is resolved first
//! ([`context`]), and how deep it lies within others is counted ([`nesting`]).

#[cfg(feature = "async")]
mod asynchronous;
mod batch;
mod batch_process;
mod calls;
mod cancel;
mod chunks;
mod closures;
mod context;
#[cfg(unix)]
mod crossing;
mod dispatch;
mod failure;
mod feed;
mod fetch;
#[cfg(unix)]
mod flight;
mod halt;
mod isolation;
mod jobs;
mod named;
pub(crate) mod nesting;
mod options;
mod outcome;
mod pages;
mod progress;
mod record;
#[cfg(unix)]
mod remote;
mod report;
mod retry;
mod run;
mod schedule;
mod shelf;
mod stop;
mod stream;
mod tally;
mod timeout;
mod times;
mod watch;
mod window;
mod work;
mod written;

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use batch::BatchSize;
pub use batch_process::batch_process;
pub use cancel::CancelToken;
pub use chunks::{Chunks, chunks};
pub use context::{Config, Prefer, Require, config};
pub use failure::{Failure, FailureKind, OnError};
pub use halt::Halt;
pub use jobs::{cpu_count, effective_n_jobs, physical_cpu_count};
pub use named::{Change, NamedIncomplete, NamedOutcome, NamedRun, Order, RunPlan, RunSummary};
pub use outcome::{Incomplete, Outcome};
pub use pages::{Page, Pages};
#[cfg(feature = "tracing")]
pub use progress::TracingObserver;
pub use progress::{
    Event, EventKind, JsonLines, Observer, Progress, ProgressCallback, ProgressIter, RunId, Snapshot, progress,
};
pub use report::{BatchReport, Limit, RunReport, SlowItem, WorkerReport};
pub use retry::{FailedAttempt, Retry};
pub use schedule::Schedule;
pub use stop::Stopped;
pub use stream::{Stream, UnorderedStream};
pub use timeout::Timeout;
pub use window::PreDispatch;

#[cfg(unix)]
pub(crate) use times::{Slowest, Times};

use crate::backend::{Backend, Crew};
use options::Options;

/// Runs calls on many workers, and gives their results in the order of the input.
///
/// Options first, then [`run`](Parallel::run) (delayed calls of a task), [`map`](Parallel::map) or
/// [`try_map`](Parallel::try_map) (any closure; it may borrow). One `Parallel` can run many times, from several threads at
/// once too: its threads are made at the first run and kept, so it is what joblib's `with Parallel(...) as parallel` is.
/// What is not asked for here comes from the [scope](crate::Config::scope) around the run, if there is one.
///
/// The input is read lazily, a batch ahead of the work. The first failure ends the run: no further item is started
/// (items of less than a microsecond are stopped by the handful), what is running on threads is finished, and the error says which
/// item failed, with which arguments, and why. A run within a task that another run has put on a thread works on that
/// thread, so nesting never multiplies threads; runs that start each other are an error at a depth of 24, before the
/// stack is full. Two runs that a program starts side by side, on threads of its own, have their workers each.
///
/// A failure need not cost the other results: with [`OnError::Collect`] the rest is run, and [`outcome`](Parallel::outcome),
/// [`map_outcome`](Parallel::map_outcome) and [`try_map_outcome`](Parallel::try_map_outcome) give whatever there is.
///
/// # Examples
/// ```
/// use larder::Parallel;
///
/// let table = vec![vec![1.0, 2.0, 3.0], vec![10.0, 20.0]];
/// let means = Parallel::new().n_jobs(2).map(&table, |row| row.iter().sum::<f64>() / row.len() as f64)?;
/// assert_eq!(means, [2.0, 15.0]);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a `Parallel` does nothing until it runs"]
pub struct Parallel {
    options: Options,
    /// Counted at the first run that needs it.
    cores: Arc<OnceLock<usize>>,
    crew: Arc<Crew>,
}

impl Default for Parallel {
    fn default() -> Parallel {
        Parallel::new()
    }
}

impl Parallel {
    /// Threads on every core, automatic batches, no progress.
    pub fn new() -> Parallel {
        Parallel { options: Options::default(), cores: Arc::default(), crew: Arc::default() }
    }

    /// Where calls run here: within a worker process there is no second level of them.
    fn backend_here(&self) -> Backend {
        let backend = self.options.backend.unwrap_or_default();
        #[cfg(unix)]
        if backend == Backend::Processes && crate::worker::cores().is_some() {
            return Backend::Threads;
        }
        backend
    }
}

impl fmt::Debug for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel").field("options", &self.options).finish_non_exhaustive()
    }
}
