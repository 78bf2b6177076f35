//! What is counted while a run goes on, for its report.

use std::time::{Duration, Instant};

use super::report::{RunReport, SlowItem};
use super::times::{Slowest, Times};

/// What is known of an item that took long.
#[derive(Clone, Debug)]
pub(super) struct Slow {
    pub(super) index: usize,
    pub(super) worker: usize,
    pub(super) arguments: Option<String>,
}

/// The counts of a run, and where the time of its workers went.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) report: RunReport,
    began: Instant,
    /// How long items took that were looked at one by one.
    pub(super) times: Times,
    pub(super) slowest: Slowest<Slow>,
    /// Of all workers together, between their batches: how long they read the input,
    pub(super) reading: Duration,
    /// waited for another one that did,
    pub(super) waited_for_reader: Duration,
    /// waited for whoever takes the results of a stream,
    pub(super) waited_for_room: Duration,
    /// waited for the time of another attempt,
    pub(super) waited_for_time: Duration,
    /// and how long all that was between two batches.
    pub(super) between: Duration,
    /// How long drivers of worker processes encoded and decoded.
    pub(super) crossing: Duration,
    /// When each worker had nothing left to do, since the run began.
    left: Vec<Duration>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally::new(0)
    }
}

impl Tally {
    pub(super) fn new(workers: usize) -> Tally {
        Tally {
            report: RunReport::new(workers),
            began: Instant::now(),
            times: Times::default(),
            slowest: Slowest::default(),
            reading: Duration::ZERO,
            waited_for_reader: Duration::ZERO,
            waited_for_room: Duration::ZERO,
            waited_for_time: Duration::ZERO,
            between: Duration::ZERO,
            crossing: Duration::ZERO,
            left: vec![Duration::ZERO; workers],
        }
    }

    /// What a run without workers of its own did.
    #[cfg(feature = "async")]
    pub(super) fn of(report: &RunReport) -> Tally {
        Tally { report: report.clone(), ..Tally::new(0) }
    }

    /// An item took so long; of several attempts the longest counts.
    pub(super) fn slow(&mut self, took: Duration, slow: Slow) {
        self.slowest.add_once(took, slow, |other, slow| other.index == slow.index);
    }

    /// A worker has nothing left to do.
    pub(super) fn leaves(&mut self, worker: usize) {
        if let Some(left) = self.left.get_mut(worker) {
            *left = self.began.elapsed();
        }
    }

    /// The report, when the last worker is done.
    pub(super) fn report(self) -> RunReport {
        let elapsed = self.began.elapsed();
        let mut report = self.report;
        report.elapsed = elapsed;
        report.median = self.times.median();
        report.reading = self.reading + self.waited_for_reader;
        report.consumer = self.waited_for_room;
        report.tail = self.left.iter().map(|left| elapsed.saturating_sub(*left)).sum();
        let others = self.reading + self.waited_for_reader + self.waited_for_room + self.waited_for_time;
        report.dispatch = self.between.saturating_sub(others) + self.crossing;
        let slow = |(took, Slow { index, worker, arguments })| SlowItem { index, worker, took, arguments };
        report.slowest = self.slowest.into_items().into_iter().map(slow).collect();
        report
    }
}
