//! The calling thread as the only worker.

pub(super) fn run(worker: &(dyn Fn(usize) + Sync)) {
    worker(0);
}
