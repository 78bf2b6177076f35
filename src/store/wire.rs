//! What a program and the owner of a store say to each other: records and claims, never large values.
//!
//! One request, one answer, but for what needs none (docs/format.md does not hold these bytes still: both sides say which
//! [`PROTOCOL`] they speak first, and part where they differ).

use std::time::Duration;

use super::bytes::{Reader, put_block};
use super::census::FunctionTotals;
use super::claims::{Claimed, End, OwnClaim};
use super::entry_key::{EntryKey, Prefix};
use super::limits::{Caps, Reduced};
use super::listed::Listed;
use super::notes::Note;
use super::tombstone::Tombstone;
use super::used::{FunctionName, Uses};

/// Raised with every change to a message.
pub(super) const PROTOCOL: u32 = 4;
/// A record is a few KiB, a note a million bytes at most: what says it is longer is refused before memory is asked for it.
pub(super) const LONGEST: usize = 1 << 20;

/// The longest wait for a claim within one request; who waits longer asks again. So an owner never takes much longer to stop.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(1);

const MAGIC: &[u8; 8] = b"LARDSOCK";

#[derive(Clone, Debug, PartialEq, Eq)]
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
    Forget {
        key: EntryKey,
    },
    /// A page of the list of entries.
    Page {
        function: Option<Prefix>,
        after: Option<EntryKey>,
    },
    /// A page of the list of functions.
    Functions {
        after: Option<FunctionName>,
    },
    /// One function of that list.
    Function(FunctionName),
    Uses(Uses),
    Note {
        name: &'r [u8],
    },
    /// `None` removes it.
    SetNote {
        name: &'r [u8],
        note: Option<&'r [u8]>,
    },
    /// A page of the notes whose names begin so.
    Notes {
        prefix: &'r [u8],
        after: Option<&'r [u8]>,
    },
    /// Limits that hold while the session does.
    Limit(Caps),
    /// Removes at most so many entries; 0: none, and says what it would.
    Reduce {
        caps: Caps,
        most: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// There is no record, and was one.
    Gone(Tombstone),
    /// The claim is the caller's, and there was a record.
    MineGone(Tombstone),
    Page(Vec<Listed>),
    Functions(Vec<FunctionTotals>),
    Reduced(Reduced),
    TooLarge,
    Notes(Vec<Note>),
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
            Request::Forget { key } => {
                out.push(9);
                out.extend_from_slice(key.as_bytes());
            }
            Request::Page { function, after } => {
                out.push(10);
                put_block(&mut out, function.as_ref().map_or(&[], |prefix| prefix.as_bytes()));
                put_block(&mut out, after.as_ref().map_or(&[], |key| &key.as_bytes()[..]));
            }
            Request::Functions { after } => {
                out.push(11);
                out.push(after.as_ref().map_or(2, |after| u8::from(after.by_hand)));
                put_block(&mut out, after.as_ref().map_or(&[], |after| after.name.as_bytes()));
            }
            Request::Function(function) => {
                out.push(15);
                out.push(u8::from(function.by_hand));
                put_block(&mut out, function.name.as_bytes());
            }
            Request::Uses(uses) => {
                out.push(12);
                uses.encode(&mut out);
            }
            Request::Limit(caps) => {
                out.push(13);
                put_caps(&mut out, caps);
            }
            Request::Reduce { caps, most } => {
                out.push(14);
                put_caps(&mut out, caps);
                out.extend_from_slice(&most.to_le_bytes());
            }
            Request::Note { name } => {
                out.push(16);
                put_block(&mut out, name);
            }
            Request::SetNote { name, note } => {
                out.push(17);
                put_block(&mut out, name);
                put_optional(&mut out, *note);
            }
            Request::Notes { prefix, after } => {
                out.push(18);
                put_block(&mut out, prefix);
                put_optional(&mut out, *after);
            }
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
            9 => Request::Forget { key: key()? },
            10 => {
                let (function, after) = (reader.block()?, reader.block()?);
                let function =
                    if function.is_empty() { None } else { Some(Prefix::from_bytes(function.try_into().ok()?)) };
                let after = if after.is_empty() { None } else { Some(EntryKey::from_bytes(after.try_into().ok()?)) };
                Request::Page { function, after }
            }
            11 => {
                let by_hand = reader.u8()?;
                let name = reader.text()?.to_owned();
                Request::Functions { after: (by_hand < 2).then_some(FunctionName { name, by_hand: by_hand == 1 }) }
            }
            12 => Request::Uses(Uses::take(&mut reader)?),
            13 => Request::Limit(take_caps(&mut reader)?),
            15 => {
                let by_hand = reader.u8()? != 0;
                Request::Function(FunctionName { name: reader.text()?.to_owned(), by_hand })
            }
            14 => Request::Reduce { caps: take_caps(&mut reader)?, most: reader.u64()? },
            16 => Request::Note { name: reader.block()? },
            17 => Request::SetNote { name: reader.block()?, note: take_optional(&mut reader)? },
            18 => Request::Notes { prefix: reader.block()?, after: take_optional(&mut reader)? },
            _ => return None,
        };
        reader.rest().is_empty().then_some(request)
    }
}

fn put_optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    out.push(u8::from(bytes.is_some()));
    put_block(out, bytes.unwrap_or_default());
}

/// The outer `None`: it is cut.
fn take_optional<'r>(reader: &mut Reader<'r>) -> Option<Option<&'r [u8]>> {
    let is_some = reader.u8()? != 0;
    let bytes = reader.block()?;
    Some(is_some.then_some(bytes))
}

fn take_note(reader: &mut Reader<'_>) -> Option<Note> {
    Some((reader.block()?.to_owned(), reader.block()?.to_owned()))
}

fn put_caps(out: &mut Vec<u8>, caps: &Caps) {
    [caps.bytes, caps.entries, caps.age_ms].iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn take_caps(reader: &mut Reader<'_>) -> Option<Caps> {
    Some(Caps { bytes: reader.u64()?, entries: reader.u64()?, age_ms: reader.u64()? })
}

/// What is left of a message, one after the other.
fn take_all<T>(rest: &[u8], take: impl Fn(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut reader = Reader::new(rest);
    let mut all = Vec::new();
    while !reader.rest().is_empty() {
        all.push(take(&mut reader)?);
    }
    Some(all)
}

fn end_of(stored: u8) -> End {
    if stored != 0 { End::Stored } else { End::NotStored }
}

impl<'r> Reply<'r> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut own = Vec::new();
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
            Reply::Gone(tombstone) => (12, &tombstone.encode()),
            Reply::MineGone(tombstone) => (13, &tombstone.encode()),
            Reply::Page(page) => {
                page.iter().for_each(|listed| listed.encode(&mut own));
                (14, &own)
            }
            Reply::Functions(functions) => {
                functions.iter().for_each(|totals| totals.encode(&mut own));
                (15, &own)
            }
            Reply::Reduced(Reduced { entries, bytes, compute_time }) => {
                let nanos = u64::try_from(compute_time.as_nanos()).unwrap_or(u64::MAX);
                [*entries, *bytes, nanos].iter().for_each(|number| own.extend_from_slice(&number.to_le_bytes()));
                (16, &own)
            }
            Reply::TooLarge => (17, &[]),
            Reply::Notes(notes) => {
                for (name, note) in notes {
                    put_block(&mut own, name);
                    put_block(&mut own, note);
                }
                (18, &own)
            }
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
            12 => Reply::Gone(Tombstone::parse(rest)?),
            13 => Reply::MineGone(Tombstone::parse(rest)?),
            14 => Reply::Page(take_all(rest, Listed::take)?),
            15 => Reply::Functions(take_all(rest, FunctionTotals::take)?),
            16 => {
                let mut reader = Reader::new(rest);
                let (entries, bytes) = (reader.u64()?, reader.u64()?);
                Reply::Reduced(Reduced { entries, bytes, compute_time: Duration::from_nanos(reader.u64()?) })
            }
            17 => Reply::TooLarge,
            18 => Reply::Notes(take_all(rest, take_note)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::census::Tally;
    use super::super::tombstone::Removal;
    use super::super::used::{Calls, Used};
    use super::*;

    #[test]
    fn requests_and_replies_come_back_and_cut_ones_do_not() {
        let key = EntryKey::from_bytes(std::array::from_fn(|at| at as u8));
        let name = FunctionName { name: "a::b".to_owned(), by_hand: false };
        let used = Used { last_ms: 1, hits: 2 };
        let tombstone = Tombstone { why: Removal::MaxAge, at_ms: 1, bytes: 2, compute_nanos: 3 };
        let requests = [
            Request::Hello { protocol: PROTOCOL, program: u64::MAX, session: 3, main: true },
            Request::Adopt(OwnClaim { key, thread: 3, granted: true }),
            Request::Ready,
            Request::Get { key },
            Request::Claim { key, thread: 9, look: true, wait_ms: 1000 },
            Request::Release { key, thread: 9, end: End::Stored },
            Request::ClearFunction { by_hand: true, name: "a::b" },
            Request::Clear,
            Request::Forget { key },
            Request::Page { function: Some(Prefix::of("f")), after: None },
            Request::Page { function: None, after: Some(key) },
            Request::Functions { after: None },
            Request::Function(name.clone()),
            Request::Functions { after: Some(name.clone()) },
            Request::Uses(Uses { entries: vec![(key, used)], functions: vec![(name.clone(), Calls::default())] }),
            Request::Limit(Caps::NONE),
            Request::Reduce { caps: Caps { bytes: 1, entries: 2, age_ms: 3 }, most: 4 },
            Request::Note { name: b"cname" },
            Request::SetNote { name: b"cname", note: Some(b"") },
            Request::SetNote { name: b"cname", note: None },
            Request::Notes { prefix: b"c", after: Some(b"cname") },
            Request::Notes { prefix: b"", after: None },
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(Request::parse(&bytes).as_ref(), Some(&request));
            for cut in 0..bytes.len() {
                assert_eq!(Request::parse(&bytes[..cut]), None, "{request:?} cut at {cut}");
            }
        }
        let other = Request::Hello { protocol: PROTOCOL + 1, program: 0, session: 0, main: false };
        assert_eq!(Request::parse(&other.encode()[..13]).as_ref(), Some(&other), "a greeting of another length");
        let put = Request::Put { key, costly: true, record: b"record" };
        assert_eq!(Request::parse(&put.encode()).as_ref(), Some(&put));
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
            Reply::Gone(tombstone),
            Reply::MineGone(tombstone),
            Reply::Page(vec![Listed { key, used, record: b"record".to_vec() }; 2]),
            Reply::Functions(vec![FunctionTotals { function: name, tally: Tally::default() }; 2]),
            Reply::Reduced(Reduced { entries: 1, bytes: 2, compute_time: Duration::from_nanos(3) }),
            Reply::TooLarge,
            Reply::Notes(vec![(b"name".to_vec(), b"note".to_vec()); 2]),
        ];
        for reply in replies {
            assert_eq!(Reply::parse(&reply.encode()).as_ref(), Some(&reply));
        }
        assert_eq!(Reply::parse(&[]), None);
        assert_eq!(Reply::parse(&[99]), None);
    }
}
