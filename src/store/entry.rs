//! The record of one entry, and the ingredients of its key that stand beside it.

use std::borrow::Cow;

use super::bytes::{Reader, put_block};
use super::census::Code;
use super::{Absent, EntryKey, NewEntry};
use crate::codec::CodecId;
use crate::digest::Purpose;
use crate::key::Key;

/// The version of the record and of the blob header. A reader meets a higher one with a miss, never with a guess.
pub(crate) const FORMAT: u8 = 1;

/// What the key was made of: kept with every entry, so that a later miss can be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin<'o> {
    pub(crate) function: Cow<'o, str>,
    /// `None` for a closure, whose code only its version speaks for.
    pub(crate) fingerprint: Option<[u8; 32]>,
    pub(crate) version: u64,
    pub(crate) arguments: Vec<Argument<'o>>,
    /// All arguments as they were given, to make the call again; where they are kept.
    pub(crate) call: Option<CallBytes<'o>>,
}

/// The arguments of a call, encoded as they are for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallBytes<'o> {
    pub(crate) codec: CodecId,
    pub(crate) bytes: Cow<'o, [u8]>,
}

/// One argument: its name, the digest of its canonical form, and a short text of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument<'o> {
    pub(crate) name: Cow<'o, str>,
    pub(crate) digest: [u8; 32],
    pub(crate) text: Cow<'o, str>,
}

impl<'o> Origin<'o> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.function.len() + 96 * self.arguments.len());
        put_block(&mut out, self.function.as_bytes());
        out.push(u8::from(self.fingerprint.is_some()));
        out.extend_from_slice(&self.fingerprint.unwrap_or_default());
        out.extend_from_slice(&self.version.to_le_bytes());
        // The attributes stop at 16 parameters.
        out.push(u8::try_from(self.arguments.len()).unwrap_or(u8::MAX));
        for argument in self.arguments.iter().take(usize::from(u8::MAX)) {
            put_block(&mut out, argument.name.as_bytes());
            out.extend_from_slice(&argument.digest);
            put_block(&mut out, argument.text.as_bytes());
        }
        if let Some(CallBytes { codec, bytes }) = &self.call {
            out.push(codec.as_byte());
            put_block(&mut out, bytes);
        }
        out
    }

    pub(crate) fn parse(bytes: &'o [u8]) -> Option<Origin<'o>> {
        let mut reader = Reader::new(bytes);
        let OriginHead { function, code: Code { fingerprint, version } } = OriginHead::take(&mut reader)?;
        let count = reader.u8()?;
        let arguments = (0..count)
            .map(|_| {
                let name = Cow::Borrowed(reader.text()?);
                let digest = reader.array()?;
                Some(Argument { name, digest, text: Cow::Borrowed(reader.text()?) })
            })
            .collect::<Option<Vec<_>>>()?;
        let call = CallBytes::take(&mut reader);
        Some(Origin { function: Cow::Borrowed(function), fingerprint, version, arguments, call })
    }

    /// Whether the entry is one of this function's, which is a closure if it goes by a name given `by_hand`.
    pub(crate) fn is_of(&self, function: &str, by_hand: bool) -> bool {
        self.function == function && self.fingerprint.is_none() == by_hand
    }
}

impl<'o> CallBytes<'o> {
    /// Records of earlier releases end before, and a codec of a later one cannot be read: then they are not kept.
    fn take(reader: &mut Reader<'o>) -> Option<CallBytes<'o>> {
        let codec = CodecId::from_byte(reader.u8()?)?;
        Some(CallBytes { codec, bytes: Cow::Borrowed(reader.block()?) })
    }
}

/// The front of an origin: whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OriginHead<'o> {
    pub(crate) function: &'o str,
    pub(crate) code: Code,
}

impl<'o> OriginHead<'o> {
    pub(crate) fn parse(bytes: &'o [u8]) -> Option<OriginHead<'o>> {
        OriginHead::take(&mut Reader::new(bytes))
    }

    fn take(reader: &mut Reader<'o>) -> Option<OriginHead<'o>> {
        let function = reader.text()?;
        let has_fingerprint = reader.u8()? == 1;
        let fingerprint = reader.array::<32>()?;
        let code = Code { fingerprint: has_fingerprint.then_some(fingerprint), version: reader.u64()? };
        Some(OriginHead { function, code })
    }
}

/// Where the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the record, from this offset to its end.
    Inline { start: usize },
    /// In the blob of this name.
    Blob { name: [u8; 32] },
}

/// What a record and the header of a blob both say of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) codec: CodecId,
    pub(crate) shape: u64,
    pub(crate) created_at_ms: u64,
    pub(crate) compute_nanos: u64,
    /// The length of the encoded value.
    pub(crate) value_bytes: u64,
}

impl Facts {
    pub(crate) fn of(entry: &NewEntry<'_>, now_ms: u64) -> Facts {
        Facts {
            codec: entry.codec,
            shape: entry.shape,
            created_at_ms: entry.created_at_ms.unwrap_or(now_ms),
            compute_nanos: entry.compute_nanos,
            value_bytes: entry.value_bytes() as u64,
        }
    }

    /// Writes the numbers; the codec's byte stands elsewhere.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        for number in [self.created_at_ms, self.compute_nanos, self.shape, self.value_bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub(crate) fn take(codec: u8, reader: &mut Reader<'_>) -> Option<Facts> {
        let codec = CodecId::from_byte(codec)?;
        let created_at_ms = reader.u64()?;
        let compute_nanos = reader.u64()?;
        let shape = reader.u64()?;
        let value_bytes = reader.u64()?;
        Some(Facts { codec, shape, created_at_ms, compute_nanos, value_bytes })
    }
}

/// A record, parsed and verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) facts: Facts,
    pub(crate) place: Place,
}

const INLINE: u8 = 0;
const BLOB: u8 = 1;
const DIGEST_BYTES: usize = 32;

/// Writes a record: a digest over the key and all that follows, then the fields, then the value if it stands inline.
pub(crate) fn encode(key: &EntryKey, record: &Record, origin: &[u8], inline: &[Cow<'_, [u8]>]) -> Vec<u8> {
    let (place, tail) = match &record.place {
        Place::Blob { name } => (BLOB, &[Cow::Borrowed(&name[..])][..]),
        Place::Inline { .. } => (INLINE, inline),
    };
    let tail_bytes: usize = tail.iter().map(|part| part.len()).sum();
    let mut out = front(&record.facts, place, origin, tail_bytes);
    tail.iter().for_each(|part| out.extend_from_slice(part));
    let digest = Purpose::Record.digest_of(&[key.call().as_bytes(), &out[DIGEST_BYTES..]]);
    out[..DIGEST_BYTES].copy_from_slice(&digest);
    out
}

/// What stands in front of this value in a record that holds it inline.
pub(crate) fn encode_front(key: &EntryKey, facts: &Facts, origin: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = front(facts, INLINE, origin, 0);
    let digest = Purpose::Record.digest_of(&[key.call().as_bytes(), &out[DIGEST_BYTES..], value]);
    out[..DIGEST_BYTES].copy_from_slice(&digest);
    out
}

/// The fields in front of a value or a blob's name, with room for the digest and what follows.
fn front(facts: &Facts, place: u8, origin: &[u8], tail_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(DIGEST_BYTES + 40 + origin.len() + tail_bytes);
    out.extend_from_slice(&[0; DIGEST_BYTES]);
    out.extend_from_slice(&[FORMAT, facts.codec.as_byte(), place, 0]);
    facts.put(&mut out);
    put_block(&mut out, origin);
    out
}

/// Parses and verifies the record of `key`.
///
/// # Errors
/// `NewerRecord` or `DamagedRecord`; bytes that verify but do not parse count as damaged too.
pub(crate) fn parse(key: &EntryKey, bytes: &[u8]) -> Result<Record, Absent> {
    let (record, _) = fields(bytes)?;
    if is_whole(&key.call(), bytes) { Ok(record) } else { Err(Absent::DamagedRecord) }
}

/// Whether a record of this call has its digest, whatever its format.
pub(crate) fn is_whole(call: &Key, bytes: &[u8]) -> bool {
    bytes
        .split_at_checked(DIGEST_BYTES)
        .is_some_and(|(stored, rest)| Purpose::Record.digest_of(&[call.as_bytes(), rest]) == stored)
}

/// The fields of a record and the bytes of its origin, not verified.
pub(crate) fn fields(bytes: &[u8]) -> Result<(Record, &[u8]), Absent> {
    let mut reader = Reader::new(bytes);
    let head = reader.take(DIGEST_BYTES).and_then(|_| reader.array::<4>()).ok_or(Absent::DamagedRecord)?;
    let [format, codec, place, _] = head;
    if format > FORMAT {
        return Err(Absent::NewerRecord);
    }
    let mut parse = || {
        let facts = Facts::take(codec, &mut reader)?;
        let origin = reader.block()?;
        let tail = reader.rest();
        let place = match place {
            INLINE if tail.len() as u64 == facts.value_bytes => Place::Inline { start: bytes.len() - tail.len() },
            BLOB => Place::Blob { name: tail.try_into().ok()? },
            _ => return None,
        };
        Some((Record { facts, place }, origin))
    };
    parse().ok_or(Absent::DamagedRecord)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin<'static> {
        Origin {
            function: "a::b".into(),
            fingerprint: Some([7; 32]),
            version: 3,
            arguments: vec![Argument { name: "x".into(), digest: [9; 32], text: "1.0".into() }],
            call: None,
        }
    }

    #[test]
    fn origins_come_back() {
        let bytes = origin().encode();
        assert_eq!(Origin::parse(&bytes), Some(origin()));
        for cut in 0..bytes.len() {
            assert_eq!(Origin::parse(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn kept_arguments_come_back_and_are_missed_by_nobody() {
        let call = CallBytes { codec: CodecId::SelfDescribing, bytes: b"arguments"[..].into() };
        let kept = Origin { call: Some(call), ..origin() };
        let bytes = kept.encode();
        assert_eq!(Origin::parse(&bytes), Some(kept));
        for cut in origin().encode().len()..bytes.len() {
            assert_eq!(Origin::parse(&bytes[..cut]), Some(origin()), "cut at {cut}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_record_is_noticed() {
        let key = EntryKey::from_bytes([1; 40]);
        let facts = Facts {
            codec: CodecId::Compact,
            shape: 5,
            created_at_ms: 1_700_000_000_000,
            compute_nanos: 11,
            value_bytes: 5,
        };
        let sample = Record { facts, place: Place::Inline { start: 0 } };
        let bytes = encode(&key, &sample, &origin().encode(), &[b"va"[..].into(), b"lue"[..].into()]);
        let record = parse(&key, &bytes).unwrap();
        assert_eq!((record.facts.compute_nanos, record.facts.value_bytes, record.facts.shape), (11, 5, 5));
        let Place::Inline { start } = record.place else { panic!("a small value stands in its record") };
        assert_eq!(&bytes[start..], b"value");
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(parse(&key, &flipped).is_err(), "bit {at}");
        }
        for cut in 0..bytes.len() {
            assert!(parse(&key, &bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(parse(&EntryKey::from_bytes([2; 40]), &bytes).is_err(), "a record under another key");
    }
}
