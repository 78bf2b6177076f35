//! The sled index: the only file that names sled, but for the record type it hands out.
//!
//! sled reports damage as an error or, on some inputs, by a panic; both end here as a [`StoreError`]. A damaged index
//! leaves a mark, and the next opening sets it aside and makes a new one from the blobs.

use std::fs;
use std::path::{Path, PathBuf};

use sled::IVec;

use super::StoreError;
use super::bytes::{Guard, digest};
use crate::key::Key;
use crate::panics;

/// sled's own page cache. Records are small, and what is hot is kept decoded in front of it.
const PAGE_CACHE_BYTES: u64 = 128 << 20;
/// What was not flushed on purpose is at risk of a killed process for this long.
const FLUSH_EVERY_MS: u64 = 200;

/// A record's place in the index: entries of one function stand side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot([u8; SLOT_BYTES]);

const PREFIX_BYTES: usize = 8;
const SLOT_BYTES: usize = PREFIX_BYTES + 32;

/// The first bytes of the slots of all entries of a function, in all versions of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix([u8; PREFIX_BYTES]);

impl Prefix {
    pub(crate) fn of(function: &str) -> Prefix {
        let digest = digest(Guard::FunctionName, &[function.as_bytes()]);
        Prefix(std::array::from_fn(|at| digest[at]))
    }

    pub(crate) fn slot(self, key: &Key) -> Slot {
        let mut slot = [0; SLOT_BYTES];
        slot[..PREFIX_BYTES].copy_from_slice(&self.0);
        slot[PREFIX_BYTES..].copy_from_slice(key.as_bytes());
        Slot(slot)
    }
}

pub(crate) struct Index {
    db: sled::Db,
    dir: PathBuf,
}

/// Why an index did not open.
pub(crate) enum OpenFailure {
    /// The index is damaged: it can be set aside.
    Damaged(String),
    /// The system refused: setting the index aside would not help.
    System(std::io::Error),
}

impl Index {
    /// Opens the index in `dir`, made if there is none.
    pub(crate) fn open(dir: &Path) -> Result<Index, OpenFailure> {
        if let Ok(why) = fs::read_to_string(mark(dir)) {
            return Err(OpenFailure::Damaged(why));
        }
        let config = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(PAGE_CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        match panics::catch(|| config.open()) {
            Ok(Ok(db)) => Ok(Index { db, dir: dir.to_owned() }),
            Ok(Err(sled::Error::Io(error))) if !is_damage(&error) => Err(OpenFailure::System(error)),
            Ok(Err(error)) => Err(OpenFailure::Damaged(error.to_string())),
            Err(panic) => Err(OpenFailure::Damaged(panic.to_string())),
        }
    }

    pub(crate) fn get(&self, slot: &Slot) -> Result<Option<IVec>, StoreError> {
        self.guarded("reading the index", || self.db.get(slot.0))
    }

    /// Puts a record and answers the one it replaces.
    pub(crate) fn insert(&self, slot: &Slot, record: Vec<u8>) -> Result<Option<IVec>, StoreError> {
        self.guarded("writing the index", || self.db.insert(slot.0, record))
    }

    pub(crate) fn remove(&self, slot: &[u8]) -> Result<Option<IVec>, StoreError> {
        self.guarded("removing from the index", || self.db.remove(slot))
    }

    /// What was written so far survives a killed process once this returns.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.guarded("flushing the index", || self.db.flush()).map(drop)
    }

    /// The slots and records of a function, in all versions of its code.
    pub(crate) fn of_function(&self, prefix: Prefix) -> Result<Vec<(IVec, IVec)>, StoreError> {
        self.guarded("listing the index", || self.db.scan_prefix(prefix.0).collect())
    }

    pub(crate) fn clear(&self) -> Result<(), StoreError> {
        self.guarded("clearing the index", || self.db.clear())
    }

    fn guarded<R>(&self, what: &str, work: impl FnOnce() -> sled::Result<R>) -> Result<R, StoreError> {
        match panics::catch(work) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                if matches!(error, sled::Error::Corruption { .. }) {
                    self.leave_mark(&error.to_string());
                }
                Err(StoreError::new(what, error))
            }
            Err(panic) => {
                self.leave_mark(&panic.to_string());
                Err(StoreError::new(what, panic))
            }
        }
    }

    #[cold]
    fn leave_mark(&self, why: &str) {
        // Where even this cannot be written, the next opening meets the damage by itself.
        let _ = fs::write(mark(&self.dir), why);
    }
}

/// Beside the index, not within it: sled owns what is inside.
fn mark(dir: &Path) -> PathBuf {
    dir.with_extension("damaged")
}

/// sled reports some damage as an input error of these kinds.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof) && error.raw_os_error().is_none()
}

/// Moves a damaged index out of the way and answers where it went.
///
/// # Errors
/// The system refuses to rename.
pub(crate) fn set_aside(dir: &Path, now_ms: u64) -> std::io::Result<PathBuf> {
    let aside = dir.with_extension(format!("damaged-{now_ms}"));
    fs::rename(dir, &aside)?;
    match fs::remove_file(mark(dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(aside),
    }
}
