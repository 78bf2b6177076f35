//! What comes of items goes to the ledger.

use std::sync::Arc;
use std::time::Duration;

use super::super::failure::{Failure, FailureKind};
use super::super::record::Recorder;
use crate::runs::{ItemId, Ledger};

/// Writes down what comes of the items of one run.
pub(super) struct Writer {
    ledger: Arc<Ledger>,
    /// By their places in the run, which are not those in the list.
    items: Vec<ItemId>,
    /// How often each was run before.
    attempts: Vec<u32>,
}

impl Writer {
    pub(super) fn new(ledger: Arc<Ledger>, items: Vec<ItemId>, attempts: Vec<u32>) -> Writer {
        Writer { ledger, items, attempts }
    }
}

impl Recorder for Writer {
    fn done(&self, index: usize, worker: usize, attempts: u32, took: Duration) {
        if let (Some(item), Some(before)) = (self.items.get(index), self.attempts.get(index)) {
            self.ledger.done(*item, before + attempts, number(worker), nanos(took));
        }
    }

    fn failed(&self, failure: &Failure) {
        let index = failure.index;
        if let (Some(item), Some(before)) = (self.items.get(index), self.attempts.get(index)) {
            let panicked = failure.kind() == FailureKind::Panic;
            let text = failure.arguments().unwrap_or_default();
            self.ledger.failed(
                *item,
                before + failure.attempts(),
                number(failure.worker),
                0,
                panicked,
                failure.message(),
                text,
            );
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("items", &self.items.len()).finish_non_exhaustive()
    }
}

fn number(worker: usize) -> u32 {
    u32::try_from(worker).unwrap_or(u32::MAX)
}

fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
