//! `larder clear`: all goes, or all of a function.

use std::io::{self, IsTerminal, Write};

use clap::ArgMatches;
use larder::Memory;
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::words::plain;

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let function = args.get_one::<String>("function");
    let is_of = |name: &str| function.is_none_or(|function| function == name);
    let there = memory.functions()?.into_iter().filter(|known| is_of(&known.name)).map(|known| known.entries).sum();
    let removed = match function {
        _ if !args.get_flag("yes") && !is_wanted(there, function)? => 0,
        Some(function) => memory.clear_function(function)?,
        None => {
            memory.clear()?;
            there
        }
    };
    if out.is_json() {
        out.document(&json!({ "entries": removed }))?;
    } else {
        out.line(&format!("removed {removed} entries"))?;
    }
    Ok(0)
}

/// Asks whoever sits there.
fn is_wanted(entries: u64, function: Option<&String>) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("clear removes results for good, and there is no terminal to ask on: give `--yes`"));
    }
    let of = function.map_or_else(|| "all functions".to_owned(), |function| format!("`{}`", plain(function)));
    let mut answer = String::new();
    write!(io::stderr(), "Remove {entries} entries of {of}? [y/N] ")?;
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
