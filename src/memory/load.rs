//! From what is stored, in memory or on disk, to a value.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bless::Blessing;
use super::call::Subject;
use super::hot::{Hot, HotUse, HotValue};
use super::metadata::Metadata;
use super::reason::MissReason;
use super::stats::{Place, Source};
use super::{Memory, Shelves};
use crate::codec::{self, CodecError, CodecId, Large};
use crate::key::Key;
use crate::panics;
use crate::store::entry::Facts;
use crate::store::used::Calls;
use crate::store::{EntryKey, Found, RecordInfo, Value, time_at};

/// What a mapped value counts for in the memory tier: it takes no memory of its own, but a system has only some 65,000
/// mappings for a process.
const MAPPED_BYTES: u64 = 64 << 10;

impl<O, V: Serialize + DeserializeOwned> Subject<O, V> {
    /// The result of a call, if it is in memory and holds.
    #[inline]
    pub(super) fn hot_value(&self, memory: &Memory, shelves: &Shelves, key: &Key) -> Option<(O, Source)> {
        let hot = shelves.hot.get(key)?;
        if hot.used.blessed && shelves.answering.is_sampling() {
            return None;
        }
        if !self.validity.is_always() && !self.holds(memory, hot.stored_at_ms, || hot.metadata.clone()) {
            return None;
        }
        let value = self.value_of(&hot)?;
        let source = Source { place: Place::Hot, blessed: hot.used.blessed };
        memory.inner.counters.hit(source, hot.used.compute_nanos);
        if shelves.uses.hot(&hot.used) {
            memory.tell_uses(shelves);
        }
        Some(((self.restore)(value), source))
    }

    #[inline]
    fn value_of(&self, hot: &Hot) -> Option<V> {
        match (&hot.value, &self.sharing) {
            (HotValue::Decoded(any), Some(sharing)) => (sharing.copy)(&**any),
            (HotValue::Encoded { codec, shape, bytes }, _) => checked(*shape, || codec::decode(*codec, bytes)),
            (HotValue::Decoded(_), None) => None,
        }
    }

    #[cold]
    fn holds(&self, memory: &Memory, stored_at_ms: u64, metadata: impl FnOnce() -> Option<Arc<Metadata>>) -> bool {
        self.judge(memory, stored_at_ms, metadata).is_ok()
    }

    /// Judges an entry by the function's validity, and tells of a condition that panics.
    pub(super) fn judge(
        &self,
        memory: &Memory,
        stored_at_ms: u64,
        metadata: impl FnOnce() -> Option<Arc<Metadata>>,
    ) -> Result<(), MissReason> {
        self.validity.judge(time_at(stored_at_ms), metadata).map_err(|invalid| {
            if let Some(panic) = invalid.panic {
                let name = self.identity.name();
                memory.inner.reporter.warn_once(&format!("validate {name}"), || {
                    format!(
                        "the validation function of `{name}` panicked, so its entries are taken as refused and its calls \
                         computed: {panic}"
                    )
                });
            }
            invalid.reason
        })
    }

    /// Takes what was found in the store into memory. `removals`: as they were before it was.
    pub(super) fn load(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        answer: &Answer,
        found: Found,
        removals: u64,
    ) -> Result<(O, Source), MissReason> {
        let metadata = self.judged(memory, &found, answer.blessing.as_deref())?;
        let len = found.value().len() as u64;
        let Found { facts, record, value } = found;
        let place = match &value {
            Value::Inline { .. } => Place::Index,
            Value::Blob(_) => Place::Blob,
        };
        let source = Source { place, blessed: answer.blessing.is_some() };
        let Facts { codec, shape, .. } = facts;
        let value = match value {
            // What stays mapped is worth its place in memory, however long it is.
            Value::Blob(large @ Large::Mapped(_)) => {
                let value = checked(shape, || codec::decode_large(codec, large));
                if let Some(value) = &value
                    && let Some(shared) = self.shared(value)
                {
                    // Beside arrays that stay mapped there may be parts that do not.
                    let bytes = if codec == CodecId::Numbers { len.min(MAPPED_BYTES) } else { len };
                    let value = HotValue::Decoded(shared);
                    let hot = self.hot(answer, value, &Kept { facts, metadata, bytes });
                    shelves.keep_found(answer.key, hot, removals);
                }
                value
            }
            // Too large for memory, so its bytes are needed no more: numbers stay where they were read.
            Value::Blob(large) if !shelves.hot.admits(len) => checked(shape, || codec::decode_large(codec, large)),
            value => {
                let encoded = match &value {
                    Value::Inline { start } => &record[*start..],
                    Value::Blob(large) => large.as_slice(),
                };
                let value = checked(shape, || codec::decode(codec, encoded));
                if let Some(value) = &value {
                    self.keep(shelves, answer, value, encoded, Kept { facts, metadata, bytes: len }, removals);
                }
                value
            }
        };
        let value = value.ok_or(MissReason::Undecodable)?;
        memory.inner.counters.hit(source, facts.compute_nanos);
        memory.inner.counters.loaded(len);
        let blessed = u64::from(source.blessed);
        let calls = Calls { hits: 1, nanos_saved: facts.compute_nanos, blessed, ..Calls::default() };
        memory.note_call(shelves, &self.function, Some(&answer.entry), calls);
        Ok(((self.restore)(value), source))
    }

    /// Judges what was found; gives what is known of it, where the function's validity asks for that.
    pub(super) fn judged(
        &self,
        memory: &Memory,
        found: &Found,
        blessing: Option<&Blessing>,
    ) -> Result<Option<Arc<Metadata>>, MissReason> {
        if self.validity.is_always() {
            return Ok(None);
        }
        let known = || found.info().map(|info| Arc::new(Metadata::of(&info).blessed_by(blessing)));
        let metadata = if self.validity.asks_metadata() { known() } else { None };
        self.judge(memory, found.facts.created_at_ms, || metadata.clone())?;
        Ok(metadata)
    }

    /// Judges an entry by its record.
    pub(super) fn judged_record(
        &self,
        memory: &Memory,
        info: &RecordInfo<'_>,
        blessing: Option<&Blessing>,
    ) -> Result<(), MissReason> {
        if self.validity.is_always() {
            return Ok(());
        }
        self.judge(memory, info.created_at_ms(), || Some(Arc::new(Metadata::of(info).blessed_by(blessing))))
    }

    /// Keeps a value in memory, that was found in the store when so much had been removed.
    pub(super) fn keep(
        &self,
        shelves: &Shelves,
        answer: &Answer,
        value: &V,
        encoded: &[u8],
        kept: Kept,
        removals: u64,
    ) {
        if shelves.hot.admits(kept.bytes) {
            let Facts { codec, shape, .. } = kept.facts;
            let value = match self.shared(value) {
                Some(shared) => HotValue::Decoded(shared),
                None => HotValue::Encoded { codec, shape, bytes: encoded.into() },
            };
            shelves.keep_found(answer.key, self.hot(answer, value, &kept), removals);
        }
    }

    fn hot(&self, answer: &Answer, value: HotValue, kept: &Kept) -> Hot {
        Hot {
            value,
            bytes: kept.bytes,
            stored_at_ms: kept.facts.created_at_ms,
            metadata: kept.metadata.clone(),
            used: Arc::new(HotUse {
                entry: answer.entry,
                function: Arc::clone(&self.function),
                compute_nanos: kept.facts.compute_nanos,
                blessed: answer.blessing.is_some(),
                hits: AtomicU64::new(0),
            }),
        }
    }

    /// A clone of the value, for memory, where its type has one.
    fn shared(&self, value: &V) -> Option<Arc<dyn Any + Send + Sync>> {
        let sharing = self.sharing.as_ref()?;
        // A `Clone` that panics costs the place in memory, not the call.
        let clone = panics::catch(|| (sharing.clone)(value)).ok()?;
        Some((sharing.share)(clone))
    }
}

/// The value that was found, if it decodes as one.
pub(super) fn decode_found<V: Serialize + DeserializeOwned>(found: Found) -> Option<V> {
    let Found { facts: Facts { codec, shape, .. }, record, value } = found;
    match value {
        Value::Blob(large) => checked(shape, || codec::decode_large(codec, large)),
        Value::Inline { start } => checked(shape, || codec::decode(codec, &record[start..])),
    }
}

/// The value, if the bytes are one and it is built as it was when it was stored.
pub(super) fn checked<V: Serialize>(shape: u64, decode: impl FnOnce() -> Result<V, CodecError>) -> Option<V> {
    let decode = || decode().ok().filter(|value| codec::shape_of(value) == shape);
    // The type's own `Deserialize` may panic on what another version of it wrote.
    panics::catch(decode).ok().flatten()
}

/// The entry that answers for a call: its own, or one of earlier code that was blessed.
pub(super) struct Answer {
    /// The call's own.
    pub(super) key: Key,
    pub(super) entry: EntryKey,
    pub(super) blessing: Option<Arc<Blessing>>,
}

/// What memory keeps beside a value.
pub(super) struct Kept {
    pub(super) facts: Facts,
    pub(super) metadata: Option<Arc<Metadata>>,
    /// What it counts for.
    pub(super) bytes: u64,
}
