//! Defaults for all runs in a scope, and what is used of them: each option is what the `Parallel` says, else what the scope
//! says, else the default. That is decided here, once for each run, on the thread that starts it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::Parallel;
use super::nesting::Inside;
use super::progress::Progress;
use crate::backend::Backend;
use crate::error::{Error, Result};

/// Where runs would rather be: a hint. See [`Parallel::prefer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prefer {
    /// On [threads](Backend::Threads): tasks that wait, or share much.
    Threads,
    /// In [worker processes](Backend::Processes), where they can be had.
    Processes,
}

/// What a run cannot do without. See [`Parallel::require`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Require {
    /// All tasks see the same memory: they change what they share, behind a lock or in an atomic.
    SharedMemory,
}

/// What was said about the backend without naming one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    prefer: Option<Prefer>,
    require: Option<Require>,
}

/// What a scope says; `None` is what it does not.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    n_jobs: Option<i32>,
    backend: Option<Backend>,
    progress: Option<Progress>,
    inner_threads: Option<usize>,
    temp_folder: Option<PathBuf>,
    hints: Hints,
}

thread_local! {
    /// All that the scopes around say together.
    static CURRENT: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

/// What holds on this thread.
fn current() -> Option<Rc<Settings>> {
    CURRENT.with_borrow(Clone::clone)
}

/// As long as it lives, these settings hold on this thread; then those before, whatever happened.
pub(super) struct Scope {
    before: Option<Rc<Settings>>,
}

impl Scope {
    pub(super) fn enter(settings: Option<Settings>) -> Scope {
        Scope { before: CURRENT.replace(settings.map(Rc::new)) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// Defaults for all runs in a scope: joblib's `parallel_config`.
///
/// [`scope`](Config::scope) calls a function; runs that it starts, however deep below, take from here what their
/// [`Parallel`] does not say itself. So a program decides how a library runs that it does not own. Scopes lie within each
/// other: what the inner one says holds there, the rest is the outer one's.
///
/// A scope belongs to its thread. Other threads that the function starts know nothing of it; nor do the tasks of a run,
/// wherever they run, be it on the calling thread: a run within a task is the task's own affair. A run takes what holds
/// when it starts.
///
/// # Examples
/// ```
/// use larder::{Parallel, effective_n_jobs};
///
/// fn of_a_library(x: u64) -> u64 {
///     Parallel::new().map(0..x, |y| y * y).unwrap().into_iter().sum()
/// }
///
/// let sums = larder::config().n_jobs(2).scope(|| {
///     assert_eq!(effective_n_jobs(None)?, 2);
///     Ok::<_, larder::Error>([of_a_library(10), of_a_library(100)]) // each on two threads
/// })?;
/// assert_eq!(sums, [285, 328_350]);
/// # Ok::<(), larder::Error>(())
/// ```
#[must_use = "settings hold within `scope` only"]
#[derive(Clone, Default)]
pub struct Config {
    settings: Settings,
    verbose: Option<u8>,
}

/// Defaults for a scope, of which none is set yet.
pub fn config() -> Config {
    Config::default()
}

impl Config {
    /// How many workers runs have that do not say so: see [`Parallel::n_jobs`]. 0 is an error when a run starts that takes it.
    pub fn n_jobs(mut self, n_jobs: i32) -> Config {
        self.settings.n_jobs = Some(n_jobs);
        self
    }

    /// Where calls run: see [`Parallel::backend`]. What cannot go to [processes](Backend::Processes), a closure, is an error there as it
    /// is with a backend of the run's own; [`prefer`](Config::prefer) leaves it on threads.
    pub fn backend(mut self, backend: Backend) -> Config {
        self.settings.backend = Some(backend);
        self
    }

    /// How progress is shown: see [`Parallel::progress`].
    pub fn progress(mut self, progress: Progress) -> Config {
        self.settings.progress = Some(progress);
        self
    }

    /// joblib's word for progress: 0 is none, more are [lines](Progress::Lines). A [`progress`](Config::progress) of the same
    /// `Config` is heeded in its place.
    pub fn verbose(mut self, verbose: u8) -> Config {
        self.verbose = Some(verbose);
        self
    }

    /// Where runs would rather be: see [`Parallel::prefer`].
    pub fn prefer(mut self, prefer: Prefer) -> Config {
        self.settings.hints.prefer = Some(prefer);
        self
    }

    /// What runs cannot do without: see [`Parallel::require`]. It is stronger than a backend that this scope or one around
    /// it names.
    pub fn require(mut self, require: Require) -> Config {
        self.settings.hints.require = Some(require);
        self
    }

    /// Where large payloads lie that go to worker processes: see [`Parallel::temp_folder`].
    pub fn temp_folder(mut self, folder: impl Into<PathBuf>) -> Config {
        self.settings.temp_folder = Some(folder.into());
        self
    }

    /// How many threads a task may use in a worker process: see [`Parallel::inner_threads`].
    pub fn inner_threads(mut self, threads: usize) -> Config {
        self.settings.inner_threads = Some(threads);
        self
    }

    /// Calls `f`; the runs that it starts on this thread take their defaults from here. When `f` returns or panics, what
    /// was before holds again.
    pub fn scope<R>(self, f: impl FnOnce() -> R) -> R {
        let outer = current();
        let _scope = Scope::enter(Some(self.over(outer.as_deref())));
        f()
    }

    /// All that holds in this scope.
    fn over(self, outer: Option<&Settings>) -> Settings {
        let Config { settings: inner, verbose } = self;
        let told = verbose.map(|verbose| if verbose == 0 { Progress::Off } else { Progress::Lines });
        let none = Settings::default();
        let outer = outer.unwrap_or(&none);
        Settings {
            n_jobs: inner.n_jobs.or(outer.n_jobs),
            backend: inner.backend.or(outer.backend),
            progress: inner.progress.or(told).or_else(|| outer.progress.clone()),
            inner_threads: inner.inner_threads.or(outer.inner_threads),
            temp_folder: inner.temp_folder.or_else(|| outer.temp_folder.clone()),
            hints: Hints {
                prefer: inner.hints.prefer.or(outer.hints.prefer),
                require: inner.hints.require.or(outer.hints.require),
            },
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { settings: Settings { n_jobs, backend, progress, inner_threads, temp_folder, hints }, verbose } =
            self;
        f.debug_struct("Config")
            .field("n_jobs", n_jobs)
            .field("backend", backend)
            .field("progress", progress)
            .field("verbose", verbose)
            .field("prefer", &hints.prefer)
            .field("require", &hints.require)
            .field("inner_threads", inner_threads)
            .field("temp_folder", temp_folder)
            .finish()
    }
}

/// What a run asks of its backend without naming one.
impl Parallel {
    /// Where the calls would rather run, if neither this `Parallel` nor a [scope](crate::Config::scope) names a
    /// [`backend`](Parallel::backend): joblib's `prefer`, a library's word on what suits its tasks.
    ///
    /// It is a hint, and never the reason for an error: closures, tasks that are not registered and programs without an
    /// [entry for workers](crate::init) run on threads with [`Prefer::Processes`] too. A [requirement](Parallel::require)
    /// of a scope is stronger.
    ///
    /// # Examples
    /// ```
    /// use larder::{Backend, Parallel, Prefer};
    ///
    /// let lengths = larder::config().backend(Backend::Sequential).scope(|| {
    ///     // The scope says where; the hint has nothing to say.
    ///     Parallel::new().prefer(Prefer::Threads).map(["a", "bc"], str::len)
    /// })?;
    /// assert_eq!(lengths, [1, 2]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn prefer(mut self, prefer: Prefer) -> Parallel {
        self.options.hints.prefer = Some(prefer);
        self
    }

    /// What the calls cannot do without: joblib's `require`. With [`Require::SharedMemory`] they run on threads even where a
    /// [scope](crate::Config::scope) names processes.
    ///
    /// Together with `Backend::Processes` or `Prefer::Processes` on the same `Parallel` it is an error when the run
    /// starts, and so is a scope's requirement with `Backend::Processes` on the `Parallel`. Unlike in joblib the number of workers is
    /// not changed by it.
    ///
    /// # Examples
    /// ```
    /// use larder::{Backend, Parallel, Require};
    /// use std::sync::Mutex;
    ///
    /// let seen = Mutex::new(Vec::new());
    /// larder::config().backend(Backend::Processes).scope(|| {
    ///     Parallel::new().require(Require::SharedMemory).map(0..3, |x| seen.lock().unwrap().push(x))
    /// })?;
    /// assert_eq!(seen.into_inner().unwrap().len(), 3);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn require(mut self, require: Require) -> Parallel {
        self.options.hints.require = Some(require);
        self
    }
}

/// A run that has begun on this thread: its `Parallel`, with nothing left open that a scope could say.
pub(super) struct Begun<'p> {
    given: &'p Parallel,
    resolved: Option<Parallel>,
    _inside: Inside,
}

impl Deref for Begun<'_> {
    type Target = Parallel;
    fn deref(&self) -> &Parallel {
        self.resolved.as_ref().unwrap_or(self.given)
    }
}

impl Parallel {
    /// A run begins. `can_cross` is asked whether what it runs could go to worker processes.
    ///
    /// # Errors
    /// Options contradict each other, or it is one run too many within each other.
    pub(super) fn begin(&self, can_cross: impl FnOnce() -> bool) -> Result<Begun<'_>> {
        let scope = current();
        let is_settled = scope.is_none() && self.options.hints == Hints::default();
        let resolved = if is_settled { None } else { Some(self.within(scope.as_deref(), can_cross)?) };
        Ok(Begun { given: self, resolved, _inside: Inside::enter()? })
    }

    /// As this `Parallel`, with what holds here, for a run that outlives the call it is asked for in.
    ///
    /// # Errors
    /// Options contradict each other.
    #[cfg(feature = "async")]
    pub(super) fn settled(&self) -> Result<Parallel> {
        self.within(current().as_deref(), || false)
    }

    fn within(&self, scope: Option<&Settings>, can_cross: impl FnOnce() -> bool) -> Result<Parallel> {
        let none = Settings::default();
        let scope = scope.unwrap_or(&none);
        let mut options = self.options.clone();
        options.backend = Some(backend(options.backend, options.hints, scope, can_cross)?);
        options.n_jobs = options.n_jobs.or(scope.n_jobs);
        options.progress = options.progress.or_else(|| scope.progress.clone());
        options.isolation.inner_threads = options.isolation.inner_threads.or(scope.inner_threads);
        options.isolation.temp_folder = options.isolation.temp_folder.or_else(|| scope.temp_folder.clone());
        Ok(Parallel { options, cores: Arc::clone(&self.cores), crew: Arc::clone(&self.crew) })
    }
}

/// How many workers a run has here that does not say so, and whether it has one only.
pub(super) fn n_jobs_here() -> (Option<i32>, bool) {
    current().map_or((None, false), |scope| {
        let backend = backend(None, Hints::default(), &scope, || true);
        (scope.n_jobs, matches!(backend, Ok(Backend::Sequential)))
    })
}

/// Where a run takes place: joblib's precedence.
fn backend(
    asked: Option<Backend>,
    hints: Hints,
    scope: &Settings,
    can_cross: impl FnOnce() -> bool,
) -> Result<Backend> {
    let shares_memory = |backend| backend != Backend::Processes;
    let require = hints.require.or(scope.hints.require);
    if let Some(asked) = asked {
        return match require {
            Some(require @ Require::SharedMemory) if !shares_memory(asked) => Err(Error::invalid_option(format!(
                "`backend` is `Backend::{asked:?}` and `require` is `Require::{require:?}`{}, which worker processes \
                 cannot give: leave out one of the two",
                if hints.require.is_none() { " in the scope around the run" } else { "" },
            ))),
            _ => Ok(asked),
        };
    }
    if let (Some(prefer @ Prefer::Processes), Some(require @ Require::SharedMemory)) = (hints.prefer, hints.require) {
        return Err(Error::invalid_option(format!(
            "`prefer` is `Prefer::{prefer:?}` and `require` is `Require::{require:?}`, which worker processes cannot give: \
             leave out one of the two"
        )));
    }
    Ok(match (require, scope.backend, hints.prefer.or(scope.hints.prefer)) {
        (Some(Require::SharedMemory), Some(backend), _) if shares_memory(backend) => backend,
        (Some(Require::SharedMemory), ..) => Backend::Threads,
        (None, Some(backend), _) => backend,
        (None, None, Some(Prefer::Processes)) if can_cross() => Backend::Processes,
        (None, None, Some(Prefer::Processes | Prefer::Threads)) => Backend::Threads,
        (None, None, None) => Backend::default(),
    })
}

#[cfg(test)]
mod test;
