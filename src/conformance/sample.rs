//! Entries to put, of which everything is known.

use std::borrow::Cow;

use crate::codec::CodecId;
use crate::key::Key;
use crate::store::entry::{Argument, Origin};
use crate::store::{Absent, EntryKey, Found, NewEntry, Prefix, Store};

/// An entry. Its value follows from the other fields; so does its key, from all but `round`, `len` and `costly`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) function: &'static str,
    pub(super) by_hand: bool,
    pub(super) version: u64,
    /// The argument of the call.
    pub(super) argument: u64,
    /// Which of the entries that the key has one after the other. The compute time tells it when the entry is found.
    pub(super) round: u64,
    /// How long the value is.
    pub(super) len: usize,
    pub(super) costly: bool,
}

impl Sample {
    pub(super) fn new(argument: u64, len: usize) -> Sample {
        let function = "conformance::sample";
        Sample { function, by_hand: false, version: 1, argument, round: 0, len, costly: false }
    }

    pub(super) fn key(&self) -> EntryKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.function.as_bytes());
        hasher.update(&[0, u8::from(self.by_hand)]);
        hasher.update(&self.version.to_le_bytes());
        hasher.update(&self.argument.to_le_bytes());
        Prefix::of(self.function).entry(&Key::from_bytes(*hasher.finalize().as_bytes()))
    }

    /// Bytes with no pattern.
    pub(super) fn value(&self) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.key().as_bytes());
        hasher.update(&self.round.to_le_bytes());
        let mut value = vec![0; self.len];
        hasher.finalize_xof().fill(&mut value);
        value
    }

    fn codec(&self) -> CodecId {
        let all = [CodecId::Compact, CodecId::SelfDescribing, CodecId::Numbers, CodecId::Sections];
        all[(self.argument % 4) as usize]
    }

    fn shape(&self) -> u64 {
        self.argument.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.round
    }

    /// Stores it, and answers what the store did.
    pub(super) fn try_put(&self, store: &dyn Store, parts: &[Cow<'_, [u8]>]) -> Result<(), String> {
        let argument = Argument { name: "x".into(), digest: [7; 32], text: self.argument.to_string().into() };
        let origin = Origin {
            function: self.function.into(),
            fingerprint: (!self.by_hand).then_some([self.version as u8; 32]),
            version: self.version,
            arguments: vec![argument],
            call: None,
        };
        let entry = NewEntry {
            key: self.key(),
            codec: self.codec(),
            shape: self.shape(),
            compute_nanos: self.round,
            origin: &origin,
            parts,
            // Some results are mapped when they are loaded.
            mapped: self.argument % 3 == 1,
            costly: self.costly,
            created_at_ms: None,
        };
        match store.put(&entry) {
            Ok(None) => Ok(()),
            Ok(Some(late)) => Err(format!("the entry is in, but what should follow failed: {late}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Stores it.
    pub(super) fn put(&self, store: &dyn Store) {
        if let Err(error) = self.try_put(store, &[Cow::Owned(self.value())]) {
            panic!("{self:?} could not be put: {error}");
        }
    }

    /// It must be there, whole.
    pub(super) fn must_be_in(&self, store: &dyn Store) {
        match store.get(&self.key()) {
            Ok(found) => self.must_be(&found),
            Err(absent) => panic!("{self:?} was put, and is not there: {absent:?}"),
        }
    }

    /// What was found must be this.
    pub(super) fn must_be(&self, found: &Found) {
        assert_eq!(found.facts.compute_nanos, self.round, "another entry was found instead of {self:?}");
        assert_eq!(
            (found.facts.codec, found.facts.shape),
            (self.codec(), self.shape()),
            "how the value of {self:?} is read"
        );
        assert_eq!(found.value().len(), self.len, "the length of the value of {self:?}");
        assert!(found.value() == self.value(), "a wrong value was found for {self:?}");
    }

    /// There must be nothing, and never was.
    pub(super) fn must_not_be_in(&self, store: &dyn Store) {
        match store.get(&self.key()) {
            Err(Absent::Never | Absent::Removed(_)) => {}
            Err(other) => panic!("nothing is there for {self:?}, which is `Absent::Never` and not {other:?}"),
            Ok(found) => panic!("nothing should be there for {self:?}, and {found:?} was found"),
        }
    }
}
