//! What a worker in this process does: takes the next batch, runs it, hands in the results, until there is no more.

use std::ops::ControlFlow;
use std::time::Instant;

use super::failure::{Cause, Failure};
use super::feed::{Batch, Feed, PutOff};
use super::progress::{EventKind, Meter, Observed, tell};
use super::work::Work;
use super::written::Written;
use crate::memory::Waiting;
use crate::panics;

/// One run, as its workers see it.
pub(super) struct Run<'s, 'r, W: Work, I> {
    pub(super) work: &'r W,
    pub(super) feed: &'r Feed<'s, W, I>,
    meter: Option<&'r Meter>,
    /// How items that were put off are waited for.
    patience: Waiting,
}

/// What came of a batch.
struct Done<'s, W: Work> {
    written: Vec<Written<'s, W::Output>>,
    failures: Vec<Failure>,
    put_off: Vec<PutOff<'s, W>>,
}

impl<W: Work> Done<'_, W> {
    fn new() -> Self {
        Done { written: Vec::new(), failures: Vec::new(), put_off: Vec::new() }
    }

    /// How many items have a result or a failure.
    fn items(&self) -> usize {
        self.written.iter().map(Written::len).sum::<usize>() + self.failures.len()
    }
}

/// How an item ended that was not given back.
enum Ran<T> {
    Done,
    Busy(T),
    Failed(Failure),
}

impl<'s, 'r, W: Work, I: Iterator<Item = W::Item>> Run<'s, 'r, W, I> {
    pub(super) fn new(work: &'r W, feed: &'r Feed<'s, W, I>, meter: Option<&'r Meter>) -> Run<'s, 'r, W, I> {
        // A worker of the run's own, between two items, keeps nobody waiting but the run. On a rayon thread that runs it
        // there may be other work below on the stack, which someone else waits for.
        let is_nested = rayon::current_thread_index().is_some();
        let patience = if is_nested { Waiting::AsThreadMay } else { Waiting::ToTheEnd };
        Run { work, feed, meter, patience }
    }

    /// Works until the input ends or the run stops. Never panics, whatever the input and the tasks do.
    pub(super) fn worker(&self, worker: usize) {
        let mut items = Vec::new();
        let mut done = Done::new();
        tell(self.meter, || EventKind::WorkerStarted { worker, pid: None });
        let mut next = self.feed.turn().take(worker, &mut items);
        while let Some(batch) = next {
            let (index, taken) = (batch.start, items.len());
            tell(self.meter, || EventKind::BatchStarted { worker, index, items: taken });
            let start = Instant::now();
            if W::DEFERS {
                self.run_and_put_off(batch, worker, &mut items, &mut done);
            } else {
                self.run_batch(batch, worker, &mut items, &mut done);
            }
            let took = start.elapsed();
            tell(self.meter, || EventKind::BatchEnded { worker, index, items: done.items(), took });
            let mut turn = self.feed.turn();
            turn.batch_finished(worker, done.items(), took);
            turn.hand_in(done.written.drain(..));
            turn.put_off(done.put_off.drain(..));
            done.failures.drain(..).for_each(|failure| turn.fail(failure));
            next = turn.take(worker, &mut items);
        }
        if W::DEFERS {
            self.catch_up(worker);
        }
        tell(self.meter, || EventKind::WorkerEnded { worker, pid: None });
    }

    /// Runs what was put off, waiting for those who have it: mostly it can then be loaded.
    fn catch_up(&self, worker: usize) {
        loop {
            let next = self.feed.turn().next_put_off();
            let Some(PutOff { index, attempts, item, mut out }) = next else { return };
            tell(self.meter, || EventKind::BatchStarted { worker, index, items: 1 });
            let start = Instant::now();
            let ran = self.run_one(index, attempts, item, &mut out, worker, self.patience);
            let took = start.elapsed();
            let items = usize::from(!matches!(ran, Ran::Busy(_)));
            tell(self.meter, || EventKind::BatchEnded { worker, index, items, took });
            let mut turn = self.feed.turn();
            match ran {
                Ran::Done => turn.hand_in([out]),
                Ran::Busy(item) => {
                    turn.put_off([PutOff { index, attempts, item, out }]);
                    continue;
                }
                Ran::Failed(failure) => turn.fail(failure),
            }
            turn.caught_up(worker, 1, took);
        }
    }

    /// As [`run_batch`](Run::run_batch), item by item; what is under way elsewhere is put off.
    fn run_and_put_off(
        &self,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
        done: &mut Done<'s, W>,
    ) {
        let Batch { start, attempts, mut out, .. } = batch;
        let mut rest = items.drain(..);
        for index in start.. {
            if self.feed.is_stopped() {
                break;
            }
            let Some(item) = rest.next() else { break };
            let ran = self.run_one(index, attempts, item, &mut out, worker, Waiting::Not);
            if let Ran::Done = ran {
                continue;
            }
            let (before, place, behind) = out.part(index);
            done.written.push(before);
            out = behind;
            match ran {
                Ran::Done => {}
                Ran::Busy(item) => done.put_off.push(PutOff { index, attempts, item, out: place }),
                Ran::Failed(failure) => {
                    done.failures.push(failure);
                    if !self.feed.goes_on() {
                        break;
                    }
                }
            }
        }
        done.written.push(out);
        discard(rest);
    }

    /// Runs an item and writes its result behind what is written; or gives it back.
    fn run_one(
        &self,
        index: usize,
        attempts: u32,
        item: W::Item,
        out: &mut Written<'s, W::Output>,
        worker: usize,
        waiting: Waiting,
    ) -> Ran<W::Item> {
        let mut trace = None;
        let observed = Observed::begin(self.meter, worker, index);
        let ran = panics::catch(|| {
            let trace = trace.insert(self.work.trace(&item));
            self.work.attempt(item, trace, waiting)
        });
        if let Some(observed) = observed {
            observed.end(matches!(ran, Ok(Ok(Ok(_)))));
        }
        let cause = match ran {
            Ok(Err(item)) => return Ran::Busy(item),
            Ok(Ok(Ok(value))) => {
                out.extend(std::iter::once(value));
                self.count(worker, 1);
                return Ran::Done;
            }
            Ok(Ok(Err(error))) => Cause::Erred(error),
            Err(panic) => Cause::Panicked(panic),
        };
        Ran::Failed(self.failure(index, attempts, trace, worker, cause))
    }

    /// Runs a batch, to its end or to the first item that fails, as was asked.
    fn run_batch(&self, batch: Batch<'s, W::Output>, worker: usize, items: &mut Vec<W::Item>, done: &mut Done<'s, W>) {
        let Batch { mut start, mut stride, attempts, mut out } = batch;
        if self.meter.is_some_and(Meter::wants_tasks) {
            // Each is told of by itself.
            stride = 1;
        }
        // The simple loop loses its items when one of them panics, so it is for runs which that ends.
        if stride > 1
            && !self.feed.goes_on()
            && let Some(function) = self.work.plain()
        {
            let items = std::mem::take(items);
            let caught = panics::catch(|| out.extend(items.into_iter().map(function)));
            self.count(worker, out.len());
            if let Err(panic) = caught {
                done.failures.push(self.failure(start + out.len(), attempts, None, worker, Cause::Panicked(panic)));
            }
            done.written.push(out);
            return;
        }
        let mut rest = items.drain(..);
        loop {
            let mut trace = None;
            let mut counted = 0;
            let caught = panics::catch(|| {
                while rest.len() > 0 && !self.feed.is_stopped() {
                    let mut step = |item| {
                        trace = None;
                        trace = Some(self.work.trace(&item));
                        self.work.run(item)
                    };
                    let observed = Observed::begin_task(self.meter, worker, start + out.len());
                    let ran = out.try_extend(rest.by_ref().take(stride).map(&mut step));
                    if let Some(observed) = observed {
                        observed.end(ran.is_continue());
                    }
                    self.count(worker, out.len() - counted);
                    counted = out.len();
                    if let ControlFlow::Break(error) = ran {
                        return Some(error);
                    }
                }
                None
            });
            // What was done since, before a panic.
            self.count(worker, out.len() - counted);
            let cause = match caught {
                Ok(None) => break,
                Ok(Some(error)) => Cause::Erred(error),
                Err(panic) => Cause::Panicked(panic),
            };
            let index = start + out.len();
            done.failures.push(self.failure(index, attempts, trace, worker, cause));
            if !self.feed.goes_on() {
                break;
            }
            let (before, _, behind) = out.part(index);
            done.written.push(before);
            (start, out) = (index + 1, behind);
        }
        done.written.push(out);
        discard(rest);
    }

    fn count(&self, worker: usize, items: usize) {
        if let Some(meter) = self.meter {
            meter.add(worker, items as u64);
        }
    }

    /// Describes an item that failed for good; `before` is how often it was run earlier.
    fn failure(&self, index: usize, before: u32, trace: Option<W::Trace>, worker: usize, cause: Cause) -> Failure {
        if self.feed.goes_on() {
            // It is over, as the others are: a run that goes on comes to the end of its bar.
            self.count(worker, 1);
        }
        let (attempts, known) = trace.as_ref().map_or((1, None), |trace| self.work.attempts(trace));
        // A description runs the user's `Serialize`, which may panic too; the failure is worth more than its text.
        let arguments = trace.and_then(|trace| panics::catch(|| self.work.describe(trace)).ok().flatten());
        let (cause, attempts) = (known.unwrap_or(cause), before.saturating_add(attempts));
        let failure = Failure { index, task: self.work.task(), arguments, worker, attempts, cause };
        tell(self.meter, || EventKind::failed(&failure));
        failure
    }
}

/// Drops items that are not run. A panic of theirs is nobody's failure.
pub(super) fn discard<T>(items: impl Iterator<Item = T>) {
    let _ = panics::catch(|| drop(items));
}
