//! What all who open one directory share, and the directories that are open in this program.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, LazyLock, Mutex, Weak};
use std::time::Duration;

use super::bless::{Answering, Noted};
use super::code_lists::ListName;
use super::computation::{COSTLY, nanos};
use super::hot::{Hot, HotTier};
use super::uses::Gathered;
use crate::error::Result;
use crate::key::Key;
use crate::lock::{lock, whole};
use crate::store::{Access, DiskStore, EntryKey, Setup, Store, StoreError};
use crate::sys::exit;

const DEFAULT_HOT_BYTES: u64 = 64 << 20;

/// What all who open one directory share.
pub(crate) struct Shelves {
    pub(super) store: Box<dyn Store>,
    pub(super) hot: HotTier,
    /// What is used, until the store is told.
    pub(super) uses: Gathered,
    /// What is blessed.
    pub(super) answering: Answering,
    /// The functions of which it was noted that this program has them.
    pub(super) noted: Noted,
    /// The codes whose items were kept by this program.
    pub(super) listed_codes: Mutex<HashSet<ListName>>,
    /// What the results took that were stored since the last one that was made safe at once.
    at_risk_nanos: AtomicU64,
    /// How often something was removed: what was found before that is not put into memory after it.
    removals: AtomicU64,
    /// Who awaits what.
    #[cfg(feature = "async")]
    pub(super) turns: Arc<super::turns::Turns>,
    // Last: the directory is struck off the list once the store is closed.
    _listed: Option<Listed>,
}

/// A directory, by its canonical path, and what it is open for.
pub(super) type Opening = (PathBuf, Access);

/// The directories open in this process.
#[derive(Default)]
struct OpenDirectories {
    list: Mutex<HashMap<Opening, Weak<Shelves>>>,
    struck_off: Condvar,
}

static OPEN: LazyLock<OpenDirectories> = LazyLock::new(OpenDirectories::default);

/// A directory's place on the list of open ones.
pub(super) struct Listed(Opening);

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&OPEN.list).remove(&self.0);
        OPEN.struck_off.notify_all();
    }
}

/// Makes what is open safe at the end of the program.
fn settle_all() {
    // Whoever holds the list just now is opening or closing, and cannot be waited for here.
    if let Ok(list) = OPEN.list.try_lock() {
        for shelves in list.values().filter_map(Weak::upgrade) {
            // As in the end of a memory.
            let _ = shelves.tell_uses();
            shelves.store.settle();
        }
    }
}

impl Drop for Shelves {
    fn drop(&mut self) {
        // Nobody is left to tell that it failed.
        let _ = self.tell_uses();
    }
}

impl Shelves {
    /// Whether a result that took so long is to be made safe at once: it is costly, or those since the last such one are,
    /// together with it.
    pub(super) fn is_costly(&self, took: Duration) -> bool {
        let nanos = nanos(took);
        let at_risk = self.at_risk_nanos.fetch_add(nanos, Relaxed).saturating_add(nanos);
        let is_costly = u128::from(at_risk) >= COSTLY.as_nanos();
        if is_costly {
            self.at_risk_nanos.store(0, Relaxed);
        }
        is_costly
    }

    /// Tells the store what was used.
    pub(super) fn tell_uses(&self) -> std::result::Result<(), StoreError> {
        // Taken even where nobody can be told, or the list would grow for ever.
        let uses = self.uses.take();
        if uses.is_empty() || self.store.is_read_only() { Ok(()) } else { self.store.note_uses(&uses) }
    }

    pub(super) fn new(store: Box<dyn Store>, hot_bytes: Option<u64>, listed: Option<Listed>) -> Shelves {
        Shelves {
            store,
            hot: HotTier::new(hot_bytes.unwrap_or(DEFAULT_HOT_BYTES)),
            uses: Gathered::new(),
            answering: Answering::default(),
            noted: Noted::default(),
            listed_codes: Mutex::default(),
            at_risk_nanos: AtomicU64::new(0),
            removals: AtomicU64::new(0),
            #[cfg(feature = "async")]
            turns: Arc::default(),
            _listed: listed,
        }
    }

    /// To be asked before the store is: says to [`keep_found`](Shelves::keep_found) whether what was found may be gone since.
    pub(super) fn removals(&self) -> u64 {
        self.removals.load(SeqCst)
    }

    /// Puts what was found in the store into memory, unless something was removed since.
    pub(super) fn keep_found(&self, key: Key, hot: Hot, removals: u64) {
        self.hot.insert(key, hot);
        // Looked at behind it: a removal that is not seen here finds the value there.
        if self.removals() != removals {
            self.hot.remove(&key);
        }
    }

    /// Removes an entry from the store and from memory; answers whether it was in either.
    pub(super) fn forget(&self, key: &EntryKey) -> std::result::Result<bool, StoreError> {
        let forgotten = self.store.forget(key);
        self.removed();
        // What the store refused once is in memory alone.
        let was_hot = self.hot.remove(&key.call());
        // It may be there under the key of a call that it answered for.
        if self.answering.has_answered() {
            self.hot.clear();
        }
        forgotten.map(|was_stored| was_stored || was_hot)
    }

    /// Removes entries from the store, and all from memory: keys do not tell their function apart there, and what is still in the
    /// store is warm again with its next use.
    pub(super) fn clear<R>(
        &self,
        clear: impl FnOnce(&dyn Store) -> std::result::Result<R, StoreError>,
    ) -> std::result::Result<R, StoreError> {
        let cleared = clear(&*self.store);
        self.answering.forget();
        self.noted.forget();
        self.removed();
        // Gone with the entries.
        lock(&self.listed_codes).clear();
        self.hot.clear();
        cleared
    }

    /// Something is gone. Said behind the removal and before memory is looked through: who finds the value earlier either puts it
    /// there in time to be removed, or sees that something was.
    fn removed(&self) {
        self.removals.fetch_add(1, SeqCst);
    }

    /// The shelves of the directory, those already open in this process if there are any.
    pub(super) fn open(path: &Path, setup: Setup, hot_bytes: Option<u64>) -> Result<Arc<Shelves>> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let opening = (path, setup.access);
        // The list stays locked while the store opens: two threads must not race for one directory's lock file.
        let mut list = lock(&OPEN.list);
        while let Some(listed) = list.get(&opening) {
            match listed.upgrade() {
                Some(shelves) => return Ok(shelves),
                // Its last holder is just closing it.
                None => list = whole(OPEN.struck_off.wait(list)),
            }
        }
        let store = Box::new(DiskStore::open_at(&opening.0, setup)?);
        let shelves = Arc::new(Shelves::new(store, hot_bytes, Some(Listed(opening.clone()))));
        list.insert(opening, Arc::downgrade(&shelves));
        // A memory in a `static` is never dropped.
        exit::at_exit(settle_all);
        Ok(shelves)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hot::{HotUse, HotValue};
    use super::*;
    use crate::store::used::{Calls, FunctionName};
    use crate::store::{Absent, Claims, Found, NewEntry, VolatileStore};

    struct ReadOnly(VolatileStore);

    impl Store for ReadOnly {
        fn get(&self, key: &EntryKey) -> std::result::Result<Found, Absent> {
            self.0.get(key)
        }

        fn put(&self, entry: &NewEntry<'_>) -> std::result::Result<Option<StoreError>, StoreError> {
            self.0.put(entry)
        }

        fn clear_function(&self, function: &str, by_hand: bool) -> std::result::Result<u64, StoreError> {
            self.0.clear_function(function, by_hand)
        }

        fn forget(&self, key: &EntryKey) -> std::result::Result<bool, StoreError> {
            self.0.forget(key)
        }

        fn clear(&self) -> std::result::Result<(), StoreError> {
            self.0.clear()
        }

        fn claims(&self) -> &Claims {
            self.0.claims()
        }

        fn is_read_only(&self) -> bool {
            true
        }
    }

    fn hot(entry: EntryKey) -> Hot {
        let function = Arc::new(FunctionName { name: "f".to_owned(), by_hand: true });
        let used = Arc::new(HotUse { entry, function, compute_nanos: 1, blessed: false, hits: AtomicU64::new(0) });
        Hot { value: HotValue::Decoded(Arc::new(1)), bytes: 8, stored_at_ms: 0, metadata: None, used }
    }

    /// A call that had found a value just before it was forgotten put it back into memory, and it was loaded ever after.
    #[test]
    fn what_was_found_before_a_removal_is_not_kept_after_it() {
        let shelves = Shelves::new(Box::<VolatileStore>::default(), None, None);
        let entry = EntryKey::from_bytes([7; 40]);
        let key = entry.call();
        shelves.keep_found(key, hot(entry), shelves.removals());
        assert!(shelves.hot.get(&key).is_some());
        for remove in [
            |shelves: &Shelves, entry: &EntryKey| drop(shelves.forget(entry)),
            |shelves: &Shelves, _: &EntryKey| drop(shelves.clear(|store| store.clear())),
        ] {
            let before = shelves.removals();
            remove(&shelves, &entry);
            assert!(shelves.hot.get(&key).is_none());
            shelves.keep_found(key, hot(entry), before);
            assert!(shelves.hot.get(&key).is_none());
        }
    }

    /// The list of what was used grew for as long as the program ran, and held the values.
    #[test]
    fn what_is_used_of_a_read_only_store_is_forgotten() {
        let shelves = Shelves::new(Box::new(ReadOnly(VolatileStore::default())), None, None);
        let (used, entry) = (hot(EntryKey::from_bytes([1; 40])).used, EntryKey::from_bytes([2; 40]));
        shelves.uses.hot(&used);
        shelves.uses.call(&used.function, Some(&entry), Calls::default());
        assert_eq!(Arc::strong_count(&used), 2);
        assert!(shelves.tell_uses().is_ok());
        assert_eq!(Arc::strong_count(&used), 1);
        assert!(shelves.uses.take().is_empty());
    }
}
