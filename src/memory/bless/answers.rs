//! How a call finds the entry of earlier code that answers for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blessing::{Blessing, Grants};
use crate::key::{Identity, MadeOf};
use crate::lock::lock;
use crate::memory::Memory;
use crate::memory::call::{Keyed, Subject};
use crate::memory::load::Answer;
use crate::memory::reason::MissReason;
use crate::memory::shelves::Shelves;
use crate::memory::stats::Source;
use crate::store::census::Code;
use crate::store::{Absent, EntryKey, Listed, StoreError};

/// What is blessed is asked of the store no more often, for each function: another program may have changed it.
const HOLDS: Duration = Duration::from_secs(1);

/// What is blessed, as it was asked last.
#[derive(Default)]
pub(in crate::memory) struct Answering {
    known: Mutex<Known>,
    /// Whether there ever was an answer: then values in memory may be those of other entries than their keys say.
    answers: AtomicBool,
    /// So many samples are being computed just now, in this program.
    samples: AtomicUsize,
}

#[derive(Default)]
struct Known {
    codes: HashMap<[u8; 32], (Instant, Codes)>,
    /// How often what is blessed has changed: what was read before is not kept.
    changes: u64,
}

/// Nothing blessed answers while this is there. It would be taken for its own evidence: the functions that a sampled one calls
/// are computed too, unless they have entries of their own.
pub(super) struct Sampling<'a>(&'a Answering);

impl Drop for Sampling<'_> {
    fn drop(&mut self) {
        self.0.samples.fetch_sub(1, SeqCst);
    }
}

/// The codes that answer for a function's.
type Codes = Arc<[Earlier]>;

/// A code whose entries answer.
pub(in crate::memory) struct Earlier {
    identity: Identity,
    until_ms: u64,
    blessing: Arc<Blessing>,
}

impl Answering {
    /// A sample is computed.
    pub(super) fn sampling(&self) -> Sampling<'_> {
        self.samples.fetch_add(1, SeqCst);
        Sampling(self)
    }

    /// Whether a sample is being computed.
    pub(in crate::memory) fn is_sampling(&self) -> bool {
        self.samples.load(SeqCst) > 0
    }

    /// What is blessed has changed.
    pub(in crate::memory) fn forget(&self) {
        let mut known = lock(&self.known);
        known.changes += 1;
        known.codes.clear();
    }

    /// Whether a value in memory may be of an entry of another code.
    pub(in crate::memory) fn has_answered(&self) -> bool {
        self.answers.load(Relaxed)
    }

    /// The codes that answer for this one of a function. What the store says of it holds for a second; so does its failure.
    fn of(&self, shelves: &Shelves, identity: &Identity) -> Result<Codes, StoreError> {
        let changes = {
            let known = lock(&self.known);
            match known.codes.get(identity.digest()) {
                Some((asked, codes)) if asked.elapsed() < HOLDS => return Ok(Arc::clone(codes)),
                _ => known.changes,
            }
        };
        let read = read(shelves, identity);
        let codes: Codes = read.as_ref().map_or_else(|_| Arc::default(), |grants| earlier(identity, grants.as_ref()));
        if !codes.is_empty() {
            self.answers.store(true, Relaxed);
        }
        let mut known = lock(&self.known);
        if known.changes == changes {
            known.codes.insert(*identity.digest(), (Instant::now(), Arc::clone(&codes)));
        }
        drop(known);
        read.map(|_| codes)
    }
}

pub(in crate::memory) fn code_of(identity: &Identity) -> Code {
    Code { fingerprint: identity.fingerprint(), version: identity.version() }
}

/// What is noted of a function's code.
pub(super) fn read(shelves: &Shelves, identity: &Identity) -> Result<Option<Grants>, StoreError> {
    let Some(name) = Grants::name(identity.name(), &code_of(identity)) else { return Ok(None) };
    Ok(shelves.store.note(&name)?.and_then(|note| Grants::parse(&note, identity.name())))
}

fn earlier(identity: &Identity, grants: Option<&Grants>) -> Codes {
    let Some(grants) = grants else { return Arc::default() };
    let each = grants.grants.iter().zip(grants.blessings()).flat_map(|(grant, blessing)| {
        let blessing = Arc::new(blessing);
        grant.from.iter().map(move |(code, until_ms)| Earlier {
            identity: identity.with_code(code.fingerprint, code.version),
            until_ms: *until_ms,
            blessing: Arc::clone(&blessing),
        })
    });
    each.collect()
}

impl<O, V: Serialize + DeserializeOwned> Subject<O, V> {
    /// The codes that answer for this one.
    fn earlier(&self, memory: &Memory, shelves: &Shelves) -> Codes {
        if self.identity.fingerprint().is_none() || shelves.answering.is_sampling() {
            return Arc::default();
        }
        shelves.answering.of(shelves, &self.identity).unwrap_or_else(|error| {
            memory.inner.reporter.warn_once("blessings", || {
                format!("what is blessed cannot be read, so its calls are computed (this is said once): {error}")
            });
            Arc::default()
        })
    }

    /// Where entries that answer for a call may be, and until when they were stored then.
    fn places(&self, memory: &Memory, shelves: &Shelves, made_of: &MadeOf) -> Vec<(EntryKey, u64, Arc<Blessing>)> {
        let codes = self.earlier(memory, shelves);
        let place = |earlier: &Earlier| {
            let key = made_of.key_of(&earlier.identity)?;
            Some((self.prefix.entry(&key), earlier.until_ms, Arc::clone(&earlier.blessing)))
        };
        codes.iter().filter_map(place).collect()
    }

    /// The result of a call that has no entry of its own, by an entry of earlier code that was blessed; or why that one cannot
    /// be loaded. `None`: there is none.
    pub(in crate::memory) fn load_blessed(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        absent: &Absent,
        removals: u64,
    ) -> Option<Result<(O, Source), MissReason>> {
        if !may_be_answered(absent) {
            return None;
        }
        let mut reason = None;
        for (entry, until_ms, blessing) in self.places(memory, shelves, keyed.made_of) {
            match shelves.store.get(&entry) {
                Ok(found) if found.facts.created_at_ms > until_ms => {}
                Ok(found) => {
                    let answer = Answer { key: keyed.key, entry, blessing: Some(blessing) };
                    match self.load(memory, shelves, &answer, found, removals) {
                        Ok(loaded) => return Some(Ok(loaded)),
                        Err(why) => reason = reason.or(Some(why)),
                    }
                }
                Err(Absent::Never) => {}
                // What was removed, of whatever code, is to be computed: an older entry is no answer for it.
                Err(why) => {
                    reason = reason.or_else(|| Some(self.store_reason(memory, why)));
                    break;
                }
            }
        }
        reason.map(Err)
    }

    /// The record of the entry of earlier code that answers for a call without one of its own, or how that entry went.
    pub(in crate::memory) fn blessed_entry(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        made_of: &MadeOf,
        absent: &Absent,
    ) -> Option<(Arc<Blessing>, Result<Listed, Absent>)> {
        if !may_be_answered(absent) {
            return None;
        }
        let mut gone = None;
        for (entry, until_ms, blessing) in self.places(memory, shelves, made_of) {
            match shelves.store.peek(&entry) {
                Ok(listed) if !is_covered(&listed, until_ms) => {}
                Ok(listed) => return Some((blessing, Ok(listed))),
                Err(Absent::Never) => {}
                Err(why) => {
                    gone = Some((blessing, Err(why)));
                    break;
                }
            }
        }
        gone
    }

    /// The entries of earlier code that answer for a call.
    pub(in crate::memory) fn blessed_keys(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        made_of: &MadeOf,
    ) -> Vec<EntryKey> {
        let places = self.places(memory, shelves, made_of).into_iter();
        let answers = |(entry, until_ms, _): (EntryKey, u64, _)| {
            let listed = shelves.store.peek(&entry).ok()?;
            is_covered(&listed, until_ms).then_some(entry)
        };
        places.filter_map(answers).collect()
    }
}

/// Whether an entry is as old as those that were looked at.
fn is_covered(listed: &Listed, until_ms: u64) -> bool {
    listed.info().is_ok_and(|info| info.created_at_ms() <= until_ms)
}

/// Whether an entry of earlier code may stand in for what is missing so. A call that had an entry of its own is computed: that one was
/// newer than any of earlier code.
fn may_be_answered(absent: &Absent) -> bool {
    matches!(absent, Absent::Never)
}
