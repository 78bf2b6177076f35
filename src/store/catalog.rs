//! What the owner of a store does with its records, for itself and for the programs it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::blob::Blobs;
use super::claims::{Claimant, Claimed, Claims, Patience};
use super::entry::{self, Origin, Record};
use super::entry_key::{EntryKey, Prefix};
use super::index::Index;
use super::location::Location;
use super::types::{RecordBytes, StoreError};

/// How often an owner looks whether its directory is still there, costly results apart.
const LOOK_AFTER_MS: u64 = 100;

/// The index and the blobs that its records name.
pub(super) struct Catalog {
    pub(super) index: Index,
    pub(super) blobs: Arc<Blobs>,
    pub(super) claims: Arc<Claims>,
    // Last, so that the index is closed before the directory is free for others.
    pub(super) place: Option<Place>,
}

/// The directory that an owner holds.
pub(super) struct Place {
    location: Location,
    opened: Instant,
    looked_at_ms: AtomicU64,
}

impl Place {
    pub(super) fn of(location: Location) -> Place {
        Place { location, opened: Instant::now(), looked_at_ms: AtomicU64::new(0) }
    }
}

/// What a caller wants of a key.
#[derive(Clone, Copy)]
pub(super) struct Wish<'k> {
    pub(super) key: &'k EntryKey,
    /// How long it waits where another has the key.
    pub(super) patience: Patience,
    /// Whether a record is an answer; else the claim alone.
    pub(super) look: bool,
}

/// What a lookup or a claim met.
pub(super) enum Met {
    Record(RecordBytes),
    Claimed(Claimed),
}

impl Catalog {
    /// Whether the directory is still the one that is held; asked rarely where it is not `important`.
    pub(super) fn is_in_place(&self, important: bool) -> bool {
        let Some(place) = &self.place else { return true };
        let now = place.opened.elapsed().as_millis() as u64;
        if !important && now.saturating_sub(place.looked_at_ms.load(Relaxed)) < LOOK_AFTER_MS {
            return true;
        }
        place.looked_at_ms.store(now, Relaxed);
        place.location.is_in_place()
    }

    pub(super) fn get(&self, key: &EntryKey) -> Result<Option<RecordBytes>, StoreError> {
        Ok(self.index.get(key)?.map(RecordBytes::Sled))
    }

    /// Looks a record up, if that is wished, and claims its key where there is none.
    pub(super) fn get_or_claim(&self, who: Claimant, wish: Wish<'_>) -> Result<Met, StoreError> {
        let Wish { key, patience, look } = wish;
        let look = || if look { self.get(key).transpose() } else { None };
        match self.claims.find_or_claim(key, who, patience, look) {
            Ok(found) => Ok(Met::Record(found?)),
            Err(claimed) => Ok(Met::Claimed(claimed)),
        }
    }

    /// Puts a record, and removes the blob of the one it replaces. The answer is what failed after the record was in.
    pub(super) fn put(&self, key: &EntryKey, record: &[u8], costly: bool) -> Result<Option<StoreError>, StoreError> {
        let replaced = self.index.insert(key, record)?;
        // A record can come without a claim's end: told to a new owner by a program that told the last one already.
        self.claims.note_stored(key);
        let blob_of = |bytes: &[u8]| match entry::fields(bytes) {
            Ok((Record { place: entry::Place::Blob { name }, .. }, _)) => Some(name),
            _ => None,
        };
        let old = replaced.and_then(|bytes| blob_of(&bytes)).filter(|old| blob_of(record) != Some(*old));
        // A kill must not find the old blob gone and its record still there: that result may have been a costly one.
        let flushed = self.index.flush_after_store(costly || old.is_some());
        let removed = match old {
            Some(old) if flushed.is_ok() => self.blobs.remove(&old),
            _ => Ok(()),
        };
        Ok(flushed.and(removed).err())
    }

    /// Removes the entries of a function, in all versions of its code; answers how many there were.
    ///
    /// Files go before their records: what a kill in between leaves is a record without a file, which is a miss.
    pub(super) fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (slot, bytes) in self.index.of_function(Prefix::of(function))? {
            let Ok((record, origin)) = entry::fields(&bytes) else {
                // Damage belongs to nobody: it goes with the function it stands under.
                self.index.remove(&slot)?;
                continue;
            };
            if Origin::parse(origin).is_some_and(|origin| !origin.is_of(function, by_hand)) {
                continue;
            }
            if let entry::Place::Blob { name } = record.place {
                self.blobs.remove(&name)?;
            }
            self.index.remove(&slot)?;
            removed += 1;
        }
        self.index.flush()?;
        Ok(removed)
    }

    /// Removes every entry.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        self.blobs.clear().map_err(|error| StoreError::new("removing the blobs", error))?;
        self.index.clear()?;
        self.index.flush()
    }
}

/// Milliseconds since 1970; 0 on a machine whose clock stands before that.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
