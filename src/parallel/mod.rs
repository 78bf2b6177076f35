//! `Parallel`: delayed calls on many workers.
//!
//! A run goes: input -> batches ([`batch`]) -> workers ([`dispatch`], on a crew of [`crate::backend`]) -> results in
//! the order of the input, or the first failure ([`failure`]); [`progress`] watches.

mod batch;
mod dispatch;
mod failure;
mod jobs;
mod progress;
mod work;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

pub use batch::BatchSize;
pub use failure::Failure;
pub use jobs::{cpu_count, effective_n_jobs};
pub use progress::{Progress, ProgressCallback, Snapshot};

use crate::backend::{Backend, Crew};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::sys::filled;
use crate::task::{Delayed, Task};
use batch::Sizer;
use dispatch::{Run, Work, Written};
use progress::{Meter, Reporter};

/// Runs calls on many workers, and gives their results in the order of the input.
///
/// Options first, then [`run`](Parallel::run) (delayed calls of a task), [`map`](Parallel::map) or
/// [`try_map`](Parallel::try_map) (any closure; it may borrow). One `Parallel` can run many times: its threads are
/// made at the first run and kept.
///
/// The input is read lazily, a batch ahead of the work. The first failure ends the run: no further item is started
/// (items of less than a microsecond are stopped by the handful), what is running is finished, and the error says which item failed, with which arguments, and why. A run within a
/// task that another run has put on a thread works on that thread, so nesting never multiplies threads.
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
    /// A call panicked or returned an `Err`: the error holds a [`Failure`] with the call's index and arguments; or an
    /// option means nothing, or the system refuses threads.
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
        let label = T::NAME.rsplit("::").next().unwrap_or(T::NAME);
        match &self.memory {
            Some(memory) => {
                let cached = memory.cached::<T>();
                self.start(
                    calls.into_iter(),
                    work::Calls::<T, _, true>::new(|args, waiting| cached.call_unless_busy(args, waiting)),
                    label,
                )
            }
            None => self.start(calls.into_iter(), work::Calls::<T, _, false>::new(|args, _| Ok(T::call(args))), label),
        }
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
        self.start(items.into_iter(), work::Closure::new(function), "map")
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
        self.start(items.into_iter(), work::Fallible::new(function), "map")
    }

    fn start<W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        items: I,
        work: W,
        label: &str,
    ) -> Result<Vec<W::Output>> {
        let workers = match self.backend {
            Backend::Sequential => jobs::resolve(self.n_jobs.unwrap_or(1), || 1).map(|_| 1)?,
            Backend::Threads => jobs::resolve(self.n_jobs.unwrap_or(-1), || *self.cores.get_or_init(jobs::cpu_count))?,
        };
        let fixed = match self.batch_size {
            BatchSize::Auto => None,
            BatchSize::Fixed(items) => Some(NonZeroUsize::new(items).ok_or_else(|| {
                Error::invalid_option("`batch_size` is 0: give a number of items, or `BatchSize::Auto`")
            })?),
        };
        let (least, most) = items.size_hint();
        let total = most.filter(|most| *most == least);
        let label = self.label.as_deref().unwrap_or(label);
        let watched = Watched::start(&self.progress, workers, total, label);
        let counted = watched.as_ref().map(|watched| &*watched.meter);
        let end = self.collect(items, work, Sizer::new(fixed, workers), counted, workers, least);
        if let Some(watched) = watched {
            watched.reporter.finish(end.is_ok());
        }
        end
    }

    fn collect<W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        items: I,
        work: W,
        sizer: Sizer,
        meter: Option<&Meter>,
        workers: usize,
        least: usize,
    ) -> Result<Vec<W::Output>> {
        let mut list = Vec::new();
        // The input's word on its length is a hint: no more is trusted than it costs little to be wrong about.
        let wanted = least.min(LARGEST_LIST_BYTES / size_of::<W::Output>().max(1));
        if list.try_reserve_exact(wanted).is_err() {
            list = Vec::new();
        }
        let mut apart = Vec::new();
        let mut failed = Ok(());
        let filled = filled::fill(&mut list, wanted, |slots| {
            let run = Run::new(work, items, sizer, meter, slots);
            let crew = self.crew.run(self.backend, workers, &|worker| run.worker(worker));
            let ended = match (run.end(), crew) {
                (Ok(written), Ok(())) => written,
                (Err(failure), _) => {
                    failed = Err((*failure).into());
                    return Vec::new();
                }
                (Ok(_), Err(error)) => {
                    failed = Err(error);
                    return Vec::new();
                }
            };
            let mut placed = Vec::new();
            for written in ended {
                match written {
                    // Nothing may begin where something else does.
                    Written::Placed(strip) if strip.is_nothing() => {}
                    Written::Placed(strip) => placed.push(strip),
                    Written::Apart { start, values } => apart.push((start, values)),
                }
            }
            placed.sort_by_key(filled::Filled::place);
            placed
        });
        failed?;
        // Strips are given out in order and only whole ones are handed in without a failure.
        assert!(filled, "a run without a failure has all results");
        apart.sort_by_key(|(start, _)| *start);
        for (_, values) in apart {
            list.extend(values);
        }
        Ok(list)
    }
}

/// The counts of a run that someone watches.
struct Watched {
    meter: Arc<Meter>,
    reporter: Reporter,
}

impl Watched {
    fn start(progress: &Progress, workers: usize, total: Option<usize>, label: &str) -> Option<Watched> {
        if matches!(progress, Progress::Off) {
            return None;
        }
        let meter = Arc::new(Meter::new(workers));
        let total = total.and_then(|total| total.try_into().ok());
        let reporter = Reporter::start(progress, Arc::clone(&meter), total, label)?;
        Some(Watched { meter, reporter })
    }
}

/// Up to this size the list of results is reserved by the input's own word.
const LARGEST_LIST_BYTES: usize = 256 << 20;

impl fmt::Debug for Parallel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel")
            .field("n_jobs", &self.n_jobs)
            .field("backend", &self.backend)
            .field("batch_size", &self.batch_size)
            .field("progress", &self.progress)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}
