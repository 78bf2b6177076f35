//! How far the input is read ahead of what is done with it.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::lock::{lock, whole};

/// How many items are read from the input ahead of what is done with them: joblib's `pre_dispatch`.
///
/// An item is ahead from when it is read until its result is there; in a [`Stream`](crate::Stream), until its result is handed
/// to whoever iterates. So a stream over an endless input, with a slow consumer, takes no more memory than so many items
/// and results.
///
/// Batches are cut so that all workers have a part of a window that is given in items: with it, sizes of
/// [`BatchSize`](crate::BatchSize) and [`Schedule`](crate::Schedule) are the most there can be.
///
/// # Examples
/// ```
/// use larder::{Parallel, PreDispatch};
///
/// let parallel = Parallel::new().n_jobs(2).pre_dispatch(4);
/// let mut squares = parallel.map_stream(0_u64.., |x| x * x)?; // an endless input
/// assert_eq!(squares.next().unwrap()?, 0);
/// assert_eq!(squares.next().unwrap()?, 1);
/// drop(squares); // At most four more were read by now, and the run ends.
///
/// let all = parallel.pre_dispatch(PreDispatch::All).map(0..10, |x| x * x)?;
/// assert_eq!(all[9], 81);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreDispatch {
    /// What the workers take, a batch at a time; in a stream, two batches for each worker.
    #[default]
    Auto,
    /// All of it, when the run starts. Not for endless inputs.
    All,
    /// So many items. 0 is an error when the run starts.
    Items(usize),
    /// So many for each worker: joblib's `"2 * n_jobs"` is `PerJob(2)`. 0 is an error when the run starts.
    PerJob(usize),
}

impl From<usize> for PreDispatch {
    fn from(items: usize) -> PreDispatch {
        PreDispatch::Items(items)
    }
}

impl PreDispatch {
    /// The number of items, where one was given.
    ///
    /// # Errors
    /// It is 0.
    pub(super) fn items(self, workers: usize) -> Result<Option<usize>> {
        let (given, items) = match self {
            PreDispatch::Auto | PreDispatch::All => return Ok(None),
            PreDispatch::Items(items) => (items, items),
            PreDispatch::PerJob(items) => (items, items.saturating_mul(workers)),
        };
        if given == 0 {
            return Err(Error::invalid_option(
                "`pre_dispatch` is 0, so no item could ever be read: give a number of items, `PreDispatch::PerJob(2)` for \
                 so many for each worker, or leave it out",
            ));
        }
        Ok(Some(items))
    }
}

/// How much may be read ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Most {
    /// Whatever workers take.
    Unlimited,
    /// So many items.
    Items(usize),
    /// So many batches, of the size at hand.
    Batches(usize),
}

/// Where workers wait that would read too far ahead.
pub(super) struct Gate {
    most: Most,
    workers: usize,
    passed: Mutex<Passed>,
    opened: Condvar,
}

#[derive(Default)]
struct Passed {
    /// So many items are no longer ahead.
    settled: usize,
    /// Rises with whatever may be worth another look.
    changes: u64,
    waiting: usize,
}

/// What was seen of a gate: whoever waits, waits for a change since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(u64);

impl Gate {
    pub(super) fn new(most: Most, workers: usize) -> Gate {
        Gate { most, workers: workers.max(1), passed: Mutex::default(), opened: Condvar::new() }
    }

    /// How many items a worker may read now that so many were read in all, and would like to read `size`; `None`: for now
    /// none.
    pub(super) fn room(&self, read: usize, size: usize) -> Option<usize> {
        if self.most == Most::Unlimited {
            return Some(size);
        }
        let passed = self.passed();
        let ahead = read.saturating_sub(passed.settled);
        let (size, most) = match self.most {
            Most::Unlimited => (size, usize::MAX),
            // So that one worker does not take all there is for all of them.
            Most::Items(most) => (size.min(most.div_ceil(2 * self.workers)), most),
            Most::Batches(batches) => (size, batches.saturating_mul(size)),
        };
        let room = most.saturating_sub(ahead);
        // Batches that are cut to what just became free would become ever smaller.
        let enough = if matches!(self.most, Most::Batches(_)) { size } else { 1 };
        (room >= enough).then(|| room.min(size))
    }

    /// How many items may be reported as settled together.
    pub(super) fn grain(&self) -> usize {
        match self.most {
            Most::Items(most) => (most / 4).max(1),
            Most::Unlimited | Most::Batches(_) => usize::MAX,
        }
    }

    /// So many items are done with.
    pub(super) fn settle(&self, items: usize) {
        if self.most == Most::Unlimited {
            return;
        }
        self.change(|passed| passed.settled += items);
    }

    /// What is there to be seen now.
    pub(super) fn seen(&self) -> Seen {
        Seen(self.passed().changes)
    }

    /// Something changed that whoever waits must know: the input or the run ended.
    pub(super) fn call(&self) {
        self.change(|_| {});
    }

    fn change(&self, change: impl FnOnce(&mut Passed)) {
        let mut passed = self.passed();
        change(&mut passed);
        passed.changes += 1;
        if passed.waiting > 0 {
            self.opened.notify_all();
        }
    }

    /// Waits for a change since `seen`, at most so long; answers how long it was.
    pub(super) fn wait(&self, seen: Seen, most: Option<Duration>) -> Duration {
        let began = Instant::now();
        let mut passed = self.passed();
        passed.waiting += 1;
        let unchanged = |passed: &mut Passed| passed.changes == seen.0;
        let mut passed = match most {
            None => whole(self.opened.wait_while(passed, unchanged)),
            Some(most) => whole(self.opened.wait_timeout_while(passed, most, unchanged)).0,
        };
        passed.waiting -= 1;
        began.elapsed()
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        lock(&self.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_number_above_zero() {
        for (window, workers, items) in [
            (PreDispatch::Auto, 3, None),
            (PreDispatch::All, 3, None),
            (PreDispatch::Items(7), 3, Some(7)),
            (PreDispatch::PerJob(2), 3, Some(6)),
            (PreDispatch::PerJob(usize::MAX), 3, Some(usize::MAX)),
        ] {
            assert_eq!(window.items(workers).unwrap(), items, "{window:?}");
        }
        for window in [PreDispatch::Items(0), PreDispatch::PerJob(0)] {
            let error = window.items(2).unwrap_err();
            assert!(error.is_invalid_option() && error.to_string().contains("`pre_dispatch` is 0"), "{error}");
        }
    }

    #[test]
    fn no_more_is_read_than_the_window_has_room_for() {
        let gate = Gate::new(Most::Items(8), 2);
        let (mut read, mut sizes) = (0, Vec::new());
        while let Some(room) = gate.room(read, 100) {
            read += room;
            sizes.push(room);
        }
        assert_eq!((read, sizes), (8, vec![2, 2, 2, 2]), "and one worker does not take it all");
        gate.settle(1);
        assert_eq!(gate.room(read, 100).unwrap(), 1);
        assert!(gate.room(read + 1, 100).is_none());
        assert_eq!(Gate::new(Most::Items(1), 4).room(0, 9).unwrap(), 1);
    }

    #[test]
    fn a_window_of_batches_grows_with_them_and_waits_for_whole_ones() {
        let gate = Gate::new(Most::Batches(4), 2);
        assert_eq!(gate.room(0, 10).unwrap(), 10);
        assert!(gate.room(31, 10).is_none(), "room for nine");
        assert_eq!(gate.room(31, 100).unwrap(), 100);
        gate.settle(1);
        assert_eq!(gate.room(31, 10).unwrap(), 10);
    }

    #[test]
    fn who_waits_is_woken_by_a_change_even_if_it_came_before() {
        let gate = Gate::new(Most::Items(1), 1);
        let seen = gate.seen();
        gate.settle(1);
        gate.wait(seen, None);
        let seen = gate.seen();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.wait(seen, None));
            gate.call();
            waiter.join().unwrap();
        });
        let seen = gate.seen();
        let most = Duration::from_millis(1);
        assert!(gate.wait(seen, Some(most)) >= most, "nothing changed");
    }
}
