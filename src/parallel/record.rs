//! Who writes down what comes of each item of a run.

use std::fmt;
use std::time::Duration;

use super::failure::Failure;
use crate::memory::Kept;

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
    pub(super) kept: Kept,
}

/// Is told of each item as it comes to its end, by the worker that ran it, before the run counts it.
///
/// Told with no lock of the run held; so whoever is told may take a moment, and must never wait for the run.
pub(super) trait Recorder: fmt::Debug + Send + Sync {
    /// An item has its result. Answers whether that will be found again.
    fn done(&self, ended: Ended) -> bool;
    /// So many results will not be found again, and should be.
    fn lost(&self, results: u64);
    /// An item failed for good, after an attempt of this run.
    fn failed(&self, failure: &Failure);
    /// Asked before an item is run: whether another program has seen it fail since this run began, and so it is not to be run.
    fn failed_elsewhere(&self, index: usize, worker: usize) -> Option<Failure>;
}
