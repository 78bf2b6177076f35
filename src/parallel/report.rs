//! What a run did, in numbers.

use std::fmt;
use std::time::Duration;

/// What a run did, in numbers; given by [`Outcome::report`](crate::Outcome::report).
///
/// Counted by the batch, so that a run of very many quick items is no slower for it. Not promised: the words of its text.
///
/// # Examples
/// ```
/// use larder::{OnError, Parallel};
///
/// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
/// let outcome = parallel.try_map_outcome(["1", "two", "3"], |text| text.parse::<u8>())?;
/// let report = outcome.report();
/// assert_eq!((report.items, report.completed, report.failed), (3, 2, 1));
/// println!("{report}"); // 3 items in 0.1 ms on 2 workers: 2 completed, 1 failed. ...
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunReport {
    /// From the start of the first worker to the end of the last.
    pub elapsed: Duration,
    /// How many items were taken from the input.
    pub items: u64,
    /// How many gave a result.
    pub completed: u64,
    /// How many failed, after all their attempts. What is neither completed nor failed was not run.
    pub failed: u64,
    /// How many attempts were made beyond the first of each item.
    pub retries: u64,
    /// The workers, in the order of their numbers.
    pub workers: Vec<WorkerReport>,
    /// The batches that were dispatched.
    pub batches: BatchReport,
    /// How many worker processes ended before they were told to. 0 on threads.
    pub deaths: u64,
    /// How many worker processes were started, those that took the place of others too. 0 on threads.
    pub workers_started: u64,
    /// How many bytes of arguments and results were encoded to cross to other processes. 0 on threads.
    pub bytes_encoded: u64,
    /// How many bytes worker processes have mapped and not copied. 0 on threads.
    pub bytes_mapped: u64,
    /// How many times a payload was encoded: once each, however many calls share it. 0 on threads.
    pub payload_encodings: u64,
}

/// What one worker did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// How many items it finished, failed ones too.
    pub items: u64,
    /// How many batches it ran, whole or in part.
    pub batches: u64,
    /// How long it ran batches.
    pub busy: Duration,
}

/// How large the batches of a run were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchReport {
    /// How many there were.
    pub count: u64,
    /// The items in all of them; one that was dispatched again counts again.
    pub items: u64,
    /// The smallest; 0 if there was none.
    pub smallest: u64,
    /// The largest.
    pub largest: u64,
}

impl BatchReport {
    /// Items per batch; 0 if there was none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.items as f64 / self.count as f64 }
    }

    /// A batch of so many items was dispatched.
    pub(super) fn add(&mut self, items: usize) {
        let items = items as u64;
        self.smallest = if self.count == 0 { items } else { self.smallest.min(items) };
        self.largest = self.largest.max(items);
        self.count += 1;
        self.items += items;
    }
}

impl RunReport {
    /// A run of so many workers begins.
    pub(super) fn new(workers: usize) -> RunReport {
        RunReport { workers: vec![WorkerReport::default(); workers], ..RunReport::default() }
    }

    /// A worker finished so many items of a batch in so long.
    pub(super) fn worked(&mut self, worker: usize, items: usize, took: Duration) {
        if self.workers.len() <= worker {
            self.workers.resize(worker + 1, WorkerReport::default());
        }
        let report = &mut self.workers[worker];
        report.items += items as u64;
        report.batches += 1;
        report.busy += took;
    }
}

/// One paragraph.
impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: u64, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {many}"),
        };
        let workers = counted(self.workers.len() as u64, "worker", "workers");
        write!(f, "{} in {:.1?} on {workers}: ", counted(self.items, "item", "items"), self.elapsed)?;
        write!(f, "{} completed, {} failed", self.completed, self.failed)?;
        let not_run = self.items.saturating_sub(self.completed + self.failed);
        if not_run > 0 {
            write!(f, ", {not_run} not run")?;
        }
        if self.retries > 0 {
            write!(f, ", {}", counted(self.retries, "retry", "retries"))?;
        }
        let BatchReport { count, smallest, largest, .. } = self.batches;
        if count > 0 {
            write!(f, ". {}", counted(count, "batch", "batches"))?;
            write!(f, " of {smallest} to {largest} items, {:.1} on average", self.batches.mean())?;
            let busy: Duration = self.workers.iter().map(|worker| worker.busy).sum();
            let whole = self.elapsed.as_secs_f64() * self.workers.len() as f64;
            if whole > 0.0 {
                write!(f, "; workers were busy {:.0} % of the time", 100.0 * busy.as_secs_f64() / whole)?;
            }
        }
        f.write_str(".")?;
        if self.workers_started > 0 || self.bytes_encoded > 0 {
            write!(f, " {} started, {}", counted(self.workers_started, "process", "processes"), self.deaths)?;
            write!(f, " died; {} bytes encoded, {} bytes mapped", self.bytes_encoded, self.bytes_mapped)?;
            write!(f, ", {}.", counted(self.payload_encodings, "payload encoding", "payload encodings"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_and_batches_are_counted() {
        let mut report = RunReport::new(2);
        assert_eq!(report.batches.mean(), 0.0);
        for (worker, items) in [(0, 3), (1, 8), (4, 1)] {
            report.batches.add(items);
            report.worked(worker, items, Duration::from_millis(10));
        }
        assert_eq!(report.workers.iter().map(|worker| worker.items).collect::<Vec<_>>(), [3, 8, 0, 0, 1]);
        assert_eq!((report.workers[1].batches, report.workers[1].busy), (1, Duration::from_millis(10)));
        assert_eq!((report.batches.count, report.batches.smallest, report.batches.largest), (3, 1, 8));
        assert_eq!(report.batches.mean(), 4.0);
    }

    #[test]
    fn a_report_is_a_paragraph() {
        let mut report = RunReport::new(2);
        (report.items, report.completed, report.failed) = (11, 8, 1);
        report.elapsed = Duration::from_millis(40);
        assert_eq!(report.to_string(), "11 items in 40.0ms on 2 workers: 8 completed, 1 failed, 2 not run.");
        report.batches.add(10);
        report.batches.add(1);
        report.worked(0, 10, Duration::from_millis(40));
        (report.retries, report.completed) = (2, 10);
        assert_eq!(
            report.to_string(),
            "11 items in 40.0ms on 2 workers: 10 completed, 1 failed, 2 retries. 2 batches of 1 to 10 items, 5.5 on \
             average; workers were busy 50 % of the time."
        );
        (report.workers_started, report.deaths, report.payload_encodings) = (3, 1, 1);
        assert!(
            report
                .to_string()
                .ends_with(" 3 processes started, 1 died; 0 bytes encoded, 0 bytes mapped, 1 payload encoding.")
        );
    }
}
