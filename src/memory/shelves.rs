//! What all who open one directory share, and the directories that are open in this program.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, Weak};

use super::hot::HotTier;
use super::uses::Gathered;
use crate::error::Result;
use crate::lock::{lock, whole};
use crate::store::{Access, DiskStore, Setup, Store, StoreError};
use crate::sys::exit;

const DEFAULT_HOT_BYTES: u64 = 64 << 20;

/// What all who open one directory share.
pub(crate) struct Shelves {
    pub(super) store: Box<dyn Store>,
    pub(super) hot: HotTier,
    /// What is used, until the store is told.
    pub(super) uses: Gathered,
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
    /// Tells the store what was used.
    pub(super) fn tell_uses(&self) -> std::result::Result<(), StoreError> {
        if self.store.is_read_only() {
            return Ok(());
        }
        let uses = self.uses.take();
        if uses.is_empty() { Ok(()) } else { self.store.note_uses(&uses) }
    }

    pub(super) fn new(store: Box<dyn Store>, hot_bytes: Option<u64>, listed: Option<Listed>) -> Shelves {
        Shelves {
            store,
            hot: HotTier::new(hot_bytes.unwrap_or(DEFAULT_HOT_BYTES)),
            uses: Gathered::new(),
            #[cfg(feature = "async")]
            turns: Arc::default(),
            _listed: listed,
        }
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
