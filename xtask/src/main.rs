//! One checked command for everyone: `cargo xtask ci` is what decides whether a commit is good.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod step;
mod test;

use std::env;
use std::process::ExitCode;

const HELP: &str = "\
Usage: cargo xtask <command>

Commands:
  test          all tests: unit, integration and doc tests; examples are built
  ci            formatting, lints, tests, docs, dependencies, the README's command
  bench [name]  all benches, or the one of benches/<name>.rs

Options:
  -h, --help    print this text
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if args.iter().any(|arg| matches!(*arg, "-h" | "--help")) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let result = match *args {
        ["test"] => test::run(),
        ["ci"] => ci::run(),
        ["bench"] => bench::run(None),
        ["bench", name] => bench::run(Some(name)),
        [] => return usage("no command given"),
        [command, ..] => {
            return usage(&match command {
                "test" | "ci" | "bench" => format!("too many arguments for `{command}`"),
                _ => format!("unknown command `{command}`"),
            });
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("xtask: {problem}\n\n{HELP}");
    ExitCode::from(2)
}
