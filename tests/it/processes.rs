//! Runs on worker processes. Here: whatever goes to them and back is what it is on the spot; below, one module for each kind
//! of trouble.
//!
//! Tests that speak of all workers of a program run in a program of their own: see [`alone`].

mod caches;
mod faults;
mod input;
mod life;
mod limits;
mod payloads;
mod sockets;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use larder::{Backend, BatchSize, Bulk, Delayed, Outcome, Parallel, Schedule, Task, delayed};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::child::{self, Other, say, this_program};
use crate::support::{FOREVER, ends};

/// Worker processes that any test may use.
fn processes(n_jobs: i32) -> Parallel {
    Parallel::new().backend(Backend::Processes).n_jobs(n_jobs).inner_threads(1)
}

/// The name by which the harness knows a test.
fn name_of<T: Fn()>(_: T) -> &'static str {
    let path = std::any::type_name::<T>();
    path.split_once("::").expect("the crate comes first").1
}

/// Runs `body` in a program of its own, with a folder of its own: `test` is the test that calls this.
fn alone<T: Fn()>(test: T, body: impl FnOnce(&Path)) {
    alone_in(test, Command::new(this_program()), body);
}

/// As [`alone`], started by this command.
fn alone_in<T: Fn()>(test: T, command: Command, body: impl FnOnce(&Path)) {
    if let Some((role, place)) = child::role() {
        assert_eq!(role, "alone");
        body(Path::new(&place));
        return say("done");
    }
    let place = tempfile::tempdir().unwrap();
    let mut other = Other::start(command, name_of(test), "alone", place.path());
    other.wait_for("done");
    assert!(other.end().success());
}

/// This program with a shell's limits.
fn limited(words: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{words}; exec \"$0\" \"$@\"")]).arg(this_program());
    command
}

/// Waits for what another process does.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < FOREVER, "never: {what}");
        thread::park_timeout(Duration::from_millis(2));
    }
}

/// Adds a line that is not lost with the process that wrote it.
fn note(place: &str, line: impl std::fmt::Display) {
    let mut log = OpenOptions::new().append(true).create(true).open(Path::new(place).join("log")).unwrap();
    log.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The lines noted so far.
fn noted(place: &Path) -> Vec<String> {
    let log = fs::read_to_string(place.join("log")).unwrap_or_default();
    log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

/// State and parent of a process; `None` if there is none.
fn state_of(process: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold anything, parentheses too.
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

/// Whether it runs; what only waits to be reaped by whoever adopted it does not.
fn is_alive(process: u32) -> bool {
    state_of(process).is_some_and(|(state, _)| state != 'Z')
}

/// The children of a process, those that are dead and not reaped too.
fn children_of(process: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap();
    let ids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| state_of(*id).is_some_and(|(_, parent)| parent == process)).collect()
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}

/// Notes this process, and waits until so many have: each call is then in a worker of its own.
#[larder::task]
fn meet(place: &str, count: usize) -> u32 {
    let process = std::process::id();
    note(place, process);
    wait_until("the others come", || noted(Path::new(place)).iter().collect::<BTreeSet<_>>().len() >= count);
    process
}

/// The workers of a run of so many, all of which run something.
fn workers(parallel: Parallel, place: &Path, count: usize) -> BTreeSet<u32> {
    let _ = fs::remove_file(place.join("log"));
    let parallel = parallel.schedule(Schedule::TopPicking);
    let workers: BTreeSet<_> =
        parallel.run_list((0..count).map(|_| delayed!(meet(utf8(place), count)))).unwrap().into_iter().collect();
    assert_eq!(workers.len(), count);
    workers
}

/// Ways to run that must make no difference.
fn ways() -> Vec<(String, Parallel)> {
    let mut ways = Vec::new();
    for n_jobs in [1, 2, 5] {
        for size in [BatchSize::Fixed(1), BatchSize::Fixed(7), BatchSize::Auto] {
            ways.push((format!("{n_jobs} workers, {size:?}"), processes(n_jobs).batch_size(size)));
        }
    }
    for schedule in [Schedule::Individual, Schedule::TopPicking, Schedule::Bundled] {
        ways.push((format!("{schedule:?}"), processes(2).schedule(schedule)));
    }
    ways
}

/// Runs of calls in a list: one piece of machine code for each task, and not for each way its calls are written, or this
/// program takes minutes more to build.
trait Listed {
    fn run_list<'a, T, I>(&self, calls: I) -> larder::Result<Vec<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>;

    fn outcome_list<'a, T, I>(&self, calls: I) -> larder::Result<Outcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>;
}

impl Listed for Parallel {
    fn run_list<'a, T, I>(&self, calls: I) -> larder::Result<Vec<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
    {
        self.run(calls.into_iter().collect::<Vec<_>>())
    }

    fn outcome_list<'a, T, I>(&self, calls: I) -> larder::Result<Outcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
    {
        self.outcome(calls.into_iter().collect::<Vec<_>>())
    }
}

/// The calls, made on the spot and by worker processes in every way, have the same results.
fn same<T, I>(calls: impl Fn() -> I + Send + 'static)
where
    T: Task<Args<'static>: Send, Value: PartialEq + std::fmt::Debug + Send> + 'static,
    I: IntoIterator<Item = Delayed<'static, T>>,
{
    ends(move || {
        let expected = Parallel::new().backend(Backend::Sequential).run_list(calls()).unwrap();
        for (way, parallel) in ways() {
            assert_eq!(parallel.run_list(calls()).unwrap(), expected, "{way}");
        }
    });
}

#[larder::task]
fn owned(x: u64, name: String) -> String {
    format!("{name} {x}")
}

#[larder::task]
fn borrowed(text: &str, numbers: &[i32], at: &usize) -> (usize, i32, Option<char>) {
    (text.len(), numbers.iter().sum(), text.chars().nth(*at))
}

#[larder::task]
fn options(x: Option<u8>) -> Option<Vec<Option<String>>> {
    x.map(|x| (0..x % 5).map(|y| (y % 2 == 0).then(|| y.to_string())).collect())
}

#[test]
fn arguments_of_every_kind_arrive_and_results_come_back() {
    same(move || (0..40).map(|x| delayed!(owned(x, "é".repeat(x as usize)))));
    let numbers: &'static [i32] = Vec::leak((0..100).collect());
    let places: &'static [usize] = Vec::leak((0..40).collect());
    same(move || places.iter().map(|at| delayed!(borrowed("some text, shorter than 40", &numbers[*at..], at))));
    same(move || (0..40).map(|x| delayed!(options((x % 3 > 0).then_some(x)))));
}

#[larder::task]
fn nothing() {}

#[larder::task]
fn constant() -> u32 {
    17
}

#[larder::task]
fn unit(x: u64) {
    std::hint::black_box(x);
}

#[test]
fn calls_without_arguments_or_results_are_calls() {
    for count in [1, 3, 3000] {
        same(move || (0..count).map(|_| delayed!(nothing())));
        same(move || (0..count).map(|_| delayed!(constant())));
        same(move || (0..count).map(|x| delayed!(unit(x))));
    }
    // Nothing takes no bytes, and a list of thousands of it is no lie.
    ends(|| {
        let parallel = processes(2).batch_size(20_000);
        assert_eq!(parallel.run_list((0..100_000).map(|_| delayed!(nothing()))).unwrap().len(), 100_000);
    });
}

#[larder::task]
fn ramp(len: usize) -> Vec<f64> {
    (0..len).map(|x| x as f64 / 3.0).collect()
}

#[larder::task]
fn bulk_ramp(len: usize) -> Bulk<f64> {
    (0..len).map(|x| x as f64 / 3.0).collect()
}

#[larder::task]
fn sum(numbers: Vec<f64>, text: String) -> (f64, usize) {
    (numbers.iter().sum(), text.len())
}

#[test]
fn large_arguments_and_results_come_whole() {
    // Below and above what goes in a file, alone and as a batch.
    let lengths = || [0, 1, 5000, 32_767, 32_768, 100_000, 200_000].into_iter();
    same(move || lengths().map(|len| delayed!(ramp(len))));
    same(move || lengths().map(|len| delayed!(bulk_ramp(len))));
    same(move || lengths().map(|len| delayed!(sum(vec![0.5; len], "x".repeat(len)))));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Text(String),
    Both { number: i64, text: String },
}

impl Either {
    fn new(x: i64) -> Either {
        match x % 3 {
            0 => Either::Number(x),
            1 => Either::Text("text".repeat(x as usize)),
            _ => Either::Both { number: x, text: "both".to_owned() },
        }
    }
}

#[larder::task]
fn turned(x: Either) -> Either {
    match x {
        Either::Number(number) => Either::Text(number.to_string()),
        Either::Text(text) => Either::Both { number: text.len() as i64, text },
        Either::Both { number, .. } => Either::Number(number),
    }
}

#[larder::task]
fn wrapped(value: &Value, x: u64) -> Value {
    json!({ "value": value, "x": [x, null, "text", 0.5] })
}

/// `null` alone says so little of itself that the smaller codec may write it and not read it.
#[larder::task]
fn json_or_null(x: u64) -> Value {
    if x % 10 == 9 { json!({ "x": x }) } else { Value::Null }
}

#[test]
fn what_only_describes_itself_crosses_too() {
    same(|| (0..40).map(|x| delayed!(turned(Either::new(x)))));
    let values: &'static [Value] =
        Vec::leak((0..40).map(|x| if x % 4 == 0 { Value::Null } else { json!({ "a": [x] }) }).collect());
    same(move || values.iter().zip(0..).map(|(value, x)| delayed!(wrapped(value, x))));
    same(move || (0..40).map(|x| delayed!(json_or_null(x))));
}

#[larder::task]
fn odd(x: u64) -> Result<u64, String> {
    if x % 2 == 1 { Ok(x * 2) } else { Err(format!("{x} is even")) }
}

#[test]
fn tasks_that_can_fail_and_do_not_give_their_values() {
    same(move || (0..40).map(|x| delayed!(odd(2 * x + 1))));
}

#[test]
fn every_number_of_items_is_right() {
    for count in [0, 1, 2, 4, 5, 13] {
        same(move || (0..count).map(|x| delayed!(odd(2 * x + 1))));
    }
    // An input that does not know its length, which equal shares cannot be made of.
    ends(|| {
        for (way, parallel) in ways().into_iter().filter(|(way, _)| way != "Bundled") {
            let items = (0..100_u64).filter(|x| x % 2 == 1).map(|x| delayed!(odd(x)));
            assert_eq!(parallel.run(items).unwrap(), (0..50).map(|x| 4 * x + 2).collect::<Vec<_>>(), "{way}");
        }
    });
}

#[larder::task]
fn process(x: u64) -> (u64, u32) {
    (x, std::process::id())
}

#[test]
fn tasks_run_in_other_processes_and_are_counted() {
    ends(|| {
        let outcome = processes(2).outcome_list((0..1000).map(|x| delayed!(process(x)))).unwrap();
        assert!(outcome.is_complete(), "{outcome:?}");
        let report = outcome.report().clone();
        assert_eq!((report.items, report.completed, report.failed, report.deaths), (1000, 1000, 0, 0));
        assert!(report.workers_started <= 2 && report.bytes_encoded > 1000, "{report}");
        let values = outcome.into_values().unwrap();
        assert!(values.iter().zip(0..).all(|((x, id), expected)| *x == expected && *id != std::process::id()));
        assert!(values.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len() <= 2);
    });
}

#[larder::task]
fn tiny(x: u64) -> u64 {
    x ^ 1
}

#[test]
fn a_million_tiny_tasks_have_a_million_results() {
    ends(|| {
        let values = processes(2).run_list((0..1_000_000).map(|x| delayed!(tiny(x)))).unwrap();
        assert!(values.len() == 1_000_000 && values.iter().zip(0..).all(|(value, x)| *value == x ^ 1));
    });
}

#[test]
fn ten_thousand_tasks_wait_for_their_turn() {
    ends(|| {
        for schedule in [Schedule::Individual, Schedule::TopPicking] {
            let values = processes(2).schedule(schedule).run_list((0..10_000).map(|x| delayed!(tiny(x)))).unwrap();
            assert!(values.len() == 10_000 && values.iter().zip(0..).all(|(value, x)| *value == x ^ 1));
        }
    });
}
