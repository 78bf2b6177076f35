//! What does dispatching cost? The same approximation of pi, many times: in a plain loop, one task per dispatch, and
//! in batches.
//!
//! `cargo run --release --example pi_approximation -- --items 200 --jobs 2`; try `--order 2` for tasks so short that
//! the dispatch is what takes time.

mod common;

use std::hint::black_box;
use std::process::ExitCode;

use common::{Stop, timed};
use larder::{BatchSize, Parallel, delayed};
use lexopt::prelude::*;
use serde_json::json;

const HELP: &str = "\
Approximates pi many times: serially, one task per dispatch, and in batches.

Usage: pi_approximation [options]

Options:
  --items N   how many times [default: 1000]
  --order N   each time with 10^N terms of the Leibniz series, N up to 12 [default: 6]
  --jobs N    workers; -1 is every core, -2 all but one [default: -1]
  --json      print one JSON object
  --help      print this";

/// The Leibniz series: 4 - 4/3 + 4/5 - 4/7 ..., summed from the left.
#[larder::task]
fn approximate_pi(order: u32) -> f64 {
    let mut sum = 0.0;
    for k in 0..10_u64.pow(order) {
        let sign = if k % 2 == 0 { 4.0 } else { -4.0 };
        sum += sign / (2 * k + 1) as f64;
    }
    sum
}

fn run(options: &Options) -> Result<(), Stop> {
    let Options { items, order, .. } = *options;
    let in_batches = |size: BatchSize| {
        let workers = Parallel::new().n_jobs(options.jobs).batch_size(size);
        workers.run((0..items).map(|_| delayed!(approximate_pi(order))))
    };

    // Without the black box, the compiler might compute the one value once.
    let (in_a_loop, serial) = timed(|| -> Vec<f64> { (0..items).map(|_| approximate_pi(black_box(order))).collect() });
    let (one_by_one, individual) = timed(|| in_batches(BatchSize::Fixed(1)));
    let (in_bundles, batched) = timed(|| in_batches(BatchSize::Auto));

    let value = in_a_loop[0];
    for values in [in_a_loop, one_by_one?, in_bundles?] {
        if values.len() != items || values.iter().any(|other| *other != value) {
            return Err(Stop::Failed(format!("not every item is {value}")));
        }
    }

    if options.json {
        let seconds = json!({ "serial": serial, "individual": individual, "batched": batched });
        println!("{}", json!({ "items": items, "value": value, "seconds": seconds }));
        return Ok(());
    }
    println!("pi is about {value}, {items} times\n");
    println!("{:<12}{:>10}{:>10}", "", "seconds", "speed");
    for (name, seconds) in [("serial", serial), ("individual", individual), ("batched", batched)] {
        println!("{name:<12}{seconds:>10.4}{:>9.2}x", serial / seconds);
    }
    Ok(())
}

struct Options {
    items: usize,
    order: u32,
    jobs: i32,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let mut options = Options { items: 1000, order: 6, jobs: -1, json: false };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("items") => options.items = common::value(&mut args, "--items")?,
            Long("order") => options.order = common::value(&mut args, "--order")?,
            Long("jobs") => options.jobs = common::value(&mut args, "--jobs")?,
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Err(Stop::Help(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    if options.items == 0 {
        return Err(Stop::Usage("`--items 0`: give at least 1".to_owned()));
    }
    if options.order > 12 {
        return Err(Stop::Usage(format!("`--order {}`: 12 is the most; that takes an hour per item", options.order)));
    }
    larder::effective_n_jobs(options.jobs)?; // 0 means nothing, and is said before the work
    Ok(options)
}

fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
