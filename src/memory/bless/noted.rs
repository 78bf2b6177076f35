//! Which program has a function: noted by the program, for a tool that wants the function called.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::lock::lock;
use crate::memory::shelves::Shelves;
use crate::store::bytes::{Reader, put_block};
use crate::store::{Prefix, Store, StoreError};
use crate::worker;

/// The kind of note.
const KIND: u8 = b'p';
const FORMAT: u8 = 1;

/// The functions that this program has noted.
#[derive(Default)]
pub(in crate::memory) struct Noted(Mutex<HashSet<String>>);

impl Noted {
    /// The notes may be gone.
    pub(in crate::memory) fn forget(&self) {
        lock(&self.0).clear();
    }

    /// Notes, once, that this program has a function. One without an entry for its workers cannot be started for it, and notes
    /// nothing.
    pub(in crate::memory) fn note(&self, shelves: &Shelves, function: &str) -> Result<(), StoreError> {
        if !worker::has_entry() || shelves.store.is_read_only() || lock(&self.0).contains(function) {
            return Ok(());
        }
        if !lock(&self.0).insert(function.to_owned()) {
            return Ok(());
        }
        // A program that was replaced or removed since it was started is not where it was.
        let Some(path) = std::env::current_exe().ok().filter(|path| path.exists()) else { return Ok(()) };
        let mut note = vec![FORMAT];
        put_block(&mut note, function.as_bytes());
        put_block(&mut note, path.as_os_str().as_encoded_bytes());
        let name = name(function);
        // Nothing is written where it says so already. A store that keeps no notes has no tool either.
        match shelves.store.note(&name)? {
            Some(before) if before == note => Ok(()),
            _ if shelves.store.path().is_none() => Ok(()),
            _ => shelves.store.set_note(&name, Some(&note)),
        }
    }
}

fn name(function: &str) -> Vec<u8> {
    [&[KIND], Prefix::of(function).as_bytes()].concat()
}

/// The program that said last that it has a function.
pub(in crate::memory) fn program_of(store: &dyn Store, function: &str) -> Result<Option<PathBuf>, StoreError> {
    Ok(store.note(&name(function))?.and_then(|note| parse(&note, function)))
}

fn parse(note: &[u8], function: &str) -> Option<PathBuf> {
    let mut reader = Reader::new(note);
    (reader.u8()? == FORMAT && reader.text()? == function).then_some(())?;
    path(reader.block()?)
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(OsString::from_vec(bytes.to_vec()).into())
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> Option<PathBuf> {
    Some(OsString::from(std::str::from_utf8(bytes).ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_of_one_function() {
        let mut note = vec![FORMAT];
        put_block(&mut note, b"a::f");
        put_block(&mut note, b"/bin/program");
        assert_eq!(parse(&note, "a::f"), Some(PathBuf::from("/bin/program")));
        assert_eq!(parse(&note, "a::g"), None);
        for cut in 0..note.len() {
            assert_eq!(parse(&note[..cut], "a::f"), None, "cut at {cut}");
        }
    }
}
