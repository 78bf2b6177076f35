//! What does it cost to send a large value along? Every item needs the same 200 MB: sent with each item, with each
//! batch of items, or once.
//!
//! `cargo run --release --example serial_vs_batched`. Worker processes must be sent what they work on; threads need not, as
//! `--backend threads` shows.

mod common;

use std::process::ExitCode;

use common::{Stop, timed};
use larder::{Backend, Bulk, Outcome, Parallel, Payload, delayed};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const HELP: &str = "\
Sends the same large payload with every item, with every batch of items, and once.

Usage: serial_vs_batched [options]

Options:
  --backend B  where the items are run: processes or threads [default: processes]
  --items N    how many items need the payload [default: 8]
  --batch N    how many of them make a batch [default: 4]
  --jobs N     workers; -1 is every core, -2 all but one [default: 2]
  --rows N     the payload is a block of rows x cols x depth numbers [default: 500]
  --cols N     [default: 500]
  --depth N    [default: 100]
  --json       print one JSON object
  --help       print this

What is sent to worker processes is held in memory: by the item or batch, several of which may be under way, or once.";

/// Rows x cols x depth numbers. A worker process uses them where they are, whichever way they came.
#[derive(Clone, Serialize, Deserialize)]
struct Block {
    row_len: usize,
    numbers: Bulk<f64>,
}

impl Block {
    fn row_mean(&self, row: usize) -> f64 {
        let numbers = &self.numbers[row * self.row_len..][..self.row_len];
        numbers.iter().sum::<f64>() / self.row_len as f64
    }
}

/// One item's work; the block is a part of its arguments.
#[larder::task]
fn row_mean(row: usize, block: &Block) -> f64 {
    block.row_mean(row)
}

/// Many items' work; the block is a part of the arguments that they have in common.
#[larder::task]
fn row_means(rows: &[usize], block: &Block) -> Vec<f64> {
    rows.iter().map(|row| block.row_mean(*row)).collect()
}

/// One item's work; the block is shared with all others.
#[larder::task]
fn shared_row_mean(row: usize, block: &Payload<Block>) -> f64 {
    block.row_mean(row)
}

/// One way to have the payload where it is needed.
struct Way {
    name: &'static str,
    means: Vec<f64>,
    bytes_encoded: u64,
    payload_encodings: u64,
    seconds: f64,
}

/// Whether calls have the block in their arguments, or share it.
#[derive(Clone, Copy, PartialEq)]
enum Carried {
    ByValue,
    Shared,
}

impl Way {
    fn measure<R>(
        name: &'static str,
        carried: Carried,
        run: impl FnOnce() -> larder::Result<Outcome<R>>,
        means: impl FnOnce(Vec<R>) -> Vec<f64>,
    ) -> Result<Way, Stop> {
        let (outcome, seconds) = timed(run);
        let outcome = outcome?;
        let report = outcome.report();
        let bytes_encoded = report.bytes_encoded;
        let payload_encodings = match carried {
            Carried::Shared => report.payload_encodings,
            // Each call that was encoded, if any was, had the block in it; one that was run again was encoded again.
            Carried::ByValue if bytes_encoded > 0 => report.items + report.retries,
            Carried::ByValue => 0,
        };
        Ok(Way {
            name,
            means: means(outcome.into_values().map_err(larder::Error::from)?),
            bytes_encoded,
            payload_encodings,
            seconds,
        })
    }

    fn as_json(&self) -> Value {
        let Way { bytes_encoded, payload_encodings, seconds, .. } = self;
        json!({ "bytes_encoded": bytes_encoded, "payload_encodings": payload_encodings, "seconds": seconds })
    }
}

fn run(options: &Options) -> Result<(), Stop> {
    let Options { backend, items, batch, jobs, rows, .. } = *options;
    let block = block(options)?;
    let payload_bytes = size_of_val(&*block.numbers);
    let wanted: Vec<usize> = (0..items).map(|item| item % rows).collect();

    // The calls of the first two ways go one by one: each has its own copy of the block.
    let workers = || Parallel::new().backend(backend).n_jobs(jobs);
    let one_by_one = workers().batch_size(1);
    // Workers are started before the clock is.
    let tiny = Block { row_len: 1, numbers: Bulk::from(vec![0.0]) };
    one_by_one.run((0..2 * items.min(8)).map(|_| delayed!(row_mean(0, &tiny))))?;

    let per_item = Way::measure(
        "per item",
        Carried::ByValue,
        || one_by_one.outcome(wanted.iter().map(|row| delayed!(row_mean(*row, &block)))),
        |means| means,
    )?;
    let per_batch = Way::measure(
        "per batch",
        Carried::ByValue,
        || one_by_one.outcome(wanted.chunks(batch).map(|rows| delayed!(row_means(rows, &block)))),
        |means| means.concat(),
    )?;
    let payload = Payload::new(block.clone());
    let once = Way::measure(
        "once",
        Carried::Shared,
        || workers().outcome(wanted.iter().map(|row| delayed!(shared_row_mean(*row, &payload)))),
        |means| means,
    )?;
    if per_item.means != once.means || per_batch.means != once.means {
        return Err(Stop::Failed("the three ways do not agree".to_owned()));
    }

    let backend = name_of(backend);
    if options.json {
        let report = json!({
            "items": items,
            "backend": backend,
            "payload_bytes": payload_bytes,
            "per_item": per_item.as_json(),
            "per_batch": per_batch.as_json(),
            "once": once.as_json(),
        });
        println!("{report}");
        return Ok(());
    }
    println!("{items} items on {backend} need a payload of {:.1} MB\n", payload_bytes as f64 / 1e6);
    println!("{:<12}{:>12}{:>14}{:>10}", "sent", "encodings", "MB encoded", "seconds");
    for way in [per_item, per_batch, once] {
        let megabytes = way.bytes_encoded as f64 / 1e6;
        println!("{:<12}{:>12}{megabytes:>14.1}{:>10.3}", way.name, way.payload_encodings, way.seconds);
    }
    Ok(())
}

const BACKENDS: [(&str, Backend); 2] = [("processes", Backend::Processes), ("threads", Backend::Threads)];

fn name_of(backend: Backend) -> &'static str {
    BACKENDS.iter().find(|(_, other)| *other == backend).map_or("another backend", |(name, _)| name)
}

fn backend(args: &mut lexopt::Parser) -> Result<Backend, Stop> {
    let text: String = common::value(args, "--backend")?;
    let found = BACKENDS.iter().find(|(name, _)| *name == text);
    found.map(|(_, backend)| *backend).ok_or_else(|| {
        Stop::Usage(format!("`--backend {text}`: there are {}", BACKENDS.map(|(name, _)| name).join(" and ")))
    })
}

/// The payload: numbers in [0, 1), the same in every run (xorshift64*, <https://en.wikipedia.org/wiki/Xorshift>).
fn block(options: &Options) -> Result<Block, Stop> {
    let Options { rows, cols, depth, .. } = *options;
    let too_large = || Stop::Usage(format!("{rows} x {cols} x {depth} numbers do not fit into memory"));
    let row_len = cols.checked_mul(depth).ok_or_else(too_large)?;
    let count = rows.checked_mul(row_len).ok_or_else(too_large)?;
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(count).map_err(|_| too_large())?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    numbers.extend((0..count).map(|_| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }));
    Ok(Block { row_len, numbers: numbers.into() })
}

struct Options {
    backend: Backend,
    items: usize,
    batch: usize,
    jobs: i32,
    rows: usize,
    cols: usize,
    depth: usize,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let mut options = Options {
        backend: Backend::Processes,
        items: 8,
        batch: 4,
        jobs: 2,
        rows: 500,
        cols: 500,
        depth: 100,
        json: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("backend") => options.backend = backend(&mut args)?,
            Long("items") => options.items = common::value(&mut args, "--items")?,
            Long("batch") => options.batch = common::value(&mut args, "--batch")?,
            Long("jobs") => options.jobs = common::value(&mut args, "--jobs")?,
            Long("rows") => options.rows = common::value(&mut args, "--rows")?,
            Long("cols") => options.cols = common::value(&mut args, "--cols")?,
            Long("depth") => options.depth = common::value(&mut args, "--depth")?,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Err(Stop::Help(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    larder::effective_n_jobs(options.jobs)?; // 0 means nothing, and is said before the work
    let Options { items, batch, rows, cols, depth, .. } = options;
    let counts = [("items", items), ("batch", batch), ("rows", rows), ("cols", cols), ("depth", depth)];
    match counts.iter().find(|(_, count)| *count == 0) {
        Some((option, _)) => Err(Stop::Usage(format!("`--{option} 0`: give at least 1"))),
        None => Ok(options),
    }
}

#[larder::main]
fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
