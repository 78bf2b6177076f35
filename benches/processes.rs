//! Worker processes, each figure beside its peer or floor, all measured in one run. docs/benchmarks.md reads the figures.
//!
//! `cargo bench --bench processes`, with `-- --json` for one JSON object, and with other words behind the `--` for those parts
//! alone: `start`, `calls`, `schedules`, `payload`. `LARDER_BENCH_PYTHON` is the interpreter that is measured beside (else
//! `python3`); with joblib in it, joblib too.

use std::env;
use std::hint::black_box;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder::{Backend, Bulk, Delayed, Parallel, Payload, RunReport, Schedule, delayed};
use serde_json::{Value, json};

const WORKERS: usize = 2;
const CALLS: u64 = 1_000_000;
const SINGLE_CALLS: u64 = 200_000;
const SCHEDULE_CALLS: u64 = 100_000;
const ROUNDS: usize = 5;

/// 200 MB.
const ROWS: usize = 1000;
const ROW_LEN: usize = 25_000;

/// Calls per second, as measured before on such a machine, for where they are not measured now.
const KNOWN_EXECUTOR: f64 = 820_000.0;
const KNOWN_JOBLIB: f64 = 108_000.0;
const KNOWN_PROCSPAWN: f64 = 16_700.0;

/// Measures the others.
const PYTHON: &str = include_str!("processes.py");

#[larder::task]
fn next(x: u64) -> u64 {
    x + 1
}

#[larder::task]
fn row_sum(row: usize, block: &Payload<Bulk<f64>>) -> f64 {
    sum(block, row)
}

/// Which process has the block, whether as a part of a file, and all of it read.
#[larder::task]
fn holder(block: &Payload<Bulk<f64>>) -> (u32, bool, f64) {
    (std::process::id(), block.is_mapped(), block.iter().sum())
}

fn sum(block: &[f64], row: usize) -> f64 {
    block[row * ROW_LEN..][..ROW_LEN].iter().sum()
}

fn workers() -> Parallel {
    Parallel::new().backend(Backend::Processes).n_jobs(WORKERS as i32)
}

fn calls(count: u64) -> impl ExactSizeIterator<Item = Delayed<'static, next>> + Send {
    (0..count as usize).map(|x| delayed!(next(x as u64)))
}

fn seconds<R>(work: impl FnOnce() -> R) -> (R, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// What some rounds measured.
struct Rounds(Vec<f64>);

impl Rounds {
    fn of(rounds: usize, measure: impl FnMut() -> f64) -> Rounds {
        Rounds(std::iter::repeat_with(measure).take(rounds).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn median(&self) -> f64 {
        self.sorted()[self.0.len() / 2]
    }

    fn range(&self) -> [f64; 2] {
        let sorted = self.sorted();
        [sorted[0], sorted[sorted.len() - 1]]
    }
}

#[derive(Clone, Copy)]
enum Unit {
    PerSecond,
    Milliseconds,
    Megabytes,
    Times,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{value:.0}/s"),
            Unit::Milliseconds => format!("{value:.1} ms"),
            Unit::Megabytes => format!("{value:.1} MB"),
            Unit::Times => format!("{value:.0} times"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::PerSecond => "per second",
            Unit::Milliseconds => "ms",
            Unit::Megabytes => "MB",
            Unit::Times => "times",
        }
    }
}

/// What is to be reached: by the ratio, or by the figure itself.
#[derive(Clone, Copy)]
enum Aim {
    RatioAtLeast(f64),
    RatioAtMost(f64),
    AtMost(f64),
}

struct Peer {
    name: &'static str,
    value: f64,
    /// In this run.
    is_measured: bool,
}

struct Line {
    what: String,
    unit: Unit,
    value: f64,
    range: [f64; 2],
    peer: Option<Peer>,
    ratio: Option<f64>,
    aim: Option<Aim>,
}

impl Line {
    fn new(what: impl Into<String>, unit: Unit, rounds: &Rounds) -> Line {
        let (value, range) = (rounds.median(), rounds.range());
        Line { what: what.into(), unit, value, range, peer: None, ratio: None, aim: None }
    }

    /// The ratio is the median to the other's.
    fn beside(self, name: &'static str, value: f64, is_measured: bool) -> Line {
        let ratio = Some(self.value / value);
        Line { peer: Some(Peer { name, value, is_measured }), ratio, ..self }
    }

    fn aim(self, aim: Aim) -> Line {
        Line { aim: Some(aim), ..self }
    }

    fn is_reached(&self) -> Option<bool> {
        Some(match self.aim? {
            Aim::RatioAtLeast(least) => self.ratio? >= least,
            Aim::RatioAtMost(most) => self.ratio? <= most,
            Aim::AtMost(most) => self.value <= most,
        })
    }

    fn print(&self) {
        let Line { what, unit, value, range: [low, high], .. } = self;
        println!("{what}\n    {} ({} to {})", unit.show(*value), unit.show(*low), unit.show(*high));
        if let Some(Peer { name, value, is_measured }) = &self.peer {
            let known = if *is_measured { "" } else { " (known figure, not measured)" };
            println!("    beside {}: {name}{known}", unit.show(*value));
        }
        if let Some(ratio) = self.ratio {
            println!("    ratio {ratio:.2}");
        }
        let aim = match self.aim {
            Some(Aim::RatioAtLeast(least)) => format!("a ratio of at least {least}"),
            Some(Aim::RatioAtMost(most)) => format!("a ratio of at most {most}"),
            Some(Aim::AtMost(most)) => format!("at most {}", unit.show(most)),
            None => return,
        };
        println!("    aim: {aim}: {}", if self.is_reached() == Some(true) { "reached" } else { "MISSED" });
    }

    fn as_json(&self) -> Value {
        let Line { what, unit, value, range, peer, ratio, .. } = self;
        let peer = peer.as_ref().map(
            |Peer { name, value, is_measured }| json!({ "name": name, "value": value, "is_measured": is_measured }),
        );
        let reached = self.is_reached();
        json!({
            "what": what, "unit": unit.name(), "value": value, "range": range, "peer": peer, "ratio": ratio,
            "reached": reached,
        })
    }
}

/// The lines of a run: printed as they come, or all at the end as JSON.
struct Table {
    json: bool,
    lines: Vec<Line>,
}

impl Table {
    fn add(&mut self, line: Line) {
        if !self.json {
            line.print();
        }
        self.lines.push(line);
    }

    fn note(&self, words: &str) {
        if !self.json {
            println!("    {words}");
        }
    }
}

/// Runs this program again in another role and answers what it said.
fn myself(role: &str) -> Result<String, String> {
    let program = env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let output = Command::new(program).arg(role).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot start this program again: {error}"))?;
    if !output.status.success() {
        return Err(format!("this program as `{role}`: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("this program as `{role}`: {error}"))
}

/// The time from the start of two workers to the first result, in a fresh process: in milliseconds, on stdout.
fn first_result() {
    let (results, seconds) = seconds(|| workers().run(calls(WORKERS as u64)).expect("no task fails"));
    assert_eq!(results, [1, 2]);
    println!("{}", seconds * 1e3);
}

fn start(table: &mut Table) -> Result<(), String> {
    let mut rounds = Vec::new();
    let mut floors = Vec::new();
    for _ in 0..15 {
        let said = myself("--first-result")?;
        rounds.push(said.trim().parse().map_err(|_| format!("this program said `{said}`"))?);
        floors.push(seconds(|| myself("--nothing")).1 * 1e3);
    }
    let line = Line::new("start of two workers to the first results", Unit::Milliseconds, &Rounds(rounds));
    let floor = Rounds(floors).median();
    table.add(line.beside("start and end of one program that does nothing", floor, true).aim(Aim::AtMost(20.0)));
    Ok(())
}

/// What Python does in its own processes.
#[derive(Default)]
struct Python {
    words: String,
    executor: Option<f64>,
    joblib: Option<f64>,
}

impl Python {
    fn measure() -> Result<Python, String> {
        let interpreter = env::var_os("LARDER_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
        let name = interpreter.to_string_lossy().into_owned();
        let mut script = tempfile::Builder::new().suffix(".py").tempfile().map_err(|error| error.to_string())?;
        script.write_all(PYTHON.as_bytes()).map_err(|error| error.to_string())?;
        let (workers, calls) = (WORKERS.to_string(), CALLS.to_string());
        let mut command = Command::new(interpreter);
        command.arg(script.path()).args([workers, calls]).stderr(Stdio::inherit());
        let output = match command.output() {
            Ok(output) if output.status.success() => output,
            Ok(output) => return Err(format!("`{name}` could not measure: {}", output.status)),
            Err(error) => return Ok(Python { words: format!("no `{name}`: {error}"), ..Python::default() }),
        };
        let said: Value = serde_json::from_slice(&output.stdout).map_err(|error| format!("`{name}` said: {error}"))?;
        let rate = |key: &str| {
            let rates = said[key].as_array()?.iter().filter_map(Value::as_f64).collect();
            Some(Rounds(rates).median())
        };
        let (executor, joblib) = (rate("executor"), rate("joblib"));
        let version = said["version"].as_str().unwrap_or("of some version");
        let words = match &said["joblib_version"] {
            Value::String(joblib) => format!("Python {version}, joblib {joblib}"),
            _ => format!("Python {version}, which has no joblib"),
        };
        Ok(Python { words, executor, joblib })
    }
}

/// Rates of trivial calls in `rounds` runs, the workers having been started.
fn rates(rounds: usize, count: u64, parallel: &Parallel) -> Rounds {
    let run = || {
        let (results, seconds) = seconds(|| parallel.run(black_box(calls(count))).expect("no task fails"));
        assert!(results.len() as u64 == count && results.last() == Some(&count));
        count as f64 / seconds
    };
    run();
    Rounds::of(rounds, run)
}

fn trivial_calls(table: &mut Table) -> Result<(), String> {
    let python = Python::measure()?;
    let executor = python.executor.unwrap_or(KNOWN_EXECUTOR);
    let joblib = python.joblib.unwrap_or(KNOWN_JOBLIB);
    let ours = rates(ROUNDS, CALLS, &workers());
    let line = || Line::new("1e6 trivial calls, automatic batches", Unit::PerSecond, &ours);
    let name = "ProcessPoolExecutor.map, chunks of 1000";
    table.add(line().beside(name, executor, python.executor.is_some()).aim(Aim::RatioAtLeast(5.0)));
    table.add(line().beside("joblib, loky", joblib, python.joblib.is_some()).aim(Aim::RatioAtLeast(40.0)));
    table.note(&python.words);
    let outcome = workers().outcome(calls(CALLS)).expect("the run starts");
    table.note(&outcome.report().to_string());

    let ours = rates(ROUNDS, SINGLE_CALLS, &workers().batch_size(1));
    let line = Line::new("2e5 trivial calls, one by one", Unit::PerSecond, &ours);
    table.add(line.beside("procspawn's pool", KNOWN_PROCSPAWN, false).aim(Aim::RatioAtLeast(5.0)));
    Ok(())
}

fn schedules(table: &mut Table) {
    for schedule in [Schedule::Auto, Schedule::Bundled, Schedule::Individual, Schedule::TopPicking] {
        let ours = rates(ROUNDS, SCHEDULE_CALLS, &workers().schedule(schedule));
        table.add(Line::new(format!("1e5 trivial calls, `Schedule::{schedule:?}`"), Unit::PerSecond, &ours));
    }
}

/// The memory that a process shares with nobody, and that which is not of a file, in MB.
fn own_megabytes(process: u32) -> Result<[f64; 2], String> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("`{path}`: {error}"))?;
    let of = |names: &[&str]| -> f64 {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let kilobytes = lines
            .filter(|(name, _)| names.contains(name))
            .filter_map(|(_, value)| value.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        kilobytes.sum::<f64>() * 1024.0 / 1e6
    };
    Ok([of(&["Private_Clean", "Private_Dirty"]), of(&["Anonymous"])])
}

/// The same of all of them together.
fn own_of_all(processes: &[u32]) -> Result<[f64; 2], String> {
    processes.iter().try_fold([0.0; 2], |[own, anonymous], process| {
        let [its, also] = own_megabytes(*process)?;
        Ok([own + its, anonymous + also])
    })
}

/// The most memory that all of `processes` had of their own while `work` went on, as `own_megabytes` counts it.
fn most_own<R>(processes: &[u32], work: impl FnOnce() -> R) -> Result<(R, [f64; 2]), String> {
    let is_done = AtomicBool::new(false);
    let watch = || -> Result<[f64; 2], String> {
        let mut most = [0.0_f64; 2];
        loop {
            let last = is_done.load(Relaxed);
            let sum = own_of_all(processes)?;
            most = [most[0].max(sum[0]), most[1].max(sum[1])];
            if last {
                return Ok(most);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    std::thread::scope(|scope| {
        let watcher = scope.spawn(watch);
        let result = work();
        is_done.store(true, Relaxed);
        Ok((result, watcher.join().map_err(|_| "the watcher panicked")??))
    })
}

fn payload(table: &mut Table) -> Result<(), String> {
    let numbers: Bulk<f64> = (0..ROWS * ROW_LEN).map(|x| x as f64).collect();
    let threads = Parallel::new().n_jobs(WORKERS as i32);
    let send = |block: &Payload<Bulk<f64>>| {
        let outcome = workers().outcome((0..ROWS).map(|row| delayed!(row_sum(row, block)))).expect("the run starts");
        let report: RunReport = outcome.report().clone();
        (outcome.into_values().expect("no task fails"), report)
    };
    workers().run(calls(WORKERS as u64)).expect("no task fails");

    let (mut totals, mut bares, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    let mut encodings = Vec::new();
    for _ in 0..ROUNDS {
        let (copy, took) = seconds(|| black_box(numbers.to_vec()));
        copies.push(took * 1e3);
        drop(copy);
        let (bare, took) = seconds(|| threads.map(0..ROWS, |row| sum(&numbers, row)).expect("no task fails"));
        bares.push(took * 1e3);
        let block = Payload::new(numbers.clone());
        let ((sums, report), took) = seconds(|| send(&block));
        totals.push(took * 1e3);
        assert_eq!(sums, bare);
        encodings.push(report.payload_encodings as f64);
    }
    let copy = Rounds(copies);
    let extra = Rounds(totals.iter().zip(&bares).map(|(total, bare)| total - bare).collect());
    let line = Line::new("a 200 MB payload for 1,000 items, beyond the work itself", Unit::Milliseconds, &extra);
    table.add(line.beside("one copy of it into fresh memory", copy.median(), true).aim(Aim::RatioAtMost(1.5)));
    let [low, high] = copy.range();
    let (whole, bare) = (Rounds(totals).median(), Rounds(bares).median());
    table.note(&format!("in all {whole:.1} ms; the work on threads {bare:.1} ms; the copy {low:.1} to {high:.1} ms"));
    table.add(Line::new("encodings of it", Unit::Times, &Rounds(encodings)).aim(Aim::AtMost(1.0)));

    // Not timed: to look is work too. Who has the payload is asked with another, as who has all of it.
    let hold = |block: &Payload<Bulk<f64>>| {
        let holders = workers().batch_size(1).run((0..4 * WORKERS).map(|_| delayed!(holder(block))));
        holders.expect("no task fails")
    };
    let block = Payload::new(numbers.clone());
    let holders = hold(&block);
    if !holders.iter().all(|(_, is_mapped, _)| *is_mapped) {
        return Err("a worker has a copy of the payload".to_owned());
    }
    let mut processes: Vec<u32> = holders.iter().map(|(process, ..)| *process).collect();
    processes.sort_unstable();
    processes.dedup();
    if processes.len() != WORKERS {
        return Err(format!("{} workers have the payload, and {WORKERS} were to have it", processes.len()));
    }
    if !cfg!(target_os = "linux") {
        table.note("this system does not say which memory is shared");
        return Ok(());
    }
    let mut add = |what: &str, [own, anonymous]: [f64; 2]| {
        let line = Line::new(what, Unit::Megabytes, &Rounds(vec![own]));
        table.add(line.aim(Aim::AtMost(50.0)));
        table.note(&format!("{anonymous:.1} MB of it are no part of a file"));
    };
    let [own, anonymous] = own_of_all(&processes)?;
    add("unshared memory of both workers together, after each read all rows", [own, anonymous]);
    drop(block);
    let block = Payload::new(numbers.clone());
    let (_, most) = most_own(&processes, || send(&block))?;
    // While the first worker has mapped the file and the other has not, its pages count as not shared.
    add("most of it at any moment while each reads other rows of a second payload, from before both have it", most);
    Ok(())
}

fn run(json: bool, parts: &[String]) -> Result<(), String> {
    let mut table = Table { json, lines: Vec::new() };
    let is_wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if is_wanted("start") {
        start(&mut table)?;
    }
    if is_wanted("calls") {
        trivial_calls(&mut table)?;
    }
    if is_wanted("schedules") {
        schedules(&mut table);
    }
    if is_wanted("payload") {
        payload(&mut table)?;
    }
    if json {
        let lines: Vec<Value> = table.lines.iter().map(Line::as_json).collect();
        println!("{}", json!({ "workers": WORKERS, "lines": lines }));
    }
    Ok(())
}

fn main() -> ExitCode {
    larder::init();
    let (mut is_bench, mut json, mut parts) = (false, false, Vec::new());
    for arg in env::args().skip(1) {
        match &*arg {
            "--first-result" => {
                first_result();
                return ExitCode::SUCCESS;
            }
            "--nothing" => return ExitCode::SUCCESS,
            "--bench" => is_bench = true,
            "--json" => json = true,
            "start" | "calls" | "schedules" | "payload" => parts.push(arg),
            _ if !is_bench => {}
            _ => {
                eprintln!("error: `{arg}`: there are `--json`, `start`, `calls`, `schedules` and `payload`");
                return ExitCode::from(2);
            }
        }
    }
    if !is_bench {
        println!("nothing is measured: `cargo bench --bench processes` does");
        return ExitCode::SUCCESS;
    }
    match run(json, &parts) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("error: {words}");
            ExitCode::FAILURE
        }
    }
}
