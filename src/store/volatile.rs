//! A store in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Mutex;

use super::types::{Absent, Found, NewEntry, StoreError};
use super::{Claims, EntryKey, Listed, Note, Prefix, RecordInfo, Store, notes};
use crate::key::ByFirstBytes;
use crate::lock::lock;

/// A store that ends with the program: for tests, and for single flight without a disk. It keeps all it is given.
#[derive(Debug, Default)]
pub struct VolatileStore {
    records: Mutex<HashMap<EntryKey, Vec<u8>, ByFirstBytes>>,
    notes: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
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
        if !by_hand {
            lock(&self.notes).retain(|name, _| !notes::is_of(name, Prefix::of(function)));
        }
        let is_of = |bytes: &[u8]| RecordInfo::of(bytes).is_ok_and(|info| info.is_of(function, by_hand));
        Ok(lock(&self.records).extract_if(|_, bytes| is_of(bytes)).count() as u64)
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        Ok(lock(&self.records).remove(key).is_some())
    }

    fn page(&self, function: Option<&str>, after: Option<&EntryKey>) -> Result<Vec<Listed>, StoreError> {
        const PAGE: usize = 256;
        let prefix = function.map(EntryKey::function_prefix);
        let records = lock(&self.records);
        let wanted = |key: &&EntryKey| {
            after.is_none_or(|after| *key > after) && prefix.is_none_or(|prefix| key.as_bytes().starts_with(&prefix))
        };
        let mut keys: Vec<&EntryKey> = records.keys().filter(wanted).collect();
        keys.sort_unstable();
        Ok(keys.iter().take(PAGE).map(|key| Listed::new(**key, records[*key].clone())).collect())
    }

    fn clear(&self) -> Result<(), StoreError> {
        lock(&self.records).clear();
        lock(&self.notes).clear();
        Ok(())
    }

    fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.notes).get(name).cloned())
    }

    fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        notes::check(name, note)?;
        match note {
            Some(note) => drop(lock(&self.notes).insert(name.to_owned(), note.to_owned())),
            None => drop(lock(&self.notes).remove(name)),
        }
        Ok(())
    }

    fn notes(&self, prefix: &[u8]) -> Result<Vec<Note>, StoreError> {
        let notes = lock(&self.notes);
        let from = notes.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let those = from.take_while(|(name, _)| name.starts_with(prefix));
        Ok(those.map(|(name, note)| (name.clone(), note.clone())).collect())
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}
