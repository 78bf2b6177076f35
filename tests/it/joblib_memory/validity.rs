//! `cache_validation_callback`, `expires_after`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use larder::store::{Absent, Claims, EntryKey, Found, NewEntry, Store, StoreError};
use larder::{Explanation, Memory, Metadata};

use super::{HOUR, square, volatile};
use crate::support::{hit, miss, open, open_telling};

/// The callback is given `{duration, input_args, time}` of the entry.
#[test]
fn cache_validation_callback_sees_duration_arguments_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let seen: Arc<Mutex<Vec<Metadata>>> = Arc::default();
    let asked = Arc::clone(&seen);
    let memory = open(dir.path());
    let cached = memory.cached::<square>().validate(move |metadata| {
        asked.lock().unwrap().push(metadata.clone());
        true
    });
    miss!(memory, NeverSeen, cached.call((3.0,)), 9.0);
    assert!(seen.lock().unwrap().is_empty(), "there is nothing to ask about");
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
    let metadata = seen.lock().unwrap().pop().unwrap();
    assert_eq!(metadata.function, <square as larder::Function>::NAME);
    assert_eq!((metadata.arguments[0].name.as_str(), metadata.arguments[0].text.as_str()), ("x", "3.0"));
    assert!(metadata.stored_at <= SystemTime::now() && metadata.compute_time > Duration::ZERO, "{metadata:?}");
    drop(cached);
    drop(memory);
    // The same from disk.
    let memory = open(dir.path());
    let cached = memory.cached::<square>().validate(move |found| {
        // The time is taken for each: they may be a millisecond apart.
        let mut found = found.clone();
        found.stored_at = metadata.stored_at;
        found == metadata
    });
    hit!(memory, hits_index, cached.call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
}

/// A falsy answer: the item is computed again, and replaced.
#[test]
fn cache_validation_callback_that_refuses_has_it_computed_again() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn run(_x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed)
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    miss!(memory, NeverSeen, memory.cached::<run>().call((1,)), 0);
    let refusing = memory.cached::<run>().validate(|_| false);
    miss!(memory, Rejected, refusing.call((1,)), 1);
    miss!(memory, Rejected, refusing.call((1,)), 2);
    assert!(matches!(refusing.explain((1,)), Explanation::Rejected(_)));
    assert_eq!(refusing.call_and_shelve((1,)).unwrap().get().unwrap(), 3);
    hit!(memory, hits_hot, memory.cached::<run>().call((1,)), 3);
    drop((refusing, memory));
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<run>().validate(|_| true).call((1,)), 3);
    assert_eq!(RUNS.load(Relaxed), 4);
}

/// The callback of the decorator; and one that is no function does not compile.
#[test]
fn cache_validation_callback_is_an_option_of_the_attribute() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    fn is_of_small(metadata: &Metadata) -> bool {
        metadata.arguments[0].text.len() < 3
    }

    #[larder::cached(memory = MEMORY, validate = is_of_small)]
    fn plus_one(x: u64) -> u64 {
        x + 1
    }

    miss!(MEMORY, NeverSeen, plus_one(10), 11);
    hit!(MEMORY, hits_hot, plus_one(10), 11);
    miss!(MEMORY, NeverSeen, plus_one(1000), 1001);
    miss!(MEMORY, Rejected, plus_one(1000), 1001);
}

/// joblib lets an exception of the callback out to whoever made the call. Here no call fails for its cache: a panic is a refusal,
/// and said once.
#[test]
fn cache_validation_callback_that_panics_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    let cached = memory.cached::<square>().validate(|_| panic!("no idea (this panic belongs to the test)"));
    miss!(memory, NeverSeen, cached.call((3.0,)), 9.0);
    miss!(memory, Rejected, cached.call((3.0,)), 9.0);
    miss!(memory, Rejected, cached.call((3.0,)), 9.0);
    assert!(!cached.check_call_in_cache((3.0,)));
    let warnings = lines.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("square` panicked") && warnings[0].contains("no idea"), "{warnings:?}");
    hit!(memory, hits_hot, memory.cached::<square>().call((3.0,)), 9.0);
}

/// `expires_after(hours=1)`: valid while younger.
#[test]
fn expires_after_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = || memory.cached::<square>();
    miss!(memory, NeverSeen, cached().expires_after(HOUR).call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached().expires_after(HOUR).call((3.0,)), 9.0);
    miss!(memory, Expired, cached().expires_after(Duration::ZERO).call((3.0,)), 9.0);
    let Explanation::Expired { entry, at } = cached().expires_after(Duration::ZERO).explain((3.0,)) else {
        panic!("it has expired")
    };
    assert_eq!(entry.stored_at, at);
    let closure = |time| memory.cached_fn("plus", 1, |x: &u64| x + 1).expires_after(time);
    miss!(memory, NeverSeen, closure(HOUR).call(&1), 2);
    hit!(memory, hits_hot, closure(HOUR).call(&1), 2);
    miss!(memory, Expired, closure(Duration::ZERO).call(&1), 2);
    // What expires never is asked for by nobody: the longest time there is.
    hit!(memory, hits_hot, closure(Duration::MAX).call(&1), 2);
}

/// joblib raises KeyError('time') where the metadata is missing. Here the time is a part of the entry.
#[test]
fn expires_after_is_an_option_of_the_attribute() {
    #[larder::task(expires_after = "2w")]
    fn held(x: u64) -> u64 {
        x + 1
    }

    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached::<held>().call((1,)), 2);
    }
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<held>().call((1,)), 2);
    // What the caller says takes the place of what the attribute says.
    miss!(memory, Expired, memory.cached::<held>().expires_after(Duration::ZERO).call((1,)), 2);
}

/// A store whose clock is ahead of ours: as if ours had been set back since. The record is that of docs/format.md.
struct Ahead {
    by: Duration,
    records: Mutex<HashMap<EntryKey, Vec<u8>>>,
    claims: Claims,
}

impl Ahead {
    fn new(by: Duration) -> Ahead {
        Ahead { by, records: Mutex::default(), claims: Claims::default() }
    }

    fn shifted(&self, key: &EntryKey, mut record: Vec<u8>) -> Vec<u8> {
        let created = u64::from_le_bytes(record[36..44].try_into().unwrap()) + self.by.as_millis() as u64;
        record[36..44].copy_from_slice(&created.to_le_bytes());
        let mut hasher = blake3::Hasher::new_derive_key("larder 2026-11 index record v1");
        hasher.update(&key.as_bytes()[8..]).update(&record[32..]);
        record[..32].copy_from_slice(hasher.finalize().as_bytes());
        record
    }
}

impl Store for Ahead {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        let record = self.records.lock().unwrap().get(key).cloned().ok_or(Absent::Never)?;
        Found::from_record(key, record)
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        let key = entry.key();
        self.records.lock().unwrap().insert(key, self.shifted(&key, entry.to_record()));
        Ok(None)
    }

    fn clear_function(&self, _: &str, _: bool) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        Ok(self.records.lock().unwrap().remove(key).is_some())
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.records.lock().unwrap().clear();
        Ok(())
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// joblib takes an entry from the future for a young one, for as long as the clock was wrong. Here nobody knows how old it is,
/// so it has expired; what a clock is corrected by in passing does not count.
#[test]
fn expires_after_a_clock_was_set_back() {
    let with = |by| Memory::builder().memory_tier_bytes(0).with_store(Ahead::new(by));
    let memory = with(HOUR);
    let cached = || memory.cached::<square>();
    miss!(memory, NeverSeen, cached().expires_after(3 * HOUR).call((3.0,)), 9.0);
    miss!(memory, Expired, cached().expires_after(3 * HOUR).call((3.0,)), 9.0);
    assert!(matches!(cached().expires_after(3 * HOUR).explain((3.0,)), Explanation::Expired { .. }));
    hit!(memory, hits_index, cached().call((3.0,)), 9.0);
    let memory = with(Duration::from_secs(1));
    miss!(memory, NeverSeen, memory.cached::<square>().call((3.0,)), 9.0);
    hit!(memory, hits_index, memory.cached::<square>().expires_after(HOUR).call((3.0,)), 9.0);
}
