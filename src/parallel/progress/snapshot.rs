//! Where a run stands at one moment.

use std::time::Duration;

use super::event::RunId;

/// Where a run stands at one moment.
///
/// Not promised while the run goes on: that the counts of different workers were read at the same instant. The last
/// snapshot is exact.
#[derive(Clone, Debug, Default)]
pub struct Snapshot<'a> {
    pub(super) run: RunId,
    pub(super) label: &'a str,
    pub(super) total: Option<u64>,
    pub(super) done: u64,
    pub(super) per_worker: &'a [u64],
    pub(super) elapsed: Duration,
    /// Items per second just now, where that is known better than by the average.
    pub(super) speed: Option<f64>,
    pub(super) stage: Stage,
}

/// Whether the run goes on, and if not, how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Stage {
    #[default]
    Running,
    Completed,
    Stopped,
}

impl<'a> Snapshot<'a> {
    /// Returns the run's number, which no other run of the program has.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Returns what the run is called: [`Parallel::label`](crate::Parallel::label), else the task's name or `map`.
    pub fn label(&self) -> &'a str {
        self.label
    }

    /// Returns the number of items of the run, `None` where it is not known beforehand.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Returns the number of items done by all workers.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Returns the number of items done by each worker, indexed by worker.
    pub fn per_worker(&self) -> &'a [u64] {
        self.per_worker
    }

    /// Returns the time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns whether the run is over, completed or not; no later snapshot follows.
    pub fn finished(&self) -> bool {
        self.stage != Stage::Running
    }

    /// Returns whether the run is over and did not fail.
    pub fn completed(&self) -> bool {
        self.stage == Stage::Completed
    }

    /// Returns the items done per second: while the run goes on, a mean over its last seconds, in which what is newer
    /// counts for more; when it is over, the [average](Snapshot::average_rate).
    pub fn rate(&self) -> f64 {
        match self.speed {
            Some(speed) if !self.finished() => speed,
            _ => self.average_rate(),
        }
    }

    /// Returns the items done per second, averaged over the whole run.
    pub fn average_rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 }
    }

    /// Estimates the time to the end, taking the present [`rate`](Snapshot::rate) for the future one. `None` where the total
    /// is not known, nothing is done yet, or the run is over.
    pub fn remaining(&self) -> Option<Duration> {
        let left = self.total?.saturating_sub(self.done);
        if self.finished() || self.done == 0 {
            return None;
        }
        Duration::try_from_secs_f64(left as f64 / self.rate()).ok()
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_the_part_done() {
        let at = |done, total, seconds, stage| {
            let elapsed = Duration::from_secs(seconds);
            let snapshot = Snapshot { total, done, elapsed, stage, ..Snapshot::default() };
            (snapshot.rate(), snapshot.remaining().map(|left| left.as_secs()))
        };
        assert_eq!(at(250, Some(1000), 50, Stage::Running), (5.0, Some(150)));
        assert_eq!(at(12, Some(10), 4, Stage::Running), (3.0, Some(0)), "a total that was too small");
        assert_eq!(at(250, None, 50, Stage::Running), (5.0, None), "total not known");
        assert_eq!(at(0, Some(1000), 50, Stage::Running), (0.0, None), "nothing to go by");
        assert_eq!(at(3, Some(10), 0, Stage::Running), (0.0, None), "no time has passed");
        assert_eq!(at(250, Some(1000), 50, Stage::Stopped), (5.0, None), "over");
    }

    #[test]
    fn the_present_speed_counts_while_the_run_goes_on() {
        let elapsed = Duration::from_secs(50);
        let at =
            |stage| Snapshot { total: Some(1000), done: 250, elapsed, speed: Some(10.0), stage, ..Snapshot::default() };
        let running = at(Stage::Running);
        assert_eq!((running.rate(), running.average_rate()), (10.0, 5.0));
        assert_eq!(running.remaining(), Some(Duration::from_secs(75)));
        assert_eq!(at(Stage::Completed).rate(), 5.0);
    }
}
