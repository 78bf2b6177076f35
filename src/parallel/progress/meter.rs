//! What the workers count, and where they say what happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::event::EventKind;
use super::mailbox::Mailbox;

/// Items done, counted by each worker for itself; and the way to whoever observes the run.
pub(crate) struct Meter {
    /// Worker 0, beside the others: its count is then found without a look at where they are.
    first: Counter,
    others: Box<[Counter]>,
    /// `None` if nobody listens.
    mailbox: Option<Arc<Mailbox>>,
}

/// A counter alone on its cache line, so that workers do not slow each other down. 128 bytes: x86 prefetches lines in
/// pairs, and some ARM cores have lines of that size.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicU64);

/// Tells who observes the run, if anyone does, what happened: `kind` is called only then.
#[inline]
pub(crate) fn tell(meter: Option<&Meter>, kind: impl FnOnce() -> EventKind) {
    if let Some(mailbox) = meter.and_then(|meter| meter.mailbox.as_ref()) {
        mailbox.post(kind());
    }
}

impl Meter {
    /// A meter for so many workers, at least one, that counts only.
    #[cfg(test)]
    pub(crate) fn new(workers: usize) -> Meter {
        Meter::with(workers, None)
    }

    /// A meter for so many workers that also tells of events, if anyone listens.
    pub(super) fn with(workers: usize, mailbox: Option<Arc<Mailbox>>) -> Meter {
        Meter { first: Counter::default(), others: (1..workers).map(|_| Counter::default()).collect(), mailbox }
    }

    fn counter(&self, worker: usize) -> &AtomicU64 {
        match worker.min(self.others.len()).checked_sub(1) {
            Some(place) => &self.others[place].0,
            None => &self.first.0,
        }
    }

    /// Adds `items` to what `worker` has done. A worker beyond those the meter was made for counts as the last one.
    pub(crate) fn add(&self, worker: usize, items: u64) {
        // Relaxed: the count orders nothing. The run's end is passed on under a lock, which makes the last one exact.
        self.counter(worker).fetch_add(items, Ordering::Relaxed);
    }

    /// Sets what worker 0 has done, if nobody else counts for it: a plain write to memory.
    #[inline]
    pub(super) fn set(&self, items: u64) {
        self.first.0.store(items, Ordering::Relaxed);
    }

    /// Takes back what was added too early.
    #[cfg(unix)]
    pub(crate) fn take_back(&self, worker: usize, items: u64) {
        self.counter(worker).fetch_sub(items, Ordering::Relaxed);
    }

    /// Whether someone observes what happens.
    pub(crate) fn is_observed(&self) -> bool {
        self.mailbox.is_some()
    }

    /// Whether someone is to be told of each item.
    pub(crate) fn wants_tasks(&self) -> bool {
        self.mailbox.as_ref().is_some_and(|mailbox| mailbox.wants_tasks)
    }

    pub(super) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        self.mailbox.as_ref()
    }

    /// Reads the counters into `per_worker` and answers their sum.
    pub(super) fn read(&self, per_worker: &mut Vec<u64>) -> u64 {
        per_worker.clear();
        let counters = std::iter::once(&self.first).chain(&self.others);
        per_worker.extend(counters.map(|counter| counter.0.load(Ordering::Relaxed)));
        per_worker.iter().sum()
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn counts(meter: &Meter) -> (u64, Vec<u64>) {
        let mut per_worker = vec![99];
        let done = meter.read(&mut per_worker);
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

    #[test]
    fn an_event_is_made_only_for_who_listens() {
        tell(None, || panic!("nobody counts"));
        tell(Some(&Meter::new(1)), || panic!("nobody listens"));
        let mailbox = Arc::new(Mailbox::new(false));
        let meter = Meter::with(1, Some(Arc::clone(&mailbox)));
        tell(Some(&meter), || EventKind::WorkerStarted { worker: 0, pid: None });
        let mut events = Vec::new();
        mailbox.take(std::time::Duration::ZERO, &mut events);
        assert_eq!(events.len(), 1);
    }
}
