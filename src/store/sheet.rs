//! Uses of entries as they are written down: those of entries whose keys begin alike stand on one sheet.
//!
//! A program that uses a million entries would otherwise have a million values to change; so it has some 65,000 for each
//! function, and one that uses few has one for each.

use super::entry_key::{EntryKey, PREFIX_BYTES};
use super::used::Used;

/// The keys of a sheet have so many first bytes in common: its name.
pub(super) const NAME_BYTES: usize = PREFIX_BYTES + 2;
/// So many sheets a function may have.
pub(super) const SHEETS: u64 = 1 << 16;
/// So many bytes behind its name tell a key from the others of its sheet: as good as a whole digest of some thousand keys.
const REST_BYTES: usize = 8;

type Rest = [u8; REST_BYTES];

const ROW_BYTES: usize = REST_BYTES + 16;

/// The uses of entries whose keys begin alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sheet {
    /// In the order of their keys.
    uses: Vec<(Rest, Used)>,
}

/// The name of the sheet that a key's uses are on.
pub(super) fn name_of(key: &EntryKey) -> &[u8] {
    &key.as_bytes()[..NAME_BYTES]
}

fn rest_of(key: &EntryKey) -> Rest {
    std::array::from_fn(|at| key.as_bytes()[NAME_BYTES + at])
}

fn rest_in(row: &[u8; ROW_BYTES]) -> Rest {
    std::array::from_fn(|at| row[at])
}

fn used_in(row: &[u8; ROW_BYTES]) -> Option<Used> {
    Used::parse(&row[REST_BYTES..])
}

impl Sheet {
    /// What does not read is an empty sheet: it only says what is used.
    pub(super) fn parse(bytes: &[u8]) -> Sheet {
        let (rows, []) = bytes.as_chunks::<ROW_BYTES>() else { return Sheet::default() };
        let uses: Option<Vec<_>> = rows.iter().map(|row| Some((rest_in(row), used_in(row)?))).collect();
        let is_in_order = |uses: &Vec<(Rest, Used)>| uses.is_sorted_by(|(one, _), (other, _)| one < other);
        Sheet { uses: uses.filter(is_in_order).unwrap_or_default() }
    }

    /// What is on a sheet of a key, without the rest of it.
    pub(super) fn look(bytes: &[u8], key: &EntryKey) -> Option<Used> {
        let (rows, []) = bytes.as_chunks::<ROW_BYTES>() else { return None };
        let at = rows.binary_search_by(|row| rest_in(row).cmp(&rest_of(key))).ok()?;
        used_in(&rows[at])
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.uses.len() * ROW_BYTES);
        for (rest, used) in &self.uses {
            out.extend_from_slice(rest);
            out.extend_from_slice(&used.encode());
        }
        out
    }

    pub(super) fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }

    pub(super) fn has(&self, key: &EntryKey) -> bool {
        self.place(key).is_ok()
    }

    pub(super) fn add(&mut self, key: &EntryKey, more: Used) {
        match self.place(key) {
            Ok(at) => self.uses[at].1.add(more),
            Err(at) => self.uses.insert(at, (rest_of(key), more)),
        }
    }

    /// Whether there was something of it.
    pub(super) fn remove(&mut self, key: &EntryKey) -> bool {
        self.place(key).map(|at| self.uses.remove(at)).is_ok()
    }

    fn place(&self, key: &EntryKey) -> Result<usize, usize> {
        let rest = rest_of(key);
        self.uses.binary_search_by(|(known, _)| known.cmp(&rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(last: u8) -> EntryKey {
        let mut bytes = [7; 40];
        bytes[NAME_BYTES + REST_BYTES - 1] = last;
        EntryKey::from_bytes(bytes)
    }

    #[test]
    fn a_sheet_comes_back() {
        let used = |last_ms, hits| Used { last_ms, hits };
        let mut sheet = Sheet::default();
        for (last, uses) in [(3, used(30, 1)), (1, used(10, 1)), (2, used(20, 1)), (3, used(31, 4))] {
            sheet.add(&key(last), uses);
        }
        assert_eq!(name_of(&key(1)), name_of(&key(3)));
        let bytes = sheet.encode();
        let mut again = Sheet::parse(&bytes);
        let look = |sheet: &Sheet| [1, 2, 3, 4].map(|last| Sheet::look(&sheet.encode(), &key(last)));
        assert_eq!(again, sheet);
        assert_eq!(look(&again), [Some(used(10, 1)), Some(used(20, 1)), Some(used(31, 5)), None]);
        assert!(again.remove(&key(2)) && !again.remove(&key(2)) && !again.is_empty());
        assert_eq!((again.has(&key(1)), again.has(&key(2))), (true, false));
    }

    #[test]
    fn what_is_no_sheet_is_an_empty_one() {
        let mut sheet = Sheet::default();
        sheet.add(&key(1), Used { last_ms: 1, hits: 1 });
        sheet.add(&key(2), Used { last_ms: 2, hits: 2 });
        let bytes = sheet.encode();
        assert!(Sheet::parse(&bytes[..bytes.len() - 1]).is_empty());
        assert_eq!(Sheet::look(&bytes[..bytes.len() - 1], &key(1)), None);
        let swapped = [&bytes[24..], &bytes[..24]].concat();
        assert!(Sheet::parse(&swapped).is_empty());
        assert!(Sheet::parse(&[]).is_empty());
    }
}
