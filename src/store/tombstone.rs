//! What is left of an entry that was removed: so that its next miss can say why.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::bytes::Reader;

/// How long it is kept.
pub(super) const KEPT_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// Why an entry was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Removal {
    /// The cache held more bytes than [`max_bytes`](crate::Limits::max_bytes), and this one was worth the least.
    MaxBytes,
    /// The cache held more entries than [`max_entries`](crate::Limits::max_entries), and this one was worth the least.
    MaxEntries,
    /// It was not used for [`max_age`](crate::Limits::max_age).
    MaxAge,
    /// Someone removed it: `forget`, or `clear` on what was shelved.
    Forgotten,
}

impl Removal {
    const ALL: [Removal; 4] = [Removal::MaxBytes, Removal::MaxEntries, Removal::MaxAge, Removal::Forgotten];
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Removal::MaxBytes => "evicted, to keep to `max_bytes`",
            Removal::MaxEntries => "evicted, to keep to `max_entries`",
            Removal::MaxAge => "removed, not used for `max_age`",
            Removal::Forgotten => "removed by hand",
        })
    }
}

/// An entry that was removed, and why. Kept for 90 days, or until the call is stored again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub(crate) why: Removal,
    pub(crate) at_ms: u64,
    pub(crate) bytes: u64,
    pub(crate) compute_nanos: u64,
}

impl Tombstone {
    const BYTES: usize = 25;

    /// Why it was removed.
    pub fn why(&self) -> Removal {
        self.why
    }

    /// When, by the clock of the machine that removed it.
    pub fn at(&self) -> SystemTime {
        at(self.at_ms)
    }

    /// The bytes it took.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it took to compute.
    pub fn compute_time(&self) -> Duration {
        Duration::from_nanos(self.compute_nanos)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Tombstone::BYTES);
        out.push(self.why as u8);
        for number in [self.at_ms, self.bytes, self.compute_nanos] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Tombstone> {
        let mut reader = Reader::new(bytes);
        let why = *Removal::ALL.get(usize::from(reader.u8()?))?;
        let tombstone = Tombstone { why, at_ms: reader.u64()?, bytes: reader.u64()?, compute_nanos: reader.u64()? };
        reader.rest().is_empty().then_some(tombstone)
    }
}

/// Milliseconds since 1970 as a time; only damage names one that a clock cannot.
pub(crate) fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_come_back() {
        for (place, why) in Removal::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place);
            let tombstone = Tombstone { why, at_ms: 1, bytes: u64::MAX, compute_nanos: 3 };
            let bytes = tombstone.encode();
            assert_eq!((Tombstone::parse(&bytes), bytes.len()), (Some(tombstone), Tombstone::BYTES));
            assert_eq!(Tombstone::parse(&bytes[..24]), None);
        }
        assert_eq!(Tombstone::parse(&[9; 25]), None);
    }
}
