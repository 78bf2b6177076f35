//! What survives the program: an index of small records (sled) and files for what is large.
//!
//! docs/format.md describes every byte. The files are the truth and the index is rebuildable: a blob carries its key and
//! all that its record says, so a damaged index is set aside and made anew from them.

pub(crate) mod blob;
pub(crate) mod bytes;
pub(crate) mod disk;
pub(crate) mod entry;
pub(crate) mod index;
pub(crate) mod location;
mod reconcile;
mod sync;

use std::borrow::Cow;
use std::path::Path;
use std::{fs, io};

use crate::codec::{CodecId, Large};
use crate::key::Key;
use entry::Origin;

pub use blob::Compression;
pub(crate) use disk::DiskStore;

/// Values up to this many encoded bytes stand in their record; larger ones are files.
pub(crate) const INLINE_BYTES: usize = 4096;

/// What is to be stored.
pub(crate) struct NewEntry<'e> {
    pub(crate) key: Key,
    pub(crate) codec: CodecId,
    pub(crate) shape: u64,
    pub(crate) compute_nanos: u64,
    pub(crate) origin: &'e Origin<'e>,
    /// The encoded value, in parts that lie one behind the other.
    pub(crate) parts: &'e [Cow<'e, [u8]>],
    /// The value is to be mapped when it is loaded, so its bytes are stored as they are.
    pub(crate) mapped: bool,
    /// The result must be safe from a killed process before the call returns.
    pub(crate) costly: bool,
}

impl NewEntry<'_> {
    /// The length of the encoded value.
    pub(crate) fn value_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

/// What was found, verified against its digest.
pub(crate) struct Found {
    pub(crate) codec: CodecId,
    pub(crate) shape: u64,
    pub(crate) compute_nanos: u64,
    pub(crate) value: Bytes,
}

/// A value's encoded bytes, where they lie.
pub(crate) enum Bytes {
    /// Within a record of the index.
    Inline { record: sled::IVec, start: usize },
    /// Of a blob.
    Blob(Large),
}

impl Bytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Inline { record, start } => &record[*start..],
            Bytes::Blob(large) => large.as_slice(),
        }
    }
}

/// Why a lookup found nothing it can serve.
#[derive(Debug)]
pub(crate) enum Absent {
    /// There is no entry.
    Never,
    /// The record fails its digest or does not parse.
    DamagedRecord,
    /// The record was written by a newer release.
    NewerRecord,
    /// The blob's file is gone.
    MissingBlob,
    /// The blob's file is shorter or longer than it says.
    TruncatedBlob,
    /// The blob's bytes fail their digest.
    AlteredBlob,
    /// The store could not be read.
    Unreadable(StoreError),
}

/// Removes a file; one that is gone already is no error.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A store operation that failed: what was tried and what the system said.
#[derive(Debug)]
pub(crate) struct StoreError {
    pub(crate) what: String,
    pub(crate) cause: String,
}

impl StoreError {
    pub(crate) fn new(what: impl Into<String>, cause: impl std::fmt::Display) -> StoreError {
        StoreError { what: what.into(), cause: cause.to_string() }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}
