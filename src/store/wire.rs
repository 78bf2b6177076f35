//! What a program and the owner of a store say to each other: records and claims, never large values.
//!
//! One request, one answer, but for what needs none (docs/format.md does not hold these bytes still: both sides say which
//! [`PROTOCOL`] they speak first, and part where they differ).

use std::time::Duration;

use super::bytes::{Reader, put_block};
use super::claims::{Claimed, End, OwnClaim};
use super::entry_key::EntryKey;

/// Raised with every change to a message.
pub(super) const PROTOCOL: u32 = 2;
/// A record is a few KiB: what says it is longer is refused before memory is asked for it.
pub(super) const LONGEST: usize = 1 << 20;

/// The longest wait for a claim within one request; who waits longer asks again. So an owner never takes much longer to stop.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(1);

const MAGIC: &[u8; 8] = b"LARDSOCK";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request<'r> {
    /// The first on each connection, understood in every protocol as far as the number. A program's time with an owner is
    /// a session: it begins with a `main` connection, and its claims end with that. Session 0 only reads.
    Hello {
        protocol: u32,
        program: u64,
        session: u64,
        main: bool,
    },
    /// A claim that was made with an earlier owner.
    Adopt(OwnClaim),
    /// All claims were adopted.
    Ready,
    Get {
        key: EntryKey,
    },
    /// With `look`, a record is an answer too.
    Claim {
        key: EntryKey,
        thread: u64,
        look: bool,
        wait_ms: u32,
    },
    /// Has no answer.
    Release {
        key: EntryKey,
        thread: u64,
        end: End,
    },
    Put {
        key: EntryKey,
        costly: bool,
        record: &'r [u8],
    },
    ClearFunction {
        by_hand: bool,
        name: &'r str,
    },
    Clear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply<'r> {
    Done,
    /// This owner does not serve this program.
    Refused(&'r str),
    Record(&'r [u8]),
    Absent,
    Claimed(Claimed),
    /// Stored, but what should follow failed.
    Late(&'r str),
    Failed(&'r str),
    Count(u64),
}

impl<'r> Request<'r> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Request::Hello { protocol, program, session, main } => {
                out.push(0);
                out.extend_from_slice(MAGIC);
                out.extend_from_slice(&protocol.to_le_bytes());
                out.extend_from_slice(&program.to_le_bytes());
                out.extend_from_slice(&session.to_le_bytes());
                out.push(u8::from(*main));
            }
            Request::Adopt(OwnClaim { key, thread, granted }) => {
                out.push(1);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&thread.to_le_bytes());
                out.push(u8::from(*granted));
            }
            Request::Ready => out.push(2),
            Request::Get { key } => {
                out.push(3);
                out.extend_from_slice(key.as_bytes());
            }
            Request::Claim { key, thread, look, wait_ms } => {
                out.push(4);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&thread.to_le_bytes());
                out.push(u8::from(*look));
                out.extend_from_slice(&wait_ms.to_le_bytes());
            }
            Request::Release { key, thread, end } => {
                out.push(5);
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(&thread.to_le_bytes());
                out.push(u8::from(*end == End::Stored));
            }
            Request::Put { key, costly, record } => {
                out.reserve(record.len());
                out.push(6);
                out.extend_from_slice(key.as_bytes());
                out.push(u8::from(*costly));
                out.extend_from_slice(record);
            }
            Request::ClearFunction { by_hand, name } => {
                out.push(7);
                out.push(u8::from(*by_hand));
                put_block(&mut out, name.as_bytes());
            }
            Request::Clear => out.push(8),
        }
        out
    }

    pub(super) fn parse(bytes: &'r [u8]) -> Option<Request<'r>> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u8()?;
        let mut key = || reader.array().map(EntryKey::from_bytes);
        let request = match kind {
            0 => {
                (reader.array::<8>()? == *MAGIC).then_some(())?;
                let protocol = reader.u32()?;
                if protocol != PROTOCOL {
                    // What else it says is not known here; it can still be told why it is refused.
                    return Some(Request::Hello { protocol, program: 0, session: 0, main: false });
                }
                let (program, session) = (reader.u64()?, reader.u64()?);
                Request::Hello { protocol, program, session, main: reader.u8()? != 0 }
            }
            1 => Request::Adopt(OwnClaim { key: key()?, thread: reader.u64()?, granted: reader.u8()? != 0 }),
            2 => Request::Ready,
            3 => Request::Get { key: key()? },
            4 => Request::Claim { key: key()?, thread: reader.u64()?, look: reader.u8()? != 0, wait_ms: reader.u32()? },
            5 => Request::Release { key: key()?, thread: reader.u64()?, end: end_of(reader.u8()?) },
            6 => {
                let (key, costly) = (key()?, reader.u8()? != 0);
                let len = reader.rest().len();
                Request::Put { key, costly, record: reader.take(len)? }
            }
            7 => Request::ClearFunction { by_hand: reader.u8()? != 0, name: reader.text()? },
            8 => Request::Clear,
            _ => return None,
        };
        reader.rest().is_empty().then_some(request)
    }
}

fn end_of(stored: u8) -> End {
    if stored != 0 { End::Stored } else { End::NotStored }
}

impl<'r> Reply<'r> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, rest): (u8, &[u8]) = match self {
            Reply::Done => (0, &[]),
            Reply::Refused(words) => (1, words.as_bytes()),
            Reply::Record(record) => (2, record),
            Reply::Absent => (3, &[]),
            Reply::Claimed(Claimed::Mine) => (4, &[]),
            Reply::Claimed(Claimed::Ended(End::Stored)) => (5, &[]),
            Reply::Claimed(Claimed::Ended(End::NotStored)) => (6, &[]),
            Reply::Claimed(Claimed::Busy) => (7, &[]),
            Reply::Claimed(Claimed::MustNotWait) => (8, &[]),
            Reply::Late(words) => (9, words.as_bytes()),
            Reply::Failed(words) => (10, words.as_bytes()),
            Reply::Count(count) => (11, &count.to_le_bytes()),
        };
        let mut out = Vec::with_capacity(1 + rest.len());
        out.push(kind);
        out.extend_from_slice(rest);
        out
    }

    pub(super) fn parse(bytes: &'r [u8]) -> Option<Reply<'r>> {
        let (kind, rest) = bytes.split_first()?;
        let words = || std::str::from_utf8(rest).ok();
        Some(match kind {
            0 => Reply::Done,
            1 => Reply::Refused(words()?),
            2 => Reply::Record(rest),
            3 => Reply::Absent,
            4 => Reply::Claimed(Claimed::Mine),
            5 => Reply::Claimed(Claimed::Ended(End::Stored)),
            6 => Reply::Claimed(Claimed::Ended(End::NotStored)),
            7 => Reply::Claimed(Claimed::Busy),
            8 => Reply::Claimed(Claimed::MustNotWait),
            9 => Reply::Late(words()?),
            10 => Reply::Failed(words()?),
            11 => Reply::Count(Reader::new(rest).u64()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_come_back_and_cut_ones_do_not() {
        let key = EntryKey::from_bytes(std::array::from_fn(|at| at as u8));
        let requests = [
            Request::Hello { protocol: PROTOCOL, program: u64::MAX, session: 3, main: true },
            Request::Adopt(OwnClaim { key, thread: 3, granted: true }),
            Request::Ready,
            Request::Get { key },
            Request::Claim { key, thread: 9, look: true, wait_ms: 1000 },
            Request::Release { key, thread: 9, end: End::Stored },
            Request::ClearFunction { by_hand: true, name: "a::b" },
            Request::Clear,
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(Request::parse(&bytes), Some(request));
            for cut in 0..bytes.len() {
                assert_eq!(Request::parse(&bytes[..cut]), None, "{request:?} cut at {cut}");
            }
        }
        let other = Request::Hello { protocol: PROTOCOL + 1, program: 0, session: 0, main: false };
        assert_eq!(Request::parse(&other.encode()[..13]), Some(other), "a greeting of another length");
        let put = Request::Put { key, costly: true, record: b"record" };
        assert_eq!(Request::parse(&put.encode()), Some(put));
        let replies = [
            Reply::Done,
            Reply::Refused("no"),
            Reply::Record(b"record"),
            Reply::Absent,
            Reply::Claimed(Claimed::Mine),
            Reply::Claimed(Claimed::Ended(End::Stored)),
            Reply::Claimed(Claimed::Ended(End::NotStored)),
            Reply::Claimed(Claimed::Busy),
            Reply::Claimed(Claimed::MustNotWait),
            Reply::Late("late"),
            Reply::Failed("failed"),
            Reply::Count(12),
        ];
        for reply in replies {
            assert_eq!(Reply::parse(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::parse(&[]), None);
        assert_eq!(Reply::parse(&[99]), None);
    }
}
