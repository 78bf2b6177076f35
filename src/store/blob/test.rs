use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::entry::{Facts, Origin};
use super::super::{Absent, EntryKey, NewEntry};
use super::header::{Header, Stored, encode, len};
use super::verified::{Stamp, Verified};
use super::*;
use crate::codec::{CodecId, Large};
use crate::digest::Purpose;

const KEY: [u8; 40] = [7; 40];

/// Every way of storing that this build knows.
fn compressions() -> Vec<Compression> {
    vec![
        Compression::Off,
        Compression::Lz4,
        #[cfg(feature = "zstd")]
        Compression::Zstd { level: 3 },
        #[cfg(feature = "zstd")]
        Compression::Zstd { level: -5 },
    ]
}

fn packing() -> impl Iterator<Item = Compression> {
    compressions().into_iter().filter(|compression| *compression != Compression::Off)
}

fn blobs(dir: &Path, compression: Compression) -> Blobs {
    for folder in ["blobs", "temp"] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    Blobs::new(dir.join("blobs"), dir.join("temp"), compression, true)
}

fn origin() -> Origin<'static> {
    Origin { function: "f".into(), fingerprint: None, version: 1, arguments: Vec::new(), call: None }
}

/// Writes a value in the given parts.
fn write(blobs: &Blobs, parts: &[&[u8]], mapped: bool) -> [u8; 32] {
    try_write(blobs, parts, mapped).unwrap()
}

fn try_write(blobs: &Blobs, parts: &[&[u8]], mapped: bool) -> Result<[u8; 32], StoreError> {
    let parts: Vec<Cow<'_, [u8]>> = parts.iter().map(|part| Cow::Borrowed(*part)).collect();
    let origin = origin();
    let entry = NewEntry {
        key: EntryKey::from_bytes(KEY),
        codec: CodecId::Numbers,
        shape: 1,
        compute_nanos: 2,
        origin: &origin,
        parts: &parts,
        mapped,
        costly: parts.len() % 2 == 1,
        created_at_ms: None,
    };
    blobs.write(&entry, &origin.encode(), &Facts::of(&entry, 3))
}

fn read(blobs: &Blobs, name: &[u8; 32]) -> Result<Large, Absent> {
    blobs.read(&EntryKey::from_bytes(KEY), name)
}

#[track_caller]
fn is_read(blobs: &Blobs, name: &[u8; 32], value: &[u8]) {
    let found = read(blobs, name).expect("the blob is whole");
    // Not `assert_eq!`: megabytes are nothing to print.
    assert!(found.as_slice() == value, "{} bytes instead of {}", found.as_slice().len(), value.len());
}

/// Bytes that compress to less than a half, without a period.
fn texture(len: usize) -> Vec<u8> {
    let words = noise(8 * 256 + 32);
    let picks = noise(len.div_ceil(32)).into_iter().map(usize::from);
    picks.flat_map(|pick| words[pick * 8..][..32].iter().copied()).take(len).collect()
}

/// Bytes that do not compress.
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

fn stored_bytes(blobs: &Blobs, name: &[u8; 32]) -> u64 {
    let head = blobs.head(name).unwrap().expect("the blob is whole");
    Header::parse(&head).ok().unwrap().stored_bytes
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn values_come_back_from_any_parts_and_lengths() {
    const MIB: usize = 1 << 20;
    for compression in compressions() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path(), compression);
        for len in [0, 1, 5000, 65_536, 65_537, MIB - 1, MIB, MIB + 1, 3 * MIB + 17] {
            let value = texture(len);
            let (a, b) = value.split_at(len / 3);
            let (b, c) = b.split_at(b.len() / 2);
            let whole = write(&blobs, &[&value], false);
            is_read(&blobs, &whole, &value);
            assert_eq!(write(&blobs, &[a, b"", b, c], false), whole, "{compression:?}: parts are not told apart");
            is_read(&blobs, &whole, &value);
            // Short values may not gain by it.
            if compression != Compression::Off && len > 5000 {
                assert!(stored_bytes(&blobs, &whole) < len as u64 * 9 / 10, "{compression:?}: {len}");
            }
        }
        assert!(files(&dir.path().join("temp")).is_empty());
    }
}

#[test]
fn what_hardly_shrinks_is_stored_as_it_is() {
    // The last: of its places looked at first each shrinks by half, but the whole by next to nothing.
    let mut deceiving = noise(4 << 20);
    let gap = (deceiving.len() - (64 << 10)) / 3 + (16 << 10);
    for place in 0..4 {
        deceiving[place * gap..][..16 << 10].fill(0);
    }
    for value in [noise(5000), noise(65_537), noise(3 << 20), deceiving] {
        for compression in packing() {
            let dir = tempfile::tempdir().unwrap();
            let blobs = blobs(dir.path(), compression);
            let name = write(&blobs, &[&value], false);
            assert_eq!(stored_bytes(&blobs, &name), value.len() as u64, "{compression:?}");
            is_read(&blobs, &name, &value);
            let off = Blobs::new(dir.path().join("blobs"), dir.path().join("temp"), Compression::Off, true);
            assert_eq!(write(&off, &[&value], false), name, "{compression:?}: the very bytes of a plain blob");
        }
    }
}

/// Chunks that do not shrink stand among those that do.
#[test]
fn a_value_that_shrinks_in_places_comes_back() {
    let mut value = vec![3; 3 << 20];
    value[1 << 20..2 << 20].copy_from_slice(&noise(1 << 20));
    for compression in packing() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path(), compression);
        let name = write(&blobs, &[&value], false);
        let stored = stored_bytes(&blobs, &name);
        assert!((1 << 20..3 << 19).contains(&stored), "{compression:?}: {stored}");
        is_read(&blobs, &name, &value);
    }
}

#[cfg(unix)]
mod mapped {
    use super::*;

    /// Blobs that trust a file as soon as it was verified.
    fn trusting(dir: &Path) -> Blobs {
        Blobs { verified: Verified::settled_after(Duration::ZERO), ..blobs(dir, Compression::Lz4) }
    }

    fn name_of(blobs: &Blobs, name: &[u8; 32]) -> Stamp {
        Stamp::of(&fs::metadata(blobs.path(name)).unwrap()).unwrap()
    }

    /// Changes one byte of the value in its file.
    fn alter(blobs: &Blobs, name: &[u8; 32]) {
        let mut content = fs::read(blobs.path(name)).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(blobs.path(name), content).unwrap();
    }

    #[test]
    fn a_value_that_asks_for_it_is_mapped_as_it_is_and_aligned() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = trusting(dir.path());
        for len in [0, 5000, 3 << 20] {
            let value = vec![5; len];
            let name = write(&blobs, &[&value], true);
            assert_eq!(stored_bytes(&blobs, &name), len as u64, "never compressed");
            for _ in 0..2 {
                let Ok(Large::Mapped(found)) = read(&blobs, &name) else { panic!("it is mapped") };
                assert!(*found == *value);
                assert_eq!(found.as_ptr().align_offset(64), 0);
            }
            let reading = Blobs { maps: false, ..trusting(dir.path()) };
            assert!(matches!(read(&reading, &name), Ok(Large::Read(_))), "unless mapping is off");
            is_read(&reading, &name, &value);
        }
    }

    #[test]
    fn a_mapped_value_outlives_its_file_and_its_store() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = trusting(dir.path());
        let value = texture(100_000);
        let name = write(&blobs, &[&value], true);
        let found = read(&blobs, &name).ok().unwrap();
        blobs.remove(&name).unwrap();
        drop(blobs);
        assert!(found.as_slice() == value);
    }

    #[test]
    fn an_altered_file_is_noticed_before_and_after_it_was_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = trusting(dir.path());
        let name = write(&blobs, &[&texture(100_000)], true);
        alter(&blobs, &name);
        assert!(matches!(read(&blobs, &name), Err(Absent::AlteredBlob)));
        alter(&blobs, &name);
        read(&blobs, &name).expect("it is whole again");
        assert!(blobs.verified.knows(&name, &name_of(&blobs, &name)));
        alter(&blobs, &name);
        assert!(matches!(read(&blobs, &name), Err(Absent::AlteredBlob)));
    }

    /// What the speed of a second load rests on.
    #[test]
    fn a_trusted_file_is_not_read_through_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = trusting(dir.path());
        let name = write(&blobs, &[&texture(100_000)], true);
        alter(&blobs, &name);
        blobs.verified.note(&name, name_of(&blobs, &name));
        assert!(matches!(read(&blobs, &name), Ok(Large::Mapped(_))), "only its digest would tell");
        let elsewhere = trusting(dir.path());
        assert!(matches!(read(&elsewhere, &name), Err(Absent::AlteredBlob)));
    }

    #[test]
    fn a_mapped_blob_cut_short_or_made_longer_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = trusting(dir.path());
        let name = write(&blobs, &[&texture(100_000)], true);
        read(&blobs, &name).expect("it is whole");
        let content = fs::read(blobs.path(&name)).unwrap();
        for len in [0, 15, 16, 100, 50_000, content.len() - 1, content.len() + 1] {
            let mut other = content.clone();
            other.resize(len, 0);
            fs::write(blobs.path(&name), other).unwrap();
            assert!(matches!(read(&blobs, &name), Err(Absent::TruncatedBlob)), "{len}");
        }
    }
}

#[test]
fn every_flipped_byte_and_every_cut_is_noticed() {
    for compression in compressions() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = blobs(dir.path(), compression);
        let value = texture(700);
        let name = write(&blobs, &[&value], false);
        let content = fs::read(blobs.path(&name)).unwrap();
        for at in 0..content.len() {
            let mut altered = content.clone();
            altered[at] ^= 0x41;
            fs::write(blobs.path(&name), &altered).unwrap();
            let refused = read(&blobs, &name).err().expect("a miss");
            assert!(
                matches!(refused, Absent::AlteredBlob | Absent::TruncatedBlob),
                "{compression:?} {at}: {refused:?}"
            );
        }
        for cut in 0..content.len() {
            fs::write(blobs.path(&name), &content[..cut]).unwrap();
            assert!(matches!(read(&blobs, &name), Err(Absent::TruncatedBlob)), "{compression:?}, cut at {cut}");
            assert!(blobs.head(&name).unwrap().is_none(), "{compression:?}, cut at {cut}");
        }
        fs::write(blobs.path(&name), &content).unwrap();
        is_read(&blobs, &name, &value);
    }
}

/// Puts a file made by hand in its place: a header that its name and its digest vouch for, whatever it claims.
fn plant(blobs: &Blobs, method: u8, stored: &[u8], value_bytes: u64, stored_bytes: u64) -> [u8; 32] {
    let origin = origin();
    let entry = NewEntry {
        key: EntryKey::from_bytes(KEY),
        codec: CodecId::Numbers,
        shape: 1,
        compute_nanos: 2,
        origin: &origin,
        parts: &[],
        mapped: false,
        costly: false,
        created_at_ms: None,
    };
    let digest = Purpose::StoredValue.digest_of(&[stored]);
    let stored_as = Stored { method: Some(compress::Method::Lz4), bytes: stored_bytes, digest };
    let mut head = encode(&entry, &origin.encode(), &Facts::of(&entry, 3), &stored_as);
    head[10] = method;
    // Behind magic, numbers, length, key and three numbers.
    head[72..80].copy_from_slice(&value_bytes.to_le_bytes());
    assert_eq!(len(&head), Some(head.len()));
    let name = Purpose::BlobHeader.digest_of(&[&head]);
    let path = blobs.path(&name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, [&head, stored].concat()).unwrap();
    name
}

/// A chunk as it stands behind a header.
fn chunk(word: u32, bytes: &[u8]) -> Vec<u8> {
    [&word.to_le_bytes(), bytes].concat()
}

#[test]
fn hostile_lengths_are_refused() {
    const PLAIN: u32 = 1 << 31;
    let dir = tempfile::tempdir().unwrap();
    let blobs = blobs(dir.path(), Compression::Off);
    let zeros = |bytes: usize| {
        let packed = lz4_flex::block::compress(&vec![0; bytes]);
        chunk(packed.len() as u32, &packed)
    };
    let methods: &[u8] = if cfg!(feature = "zstd") { &[1, 2] } else { &[1] };
    for method in methods {
        let claims = [0, 1, 99, 101, 1 << 20, 1 << 21, 1 << 24, 1 << 32, 1 << 40, 1 << 60, u64::MAX];
        let plain = chunk(100 | PLAIN, &[9; 100]);
        for claim in claims {
            let name = plant(&blobs, *method, &plain, claim, plain.len() as u64);
            assert!(matches!(read(&blobs, &name), Err(Absent::AlteredBlob)), "{method}: {claim}");
        }
        let right = plant(&blobs, *method, &plain, 100, plain.len() as u64);
        is_read(&blobs, &right, &[9; 100]);
        // The file is not so long.
        for claim in [0, 103, 105, 1 << 60, u64::MAX] {
            let name = plant(&blobs, *method, &plain, 100, claim);
            assert!(matches!(read(&blobs, &name), Err(Absent::TruncatedBlob)), "{method}: {claim}");
            assert!(blobs.head(&name).unwrap().is_none(), "{method}: {claim}");
        }
        // Chunks that say they are longer than what is there, or hold nothing, or garbage.
        for stored in [
            chunk(u32::MAX, &[9; 100]),
            chunk(PLAIN - 1, &[9; 100]),
            chunk(101, &[9; 100]),
            chunk(0, b""),
            chunk(PLAIN, b""),
            chunk(50, &noise(50)),
            vec![1, 0, 0],
            [plain.clone(), plain.clone()].concat(),
            [plain.clone(), vec![0]].concat(),
            [zeros(50), zeros(50)].concat(),
            Vec::new(),
        ] {
            let name = plant(&blobs, *method, &stored, 100, stored.len() as u64);
            assert!(matches!(read(&blobs, &name), Err(Absent::AlteredBlob)), "{method}: {stored:?}");
        }
    }
    // So many empty chunks as the claim has, which is too much for what is stored.
    let stored = chunk(PLAIN, b"").repeat(1 << 14);
    let name = plant(&blobs, 1, &stored, 1 << 34, stored.len() as u64);
    assert!(matches!(read(&blobs, &name), Err(Absent::AlteredBlob)));
    // Whole but for the length of the value.
    for (claim, is_right) in [(1 << 20, true), ((1 << 20) - 1, false)] {
        let stored = zeros(1 << 20);
        let name = plant(&blobs, 1, &stored, claim, stored.len() as u64);
        assert_eq!(read(&blobs, &name).is_ok(), is_right);
    }
}

#[test]
fn an_unknown_compression_is_a_newer_release_and_not_damage() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = blobs(dir.path(), Compression::Off);
    let unknown: &[u8] = if cfg!(feature = "zstd") { &[3, 77, 255] } else { &[2, 3, 77, 255] };
    for method in unknown {
        let name = plant(&blobs, *method, b"what?", 100, 5);
        assert!(matches!(read(&blobs, &name), Err(Absent::NewerRecord)), "{method}");
        assert!(blobs.head(&name).unwrap_err().to_string().contains("this build lacks"), "{method}");
        // Altered, it is damage like any other.
        let mut content = fs::read(blobs.path(&name)).unwrap();
        content[20] ^= 1;
        fs::write(blobs.path(&name), content).unwrap();
        assert!(matches!(read(&blobs, &name), Err(Absent::AlteredBlob)), "{method}");
        assert!(blobs.head(&name).unwrap().is_none(), "{method}");
    }
}

#[test]
fn more_bytes_than_memory_are_an_error_and_not_the_end_of_the_program() {
    for bytes in [1 << 60, isize::MAX as usize, usize::MAX] {
        assert_eq!(read::room(bytes).err().map(|error| error.kind()), Some(io::ErrorKind::OutOfMemory), "{bytes}");
    }
    assert_eq!(read::room(9).unwrap().as_slice(), [0; 9]);
}

#[test]
fn folders_that_went_away_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = blobs(dir.path(), Compression::Off);
    let value = texture(5000);
    for gone in [None, Some("blobs"), Some("temp")] {
        let first = write(&blobs, &[&value], false);
        fs::remove_dir_all(gone.map_or(blobs.path(&first).parent().unwrap().to_owned(), |gone| dir.path().join(gone)))
            .unwrap();
        let name = write(&blobs, &[&value], false);
        is_read(&blobs, &name, &value);
    }
}

#[test]
fn a_cache_that_went_away_is_an_error_and_stays_away() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let blobs = blobs(&cache, Compression::Off);
    let name = write(&blobs, &[&texture(5000)], false);
    fs::remove_dir_all(&cache).unwrap();
    let refused = try_write(&blobs, &[&texture(5000)], false).unwrap_err();
    assert!(refused.to_string().contains(&cache.display().to_string()), "{refused}");
    assert!(matches!(read(&blobs, &name), Err(Absent::MissingBlob)));
    assert!(!cache.exists());
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = blobs(dir.path(), Compression::Off);
    let name = write(&blobs, &[&texture(5000)], false);
    // A file in the place of its folder: the last step of writing the same value fails.
    let folder = blobs.path(&name).parent().unwrap().to_owned();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    let refused = try_write(&blobs, &[&texture(5000)], false).unwrap_err();
    assert!(refused.to_string().starts_with("writing a blob into"), "{refused}");
    assert_eq!(files(dir.path()), [folder]);
}
