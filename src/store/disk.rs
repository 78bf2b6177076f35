//! The store on disk: index and blobs as one.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::blob::{Blobs, Compression};
use super::entry::{self, Origin, Place, Record};
use super::index::{self, Index, OpenFailure, Prefix};
use super::location::{Location, failed};
use super::reconcile::reconcile;
use super::{Absent, Bytes, Found, INLINE_BYTES, NewEntry, StoreError};
use crate::error::{Error, LocationReason};
use crate::key::Key;

/// An open cache directory.
pub(crate) struct DiskStore {
    index: Index,
    blobs: Blobs,
    // Last, so that the index is closed before the directory is free for others.
    location: Location,
}

/// What opening had to repair, as words for the user.
pub(crate) type Repair = Option<String>;

impl DiskStore {
    /// Opens the cache in a [prepared](super::location::prepare) directory; a damaged index is set aside, and blobs that
    /// it does not know are taken in.
    ///
    /// # Errors
    /// See [`Location::open`]; or the system refuses the index its files.
    pub(crate) fn open(path: &Path, compression: Compression) -> Result<(DiskStore, Repair), Error> {
        let location = Location::open(path)?;
        let blobs = Blobs::new(path.join("blobs"), path.join("temp"), compression);
        let dir = path.join("index");
        let refused = |error| {
            let what = "cannot hold an index: check its permissions and the free space, or choose another directory";
            failed(path, what, LocationReason::Io, Some(error))
        };
        let give_up = |failure| match failure {
            OpenFailure::System(error) => refused(error),
            OpenFailure::Damaged(why) => refused(io::Error::other(why)),
            OpenFailure::InUse => {
                let what = "has an index that another program holds: wait for it to end, or choose another directory";
                failed(path, what, LocationReason::InUse, None)
            }
        };
        let (index, as_closed, damage) = match Index::open(&dir) {
            Ok((index, as_closed)) => (index, as_closed, None),
            Err(OpenFailure::Damaged(why)) => {
                let aside = index::set_aside(&dir, now_ms()).map_err(refused)?;
                let (index, _) = Index::open(&dir).map_err(give_up)?;
                (index, false, Some((why, aside)))
            }
            Err(failure) => return Err(give_up(failure)),
        };
        let taken_in = if as_closed {
            0
        } else {
            reconcile(&index, &blobs).map_err(|error| refused(io::Error::other(error.to_string())))?
        };
        let repair = match damage {
            Some((why, aside)) => Some(format!(
                "the index of the cache `{}` was damaged ({why}); it was set aside as `{}` and made anew: \
                 {taken_in} large results were kept, small ones will be computed again",
                path.display(),
                aside.display()
            )),
            None if taken_in > 0 => Some(format!(
                "the index of the cache `{}` did not know {taken_in} of the large results beside it, after a crash or \
                 damage; they were taken in again",
                path.display()
            )),
            None => None,
        };
        remove_orphans(&path.join("temp"));
        Ok((DiskStore { index, blobs, location }, repair))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.location.path
    }

    /// Leaves the index as a close would, for a program that ends without closing.
    pub(crate) fn settle(&self) {
        self.index.settle();
    }

    /// Looks a key up and verifies what is found.
    pub(crate) fn get(&self, prefix: Prefix, key: &Key) -> Result<Found, Absent> {
        let bytes = self.index.get(&prefix.slot(key)).map_err(Absent::Unreadable)?.ok_or(Absent::Never)?;
        let record = entry::parse(key, &bytes)?;
        let value = match record.place {
            Place::Inline { start } => Bytes::Inline { record: bytes, start },
            Place::Blob { name } => Bytes::Blob(self.blobs.read(key, &name)?),
        };
        Ok(Found { codec: record.codec, shape: record.shape, compute_nanos: record.compute_nanos, value })
    }

    /// Stores an entry in place of the one its key may have had.
    ///
    /// The answer is what failed after the entry was in: making it safe from a killed process, or removing the file of
    /// the value it replaces.
    ///
    /// # Errors
    /// The system refuses; then the entry is not there, and what was there before is.
    pub(crate) fn put(&self, prefix: Prefix, new: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        let created_at_ms = now_ms();
        let origin = new.origin.encode();
        let value_bytes = new.value_bytes();
        let place = if value_bytes > INLINE_BYTES {
            Place::Blob { name: self.blobs.write(new, &origin, created_at_ms)? }
        } else {
            Place::Inline { start: 0 }
        };
        let record = Record {
            codec: new.codec,
            shape: new.shape,
            created_at_ms,
            compute_nanos: new.compute_nanos,
            value_bytes: value_bytes as u64,
            mapped: new.mapped,
            place,
        };
        let bytes = entry::encode(&new.key, &record, &origin, new.parts);
        let replaced = match self.index.insert(&prefix.slot(&new.key), bytes) {
            Ok(replaced) => replaced,
            Err(error) => {
                // An unnamed blob would be an orphan; if even its removal fails, a rebuild finds it.
                if let Place::Blob { name } = place {
                    let _ = self.blobs.remove(&name);
                }
                return Err(error);
            }
        };
        let flushed = self.index.flush_after_store(new.costly);
        let removed = match replaced.map(|bytes| entry::fields(&bytes).map(|(record, _)| record.place)) {
            Some(Ok(Place::Blob { name })) if place != (Place::Blob { name }) => self.blobs.remove(&name),
            _ => Ok(()),
        };
        Ok(flushed.and(removed).err())
    }

    /// Removes the entries of a function, in all versions of its code; answers how many there were.
    ///
    /// Files go before their records: what a kill in between leaves is a record without a file, which is a miss.
    pub(crate) fn clear_function(&self, prefix: Prefix, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (slot, bytes) in self.index.of_function(prefix)? {
            let Ok((record, origin)) = entry::fields(&bytes) else {
                // Damage belongs to nobody: it goes with the function it stands under.
                self.index.remove(&slot)?;
                continue;
            };
            let is_other = |origin: Origin<'_>| origin.function != function || origin.fingerprint.is_none() != by_hand;
            if Origin::parse(origin).is_some_and(is_other) {
                continue;
            }
            if let Place::Blob { name } = record.place {
                self.blobs.remove(&name)?;
            }
            self.index.remove(&slot)?;
            removed += 1;
        }
        self.index.flush()?;
        Ok(removed)
    }

    /// Removes every entry.
    pub(crate) fn clear(&self) -> Result<(), StoreError> {
        self.blobs.clear().map_err(|error| StoreError::new("removing the blobs", error))?;
        self.index.clear()?;
        self.index.flush()
    }
}

/// Milliseconds since 1970; 0 on a machine whose clock stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Removes what a killed writer left: the lock is ours, so nobody is writing.
fn remove_orphans(temp: &Path) {
    for file in fs::read_dir(temp).into_iter().flatten().flatten() {
        // What is not ours to remove is no reason to refuse the cache.
        let _ = fs::remove_file(file.path());
    }
}
