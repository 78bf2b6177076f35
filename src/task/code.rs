//! What decides a function's result beside its own words: what the build answers, what is read when it is called.

use std::fmt;

/// Something that a function's code asks of the build, and the answer: part of every cache key.
///
/// A `cfg` is asked whether it holds, an `env!` for the value of its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// What is asked, as `cfg(feature = "fast")` or `env PROFILE`.
    pub name: &'static str,
    /// The answer: `set` for a `cfg` that holds, the value of a variable; `None` for one that does not hold or is not set.
    pub value: Option<&'static str>,
}

impl Setting {
    #[doc(hidden)]
    pub const fn new(name: &'static str, value: Option<&'static str>) -> Setting {
        Setting { name, value }
    }
}

/// Something outside of the program that a function reads: `depends(file = "..", env = "..")` of the attributes. It is looked at
/// when a call is made, and what is there then is part of the call's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Input {
    /// A file, by its content. A path that is not absolute is relative to the current directory, as for the function itself.
    File(&'static str),
    /// A variable of the environment, by its value.
    Env(&'static str),
}

/// `file data/model.bin`, `env MODEL`: no parameter is called so.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::File(path) => write!(f, "file {path}"),
            Input::Env(name) => write!(f, "env {name}"),
        }
    }
}

/// The compiler that built this program, and its target.
pub(crate) const TOOLCHAIN: &str = env!("LARDER_TOOLCHAIN");
