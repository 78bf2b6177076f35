//! What a cache holds, for people and programs that look after it: functions, totals, entries.

use std::time::{Duration, SystemTime};
use std::vec::IntoIter;

use super::{ArgumentInfo, Memory, Shelves, store_failed};
use crate::codec::CodecId;
use crate::error::{Error, Result};
use crate::key::hex;
use crate::store::census::bytes_of;
use crate::store::entry::{self, Origin, Place};
use crate::store::{Damage, DiskUsage, EntryKey, FunctionTotals, Listed, RecordInfo, StoreError, tombstone, usage};

/// A function whose results a cache holds, or held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionInfo {
    /// Its name: the path of one with an attribute, or what was given by hand.
    pub name: String,
    /// It is a closure whose name and version were given by hand. One with an attribute may have the same name.
    pub by_hand: bool,
    /// Its entries.
    pub entries: u64,
    /// Their bytes: encoded, before compression, with their records.
    pub bytes: u64,
    /// Calls that were loaded, over all programs, as far as they have told.
    pub hits: u64,
    /// Of these, calls that an entry of earlier code answered, which was [blessed](crate::Cached::bless).
    pub blessed: u64,
    /// Calls that were computed, likewise.
    pub misses: u64,
    /// What the hits would have taken to compute.
    pub time_saved: Duration,
    /// What the misses took to compute.
    pub time_computing: Duration,
    /// The codes and versions that its entries are of, in the order in which they were met.
    pub codes: Vec<CodeInfo>,
}

/// The entries of one code and version of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeInfo {
    /// The fingerprint of the code, as 64 hexadecimal digits; `None` for a closure, which only its version speaks for.
    pub fingerprint: Option<String>,
    /// The version that was given by hand, of a closure or beside an attribute.
    pub version: u64,
    /// Its entries.
    pub entries: u64,
    /// When the first of them was stored; of those that were removed since too.
    pub first_stored_at: SystemTime,
    /// When the last of them was.
    pub last_stored_at: SystemTime,
}

/// What a cache holds in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Functions that it has totals of.
    pub functions: u64,
    /// Entries.
    pub entries: u64,
    /// Their bytes: encoded, before compression, with their records.
    pub bytes: u64,
    /// Calls that were loaded, over all programs, as far as they have told.
    pub hits: u64,
    /// Of these, calls that an entry of earlier code answered, which was [blessed](crate::Cached::bless).
    pub blessed: u64,
    /// Calls that were computed, likewise.
    pub misses: u64,
    /// What the hits would have taken to compute.
    pub time_saved: Duration,
    /// What the misses took to compute.
    pub time_computing: Duration,
}

/// One entry of a cache.
///
/// What the record of a damaged one says may be anything; where it says nothing, texts are empty and numbers 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryInfo {
    /// What it goes by in its store.
    pub entry: EntryKey,
    /// The call's key, as 64 hexadecimal digits.
    pub key: String,
    /// The function whose result it is.
    pub function: String,
    /// The function is a closure whose name and version were given by hand.
    pub by_hand: bool,
    /// The version that was given by hand, of a closure or beside an attribute.
    pub version: u64,
    /// The fingerprint of the function's code, as 64 hexadecimal digits; `None` for a closure.
    pub fingerprint: Option<String>,
    /// The arguments that are in the key.
    pub arguments: Vec<ArgumentInfo>,
    /// When it was stored, by the clock of the machine that did.
    pub stored_at: SystemTime,
    /// What it took to compute.
    pub compute_time: Duration,
    /// Its bytes: encoded, before compression, with its record.
    pub bytes: u64,
    /// The length of its encoded value.
    pub value_bytes: u64,
    /// How often it was loaded, as far as programs have told.
    pub hits: u64,
    /// When it was loaded last, as far as programs have told; `None` if never.
    pub last_used: Option<SystemTime>,
    /// What its value is encoded with; `None` if the record does not say.
    pub codec: Option<CodecId>,
    /// The name of the file with its value, `blobs/ab/abcd…` in the cache's directory; `None` if that stands in the index.
    pub blob: Option<String>,
    /// What is wrong with its record. The file of a large value is not looked at: [`Memory::verify`] does that.
    pub damage: Option<Damage>,
}

impl From<FunctionTotals> for FunctionInfo {
    fn from(totals: FunctionTotals) -> FunctionInfo {
        let FunctionTotals { function, tally } = totals;
        let code = |code: crate::store::census::CodeTally| CodeInfo {
            fingerprint: code.code.fingerprint.map(|fingerprint| hex(&fingerprint)),
            version: code.code.version,
            entries: code.entries,
            first_stored_at: tombstone::at(code.first_ms),
            last_stored_at: tombstone::at(code.last_ms),
        };
        FunctionInfo {
            name: function.name,
            by_hand: function.by_hand,
            entries: tally.entries,
            bytes: tally.bytes,
            hits: tally.calls.hits,
            blessed: tally.calls.blessed,
            misses: tally.calls.misses,
            time_saved: Duration::from_nanos(tally.calls.nanos_saved),
            time_computing: Duration::from_nanos(tally.calls.nanos_computing),
            codes: tally.codes.into_iter().map(code).collect(),
        }
    }
}

impl EntryInfo {
    fn of(listed: &Listed) -> EntryInfo {
        let record = &listed.record;
        let (fields, origin) = entry::fields(record).map_or((None, &[][..]), |(fields, origin)| (Some(fields), origin));
        let origin = Origin::parse(origin);
        let facts = fields.map(|fields| fields.facts);
        EntryInfo {
            entry: listed.key,
            key: hex(listed.key.call().as_bytes()),
            function: origin.as_ref().map_or_else(String::new, |origin| origin.function.to_string()),
            by_hand: origin.as_ref().is_some_and(|origin| origin.fingerprint.is_none()),
            version: origin.as_ref().map_or(0, |origin| origin.version),
            fingerprint: origin.as_ref().and_then(|origin| origin.fingerprint).map(|fingerprint| hex(&fingerprint)),
            arguments: origin.map_or_else(Vec::new, |origin| origin.arguments.iter().map(ArgumentInfo::of).collect()),
            stored_at: tombstone::at(facts.map_or(0, |facts| facts.created_at_ms)),
            compute_time: Duration::from_nanos(facts.map_or(0, |facts| facts.compute_nanos)),
            bytes: fields.map_or(0, |fields| bytes_of(&fields, record)),
            value_bytes: facts.map_or(0, |facts| facts.value_bytes),
            hits: listed.hits(),
            last_used: listed.last_used(),
            codec: facts.map(|facts| facts.codec),
            blob: fields.and_then(|fields| match fields.place {
                Place::Blob { name } => Some(hex(&name)),
                Place::Inline { .. } => None,
            }),
            damage: entry::parse(&listed.key, record).err().as_ref().and_then(Damage::of),
        }
    }
}

/// The entries of a cache, by [`Memory::entries`] or [`Memory::entries_of`].
///
/// In the order of their keys, read as they are asked for, some hundred at a time. What comes and goes meanwhile is among
/// them or not. Ends with the first error.
pub struct Entries {
    memory: Memory,
    function: Option<String>,
    /// The hexadecimal digits that calls' keys begin with, each as a number.
    digits: Vec<u8>,
    page: IntoIter<Listed>,
    after: Option<EntryKey>,
    is_over: bool,
}

impl Entries {
    fn is_wanted(&self, listed: &Listed) -> bool {
        let key = listed.key.call();
        let has = |at: usize, digit: u8| key.as_bytes()[at / 2] >> (4 * (1 - at % 2)) & 15 == digit;
        if !self.digits.iter().enumerate().all(|(at, digit)| has(at, *digit)) {
            return false;
        }
        let Some(function) = &self.function else { return true };
        // Another function's keys may begin alike. What does not say whose it is stands where this one's do.
        RecordInfo::of(&listed.record).map_or(true, |info| info.function() == function)
    }

    fn turn(&mut self, shelves: &Shelves) -> Result<()> {
        let page = shelves.store.page(self.function.as_deref(), self.after.as_ref());
        let page = page.map_err(|error| store_failed(shelves, &error))?;
        self.after = page.last().map(Listed::key);
        self.is_over = page.is_empty();
        self.page = page.into_iter();
        Ok(())
    }
}

impl Iterator for Entries {
    type Item = Result<EntryInfo>;

    fn next(&mut self) -> Option<Result<EntryInfo>> {
        loop {
            while let Some(listed) = self.page.next() {
                if self.is_wanted(&listed) {
                    return Some(Ok(EntryInfo::of(&listed)));
                }
            }
            let memory = self.memory.clone();
            let shelves = memory.inner.place.as_ref().filter(|_| !self.is_over)?;
            if let Err(error) = self.turn(shelves) {
                self.is_over = true;
                return Some(Err(error));
            }
        }
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries")
            .field("memory", &self.memory)
            .field("function", &self.function)
            .finish_non_exhaustive()
    }
}

impl Memory {
    /// What is kept of each function, in the order of their names. Read from totals that are kept with every store: it takes
    /// no longer with more entries.
    ///
    /// # Errors
    /// The cache cannot be reached or read, or its store keeps no totals. [Disabled](Memory::disabled), it has no functions.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// let square = memory.cached_fn("square", 3, |x: &f64| x * x);
    /// square.call(&3.0);
    /// square.call(&4.0);
    ///
    /// let functions = memory.functions()?;
    /// assert_eq!((functions[0].name.as_str(), functions[0].entries), ("square", 2));
    /// assert_eq!((functions[0].codes[0].version, functions[0].codes[0].entries), (3, 2));
    /// assert_eq!(memory.totals()?.entries, 2);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn functions(&self) -> Result<Vec<FunctionInfo>> {
        let Some(shelves) = &self.inner.place else { return Ok(Vec::new()) };
        // What this program did is known at once.
        self.tell_uses(shelves);
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = shelves.store.functions(after.as_ref()).map_err(|error| store_failed(shelves, &error))?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.clone());
            all.extend(page.into_iter().map(FunctionInfo::from));
        }
    }

    /// What the cache holds in all: the sums of its [functions](Memory::functions), which see.
    ///
    /// # Errors
    /// As [`functions`](Memory::functions).
    pub fn totals(&self) -> Result<Totals> {
        let add = |sums: Totals, function: FunctionInfo| Totals {
            functions: sums.functions + 1,
            entries: sums.entries + function.entries,
            bytes: sums.bytes.saturating_add(function.bytes),
            hits: sums.hits.saturating_add(function.hits),
            blessed: sums.blessed.saturating_add(function.blessed),
            misses: sums.misses.saturating_add(function.misses),
            time_saved: sums.time_saved.saturating_add(function.time_saved),
            time_computing: sums.time_computing.saturating_add(function.time_computing),
        };
        Ok(self.functions()?.into_iter().fold(Totals::default(), add))
    }

    /// What the cache's directory takes on its disk. Looks at every file; a store without a directory takes none.
    ///
    /// # Errors
    /// The directory cannot be listed.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// memory.cached_fn("ramp", 1, |n: &u32| (0..*n).collect::<Vec<u32>>()).call(&10_000);
    /// let usage = memory.disk_usage()?;
    /// assert_eq!(usage.blobs, 1);
    /// assert!(usage.bytes() > 40_000);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let Some(shelves) = &self.inner.place else { return Ok(DiskUsage::default()) };
        let Some(path) = shelves.store.path() else { return Ok(DiskUsage::default()) };
        usage::disk_usage(path).map_err(|error| store_failed(shelves, &StoreError::new("listing its files", error)))
    }

    /// All entries. joblib's `store_backend.get_items`.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// memory.cached_fn("square", 1, |x: &f64| x * x).call(&3.0);
    /// for entry in memory.entries() {
    ///     let entry = entry?;
    ///     assert_eq!((entry.function.as_str(), entry.arguments[0].text.as_str()), ("square", "3.0"));
    /// }
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn entries(&self) -> Entries {
        self.entries_where(None, Vec::new())
    }

    /// The entries of the functions of this name, in all versions of their code.
    pub fn entries_of(&self, function: &str) -> Entries {
        self.entries_where(Some(function.to_owned()), Vec::new())
    }

    fn entries_where(&self, function: Option<String>, digits: Vec<u8>) -> Entries {
        if let Some(shelves) = &self.inner.place {
            self.tell_uses(shelves);
        }
        Entries { memory: self.clone(), function, digits, page: Vec::new().into_iter(), after: None, is_over: false }
    }

    /// The entries whose call's key begins with these hexadecimal digits, of which at least four are wanted. Looks through
    /// all entries: some seconds for each million.
    ///
    /// # Errors
    /// These are no such digits, or the cache cannot be read.
    ///
    /// # Examples
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = larder::Memory::open(dir.path())?;
    /// memory.cached_fn("square", 1, |x: &f64| x * x).call(&3.0);
    /// let entry = memory.entries().next().unwrap()?;
    /// assert_eq!(memory.find_entry(&entry.key[..8])?, [entry]);
    /// assert!(memory.find_entry("x").unwrap_err().is_invalid_option());
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn find_entry(&self, key: &str) -> Result<Vec<EntryInfo>> {
        const LEAST: usize = 4;
        const MOST: usize = 64;
        let digits =
            key.chars().map(|letter| letter.to_digit(16).map(|digit| digit as u8)).collect::<Option<Vec<u8>>>();
        match digits.filter(|digits| (LEAST..=MOST).contains(&digits.len())) {
            Some(digits) => self.entries_where(None, digits).collect(),
            None => {
                let what = format!("`{key}` is no key: give the first {LEAST} to {MOST} hexadecimal digits of one");
                Err(Error::invalid_option(what))
            }
        }
    }
}
