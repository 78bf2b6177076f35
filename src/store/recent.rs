//! What an owner may lose when it ends: the records that a guest gave it and that it did not flush yet.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::entry_key::EntryKey;

/// Records given to an owner lately: what it did not flush yet would be lost with it, and is told to the next one.
#[derive(Default)]
pub(super) struct Recent {
    records: VecDeque<(Instant, EntryKey, Vec<u8>)>,
    bytes: usize,
}

impl Recent {
    /// Some flushes of an owner (every 200 ms), should it be slow.
    const KEPT: Duration = Duration::from_secs(1);
    const MOST_BYTES: usize = 4 << 20;

    pub(super) fn push(&mut self, key: &EntryKey, record: &[u8]) {
        self.bytes += record.len();
        self.records.push_back((Instant::now(), *key, record.to_vec()));
        self.forget_old();
    }

    /// Drops what the owner has flushed since; what it removed since must not come back.
    pub(super) fn forget_old(&mut self) {
        let now = Instant::now();
        while self.bytes > Recent::MOST_BYTES
            || self.records.front().is_some_and(|(since, ..)| now - *since > Recent::KEPT)
        {
            let Some((.., gone)) = self.records.pop_front() else { return };
            self.bytes -= gone.len();
        }
    }

    pub(super) fn all(&self) -> Vec<(EntryKey, Vec<u8>)> {
        self.records.iter().map(|(_, key, record)| (*key, record.clone())).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Recent::default();
    }
}
