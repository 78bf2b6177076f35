//! How the tool fails: one line on stderr, and an exit code.

use std::fmt::Display;
use std::io::{self, Write};

/// Damage was found, or nothing where something was asked for.
pub(crate) const FOUND: u8 = 1;
/// The command line means nothing.
pub(crate) const USAGE: u8 = 2;
/// The directory is no cache, or the cache or a file cannot be opened.
pub(crate) const NOT_OPENED: u8 = 3;
/// It began, and failed.
pub(crate) const MIDWAY: u8 = 4;

/// Says something beside the output.
pub(crate) fn note(words: &str) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Why a command ends without what it is for.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// `None`: there is nobody to tell.
    words: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, words: impl Display) -> Failure {
        Failure { code, words: Some(words.to_string()) }
    }

    pub(crate) fn usage(words: impl Display) -> Failure {
        Failure::new(USAGE, words)
    }

    /// Says it, and answers the exit code.
    pub(crate) fn say(self) -> u8 {
        if let Some(words) = self.words {
            note(&format!("larder: {}", words.replace('\n', " ")));
        }
        self.code
    }
}

/// An error of the library, behind the opening.
impl From<larder::Error> for Failure {
    fn from(error: larder::Error) -> Failure {
        let code = match () {
            () if error.is_invalid_option() => USAGE,
            () if error.is_no_such_run() || error.is_run_live() => FOUND,
            () => MIDWAY,
        };
        Failure::new(code, error)
    }
}

/// An error of the output. Who reads no further, as `head` does, has what it wants.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure { code: 0, words: None },
            _ => Failure::new(MIDWAY, format!("writing the output failed: {error}")),
        }
    }
}
