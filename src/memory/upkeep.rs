//! What is done to a cache by hand: parts removed, all of it verified, taken elsewhere.

use std::io::{Read, Write};

use super::computation::COSTLY;
use super::inventory::EntryInfo;
use super::{Memory, Shelves, store_failed};
use crate::error::{Error, Result};
use crate::store::transfer::{self, Fault};
use crate::store::verify::{self, Verified, VerifyProgress};
use crate::store::{Exported, Imported, Store, StoreError};

impl Memory {
    /// Removes one entry; answers whether it was there.
    ///
    /// # Errors
    /// The store refuses; the entry is still there.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// memory.cached_fn("square", 1, |x: &f64| x * x).call(&3.0);
    /// let entry = memory.entries().next().unwrap()?;
    /// assert!(memory.forget_entry(&entry)?);
    /// assert!(!memory.forget_entry(&entry)?);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn forget_entry(&self, entry: &EntryInfo) -> Result<bool> {
        self.removing(|store| store.forget(&entry.entry))
    }

    /// Removes the entries of the functions of this name, in all versions of their code, with an attribute or given by hand;
    /// answers how many there were. [`Cached::clear`](crate::Cached::clear) does so for a function of this program.
    ///
    /// # Errors
    /// The store refuses; what is then left is whole.
    pub fn clear_function(&self, function: &str) -> Result<u64> {
        self.removing(|store| {
            let mut removed = 0;
            for by_hand in [false, true] {
                removed += store.clear_function(function, by_hand)?;
            }
            Ok(removed)
        })
    }

    /// Removes something from the store, and all of it from memory, where nothing tells what went; nothing and its default
    /// when disabled.
    fn removing<R: Default>(&self, remove: impl FnOnce(&dyn Store) -> std::result::Result<R, StoreError>) -> Result<R> {
        let Some(shelves) = &self.inner.place else { return Ok(R::default()) };
        shelves.clear(remove).map_err(|error| store_failed(shelves, &error))
    }

    /// Reads every record and every file of the cache, and compares their digests. Works on all
    /// cores of the program's rayon pool, in memory that does not depend on what is there, but for a list of what is damaged.
    /// Nothing is changed.
    ///
    /// Works while other programs use the cache: an entry that goes meanwhile is not damaged. `on_progress` is called for
    /// each entry, some at a time.
    ///
    /// # Errors
    /// The cache cannot be reached or listed.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// memory.cached_fn("square", 1, |x: &f64| x * x).call(&3.0);
    /// let verified = memory.verify(|progress| println!("{} entries", progress.entries))?;
    /// assert_eq!((verified.entries, verified.damaged.len()), (1, 0));
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn verify(&self, on_progress: impl FnMut(VerifyProgress)) -> Result<Verified> {
        self.verify_with(false, on_progress)
    }

    /// As [`verify`](Memory::verify), and removes what is damaged: the next such call is computed. What cannot be read just
    /// now, or only by a newer release, stays.
    ///
    /// # Errors
    /// As [`verify`](Memory::verify), or the store refuses to remove.
    pub fn repair(&self, on_progress: impl FnMut(VerifyProgress)) -> Result<Verified> {
        self.verify_with(true, on_progress)
    }

    fn verify_with(&self, repair: bool, on_progress: impl FnMut(VerifyProgress)) -> Result<Verified> {
        self.removing_if(repair, |store| verify::verify(store, repair, on_progress))
    }

    fn removing_if<R: Default>(
        &self,
        removes: bool,
        work: impl FnOnce(&dyn Store) -> std::result::Result<R, StoreError>,
    ) -> Result<R> {
        if removes {
            return self.removing(work);
        }
        let Some(shelves) = &self.inner.place else { return Ok(R::default()) };
        work(&*shelves.store).map_err(|error| store_failed(shelves, &error))
    }

    /// Writes the entries of these functions as one file, to be [imported](Memory::import) elsewhere; all of them if none is
    /// named. Entries that are damaged are left out and counted.
    ///
    /// # Errors
    /// The cache cannot be reached or listed, or `writer` fails ([`Error::is_exported_file`]); what was written so far is
    /// then refused by `import` where it ends.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path().join("here"))?;
    /// memory.cached_fn("square", 1, |x: &f64| x * x).call(&3.0);
    /// let mut file = Vec::new();
    /// assert_eq!(memory.export(&["square"], &mut file)?.entries, 1);
    ///
    /// let other = larder::Memory::open(dir.path().join("there"))?;
    /// assert_eq!(other.import(&file[..])?.imported, 1);
    /// assert_eq!(other.cached_fn("square", 1, |x: &f64| x * x).call(&3.0), 9.0);
    /// assert_eq!(other.stats().hits(), 1);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn export(&self, functions: &[&str], writer: impl Write) -> Result<Exported> {
        let Some(shelves) = &self.inner.place else {
            return Err(disabled("exported"));
        };
        transfer::export(&*shelves.store, functions, writer).map_err(|fault| failed(shelves, fault, None))
    }

    /// Stores the entries of an exported file, with the times at which they were stored first. Entries that are here already
    /// stay as they are.
    ///
    /// Every entry is verified before it is stored: of a file that was cut or altered, the entries before that place are
    /// taken. The digests are no signature, and a result cannot be compared with its arguments: import files only from whom
    /// you would let write into your cache. One entry is held in memory at a time.
    ///
    /// # Errors
    /// The file is damaged, of a newer release, or cannot be read ([`Error::is_exported_file`]); or the store fails. The
    /// words say how many entries were imported before.
    pub fn import(&self, reader: impl Read) -> Result<Imported> {
        let Some(shelves) = &self.inner.place else {
            return Err(disabled("imported"));
        };
        if shelves.store.is_read_only() {
            return Err(store_failed(shelves, &StoreError::new("importing", "it is open for reading only")));
        }
        let mut done = Imported::default();
        transfer::import(&*shelves.store, reader, COSTLY, &mut done).map_err(|fault| {
            let Imported { imported, there_already, .. } = done;
            let so_far = format!("{imported} of its entries were imported before, {there_already} were here already");
            failed(shelves, fault, Some(&so_far))
        })?;
        Ok(done)
    }
}

fn disabled(what: &str) -> Error {
    Error::invalid_option(format!("the memory is disabled, so nothing can be {what}: give one of `Memory::open`"))
}

fn failed(shelves: &Shelves, fault: Fault, so_far: Option<&str>) -> Error {
    let with_so_far = |words: String| match so_far {
        Some(so_far) => format!("{words}; {so_far}"),
        None => words,
    };
    match fault {
        Fault::Store(error) => match so_far {
            Some(so_far) => store_failed(shelves, &StoreError::new(error.to_string(), so_far)),
            None => store_failed(shelves, &error),
        },
        Fault::Damaged(what) => {
            Error::exported_file(with_so_far(format!("the file to import {what}: export it again")), None)
        }
        Fault::Io(what, error) => {
            Error::exported_file(with_so_far(format!("{what} the exported file failed")), Some(error))
        }
    }
}
