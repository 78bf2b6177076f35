//! What is asked of an index beside the way of a call: lists, totals, uses, limits, removals.

#[cfg(unix)]
use super::attempt::answered;
use super::attempt::{Attempt, Unanswered, gone};
use super::census::FunctionTotals;
use super::entry_key::{EntryKey, Prefix};
#[cfg(unix)]
use super::guest::NoAnswer;
use super::limits::{Caps, Reduced};
use super::link::Link;
use super::listed::Listed;
use super::notes::Note;
use super::role::{Role, Way};
use super::used::{FunctionName, Uses};
use crate::lock::lock;

/// Entries that are removed at once: a program that asks another for more asks again, so that no answer takes long.
const SLICE: u64 = 2000;

impl Link {
    pub(super) fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, Unanswered> {
        self.may_write("removing entries")?;
        lock(&self.shared.recent).clear();
        self.ask(|way, _| match way {
            Way::Here(here) if !here.catalog.is_in_place(true) => Attempt::Over(gone()),
            Way::Here(here) => Attempt::Done(here.catalog.clear_function(function, by_hand)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.clear_function(function, by_hand)),
        })
    }

    pub(super) fn clear(&self) -> Result<(), Unanswered> {
        self.may_write("removing entries")?;
        lock(&self.shared.recent).clear();
        self.ask(|way, _| match way {
            Way::Here(here) if !here.catalog.is_in_place(true) => Attempt::Over(gone()),
            Way::Here(here) => Attempt::Done(here.catalog.clear()),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.clear()),
        })
    }

    /// Removes one entry; answers whether there was one.
    pub(super) fn forget(&self, key: &EntryKey) -> Result<bool, Unanswered> {
        self.may_write("removing entries")?;
        lock(&self.shared.recent).clear();
        self.ask(|way, _| match way {
            Way::Here(here) if !here.catalog.is_in_place(true) => Attempt::Over(gone()),
            Way::Here(here) => Attempt::Done(here.catalog.forget(key)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.forget(key)),
        })
    }

    /// A page of entries; an empty one is the end.
    pub(super) fn page(&self, function: Option<Prefix>, after: Option<&EntryKey>) -> Result<Vec<Listed>, Unanswered> {
        self.ask(|way, _| match way {
            Way::Here(here) => Attempt::Done(here.catalog.page(function, after)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.page(function, after.copied())),
        })
    }

    /// A page of functions; an empty one is the end.
    pub(super) fn functions(&self, after: Option<&FunctionName>) -> Result<Vec<FunctionTotals>, Unanswered> {
        self.ask(|way, _| match way {
            Way::Here(here) => Attempt::Done(Ok(here.catalog.functions(after))),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.functions(after)),
        })
    }

    /// The totals of one function.
    pub(super) fn function(&self, function: &FunctionName) -> Result<Option<FunctionTotals>, Unanswered> {
        self.ask(|way, _| match way {
            Way::Here(here) => Attempt::Done(Ok(here.catalog.function(function))),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.function(function)),
        })
    }

    /// What was noted under a name.
    pub(super) fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Unanswered> {
        self.ask(|way, _| match way {
            Way::Here(here) => Attempt::Done(here.catalog.note(name)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.note(name)),
        })
    }

    /// Notes something, or that nothing is noted any more.
    pub(super) fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), Unanswered> {
        self.may_write("keeping a note")?;
        self.ask(|way, _| match way {
            Way::Here(here) if !here.catalog.is_in_place(true) => Attempt::Over(gone()),
            Way::Here(here) => Attempt::Done(here.catalog.set_note(name, note)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.set_note(name, note)),
        })
    }

    /// A page of notes; an empty one is the end.
    pub(super) fn notes(&self, prefix: &[u8], after: Option<&[u8]>) -> Result<Vec<Note>, Unanswered> {
        self.ask(|way, _| match way {
            Way::Here(here) => Attempt::Done(here.catalog.notes(prefix, after)),
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.notes(prefix, after)),
        })
    }

    /// Tells what was used to whoever holds the index now. Nobody is sought for it, and nothing repeated: it is told at the end of a
    /// program too, which is no time to take over from an owner that ended just before.
    pub(super) fn note_uses(&self, uses: &Uses) -> Result<(), Unanswered> {
        self.may_write("noting uses")?;
        let role = self.shared.role_now();
        let Some(Role::Served(way)) = role.as_deref() else { return Ok(()) };
        match way {
            Way::Here(here) if !here.catalog.is_in_place(true) => Ok(()),
            Way::Here(here) => here.catalog.note_uses(uses).map_err(Unanswered::Failed),
            #[cfg(unix)]
            Way::Guest(guest) => match guest.note_uses(uses) {
                // Whoever asks for something will find the next one.
                Err(NoAnswer::Lost(_)) => Ok(()),
                Err(NoAnswer::Failed(error)) => Err(Unanswered::Failed(error)),
                Ok(()) => Ok(()),
            },
        }
    }

    /// Has the store held to these limits too, as long as this program uses it. What is too much already is removed now, or the
    /// next store would be at work on that, while whoever stores waits.
    pub(super) fn limit(&self, caps: Caps) -> Result<(), Unanswered> {
        self.may_write("limiting the cache")?;
        let caps = {
            let mut own = lock(&self.shared.caps);
            *own = own.and(caps);
            *own
        };
        self.ask(|way, _| match way {
            Way::Here(here) => {
                here.catalog.keeping.limited.want(OWN, caps);
                Attempt::Done(Ok(()))
            }
            #[cfg(unix)]
            Way::Guest(guest) => answered(guest.limit(caps)),
        })?;
        self.reduce(caps, false).map(drop)
    }

    /// Removes what is too much for these limits, or with `dry` says what that would be.
    pub(super) fn reduce(&self, caps: Caps, dry: bool) -> Result<Reduced, Unanswered> {
        if !dry {
            self.may_write("removing entries")?;
            lock(&self.shared.recent).clear();
        }
        let mut all = Reduced::default();
        loop {
            let most = if dry { 0 } else { SLICE };
            let reduced = self.ask(|way, _| match way {
                Way::Here(here) if dry => Attempt::Done(here.catalog.would_reduce(caps)),
                Way::Here(here) if !here.catalog.is_in_place(true) => Attempt::Over(gone()),
                Way::Here(here) => Attempt::Done(here.catalog.reduce(caps, most)),
                #[cfg(unix)]
                Way::Guest(guest) => answered(guest.reduce(caps, most)),
            })?;
            all.entries += reduced.entries;
            all.bytes += reduced.bytes;
            all.compute_time += reduced.compute_time;
            if dry || reduced.entries < most {
                return Ok(all);
            }
        }
    }
}

/// The session of the owner itself, which no guest has.
pub(super) const OWN: u64 = 0;
