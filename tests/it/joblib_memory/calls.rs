//! `f.call`, `f.func`, `f.check_call_in_cache`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use larder::{Explanation, Memory, MissReason};

use super::{square, squares};
use crate::support::{files_in, hit, miss, open};

/// `f.call(*a)` computes and overwrites. joblib gives the metadata along; here a shelved result has it.
#[test]
fn call_forced_computes_and_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let reading = AtomicU64::new(1);
    let sensor = memory.cached_fn("sensor", 1, |_: &u8| reading.load(Relaxed));
    miss!(memory, NeverSeen, sensor.call(&1), 1);
    reading.store(2, Relaxed);
    hit!(memory, hits_hot, sensor.call(&1), 1);
    miss!(memory, Forced, sensor.call_forced(&1), 2);
    hit!(memory, hits_hot, sensor.call(&1), 2);
    drop(sensor);
    drop(memory);
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached_fn("sensor", 1, |_: &u8| 0_u64).call(&1), 2);
}

/// A forced call that fails costs nothing that was there.
#[test]
fn call_forced_that_fails_leaves_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let works = AtomicBool::new(true);
    let fragile = memory.cached_fn("fragile", 1, |x: &u64| {
        assert!(works.load(Relaxed), "(this panic belongs to the test)");
        if *x > 1 { Err("too much".to_owned()) } else { Ok(*x) }
    });
    miss!(memory, NeverSeen, fragile.call(&1), Ok(1));
    works.store(false, Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| fragile.call_forced(&1))).is_err());
    hit!(memory, hits_hot, fragile.call(&1), Ok(1));
    works.store(true, Relaxed);
    miss!(memory, Forced, fragile.call_forced(&2), Err("too much".to_owned()));
    assert!(!fragile.check_call_in_cache(&2));
}

/// `f.func` is the function itself.
#[test]
fn func_is_called_past_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let runs = AtomicU64::new(0);
    let counted = memory.cached_fn("counted", 1, |x: &u64| {
        runs.fetch_add(1, Relaxed);
        x + 1
    });
    let before = memory.stats();
    assert_eq!((counted.call_uncached(&1), counted.call_uncached(&1)), (2, 2));
    assert_eq!((memory.stats(), runs.load(Relaxed)), (before, 2));
    assert!(!counted.check_call_in_cache(&1));
    assert_eq!(memory.cached::<square>().call_uncached((3.0,)), 9.0);
}

/// joblib's may wipe a function's folder and delete an item that is not valid any more. Here looking changes nothing.
#[test]
fn check_call_in_cache_has_no_side_effects() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    assert!(!memory.cached::<square>().check_call_in_cache((3.0,)));
    assert_eq!(memory.cached::<square>().call((3.0,)), 9.0);
    let (stats, files) = (memory.stats(), files_in(dir.path(), "blobs"));
    assert!(memory.cached::<square>().check_call_in_cache((3.0,)));
    assert!(!memory.cached::<square>().check_call_in_cache((4.0,)));
    // Expired or refused for these, and there for all others.
    assert!(!memory.cached::<square>().expires_after(Duration::ZERO).check_call_in_cache((3.0,)));
    assert!(!memory.cached::<square>().validate(|_| false).check_call_in_cache((3.0,)));
    // Other code, which in joblib wipes the function.
    assert!(!memory.cached_fn(<square as larder::Function>::NAME, 9, |x: &f64| *x).check_call_in_cache(&3.0));
    assert_eq!((memory.stats(), files_in(dir.path(), "blobs")), (stats, files));
    hit!(memory, hits_hot, memory.cached::<square>().call((3.0,)), 9.0);
}

/// joblib's does not prove that an entry loads: it says True of a truncated file, and every later call computes. Here the entry
/// is read and its digest checked.
#[test]
fn check_call_in_cache_proves_that_the_entry_loads() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).cached::<squares>().call((10_000,));
    let [blob] = &files_in(dir.path(), "blobs")[..] else { panic!("one blob") };
    let whole = fs::read(blob).unwrap();
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let cached = memory.cached::<squares>();
    assert!(cached.check_call_in_cache((10_000,)));
    fs::write(blob, &whole[..whole.len() / 2]).unwrap();
    assert!(!cached.check_call_in_cache((10_000,)));
    assert_eq!(cached.explain((10_000,)), Explanation::Damaged(MissReason::TruncatedBlob));
    let mut altered = whole.clone();
    altered[whole.len() - 1] ^= 1;
    fs::write(blob, altered).unwrap();
    assert_eq!(cached.explain((10_000,)), Explanation::Damaged(MissReason::AlteredBlob));
    fs::write(blob, whole).unwrap();
    assert!(cached.check_call_in_cache((10_000,)));
}
