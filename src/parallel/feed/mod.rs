//! What the workers of one run share: the input they take from, and where they hand in what came of it.
//!
//! Workers pull: whoever is free takes the next items, so nobody waits for a slow neighbour. The input iterator is read
//! under a lock, a batch at a time, and no further ahead than the [window](super::window). One [`Turn`] at the lock does all
//! a worker has to do between two batches. Results lie in a list until the run ends, or on the [shelf](super::shelf) of a stream.

mod source;
#[cfg(test)]
mod test;
mod turn;

use std::collections::{BTreeMap, VecDeque};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use source::Source;
pub(super) use turn::{Taken, Turn};
use turn::{Wait, Why};

use super::batch::Sizer;
use super::failure::{Cause, Failure, OnError};
use super::halt::HaltAt;
use super::record::Recorder;
use super::schedule::Schedule;
use super::shelf::Shelf;
use super::stop::{Stop, Stopped};
use super::tally::Tally;
use super::timeout::Timeout;
use super::times::Times;
use super::window::{Gate, Most};
use super::work::Work;
use super::written::Written;
use crate::lock::{lock, try_lock, whole};
use crate::panics;

/// The state that the workers of one run share.
pub(super) struct Feed<'s, W: Work, I: Iterator> {
    stop: Stop,
    on_error: OnError,
    halt: HaltAt,
    reads_ahead: bool,
    gate: Gate,
    timeout: Option<Timeout>,
    /// What one item may take by now, in nanoseconds.
    task_limit: AtomicU64,
    /// Where results go in a stream.
    shelf: Option<Shelf<W::Output>>,
    recorder: Option<Arc<dyn Recorder>>,
    source: Mutex<Source<I>>,
    state: Mutex<State<'s, W>>,
}

/// How a run is to go, as far as its feed is concerned.
pub(super) struct Rules {
    pub(super) sizer: Sizer,
    pub(super) workers: usize,
    /// The length of the input, if it says so.
    pub(super) total: Option<usize>,
    pub(super) on_error: OnError,
    pub(super) halt: HaltAt,
    pub(super) schedule: Schedule,
    /// How far may be read ahead.
    pub(super) most: Most,
    /// The whole input is read before anything is run.
    pub(super) reads_all: bool,
    pub(super) timeout: Option<Timeout>,
    pub(super) stop: Stop,
    pub(super) recorder: Option<Arc<dyn Recorder>>,
}

struct State<'s, W: Work> {
    total: Option<usize>,
    /// How many items were given out.
    read: usize,
    /// How many items the input could not give.
    refused: usize,
    /// The input has no more.
    ended: bool,
    /// A worker is within the input.
    is_reading: bool,
    /// How many workers have nothing left to do.
    gone: usize,
    /// How long the last batch took to be read.
    reading: Duration,
    sizer: Sizer,
    /// The slots of the final list not given out yet.
    slots: &'s mut [MaybeUninit<W::Output>],
    written: Vec<Written<'s, W::Output>>,
    completed: u64,
    failed: u64,
    /// Batches that were given back, to be taken before new input.
    again: VecDeque<GivenBack<'s, W>>,
    /// Items that are to be run again, though not before a time.
    later: BTreeMap<(Instant, usize), GivenBack<'s, W>>,
    /// Items that were under way elsewhere, to be taken when there are no others.
    put_off: VecDeque<PutOff<'s, W>>,
    failures: Vec<Failure>,
    tally: Tally,
}

/// Items that a worker took and did not run, or that are to be run once more: a batch, or a part of one.
pub(super) struct GivenBack<'s, W: Work> {
    /// The index of the first.
    pub(super) start: usize,
    pub(super) items: Vec<W::Item>,
    /// What [`Written::part`] left of the batch's, with nothing written and room for just these items.
    pub(super) out: Written<'s, W::Output>,
    /// How often they were run.
    pub(super) attempts: u32,
}

/// An item that is under way elsewhere, and the place of its result.
pub(super) struct PutOff<'s, W: Work> {
    pub(super) index: usize,
    /// How often it was run before.
    pub(super) attempts: u32,
    pub(super) item: W::Item,
    pub(super) out: Written<'s, W::Output>,
    /// Since when it is waited for.
    pub(super) since: Instant,
}

/// Items to be run, which are beside this, and the place of their results.
pub(super) struct Batch<'s, R> {
    /// The index of its first item.
    pub(super) start: usize,
    /// Between so many items the worker looks whether to stop, and counts; with plain quick ones, after the batch.
    pub(super) stride: usize,
    /// Each item is worth a look at the clock.
    pub(super) is_timed: bool,
    /// How often its items were run before.
    pub(super) attempts: u32,
    pub(super) out: Written<'s, R>,
}

/// An input that takes longer for a batch is not read by who has something under way.
#[cfg(unix)]
const SLOW: Duration = Duration::from_millis(5);

/// So often a worker looks for the lock, some 10 us in all, before it sleeps.
const SPINS: u32 = 1000;

impl<'s, W: Work, I: Iterator<Item = W::Item>> Feed<'s, W, I> {
    /// Without `slots` all results lie apart, and there may be gaps between them; with a shelf there are no slots.
    pub(super) fn new(
        items: I,
        rules: Rules,
        slots: &'s mut [MaybeUninit<W::Output>],
        shelf: Option<Shelf<W::Output>>,
    ) -> Feed<'s, W, I> {
        let Rules { sizer, workers, total, on_error, halt, schedule, most, reads_all, timeout, stop, recorder } = rules;
        let state = State {
            total,
            read: 0,
            refused: 0,
            ended: false,
            is_reading: false,
            gone: 0,
            reading: Duration::ZERO,
            sizer,
            slots,
            written: Vec::new(),
            completed: 0,
            failed: 0,
            again: VecDeque::new(),
            later: BTreeMap::new(),
            put_off: VecDeque::new(),
            failures: Vec::new(),
            tally: Tally::new(workers),
        };
        let gate = Gate::new(most, workers);
        let feed = Feed {
            stop,
            on_error,
            halt,
            reads_ahead: schedule.reads_ahead(),
            gate,
            timeout,
            task_limit: AtomicU64::new(u64::MAX),
            shelf,
            recorder,
            source: Mutex::new(Source::new(items, reads_all)),
            state: Mutex::new(state),
        };
        feed.limit_by(&Times::default());
        feed
    }

    /// Whether no further item is to be started.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Who writes down what comes of items.
    pub(super) fn recorder(&self) -> Option<&dyn Recorder> {
        self.recorder.as_deref()
    }

    pub(super) fn stopping(&self) -> &Stop {
        &self.stop
    }

    /// Has no further item started.
    pub(super) fn stop(&self, now: bool, reason: Stopped) {
        self.stop.stop(now, reason);
        self.gate.call();
    }

    /// Whether something beside a failure may end the run before its input.
    pub(super) fn can_be_stopped(&self) -> bool {
        self.shelf.is_some() || self.stop.longest_wait().is_some() || self.halt != HaltAt::NEVER
    }

    /// Whether the other items are run when one fails.
    pub(super) fn goes_on(&self) -> bool {
        self.on_error.goes_on()
    }

    /// Whether a driver may take a batch while its worker is at another.
    #[cfg(unix)]
    pub(super) fn reads_ahead(&self) -> bool {
        self.reads_ahead
    }

    /// Where the results of a stream lie.
    pub(super) fn shelf(&self) -> Option<&Shelf<W::Output>> {
        self.shelf.as_ref()
    }

    /// What one item may take, if that is limited.
    pub(super) fn task_limit(&self) -> Option<Duration> {
        Some(self.task_limit.load(Relaxed)).filter(|nanos| *nanos != u64::MAX).map(Duration::from_nanos)
    }

    /// Items took so long so far.
    fn limit_by(&self, times: &Times) {
        if let Some(limit) = self.timeout.and_then(|timeout| timeout.at(times)) {
            self.task_limit.store(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Waits until there may be something to take.
    pub(super) fn wait(&self, wait: Wait) {
        let Wait { seen, until, why } = wait;
        // Mostly the other worker reads a batch of quick items and is done in microseconds: less than it takes to be put
        // to sleep and woken.
        if why == Why::Reader {
            for _ in 0..SPINS {
                if self.try_source().is_some() {
                    return;
                }
                std::hint::spin_loop();
            }
        }
        let due = until.map(|until| until.saturating_duration_since(Instant::now()));
        let most = [due, self.stop.longest_wait()].into_iter().flatten().min();
        let waited = self.gate.wait(seen, most);
        let mut turn = self.turn();
        let tally = turn.tally();
        match why {
            Why::Reader => tally.waited_for_reader += waited,
            Why::Room => tally.waited_for_room += waited,
            Why::Later => tally.waited_for_time += waited,
        }
    }

    /// The input, if nobody reads it.
    fn try_source(&self) -> Option<MutexGuard<'_, Source<I>>> {
        try_lock(&self.source)
    }

    /// A worker has nothing left to do.
    pub(super) fn leaves(&self, worker: usize) {
        let mut state = lock(&self.state);
        state.tally.leaves(worker);
        state.gone = state.gone.saturating_add(1);
        drop(state);
        self.gate.call();
    }

    /// Nobody works any more, whoever did.
    pub(super) fn dismiss(&self) {
        lock(&self.state).gone = usize::MAX;
        self.gate.call();
    }

    /// Waits until all workers are gone, or all but one that is within the input, which nobody can call back; answers
    /// whether all are. No more is to be taken.
    pub(super) fn await_workers(&self, workers: usize) -> bool {
        loop {
            let seen = self.gate.seen();
            let state = lock(&self.state);
            if state.gone >= workers {
                return true;
            }
            if state.is_reading && state.gone.saturating_add(1) >= workers {
                return false;
            }
            drop(state);
            self.gate.wait(seen, None);
        }
    }

    /// Waits for the lock.
    pub(super) fn turn(&self) -> Turn<'_, 's, W, I> {
        // Nobody holds it for longer than it takes to be put to sleep and woken.
        for _ in 0..SPINS {
            if let Some(turn) = self.try_turn() {
                return turn;
            }
            std::hint::spin_loop();
        }
        Turn::new(self, lock(&self.state))
    }

    /// The lock, if nobody has it.
    pub(super) fn try_turn(&self) -> Option<Turn<'_, 's, W, I>> {
        try_lock(&self.state).map(|state| Turn::new(self, state))
    }

    /// What came of the run; all workers are done.
    pub(super) fn end(self) -> End<'s, W::Output> {
        // The end of the input is the user's code too, and what it panics with is nobody's failure.
        let _ = panics::catch(|| drop(self.source));
        let stop = self.stop;
        let mut state = whole(self.state.into_inner());
        state.end(&stop)
    }

    /// As [`end`](Feed::end), where others still have the feed.
    pub(super) fn end_of_stream(&self) -> End<'s, W::Output> {
        lock(&self.state).end(&self.stop)
    }
}

impl<'s, W: Work> State<'s, W> {
    fn end(&mut self, stop: &Stop) -> End<'s, W::Output> {
        let mut failures = std::mem::take(&mut self.failures);
        failures.sort_by_key(Failure::index);
        let read = self.read + self.refused;
        // An input that says how long it is need not be asked for one more to be at its end.
        let is_read = self.ended || (self.read > 0 && self.total == Some(self.read));
        let is_whole = is_read && self.completed + self.failed == read as u64;
        let mut tally = std::mem::take(&mut self.tally);
        tally.report.items = read as u64;
        tally.report.completed = self.completed;
        tally.report.failed = self.failed;
        let stopped = if is_whole { None } else { stop.reason() };
        let ended = self.ended && !failures.iter().any(|failure| matches!(failure.cause, Cause::Input(_)));
        End { written: std::mem::take(&mut self.written), failures, tally, read, ended, is_whole, stopped }
    }
}

/// What came of a run.
pub(super) struct End<'s, R> {
    /// In no order.
    pub(super) written: Vec<Written<'s, R>>,
    /// In the order of the input.
    pub(super) failures: Vec<Failure>,
    /// Lacks what only the caller knows: how often something was retried.
    pub(super) tally: Tally,
    /// So many items were read.
    pub(super) read: usize,
    /// Whether the input said that there are no more.
    pub(super) ended: bool,
    /// Whether each item of the input has a result or a failure.
    pub(super) is_whole: bool,
    /// Why that is not so.
    pub(super) stopped: Option<Stopped>,
}

/// A worker's guard of the state.
type Held<'f, 's, W> = MutexGuard<'f, State<'s, W>>;
