//! What happens in a run, for `tracing`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level, Span, dispatcher, event, span};

use super::Snapshot;
use super::event::{Event, EventKind, RunId};
use super::observer::Observer;
use crate::lock::lock;

/// An [`Observer`] that hands what happens to [`tracing`]: a span for each run, and events in it. With the feature
/// `tracing`.
///
/// All have the target `larder`. The span is called `run` and has the fields `run`, `label`, `workers`, `total` and
/// `backend`. Events have the [name](EventKind::name) of what happened as their message, and its fields under the names that
/// [`EventKind`] has for them; times are seconds. Levels: a failure, a death and dropped events are WARN, a retry and the
/// beginning and end of a run INFO, batches, workers, the cache and the progress (every ten seconds) DEBUG, single tasks
/// TRACE (only [`with_tasks`](TracingObserver::with_tasks)).
///
/// Events come from the run's own thread, up to a tenth of a second late: the field `at` has the time in the run. They go to
/// the subscriber that was the default where this was made, else to that of the program.
///
/// # Examples
/// ```
/// use larder::{Parallel, TracingObserver};
///
/// let squares = Parallel::new().observer(TracingObserver::new()).map(0..100, |x| x * x)?;
/// # assert_eq!(squares.len(), 100);
/// # Ok::<(), larder::Error>(())
/// ```
pub struct TracingObserver {
    /// `None` if there was no subscriber yet.
    dispatch: Option<Dispatch>,
    spans: Mutex<HashMap<RunId, Span>>,
    tasks: bool,
}

impl TracingObserver {
    /// Hands on to the subscriber that is the default here.
    pub fn new() -> TracingObserver {
        let dispatch = dispatcher::get_default(Dispatch::clone);
        let dispatch = (!dispatch.is::<NoSubscriber>()).then_some(dispatch);
        TracingObserver { dispatch, spans: Mutex::default(), tasks: false }
    }

    /// Tells when each single item begins and ends, too: see [`Observer::wants_tasks`].
    pub fn with_tasks(self) -> TracingObserver {
        TracingObserver { tasks: true, ..self }
    }

    fn there<R>(&self, tell: impl FnOnce() -> R) -> R {
        match &self.dispatch {
            Some(dispatch) => dispatcher::with_default(dispatch, tell),
            None => tell(),
        }
    }

    fn span(&self, run: RunId) -> Span {
        lock(&self.spans).get(&run).cloned().unwrap_or_else(Span::none)
    }
}

impl Default for TracingObserver {
    fn default() -> TracingObserver {
        TracingObserver::new()
    }
}

impl Observer for TracingObserver {
    fn event(&self, event: &Event<'_>) {
        self.there(|| {
            if let EventKind::RunStarted { total, workers, backend } = *event.kind {
                let (run, label) = (event.run.as_u64(), event.label);
                let span = span!(
                    target: "larder", parent: None, Level::INFO, "run", run, label, workers, total, backend = ?backend
                );
                lock(&self.spans).insert(event.run, span);
            }
            tell(&self.span(event.run), event);
            if let EventKind::RunEnded { .. } = event.kind {
                lock(&self.spans).remove(&event.run);
            }
        });
    }

    fn tick(&self, now: &Snapshot<'_>) {
        let (done, total, rate, finished) = (now.done(), now.total(), now.rate(), now.finished());
        let (at, remaining) = (now.elapsed().as_secs_f64(), now.remaining().map(|left| left.as_secs_f64()));
        self.there(|| {
            let span = self.span(now.run());
            event!(
                target: "larder", parent: &span, Level::DEBUG, at, done, total, rate, remaining, finished, "progress"
            );
        });
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn wants_tasks(&self) -> bool {
        self.tasks
    }
}

impl fmt::Debug for TracingObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingObserver").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// The fields of an event must be known where it is made, so each kind has a place of its own.
fn tell(span: &Span, event: &Event<'_>) {
    let at = event.at.as_secs_f64();
    macro_rules! tell {
        ($level:ident, $($fields:tt)*) => {
            event!(target: "larder", parent: span, Level::$level, at, $($fields)*, "{}", event.kind.name())
        };
    }
    match event.kind {
        EventKind::RunStarted { total, workers, backend } => tell!(INFO, total, workers, backend = ?backend),
        EventKind::RunEnded { completed, failed, cancelled, is_complete, elapsed } => {
            tell!(INFO, completed, failed, cancelled, is_complete, elapsed = elapsed.as_secs_f64());
        }
        EventKind::WorkerStarted { worker, pid } | EventKind::WorkerEnded { worker, pid } => tell!(DEBUG, worker, pid),
        EventKind::WorkerDied { worker, pid, why } => tell!(WARN, worker, pid, why),
        EventKind::BatchStarted { worker, index, items } => tell!(DEBUG, worker, index, items),
        EventKind::BatchEnded { worker, index, items, took } => {
            tell!(DEBUG, worker, index, items, took = took.as_secs_f64());
        }
        EventKind::TaskStarted { worker, index } => tell!(TRACE, worker, index),
        EventKind::TaskEnded { worker, index, took } => {
            tell!(TRACE, worker, index, took = took.map(|took| took.as_secs_f64()));
        }
        EventKind::TaskFailed { worker, index, attempts, kind, message } => {
            // `message` is tracing's own word for what the event says of itself.
            tell!(WARN, worker, index, attempts, kind = ?kind, error = message.as_str());
        }
        EventKind::TaskRetried { worker, index, attempt, why } => tell!(INFO, worker, index, attempt, why),
        EventKind::CacheHit { worker, index, calls } => tell!(DEBUG, worker, index, calls),
        EventKind::CacheMiss { worker, index, calls, reason, changed } => {
            tell!(DEBUG, worker, index, calls, reason = ?reason, changed);
        }
        EventKind::Dropped { events } => tell!(WARN, events),
    }
}

#[cfg(test)]
mod test {
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;
    use crate::parallel::Parallel;

    /// A span or an event: its level and name or message, its parent, its fields as texts.
    #[derive(Clone, Debug, Default)]
    struct Seen {
        level: String,
        parent: Option<u64>,
        fields: BTreeMap<&'static str, String>,
    }

    impl Visit for Seen {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.fields.insert(field.name(), format!("{value:?}"));
        }
    }

    /// Keeps what it is told, of the target `larder` only.
    #[derive(Clone, Default)]
    struct Keeps {
        spans: Arc<Mutex<Vec<Seen>>>,
        events: Arc<Mutex<Vec<Seen>>>,
        /// How many handles of spans there are.
        handles: Arc<AtomicU64>,
    }

    impl Subscriber for Keeps {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "larder"
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            let mut seen = Seen { level: span.metadata().level().to_string(), ..Seen::default() };
            span.record(&mut seen);
            let mut spans = lock(&self.spans);
            spans.push(seen);
            self.handles.fetch_add(1, Relaxed);
            Id::from_u64(spans.len() as u64)
        }
        fn event(&self, event: &tracing::Event<'_>) {
            let parent = event.parent().map(Id::into_u64);
            let mut seen = Seen { level: event.metadata().level().to_string(), parent, ..Seen::default() };
            event.record(&mut seen);
            lock(&self.events).push(seen);
        }
        fn try_close(&self, _: Id) -> bool {
            self.handles.fetch_sub(1, Relaxed) == 1
        }
        fn clone_span(&self, id: &Id) -> Id {
            self.handles.fetch_add(1, Relaxed);
            id.clone()
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_run_is_a_span_with_events() {
        // As long as there is but one subscriber, tracing asks that of the thread which comes by a place first whether anyone
        // wants to hear of it: that may be the other test's, which has none, and it would be silent for good.
        let _another = Dispatch::new(Keeps::default());
        let keeps = Keeps::default();
        let observer = dispatcher::with_default(&Dispatch::new(keeps.clone()), TracingObserver::new);
        let parallel = Parallel::new().n_jobs(2).label("roots").observer(observer.with_tasks());
        parallel.try_map(0..100, |x| if x == 70 { Err("no 70") } else { Ok(x) }).unwrap_err();
        let (spans, events) = (lock(&keeps.spans).clone(), lock(&keeps.events).clone());
        let [span] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&*span.level, &*span.fields["label"], &*span.fields["total"]), ("INFO", "\"roots\"", "100"));
        assert!(events.iter().all(|event| event.parent == Some(1)), "{events:?}");
        let of = |name| events.iter().find(|event| event.fields["message"] == name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((&*of("run_started").level, &*of("run_started").fields["workers"]), ("INFO", "2"));
        assert_eq!((&*of("batch_ended").level, &*of("task_ended").level), ("DEBUG", "TRACE"));
        let failed = of("task_failed");
        assert_eq!((&*failed.level, &*failed.fields["index"], &*failed.fields["error"]), ("WARN", "70", "\"no 70\""));
        assert_eq!(of("progress").fields["finished"], "true");
        assert_eq!(events.last().map(|event| &*event.fields["message"]), Some("run_ended"));
        assert_eq!(keeps.handles.load(Relaxed), 0, "the span is closed with the run");
    }

    #[test]
    fn without_a_subscriber_nothing_is_told() {
        let observer = TracingObserver::new();
        assert_eq!(Parallel::new().n_jobs(1).observer(observer).map(0..10, |x| x).unwrap().len(), 10);
    }
}
