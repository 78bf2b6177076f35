//! The options of worker processes: how they live, what they may use, when they are replaced.

use std::path::PathBuf;
use std::time::Duration;

use super::Parallel;
#[cfg(unix)]
use super::jobs::MAX_CPUS;
#[cfg(unix)]
use crate::backend::processes::{Spec, Surroundings};
use crate::error::{Error, Result};
use crate::key::identity;
#[cfg(unix)]
use crate::memory::{GLOBAL_VARIABLE, Memory};
use crate::task::{Delayed, Task, registry};
#[cfg(unix)]
use crate::wire::message::{Init, Setup, TaskName};

/// What a run asks of its worker processes. Unset ones have the documented default.
#[derive(Clone, Debug)]
pub(super) struct Isolation {
    pub(super) limit_memory_soft: Option<u64>,
    pub(super) limit_memory_hard: Option<u64>,
    pub(super) max_tasks_per_worker: Option<u64>,
    pub(super) idle_timeout: Duration,
    /// `None`: the cores of this machine, shared out.
    pub(super) inner_threads: Option<usize>,
    pub(super) cpu_affinity: bool,
    /// `None`: large things lie in memory only.
    pub(super) temp_folder: Option<PathBuf>,
    /// The name, the code and the encoded arguments of a task; or why it cannot be had.
    pub(super) worker_init: Option<std::result::Result<WorkerInit, String>>,
}

#[derive(Clone, Debug)]
pub(super) struct WorkerInit {
    pub(super) name: &'static str,
    pub(super) fingerprint: [u8; 32],
    pub(super) args: crate::codec::Encoded,
}

impl Default for Isolation {
    fn default() -> Isolation {
        Isolation {
            limit_memory_soft: None,
            limit_memory_hard: None,
            max_tasks_per_worker: None,
            // joblib's.
            idle_timeout: Duration::from_secs(300),
            inner_threads: None,
            cpu_affinity: false,
            temp_folder: None,
            worker_init: None,
        }
    }
}

impl Isolation {
    /// # Errors
    /// An option means nothing, or asks for what the system cannot do.
    pub(super) fn check(&self) -> Result<()> {
        let zero = |name: &str, instead: &str| Err(Error::invalid_option(format!("`{name}` is 0: {instead}")));
        if self.max_tasks_per_worker == Some(0) {
            return zero("max_tasks_per_worker", "a worker does at least one; leave it out for no limit");
        }
        if self.inner_threads == Some(0) {
            return zero("inner_threads", "a task has at least the thread that runs it");
        }
        for (name, limit) in
            [("limit_memory_soft", self.limit_memory_soft), ("limit_memory_hard", self.limit_memory_hard)]
        {
            let Some(limit) = limit else { continue };
            if limit < LEAST_MEMORY {
                return Err(Error::invalid_option(format!(
                    "`{name}` is {limit} bytes: a worker without work has some MB of its own, so give at least \
                     {LEAST_MEMORY}"
                )));
            }
            if cfg!(not(target_os = "linux")) {
                return Err(Error::invalid_option(format!(
                    "`{name}` cannot be watched over on this system: only on Linux is it known what a process uses"
                )));
            }
        }
        if let Some(folder) = &self.temp_folder
            && let Err(error) = tempfile::tempfile_in(folder)
        {
            return Err(Error::invalid_option(format!(
                "`temp_folder` is `{}`, and no file can be made there ({error}): give a folder that exists and can be \
                 written to",
                folder.display()
            )));
        }
        match &self.worker_init {
            Some(Err(words)) => Err(Error::invalid_option(words)),
            _ => Ok(()),
        }
    }
}

#[cfg(unix)]
impl Isolation {
    /// How each of so many workers is to be.
    pub(super) fn specs(&self, workers: usize, cores: usize) -> Vec<Spec> {
        let threads = self.inner_threads.unwrap_or((cores / workers.max(1)).max(1));
        let mut environment: Vec<_> = THREAD_VARIABLES
            .iter()
            .filter(|name| std::env::var_os(name).is_none())
            .map(|name| ((*name).to_owned(), threads.to_string().into()))
            .collect();
        // Whatever a task starts keeps to the share too.
        environment.push((MAX_CPUS.to_owned(), threads.to_string().into()));
        // A cached function in a worker uses the memory that it would use here.
        environment.extend(Memory::global_location().map(|path| (GLOBAL_VARIABLE.to_owned(), path.into_os_string())));
        let processors = if self.cpu_affinity { processors() } else { Vec::new() };
        let init = match &self.worker_init {
            Some(Ok(WorkerInit { name, fingerprint, args })) => Some(Init {
                task: TaskName { name: (*name).to_owned(), fingerprint: *fingerprint },
                codec: args.codec().into(),
                args: args.as_bytes().to_vec(),
            }),
            _ => None,
        };
        let surroundings = Surroundings::here();
        let spec = |worker: usize| {
            let affinity = processors.chunks_exact(threads).nth(worker).map(<[usize]>::to_vec).unwrap_or_default();
            let setup = Setup { has_board: false, cores: threads, affinity, init: init.clone() };
            Spec { environment: environment.clone(), surroundings: surroundings.clone(), setup }
        };
        (0..workers).map(spec).collect()
    }
}

/// What rayon, OpenMP and the usual numeric libraries read. joblib's list, and rayon's.
#[cfg(unix)]
const THREAD_VARIABLES: [&str; 8] = [
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
];

/// The processors that this process may use.
#[cfg(target_os = "linux")]
pub(super) fn processors() -> Vec<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).ok();
    allowed.map_or_else(Vec::new, |allowed| {
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect()
    })
}

#[cfg(all(unix, not(target_os = "linux")))]
fn processors() -> Vec<usize> {
    Vec::new()
}

/// Below that a worker would be replaced before its first task.
const LEAST_MEMORY: u64 = 16 << 20;

/// Options of [`Backend::Processes`](crate::Backend::Processes). Other backends have no use for them and leave them alone.
impl Parallel {
    /// The bytes beyond which a worker process is replaced once its current task is done: against leaks. Odoo's word.
    ///
    /// What counts is memory that is the worker's own: not its payloads, which all workers share. Linux only.
    pub fn limit_memory_soft(mut self, bytes: u64) -> Parallel {
        self.options.isolation.limit_memory_soft = Some(bytes);
        self
    }

    /// The bytes beyond which a worker process is killed at once, and its task reported with
    /// [`FailureKind::Memory`](crate::FailureKind::Memory). Odoo's word.
    ///
    /// It is looked at fifty times a second, so a task can go beyond it by what it takes in that time. A task that is
    /// killed so while others ran in the worker before it is run again in a new one first: the memory may not be its own.
    /// Counted as for [`limit_memory_soft`](Parallel::limit_memory_soft). Linux only.
    pub fn limit_memory_hard(mut self, bytes: u64) -> Parallel {
        self.options.isolation.limit_memory_hard = Some(bytes);
        self
    }

    /// After so many tasks a worker process is replaced. Default: never.
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> Parallel {
        self.options.isolation.max_tasks_per_worker = Some(tasks);
        self
    }

    /// How long a worker process without work is kept, for the next run of any `Parallel` with the same options. Default:
    /// five minutes. Zero: they end with the run.
    pub fn idle_timeout(mut self, timeout: Duration) -> Parallel {
        self.options.isolation.idle_timeout = timeout;
        self
    }

    /// How many threads a task may use in a worker process: rayon's, OpenMP's and those of the usual numeric libraries, told by
    /// their environment variables, unless the program's own environment has them. Runs within the task keep to it too.
    /// Default: the cores, shared out among the workers.
    pub fn inner_threads(mut self, threads: usize) -> Parallel {
        self.options.isolation.inner_threads = Some(threads);
        self
    }

    /// Binds each worker process to processors of its own, as many as it has threads, as far as there are enough. Linux only;
    /// elsewhere without effect.
    pub fn cpu_affinity(mut self, on: bool) -> Parallel {
        self.options.isolation.cpu_affinity = on;
        self
    }

    /// The folder in which large payloads and arguments lie that go to worker processes. Default: in memory only, where they
    /// take as much of it as they are long, once for all workers. joblib's word.
    ///
    /// For machines whose memory is too small for that: on a disk they take memory as far as there is some to spare. The files
    /// have no name in the folder and are gone with the program, however it ends. A payload that has crossed before stays
    /// where it is; results come back through memory. When the folder is full, they go through the socket.
    ///
    /// # Examples
    /// ```
    /// use larder::{Backend, Parallel};
    ///
    /// let parallel = Parallel::new().backend(Backend::Processes).temp_folder("/var/tmp");
    /// ```
    pub fn temp_folder(mut self, folder: impl Into<PathBuf>) -> Parallel {
        self.options.isolation.temp_folder = Some(folder.into());
        self
    }

    /// A call that each worker process makes once, before its first task: to load a model, open a connection, set a seed.
    ///
    /// Its arguments are encoded here and now; its result is dropped. If it fails, so does the run.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn load_model(path: &str) {
    ///     // into a `static` of the worker's
    /// }
    ///
    /// let parallel = Parallel::new().worker_init(delayed!(load_model("model.bin")));
    /// ```
    pub fn worker_init<T: Task>(mut self, call: Delayed<'_, T>) -> Parallel {
        let init = if registry::entry::<T>().is_none() {
            Err(not_registered::<T>())
        } else {
            call.encode()
                .map(|args| WorkerInit { name: identity::path_of::<T>(), fingerprint: T::FINGERPRINT, args })
                .map_err(|error| format!("the arguments of `worker_init`, `{}`, cannot be encoded: {error}", T::NAME))
        };
        self.options.isolation.worker_init = Some(init);
        self
    }
}

/// The words about a task that the registry does not have. The type of an instance of a generic function has arguments.
pub(super) fn not_registered<T: Task>() -> String {
    let task = T::NAME;
    let path = identity::path_of::<T>();
    if path.ends_with('>') {
        let short = task.rsplit("::").next().unwrap_or(task);
        return format!(
            "this instance of `{task}` is not known to worker processes: write `larder::register!({short}::<..>)` with its \
             types at the level of a module (the instance is `{path}`)"
        );
    }
    format!("`{task}` is not known to worker processes: write `#[cached(task)]` instead of `#[cached]`, or `#[task]`")
}
