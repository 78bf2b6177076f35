//! The store on disk: index and blobs as one.

use std::path::Path;
use std::sync::Arc;

use super::attempt::Unanswered;
use super::blob::{Blobs, Compression};
use super::catalog::{Looked, Met, Wish, now_ms};
use super::claims::{Claimant, Claimed, Claims, End, Patience};
use super::entry::{self, Facts, Place, Record};
use super::entry_key::EntryKey;
use super::link::Link;
use super::types::{Absent, Found, NewEntry, RecordBytes, StoreError, Value};
use super::used::{FunctionName, Uses};
use super::{FunctionTotals, INLINE_BYTES, Limits, Listed, Lookup, Note, Prefix, Reduced, Store, get_or_claim_here};
use super::{location, notes};
use crate::error::Error;

/// What a program may do with a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    ReadWrite,
    /// Nothing in the directory is made, changed or removed.
    ReadOnly,
}

/// How a cache directory is used by those who open it first in a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) access: Access,
    pub(crate) compression: Compression,
    /// Whether results that ask for it are mapped.
    pub(crate) maps: bool,
}

/// A cache directory: see [`Memory::open`](crate::Memory::open), which makes one.
pub struct DiskStore {
    link: Link,
    blobs: Arc<Blobs>,
}

impl DiskStore {
    /// Opens the cache in a directory, which is made if it is missing. One process opens a directory once.
    ///
    /// # Errors
    /// As [`Memory::open`](crate::Memory::open).
    pub fn open(path: impl AsRef<Path>) -> Result<DiskStore, Error> {
        let path = path.as_ref();
        location::prepare(path)?;
        let setup = Setup { access: Access::ReadWrite, compression: Compression::Off, maps: true };
        DiskStore::open_at(&path.canonicalize().unwrap_or_else(|_| path.to_owned()), setup)
    }

    pub(crate) fn open_at(path: &Path, setup: Setup) -> Result<DiskStore, Error> {
        let blobs = Arc::new(Blobs::new(path.join("blobs"), path.join("temp"), setup.compression, setup.maps));
        Ok(DiskStore { link: Link::open(path, setup.access, Arc::clone(&blobs))?, blobs })
    }

    /// Verifies a record and what it names; answers how many bytes were read.
    fn check(&self, key: &EntryKey, record: &[u8]) -> Result<u64, Absent> {
        let bytes = record.len() as u64;
        match entry::parse(key, record)?.place {
            Place::Inline { .. } => Ok(bytes),
            Place::Blob { name } => Ok(bytes + self.blobs.check(key, &name)?),
        }
    }

    /// Reads and verifies what a record says.
    fn found(&self, key: &EntryKey, bytes: RecordBytes) -> Result<Found, Absent> {
        let record = entry::parse(key, &bytes)?;
        let value = match record.place {
            Place::Inline { start } => Value::Inline { start },
            Place::Blob { name } => Value::Blob(self.blobs.read(key, &name)?),
        };
        Ok(Found { facts: record.facts, record: bytes, value })
    }
}

impl From<Unanswered> for Absent {
    fn from(unanswered: Unanswered) -> Absent {
        match unanswered {
            Unanswered::Apart(why) => Absent::NotServed(why),
            Unanswered::Failed(error) => Absent::Unreadable(error),
        }
    }
}

impl From<Unanswered> for StoreError {
    fn from(unanswered: Unanswered) -> StoreError {
        match unanswered {
            Unanswered::Apart(error) | Unanswered::Failed(error) => error,
        }
    }
}

impl Store for DiskStore {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        match self.link.get(key)? {
            Looked::Record(bytes) => self.found(key, bytes),
            Looked::Gone(tombstone) => Err(Absent::Removed(tombstone)),
            Looked::Nothing => Err(Absent::Never),
        }
    }

    fn peek(&self, key: &EntryKey) -> Result<Listed, Absent> {
        match self.link.get(key)? {
            Looked::Record(bytes) => {
                entry::parse(key, &bytes)?;
                Ok(Listed::new(*key, bytes.to_vec()))
            }
            Looked::Gone(tombstone) => Err(Absent::Removed(tombstone)),
            Looked::Nothing => Err(Absent::Never),
        }
    }

    fn verify(&self, listed: &Listed) -> Result<u64, Absent> {
        let key = &listed.key;
        let mut record = RecordBytes::Own(listed.record.clone());
        loop {
            let why = match self.check(key, &record) {
                Ok(bytes) => return Ok(bytes),
                Err(why) => why,
            };
            match self.link.get(key)? {
                Looked::Record(now) if *now == *record => return Err(why),
                // It was replaced meanwhile.
                Looked::Record(now) => record = now,
                Looked::Gone(tombstone) => return Err(Absent::Removed(tombstone)),
                Looked::Nothing => return Err(Absent::Never),
            }
        }
    }

    fn get_or_claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Lookup {
        if self.is_read_only() {
            return get_or_claim_here(self, key, who, patience);
        }
        let mut absent = Absent::Never;
        let mut look = true;
        loop {
            match self.link.get_or_claim(who, Wish { key, patience, look }) {
                Ok(Met::Record(bytes)) => match self.found(key, bytes) {
                    Ok(found) => return Lookup::Found(found),
                    // There is a record, and what it says cannot be served: it is computed anew.
                    Err(why) => {
                        absent = why;
                        look = false;
                    }
                },
                Ok(Met::Mine(tombstone)) => {
                    return Lookup::Mine(match (absent, tombstone) {
                        (Absent::Never, Some(tombstone)) => Absent::Removed(tombstone),
                        (absent, _) => absent,
                    });
                }
                Ok(Met::Claimed(claimed)) => return Lookup::Claimed(claimed),
                Err(Unanswered::Apart(why)) => {
                    // Among its own threads, this program still computes once.
                    return match self.link.claims().claim(key, who, patience) {
                        Claimed::Mine => Lookup::Mine(Absent::NotServed(why)),
                        claimed => Lookup::Claimed(claimed),
                    };
                }
                Err(Unanswered::Failed(error)) => return Lookup::Unclaimed(Absent::Unreadable(error)),
            }
        }
    }

    fn claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Claimed {
        if self.is_read_only() {
            return self.claims().claim(key, who, patience);
        }
        match self.link.get_or_claim(who, Wish { key, patience, look: false }) {
            Ok(Met::Mine(_)) => Claimed::Mine,
            Ok(Met::Claimed(claimed)) => claimed,
            Ok(Met::Record(_)) => Claimed::MustNotWait,
            Err(_) => self.link.claims().claim(key, who, patience),
        }
    }

    fn release(&self, key: &EntryKey, who: Claimant, end: End) {
        self.link.release(key, who, end);
    }

    fn put(&self, new: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        let facts = Facts::of(new, now_ms());
        let origin = new.origin.encode();
        let place = if facts.value_bytes > INLINE_BYTES as u64 {
            self.link.is_served()?;
            let write = || self.blobs.write(new, &origin, &facts);
            // A directory that was removed is made anew by whoever notices.
            let name = write().or_else(|error| if self.link.is_renewed() { write() } else { Err(error) })?;
            Place::Blob { name }
        } else {
            Place::Inline { start: 0 }
        };
        let record = Record { facts, place };
        let bytes = entry::encode(&new.key, &record, &origin, new.parts);
        self.link.put(&new.key, &bytes, new.costly).map_err(|unanswered| {
            // An unnamed blob would be an orphan; if even its removal fails, a rebuild finds it.
            if let Place::Blob { name } = place {
                let _ = self.blobs.remove(&name);
            }
            unanswered.into()
        })
    }

    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        Ok(self.link.clear_function(function, by_hand)?)
    }

    fn clear(&self) -> Result<(), StoreError> {
        Ok(self.link.clear()?)
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        Ok(self.link.forget(key)?)
    }

    fn page(&self, function: Option<&str>, after: Option<&EntryKey>) -> Result<Vec<Listed>, StoreError> {
        Ok(self.link.page(function.map(Prefix::of), after)?)
    }

    fn functions(&self, after: Option<&FunctionTotals>) -> Result<Vec<FunctionTotals>, StoreError> {
        Ok(self.link.functions(after.map(|totals| &totals.function))?)
    }

    fn function(&self, name: &str, by_hand: bool) -> Result<Option<FunctionTotals>, StoreError> {
        Ok(self.link.function(&FunctionName { name: name.to_owned(), by_hand })?)
    }

    fn note_uses(&self, uses: &Uses) -> Result<(), StoreError> {
        Ok(self.link.note_uses(uses)?)
    }

    fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.link.note(name)?)
    }

    fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        notes::check(name, note)?;
        Ok(self.link.set_note(name, note)?)
    }

    fn notes(&self, prefix: &[u8]) -> Result<Vec<Note>, StoreError> {
        let mut all: Vec<Note> = Vec::new();
        loop {
            let page = self.link.notes(prefix, all.last().map(|(name, _)| &name[..]))?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    fn limit(&self, limits: &Limits) -> Result<(), StoreError> {
        let caps = limits.caps().map_err(|error| StoreError::new("limiting the cache", error))?;
        match self.link.limit(caps) {
            // Whoever serves this program next is told.
            Err(Unanswered::Apart(_)) => Ok(()),
            limited => Ok(limited?),
        }
    }

    fn reduce(&self, limits: &Limits, dry: bool) -> Result<Reduced, StoreError> {
        let caps = limits.caps().map_err(|error| StoreError::new("reducing the cache", error))?;
        Ok(self.link.reduce(caps, dry)?)
    }

    fn claims(&self) -> &Claims {
        self.link.claims()
    }

    fn settle(&self) {
        self.link.settle();
    }

    fn news(&self) -> Option<String> {
        self.link.news()
    }

    fn path(&self) -> Option<&Path> {
        Some(self.link.path())
    }

    fn is_read_only(&self) -> bool {
        self.link.access() == Access::ReadOnly
    }
}
