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
use super::sheet::{self, Sheet};
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

/// Reading an entry where it stands in the index's order costs so much less than asking for it by its key.
const READS_FOR_A_GET: u64 = 8;

/// Keys are changed one at a time in so many groups.
const GROUPS: usize = 64;

pub(super) struct Keeping {
    census: Mutex<Census>,
    /// Held while totals are written down: or older ones could be written over newer ones.
    writing: Mutex<()>,
    /// Held while a record and what is known beside it are changed: or a removal could be counted before what it removes.
    groups: [Mutex<()>; GROUPS],
    /// Held while a sheet of uses is changed.
    sheets: [Mutex<()>; GROUPS],
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
            sheets: array::from_fn(|_| Mutex::default()),
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

    /// Has this the only one who changes a sheet of uses. Whoever has a key alone may ask for it, never the other way round.
    fn alone_with_sheet(&self, name: &[u8]) -> MutexGuard<'_, ()> {
        lock(&self.sheets[usize::from(name.last().copied().unwrap_or_default()) % GROUPS])
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
        // What is damaged may have a shorter one.
        if let Ok(key) = slot.try_into() {
            self.forget_uses(&EntryKey::from_bytes(key))?;
        }
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

    pub(super) fn used(&self, key: &EntryKey) -> Result<Used, StoreError> {
        let sheet = self.index.side_get(Side::Used, sheet::name_of(key))?;
        let mut used = sheet.and_then(|bytes| Sheet::look(&bytes, key)).unwrap_or_default();
        used.add(self.keeping.lately.of(key));
        Ok(used)
    }

    fn sheet(&self, name: &[u8]) -> Result<Sheet, StoreError> {
        Ok(self.index.side_get(Side::Used, name)?.map(|bytes| Sheet::parse(&bytes)).unwrap_or_default())
    }

    fn put_sheet(&self, name: &[u8], sheet: &Sheet) -> Result<(), StoreError> {
        match sheet.is_empty() {
            true => self.index.side_remove(Side::Used, name),
            false => self.index.side_put(Side::Used, name, &sheet.encode()),
        }
    }

    /// An entry is gone, and its uses go with it.
    fn forget_uses(&self, key: &EntryKey) -> Result<(), StoreError> {
        let name = sheet::name_of(key);
        let _alone = self.keeping.alone_with_sheet(name);
        // Under the lock: else it could be written down behind this.
        self.keeping.lately.forget(key);
        let mut sheet = self.sheet(name)?;
        if sheet.remove(key) { self.put_sheet(name, &sheet) } else { Ok(()) }
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
        let uses = self.keeping.lately.take();
        let on_one_sheet =
            |one: &(EntryKey, Used), other: &(EntryKey, Used)| sheet::name_of(&one.0) == sheet::name_of(&other.0);
        uses.chunk_by(on_one_sheet).try_for_each(|uses| self.write_on_sheet(uses))
    }

    fn write_on_sheet(&self, uses: &[(EntryKey, Used)]) -> Result<(), StoreError> {
        let [(first, _), ..] = uses else { return Ok(()) };
        let name = sheet::name_of(first);
        let _alone = self.keeping.alone_with_sheet(name);
        let mut sheet = self.sheet(name)?;
        // What has uses is there; what went meanwhile needs none.
        let new = uses.iter().map(|(key, _)| *key).filter(|key| !sheet.has(key)).collect();
        let there = self.those_there(name, new)?;
        for (key, more) in uses {
            if sheet.has(key) || there.binary_search(key).is_ok() {
                sheet.add(key, *more);
            }
        }
        self.put_sheet(name, &sheet)
    }

    /// Those of these keys of one sheet that have entries; both in order.
    fn those_there(&self, name: &[u8], mut keys: Vec<EntryKey>) -> Result<Vec<EntryKey>, StoreError> {
        let on_sheet = self.sums().0 / sheet::SHEETS;
        if (keys.len() as u64) * READS_FOR_A_GET < on_sheet {
            let mut failed = Ok(());
            keys.retain(|key| match self.index.get(key) {
                Ok(record) => record.is_some(),
                Err(error) => {
                    failed = Err(error);
                    false
                }
            });
            return failed.map(|()| keys);
        }
        let mut there = Vec::new();
        if let Some(last) = keys.last() {
            self.index.page(name, |slot, _| {
                let is_on_it = slot.starts_with(name) && slot <= &last.as_bytes()[..];
                there.extend(slot.try_into().ok().filter(|_| is_on_it).map(EntryKey::from_bytes));
                is_on_it
            })?;
        }
        keys.retain(|key| there.binary_search(key).is_ok());
        Ok(keys)
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
            let _sheets = self.keeping.sheets.each_ref().map(lock);
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
