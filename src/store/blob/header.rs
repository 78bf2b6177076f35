//! The header of a blob (docs/format.md).

use super::super::bytes::{Reader, put_block};
use super::super::entry::{FORMAT, Facts};
use super::super::{Absent, NewEntry};
use super::compress::Method;
use crate::key::Key;

const MAGIC: &[u8; 8] = b"LARDBLOB";
/// Bit of the flags: the value is to be mapped.
const MAPPED: u8 = 1;
/// The value starts at a multiple of this, so that a mapped array is aligned.
const ALIGN: usize = 64;
/// The header's end follows from its own length field; a longer one than this is damage.
const MAX_BYTES: usize = 1 << 20;
/// So much of a header says how long it is.
pub(super) const HEAD_BYTES: usize = 16;

/// What a blob's header says.
pub(crate) struct Header<'h> {
    pub(crate) key: Key,
    pub(crate) facts: Facts,
    /// The value is to be mapped.
    pub(super) mapped: bool,
    pub(crate) origin: &'h [u8],
    /// How the value is compressed.
    pub(super) method: Option<Method>,
    /// So many bytes stand behind the header: the encoded value, compressed or as it is.
    pub(super) stored_bytes: u64,
    /// The digest of those bytes.
    pub(super) stored_digest: [u8; 32],
}

/// What is known of the bytes behind the header once they are written.
#[derive(Clone, Copy)]
pub(super) struct Stored {
    pub(super) method: Option<Method>,
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
}

/// Writes a header. How long it is does not depend on the numbers in it.
pub(super) fn encode(entry: &NewEntry<'_>, origin: &[u8], facts: &Facts, stored: &Stored) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + origin.len());
    out.extend_from_slice(MAGIC);
    let method = stored.method.map_or(0, Method::as_byte);
    out.extend_from_slice(&[FORMAT, facts.codec.as_byte(), method, u8::from(entry.mapped) * MAPPED]);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(entry.key.call().as_bytes());
    facts.put(&mut out);
    out.extend_from_slice(&stored.digest);
    if stored.method.is_some() {
        out.extend_from_slice(&stored.bytes.to_le_bytes());
    }
    put_block(&mut out, origin);
    out.resize(out.len().next_multiple_of(ALIGN), 0);
    // Origins are short texts: far below the limit.
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
    out[12..16].copy_from_slice(&len.to_le_bytes());
    out
}

/// The number of the format, if `start` begins like a blob.
pub(super) fn format(start: &[u8]) -> Option<u8> {
    start.strip_prefix(MAGIC)?.first().copied()
}

/// The header's length, from its first bytes, if they can be a header's.
pub(super) fn len(start: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(start);
    (reader.array::<8>()? == *MAGIC).then_some(())?;
    reader.take(4)?;
    let len = usize::try_from(reader.u32()?).ok()?;
    (len > HEAD_BYTES && len <= MAX_BYTES && len.is_multiple_of(ALIGN)).then_some(len)
}

impl Header<'_> {
    /// Parses a header that its name vouches for.
    ///
    /// # Errors
    /// `NewerRecord` if its format or its compression is not known to this build, else `AlteredBlob`.
    pub(super) fn parse(head: &[u8]) -> Result<Header<'_>, Absent> {
        let mut reader = Reader::new(head);
        let start = reader.take(MAGIC.len()).and_then(|_| reader.array()).ok_or(Absent::AlteredBlob)?;
        let [format, codec, method, flags] = start;
        if format > FORMAT {
            return Err(Absent::NewerRecord);
        }
        let method = match method {
            0 => None,
            id => Some(Method::from_byte(id).ok_or(Absent::NewerRecord)?),
        };
        let mut fields = || {
            (format == FORMAT).then_some(())?;
            reader.u32()?;
            let key = Key::from_bytes(reader.array()?);
            let facts = Facts::take(codec, &mut reader)?;
            let stored_digest = reader.array()?;
            let stored_bytes = if method.is_some() { reader.u64()? } else { facts.value_bytes };
            Some(Header {
                key,
                facts,
                mapped: flags & MAPPED != 0,
                origin: reader.block()?,
                method,
                stored_bytes,
                stored_digest,
            })
        };
        fields().ok_or(Absent::AlteredBlob)
    }
}
