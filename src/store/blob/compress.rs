//! Compression of blobs: independent chunks, so that neither side needs more than one beside the value.

use std::borrow::Cow;
use std::io;

use super::super::bytes::Reader;
use crate::error::Result;

/// So many bytes of a value make a chunk; the last may be shorter.
const CHUNK_BYTES: usize = 1 << 20;
/// Bit of a chunk's length: its bytes stand there as they are.
const PLAIN: u32 = 1 << 31;
/// A value is at most so many times as long as what is stored of it. The best case of these methods is some 27,000 (a
/// chunk of zeros in 39 bytes), so a higher claim is no writer's of ours.
const MAX_RATIO: u64 = 65_536;
/// What is looked at first: so many places of so many bytes.
const SAMPLES: usize = 4;
const SAMPLE_BYTES: usize = 16 << 10;

/// How large results are compressed on disk. joblib's `compress`.
///
/// Set with [`MemoryBuilder::compress`](crate::MemoryBuilder::compress). Results of up to 4 KiB, which stand in the index,
/// and those that are to be mapped stay as they are, and so does what compression shortens by less than a tenth.
///
/// What a build with the feature `zstd` stored with it is, to a build without, a miss for
/// [`NewerRecord`](crate::MissReason::NewerRecord).
///
/// # Examples
/// ```
/// use larder::{Compression, Memory};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let memory = Memory::builder().compress(Compression::Lz4).open(dir.path().join("cache"))?;
/// let zeros = memory.cached_fn("zeros", 1, |n: &usize| vec![0_u64; *n]);
/// assert_eq!(zeros.call(&100_000).len(), 100_000); // 800 kB, in a file of some 3 kB
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// As they are (the default): loads and stores at the speed of the disk.
    #[default]
    Off,
    /// LZ4: some hundred megabytes a second to store, a gigabyte a second to load.
    Lz4,
    /// Zstandard: smaller and slower. Needs the feature `zstd`, also to load what was stored so.
    #[cfg(feature = "zstd")]
    Zstd {
        /// From quick to small: 1 to 22; 0 is the library's default (3), and negative ones are quicker still.
        level: i32,
    },
}

impl Compression {
    /// # Errors
    /// The level is not one of the library's.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            #[cfg(feature = "zstd")]
            Compression::Zstd { level } if !zstd::compression_level_range().contains(&level) => {
                let range = zstd::compression_level_range();
                Err(crate::Error::invalid_option(format!(
                    "`compress` is Zstandard of level {level}: give a level from {} to {}",
                    range.start(),
                    range.end()
                )))
            }
            _ => Ok(()),
        }
    }
}

/// What undoes the compression of a blob. The numbers are on disk for ever (docs/format.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Method {
    pub(super) fn as_byte(self) -> u8 {
        match self {
            Method::Lz4 => 1,
            #[cfg(feature = "zstd")]
            Method::Zstd => 2,
        }
    }

    /// `None` for what this build cannot undo.
    pub(super) fn from_byte(byte: u8) -> Option<Method> {
        match byte {
            1 => Some(Method::Lz4),
            #[cfg(feature = "zstd")]
            2 => Some(Method::Zstd),
            _ => None,
        }
    }
}

/// Compresses chunk by chunk.
pub(super) struct Packer {
    engine: Engine,
    /// The chunk at hand: its length, then its bytes.
    chunk: Vec<u8>,
}

enum Engine {
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Packer {
    /// `None` if nothing is to be compressed.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Packer>> {
        let engine = match compression {
            Compression::Off => return Ok(None),
            Compression::Lz4 => Engine::Lz4,
            #[cfg(feature = "zstd")]
            Compression::Zstd { level } => Engine::Zstd(zstd::bulk::Compressor::new(level)?),
        };
        Ok(Some(Packer { engine, chunk: Vec::new() }))
    }

    pub(super) fn method(&self) -> Method {
        match self.engine {
            Engine::Lz4 => Method::Lz4,
            #[cfg(feature = "zstd")]
            Engine::Zstd(_) => Method::Zstd,
        }
    }

    /// Whether some places of the value shrink by a tenth. What is no longer than they are is worth trying at once.
    pub(super) fn is_promising(&mut self, parts: &[Cow<'_, [u8]>]) -> bool {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len <= SAMPLES * SAMPLE_BYTES {
            return true;
        }
        let mut pieces = Pieces::new(parts);
        let gap = (len - SAMPLES * SAMPLE_BYTES) / (SAMPLES - 1);
        let mut packed_bytes = 0;
        for _ in 0..SAMPLES {
            let sample = pieces.next(SAMPLE_BYTES).unwrap_or_default();
            packed_bytes += self.pack(&sample).len();
            pieces.skip(gap);
        }
        packed_bytes <= SAMPLES * SAMPLE_BYTES / 10 * 9
    }

    /// A chunk as it is stored.
    pub(super) fn pack(&mut self, raw: &[u8]) -> &[u8] {
        const LEN: usize = size_of::<u32>();
        let bound = match &self.engine {
            Engine::Lz4 => lz4_flex::block::get_maximum_output_size(raw.len()),
            #[cfg(feature = "zstd")]
            Engine::Zstd(_) => zstd::zstd_safe::compress_bound(raw.len()),
        };
        self.chunk.resize(LEN + bound, 0);
        let (len, bytes) = self.chunk.split_at_mut(LEN);
        // What an engine refuses is kept as it is.
        let packed = match &mut self.engine {
            Engine::Lz4 => lz4_flex::block::compress_into(raw, bytes).ok(),
            #[cfg(feature = "zstd")]
            Engine::Zstd(engine) => engine.compress_to_buffer(raw, bytes).ok(),
        };
        // Chunks are far below 2 GiB.
        let (stored, word) = match packed {
            Some(packed) if packed < raw.len() => (packed, packed as u32),
            _ => {
                bytes[..raw.len()].copy_from_slice(raw);
                (raw.len(), raw.len() as u32 | PLAIN)
            }
        };
        len.copy_from_slice(&word.to_le_bytes());
        &self.chunk[..LEN + stored]
    }
}

/// The chunks of a value, over its parts.
pub(super) struct Pieces<'p> {
    parts: &'p [Cow<'p, [u8]>],
    /// What was taken of the first of them.
    taken: usize,
}

impl<'p> Pieces<'p> {
    pub(super) fn new(parts: &'p [Cow<'p, [u8]>]) -> Pieces<'p> {
        Pieces { parts, taken: 0 }
    }

    pub(super) fn next_chunk(&mut self) -> Option<Cow<'p, [u8]>> {
        self.next(CHUNK_BYTES)
    }

    /// The next `len` bytes, or what is left; `None` at the end. Copied only where they lie in several parts.
    fn next(&mut self, len: usize) -> Option<Cow<'p, [u8]>> {
        let first = self.run(len)?;
        if first.len() == len {
            return Some(Cow::Borrowed(first));
        }
        let mut piece = Cow::Borrowed(first);
        while let Some(run) = self.run(len - piece.len()) {
            piece.to_mut().extend_from_slice(run);
        }
        Some(piece)
    }

    fn skip(&mut self, mut len: usize) {
        while let Some(run) = self.run(len) {
            len -= run.len();
        }
    }

    /// At most `len` bytes that lie in one part, not none.
    fn run(&mut self, len: usize) -> Option<&'p [u8]> {
        while let Some((part, rest)) = self.parts.split_first() {
            let left = &part[self.taken..];
            let run = &left[..len.min(left.len())];
            self.taken += run.len();
            if self.taken == part.len() {
                (self.parts, self.taken) = (rest, 0);
            }
            if !run.is_empty() || len == 0 {
                return Some(run).filter(|run| !run.is_empty());
            }
        }
        None
    }
}

/// How long the value of these chunks is, if it can be as long as the header claims.
pub(super) fn raw_len(stored: &[u8], claimed: u64) -> Option<usize> {
    let is_sane = claimed / MAX_RATIO <= stored.len() as u64;
    let mut reader = Reader::new(stored);
    let mut chunks = 0_u64;
    while !reader.rest().is_empty() {
        next_chunk(&mut reader)?;
        chunks += 1;
    }
    (is_sane && claimed.div_ceil(CHUNK_BYTES as u64) == chunks).then_some(())?;
    usize::try_from(claimed).ok()
}

/// The bytes of the next chunk, and whether they stand there as they are.
fn next_chunk<'b>(reader: &mut Reader<'b>) -> Option<(&'b [u8], bool)> {
    let word = reader.u32()?;
    let bytes = reader.take(usize::try_from(word & !PLAIN).ok()?)?;
    Some((bytes, word & PLAIN != 0))
}

/// Fills `value` from the chunks; `false` if they are not exactly its.
///
/// # Errors
/// The method's library has no memory.
pub(super) fn unpack(method: Method, stored: &[u8], value: &mut [u8]) -> io::Result<bool> {
    #[cfg(feature = "zstd")]
    let mut zstd = zstd::bulk::Decompressor::new()?;
    let mut reader = Reader::new(stored);
    for chunk in value.chunks_mut(CHUNK_BYTES) {
        let Some((bytes, is_plain)) = next_chunk(&mut reader) else { return Ok(false) };
        let is_whole = if is_plain {
            let fits = bytes.len() == chunk.len();
            if fits {
                chunk.copy_from_slice(bytes);
            }
            fits
        } else {
            let len = match method {
                Method::Lz4 => lz4_flex::block::decompress_into(bytes, chunk).ok(),
                #[cfg(feature = "zstd")]
                Method::Zstd => zstd.decompress_to_buffer(bytes, &mut *chunk).ok(),
            };
            len == Some(chunk.len())
        };
        if !is_whole {
            return Ok(false);
        }
    }
    Ok(reader.rest().is_empty())
}
