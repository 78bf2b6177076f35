//! What is stored, and how: None and errors, dump failures, the metadata, `mmap_mode` and `compress`.

use std::sync::LazyLock;

use larder::{Explanation, Memory, NotStoredReason};
use serde::{Deserialize, Serialize};

use super::{squares, volatile};
use crate::support::{NO_FILES, files_in, hit, miss, open, open_telling};

/// joblib stores None like any value. Here it is more often "not found yet" than a result, so it takes a word to store it.
#[test]
fn call_that_gives_none_is_stored_where_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = || memory.cached_fn("half", 1, |x: &u64| x.is_multiple_of(2).then_some(x / 2));
    let unsaid = cached();
    miss!(memory, NeverSeen, unsaid.call(&3), None);
    miss!(memory, NeverSeen, unsaid.call(&3), None);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NoneResult), 2);
    miss!(memory, NeverSeen, unsaid.call(&4), Some(2));
    hit!(memory, hits_hot, unsaid.call(&4), Some(2));
    let said = cached().store_none();
    miss!(memory, NeverSeen, said.call(&3), None);
    hit!(memory, hits_hot, said.call(&3), None);
}

/// joblib never stores an exception. An `Err` is a value: it can be, if someone says so.
#[test]
fn call_that_gives_an_err_is_stored_where_that_is_said() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    #[larder::cached(memory = MEMORY, store(err, none))]
    fn root(x: i64) -> Result<Option<i64>, String> {
        match x {
            ..0 => Err(format!("{x} has no root")),
            _ => Ok((0..=x).find(|root| root * root == x)),
        }
    }

    for (x, expected) in [(-1, Err("-1 has no root".to_owned())), (2, Ok(None)), (9, Ok(Some(3)))] {
        miss!(MEMORY, NeverSeen, root(x), expected);
        hit!(MEMORY, hits_hot, root(x), expected);
    }
}

/// Serializes, and does not come back.
#[derive(Debug, PartialEq, Serialize)]
struct OneWay(u64);

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
        Err(serde::de::Error::custom("this value cannot come back"))
    }
}

/// joblib leaves a truncated file in place: `check_call_in_cache` says True for ever, every call computes, `get` raises EOFError.
#[test]
fn dump_failures_leave_no_entry_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 2);
    let lost = memory.cached_fn("lost", 1, |x: &u64| OneWay(*x));
    miss!(memory, NeverSeen, lost.call(&1), OneWay(1));
    assert!(!lost.check_call_in_cache(&1));
    assert_eq!(lost.explain(&1), Explanation::NeverSeen);
    assert!(!lost.forget(&1).unwrap());
    assert_eq!(lost.call_and_shelve(&1).unwrap_err(), OneWay(1));
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NotSerializable), 2);
    assert_eq!((lines.warnings().len(), files_in(dir.path(), "blobs")), (1, NO_FILES.to_vec()));
    let told = "[Memory] Not storing lost: no codec carries the result there and back";
    assert!(lines.all().iter().any(|line| line == told), "{:?}", lines.all());
}

/// Every entry has joblib's `metadata.json`: what the call took, its arguments, the time. It cannot be missing: it is a part of
/// the record.
#[test]
fn metadata_is_kept_over_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = |memory: &Memory| {
        let shelved = memory.cached::<squares>().call_and_shelve((10_000,)).unwrap();
        shelved.metadata().unwrap().unwrap()
    };
    let stored = metadata(&open(dir.path()));
    assert_eq!(stored.to_string(), "squares(count = 10000)");
    assert_eq!(stored.fingerprint.as_ref().map(String::len), Some(64));
    assert!(stored.value_bytes > 10_000, "{stored:?}");
    let memory = open(dir.path());
    assert_eq!(metadata(&memory), stored);
    assert!(matches!(memory.cached::<squares>().explain((10_000,)), Explanation::Hit(entry) if *entry == stored));
}

/// joblib warns that `mmap_mode` is without effect where `compress` is on. Here what can be mapped is stored as it is, and mapped.
#[cfg(unix)]
#[test]
fn mmap_mode_goes_with_compress() {
    use larder::{Bulk, Compression};

    let dir = tempfile::tempdir().unwrap();
    let compressed = || Memory::builder().compress(Compression::Lz4).open(dir.path()).unwrap();
    let ramp = |memory: &Memory| {
        memory.cached_fn("ramp", 1, |len: &u32| (0..*len).map(f64::from).collect::<Bulk<f64>>()).call(&100_000)
    };
    let first = ramp(&compressed());
    let memory = compressed();
    let again = ramp(&memory);
    assert_eq!((memory.stats().hits_blob, again == first), (1, true));
    assert!(again.is_mapped());
}
