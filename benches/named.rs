//! What a run's name costs, and what it is good for.
//!
//! `cargo bench --bench named`, or one part: `cargo bench --bench named -- ledger | million | plan | pair | kills`.
//!
//! - `ledger`: items of no work, with a name and without, on the same memory: the difference is the ledger.
//! - `million`: a million finished items: how long the run takes to find that nothing is to be done.
//! - `plan`: what a run was priced at, and what it took.
//! - `pair`: two programs on one run: how much of their time was outside of the function, and whether an item was computed twice.
//! - `kills`: 2,000 items, killed 20 times: what was computed more than once.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use larder::{Memory, Parallel, delayed};

/// What a child of this bench is to do.
const CHILD: &str = "LARDER_BENCH_NAMED_CHILD";

#[larder::task]
fn instant(item: u64) -> u64 {
    item
}

#[larder::task(ignore(log))]
fn work(item: u64, micros: u64, log: &Path) -> u64 {
    spin(Duration::from_micros(micros));
    let line = format!("{item}\n");
    let mut file = OpenOptions::new().create(true).append(true).open(log).expect("the log opens");
    file.write_all(line.as_bytes()).expect("the log is written");
    item
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn main() {
    if let Ok(order) = env::var(CHILD) {
        return child(&order);
    }
    let args: Vec<String> = env::args().skip(1).collect();
    // Cargo runs benches in tests as well; there nothing is measured.
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    let wanted = args.iter().find(|arg| !arg.starts_with('-')).map(String::as_str);
    let parts: [(&str, fn()); 5] =
        [("ledger", ledger), ("million", million), ("plan", plan), ("pair", pair), ("kills", kills)];
    for (name, part) in parts {
        if wanted.is_none_or(|wanted| wanted == name) {
            println!("== {name}");
            part();
        }
    }
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

fn ledger() {
    const ITEMS: u64 = 100_000;
    for round in 0..3 {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (plain_dir, named_dir) = (dir.path().join("plain"), dir.path().join("named"));
        let plain = Memory::open(&plain_dir).expect("the cache opens");
        let parallel = Parallel::new().n_jobs(2);
        let run = parallel.clone().memory(&plain);
        let (values, without) = timed(|| run.run((0..ITEMS).map(|item| delayed!(instant(item)))).expect("it runs"));
        assert_eq!(values.len() as u64, ITEMS);
        let memory = Memory::open(&named_dir).expect("the cache opens");
        let named = parallel.named("bench", &memory).expect("a good name");
        let (outcome, with) = timed(|| named.run((0..ITEMS).map(|item| delayed!(instant(item)))).expect("it runs"));
        assert_eq!((outcome.computed(), outcome.unkept()), (ITEMS, 0));
        let each = |time: Duration| time.as_secs_f64() * 1e6 / ITEMS as f64;
        println!(
            "{round}: {ITEMS} items, {:.2} us each without a name, {:.2} us with one: {:.2} us for the name",
            each(without),
            each(with),
            each(with) - each(without)
        );
    }
}

fn million() {
    const ITEMS: u64 = 1_000_000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let calls = || (0..ITEMS).map(|item| delayed!(instant(item)));
    {
        let memory = Memory::open(dir.path()).expect("the cache opens");
        let (outcome, time) = timed(|| Parallel::new().run_named("bench", &memory, calls()).expect("it runs"));
        println!("{ITEMS} items computed and kept: {time:.1?}; {outcome}");
    }
    let (memory, opening) = timed(|| Memory::open(dir.path()).expect("the cache opens"));
    let named = Parallel::new().named("bench", &memory).expect("a good name");
    let (plan, planning) = timed(|| named.plan(calls()).expect("it can be priced"));
    println!("plan: {planning:.1?}; {plan}");
    let (outcome, again) = timed(|| named.run(calls()).expect("it runs"));
    assert_eq!(outcome.computed(), 0);
    println!("opened in {opening:.1?}, all found again in {again:.1?}: {outcome}");
}

fn plan() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let memory = Memory::open(dir.path().join("cache")).expect("the cache opens");
    let log = dir.path().join("log");
    for workers in [1, 2] {
        let named = Parallel::new().n_jobs(workers).named("bench", &memory).expect("a good name");
        // Between 0.5 and 20 ms, and a few long ones.
        let micros = |item: u64| if item.is_multiple_of(50) { 60_000 } else { 500 + item * 7919 % 20_000 };
        let calls = || (0..200).map(|item| delayed!(work(item, micros(item), &log)));
        assert!(named.run(calls()).expect("it runs").is_complete());
        memory.cached::<work>().clear().expect("it is cleared");
        let plan = named.plan(calls()).expect("it can be priced");
        let (_, took) = timed(|| named.run(calls()).expect("it runs"));
        let estimate = plan.estimate();
        println!(
            "{workers} workers: priced at {estimate:.2?}, took {took:.2?}: {:.2}",
            estimate.as_secs_f64() / took.as_secs_f64()
        );
        memory.cached::<work>().clear().expect("it is cleared");
    }
}

/// What a child does: `cache|log|items|micros|workers`, and says how long its run took.
fn child(order: &str) {
    let parts: Vec<&str> = order.split('|').collect();
    let [cache, log, items, micros, workers] = parts[..] else { panic!("an order has five parts: {order}") };
    let (items, micros): (u64, u64) = (items.parse().expect("a number"), micros.parse().expect("a number"));
    let memory = Memory::open(cache).expect("the cache opens");
    let named =
        Parallel::new().n_jobs(workers.parse().expect("a number")).named("bench", &memory).expect("a good name");
    let log = Path::new(log);
    let (outcome, time) =
        timed(|| named.run((0..items).map(|item| delayed!(work(item, micros, log)))).expect("it runs"));
    assert!(outcome.is_complete() && outcome.unkept() == 0, "{outcome}");
    println!("{} {}", outcome.computed(), time.as_secs_f64());
}

fn start(dir: &Path, items: u64, micros: u64, workers: u64) -> Child {
    let order = format!("{}|{}|{items}|{micros}|{workers}", dir.join("cache").display(), dir.join("log").display());
    Command::new(env::current_exe().expect("this program has a path"))
        .env(CHILD, order)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts again")
}

fn lines(log: &PathBuf) -> u64 {
    fs::read(log).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
}

/// How many items were computed, and how many times more than once.
fn counts(log: &PathBuf) -> (u64, u64) {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for line in fs::read_to_string(log).expect("the log is there").lines() {
        *counts.entry(line.to_owned()).or_default() += 1;
    }
    (counts.len() as u64, counts.values().map(|count| count - 1).sum())
}

fn pair() {
    for (items, micros) in [(2000, 5000), (500, 20_000)] {
        for round in 0..3 {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let children = [0, 1].map(|_| start(dir.path(), items, micros, 1));
            let (mut all, mut each) = (0.0, Vec::new());
            for child in children {
                let output = child.wait_with_output().expect("the child ends");
                let said = String::from_utf8(output.stdout).expect("it speaks UTF-8");
                let (computed, seconds) = said.trim().split_once(' ').expect("two numbers");
                let busy = computed.parse::<f64>().expect("a number") * micros as f64 / 1e6;
                let seconds: f64 = seconds.parse().expect("a number");
                all += seconds;
                each.push(format!("{computed} in {seconds:.2} s, {:.1} %", 100.0 * (1.0 - busy / seconds)));
            }
            let outside = 100.0 * (1.0 - (items * micros) as f64 / 1e6 / all);
            println!("{round}: items of {micros} us, outside of the function: {outside:.1} % ({})", each.join("; "));
            println!("{round}: {:?} (items, computed again)", counts(&dir.path().join("log")));
        }
    }
    const ITEMS: u64 = 2000;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let [mut killed, other] = [0, 1].map(|_| start(dir.path(), ITEMS, 5000, 1));
    while lines(&log) < ITEMS / 2 {
        thread::yield_now();
    }
    killed.kill().expect("it is killed");
    killed.wait().expect("it ends");
    assert!(other.wait_with_output().expect("the other ends").status.success());
    println!("one killed half way: {:?} (items, computed again)", counts(&log));
}

fn kills() {
    const ITEMS: u64 = 2000;
    for micros in [200, 2000, 12_000] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("log");
        let mut met = 0;
        for kill in 1..=20 {
            let mut child = start(dir.path(), ITEMS, micros, 2);
            let wanted = ITEMS * kill / 21 + kill * kill % 17;
            while lines(&log) < wanted && child.try_wait().expect("it can be asked").is_none() {
                thread::yield_now();
            }
            met += u32::from(child.try_wait().expect("it can be asked").is_none());
            child.kill().expect("it is killed");
            child.wait().expect("it ends");
        }
        assert!(start(dir.path(), ITEMS, micros, 2).wait_with_output().expect("it ends").status.success());
        let (items, again) = counts(&log);
        println!("{micros} us each: {items} items, {met} kills met a run, {again} computed again (two workers)");
    }
}
