//! What an owner knows beside its records: totals, uses, and what is left of entries that went.

use std::array;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use super::bytes::Reader;
use super::catalog::{Catalog, now_ms};
use super::census::{Census, FunctionTotals};
use super::entry::{self, Place};
use super::entry_key::EntryKey;
use super::evict::Limited;
use super::index::{Index, Side};
use super::lately::Lately;
use super::tombstone::{KEPT_MS, Removal, Tombstone};
use super::types::StoreError;
use super::used::{FunctionName, Used, Uses};
use crate::lock::lock;

/// More tombstones than this are not kept: the older half goes.
const MOST_TOMBSTONES: u64 = 200_000;
/// A page of the list of functions is not much longer.
const PAGE_BYTES: usize = 128 << 10;
/// Under this name, which no function has, the totals say that they are those of the records beside them.
const COMPLETE: &[u8] = b"";

/// Keys are changed one at a time in so many groups.
const GROUPS: usize = 64;

pub(super) struct Keeping {
    census: Mutex<Census>,
    /// Held while totals are written down: or older ones could be written over newer ones.
    writing: Mutex<()>,
    /// Held while a record and what is known beside it are changed: or a removal could be counted before what it removes.
    groups: [Mutex<()>; GROUPS],
    lately: Lately,
    pub(super) limited: Limited,
    tombstones: AtomicU64,
    /// The totals were written down, and no record came or went since.
    is_complete: AtomicBool,
}

impl Keeping {
    /// Reads what an earlier owner wrote down; `as_closed`: that one closed the index, so its totals are right.
    pub(super) fn open(index: &Index, as_closed: bool) -> Result<Keeping, StoreError> {
        let mut census = Census::default();
        let is_complete = as_closed && index.side_get(Side::Census, COMPLETE)?.is_some();
        index.side_remove(Side::Census, COMPLETE)?;
        index.side_for_each(Side::Census, |_, value| {
            // What does not read is counted anew.
            if let Some(totals) = FunctionTotals::take(&mut Reader::new(value)) {
                census.take_up(if is_complete { totals } else { totals.without_entries() });
            }
        })?;
        if !is_complete {
            index.for_each(|_, record| census.add(record))?;
        }
        let keeping = Keeping {
            census: Mutex::new(census),
            writing: Mutex::default(),
            groups: array::from_fn(|_| Mutex::default()),
            lately: Lately::new(),
            limited: Limited::default(),
            tombstones: AtomicU64::new(0),
            is_complete: AtomicBool::new(false),
        };
        keeping.bury_no_more_than(index, MOST_TOMBSTONES)?;
        Ok(keeping)
    }

    /// Has this the only one who changes the entry of a key.
    pub(super) fn alone_with(&self, slot: &[u8]) -> MutexGuard<'_, ()> {
        // The last bytes of a key are those of a digest; what is damaged may be shorter.
        lock(&self.groups[usize::from(slot.last().copied().unwrap_or_default()) % GROUPS])
    }

    /// Drops tombstones that are too old, and the oldest beyond so many.
    fn bury_no_more_than(&self, index: &Index, most: u64) -> Result<(), StoreError> {
        let mut all = Vec::new();
        index.side_for_each(Side::Gone, |slot, value| {
            let at_ms = Tombstone::parse(value).map_or(0, |tombstone| tombstone.at_ms);
            all.push((at_ms, slot.to_vec()));
        })?;
        all.sort_unstable_by_key(|(at_ms, _)| std::cmp::Reverse(*at_ms));
        let oldest = now_ms().saturating_sub(KEPT_MS);
        let kept = all.partition_point(|(at_ms, _)| *at_ms >= oldest).min(usize::try_from(most).unwrap_or(usize::MAX));
        for (_, slot) in &all[kept..] {
            index.side_remove(Side::Gone, slot)?;
        }
        self.tombstones.store(kept as u64, Relaxed);
        Ok(())
    }
}

impl Catalog {
    /// Entries and bytes.
    pub(super) fn sums(&self) -> (u64, u64) {
        let census = lock(&self.keeping.census);
        (census.entries(), census.bytes())
    }

    /// A page of the totals of the functions behind this one, in the order of their names.
    pub(super) fn functions(&self, after: Option<&FunctionName>) -> Vec<FunctionTotals> {
        let mut functions = lock(&self.keeping.census).functions(after);
        let mut bytes = 0;
        let page = functions.iter().take_while(|totals| {
            let fits = bytes < PAGE_BYTES;
            bytes += totals.function.name.len() + 64 * (1 + totals.tally.codes.len());
            fits
        });
        functions.truncate(page.count());
        functions
    }

    /// The totals of one function.
    pub(super) fn function(&self, function: &FunctionName) -> Option<FunctionTotals> {
        lock(&self.keeping.census).function(function)
    }

    /// A record is in, maybe in place of another.
    pub(super) fn note_put(&self, key: &EntryKey, record: &[u8], replaced: Option<&[u8]>) -> Result<(), StoreError> {
        {
            let mut census = lock(&self.keeping.census);
            if let Some(replaced) = replaced {
                census.remove(replaced);
            }
            census.add(record);
        }
        self.note_change()?;
        if self.keeping.tombstones.load(Relaxed) > 0 {
            self.index.side_remove(Side::Gone, key.as_bytes())?;
        }
        Ok(())
    }

    fn note_change(&self) -> Result<(), StoreError> {
        if self.keeping.is_complete.swap(false, Relaxed) {
            self.index.side_remove(Side::Census, COMPLETE)?;
        }
        Ok(())
    }

    /// Removes an entry, if its record is still this one, and its blob; answers whether it was.
    pub(super) fn take_out(&self, slot: &[u8], record: &[u8], why: Option<Removal>) -> Result<bool, StoreError> {
        let _alone = self.keeping.alone_with(slot);
        if !self.index.remove_same(slot, record)? {
            return Ok(false);
        }
        lock(&self.keeping.census).remove(record);
        self.note_change()?;
        if let Ok(key) = slot.try_into() {
            self.keeping.lately.forget(&EntryKey::from_bytes(key));
        }
        self.index.side_remove(Side::Used, slot)?;
        let fields = entry::fields(record).ok();
        if let (Some(why), Some((fields, _))) = (why, &fields) {
            let bytes = super::census::bytes_of(fields, record);
            let tombstone = Tombstone { why, at_ms: now_ms(), bytes, compute_nanos: fields.facts.compute_nanos };
            self.index.side_put(Side::Gone, slot, &tombstone.encode())?;
            if self.keeping.tombstones.fetch_add(1, Relaxed) >= MOST_TOMBSTONES {
                self.keeping.bury_no_more_than(&self.index, MOST_TOMBSTONES / 2)?;
            }
        }
        if let Some((entry::Record { place: Place::Blob { name }, .. }, _)) = fields {
            self.blobs.remove(&name)?;
        }
        Ok(true)
    }

    /// Removes an entry; answers whether there was one.
    pub(super) fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        while let Some(record) = self.index.get(key)? {
            if self.take_out(key.as_bytes(), &record, Some(Removal::Forgotten))? {
                self.index.flush()?;
                return Ok(true);
            }
            // Replaced meanwhile.
        }
        Ok(false)
    }

    /// Why the entry of a key went, if there was one.
    pub(super) fn tombstone(&self, key: &EntryKey) -> Result<Option<Tombstone>, StoreError> {
        if self.keeping.tombstones.load(Relaxed) == 0 {
            return Ok(None);
        }
        Ok(self.index.side_get(Side::Gone, key.as_bytes())?.and_then(|bytes| Tombstone::parse(&bytes)))
    }

    pub(super) fn used(&self, slot: &[u8]) -> Result<Used, StoreError> {
        let mut used = self.used_before(slot)?;
        if let Ok(key) = slot.try_into() {
            used.add(self.keeping.lately.of(&EntryKey::from_bytes(key)));
        }
        Ok(used)
    }

    /// What is written down.
    fn used_before(&self, slot: &[u8]) -> Result<Used, StoreError> {
        Ok(self.index.side_get(Side::Used, slot)?.and_then(|bytes| Used::parse(&bytes)).unwrap_or_default())
    }

    /// Takes up what a program did, and writes the totals of its functions down.
    pub(super) fn note_uses(&self, uses: &Uses) -> Result<(), StoreError> {
        if self.keeping.lately.note(&uses.entries) {
            self.write_uses()?;
        }
        {
            let mut census = lock(&self.keeping.census);
            uses.functions.iter().for_each(|(function, calls)| census.note(function, *calls));
        }
        self.write_totals()
    }

    fn write_uses(&self) -> Result<(), StoreError> {
        for (key, more) in self.keeping.lately.take() {
            let _alone = self.keeping.alone_with(key.as_bytes());
            let mut used = self.used_before(key.as_bytes())?;
            // What went meanwhile needs no uses; what has some is there.
            if used != Used::default() || self.index.get(&key)?.is_some() {
                used.add(more);
                self.index.side_put(Side::Used, key.as_bytes(), &used.encode())?;
            }
        }
        Ok(())
    }

    fn write_totals(&self) -> Result<(), StoreError> {
        let _writing = lock(&self.keeping.writing);
        let changed = lock(&self.keeping.census).take_changed();
        for totals in changed {
            let mut name = vec![u8::from(totals.function.by_hand)];
            name.extend_from_slice(totals.function.name.as_bytes());
            let mut value = Vec::new();
            totals.encode(&mut value);
            self.index.side_put(Side::Census, &name, &value)?;
        }
        Ok(())
    }

    /// Writes uses and all totals down, as those of an index that is closed as it should be.
    pub(super) fn write_all_totals(&self) -> Result<(), StoreError> {
        self.write_uses()?;
        self.index.side_put(Side::Census, COMPLETE, b"1")?;
        // Before the totals: what changes meanwhile is in them, or takes the mark away.
        self.keeping.is_complete.store(true, Relaxed);
        self.write_totals()
    }

    /// Removes every entry, and what is known of those that went.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        {
            // Nobody else has more than one of them, and here it is always this order.
            let _alone = self.keeping.groups.each_ref().map(lock);
            let clear_blobs = || self.blobs.clear().map_err(|error| StoreError::new("removing the blobs", error));
            // Files first: what a kill leaves are records without them, which are misses.
            clear_blobs()?;
            drop(self.keeping.lately.take());
            self.index.clear()?;
            // One that was written since, and its record before that was cleared, would be nobody's.
            clear_blobs()?;
            *lock(&self.keeping.census) = Census::default();
            self.keeping.tombstones.store(0, Relaxed);
        }
        self.keeping.limited.forget_all();
        self.index.flush()
    }
}

/// A catalog ends where the index is closed.
impl Drop for Catalog {
    fn drop(&mut self) {
        if self.write_all_totals().is_err() {
            // They are counted anew at the next opening.
            self.index.close_unsettled();
        }
    }
}
