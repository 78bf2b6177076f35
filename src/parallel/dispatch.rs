//! What a worker in this process does: takes the next batch, runs it, hands in the results, until there is no more.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::failure::{Cause, Failure};
use super::feed::{Batch, Feed, PutOff, Taken, Turn};
use super::progress::{EventKind, Meter, Observed, tell};
use super::tally::Slow;
use super::times::Slowest;
use super::watch::{self, Between, Watch, Watched};
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
    left: Option<(usize, u32, Vec<W::Item>, Written<'s, W::Output>)>,
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
        let (written, places) = out.split_now(start);
        self.left = Some((start + written.len(), attempts, items, places));
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

    /// As [`run_and_put_off`](Run::run_and_put_off), with a limit on the time of each; `false` if this worker was left
    /// behind.
    fn run_watched(
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
            let mut clock = Clock { times: &mut done.times, slowest: &mut done.slowest };
            let ran = self.run_one(index, attempts, item, &mut place, worker, Waiting::Not, Some(&mut clock));
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
                    done.failures.push(watch::timed_out(index, task, arguments, worker, attempts + 1, limit));
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

    fn hand_in(&self, turn: &mut Turn<'_, 's, W, I>, worker: usize, done: &mut Done<'s, W>, took: Duration) {
        let items = done.items();
        turn.batch_finished(worker, items, took);
        let tally = turn.tally();
        if done.times.is_empty() && items > 0 {
            tally.times.add(took / u32::try_from(items).unwrap_or(u32::MAX), items as u64);
        }
        done.times.drain(..).for_each(|took| tally.times.add(took, 1));
        done.slowest.drain().for_each(|(took, slow)| tally.slow(took, slow));
        if let Some((start, attempts, items, out)) = done.left.take() {
            turn.give_back(start, items, out, attempts);
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
        let ran = self.run_one(index, attempts, item, &mut out, worker, self.patience, None);
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

    /// As [`run_batch`](Run::run_batch), item by item; what is under way elsewhere is put off.
    fn run_and_put_off(
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
            let ran = self.run_one(index, attempts, item, &mut out, worker, Waiting::Not, clock.as_mut());
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
    fn run_one(
        &self,
        index: usize,
        attempts: u32,
        item: W::Item,
        out: &mut Written<'s, W::Output>,
        worker: usize,
        waiting: Waiting,
        clock: Option<&mut Clock<'_>>,
    ) -> Ran<W::Item> {
        let mut trace = None;
        let start = clock.as_ref().map(|_| Instant::now());
        let observed = Observed::begin(self.meter, worker, index);
        let ran = panics::catch(|| {
            let trace = trace.insert(self.work.trace(&item));
            let between = Between { stop: self.feed.stopping(), watch: self.watch.map(|watch| (watch, worker, index)) };
            self.work.attempt(item, trace, waiting, &between)
        });
        if let Some(observed) = observed {
            observed.end(matches!(ran, Ok(Ok(Ok(_)))));
        }
        let cause = match ran {
            Ok(Err(item)) => return Ran::Busy(item),
            Ok(Ok(Ok(value))) => {
                out.extend(std::iter::once(value));
                if let (Some(clock), Some(start)) = (clock, start) {
                    self.note(clock, index, worker, start.elapsed(), trace);
                }
                return Ran::Done;
            }
            Ok(Ok(Err(error))) => Cause::Erred(error),
            Err(_) if trace.as_ref().is_some_and(|trace| self.work.was_broken_off(trace)) => return Ran::NotRun,
            Err(panic) => Cause::Panicked(panic),
        };
        Ran::Failed(self.failure(index, attempts, trace, worker, cause))
    }

    /// Runs a batch, to its end or to the first item that fails, as was asked.
    fn run_batch(&self, batch: Batch<'s, W::Output>, worker: usize, items: &mut Vec<W::Item>, done: &mut Done<'s, W>) {
        let Batch { mut start, mut stride, is_timed, attempts, mut out } = batch;
        if self.meter.is_some_and(Meter::wants_tasks) {
            // Each is told of by itself.
            stride = 1;
        }
        // The simple loop loses its items when one of them panics, so it is for runs which that ends.
        if stride > 1
            && !self.feed.goes_on()
            && let Some(function) = self.work.plain()
        {
            let mut rest = std::mem::take(items).into_iter();
            let mut begun = Instant::now();
            while rest.len() > 0 && !self.feed.is_stopped() {
                let before = out.len();
                let caught = panics::catch(|| out.extend(rest.by_ref().take(stride).map(&function)));
                self.count(worker, out.len() - before);
                if let Err(panic) = caught {
                    let index = start + out.len();
                    done.failures.push(self.failure(index, attempts, None, worker, Cause::Panicked(panic)));
                    break;
                }
                let now = Instant::now();
                if now.duration_since(begun) > SLOW_STRIDE {
                    break;
                }
                begun = now;
            }
            if rest.len() == 0 || !done.failures.is_empty() || self.feed.is_stopped() {
                done.written.push(out);
                return discard(rest);
            }
            return done.leave(start, attempts, out, rest.collect());
        }
        let mut rest = items.drain(..);
        let mut begun = Instant::now();
        let mut is_slow = false;
        loop {
            let mut trace = None;
            let mut counted = 0;
            let Done { times, slowest, .. } = done;
            let mut clock = (is_timed && stride == 1).then_some(Clock { times, slowest });
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
                    if let Some(clock) = &mut clock {
                        let now = Instant::now();
                        self.note(clock, start + counted - 1, worker, now.duration_since(begun), trace.take());
                        begun = now;
                    } else if stride > 1 {
                        let now = Instant::now();
                        if now.duration_since(begun) > SLOW_STRIDE {
                            is_slow = true;
                            return None;
                        }
                        begun = now;
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
            begun = Instant::now();
        }
        if is_slow && rest.len() > 0 {
            return done.leave(start, attempts, out, rest.collect());
        }
        done.written.push(out);
        discard(rest);
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
        Failure { index, task: self.work.task(), arguments, worker, attempts, cause }
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

/// So many quick items take less; if not, they are looked at one by one.
const SLOW_STRIDE: Duration = Duration::from_millis(1);
