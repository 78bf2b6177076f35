//! A task that failed, as its caller sees it.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::panics::Panic;
use crate::task::TaskError;
#[cfg(unix)]
use crate::wire::message::Exception;

/// What a run does about a task that fails.
///
/// # Examples
/// ```
/// use larder::{OnError, Parallel};
///
/// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
/// let outcome = parallel.try_map_outcome(["1", "two", "3", "four"], |text| text.parse::<u8>())?;
/// assert_eq!(outcome.results(), [Some(1), None, Some(3), None]);
///
/// let error = outcome.into_values().unwrap_err();
/// assert_eq!(
///     error.to_string().split_once(" on worker").unwrap().0,
///     "task 1 failed"
/// );
/// assert!(error.to_string().ends_with("invalid digit found in string (and 1 more failed)"));
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnError {
    /// The first failure ends the run: no further item is started.
    #[default]
    FailFast,
    /// All other items are run. [`Parallel::outcome`](crate::Parallel::outcome) and its like then give every result and
    /// every failure; [`Parallel::run`](crate::Parallel::run) and its like only the failure with the lowest index.
    Collect,
    /// As [`Collect`](OnError::Collect), until so many items have failed: then no further item is started. 1 is
    /// [`FailFast`](OnError::FailFast) that keeps what was finished; 0 is an error when the run starts.
    MaxFailures(u64),
}

impl OnError {
    /// Whether the other items are run when one fails.
    pub(super) fn goes_on(self) -> bool {
        self != OnError::FailFast
    }

    /// Whether a run in which so many items failed is over.
    pub(super) fn ends_at(self, failed: u64) -> bool {
        match self {
            OnError::FailFast => failed > 0,
            OnError::MaxFailures(most) => failed >= most,
            OnError::Collect => false,
        }
    }
}

/// What is said of [`OnError::MaxFailures`] of 0.
pub(super) const NO_FAILURES: &str =
    "`OnError::MaxFailures` is 0: a run ends after at least 1 failure; give a number of at least 1";

/// Which call failed, and how.
#[derive(Debug)]
pub struct Failure {
    pub(crate) index: usize,
    pub(crate) task: Option<&'static str>,
    pub(crate) arguments: Option<String>,
    pub(crate) worker: usize,
    /// 0 where it never ran.
    pub(crate) attempts: u32,
    /// How long it ran, where that was measured.
    pub(crate) took: Option<Duration>,
    pub(crate) cause: Cause,
}

/// In what way a task failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It panicked.
    Panic,
    /// It returned an `Err`.
    Error,
    /// The input iterator panicked where it should have given the item. Nothing behind it was read.
    Input,
    /// The worker process that ran it died. Not on threads.
    Death,
    /// It took longer than it was given.
    Timeout,
    /// It took more memory than it was given. Not on threads.
    Memory,
    /// Its arguments or its result could not be encoded or decoded.
    Serialization,
}

#[derive(Debug)]
pub(crate) enum Cause {
    Panicked(Panic),
    Erred(TaskError),
    /// The input iterator panicked where it should have given the item.
    Input(Panic),
    /// Neither the function's panic nor its error: what happened around it.
    Lost(Lost),
}

/// What kept a call from giving a result.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) kind: FailureKind,
    /// What happened and what to do about it, in words.
    pub(crate) message: String,
}

impl Cause {
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Cause::Panicked(_) => FailureKind::Panic,
            Cause::Erred(_) => FailureKind::Error,
            Cause::Input(_) => FailureKind::Input,
            Cause::Lost(lost) => lost.kind,
        }
    }

    /// The panic's or the error's own words.
    pub(crate) fn message(&self) -> &str {
        match self {
            Cause::Panicked(panic) | Cause::Input(panic) => panic.message(),
            Cause::Erred(error) => error.message(),
            Cause::Lost(lost) => &lost.message,
        }
    }

    /// The task's own error, where its type allows.
    pub(super) fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Cause::Erred(error) => error.source(),
            Cause::Panicked(_) | Cause::Input(_) | Cause::Lost(_) => None,
        }
    }
}

#[cfg(unix)]
impl Cause {
    /// What a worker says of a call without a result; `None` if it was not made.
    pub(crate) fn from_exception(exception: Exception) -> Option<Cause> {
        match exception {
            Exception::Busy => None,
            Exception::Erred(message) => Some(Cause::Erred(TaskError::from_message(message))),
            Exception::Panicked { message, location, backtrace } => {
                Some(Cause::Panicked(Panic::told(message, location, backtrace)))
            }
        }
    }
}

impl Failure {
    /// The position of the call in the input, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The task's full name; `None` for a closure, `fetch_pages` for a page.
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

    /// How often it was run: more than once only with [`Parallel::retries`](crate::Parallel::retries), and 0 if the input
    /// did not give the item, or another program of a [named run](crate::NamedRun) has seen it fail. What is told of a failure is told of the last attempt.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// In what way it failed.
    ///
    /// # Examples
    /// ```
    /// use larder::{FailureKind, Parallel};
    ///
    /// let error = Parallel::new().try_map([1], |_| -> Result<(), _> { Err("no") }).unwrap_err();
    /// assert_eq!(error.task_failure().unwrap().kind(), FailureKind::Error);
    /// ```
    pub fn kind(&self) -> FailureKind {
        self.cause.kind()
    }

    /// The panic's or the error's own words.
    pub fn message(&self) -> &str {
        self.cause.message()
    }

    /// Where a panic happened, as `file:line:column`.
    pub fn location(&self) -> Option<&str> {
        self.panic().and_then(Panic::location)
    }

    /// Whether it panicked, or the input did.
    pub fn is_panic(&self) -> bool {
        self.panic().is_some()
    }

    /// The panic, if it panicked.
    pub fn panic(&self) -> Option<&Panic> {
        match &self.cause {
            Cause::Panicked(panic) | Cause::Input(panic) => Some(panic),
            Cause::Erred(_) | Cause::Lost(_) => None,
        }
    }

    /// This failure, and how many others there are.
    pub(crate) fn words(&self, others: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match others {
            0 => fmt::Display::fmt(self, f),
            _ => write!(f, "{self} (and {others} more failed)"),
        }
    }

    /// Panics as the task did, with its own payload; where it did not panic, with its text.
    pub fn resume_panic(self) -> ! {
        match self.cause {
            Cause::Panicked(panic) | Cause::Input(panic) => panic.resume(),
            Cause::Erred(error) => panic!("{error}"),
            Cause::Lost(lost) => panic!("{}", lost.message),
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
        f.write_str(if self.kind() == FailureKind::Panic { " panicked" } else { " failed" })?;
        write!(f, " on worker {}", self.worker)?;
        if self.attempts > 1 {
            write!(f, " in attempt {}", self.attempts)?;
        }
        match &self.cause {
            Cause::Panicked(panic) | Cause::Input(panic) => write!(f, ": {panic}"),
            Cause::Erred(error) => write!(f, ": {error}"),
            Cause::Lost(lost) => write!(f, ": {}", lost.message),
        }
    }
}

impl StdError for Failure {
    /// The task's own error, which can be downcast, where its type allows.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_is_known_of_it() {
        let failure = |cause, attempts| Failure {
            index: 3,
            task: Some("a::b::f"),
            arguments: Some("x = 1".to_owned()),
            worker: 2,
            attempts,
            took: None,
            cause,
        };
        let erred = failure(Cause::Erred(TaskError::from_message("no".to_owned())), 1);
        assert_eq!(erred.to_string(), "task 3 `f(x = 1)` failed on worker 2: no");
        let lost = Lost { kind: FailureKind::Timeout, message: "it took too long".to_owned() };
        let lost = failure(Cause::Lost(lost), 4);
        assert_eq!(lost.to_string(), "task 3 `f(x = 1)` failed on worker 2 in attempt 4: it took too long");
        assert_eq!((lost.kind(), lost.message(), lost.is_panic()), (FailureKind::Timeout, "it took too long", false));
        assert!(lost.source().is_none() && lost.location().is_none());
    }
}
