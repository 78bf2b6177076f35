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
use larder::{Bulk, Compression, Memory};

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

/// A call whose value is in the index but not in memory, beside a get of as many bytes from sled: first looks at each
/// entry after both were opened anew, and looks at what was looked at before.
fn index_hit(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // No memory tier: each call goes to the index.
    let open = || Memory::builder().memory_tier_bytes(0).open(dir.path().join("cache")).expect("the cache");
    let fill = |memory: &Memory| {
        let cached = memory.cached::<add>();
        for i in 0..ENTRIES {
            cached.call((i, 1));
        }
    };
    fill(&open());
    let raw = tempfile::tempdir().expect("a temporary directory");
    fill_raw(&open_raw(raw.path()), ENTRIES);

    let mut group = c.benchmark_group("index_hit_after_restart");
    group.bench_function("larder", |b| {
        b.iter_custom(|rounds| {
            first_looks(rounds, || open().cached::<add>(), |cached, i| cached.call((black_box(i), 1)))
        });
    });
    group.bench_function("floor: raw sled get", |b| {
        b.iter_custom(|rounds| first_looks(rounds, || open_raw(raw.path()), raw_get));
    });
    group.finish();

    let mut group = c.benchmark_group("index_hit");
    let memory = open();
    let cached = memory.cached::<add>();
    let mut i = 0_u64;
    group.bench_function("larder", |b| {
        b.iter(|| {
            i = (i + STRIDE) % ENTRIES;
            cached.call((black_box(i), 1))
        });
    });
    assert_eq!(memory.stats().misses(), 0, "the bench measured hits only");
    let db = open_raw(raw.path());
    group.bench_function("floor: raw sled get", |b| {
        b.iter(|| {
            i = (i + STRIDE) % ENTRIES;
            raw_get(&db, i)
        });
    });
    group.finish();
}

/// A step that visits every entry, far from the one before.
const STRIDE: u64 = 7919;

/// Opens anew, untimed, whenever every entry was looked at; answers the time of the looks.
fn first_looks<S, R>(rounds: u64, open: impl Fn() -> S, look: impl Fn(&S, u64) -> R) -> Duration {
    let (mut took, mut left, mut i) = (Duration::ZERO, rounds, 0);
    while left > 0 {
        let store = open();
        let now = left.min(ENTRIES);
        let start = Instant::now();
        for _ in 0..now {
            i = (i + STRIDE) % ENTRIES;
            black_box(look(&store, i));
        }
        took += start.elapsed();
        left -= now;
    }
    took
}

fn open_raw(path: &Path) -> sled::Db {
    let config = sled::Config::new().path(path).mode(sled::Mode::HighThroughput).cache_capacity(128 << 20);
    config.flush_every_ms(Some(200)).open().expect("a database")
}

fn raw_insert(db: &sled::Db, i: u64) -> Option<sled::IVec> {
    db.insert(blake3::hash(&bytes(i, 1)).as_bytes(), &[7_u8; 200][..]).expect("room")
}

fn raw_get(db: &sled::Db, i: u64) -> Option<sled::IVec> {
    db.get(blake3::hash(&bytes(black_box(i), 1)).as_bytes()).expect("readable")
}

fn fill_raw(db: &sled::Db, entries: u64) {
    each(entries, |i| raw_insert(db, i));
}

fn each<R>(count: u64, work: impl Fn(u64) -> R) {
    for i in 0..count {
        black_box(work(i));
    }
}

/// All of it at a million entries, once, beside sled: storing, opening, hits after that.
fn a_million() {
    const MANY: u64 = 1_000_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = || Memory::builder().memory_tier_bytes(0).open(dir.path().join("cache")).expect("the cache");
    let raw = tempfile::tempdir().expect("a temporary directory");
    let say = |what: &str, larder: Duration, floor: Duration, count: u64| {
        let ratio = larder.as_secs_f64() / floor.as_secs_f64();
        let of_one = |took: Duration| Duration::from_secs_f64(took.as_secs_f64() / count as f64);
        println!("a_million_entries/{what}: larder {:?}, sled {:?}, ratio {ratio:.2}", of_one(larder), of_one(floor));
    };
    let timed = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    {
        let (memory, db) = (open(), open_raw(raw.path()));
        let cached = memory.cached::<add>();
        let stores = timed(&mut || each(MANY, |i| cached.call((i, 1))));
        say("miss", stores, timed(&mut || fill_raw(&db, MANY)), MANY);
    }
    let (mut memory, mut db) = (None, None);
    let opened = timed(&mut || memory = Some(open()));
    say("open", opened, timed(&mut || db = Some(open_raw(raw.path()))), 1);
    let (memory, db) = (memory.expect("it was opened"), db.expect("it was opened"));
    let cached = memory.cached::<add>();
    let looks = 200_000;
    let hits = timed(&mut || each(looks, |i| cached.call((i * STRIDE % MANY, 1))));
    let gets = timed(&mut || each(looks, |i| raw_get(&db, i * STRIDE % MANY)));
    say("index hit", hits, gets, looks);
    assert_eq!(memory.stats().misses(), 0, "the bench measured hits only");
}

const OWNER: &str = "LARDER_BENCH_OWNER";
const ECHO: &str = "LARDER_BENCH_ECHO";

/// A hit in a program that another one serves, beside a message and its answer between two processes.
#[cfg(unix)]
fn guest_hit(c: &mut Criterion) {
    use std::io::Read;
    let mut group = c.benchmark_group("hit_from_a_second_process");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let place = dir.path().join("cache");
    let start = |role: &str, path: &Path| {
        let program = std::env::current_exe().expect("this program");
        let piped = std::process::Stdio::piped;
        let mut child =
            Command::new(program).env(role, path).stdin(piped()).stdout(piped()).spawn().expect("it starts");
        child.stdout.as_mut().expect("a pipe").read_exact(&mut [0]).expect("it says when it is ready");
        child
    };
    let mut owner = start(OWNER, &place);
    let memory = Memory::builder().memory_tier_bytes(0).open(&place).expect("the cache");
    let cached = memory.cached::<add>();
    let mut i = 0_u64;
    group.bench_function("larder", |b| {
        b.iter(|| {
            i = (i + STRIDE) % ENTRIES;
            cached.call((black_box(i), 1))
        });
    });
    assert_eq!(memory.stats().misses(), 0, "the bench measured hits only");
    owner.kill().and_then(|()| owner.wait()).expect("it is a child");

    let socket = dir.path().join("socket");
    let mut echo = start(ECHO, &socket);
    let mut stream = std::os::unix::net::UnixStream::connect(&socket).expect("it listens");
    group.bench_function("floor: a message there and back", |b| {
        b.iter(|| {
            stream.write_all(black_box(&[1; 60])).expect("it listens");
            stream.read_exact(&mut [0; 200]).expect("it answers");
        });
    });
    drop(stream);
    echo.wait().expect("it is a child");
    group.finish();
}

#[cfg(not(unix))]
fn guest_hit(_: &mut Criterion) {}

/// What [`guest_hit`] starts: owns a cache until it is killed.
fn own(place: &Path) {
    let memory = Memory::open(place).expect("a cache");
    let cached = memory.cached::<add>();
    for i in 0..ENTRIES {
        cached.call((i, 1));
    }
    print!("!");
    std::io::stdout().flush().expect("a pipe");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("a pipe");
}

/// What [`guest_hit`] starts for its floor: answers messages until there are no more.
#[cfg(unix)]
fn answer(socket: &Path) {
    use std::io::Read;
    let listener = std::os::unix::net::UnixListener::bind(socket).expect("a socket");
    print!("!");
    std::io::stdout().flush().expect("a pipe");
    let (mut stream, _) = listener.accept().expect("a caller");
    while stream.read_exact(&mut [0; 60]).is_ok() {
        stream.write_all(&[2; 200]).expect("it listens");
    }
}

#[cfg(not(unix))]
fn answer(_: &Path) {}

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

    let raw = tempfile::tempdir().expect("a temporary directory");
    let db = open_raw(raw.path());
    group.bench_function("floor: raw sled insert", |b| {
        b.iter(|| {
            i += 1;
            raw_insert(&db, black_box(i))
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

/// A mapped 80 MB result whose digest was checked in this process before, beside mapping the file.
fn mapped(c: &mut Criterion) {
    let mut group = c.benchmark_group("mapped_80_MB");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = || Memory::builder().memory_tier_bytes(0).open(dir.path().join("cache")).expect("the cache");
    let bulk = |memory: &Memory| memory.cached_fn("ramp", 1, |n: &u32| Bulk::from(ramp(n))).call(black_box(&LARGE));
    drop(bulk(&open()));
    let memory = open();
    assert!(bulk(&memory).is_mapped());
    group.bench_function("larder", |b| b.iter(|| bulk(&memory)));
    assert_eq!(memory.stats().misses(), 0, "the bench measured hits only");
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

criterion_group!(benches, hot_hit, index_hit, guest_hit, miss, large_key, load, mapped, nested_blob, store);

fn main() {
    let asked = |role| std::env::var_os(role).map(std::path::PathBuf::from);
    if let Some(path) = asked(PEAK) {
        return peak_of_one(&path);
    }
    if let Some(path) = asked(OWNER) {
        return own(&path);
    }
    if let Some(path) = asked(ECHO) {
        return answer(&path);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    // As criterion does, with the one word that chooses among the benches.
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let is_bench = std::env::args().any(|word| word == "--bench");
    let runs = |name: &str| is_bench && wanted.as_ref().is_none_or(|word| name.contains(word));
    if cfg!(target_os = "linux") && runs("peak_memory_1_GB") {
        peak_memory();
    }
    if runs("a_million_entries") {
        a_million();
    }
}
