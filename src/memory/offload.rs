//! Work that blocks, on threads of its own: a task that is awaited must not hold up its executor's.
//!
//! The threads are the `blocking` crate's, which starts up to 500 of them and keeps them; some tens read and write as much
//! as the disk can. So no more jobs are under way at once, and the others are awaited for. What waits for other programs
//! or threads is counted apart, or a hundred such waits would stand in the way of the very results they wait for.

use async_lock::Semaphore;

/// Where a job belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// It reads or writes.
    Work,
    /// It waits for someone else, some milliseconds long.
    Wait,
}

/// So many jobs of a lane are under way at once.
const MOST: usize = 32;

impl Lane {
    fn permits(self) -> &'static Semaphore {
        static WORK: Semaphore = Semaphore::new(MOST);
        static WAIT: Semaphore = Semaphore::new(MOST);
        match self {
            Lane::Work => &WORK,
            Lane::Wait => &WAIT,
        }
    }

    /// What the job answers. A panic of it is the caller's.
    ///
    /// Dropped before that, a job that did not begin never does; one that did runs to its end, and its answer is dropped.
    pub(super) async fn run<R: Send + 'static>(self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let permit = self.permits().acquire().await;
        blocking::unblock(move || {
            // For as long as the thread is taken, whoever still awaits the answer.
            let _permit = permit;
            job()
        })
        .await
    }
}
