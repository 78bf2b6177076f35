//! The crate's error: opaque, with predicates.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::parallel::{Failure, Stopped};

/// The result of whatever can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation failed.
///
/// The kind is private, so that causes can be added; ask with the `is_*` predicates. Its text names the thing that
/// failed and, where there is something to do, what to do.
///
/// # Examples
/// ```
/// let error = larder::Parallel::new().n_jobs(0).map(0..3, |x| x).unwrap_err();
/// assert!(error.is_invalid_option());
/// assert_eq!(
///     error.to_string(),
///     "`n_jobs` is 0: give a number of workers, or -1 for every core, -2 for all but one"
/// );
/// ```
pub struct Error {
    kind: Box<Kind>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// An option has a value that means nothing. A retry cannot help.
    InvalidOption { what: String },
    /// A cache location cannot be used. A retry can help where the words say so.
    Location { path: PathBuf, what: String, reason: LocationReason, source: Option<Box<dyn StdError + Send + Sync>> },
    /// A stored result is wanted that is not there, or is something else.
    NotStored { what: String },
    /// A program has no entry for worker processes, or does not come to it. A retry cannot help.
    #[cfg(unix)]
    WorkerEntry { what: String },
    /// A worker process cannot do what it is for.
    #[cfg(unix)]
    Worker { what: String },
    /// A task of a run failed, and so many others.
    Task { failure: Failure, others: usize },
    /// A run ended early, with so many results.
    Stopped { why: Stopped, completed: u64 },
    /// A file of exported entries is damaged, or cannot be read or written.
    ExportedFile { what: String, source: Option<io::Error> },
    /// A named run would take longer than it may.
    TooCostly { what: String },
    /// There is no named run of this name.
    NoSuchRun { what: String },
    /// The ledger of a named run cannot be read or written.
    Ledger { what: String, source: io::Error },
    /// The machine refused a resource, such as a thread. A retry can help.
    Resource { what: String, source: Box<dyn StdError + Send + Sync> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocationReason {
    /// Input or output failed: permission, space, a file in the way.
    Io,
    /// The directory holds something else.
    Foreign,
    /// The cache was made by a newer release.
    NewerFormat,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Error {
        Error { kind: Box::new(kind) }
    }

    pub(crate) fn invalid_option(what: impl Into<String>) -> Error {
        Error::new(Kind::InvalidOption { what: what.into() })
    }

    /// A file of exported entries is not as it should be.
    pub(crate) fn exported_file(what: String, source: Option<io::Error>) -> Error {
        Error::new(Kind::ExportedFile { what, source })
    }

    /// The machine refuses what was wanted.
    pub(crate) fn resource(what: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error::new(Kind::Resource { what: what.into(), source: source.into() })
    }

    /// A run failed with this failure and so many others.
    pub(crate) fn failed(failure: Failure, others: usize) -> Error {
        Error::new(Kind::Task { failure, others })
    }

    pub(crate) fn stopped(why: Stopped, completed: u64) -> Error {
        Error::new(Kind::Stopped { why, completed })
    }

    pub(crate) fn too_costly(what: String) -> Error {
        Error::new(Kind::TooCostly { what })
    }

    pub(crate) fn ledger(what: String, source: io::Error) -> Error {
        Error::new(Kind::Ledger { what, source })
    }

    /// Whether a [named run](crate::NamedRun) would compute for longer than [`max_recompute`](crate::NamedRun::max_recompute)
    /// allows.
    pub fn is_too_costly(&self) -> bool {
        matches!(*self.kind, Kind::TooCostly { .. })
    }

    /// Whether the ledger of a [named run](crate::NamedRun) could not be read or written, or results could not be kept.
    pub fn is_ledger(&self) -> bool {
        matches!(*self.kind, Kind::Ledger { .. })
    }

    /// Whether there is no [named run](crate::NamedRun) of this name in the cache.
    pub fn is_no_such_run(&self) -> bool {
        matches!(*self.kind, Kind::NoSuchRun { .. })
    }

    /// Whether something was refused since a program is at the [named run](crate::NamedRun) just now. A retry after its end helps.
    pub fn is_run_live(&self) -> bool {
        matches!(&*self.kind, Kind::Ledger { source, .. } if source.kind() == io::ErrorKind::ResourceBusy)
    }

    /// Whether an option was given a value that means nothing.
    pub fn is_invalid_option(&self) -> bool {
        matches!(*self.kind, Kind::InvalidOption { .. })
    }

    /// Whether a cache location could not be opened or used.
    pub fn is_location(&self) -> bool {
        matches!(*self.kind, Kind::Location { .. })
    }

    fn is_location_for(&self, wanted: LocationReason) -> bool {
        matches!(*self.kind, Kind::Location { reason, .. } if reason == wanted)
    }

    /// Whether a location holds something that is not a cache.
    pub fn is_foreign_location(&self) -> bool {
        self.is_location_for(LocationReason::Foreign)
    }

    /// Whether a location was written by a newer release than this one.
    pub fn is_newer_format(&self) -> bool {
        self.is_location_for(LocationReason::NewerFormat)
    }

    /// Whether a file of [exported](crate::Memory::export) entries is damaged, or could not be read or written.
    pub fn is_exported_file(&self) -> bool {
        matches!(*self.kind, Kind::ExportedFile { .. })
    }

    /// Whether a [shelved](crate::Shelved) result is not there any more, or is of another type.
    pub fn is_not_stored(&self) -> bool {
        matches!(*self.kind, Kind::NotStored { .. })
    }

    /// Whether worker processes cannot be had since the program lacks [`init`](crate::init), or does not come to it.
    pub fn is_worker_entry(&self) -> bool {
        match &*self.kind {
            #[cfg(unix)]
            Kind::WorkerEntry { .. } => true,
            _ => false,
        }
    }

    /// Whether a run was stopped by its [`CancelToken`](crate::CancelToken).
    ///
    /// # Examples
    /// ```
    /// use larder::{CancelToken, Parallel};
    ///
    /// let token = CancelToken::new();
    /// token.cancel();
    /// let error = Parallel::new().cancel_token(&token).map(0..3, |x| x).unwrap_err();
    /// assert!(error.is_cancelled());
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the run was cancelled after 0 items: `Parallel::outcome` and its like give what was finished"
    /// );
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.is_stopped_by(Stopped::Cancelled)
    }

    /// Whether a run came to its [deadline](crate::Parallel::deadline).
    pub fn is_deadline(&self) -> bool {
        self.is_stopped_by(Stopped::Deadline)
    }

    /// Whether a run ended where it was to [halt](crate::Parallel::halt), without a failure.
    pub fn is_halted(&self) -> bool {
        self.is_stopped_by(Stopped::Halted)
    }

    fn is_stopped_by(&self, reason: Stopped) -> bool {
        matches!(*self.kind, Kind::Stopped { why, .. } if why == reason)
    }

    /// The failed task, if a task of a run failed; of several the one with the lowest index.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn root(x: f64) -> Result<f64, String> {
    ///     if x < 0.0 { Err(format!("{x} has no real root")) } else { Ok(x.sqrt()) }
    /// }
    ///
    /// let error = Parallel::new().n_jobs(2).run([4.0, -9.0].map(|x| delayed!(root(x)))).unwrap_err();
    /// let failure = error.task_failure().unwrap();
    /// assert_eq!((failure.index(), failure.arguments()), (1, Some("x = -9.0")));
    /// assert_eq!(failure.message(), "-9 has no real root");
    /// ```
    pub fn task_failure(&self) -> Option<&Failure> {
        match &*self.kind {
            Kind::Task { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// The failed task itself, or this error back.
    ///
    /// # Errors
    /// This error, if it is no task's failure.
    pub fn into_task_failure(self) -> std::result::Result<Failure, Error> {
        match *self.kind {
            Kind::Task { failure, .. } => Ok(failure),
            kind => Err(Error::new(kind)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::failed(failure, 0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            Kind::InvalidOption { what } | Kind::NotStored { what } | Kind::NoSuchRun { what } => f.write_str(what),
            #[cfg(unix)]
            Kind::WorkerEntry { what } | Kind::Worker { what } => f.write_str(what),
            Kind::Location { path, what, source, .. } => {
                write!(f, "the cache location `{}` {what}", path.display())?;
                match source {
                    Some(source) => write!(f, " ({source})"),
                    None => Ok(()),
                }
            }
            Kind::Task { failure, others } => failure.words(*others, f),
            Kind::Stopped { why, completed } => why.words(*completed, f),
            Kind::TooCostly { what } => f.write_str(what),
            Kind::Ledger { what, source } => write!(f, "{what} ({source})"),
            Kind::Resource { what, source } => write!(f, "{what} ({source})"),
            Kind::ExportedFile { what, source: Some(source) } => write!(f, "{what} ({source})"),
            Kind::ExportedFile { what, source: None } => f.write_str(what),
        }
    }
}

/// Programs print errors of `main` with `Debug`: it is the readable text, the causes behind it, and a panic's backtrace if
/// the program asks for backtraces.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.to_string();
        f.write_str(&said)?;
        let mut source = self.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            // Some texts hold their cause's already.
            if !said.contains(&words) {
                write!(f, ": {words}")?;
                said.push_str(&words);
            }
            source = cause.source();
        }
        match self.task_failure().and_then(Failure::panic).and_then(crate::Panic::backtrace) {
            Some(backtrace) => write!(f, "\n{backtrace}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &*self.kind {
            Kind::InvalidOption { .. } | Kind::NotStored { .. } | Kind::NoSuchRun { .. } => None,
            Kind::Stopped { .. } | Kind::TooCostly { .. } => None,
            Kind::Ledger { source, .. } => Some(source),
            #[cfg(unix)]
            Kind::WorkerEntry { .. } | Kind::Worker { .. } => None,
            // In the text too: most programs print an error and not its chain.
            Kind::Location { source, .. } => source.as_deref().map(|source| source as _),
            Kind::Task { failure, .. } => failure.source(),
            Kind::Resource { source, .. } => Some(&**source),
            Kind::ExportedFile { source, .. } => source.as_ref().map(|source| source as _),
        }
    }
}
