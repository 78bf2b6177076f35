//! A run from its options to its end: the feed, the crew, and the results in order or what came of it.

use std::num::NonZeroUsize;

use super::batch::{Aim, BatchSize, Sizer};
use super::dispatch;
use super::feed::{End, Feed, Rules};
use super::halt::HaltAt;
use super::outcome::Outcome;
use super::progress::{CameTo, Meter, Plan, Progress, Watched};
use super::report::RunReport;
use super::schedule::Schedule;
use super::stop::{Stop, Stopped};
use super::timeout::Timeout;
use super::watch::Watch;
use super::window::{Most, PreDispatch};
use super::work::Work;
use super::written::Written;
use super::{OnError, Parallel, failure, jobs};
use crate::backend::{Backend, is_worker_thread};
use crate::error::{Error, Result};
use crate::panics;
use crate::sys::filled;

/// Up to this size a list of results is reserved by the input's own word on its length.
pub(super) const LARGEST_LIST_BYTES: usize = 256 << 20;

/// What a caller wants of a run. What it runs, and what that gives, lives for `'s`.
pub(super) trait Gather<'s> {
    type Of<R>
    where
        R: 's;

    fn gather<W, I>(self, parallel: &Parallel, items: I, work: W, label: &str) -> Result<Self::Of<W::Output>>
    where
        W: Work + 's,
        I: Iterator<Item = W::Item> + Send + 's;
}

/// The results in order, or an error.
pub(super) struct Values;

/// What came of each item.
pub(super) struct Outcomes;

impl<'s> Gather<'s> for Outcomes {
    type Of<R>
        = Outcome<R>
    where
        R: 's;

    fn gather<W, I>(self, parallel: &Parallel, items: I, work: W, label: &str) -> Result<Outcome<W::Output>>
    where
        W: Work + 's,
        I: Iterator<Item = W::Item> + Send + 's,
    {
        let (rules, _) = parallel.rules(length_of(&items), false)?;
        let (workers, total) = (rules.workers, rules.total);
        let watched = parallel.watch(workers, total, label);
        let feed = Feed::new(items, rules, &mut [], None);
        let ran = parallel.drive(&feed, &work, meter_of(watched.as_ref()), workers, &|| {});
        let mut end = feed.end();
        let report = report_of(&work, watched.as_ref(), &mut end);
        let outcome = match ran {
            // Nothing was begun: it is as if the run had not been.
            Err(error) if report.completed + report.failed == 0 => Err(error),
            ran => Ok(Outcome::new(end, report, total, ran.err())),
        };
        if let Some(watched) = watched {
            watched.finish(outcome.as_ref().is_ok_and(Outcome::is_complete));
        }
        outcome
    }
}

impl<'s> Gather<'s> for Values {
    type Of<R>
        = Vec<R>
    where
        R: 's;

    fn gather<W, I>(self, parallel: &Parallel, items: I, work: W, label: &str) -> Result<Vec<W::Output>>
    where
        W: Work + 's,
        I: Iterator<Item = W::Item> + Send + 's,
    {
        let (rules, least) = parallel.rules(length_of(&items), false)?;
        let watched = parallel.watch(rules.workers, rules.total, label);
        let values = parallel.values(items, &work, rules, watched.as_ref(), least);
        if let Some(watched) = watched {
            watched.finish(values.is_ok());
        }
        values
    }
}

impl Parallel {
    /// Whether the run is a plain loop on the calling thread.
    pub(super) fn is_loop(&self, workers: usize) -> bool {
        match self.backend_here() {
            Backend::Sequential => true,
            Backend::Threads => workers == 1 || is_worker_thread(),
            Backend::Processes => false,
        }
    }

    /// The options as rules for one run, and the least length of the input. In a stream results wait for whoever takes
    /// them.
    pub(super) fn rules(&self, (least, most): (usize, Option<usize>), is_stream: bool) -> Result<(Rules, usize)> {
        let resolve = || jobs::resolve(self.options.n_jobs.unwrap_or(-1), || *self.cores.get_or_init(jobs::cpu_count));
        let (workers, aim) = match self.backend_here() {
            Backend::Sequential => (jobs::resolve(self.options.n_jobs.unwrap_or(1), || 1).map(|_| 1)?, Aim::THREADS),
            // Within a task of another run its thread is all there is.
            Backend::Threads if is_worker_thread() => (resolve().map(|_| 1)?, Aim::THREADS),
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
        if self.options.on_error == OnError::MaxFailures(0) {
            return Err(Error::invalid_option(failure::NO_FAILURES));
        }
        self.options.retry.check()?;
        self.options.timeout.map_or(Ok(()), Timeout::check)?;
        let total = exact((least, most));
        let is_lazy = is_stream && self.is_loop(workers);
        // One after the other, when they are asked for.
        let is_watched = self.options.timeout.is_some() && self.backend_here() != Backend::Processes;
        let fixed = asked.or(self.options.schedule.fixed(total, workers)?);
        let fixed = if is_lazy || is_watched { Some(NonZeroUsize::MIN) } else { fixed };
        let window = match self.options.pre_dispatch.items(workers)? {
            Some(_) if is_lazy => Most::Unlimited,
            Some(items) => Most::Items(items),
            None if is_stream && !is_lazy => Most::Batches(2 * workers),
            None => Most::Unlimited,
        };
        let rules = Rules {
            sizer: Sizer::new(fixed, workers, aim),
            workers,
            total,
            on_error: self.options.on_error,
            halt: self.options.halt.map_or(Ok(HaltAt::NEVER), |halt| halt.at(total))?,
            schedule: self.options.schedule,
            most: window,
            timeout: self.options.timeout,
            reads_all: self.options.pre_dispatch == PreDispatch::All,
            stop: Stop::new(self.options.cancel.clone(), self.options.deadline_from_now()?),
            recorder: self.options.recorder.clone(),
        };
        Ok((rules, least))
    }

    pub(super) fn watch(&self, workers: usize, total: Option<usize>, label: &str) -> Option<Watched> {
        Watched::start(&Plan {
            progress: self.options.progress.as_ref().unwrap_or(&Progress::Off),
            observers: &self.options.observers,
            label: self.options.label.as_deref().unwrap_or(label),
            total: total.and_then(|total| total.try_into().ok()),
            workers,
            backend: self.backend_here(),
        })
    }

    /// Runs to the end of the input, or until the run is stopped. `left_behind` is called when all that is left to wait for
    /// are threads that were left behind.
    pub(super) fn drive<W: Work, I: Iterator<Item = W::Item> + Send>(
        &self,
        feed: &Feed<'_, W, I>,
        work: &W,
        meter: Option<&Meter>,
        workers: usize,
        left_behind: &(dyn Fn() + Sync),
    ) -> Result<()> {
        let backend = self.backend_here();
        if backend == Backend::Processes {
            return work.drive_processes(self, feed, meter, workers);
        }
        let is_loop = self.is_loop(workers);
        let watch = self.options.timeout.map(|_| Watch::new(if is_loop { 1 } else { workers }));
        let run = dispatch::Run::new(work, feed, meter, watch.as_ref(), is_loop);
        let crew = || self.crew.run(backend, workers, &|worker| run.worker(worker));
        match watch.as_ref().filter(|_| !is_loop) {
            None => crew(),
            Some(watch) => watch.around(&run, &crew, left_behind),
        }
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
            let feed = Feed::new(items, rules, slots, None);
            let ran = self.drive(&feed, work, meter_of(watched), workers, &|| {});
            let end = feed.end();
            came_to(watched, &end);
            let End { written, failures, tally, is_whole, stopped, .. } = end;
            let others = if self.options.on_error == OnError::FailFast { 0 } else { failures.len().saturating_sub(1) };
            failed = match (failures.into_iter().next(), ran) {
                (Some(first), _) => Err(Error::failed(first, others)),
                (None, Err(error)) => Err(error),
                (None, Ok(())) if !is_whole => {
                    Err(Error::stopped(stopped.unwrap_or(Stopped::Cancelled), tally.report.completed))
                }
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

/// What an input says of its length; a panic says nothing.
pub(super) fn length_of(items: &impl Iterator) -> (usize, Option<usize>) {
    panics::catch(|| items.size_hint()).unwrap_or((0, None))
}

/// The length that a hint is sure of.
pub(super) fn exact((least, most): (usize, Option<usize>)) -> Option<usize> {
    most.filter(|most| *most == least)
}

fn meter_of(watched: Option<&Watched>) -> Option<&Meter> {
    watched.map(|watched| &*watched.meter)
}

/// What a run did, which is told to who watches it.
pub(super) fn report_of<W: Work>(work: &W, watched: Option<&Watched>, end: &mut End<'_, W::Output>) -> RunReport {
    came_to(watched, end);
    let mut report = std::mem::take(&mut end.tally).report();
    report.retries += work.retries();
    report
}

/// Tells who watches a run what came of it.
pub(super) fn came_to<R>(watched: Option<&Watched>, end: &End<'_, R>) {
    if let Some(watched) = watched {
        let RunReport { completed, failed, .. } = end.tally.report;
        let cancelled = end.stopped == Some(Stopped::Cancelled);
        watched.came_to(CameTo { completed, failed, cancelled }, &end.failures);
    }
}
