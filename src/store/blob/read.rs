//! Blobs from their files: mapped, or read while a second thread computes the digest.

use std::fs::{File, Metadata};
use std::hint::black_box;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread::{self, Builder};

use super::super::{Absent, EntryKey, StoreError};
use super::header::{self, HEAD_BYTES, Header};
use super::verified::Stamp;
use super::{BESIDE_BYTES, Blobs, compress};
use crate::codec::{Large, Words};
use crate::digest::Purpose;
use crate::sys::map::Mapped;
use crate::sys::pages;

/// So much is read before the digest's thread gets it: enough that passing it on costs nothing.
const STEP_BYTES: usize = 1 << 20;

/// Two of the usual large pages.
const LARGE_PAGES_FROM: usize = 4 << 20;

/// A blob that is open behind its header.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    /// The header, which the blob's name vouches for.
    pub(super) head: Vec<u8>,
    /// So much follows.
    pub(super) stored_bytes: usize,
}

impl Blobs {
    /// Opens a blob, and verifies all in front of its value.
    pub(super) fn open(&self, key: &EntryKey, name: &[u8; 32]) -> Result<Opened, Absent> {
        let unreadable = |error| self.unreadable(name, error);
        let mut file = File::open(self.path(name)).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let mut head = vec![0; HEAD_BYTES];
        file.read_exact(&mut head).map_err(unreadable)?;
        let header_bytes = header::len(&head).ok_or(Absent::AlteredBlob)?;
        let stored_bytes = metadata.len().checked_sub(header_bytes as u64).ok_or(Absent::TruncatedBlob)?;
        head.resize(header_bytes, 0);
        file.read_exact(&mut head[HEAD_BYTES..]).map_err(unreadable)?;
        if Purpose::BlobHeader.digest_of(&[&head]) != *name {
            return Err(Absent::AlteredBlob);
        }
        let header = Header::parse(&head)?;
        if header.stored_bytes != stored_bytes {
            return Err(Absent::TruncatedBlob);
        }
        if header.key != key.call() {
            return Err(Absent::AlteredBlob);
        }
        // From here on the header is as long as the file, so no more is asked of memory than there is to read.
        let stored_bytes = usize::try_from(stored_bytes).map_err(|_| Absent::TruncatedBlob)?;
        Ok(Opened { file, metadata, head, stored_bytes })
    }

    /// Why there is nothing where a blob's file cannot be read.
    pub(super) fn unreadable(&self, name: &[u8; 32], error: io::Error) -> Absent {
        match error.kind() {
            io::ErrorKind::NotFound => Absent::MissingBlob,
            // The file ended before its length said.
            io::ErrorKind::UnexpectedEof => Absent::TruncatedBlob,
            _ => {
                let path = self.path(name);
                Absent::Unreadable(StoreError::new(format!("reading the blob `{}`", path.display()), error))
            }
        }
    }

    /// The value of a blob, verified.
    pub(crate) fn read(&self, key: &EntryKey, name: &[u8; 32]) -> Result<Large, Absent> {
        let Opened { mut file, metadata, head, stored_bytes } = self.open(key, name)?;
        let header_bytes = head.len();
        let header = Header::parse(&head)?;
        let unreadable = |error| self.unreadable(name, error);
        if let Some(method) = header.method {
            let mut stored = room(stored_bytes).map_err(unreadable)?;
            let actual = read_all(&mut file, stored.as_mut_slice()).map_err(unreadable)?;
            if actual != header.stored_digest {
                return Err(Absent::AlteredBlob);
            }
            let stored = stored.as_slice();
            let value_bytes = compress::raw_len(stored, header.facts.value_bytes).ok_or(Absent::AlteredBlob)?;
            let mut value = room(value_bytes).map_err(unreadable)?;
            let unpacked = compress::unpack(method, stored, value.as_mut_slice()).map_err(unreadable)?;
            return unpacked.then_some(Large::Read(value)).ok_or(Absent::AlteredBlob);
        }
        if header.mapped && self.maps {
            // A system that cannot map this file can still read it.
            if let Ok(map) = Mapped::whole(&file) {
                let value = map.part(header_bytes..header_bytes + stored_bytes).ok_or(Absent::TruncatedBlob)?;
                return self.verify(name, &metadata, &header, value).map(Large::Mapped);
            }
        }
        let mut value = room(stored_bytes).map_err(unreadable)?;
        let actual = read_all(&mut file, value.as_mut_slice()).map_err(unreadable)?;
        if actual != header.stored_digest {
            return Err(Absent::AlteredBlob);
        }
        Ok(Large::Read(value))
    }

    /// The value, if it has its digest now or had it when this very file was loaded before.
    fn verify(
        &self,
        name: &[u8; 32],
        metadata: &Metadata,
        header: &Header<'_>,
        value: Mapped,
    ) -> Result<Mapped, Absent> {
        let stamp = Stamp::of(metadata);
        if stamp.is_some_and(|stamp| self.verified.knows(name, &stamp)) {
            return Ok(value);
        }
        if Purpose::StoredValue.digest_of(&[&*value]) != header.stored_digest {
            return Err(Absent::AlteredBlob);
        }
        if let Some(stamp) = stamp {
            self.verified.note(name, stamp);
        }
        Ok(value)
    }
}

/// So many bytes of memory, or an error where the plain way would end the program.
pub(super) fn room(bytes: usize) -> io::Result<Words> {
    let mut probe: Vec<u8> = Vec::new();
    probe.try_reserve_exact(bytes.saturating_add(8)).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // Else the compiler may drop the question, and take the answer for yes.
    black_box(&mut probe);
    drop(probe);
    let mut words = Words::zeroed(bytes);
    if bytes >= LARGE_PAGES_FROM {
        pages::prefer_large(words.as_mut_slice());
    }
    Ok(words)
}

/// Fills `buffer` from the file, and answers the digest of what was read.
fn read_all(file: &mut File, buffer: &mut [u8]) -> io::Result<[u8; 32]> {
    if buffer.len() < BESIDE_BYTES {
        file.read_exact(buffer)?;
        return Ok(Purpose::StoredValue.digest_of(&[&*buffer]));
    }
    thread::scope(|scope| {
        let (sender, chunks) = mpsc::channel::<&[u8]>();
        let hashing = Builder::new().name("larder-digest".to_owned()).spawn_scoped(scope, move || {
            let mut hasher = Purpose::StoredValue.hasher();
            for chunk in chunks {
                hasher.update(chunk);
            }
            *hasher.finalize().as_bytes()
        });
        let Ok(hashing) = hashing else {
            file.read_exact(buffer)?;
            return Ok(Purpose::StoredValue.digest_of(&[&*buffer]));
        };
        for chunk in buffer.chunks_mut(STEP_BYTES) {
            file.read_exact(chunk)?;
            // The other side listens until this one hangs up.
            let _ = sender.send(chunk);
        }
        drop(sender);
        Ok(hashing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}
