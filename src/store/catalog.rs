//! What the owner of a store does with its records, for itself and for the programs it serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::blob::Blobs;
use super::claims::{Claimant, Claimed, Claims, Patience};
use super::entry::{self, Origin, Record};
use super::entry_key::{EntryKey, Prefix};
use super::index::Index;
use super::keeping::Keeping;
use super::listed::Listed;
use super::location::Location;
use super::tombstone::Tombstone;
use super::types::{RecordBytes, StoreError};

/// How often an owner looks whether its directory is still there, costly results apart.
const LOOK_AFTER_MS: u64 = 100;

/// The index and the blobs that its records name.
pub(super) struct Catalog {
    pub(super) index: Index,
    pub(super) blobs: Arc<Blobs>,
    pub(super) claims: Arc<Claims>,
    pub(super) keeping: Keeping,
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

/// What a lookup met.
pub(super) enum Looked {
    Record(RecordBytes),
    /// There was one.
    Gone(Tombstone),
    Nothing,
}

/// What a lookup or a claim met.
pub(super) enum Met {
    Record(RecordBytes),
    /// The claim is the caller's; there may have been an entry.
    Mine(Option<Tombstone>),
    /// Never [`Claimed::Mine`].
    Claimed(Claimed),
}

/// Entries of a function that are read before they are removed.
const CLEARED_AT_ONCE: usize = 1024;
/// Bytes of records in a page of a list.
const PAGE_BYTES: usize = 128 << 10;

impl Catalog {
    /// A catalog of this index; `as_closed`: it is as an earlier owner closed it.
    pub(super) fn new(
        index: Index,
        blobs: Arc<Blobs>,
        claims: Arc<Claims>,
        as_closed: bool,
        place: Option<Place>,
    ) -> Result<Catalog, StoreError> {
        let keeping = Keeping::open(&index, as_closed)?;
        Ok(Catalog { index, blobs, claims, keeping, place })
    }

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

    pub(super) fn get(&self, key: &EntryKey) -> Result<Looked, StoreError> {
        Ok(match self.index.get(key)? {
            Some(record) => Looked::Record(RecordBytes::Sled(record)),
            None => self.tombstone(key)?.map_or(Looked::Nothing, Looked::Gone),
        })
    }

    /// Looks a record up, if that is wished, and claims its key where there is none.
    pub(super) fn get_or_claim(&self, who: Claimant, wish: Wish<'_>) -> Result<Met, StoreError> {
        let Wish { key, patience, look } = wish;
        let look = || if look { self.index.get(key).transpose() } else { None };
        match self.claims.find_or_claim(key, who, patience, look) {
            Ok(found) => Ok(Met::Record(RecordBytes::Sled(found?))),
            // Only says why; the claim must be told all the same.
            Err(Claimed::Mine) => Ok(Met::Mine(self.tombstone(key).unwrap_or_default())),
            Err(claimed) => Ok(Met::Claimed(claimed)),
        }
    }

    /// Puts a record, and removes the blob of the one it replaces, and what is too much by now. The answer is what failed
    /// after the record was in.
    ///
    /// # Errors
    /// The record is not in. An entry larger than the cache may be is refused.
    pub(super) fn put(&self, key: &EntryKey, record: &[u8], costly: bool) -> Result<Option<StoreError>, StoreError> {
        if !self.has_room_for(record) {
            return Err(StoreError::too_large());
        }
        let (replaced, noted) = {
            let _alone = self.keeping.alone_with(key.as_bytes());
            let replaced = self.index.insert(key, record)?;
            let noted = self.note_put(key, record, replaced.as_deref());
            (replaced, noted)
        };
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
        let kept = self.keep_to_limits(key, record);
        Ok(noted.and(flushed).and(removed).and(kept).err())
    }

    /// What was put so far survives a killed program once this returns, and a power loss some 100 ms later.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.index.flush_after_store(true)
    }

    /// Removes the entries of a function, in all versions of its code; answers how many there were.
    pub(super) fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        let prefix = Prefix::of(function);
        let mut removed = 0;
        let mut after = prefix.as_bytes().to_vec();
        loop {
            // Some at a time: a function may have more than fit into memory.
            let mut some = Vec::new();
            self.index.page(&after, |slot, record| {
                let is_one = slot.starts_with(prefix.as_bytes()) && some.len() < CLEARED_AT_ONCE;
                if is_one {
                    some.push((slot.to_vec(), record.to_vec()));
                }
                is_one
            })?;
            let Some((last, _)) = some.last() else { break };
            after.clone_from(last);
            for (slot, bytes) in some {
                match entry::fields(&bytes) {
                    // Damage belongs to nobody: it goes with the function it stands under.
                    Err(_) => drop(self.index.remove(&slot)?),
                    Ok((_, origin)) if Origin::parse(origin).is_some_and(|origin| !origin.is_of(function, by_hand)) => {
                    }
                    Ok(_) => removed += u64::from(self.take_out(&slot, &bytes, None)?),
                }
            }
        }
        if !by_hand {
            self.remove_notes(prefix)?;
        }
        self.index.flush()?;
        Ok(removed)
    }

    /// Entries in the order of their keys, behind `after`, a function's if one is named; none at the end.
    pub(super) fn page(&self, function: Option<Prefix>, after: Option<&EntryKey>) -> Result<Vec<Listed>, StoreError> {
        let start = match (after, &function) {
            (Some(after), _) => &after.as_bytes()[..],
            (None, Some(prefix)) => prefix.as_bytes(),
            (None, None) => &[],
        };
        let mut page = Vec::new();
        let mut bytes = 0;
        self.index.page(start, |slot, record| {
            if function.is_some_and(|prefix| !slot.starts_with(prefix.as_bytes())) || bytes >= PAGE_BYTES {
                return false;
            }
            bytes += record.len() + slot.len();
            if let Ok(slot) = slot.try_into() {
                page.push((EntryKey::from_bytes(slot), record.to_vec()));
            }
            true
        })?;
        let with_uses = |(key, record): (EntryKey, Vec<u8>)| Ok(Listed { key, used: self.used(&key)?, record });
        page.into_iter().map(with_uses).collect()
    }
}

/// Milliseconds since 1970; 0 on a machine whose clock stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
