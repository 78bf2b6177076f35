//! Where the workers of a run live. Each backend starts a crew and returns when all of it is done; what the crew does
//! comes from [`crate::parallel::dispatch`], the same for all.

#[cfg(unix)]
pub(crate) mod processes;
mod sequential;
mod threads;

use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::lock::lock;
use crate::parallel::nesting::{self, Inside};

/// Where delayed calls run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// On the calling thread, one after the other: for debugging, and as a measure.
    Sequential,
    /// On a rayon pool of the `Parallel`'s own.
    #[default]
    Threads,
    /// In worker processes, for code that can crash, leak or hang, or must be limited. Unix only.
    ///
    /// A worker is this program started again, so `main` begins with [`init`](crate::init). Only delayed calls of tasks can
    /// cross: [`run`](crate::Parallel::run) and [`outcome`](crate::Parallel::outcome), not `map`. Arguments and results go
    /// side by side, a batch at a time; what many calls share goes once, as a [`Payload`](crate::Payload). A worker that dies
    /// costs nothing but the item that killed it, which is named; the others are run elsewhere. Workers end with the
    /// program, however it ends, and are kept for its next run.
    ///
    /// What a task prints comes line by line with its worker's number before it; who holds the lock of stdout or stderr over a
    /// run waits for workers that wait for it. A panic or an `Err` comes back as text, and a call that another one took along
    /// when it killed their worker is begun again. Within a worker, a run on processes is one
    /// on threads, and no run has more threads than the worker has [cores](crate::Parallel::inner_threads).
    Processes,
}

/// Whether this thread is a worker of a run, whose core a run within it has to do with.
pub(crate) fn is_worker_thread() -> bool {
    threads::is_worker()
}

/// This thread is a worker of a run from here on.
pub(crate) fn enter_worker_thread() {
    threads::enter();
}

/// What outlives a run: the pool, made at the first one.
#[derive(Default)]
pub(crate) struct Crew {
    /// Idle pools: as many as runs ever went on at once, but for those of other sizes that were in the way.
    idle: Mutex<Vec<threads::Pool>>,
}

impl Crew {
    /// Runs `worker` once for each of `workers` workers, all at once, and returns when the last returned.
    ///
    /// `worker` must not panic. On a thread of another run's pool there is no second crew: it does the work itself, so
    /// nested runs never have more threads than the outer one.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn run(&self, backend: Backend, workers: usize, worker: &(dyn Fn(usize) + Sync)) -> Result<()> {
        if backend == Backend::Sequential || workers == 1 || threads::is_worker() {
            sequential::run(worker);
            return Ok(());
        }
        // A run that meets another under way has a pool of its own: were it started by a task of the other, waiting for
        // the same threads would never end.
        let pool = match self.idle_pool(workers) {
            Some(pool) => pool,
            None => threads::Pool::new(workers)?,
        };
        let here = nesting::here();
        let run = || {
            pool.run(&|index| {
                let _inside = Inside::at(here);
                worker(index);
            });
        };
        if rayon::current_thread_index().is_some() {
            // A thread of the user's pool would do other work of that pool while it waits, on top of this run: with runs in
            // that work too, as deep as there are any.
            std::thread::scope(|scope| {
                let waits = std::thread::Builder::new().name("larder-run".to_owned()).spawn_scoped(scope, run);
                waits.map(drop).map_err(|error| Error::resource("cannot start the thread of a run", error))
            })?;
        } else {
            run();
        }
        self.idle().push(pool);
        Ok(())
    }

    /// A pool of this size. The number of workers is the same from run to run, unless scopes say different ones: then a
    /// pool of another size has to go, or there would be one for each that ever was.
    fn idle_pool(&self, workers: usize) -> Option<threads::Pool> {
        let mut idle = self.idle();
        match idle.iter().position(|pool| pool.workers() == workers) {
            Some(found) => Some(idle.swap_remove(found)),
            None => {
                let other = idle.pop();
                drop(idle);
                drop(other);
                None
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<threads::Pool>> {
        lock(&self.idle)
    }
}
