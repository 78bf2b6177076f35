//! What happens in a run, as observers are told of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::backend::Backend;
use crate::memory::MissReason;
use crate::parallel::failure::{Failure, FailureKind};

/// Tells the runs of one program apart: each has a number of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

impl RunId {
    /// A number that no other run of this program has, from 1.
    pub(super) fn next() -> RunId {
        static LAST: AtomicU64 = AtomicU64::new(0);
        RunId(LAST.fetch_add(1, Relaxed) + 1)
    }

    /// Returns the bare number. Runs are numbered from 1 in the order in which they start.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened in a run; given to [`Observer::event`](crate::Observer::event).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The run it happened in: one observer may watch several, at once too.
    pub run: RunId,
    /// What the run is called: [`Parallel::label`](crate::Parallel::label), else the task's name or `map`.
    pub label: &'a str,
    /// When it happened, counted from the start of the run. Never less than that of the event before.
    pub at: Duration,
    /// What happened.
    pub kind: &'a EventKind,
}

/// What can happen in a run.
///
/// Workers are numbered from 0, as in a [`Snapshot`](crate::Snapshot); items by their place in the input, from 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// The run begins. The first event of each run.
    #[non_exhaustive]
    RunStarted {
        /// How many items there are, if the input says so.
        total: Option<u64>,
        /// How many workers there are at most.
        workers: usize,
        /// Where the calls run.
        backend: Backend,
    },
    /// The run is over. The last event of each run, and never dropped.
    #[non_exhaustive]
    RunEnded {
        /// How many items gave a result.
        completed: u64,
        /// How many failed, after all their attempts.
        failed: u64,
        /// Whether items were not run because a [`CancelToken`](crate::CancelToken) stopped the run.
        cancelled: bool,
        /// Whether every item of the input has a result.
        is_complete: bool,
        /// How long it took.
        elapsed: Duration,
    },
    /// A worker begins: a thread, or a process that was started for this run or had been kept from an earlier one.
    #[non_exhaustive]
    WorkerStarted {
        /// Its number. A process that takes the place of another has the same.
        worker: usize,
        /// The id of the process; `None` for a thread.
        pid: Option<u32>,
    },
    /// A worker has no more to do in this run. A process may be kept for the next one.
    #[non_exhaustive]
    WorkerEnded {
        /// Its number.
        worker: usize,
        /// The id of the process; `None` for a thread.
        pid: Option<u32>,
    },
    /// A worker process ended before it was told to, or was killed for what it did. What it had is run elsewhere.
    #[non_exhaustive]
    WorkerDied {
        /// Its number.
        worker: usize,
        /// The id of the process.
        pid: Option<u32>,
        /// How it ended, and what it said last.
        why: String,
    },
    /// A batch was dispatched. Worker processes may be sent one while they are at another.
    #[non_exhaustive]
    BatchStarted {
        /// Who has it.
        worker: usize,
        /// Its first item. The others follow it.
        index: usize,
        /// How many items it has.
        items: usize,
    },
    /// A batch is done, whole or in part. One that was lost with its process, or whose results cannot be read, does not end:
    /// what is left of it is dispatched again. Nor does one that a process had when the run was stopped.
    #[non_exhaustive]
    BatchEnded {
        /// Who had it.
        worker: usize,
        /// Its first item.
        index: usize,
        /// How many of its items came to an end, with a result or a failure.
        items: usize,
        /// How long the worker was at it.
        took: Duration,
    },
    /// A call begins. Only on threads, and for observers that [want tasks](crate::Observer::wants_tasks). One that is under
    /// way elsewhere is put off and begins again later.
    #[non_exhaustive]
    TaskStarted {
        /// Who runs it.
        worker: usize,
        /// Its item.
        index: usize,
    },
    /// A call gave a result, or the cache did. Only for observers that [want tasks](crate::Observer::wants_tasks).
    #[non_exhaustive]
    TaskEnded {
        /// Who ran it.
        worker: usize,
        /// Its item.
        index: usize,
        /// How long it took, with all its attempts. `None` on worker processes, where it is told with its batch.
        took: Option<Duration>,
    },
    /// A call failed for good.
    #[non_exhaustive]
    TaskFailed {
        /// Who ran it last.
        worker: usize,
        /// Its item.
        index: usize,
        /// How often it was run.
        attempts: u32,
        /// In what way it failed the last time.
        kind: FailureKind,
        /// The panic's or the error's own words.
        message: String,
    },
    /// A call failed and is run once more.
    #[non_exhaustive]
    TaskRetried {
        /// Who ran it.
        worker: usize,
        /// Its item.
        index: usize,
        /// Which attempt comes now: 2 for the first retry.
        attempt: u32,
        /// The words of the failure before.
        why: String,
    },
    /// Results were loaded from the [memory of the run](crate::Parallel::memory).
    ///
    /// Told on threads for each item when its call returns. On worker processes, items that the cache knew beforehand are
    /// told one by one, and those that it came to know during the run as a number for each batch.
    #[non_exhaustive]
    CacheHit {
        /// Who looked.
        worker: usize,
        /// The item, if known.
        index: Option<usize>,
        /// How many calls; 1 if the item is known.
        calls: u64,
    },
    /// The [memory of the run](crate::Parallel::memory) did not have a result, so it was computed.
    ///
    /// Told on threads for each item when its call returns; on worker processes as a number for each batch.
    #[non_exhaustive]
    CacheMiss {
        /// Who looked.
        worker: usize,
        /// The item, if known.
        index: Option<usize>,
        /// How many calls; 1 if the item is known.
        calls: u64,
        /// Why it was not there.
        reason: MissReason,
        /// Of [`CodeChanged`](MissReason::CodeChanged), the first item that changed since the newest other code, as
        /// `` `fn normalise` in src/stats.rs ``; `None` where that is not known, as of worker processes.
        changed: Option<String>,
    },
    /// Events that happened here were not kept: observers took longer than the run could wait.
    #[non_exhaustive]
    Dropped {
        /// How many.
        events: u64,
    },
}

/// A value of an event, by its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(Option<u64>),
    Flag(bool),
    /// In seconds.
    Time(Option<Duration>),
    Text(&'a str),
}

impl EventKind {
    /// Returns the name of the kind, as `run_started` or `cache_miss`: for logs and files.
    pub fn name(&self) -> &'static str {
        match self {
            EventKind::RunStarted { .. } => "run_started",
            EventKind::RunEnded { .. } => "run_ended",
            EventKind::WorkerStarted { .. } => "worker_started",
            EventKind::WorkerEnded { .. } => "worker_ended",
            EventKind::WorkerDied { .. } => "worker_died",
            EventKind::BatchStarted { .. } => "batch_started",
            EventKind::BatchEnded { .. } => "batch_ended",
            EventKind::TaskStarted { .. } => "task_started",
            EventKind::TaskEnded { .. } => "task_ended",
            EventKind::TaskFailed { .. } => "task_failed",
            EventKind::TaskRetried { .. } => "task_retried",
            EventKind::CacheHit { .. } => "cache_hit",
            EventKind::CacheMiss { .. } => "cache_miss",
            EventKind::Dropped { .. } => "dropped",
        }
    }

    /// An item failed for good.
    pub(crate) fn failed(failure: &Failure) -> EventKind {
        EventKind::TaskFailed {
            worker: failure.worker,
            index: failure.index,
            attempts: failure.attempts,
            kind: failure.kind(),
            message: failure.message().to_owned(),
        }
    }

    /// Hands its fields to `field` in the order in which they are declared, under the same names.
    pub(super) fn each_field(&self, mut field: impl FnMut(&'static str, Field<'_>)) {
        use Field::{Flag, Number, Text, Time};
        let count = |number: usize| Number(Some(number as u64));
        let maybe = |number: Option<usize>| Number(number.map(|number| number as u64));
        let id = |pid: Option<u32>| Number(pid.map(u64::from));
        match self {
            EventKind::RunStarted { total, workers, backend } => {
                field("total", Number(*total));
                field("workers", count(*workers));
                field("backend", Text(name_of(*backend)));
            }
            EventKind::RunEnded { completed, failed, cancelled, is_complete, elapsed } => {
                field("completed", Number(Some(*completed)));
                field("failed", Number(Some(*failed)));
                field("cancelled", Flag(*cancelled));
                field("is_complete", Flag(*is_complete));
                field("elapsed", Time(Some(*elapsed)));
            }
            EventKind::WorkerStarted { worker, pid } | EventKind::WorkerEnded { worker, pid } => {
                field("worker", count(*worker));
                field("pid", id(*pid));
            }
            EventKind::WorkerDied { worker, pid, why } => {
                field("worker", count(*worker));
                field("pid", id(*pid));
                field("why", Text(why));
            }
            EventKind::BatchStarted { worker, index, items } => {
                field("worker", count(*worker));
                field("index", count(*index));
                field("items", count(*items));
            }
            EventKind::BatchEnded { worker, index, items, took } => {
                field("worker", count(*worker));
                field("index", count(*index));
                field("items", count(*items));
                field("took", Time(Some(*took)));
            }
            EventKind::TaskStarted { worker, index } => {
                field("worker", count(*worker));
                field("index", count(*index));
            }
            EventKind::TaskEnded { worker, index, took } => {
                field("worker", count(*worker));
                field("index", count(*index));
                field("took", Time(*took));
            }
            EventKind::TaskFailed { worker, index, attempts, kind, message } => {
                field("worker", count(*worker));
                field("index", count(*index));
                field("attempts", Number(Some(u64::from(*attempts))));
                field("kind", Text(&snake_case(&format!("{kind:?}"))));
                field("message", Text(message));
            }
            EventKind::TaskRetried { worker, index, attempt, why } => {
                field("worker", count(*worker));
                field("index", count(*index));
                field("attempt", Number(Some(u64::from(*attempt))));
                field("why", Text(why));
            }
            EventKind::CacheHit { worker, index, calls } => {
                field("worker", count(*worker));
                field("index", maybe(*index));
                field("calls", Number(Some(*calls)));
            }
            EventKind::CacheMiss { worker, index, calls, reason, changed } => {
                field("worker", count(*worker));
                field("index", maybe(*index));
                field("calls", Number(Some(*calls)));
                field("reason", Text(&snake_case(&format!("{reason:?}"))));
                field("changed", changed.as_deref().map_or(Number(None), Text));
            }
            EventKind::Dropped { events } => field("events", Number(Some(*events))),
        }
    }
}

fn name_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Sequential => "sequential",
        Backend::Threads => "threads",
        Backend::Processes => "processes",
    }
}

/// The name of a variant without fields as it is written outside Rust: `NeverSeen` is `never_seen`.
fn snake_case(variant: &str) -> String {
    let mut name = String::with_capacity(variant.len() + 2);
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn runs_have_numbers_of_their_own() {
        let (first, second) = (RunId::next(), RunId::next());
        assert!(0 < first.as_u64() && first < second);
        assert_eq!(first.to_string(), first.as_u64().to_string());
    }

    #[test]
    fn fields_have_the_names_of_the_event() {
        let event =
            EventKind::CacheMiss { worker: 1, index: None, calls: 3, reason: MissReason::NeverSeen, changed: None };
        let mut fields = Vec::new();
        event.each_field(|name, field| fields.push(format!("{name} {field:?}")));
        assert_eq!(
            fields,
            [
                "worker Number(Some(1))",
                "index Number(None)",
                "calls Number(Some(3))",
                "reason Text(\"never_seen\")",
                "changed Number(None)"
            ]
        );
        assert_eq!(event.name(), "cache_miss");
    }
}
