//! Blobs into their files: the value first, then the header in front of it, which holds the value's digest.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread::{self, Builder};

use super::super::entry::Facts;
use super::super::{NewEntry, StoreError};
use super::compress::{Packer, Pieces};
use super::header::{self, Stored};
use super::{BESIDE_BYTES, Blobs, temporary};
use crate::digest::Purpose;

impl Blobs {
    /// Writes a value and answers its name.
    ///
    /// The file appears whole or not at all; with `entry.costly` it is on the disk before this returns.
    pub(crate) fn write(&self, entry: &NewEntry<'_>, origin: &[u8], facts: &Facts) -> Result<[u8; 32], StoreError> {
        self.write_file(entry, origin, facts)
            .map_err(|error| StoreError::new(format!("writing a blob into `{}`", self.dir.display()), error))
    }

    fn write_file(&self, entry: &NewEntry<'_>, origin: &[u8], facts: &Facts) -> io::Result<[u8; 32]> {
        // Dropped on any failure below, and its file with it.
        let mut temp = match temporary(&self.temp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(&self.temp)?;
                temporary(&self.temp)?
            }
            made => made?,
        };
        let file = temp.as_file_mut();
        let header_of = |stored: &Stored| header::encode(entry, origin, facts, stored);
        // What is to be mapped stands in its file as in memory.
        let mut packer = if entry.mapped { None } else { Packer::new(self.compression)? };
        let packed = match packer.take_if(|packer| packer.is_promising(entry.parts)) {
            Some(mut packer) => write_packed(file, &mut packer, entry, header_of)?,
            None => None,
        };
        let stored = match packed {
            Some(stored) => stored,
            None => write_plain(file, entry, header_of)?,
        };
        let header = header_of(&stored);
        file.rewind()?;
        file.write_all(&header)?;
        if entry.costly {
            file.sync_data()?;
        }
        let name = Purpose::BlobHeader.digest_of(&[&header]);
        let path = self.path(&name);
        let folder = path.parent().unwrap_or(&self.dir);
        make_folder(&self.dir)?;
        make_folder(folder)?;
        temp.persist(&path).map_err(|error| error.error)?;
        if entry.costly && cfg!(unix) {
            // The new name is as safe as the bytes.
            File::open(folder)?.sync_all()?;
        }
        Ok(name)
    }
}

/// Makes a folder that is missing, but not the one it stands in: a cache that was removed is not to rise again in parts.
fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Leaves room for the header, whose length its numbers do not change.
fn skip_header(file: &mut File, header_of: impl Fn(&Stored) -> Vec<u8>, unknown: Stored) -> io::Result<()> {
    file.seek(SeekFrom::Start(header_of(&unknown).len() as u64)).map(|_| ())
}

/// Writes the value as it is. A large one is hashed by a second thread meanwhile.
fn write_plain(file: &mut File, entry: &NewEntry<'_>, header_of: impl Fn(&Stored) -> Vec<u8>) -> io::Result<Stored> {
    let bytes = entry.value_bytes();
    let mut stored = Stored { method: None, bytes: bytes as u64, digest: [0; 32] };
    skip_header(file, header_of, stored)?;
    let digest_of_value = || Purpose::StoredValue.digest_of(entry.parts);
    stored.digest = thread::scope(|scope| {
        let beside = if bytes < BESIDE_BYTES {
            None
        } else {
            Builder::new().name("larder-digest".to_owned()).spawn_scoped(scope, digest_of_value).ok()
        };
        for part in entry.parts {
            file.write_all(part)?;
        }
        // On a busy machine the digest takes longer than the writing: the disk need not wait for it. What is left to sync
        // then is the header.
        if entry.costly && beside.as_ref().is_some_and(|hashing| !hashing.is_finished()) {
            file.sync_data()?;
        }
        io::Result::Ok(match beside {
            Some(hashing) => hashing.join().unwrap_or_else(|panic| resume_unwind(panic)),
            None => digest_of_value(),
        })
    })?;
    Ok(stored)
}

/// Writes the value compressed, unless that gains less than a tenth: then the file is empty again.
fn write_packed(
    file: &mut File,
    packer: &mut Packer,
    entry: &NewEntry<'_>,
    header_of: impl Fn(&Stored) -> Vec<u8>,
) -> io::Result<Option<Stored>> {
    let bytes = entry.value_bytes() as u64;
    let most = bytes - bytes / 10;
    let mut stored = Stored { method: Some(packer.method()), bytes: 0, digest: [0; 32] };
    skip_header(file, header_of, stored)?;
    let mut hasher = Purpose::StoredValue.hasher();
    let mut pieces = Pieces::new(entry.parts);
    while let Some(piece) = pieces.next_chunk() {
        let chunk = packer.pack(&piece);
        stored.bytes += chunk.len() as u64;
        if stored.bytes > most {
            file.set_len(0)?;
            return Ok(None);
        }
        hasher.update(chunk);
        file.write_all(chunk)?;
    }
    stored.digest = *hasher.finalize().as_bytes();
    Ok(Some(stored))
}
