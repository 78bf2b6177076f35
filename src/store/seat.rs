//! How a program that dies is told from one that is just being cut off: each guest of a store holds the lock of a file of
//! its own, which ends with it.
//!
//! A new owner looks who is alive: it gives out no claim before these have told which they hold, removes nothing that
//! they may be writing, and knows that what the others left half done is nobody's.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{blob, program, remove_if_there};

/// A guest's file, with its lock.
pub(super) struct Seat {
    path: PathBuf,
    _lock: File,
}

impl Seat {
    /// Takes this program's seat at the store.
    pub(super) fn take(dir: &Path) -> io::Result<Seat> {
        let path = dir.join("guests").join(format!("{:016x}", program()));
        // It gets its name when it is locked, so that nobody takes it for a dead one's.
        let new = blob::temporary(&dir.join("temp"))?;
        new.as_file().lock()?;
        let lock = new.persist(&path).map_err(|error| error.error)?;
        Ok(Seat { path, _lock: lock })
    }

    /// Whether the file is still there.
    pub(super) fn is_in_place(&self) -> bool {
        self.path.exists()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // One that stays is seen to be nobody's by the next owner.
        let _ = remove_if_there(&self.path);
    }
}

/// The other programs that have, or had, a seat.
pub(super) struct Others {
    pub(super) alive: HashSet<u64>,
    pub(super) dead: Vec<Dead>,
}

/// What is left of a program that was killed as a guest.
pub(super) struct Dead {
    path: PathBuf,
}

impl Dead {
    pub(super) fn remove(&self) {
        // One that stays is met again at the next opening.
        let _ = remove_if_there(&self.path);
    }
}

/// Who is at the store, and who was killed there.
pub(super) fn others(dir: &Path) -> Others {
    let mut others = Others { alive: HashSet::new(), dead: Vec::new() };
    for file in fs::read_dir(dir.join("guests")).into_iter().flatten().flatten() {
        let name = file.file_name();
        let Some(guest) = name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok()) else { continue };
        if guest == program() {
            continue;
        }
        match File::open(file.path()).map(|seat| seat.try_lock()) {
            Ok(Err(fs::TryLockError::WouldBlock)) => {
                others.alive.insert(guest);
            }
            // Whatever else it is, it is no living program.
            _ => others.dead.push(Dead { path: file.path() }),
        }
    }
    others
}

/// Removes what programs that are gone left in the directory of files being written.
pub(super) fn remove_leftovers(temp: &Path, alive: &HashSet<u64>) {
    for file in fs::read_dir(temp).into_iter().flatten().flatten() {
        let name = file.file_name();
        let writer = name.to_str().and_then(blob::writer);
        if writer.is_none_or(|writer| writer != program() && !alive.contains(&writer)) {
            // What is not ours to remove is no reason to refuse the cache.
            let _ = fs::remove_file(file.path());
        }
    }
}
