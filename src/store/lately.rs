//! When entries were used, as far as it is not written down yet.
//!
//! Writing a use down costs more than the lookup that it was. So uses are gathered in memory, many of one entry are one, and
//! they are written down now and then, in the order of the index, which is quicker than one by one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::entry_key::EntryKey;
use super::used::Used;
use crate::key::ByFirstBytes;
use crate::lock::lock;

/// More entries than this, some 20 MB, are written down before it is time.
const MOST: usize = 1 << 18;
/// A killed owner forgets the uses of no more than this.
const EVERY: Duration = Duration::from_secs(600);

pub(super) struct Lately {
    uses: Mutex<HashMap<EntryKey, Used, ByFirstBytes>>,
    written: Mutex<Instant>,
}

impl Lately {
    pub(super) fn new() -> Lately {
        Lately { uses: Mutex::default(), written: Mutex::new(Instant::now()) }
    }

    /// Takes up uses; answers whether it is time to write them down.
    pub(super) fn note(&self, more: &[(EntryKey, Used)]) -> bool {
        let mut uses = lock(&self.uses);
        for (key, used) in more {
            uses.entry(*key).or_default().add(*used);
        }
        uses.len() >= MOST || lock(&self.written).elapsed() >= EVERY
    }

    /// What is not written down of an entry.
    pub(super) fn of(&self, key: &EntryKey) -> Used {
        lock(&self.uses).get(key).copied().unwrap_or_default()
    }

    /// The entry is gone.
    pub(super) fn forget(&self, key: &EntryKey) {
        lock(&self.uses).remove(key);
    }

    /// All of it, in the order of the keys, to be written down now.
    pub(super) fn take(&self) -> Vec<(EntryKey, Used)> {
        *lock(&self.written) = Instant::now();
        let mut uses: Vec<_> = std::mem::take(&mut *lock(&self.uses)).into_iter().collect();
        uses.sort_unstable_by_key(|(key, _)| *key);
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_one_entry_are_one() {
        let key = |byte| EntryKey::from_bytes([byte; 40]);
        let used = |last_ms, hits| Used { last_ms, hits };
        let lately = Lately::new();
        assert!(!lately.note(&[(key(2), used(5, 1)), (key(1), used(6, 2))]));
        assert!(!lately.note(&[(key(2), used(7, 3)), (key(3), used(1, 1))]));
        assert_eq!((lately.of(&key(2)), lately.of(&key(9))), (used(7, 4), Used::default()));
        lately.forget(&key(3));
        assert_eq!(lately.take(), [(key(1), used(6, 2)), (key(2), used(7, 4))]);
        assert_eq!(lately.take(), []);
    }
}
