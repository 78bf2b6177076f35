//! A memory's hits and misses, each beside its floor in the same group. docs/benchmarks.md reads the figures.

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::RwLock;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use larder::{Compression, Memory};

#[larder::task]
fn add(a: u64, b: u64) -> u64 {
    a.wrapping_add(b)
}

#[larder::task]
fn length(values: &[f64]) -> u64 {
    values.len() as u64
}

fn memory() -> (tempfile::TempDir, Memory) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let memory = Memory::open(dir.path().join("cache")).expect("a fresh cache");
    (dir, memory)
}

fn raw_sled() -> (tempfile::TempDir, sled::Db) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = sled::Config::new()
        .path(dir.path())
        .mode(sled::Mode::HighThroughput)
        .cache_capacity(128 << 20)
        .flush_every_ms(Some(200))
        .open()
        .expect("a fresh database");
    (dir, db)
}

fn bytes(a: u64, b: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a.to_le_bytes());
    bytes[8..].copy_from_slice(&b.to_le_bytes());
    bytes
}

/// A call whose value is in memory, beside hashing the arguments and looking them up in a map.
fn hot_hit(c: &mut Criterion) {
    let mut group = c.benchmark_group("hot_hit");
    let (_dir, memory) = memory();
    let cached = memory.cached::<add>();
    cached.call((1, 2));
    group.bench_function("larder", |b| b.iter(|| cached.call((black_box(1), black_box(2)))));

    let map = RwLock::new(HashMap::from([(blake3::hash(&bytes(1, 2)), 3_u64)]));
    group.bench_function("floor: blake3 + map", |b| {
        b.iter(|| {
            let key = blake3::hash(&bytes(black_box(1), black_box(2)));
            map.read().expect("not poisoned").get(&key).copied()
        });
    });
    let twice = memory.cached_fn("closure", 1, |(a, b): &(u64, u64)| a.wrapping_add(*b));
    twice.call(&(1, 2));
    group.bench_function("larder, closure", |b| b.iter(|| twice.call(&(black_box(1), black_box(2)))));
    group.finish();
}

const ENTRIES: u64 = 100_000;

/// A call whose value is in the index but not in memory, beside a get of as many bytes from sled.
fn index_hit(c: &mut Criterion) {
    let mut group = c.benchmark_group("index_hit");
    let dir = tempfile::tempdir().expect("a temporary directory");
    // No memory tier: each call goes to the index.
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path().join("cache")).expect("a fresh cache");
    let cached = memory.cached::<add>();
    for i in 0..ENTRIES {
        cached.call((i, 1));
    }
    let mut i = 0_u64;
    group.bench_function("larder", |b| {
        b.iter(|| {
            i = (i + 7919) % ENTRIES;
            cached.call((black_box(i), 1))
        });
    });
    assert_eq!(memory.stats().misses(), ENTRIES, "the bench measured hits only");

    let (_raw, db) = raw_sled();
    for i in 0..ENTRIES {
        db.insert(blake3::hash(&bytes(i, 1)).as_bytes(), &[7_u8; 200][..]).expect("room");
    }
    group.bench_function("floor: raw sled get", |b| {
        b.iter(|| {
            i = (i + 7919) % ENTRIES;
            db.get(blake3::hash(&bytes(black_box(i), 1)).as_bytes()).expect("readable")
        });
    });
    group.finish();
}

/// A call that computes a trivial result and stores it, beside an insert of as many bytes into sled.
fn miss(c: &mut Criterion) {
    let mut group = c.benchmark_group("miss");
    let (_dir, memory) = memory();
    let cached = memory.cached::<add>();
    let mut i = 0_u64;
    group.bench_function("larder", |b| {
        b.iter(|| {
            i += 1;
            cached.call((black_box(i), 1))
        });
    });
    assert_eq!(memory.stats().hits(), 0, "the bench measured misses only");

    let (_raw, db) = raw_sled();
    group.bench_function("floor: raw sled insert", |b| {
        b.iter(|| {
            i += 1;
            db.insert(blake3::hash(&bytes(black_box(i), 1)).as_bytes(), &[7_u8; 200][..]).expect("room")
        });
    });
    group.finish();
}

/// The key of a call with an 80 MB array, beside blake3 over the same bytes on one thread.
fn large_key(c: &mut Criterion) {
    let mut group = c.benchmark_group("key_80_MB");
    group.sample_size(20);
    let values: Vec<f64> = (0..10_000_000).map(f64::from).collect();
    group.throughput(Throughput::Bytes(80_000_000));
    let (_dir, memory) = memory();
    let cached = memory.cached::<length>();
    cached.call((&values,));
    group.bench_function("larder", |b| b.iter(|| cached.call((black_box(&values),))));
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    group.bench_function("floor: blake3, one thread", |b| b.iter(|| blake3::hash(black_box(&raw))));
    group.finish();
}

const LARGE: u32 = 10_000_000;
const LARGE_BYTES: usize = 80_000_000;

fn ramp(n: &u32) -> Vec<f64> {
    (0..*n).map(f64::from).collect()
}

/// An 80 MB result from its blob, beside reading a file of that size into fresh memory.
fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("load_80_MB");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(LARGE_BYTES as u64));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("floor");
    std::fs::write(&file, vec![1_u8; LARGE_BYTES]).expect("room");
    for (name, compression) in [("larder", Compression::Off), ("larder, LZ4", Compression::Lz4)] {
        let memory = Memory::builder().compress(compression).open(dir.path().join(name)).expect("a fresh cache");
        let cached = memory.cached_fn("ramp", 1, ramp);
        cached.call(&LARGE);
        // Whoever gets a large value drops it when it likes: not timed, on either side.
        group.bench_function(name, |b| {
            b.iter_batched(|| (), |()| cached.call(&LARGE), BatchSize::PerIteration);
        });
        assert_eq!(memory.stats().misses(), 1, "the bench measured hits only");
        if compression == Compression::Off {
            group.bench_function("floor: read a file", |b| {
                b.iter_batched(|| (), |()| std::fs::read(&file).expect("readable"), BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

/// An 80 MB result of vectors within a struct, beside reading a file of that size into fresh memory.
fn nested_blob(c: &mut Criterion) {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Series {
        name: String,
        columns: Vec<Vec<f64>>,
    }
    let mut group = c.benchmark_group("nested_80_MB");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(80_000_000));
    let (dir, memory) = memory();
    let column = |n: u32| (0..n).map(f64::from).collect::<Vec<f64>>();
    let series = memory.cached_fn("series", 1, |n: &u32| Series {
        name: "ten columns".to_owned(),
        columns: (0..10).map(|_| column(*n)).collect(),
    });
    series.call(&1_000_000);
    group.bench_function("larder: load", |b| b.iter(|| series.call(&1_000_000)));
    assert_eq!(memory.stats().misses(), 1, "the bench measured hits only");
    let file = dir.path().join("floor");
    std::fs::write(&file, vec![1_u8; 80_000_000]).expect("room");
    group.bench_function("floor: read a file", |b| {
        b.iter_batched(|| (), |()| std::fs::read(&file).expect("readable"), BatchSize::PerIteration);
    });
    group.finish();
}

/// Storing an 80 MB result that was costly, so that it is on the disk after the call, beside writing and syncing a file.
fn store(c: &mut Criterion) {
    let mut group = c.benchmark_group("store_80_MB");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(LARGE_BYTES as u64));
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, compression) in [("larder", Compression::Off), ("larder, LZ4", Compression::Lz4)] {
        let memory = Memory::builder().compress(compression).open(dir.path().join(name)).expect("a fresh cache");
        let cached = memory.cached_fn("ramp", 1, |n: &u32| {
            let start = Instant::now();
            let values = ramp(n);
            // Never cheap, however quick the machine is.
            while start.elapsed() < Duration::from_millis(11) {
                std::hint::spin_loop();
            }
            values
        });
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut took = Duration::ZERO;
                for _ in 0..rounds {
                    let computing = memory.stats().time_computing;
                    let start = Instant::now();
                    let values = cached.call(black_box(&LARGE));
                    took += start.elapsed() - (memory.stats().time_computing - computing);
                    drop(values);
                    cached.clear().expect("the store removes it");
                }
                took
            });
        });
        assert_eq!(memory.stats().stores, memory.stats().misses(), "the bench measured stores only");
        if compression == Compression::Off {
            let values = ramp(&LARGE);
            let bytes: &[u8] = bytemuck::cast_slice(&values);
            let file = dir.path().join("floor");
            group.bench_function("floor: write and sync a file", |b| {
                b.iter_custom(|rounds| {
                    let mut took = Duration::ZERO;
                    for _ in 0..rounds {
                        let start = Instant::now();
                        let mut written = File::create(&file).expect("room");
                        written.write_all(black_box(bytes)).expect("room");
                        written.sync_data().expect("room");
                        took += start.elapsed();
                        std::fs::remove_file(&file).expect("it is ours");
                    }
                    took
                });
            });
        }
    }
    group.finish();
}

const PEAK: &str = "LARDER_BENCH_PEAK";

/// The most memory that a program held which stored, or loaded, an array of 1 GB, beside the array: Linux says it of a
/// process, so each is one of its own.
fn peak_memory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for what in ["store", "load"] {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program).env(PEAK, dir.path().join("cache")).output().expect("it starts");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        let peak: f64 = String::from_utf8_lossy(&child.stdout).trim().parse().expect("a number of bytes");
        println!("peak_memory_1_GB/{what}: {:.3} GB, {:.3} of the array", peak / 1e9, peak / 1e9);
    }
}

/// What [`peak_memory`] starts.
fn peak_of_one(cache: &Path) {
    let memory = Memory::open(cache).expect("a cache");
    let values = memory.cached_fn("ramp", 1, ramp).call(&125_000_000);
    assert_eq!(values.len(), 125_000_000);
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    println!("{}", kib * 1024);
}

criterion_group!(benches, hot_hit, index_hit, miss, large_key, load, nested_blob, store);

fn main() {
    if let Some(cache) = std::env::var_os(PEAK) {
        return peak_of_one(Path::new(&cache));
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    // As criterion does, with the one word that chooses among the benches.
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
    let is_bench = std::env::args().any(|word| word == "--bench");
    if cfg!(target_os = "linux") && is_bench && words.next().is_none_or(|word| "peak_memory_1_GB".contains(&word)) {
        peak_memory();
    }
}
