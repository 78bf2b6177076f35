//! The items of each code of a function, kept once in the store, so that a miss can name what changed.
//!
//! They are a note of kind `c`: the function's prefix, then the digest that stands for the code in keys.

use super::inventory::EntryInfo;
use super::items::{self, ItemChange};
use super::{Memory, Shelves, store_failed};
use crate::error::Result;
use crate::key::{Identity, unhex};
use crate::lock::lock;
use crate::store::{Prefix, StoreError};

const KIND: u8 = b'c';
const PREFIX_BYTES: usize = 8;

/// A function with more lists than this loses those of codes that have no entries.
const MOST_LISTS: usize = 64;

/// The name of a list's note.
pub(super) type ListName = [u8; 1 + PREFIX_BYTES + 32];

fn name(function: Prefix, fingerprint: &[u8; 32]) -> ListName {
    let mut name = [KIND; 1 + PREFIX_BYTES + 32];
    name[1..=PREFIX_BYTES].copy_from_slice(function.as_bytes());
    name[1 + PREFIX_BYTES..].copy_from_slice(fingerprint);
    name
}

impl Shelves {
    /// Keeps the items of a code that has an entry by now, once for each program and code.
    pub(super) fn keep_items(&self, function: &Identity, prefix: Prefix) {
        let (Some(code), Some(fingerprint)) = (function.made_of(), function.fingerprint()) else { return };
        let name = name(prefix, &fingerprint);
        if self.store.is_read_only() || !lock(&self.listed_codes).insert(name) {
            return;
        }
        // Without it a miss is told in plainer words. A store that fails says so of the result as well.
        let _ = self.note_items(&name, items::list_of(code).as_bytes(), function.name());
    }

    fn note_items(&self, name: &ListName, list: &[u8], function: &str) -> std::result::Result<(), StoreError> {
        if self.store.note(name)?.as_deref() == Some(list) {
            return Ok(());
        }
        self.store.set_note(name, Some(list))?;
        let lists = self.store.notes(&name[..=PREFIX_BYTES])?;
        if lists.len() <= MOST_LISTS {
            return Ok(());
        }
        let Some(totals) = self.store.function(function, false)? else { return Ok(()) };
        let has_entries = |name: &[u8]| {
            let codes = totals.tally.codes.iter().filter_map(|tally| tally.code.fingerprint);
            codes.into_iter().any(|code| name.ends_with(&code))
        };
        let mut unused = lists.iter().filter(|(other, _)| *other != name && !has_entries(other));
        unused.try_for_each(|(other, _)| self.store.set_note(other, None))
    }

    /// The items of a code, as far as they are known here.
    fn items(&self, function: Prefix, fingerprint: &[u8; 32]) -> Option<String> {
        let list = self.store.note(&name(function, fingerprint)).ok()??;
        String::from_utf8(list).ok()
    }

    /// What became of the items of another code of this function; empty where that is not known.
    pub(super) fn items_changed_since(&self, function: &Identity, prefix: Prefix, other: &Identity) -> Vec<ItemChange> {
        let old = other.fingerprint().and_then(|fingerprint| self.items(prefix, &fingerprint));
        match (old, function.made_of()) {
            (Some(old), Some(code)) => items::changes(&old, &items::list_of(code)),
            _ => Vec::new(),
        }
    }
}

impl Memory {
    /// What became of the items of an entry's code in the newest code of its function, which is the one that has the entry that
    /// was stored last. `None`: the entry is of that code, or of a closure. Empty: it is of another one, and what they
    /// are made of was not kept.
    ///
    /// # Errors
    /// The cache cannot be reached or read.
    ///
    /// # Examples
    /// ```
    /// #[larder::task]
    /// fn ramp(n: u32) -> Vec<u32> {
    ///     (0..n).collect()
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// memory.cached::<ramp>().call((10,));
    /// let entry = memory.entries().next().unwrap()?;
    /// assert_eq!(memory.items_changed_since(&entry)?, None); // the code is as it was
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn items_changed_since(&self, entry: &EntryInfo) -> Result<Option<Vec<ItemChange>>> {
        let Some(shelves) = &self.inner.place else { return Ok(None) };
        let Some(own) = entry.fingerprint.as_deref().and_then(unhex) else { return Ok(None) };
        let totals = shelves.store.function(&entry.function, false).map_err(|error| store_failed(shelves, &error))?;
        let codes = totals.iter().flat_map(|totals| &totals.tally.codes);
        let newest = codes.max_by_key(|tally| tally.last_ms).and_then(|tally| tally.code.fingerprint);
        let Some(newest) = newest.filter(|newest| *newest != own) else { return Ok(None) };
        let prefix = Prefix::of(&entry.function);
        let lists = shelves.items(prefix, &own).zip(shelves.items(prefix, &newest));
        Ok(Some(lists.map_or_else(Vec::new, |(old, new)| items::changes(&old, &new))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DiskStore;

    #[test]
    fn lists_of_codes_without_entries_go_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let shelves = Shelves::new(Box::new(DiskStore::open(dir.path()).unwrap()), None, None);
        let prefix = Prefix::of("f");
        let name = |code: usize| name(prefix, &[code as u8; 32]);
        for code in 0..MOST_LISTS {
            shelves.note_items(&name(code), b"list", "f").unwrap();
        }
        let lists = || shelves.store.notes(&name(0)[..=PREFIX_BYTES]).unwrap();
        // None of them has an entry, as far as is known: nothing is kept of the function.
        shelves.note_items(&name(MOST_LISTS), b"list", "f").unwrap();
        assert_eq!(lists().len(), MOST_LISTS + 1);
        assert_eq!(shelves.items(prefix, &[3; 32]).as_deref(), Some("list"));

        let origin = |code: u8| crate::store::entry::Origin {
            function: "f".into(),
            fingerprint: Some([code; 32]),
            version: 1,
            arguments: Vec::new(),
            call: None,
        };
        for code in [3, 5] {
            let entry = crate::store::NewEntry {
                key: crate::store::EntryKey::from_bytes([code; 40]),
                codec: crate::codec::CodecId::Compact,
                shape: 0,
                compute_nanos: 5,
                origin: &origin(code),
                parts: &[b"value"[..].into()],
                mapped: false,
                costly: false,
                created_at_ms: None,
            };
            assert!(matches!(shelves.store.put(&entry), Ok(None)));
        }
        // Written already: nothing is looked through.
        shelves.note_items(&name(MOST_LISTS), b"list", "f").unwrap();
        assert_eq!(lists().len(), MOST_LISTS + 1);
        shelves.note_items(&name(MOST_LISTS + 1), b"list", "f").unwrap();
        let left: Vec<_> = lists().into_iter().map(|(name, _)| usize::from(name[1 + PREFIX_BYTES])).collect();
        assert_eq!(left, [3, 5, MOST_LISTS + 1]);
    }
}
