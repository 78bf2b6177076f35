//! `f.call_and_shelve` and its `MemorizedResult`.

use std::fs;
use std::time::{Duration, SystemTime};

use larder::{Memory, Shelved};

use super::squares;
use crate::support::{busy, files_in, miss, open};

/// On a hit the payload is not read, only the handle made.
#[test]
fn call_and_shelve_does_not_read_the_value() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let computed = memory.cached::<squares>().call_and_shelve((10_000,)).unwrap();
    assert_eq!((memory.stats().misses(), memory.stats().stores), (1, 1));
    drop(memory);
    let memory = open(dir.path());
    let shelved = memory.cached::<squares>().call_and_shelve((10_000,)).unwrap();
    let stats = memory.stats();
    assert_eq!((stats.hits(), stats.misses(), stats.bytes_loaded), (1, 0, 0));
    assert_eq!(shelved.get().unwrap(), squares(10_000));
    assert_eq!(computed.get().unwrap(), squares(10_000));
}

/// An exception of the function is raised by joblib's. Here it comes back, since there is nothing to shelve.
#[test]
fn call_and_shelve_gives_back_what_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let parsed = memory.cached_fn("parsed", 1, |text: &String| text.parse::<u64>().map_err(|error| error.to_string()));
    let refused = parsed.call_and_shelve(&"twelve".to_owned()).unwrap_err();
    assert_eq!(refused, Err("invalid digit found in string".to_owned()));
    let shelved = parsed.call_and_shelve(&"12".to_owned()).unwrap();
    assert_eq!(shelved.get().unwrap(), Ok(12));
    let root = memory.cached_fn("root", 1, |x: &f64| (*x >= 0.0).then(|| x.sqrt()));
    assert_eq!(root.call_and_shelve(&-1.0).unwrap_err(), None);
    assert_eq!(root.call_and_shelve(&4.0).unwrap().get().unwrap(), Some(2.0));
}

/// joblib's has `get`, `clear`, `duration`, `metadata`, `func_id`.
#[test]
fn memorized_result_has_get_clear_metadata_and_name() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let before = SystemTime::now() - Duration::from_millis(1);
    let slow = memory.cached_fn("slow", 3, |x: &u64| {
        busy(Duration::from_millis(2));
        x + 1
    });
    let shelved = slow.call_and_shelve(&41).unwrap();
    assert_eq!((shelved.function(), shelved.location()), ("slow", Some(dir.path())));
    let metadata = shelved.metadata().unwrap().unwrap();
    assert!(metadata.compute_time >= Duration::from_millis(2), "{metadata:?}");
    assert!(metadata.stored_at >= before && metadata.stored_at <= SystemTime::now(), "{metadata:?}");
    assert_eq!((metadata.version, metadata.to_string()), (3, "slow(41)".to_owned()));
    assert_eq!(shelved.get().unwrap(), 42);
    shelved.clear().unwrap();
    assert!(shelved.get().unwrap_err().is_not_stored());
    assert!(shelved.metadata().unwrap_err().is_not_stored());
    shelved.clear().unwrap();
    miss!(memory, Forgotten, slow.call(&41), 42);
    assert_eq!(shelved.get().unwrap(), 42, "it is the call's entry, whoever stored it");
}

/// joblib's is made of its `repr` or unpickled, and finds its cache. This one is any format of serde.
#[test]
fn memorized_result_finds_its_cache_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let sent = {
        let memory = open(dir.path());
        let shelved = memory.cached::<squares>().call_and_shelve((100_000,)).unwrap();
        serde_json::to_string(&shelved).unwrap()
    };
    assert!(sent.len() < 1000, "small, however large the value: {}", sent.len());
    let shelved: Shelved<Vec<u64>> = serde_json::from_str(&sent).unwrap();
    assert_eq!(shelved.get().unwrap().len(), 100_000);
    let other: Shelved<String> = serde_json::from_str(&sent).unwrap();
    let error = other.get().unwrap_err();
    assert!(error.is_not_stored() && error.to_string().contains("alloc::string::String"), "{error}");
}

/// joblib's raises KeyError where the item is gone, but EOFError for a truncated file. Here all are one kind of error.
#[test]
fn memorized_result_that_is_damaged_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let shelved = memory.cached::<squares>().call_and_shelve((100_000,)).unwrap();
    let [blob] = &files_in(dir.path(), "blobs")[..] else { panic!("one blob") };
    fs::write(blob, &fs::read(blob).unwrap()[..100]).unwrap();
    let error = shelved.get().unwrap_err();
    assert!(error.is_not_stored() && error.to_string().contains("damaged"), "{error}");
    fs::remove_file(blob).unwrap();
    assert!(shelved.get().unwrap_err().is_not_stored());
    miss!(memory, MissingBlob, memory.cached::<squares>().call((100_000,)).len(), 100_000);
    assert_eq!(shelved.get().unwrap().len(), 100_000, "computed again, and there again");
}

/// A look at what was there made an empty cache in its place: on a disk that is not mounted just now, say.
#[test]
fn memorized_result_of_a_cache_that_is_gone_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let sent = serde_json::to_string(&open(&place).cached::<squares>().call_and_shelve((10,)).unwrap()).unwrap();
    fs::rename(&place, dir.path().join("moved")).unwrap();
    let shelved: Shelved<Vec<u64>> = serde_json::from_str(&sent).unwrap();
    let error = shelved.get().unwrap_err();
    let words = format!("in the cache `{}`, which is not there: bring it back", place.display());
    assert!(error.is_not_stored() && error.to_string().contains(&words), "{error}");
    shelved.clear().unwrap();
    assert!(!place.exists());
    fs::rename(dir.path().join("moved"), &place).unwrap();
    assert_eq!(shelved.get().unwrap(), squares(10));
}
