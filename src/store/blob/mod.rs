//! Large values as files: written beside, renamed into place, never modified.
//!
//! A blob's name is the digest of its header, and the header holds the digest of the value: one name vouches for every
//! byte. The header also holds the key and all that the index says, so the index can be made anew from the files.

mod check;
mod compress;
mod header;
mod read;
#[cfg(test)]
mod test;
mod verified;
mod write;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::entry::FORMAT;
use super::{StoreError, remove_if_there};
use crate::digest::Purpose;
use crate::key::{hex, unhex};
pub use compress::Compression;
use header::{HEAD_BYTES, Header};
pub(crate) use verified::Stamp;
use verified::Verified;

/// From this length on a second thread computes the digest while the bytes are read or written.
const BESIDE_BYTES: usize = 1 << 20;

/// The directory of blobs.
pub(crate) struct Blobs {
    dir: PathBuf,
    temp: PathBuf,
    compression: Compression,
    /// Whether blobs that ask for it are mapped; else they are read.
    maps: bool,
    verified: Verified,
}

impl Blobs {
    pub(crate) fn new(dir: PathBuf, temp: PathBuf, compression: Compression, maps: bool) -> Blobs {
        // Elsewhere a file that is mapped cannot be removed, and so not be replaced.
        let maps = maps && cfg!(unix);
        Blobs { dir, temp, compression, maps, verified: Verified::default() }
    }

    /// The path of a blob: two digits of folder keep directories small.
    pub(crate) fn path(&self, name: &[u8; 32]) -> PathBuf {
        let hex = hex(name);
        self.dir.join(&hex[..2]).join(hex)
    }

    /// Removes a blob; one that is gone already is no error.
    pub(crate) fn remove(&self, name: &[u8; 32]) -> Result<(), StoreError> {
        let path = self.path(name);
        remove_if_there(&path)
            .map_err(|error| StoreError::new(format!("removing the blob `{}`", path.display()), error))
    }

    /// The names of all blobs, sound or not. Files that are not called like a blob are passed over.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub(crate) fn names(&self) -> io::Result<Vec<[u8; 32]>> {
        let mut names = Vec::new();
        for folder in fs::read_dir(&self.dir)? {
            let folder = folder?;
            if folder.file_type()?.is_dir() {
                for file in fs::read_dir(folder.path())? {
                    names.extend(file?.file_name().to_str().and_then(unhex));
                }
            }
        }
        Ok(names)
    }

    /// The header of a blob, if the file is as long as it says and is named after it; `None` if it is damaged.
    ///
    /// # Errors
    /// The file cannot be read now, or only by a newer release or another build: nothing is known of it.
    pub(crate) fn head(&self, name: &[u8; 32]) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(self.path(name))?;
        let mut head = Vec::new();
        (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        if header::format(&head).is_some_and(|format| format > FORMAT) {
            return Err(io::Error::other("it is of a newer release"));
        }
        let Some(header_bytes) = header::len(&head) else { return Ok(None) };
        (&mut file).take((header_bytes - HEAD_BYTES) as u64).read_to_end(&mut head)?;
        if Purpose::BlobHeader.digest_of(&[&head]) != *name {
            return Ok(None);
        }
        let len = file.metadata()?.len();
        match Header::parse(&head) {
            Ok(header) => Ok((header.stored_bytes.checked_add(header_bytes as u64) == Some(len)).then_some(head)),
            Err(super::Absent::NewerRecord) => Err(io::Error::other("it is compressed in a way this build lacks")),
            Err(_) => Ok(None),
        }
    }

    /// Removes every blob. Folders stay, and so does what is just being written.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for name in self.names()? {
            remove_if_there(&self.path(&name))?;
        }
        Ok(())
    }
}

/// A file of its own under `dir`, with the permissions that any new file has: others may share the cache. Its name tells
/// the program that writes it.
pub(super) fn temporary(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    let prefix = format!("new-{:016x}-", super::program());
    builder.prefix(&prefix);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir)
}

/// The program that writes a [temporary] file of this name.
pub(super) fn writer(name: &str) -> Option<u64> {
    let (writer, _) = name.strip_prefix("new-")?.split_once('-')?;
    u64::from_str_radix(writer, 16).ok()
}

/// The header of a blob, if it is one that this build knows.
pub(super) fn parse_header(head: &[u8]) -> Option<Header<'_>> {
    Header::parse(head).ok()
}
