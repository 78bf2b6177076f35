//! A store behind a pointer is a store: so that a program keeps a hand on the one that a memory has, or chooses at run time.

use std::path::Path;
use std::sync::Arc;

use super::claims::{Claimant, Claimed, Claims, End, Patience};
use super::types::{Absent, Found, NewEntry, StoreError};
use super::{EntryKey, FunctionTotals, Limits, Listed, Lookup, Note, Reduced, Store, Uses};

macro_rules! is_a_store {
    ($pointer:ident) => {
        impl<S: Store + ?Sized> Store for $pointer<S> {
            fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
                (**self).get(key)
            }

            fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
                (**self).put(entry)
            }

            fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
                (**self).clear_function(function, by_hand)
            }

            fn clear(&self) -> Result<(), StoreError> {
                (**self).clear()
            }

            fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
                (**self).forget(key)
            }

            fn page(&self, function: Option<&str>, after: Option<&EntryKey>) -> Result<Vec<Listed>, StoreError> {
                (**self).page(function, after)
            }

            fn functions(&self, after: Option<&FunctionTotals>) -> Result<Vec<FunctionTotals>, StoreError> {
                (**self).functions(after)
            }

            fn function(&self, name: &str, by_hand: bool) -> Result<Option<FunctionTotals>, StoreError> {
                (**self).function(name, by_hand)
            }

            fn peek(&self, key: &EntryKey) -> Result<Listed, Absent> {
                (**self).peek(key)
            }

            fn verify(&self, listed: &Listed) -> Result<u64, Absent> {
                (**self).verify(listed)
            }

            fn note_uses(&self, uses: &Uses) -> Result<(), StoreError> {
                (**self).note_uses(uses)
            }

            fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
                (**self).note(name)
            }

            fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), StoreError> {
                (**self).set_note(name, note)
            }

            fn notes(&self, prefix: &[u8]) -> Result<Vec<Note>, StoreError> {
                (**self).notes(prefix)
            }

            fn limit(&self, limits: &Limits) -> Result<(), StoreError> {
                (**self).limit(limits)
            }

            fn reduce(&self, limits: &Limits, dry: bool) -> Result<Reduced, StoreError> {
                (**self).reduce(limits, dry)
            }

            fn claims(&self) -> &Claims {
                (**self).claims()
            }

            fn get_or_claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Lookup {
                (**self).get_or_claim(key, who, patience)
            }

            fn claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Claimed {
                (**self).claim(key, who, patience)
            }

            fn release(&self, key: &EntryKey, who: Claimant, end: End) {
                (**self).release(key, who, end);
            }

            fn settle(&self) {
                (**self).settle();
            }

            fn news(&self) -> Option<String> {
                (**self).news()
            }

            fn path(&self) -> Option<&Path> {
                (**self).path()
            }

            fn is_read_only(&self) -> bool {
                (**self).is_read_only()
            }
        }
    };
}

is_a_store!(Arc);
is_a_store!(Box);
