//! What does a memory do? A function is called twice, and runs once.
//!
//! `cargo run --example square`, then again: the second time nothing is computed at all.

use std::process::ExitCode;

use larder::Memory;
use lexopt::prelude::*;

const HELP: &str = "\
Squares a number twice through a memory: computed once, then loaded.

Usage: square [--help]

The result stays in the folder `cache`, where the next run finds it. Delete the folder to begin afresh.";

#[larder::task]
fn square(x: f64) -> f64 {
    println!("  computing the square of {x}"); // imagine an hour here
    x * x
}

fn call_twice() -> larder::Result<()> {
    let memory = Memory::open("cache")?;
    let cached = memory.cached::<square>();
    println!("first call: {}", cached.call((3.0,)));
    println!("second call: {}", cached.call((3.0,)));
    println!("computed {}, loaded {}; kept in `cache`", memory.stats().misses(), memory.stats().hits());
    Ok(())
}

fn main() -> ExitCode {
    let (code, error) = match lexopt::Parser::from_env().next() {
        Ok(None) => match call_twice() {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (1, error.to_string()),
        },
        Ok(Some(Long("help") | Short('h'))) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Some(other)) => (2, format!("{}; there is only `--help`", other.unexpected())),
        Err(error) => (2, error.to_string()),
    };
    eprintln!("error: {error}");
    ExitCode::from(code)
}
