//! What a cache holds, function by function: counted as entries come and go, so nobody ever has to list them for it.

use std::collections::HashMap;

use super::bytes::{Reader, put_block};
use super::entry::{self, OriginHead};
use super::used::{Calls, FunctionName};

/// Bits of the first byte of written totals.
const BY_HAND: u8 = 1;
/// Earlier releases did not count blessed hits.
const HAS_BLESSED: u8 = 2;

/// What a cache holds of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionTotals {
    pub(crate) function: FunctionName,
    pub(crate) tally: Tally,
}

impl FunctionTotals {
    /// The function's name.
    pub fn name(&self) -> &str {
        &self.function.name
    }

    /// Its entries.
    pub fn entries(&self) -> u64 {
        self.tally.entries
    }

    /// The same function before any entry: what its calls came to is kept.
    pub(super) fn without_entries(self) -> FunctionTotals {
        FunctionTotals { tally: Tally { calls: self.tally.calls, ..Tally::default() }, ..self }
    }

    /// Their bytes: of encoded results before compression, with their records.
    pub fn bytes(&self) -> u64 {
        self.tally.bytes
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.function.by_hand) | HAS_BLESSED);
        put_block(out, self.function.name.as_bytes());
        self.tally.encode(out);
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Option<FunctionTotals> {
        let flags = reader.u8()?;
        let name = reader.text()?.to_owned();
        let function = FunctionName { name, by_hand: flags & BY_HAND != 0 };
        Some(FunctionTotals { function, tally: Tally::take(reader, flags & HAS_BLESSED != 0)? })
    }
}

/// The numbers of one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) calls: Calls,
    /// The codes and versions that the entries are of.
    pub(crate) codes: Vec<CodeTally>,
}

/// The entries of one code and version of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodeTally {
    pub(crate) code: Code,
    pub(crate) entries: u64,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

/// A function's code in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) fingerprint: Option<[u8; 32]>,
    pub(crate) version: u64,
}

impl Tally {
    fn add(&mut self, head: &OriginHead<'_>, bytes: u64, created_at_ms: u64) {
        self.entries += 1;
        self.bytes += bytes;
        match self.codes.iter_mut().find(|tally| tally.code == head.code) {
            Some(tally) => {
                tally.entries += 1;
                tally.first_ms = tally.first_ms.min(created_at_ms);
                tally.last_ms = tally.last_ms.max(created_at_ms);
            }
            None => self.codes.push(CodeTally {
                code: head.code,
                entries: 1,
                first_ms: created_at_ms,
                last_ms: created_at_ms,
            }),
        }
    }

    fn remove(&mut self, head: &OriginHead<'_>, bytes: u64) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(place) = self.codes.iter().position(|tally| tally.code == head.code) {
            self.codes[place].entries = self.codes[place].entries.saturating_sub(1);
            if self.codes[place].entries == 0 {
                self.codes.remove(place);
            }
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let numbers = [self.entries, self.bytes].into_iter().chain(self.calls.numbers());
        numbers.for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        // A program that changes its code so often has other troubles: what does not fit is not told.
        let codes = &self.codes[self.codes.len().saturating_sub(usize::from(u8::MAX))..];
        out.push(codes.len() as u8);
        for CodeTally { code, entries, first_ms, last_ms } in codes {
            out.push(u8::from(code.fingerprint.is_some()));
            out.extend_from_slice(&code.fingerprint.unwrap_or_default());
            [code.version, *entries, *first_ms, *last_ms]
                .iter()
                .for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        }
    }

    fn take(reader: &mut Reader<'_>, has_blessed: bool) -> Option<Tally> {
        let (entries, bytes) = (reader.u64()?, reader.u64()?);
        let calls = Calls::take_numbers(reader, has_blessed)?;
        let codes = (0..reader.u8()?)
            .map(|_| {
                let has_fingerprint = reader.u8()? != 0;
                let fingerprint = reader.array()?;
                let code = Code { fingerprint: has_fingerprint.then_some(fingerprint), version: reader.u64()? };
                Some(CodeTally { code, entries: reader.u64()?, first_ms: reader.u64()?, last_ms: reader.u64()? })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Tally { entries, bytes, calls, codes })
    }
}

/// The numbers of all functions.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Functions with an attribute, and closures by hand: two of one name are two.
    by_name: [HashMap<Box<str>, Counted>; 2],
    entries: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Counted {
    tally: Tally,
    /// It is not written down as it is.
    changed: bool,
}

impl Census {
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn change(&mut self, name: &str, by_hand: bool, change: impl FnOnce(&mut Tally)) {
        let map = &mut self.by_name[usize::from(by_hand)];
        if !map.contains_key(name) {
            map.insert(name.into(), Counted::default());
        }
        if let Some(counted) = map.get_mut(name) {
            counted.changed = true;
            change(&mut counted.tally);
        }
    }

    /// A record came.
    pub(super) fn add(&mut self, record: &[u8]) {
        let Some((head, bytes, created_at_ms)) = read(record) else { return };
        self.entries += 1;
        self.bytes += bytes;
        let by_hand = head.code.fingerprint.is_none();
        self.change(head.function, by_hand, |tally| tally.add(&head, bytes, created_at_ms));
    }

    /// A record went.
    pub(super) fn remove(&mut self, record: &[u8]) {
        let Some((head, bytes, _)) = read(record) else { return };
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        let by_hand = head.code.fingerprint.is_none();
        self.change(head.function, by_hand, |tally| tally.remove(&head, bytes));
    }

    /// Calls were made.
    pub(super) fn note(&mut self, function: &FunctionName, calls: Calls) {
        self.change(&function.name, function.by_hand, |tally| tally.calls.add(calls));
    }

    /// What was written down of a function, at an opening.
    pub(super) fn take_up(&mut self, totals: FunctionTotals) {
        self.entries += totals.tally.entries;
        self.bytes += totals.tally.bytes;
        let counted = Counted { tally: totals.tally, changed: false };
        self.by_name[usize::from(totals.function.by_hand)].insert(totals.function.name.into(), counted);
    }

    /// Functions behind this name, in the order of their names.
    pub(super) fn functions(&self, after: Option<&FunctionName>) -> Vec<FunctionTotals> {
        let mut all: Vec<FunctionTotals> = [false, true]
            .into_iter()
            .flat_map(|by_hand| self.by_name[usize::from(by_hand)].iter().map(move |each| (by_hand, each)))
            .map(|(by_hand, (name, counted))| FunctionTotals {
                function: FunctionName { name: name.to_string(), by_hand },
                tally: counted.tally.clone(),
            })
            .filter(|totals| after.is_none_or(|after| totals.function > *after))
            .collect();
        all.sort_unstable_by(|one, other| one.function.cmp(&other.function));
        all
    }

    /// One function.
    pub(super) fn function(&self, function: &FunctionName) -> Option<FunctionTotals> {
        let counted = self.by_name[usize::from(function.by_hand)].get(&*function.name)?;
        Some(FunctionTotals { function: function.clone(), tally: counted.tally.clone() })
    }

    /// What changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> Vec<FunctionTotals> {
        let mut changed = Vec::new();
        for (map, by_hand) in self.by_name.iter_mut().zip([false, true]) {
            for (name, counted) in map {
                if std::mem::take(&mut counted.changed) {
                    let function = FunctionName { name: name.to_string(), by_hand };
                    changed.push(FunctionTotals { function, tally: counted.tally.clone() });
                }
            }
        }
        changed
    }
}

fn read(record: &[u8]) -> Option<(OriginHead<'_>, u64, u64)> {
    let (fields, origin) = entry::fields(record).ok()?;
    let head = OriginHead::parse(origin)?;
    Some((head, bytes_of(&fields, record), fields.facts.created_at_ms))
}

/// What an entry takes: its encoded value, and its record without it.
pub(crate) fn bytes_of(fields: &entry::Record, record: &[u8]) -> u64 {
    match fields.place {
        entry::Place::Inline { .. } => record.len() as u64,
        entry::Place::Blob { .. } => record.len() as u64 + fields.facts.value_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecId;
    use crate::store::EntryKey;
    use crate::store::entry::{Facts, Origin, Place, Record};

    fn record(function: &'static str, version: u64, value: u64) -> Vec<u8> {
        let origin =
            Origin { function: function.into(), fingerprint: None, version, arguments: Vec::new(), call: None };
        let facts =
            Facts { codec: CodecId::Compact, shape: 0, created_at_ms: version, compute_nanos: 1, value_bytes: value };
        let record = Record { facts, place: Place::Blob { name: [1; 32] } };
        entry::encode(&EntryKey::from_bytes([1; 40]), &record, &origin.encode(), &[])
    }

    #[test]
    fn what_comes_and_goes_is_counted() {
        let mut census = Census::default();
        let (f1, f2, g) = (record("f", 1, 5000), record("f", 2, 6000), record("g", 1, 7000));
        for record in [&f1, &f2, &g, &f1] {
            census.add(record);
        }
        census.remove(&f1);
        assert_eq!(census.entries(), 3);
        assert_eq!(census.bytes(), 18_000 + [&f1, &f2, &g].map(|record| record.len() as u64).iter().sum::<u64>());
        census.remove(&f1);
        let name = FunctionName { name: "f".to_owned(), by_hand: true };
        census.note(&name, Calls { hits: 2, misses: 1, nanos_saved: 9, nanos_computing: 8, blessed: 1 });
        let f = census.function(&name).unwrap();
        assert_eq!((f.entries(), f.tally.codes.len(), f.tally.codes[0].code.version), (1, 1, 2));
        assert_eq!(census.functions(None).len(), 2);
        assert_eq!(census.functions(Some(&name)).len(), 1);

        let mut bytes = Vec::new();
        let changed = census.take_changed();
        assert!(census.take_changed().is_empty());
        changed.iter().for_each(|totals| totals.encode(&mut bytes));
        let mut reader = Reader::new(&bytes);
        let mut again = Census::default();
        while let Some(totals) = FunctionTotals::take(&mut reader) {
            again.take_up(totals);
        }
        assert!(reader.rest().is_empty());
        assert_eq!(again.functions(None), census.functions(None));
        assert_eq!((again.entries(), again.bytes()), (census.entries(), census.bytes()));
    }
}
