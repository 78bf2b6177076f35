//! A rayon pool of the run's own.
//!
//! The global pool is never touched: the user's number of jobs is a promise about this run, and what the tasks do with
//! rayon themselves runs in this pool too, within that number.

use std::cell::Cell;

use crate::error::{Error, Result};

pub(super) struct Pool {
    pool: rayon::ThreadPool,
}

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread belongs to a run's pool.
pub(super) fn is_worker() -> bool {
    IS_WORKER.get()
}

/// This thread is one of a run's workers, though of no pool.
pub(super) fn enter() {
    IS_WORKER.set(true);
}

impl Pool {
    pub(super) fn new(workers: usize) -> Result<Pool> {
        // Whatever such a thread does, its own share or a part of a neighbour's task, it does for a run.
        let build = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|index| format!("larder-{index}"))
            .start_handler(|_| enter());
        match build.build() {
            Ok(pool) => Ok(Pool { pool }),
            Err(error) => {
                let what = format!("cannot start {workers} worker threads: ask for fewer with `n_jobs`");
                Err(Error::resource(what, error))
            }
        }
    }

    /// How many threads it has.
    pub(super) fn workers(&self) -> usize {
        self.pool.current_num_threads()
    }

    pub(super) fn run(&self, worker: &(dyn Fn(usize) + Sync)) {
        self.pool.broadcast(|context| worker(context.index()));
    }
}
