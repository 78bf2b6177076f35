//! What a program uses of its cache, gathered until the store is told.
//!
//! A hit in memory costs one addition: an entry is put on the list with its first use since the store was told last, and
//! what it counts is read then. The store is told once a second at most, by whoever comes by, and at the end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::hot::HotUse;
use crate::lock::lock;
use crate::store::used::{Calls, FunctionName, Used};
use crate::store::{EntryKey, Uses, now_ms};

const EVERY: Duration = Duration::from_secs(1);
/// More than this is told before.
const MOST: usize = 1024;
/// So many functions, or wrappers of one, are told of before.
const MOST_FUNCTIONS: usize = 64;
/// So many hits of one entry are a reason to look at the clock.
const LOOK_AFTER: u64 = 1024;

pub(super) struct Gathered {
    pending: Mutex<Pending>,
    started: Instant,
    /// Milliseconds since `started`.
    told_at: AtomicU64,
}

#[derive(Default)]
struct Pending {
    hot: Vec<Arc<HotUse>>,
    /// One for each use.
    entries: Vec<EntryKey>,
    /// Few: a search by pointer is quicker than a hash of names.
    functions: Vec<(Arc<FunctionName>, Calls)>,
}

impl Gathered {
    pub(super) fn new() -> Gathered {
        Gathered { pending: Mutex::default(), started: Instant::now(), told_at: AtomicU64::new(0) }
    }

    /// An entry was used in memory. Answers whether it is time to tell.
    #[inline]
    pub(super) fn hot(&self, hot: &Arc<HotUse>) -> bool {
        let before = hot.hits.fetch_add(1, Relaxed);
        if before == 0 { self.first(hot) } else { before.is_multiple_of(LOOK_AFTER) && self.is_due() }
    }

    #[cold]
    fn first(&self, hot: &Arc<HotUse>) -> bool {
        let mut pending = lock(&self.pending);
        pending.hot.push(Arc::clone(hot));
        let is_full = pending.hot.len() >= MOST;
        drop(pending);
        is_full || self.is_due()
    }

    /// A call came to this. Answers whether it is time to tell.
    pub(super) fn call(&self, function: &Arc<FunctionName>, entry: Option<&EntryKey>, calls: Calls) -> bool {
        let mut pending = lock(&self.pending);
        pending.entries.extend(entry);
        match pending.functions.iter_mut().find(|(known, _)| Arc::ptr_eq(known, function)) {
            Some((_, all)) => all.add(calls),
            None => pending.functions.push((Arc::clone(function), calls)),
        }
        let is_full = pending.entries.len() >= MOST || pending.functions.len() >= MOST_FUNCTIONS;
        drop(pending);
        is_full || self.is_due()
    }

    /// An entry was used, and no call came to it. Answers whether it is time to tell.
    pub(super) fn entry(&self, entry: &EntryKey) -> bool {
        let mut pending = lock(&self.pending);
        pending.entries.push(*entry);
        let is_full = pending.entries.len() >= MOST;
        drop(pending);
        is_full || self.is_due()
    }

    fn is_due(&self) -> bool {
        self.started.elapsed().as_millis() as u64 >= self.told_at.load(Relaxed) + EVERY.as_millis() as u64
    }

    /// What was gathered, to be told now.
    pub(super) fn take(&self) -> Uses {
        self.told_at.store(self.started.elapsed().as_millis() as u64, Relaxed);
        let Pending { hot, mut entries, functions: counted } = std::mem::take(&mut *lock(&self.pending));
        let last_ms = now_ms();
        let mut uses = Uses::default();
        let mut functions: HashMap<Arc<FunctionName>, Calls> = HashMap::new();
        counted.into_iter().for_each(|(function, calls)| functions.entry(function).or_default().add(calls));
        for hot in hot {
            let hits = hot.hits.swap(0, Relaxed);
            uses.entries.push((hot.entry, Used { last_ms, hits }));
            let nanos_saved = hits.saturating_mul(hot.compute_nanos);
            let blessed = if hot.blessed { hits } else { 0 };
            let calls = Calls { hits, nanos_saved, blessed, ..Calls::default() };
            functions.entry(Arc::clone(&hot.function)).or_default().add(calls);
        }
        entries.sort_unstable();
        let same = entries.chunk_by(|one, other| one == other);
        uses.entries.extend(same.map(|uses| (uses[0], Used { last_ms, hits: uses.len() as u64 })));
        uses.functions.extend(functions.into_iter().map(|(function, calls)| ((*function).clone(), calls)));
        uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_told_once() {
        let function = Arc::new(FunctionName { name: "f".to_owned(), by_hand: false });
        let entry = EntryKey::from_bytes([1; 40]);
        let hits = AtomicU64::new(0);
        let hot = Arc::new(HotUse { entry, function: Arc::clone(&function), compute_nanos: 10, blessed: false, hits });
        let gathered = Gathered::new();
        for _ in 0..5 {
            gathered.hot(&hot);
        }
        let miss = Calls { misses: 1, nanos_computing: 7, ..Calls::default() };
        gathered.call(&function, None, miss);
        let hit = Calls { hits: 1, nanos_saved: 10, ..Calls::default() };
        gathered.call(&function, Some(&EntryKey::from_bytes([2; 40])), hit);
        let uses = gathered.take();
        let hits: Vec<u64> = uses.entries.iter().map(|(_, used)| used.hits).collect();
        assert_eq!(hits, [5, 1]);
        let calls = Calls { hits: 6, misses: 1, nanos_saved: 60, nanos_computing: 7, blessed: 0 };
        assert_eq!(uses.functions, [((*function).clone(), calls)]);
        assert!(gathered.take().is_empty());
        gathered.hot(&hot);
        assert_eq!(gathered.take().entries.len(), 1, "it is on the list again");
    }
}
