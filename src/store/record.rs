//! An entry as one run of bytes, for stores that keep such: a database of keys and values, a file for each, a server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::EntryKey;
use super::catalog::now_ms;
use super::entry::{self, Facts, Origin, Place, Record};
use super::types::{Absent, Found, NewEntry, RecordBytes, Value};

impl NewEntry<'_> {
    /// The entry as bytes that know their digest and what they are of: [`Found::from_record`] reads them, [`RecordInfo`]
    /// tells of them. They hold the whole value, copied.
    ///
    /// What is not promised: that two records of one entry are equal (they hold the time), or that a later release writes
    /// the same bytes. It reads them, or says that it does not.
    pub fn to_record(&self) -> Vec<u8> {
        let record = Record { facts: Facts::of(self, now_ms()), place: Place::Inline { start: 0 } };
        entry::encode(&self.key, &record, &self.origin.encode(), self.parts)
    }
}

impl Found {
    /// Reads what [`NewEntry::to_record`] made for this key, and verifies every byte of it. Bytes from anywhere can be given:
    /// none are trusted, and none make this panic.
    ///
    /// # Errors
    /// [`Absent::DamagedRecord`]: the bytes are damaged or another key's. [`Absent::NewerRecord`]: they are of a newer
    /// release.
    pub fn from_record(key: &EntryKey, bytes: Vec<u8>) -> Result<Found, Absent> {
        let record = entry::parse(key, &bytes)?;
        // A blob is named by the index of a cache directory only.
        let Place::Inline { start } = record.place else { return Err(Absent::DamagedRecord) };
        Ok(Found { facts: record.facts, record: RecordBytes::Own(bytes), value: Value::Inline { start } })
    }
}

/// What a record says of its entry, beside the value: for a store that lists what it keeps.
///
/// Nothing of it is verified, for that takes the key and the whole value ([`Found::from_record`]): what a damaged record
/// says may be anything.
#[derive(Clone, Debug)]
pub struct RecordInfo<'r> {
    facts: Facts,
    origin: Origin<'r>,
}

impl<'r> RecordInfo<'r> {
    /// Reads the front of what [`NewEntry::to_record`] made.
    ///
    /// # Errors
    /// [`Absent::DamagedRecord`]: the bytes are no record. [`Absent::NewerRecord`]: they are one of a newer release.
    pub fn of(record: &'r [u8]) -> Result<RecordInfo<'r>, Absent> {
        let (record, origin) = entry::fields(record)?;
        let origin = Origin::parse(origin).ok_or(Absent::DamagedRecord)?;
        Ok(RecordInfo { facts: record.facts, origin })
    }

    /// Whether [`Store::clear_function`](super::Store::clear_function) with these arguments removes the entry.
    pub fn is_of(&self, function: &str, by_hand: bool) -> bool {
        self.origin.is_of(function, by_hand)
    }

    pub(crate) fn created_at_ms(&self) -> u64 {
        self.facts.created_at_ms
    }

    pub(crate) fn origin(&self) -> &Origin<'r> {
        &self.origin
    }

    /// The name of the function whose result it is.
    pub fn function(&self) -> &str {
        &self.origin.function
    }

    /// Whether the function is a closure that goes by a name and version given by hand.
    pub fn is_by_hand(&self) -> bool {
        self.origin.fingerprint.is_none()
    }

    /// The version that was given by hand, of a closure or beside an attribute.
    pub fn version(&self) -> u64 {
        self.origin.version
    }

    /// The length of the encoded value.
    pub fn value_bytes(&self) -> u64 {
        self.facts.value_bytes
    }

    /// When it was stored, by the clock of the machine that did, in milliseconds.
    pub fn created_at(&self) -> SystemTime {
        // Only damage names a time that a clock cannot.
        UNIX_EPOCH.checked_add(Duration::from_millis(self.facts.created_at_ms)).unwrap_or(UNIX_EPOCH)
    }

    /// How long the computation took.
    pub fn compute_time(&self) -> Duration {
        Duration::from_nanos(self.facts.compute_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecId;
    use crate::key::Key;
    use crate::store::Prefix;

    fn record(value: &[u8]) -> (EntryKey, Vec<u8>) {
        let key = Prefix::of("f").entry(&Key::from_bytes([7; 32]));
        let origin = Origin { function: "f".into(), fingerprint: None, version: 3, arguments: Vec::new(), call: None };
        let entry = NewEntry {
            key,
            codec: CodecId::Compact,
            shape: 5,
            compute_nanos: 1_000,
            origin: &origin,
            parts: &[value.into()],
            mapped: true,
            costly: false,
            created_at_ms: None,
        };
        (key, entry.to_record())
    }

    #[test]
    fn a_record_tells_what_it_is_of() {
        let before = SystemTime::now() - Duration::from_millis(1);
        let (key, bytes) = record(b"value");
        let info = RecordInfo::of(&bytes).unwrap();
        assert!(info.is_of("f", true));
        assert!(!info.is_of("f", false) && !info.is_of("g", true));
        assert_eq!((info.version(), info.value_bytes(), info.compute_time()), (3, 5, Duration::from_micros(1)));
        assert!(info.created_at() >= before && info.created_at() <= SystemTime::now());
        assert_eq!(Found::from_record(&key, bytes).unwrap().value(), b"value");
        assert_eq!(key.as_bytes()[..8], EntryKey::function_prefix("f"));
    }

    #[test]
    fn bytes_that_are_no_record_are_told_so() {
        let (_, bytes) = record(b"value");
        // The front up to the value is what tells; the value itself belongs to it by its length.
        for cut in 0..bytes.len() {
            assert!(matches!(RecordInfo::of(&bytes[..cut]), Err(Absent::DamagedRecord)), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0xff;
            if let Ok(info) = RecordInfo::of(&altered) {
                // Any time may stand there, and must not be a panic.
                let _ = (info.created_at(), info.function().len());
            }
        }
    }
}
