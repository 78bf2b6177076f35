//! Time limits on threads.
//!
//! A thread cannot be broken off. So an item that takes too long is reported and left behind: its thread goes on, what it
//! gives in the end is dropped, and another thread takes its place among the workers. A run whose caller lent it
//! something ends only when the threads left behind do; a stream does not wait for them.

use std::sync::{Condvar, Mutex};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::failure::{Cause, Failure, FailureKind, Lost};
use super::nesting::{self, Inside};
use super::stop::{LOOK, Stop};
use crate::backend;
use crate::error::{Error, Result};
use crate::lock::{lock, whole};

/// A run whose items are looked after.
pub(super) trait Watched: Sync {
    fn task_limit(&self) -> Option<Duration>;
    fn task(&self) -> Option<&'static str>;
    /// Reports an item whose thread is left behind.
    fn give_up(&self, failure: Failure);
    /// Works as this worker.
    fn worker(&self, worker: usize);
    /// There is no such worker any more.
    fn leaves(&self, worker: usize);
}

/// The item that a worker is at.
struct Post {
    index: usize,
    attempts: u32,
    /// `None` while it waits for its next attempt.
    begun: Option<Instant>,
    arguments: Option<String>,
}

/// What stands between two attempts at an item.
pub(super) struct Between<'r> {
    pub(super) stop: &'r Stop,
    /// Who looks after the item's time, and which it is.
    pub(super) watch: Option<(&'r Watch, usize, usize)>,
}

impl Between<'_> {
    /// Waits before another attempt, which is nobody's time; `false` if there is to be none.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let tell = |begins| self.watch.is_none_or(|(watch, worker, index)| watch.between(worker, index, begins));
        if !tell(false) {
            return false;
        }
        self.stop.pause(pause);
        !self.stop.is_stopped() && tell(true)
    }
}

/// What the workers of a run say of what they are at.
pub(super) struct Watch {
    posts: Vec<Mutex<Option<Post>>>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// So many workers are at work that were not left behind.
    active: usize,
    left_behind: usize,
}

impl Watch {
    pub(super) fn new(workers: usize) -> Watch {
        Watch {
            posts: (0..workers).map(|_| Mutex::default()).collect(),
            state: Mutex::new(State { active: workers, left_behind: 0 }),
            changed: Condvar::new(),
        }
    }

    /// A worker begins an item.
    pub(super) fn begin(&self, worker: usize, index: usize, attempts: u32, arguments: Option<String>) {
        *lock(&self.posts[worker]) = Some(Post { index, attempts, begun: Some(Instant::now()), arguments });
    }

    /// A worker ended its item: how long it took, or `None` if it was left behind meanwhile.
    pub(super) fn end(&self, worker: usize, index: usize) -> Option<Duration> {
        // Who took this one's place may be at another item.
        lock(&self.posts[worker])
            .take_if(|post| post.index == index)
            .map(|post| post.begun.map_or(Duration::ZERO, |begun| begun.elapsed()))
    }

    /// A worker waits before another attempt at its item, or begins that; `false` if it was left behind.
    fn between(&self, worker: usize, index: usize, begins: bool) -> bool {
        let mut post = lock(&self.posts[worker]);
        let Some(post) = post.as_mut().filter(|post| post.index == index) else { return false };
        post.begun = begins.then(Instant::now);
        post.attempts += u32::from(begins);
        true
    }

    /// Whether threads are still at items that were given up.
    pub(super) fn has_left_behind(&self) -> bool {
        lock(&self.state).left_behind > 0
    }

    /// A worker that was not left behind has nothing left to do.
    pub(super) fn leaves(&self) {
        lock(&self.state).active -= 1;
        self.changed.notify_all();
    }

    /// Has `crew` work at `run`, and looks after it. `left_behind` is called when all that is left to wait for are threads
    /// that were left behind.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn around(
        &self,
        run: &dyn Watched,
        crew: &dyn Fn() -> Result<()>,
        left_behind: &(dyn Fn() + Sync),
    ) -> Result<()> {
        std::thread::scope(|scope| {
            let watching = std::thread::Builder::new().name("larder-watch".to_owned());
            let here = nesting::here();
            let watching = watching.spawn_scoped(scope, move || {
                let _inside = Inside::at(here);
                self.watch(scope, run);
                if lock(&self.state).left_behind > 0 {
                    left_behind();
                }
            });
            watching.map_err(|error| {
                Error::resource("cannot start the thread that looks after `timeout_per_task`", error)
            })?;
            let ran = crew();
            if ran.is_err() {
                // Nobody came to work.
                lock(&self.state).active = 0;
                self.changed.notify_all();
            }
            ran
        })
    }

    /// Looks after the workers of `run` until the last of them has nothing left to do.
    fn watch<'scope, 'env>(&self, scope: &'scope Scope<'scope, 'env>, run: &'scope dyn Watched) {
        let mut state = lock(&self.state);
        while state.active > 0 {
            let limit = run.task_limit();
            drop(state);
            let now = Instant::now();
            let mut next = LOOK;
            for worker in 0..self.posts.len() {
                let Some(limit) = limit else { break };
                let late = lock(&self.posts[worker])
                    .take_if(|post| post.begun.is_some_and(|begun| now.duration_since(begun) > limit));
                match late {
                    Some(post) => self.leave_behind(scope, run, worker, post, limit),
                    None => next = next.min(limit / 4),
                }
            }
            state = lock(&self.state);
            if state.active > 0 {
                state = whole(self.changed.wait_timeout(state, next.max(Duration::from_millis(1)))).0;
            }
        }
    }

    fn leave_behind<'scope, 'env>(
        &self,
        scope: &'scope Scope<'scope, 'env>,
        run: &'scope dyn Watched,
        worker: usize,
        post: Post,
        limit: Duration,
    ) {
        lock(&self.state).left_behind += 1;
        let Post { index, attempts, arguments, .. } = post;
        run.give_up(timed_out(index, run.task(), arguments, worker, attempts + 1, limit));
        let here = nesting::here();
        let takes_over = move || {
            backend::enter_worker_thread();
            let _inside = Inside::at(here);
            run.worker(worker);
        };
        let named = std::thread::Builder::new().name(format!("larder-{worker}"));
        if named.spawn_scoped(scope, takes_over).is_err() {
            // The others do its share; were there none, what is left is not run and the run says so.
            run.leaves(worker);
            lock(&self.state).active -= 1;
        }
    }
}

/// An item that took too long, as a failure.
pub(super) fn timed_out(
    index: usize,
    task: Option<&'static str>,
    arguments: Option<String>,
    worker: usize,
    attempts: u32,
    limit: Duration,
) -> Failure {
    let message = format!(
        "it took longer than `timeout_per_task`, {limit:?}; a thread cannot be broken off, so what it gives is dropped"
    );
    let cause = Cause::Lost(Lost { kind: FailureKind::Timeout, message });
    Failure { index, task, arguments, worker, attempts, took: Some(limit), cause }
}
