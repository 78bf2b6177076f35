//! Time limits on threads.
//!
//! A thread cannot be broken off. So an item that takes too long is reported and left behind: its thread goes on, what it
//! gives in the end is dropped, and another thread takes its place among the workers. A run whose caller lent it
//! something ends only when the threads left behind do; a stream does not wait for them.

use std::sync::{Condvar, Mutex};
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::dispatch::Run;
use super::failure::{Cause, Failure, FailureKind, Lost};
use super::work::Work;
use crate::backend;
use crate::lock::{lock, whole};

/// The item that a worker is at.
struct Post {
    index: usize,
    attempts: u32,
    begun: Instant,
    arguments: Option<String>,
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

/// A limit that may come is looked for so often.
const LOOK: Duration = Duration::from_millis(20);

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
        *lock(&self.posts[worker]) = Some(Post { index, attempts, begun: Instant::now(), arguments });
    }

    /// A worker ended its item: how long it took, or `None` if it was left behind meanwhile.
    pub(super) fn end(&self, worker: usize, index: usize) -> Option<Duration> {
        // Who took this one's place may be at another item.
        lock(&self.posts[worker]).take_if(|post| post.index == index).map(|post| post.begun.elapsed())
    }

    /// A worker that was not left behind has nothing left to do.
    pub(super) fn leaves(&self) {
        lock(&self.state).active -= 1;
        self.changed.notify_all();
    }

    /// There are no workers after all.
    pub(super) fn end_watch(&self) {
        lock(&self.state).active = 0;
        self.changed.notify_all();
    }

    /// Whether threads are still at items that were given up.
    pub(super) fn has_left_behind(&self) -> bool {
        lock(&self.state).left_behind > 0
    }

    /// Looks after the workers of `run` until the last of them has nothing left to do.
    pub(super) fn watch<'scope, 'env, 's, 'r, W, I>(
        &self,
        scope: &'scope Scope<'scope, 'env>,
        run: &'scope Run<'s, 'r, W, I>,
    ) where
        W: Work,
        I: Iterator<Item = W::Item> + Send,
    {
        let mut state = lock(&self.state);
        while state.active > 0 {
            let limit = run.feed.task_limit();
            drop(state);
            let now = Instant::now();
            let mut next = LOOK;
            for worker in 0..self.posts.len() {
                let Some(limit) = limit else { break };
                let late = lock(&self.posts[worker]).take_if(|post| now.duration_since(post.begun) > limit);
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

    fn leave_behind<'scope, 'env, 's, 'r, W, I>(
        &self,
        scope: &'scope Scope<'scope, 'env>,
        run: &'scope Run<'s, 'r, W, I>,
        worker: usize,
        post: Post,
        limit: Duration,
    ) where
        W: Work,
        I: Iterator<Item = W::Item> + Send,
    {
        lock(&self.state).left_behind += 1;
        let Post { index, attempts, arguments, .. } = post;
        run.give_up(worker, timed_out(index, run.work.task(), arguments, worker, attempts + 1, limit));
        let takes_over = move || {
            backend::enter_worker_thread();
            run.worker(worker);
        };
        let named = std::thread::Builder::new().name(format!("larder-{worker}"));
        if named.spawn_scoped(scope, takes_over).is_err() {
            // The others do its share; were there none, what is left is not run and the run says so.
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
    Failure { index, task, arguments, worker, attempts, cause }
}
