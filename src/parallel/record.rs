//! Who writes down what comes of each item of a run.

use std::fmt;
use std::time::Duration;

use super::failure::Failure;

/// Is told of each item as it comes to its end, by the worker that ran it, before the run counts it.
///
/// Told with no lock of the run held, but for failures; so whoever is told may take a moment, and must never wait for the run.
pub(super) trait Recorder: fmt::Debug + Send + Sync {
    /// An item has its result, which took so long, by the attempt of that number.
    fn done(&self, index: usize, worker: usize, attempts: u32, took: Duration);
    /// An item failed for good.
    fn failed(&self, failure: &Failure);
}
