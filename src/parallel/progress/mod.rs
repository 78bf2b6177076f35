//! How far a run has come, shown or told while it goes on, and what happens in it.
//!
//! Workers only count ([`Meter`], one relaxed add per handful of items) and, if anyone observes, post events in a
//! [`mailbox`] that never makes them wait. One thread per run ([`reporter`]) reads the counters, takes the events and hands
//! both to whatever shows or observes, so a slow terminal or callback never holds up a task. All times here are wall-clock
//! times since the run began.

mod bars;
mod event;
mod here;
mod iter;
mod json;
mod lines;
mod mailbox;
mod meter;
mod observer;
mod reporter;
mod snapshot;
#[cfg(feature = "tracing")]
mod spans;
mod speed;

use std::fmt;
use std::sync::Arc;

pub use event::{Event, EventKind, RunId};
pub(crate) use here::{Here, Observed};
pub use iter::{ProgressIter, progress};
pub use json::JsonLines;
pub(crate) use mailbox::CameTo;
pub(crate) use meter::{Meter, tell};
pub use observer::Observer;
pub(crate) use observer::Observers;
pub(crate) use reporter::{Plan, Watched};
pub use snapshot::Snapshot;
use snapshot::Stage;
#[cfg(feature = "tracing")]
pub use spans::TracingObserver;

/// Says whether and how a run shows its progress. The default is [`Off`](Progress::Off). Programs that want to know more are
/// told by an [`Observer`].
///
/// Bars and lines go to stderr. Bars refresh ten times a second and stay on the screen with their last state. Plain
/// lines come after 1 s, then after pauses growing from 2 s to 30 s, and once at the end: a short run writes that last
/// line only. A run that fails says that it stopped, and where. Rate and estimate go by the speed of the last seconds; the
/// last state has the average.
///
/// What the program writes to the terminal while bars are drawn is painted over: say it with
/// [`print_line`](crate::print_line), as larder's own reports do.
///
/// Not promised: the exact text, the refresh rate, a readable screen with the bars of two runs at once. Failing to write is
/// ignored, as is a system that refuses the one thread this takes: the run goes on without progress. A terminal or a callback
/// that takes nothing any more keeps the end of the run waiting for 5 seconds, and tasks not at all.
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
    /// Shows nothing and starts no thread.
    #[default]
    Off,
    /// Draws one bar; writes plain lines where stderr is no terminal or `TERM` is `dumb`.
    Bar,
    /// Draws a bar for each worker, showing its share of what is done, above the bar of the whole run. At most eight
    /// worker bars: with more workers the last one counts all others. Where there can be no bars it writes plain lines as
    /// `Bar` does, each with what every worker has done.
    PerWorker,
    /// Writes plain lines, on a terminal too.
    Lines,
    /// Writes what happens to stderr as one JSON object in a line: [`JsonLines`] has the fields. For a program that reads
    /// them.
    JsonLines,
    /// Calls a function, made with [`Progress::callback`].
    Callback(ProgressCallback),
}

impl Progress {
    /// Calls `f` about ten times a second and once at the end, then with [`Snapshot::finished`] true.
    ///
    /// The calls come from one thread, never two at a time, and the run returns only after the last one: a callback that
    /// blocks delays the end of the run, by 5 seconds at most, though not its tasks. A run shorter than a tick makes the last
    /// call only. If `f` panics the run goes on; a line on stderr says so and `f` is not called again.
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
