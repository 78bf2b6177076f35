//! A task that failed, as its caller sees it.

use std::error::Error as StdError;
use std::fmt;

use crate::panics::Panic;
use crate::task::TaskError;

/// Which call failed, and how.
#[derive(Debug)]
pub struct Failure {
    pub(crate) index: usize,
    pub(crate) task: Option<&'static str>,
    pub(crate) arguments: Option<String>,
    pub(crate) worker: usize,
    pub(crate) cause: Cause,
}

#[derive(Debug)]
pub(crate) enum Cause {
    Panicked(Panic),
    Erred(TaskError),
    /// The input iterator panicked where it should have given the item.
    Input(Panic),
}

impl Failure {
    /// The position of the call in the input, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The task's full name; `None` for a closure.
    pub fn task(&self) -> Option<&str> {
        self.task
    }

    /// A short text of the arguments, as `x = 1, table = [1.0, …]`; `None` for a closure's, which are only known to
    /// the closure.
    pub fn arguments(&self) -> Option<&str> {
        self.arguments.as_deref()
    }

    /// The worker that ran it, from 0.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// The panic's or the error's own words.
    pub fn message(&self) -> &str {
        match &self.cause {
            Cause::Panicked(panic) | Cause::Input(panic) => panic.message(),
            Cause::Erred(error) => error.message(),
        }
    }

    /// Where a panic happened, as `file:line:column`.
    pub fn location(&self) -> Option<&str> {
        self.panic().and_then(Panic::location)
    }

    /// Whether it panicked; otherwise the function returned an `Err`.
    pub fn is_panic(&self) -> bool {
        self.panic().is_some()
    }

    /// The panic, if it panicked.
    pub fn panic(&self) -> Option<&Panic> {
        match &self.cause {
            Cause::Panicked(panic) | Cause::Input(panic) => Some(panic),
            Cause::Erred(_) => None,
        }
    }

    /// Panics as the task did, with its own payload; for an `Err`, with its text.
    pub fn resume_panic(self) -> ! {
        match self.cause {
            Cause::Panicked(panic) | Cause::Input(panic) => panic.resume(),
            Cause::Erred(error) => panic!("{error}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Cause::Input(panic) = &self.cause {
            return write!(f, "the input iterator panicked at item {}: {panic}", self.index);
        }
        write!(f, "task {}", self.index)?;
        if let Some(task) = self.task {
            let name = task.rsplit("::").next().unwrap_or(task);
            write!(f, " `{name}({})`", self.arguments.as_deref().unwrap_or(""))?;
        }
        match &self.cause {
            Cause::Panicked(panic) => write!(f, " panicked on worker {}: {panic}", self.worker),
            Cause::Erred(error) => write!(f, " failed on worker {}: {error}", self.worker),
            Cause::Input(_) => Ok(()),
        }
    }
}

impl StdError for Failure {
    /// The task's own error, which can be downcast, where its type allows.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Erred(error) => error.source(),
            Cause::Panicked(_) | Cause::Input(_) => None,
        }
    }
}
