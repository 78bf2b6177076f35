//! What can be asked of a run.

use std::sync::Arc;

use super::Parallel;
use super::batch::BatchSize;
use super::cancel::CancelToken;
use super::failure::OnError;
use super::isolation::Isolation;
use super::progress::{Observers, Progress};
use super::schedule::Schedule;
use crate::backend::Backend;
use crate::memory::Memory;

/// The options of a [`Parallel`]; `None` is what was not asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// As joblib counts.
    pub(super) n_jobs: Option<i32>,
    pub(super) backend: Option<Backend>,
    pub(super) batch_size: BatchSize,
    pub(super) schedule: Schedule,
    pub(super) on_error: OnError,
    pub(super) retries: u32,
    pub(super) cancel: Option<CancelToken>,
    pub(super) isolation: Isolation,
    pub(super) progress: Option<Progress>,
    pub(super) observers: Observers,
    pub(super) label: Option<String>,
    pub(super) memory: Option<Memory>,
}

/// Options of every run.
impl Parallel {
    /// How many workers: a number, or -1 for every core (the default), -2 for all but one. 0 is an error when the run
    /// starts. 1 is a plain loop on the calling thread.
    pub fn n_jobs(mut self, n_jobs: i32) -> Parallel {
        self.options.n_jobs = Some(n_jobs);
        // The threads of an earlier run were as many as was asked then.
        self.crew = Arc::default();
        self
    }

    /// Where the calls run. Default: threads.
    pub fn backend(mut self, backend: Backend) -> Parallel {
        self.options.backend = Some(backend);
        self
    }

    /// How many items are dispatched together: a number, or [`BatchSize::Auto`] (the default).
    pub fn batch_size(mut self, batch_size: impl Into<BatchSize>) -> Parallel {
        self.options.batch_size = batch_size.into();
        self
    }

    /// How items are shared out among the workers. Default: [`Schedule::Auto`]. With any other a
    /// [`batch_size`](Parallel::batch_size) is an error when the run starts.
    pub fn schedule(mut self, schedule: Schedule) -> Parallel {
        self.options.schedule = schedule;
        self
    }

    /// What a failure does to the run. Default: it ends it. A run that goes on and is to keep its results in spite of
    /// failures is started with [`outcome`](Parallel::outcome) and its like.
    pub fn on_error(mut self, on_error: OnError) -> Parallel {
        self.options.on_error = on_error;
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
        self.options.retries = retries;
        self
    }

    /// Lets the token stop the run. After [`CancelToken::cancel`] no further item is started (items of less than a
    /// microsecond are stopped by the handful), nor another attempt of one that failed; what is running is finished.
    /// [`run`](Parallel::run) and its like then give an error for which [`Error::is_cancelled`] is true, and
    /// [`outcome`](Parallel::outcome) and its like what was finished. Cancelled when all items were done, it has no effect.
    pub fn cancel_token(mut self, token: &CancelToken) -> Parallel {
        self.options.cancel = Some(token.clone());
        self
    }

    /// How progress is shown. Default: not at all.
    pub fn progress(mut self, progress: Progress) -> Parallel {
        self.options.progress = Some(progress);
        self
    }

    /// What progress and observers call this run. Default: the task's name; for closures, `map`.
    pub fn label(mut self, label: impl Into<String>) -> Parallel {
        self.options.label = Some(label.into());
        self
    }

    /// Loads the results of delayed calls from this memory, and stores what is computed. A call that finished is then
    /// not lost, whatever happens to the run after it. Without effect on closures.
    ///
    /// A call that is under way elsewhere, in this program or another, is left for the end, when it can mostly be loaded: so
    /// the same program started twice on one cache shares the work.
    pub fn memory(mut self, memory: &Memory) -> Parallel {
        self.options.memory = Some(memory.clone());
        self
    }
}
