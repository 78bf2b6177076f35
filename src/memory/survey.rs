//! What becomes of a call, found out before it is made: for named runs, which are priced before they start.

use std::time::Duration;

use super::arguments::ArgsLent;
use super::bless::code_of;
use super::cached::Cached;
use super::call::{Keyed, NotOwn};
use super::load::Answer;
use super::reason::MissReason;
use super::stats::{Place, Source};
use super::{ItemChange, Memory, Shelves};
use crate::error::Result;
use crate::key::{Identity, MadeOf};
use crate::store::census::Code;
use crate::store::{Absent, EntryKey};
use crate::task::{Input, Task};

/// A call as a ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identified {
    /// Of the function and its arguments, without the code and what it reads: so an item is the same one when these have changed.
    pub(crate) id: [u8; 16],
    pub(crate) key: EntryKey,
    /// One for each argument in the key, and behind them one for each input.
    pub(crate) marks: Vec<u64>,
}

/// What would become of a call.
pub(crate) enum Survey<O> {
    /// It has a result, which is loaded if that was asked for.
    Hit(Option<O>),
    /// It has a result, and only in this program's memory: storing it failed.
    Unkept(O),
    Miss(Missing),
}

/// A call that would be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) reason: MissReason,
    /// What it took the last time.
    pub(crate) cost: Option<Duration>,
}

impl<T: Task> Cached<T> {
    /// The function whatever its code is, by which [`identify`](Cached::identify) knows an item when that has changed.
    pub(crate) fn without_code(&self) -> Identity {
        self.subject.identity.with_code(Some([0; 32]), 0)
    }

    /// Finds out who a call is.
    ///
    /// # Errors
    /// Why it has no key.
    pub(crate) fn identify(
        &self,
        without_code: &Identity,
        args: &T::Args<'_>,
    ) -> std::result::Result<Identified, String> {
        let subject = &*self.subject;
        let mut made_of = MadeOf::default();
        let key = subject.try_key(&ArgsLent::<T>(args), &mut made_of).map_err(|refused| refused.to_string())?;
        let id = made_of.key_without_inputs(without_code).unwrap_or(key);
        let id = id.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
        let marks =
            made_of.digests().map(|digest| digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        Ok(Identified { id, key: subject.prefix.entry(&key), marks: marks.collect() })
    }

    /// Finds out what would become of a call, and loads its result if there is one and that is asked for.
    pub(crate) fn survey(&self, who: &Identified, args: &T::Args<'_>, load: bool) -> Survey<T::Output> {
        let (subject, memory) = (&*self.subject, &self.memory);
        let Some(shelves) = &memory.inner.place else {
            return Survey::Miss(Missing { reason: MissReason::Disabled, cost: None });
        };
        let args = ArgsLent::<T>(args);
        let own = Answer { key: who.key.call(), entry: who.key, blessing: None };
        let hit = |output, source: Source| {
            subject.say_loaded(memory, source, &args);
            // What is read from the store is there.
            let is_kept = source.place != Place::Hot || source.blessed || shelves.store.peek(&own.entry).is_ok();
            if is_kept { Survey::Hit(Some(output)) } else { Survey::Unkept(output) }
        };
        let found = match load {
            true => subject.find_own(memory, shelves, &own).map(Some),
            false => subject.own_record(memory, shelves, &own.entry).map(|()| None),
        };
        let (absent, removals) = match found {
            Ok(Some((output, source))) => return hit(output, source),
            Ok(None) => return Survey::Hit(None),
            Err(NotOwn::Refused(reason)) => {
                let cost = shelves.store.peek(&own.entry).ok().map(|listed| listed.compute_time());
                return Survey::Miss(Missing { reason, cost });
            }
            Err(NotOwn::Absent(absent, removals)) => (absent, removals),
        };
        // The key is made again, since now it must be known what it is made of: most calls of a run that goes on end before this.
        let mut made_of = MadeOf::default();
        let Ok(key) = subject.try_key(&args, &mut made_of) else {
            // What it depends on cannot be read any more.
            return Survey::Miss(Missing { reason: MissReason::NoKey, cost: None });
        };
        let keyed = Keyed { key, entry: subject.prefix.entry(&key), made_of: &made_of };
        if load && let Some(Ok((output, source))) = subject.load_blessed(memory, shelves, &keyed, &absent, removals) {
            return hit(output, source);
        }
        if !load && subject.has_blessed_record(memory, shelves, &made_of, &absent) {
            return Survey::Hit(None);
        }
        self.missing(shelves, &made_of, absent)
    }

    /// Of a call without an entry.
    fn missing(&self, shelves: &Shelves, made_of: &MadeOf, absent: Absent) -> Survey<T::Output> {
        let subject = &*self.subject;
        let cost = match &absent {
            Absent::Removed(tombstone) => Some(tombstone.compute_time()),
            _ => None,
        };
        let reason = subject.miss_reason(&self.memory, shelves, made_of, absent);
        let cost = match reason {
            MissReason::CodeChanged | MissReason::VersionChanged => subject
                .others(shelves)
                .iter()
                .filter_map(|other| shelves.store.peek(&subject.prefix.entry(&made_of.key_of(other)?)).ok())
                .map(|listed| listed.compute_time())
                .next(),
            _ => cost,
        };
        Survey::Miss(Missing { reason, cost })
    }

    /// What a call of the function took on average, if any was computed.
    pub(crate) fn mean_cost(&self) -> Option<Duration> {
        let shelves = self.memory.inner.place.as_ref()?;
        let totals = shelves.store.function(&self.subject.function.name, self.subject.function.by_hand).ok()??;
        totals.tally.calls.mean_cost()
    }

    /// As [`forget`](Cached::forget), with borrowed arguments.
    ///
    /// # Errors
    /// The store refuses.
    pub(crate) fn forget_lent(&self, args: &T::Args<'_>) -> Result<bool> {
        self.subject.forget(&self.memory, &ArgsLent::<T>(args))
    }

    /// What is read when a call is made.
    pub(crate) fn inputs(&self) -> &[Input] {
        self.subject.identity.inputs()
    }

    /// The code of this function, for the ledger of a run.
    pub(crate) fn code(&self) -> Code {
        code_of(&self.subject.identity)
    }

    /// The items of the function's code that changed since its other code with the newest entry, as far as both are known.
    pub(crate) fn changed_items(&self) -> Vec<ItemChange> {
        let Some(shelves) = &self.memory.inner.place else { return Vec::new() };
        let others = self.subject.others(shelves);
        let changed = |other| shelves.items_changed_since(&self.subject.identity, self.subject.prefix, other);
        others.first().map(changed).unwrap_or_default()
    }
}

impl Memory {
    /// Whether the store has an entry of this key.
    pub(crate) fn has_entry(&self, key: &EntryKey) -> bool {
        self.inner.place.as_ref().is_some_and(|shelves| shelves.store.peek(key).is_ok())
    }

    /// Makes what was stored so far survive the killing of this program.
    pub(crate) fn flush_for_ledger(&self) -> std::io::Result<()> {
        match &self.inner.place {
            Some(shelves) => shelves.store.flush().map_err(std::io::Error::other),
            None => Ok(()),
        }
    }
}
