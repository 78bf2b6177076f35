//! What a memory did: hits, misses and why, stores, and the time saved.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::reason::{MissReason, NotStoredReason};

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
    /// Of all these, calls answered by an entry of earlier code that was [blessed](crate::Cached::bless).
    pub hits_blessed: u64,
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
            .field("hits_blessed", &self.hits_blessed)
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
pub(crate) struct Source {
    pub(crate) place: Place,
    /// The entry is one of other code, which was blessed.
    pub(crate) blessed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Hot,
    Index,
    Blob,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.place {
            Place::Hot => "memory",
            Place::Index => "the index",
            Place::Blob => "a blob",
        })?;
        f.write_str(if self.blessed { ", blessed" } else { "" })
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
    blessed: AtomicU64,
}

impl Counters {
    #[inline]
    pub(crate) fn hit(&self, source: Source, compute_nanos: u64) {
        self.hits[source.place as usize].fetch_add(1, Relaxed);
        if source.blessed {
            self.blessed.fetch_add(1, Relaxed);
        }
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
            hits_hot: read(&self.hits[Place::Hot as usize]),
            hits_index: read(&self.hits[Place::Index as usize]),
            hits_blob: read(&self.hits[Place::Blob as usize]),
            hits_blessed: read(&self.blessed),
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
        let sums = [&self.stores, &self.bytes_loaded, &self.bytes_stored, &self.nanos_saved, &self.nanos_computing];
        lists.chain(sums).chain([&self.blessed])
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
        counters.hit(Source { place: Place::Hot, blessed: false }, 0);
        counters.hit(Source { place: Place::Blob, blessed: true }, 0);
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
        counters.add(&list);
        assert_eq!((counters.snapshot().hits(), counters.snapshot().hits_blessed), (4, 2));
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
