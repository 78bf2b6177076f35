//! The tool `larder` on a million entries in use by this program, and verification beside blake3.
//!
//! `cargo bench --features cli --bench tool`, with `-- --json` for one JSON object, and the names of parts (`tool`, `verify`) for
//! those alone.

use std::env;
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use larder::Memory;
use serde_json::{Value, json};

const ENTRIES: u64 = 1_000_000;
const ROUNDS: usize = 15;

/// 1 GB in files of 8 MB.
const BLOBS: u64 = 125;
const BLOB_NUMBERS: u64 = 1_000_000;

fn seconds<R>(work: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

/// The middle one, the least and the most.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[values.len() / 2], values[0], values[values.len() - 1]]
}

/// A figure, and whether it is what it should be.
struct Line {
    what: &'static str,
    unit: &'static str,
    values: [f64; 3],
    aim: Option<(&'static str, bool)>,
}

/// The tool's time on this cache, its start and end included.
fn tool(cache: &Path, args: &[&str]) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("--cache").arg(cache).args(args).stdout(Stdio::null());
    seconds(|| assert!(command.status().expect("the tool starts").success(), "{args:?}"))
}

fn on_a_million() -> Vec<Line> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).expect("a fresh cache");
    let root = memory.cached_fn("root", 1, |x: &u64| (*x as f64).sqrt());
    for x in 0..ENTRIES {
        black_box(root.call(&x));
    }
    let key = memory.entries().next().expect("there are some").expect("it lists").key;
    let times = |rounds: usize, args: &[&str]| spread((0..rounds).map(|_| 1000.0 * tool(dir.path(), args)).collect());
    let line = |what, values: [f64; 3], most: Option<f64>| {
        let aim = most.map(|most| (if most < 1000.0 { "100 ms" } else { "1000 ms" }, values[0] < most));
        Line { what, unit: "ms", values, aim }
    };
    vec![
        line("the tool's start and end: `--version`", times(ROUNDS, &["--version"]), None),
        line("`larder stats`", times(ROUNDS, &["stats"]), Some(100.0)),
        line("`larder ls`", times(ROUNDS, &["ls"]), Some(1000.0)),
        line("`larder ls root`, the first 100 entries", times(ROUNDS, &["ls", "root"]), None),
        line("`larder show KEY`, which looks through all", times(3, &["show", &key]), None),
        line("`larder verify`", times(3, &["verify"]), None),
        line(
            "`larder prune --max-entries 999000 --dry-run`",
            times(3, &["prune", "--max-entries", "999000", "--dry-run"]),
            None,
        ),
    ]
}

/// Both in turn, since the machine's speed drifts by more than what is measured.
fn verification() -> Vec<Line> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).expect("a fresh cache");
    let numbers =
        memory.cached_fn("numbers", 1, |x: &u64| (0..BLOB_NUMBERS).map(|at| at ^ (x << 40)).collect::<Vec<u64>>());
    (0..BLOBS).for_each(|x| drop(numbers.call(&x)));
    let bytes = (BLOBS * BLOB_NUMBERS * 8) as f64;
    let one: Vec<u8> = (0..BLOB_NUMBERS).flat_map(u64::to_le_bytes).collect();
    let hash_all = || {
        for _ in 0..BLOBS {
            black_box(blake3::hash(black_box(&one)));
        }
    };
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let hashed = seconds(hash_all);
        let verified = seconds(|| {
            let verified = memory.verify(|_| {}).expect("it lists");
            assert_eq!((verified.entries, verified.damaged.len()), (BLOBS, 0));
        });
        rates[0].push(bytes / verified / 1e9);
        rates[1].push(bytes / hashed / 1e9);
        rates[2].push(100.0 * hashed / verified);
    }
    let [verified, hashed, share] = rates.map(spread);
    vec![
        Line { what: "verify, 1 GB in files of 8 MB", unit: "GB/s", values: verified, aim: None },
        Line { what: "blake3 of as many bytes in memory, one thread", unit: "GB/s", values: hashed, aim: None },
        Line { what: "verify beside that", unit: "%", values: share, aim: Some(("80 %", share[0] >= 80.0)) },
    ]
}

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    // Under `cargo test` there is nothing to measure.
    if !words.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    let named: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let wanted = |part: &str| named.is_empty() || named.contains(&part);
    let mut lines = Vec::new();
    if wanted("verify") {
        lines.extend(verification());
    }
    if wanted("tool") {
        lines.extend(on_a_million());
    }
    if words.iter().any(|word| word == "--json") {
        let figure = |line: &Line| {
            let [middle, least, most] = line.values;
            json!({ "what": line.what, "unit": line.unit, "median": middle, "least": least, "most": most,
                "holds": line.aim.map(|(_, holds)| holds) })
        };
        println!("{}", Value::from(lines.iter().map(figure).collect::<Vec<_>>()));
    } else {
        for Line { what, unit, values: [middle, least, most], aim } in &lines {
            let aim =
                aim.map_or(String::new(), |(aim, holds)| format!(", aim {aim}{}", if holds { "" } else { " MISSED" }));
            println!("{what}: {middle:.2} {unit} ({least:.2} to {most:.2}){aim}");
        }
    }
    if lines.iter().all(|line| line.aim.is_none_or(|(_, holds)| holds)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
