//! `Parallel`: delayed calls on many workers.
//!
//! A run ([`run`]) goes: input -> batches ([`feed`], [`batch`], [`schedule`]) -> workers ([`dispatch`], on a crew of
//! [`crate::backend`]), which do the [`work`] -> results in the order of the input, or the first failure ([`failure`]), or
//! all there is ([`outcome`], [`report`]); [`progress`] watches.

mod batch;
mod cancel;
#[cfg(unix)]
mod crossing;
mod dispatch;
mod failure;
mod feed;
#[cfg(unix)]
mod flight;
mod isolation;
mod jobs;
mod outcome;
mod progress;
#[cfg(unix)]
mod remote;
mod report;
mod retry;
mod run;
mod schedule;
mod work;
mod written;

use std::fmt;
use std::sync::OnceLock;

pub use batch::BatchSize;
pub use cancel::CancelToken;
pub use failure::{Failure, FailureKind, OnError};
pub use jobs::{cpu_count, effective_n_jobs};
pub use outcome::Outcome;
pub use progress::{Progress, ProgressCallback, Snapshot};
pub use report::{BatchReport, RunReport, WorkerReport};
pub use schedule::Schedule;

use crate::backend::{Backend, Crew};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::panics;
#[cfg(unix)]
use crate::task::registry;
use crate::task::{Delayed, Task};
use failure::Cause;
use isolation::Isolation;
use retry::Retried;
use run::{Gather, Outcomes, Values};
use work::Work;

/// Runs calls on many workers, and gives their results in the order of the input.
///
/// Options first, then [`run`](Parallel::run) (delayed calls of a task), [`map`](Parallel::map) or
/// [`try_map`](Parallel::try_map) (any closure; it may borrow). One `Parallel` can run many times: its threads are
/// made at the first run and kept.
///
/// The input is read lazily, a batch ahead of the work. The first failure ends the run: no further item is started
/// (items of less than a microsecond are stopped by the handful), what is running is finished, and the error says which
/// item failed, with which arguments, and why. A run within a task that another run has put on a thread works on that
/// thread, so nesting never multiplies threads.
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
#[must_use = "a `Parallel` does nothing until it runs"]
pub struct Parallel {
    /// As joblib counts; `None`: every core.
    n_jobs: Option<i32>,
    backend: Backend,
    batch_size: BatchSize,
    schedule: Schedule,
    on_error: OnError,
    retries: u32,
    cancel: Option<CancelToken>,
    isolation: Isolation,
    progress: Progress,
    label: Option<String>,
    memory: Option<Memory>,
    /// Counted at the first run that needs it.
    cores: OnceLock<usize>,
    crew: Crew,
}

impl Default for Parallel {
    fn default() -> Parallel {
        Parallel::new()
    }
}

impl Parallel {
    /// Threads on every core, automatic batches, no progress.
    pub fn new() -> Parallel {
        Parallel {
            n_jobs: None,
            backend: Backend::default(),
            batch_size: BatchSize::default(),
            schedule: Schedule::default(),
            on_error: OnError::default(),
            retries: 0,
            cancel: None,
            isolation: Isolation::default(),
            progress: Progress::default(),
            label: None,
            memory: None,
            cores: OnceLock::new(),
            crew: Crew::default(),
        }
    }

    /// How many workers: a number, or -1 for every core (the default), -2 for all but one. 0 is an error when the run
    /// starts. 1 is a plain loop on the calling thread.
    pub fn n_jobs(mut self, n_jobs: i32) -> Parallel {
        self.n_jobs = Some(n_jobs);
        // The threads of an earlier run were as many as was asked then.
        self.crew = Crew::default();
        self
    }

    /// Where the calls run. Default: threads.
    pub fn backend(mut self, backend: Backend) -> Parallel {
        self.backend = backend;
        self
    }

    /// How many items are dispatched together: a number, or [`BatchSize::Auto`] (the default).
    pub fn batch_size(mut self, batch_size: impl Into<BatchSize>) -> Parallel {
        self.batch_size = batch_size.into();
        self
    }

    /// How items are shared out among the workers. Default: [`Schedule::Auto`]. With any other a
    /// [`batch_size`](Parallel::batch_size) is an error when the run starts.
    pub fn schedule(mut self, schedule: Schedule) -> Parallel {
        self.schedule = schedule;
        self
    }

    /// What a failure does to the run. Default: it ends it. A run that goes on and is to keep its results in spite of
    /// failures is started with [`outcome`](Parallel::outcome) and its like.
    pub fn on_error(mut self, on_error: OnError) -> Parallel {
        self.on_error = on_error;
        self
    }

    /// How many times a call that panicked or returned an `Err` is run again before it counts as failed. Default: 0.
    ///
    /// It is run again at once, on the same worker. For delayed calls of tasks only: a closure has consumed its item by
    /// then, so [`map`](Parallel::map) and its like refuse this. What a call needs to run again is kept beside it: a copy of
    /// its arguments where they are `Copy`, else their encoded form, made before the call. A call whose arguments refuse to
    /// be encoded is run once.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    ///
    /// static ATTEMPTS: AtomicU32 = AtomicU32::new(0);
    ///
    /// #[larder::task]
    /// fn download(page: u32) -> Result<u32, String> {
    ///     if ATTEMPTS.fetch_add(1, Relaxed) < 2 { Err("connection reset".to_owned()) } else { Ok(page) }
    /// }
    ///
    /// let outcome = Parallel::new().n_jobs(1).retries(2).outcome([delayed!(download(7))])?;
    /// assert_eq!((outcome.results()[0], outcome.report().retries), (Some(7), 2));
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn retries(mut self, retries: u32) -> Parallel {
        self.retries = retries;
        self
    }

    /// Lets the token stop the run. After [`CancelToken::cancel`] no further item is started (items of less than a
    /// microsecond are stopped by the handful), nor another attempt of one that failed; what is running is finished.
    /// [`run`](Parallel::run) and its like then give an error for which [`Error::is_cancelled`] is true, and
    /// [`outcome`](Parallel::outcome) and its like what was finished. Cancelled when all items were done, it has no effect.
    pub fn cancel_token(mut self, token: &CancelToken) -> Parallel {
        self.cancel = Some(token.clone());
        self
    }

    /// How progress is shown. Default: not at all.
    pub fn progress(mut self, progress: Progress) -> Parallel {
        self.progress = progress;
        self
    }

    /// What the progress calls this run. Default: the task's name; for closures, `map`.
    pub fn label(mut self, label: impl Into<String>) -> Parallel {
        self.label = Some(label.into());
        self
    }

    /// Loads the results of delayed calls from this memory, and stores what is computed. A call that finished is then
    /// not lost, whatever happens to the run after it. Without effect on closures.
    ///
    /// A call that is under way elsewhere, in this program or another, is left for the end, when it can mostly be loaded: so
    /// the same program started twice on one cache shares the work.
    pub fn memory(mut self, memory: &Memory) -> Parallel {
        self.memory = Some(memory.clone());
        self
    }

    /// Runs delayed calls and gives their results in order; of a `Result`, the `Ok` sides.
    ///
    /// # Errors
    /// A call panicked or returned an `Err`: the error holds a [`Failure`] with the call's index and arguments; or the run
    /// was cancelled, an option means nothing, or the system refuses threads. With [`OnError::Collect`] the failure with the
    /// lowest index is told when all others are done, and how many more there were; [`outcome`](Parallel::outcome) keeps
    /// what they and the others gave.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn power(base: f64, exponent: i32) -> f64 {
    ///     base.powi(exponent)
    /// }
    ///
    /// let parallel = Parallel::new().n_jobs(2);
    /// let cubes = parallel.run((1..=3).map(|x| delayed!(power(f64::from(x), 3))))?;
    /// assert_eq!(cubes, [1.0, 8.0, 27.0]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn run<'a, T, I>(&self, calls: I) -> Result<Vec<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
        I::IntoIter: Send,
    {
        self.calls::<Values, T, I>(calls)
    }

    /// Runs delayed calls as [`run`](Parallel::run) does, and gives every result and every failure.
    ///
    /// With [`OnError::FailFast`] what was finished before the first failure, with [`OnError::Collect`] everything but
    /// what failed.
    ///
    /// # Errors
    /// Only what keeps the run from starting: an option means nothing, or the system refuses threads. What fails in the
    /// run is in the [`Outcome`].
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn inverse(x: i32) -> i32 {
    ///     100 / x
    /// }
    ///
    /// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
    /// let outcome = parallel.outcome([4, 0, 5].map(|x| delayed!(inverse(x))))?;
    /// assert_eq!(outcome.results(), [Some(25), None, Some(20)]);
    /// assert_eq!(outcome.failures()[0].message(), "attempt to divide by zero");
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn outcome<'a, T, I>(&self, calls: I) -> Result<Outcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
        I::IntoIter: Send,
    {
        self.calls::<Outcomes, T, I>(calls)
    }

    fn calls<'a, G: Gather, T, I>(&self, calls: I) -> Result<G::Of<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
        I::IntoIter: Send,
    {
        let label = T::NAME.rsplit("::").next().unwrap_or(T::NAME);
        let mut calls = calls.into_iter();
        let cached = self.memory.as_ref().map(Memory::cached::<T>);
        if self.backend_here() != Backend::Processes && self.retries == 0 && cached.is_none() {
            return G::gather(self, calls, work::Calls::<T, _, false>::new(|args, _| Ok(T::call(args))), label);
        }
        // Next to what these calls cost, asking an input of unknown type is nothing: so there is one copy of all that follows
        // for each task, and not for each input.
        let calls: &mut (dyn Iterator<Item = Delayed<'a, T>> + Send) = &mut calls;
        #[cfg(unix)]
        if self.backend_here() == Backend::Processes {
            if registry::entry::<T>().is_none() {
                return Err(Error::invalid_option(isolation::not_registered(T::NAME)));
            }
            return G::gather(self, calls, crossing::SentCalls::<T>::new(cached), label);
        }
        if self.retries > 0 {
            let work = Retried::<T>::new(cached, self.retries, self.cancel.clone());
            if work.is_registered() {
                return G::gather(self, calls, work, label);
            }
            // Whether arguments can be copied is a matter of their type, but only a call can be asked.
            let mut calls = calls.peekable();
            let first = panics::catch(|| calls.peek().map_or(Ok(()), |call| work.check(call)));
            first.unwrap_or_else(|panic| {
                let cause = Cause::Input(panic);
                Err(Failure { index: 0, task: None, arguments: None, worker: 0, attempts: 0, cause }.into())
            })?;
            return G::gather(self, calls, work, label);
        }
        let call = |args, waiting| match &cached {
            Some(cached) => cached.call_unless_busy(args, T::compute, waiting),
            None => Ok(T::call(args)),
        };
        G::gather(self, calls, work::Calls::<T, _, true>::new(call), label)
    }

    /// Calls `function` with each item and gives the results in order. What the closure borrows must outlive the call
    /// only.
    ///
    /// # Errors
    /// The closure panicked: the error holds a [`Failure`] with the item's index; or as [`run`](Parallel::run).
    pub fn map<I, R, F>(&self, items: I, function: F) -> Result<Vec<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        F: Fn(I::Item) -> R + Sync,
    {
        self.closure::<Values, _, _>(items.into_iter(), work::Closure::new(function))
    }

    /// As [`map`](Parallel::map), for a closure that can fail: the first `Err` ends the run.
    ///
    /// # Errors
    /// The closure returned an `Err` (kept as the error's source) or panicked; or as [`run`](Parallel::run).
    ///
    /// # Examples
    /// ```
    /// let error = larder::Parallel::new().n_jobs(1).try_map(["4", "x", "6"], |text| text.parse::<u8>()).unwrap_err();
    /// assert_eq!(error.to_string(), "task 1 failed on worker 0: invalid digit found in string");
    /// ```
    pub fn try_map<I, R, E, F>(&self, items: I, function: F) -> Result<Vec<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Fn(I::Item) -> std::result::Result<R, E> + Sync,
    {
        self.closure::<Values, _, _>(items.into_iter(), work::Fallible::new(function))
    }

    /// Calls `function` with each item as [`map`](Parallel::map) does, and gives every result and every failure.
    ///
    /// # Errors
    /// As [`outcome`](Parallel::outcome): only what keeps the run from starting.
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Parallel};
    ///
    /// let table = [vec![3, 1, 2], vec![], vec![5]];
    /// let outcome = Parallel::new().n_jobs(2).on_error(OnError::Collect).map_outcome(&table, |row| row[0])?;
    /// assert_eq!(outcome.results(), [Some(3), None, Some(5)]);
    /// assert!(outcome.failures()[0].is_panic());
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn map_outcome<I, R, F>(&self, items: I, function: F) -> Result<Outcome<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        F: Fn(I::Item) -> R + Sync,
    {
        self.closure::<Outcomes, _, _>(items.into_iter(), work::Closure::new(function))
    }

    /// As [`map_outcome`](Parallel::map_outcome), for a closure that can fail.
    ///
    /// # Errors
    /// As [`outcome`](Parallel::outcome): only what keeps the run from starting.
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Parallel};
    ///
    /// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
    /// let outcome = parallel.try_map_outcome(["4", "x", "6"], |text| text.parse::<u8>())?;
    /// assert_eq!(outcome.into_results(), [Some(4), None, Some(6)]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn try_map_outcome<I, R, E, F>(&self, items: I, function: F) -> Result<Outcome<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Fn(I::Item) -> std::result::Result<R, E> + Sync,
    {
        self.closure::<Outcomes, _, _>(items.into_iter(), work::Fallible::new(function))
    }

    /// Where calls run here: within a worker process there is no second level of them.
    fn backend_here(&self) -> Backend {
        #[cfg(unix)]
        if self.backend == Backend::Processes && crate::worker::cores().is_some() {
            return Backend::Threads;
        }
        self.backend
    }

    fn closure<G: Gather, W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        items: I,
        work: W,
    ) -> Result<G::Of<W::Output>> {
        if self.retries > 0 {
            return Err(Error::invalid_option(format!(
                "`retries` is {}, and a closure consumes its item, so it cannot be run again: make the function a task \
                 with `#[larder::task]` and give delayed calls to `run` or `outcome`",
                self.retries
            )));
        }
        G::gather(self, items, work, "map")
    }
}

impl fmt::Debug for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel")
            .field("n_jobs", &self.n_jobs)
            .field("backend", &self.backend)
            .field("batch_size", &self.batch_size)
            .field("schedule", &self.schedule)
            .field("on_error", &self.on_error)
            .field("retries", &self.retries)
            .field("progress", &self.progress)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}
