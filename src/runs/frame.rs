//! Records in a file that may be cut or altered anywhere: each stands in a frame behind a digest of its own.
//!
//! The digest is over the segment's id and the frame's place too, so a frame that was copied from elsewhere is no frame here.

use std::io::{self, Read};

use crate::digest::Purpose;
use crate::store::bytes::Reader;

const MAGIC: &[u8; 8] = b"LARDRUNS";
/// A reader refuses a higher one.
const FORMAT: u32 = 1;
const DIGEST_BYTES: usize = 8;
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 8 + 8 + DIGEST_BYTES;
const FRONT_BYTES: usize = 4 + DIGEST_BYTES;
/// No frame that was being written when its program was stopped leaves more than this: behind a longer rest, it was whole once.
const LONGEST_TORN: usize = 256 << 10;
/// No record is longer, so no damaged length asks for much memory.
const LONGEST: u32 = 16 << 20;

/// What a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A program's part of the run.
    Program,
    /// What segments said that are gone, or about to go. Behind them in the order in which segments are merged.
    Fold,
    /// What was asked for from outside.
    Request,
}

/// What a segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) id: u64,
    /// Higher than those of all segments that were there when this one began: an order without clocks.
    pub(super) sequence: u64,
}

/// Why there is no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHeader {
    Damaged,
    /// Of a newer release, with this format.
    Newer(u32),
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&(self.kind as u32).to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        let digest = Purpose::RunLedger.digest(&out);
        out.extend_from_slice(&digest[..DIGEST_BYTES]);
        std::array::from_fn(|at| out[at])
    }

    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, NoHeader> {
        let (head, digest) = bytes.split_at(HEADER_BYTES - DIGEST_BYTES);
        let mut reader = Reader::new(head);
        let magic = reader.array::<8>();
        match reader.u32() {
            // A newer release may have another digest.
            Some(newer) if magic == Some(*MAGIC) && newer > FORMAT => return Err(NoHeader::Newer(newer)),
            Some(FORMAT) if magic == Some(*MAGIC) => {}
            _ => return Err(NoHeader::Damaged),
        }
        if Purpose::RunLedger.digest(head)[..DIGEST_BYTES] != *digest {
            return Err(NoHeader::Damaged);
        }
        let mut fields = || {
            let kind = match reader.u32()? {
                0 => Kind::Program,
                1 => Kind::Fold,
                2 => Kind::Request,
                _ => return None,
            };
            Some(Header { kind, id: reader.u64()?, sequence: reader.u64()? })
        };
        fields().ok_or(NoHeader::Damaged)
    }
}

fn digest(id: u64, at: u64, payload: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&id.to_le_bytes());
    place[8..].copy_from_slice(&at.to_le_bytes());
    let whole = Purpose::RunLedger.digest_of(&[&place[..], payload]);
    std::array::from_fn(|byte| whole[byte])
}

/// Frames that are to stand one behind the other in a segment.
pub(super) struct Frames {
    id: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Frames {
    /// For the segment of this id.
    pub(super) fn new(id: u64) -> Frames {
        Frames { id, start: 0, bytes: Vec::new() }
    }

    /// Forgets the frames it has; the next ones stand from this place on.
    pub(super) fn restart(&mut self, start: u64) {
        self.start = start;
        self.bytes.clear();
    }

    /// Adds the frame of a record that `put` appends. It must be no longer than 16 MiB; a longer one would not be read.
    pub(super) fn push(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let front = self.bytes.len();
        self.bytes.resize(front + FRONT_BYTES, 0);
        put(&mut self.bytes);
        let payload = &self.bytes[front + FRONT_BYTES..];
        debug_assert!(payload.len() <= LONGEST as usize, "records are written in parts");
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let digest = digest(self.id, self.start + front as u64, payload);
        self.bytes[front..front + 4].copy_from_slice(&len.to_le_bytes());
        self.bytes[front + 4..front + FRONT_BYTES].copy_from_slice(&digest);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// How the reading of a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// At the end of the file.
    Whole,
    /// Within a frame that the file ends in: its writer was stopped in the middle, or is at it.
    Cut,
    /// At a frame that is not as it was written. So many are lost by that: itself, and those behind it that would do.
    Altered(u64),
}

/// Takes frame after frame from a segment, up to the first that is cut or altered.
pub(super) struct FrameReader<R> {
    bytes: R,
    id: u64,
    at: u64,
    payload: Vec<u8>,
}

enum Next {
    Payload,
    End,
    Cut,
    /// One may follow, unless the length makes no sense.
    Altered {
        more: bool,
    },
}

impl<R: Read> FrameReader<R> {
    /// Of what stands behind the header of the segment of this id.
    pub(super) fn new(bytes: R, id: u64) -> FrameReader<R> {
        FrameReader::at(bytes, id, HEADER_BYTES as u64)
    }

    /// The same, of what stands at a [place](FrameReader::place) and behind it.
    pub(super) fn at(bytes: R, id: u64, at: u64) -> FrameReader<R> {
        FrameReader { bytes, id, at, payload: Vec::new() }
    }

    /// Where the next frame begins.
    pub(super) fn place(&self) -> u64 {
        self.at
    }

    /// Gives each payload to `take` until it refuses one, which then counts as altered.
    ///
    /// # Errors
    /// The system cannot read the file.
    pub(super) fn read(&mut self, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<Tail> {
        loop {
            match self.next()? {
                Next::Payload if take(&self.payload) => {}
                Next::Payload => return self.count_behind(),
                Next::End => return Ok(Tail::Whole),
                Next::Cut => return Ok(Tail::Cut),
                Next::Altered { more: true } => return self.count_behind(),
                Next::Altered { more: false } => return Ok(Tail::Altered(1)),
            }
        }
    }

    /// How much stands behind a frame that is altered, itself counted. It is not used: what it follows is unknown.
    fn count_behind(&mut self) -> io::Result<Tail> {
        let mut count = 1;
        loop {
            match self.next()? {
                Next::Payload => count += 1,
                Next::Altered { more: true } => {}
                Next::End | Next::Cut | Next::Altered { more: false } => return Ok(Tail::Altered(count)),
            }
        }
    }

    fn next(&mut self) -> io::Result<Next> {
        let mut front = [0; FRONT_BYTES];
        match self.fill(&mut front)? {
            0 => return Ok(Next::End),
            FRONT_BYTES => {}
            _ => return Ok(Next::Cut),
        }
        let (len, expected) = front.split_at(4);
        let len = len.iter().rev().fold(0, |len, byte| len << 8 | u32::from(*byte));
        if len > LONGEST {
            return Ok(Next::Altered { more: false });
        }
        self.payload.clear();
        // Grows with what is there, not with what a length claims.
        let there = (&mut self.bytes).take(u64::from(len)).read_to_end(&mut self.payload)?;
        if there < len as usize {
            return Ok(if there > LONGEST_TORN { Next::Altered { more: false } } else { Next::Cut });
        }
        let at = self.at;
        self.at += (FRONT_BYTES + there) as u64;
        let sound = digest(self.id, at, &self.payload) == expected;
        Ok(if sound { Next::Payload } else { Next::Altered { more: true } })
    }

    /// Reads until the buffer is full or the file ends; answers how much.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.bytes.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}
