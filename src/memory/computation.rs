//! A call that has to be computed: what is counted and told of it, and how its result is stored.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::Arguments;
use super::call::{Keyed, Subject, Told};
use super::load::Kept;
use super::lookup::{self, Looked, Safe};
use super::metadata::Metadata;
use super::reason::{MissReason, NotStoredReason};
use super::{Memory, Shelves, report};
use crate::codec::{self, CodecError, Encoded};
use crate::panics;
use crate::store::entry::{CallBytes, Facts, Origin};
use crate::store::used::Calls;
use crate::store::{NewEntry, now_ms};

/// A result that took this long is made safe from a killed process before the call returns: the flush costs some 130 us. So are
/// results that took as long together: a kill never costs more than this.
pub(crate) const COSTLY: Duration = Duration::from_millis(10);

/// A call that has to be computed.
pub(super) struct Computation<'s, O, V> {
    pub(super) subject: &'s Subject<O, V>,
    pub(super) memory: &'s Memory,
}

impl<O, V: Serialize + DeserializeOwned> Computation<'_, O, V> {
    pub(super) fn unkeyed<A: Arguments>(&self, args: A, compute: impl FnOnce(A) -> O, reason: MissReason) -> O {
        self.begins(&self.told_texts(&args), reason, None);
        self.timed(|| compute(args)).0
    }

    /// The arguments' texts, where something is told of them.
    pub(super) fn told_texts<A: Arguments>(&self, args: &A) -> Vec<String> {
        if self.memory.inner.reporter.is_verbose(1) { self.subject.texts(args) } else { Vec::new() }
    }

    /// Computes and stores; answers whether others can now look the result up.
    pub(super) fn keyed<A: Arguments>(
        &self,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        args: A,
        compute: impl FnOnce(A) -> O,
        reason: MissReason,
    ) -> (O, bool) {
        let mut told = self.subject.told(keyed, &args);
        let why = self.told_why(shelves, keyed, &args, reason);
        told.is_items = self.begins(&self.told_texts(&args), reason, why);
        let (output, took) = self.timed(|| compute(args));
        let stored = self.keep(shelves, keyed, &output, told, took);
        (output, stored)
    }

    /// More of a miss than its reason, where that is told.
    pub(super) fn told_why<A: Arguments>(
        &self,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        args: &A,
        reason: MissReason,
    ) -> Option<String> {
        let is_told = self.memory.inner.reporter.is_verbose(2);
        is_told.then(|| self.subject.explain_miss(self.memory, shelves, keyed, args, reason).to_string())
    }

    /// Stores what may be stored of an output; answers whether others can now look it up.
    pub(super) fn keep(&self, shelves: &Shelves, keyed: &Keyed<'_>, output: &O, told: Told, took: Duration) -> bool {
        let calls = Calls { misses: 1, nanos_computing: nanos(took), ..Calls::default() };
        self.memory.note_call(shelves, &self.subject.function, None, calls);
        match (self.subject.stored)(output) {
            // It may have read the one or the other.
            Ok(_) if !self.subject.inputs_stayed(keyed.made_of) => {
                self.not_stored(NotStoredReason::InputChanged);
                false
            }
            Ok(value) => {
                let Told { texts, call, is_items } = told;
                let call = call.map(|Encoded { codec, bytes }| CallBytes { codec, bytes: bytes.into() });
                let origin = Origin { call, ..self.subject.origin(keyed.made_of, texts) };
                self.note_program(shelves);
                self.store(shelves, keyed, value, &origin, took, is_items)
            }
            Err(reason) => {
                self.not_stored(reason);
                if told.is_items && reason == NotStoredReason::NoneResult {
                    lookup::kept(lookup::Kept::Nothing);
                }
                false
            }
        }
    }

    fn timed(&self, compute: impl FnOnce() -> O) -> (O, Duration) {
        let start = Instant::now();
        let output = compute();
        let took = start.elapsed();
        self.ended(took);
        (output, took)
    }

    /// Counts and tells that the function is about to run, and why. Answers whether it is for an item of a run.
    pub(super) fn begins(&self, texts: &[String], reason: MissReason, why: Option<String>) -> bool {
        let inner = &self.memory.inner;
        if let Some(news) = inner.place.as_ref().and_then(|shelves| shelves.store.news()) {
            inner.reporter.warn(&news);
        }
        inner.counters.miss(reason);
        if reason == MissReason::CodeChanged
            && let Some(shelves) = &inner.place
        {
            lookup::met_other_code(|| self.subject.first_item_changed(shelves));
        }
        let is_items = lookup::ended(Looked::Miss(reason));
        if inner.reporter.is_verbose(2) {
            let why = why.unwrap_or_else(|| reason.to_string());
            inner.reporter.line(&format!("[Memory] Computing {}: {why}", self.subject.call_text(texts)));
        }
        if inner.reporter.is_verbose(1) {
            inner.reporter.line(&report::calling(self.subject.identity.name(), &self.subject.call_text(texts)));
        }
        is_items
    }

    /// Counts and tells that it has run.
    pub(super) fn ended(&self, took: Duration) {
        let inner = &self.memory.inner;
        inner.counters.computed(nanos(took));
        if inner.reporter.is_verbose(1) {
            inner.reporter.line(&report::called(self.subject.identity.short_name(), took));
        }
    }

    fn store(
        &self,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        value: &V,
        origin: &Origin<'_>,
        took: Duration,
        is_items: bool,
    ) -> bool {
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
        let facts = Facts { codec, shape, created_at_ms: now_ms(), compute_nanos, value_bytes: bytes };
        // A store that fails does not take the result from this process.
        if shelves.hot.admits(bytes) {
            let asks = self.subject.validity.asks_metadata();
            let metadata = asks.then(|| Metadata::new(origin, &facts).into());
            let kept = Kept { facts, metadata, bytes };
            self.subject.keep(shelves, &keyed.own(), value, &encoding.concat(), kept, shelves.removals());
        }
        if shelves.store.is_read_only() {
            self.not_stored(NotStoredReason::ReadOnly);
            return shelves.hot.admits(bytes);
        }
        let costly = match is_items && lookup::safe() == Safe::ByRun {
            // One that is costly by itself is not left at risk until the run has its turn, and may have a file to be synced.
            true => took >= COSTLY,
            false => shelves.is_costly(took),
        };
        let parts = &encoding.borrowed();
        let mapped = encoding.mapped;
        let entry = NewEntry { key, codec, shape, compute_nanos, origin, parts, mapped, costly, created_at_ms: None };
        match shelves.store.put(&entry) {
            Ok(late) => {
                self.memory.inner.counters.stored(bytes);
                if is_items {
                    lookup::kept(lookup::Kept::Stored);
                }
                shelves.keep_items(&self.subject.identity, self.subject.prefix);
                if let Some(error) = late {
                    self.memory.inner.reporter.warn_once("store late", || {
                        format!("a result was stored, but what should follow failed (this is said once): {error}")
                    });
                }
                true
            }
            Err(error) => {
                let reason =
                    if error.is_too_large() { NotStoredReason::TooLarge } else { NotStoredReason::StoreFailed };
                self.not_stored(reason);
                self.memory.inner.reporter.warn_once(&format!("{reason:?}"), || {
                    format!("a result of `{name}` could not be stored (this is said once, and counted): {error}")
                });
                shelves.hot.admits(bytes)
            }
        }
    }

    /// Notes that this program has the function: so a tool finds it that wants it called.
    fn note_program(&self, shelves: &Shelves) {
        if self.subject.task().is_none() {
            return;
        }
        if let Err(error) = shelves.noted.note(shelves, self.subject.identity.name()) {
            self.memory.inner.reporter.warn_once("program", || {
                format!("it could not be noted which program has a function (this is said once): {error}")
            });
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
pub(crate) fn nanos(took: Duration) -> u64 {
    u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
}
