//! A cache that keeps to a cap, beside one that does not. docs/benchmarks.md reads the figures.
//!
//! 10 GB of results go through a cache of 100 MB, in rounds that alternate with as many stores without a cap, so that both meet
//! the same machine. `LARDER_BENCH_ROUNDS` sets how many; the 10 GB take 40.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use larder::store::{DiskStore, Store};
use larder::{Memory, MemoryBuilder};

const CAP: u64 = 100 << 20;
/// A megabyte, as random as compression and file systems may ask.
const VALUE_BYTES: u64 = 1 << 20;
/// Stores in a round: 256 MB.
const ROUND: u64 = 256;
/// One result in so many takes long.
const COSTLY_EACH: u64 = 64;

/// One result is worth a thousand of the others.
fn megabyte(x: u64) -> Vec<u64> {
    if x.is_multiple_of(COSTLY_EACH) {
        busy(Duration::from_millis(20));
    }
    let mut state = x.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..VALUE_BYTES / 8).map(next).collect()
}

fn busy(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn open(dir: &Path, limits: impl FnOnce(MemoryBuilder) -> MemoryBuilder) -> Memory {
    limits(Memory::builder().memory_tier_bytes(0)).open(dir).expect("a cache")
}

/// What each store took, beside what it took to compute.
fn stores(memory: &Memory, from: u64, count: u64, mut after_each: impl FnMut()) -> Vec<Duration> {
    let cached = memory.cached_fn("megabyte", 1, |x: &u64| megabyte(*x));
    (from..from + count)
        .map(|x| {
            let before = memory.stats().time_computing;
            let start = Instant::now();
            drop(cached.call(&x));
            let took = start.elapsed();
            after_each();
            took.saturating_sub(memory.stats().time_computing - before)
        })
        .collect()
}

fn blob_bytes(dir: &Path) -> u64 {
    let folders = fs::read_dir(dir.join("blobs")).expect("the folder of blobs").flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    files.map(|file| file.metadata().map_or(0, |file| file.len())).sum()
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn large() {
    let rounds = std::env::var("LARDER_BENCH_ROUNDS").map_or(40, |rounds| rounds.parse().expect("a number of rounds"));
    let (capped_dir, free_dir) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let capped = open(capped_dir.path(), |builder| builder.max_bytes(CAP));
    let free = open(free_dir.path(), |builder| builder);
    let mut most = 0;
    let mut times: [Vec<Duration>; 2] = Default::default();
    // Full before anything is measured.
    stores(&capped, 1 << 40, CAP / VALUE_BYTES + 10, || {});
    for round in 0..rounds {
        times[0].extend(stores(&capped, round * ROUND, ROUND, || most = most.max(blob_bytes(capped_dir.path()))));
        times[1].extend(stores(&free, round * ROUND, ROUND, || {}));
        free.clear().expect("a cache that can be cleared");
    }
    let gigabytes = (rounds * ROUND * VALUE_BYTES) as f64 / 1e9;
    let [with, without] = times.map(|times| (mean(&times) * 1e6, median(times) * 1e6));
    println!("{gigabytes:.1} GB in values of 1 MiB through a cache of 100 MiB:");
    println!("  most at any time: {:.2} MiB", most as f64 / VALUE_BYTES as f64);
    println!("  a store with a cap, mean and median:    {:8.0} us {:8.0} us", with.0, with.1);
    println!("  a store without one:                    {:8.0} us {:8.0} us", without.0, without.1);
    println!("  ratio:                                  {:8.2}    {:8.2}", with.0 / without.0, with.1 / without.1);
    drop(capped);
    let store = DiskStore::open(capped_dir.path()).expect("a cache");
    let totals = store.functions(None).expect("totals");
    let (mut entries, mut bytes, mut costly, mut after) = (0, 0, 0, None);
    while let Some(last) = {
        let page = store.page(None, after.as_ref()).expect("a list");
        for entry in &page {
            entries += 1;
            bytes += entry.bytes();
            costly += u64::from(entry.compute_time() >= Duration::from_millis(20));
        }
        page.last().map(larder::store::Listed::key)
    } {
        after = Some(last);
    }
    println!(
        "  at the end: {entries} entries, {bytes} bytes; the totals say {} and {}",
        totals[0].entries(),
        totals[0].bytes()
    );
    println!(
        "  {costly} of them took 20 ms to compute; of the last {entries} stored that was {}",
        entries / COSTLY_EACH
    );
}

/// Results that stand in the index.
fn small() {
    const COUNT: u64 = 100_000;
    const KEPT: u64 = 10_000;
    let measure = |limits: fn(MemoryBuilder) -> MemoryBuilder| {
        let dir = tempfile::tempdir().expect("a directory");
        let memory = open(dir.path(), limits);
        let square = memory.cached_fn("square", 1, |x: &u64| x.wrapping_mul(*x));
        (0..2 * KEPT).for_each(|x| assert_eq!(square.call(&x), x * x));
        let start = Instant::now();
        (2 * KEPT..2 * KEPT + COUNT).for_each(|x| assert_eq!(square.call(&x), x * x));
        start.elapsed().as_secs_f64() * 1e6 / COUNT as f64
    };
    println!("results of some bytes, 10,000 kept of 100,000:");
    for _ in 0..3 {
        let with = measure(|builder| builder.max_entries(KEPT));
        let without = measure(|builder| builder);
        println!("  a miss with a cap {with:6.2} us, without one {without:6.2} us: {:.2}", with / without);
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()));
    if is_wanted("large") {
        large();
    }
    if is_wanted("small") {
        small();
    }
}
