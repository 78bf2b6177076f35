//! What comes of items goes to the ledger.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::super::failure::{Cause, Failure, FailureKind, Lost};
use super::super::record::{Ended, Recorder};
use crate::memory::{Kept, Memory, nanos};
use crate::runs::{Failed, Failing, ItemId, Ledger};
use crate::store::EntryKey;

/// Writes down what comes of the items of one run.
pub(super) struct Writer {
    ledger: Arc<Ledger>,
    memory: Memory,
    task: &'static str,
    /// By their places in the run, which are not those in the list.
    items: Vec<Item>,
    loaded: AtomicU64,
    unkept: AtomicU64,
}

/// An item that is to be computed.
pub(super) struct Item {
    pub(super) id: ItemId,
    pub(super) key: EntryKey,
    /// How often it was run before.
    pub(super) attempts: u32,
}

impl Writer {
    pub(super) fn new(ledger: Arc<Ledger>, memory: Memory, task: &'static str, items: Vec<Item>) -> Writer {
        Writer { ledger, memory, task, items, loaded: AtomicU64::new(0), unkept: AtomicU64::new(0) }
    }

    /// Items that had a result when their turn came.
    pub(super) fn loaded(&self) -> u64 {
        self.loaded.load(Relaxed)
    }

    /// Items whose result is not stored: they are done for this run, and not for the next.
    pub(super) fn unkept(&self) -> u64 {
        self.unkept.load(Relaxed)
    }
}

impl Recorder for Writer {
    fn done(&self, ended: Ended) -> bool {
        let Some(item) = self.items.get(ended.index) else { return false };
        self.loaded.fetch_add(u64::from(ended.loaded), Relaxed);
        // The ledger says what is done for good: so the store is asked, where that is not known.
        let is_kept = match ended.kept {
            Kept::Stored => true,
            Kept::Nothing => false,
            Kept::Unknown => self.memory.has_entry(&item.key),
        };
        if is_kept {
            // Whoever computed it says what it took.
            let (more, took) = if ended.loaded { (0, Duration::ZERO) } else { (ended.attempts.max(1), ended.took) };
            let mut attempts = item.attempts.saturating_add(more);
            if let Some((failed, _)) = self.ledger.others().failed(item.id) {
                // It came to this after it had failed elsewhere.
                attempts = attempts.max(failed);
            }
            self.ledger.done(item.id, attempts, number(ended.worker), nanos(took));
        }
        is_kept
    }

    fn lost(&self, results: u64) {
        self.unkept.fetch_add(results, Relaxed);
    }

    fn failed(&self, failure: &Failure) {
        let Some(item) = self.items.get(failure.index) else { return };
        let attempts = item.attempts.saturating_add(failure.attempts().max(1));
        let how = Failed::new(failure.kind(), failure.message(), failure.arguments().unwrap_or_default());
        let failing = Failing { how, under: *item.key.as_bytes() };
        self.ledger.failed(item.id, attempts, number(failure.worker), nanos(failure.took.unwrap_or_default()), failing);
    }

    fn failed_elsewhere(&self, index: usize, worker: usize) -> Option<Failure> {
        let item = self.items.get(index)?;
        let (attempts, failing) = self.ledger.others().failed(item.id)?;
        // Of the call itself, and not of how the other program runs it.
        let is_of_call = matches!(failing.how.kind, FailureKind::Error | FailureKind::Panic);
        let is_this = is_of_call && failing.under == *item.key.as_bytes() && attempts > item.attempts;
        // Somebody may have computed it since; an error that is stored is loaded.
        (is_this && !self.memory.has_entry(&item.key)).then(|| {
            let Failed { kind, message, text } = failing.how;
            let message = format!(
                "{message} (it failed in another program of this run; to try it again, use `retry_failed(true)` in a run to come)"
            );
            Failure {
                index,
                task: Some(self.task),
                arguments: Some(text.into()),
                worker,
                attempts: 0,
                took: None,
                cause: Cause::Lost(Lost { kind, message }),
            }
        })
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("items", &self.items.len()).finish_non_exhaustive()
    }
}

fn number(worker: usize) -> u32 {
    u32::try_from(worker).unwrap_or(u32::MAX)
}
