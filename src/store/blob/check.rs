//! Blobs verified without being kept: in memory that does not depend on their length.

use std::fs::File;
use std::io::{self, Read};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Builder};

use super::super::{Absent, EntryKey};
use super::Blobs;
use super::header::Header;
use super::read::Opened;
use crate::digest::Purpose;

/// A piece that is read while the one before is hashed: small enough that both stay in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
/// From this length on a file is read and hashed by two threads.
const BESIDE_BYTES: usize = 64 << 20;
/// So many are under way.
const PIECES: usize = 4;

impl Blobs {
    /// Verifies every byte of a blob; answers how many stand behind its header.
    ///
    /// # Errors
    /// As [`read`](Blobs::read).
    pub(crate) fn check(&self, key: &EntryKey, name: &[u8; 32]) -> Result<u64, Absent> {
        let Opened { mut file, head, stored_bytes, .. } = self.open(key, name)?;
        let header = Header::parse(&head)?;
        let actual = digest_of(&mut file, stored_bytes).map_err(|error| self.unreadable(name, error))?;
        if actual == header.stored_digest { Ok(stored_bytes as u64) } else { Err(Absent::AlteredBlob) }
    }
}

/// The digest of the next so many bytes of a file.
fn digest_of(file: &mut File, bytes: usize) -> io::Result<[u8; 32]> {
    if bytes < BESIDE_BYTES {
        return digest_alone(file, bytes);
    }
    thread::scope(|scope| {
        let (full, read) = sync_channel(PIECES);
        let (hashed, empty) = sync_channel(PIECES);
        for _ in 0..PIECES {
            // There is room for all of them.
            let _ = hashed.send(vec![0; PIECE_BYTES]);
        }
        let hashing = Builder::new().name("larder-digest".to_owned()).spawn_scoped(scope, move || hash(&read, &hashed));
        let Ok(hashing) = hashing else { return digest_alone(file, bytes) };
        read_all(file, bytes, &full, &empty)?;
        drop(full);
        Ok(hashing.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Hashes pieces until there are no more, and gives each back to be filled again.
fn hash(read: &Receiver<Vec<u8>>, hashed: &SyncSender<Vec<u8>>) -> [u8; 32] {
    let mut hasher = Purpose::StoredValue.hasher();
    while let Ok(piece) = read.recv() {
        hasher.update(&piece);
        // Who needs no more of them has hung up.
        let _ = hashed.send(piece);
    }
    *hasher.finalize().as_bytes()
}

fn read_all(file: &mut File, bytes: usize, full: &SyncSender<Vec<u8>>, empty: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let mut piece = empty.recv().map_err(io::Error::other)?;
        piece.truncate(left);
        file.read_exact(&mut piece)?;
        left -= piece.len();
        full.send(piece).map_err(|_| io::Error::other("the digest's thread is gone"))?;
    }
    Ok(())
}

/// For files of which there are more to be looked at meanwhile, and for a system that gives no second thread.
fn digest_alone(file: &mut File, bytes: usize) -> io::Result<[u8; 32]> {
    let mut hasher = Purpose::StoredValue.hasher();
    let mut piece = vec![0; PIECE_BYTES.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        piece.truncate(left);
        file.read_exact(&mut piece)?;
        left -= piece.len();
        hasher.update(&piece);
    }
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_in_pieces_has_the_digest_of_the_whole() {
        for bytes in [0, 1, PIECE_BYTES, PIECES * PIECE_BYTES + 1, BESIDE_BYTES + 7] {
            let value: Vec<u8> = (0..bytes).map(|at| (at / 7) as u8).collect();
            let expected = Purpose::StoredValue.digest_of(&[&value]);
            let mut temp = tempfile::NamedTempFile::new().unwrap();
            temp.write_all(&value).unwrap();
            let open = || File::open(temp.path()).unwrap();
            assert_eq!(digest_of(&mut open(), bytes).unwrap(), expected, "{bytes} bytes");
            assert_eq!(digest_alone(&mut open(), bytes).unwrap(), expected, "{bytes} bytes, one thread");
            let cut = digest_of(&mut open(), bytes + 1).unwrap_err();
            assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
