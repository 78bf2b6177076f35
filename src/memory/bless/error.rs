//! Why nothing is blessed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Why nothing was blessed: the cache is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlessError {
    pub(crate) kind: Kind,
}

/// A call whose result is another one now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// The call with its arguments, each as a short text.
    pub call: String,
    /// What is stored, as a short text.
    pub old: String,
    /// What came of it now: the value as a short text, or how the call failed.
    pub new: String,
    /// How many calls before it gave the same result as before.
    pub agreed: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Differs(Difference),
    /// The program has no such task; these have a similar name.
    UnknownFunction {
        function: String,
        similar: Vec<String>,
    },
    /// The function is known and cannot be called by name.
    NoTask {
        function: String,
    },
    NoEntries {
        function: String,
        wanted: Option<String>,
    },
    SameCode {
        function: String,
    },
    NoArguments {
        function: String,
        entries: u64,
    },
    OtherKeys {
        function: String,
        call: String,
    },
    Invalid(String),
    Program(String),
    /// The cache.
    Failed(String),
}

impl BlessError {
    pub(crate) fn new(kind: Kind) -> BlessError {
        BlessError { kind }
    }

    /// The call whose result is another one now, if that is why.
    pub fn difference(&self) -> Option<&Difference> {
        match &self.kind {
            Kind::Differs(difference) => Some(difference),
            _ => None,
        }
    }

    /// Whether there is nothing to bless: no such function, no entries of other code.
    pub fn is_nothing(&self) -> bool {
        matches!(self.kind, Kind::UnknownFunction { .. } | Kind::NoEntries { .. } | Kind::SameCode { .. })
    }

    /// Whether an option has a value that means nothing.
    pub fn is_invalid_option(&self) -> bool {
        matches!(self.kind, Kind::Invalid(_))
    }

    /// Whether the program that has the function could not be started, or is none.
    pub fn is_program(&self) -> bool {
        matches!(self.kind, Kind::Program(_))
    }
}

impl From<Error> for BlessError {
    fn from(error: Error) -> BlessError {
        BlessError::new(Kind::Failed(error.to_string()))
    }
}

impl fmt::Display for BlessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Differs(Difference { call, old, new, agreed }) => write!(
                f,
                "the meaning changed, so nothing is blessed: {call} was {old} and is {new} now ({agreed} calls before it \
                 gave what they gave)"
            ),
            Kind::UnknownFunction { function, similar } => {
                write!(f, "the program has no task `{function}`")?;
                match &similar[..] {
                    [] => f.write_str(": give the name that `larder ls` shows, of a function with `#[larder::task]`"),
                    similar => write!(f, ": is it `{}`?", similar.join("`, `")),
                }
            }
            Kind::NoTask { function } => write!(
                f,
                "`{function}` is not known by its name, so its calls cannot be made again: write `#[larder::task]`, or \
                 `#[larder::cached(task)]`, and `larder::register!` for an instance of a generic function"
            ),
            Kind::NoEntries { function, wanted: Some(code) } => {
                write!(f, "`{function}` has no entries of a code `{code}`: `larder ls --json` shows its codes")
            }
            Kind::NoEntries { function, wanted: None } => {
                write!(f, "`{function}` has no entries of other code: there is nothing to bless")
            }
            Kind::SameCode { function } => {
                write!(f, "`{function}` has this code now: its entries are found without a blessing")
            }
            Kind::NoArguments { function, entries } => write!(
                f,
                "none of the {entries} entries of `{function}` keeps its arguments, so none can be computed again: they are \
                 kept where they take up to 4 KiB, of a function that was `#[larder::task]` or `#[larder::cached(task)]` when \
                 it was called"
            ),
            Kind::OtherKeys { function, call } => write!(
                f,
                "the calls of `{function}` have other keys now, so that no old entry is ever found: its parameters, what of \
                 them is ignored or `key = ..` changed (seen at {call})"
            ),
            Kind::Invalid(words) | Kind::Program(words) | Kind::Failed(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for BlessError {}
