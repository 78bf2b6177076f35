//! How often entries are used, and what that and the rest of their calls come to.

use std::time::Duration;

use super::bytes::{Reader, put_block};
use super::entry_key::EntryKey;

/// When an entry was used last, and how often it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// 0: never since it was stored.
    pub(crate) last_ms: u64,
    pub(crate) hits: u64,
}

impl Used {
    pub(super) fn encode(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.last_ms.to_le_bytes());
        out[8..].copy_from_slice(&self.hits.to_le_bytes());
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Used> {
        let mut reader = Reader::new(bytes);
        let used = Used { last_ms: reader.u64()?, hits: reader.u64()? };
        reader.rest().is_empty().then_some(used)
    }

    pub(super) fn add(&mut self, more: Used) {
        // A clock that was set back does not make an entry older.
        self.last_ms = self.last_ms.max(more.last_ms);
        self.hits = self.hits.saturating_add(more.hits);
    }
}

/// What the calls of a function came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// What the hits would have taken to compute.
    pub(crate) nanos_saved: u64,
    /// What the misses took to compute.
    pub(crate) nanos_computing: u64,
    /// Of the hits, those by entries of other code that was blessed.
    pub(crate) blessed: u64,
}

impl Calls {
    /// What a call that was computed took on average, if any was.
    pub(crate) fn mean_cost(&self) -> Option<Duration> {
        (self.misses > 0).then(|| Duration::from_nanos(self.nanos_computing / self.misses))
    }

    pub(super) fn numbers(&self) -> [u64; 5] {
        [self.hits, self.misses, self.nanos_saved, self.nanos_computing, self.blessed]
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Option<Calls> {
        Calls::take_numbers(reader, true)
    }

    /// The numbers of earlier releases, without `blessed`, are read too.
    pub(super) fn take_numbers(reader: &mut Reader<'_>, has_blessed: bool) -> Option<Calls> {
        Some(Calls {
            hits: reader.u64()?,
            misses: reader.u64()?,
            nanos_saved: reader.u64()?,
            nanos_computing: reader.u64()?,
            blessed: if has_blessed { reader.u64()? } else { 0 },
        })
    }

    pub(crate) fn add(&mut self, more: Calls) {
        self.hits = self.hits.saturating_add(more.hits);
        self.misses = self.misses.saturating_add(more.misses);
        self.nanos_saved = self.nanos_saved.saturating_add(more.nanos_saved);
        self.nanos_computing = self.nanos_computing.saturating_add(more.nanos_computing);
        self.blessed = self.blessed.saturating_add(more.blessed);
    }
}

/// What a program did with a cache lately: told to the store now and then, never with each call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub(crate) entries: Vec<(EntryKey, Used)>,
    pub(crate) functions: Vec<(FunctionName, Calls)>,
}

/// A function as lists of a cache know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FunctionName {
    pub(crate) name: String,
    /// A closure that goes by a name given by hand.
    pub(crate) by_hand: bool,
}

impl Uses {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.functions.is_empty()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for (key, used) in &self.entries {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&used.encode());
        }
        out.extend_from_slice(&(self.functions.len() as u32).to_le_bytes());
        for (function, calls) in &self.functions {
            out.push(u8::from(function.by_hand));
            put_block(out, function.name.as_bytes());
            calls.numbers().iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        }
    }

    pub(super) fn take(reader: &mut Reader<'_>) -> Option<Uses> {
        let mut uses = Uses::default();
        for _ in 0..reader.u32()? {
            let key = EntryKey::from_bytes(reader.array()?);
            uses.entries.push((key, Used { last_ms: reader.u64()?, hits: reader.u64()? }));
        }
        for _ in 0..reader.u32()? {
            let by_hand = reader.u8()? != 0;
            let name = reader.text()?.to_owned();
            uses.functions.push((FunctionName { name, by_hand }, Calls::take(reader)?));
        }
        Some(uses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_come_back_and_add_up() {
        let mut used = Used { last_ms: 5, hits: 2 };
        used.add(Used { last_ms: 3, hits: 1 });
        assert_eq!(used, Used { last_ms: 5, hits: 3 });
        assert_eq!(Used::parse(&used.encode()), Some(used));
        let calls = Calls { hits: 1, misses: 2, nanos_saved: 3, nanos_computing: 4, blessed: 5 };
        let name = FunctionName { name: "a::b".to_owned(), by_hand: true };
        let uses = Uses { entries: vec![(EntryKey::from_bytes([7; 40]), used)], functions: vec![(name, calls)] };
        let mut bytes = Vec::new();
        uses.encode(&mut bytes);
        assert_eq!(Uses::take(&mut Reader::new(&bytes)), Some(uses));
        for cut in 0..bytes.len() {
            assert_eq!(Uses::take(&mut Reader::new(&bytes[..cut])), None, "cut at {cut}");
        }
    }
}
