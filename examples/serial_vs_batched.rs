//! What does it cost to send a large value along? Every item needs the same 200 MB: sent with each item, with each
//! batch of items, or once.
//!
//! `cargo run --release --example serial_vs_batched`. Calls are turned into the bytes that a worker process would be
//! sent, and run from these bytes by the task's registered name, here in the same process.

mod common;

use std::process::ExitCode;

use common::{Stop, timed};
use larder::{Delayed, Parallel, Payload, Task, delayed, registry};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const HELP: &str = "\
Sends the same large payload with every item, with every batch of items, and once.

Usage: serial_vs_batched [options]

Options:
  --items N   how many items need the payload [default: 8]
  --batch N   how many of them make a batch [default: 4]
  --jobs N    workers; -1 is every core, -2 all but one [default: 2]
  --rows N    the payload is a block of rows x cols x depth numbers [default: 500]
  --cols N    [default: 500]
  --depth N   [default: 100]
  --json      print one JSON object
  --help      print this

A worker holds the payload twice while it runs an item or a batch: as bytes and as numbers.";

/// Rows x cols x depth numbers.
#[derive(Serialize, Deserialize)]
struct Block {
    row_len: usize,
    numbers: Vec<f64>,
}

/// One item's work.
#[larder::task]
fn row_mean(row: usize, block: &Payload<Block>) -> f64 {
    let numbers = &block.numbers[row * block.row_len..][..block.row_len];
    numbers.iter().sum::<f64>() / block.row_len as f64
}

/// Many items' work. The payload is shared among them and their workers: it is not encoded, nor copied.
#[larder::task]
fn row_means(rows: &[usize], block: &Payload<Block>, jobs: i32) -> larder::Result<Vec<f64>> {
    Parallel::new().n_jobs(jobs).run(rows.iter().map(|row| delayed!(row_mean(*row, block))))
}

/// A result, and how many bytes were sent for it.
type Sent<R> = (R, usize);

/// Makes a call as a worker process would be asked to: encoded, found by name, run, and its result decoded.
fn send<T: Task>(call: &Delayed<'_, T>) -> Result<Sent<T::Value>, String> {
    let args = call.encode().map_err(|error| error.to_string())?;
    let task = registry::entry::<T>().ok_or_else(|| format!("no task `{}`", T::NAME))?;
    let value = task.call(&args).map_err(|error| format!("`{}`: {error}", T::NAME))?;
    Ok((value.decode().map_err(|error| error.to_string())?, args.as_bytes().len()))
}

/// One way to have the payload where it is needed.
struct Way {
    name: &'static str,
    means: Vec<f64>,
    bytes_encoded: usize,
    payload_encodings: usize,
    seconds: f64,
}

impl Way {
    /// Measures `calls`, which answer what they computed and sent: each of them sent the payload once.
    fn measure<E>(name: &'static str, calls: impl FnOnce() -> Result<Vec<Sent<Vec<f64>>>, E>) -> Result<Way, Stop>
    where
        E: Into<Stop>,
    {
        let (sent, seconds) = timed(calls);
        let sent = sent.map_err(Into::into)?;
        let payload_encodings = sent.len();
        let bytes_encoded = sent.iter().map(|(_, bytes)| bytes).sum();
        let means = sent.into_iter().flat_map(|(means, _)| means).collect();
        Ok(Way { name, means, bytes_encoded, payload_encodings, seconds })
    }

    fn as_json(&self) -> Value {
        let Way { bytes_encoded, payload_encodings, seconds, .. } = self;
        json!({ "bytes_encoded": bytes_encoded, "payload_encodings": payload_encodings, "seconds": seconds })
    }
}

fn run(options: &Options) -> Result<(), Stop> {
    let Options { items, batch, jobs, rows, .. } = *options;
    let block = Payload::new(block(options)?);
    let payload_bytes = size_of_val(block.numbers.as_slice());
    let wanted: Vec<usize> = (0..items).map(|item| item % rows).collect();

    let workers = Parallel::new().n_jobs(jobs);
    let per_item = Way::measure("per item", || {
        workers.try_map(&wanted, |row| send(&delayed!(row_mean(*row, &block))).map(|(mean, bytes)| (vec![mean], bytes)))
    })?;
    let per_batch = Way::measure("per batch", || {
        workers.try_map(wanted.chunks(batch), |rows| send(&delayed!(row_means(rows, &block, 1))))
    })?;
    let once = Way::measure("once", || {
        let all = send(&delayed!(row_means(&wanted, &block, jobs))).map_err(Stop::Failed)?;
        Ok::<_, Stop>(vec![all])
    })?;
    if per_item.means != once.means || per_batch.means != once.means {
        return Err(Stop::Failed("the three ways do not agree".to_owned()));
    }

    if options.json {
        let report = json!({
            "items": items,
            "payload_bytes": payload_bytes,
            "per_item": per_item.as_json(),
            "per_batch": per_batch.as_json(),
            "once": once.as_json(),
        });
        println!("{report}");
        return Ok(());
    }
    println!("{items} items need a payload of {:.1} MB\n", payload_bytes as f64 / 1e6);
    println!("{:<12}{:>12}{:>14}{:>10}", "sent", "encodings", "MB encoded", "seconds");
    for way in [per_item, per_batch, once] {
        let megabytes = way.bytes_encoded as f64 / 1e6;
        println!("{:<12}{:>12}{megabytes:>14.1}{:>10.3}", way.name, way.payload_encodings, way.seconds);
    }
    Ok(())
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
    Ok(Block { row_len, numbers })
}

struct Options {
    items: usize,
    batch: usize,
    jobs: i32,
    rows: usize,
    cols: usize,
    depth: usize,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let mut options = Options { items: 8, batch: 4, jobs: 2, rows: 500, cols: 500, depth: 100, json: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
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

fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
