//! What a worker does: takes the next batch, runs it, hands in the results, until there is no more.
//!
//! Workers pull: whoever is free takes the next items, so nobody waits for a slow neighbour. The input iterator is read
//! under a lock, a batch at a time, and never ahead of the workers.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Instant;

use super::batch::Sizer;
use super::failure::{Cause, Failure};
use super::progress::Meter;
use crate::lock::{lock, whole};
use crate::memory::Waiting;
use crate::panics;
use crate::sys::filled::Filled;
use crate::task::TaskError;

/// What is to be done with each item.
pub(super) trait Work: Sync {
    type Item: Send;
    type Output: Send;
    /// What is kept of an item while it runs, to describe it if it fails.
    type Trace;

    fn trace(&self, item: &Self::Item) -> Self::Trace;
    fn run(&self, item: Self::Item) -> Result<Self::Output, TaskError>;

    /// Whether an item may be under way elsewhere, so that others are better taken first.
    const DEFERS: bool = false;

    /// Runs an item, or gives it back: it is under way elsewhere, and not to be waited for.
    fn attempt(&self, item: Self::Item, _: Waiting) -> Result<Result<Self::Output, TaskError>, Self::Item> {
        Ok(self.run(item))
    }

    /// The text of the arguments, where they are known to anyone but the function.
    fn describe(&self, _trace: Self::Trace) -> Option<String> {
        None
    }

    /// The task's name, where there is a task.
    fn task(&self) -> Option<&'static str> {
        None
    }

    /// The bare function, where an item is only passed to it: then a batch of quick items is one simple loop, which the
    /// compiler can turn into vector instructions.
    fn plain(&self) -> Option<impl Fn(Self::Item) -> Self::Output> {
        None::<fn(Self::Item) -> Self::Output>
    }
}

/// The results of one batch, where they could be written.
pub(super) enum Written<'s, R> {
    /// In their place in the final list.
    Placed(Filled<'s, R>),
    /// Apart, since the input did not say how long it is, or was wrong about it.
    Apart { start: usize, values: Vec<R> },
}

/// The state that the workers of one run share.
pub(super) struct Run<'s, 'm, W: Work, I> {
    work: W,
    /// How items that were put off are waited for.
    patience: Waiting,
    meter: Option<&'m Meter>,
    /// Set at the first failure; looked at between items.
    stop: AtomicBool,
    feed: Mutex<Feed<'s, W, I>>,
}

struct Feed<'s, W: Work, I> {
    items: I,
    /// How many items were given out.
    taken: usize,
    ended: bool,
    sizer: Sizer,
    /// The slots of the final list not given out yet.
    slots: &'s mut [MaybeUninit<W::Output>],
    written: Vec<Written<'s, W::Output>>,
    /// Items that were under way elsewhere, to be taken when there are no others.
    put_off: VecDeque<PutOff<'s, W>>,
    failure: Option<Box<Failure>>,
}

/// An item that is under way elsewhere, and the place of its result.
pub(super) struct PutOff<'s, W: Work> {
    index: usize,
    item: W::Item,
    out: Written<'s, W::Output>,
}

struct Batch<'s, R> {
    start: usize,
    /// Between so many items the worker looks whether to stop, and counts; with plain quick ones, after the batch.
    stride: usize,
    out: Written<'s, R>,
}

/// Quick items, which automatic sizes bundle by the thousand, are handed over within this: in a core's own cache.
const BUFFER_BYTES: usize = 64 << 10;

/// So often a worker looks for the lock, some 10 us in all, before it sleeps.
const SPINS: u32 = 1000;

const fn at_least_one(bytes: usize) -> usize {
    if bytes == 0 { 1 } else { bytes }
}

impl<'s, 'm, W: Work, I: Iterator<Item = W::Item>> Run<'s, 'm, W, I> {
    pub(super) fn new(
        work: W,
        items: I,
        sizer: Sizer,
        meter: Option<&'m Meter>,
        slots: &'s mut [MaybeUninit<W::Output>],
    ) -> Run<'s, 'm, W, I> {
        let feed = Feed {
            items,
            taken: 0,
            ended: false,
            sizer,
            slots,
            written: Vec::new(),
            put_off: VecDeque::new(),
            failure: None,
        };
        // A worker of the run's own, between two items, keeps nobody waiting but the run. On a rayon thread that runs it
        // there may be other work below on the stack, which someone else waits for.
        let is_nested = rayon::current_thread_index().is_some();
        let patience = if is_nested { Waiting::AsThreadMay } else { Waiting::ToTheEnd };
        Run { work, patience, meter, stop: AtomicBool::new(false), feed: Mutex::new(feed) }
    }

    /// Works until the input ends or a task fails. Never panics, whatever the input and the tasks do.
    pub(super) fn worker(&self, worker: usize) {
        let mut items = Vec::new();
        let mut next = self.take(&mut self.feed(), worker, &mut items);
        while let Some(batch) = next {
            let count = items.len();
            let start = Instant::now();
            let end = if W::DEFERS {
                self.run_and_put_off(batch, worker, &mut items)
            } else {
                self.run_batch(batch, worker, &mut items).map(|written| (vec![written], Vec::new()))
            };
            let took = start.elapsed();
            let mut feed = self.feed();
            feed.sizer.finished(count, took);
            match end {
                Ok((written, put_off)) => {
                    feed.written.extend(written);
                    feed.put_off.extend(put_off);
                }
                Err(failure) => {
                    self.stop.store(true, Relaxed);
                    feed.fail(failure);
                }
            }
            next = self.take(&mut feed, worker, &mut items);
        }
        if W::DEFERS {
            self.catch_up(worker);
        }
    }

    /// Runs what was put off, waiting for those who have it: mostly it can then be loaded.
    fn catch_up(&self, worker: usize) {
        loop {
            let next = if self.stop.load(Relaxed) { None } else { self.feed().put_off.pop_front() };
            let Some(PutOff { index, item, mut out }) = next else { return };
            let end = self.run_one(index, item, &mut out, worker, self.patience);
            let mut feed = self.feed();
            match end {
                Ok(None) => feed.written.push(out),
                Ok(Some(item)) => feed.put_off.push_back(PutOff { index, item, out }),
                Err(failure) => {
                    self.stop.store(true, Relaxed);
                    feed.fail(failure);
                }
            }
        }
    }

    /// As [`run_batch`](Run::run_batch), item by item; what is under way elsewhere is put off.
    #[expect(clippy::type_complexity, reason = "the parts are named where they are taken apart")]
    fn run_and_put_off(
        &self,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
    ) -> Result<(Vec<Written<'s, W::Output>>, Vec<PutOff<'s, W>>), Box<Failure>> {
        let Batch { start, mut out, .. } = batch;
        let (mut written, mut put_off) = (Vec::new(), Vec::new());
        for (index, item) in (start..).zip(items.drain(..)) {
            if self.stop.load(Relaxed) {
                break;
            }
            if let Some(item) = self.run_one(index, item, &mut out, worker, Waiting::Not)? {
                let (before, place, rest) = out.part(index);
                written.push(before);
                put_off.push(PutOff { index, item, out: place });
                out = rest;
            }
        }
        written.push(out);
        Ok((written, put_off))
    }

    /// Runs an item and writes its result behind what is written; or gives it back.
    fn run_one(
        &self,
        index: usize,
        item: W::Item,
        out: &mut Written<'s, W::Output>,
        worker: usize,
        waiting: Waiting,
    ) -> Result<Option<W::Item>, Box<Failure>> {
        let mut trace = None;
        let ran = panics::catch(|| {
            trace = Some(self.work.trace(&item));
            self.work.attempt(item, waiting)
        });
        let cause = match ran {
            Ok(Err(item)) => return Ok(Some(item)),
            Ok(Ok(Ok(value))) => {
                out.extend(std::iter::once(value));
                if let Some(meter) = self.meter {
                    meter.add(worker, 1);
                }
                return Ok(None);
            }
            Ok(Ok(Err(error))) => Cause::Erred(error),
            Err(panic) => Cause::Panicked(panic),
        };
        Err(self.failure(index, trace, worker, cause))
    }

    fn failure(&self, index: usize, trace: Option<W::Trace>, worker: usize, cause: Cause) -> Box<Failure> {
        // A description runs the user's `Serialize`, which may panic too; the failure is worth more than its text.
        let arguments = trace.and_then(|trace| panics::catch(|| self.work.describe(trace)).ok().flatten());
        Box::new(Failure { index, task: self.work.task(), arguments, worker, cause })
    }

    /// The results of the batches in no order, or the failure with the lowest index.
    pub(super) fn end(self) -> Result<Vec<Written<'s, W::Output>>, Box<Failure>> {
        let feed = whole(self.feed.into_inner());
        feed.failure.map_or(Ok(feed.written), Err)
    }

    fn feed(&self) -> MutexGuard<'_, Feed<'s, W, I>> {
        // Mostly the other worker reads a batch of quick items and is done in microseconds: less than it takes to be put
        // to sleep and woken.
        for _ in 0..SPINS {
            match self.feed.try_lock() {
                Ok(feed) => return feed,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        // What may panic under the lock, the user's iterator, is caught.
        lock(&self.feed)
    }

    fn take(&self, feed: &mut Feed<'s, W, I>, worker: usize, items: &mut Vec<W::Item>) -> Option<Batch<'s, W::Output>> {
        items.clear();
        if feed.ended || self.stop.load(Relaxed) {
            return None;
        }
        let Feed { items: source, sizer, .. } = feed;
        let mut size = 0;
        let read = panics::catch(|| {
            let room = const { BUFFER_BYTES / at_least_one(size_of::<W::Item>()) };
            size = sizer.next(source.size_hint().1, room);
            items.extend(source.by_ref().take(size));
        });
        if let Err(panic) = read {
            feed.ended = true;
            self.stop.store(true, Relaxed);
            let index = feed.taken + items.len();
            feed.fail(Box::new(Failure { index, task: None, arguments: None, worker, cause: Cause::Input(panic) }));
            return None;
        }
        // Not every iterator goes on answering `None`.
        feed.ended = items.len() < size;
        if items.is_empty() {
            return None;
        }
        let start = feed.taken;
        feed.taken += items.len();
        let out = match feed.slots.split_off_mut(..items.len()) {
            Some(slots) => Written::Placed(Filled::new(slots)),
            None => {
                // From here on all is apart, or the order of strips would have a gap.
                feed.slots = &mut [];
                Written::Apart { start, values: Vec::with_capacity(items.len()) }
            }
        };
        Some(Batch { start, stride: feed.sizer.stride(), out })
    }

    fn run_batch(
        &self,
        batch: Batch<'s, W::Output>,
        worker: usize,
        items: &mut Vec<W::Item>,
    ) -> Result<Written<'s, W::Output>, Box<Failure>> {
        let Batch { start, stride, mut out } = batch;
        let mut trace = None;
        let mut counted = 0;
        let caught = panics::catch(|| {
            if stride > 1
                && let Some(function) = self.work.plain()
            {
                out.extend(std::mem::take(items).into_iter().map(function));
                return None;
            }
            let mut items = items.drain(..);
            while items.len() > 0 && !self.stop.load(Relaxed) {
                let mut step = |item| {
                    trace = None;
                    trace = Some(self.work.trace(&item));
                    self.work.run(item)
                };
                let ran = out.try_extend(items.by_ref().take(stride).map(&mut step));
                if let Some(meter) = self.meter {
                    meter.add(worker, (out.len() - counted) as u64);
                    counted = out.len();
                }
                if let ControlFlow::Break(error) = ran {
                    return Some(error);
                }
            }
            None
        });
        if let Some(meter) = self.meter {
            // What was done since, before a panic.
            meter.add(worker, (out.len() - counted) as u64);
        }
        let cause = match caught {
            Ok(None) => return Ok(out),
            Ok(Some(error)) => Cause::Erred(error),
            Err(panic) => Cause::Panicked(panic),
        };
        Err(self.failure(start + out.len(), trace, worker, cause))
    }
}

impl<W: Work, I> Feed<'_, W, I> {
    fn fail(&mut self, failure: Box<Failure>) {
        if self.failure.as_ref().is_none_or(|first| failure.index < first.index) {
            self.failure = Some(failure);
        }
    }
}

impl<'s, R> Written<'s, R> {
    /// What is written, the place behind it, which is that of the item at `index`, and the places behind that.
    fn part(self, index: usize) -> (Self, Self, Self) {
        match self {
            Written::Placed(filled) => {
                let (before, place, rest) = filled.part();
                (Written::Placed(before), Written::Placed(place), Written::Placed(rest))
            }
            apart => {
                let empty = |start| Written::Apart { start, values: Vec::new() };
                (apart, empty(index), empty(index + 1))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Written::Placed(filled) => filled.len(),
            Written::Apart { values, .. } => values.len(),
        }
    }

    #[inline]
    fn extend(&mut self, values: impl Iterator<Item = R>) {
        match self {
            Written::Placed(filled) => filled.extend(values),
            Written::Apart { values: list, .. } => list.extend(values),
        }
    }

    /// Takes results up to the first error.
    #[inline]
    fn try_extend(&mut self, results: impl Iterator<Item = Result<R, TaskError>>) -> ControlFlow<TaskError> {
        let mut error = None;
        let values = results.map_while(|result| match result {
            Ok(value) => Some(value),
            Err(failed) => {
                error = Some(failed);
                None
            }
        });
        self.extend(values);
        error.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}
