//! What the workers of one run share: the input they take from, and where they hand in what came of it.
//!
//! Workers pull: whoever is free takes the next items, so nobody waits for a slow neighbour. The input iterator is read
//! under a lock, a batch at a time, and never ahead of the workers. One [`Turn`] at the lock does all a worker has to
//! do between two batches.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::batch::Sizer;
use super::cancel::CancelToken;
use super::failure::{Cause, Failure, OnError};
use super::report::RunReport;
use super::schedule::Schedule;
use super::work::Work;
use super::written::Written;
use crate::lock::{lock, whole};
use crate::panics;
use crate::sys::filled::Filled;

/// The state that the workers of one run share.
pub(super) struct Feed<'s, W: Work, I> {
    /// Set when no further item is to be started; looked at between items.
    stop: AtomicBool,
    cancel: Option<CancelToken>,
    on_error: OnError,
    reads_ahead: bool,
    state: Mutex<State<'s, W, I>>,
}

/// How a run is to go, as far as its feed is concerned.
pub(super) struct Rules {
    pub(super) sizer: Sizer,
    pub(super) workers: usize,
    /// The length of the input, if it says so.
    pub(super) total: Option<usize>,
    pub(super) on_error: OnError,
    pub(super) schedule: Schedule,
    pub(super) cancel: Option<CancelToken>,
}

struct State<'s, W: Work, I> {
    items: I,
    total: Option<usize>,
    /// How many items were read of the input; one that it could not give counts too.
    read: usize,
    ended: bool,
    /// How long the last batch took to be read.
    reading: Duration,
    sizer: Sizer,
    /// The slots of the final list not given out yet.
    slots: &'s mut [MaybeUninit<W::Output>],
    written: Vec<Written<'s, W::Output>>,
    /// Batches that were given back, to be taken before new input.
    again: VecDeque<GivenBack<'s, W>>,
    /// Items that were under way elsewhere, to be taken when there are no others.
    put_off: VecDeque<PutOff<'s, W>>,
    failures: Vec<Failure>,
    report: RunReport,
}

/// Items that a worker took and did not run, or that are to be run once more.
struct GivenBack<'s, W: Work> {
    start: usize,
    items: Vec<W::Item>,
    out: Written<'s, W::Output>,
    attempts: u32,
}

/// An item that is under way elsewhere, and the place of its result.
pub(super) struct PutOff<'s, W: Work> {
    pub(super) index: usize,
    /// How often it was run before.
    pub(super) attempts: u32,
    pub(super) item: W::Item,
    pub(super) out: Written<'s, W::Output>,
}

/// Items to be run, which are beside this, and the place of their results.
pub(super) struct Batch<'s, R> {
    /// The index of its first item.
    pub(super) start: usize,
    /// Between so many items the worker looks whether to stop, and counts; with plain quick ones, after the batch.
    pub(super) stride: usize,
    /// How often its items were run before.
    pub(super) attempts: u32,
    pub(super) out: Written<'s, R>,
}

/// An input that takes longer for a batch is not read by who has something under way.
#[cfg(unix)]
const SLOW: Duration = Duration::from_millis(5);

/// So often a worker looks for the lock, some 10 us in all, before it sleeps.
const SPINS: u32 = 1000;

const fn at_least_one(bytes: usize) -> usize {
    if bytes == 0 { 1 } else { bytes }
}

impl<'s, W: Work, I> Feed<'s, W, I> {
    /// Without `slots` all results lie apart, and there may be gaps between them.
    pub(super) fn new(items: I, rules: Rules, slots: &'s mut [MaybeUninit<W::Output>]) -> Feed<'s, W, I> {
        let Rules { sizer, workers, total, on_error, schedule, cancel } = rules;
        let state = State {
            items,
            total,
            read: 0,
            ended: false,
            reading: Duration::ZERO,
            sizer,
            slots,
            written: Vec::new(),
            again: VecDeque::new(),
            put_off: VecDeque::new(),
            failures: Vec::new(),
            report: RunReport::new(workers),
        };
        let (stop, reads_ahead) = (AtomicBool::new(false), schedule.reads_ahead());
        Feed { stop, cancel, on_error, reads_ahead, state: Mutex::new(state) }
    }

    /// Whether no further item is to be started.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed) || self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    /// Has no further item started.
    #[cfg(unix)]
    pub(super) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether the other items are run when one fails.
    pub(super) fn goes_on(&self) -> bool {
        self.on_error == OnError::Collect
    }

    /// Whether a driver may take a batch while its worker is at another.
    #[cfg(unix)]
    pub(super) fn reads_ahead(&self) -> bool {
        self.reads_ahead
    }

    /// Waits for the lock.
    pub(super) fn turn(&self) -> Turn<'_, 's, W, I> {
        // Mostly the other worker reads a batch of quick items and is done in microseconds: less than it takes to be put
        // to sleep and woken.
        for _ in 0..SPINS {
            match self.state.try_lock() {
                Ok(state) => return Turn { feed: self, state },
                Err(TryLockError::Poisoned(poisoned)) => return Turn { feed: self, state: poisoned.into_inner() },
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        // What may panic under the lock, the user's iterator, is caught.
        Turn { feed: self, state: lock(&self.state) }
    }

    /// The lock, if nobody has it.
    #[cfg(unix)]
    pub(super) fn try_turn(&self) -> Option<Turn<'_, 's, W, I>> {
        match self.state.try_lock() {
            Ok(state) => Some(Turn { feed: self, state }),
            Err(TryLockError::Poisoned(poisoned)) => Some(Turn { feed: self, state: poisoned.into_inner() }),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What came of the run; all workers are done.
    pub(super) fn end(self) -> End<'s, W::Output> {
        let State { total, read, ended, written, mut failures, mut report, .. } = whole(self.state.into_inner());
        failures.sort_by_key(Failure::index);
        let completed: usize = written.iter().map(Written::len).sum();
        // An input that says how long it is need not be asked for one more to be at its end.
        let is_read = ended || (read > 0 && total == Some(read));
        let is_whole = is_read && completed + failures.len() == read;
        report.items = read as u64;
        report.completed = completed as u64;
        report.failed = failures.len() as u64;
        let cancelled = !is_whole && self.cancel.is_some_and(|token| token.is_cancelled());
        let ended = ended && !failures.iter().any(|failure| matches!(failure.cause, Cause::Input(_)));
        End { written, failures, report, read, ended, is_whole, cancelled }
    }
}

/// What came of a run.
pub(super) struct End<'s, R> {
    /// In no order.
    pub(super) written: Vec<Written<'s, R>>,
    /// In the order of the input.
    pub(super) failures: Vec<Failure>,
    /// Lacks what only the caller knows: how long it took, and how often something was retried.
    pub(super) report: RunReport,
    /// So many items were read.
    pub(super) read: usize,
    /// Whether the input said that there are no more.
    pub(super) ended: bool,
    /// Whether each item of the input has a result or a failure.
    pub(super) is_whole: bool,
    /// Whether that is not so because someone cancelled the run.
    pub(super) cancelled: bool,
}

/// A worker's turn at the feed: it holds the lock.
pub(super) struct Turn<'f, 's, W: Work, I> {
    feed: &'f Feed<'s, W, I>,
    state: MutexGuard<'f, State<'s, W, I>>,
}

impl<'s, W: Work, I: Iterator<Item = W::Item>> Turn<'_, 's, W, I> {
    /// Puts the next batch into `items`, which is empty; `None` if there is nothing to take or the run stopped.
    ///
    /// What was given back comes before new input, in the pieces it was given back in. `None` is no promise for later:
    /// another worker may yet give back what it has. So whoever gives something back takes again afterwards.
    pub(super) fn take(&mut self, worker: usize, items: &mut Vec<W::Item>) -> Option<Batch<'s, W::Output>> {
        if self.feed.is_stopped() {
            return None;
        }
        let state = &mut *self.state;
        if let Some(GivenBack { start, items: mut given, out, attempts }) = state.again.pop_front() {
            items.append(&mut given);
            state.report.batches.add(items.len());
            return Some(Batch { start, stride: state.sizer.stride(), attempts, out });
        }
        if state.ended {
            return None;
        }
        let State { items: source, sizer, .. } = state;
        let mut size = 0;
        let began = Instant::now();
        let read = panics::catch(|| {
            let item_bytes = const { at_least_one(size_of::<W::Item>()) };
            size = sizer.next(source.size_hint().1, sizer.buffer_bytes() / item_bytes);
            items.extend(source.by_ref().take(size));
        });
        state.reading = began.elapsed();
        // Not every iterator goes on answering `None`; one that panicked is not asked again.
        state.ended = items.len() < size || read.is_err();
        let start = state.read;
        state.read += items.len();
        if let Err(panic) = read {
            let index = state.read;
            state.read += 1;
            let cause = Cause::Input(panic);
            self.fail(Failure { index, task: None, arguments: None, worker, attempts: 0, cause });
            if !self.feed.goes_on() {
                return None;
            }
        }
        if items.is_empty() {
            return None;
        }
        let state = &mut *self.state;
        state.report.batches.add(items.len());
        let out = match state.slots.split_off_mut(..items.len()) {
            Some(slots) => Written::Placed(Filled::new(slots)),
            None => {
                // From here on all is apart, or the order of strips would have a gap.
                state.slots = &mut [];
                Written::Apart { start, values: Vec::with_capacity(items.len()) }
            }
        };
        Some(Batch { start, stride: state.sizer.stride(), attempts: 0, out })
    }

    /// Gives items back, to be taken before new input: a batch, or a part of one, from the item at `start` on. `out` is
    /// what [`Written::part`] left of the batch's, with nothing written and room for just these items; `attempts` is how
    /// often they were run.
    #[cfg(unix)]
    pub(super) fn give_back(&mut self, start: usize, items: Vec<W::Item>, out: Written<'s, W::Output>, attempts: u32) {
        debug_assert_eq!(out.len(), 0, "a result is handed in, not given back");
        if !items.is_empty() {
            self.state.again.push_back(GivenBack { start, items, out, attempts });
        }
    }

    /// Hands in results, in any order.
    pub(super) fn hand_in(&mut self, written: impl IntoIterator<Item = Written<'s, W::Output>>) {
        self.state.written.extend(written);
    }

    /// Reports an item that failed for good; the run stops or goes on, as was asked.
    pub(super) fn fail(&mut self, failure: Failure) {
        if !self.feed.goes_on() {
            self.feed.stop.store(true, Relaxed);
        }
        self.state.failures.push(failure);
    }

    /// Tells of a batch, or what was run of it: it decides the sizes of those to come, and is counted.
    pub(super) fn batch_finished(&mut self, worker: usize, items: usize, took: Duration) {
        self.state.sizer.finished(items, took);
        self.state.report.worked(worker, items, took);
    }

    /// Keeps an item for later that is under way elsewhere.
    pub(super) fn put_off(&mut self, items: impl IntoIterator<Item = PutOff<'s, W>>) {
        self.state.put_off.extend(items);
    }

    /// The next item to be waited for, when there are no others.
    pub(super) fn next_put_off(&mut self) -> Option<PutOff<'s, W>> {
        if self.feed.is_stopped() { None } else { self.state.put_off.pop_front() }
    }

    /// Items are done that were put off or known, after so long, which says nothing of the items to come.
    pub(super) fn caught_up(&mut self, worker: usize, items: usize, took: Duration) {
        self.state.report.worked(worker, items, took);
    }

    /// Whether the input took long to give what was read last: who has other things to look after leaves it to others.
    #[cfg(unix)]
    pub(super) fn reads_slowly(&self) -> bool {
        self.state.again.is_empty() && self.state.reading > SLOW
    }

    /// Whether all that was read and is to be read was given out for good.
    #[cfg(unix)]
    pub(super) fn is_done(&self) -> bool {
        let State { total, read, ended, again, put_off, .. } = &*self.state;
        (*ended || *total == Some(*read)) && again.is_empty() && put_off.is_empty()
    }

    /// The counts of the run, to be added to.
    #[cfg(unix)]
    pub(super) fn report(&mut self) -> &mut RunReport {
        &mut self.state.report
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Aim;
    use super::super::work::Closure;
    use super::*;
    use std::num::NonZeroUsize;

    fn rules(batch: usize, total: Option<usize>, on_error: OnError) -> Rules {
        let sizer = Sizer::new(NonZeroUsize::new(batch), 2, Aim::PROCESSES);
        Rules { sizer, workers: 2, total, on_error, schedule: Schedule::TopPicking, cancel: None }
    }

    type Same = Closure<u32, fn(u32) -> u32>;

    /// Work that is never done: the tests are the workers.
    fn work() -> Option<Same> {
        None
    }

    fn feed<'s, W: Work, I>(
        _: Option<W>,
        items: I,
        rules: Rules,
        slots: &'s mut [MaybeUninit<W::Output>],
    ) -> Feed<'s, W, I> {
        Feed::new(items, rules, slots)
    }

    fn failure(index: usize, attempts: u32) -> Failure {
        let cause = Cause::Input(panics::catch(|| panic!("(this panic belongs to the test)")).unwrap_err());
        Failure { index, task: None, arguments: None, worker: 0, attempts, cause }
    }

    #[test]
    fn what_is_given_back_is_taken_again_before_new_input() {
        let feed = feed(work(), 0..10_u32, rules(4, Some(10), OnError::Collect), &mut []);
        assert!(!feed.reads_ahead());
        let (mut items, mut turn) = (Vec::new(), feed.turn());
        let Batch { start, attempts, mut out, .. } = turn.take(0, &mut items).unwrap();
        assert_eq!((start, attempts, &items[..]), (0, 0, &[0, 1, 2, 3][..]));
        // A driver got one result, then its worker died at the second item; the others were not begun.
        out.extend([0].into_iter());
        let (before, guilty, rest) = out.part(1);
        turn.hand_in([before]);
        let mut given = items.split_off(1);
        turn.give_back(2, given.split_off(1), rest, 0);
        turn.give_back(1, given, guilty, 1);
        turn.batch_finished(0, 1, Duration::from_millis(1));
        turn.report().deaths += 1;

        items.clear();
        let Batch { start, attempts, mut out, .. } = turn.take(1, &mut items).unwrap();
        assert_eq!((start, attempts, &items[..]), (2, 0, &[2, 3][..]));
        out.extend(items.drain(..));
        turn.hand_in([out]);
        turn.batch_finished(1, 2, Duration::from_millis(1));
        let Batch { start, attempts, .. } = turn.take(0, &mut items).unwrap();
        assert_eq!((start, attempts, items.drain(..).as_slice()), (1, 1, &[1][..]));
        turn.fail(failure(1, attempts + 1));
        for expected in [vec![4, 5, 6, 7], vec![8, 9]] {
            let Batch { start, mut out, .. } = turn.take(0, &mut items).unwrap();
            assert_eq!((start, &items), (expected[0] as usize, &expected));
            out.extend(items.drain(..));
            turn.hand_in([out]);
        }
        assert!(turn.take(0, &mut items).is_none());
        drop(turn);
        let end = feed.end();
        assert!(end.is_whole && !end.cancelled);
        assert_eq!((end.report.items, end.report.completed, end.report.failed, end.report.deaths), (10, 9, 1, 1));
        assert_eq!((end.report.batches.count, end.report.batches.smallest, end.report.batches.largest), (5, 1, 4));
        assert_eq!(end.report.workers.iter().map(|worker| worker.items).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn given_back_places_of_the_list_are_filled_later() {
        let mut list = Vec::with_capacity(6);
        let filled = crate::sys::filled::fill(&mut list, 6, |slots| {
            let feed = feed(work(), 0..6_u32, rules(3, Some(6), OnError::FailFast), slots);
            let (mut items, mut turn) = (Vec::new(), feed.turn());
            let Batch { start, mut out, .. } = turn.take(0, &mut items).unwrap();
            out.extend([items.remove(0)].into_iter());
            // The place behind what is written and those behind that are one strip each: given back item by item.
            let (before, second, rest) = out.part(start + 1);
            let (nothing, third, none) = rest.part(start + 2);
            turn.hand_in([before, nothing, none]);
            turn.give_back(2, vec![items.pop().unwrap()], third, 1);
            turn.give_back(1, vec![items.pop().unwrap()], second, 1);
            while let Some(Batch { mut out, .. }) = turn.take(1, &mut items) {
                out.extend(items.drain(..));
                turn.hand_in([out]);
            }
            drop(turn);
            let mut strips: Vec<_> = feed
                .end()
                .written
                .into_iter()
                .filter_map(|written| match written {
                    Written::Placed(strip) if !strip.is_nothing() => Some(strip),
                    _ => None,
                })
                .collect();
            strips.sort_by_key(Filled::place);
            strips
        });
        assert!(filled);
        assert_eq!(list, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_failure_stops_a_run_that_fails_fast_and_no_other() {
        for (on_error, stops) in [(OnError::FailFast, true), (OnError::Collect, false)] {
            let feed = feed(work(), 0.., rules(1, None, on_error), &mut []);
            let mut items = Vec::new();
            assert!(feed.turn().take(0, &mut items).is_some());
            feed.turn().fail(failure(0, 1));
            items.clear();
            assert_eq!((feed.is_stopped(), feed.turn().take(0, &mut items).is_none()), (stops, stops));
            assert!(!feed.end().is_whole);
        }
    }

    #[test]
    fn a_cancelled_feed_gives_nothing_and_is_cancelled_unless_all_is_done() {
        for (total, done) in [(1, true), (2, false)] {
            let token = CancelToken::new();
            let rules = Rules { cancel: Some(token.clone()), ..rules(1, Some(total), OnError::FailFast) };
            let feed = feed(work(), 0..u32::try_from(total).unwrap(), rules, &mut []);
            let mut items = Vec::new();
            let Batch { mut out, .. } = feed.turn().take(0, &mut items).unwrap();
            token.cancel();
            out.extend(items.drain(..));
            feed.turn().hand_in([out]);
            assert!(feed.turn().take(0, &mut items).is_none());
            let end = feed.end();
            assert_eq!((end.is_whole, end.cancelled), (done, !done));
        }
    }
}
