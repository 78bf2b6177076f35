//! Where results are kept: the [`Store`] behind a [`Memory`](crate::Memory).
//!
//! [`DiskStore`] is the one that survives the program, and that many programs share: an index of small records (sled) and
//! files for what is large. docs/format.md describes every byte. The files are the truth and the index is rebuildable: a
//! blob carries its key and all that its record says, so a damaged index is set aside and made anew from them.
//!
//! One program at a time has the index open, and serves the others over a socket (`server`, `guest`); `link` is
//! how each finds the other, and what happens when the owner ends. Blobs are written and read by each program itself.
//!
//! [`VolatileStore`] keeps entries in memory, for tests and for programs that want single flight without a disk.

mod asks;
mod attempt;
pub(crate) mod blob;
pub(crate) mod bytes;
mod catalog;
pub(crate) mod census;
mod claims;
mod disk;
pub(crate) mod entry;
mod entry_key;
mod evict;
#[cfg(unix)]
mod guest;
mod index;
mod keeping;
mod lately;
mod limits;
mod link;
mod listed;
pub(crate) mod location;
mod notes;
mod ranking;
mod rebuild;
mod recent;
mod reconcile;
mod record;
mod remote;
mod repair;
mod role;
mod seat;
#[cfg(unix)]
mod server;
mod shared;
mod sheet;
#[cfg(unix)]
mod socket;
mod sync;
pub(crate) mod tombstone;
pub(crate) mod transfer;
mod types;
pub(crate) mod usage;
pub(crate) mod used;
pub(crate) mod verify;
mod volatile;
#[cfg(unix)]
mod wire;

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

pub use blob::Compression;
pub(crate) use catalog::now_ms;
pub use census::FunctionTotals;
pub use claims::{Claimant, Claimed, Claims, End, Patience};
pub use disk::DiskStore;
pub(crate) use disk::{Access, Setup};
pub use entry_key::EntryKey;
pub(crate) use entry_key::Prefix;
pub use limits::{Limits, Reduced, Size};
pub use listed::Listed;
pub use notes::Note;
pub use rebuild::{Rebuilt, rebuild};
pub use record::RecordInfo;
pub(crate) use tombstone::at as time_at;
pub use tombstone::{Removal, Tombstone};
pub use transfer::{Exported, Imported};
pub(crate) use types::Value;
pub use types::{Absent, Found, NewEntry, StoreError};
pub use usage::DiskUsage;
pub use used::Uses;
pub use verify::{Damage, Damaged, Verified, VerifyProgress};
pub use volatile::VolatileStore;

/// Values up to this many encoded bytes stand in their record; larger ones are files.
pub(crate) const INLINE_BYTES: usize = 4096;

/// Where entries are kept. Implement it to keep them in a database or on a server, and give it to
/// [`Memory::with_store`](crate::Memory::with_store).
///
/// What must hold of every implementation: what is found under a key is what was put there last, whole and unchanged, or
/// nothing; a store that fails says so and loses nothing that it had; all methods can be called by many threads at once,
/// and none panics. An entry may go at any time. The feature `conformance` adds `larder::conformance`, which checks all of
/// this in one `#[test]`.
///
/// A store needs to know nothing of what it keeps: [`NewEntry::to_record`] makes one run of bytes of an entry, and
/// [`Found::from_record`] verifies them, so bytes that were damaged on the way are a miss with a reason. [`RecordInfo`] says
/// whose they are, and a store that sorts its keys finds a function's by [`EntryKey::function_prefix`]. Claims are kept by a
/// [`Claims`] of its own, unless programs are to share them: then `get_or_claim`, `claim` and `release` go to whoever keeps
/// the one list, under the names that [`Claimant::to_bytes`] gives.
///
/// # Examples
/// A map, as it might be a database's table:
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::{Mutex, MutexGuard, PoisonError};
///
/// use larder::Memory;
/// use larder::store::{Absent, Claims, EntryKey, Found, NewEntry, RecordInfo, Store, StoreError};
///
/// #[derive(Default)]
/// struct Table {
///     rows: Mutex<BTreeMap<[u8; 40], Vec<u8>>>,
///     claims: Claims,
/// }
///
/// impl Table {
///     fn rows(&self) -> MutexGuard<'_, BTreeMap<[u8; 40], Vec<u8>>> {
///         self.rows.lock().unwrap_or_else(PoisonError::into_inner)
///     }
/// }
///
/// impl Store for Table {
///     fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
///         // A database that cannot be read would be `Absent::Unreadable`.
///         let record = self.rows().get(key.as_bytes()).cloned().ok_or(Absent::Never)?;
///         Found::from_record(key, record)
///     }
///
///     fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
///         self.rows().insert(*entry.key().as_bytes(), entry.to_record());
///         // Here, if `entry.is_costly()`, a database commits.
///         Ok(None)
///     }
///
///     fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
///         let prefix = EntryKey::function_prefix(function);
///         let is_gone = |key: &[u8; 40], record: &[u8]| {
///             key.starts_with(&prefix) && RecordInfo::of(record).is_ok_and(|info| info.is_of(function, by_hand))
///         };
///         let mut rows = self.rows();
///         let before = rows.len();
///         rows.retain(|key, record| !is_gone(key, record));
///         Ok((before - rows.len()) as u64)
///     }
///
///     fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
///         Ok(self.rows().remove(key.as_bytes()).is_some())
///     }
///
///     fn clear(&self) -> Result<(), StoreError> {
///         self.rows().clear();
///         Ok(())
///     }
///
///     fn claims(&self) -> &Claims {
///         &self.claims
///     }
/// }
///
/// let memory = Memory::builder().memory_tier_bytes(0).with_store(Table::default());
/// let square = memory.cached_fn("square", 1, |x: &f64| x * x);
/// assert_eq!(square.call(&3.0), 9.0); // computed, put
/// assert_eq!(square.call(&3.0), 9.0); // got
/// assert_eq!((memory.stats().misses(), memory.stats().hits()), (1, 1));
/// ```
pub trait Store: Send + Sync + 'static {
    /// Looks an entry up and verifies what is found.
    ///
    /// # Errors
    /// There is nothing to serve, and why: [`Absent::Never`] where nothing is there, [`Absent::Unreadable`] where that is
    /// not known.
    fn get(&self, key: &EntryKey) -> Result<Found, Absent>;

    /// The record of an entry, without a look at what it names. The default asks for the whole entry.
    ///
    /// # Errors
    /// As [`get`](Store::get).
    fn peek(&self, key: &EntryKey) -> Result<Listed, Absent> {
        let found = self.get(key)?;
        Ok(Listed::new(*key, found.record.to_vec()))
    }

    /// Verifies every byte of an entry that a [page](Store::page) had; answers how many were read. The default loads it.
    ///
    /// # Errors
    /// It is damaged, and how; or it has gone since.
    fn verify(&self, listed: &Listed) -> Result<u64, Absent> {
        self.get(&listed.key()).map(|found| found.value().len() as u64)
    }

    /// Stores an entry in place of the one its key may have had. The answer is what failed after the entry was in, such as
    /// making it safe or removing what it replaces. An entry that [is costly](NewEntry::is_costly) outlives a killed process
    /// once this returns, if entries outlive the program at all; others may be lost.
    ///
    /// # Errors
    /// The entry is not there, and what was there before is.
    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError>;

    /// Removes the entries of a function, in all versions of its code: those of a closure (`by_hand`) or those of a
    /// function with an attribute. Answers how many there were.
    ///
    /// # Errors
    /// The store refuses; what is then left is whole.
    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError>;

    /// Removes one entry; answers whether there was one.
    ///
    /// # Errors
    /// The store refuses; the entry is still there.
    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError>;

    /// Removes every entry.
    ///
    /// # Errors
    /// As [`clear_function`](Store::clear_function).
    fn clear(&self) -> Result<(), StoreError>;

    /// A page of entries in the order of their keys, behind `after`; an empty one is the end. With `function`, those whose keys
    /// begin with its [prefix](EntryKey::function_prefix). What comes and goes meanwhile is in it or not.
    ///
    /// # Errors
    /// The store keeps no list, which is the default, or cannot be read.
    fn page(&self, function: Option<&str>, after: Option<&EntryKey>) -> Result<Vec<Listed>, StoreError> {
        let _ = (function, after);
        Err(StoreError::new("listing entries", "this store keeps no list of them"))
    }

    /// A page of what is kept of each function, in the order of their names, behind `after`; an empty one is the end.
    ///
    /// # Errors
    /// The store keeps no totals, which is the default, or cannot be read.
    fn functions(&self, after: Option<&FunctionTotals>) -> Result<Vec<FunctionTotals>, StoreError> {
        let _ = after;
        Err(StoreError::new("listing functions", "this store keeps no totals"))
    }

    /// What is kept of one function: of a closure (`by_hand`) or one with an attribute. `None` where nothing is, or where no
    /// totals are kept, which is the default.
    ///
    /// # Errors
    /// The store cannot be read.
    fn function(&self, name: &str, by_hand: bool) -> Result<Option<FunctionTotals>, StoreError> {
        let _ = (name, by_hand);
        Ok(None)
    }

    /// Takes up when entries were used and what calls came to. Told now and then; the default forgets it.
    ///
    /// # Errors
    /// It could not be noted.
    fn note_uses(&self, uses: &Uses) -> Result<(), StoreError> {
        let _ = uses;
        Ok(())
    }

    /// What was noted under this name. A store may keep notes beside its entries, for what belongs to a function and not to
    /// one of its entries. A name is a byte for the kind of note, the [prefix](EntryKey::function_prefix) of the function that it
    /// is of, and more; [`clear_function`](Store::clear_function) takes those of a function with an attribute along, and
    /// [`clear`](Store::clear) all of them.
    ///
    /// Nothing that is needed for a result is noted: a store that keeps none, which is the default, serves all calls, and
    /// explains less of them.
    ///
    /// # Errors
    /// The store cannot be read. A damaged note is none.
    fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = name;
        Ok(None)
    }

    /// Notes this under a name, in place of what was noted there; `None` removes it. It outlives a killed process once this
    /// returns, if entries outlive the program at all. A name and its note are a million bytes at most.
    ///
    /// # Errors
    /// The store keeps no notes, which is the default; or it cannot be written, and what was noted is as it was.
    fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
        let _ = (name, note);
        Err(StoreError::new("keeping a note", "this store keeps none"))
    }

    /// Makes all that was put so far survive the killing of the program at once, and a power loss soon; by default nothing is
    /// done.
    ///
    /// # Errors
    /// The store cannot be written.
    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// All notes whose names begin so, in the order of their names.
    ///
    /// # Errors
    /// The store cannot be read.
    fn notes(&self, prefix: &[u8]) -> Result<Vec<Note>, StoreError> {
        let _ = prefix;
        Ok(Vec::new())
    }

    /// Has the store held to these limits from now on, beside those it is held to already.
    ///
    /// # Errors
    /// The store cannot be limited, which is the default.
    fn limit(&self, limits: &Limits) -> Result<(), StoreError> {
        let _ = limits;
        Err(StoreError::new("limiting the store", "it removes nothing by itself"))
    }

    /// Removes what is too much for these limits, what is worth the least first; with `dry` only says what that would be.
    ///
    /// # Errors
    /// The store cannot be reduced, which is the default, or fails in the middle: what is then left is whole.
    fn reduce(&self, limits: &Limits, dry: bool) -> Result<Reduced, StoreError> {
        let _ = (limits, dry);
        Err(StoreError::new("reducing the store", "it removes nothing by itself"))
    }

    /// Who computes what just now, where this program keeps that itself.
    fn claims(&self) -> &Claims;

    /// Looks an entry up and, where there is nothing to serve, claims its key for `who`; [`release`](Store::release) ends
    /// the claim. What another stored and released before the claim was given is found: nothing is computed twice.
    fn get_or_claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Lookup {
        get_or_claim_here(self, key, who, patience)
    }

    /// Claims a key for `who`, whatever is stored there.
    fn claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Claimed {
        self.claims().claim(key, who, patience)
    }

    /// Ends a claim, if `who` has it.
    fn release(&self, key: &EntryKey, who: Claimant, end: End) {
        self.claims().release(key, who, end);
    }

    /// Leaves the store as a close would, for a program that ends without closing.
    fn settle(&self) {}

    /// What its user should be told and was not yet: a repair, a store out of reach. Called often; must be quick.
    fn news(&self) -> Option<String> {
        None
    }

    /// The directory, if there is one.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// Whether nothing is ever stored.
    fn is_read_only(&self) -> bool {
        false
    }
}

/// [`Store::get_or_claim`] for claims that are kept in this program.
fn get_or_claim_here<S: Store + ?Sized>(store: &S, key: &EntryKey, who: Claimant, patience: Patience) -> Lookup {
    let mut absent = Absent::Never;
    let look = || match store.get(key) {
        Ok(found) => Some(found),
        Err(why) => {
            absent = why;
            None
        }
    };
    match store.claims().find_or_claim(key, who, patience, look) {
        Ok(found) => Lookup::Found(found),
        Err(Claimed::Mine) => Lookup::Mine(absent),
        Err(claimed) => Lookup::Claimed(claimed),
    }
}

/// What [`Store::get_or_claim`] met.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lookup {
    /// The entry.
    Found(Found),
    /// Nothing to serve, for this reason; the caller has the claim.
    Mine(Absent),
    /// Nothing to serve, and the claim is not the caller's: never [`Claimed::Mine`].
    Claimed(Claimed),
    /// Nothing to serve, and claims cannot be made just now.
    Unclaimed(Absent),
}

/// A number that tells this program from all others.
fn program() -> u64 {
    static PROGRAM: LazyLock<u64> = LazyLock::new(|| {
        use std::hash::{BuildHasher, RandomState};
        // The standard library's source of randomness, with what tells processes of one host apart.
        RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now()))
    });
    *PROGRAM
}

/// Removes a file; one that is gone already is no error.
fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;
    use crate::codec::CodecId;

    /// Another stores and releases just after the first look.
    #[derive(Default)]
    struct LookedTooEarly {
        store: VolatileStore,
        looked: AtomicBool,
        stores: bool,
    }

    impl Store for LookedTooEarly {
        fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
            if self.looked.swap(true, SeqCst) {
                return self.store.get(key);
            }
            let other = std::thread::spawn(Claimant::current).join().expect("it only says its name");
            assert_eq!(self.store.claim(key, other, Patience::AtMost(Duration::ZERO)), Claimed::Mine);
            let end = if self.stores { End::Stored } else { End::NotStored };
            if self.stores {
                let origin = entry::Origin {
                    function: "f".into(),
                    fingerprint: None,
                    version: 1,
                    arguments: Vec::new(),
                    call: None,
                };
                let entry = NewEntry {
                    key: *key,
                    codec: CodecId::Compact,
                    shape: 0,
                    compute_nanos: 0,
                    origin: &origin,
                    parts: &[Cow::Borrowed(b"value")],
                    mapped: false,
                    costly: false,
                    created_at_ms: None,
                };
                assert!(matches!(self.store.put(&entry), Ok(None)));
            }
            self.store.release(key, other, end);
            Err(Absent::Never)
        }

        fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
            self.store.put(entry)
        }

        fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
            self.store.clear_function(function, by_hand)
        }

        fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
            self.store.forget(key)
        }

        fn clear(&self) -> Result<(), StoreError> {
            self.store.clear()
        }

        fn claims(&self) -> &Claims {
            self.store.claims()
        }
    }

    #[test]
    fn what_was_stored_between_the_look_and_the_claim_is_found() {
        let key = EntryKey::from_bytes([3; 40]);
        let me = Claimant::current();
        let store = LookedTooEarly { stores: true, ..LookedTooEarly::default() };
        match store.get_or_claim(&key, me, Patience::Unbounded) {
            Lookup::Found(found) => assert_eq!(found.value(), b"value"),
            met => panic!("{met:?}"),
        }
        assert_eq!(store.claim(&key, me, Patience::Unbounded), Claimed::Mine, "the claim was given back");
        let store = LookedTooEarly::default();
        let met = store.get_or_claim(&key, me, Patience::Unbounded);
        assert!(matches!(met, Lookup::Mine(Absent::Never)), "{met:?}");
    }
}
