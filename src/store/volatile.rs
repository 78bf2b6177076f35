//! A store in memory.

use std::collections::HashMap;
use std::sync::Mutex;

use super::entry::{self, Origin, Place, Record};
use super::types::{Absent, Bytes, Found, NewEntry, RecordBytes, StoreError};
use super::{Claims, EntryKey, Store};
use crate::key::ByFirstBytes;
use crate::lock::lock;

/// A store that ends with the program: for tests, and for single flight without a disk. It keeps all it is given.
#[derive(Debug, Default)]
pub struct VolatileStore {
    records: Mutex<HashMap<EntryKey, Vec<u8>, ByFirstBytes>>,
    claims: Claims,
}

impl VolatileStore {
    /// An empty store.
    pub fn new() -> VolatileStore {
        VolatileStore::default()
    }
}

impl Store for VolatileStore {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        let bytes = lock(&self.records).get(key).cloned().ok_or(Absent::Never)?;
        Found::from_record(key, bytes)
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        lock(&self.records).insert(entry.key(), entry.to_record());
        Ok(None)
    }

    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        let is_of = |bytes: &[u8]| {
            entry::fields(bytes)
                .ok()
                .and_then(|(_, origin)| Origin::parse(origin))
                .is_some_and(|origin| origin.function == function && origin.fingerprint.is_none() == by_hand)
        };
        Ok(lock(&self.records).extract_if(|_, bytes| is_of(bytes)).count() as u64)
    }

    fn clear(&self) -> Result<(), StoreError> {
        lock(&self.records).clear();
        Ok(())
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// An entry as one run of bytes, for stores that keep such.
impl NewEntry<'_> {
    /// The entry as bytes that know their digest: [`Found::from_record`] reads them.
    pub fn to_record(&self) -> Vec<u8> {
        let record = Record {
            codec: self.codec,
            shape: self.shape,
            created_at_ms: super::catalog::now_ms(),
            compute_nanos: self.compute_nanos,
            value_bytes: self.value_bytes() as u64,
            mapped: false,
            place: Place::Inline { start: 0 },
        };
        entry::encode(&self.key, &record, &self.origin.encode(), self.parts)
    }
}

impl Found {
    /// Reads what [`NewEntry::to_record`] made for this key, and verifies it.
    ///
    /// # Errors
    /// The bytes are damaged, are another key's, or are of a newer release.
    pub fn from_record(key: &EntryKey, bytes: Vec<u8>) -> Result<Found, Absent> {
        let record = entry::parse(key, &bytes)?;
        // A blob is named by the index of a cache directory only.
        let Place::Inline { start } = record.place else { return Err(Absent::DamagedRecord) };
        let value = Bytes::Inline { record: RecordBytes::Own(bytes), start };
        Ok(Found { codec: record.codec, shape: record.shape, compute_nanos: record.compute_nanos, value })
    }
}
