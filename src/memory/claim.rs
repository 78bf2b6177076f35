//! What a call meets in the store: its result, or the claim to compute it.

use std::ops::Deref;

use super::Shelves;
use super::reason::MissReason;
use super::stats::Source;
use crate::store::{Claimant, End, EntryKey};

/// What the store has of a call.
pub(super) enum Met<O, S: Deref<Target = Shelves>> {
    /// Its result, and where it was.
    Loaded(O, Source),
    /// Nothing, for this reason; with the claim, where it could be had.
    Missing(Option<Guard<S>>, MissReason),
    /// Another computes it, and the caller is not to wait for that any longer.
    Busy,
}

/// A claim, ended when this goes, whatever happens.
pub(super) struct Guard<S: Deref<Target = Shelves>> {
    shelves: S,
    key: EntryKey,
    who: Claimant,
    end: End,
}

impl<S: Deref<Target = Shelves>> Guard<S> {
    /// Of a claim that `who` was given.
    pub(super) fn new(shelves: S, key: EntryKey, who: Claimant) -> Guard<S> {
        Guard { shelves, key, who, end: End::NotStored }
    }

    /// Where the claim is.
    pub(super) fn shelves(&self) -> &Shelves {
        &self.shelves
    }

    /// The computation came to its end.
    pub(super) fn end(mut self, stored: bool) {
        self.end = if stored { End::Stored } else { End::NotStored };
    }
}

impl<S: Deref<Target = Shelves>> Drop for Guard<S> {
    fn drop(&mut self) {
        self.shelves.store.release(&self.key, self.who, self.end);
    }
}
