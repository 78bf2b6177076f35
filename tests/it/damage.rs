//! Damage on the disk: never a wrong value, never a failed call; a miss with its reason, then repaired.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use larder::{Memory, MissReason, NotStoredReason};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::{Lines, NO_FILES, files_in, hit, image, miss, open, open_telling, quick_directory, restore};

type Image = BTreeMap<PathBuf, Vec<u8>>;

/// Small results stand in the index.
const SMALL: u64 = 20;
/// Larger ones are blobs.
const LARGE: u64 = 3;

pub(crate) fn small(memory: &Memory, x: u64) -> String {
    memory.cached_fn("small", 1, |x: &u64| format!("the text of {x}")).call(&x)
}

fn large(memory: &Memory, x: u64) -> Vec<u64> {
    memory.cached_fn("large", 1, |x: &u64| vec![(x + 1) << 40; 600]).call(&x)
}

/// Calls everything and checks each value; the store may be in any state.
#[track_caller]
fn check_values(memory: &Memory) {
    for x in 0..SMALL {
        assert_eq!(small(memory, x), format!("the text of {x}"));
    }
    for x in 0..LARGE {
        assert_eq!(large(memory, x), [(x + 1) << 40; 600]);
    }
    let stats = memory.stats();
    assert_eq!(stats.hits() + stats.misses(), SMALL + LARGE);
    assert_eq!(stats.not_stored_for(NotStoredReason::StoreFailed), 0, "what was missing is stored again");
}

/// After a repair: everything is there.
#[track_caller]
fn check_repaired(dir: &Path) {
    let (memory, lines) = open_telling(dir, 0);
    check_values(&memory);
    assert_eq!((memory.stats().misses(), memory.stats().hits_index), (0, SMALL), "{:?}", lines.all());
    assert_eq!(lines.all(), [""; 0]);
    assert_eq!(files_in(dir, "temp"), NO_FILES);
}

/// The files of a whole, closed cache.
fn filled() -> Image {
    let dir = tempfile::tempdir().expect("there is room");
    check_values(&open(dir.path()));
    image(dir.path())
}

/// Some positions in `content`, spread over what is not zero (sled reserves far more than it fills).
pub(crate) fn positions(content: &[u8], most: usize) -> Vec<usize> {
    let filled: Vec<usize> = (0..content.len()).filter(|at| content[*at] != 0).collect();
    filled.iter().copied().step_by(filled.len().div_ceil(most).max(1)).collect()
}

/// Bytes with no pattern, the same in every run.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(step).take(len).collect()
}

// ---- The index.

#[test]
fn altered_bytes_of_the_index_are_never_a_wrong_value() {
    let whole = filled();
    let index: Vec<PathBuf> = whole.keys().filter(|name| name.starts_with("index")).cloned().collect();
    assert!(index.contains(&PathBuf::from("index/db")), "{index:?}");
    for name in index {
        let most = if name.ends_with("db") { 60 } else { 12 };
        for at in positions(&whole[&name], most) {
            let dir = quick_directory();
            let mut altered = whole.clone();
            altered.get_mut(&name).unwrap()[at] ^= 0x55;
            restore(&altered, dir.path());
            println!("byte {at} of {}", name.display());
            let (memory, lines) = open_telling(dir.path(), 0);
            check_values(&memory);
            let (stats, said) = (memory.stats(), lines.all());
            // A small record that sled lost without a word was never there; large results are taken in again.
            let told = |line: &String| line.contains("was damaged") || line.contains("they were taken in again");
            assert!(said.iter().all(told), "{said:?}");
            assert_eq!(stats.hits_blob + stats.misses_for(MissReason::NeverSeen), LARGE + SMALL - stats.hits_index);
            drop(memory);
            check_repaired(dir.path());
        }
    }
}

/// Damages the index of a full cache, and answers how the next opening went, with the reports.
#[track_caller]
fn opened_after(damage: impl FnOnce(&Path)) -> (tempfile::TempDir, Memory, Lines) {
    let dir = tempfile::tempdir().expect("there is room");
    restore(&filled(), dir.path());
    damage(&dir.path().join("index"));
    let (memory, lines) = open_telling(dir.path(), 0);
    (dir, memory, lines)
}

/// The index is beyond repair: set aside, made anew from the blobs, and told.
#[track_caller]
fn index_is_set_aside(damage: impl FnOnce(&Path)) {
    let (dir, memory, lines) = opened_after(damage);
    let said = lines.warnings();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("was damaged") && said[0].contains("it was set aside as"), "{said:?}");
    assert!(said[0].contains(&dir.path().display().to_string()), "{said:?}");
    assert!(said[0].contains(&format!("{LARGE} large results were kept")), "{said:?}");
    let aside = fs::read_dir(dir.path())
        .expect("the cache can be listed")
        .filter(|item| {
            let name = item.as_ref().expect("the cache can be listed").file_name();
            name.to_string_lossy().starts_with("index.damaged-")
        })
        .count();
    assert_eq!(aside, 1, "the damaged index is kept beside the new one");
    blobs_survive(&memory);
    drop(memory);
    check_repaired(dir.path());
}

#[track_caller]
fn blobs_survive(memory: &Memory) {
    check_values(memory);
    let stats = memory.stats();
    assert_eq!((stats.hits_blob, stats.misses_for(MissReason::NeverSeen)), (LARGE, SMALL), "{stats:?}");
}

#[test]
fn an_index_whose_settings_are_garbage_is_set_aside() {
    index_is_set_aside(|index| fs::write(index.join("conf"), noise(200)).unwrap());
}

#[test]
fn an_index_whose_settings_are_cut_short_is_set_aside() {
    index_is_set_aside(|index| {
        let conf = fs::read(index.join("conf")).unwrap();
        fs::write(index.join("conf"), &conf[..conf.len() / 2]).unwrap();
    });
}

#[test]
fn an_index_that_is_a_file_is_set_aside() {
    index_is_set_aside(|index| {
        fs::remove_dir_all(index).unwrap();
        fs::write(index, "not a directory").unwrap();
    });
}

/// Whatever sled makes of it: large results survive, small ones are clean misses or there.
#[track_caller]
fn large_results_outlive(damage: impl FnOnce(&Path)) {
    let (dir, memory, lines) = opened_after(damage);
    check_values(&memory);
    let stats = memory.stats();
    assert_eq!(stats.hits_blob, LARGE, "{stats:?}, {:?}", lines.all());
    assert_eq!(stats.misses_for(MissReason::NeverSeen), SMALL - stats.hits_index, "{stats:?}");
    if stats.hits_index == 0 {
        assert_eq!(lines.warnings().len(), 1, "losing every small result is worth a warning: {:?}", lines.all());
    }
    drop(memory);
    check_repaired(dir.path());
}

/// sled takes noise for a log that ends at once, and says nothing.
#[test]
fn large_results_outlive_an_index_of_noise() {
    large_results_outlive(|index| {
        let db = index.join("db");
        let len = fs::metadata(&db).unwrap().len();
        fs::write(&db, noise(len as usize)).unwrap();
    });
}

#[test]
fn large_results_outlive_an_emptied_index_file() {
    large_results_outlive(|index| fs::write(index.join("db"), "").unwrap());
}

#[test]
fn large_results_outlive_a_removed_index_file() {
    large_results_outlive(|index| fs::remove_file(index.join("db")).unwrap());
}

#[test]
fn large_results_outlive_a_removed_index() {
    large_results_outlive(|index| fs::remove_dir_all(index).unwrap());
}

#[test]
fn large_results_outlive_an_emptied_index() {
    large_results_outlive(|index| {
        fs::remove_dir_all(index).unwrap();
        fs::create_dir(index).unwrap();
    });
}

#[test]
fn large_results_outlive_a_truncated_index_file() {
    for divisor in [2, 5, 50, 5000] {
        large_results_outlive(|index| {
            let db = fs::OpenOptions::new().write(true).open(index.join("db")).unwrap();
            let len = db.metadata().unwrap().len();
            db.set_len(len / divisor).unwrap();
        });
    }
}

#[test]
fn large_results_outlive_removed_and_emptied_settings() {
    large_results_outlive(|index| fs::remove_file(index.join("conf")).unwrap());
    large_results_outlive(|index| fs::write(index.join("conf"), "").unwrap());
}

#[test]
fn large_results_outlive_garbage_snapshots() {
    large_results_outlive(|index| {
        let mut snapshots = 0;
        for item in fs::read_dir(index).unwrap() {
            let path = item.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                fs::write(&path, noise(500)).unwrap();
                snapshots += 1;
            }
        }
        println!("{snapshots} snapshots overwritten");
        fs::write(index.join("snap.00000000000FFFFF"), noise(500)).unwrap();
    });
}

#[test]
fn foreign_files_in_the_index_do_no_harm() {
    let (dir, memory, lines) = opened_after(|index| {
        fs::write(index.join("notes.txt"), "mine").unwrap();
        fs::create_dir_all(index.join("folder")).unwrap();
        fs::create_dir_all(index.join("blobs")).unwrap();
        fs::write(index.join("blobs").join("notes.txt"), "mine").unwrap();
    });
    check_values(&memory);
    let stats = memory.stats();
    assert_eq!((stats.hits_blob, stats.misses_for(MissReason::NeverSeen)), (LARGE, SMALL - stats.hits_index));
    assert_eq!(lines.all().len() as u64, u64::from(stats.misses() > 0), "{:?}", lines.all());
    drop(memory);
    check_repaired(dir.path());
}

// ---- A record, behind sled's own checks.

/// Changes the records of a closed cache.
fn with_records(dir: &Path, change: impl FnOnce(&sled::Db)) {
    let db = sled::Config::new().path(dir.join("index")).open().expect("the index opens");
    change(&db);
    db.flush().expect("there is room");
}

fn records(db: &sled::Db) -> Vec<(sled::IVec, sled::IVec)> {
    db.iter().collect::<sled::Result<_>>().expect("the index is whole")
}

#[test]
fn an_altered_record_is_a_miss_and_repaired() {
    let whole = filled();
    let length = {
        let dir = tempfile::tempdir().unwrap();
        restore(&whole, dir.path());
        let mut longest = 0;
        with_records(dir.path(), |db| longest = records(db).iter().map(|(_, record)| record.len()).max().unwrap());
        longest
    };
    for at in (0..length).step_by(7).chain([32, 33, 34]) {
        // A record whose fields still name its blob is met damaged by the call; where they no longer do, the blob belongs
        // to no record and was taken in again at the opening.
        let dir = tempfile::tempdir().unwrap();
        restore(&whole, dir.path());
        // All records at once: one opening for many of them.
        let mut altered = 0;
        with_records(dir.path(), |db| {
            for (slot, record) in records(db) {
                let mut bytes = record.to_vec();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 0x41;
                    altered += 1;
                    db.insert(slot, bytes).unwrap();
                }
            }
        });
        let (memory, lines) = open_telling(dir.path(), 0);
        check_values(&memory);
        let stats = memory.stats();
        // The format's number stands behind the digest.
        let reason = if at == 32 { MissReason::NewerRecord } else { MissReason::DamagedRecord };
        let said = lines.all();
        let taken_in = if said.iter().any(|line| line.contains("taken in again")) { LARGE } else { 0 };
        assert_eq!(stats.hits_blob, taken_in, "byte {at}: {said:?}");
        let met = altered - taken_in;
        assert_eq!((stats.misses_for(reason), stats.misses()), (met, met), "byte {at}: {said:?}");
        drop(memory);
        check_repaired(dir.path());
    }
}

#[test]
fn a_record_cut_short_or_emptied_is_a_miss_and_repaired() {
    let whole = filled();
    for keep in [0, 1, 31, 32, 36, 60, 100] {
        let dir = tempfile::tempdir().unwrap();
        restore(&whole, dir.path());
        with_records(dir.path(), |db| {
            for (slot, record) in records(db) {
                db.insert(slot, &record[..keep]).unwrap();
            }
        });
        let memory = open(dir.path());
        check_values(&memory);
        // A record cut short names no blob, so the blobs were taken in again.
        assert_eq!(memory.stats().misses_for(MissReason::DamagedRecord), SMALL, "cut to {keep}");
        assert_eq!(memory.stats().hits_blob, LARGE, "cut to {keep}");
        drop(memory);
        check_repaired(dir.path());
    }
}

#[test]
fn a_record_under_another_key_is_a_miss_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    restore(&filled(), dir.path());
    with_records(dir.path(), |db| {
        let all = records(db);
        for (at, (slot, _)) in all.iter().enumerate() {
            db.insert(slot, &all[(at + 1) % all.len()].1).unwrap();
        }
    });
    let memory = open(dir.path());
    check_values(&memory);
    assert_eq!(memory.stats().misses_for(MissReason::DamagedRecord), SMALL + LARGE);
    drop(memory);
    check_repaired(dir.path());
}

#[test]
fn a_function_with_damaged_records_can_be_cleared() {
    let dir = tempfile::tempdir().unwrap();
    restore(&filled(), dir.path());
    with_records(dir.path(), |db| {
        for (slot, _) in records(db) {
            db.insert(slot, "no record").unwrap();
        }
    });
    let memory = open(dir.path());
    memory.cached_fn("small", 1, |_: &u64| String::new()).clear().unwrap();
    memory.clear().unwrap();
    check_values(&memory);
    assert_eq!(memory.stats().misses_for(MissReason::NeverSeen), SMALL + LARGE);
}

// ---- Blobs.

/// One blob of some 5 KB, the text of one byte repeated, in a closed cache.
fn one_blob(dir: &Path) -> PathBuf {
    let memory = open(dir);
    miss!(memory, NeverSeen, text(&memory), "x".repeat(5000));
    drop(memory);
    let mut blobs = files_in(dir, "blobs");
    assert_eq!(blobs.len(), 1);
    blobs.pop().expect("there is one")
}

pub(crate) fn text(memory: &Memory) -> String {
    memory.cached_fn("text", 1, |_: &u8| "x".repeat(5000)).call(&1)
}

#[track_caller]
fn text_is_repaired(dir: &Path) {
    let memory = open(dir);
    hit!(memory, hits_blob, text(&memory), "x".repeat(5000));
    assert_eq!(files_in(dir, "blobs").len(), 1, "the damaged blob is gone");
    assert_eq!(files_in(dir, "temp"), NO_FILES);
}

#[test]
fn a_missing_blob_is_a_miss_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    fs::remove_file(one_blob(dir.path())).unwrap();
    let memory = open(dir.path());
    miss!(memory, MissingBlob, text(&memory), "x".repeat(5000));
    hit!(memory, hits_hot, text(&memory), "x".repeat(5000));
    drop(memory);
    text_is_repaired(dir.path());
}

#[test]
fn a_missing_folder_of_blobs_is_a_miss_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    one_blob(dir.path());
    fs::remove_dir_all(dir.path().join("blobs")).unwrap();
    let memory = open(dir.path());
    miss!(memory, MissingBlob, text(&memory), "x".repeat(5000));
    drop(memory);
    text_is_repaired(dir.path());
}

#[test]
fn a_truncated_blob_is_a_miss_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let mut blob = one_blob(dir.path());
    let len = fs::read(&blob).unwrap().len();
    for keep in [0, 1, 8, 15, 16, 17, 100, len / 2, len - 1] {
        let content = fs::read(&blob).unwrap();
        fs::write(&blob, &content[..keep.min(content.len() - 1)]).unwrap();
        let memory = open(dir.path());
        miss!(memory, TruncatedBlob, text(&memory), "x".repeat(5000));
        drop(memory);
        text_is_repaired(dir.path());
        blob = files_in(dir.path(), "blobs").remove(0);
    }
}

#[test]
fn an_extended_blob_is_a_miss_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let blob = one_blob(dir.path());
    let mut content = fs::read(&blob).unwrap();
    content.push(b'x');
    fs::write(&blob, content).unwrap();
    let memory = open(dir.path());
    // It is not as long as it says.
    miss!(memory, TruncatedBlob, text(&memory), "x".repeat(5000));
    drop(memory);
    text_is_repaired(dir.path());
}

/// joblib serves a flipped byte as a hit (reference, finding 2).
#[test]
fn every_altered_byte_of_a_blob_is_noticed() {
    let dir = quick_directory();
    one_blob(dir.path());
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let mut reasons = BTreeMap::new();
    let mut blob = files_in(dir.path(), "blobs").remove(0);
    for at in 0.. {
        let Some(byte) = fs::read(&blob).unwrap().get(at).copied() else { break };
        // The one byte, in place: a file that is cut and written anew is handed to the disk by some file systems.
        let mut file = fs::OpenOptions::new().write(true).open(&blob).unwrap();
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(&[byte ^ if at % 2 == 0 { 0x01 } else { 0x80 }]).unwrap();
        drop(file);
        let before = memory.stats();
        assert_eq!(text(&memory), "x".repeat(5000), "byte {at}");
        let after = memory.stats();
        assert_eq!((after.misses() - before.misses(), after.stores - before.stores), (1, 1), "byte {at}");
        for reason in [MissReason::AlteredBlob, MissReason::TruncatedBlob] {
            if after.misses_for(reason) > before.misses_for(reason) {
                reasons.entry(reason.to_string()).or_insert_with(Vec::new).push(at);
            }
        }
        // Each repair writes a blob of another name, since it holds the time. The folder of the last one goes, or there were
        // soon 256 of them to list for each byte.
        let repaired = files_in(dir.path(), "blobs");
        assert_eq!(repaired.len(), 1, "byte {at}");
        if repaired[0].parent() != blob.parent() {
            fs::remove_dir(blob.parent().unwrap()).unwrap();
        }
        blob.clone_from(&repaired[0]);
    }
    assert_eq!(reasons.values().map(Vec::len).sum::<usize>() as u64, memory.stats().misses(), "only these reasons");
    // Where the header's own length is altered, it looks cut short; everywhere else it looks altered.
    let cut_short = reasons.remove(&MissReason::TruncatedBlob.to_string()).unwrap_or_default();
    assert!(cut_short.iter().all(|at| *at < 16), "{cut_short:?}");
    assert!(reasons[&MissReason::AlteredBlob.to_string()].len() > 5000);
    hit!(memory, hits_blob, text(&memory), "x".repeat(5000));
}

#[test]
fn a_blob_in_the_place_of_another_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        large(&memory, 1);
        large(&memory, 2);
    }
    let blobs = files_in(dir.path(), "blobs");
    let (first, second) = (fs::read(&blobs[0]).unwrap(), fs::read(&blobs[1]).unwrap());
    fs::write(&blobs[0], &second).unwrap();
    fs::write(&blobs[1], &first).unwrap();
    let memory = open(dir.path());
    miss!(memory, AlteredBlob, large(&memory, 1), [2 << 40; 600]);
    miss!(memory, AlteredBlob, large(&memory, 2), [3 << 40; 600]);
    drop(memory);
    let memory = open(dir.path());
    hit!(memory, hits_blob, large(&memory, 1), [2 << 40; 600]);
    hit!(memory, hits_blob, large(&memory, 2), [3 << 40; 600]);
}

#[test]
fn a_folder_in_the_place_of_a_blob_fails_no_call() {
    let dir = tempfile::tempdir().unwrap();
    let blob = one_blob(dir.path());
    fs::remove_file(&blob).unwrap();
    fs::create_dir(&blob).unwrap();
    {
        let (memory, lines) = open_telling(dir.path(), 0);
        miss!(memory, Unreadable, text(&memory), "x".repeat(5000));
        hit!(memory, hits_hot, text(&memory), "x".repeat(5000));
        let said = lines.warnings();
        assert!(said[0].contains("the cache cannot be read"), "{said:?}");
        assert!(said[0].contains(&blob.display().to_string()), "{said:?}");
    }
    let memory = open(dir.path());
    hit!(memory, hits_blob, text(&memory), "x".repeat(5000));
}

/// A program that was killed while it wrote a blob.
#[test]
fn what_a_killed_writer_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    one_blob(dir.path());
    fs::write(dir.path().join("temp").join("blob-abc"), "half a blo").unwrap();
    text_is_repaired(dir.path());
}

#[test]
fn a_rebuilt_index_passes_damaged_and_foreign_blobs_by() {
    let dir = tempfile::tempdir().unwrap();
    restore(&filled(), dir.path());
    let blobs = files_in(dir.path(), "blobs");
    fs::write(&blobs[0], "garbage").unwrap();
    let folder = dir.path().join("blobs").join("zz");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::write(dir.path().join("blobs").join("notes.txt"), "mine").unwrap();
    fs::copy(&blobs[1], folder.join("copy")).unwrap();
    fs::write(dir.path().join("index").join("conf"), noise(200)).unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    assert!(lines.warnings()[0].contains("2 large results were kept"), "{:?}", lines.all());
    check_values(&memory);
    let stats = memory.stats();
    assert_eq!((stats.hits_blob, stats.misses_for(MissReason::NeverSeen)), (LARGE - 1, SMALL + 1));
    drop(memory);
    check_repaired(dir.path());
}

// ---- The stored type changed under the same name and version.

/// Stores a value as one type and asks for it as another: the second function must be run.
#[track_caller]
fn is_not_taken_for<A, B>(stored: A, wanted: B)
where
    A: Serialize + DeserializeOwned + PartialEq + Debug + Clone,
    B: Serialize + DeserializeOwned + PartialEq + Debug + Clone,
{
    let dir = tempfile::tempdir().expect("there is room");
    let (old, new) = (stored.clone(), wanted.clone());
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached_fn("value", 1, |_: &u8| old.clone()).call(&1), stored);
        assert_eq!(memory.stats().stores, 1);
    }
    {
        let memory = open(dir.path());
        let changed = memory.cached_fn("value", 1, |_: &u8| new.clone());
        miss!(memory, Undecodable, changed.call(&1), wanted);
        hit!(memory, hits_hot, changed.call(&1), wanted);
    }
    let memory = open(dir.path());
    let changed = memory.cached_fn("value", 1, |_: &u8| new.clone());
    hit!(memory, hits_index, changed.call(&1), wanted);
}

/// One type as three builds of a program had it.
macro_rules! type_of_build {
    ($build:ident, $($type:tt)*) => {
        mod $build {
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            pub(crate) $($type)*
        }
    };
}

type_of_build!(
    point,
    struct Value {
        pub(crate) x: f64,
        pub(crate) y: f64,
    }
);
type_of_build!(
    swapped,
    struct Value {
        pub(crate) y: f64,
        pub(crate) x: f64,
    }
);
type_of_build!(
    renamed,
    struct Value {
        pub(crate) x: f64,
        pub(crate) height: f64,
    }
);
type_of_build!(
    longer,
    struct Value {
        pub(crate) x: f64,
        pub(crate) y: f64,
        pub(crate) z: Option<u8>,
    }
);
type_of_build!(
    shorter,
    struct Value {
        pub(crate) x: f64,
    }
);
type_of_build!(
    whole,
    struct Value {
        pub(crate) x: u64,
        pub(crate) y: u64,
    }
);
type_of_build!(
    colour,
    enum Value {
        Red,
        Green(u8),
        Blue { depth: u8 },
    }
);
type_of_build!(
    reordered,
    enum Value {
        Green(u8),
        Red,
        Blue { depth: u8 },
    }
);
type_of_build!(
    inserted,
    enum Value {
        White,
        Red,
        Green(u8),
        Blue { depth: u8 },
    }
);

#[test]
fn a_struct_that_changed_is_a_miss() {
    let stored = point::Value { x: 1.0, y: 2.0 };
    is_not_taken_for(stored.clone(), swapped::Value { x: 1.0, y: 2.0 });
    is_not_taken_for(stored.clone(), renamed::Value { x: 1.0, height: 2.0 });
    is_not_taken_for(stored.clone(), longer::Value { x: 1.0, y: 2.0, z: None });
    is_not_taken_for(stored.clone(), shorter::Value { x: 1.0 });
    is_not_taken_for(stored.clone(), whole::Value { x: 1, y: 2 });
    is_not_taken_for(stored.clone(), (1.0, 2.0));
    is_not_taken_for((1.0, 2.0), stored);
}

#[test]
fn a_struct_that_changed_within_another_value_is_a_miss() {
    let (old, new) = (point::Value { x: 1.0, y: 2.0 }, swapped::Value { x: 1.0, y: 2.0 });
    is_not_taken_for(vec![old.clone(); 3], vec![new.clone(); 3]);
    is_not_taken_for(Some(old.clone()), Some(new.clone()));
    is_not_taken_for((0_u8, old), (0_u8, new));
}

/// The entries of a map come back in any order, but each is built alike.
#[test]
fn a_struct_that_changed_within_a_map_is_a_miss() {
    let key = || "a".to_owned();
    let (old, new) = (point::Value { x: 1.0, y: 2.0 }, swapped::Value { x: 1.0, y: 2.0 });
    is_not_taken_for(HashMap::from([(key(), old.clone())]), HashMap::from([(key(), new.clone())]));
    is_not_taken_for(BTreeMap::from([(key(), old)]), BTreeMap::from([(key(), new)]));
}

#[test]
fn an_enum_that_changed_is_a_miss() {
    is_not_taken_for(colour::Value::Red, reordered::Value::Red);
    is_not_taken_for(colour::Value::Green(3), reordered::Value::Green(3));
    is_not_taken_for(colour::Value::Green(3), inserted::Value::Green(3));
    is_not_taken_for(vec![colour::Value::Red; 2], vec![inserted::Value::Red; 2]);
}

/// However far behind the start of the value the first change shows.
#[test]
fn an_enum_that_changed_late_in_a_long_list_is_a_miss() {
    use colour::Value as Old;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Value {
        Red,
        Blue { depth: u8 },
        Green(u8),
    }

    let mut old = vec![Old::Red; 1000];
    old.push(Old::Green(1));
    let mut new = vec![Value::Red; 1000];
    new.push(Value::Green(1));
    is_not_taken_for(old, new);
}

#[test]
fn a_number_that_changed_its_kind_is_a_miss() {
    is_not_taken_for(1_u64, -1_i64);
    is_not_taken_for(1_u32, 1_u64);
    is_not_taken_for(1.0_f64, 1_u64);
    is_not_taken_for("text".to_owned(), vec![1_u8, 2]);
    is_not_taken_for((1_u8, 2_u8), (1_u8,));
    is_not_taken_for(Some(1_u8), 1_u8);
}

/// The same, without a reopening between: the value is still in memory.
#[test]
fn a_type_that_changed_is_a_miss_in_memory_too() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let old = memory.cached_fn("value", 1, |_: &u8| point::Value { x: 1.0, y: 2.0 });
    let new = memory.cached_fn("value", 1, |_: &u8| swapped::Value { x: 1.0, y: 2.0 });
    miss!(memory, NeverSeen, old.call(&1), point::Value { x: 1.0, y: 2.0 });
    miss!(memory, Undecodable, new.call(&1), swapped::Value { x: 1.0, y: 2.0 });
}
