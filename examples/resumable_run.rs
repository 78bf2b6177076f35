//! How does a long run survive its program's end? Kill this at any moment and start it again: it goes on where it was.
//!
//! `cargo run --release --example resumable_run -- --cache DIR --name nightly --items 500 --task-ms 20 --log computed.txt`, and
//! in another terminal the same, or `larder --cache DIR runs show nightly`.

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use common::{Stop, timed};
use larder::{Backend, Memory, OnError, Order, Parallel, Progress, delayed};
use lexopt::prelude::*;

const HELP: &str = "\
A run with a name: kill it, start it again, start it twice.

Usage: resumable_run --cache DIR --name NAME [options]

Options:
  --cache DIR          where results and the run's ledger are
  --name NAME          the run's name
  --items N            how many [default: 100]
  --task-ms M          how long one takes [default: 20]
  --jobs J             workers; -1 is every core, -2 all but one [default: -1]
  --backend B          threads or processes [default: threads]
  --log FILE           each computation appends its item and its process to FILE, as one line
  --fail N             item N fails
  --retry-failed       try again what failed before
  --shuffle SEED       compute in a random order
  --max-recompute S    compute nothing if it would take more than S seconds in all
  --plan               say what the run would cost, and end
  --json               the last line is a JSON object
  --help               print this";

/// Works for so long, writes down that it did, and answers what is easily checked. Where to write is no part of what it answers.
#[larder::task(ignore(log))]
fn work(item: u64, task_ms: u64, fails: bool, log: &Path) -> Result<u64, String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(task_ms) {
        std::hint::spin_loop();
    }
    if !log.as_os_str().is_empty() {
        note(log, item).map_err(|error| format!("{} cannot be written: {error}", log.display()))?;
    }
    if fails { Err(format!("item {item} was to fail")) } else { Ok(item * item) }
}

/// One line in one write, so that processes do not mix theirs.
fn note(log: &Path, item: u64) -> std::io::Result<()> {
    let line = format!("{item} {}\n", std::process::id());
    OpenOptions::new().create(true).append(true).open(log)?.write_all(line.as_bytes())
}

fn run(options: &Options) -> Result<(), Stop> {
    let Some(cache) = &options.cache else {
        return Err(Stop::Usage("there is no `--cache`: name a directory".to_owned()));
    };
    let Some(name) = &options.name else {
        return Err(Stop::Usage("there is no `--name`: give the run one, such as `nightly`".to_owned()));
    };
    let memory = Memory::open(cache)?;
    let progress = if options.json { Progress::Off } else { Progress::Bar };
    let parallel =
        Parallel::new().n_jobs(options.jobs).backend(options.backend).on_error(OnError::Collect).progress(progress);
    let mut named = parallel.named(name, &memory)?.order(options.order).retry_failed(options.retry_failed);
    if let Some(most) = options.max_recompute {
        named = named.max_recompute(most);
    }
    let log = options.log.as_deref().unwrap_or(Path::new(""));
    let calls =
        || (0..options.items).map(|item| delayed!(work(item, options.task_ms, options.fail == Some(item), log)));
    if options.plan {
        println!("{}", named.plan(calls())?);
        return Ok(());
    }
    let (outcome, seconds) = timed(|| named.run(calls()));
    let outcome = outcome?;
    let is_wrong = |(item, square): &(u64, &Option<u64>)| square.is_some_and(|square| square != item * item);
    if let Some((item, square)) = (0..).zip(outcome.results()).find(is_wrong) {
        return Err(Stop::Failed(format!("item {item} came back as {square:?}")));
    }
    let failed = outcome.failures().len();
    let computed = outcome.computed();
    let loaded = outcome.results().iter().flatten().count() as u64 - computed;
    if options.json {
        println!(r#"{{"items":{},"computed":{computed},"loaded":{loaded},"failed":{failed}}}"#, options.items);
    } else {
        println!("{outcome} in {seconds:.1} s");
    }
    match outcome.unkept() {
        0 => Ok(()),
        lost => Err(Stop::Failed(format!("{lost} results could not be kept"))),
    }
}

struct Options {
    cache: Option<PathBuf>,
    name: Option<String>,
    items: u64,
    task_ms: u64,
    jobs: i32,
    backend: Backend,
    log: Option<PathBuf>,
    fail: Option<u64>,
    retry_failed: bool,
    order: Order,
    max_recompute: Option<Duration>,
    plan: bool,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let mut options = Options {
        cache: None,
        name: None,
        items: 100,
        task_ms: 20,
        jobs: -1,
        backend: Backend::Threads,
        log: None,
        fail: None,
        retry_failed: false,
        order: Order::default(),
        max_recompute: None,
        plan: false,
        json: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("cache") => options.cache = Some(args.value()?.into()),
            Long("name") => options.name = Some(common::value(&mut args, "--name")?),
            Long("items") => options.items = common::value(&mut args, "--items")?,
            Long("task-ms") => options.task_ms = common::value(&mut args, "--task-ms")?,
            Long("jobs") => options.jobs = common::value(&mut args, "--jobs")?,
            Long("backend") => options.backend = backend(&args.value()?.to_string_lossy())?,
            Long("log") => {
                let log = PathBuf::from(args.value()?);
                // Worker processes may have another directory.
                options.log =
                    Some(std::path::absolute(&log).map_err(|error| Stop::Usage(format!("`--log`: {error}")))?);
            }
            Long("fail") => options.fail = Some(common::value(&mut args, "--fail")?),
            Long("retry-failed") => options.retry_failed = true,
            Long("shuffle") => options.order = Order::Shuffled(common::value(&mut args, "--shuffle")?),
            Long("max-recompute") => {
                let seconds: f64 = common::value(&mut args, "--max-recompute")?;
                let most = Duration::try_from_secs_f64(seconds);
                options.max_recompute =
                    Some(most.map_err(|_| Stop::Usage(format!("`--max-recompute {seconds}` is no time")))?);
            }
            Long("plan") => options.plan = true,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Err(Stop::Help(HELP)),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(options)
}

fn backend(name: &str) -> Result<Backend, Stop> {
    match name {
        "threads" => Ok(Backend::Threads),
        "processes" => Ok(Backend::Processes),
        other => Err(Stop::Usage(format!("there is no backend `{other}`: give threads or processes"))),
    }
}

#[larder::main]
fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
