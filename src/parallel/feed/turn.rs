//! A worker's turn at the feed.

use std::time::{Duration, Instant};

#[cfg(unix)]
use super::SLOW;
use super::{Batch, Feed, GivenBack, Held, PutOff};
use crate::panics;
use crate::parallel::failure::{Cause, Failure, OnError};
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
    /// Nothing just now: something will come after a change since then, or at a time.
    Wait(Seen, Option<Instant>),
    /// Nothing, and no more input. Another worker may yet give back what it has: so whoever gives something back takes
    /// again afterwards.
    Nothing,
}

/// A worker's turn at the feed: it holds the lock.
pub(in crate::parallel) struct Turn<'f, 's, W: Work, I> {
    feed: &'f Feed<'s, W, I>,
    state: Held<'f, 's, W, I>,
}

const fn at_least_one(bytes: usize) -> usize {
    if bytes == 0 { 1 } else { bytes }
}

impl<'f, 's, W: Work, I> Turn<'f, 's, W, I> {
    pub(super) fn new(feed: &'f Feed<'s, W, I>, state: Held<'f, 's, W, I>) -> Self {
        Turn { feed, state }
    }

    /// The counts of the run, to be added to.
    pub(in crate::parallel) fn tally(&mut self) -> &mut Tally {
        &mut self.state.tally
    }
}

impl<'s, W: Work, I: Iterator<Item = W::Item>> Turn<'_, 's, W, I> {
    /// Puts the next batch into `items`, which is empty.
    ///
    /// What was given back comes before new input, in the pieces it was given back in.
    pub(in crate::parallel) fn take(&mut self, worker: usize, items: &mut Vec<W::Item>) -> Taken<'s, W::Output> {
        if self.feed.is_stopped() {
            return Taken::Nothing;
        }
        self.wake_later();
        let state = &mut *self.state;
        if let Some(GivenBack { start, items: mut given, out, attempts }) = state.again.pop_front() {
            items.append(&mut given);
            state.tally.report.batches.add(items.len());
            return Taken::Batch(Batch { start, stride: state.sizer.stride(), is_timed: true, attempts, out });
        }
        if state.reads_all && !state.ended {
            self.read_all(worker);
        }
        let state = &mut *self.state;
        if state.ended && state.stock.is_empty() {
            return self.nothing_new();
        }
        let item_bytes = const { at_least_one(size_of::<W::Item>()) };
        let began = Instant::now();
        let hint = panics::catch(|| state.items.size_hint().1);
        let left = hint.ok().flatten().map(|most| most.saturating_add(state.stock.len()));
        let size = state.sizer.next(left, state.sizer.buffer_bytes() / item_bytes);
        let size = match self.feed.gate.room(state.read, size) {
            Ok(size) => size,
            Err(seen) => return Taken::Wait(seen, self.next_due()),
        };
        self.read(worker, size, items);
        let state = &mut *self.state;
        state.reading = began.elapsed();
        state.tally.reading += state.reading;
        if self.feed.is_stopped() && !self.feed.goes_on() {
            return Taken::Nothing;
        }
        if items.is_empty() {
            return self.nothing_new();
        }
        let state = &mut *self.state;
        let start = state.read - items.len();
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
        Taken::Batch(Batch { start, stride, is_timed, attempts: 0, out })
    }

    /// There is no more input.
    fn nothing_new(&self) -> Taken<'s, W::Output> {
        match self.next_due() {
            Some(due) => Taken::Wait(self.feed.gate.seen(), Some(due)),
            None => Taken::Nothing,
        }
    }

    /// When the first of what is to be run later is due.
    fn next_due(&self) -> Option<Instant> {
        self.state.later.iter().map(|(due, _)| *due).min()
    }

    /// Reads up to so many items.
    fn read(&mut self, worker: usize, size: usize, items: &mut Vec<W::Item>) {
        let state = &mut *self.state;
        let from_stock = size.min(state.stock.len());
        items.extend(state.stock.drain(..from_stock));
        let wanted = size - from_stock;
        let mut refusal = None;
        if wanted > 0 && !state.ended {
            let source = &mut state.items;
            refusal = panics::catch(|| items.extend(source.by_ref().take(wanted))).err();
            // Not every iterator goes on answering `None`; one that panicked is not asked again.
            state.ended = items.len() < size || refusal.is_some();
        }
        state.read += items.len();
        if state.ended {
            self.feed.gate.call();
        }
        if let Some(panic) = refusal {
            self.refuse(worker, Cause::Input(panic));
        }
    }

    /// Reads all of the input.
    fn read_all(&mut self, worker: usize) {
        let state = &mut *self.state;
        let (source, stock, began) = (&mut state.items, &mut state.stock, Instant::now());
        let read = panics::catch(|| stock.extend(source.by_ref()));
        state.ended = true;
        state.tally.reading += began.elapsed();
        if let Err(panic) = read {
            self.refuse(worker, Cause::Input(panic));
        }
    }

    /// The input could not give an item.
    fn refuse(&mut self, worker: usize, cause: Cause) {
        let index = self.state.read + self.state.stock.len();
        self.state.refused += 1;
        self.fail(Failure { index, task: None, arguments: None, worker, attempts: 0, cause });
    }

    /// What was to be run later and is due is given back.
    fn wake_later(&mut self) {
        let state = &mut *self.state;
        if state.later.is_empty() {
            return;
        }
        let now = Instant::now();
        for (due, given) in std::mem::take(&mut state.later) {
            if due <= now { state.again.push_back(given) } else { state.later.push((due, given)) }
        }
    }

    /// Gives items back, to be taken before new input: a batch, or a part of one, from the item at `start` on. `out` is
    /// what [`Written::part`] left of the batch's, with nothing written and room for just these items; `attempts` is how
    /// often they were run.
    #[cfg(unix)]
    pub(in crate::parallel) fn give_back(
        &mut self,
        start: usize,
        items: Vec<W::Item>,
        out: Written<'s, W::Output>,
        attempts: u32,
    ) {
        debug_assert_eq!(out.len(), 0, "a result is handed in, not given back");
        if !items.is_empty() {
            self.state.again.push_back(GivenBack { start, items, out, attempts });
            self.feed.gate.call();
        }
    }

    /// As [`give_back`](Turn::give_back), not to be taken before a time.
    #[cfg(unix)]
    pub(in crate::parallel) fn give_back_until(
        &mut self,
        due: Instant,
        start: usize,
        items: Vec<W::Item>,
        out: Written<'s, W::Output>,
        attempts: u32,
    ) {
        self.state.later.push((due, GivenBack { start, items, out, attempts }));
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
        match self.feed.on_error {
            OnError::FailFast => self.feed.stop(true, Stopped::Failure),
            OnError::MaxFailures(most) if self.state.failed >= most => self.feed.stop(true, Stopped::Failure),
            OnError::Collect | OnError::MaxFailures(_) => {}
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
            && state.stock.is_empty()
            && state.again.is_empty()
            && state.later.is_empty()
            && state.put_off.is_empty()
    }
}
