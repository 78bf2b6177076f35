//! Notes: small things that belong to functions and not to their entries, such as what their code was made of.
//!
//! A note is in the index behind a digest of its name and itself, so that a damaged one is none. Nothing that is needed for a
//! result is noted.

use std::ops::Bound;

use super::catalog::Catalog;
use super::entry_key::Prefix;
use super::index::Side;
use super::types::StoreError;
use crate::digest::Purpose;

/// The name of a note, and the note.
pub type Note = (Vec<u8>, Vec<u8>);

/// A name and its note are no longer: they are one message between programs.
const MOST_BYTES: usize = 1_000_000;
/// A page of notes is not longer, or is a single one.
const PAGE_BYTES: usize = 128 << 10;

/// Refuses what is too long.
pub(super) fn check(name: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
    let bytes = name.len() + note.map_or(0, <[u8]>::len);
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    let words = format!("it has {bytes} bytes with its name, and {MOST_BYTES} is the most");
    Err(StoreError::new("keeping a note", words))
}

/// Whether a note of this name, of whatever kind, is of a function.
pub(super) fn is_of(name: &[u8], function: Prefix) -> bool {
    name.get(1..).is_some_and(|name| name.starts_with(function.as_bytes()))
}

fn digest(name: &[u8], note: &[u8]) -> [u8; 32] {
    Purpose::Note.digest_of(&[&(name.len() as u64).to_le_bytes(), name, note])
}

/// The note in what is stored under a name, if it is whole.
pub(super) fn verified<'v>(name: &[u8], stored: &'v [u8]) -> Option<&'v [u8]> {
    let (expected, note) = stored.split_first_chunk::<32>()?;
    (digest(name, note) == *expected).then_some(note)
}

impl Catalog {
    pub(super) fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.index.side_get(Side::Notes, name)?;
        Ok(stored.and_then(|stored| verified(name, &stored).map(<[u8]>::to_vec)))
    }

    pub(super) fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        match note {
            // Every program that runs a code notes the same of it.
            Some(note) if self.note(name)?.as_deref() == Some(note) => return Ok(()),
            Some(note) => {
                let stored = [&digest(name, note)[..], note].concat();
                self.index.side_put(Side::Notes, name, &stored)?;
            }
            None => self.index.side_remove(Side::Notes, name)?,
        }
        self.index.flush()
    }

    /// Notes in the order of their names, behind `after`; none at the end.
    pub(super) fn notes(&self, prefix: &[u8], after: Option<&[u8]>) -> Result<Vec<Note>, StoreError> {
        let mut page = Vec::new();
        let mut bytes = 0;
        self.index.side_page(Side::Notes, after.map_or(Bound::Included(prefix), Bound::Excluded), |name, stored| {
            bytes += name.len() + stored.len();
            if !name.starts_with(prefix) || (bytes > PAGE_BYTES && !page.is_empty()) {
                return false;
            }
            if let Some(note) = verified(name, stored) {
                page.push((name.to_vec(), note.to_vec()));
            }
            true
        })?;
        Ok(page)
    }

    /// Removes the notes of a function.
    pub(super) fn remove_notes(&self, function: Prefix) -> Result<(), StoreError> {
        for kind in 0..=u8::MAX {
            let prefix = [&[kind], function.as_bytes()].concat();
            let mut names = Vec::new();
            self.index.side_page(Side::Notes, Bound::Included(&prefix), |name, _| {
                let is_one = name.starts_with(&prefix);
                if is_one {
                    names.push(name.to_vec());
                }
                is_one
            })?;
            names.iter().try_for_each(|name| self.index.side_remove(Side::Notes, name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DiskStore, Store};

    #[test]
    fn a_damaged_note_is_none() {
        let whole = [&digest(b"name", b"note")[..], b"note"].concat();
        assert_eq!(verified(b"name", &whole), Some(&b"note"[..]));
        assert_eq!(verified(b"nam", &whole), None, "another name");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(verified(b"name", &damaged), None, "byte {at}");
            assert_eq!(verified(b"name", &whole[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn notes_outlive_the_program_and_a_guest_sees_the_same() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = DiskStore::open(dir.path()).unwrap();
            store.set_note(b"c1", Some(b"one")).unwrap();
            // Its own owner's guest.
            let guest = DiskStore::open(dir.path()).unwrap();
            assert_eq!(guest.note(b"c1").unwrap().as_deref(), Some(&b"one"[..]));
            // Several pages of them.
            let large = vec![9; 100_000];
            (0..5).for_each(|at| guest.set_note(&[b'd', at], Some(&large)).unwrap());
            assert_eq!(
                guest.notes(b"d").unwrap(),
                (0..5).map(|at| (vec![b'd', at], large.clone())).collect::<Vec<_>>()
            );
            guest.set_note(b"d\0", None).unwrap();
            assert_eq!((store.notes(b"d").unwrap().len(), store.notes(b"").unwrap().len()), (4, 5));
            let too_long = guest.set_note(b"e", Some(&vec![0; MOST_BYTES])).unwrap_err();
            assert!(too_long.to_string().contains("1000001 bytes"), "{too_long}");
        }
        let store = DiskStore::open(dir.path()).unwrap();
        assert_eq!((store.note(b"c1").unwrap().unwrap(), store.notes(b"d").unwrap().len()), (b"one".to_vec(), 4));
    }
}
