//! A run from its options to its end: the feed, the crew, and the results in order or what came of it.

use std::num::NonZeroUsize;
use std::time::Instant;

use super::batch::{Aim, BatchSize, Sizer};
use super::dispatch;
use super::feed::{End, Feed, Rules};
use super::outcome::Outcome;
use super::progress::{Meter, Plan, Progress, Tally, Watched};
#[cfg(unix)]
use super::remote;
use super::report::RunReport;
use super::schedule::Schedule;
use super::work::Work;
use super::written::Written;
use super::{OnError, Parallel, jobs};
use crate::backend::{Backend, is_worker_thread};
use crate::error::{Error, Result};
use crate::sys::filled;

/// Up to this size a list of results is reserved by the input's own word on its length.
pub(super) const LARGEST_LIST_BYTES: usize = 256 << 20;

/// What a caller wants of a run.
pub(super) trait Gather {
    type Of<R>;

    fn gather<W: Work, I: Iterator<Item = W::Item> + Send>(
        parallel: &Parallel,
        items: I,
        work: W,
        label: &str,
    ) -> Result<Self::Of<W::Output>>;
}

/// The results in order, or an error.
pub(super) struct Values;

/// What came of each item.
pub(super) struct Outcomes;

impl Gather for Outcomes {
    type Of<R> = Outcome<R>;

    fn gather<W: Work, I: Iterator<Item = W::Item> + Send>(
        parallel: &Parallel,
        items: I,
        work: W,
        label: &str,
    ) -> Result<Outcome<W::Output>> {
        let (rules, _) = parallel.rules(items.size_hint())?;
        let (workers, total) = (rules.workers, rules.total);
        let watched = parallel.watch(workers, total, label);
        let feed = Feed::new(items, rules, &mut []);
        let began = Instant::now();
        let ran = parallel.drive(&feed, &work, watched.as_ref(), workers);
        let mut end = feed.end();
        came_to(watched.as_ref(), &end);
        end.report.elapsed = began.elapsed();
        end.report.retries += work.retries();
        let outcome = ran.map(|()| Outcome::new(end, total));
        if let Some(watched) = watched {
            watched.finish(outcome.as_ref().is_ok_and(Outcome::is_complete));
        }
        outcome
    }
}

impl Gather for Values {
    type Of<R> = Vec<R>;

    fn gather<W: Work, I: Iterator<Item = W::Item> + Send>(
        parallel: &Parallel,
        items: I,
        work: W,
        label: &str,
    ) -> Result<Vec<W::Output>> {
        let (rules, least) = parallel.rules(items.size_hint())?;
        let watched = parallel.watch(rules.workers, rules.total, label);
        let values = parallel.values(items, &work, rules, watched.as_ref(), least);
        if let Some(watched) = watched {
            watched.finish(values.is_ok());
        }
        values
    }
}

impl Parallel {
    /// The options as rules for one run, and the least length of the input.
    fn rules(&self, (least, most): (usize, Option<usize>)) -> Result<(Rules, usize)> {
        let resolve = || jobs::resolve(self.options.n_jobs.unwrap_or(-1), || *self.cores.get_or_init(jobs::cpu_count));
        let (workers, aim) = match self.backend_here() {
            Backend::Sequential => (jobs::resolve(self.options.n_jobs.unwrap_or(1), || 1).map(|_| 1)?, Aim::THREADS),
            Backend::Threads => (jobs::within_budget(resolve()?), Aim::THREADS),
            Backend::Processes => {
                self.options.isolation.check()?;
                let workers = resolve()?;
                // The thread that waits for it leaves its core to one worker.
                (if is_worker_thread() { 1 } else { workers }, Aim::PROCESSES)
            }
        };
        let asked = match self.options.batch_size {
            BatchSize::Auto => None,
            BatchSize::Fixed(items) => Some(NonZeroUsize::new(items).ok_or_else(|| {
                Error::invalid_option("`batch_size` is 0: give a number of items, or `BatchSize::Auto`")
            })?),
        };
        if let (Some(items), true) = (asked, self.options.schedule != Schedule::Auto) {
            return Err(Error::invalid_option(format!(
                "`batch_size` is {items} and `schedule` is `Schedule::{:?}`, which has sizes of its own: give one of the \
                 two",
                self.options.schedule
            )));
        }
        let total = most.filter(|most| *most == least);
        let fixed = asked.or(self.options.schedule.fixed(total, workers)?);
        let rules = Rules {
            sizer: Sizer::new(fixed, workers, aim),
            workers,
            total,
            on_error: self.options.on_error,
            schedule: self.options.schedule,
            cancel: self.options.cancel.clone(),
        };
        Ok((rules, least))
    }

    fn watch(&self, workers: usize, total: Option<usize>, label: &str) -> Option<Watched> {
        Watched::start(&Plan {
            progress: self.options.progress.as_ref().unwrap_or(&Progress::Off),
            observers: &self.options.observers,
            label: self.options.label.as_deref().unwrap_or(label),
            total: total.and_then(|total| total.try_into().ok()),
            workers,
            backend: self.backend_here(),
        })
    }

    /// Runs to the end of the input, or until the run is stopped.
    fn drive<W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        feed: &Feed<'_, W, I>,
        work: &W,
        watched: Option<&Watched>,
        workers: usize,
    ) -> Result<()> {
        let meter = watched.map(|watched| &*watched.meter);
        let backend = self.backend_here();
        if backend == Backend::Processes {
            return self.drive_processes(feed, work, meter, workers);
        }
        let run = dispatch::Run::new(work, feed, meter);
        self.crew.run(backend, workers, &|worker| run.worker(worker))
    }

    #[cfg(unix)]
    fn drive_processes<W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        feed: &Feed<'_, W, I>,
        work: &W,
        meter: Option<&Meter>,
        workers: usize,
    ) -> Result<()> {
        let (Some(crossing), Some(task)) = (work.crossing(), work.task()) else {
            return Err(Error::invalid_option(
                "a closure cannot go to worker processes: make the function a task with `#[larder::task]` and give \
                 delayed calls to `run` or `outcome`, or leave out `Backend::Processes`",
            ));
        };
        let memory = match &self.options.memory {
            Some(memory) => memory.for_workers()?,
            None => None,
        };
        let run = remote::Remote {
            crossing,
            feed,
            meter,
            isolation: &self.options.isolation,
            retries: self.options.retries,
            memory,
            task,
            shared: remote::Shared::default(),
        };
        run.run(self.options.isolation.specs(workers, *self.cores.get_or_init(jobs::cpu_count)))
    }

    #[cfg(not(unix))]
    fn drive_processes<W: Work, I>(&self, _: &Feed<'_, W, I>, _: &W, _: Option<&Meter>, _: usize) -> Result<()> {
        Err(Error::invalid_option("there are no worker processes on this system: leave out `Backend::Processes`"))
    }

    fn values<W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        items: I,
        work: &W,
        rules: Rules,
        watched: Option<&Watched>,
        least: usize,
    ) -> Result<Vec<W::Output>> {
        let workers = rules.workers;
        let mut list = Vec::new();
        // The input's word on its length is a hint: no more is trusted than it costs little to be wrong about.
        let wanted = least.min(LARGEST_LIST_BYTES / size_of::<W::Output>().max(1));
        if list.try_reserve_exact(wanted).is_err() {
            list = Vec::new();
        }
        let mut apart = Vec::new();
        let mut failed = Ok(());
        let filled = filled::fill(&mut list, wanted, |slots| {
            let feed = Feed::new(items, rules, slots);
            let ran = self.drive(&feed, work, watched, workers);
            let end = feed.end();
            came_to(watched, &end);
            let End { written, failures, report, is_whole, .. } = end;
            let others = if self.options.on_error == OnError::Collect { failures.len().saturating_sub(1) } else { 0 };
            failed = match (failures.into_iter().next(), ran) {
                (Some(first), _) => Err(Error::failed(first, others)),
                (None, Err(error)) => Err(error),
                (None, Ok(())) if !is_whole => Err(Error::cancelled(report.completed)),
                (None, Ok(())) => Ok(()),
            };
            if failed.is_err() {
                return Vec::new();
            }
            let mut placed = Vec::new();
            for written in written {
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

/// Tells who watches a run what came of it.
fn came_to<R>(watched: Option<&Watched>, end: &End<'_, R>) {
    if let Some(watched) = watched {
        let RunReport { completed, failed, .. } = end.report;
        watched.came_to(Tally { completed, failed, cancelled: end.cancelled }, &end.failures);
    }
}
