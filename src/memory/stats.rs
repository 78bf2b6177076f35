//! What a memory did: hits, misses and why, stores, and the time saved.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Why a call was computed instead of loaded.
///
/// Every miss has exactly one reason, the first that applies in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MissReason {
    /// The memory is [disabled](crate::Memory::disabled).
    Disabled,
    /// An argument refused to be serialized, so there is no key.
    NoKey,
    /// Another call of the same key was under way: this thread must not wait for it (it is a rayon worker, or the
    /// holder itself), or waited and found that its result could not be stored.
    Claimed,
    /// There is no entry: these arguments are new, or the code or version changed.
    NeverSeen,
    /// The record in the index is damaged.
    DamagedRecord,
    /// The record was written by a newer release.
    NewerRecord,
    /// The blob's file is missing.
    MissingBlob,
    /// The blob's file is cut short.
    TruncatedBlob,
    /// The blob's file was altered.
    AlteredBlob,
    /// The bytes are whole, but no longer decode as the function's result type.
    Undecodable,
    /// Another program holds the cache and cannot be reached.
    NotServed,
    /// The store could not be read.
    Unreadable,
}

impl MissReason {
    /// All reasons, in the order they are checked.
    pub const ALL: [MissReason; 12] = [
        MissReason::Disabled,
        MissReason::NoKey,
        MissReason::Claimed,
        MissReason::NeverSeen,
        MissReason::DamagedRecord,
        MissReason::NewerRecord,
        MissReason::MissingBlob,
        MissReason::TruncatedBlob,
        MissReason::AlteredBlob,
        MissReason::Undecodable,
        MissReason::NotServed,
        MissReason::Unreadable,
    ];
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MissReason::Disabled => "the memory is disabled",
            MissReason::NoKey => "an argument cannot be serialized",
            MissReason::Claimed => "the same call was under way and left nothing to load",
            MissReason::NeverSeen => "never seen with these arguments and this code",
            MissReason::DamagedRecord => "the record is damaged",
            MissReason::NewerRecord => "the record is of a newer release",
            MissReason::MissingBlob => "the blob is missing",
            MissReason::TruncatedBlob => "the blob is truncated",
            MissReason::AlteredBlob => "the blob was altered",
            MissReason::Undecodable => {
                "the stored bytes are of another result type (it changed, or two functions share a name)"
            }
            MissReason::NotServed => "the program that holds the cache cannot be reached",
            MissReason::Unreadable => "the store cannot be read",
        })
    }
}

/// Why a computed result was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NotStoredReason {
    /// The function returned an `Err`.
    ErrorResult,
    /// The function returned `None`.
    NoneResult,
    /// No codec carries the value.
    NotSerializable,
    /// The cache is open [for reading only](crate::Memory::open_read_only).
    ReadOnly,
    /// The store refused: no space, no permission, a damaged index, nobody to reach it by.
    StoreFailed,
}

impl NotStoredReason {
    /// All reasons.
    pub const ALL: [NotStoredReason; 5] = [
        NotStoredReason::ErrorResult,
        NotStoredReason::NoneResult,
        NotStoredReason::NotSerializable,
        NotStoredReason::ReadOnly,
        NotStoredReason::StoreFailed,
    ];
}

impl fmt::Display for NotStoredReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotStoredReason::ErrorResult => "the result is an error",
            NotStoredReason::NoneResult => "the result is `None`",
            NotStoredReason::NotSerializable => "no codec carries the result there and back",
            NotStoredReason::ReadOnly => "the cache is open for reading only",
            NotStoredReason::StoreFailed => "the store failed",
        })
    }
}

/// Counts of one [`Memory`](crate::Memory) since it was opened in this process.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls answered from memory.
    pub hits_hot: u64,
    /// Calls answered from the index.
    pub hits_index: u64,
    /// Calls answered from a blob file.
    pub hits_blob: u64,
    /// Results stored.
    pub stores: u64,
    /// Encoded bytes loaded from index and blobs.
    pub bytes_loaded: u64,
    /// Encoded bytes stored.
    pub bytes_stored: u64,
    /// What the hits would have taken to compute, by the time they took when they were.
    pub time_saved: Duration,
    /// What the misses took to compute.
    pub time_computing: Duration,
    misses: [u64; MissReason::ALL.len()],
    not_stored: [u64; NotStoredReason::ALL.len()],
}

impl Stats {
    /// All hits.
    pub fn hits(&self) -> u64 {
        self.hits_hot + self.hits_index + self.hits_blob
    }

    /// All misses.
    pub fn misses(&self) -> u64 {
        self.misses.iter().sum()
    }

    /// The misses of one reason.
    pub fn misses_for(&self, reason: MissReason) -> u64 {
        self.misses[reason as usize]
    }

    /// The results not stored for one reason.
    pub fn not_stored_for(&self, reason: NotStoredReason) -> u64 {
        self.not_stored[reason as usize]
    }
}

/// Misses and results not stored by their reasons, as far as there were any.
impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misses = MissReason::ALL.iter().map(|reason| (reason, self.misses_for(*reason)));
        let not_stored = NotStoredReason::ALL.iter().map(|reason| (reason, self.not_stored_for(*reason)));
        f.debug_struct("Stats")
            .field("hits_hot", &self.hits_hot)
            .field("hits_index", &self.hits_index)
            .field("hits_blob", &self.hits_blob)
            .field("misses", &misses.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>())
            .field("stores", &self.stores)
            .field("not_stored", &not_stored.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>())
            .field("bytes_loaded", &self.bytes_loaded)
            .field("bytes_stored", &self.bytes_stored)
            .field("time_saved", &self.time_saved)
            .field("time_computing", &self.time_computing)
            .finish()
    }
}

/// Where a hit came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Hot,
    Index,
    Blob,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Hot => "memory",
            Source::Index => "the index",
            Source::Blob => "a blob",
        })
    }
}

/// The running counts; relaxed, since they order nothing.
#[derive(Default)]
pub(crate) struct Counters {
    hits: [AtomicU64; 3],
    misses: [AtomicU64; MissReason::ALL.len()],
    not_stored: [AtomicU64; NotStoredReason::ALL.len()],
    stores: AtomicU64,
    bytes_loaded: AtomicU64,
    bytes_stored: AtomicU64,
    nanos_saved: AtomicU64,
    nanos_computing: AtomicU64,
}

impl Counters {
    #[inline]
    pub(crate) fn hit(&self, source: Source, compute_nanos: u64) {
        self.hits[source as usize].fetch_add(1, Relaxed);
        self.nanos_saved.fetch_add(compute_nanos, Relaxed);
    }

    pub(crate) fn loaded(&self, bytes: u64) {
        self.bytes_loaded.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn miss(&self, reason: MissReason) {
        self.misses[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn computed(&self, nanos: u64) {
        self.nanos_computing.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn stored(&self, bytes: u64) {
        self.stores.fetch_add(1, Relaxed);
        self.bytes_stored.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn not_stored(&self, reason: NotStoredReason) {
        self.not_stored[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Stats {
            hits_hot: read(&self.hits[Source::Hot as usize]),
            hits_index: read(&self.hits[Source::Index as usize]),
            hits_blob: read(&self.hits[Source::Blob as usize]),
            stores: read(&self.stores),
            bytes_loaded: read(&self.bytes_loaded),
            bytes_stored: read(&self.bytes_stored),
            time_saved: Duration::from_nanos(read(&self.nanos_saved)),
            time_computing: Duration::from_nanos(read(&self.nanos_computing)),
            misses: std::array::from_fn(|at| read(&self.misses[at])),
            not_stored: std::array::from_fn(|at| read(&self.not_stored[at])),
        }
    }
}

/// The counts as a list, for another process of this program.
#[cfg(unix)]
impl Counters {
    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        let lists = self.hits.iter().chain(&self.misses).chain(&self.not_stored);
        lists.chain([&self.stores, &self.bytes_loaded, &self.bytes_stored, &self.nanos_saved, &self.nanos_computing])
    }

    pub(crate) fn list(&self) -> Vec<u64> {
        self.all().map(|counter| counter.load(Relaxed)).collect()
    }

    pub(crate) fn add(&self, list: &[u64]) {
        for (counter, more) in self.all().zip(list) {
            counter.fetch_add(*more, Relaxed);
        }
    }
}

/// The hits in such a list, and the misses of each reason that there was.
#[cfg(unix)]
pub(crate) fn lookups_in(list: &[u64]) -> (u64, impl Iterator<Item = (MissReason, u64)> + '_) {
    let (hits, rest) = list.split_at(list.len().min(3));
    (hits.iter().sum(), MissReason::ALL.into_iter().zip(rest.iter().copied()).filter(|(_, calls)| *calls > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_list_has_hits_and_misses() {
        let counters = Counters::default();
        counters.hit(Source::Hot, 0);
        counters.hit(Source::Blob, 0);
        counters.miss(MissReason::Claimed);
        counters.miss(MissReason::Unreadable);
        counters.miss(MissReason::Unreadable);
        counters.not_stored(NotStoredReason::ErrorResult);
        let list = counters.list();
        let (hits, misses) = lookups_in(&list);
        assert_eq!(
            (hits, misses.collect::<Vec<_>>()),
            (2, vec![(MissReason::Claimed, 1), (MissReason::Unreadable, 2)])
        );
        assert_eq!(lookups_in(&[]).0, 0);
    }

    #[test]
    fn each_reason_has_its_own_place() {
        for (place, reason) in MissReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place, "{reason:?}");
        }
        for (place, reason) in NotStoredReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place, "{reason:?}");
        }
    }
}
