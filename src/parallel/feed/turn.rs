//! A worker's turn at the feed.

use std::time::{Duration, Instant};

#[cfg(unix)]
use super::SLOW;
use super::{Batch, Feed, GivenBack, Held, PutOff};
use crate::parallel::failure::{Cause, Failure};
use crate::parallel::shelf::Piece;
use crate::parallel::stop::Stopped;
use crate::parallel::tally::Tally;
use crate::parallel::window::Seen;
use crate::parallel::work::Work;
use crate::parallel::written::Written;
use crate::sys::filled::Filled;

/// What there was to be taken.
pub(in crate::parallel) enum Taken<'s, R> {
    Batch(Batch<'s, R>),
    /// Nothing just now.
    Wait(Wait),
    /// Nothing, and no more input. Another worker may yet give back what it has: so whoever gives something back takes
    /// again afterwards.
    Nothing,
}

/// What a worker waits for: a change since what was seen, or a time.
#[derive(Debug)]
pub(in crate::parallel) struct Wait {
    pub(super) seen: Seen,
    pub(super) until: Option<Instant>,
    pub(super) why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Another worker reads the input.
    Reader,
    /// Too much is ahead of whoever takes the results.
    Room,
    /// Something is to be run again, though not yet.
    Later,
}

/// A worker's turn at the feed: it holds the lock.
pub(in crate::parallel) struct Turn<'f, 's, W: Work, I: Iterator> {
    feed: &'f Feed<'s, W, I>,
    state: Held<'f, 's, W>,
}

const fn at_least_one(bytes: usize) -> usize {
    if bytes == 0 { 1 } else { bytes }
}

impl<'f, 's, W: Work, I: Iterator> Turn<'f, 's, W, I> {
    pub(super) fn new(feed: &'f Feed<'s, W, I>, state: Held<'f, 's, W>) -> Self {
        Turn { feed, state }
    }

    /// The counts of the run, to be added to.
    pub(in crate::parallel) fn tally(&mut self) -> &mut Tally {
        &mut self.state.tally
    }
}

impl<'s, W: Work, I: Iterator<Item = W::Item>> Turn<'_, 's, W, I> {
    /// Puts the next batch into `items`, which is empty. Others have their turn while the input is read.
    ///
    /// What was given back comes before new input, in the pieces it was given back in.
    pub(in crate::parallel) fn take(mut self, worker: usize, items: &mut Vec<W::Item>) -> Taken<'s, W::Output> {
        let feed = self.feed;
        // Before anything is looked at: what changes afterwards is no surprise to who waits.
        let seen = feed.gate.seen();
        if feed.is_stopped() {
            return Taken::Nothing;
        }
        self.wake_later();
        let state = &mut *self.state;
        if let Some(GivenBack { start, items: mut given, mut out, attempts }) = state.again.pop_front() {
            let size = state.sizer.next(None, usize::MAX);
            if given.len() > size {
                let (first, behind) = out.split_at(size, start + size);
                let (start, given) = (start + size, given.split_off(size));
                state.again.push_front(GivenBack { start, items: given, out: behind, attempts });
                out = first;
            }
            items.append(&mut given);
            state.tally.report.batches.add(items.len());
            return Taken::Batch(Batch { start, stride: state.sizer.stride(), is_timed: true, attempts, out });
        }
        let until = state.later.first_key_value().map(|((due, _), _)| *due);
        if state.ended {
            return until.map_or(Taken::Nothing, |due| Taken::Wait(Wait { seen, until: Some(due), why: Why::Later }));
        }
        // Never waited for with the lock of the state, since who has this one wants that one.
        let Some(mut source) = feed.try_source() else {
            return Taken::Wait(Wait { seen, until, why: Why::Reader });
        };
        let item_bytes = const { at_least_one(size_of::<W::Item>()) };
        let size = state.sizer.next(source.left(), state.sizer.buffer_bytes() / item_bytes);
        // Only who has the input reads: so there is as much room afterwards.
        let Some(size) = feed.gate.room(state.read, size) else {
            return Taken::Wait(Wait { seen, until, why: Why::Room });
        };
        state.is_reading = true;
        drop(self);
        let began = Instant::now();
        let refusal = source.read(size, items).err();
        let took = began.elapsed();
        let mut turn = feed.turn();
        let state = &mut *turn.state;
        state.is_reading = false;
        state.reading = took;
        state.tally.reading += took;
        let start = state.read;
        state.read += items.len();
        state.ended = source.is_empty();
        let stocked = source.stocked();
        drop(source);
        // Who waited for the input can have it, or learns that there is no more.
        feed.gate.call();
        let batch = (!items.is_empty()).then(|| {
            state.tally.report.batches.add(items.len());
            let out = match state.slots.split_off_mut(..items.len()) {
                Some(slots) => Written::Placed(Filled::new(slots)),
                None => {
                    // From here on all is apart, or the order of strips would have a gap.
                    state.slots = &mut [];
                    Written::Apart { start, values: Vec::with_capacity(items.len()) }
                }
            };
            let (stride, is_timed) = (state.sizer.stride(), state.sizer.is_worth_timing());
            Batch { start, stride, is_timed, attempts: 0, out }
        });
        if let Some(panic) = refusal {
            state.refused += 1;
            let (index, cause) = (state.read + stocked, Cause::Input(panic));
            turn.fail(Failure { index, task: None, arguments: None, worker, attempts: 0, took: None, cause });
            if !feed.goes_on() {
                return Taken::Nothing;
            }
        }
        match batch {
            Some(batch) => Taken::Batch(batch),
            // What is given back meanwhile, or is to be run later, is found on the next look.
            None => Taken::Wait(Wait { seen, until: None, why: Why::Reader }),
        }
    }

    /// What was to be run later and is due is given back.
    fn wake_later(&mut self) {
        let state = &mut *self.state;
        if state.later.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(first) = state.later.first_entry()
            && first.key().0 <= now
        {
            state.again.push_back(first.remove());
        }
    }

    /// Gives items back, to be taken before new input.
    pub(in crate::parallel) fn give_back(&mut self, given: GivenBack<'s, W>) {
        debug_assert_eq!(given.out.len(), 0, "a result is handed in, not given back");
        if !given.items.is_empty() {
            self.state.again.push_back(given);
            self.feed.gate.call();
        }
    }

    /// As [`give_back`](Turn::give_back), not to be taken before a time.
    #[cfg(unix)]
    pub(in crate::parallel) fn give_back_until(&mut self, due: Instant, given: GivenBack<'s, W>) {
        self.state.later.insert((due, given.start), given);
        self.feed.gate.call();
    }

    /// Hands in results, in any order.
    pub(in crate::parallel) fn hand_in(&mut self, written: impl IntoIterator<Item = Written<'s, W::Output>>) {
        let before = self.state.completed;
        for written in written {
            self.state.completed += written.len() as u64;
            match (&self.feed.shelf, written) {
                (Some(shelf), Written::Apart { start, values }) => shelf.put(start, Piece::Values(values)),
                (_, written) => self.state.written.push(written),
            }
        }
        if self.feed.timeout.is_some() {
            self.feed.limit_by(&self.state.tally.times);
        }
        let new = self.state.completed - before;
        self.settle(usize::try_from(new).unwrap_or(usize::MAX));
    }

    /// Reports an item that failed for good; the run stops or goes on, as was asked.
    pub(in crate::parallel) fn fail(&mut self, failure: Failure) {
        self.state.failed += 1;
        if self.feed.on_error.ends_at(self.state.failed) {
            self.feed.stop(true, Stopped::Failure);
        }
        match &self.feed.shelf {
            Some(shelf) => shelf.put(failure.index, Piece::Failed(failure)),
            None => self.state.failures.push(failure),
        }
        self.settle(1);
    }

    /// So many more items have come to their end.
    fn settle(&mut self, items: usize) {
        if items == 0 {
            return;
        }
        // What lies on a shelf is still ahead of whoever takes it from there.
        if self.feed.shelf.is_none() {
            self.feed.gate.settle(items);
        }
        if self.feed.halt.is_reached(self.state.completed, self.state.failed) {
            self.feed.stop(self.feed.halt.now, Stopped::Halted);
        }
    }

    /// Tells of a batch, or what was run of it: it decides the sizes of those to come, and is counted.
    pub(in crate::parallel) fn batch_finished(&mut self, worker: usize, items: usize, took: Duration) {
        self.state.sizer.finished(items, took);
        self.state.tally.report.worked(worker, items, took);
    }

    /// Keeps an item for later that is under way elsewhere.
    pub(in crate::parallel) fn put_off(&mut self, items: impl IntoIterator<Item = PutOff<'s, W>>) {
        self.state.put_off.extend(items);
    }

    /// The next item to be waited for, when there are no others.
    pub(in crate::parallel) fn next_put_off(&mut self) -> Option<PutOff<'s, W>> {
        if self.feed.is_stopped() { None } else { self.state.put_off.pop_front() }
    }

    /// Items are done that were put off or known, after so long, which says nothing of the items to come.
    pub(in crate::parallel) fn caught_up(&mut self, worker: usize, items: usize, took: Duration) {
        self.state.tally.report.worked(worker, items, took);
    }

    /// Whether the input took long to give what was read last: who has other things to look after leaves it to others.
    #[cfg(unix)]
    pub(in crate::parallel) fn reads_slowly(&self) -> bool {
        self.state.again.is_empty() && self.state.reading > SLOW
    }

    /// Whether all that was read and is to be read was given out for good.
    #[cfg(unix)]
    pub(in crate::parallel) fn is_done(&self) -> bool {
        let state = &*self.state;
        (state.ended || state.total == Some(state.read))
            && state.again.is_empty()
            && state.later.is_empty()
            && state.put_off.is_empty()
    }
}
