//! What a crash, a hang or a leak costs: nothing but the task that did it.
//!
//! `cargo run --release --example faulty_tasks`. Some of many tasks abort, hang or eat memory; the others have their results,
//! and each of those is reported with what it did.

mod common;

use std::process::ExitCode;
use std::time::Duration;

use common::{Stop, timed};
use larder::{Backend, FailureKind, OnError, Parallel, delayed};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

const HELP: &str = "\
Runs tasks of which some abort, hang, eat memory or panic, in worker processes, and reports what became of each.

Usage: faulty_tasks [options]

Options:
  --items N          how many tasks [default: 1000]
  --abort LIST       these abort, by their numbers: 3,14,15
  --hang LIST        these never end
  --eat-memory LIST  these take more and more memory
  --panic LIST       these panic
  --jobs N           worker processes; -1 is every core, -2 all but one [default: 2]
  --timeout-ms N     how long one task may take [default: 1000]
  --memory-mb N      how much memory a worker may use [default: 200]
  --json             print one JSON object
  --help             print this";

/// What a task does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    None,
    Abort,
    Hang,
    EatMemory,
    Panic,
}

#[larder::task]
fn work(item: u64, fault: Fault) -> u64 {
    match fault {
        Fault::None => {}
        Fault::Abort => std::process::abort(),
        Fault::Hang => loop {
            std::thread::park();
        },
        Fault::EatMemory => {
            let mut eaten = Vec::new();
            while eaten.len() < 100_000 {
                eaten.push(vec![item as u8; 1 << 20]);
            }
        }
        Fault::Panic => panic!("task {item} was asked to"),
    }
    // Some work: the sum of the numbers below it, one by one.
    (0..item * 100).fold(0, |sum, number| std::hint::black_box(sum + number))
}

fn run(options: &Options) -> Result<(), Stop> {
    let fault = |item: &u64| {
        let lists = [
            (&options.abort, Fault::Abort),
            (&options.hang, Fault::Hang),
            (&options.eat_memory, Fault::EatMemory),
            (&options.panic, Fault::Panic),
        ];
        lists.iter().find(|(list, _)| list.contains(item)).map_or(Fault::None, |(_, fault)| *fault)
    };
    let parallel = Parallel::new()
        .backend(Backend::Processes)
        .n_jobs(options.jobs)
        .on_error(OnError::Collect)
        .timeout_per_task(Duration::from_millis(options.timeout_ms))
        .limit_memory_hard(options.memory_mb << 20);
    let (outcome, seconds) =
        timed(|| parallel.outcome((0..options.items).map(|item| delayed!(work(item, fault(&item))))));
    let outcome = outcome?;
    let results = outcome.results().iter().flatten().count();
    if options.json {
        let failures: Vec<_> = outcome
            .failures()
            .iter()
            .map(|failure| {
                json!({
                    "index": failure.index(),
                    "kind": kind(failure.kind()),
                    "arguments": failure.arguments(),
                    "message": failure.message(),
                })
            })
            .collect();
        println!("{}", json!({ "results": results, "failures": failures, "seconds": seconds }));
    } else {
        println!("{results} of {} tasks have a result, after {seconds:.1} s", options.items);
        for failure in outcome.failures() {
            println!("{}: {failure}", kind(failure.kind()));
        }
        println!("{}", outcome.report());
    }
    Ok(())
}

fn kind(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Death => "death",
        FailureKind::Timeout => "timeout",
        FailureKind::Memory => "memory",
        FailureKind::Panic => "panic",
        _ => "other",
    }
}

struct Options {
    items: u64,
    abort: Vec<u64>,
    hang: Vec<u64>,
    eat_memory: Vec<u64>,
    panic: Vec<u64>,
    jobs: i32,
    timeout_ms: u64,
    memory_mb: u64,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let none = Vec::new;
    let mut options = Options {
        items: 1000,
        abort: none(),
        hang: none(),
        eat_memory: none(),
        panic: none(),
        jobs: 2,
        timeout_ms: 1000,
        memory_mb: 200,
        json: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("items") => options.items = common::value(&mut args, "--items")?,
            Long("abort") => options.abort = list(&mut args, "--abort")?,
            Long("hang") => options.hang = list(&mut args, "--hang")?,
            Long("eat-memory") => options.eat_memory = list(&mut args, "--eat-memory")?,
            Long("panic") => options.panic = list(&mut args, "--panic")?,
            Long("jobs") => options.jobs = common::value(&mut args, "--jobs")?,
            Long("timeout-ms") => options.timeout_ms = common::value(&mut args, "--timeout-ms")?,
            Long("memory-mb") => options.memory_mb = common::value(&mut args, "--memory-mb")?,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Err(Stop::Help(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

/// Numbers with commas between them.
fn list(args: &mut lexopt::Parser, option: &str) -> Result<Vec<u64>, Stop> {
    let text: String = common::value(args, option)?;
    let numbers = text.split(',').filter(|number| !number.is_empty());
    numbers
        .map(|number| {
            number.trim().parse().map_err(|_| Stop::Usage(format!("`{option} {text}`: `{number}` is no number")))
        })
        .collect()
}

#[larder::main]
fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
