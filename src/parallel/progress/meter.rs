//! What the workers count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Snapshot, Stage};

/// Items done, counted by each worker for itself.
pub(crate) struct Meter {
    /// One counter per worker, at least one.
    workers: Box<[Counter]>,
}

/// A counter alone on its cache line, so that workers do not slow each other down. 128 bytes: x86 prefetches lines in
/// pairs, and some ARM cores have lines of that size.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

impl Meter {
    pub(crate) fn new(workers: usize) -> Meter {
        Meter { workers: (0..workers.max(1)).map(|_| Counter::default()).collect() }
    }

    /// Adds `items` to what `worker` has done. A worker beyond those the meter was made for counts as the last one.
    pub(crate) fn add(&self, worker: usize, items: u64) {
        // Relaxed: the count orders nothing. The run's end is passed on under a lock, which makes the last one exact.
        self.workers[worker.min(self.workers.len() - 1)].0.fetch_add(items, Ordering::Relaxed);
    }

    /// Takes back what was added too early.
    #[cfg(unix)]
    pub(crate) fn take_back(&self, worker: usize, items: u64) {
        self.workers[worker.min(self.workers.len() - 1)].0.fetch_sub(items, Ordering::Relaxed);
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Reads the counters into `per_worker`.
    pub(super) fn snapshot<'a>(
        &self,
        per_worker: &'a mut Vec<u64>,
        total: Option<u64>,
        elapsed: Duration,
        stage: Stage,
    ) -> Snapshot<'a> {
        per_worker.clear();
        per_worker.extend(self.workers.iter().map(|counter| counter.0.load(Ordering::Relaxed)));
        Snapshot { total, done: per_worker.iter().sum(), per_worker, elapsed, stage }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn counts(meter: &Meter) -> (u64, Vec<u64>) {
        let mut per_worker = vec![99];
        let done = meter.snapshot(&mut per_worker, None, Duration::ZERO, Stage::Running).done();
        (done, per_worker)
    }

    #[test]
    fn every_item_is_counted_for_its_worker() {
        let meter = Meter::new(3);
        std::thread::scope(|scope| {
            for worker in [0, 2, 2] {
                let meter = &meter;
                scope.spawn(move || (0..1000).for_each(|_| meter.add(worker, 2)));
            }
        });
        assert_eq!(counts(&meter), (6000, vec![2000, 0, 4000]));
    }

    #[test]
    fn an_unknown_worker_counts_as_the_last() {
        let (two, none) = (Meter::new(2), Meter::new(0));
        two.add(7, 5);
        none.add(0, 1);
        assert_eq!((counts(&two), counts(&none)), ((5, vec![0, 5]), (1, vec![1])));
    }
}
