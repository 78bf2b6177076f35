//! The sled index: the only file that names sled, but for the record type it hands out.
//!
//! sled reports damage as an error or, on some inputs, by a panic; both end here as a [`StoreError`]. A damaged index
//! leaves a mark, and the next opening sets it aside and makes a new one from the blobs.

use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use sled::IVec;

use super::location::patiently;
use super::sync::Syncer;
use super::{EntryKey, StoreError, remove_if_there};
use crate::panics;

/// sled's own page cache. Records are small, and what is hot is kept decoded in front of it.
const PAGE_CACHE_BYTES: u64 = 128 << 20;
/// What was not flushed on purpose is at risk of a killed process for this long.
const FLUSH_EVERY_MS: u64 = 200;

pub(crate) struct Index {
    db: sled::Db,
    sides: [sled::Tree; 4],
    dir: PathBuf,
    opened: Instant,
    /// Milliseconds after the opening; 0: never.
    flushed_at_ms: AtomicU64,
    // Before the note on the closed files: it syncs what is due.
    syncer: Syncer,
    // Last: it notes how the closed files look.
    closed: Closed,
}

/// What stands beside the records, under the same keys or under names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// When an entry was used.
    Used,
    /// Tombstones.
    Gone,
    /// The totals of functions.
    Census,
    /// What belongs to functions and not to entries.
    Notes,
}

impl Side {
    const NAMES: [&str; 4] = ["used", "gone", "census", "notes"];
}

/// Notes, when sled has closed its files, how long each is. A crash leaves no note, and files that were cut, emptied or
/// removed do not fit theirs: then the blobs are compared with the index at the next opening.
struct Closed {
    dir: PathBuf,
    /// Cleared where sled failed: what it left then is not to be trusted.
    sound: AtomicBool,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.write();
    }
}

impl Closed {
    fn write(&self) {
        if self.sound.load(Relaxed)
            && let Ok(files) = lengths(&self.dir)
        {
            // Without the note, the next opening takes longer and is right.
            let _ = fs::write(note(&self.dir), files);
        }
    }
}

/// Why an index did not open.
pub(crate) enum OpenFailure {
    /// The index is damaged: it can be set aside.
    Damaged(String),
    /// Someone holds sled's own lock.
    InUse,
    /// The system refused: setting the index aside would not help.
    System(io::Error),
}

impl Index {
    /// Opens the index in `dir`, made if there is none. The answer's second half says whether it is as it was closed.
    pub(crate) fn open(dir: &Path) -> Result<(Index, bool), OpenFailure> {
        if let Ok(why) = fs::read_to_string(mark(dir)) {
            return Err(OpenFailure::Damaged(why));
        }
        if dir.exists() && !dir.is_dir() {
            return Err(OpenFailure::Damaged("it is no directory".to_owned()));
        }
        remove_half_snapshots(dir).map_err(OpenFailure::System)?;
        let as_closed = fs::read_to_string(note(dir)).is_ok_and(|note| lengths(dir).is_ok_and(|files| files == note));
        remove_if_there(&note(dir)).map_err(OpenFailure::System)?;
        let config = sled::Config::new()
            .path(dir)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(PAGE_CACHE_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        // sled words it so; the kind is only `Other`.
        let is_held = |error: &io::Error| error.to_string().contains("acquire lock");
        let open = || {
            let db = config.open()?;
            let [used, gone, census, notes] = Side::NAMES.map(|name| db.open_tree(name));
            Ok((db, [used?, gone?, census?, notes?]))
        };
        let opened = patiently(|| match panics::catch(open) {
            Ok(Err(sled::Error::Io(error))) if is_held(&error) => None,
            opened => Some(opened),
        });
        match opened.ok_or(OpenFailure::InUse)? {
            Ok(Ok((db, sides))) => {
                let closed = Closed { dir: dir.to_owned(), sound: AtomicBool::new(true) };
                let syncer = Syncer::new(sync_of(dir));
                let index = Index {
                    syncer,
                    db,
                    sides,
                    dir: dir.to_owned(),
                    opened: Instant::now(),
                    flushed_at_ms: AtomicU64::new(0),
                    closed,
                };
                Ok((index, as_closed))
            }
            Ok(Err(sled::Error::Io(error))) if !is_damage(&error) => Err(OpenFailure::System(error)),
            Ok(Err(error)) => Err(OpenFailure::Damaged(error.to_string())),
            Err(panic) => Err(OpenFailure::Damaged(panic.to_string())),
        }
    }

    pub(crate) fn get(&self, key: &EntryKey) -> Result<Option<IVec>, StoreError> {
        self.guarded("reading the index", || self.db.get(key.as_bytes()))
    }

    /// Puts a record and answers the one it replaces.
    pub(crate) fn insert(&self, key: &EntryKey, record: &[u8]) -> Result<Option<IVec>, StoreError> {
        self.guarded("writing the index", || self.db.insert(key.as_bytes(), record))
    }

    pub(crate) fn remove(&self, slot: &[u8]) -> Result<Option<IVec>, StoreError> {
        self.guarded("removing from the index", || self.db.remove(slot))
    }

    /// Removes a record if it is still this one; answers whether it was.
    pub(super) fn remove_same(&self, slot: &[u8], record: &[u8]) -> Result<bool, StoreError> {
        self.guarded("removing from the index", || {
            Ok(self.db.compare_and_swap(slot, Some(record), None::<&[u8]>)?.is_ok())
        })
    }

    /// Flushes after a store: at once if the result was costly or the last flush is a while ago, so that a program that
    /// ends without closing its memory (a `static`) loses little.
    pub(crate) fn flush_after_store(&self, costly: bool) -> Result<(), StoreError> {
        let now = self.opened.elapsed().as_millis() as u64;
        let last = self.flushed_at_ms.load(Relaxed);
        if !costly && last != 0 && now.saturating_sub(last) < FLUSH_EVERY_MS {
            return Ok(());
        }
        self.flushed_at_ms.store(now.max(1), Relaxed);
        self.flush()?;
        if costly { self.syncer.soon() } else { Ok(()) }
    }

    /// What was written so far survives a killed process once this returns.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.guarded("flushing the index", || self.db.flush()).map(drop)
    }

    /// Has the next opening compare the blobs with the index, however this one is closed.
    pub(crate) fn close_unsettled(&self) {
        self.closed.sound.store(false, Relaxed);
    }

    /// Flushes, and notes how the files look now.
    pub(crate) fn settle(&self) {
        if self.flush().is_ok() {
            self.closed.write();
        }
    }

    /// Tells every slot and its record.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.guarded("listing the index", || {
            for item in self.db.iter() {
                let (slot, record) = item?;
                each(&slot, &record);
            }
            Ok(())
        })
    }

    /// Slots and records behind `after`, as far as `take` wants them.
    pub(super) fn page(&self, after: &[u8], mut take: impl FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        self.guarded("listing the index", || {
            for item in self.db.range::<&[u8], _>((Bound::Excluded(after), Bound::Unbounded)) {
                let (slot, record) = item?;
                if !take(&slot, &record) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Removes everything.
    pub(crate) fn clear(&self) -> Result<(), StoreError> {
        self.guarded("clearing the index", || {
            self.db.clear()?;
            self.sides.iter().try_for_each(|side| side.clear())
        })
    }

    fn side(&self, side: Side) -> &sled::Tree {
        &self.sides[side as usize]
    }

    pub(super) fn side_get(&self, side: Side, slot: &[u8]) -> Result<Option<IVec>, StoreError> {
        self.guarded("reading the index", || self.side(side).get(slot))
    }

    pub(super) fn side_put(&self, side: Side, slot: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.guarded("writing the index", || self.side(side).insert(slot, value)).map(drop)
    }

    pub(super) fn side_remove(&self, side: Side, slot: &[u8]) -> Result<(), StoreError> {
        self.guarded("removing from the index", || self.side(side).remove(slot)).map(drop)
    }

    pub(super) fn side_for_each(&self, side: Side, mut each: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.guarded("listing the index", || {
            for item in self.side(side).iter() {
                let (slot, value) = item?;
                each(&slot, &value);
            }
            Ok(())
        })
    }

    /// What stands at `start` and behind it, as far as `take` wants it.
    pub(super) fn side_page(
        &self,
        side: Side,
        start: Bound<&[u8]>,
        mut take: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.guarded("listing the index", || {
            for item in self.side(side).range::<&[u8], _>((start, Bound::Unbounded)) {
                let (slot, value) = item?;
                if !take(&slot, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn guarded<R>(&self, what: &str, work: impl FnOnce() -> sled::Result<R>) -> Result<R, StoreError> {
        match panics::catch(work) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                self.closed.sound.store(false, Relaxed);
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
        self.closed.sound.store(false, Relaxed);
        // Where even this cannot be written, the next opening meets the damage by itself.
        let _ = fs::write(mark(&self.dir), why);
    }
}

/// Syncs sled's log to the disk.
fn sync_of(dir: &Path) -> Box<dyn Fn() -> Result<(), StoreError> + Send> {
    let log = dir.join("db");
    Box::new(move || {
        // Opened anew each time: syncing any descriptor of a file syncs the file.
        let synced = fs::File::open(&log).and_then(|log| log.sync_data());
        synced.map_err(|error| StoreError::new(format!("syncing the index `{}`", log.display()), error))
    })
}

/// Beside the index, not within it: sled owns what is inside.
fn mark(dir: &Path) -> PathBuf {
    dir.with_extension("damaged")
}

fn note(dir: &Path) -> PathBuf {
    dir.with_extension("closed")
}

/// The names and lengths of the index's files, a line each, sorted.
fn lengths(dir: &Path) -> io::Result<String> {
    let mut lines = Vec::new();
    for file in fs::read_dir(dir)? {
        let file = file?;
        lines.push(format!("{} {}\n", file.file_name().display(), file.metadata()?.len()));
    }
    lines.sort_unstable();
    Ok(lines.concat())
}

/// sled reports some damage as an input error of these kinds.
fn is_damage(error: &io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof) && error.raw_os_error().is_none()
}

/// Removes snapshots that sled did not come to the end of, when it was killed or the disk was full: it would take them for damaged
/// ones. What it reads instead is the snapshot before, and all of the log behind that.
fn remove_half_snapshots(dir: &Path) -> io::Result<()> {
    let files = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

/// Moves a damaged index out of the way and answers where it went.
///
/// # Errors
/// The system refuses to rename.
pub(crate) fn set_aside(dir: &Path, now_ms: u64) -> io::Result<PathBuf> {
    let aside = dir.with_extension(format!("damaged-{now_ms}"));
    match fs::rename(dir, &aside) {
        // Someone removed it, or a kill came between this step and the next.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        renamed => renamed?,
    }
    remove_if_there(&mark(dir))?;
    Ok(aside)
}
