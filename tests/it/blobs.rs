//! Large results in their files: compressed or not, whole or not there at all.

use std::fs;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::Command;

use larder::{Compression, Memory, MissReason, NotStoredReason};

use crate::support::{NO_FILES, files_in, hit, image, miss, telling};

fn compressions() -> Vec<Compression> {
    vec![
        Compression::Off,
        Compression::Lz4,
        #[cfg(feature = "zstd")]
        Compression::Zstd { level: 3 },
    ]
}

/// Each load goes to the file.
fn open(dir: &Path, compression: Compression) -> Memory {
    Memory::builder().memory_tier_bytes(0).compress(compression).open(dir).expect("the cache opens")
}

/// Three megabytes and a bit, half of them zeros.
fn numbers(memory: &Memory) -> Vec<u64> {
    memory.cached_fn("numbers", 1, |n: &u64| (0..*n).collect::<Vec<_>>()).call(&400_000)
}

/// Some 6 KB that are no numbers, and not all alike.
fn words(memory: &Memory) -> Vec<String> {
    memory
        .cached_fn("words", 1, |n: &u64| (0..*n).map(|i| format!("the word {}", i * i)).collect::<Vec<_>>())
        .call(&400)
}

/// Some 5 KB in a file of some 400 bytes, where it is compressed.
fn refrain(memory: &Memory) -> Vec<String> {
    memory
        .cached_fn("refrain", 1, |n: &u64| (0..*n).map(|i| format!("the word {}", i % 7)).collect::<Vec<_>>())
        .call(&500)
}

/// The bytes in all blobs of a cache.
fn bytes_on_disk(dir: &Path) -> usize {
    image(&dir.join("blobs")).values().map(Vec::len).sum()
}

#[test]
fn compressed_results_come_back_and_are_smaller_on_disk() {
    let expected: Vec<u64> = (0..400_000).collect();
    let mut sizes = Vec::new();
    for compression in compressions() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path(), compression);
        miss!(memory, NeverSeen, numbers(&memory), expected);
        let said = words(&memory);
        hit!(memory, hits_blob, numbers(&memory), expected);
        hit!(memory, hits_blob, words(&memory), said);
        sizes.push(bytes_on_disk(dir.path()));
        drop(memory);
        // Whatever the next program is set to.
        for other in compressions() {
            let memory = open(dir.path(), other);
            hit!(memory, hits_blob, numbers(&memory), expected);
            hit!(memory, hits_blob, words(&memory), said);
        }
    }
    assert!(sizes[0] > 3_200_000, "{sizes:?}");
    assert!(sizes[1..].iter().all(|size| *size < sizes[0] * 2 / 3), "{sizes:?}");
}

#[test]
fn results_that_hardly_shrink_are_stored_as_they_are() {
    let noise = |memory: &Memory| {
        let step = |state: &u64| Some(state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f));
        let hash = |state: u64| state ^ state.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = |n: &usize| std::iter::successors(Some(1), step).map(hash).take(*n).collect::<Vec<u64>>();
        memory.cached_fn("noise", 1, noise).call(&200_000)
    };
    for compression in compressions() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path(), compression);
        let value = noise(&memory);
        hit!(memory, hits_blob, noise(&memory), value);
        let size = bytes_on_disk(dir.path());
        assert!((1_600_000..1_601_000).contains(&size), "{compression:?}: {size}");
        assert_eq!(files_in(dir.path(), "temp"), NO_FILES);
    }
}

#[test]
fn every_altered_byte_of_a_compressed_blob_is_noticed_and_repaired() {
    // Plain ones are altered in `damage`.
    for compression in compressions().into_iter().filter(|compression| *compression != Compression::Off) {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path(), compression);
        let expected = refrain(&memory);
        let mut positions = 0;
        for at in 0.. {
            // Each repair writes a blob of another name, since it holds the time.
            let blob = files_in(dir.path(), "blobs").remove(0);
            let mut content = fs::read(&blob).unwrap();
            let Some(byte) = content.get_mut(at) else { break };
            *byte ^= if at % 2 == 0 { 0x01 } else { 0x80 };
            fs::write(&blob, content).unwrap();
            let before = memory.stats();
            assert_eq!(refrain(&memory), expected, "{compression:?}: byte {at}");
            let after = memory.stats();
            assert_eq!((after.misses() - before.misses(), after.stores - before.stores), (1, 1), "byte {at}");
            assert_eq!(files_in(dir.path(), "blobs").len(), 1, "byte {at}");
            positions += 1;
        }
        let stats = memory.stats();
        let noticed = [MissReason::AlteredBlob, MissReason::TruncatedBlob].map(|reason| stats.misses_for(reason));
        assert_eq!(noticed[0] + noticed[1], positions, "{compression:?}: {stats:?}");
        assert!(noticed[1] < 16, "only the header's own length looks like a cut: {stats:?}");
        hit!(memory, hits_blob, refrain(&memory), expected);
    }
}

#[test]
fn an_index_is_made_anew_from_compressed_blobs() {
    for compression in compressions() {
        let dir = tempfile::tempdir().unwrap();
        let (all, said) = {
            let memory = open(dir.path(), compression);
            (numbers(&memory), words(&memory))
        };
        fs::remove_dir_all(dir.path().join("index")).unwrap();
        // Damaged ones stand for nothing, and are removed.
        let blob = files_in(dir.path(), "blobs").into_iter().find(|file| fs::metadata(file).unwrap().len() < 100_000);
        let blob = blob.expect("one of them is small");
        let content = fs::read(&blob).unwrap();
        fs::write(&blob, &content[..content.len() - 1]).unwrap();
        let memory = open(dir.path(), Compression::Off);
        assert!(!blob.exists());
        hit!(memory, hits_blob, numbers(&memory), all);
        miss!(memory, NeverSeen, words(&memory), said);
    }
}

#[cfg(feature = "zstd")]
#[test]
fn a_level_that_zstd_does_not_have_is_an_error_with_the_range() {
    let dir = tempfile::tempdir().unwrap();
    for level in [23, 1000, i32::MAX, i32::MIN] {
        let refused = Memory::builder().compress(Compression::Zstd { level }).open(dir.path()).unwrap_err();
        assert!(refused.is_invalid_option());
        assert_eq!(
            refused.to_string(),
            format!("`compress` is Zstandard of level {level}: give a level from -131072 to 22")
        );
    }
    for level in [22, 0, -131_072] {
        let memory = open(dir.path(), Compression::Zstd { level });
        memory.clear().unwrap();
        let value = words(&memory);
        hit!(memory, hits_blob, words(&memory), value);
    }
}

#[test]
fn the_first_opening_of_a_directory_decides() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), Compression::Lz4);
    let second = open(dir.path(), Compression::Off);
    numbers(&second);
    assert!(bytes_on_disk(dir.path()) < 2_400_000);
    drop(first);
}

#[test]
fn a_cache_removed_under_a_running_program_is_made_anew_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let (builder, lines) = telling(0);
    let memory = builder.memory_tier_bytes(0).open(&cache).unwrap();
    let expected = words(&memory);
    fs::remove_dir_all(&cache).unwrap();
    miss!(memory, MissingBlob, words(&memory), expected);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 0);
    hit!(memory, hits_blob, words(&memory), expected);
    drop(memory);
    assert!(cache.join("larder-format").exists(), "not the blobs alone");
    let memory = open(&cache, Compression::Off);
    hit!(memory, hits_blob, words(&memory), expected);
    assert_eq!(lines.all(), [""; 0]);
}

/// A limit of the system on the size of a file stands for a full disk: a write fails on the way.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_part_of_a_blob() {
    const DIR: &str = "LARDER_TEST_FULL_DISK";
    const NAME: &str = "blobs::a_full_disk_leaves_no_part_of_a_blob";
    if let Some(dir) = std::env::var_os(DIR) {
        let dir = Path::new(&dir);
        for compression in compressions() {
            let dir = dir.join(format!("{compression:?}").replace(' ', ""));
            let memory = open(&dir, compression);
            let large = memory.cached_fn("large", 1, |n: &u64| {
                (0..*n).map(|i| i.wrapping_mul(i).wrapping_mul(i)).collect::<Vec<_>>()
            });
            assert_eq!(large.call(&4_000_000)[1000], 1_000_000_000);
            assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 1, "{compression:?}");
            assert_eq!(files_in(&dir, "blobs"), NO_FILES);
            assert_eq!(files_in(&dir, "temp"), NO_FILES);
            // The next one fits.
            let value = words(&memory);
            hit!(memory, hits_blob, words(&memory), value);
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // 8 MiB in the shell's units of 512 bytes (1024 in some); a write beyond is then an error instead of a signal.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), compressions().len(), "the child went through all: {said}");
}
