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
    /// The items that took longest, the slowest first: at most five. Items of less than some 10 us are not looked at one by
    /// one, and may be missing here.
    pub slowest: Vec<SlowItem>,
    /// So long or less took half of the items, to within an eighth; `None` if none was finished.
    pub median: Option<Duration>,
    /// How long workers read the input or waited for another one that did, all together.
    pub reading: Duration,
    /// How long workers waited since the [window](crate::PreDispatch) was full, all together: in a stream, for whoever takes
    /// its results.
    pub consumer: Duration,
    /// How long workers had nothing left to do while another one still worked, all together.
    pub tail: Duration,
    /// How long it took to share out items and gather results, and with worker processes to encode and decode them, all
    /// together.
    pub dispatch: Duration,
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

/// An item that took long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowItem {
    /// Its position in the input, from 0.
    pub index: usize,
    /// The worker that ran it.
    pub worker: usize,
    /// How long it took.
    pub took: Duration,
    /// A short text of its arguments; `None` for a closure's.
    pub arguments: Option<String>,
}

impl fmt::Display for SlowItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {}", self.index)?;
        if let Some(arguments) = &self.arguments {
            write!(f, " ({arguments})")?;
        }
        write!(f, " {:.1?}", self.took)
    }
}

/// What kept a run from being faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// The tasks themselves: workers were busy with them. More workers help, or quicker tasks.
    Tasks,
    /// The input: workers waited for its items.
    Input,
    /// Whoever takes the results of a stream: workers waited for it.
    Consumer,
    /// The last items: most workers had nothing left to do while they were run. Long items first, or smaller ones, help.
    Tail,
    /// Sharing out items and gathering results. Larger items or batches help.
    Dispatch,
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

impl RunReport {
    /// The share of the workers' time, 0 to 1, in which they ran tasks.
    pub fn working(&self) -> f64 {
        let busy: Duration = self.workers.iter().map(|worker| worker.busy).sum();
        self.share(busy)
    }

    /// The share of the workers' time, 0 to 1, that dispatch took.
    pub fn overhead(&self) -> f64 {
        self.share(self.dispatch).min(1.0 - self.working())
    }

    /// The share of the workers' time, 0 to 1, in which they neither worked nor dispatched: they waited for the input, for
    /// whoever takes the results, or had nothing left to do.
    pub fn waiting(&self) -> f64 {
        (1.0 - self.working() - self.overhead()).max(0.0)
    }

    /// What kept the run from being faster, as far as that can be told from where the time went.
    pub fn limit(&self) -> Limit {
        let worst = [
            (self.share(self.reading), Limit::Input),
            (self.share(self.consumer), Limit::Consumer),
            (self.share(self.tail), Limit::Tail),
            (self.overhead(), Limit::Dispatch),
        ];
        let worst = worst.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        match worst {
            Some((share, limit)) if self.working() < BUSY && share > NOTABLE => limit,
            _ => Limit::Tasks,
        }
    }

    /// A part of the time of all workers together.
    fn share(&self, part: Duration) -> f64 {
        let whole = self.elapsed.as_secs_f64() * self.workers.len() as f64;
        if whole > 0.0 { (part.as_secs_f64() / whole).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Workers that are busy for more than this share of the time are limited by their tasks.
const BUSY: f64 = 0.8;
/// A smaller share of the time is not what limits a run.
const NOTABLE: f64 = 0.1;

/// One paragraph: the counts, then where the time went, the slowest items, and what limited the run.
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
        }
        f.write_str(".")?;
        if self.workers_started > 0 || self.bytes_encoded > 0 {
            write!(f, " {} started, {}", counted(self.workers_started, "process", "processes"), self.deaths)?;
            write!(f, " died; {} bytes encoded, {} bytes mapped", self.bytes_encoded, self.bytes_mapped)?;
            write!(f, ", {}.", counted(self.payload_encodings, "payload encoding", "payload encodings"))?;
        }
        if count > 0 && !self.elapsed.is_zero() {
            let percent = |share: f64| (100.0 * share).round();
            let (working, waiting, overhead) = (self.working(), self.waiting(), self.overhead());
            write!(f, " Workers: {} % working, {} % waiting", percent(working), percent(waiting))?;
            write!(f, ", {} % overhead.", percent(overhead))?;
            if !self.slowest.is_empty() {
                let slowest: Vec<_> = self.slowest.iter().map(SlowItem::to_string).collect();
                write!(f, " Slowest: {}.", slowest.join(", "))?;
            }
            let part = |part| percent(self.share(part));
            match self.limit() {
                Limit::Tasks => f.write_str(" Limited by the tasks themselves.")?,
                Limit::Input => write!(f, " Limited by the input, waited for {} % of the time.", part(self.reading))?,
                Limit::Consumer => {
                    write!(f, " Limited by who takes the results, waited for {} % of the time.", part(self.consumer))?;
                }
                Limit::Tail => {
                    let tail = part(self.tail);
                    write!(f, " Limited by its last items: workers had nothing left for {tail} % of the time.")?;
                }
                Limit::Dispatch => f.write_str(" Limited by dispatch: larger batches or items help.")?,
            }
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
        report.tail = Duration::from_millis(36);
        report.dispatch = Duration::from_millis(4);
        let slow = |index, arguments: Option<&str>| SlowItem {
            index,
            worker: 0,
            took: Duration::from_millis(20),
            arguments: arguments.map(str::to_owned),
        };
        report.slowest = vec![slow(7, Some("x = 1")), slow(3, None)];
        assert_eq!(
            report.to_string(),
            "11 items in 40.0ms on 2 workers: 10 completed, 1 failed, 2 retries. 2 batches of 1 to 10 items, 5.5 on \
             average. Workers: 50 % working, 45 % waiting, 5 % overhead. Slowest: item 7 (x = 1) 20.0ms, item 3 20.0ms. \
             Limited by its last items: workers had nothing left for 45 % of the time."
        );
        (report.workers_started, report.deaths, report.payload_encodings) = (3, 1, 1);
        let words = " 3 processes started, 1 died; 0 bytes encoded, 0 bytes mapped, 1 payload encoding. Workers: ";
        assert!(report.to_string().contains(words), "{report}");
    }

    #[test]
    fn what_took_most_of_the_time_is_what_limits() {
        let millis = Duration::from_millis;
        let report = |busy, reading, consumer, tail, dispatch| {
            let mut report = RunReport::new(2);
            report.elapsed = millis(100);
            report.worked(0, 1, millis(busy));
            (report.reading, report.consumer) = (millis(reading), millis(consumer));
            (report.tail, report.dispatch) = (millis(tail), millis(dispatch));
            report.limit()
        };
        assert_eq!(report(170, 30, 0, 0, 0), Limit::Tasks);
        assert_eq!(report(120, 15, 10, 10, 10), Limit::Tasks, "nothing is notable: the machine was busy elsewhere");
        assert_eq!(report(50, 100, 40, 10, 0), Limit::Input);
        assert_eq!(report(50, 40, 100, 10, 0), Limit::Consumer);
        assert_eq!(report(100, 0, 0, 95, 5), Limit::Tail);
        assert_eq!(report(20, 10, 0, 5, 165), Limit::Dispatch);
        assert_eq!(RunReport::default().limit(), Limit::Tasks);
        assert_eq!(RunReport::default().waiting(), 1.0);
    }
}
