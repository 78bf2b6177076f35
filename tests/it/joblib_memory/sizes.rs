//! `clear` of one entry, `reduce_size`.

use std::path::Path;
use std::time::Duration;

use larder::store::VolatileStore;
use larder::{Explanation, Limits, Memory, NotStoredReason, Removal};

use super::{HOUR, square};
use crate::support::{busy, ends, files_in, hit, miss, open, telling};

/// joblib drops one item by its arguments only through a shelved result.
#[test]
fn clear_of_one_entry_by_its_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = memory.cached::<square>();
    assert!(!cached.forget((3.0,)).unwrap(), "nothing is there");
    cached.call((3.0,));
    cached.call((4.0,));
    assert!(cached.forget((3.0,)).unwrap());
    assert!(!cached.forget((3.0,)).unwrap(), "it is gone already");
    assert!(matches!(cached.explain((3.0,)), Explanation::Removed(gone) if gone.why() == Removal::Forgotten));
    hit!(memory, hits_hot, cached.call((4.0,)), 16.0);
    miss!(memory, Forgotten, cached.call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
}

/// A result too large to be stored is loaded from memory; forgetting it said that there was none.
#[test]
fn clear_of_one_entry_that_only_memory_has() {
    let dir = tempfile::tempdir().unwrap();
    let (builder, _) = telling(0);
    let memory = builder.max_bytes("1K").open(dir.path()).unwrap();
    let cached = memory.cached::<five_kilobytes>();
    miss!(memory, NeverSeen, cached.call((1,)), five_kilobytes(1));
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::TooLarge), 1);
    assert!(cached.check_call_in_cache((1,)));
    assert!(cached.forget((1,)).unwrap());
    assert!(!cached.forget((1,)).unwrap());
    miss!(memory, NeverSeen, cached.call((1,)), five_kilobytes(1));
}

/// Who may only read removes nothing, and is told so.
#[test]
fn clear_of_what_is_open_for_reading_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).cached::<square>().call((3.0,));
    let memory = Memory::open_read_only(dir.path()).unwrap();
    let cached = memory.cached::<square>();
    for refused in [
        memory.clear().unwrap_err(),
        cached.clear().map(drop).unwrap_err(),
        cached.forget((3.0,)).map(drop).unwrap_err(),
        memory.reduce_size(&Limits::new().max_entries(1)).map(drop).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("reading"), "{refused}");
    }
    assert_eq!(cached.call((3.0,)), 9.0);
    assert_eq!(memory.stats().hits(), 1);
}

/// Fills a cache with ten results of some 5 KB.
fn filled(dir: &Path) -> Memory {
    let memory = open(dir);
    (0..10).for_each(|x| drop(memory.cached::<five_kilobytes>().call((x,))));
    memory
}

#[larder::task]
fn five_kilobytes(x: u8) -> Vec<u8> {
    vec![x; 5 << 10]
}

/// Which of the ten are there.
fn kept(memory: &Memory) -> Vec<u8> {
    (0..10).filter(|x| memory.cached::<five_kilobytes>().check_call_in_cache((*x,))).collect()
}

/// `reduce_size(bytes_limit="10K")`: powers of 1024.
#[test]
fn reduce_size_to_a_number_of_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    let limits = Limits::new().max_bytes("22K");
    let would = memory.would_reduce(&limits).unwrap();
    assert_eq!((would.entries, kept(&memory).len()), (6, 10), "nothing was removed yet");
    assert_eq!(memory.reduce_size(&limits).unwrap(), would);
    assert_eq!((kept(&memory).len(), files_in(dir.path(), "blobs").len()), (4, 4));
    assert_eq!(memory.reduce_size(&limits).unwrap().entries, 0);
    assert_eq!(memory.reduce_size(&Limits::new()).unwrap().entries, 0, "no limits");
}

/// `reduce_size(items_limit=3)`.
#[test]
fn reduce_size_to_a_number_of_items() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    assert_eq!(memory.reduce_size(&Limits::new().max_entries(3)).unwrap().entries, 7);
    assert_eq!(kept(&memory).len(), 3);
    let gone = (0..10).find(|x| !kept(&memory).contains(x)).unwrap();
    miss!(memory, Evicted, memory.cached::<five_kilobytes>().call((gone,)), five_kilobytes(gone));
    drop(memory);
    assert_eq!(kept(&open(dir.path())).len(), 4);
}

/// `reduce_size(age_limit=timedelta(..))`.
#[test]
fn reduce_size_to_an_age() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    assert_eq!(memory.reduce_size(&Limits::new().max_age(HOUR)).unwrap().entries, 0);
    ends(move || {
        let mut removed = 0;
        while removed < 10 {
            removed += memory.reduce_size(&Limits::new().max_age(Duration::from_millis(1))).unwrap().entries;
        }
        assert_eq!(kept(&memory).len(), 0);
        miss!(memory, AgedOut, memory.cached::<five_kilobytes>().call((1,)), five_kilobytes(1));
    });
}

/// joblib removes the oldest by the access times of files, which many systems do not keep. Here uses are recorded, those that
/// memory answers included, and what took long and is used stays.
#[test]
fn reduce_size_keeps_what_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let costly = memory.cached_fn("costly", 1, |x: &u64| {
        busy(Duration::from_millis(1));
        *x
    });
    for x in 0..5 {
        costly.call(&x);
    }
    for _ in 0..2000 {
        costly.call(&2);
    }
    assert_eq!(memory.reduce_size(&Limits::new().max_entries(1)).unwrap().entries, 4);
    let kept: Vec<u64> = (0..5).filter(|x| costly.check_call_in_cache(x)).collect();
    assert_eq!(kept, [2]);
}

/// joblib raises ValueError for a negative age, and takes other nonsense. Here each limit that means nothing is refused, by
/// name, wherever it is given, and nothing is made or removed.
#[test]
fn reduce_size_refuses_limits_that_mean_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    let place = dir.path().join("other");
    let builder = Memory::builder;
    for (limits, opened, words) in [
        (Limits::new().max_bytes(0), builder().max_bytes(0), "`max_bytes` is 0"),
        (Limits::new().max_bytes(-1), builder().max_bytes(-1), "`max_bytes`: -1 is no size"),
        (Limits::new().max_bytes("-10K"), builder().max_bytes("-10K"), "`max_bytes`: `-10K` is no size"),
        (Limits::new().max_bytes("ten"), builder().max_bytes("ten"), "`max_bytes`: `ten` is no size"),
        (Limits::new().max_entries(0), builder().max_entries(0), "`max_entries` is 0"),
        (Limits::new().max_age(Duration::ZERO), builder().max_age(Duration::ZERO), "`max_age` is 0"),
    ] {
        for refused in [
            memory.reduce_size(&limits).unwrap_err(),
            memory.would_reduce(&limits).unwrap_err(),
            opened.open(&place).unwrap_err(),
        ] {
            assert!(refused.is_invalid_option() && refused.to_string().starts_with(words), "{refused}");
        }
    }
    assert!(!place.exists());
    assert_eq!(kept(&memory).len(), 10);
}

/// Limits that a store cannot hold to are not taken in silence.
#[test]
fn reduce_size_of_a_store_that_removes_nothing_is_an_error() {
    let (builder, lines) = telling(0);
    let memory = builder.max_entries(1).with_store(VolatileStore::new());
    let warnings = lines.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the limits are not held to"), "{warnings:?}");
    let error = memory.reduce_size(&Limits::new().max_entries(1)).unwrap_err();
    assert!(error.to_string().contains("reducing the store"), "{error}");
}
