//! How far a run has come, shown or told while it goes on.
//!
//! Workers only count ([`Meter`], one relaxed add per handful of items); one thread per run ([`Reporter`]) reads the counters and
//! draws, so a slow terminal or callback never holds up a task. All times here are wall-clock times since the run began.

mod bars;
mod lines;
mod meter;
mod reporter;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use meter::Meter;
pub(crate) use reporter::Reporter;

/// Says whether and how a run reports its progress. The default is [`Off`](Progress::Off).
///
/// Bars and lines go to stderr. Bars refresh ten times a second and stay on the screen with their last state. Plain
/// lines come after 1 s, then after pauses growing from 2 s to 30 s, and once at the end: a short run writes that last
/// line only. A run that fails says that it stopped, and where.
///
/// What the program writes to the terminal while bars are drawn is painted over: say it with
/// [`print_line`](crate::print_line), as larder's own reports do.
///
/// Not promised: the exact text, the refresh rate, a readable screen with the bars of two runs at once. Failing to write is ignored, as is a system that refuses the one
/// thread this takes: the run goes on without progress.
///
/// # Examples
/// ```
/// use larder::Progress;
///
/// let progress = Progress::callback(|now| {
///     if let Some(remaining) = now.remaining() {
///         println!("{} done, {:.0} s to go", now.done(), remaining.as_secs_f64());
///     }
/// });
/// # assert!(matches!(progress, Progress::Callback(_)));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Progress {
    /// Reports nothing and starts no thread.
    #[default]
    Off,
    /// Draws one bar; writes plain lines where stderr is no terminal or `TERM` is `dumb`.
    Bar,
    /// Draws a bar for each worker, showing its share of what is done, above the bar of the whole run. At most eight
    /// worker bars: with more workers the last one counts all others. Falls back to plain lines as `Bar` does.
    PerWorker,
    /// Writes plain lines, on a terminal too.
    Lines,
    /// Calls a function, made with [`Progress::callback`].
    Callback(ProgressCallback),
}

impl Progress {
    /// Calls `f` about ten times a second and once at the end, then with [`Snapshot::finished`] true.
    ///
    /// The calls come from one thread, never two at a time, and the run returns only after the last one: a callback that
    /// blocks delays the end of the run, though not its tasks. A run shorter than a tick makes the last call only. If
    /// `f` panics the run goes on; a line on stderr says so and `f` is not called again.
    pub fn callback(f: impl Fn(&Snapshot<'_>) + Send + Sync + 'static) -> Progress {
        Progress::Callback(ProgressCallback(Arc::new(f)))
    }
}

/// A function that is told the progress; made by [`Progress::callback`]. Clones share the function.
#[derive(Clone)]
pub struct ProgressCallback(Arc<dyn Fn(&Snapshot<'_>) + Send + Sync>);

impl fmt::Debug for ProgressCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressCallback(..)")
    }
}

/// Where a run stands at one moment.
///
/// Not promised while the run goes on: that the counts of different workers were read at the same instant. The last
/// snapshot is exact.
#[derive(Clone, Debug)]
pub struct Snapshot<'a> {
    total: Option<u64>,
    done: u64,
    per_worker: &'a [u64],
    elapsed: Duration,
    stage: Stage,
}

/// Whether the run goes on, and if not, how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Running,
    Completed,
    Stopped,
}

impl<'a> Snapshot<'a> {
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

    /// Returns the items done per second, averaged over the whole run.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 }
    }

    /// Estimates the time to the end, taking the average rate for the future one. `None` where the total is not known,
    /// nothing is done yet, or the run is over.
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
            let snapshot = Snapshot { total, done, per_worker: &[], elapsed, stage };
            (snapshot.rate(), snapshot.remaining().map(|left| left.as_secs()))
        };
        assert_eq!(at(250, Some(1000), 50, Stage::Running), (5.0, Some(150)));
        assert_eq!(at(12, Some(10), 4, Stage::Running), (3.0, Some(0)), "a total that was too small");
        assert_eq!(at(250, None, 50, Stage::Running), (5.0, None), "total not known");
        assert_eq!(at(0, Some(1000), 50, Stage::Running), (0.0, None), "nothing to go by");
        assert_eq!(at(3, Some(10), 0, Stage::Running), (0.0, None), "no time has passed");
        assert_eq!(at(250, Some(1000), 50, Stage::Stopped), (5.0, None), "over");
    }
}
