//! An entry in a list.

use std::time::{Duration, SystemTime};

use super::RecordInfo;
use super::bytes::{Reader, put_block};
use super::entry_key::EntryKey;
use super::tombstone::at;
use super::types::Absent;
use super::used::Used;

/// An entry of a store as a list has it: its key, its record, and what is known of its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub(crate) key: EntryKey,
    pub(crate) record: Vec<u8>,
    pub(crate) used: Used,
}

impl Listed {
    /// An entry that a store lists, without anything known of its use.
    pub fn new(key: EntryKey, record: Vec<u8>) -> Listed {
        Listed { key, record, used: Used::default() }
    }

    /// The entry's key.
    pub fn key(&self) -> EntryKey {
        self.key
    }

    /// What its record says.
    ///
    /// # Errors
    /// It is damaged, or of a newer release.
    pub fn info(&self) -> Result<RecordInfo<'_>, Absent> {
        RecordInfo::of(&self.record)
    }

    /// How often it was loaded, as far as programs have told.
    pub fn hits(&self) -> u64 {
        self.used.hits
    }

    /// When it was loaded last, as far as programs have told; `None` if never.
    pub fn last_used(&self) -> Option<SystemTime> {
        (self.used.last_ms > 0).then(|| at(self.used.last_ms))
    }

    /// What its result took to compute; zero where the record is damaged.
    pub fn compute_time(&self) -> Duration {
        self.info().map_or(Duration::ZERO, |info| info.compute_time())
    }

    /// Its bytes: of the encoded result before compression, with its record.
    pub fn bytes(&self) -> u64 {
        super::entry::fields(&self.record).map_or(0, |(fields, _)| super::census::bytes_of(&fields, &self.record))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(&self.used.encode());
        put_block(out, &self.record);
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Option<Listed> {
        let key = EntryKey::from_bytes(reader.array()?);
        let used = Used { last_ms: reader.u64()?, hits: reader.u64()? };
        Some(Listed { key, used, record: reader.block()?.to_vec() })
    }
}
