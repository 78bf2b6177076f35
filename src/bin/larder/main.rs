//! The tool `larder`: what a cache holds, and what is done to one by hand. docs/tool.md is its page.
//!
//! Thin on purpose: each command asks the library and prints. Exit codes stand in [`failure`].

#![forbid(unsafe_code)]

mod args;
#[cfg(unix)]
mod bless;
mod blessings;
mod clear;
mod du;
mod failure;
mod ls;
mod open;
mod output;
mod plan;
mod prune;
mod rebuild;
mod run_show;
mod runs;
mod show;
mod stats;
mod transfer;
mod verify;
mod words;

use std::process::ExitCode;

use clap::ArgMatches;
use clap::error::ErrorKind;

use failure::{Failure, USAGE};
use output::Output;

fn main() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(words) => {
            // Who closed the pipe does not want to read it.
            let _ = words.print();
            let is_help = matches!(words.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if is_help { 0 } else { USAGE });
        }
    };
    let mut out = Output::new(matches.get_flag("json"));
    match run(&matches, &mut out).and_then(|code| out.end().map(|()| code)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(failure.say()),
    }
}

/// Runs the command, and answers the exit code of one that ended as it should.
fn run(matches: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let Some((command, args)) = matches.subcommand() else { return Err(Failure::usage("give a command")) };
    match command {
        "completions" => args::completions(args, out),
        "rebuild" => rebuild::run(&open::directory(matches)?, out),
        "import" => transfer::import(matches, args, out),
        "runs" => runs::run(&open::memory_or_ledgers(matches)?, args, out),
        _ => {
            let memory = open::memory(matches)?;
            match command {
                "ls" => ls::run(&memory, args, out),
                "show" => show::run(&memory, args, out),
                "stats" => stats::run(&memory, out),
                "du" => du::run(&memory, out),
                "plan" => plan::run(&memory, args, out),
                "prune" => prune::run(&memory, args, out),
                "clear" => clear::run(&memory, args, out),
                #[cfg(unix)]
                "bless" => bless::run(&memory, args, out),
                #[cfg(not(unix))]
                "bless" => {
                    Err(Failure::usage("programs cannot be started for it on this system: call `Cached::bless`"))
                }
                "verify" => verify::run(&memory, args, out),
                "export" => transfer::export(&memory, args, out),
                _ => Err(Failure::usage(format!("there is no command `{command}`"))),
            }
        }
    }
}
