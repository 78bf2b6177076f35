//! What goes into a store and what comes out.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use sled::IVec;

use super::RecordInfo;
use super::entry::{Facts, Origin};
use super::entry_key::EntryKey;
use super::tombstone::Tombstone;
use crate::codec::{CodecId, Large};

/// What is to be stored.
pub struct NewEntry<'e> {
    pub(crate) key: EntryKey,
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
    /// When the result was stored first, in milliseconds since 1970, if that was not now.
    pub(crate) created_at_ms: Option<u64>,
}

impl NewEntry<'_> {
    /// What the entry goes by.
    pub fn key(&self) -> EntryKey {
        self.key
    }

    /// The name of the function whose result it is.
    pub fn function(&self) -> &str {
        &self.origin.function
    }

    /// Whether the function is a closure that goes by a name and version given by hand.
    pub fn is_by_hand(&self) -> bool {
        self.origin.fingerprint.is_none()
    }

    /// Whether the result took long: a store that outlives the program makes it safe from a killed process before
    /// [`put`](super::Store::put) returns.
    pub fn is_costly(&self) -> bool {
        self.costly
    }

    /// The length of the encoded value.
    pub fn value_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }
}

impl fmt::Debug for NewEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewEntry")
            .field("key", &self.key)
            .field("function", &self.function())
            .field("value_bytes", &self.value_bytes())
            .finish_non_exhaustive()
    }
}

/// What was found, verified against its digest.
pub struct Found {
    pub(crate) facts: Facts,
    pub(crate) record: RecordBytes,
    pub(crate) value: Value,
}

impl Found {
    /// The encoded value.
    pub fn value(&self) -> &[u8] {
        match &self.value {
            Value::Inline { start } => &self.record[*start..],
            Value::Blob(large) => large.as_slice(),
        }
    }

    /// What its record says.
    pub(crate) fn info(&self) -> Option<RecordInfo<'_>> {
        RecordInfo::of(&self.record).ok()
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("codec", &self.facts.codec)
            .field("value_bytes", &self.value().len())
            .finish_non_exhaustive()
    }
}

/// A value's encoded bytes, where they lie.
pub(crate) enum Value {
    /// In the record, from here to its end.
    Inline { start: usize },
    /// Of a blob.
    Blob(Large),
}

/// The bytes of a record, whoever gave them.
pub(crate) enum RecordBytes {
    /// The index in this process.
    Sled(IVec),
    /// Anyone else.
    Own(Vec<u8>),
}

impl Deref for RecordBytes {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            RecordBytes::Sled(bytes) => bytes,
            RecordBytes::Own(bytes) => bytes,
        }
    }
}

/// Why a lookup found nothing it can serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Absent {
    /// There is no entry.
    Never,
    /// There was one, and it was removed.
    Removed(Tombstone),
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
    /// Another program holds the store and does not serve this one.
    NotServed(StoreError),
    /// The store could not be read.
    Unreadable(StoreError),
}

/// A store operation that failed: what was tried and what the system said.
#[derive(Clone, Debug)]
pub struct StoreError {
    what: String,
    cause: String,
    is_too_large: bool,
}

impl StoreError {
    /// `what` was tried, as in "writing the index"; `cause` is why it failed.
    pub fn new(what: impl Into<String>, cause: impl fmt::Display) -> StoreError {
        StoreError { what: what.into(), cause: cause.to_string(), is_too_large: false }
    }

    /// An entry is larger than [`max_bytes`](crate::Limits::max_bytes) allows all of them to be.
    pub fn too_large() -> StoreError {
        let error = StoreError::new("storing a result", "it is larger than `max_bytes` of the cache");
        StoreError { is_too_large: true, ..error }
    }

    /// Whether it is [that](StoreError::too_large).
    pub fn is_too_large(&self) -> bool {
        self.is_too_large
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for StoreError {}
