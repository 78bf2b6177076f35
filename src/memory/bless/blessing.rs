//! What is noted of a blessing: by whom, when, on what evidence, and for which entries.

use std::fmt;
use std::time::SystemTime;

use crate::key::hex;
use crate::memory::time;
use crate::store::bytes::{Reader, put_block};
use crate::store::census::Code;
use crate::store::{Prefix, time_at};

/// The kind of note.
const KIND: u8 = b'b';
/// A reader that meets a higher one has no blessing.
const FORMAT: u8 = 1;

/// That entries of earlier code of a function answer for another code: who said so, when, and how many were computed again to
/// see that it is so. See [`Cached::bless`](crate::Cached::bless).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blessing {
    /// The function's full name.
    pub function: String,
    /// The code that is answered for: its digest in hexadecimal digits.
    pub fingerprint: String,
    /// Its version.
    pub version: u64,
    /// The codes whose entries answer. The newest first; behind it those that answered for that one.
    pub from: Vec<BlessedCode>,
    /// Who blessed it.
    pub by: String,
    /// When.
    pub at: SystemTime,
    /// How many entries were computed again.
    pub sampled: u32,
    /// How many of these gave the same result: all of them, or there would be no blessing.
    pub agreed: u32,
    /// How many entries there were of these codes.
    pub entries: u64,
}

/// A code whose entries answer for another.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct BlessedCode {
    /// Its digest in hexadecimal digits.
    pub fingerprint: String,
    /// Its version.
    pub version: u64,
    /// Entries that were stored later do not answer: nobody looked at these.
    pub until: SystemTime,
}

/// `by ana on 2026-11-22 12:00:00 UTC, 32/32 equal`.
impl fmt::Display for Blessing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blessing { by, at, agreed, sampled, .. } = self;
        write!(f, "by {by} on {}, {agreed}/{sampled} equal", time::utc(*at))
    }
}

/// One blessing as it is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Until when entries of these codes were stored that answer.
    pub(crate) from: Vec<(Code, u64)>,
    pub(crate) by: String,
    pub(crate) at_ms: u64,
    pub(crate) sampled: u32,
    pub(crate) agreed: u32,
    pub(crate) entries: u64,
}

/// The blessings of one code of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grants {
    pub(crate) function: String,
    pub(crate) code: Code,
    pub(crate) grants: Vec<Grant>,
}

impl Grants {
    /// What such notes of a function go by, but for its code.
    pub(crate) fn names_of(function: &str) -> Vec<u8> {
        [&[KIND], Prefix::of(function).as_bytes()].concat()
    }

    /// What the note of a code goes by; none of a closure, whose code nobody sees.
    pub(crate) fn name(function: &str, code: &Code) -> Option<Vec<u8>> {
        let fingerprint = code.fingerprint?;
        let mut name = Grants::names_of(function);
        name.extend_from_slice(&fingerprint);
        name.extend_from_slice(&code.version.to_le_bytes());
        Some(name)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        put_block(&mut out, self.function.as_bytes());
        put_code(&mut out, &self.code);
        out.extend_from_slice(&(self.grants.len() as u32).to_le_bytes());
        for Grant { from, by, at_ms, sampled, agreed, entries } in &self.grants {
            put_block(&mut out, by.as_bytes());
            out.extend_from_slice(&at_ms.to_le_bytes());
            out.extend_from_slice(&sampled.to_le_bytes());
            out.extend_from_slice(&agreed.to_le_bytes());
            out.extend_from_slice(&entries.to_le_bytes());
            out.extend_from_slice(&(from.len() as u32).to_le_bytes());
            for (code, until_ms) in from {
                put_code(&mut out, code);
                out.extend_from_slice(&until_ms.to_le_bytes());
            }
        }
        out
    }

    /// Reads a note of this function: another's name may begin alike.
    pub(crate) fn parse(note: &[u8], function: &str) -> Option<Grants> {
        let mut reader = Reader::new(note);
        (reader.u8()? == FORMAT && reader.text()? == function).then_some(())?;
        let code = take_code(&mut reader)?;
        let grants = (0..reader.u32()?).map(|_| Grant::take(&mut reader)).collect::<Option<_>>()?;
        reader.rest().is_empty().then_some(Grants { function: function.to_owned(), code, grants })
    }

    /// With one more, which stands for its codes in place of those before.
    pub(crate) fn with(mut self, grant: Grant) -> Grants {
        let is_in = |code: &Code| grant.from.iter().any(|(other, _)| other == code);
        self.grants.iter_mut().for_each(|before| before.from.retain(|(code, _)| !is_in(code)));
        self.grants.retain(|before| !before.from.is_empty());
        self.grants.insert(0, grant);
        self
    }

    /// All codes that answer, and until when.
    pub(crate) fn from(&self) -> impl Iterator<Item = &(Code, u64)> {
        self.grants.iter().flat_map(|grant| &grant.from)
    }

    /// As people are told.
    pub(crate) fn blessings(&self) -> impl Iterator<Item = Blessing> {
        self.grants.iter().map(|grant| Blessing {
            function: self.function.clone(),
            fingerprint: digits(&self.code),
            version: self.code.version,
            from: grant.from.iter().map(|(code, until_ms)| blessed_code(code, *until_ms)).collect(),
            by: grant.by.clone(),
            at: time_at(grant.at_ms),
            sampled: grant.sampled,
            agreed: grant.agreed,
            entries: grant.entries,
        })
    }
}

impl Grant {
    fn take(reader: &mut Reader<'_>) -> Option<Grant> {
        let by = reader.text()?.to_owned();
        let (at_ms, sampled, agreed, entries) = (reader.u64()?, reader.u32()?, reader.u32()?, reader.u64()?);
        let from = (0..reader.u32()?).map(|_| Some((take_code(reader)?, reader.u64()?))).collect::<Option<_>>()?;
        Some(Grant { from, by, at_ms, sampled, agreed, entries })
    }
}

pub(crate) fn blessed_code(code: &Code, until_ms: u64) -> BlessedCode {
    BlessedCode { fingerprint: digits(code), version: code.version, until: time_at(until_ms) }
}

pub(crate) fn digits(code: &Code) -> String {
    code.fingerprint.map(|fingerprint| hex(&fingerprint)).unwrap_or_default()
}

fn put_code(out: &mut Vec<u8>, code: &Code) {
    out.extend_from_slice(&code.fingerprint.unwrap_or_default());
    out.extend_from_slice(&code.version.to_le_bytes());
}

fn take_code(reader: &mut Reader<'_>) -> Option<Code> {
    Some(Code { fingerprint: Some(reader.array()?), version: reader.u64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(byte: u8) -> Code {
        Code { fingerprint: Some([byte; 32]), version: u64::from(byte) }
    }

    fn grant(by: &str, codes: &[u8]) -> Grant {
        let from = codes.iter().map(|byte| (code(*byte), 7)).collect();
        Grant { from, by: by.to_owned(), at_ms: 5, sampled: 32, agreed: 32, entries: 100 }
    }

    fn grants() -> Grants {
        Grants { function: "a::f".to_owned(), code: code(9), grants: vec![grant("ana", &[1, 2]), grant("bo", &[3])] }
    }

    #[test]
    fn notes_come_back() {
        let bytes = grants().encode();
        assert_eq!(Grants::parse(&bytes, "a::f"), Some(grants()));
        assert_eq!(Grants::parse(&bytes, "a::g"), None, "another function's");
        for cut in 0..bytes.len() {
            assert_eq!(Grants::parse(&bytes[..cut], "a::f"), None, "cut at {cut}");
        }
        assert_eq!(Grants::parse(&[&[FORMAT + 1][..], &bytes[1..]].concat(), "a::f"), None, "a later release's");
    }

    #[test]
    fn the_last_to_speak_of_a_code_speaks_for_it() {
        let all = grants().with(grant("cy", &[2, 3]));
        let by: Vec<_> = all.grants.iter().map(|grant| (grant.by.as_str(), grant.from.len())).collect();
        assert_eq!(by, [("cy", 2), ("ana", 1)]);
        assert_eq!(all.from().count(), 3);
    }

    #[test]
    fn a_closure_has_no_note() {
        assert_eq!(Grants::name("f", &Code { fingerprint: None, version: 1 }), None);
        assert!(Grants::name("f", &code(1)).unwrap().starts_with(&Grants::names_of("f")));
    }
}
