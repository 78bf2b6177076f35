//! Large values as files: written beside, renamed into place, never modified.
//!
//! A blob's name is the digest of its header, and the header holds the digest of the value: one name vouches for every
//! byte. The header also holds the key and all that the index says, so the index can be made anew from the files.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::bytes::{Guard, Reader, digest, put_block};
use super::entry::{FORMAT, MAPPED};
use super::{Absent, EntryKey, NewEntry, StoreError, remove_if_there};
use crate::codec::{CodecId, Large, Words};
use crate::key::{Key, hex, unhex};

const MAGIC: &[u8; 8] = b"LARDBLOB";
/// The value starts at a multiple of this, so that a mapped array is aligned.
const ALIGN: usize = 64;
/// The header's end follows from its own length field; a longer one than this is damage.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The directory of blobs.
pub(crate) struct Blobs {
    dir: PathBuf,
    temp: PathBuf,
}

/// What a blob's header says.
pub(crate) struct Header<'h> {
    pub(crate) key: Key,
    pub(crate) codec: CodecId,
    pub(crate) shape: u64,
    pub(crate) created_at_ms: u64,
    pub(crate) compute_nanos: u64,
    pub(crate) value_bytes: u64,
    pub(crate) mapped: bool,
    pub(crate) value_digest: [u8; 32],
    pub(crate) origin: &'h [u8],
}

impl Blobs {
    pub(crate) fn new(dir: PathBuf, temp: PathBuf) -> Blobs {
        Blobs { dir, temp }
    }

    /// The path of a blob: two digits of folder keep directories small.
    pub(crate) fn path(&self, name: &[u8; 32]) -> PathBuf {
        let hex = hex(name);
        self.dir.join(&hex[..2]).join(hex)
    }

    /// Writes a value and answers its name.
    ///
    /// The file appears whole or not at all; with `entry.costly` it is on the disk before this returns.
    pub(crate) fn write(
        &self,
        entry: &NewEntry<'_>,
        origin: &[u8],
        created_at_ms: u64,
    ) -> Result<[u8; 32], StoreError> {
        let header = encode_header(entry, origin, created_at_ms);
        let name = digest(Guard::BlobHeader, &[&header]);
        let path = self.path(&name);
        self.write_file(&path, &header, entry)
            .map_err(|error| StoreError::new(format!("writing the blob `{}`", path.display()), error))?;
        Ok(name)
    }

    fn write_file(&self, path: &Path, header: &[u8], entry: &NewEntry<'_>) -> io::Result<()> {
        // Dropped on any failure below, and its file with it.
        let mut temp = temporary(&self.temp)?;
        temp.write_all(header)?;
        for part in entry.parts {
            temp.write_all(part)?;
        }
        if entry.costly {
            temp.as_file().sync_data()?;
        }
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder)?;
        temp.persist(path).map_err(|error| error.error)?;
        if entry.costly && cfg!(unix) {
            // The new name is as safe as the bytes.
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Reads and verifies a blob, and answers its value.
    pub(crate) fn read(&self, key: &EntryKey, name: &[u8; 32]) -> Result<Large, Absent> {
        let path = self.path(name);
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Absent::MissingBlob,
            // The file ended before its length said.
            io::ErrorKind::UnexpectedEof => Absent::TruncatedBlob,
            _ => Absent::Unreadable(StoreError::new(format!("reading the blob `{}`", path.display()), error)),
        };
        let mut file = File::open(&path).map_err(unreadable)?;
        let len = file.metadata().map_err(unreadable)?.len();
        let mut head = vec![0; 16];
        file.read_exact(&mut head).map_err(unreadable)?;
        let header_bytes = header_len(&head).ok_or(Absent::AlteredBlob)?;
        let value_bytes = len.checked_sub(header_bytes as u64).ok_or(Absent::TruncatedBlob)?;
        head.resize(header_bytes, 0);
        file.read_exact(&mut head[16..]).map_err(unreadable)?;
        if digest(Guard::BlobHeader, &[&head]) != *name {
            return Err(Absent::AlteredBlob);
        }
        let header = parse_header(&head).ok_or(Absent::AlteredBlob)?;
        if header.value_bytes != value_bytes {
            return Err(Absent::TruncatedBlob);
        }
        // As long as the file is, whatever the header says: no more is asked of memory than there is to read.
        let mut value = Words::zeroed(usize::try_from(value_bytes).map_err(|_| Absent::TruncatedBlob)?);
        file.read_exact(value.as_mut_slice()).map_err(unreadable)?;
        if header.key != key.call() || digest(Guard::Value, &[value.as_slice()]) != header.value_digest {
            return Err(Absent::AlteredBlob);
        }
        Ok(Large::Read(value))
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
    /// The file cannot be read now, or is of a newer release: nothing is known of it.
    pub(crate) fn head(&self, name: &[u8; 32]) -> io::Result<Option<Vec<u8>>> {
        let mut file = File::open(self.path(name))?;
        let mut head = Vec::new();
        (&mut file).take(16).read_to_end(&mut head)?;
        if head.starts_with(MAGIC) && head.get(MAGIC.len()).is_some_and(|format| *format > FORMAT) {
            return Err(io::Error::other("it is of a newer release"));
        }
        let Some(header_bytes) = header_len(&head) else { return Ok(None) };
        (&mut file).take(header_bytes as u64 - 16).read_to_end(&mut head)?;
        let len = file.metadata()?.len();
        let is_whole = |header: Header<'_>| header.value_bytes.checked_add(header_bytes as u64) == Some(len);
        let is_sound = digest(Guard::BlobHeader, &[&head]) == *name && parse_header(&head).is_some_and(is_whole);
        Ok(is_sound.then_some(head))
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

fn encode_header(entry: &NewEntry<'_>, origin: &[u8], created_at_ms: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + origin.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[FORMAT, entry.codec.as_byte(), 0, u8::from(entry.mapped) * MAPPED]);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(entry.key.call().as_bytes());
    out.extend_from_slice(&created_at_ms.to_le_bytes());
    out.extend_from_slice(&entry.compute_nanos.to_le_bytes());
    out.extend_from_slice(&entry.shape.to_le_bytes());
    out.extend_from_slice(&(entry.value_bytes() as u64).to_le_bytes());
    out.extend_from_slice(&digest(Guard::Value, entry.parts));
    put_block(&mut out, origin);
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    // Origins are short texts: far below the limit.
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out[12..16].copy_from_slice(&len.to_le_bytes());
    out
}

/// The header's length, from its first 16 bytes, if they can be a header's.
fn header_len(start: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(start);
    (reader.array::<8>()? == *MAGIC).then_some(())?;
    reader.take(4)?;
    let len = usize::try_from(reader.u32()?).ok()?;
    (len > start.len().min(16) && len <= MAX_HEADER_BYTES && len.is_multiple_of(ALIGN)).then_some(len)
}

pub(super) fn parse_header(head: &[u8]) -> Option<Header<'_>> {
    let mut reader = Reader::new(head);
    reader.take(MAGIC.len())?;
    let [format, codec, _, flags] = reader.array()?;
    if format != FORMAT {
        return None;
    }
    reader.u32()?;
    Some(Header {
        codec: CodecId::from_byte(codec)?,
        key: Key::from_bytes(reader.array()?),
        created_at_ms: reader.u64()?,
        compute_nanos: reader.u64()?,
        shape: reader.u64()?,
        value_bytes: reader.u64()?,
        mapped: flags & MAPPED != 0,
        value_digest: reader.array()?,
        origin: reader.block()?,
    })
}
