//! What a worker in this process does: takes the next batch, runs it, hands in the results, until there is no more.

mod batch;
mod items;

use std::time::{Duration, Instant};

use super::failure::{Cause, Failure};
use super::feed::{Batch, Feed, GivenBack, PutOff, Taken, Turn};
use super::progress::{EventKind, Meter, tell};
use super::tally::Slow;
use super::times::Slowest;
use super::watch::{self, Watch, Watched};
use super::work::Work;
use super::written::Written;
use crate::memory::Waiting;
use crate::panics;

/// One run, as its workers see it.
pub(super) struct Run<'s, 'r, W: Work, I: Iterator> {
    pub(super) work: &'r W,
    pub(super) feed: &'r Feed<'s, W, I>,
    meter: Option<&'r Meter>,
    /// Who looks after the time of items, where that is limited.
    watch: Option<&'r Watch>,
    /// The run is a loop on the calling thread: nobody looks on.
    is_alone: bool,
    /// How items that were put off are waited for.
    patience: Waiting,
}

/// What came of a batch.
struct Done<'s, W: Work> {
    written: Vec<Written<'s, W::Output>>,
    failures: Vec<Failure>,
    put_off: Vec<PutOff<'s, W>>,
    /// How long each item took, where that was looked at.
    times: Vec<Duration>,
    slowest: Slowest<Slow>,
    /// What is left of a batch that is slower than was thought: for all workers.
    left: Option<GivenBack<'s, W>>,
}

impl<'s, W: Work> Done<'s, W> {
    fn new() -> Self {
        Done {
            written: Vec::new(),
            failures: Vec::new(),
            put_off: Vec::new(),
            times: Vec::new(),
            slowest: Slowest::default(),
            left: None,
        }
    }

    /// Leaves the items of a batch that began at `start` which stand behind what is written.
    fn leave(&mut self, start: usize, attempts: u32, out: Written<'s, W::Output>, items: Vec<W::Item>) {
        let next = start + out.len();
        let (written, out) = out.split_at(next - start, next);
        self.left = Some(GivenBack { start: next, items, out, attempts });
        self.written.push(written);
    }

    /// How many items have a result or a failure.
    fn items(&self) -> usize {
        self.written.iter().map(Written::len).sum::<usize>() + self.failures.len()
    }
}

/// What is written down of items that are looked at one by one.
struct Clock<'d> {
    times: &'d mut Vec<Duration>,
    slowest: &'d mut Slowest<Slow>,
}

/// An item that is run: which it is, where, and how often it was run before.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    worker: usize,
    attempts: u32,
}

/// How an item ended that was not given back.
enum Ran<T> {
    Done,
    Busy(T),
    /// The run stopped between two of its attempts.
    NotRun,
    Failed(Failure),
}

impl<'s, 'r, W: Work, I: Iterator<Item = W::Item>> Run<'s, 'r, W, I> {
    pub(super) fn new(
        work: &'r W,
        feed: &'r Feed<'s, W, I>,
        meter: Option<&'r Meter>,
        watch: Option<&'r Watch>,
        is_alone: bool,
    ) -> Run<'s, 'r, W, I> {
        // A worker of the run's own, between two items, keeps nobody waiting but the run. On a rayon thread that runs it
        // there may be other work below on the stack, which someone else waits for.
        let is_nested = rayon::current_thread_index().is_some();
        let patience = if is_nested { Waiting::AsThreadMay } else { Waiting::AWhile };
        Run { work, feed, meter, watch, is_alone, patience }
    }

    /// Works until the input ends or the run stops. Never panics, whatever the input and the tasks do.
    pub(super) fn worker(&self, worker: usize) {
        let (mut items, mut done) = (Vec::new(), Done::new());
        let mut free_since = Instant::now();
        tell(self.meter, || EventKind::WorkerStarted { worker, pid: None });
        let mut taken = self.feed.turn().take(worker, &mut items);
        loop {
            let turn = match taken {
                Taken::Batch(batch) => {
                    let start = Instant::now();
                    // Left behind, this thread is no worker any more.
                    let Some(took) = self.run_taken(batch, worker, &mut items, &mut done) else { return };
                    let between = start.duration_since(free_since);
                    free_since = start + took;
                    let mut turn = self.feed.turn();
                    turn.tally().between += between;
                    self.hand_in(&mut turn, worker, &mut done, took);
                    turn
                }
                Taken::Wait(wait) => {
                    if self.catch_up(worker) {
                        free_since = Instant::now();
                    } else {
                        self.feed.wait(wait);
                    }
                    self.feed.turn()
                }
                Taken::Nothing if self.catch_up(worker) => {
                    free_since = Instant::now();
                    self.feed.turn()
                }
                Taken::Nothing => break,
            };
            taken = turn.take(worker, &mut items);
        }
        self.feed.turn().tally().between += free_since.elapsed();
        self.feed.leaves(worker);
        tell(self.meter, || EventKind::WorkerEnded { worker, pid: None });
        if let Some(watch) = self.watch {
            watch.leaves();
        }
        discard(items.drain(..));
    }

    /// Runs the next batch on this thread; `false` if there is none. For who asks for results one after the other.
    pub(super) fn step(&self) -> bool {
        let (mut items, mut done) = (Vec::new(), Done::new());
        let taken = self.feed.turn().take(0, &mut items);
        match taken {
            Taken::Batch(batch) => {
                let Some(took) = self.run_taken(batch, 0, &mut items, &mut done) else { return false };
                self.hand_in(&mut self.feed.turn(), 0, &mut done, took);
                true
            }
            Taken::Wait(..) | Taken::Nothing if self.catch_up(0) => true,
            Taken::Wait(wait) => {
                self.feed.wait(wait);
                true
            }
            Taken::Nothing => false,
        }
    }

    /// Runs a batch; answers how long that took, or `None` if its item was given up meanwhile, and another thread took this
    /// one's place.
    fn run_taken(
        &self,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
        done: &mut Done<'s, W>,
    ) -> Option<Duration> {
        let (index, taken) = (batch.start, items.len());
        tell(self.meter, || EventKind::BatchStarted { worker, index, items: taken });
        let start = Instant::now();
        if let Some(watch) = self.watch {
            if !self.run_watched(watch, batch, worker, items, done) {
                return None;
            }
        } else if W::DEFERS {
            self.run_and_put_off(batch, worker, items, done);
        } else {
            self.run_batch(batch, worker, items, done);
        }
        let took = start.elapsed();
        done.failures.iter().for_each(|failure| self.tell_failed(failure));
        tell(self.meter, || EventKind::BatchEnded { worker, index, items: done.items(), took });
        Some(took)
    }

    fn hand_in(&self, turn: &mut Turn<'_, 's, W, I>, worker: usize, done: &mut Done<'s, W>, took: Duration) {
        let items = done.items();
        turn.batch_finished(worker, items, took);
        let tally = turn.tally();
        if done.times.is_empty() && items > 0 {
            tally.times.add(took / u32::try_from(items).unwrap_or(u32::MAX), items as u64);
        }
        done.times.drain(..).for_each(|took| tally.times.add(took, 1));
        done.slowest.drain().for_each(|(took, slow)| tally.slow(took, slow));
        if let Some(left) = done.left.take() {
            turn.give_back(left);
        }
        turn.hand_in(done.written.drain(..));
        turn.put_off(done.put_off.drain(..));
        done.failures.drain(..).for_each(|failure| turn.fail(failure));
    }

    /// Runs one of those that were put off, waiting for who has it: mostly it can then be loaded. `false` if there is none.
    fn catch_up(&self, worker: usize) -> bool {
        if !W::DEFERS {
            return false;
        }
        let next = self.feed.turn().next_put_off();
        let Some(PutOff { index, attempts, item, mut out, since }) = next else { return false };
        tell(self.meter, || EventKind::BatchStarted { worker, index, items: 1 });
        let start = Instant::now();
        let ran = self.run_one(Place { index, worker, attempts }, item, &mut out, self.patience, None);
        let took = start.elapsed();
        if let Ran::Failed(failure) = &ran {
            self.tell_failed(failure);
        }
        let items = usize::from(!matches!(ran, Ran::Busy(_)));
        tell(self.meter, || EventKind::BatchEnded { worker, index, items, took });
        let mut turn = self.feed.turn();
        match ran {
            Ran::Done => {
                self.count(worker, 1);
                turn.hand_in([out]);
            }
            Ran::Busy(_) if self.is_hopeless(since) => {
                let limit = since.elapsed();
                drop(turn);
                let failure = watch::timed_out(index, self.work.task(), None, worker, attempts + 1, limit);
                self.tell_failed(&failure);
                if let Some(recorder) = self.feed.recorder() {
                    recorder.failed(&failure);
                }
                self.feed.turn().fail(failure);
                return true;
            }
            Ran::Busy(item) => {
                turn.put_off([PutOff { index, attempts, item, out, since }]);
                return true;
            }
            Ran::NotRun => return true,
            Ran::Failed(failure) => turn.fail(failure),
        }
        turn.caught_up(worker, 1, took);
        true
    }

    /// Whether an item that is under way elsewhere since then may be so in a thread that was left behind, and is waited for
    /// longer than it may take.
    fn is_hopeless(&self, since: Instant) -> bool {
        self.watch.is_some_and(Watch::has_left_behind)
            && self.feed.task_limit().is_some_and(|limit| since.elapsed() > limit)
    }

    /// An item took so long.
    fn note(&self, clock: &mut Clock<'_>, index: usize, worker: usize, took: Duration, trace: Option<W::Trace>) {
        clock.times.push(took);
        if clock.slowest.has_place_for(took) {
            let arguments = trace.and_then(|trace| self.describe(trace));
            clock.slowest.add(took, Slow { index, worker, arguments });
        }
    }

    /// The text of an item's arguments. It runs the user's `Serialize`, which may panic: no text then.
    fn describe(&self, trace: W::Trace) -> Option<String> {
        panics::catch(|| self.work.describe(trace)).ok().flatten()
    }

    fn count(&self, worker: usize, items: usize) {
        if let Some(meter) = self.meter {
            meter.add(worker, items as u64);
        }
    }

    /// Tells who watches of an item that failed for good.
    fn tell_failed(&self, failure: &Failure) {
        if self.feed.goes_on() {
            // It is over, as the others are: a run that goes on comes to the end of its bar.
            self.count(failure.worker, 1);
        }
        tell(self.meter, || EventKind::failed(failure));
    }

    /// Describes an item that failed for good; `before` is how often it was run earlier.
    fn failure(&self, index: usize, before: u32, trace: Option<W::Trace>, worker: usize, cause: Cause) -> Failure {
        let (attempts, known) = trace.as_ref().map_or((1, None), |trace| self.work.attempts(trace));
        let arguments = trace.and_then(|trace| self.describe(trace));
        let (cause, attempts) = (known.unwrap_or(cause), before.saturating_add(attempts));
        Failure { index, task: self.work.task(), arguments, worker, attempts, took: None, cause }
    }
}

impl<W: Work, I: Iterator<Item = W::Item> + Send> Watched for Run<'_, '_, W, I> {
    fn task_limit(&self) -> Option<Duration> {
        self.feed.task_limit()
    }

    fn task(&self) -> Option<&'static str> {
        self.work.task()
    }

    fn give_up(&self, failure: Failure) {
        self.tell_failed(&failure);
        if let Some(recorder) = self.feed.recorder() {
            recorder.failed(&failure);
        }
        self.feed.turn().fail(failure);
    }

    fn worker(&self, worker: usize) {
        Run::worker(self, worker);
    }

    fn leaves(&self, worker: usize) {
        self.feed.leaves(worker);
    }
}

/// Drops items that are not run. Their panics are nobody's failure: each is caught by itself, as two at once would end the
/// program.
pub(super) fn discard<T>(items: impl Iterator<Item = T>) {
    for item in items {
        let _ = panics::catch(|| drop(item));
    }
}
