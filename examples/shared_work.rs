//! How do two copies of a program share their work? Start this twice, at once, on one cache: what one copy has under way
//! the other leaves for the end, and then loads.
//!
//! `cargo run --release --example shared_work -- --cache DIR --items 200 --task-ms 20`, in two terminals.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::{Stop, timed};
use larder::{Memory, Parallel, delayed};
use lexopt::prelude::*;

const HELP: &str = "\
Computes items that take a while, and shares them with other copies of itself on the same cache.

Usage: shared_work --cache DIR [options]

Options:
  --cache DIR    where the copies meet
  --items N      how many [default: 100]
  --task-ms M    how long one takes [default: 20]
  --jobs N       workers; -1 is every core, -2 all but one [default: -1]
  --json         print one JSON object
  --help         print this";

/// Works for so long, and answers what is easily checked.
#[larder::task]
fn work(item: u64, task_ms: u64) -> u64 {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(task_ms) {
        std::hint::spin_loop();
    }
    item * item
}

fn run(options: &Options) -> Result<(), Stop> {
    let Options { items, task_ms, .. } = *options;
    let Some(cache) = &options.cache else {
        return Err(Stop::Usage("there is no `--cache`: name a directory, the same for all copies".to_owned()));
    };
    let memory = Memory::open(cache)?;
    let parallel = Parallel::new().n_jobs(options.jobs).memory(&memory);
    let (squares, seconds) = timed(|| parallel.run((0..items).map(|item| delayed!(work(item, task_ms)))));
    let squares = squares?;
    if let Some((item, square)) = (0..).zip(squares).find(|(item, square)| item * item != *square) {
        return Err(Stop::Failed(format!("item {item} came back as {square}")));
    }

    let stats = memory.stats();
    let (computed, loaded) = (stats.misses(), stats.hits());
    if options.json {
        println!(r#"{{"items":{items},"computed":{computed},"loaded":{loaded}}}"#);
    } else {
        println!("{items} items in {seconds:.1} s: {computed} computed here, {loaded} loaded");
    }
    Ok(())
}

struct Options {
    cache: Option<PathBuf>,
    items: u64,
    task_ms: u64,
    jobs: i32,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let mut options = Options { cache: None, items: 100, task_ms: 20, jobs: -1, json: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("cache") => options.cache = Some(args.value()?.into()),
            Long("items") => options.items = common::value(&mut args, "--items")?,
            Long("task-ms") => options.task_ms = common::value(&mut args, "--task-ms")?,
            Long("jobs") => options.jobs = common::value(&mut args, "--jobs")?,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Err(Stop::Help(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
