//! Where results are kept: the [`Store`] behind a [`Memory`](crate::Memory).
//!
//! [`DiskStore`] is the one that survives the program, and that many programs share: an index of small records (sled) and
//! files for what is large. docs/format.md describes every byte. The files are the truth and the index is rebuildable: a
//! blob carries its key and all that its record says, so a damaged index is set aside and made anew from them.
//!
//! One program at a time has the index open, and serves the others over a socket ([`server`], [`guest`]); [`link`] is
//! how each finds the other, and what happens when the owner ends. Blobs are written and read by each program itself.
//!
//! [`VolatileStore`] keeps entries in memory, for tests and for programs that want single flight without a disk.

mod attempt;
pub(crate) mod blob;
pub(crate) mod bytes;
mod catalog;
mod claims;
mod disk;
pub(crate) mod entry;
mod entry_key;
#[cfg(unix)]
mod guest;
mod index;
mod link;
pub(crate) mod location;
mod recent;
mod reconcile;
mod repair;
mod role;
mod seat;
#[cfg(unix)]
mod server;
#[cfg(unix)]
mod socket;
mod sync;
mod types;
mod volatile;
#[cfg(unix)]
mod wire;

use std::path::Path;
use std::sync::LazyLock;
use std::{fs, io};

pub use blob::Compression;
pub use claims::{Claimant, Claimed, Claims, End, Patience};
pub use disk::DiskStore;
pub(crate) use disk::{Access, Setup};
pub use entry_key::EntryKey;
pub(crate) use entry_key::Prefix;
pub(crate) use types::Bytes;
pub use types::{Absent, Found, NewEntry, StoreError};
pub use volatile::VolatileStore;

/// Values up to this many encoded bytes stand in their record; larger ones are files.
pub(crate) const INLINE_BYTES: usize = 4096;

/// Where entries are kept.
///
/// What must hold of every implementation, and is checked by the [conformance suite](crate::conformance): what is found
/// under a key is what was put there last, whole and unchanged, or nothing; a store that fails says so and loses nothing
/// that it had; all methods can be called by many threads at once. An entry may go at any time.
pub trait Store: Send + Sync + 'static {
    /// Looks an entry up and verifies what is found.
    ///
    /// # Errors
    /// There is nothing to serve, and why.
    fn get(&self, key: &EntryKey) -> Result<Found, Absent>;

    /// Stores an entry in place of the one its key may have had. The answer is what failed after the entry was in, such as
    /// making it safe or removing what it replaces.
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

    /// Removes every entry.
    ///
    /// # Errors
    /// As [`clear_function`](Store::clear_function).
    fn clear(&self) -> Result<(), StoreError>;

    /// Who computes what just now, where this program keeps that itself.
    fn claims(&self) -> &Claims;

    /// Looks an entry up and, where there is nothing to serve, claims its key for `who`; [`release`](Store::release) ends
    /// the claim.
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
    let claims = store.claims();
    let stored = claims.stored(key);
    let mut absent = match store.get(key) {
        Ok(found) => return Lookup::Found(found),
        Err(absent) => absent,
    };
    match claims.claim(key, who, patience) {
        Claimed::Mine if claims.stored(key) != stored => match store.get(key) {
            Ok(found) => {
                claims.release(key, who, End::Stored);
                return Lookup::Found(found);
            }
            Err(now) => absent = now,
        },
        Claimed::Mine => {}
        claimed => return Lookup::Claimed(claimed),
    }
    Lookup::Mine(absent)
}

/// What [`Store::get_or_claim`] met.
#[derive(Debug)]
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
