//! Items that go one at a time: one may be under way elsewhere, be run more than once, or have a limit of time.

use std::time::Instant;

use super::{Clock, Done, Place, Ran, Run, discard};
use crate::memory::{Asking, Kept, Looked, Safe, Waiting};
use crate::panics;
use crate::parallel::failure::{Cause, Failure};
use crate::parallel::feed::{Batch, PutOff};
use crate::parallel::progress::Observed;
use crate::parallel::record::Ended;
use crate::parallel::watch::{self, Between, Watch};
use crate::parallel::work::Work;
use crate::parallel::written::Written;

impl<'s, W: Work, I: Iterator<Item = W::Item>> Run<'s, '_, W, I> {
    /// As [`run_and_put_off`](Run::run_and_put_off), with a limit on the time of each; `false` if this worker was left
    /// behind.
    pub(super) fn run_watched(
        &self,
        watch: &Watch,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
        done: &mut Done<'s, W>,
    ) -> bool {
        let Batch { start, attempts, mut out, .. } = batch;
        let mut rest = items.drain(..);
        for index in start.. {
            if self.feed.is_stopped() {
                break;
            }
            let Some(item) = rest.next() else { break };
            let (_, mut place, behind) = out.part(index);
            out = behind;
            // What it is called with must be known while it runs.
            let arguments = panics::catch(|| self.work.describe(self.work.trace(&item))).ok().flatten();
            watch.begin(worker, index, attempts, arguments.clone());
            let at = Place { index, worker, attempts };
            let mut clock = Clock { times: &mut done.times, slowest: &mut done.slowest };
            let ran = self.run_one(at, item, &mut place, Waiting::Not, Some(&mut clock));
            let Some(took) = watch.end(worker, index) else {
                // Nobody waits for what it gave, and its end is nobody's failure.
                discard([place].into_iter());
                discard(rest);
                return false;
            };
            match (ran, self.feed.task_limit()) {
                (Ran::Busy(item), _) => {
                    done.put_off.push(PutOff { index, attempts, item, out: place, since: Instant::now() })
                }
                (Ran::NotRun, _) => {}
                (Ran::Failed(failure), _) => done.failures.push(failure),
                // Nobody looked while it ran.
                (Ran::Done, Some(limit)) if self.is_alone && took > limit => {
                    let task = self.work.task();
                    let failure = watch::timed_out(index, task, arguments, worker, attempts + 1, limit);
                    if let Some(recorder) = self.feed.recorder() {
                        // Where its result is stored all the same, that counts more.
                        recorder.failed(&failure);
                    }
                    done.failures.push(failure);
                }
                (Ran::Done, _) => {
                    self.count(worker, 1);
                    done.written.push(place);
                }
            }
            if !done.failures.is_empty() && !self.feed.goes_on() {
                break;
            }
        }
        discard(rest);
        true
    }

    /// As [`run_batch`](Run::run_batch), item by item; what is under way elsewhere is put off.
    pub(super) fn run_and_put_off(
        &self,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
        done: &mut Done<'s, W>,
    ) {
        let Batch { start, attempts, mut out, is_timed, .. } = batch;
        let Done { written, failures, put_off, times, slowest, .. } = done;
        let mut clock = is_timed.then_some(Clock { times, slowest });
        let mut rest = items.drain(..);
        for index in start.. {
            if self.feed.is_stopped() {
                break;
            }
            let Some(item) = rest.next() else { break };
            let ran = self.run_one(Place { index, worker, attempts }, item, &mut out, Waiting::Not, clock.as_mut());
            if let Ran::Done = ran {
                self.count(worker, 1);
                continue;
            }
            let (before, place, behind) = out.part(index);
            written.push(before);
            out = behind;
            match ran {
                Ran::Done | Ran::NotRun => {}
                Ran::Busy(item) => put_off.push(PutOff { index, attempts, item, out: place, since: Instant::now() }),
                Ran::Failed(failure) => {
                    failures.push(failure);
                    if !self.feed.goes_on() {
                        break;
                    }
                }
            }
        }
        written.push(out);
        discard(rest);
    }

    /// Runs an item and writes its result behind what is written; or gives it back.
    pub(super) fn run_one(
        &self,
        at: Place,
        item: W::Item,
        out: &mut Written<'s, W::Output>,
        waiting: Waiting,
        clock: Option<&mut Clock<'_>>,
    ) -> Ran<W::Item> {
        let Place { index, worker, attempts } = at;
        let mut trace = None;
        let recorder = self.feed.recorder();
        if let Some(failure) = recorder.and_then(|recorder| recorder.failed_elsewhere(index, worker)) {
            discard([item].into_iter());
            return Ran::Failed(failure);
        }
        let start = (clock.is_some() || recorder.is_some()).then(Instant::now);
        let safe = if recorder.is_some() { Safe::ByRun } else { Safe::ByCall };
        let observed = Observed::begin(self.meter, worker, index, safe);
        let asking = (observed.is_none() && recorder.is_some()).then(|| Asking::begin(safe));
        let ran = panics::catch(|| {
            let trace = trace.insert(self.work.trace(&item));
            let between = Between { stop: self.feed.stopping(), watch: self.watch.map(|watch| (watch, worker, index)) };
            self.work.attempt(item, trace, waiting, &between)
        });
        let answer = match observed {
            Some(observed) => observed.end(matches!(ran, Ok(Ok(Ok(_))))),
            None => asking.and_then(Asking::answer),
        };
        let cause = match ran {
            Ok(Err(item)) => return Ran::Busy(item),
            Ok(Ok(Ok(value))) => {
                out.extend(std::iter::once(value));
                if let (Some(recorder), Some(start)) = (recorder, start) {
                    let more = trace.as_ref().map_or(1, |trace| self.work.attempts(trace).0);
                    let loaded = answer.is_some_and(|answer| answer.looked == Looked::Hit);
                    let kept = answer.map(|answer| answer.kept).unwrap_or_default();
                    let attempts = attempts + more;
                    let took = start.elapsed();
                    if !recorder.done(Ended { index, worker, attempts, took, loaded, kept }) && kept != Kept::Nothing {
                        recorder.lost(1);
                    }
                }
                if let (Some(clock), Some(start)) = (clock, start) {
                    self.note(clock, index, worker, start.elapsed(), trace);
                }
                return Ran::Done;
            }
            Ok(Ok(Err(error))) => Cause::Erred(error),
            Err(_) if trace.as_ref().is_some_and(|trace| self.work.was_broken_off(trace)) => return Ran::NotRun,
            Err(panic) => Cause::Panicked(panic),
        };
        let took = start.map(|start| start.elapsed());
        let failure = Failure { took, ..self.failure(index, attempts, trace, worker, cause) };
        if let Some(recorder) = recorder {
            // At once: the rest of the batch may take long.
            recorder.failed(&failure);
        }
        Ran::Failed(failure)
    }
}
