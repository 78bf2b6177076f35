//! What the example programs share: options, errors with their exit codes, the clock.

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

/// Why a program ends before its work is done.
pub(crate) enum Stop {
    /// `--help` was given: this is its text.
    Help(&'static str),
    /// The options mean nothing. Exit code 2.
    Usage(String),
    /// The work failed. Exit code 1.
    Failed(String),
}

/// Ends the program: results went to stdout before, complaints go to stderr now.
pub(crate) fn exit(end: Result<(), Stop>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(Stop::Help(text)) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(Stop::Usage(words)) => {
            eprintln!("error: {words}\nfor the options, try `--help`");
            ExitCode::from(2)
        }
        Err(Stop::Failed(words)) => {
            eprintln!("error: {words}");
            ExitCode::FAILURE
        }
    }
}

/// The value that follows `option` on the command line.
pub(crate) fn value<T>(args: &mut lexopt::Parser, option: &str) -> Result<T, Stop>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = args.value()?;
    let text = text.to_string_lossy();
    text.parse().map_err(|error| Stop::Usage(format!("`{option} {text}`: {error}")))
}

/// Does the work and answers its result and how many seconds it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

impl From<lexopt::Error> for Stop {
    fn from(error: lexopt::Error) -> Stop {
        Stop::Usage(error.to_string())
    }
}

impl From<larder::Error> for Stop {
    fn from(error: larder::Error) -> Stop {
        if error.is_invalid_option() { Stop::Usage(error.to_string()) } else { Stop::Failed(error.to_string()) }
    }
}
