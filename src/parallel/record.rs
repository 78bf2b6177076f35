//! Who writes down what comes of each item of a run.

use std::fmt;
use std::time::Duration;

use super::failure::Failure;

/// An item that has its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) index: usize,
    pub(super) worker: usize,
    /// By the attempt of this number.
    pub(super) attempts: u32,
    pub(super) took: Duration,
    /// It was not computed by this run: another program had it in the meantime.
    pub(super) loaded: bool,
    /// Its result is known to be stored; else it may be.
    pub(super) stored: bool,
}

/// Is told of each item as it comes to its end, by the worker that ran it, before the run counts it.
///
/// Told with no lock of the run held, but for failures; so whoever is told may take a moment, and must never wait for the run.
pub(super) trait Recorder: fmt::Debug + Send + Sync {
    /// An item has its result.
    fn done(&self, ended: Ended);
    /// An item failed for good; or [elsewhere](Recorder::failed_elsewhere), and had no attempt here.
    fn failed(&self, failure: &Failure);
    /// Asked before an item is run: whether another program has seen it fail since this run began, and so it is not to be run.
    fn failed_elsewhere(&self, index: usize, worker: usize) -> Option<Failure>;
}
