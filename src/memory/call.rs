//! The road of one call: key, memory tier, claim, store, codec, value.

use std::any::Any;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::claim::{Guard, Met};
use super::hot::{Hot, HotValue};
use super::lookup::{self, Looked};
use super::reason::{MissReason, NotStoredReason};
use super::report;
use super::stats::Source;
use super::waiting::{self, Waiting};
use super::{Memory, Shelves};
use crate::codec::{self, CodecError, CodecId, Large};
use crate::key::{self, Identity, Key, Layout, MadeOf, describe};
use crate::panics;
use crate::store::entry::{Argument, Facts, Origin};
use crate::store::{Absent, Claimant, Claimed, End, EntryKey, Found, Lookup, NewEntry, Patience, Prefix, Value};
use crate::task::Parameter;
use crate::task::probe::Sharing;

/// A result that took this long is made safe from a killed process before the call returns: the flush costs some 130 us.
pub(super) const COSTLY: Duration = Duration::from_millis(10);

/// What a mapped value counts for in the memory tier: it takes no memory of its own, but a system has only some 65,000
/// mappings for a process.
const MAPPED_BYTES: u64 = 64 << 10;

/// A wrapped function as the road needs it: who it is, and what its output is to the store.
pub(super) struct Subject<O, V> {
    pub(super) identity: Identity,
    pub(super) prefix: Prefix,
    pub(super) layout: Layout,
    pub(super) parameters: &'static [Parameter],
    pub(super) stored: fn(&O) -> Result<&V, NotStoredReason>,
    pub(super) restore: fn(V) -> O,
    pub(super) sharing: Option<Sharing<V>>,
}

/// The key of the call at hand, with what its record says of it.
pub(super) struct Keyed<'k> {
    pub(super) key: Key,
    pub(super) entry: EntryKey,
    pub(super) made_of: &'k MadeOf,
}

impl<O, V: Serialize + DeserializeOwned> Subject<O, V> {
    /// Answers one call, from wherever its result is.
    #[inline]
    pub(super) fn call<A: Serialize>(&self, memory: &Memory, args: A, compute: impl FnOnce(A) -> O) -> O {
        match self.call_unless_busy(memory, args, compute, Waiting::AsThreadMay) {
            Ok(output) => output,
            // Only who does not wait is sent away.
            Err((args, compute)) => compute(args),
        }
    }

    /// As [`call`](Subject::call); gives back what it was given if the same call is under way elsewhere and it is not to
    /// wait for it.
    #[inline]
    pub(super) fn call_unless_busy<A: Serialize, F: FnOnce(A) -> O>(
        &self,
        memory: &Memory,
        args: A,
        compute: F,
        waiting: Waiting,
    ) -> Result<O, (A, F)> {
        let Some(shelves) = &memory.inner.place else {
            return Ok(Computation { subject: self, memory }.unkeyed(args, compute, MissReason::Disabled));
        };
        let mut made_of = MadeOf::default();
        let Some(key) = self.key(memory, &args, &mut made_of) else {
            return Ok(Computation { subject: self, memory }.unkeyed(args, compute, MissReason::NoKey));
        };
        if let Some(output) = self.hot_value(memory, shelves, &key) {
            self.say_loaded(memory, Source::Hot, &args);
            return Ok(output);
        }
        let keyed = Keyed { key, entry: self.prefix.entry(&key), made_of: &made_of };
        self.beyond_hot(memory, shelves, &keyed, args, compute, waiting)
    }

    /// The key of a call, and in `made_of` what it was made of. Whoever asked is told where there is none.
    #[inline]
    pub(super) fn key<A: Serialize>(&self, memory: &Memory, args: &A, made_of: &mut MadeOf) -> Option<Key> {
        let refused = match key::key(&self.identity, args, self.layout, made_of) {
            Ok(key) => return Some(key),
            Err(refused) => refused,
        };
        memory.inner.reporter.warn_once(&format!("key {}", self.identity.name()), || {
            format!(
                "an argument of `{}` cannot be serialized, so its calls are computed each time: {refused}; give its type \
                 a form that serde can write, or leave it out of the key with `ignore(..)`",
                self.identity.name()
            )
        });
        None
    }

    /// The result of a call if it can be loaded, without a claim and without a miss if it cannot.
    #[cfg(unix)]
    pub(super) fn find<A: Serialize>(&self, memory: &Memory, args: &A) -> Option<O> {
        let shelves = memory.inner.place.as_ref()?;
        let mut made_of = MadeOf::default();
        let key = key::key(&self.identity, args, self.layout, &mut made_of).ok()?;
        let (output, source) = match self.hot_value(memory, shelves, &key) {
            Some(output) => (output, Source::Hot),
            None => {
                let found = shelves.store.get(&self.prefix.entry(&key)).ok()?;
                self.load(memory, shelves, &key, found).ok()?
            }
        };
        self.say_loaded(memory, source, args);
        Some(output)
    }

    /// The result of a call, if it is in memory.
    #[inline]
    pub(super) fn hot_value(&self, memory: &Memory, shelves: &Shelves, key: &Key) -> Option<O> {
        let hot = shelves.hot.get(key)?;
        let value = match (&hot.value, &self.sharing) {
            (HotValue::Decoded(any), Some(sharing)) => (sharing.copy)(&**any)?,
            (HotValue::Encoded { codec, shape, bytes }, _) => self.checked(*shape, || codec::decode(*codec, bytes))?,
            (HotValue::Decoded(_), None) => return None,
        };
        memory.inner.counters.hit(Source::Hot, hot.compute_nanos);
        Some((self.restore)(value))
    }

    #[inline(never)]
    fn beyond_hot<A: Serialize, F: FnOnce(A) -> O>(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        args: A,
        compute: F,
        waiting: Waiting,
    ) -> Result<O, (A, F)> {
        let who = Claimant::current();
        match self.seek(memory, shelves, &keyed.key, &keyed.entry, who, waiting) {
            Met::Loaded(output, source) => {
                self.say_loaded(memory, source, &args);
                Ok(output)
            }
            Met::Missing(claim, reason) => {
                let computation = Computation { subject: self, memory };
                let (output, stored) = computation.keyed(shelves, keyed, args, compute, reason);
                if let Some(claim) = claim {
                    claim.end(stored);
                }
                Ok(output)
            }
            Met::Busy => Err((args, compute)),
        }
    }

    /// Asks the store for the result of a call, or for the claim to compute it.
    pub(super) fn seek<S: Deref<Target = Shelves>>(
        &self,
        memory: &Memory,
        shelves: S,
        key: &Key,
        entry: &EntryKey,
        who: Claimant,
        waiting: Waiting,
    ) -> Met<O, S> {
        let store = &*shelves.store;
        loop {
            return match waiting::get_or_claim(store, entry, who, waiting) {
                Lookup::Found(found) => match self.load(memory, &shelves, key, found) {
                    Ok((output, source)) => Met::Loaded(output, source),
                    Err(reason) => match store.claim(entry, who, Patience::AtMost(Duration::ZERO)) {
                        Claimed::Mine => Met::Missing(Some(Guard::new(shelves, *entry, who)), reason),
                        // Whoever has it is replacing what cannot be loaded.
                        _ => Met::Missing(None, reason),
                    },
                },
                Lookup::Mine(absent) => {
                    let claim = Guard::new(shelves, *entry, who);
                    Met::Missing(Some(claim), self.miss_reason(memory, absent))
                }
                Lookup::Claimed(Claimed::Ended(End::Stored)) => match self.hot_value(memory, &shelves, key) {
                    Some(output) => Met::Loaded(output, Source::Hot),
                    // On disk if it is too large for memory; or gone again already.
                    None => continue,
                },
                Lookup::Claimed(Claimed::Busy) => Met::Busy,
                Lookup::Claimed(_) => Met::Missing(None, MissReason::Claimed),
                Lookup::Unclaimed(absent) => Met::Missing(None, self.miss_reason(memory, absent)),
            };
        }
    }

    /// Takes what was found in the store into memory.
    fn load(&self, memory: &Memory, shelves: &Shelves, key: &Key, found: Found) -> Result<(O, Source), MissReason> {
        let len = found.value().len() as u64;
        let Found { facts, record, value } = found;
        let Facts { codec, shape, compute_nanos, .. } = facts;
        let source = match &value {
            Value::Inline { .. } => Source::Index,
            Value::Blob(_) => Source::Blob,
        };
        let value = match value {
            // What stays mapped is worth its place in memory, however long it is.
            Value::Blob(large @ Large::Mapped(_)) => {
                let value = self.checked(shape, || codec::decode_large(codec, large));
                if let Some(value) = &value
                    && let Some(shared) = self.shared(value)
                {
                    // Beside arrays that stay mapped there may be parts that do not.
                    let bytes = if codec == CodecId::Numbers { len.min(MAPPED_BYTES) } else { len };
                    shelves.hot.insert(*key, Hot { value: HotValue::Decoded(shared), compute_nanos, bytes });
                }
                value
            }
            // Too large for memory, so its bytes are needed no more: numbers stay where they were read.
            Value::Blob(large) if !shelves.hot.admits(len) => self.checked(shape, || codec::decode_large(codec, large)),
            value => {
                let encoded = match &value {
                    Value::Inline { start } => &record[*start..],
                    Value::Blob(large) => large.as_slice(),
                };
                let value = self.checked(shape, || codec::decode(codec, encoded));
                if let Some(value) = &value {
                    self.keep(shelves, *key, value, &Kept { codec, shape, compute_nanos, encoded });
                }
                value
            }
        };
        let value = value.ok_or(MissReason::Undecodable)?;
        memory.inner.counters.hit(source, compute_nanos);
        memory.inner.counters.loaded(len);
        Ok(((self.restore)(value), source))
    }

    /// The value, if the bytes are one and it is built as it was when it was stored.
    fn checked(&self, shape: u64, decode: impl FnOnce() -> Result<V, CodecError>) -> Option<V> {
        let decode = || decode().ok().filter(|value| codec::shape_of(value) == shape);
        // The type's own `Deserialize` may panic on what another version of it wrote.
        panics::catch(decode).ok().flatten()
    }

    /// Keeps a value in memory.
    fn keep(&self, shelves: &Shelves, key: Key, value: &V, entry: &Kept<'_>) {
        let bytes = entry.encoded.len() as u64;
        if shelves.hot.admits(bytes) {
            let value = match self.shared(value) {
                Some(shared) => HotValue::Decoded(shared),
                None => HotValue::Encoded { codec: entry.codec, shape: entry.shape, bytes: entry.encoded.into() },
            };
            shelves.hot.insert(key, Hot { value, compute_nanos: entry.compute_nanos, bytes });
        }
    }

    /// A clone of the value, for memory, where its type has one.
    fn shared(&self, value: &V) -> Option<Arc<dyn Any + Send + Sync>> {
        let sharing = self.sharing.as_ref()?;
        // A `Clone` that panics costs the place in memory, not the call.
        let clone = panics::catch(|| (sharing.clone)(value)).ok()?;
        Some((sharing.share)(clone))
    }

    fn miss_reason(&self, memory: &Memory, absent: Absent) -> MissReason {
        match absent {
            Absent::Never | Absent::Removed(_) => MissReason::NeverSeen,
            Absent::DamagedRecord => MissReason::DamagedRecord,
            Absent::NewerRecord => MissReason::NewerRecord,
            Absent::MissingBlob => MissReason::MissingBlob,
            Absent::TruncatedBlob => MissReason::TruncatedBlob,
            Absent::AlteredBlob => MissReason::AlteredBlob,
            Absent::NotServed(_) => MissReason::NotServed,
            Absent::Unreadable(error) => {
                memory.inner.reporter.warn_once("store unreadable", || {
                    format!("the cache cannot be read, so calls are computed: {error}")
                });
                MissReason::Unreadable
            }
        }
    }

    #[inline]
    pub(super) fn say_loaded<A: Serialize>(&self, memory: &Memory, source: Source, args: &A) {
        lookup::ended(Looked::Hit);
        if memory.inner.reporter.is_verbose(2) {
            let call = self.call_text(&self.texts(args));
            memory.inner.reporter.line(&format!("[Memory] Loading {call} from {source}"));
        }
    }

    pub(super) fn texts<A: Serialize>(&self, args: &A) -> Vec<String> {
        match self.layout {
            Layout::Tuple { .. } => describe::each(args),
            Layout::Single => vec![describe::value(args)],
        }
    }

    fn call_text(&self, texts: &[String]) -> String {
        format!("{}({})", self.identity.short_name(), describe::named(texts, self.parameters))
    }

    fn origin<'o>(&'o self, keyed: &Keyed<'_>, texts: Vec<String>) -> Origin<'o> {
        let kept = self.layout.kept(texts);
        let arguments = keyed
            .made_of
            .digests()
            .zip(kept)
            .map(|(digest, (index, text))| Argument {
                name: Cow::Borrowed(self.parameters.get(index).map_or("", |parameter| parameter.name)),
                digest,
                text: Cow::Owned(text),
            })
            .collect();
        Origin {
            function: Cow::Borrowed(self.identity.name()),
            fingerprint: self.identity.fingerprint(),
            version: self.identity.version(),
            arguments,
        }
    }
}

/// What memory keeps beside a value.
struct Kept<'k> {
    codec: CodecId,
    shape: u64,
    compute_nanos: u64,
    encoded: &'k [u8],
}

/// A call that has to be computed.
pub(super) struct Computation<'s, O, V> {
    pub(super) subject: &'s Subject<O, V>,
    pub(super) memory: &'s Memory,
}

impl<O, V: Serialize + DeserializeOwned> Computation<'_, O, V> {
    fn unkeyed<A: Serialize>(&self, args: A, compute: impl FnOnce(A) -> O, reason: MissReason) -> O {
        let texts = self.told_texts(&args);
        self.timed(&texts, reason, || compute(args)).0
    }

    /// The arguments' texts, where something is told of them.
    pub(super) fn told_texts<A: Serialize>(&self, args: &A) -> Vec<String> {
        if self.memory.inner.reporter.is_verbose(1) { self.subject.texts(args) } else { Vec::new() }
    }

    /// Computes and stores; answers whether others can now look the result up.
    fn keyed<A: Serialize>(
        &self,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        args: A,
        compute: impl FnOnce(A) -> O,
        reason: MissReason,
    ) -> (O, bool) {
        let texts = self.subject.texts(&args);
        let (output, took) = self.timed(&texts, reason, || compute(args));
        let stored = self.keep(shelves, keyed, &output, texts, took);
        (output, stored)
    }

    /// Stores what may be stored of an output; answers whether others can now look it up.
    pub(super) fn keep(
        &self,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        output: &O,
        texts: Vec<String>,
        took: Duration,
    ) -> bool {
        match (self.subject.stored)(output) {
            Ok(value) => {
                let origin = self.subject.origin(keyed, texts);
                self.store(shelves, keyed, value, &origin, took)
            }
            Err(reason) => {
                self.not_stored(reason);
                false
            }
        }
    }

    fn timed(&self, texts: &[String], reason: MissReason, compute: impl FnOnce() -> O) -> (O, Duration) {
        self.begins(texts, reason);
        let start = Instant::now();
        let output = compute();
        let took = start.elapsed();
        self.ended(took);
        (output, took)
    }

    /// Counts and tells that the function is about to run.
    pub(super) fn begins(&self, texts: &[String], reason: MissReason) {
        let inner = &self.memory.inner;
        if let Some(news) = inner.place.as_ref().and_then(|shelves| shelves.store.news()) {
            inner.reporter.warn(&news);
        }
        inner.counters.miss(reason);
        lookup::ended(Looked::Miss(reason));
        if inner.reporter.is_verbose(2) {
            inner.reporter.line(&format!("[Memory] Computing {}: {reason}", self.subject.call_text(texts)));
        }
        if inner.reporter.is_verbose(1) {
            inner.reporter.line(&report::calling(self.subject.identity.name(), &self.subject.call_text(texts)));
        }
    }

    /// Counts and tells that it has run.
    pub(super) fn ended(&self, took: Duration) {
        let inner = &self.memory.inner;
        inner.counters.computed(nanos(took));
        if inner.reporter.is_verbose(1) {
            inner.reporter.line(&report::called(self.subject.identity.short_name(), took));
        }
    }

    fn store(&self, shelves: &Shelves, keyed: &Keyed<'_>, value: &V, origin: &Origin<'_>, took: Duration) -> bool {
        let name = self.subject.identity.name();
        // The value's `Serialize` and `Deserialize` are the user's, and may panic.
        let shaped = panics::catch(|| Ok((codec::encode_ref(value)?, codec::shape_of(value))))
            .unwrap_or_else(|panic| Err(CodecError::new(format_args!("it panicked: {panic}"))));
        let (encoding, shape) = match shaped {
            Ok(encoded) => encoded,
            Err(error) => {
                self.not_stored(NotStoredReason::NotSerializable);
                self.memory.inner.reporter.warn_once(&format!("codec {name}"), || {
                    format!(
                        "the result of `{name}` cannot be stored, so its calls are computed each time; it must come back \
                         from serde as it went in: {error}"
                    )
                });
                return false;
            }
        };
        let (key, codec) = (keyed.entry, encoding.codec);
        let compute_nanos = nanos(took);
        let bytes = encoding.len() as u64;
        // A store that fails does not take the result from this process.
        if shelves.hot.admits(bytes) {
            let encoded = &encoding.concat();
            self.subject.keep(shelves, keyed.key, value, &Kept { codec, shape, compute_nanos, encoded });
        }
        if shelves.store.is_read_only() {
            self.not_stored(NotStoredReason::ReadOnly);
            return shelves.hot.admits(bytes);
        }
        let costly = took >= COSTLY;
        let parts = &encoding.borrowed();
        let mapped = encoding.mapped;
        let entry = NewEntry { key, codec, shape, compute_nanos, origin, parts, mapped, costly, created_at_ms: None };
        match shelves.store.put(&entry) {
            Ok(late) => {
                self.memory.inner.counters.stored(bytes);
                if let Some(error) = late {
                    self.memory.inner.reporter.warn_once("store late", || {
                        format!("a result was stored, but what should follow failed (this is said once): {error}")
                    });
                }
                true
            }
            Err(error) => {
                self.not_stored(NotStoredReason::StoreFailed);
                self.memory.inner.reporter.warn_once("store failed", || {
                    format!("a result of `{name}` could not be stored (this is said once, and counted): {error}")
                });
                shelves.hot.admits(bytes)
            }
        }
    }

    fn not_stored(&self, reason: NotStoredReason) {
        self.memory.inner.counters.not_stored(reason);
        if self.memory.inner.reporter.is_verbose(2) {
            let name = self.subject.identity.name();
            self.memory.inner.reporter.line(&format!("[Memory] Not storing {name}: {reason}"));
        }
    }
}

/// Nanoseconds in 64 bits: 584 years.
fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
