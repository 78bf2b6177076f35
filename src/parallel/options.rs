//! What can be asked of a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Parallel;
use super::batch::BatchSize;
use super::cancel::CancelToken;
use super::context::Hints;
use super::failure::OnError;
use super::halt::Halt;
use super::isolation::Isolation;
use super::progress::{Observers, Progress};
use super::record::Recorder;
use super::retry::Retry;
use super::schedule::Schedule;
use super::timeout::Timeout;
use super::window::PreDispatch;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// The options of a [`Parallel`]; `None` is what was not asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    /// As joblib counts.
    pub(super) n_jobs: Option<i32>,
    pub(super) backend: Option<Backend>,
    pub(super) hints: Hints,
    pub(super) batch_size: BatchSize,
    pub(super) schedule: Schedule,
    pub(super) on_error: OnError,
    pub(super) retry: Retry,
    pub(super) halt: Option<Halt>,
    pub(super) deadline: Option<Duration>,
    pub(super) timeout: Option<Timeout>,
    pub(super) pre_dispatch: PreDispatch,
    pub(super) cancel: Option<CancelToken>,
    pub(super) isolation: Isolation,
    pub(super) progress: Option<Progress>,
    pub(super) observers: Observers,
    pub(super) label: Option<String>,
    pub(super) memory: Option<Memory>,
    /// Who writes down what comes of items.
    pub(super) recorder: Option<Arc<dyn Recorder>>,
}

impl Options {
    /// When a run that starts now must be over.
    ///
    /// # Errors
    /// At once.
    pub(super) fn deadline_from_now(&self) -> Result<Option<Instant>> {
        match self.deadline {
            Some(deadline) if deadline.is_zero() => Err(Error::invalid_option(
                "`deadline` is 0: nothing can be done in that; leave it out for a run without a limit",
            )),
            // So far away that it cannot be said is never.
            deadline => Ok(deadline.and_then(|deadline| Instant::now().checked_add(deadline))),
        }
    }
}

/// Options of every run.
impl Parallel {
    /// How many workers: a number, or -1 for every core (the default), -2 for all but one. 0 is an error when the run
    /// starts. 1 is a plain loop on the calling thread: no other thread is made, and a debugger shows the caller below
    /// the task.
    ///
    /// More workers than cores are of use where tasks wait, for a disk, a server, or each other: on threads each task that
    /// waits has a thread to wait on.
    ///
    /// # Examples
    /// ```
    /// use larder::Parallel;
    /// use std::sync::Barrier;
    ///
    /// let all = Barrier::new(8);
    /// // However few cores there are, eight tasks are under way at once.
    /// let order = Parallel::new().n_jobs(8).map(0..8, |_| all.wait().is_leader())?;
    /// assert_eq!(order.into_iter().filter(|is_leader| *is_leader).count(), 1);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn n_jobs(mut self, n_jobs: i32) -> Parallel {
        self.options.n_jobs = Some(n_jobs);
        // The threads of an earlier run were as many as was asked then.
        self.crew = Arc::default();
        self
    }

    /// Where the calls run. Default: what [`prefer`](Parallel::prefer) and [`require`](Parallel::require) say, else threads.
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
        self.options.retry = Retry::times(retries);
        self
    }

    /// As [`retries`](Parallel::retries), with pauses between attempts, or for chosen failures only.
    pub fn retry(mut self, retry: Retry) -> Parallel {
        self.options.retry = retry;
        self
    }

    /// How far the input is read ahead of the work, and in a [`Stream`](crate::Stream) of whoever takes the results: a number
    /// of items, or a [`PreDispatch`]. joblib's word.
    pub fn pre_dispatch(mut self, pre_dispatch: impl Into<PreDispatch>) -> Parallel {
        self.options.pre_dispatch = pre_dispatch.into();
        self
    }

    /// How long a run may take. Then no further item is started; on threads what is running is finished, in worker
    /// processes it is broken off. [`run`](Parallel::run) and its like give an error for which [`Error::is_deadline`] is true,
    /// [`outcome`](Parallel::outcome) and its like what was finished. An input that blocks is waited for. Default: as long as it
    /// takes.
    ///
    /// [`Error::is_deadline`]: crate::Error::is_deadline
    pub fn deadline(mut self, deadline: Duration) -> Parallel {
        self.options.deadline = Some(deadline);
        self
    }

    /// How long one task may take: a `Duration`, or a [multiple of the median](Timeout::median). Then it is reported as
    /// [timed out](crate::FailureKind::Timeout), and the others go on. Default: as long as it likes.
    ///
    /// In worker processes its worker is killed, within a twentieth of a second or an eighth of the timeout, and the task may
    /// be [run again](Parallel::retries). A thread cannot be broken off: the task is reported at the same time and left
    /// behind, and what it gives in the end is dropped. [`run`](Parallel::run), [`map`](Parallel::map) and their like, whose
    /// tasks may use what the caller lent, still return only when it has ended; a [`Stream`](crate::Stream) ends without it.
    /// With one worker, on the calling thread, it is reported when it has ended. With a limit, items are dispatched one by
    /// one on threads.
    pub fn timeout_per_task(mut self, timeout: impl Into<Timeout>) -> Parallel {
        self.options.timeout = Some(timeout.into());
        self
    }

    /// When the run ends before its input does: at so many failures, results, or a share of the items. Default: never.
    ///
    /// [`run`](Parallel::run) and its like then give an error for which [`Error::is_halted`] is true, as they have no list to
    /// give; [`outcome`](Parallel::outcome) and its like, and streams, give what was finished.
    ///
    /// [`Error::is_halted`]: crate::Error::is_halted
    pub fn halt(mut self, halt: Halt) -> Parallel {
        self.options.halt = Some(halt);
        self
    }

    /// Lets the token stop the run. After [`CancelToken::cancel`] no further item is started (items of less than a
    /// microsecond are stopped by the handful), nor another attempt of one that failed; what is running on
    /// threads is finished, and in worker processes broken off after a tenth of a second.
    /// [`run`](Parallel::run) and its like then give an error for which [`Error::is_cancelled`](crate::Error::is_cancelled) is true, and
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
