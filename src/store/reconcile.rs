//! After a crash or damage: what the blobs say and the index does not.
//!
//! A blob is written before its record, so a killed process leaves blobs without a record; an index that was cut short or
//! lost leaves many. A blob carries all that its record says, so it is taken in again; one whose key has a newer record is
//! what that record replaced, and is removed.

use std::collections::HashSet;

use super::StoreError;
use super::blob::{self, Blobs};
use super::entry::{self, Origin, Place, Record};
use super::entry_key::Prefix;
use super::index::Index;

/// Takes in the blobs that the index does not know; answers how many. With `remove`, those that stand for nothing are
/// removed: not while another program may be writing them.
///
/// # Errors
/// The index or the folder of blobs cannot be read or written.
pub(super) fn reconcile(index: &Index, blobs: &Blobs, remove: bool) -> Result<u64, StoreError> {
    let mut known = HashSet::new();
    index.for_each(|_, record| {
        if let Ok((Record { place: Place::Blob { name }, .. }, _)) = entry::fields(record) {
            known.insert(name);
        }
    })?;
    let unknown = blobs
        .names()
        .map_err(|error| StoreError::new("listing the blobs", error))?
        .into_iter()
        .filter(|name| !known.contains(name));
    let mut taken_in = 0;
    for name in unknown {
        let kept = match blobs.head(&name) {
            Ok(Some(head)) => take_in(index, &name, &head)?,
            // What is damaged stands for nothing.
            Ok(None) => false,
            // What cannot be read now, or only by a newer release, is left alone.
            Err(_) => continue,
        };
        if kept {
            taken_in += 1;
        } else if remove {
            blobs.remove(&name)?;
        }
    }
    index.flush()?;
    Ok(taken_in)
}

/// Puts the record of a blob into the index, unless its key has one.
fn take_in(index: &Index, name: &[u8; 32], head: &[u8]) -> Result<bool, StoreError> {
    let Some(header) = blob::parse_header(head) else { return Ok(false) };
    let Some(origin) = Origin::parse(header.origin) else { return Ok(false) };
    let slot = Prefix::of(&origin.function).entry(&header.key);
    if index.get(&slot)?.is_some_and(|record| entry::parse(&slot, &record).is_ok()) {
        return Ok(false);
    }
    let record = Record { facts: header.facts, place: Place::Blob { name: *name } };
    index.insert(&slot, &entry::encode(&slot, &record, header.origin, &[]))?;
    Ok(true)
}
