//! Whoever wants to know what happens in a run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::event::Event;
use super::reporter::{Draw, TICK};
use super::{ProgressCallback, Snapshot};
use crate::panics;
use crate::parallel::Parallel;
use crate::screen::print_line;

/// Is told what happens in a run, and how far it is. Added with [`Parallel::observer`].
///
/// Both methods do nothing unless they are written. They are called on one thread of the run, never two at a time for one
/// run; runs at once call them at once. Tasks never wait for them: what happens is kept until the thread gets to it, up to
/// 8,192 events; what comes then is dropped and counted ([`EventKind::Dropped`](crate::EventKind::Dropped)). An observer that
/// panics is not called again, which a line on stderr says. The end of the run waits until each observer was told of
/// it, but no longer than 5 seconds: an observer that blocks is then left alone with a line on stderr, and those behind it are
/// told when it comes back, if ever.
///
/// Per run the order is: [`RunStarted`](crate::EventKind::RunStarted), whatever happens, in the order in which it did, then
/// the last tick, for which [`Snapshot::finished`] is true, and [`RunEnded`](crate::EventKind::RunEnded). Each batch and
/// task that ended was started before, as far as it is told. Not promised: that an event comes at once (it takes up to a tenth
/// of a second), or the same events in another release.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
/// use std::sync::Arc;
///
/// use larder::{Event, EventKind, Observer, OnError, Parallel};
///
/// #[derive(Default)]
/// struct Failures(AtomicUsize);
///
/// impl Observer for Failures {
///     fn event(&self, event: &Event<'_>) {
///         if let EventKind::TaskFailed { index, message, .. } = event.kind {
///             println!("{}: item {index}: {message}", event.label);
///             self.0.fetch_add(1, Relaxed);
///         }
///     }
/// }
///
/// let failures = Arc::new(Failures::default());
/// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect).observer(Arc::clone(&failures));
/// let outcome = parallel.try_map_outcome(["1", "two", "3"], |text| text.parse::<u8>())?;
/// assert_eq!((failures.0.load(Relaxed), outcome.failures().len()), (1, 1));
/// # Ok::<(), larder::Error>(())
/// ```
pub trait Observer: Send + Sync {
    /// Is told of an event.
    fn event(&self, event: &Event<'_>) {
        let _ = event;
    }

    /// Is told how far the run is, now and then and at its end.
    fn tick(&self, now: &Snapshot<'_>) {
        let _ = now;
    }

    /// How long after one tick the next one comes. Default: a tenth of a second.
    fn every(&self) -> Duration {
        TICK
    }

    /// Whether it is to be told when each single item begins and ends. Default: no.
    ///
    /// That costs a fraction of a microsecond for each item, and the events of very quick items are more than can be kept.
    /// Failures and retries are told in any case. Asked once for each run.
    fn wants_tasks(&self) -> bool {
        false
    }
}

/// Several may share one.
impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn event(&self, event: &Event<'_>) {
        (**self).event(event);
    }
    fn tick(&self, now: &Snapshot<'_>) {
        (**self).tick(now);
    }
    fn every(&self) -> Duration {
        (**self).every()
    }
    fn wants_tasks(&self) -> bool {
        (**self).wants_tasks()
    }
}

impl Parallel {
    /// Tells an [`Observer`] what happens in each run: events, and how far it is. There may be several; they are told in the
    /// order in which they were added, beside the [`progress`](Parallel::progress) that is shown.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Parallel {
        self.options.observers.push(observer);
        self
    }
}

/// The observers of a [`Parallel`].
#[derive(Clone, Default)]
pub(crate) struct Observers(pub(super) Vec<Arc<dyn Observer>>);

impl Observers {
    pub(super) fn push(&mut self, observer: impl Observer + 'static) {
        self.0.push(Arc::new(observer));
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} observers", self.0.len())
    }
}

/// A progress callback is an observer of ticks.
impl Observer for ProgressCallback {
    fn tick(&self, now: &Snapshot<'_>) {
        (self.0)(now);
    }
}

/// Calls code of the user's, which may panic: then no more.
pub(super) struct Guarded<O> {
    observer: O,
    what: &'static str,
    label: String,
    has_panicked: bool,
    writes_to_stderr: bool,
    say: fn(&str),
}

impl<O: Observer> Guarded<O> {
    pub(super) fn new(observer: O, what: &'static str, label: &str) -> Guarded<O> {
        let label = label.to_owned();
        Guarded { observer, what, label, has_panicked: false, writes_to_stderr: false, say: print_line }
    }

    /// It is one of ours that writes to stderr, which then is no place to say that it blocks.
    pub(super) fn on_stderr(self) -> Guarded<O> {
        Guarded { writes_to_stderr: true, ..self }
    }

    fn guarded(&mut self, call: impl FnOnce(&O)) {
        if self.has_panicked {
            return;
        }
        if let Err(panic) = panics::catch(|| call(&self.observer)) {
            self.has_panicked = true;
            let Guarded { what, label, say, .. } = self;
            say(&super::lines::line(label, &format!("the {what} panicked and is not called again: {panic}")));
        }
    }
}

impl<O: Observer> Draw for Guarded<O> {
    fn draw(&mut self, snapshot: &Snapshot<'_>) {
        self.guarded(|observer| observer.tick(snapshot));
    }
    fn event(&mut self, event: &Event<'_>) {
        self.guarded(|observer| observer.event(event));
    }
    fn pause(&mut self) -> Duration {
        let mut pause = TICK;
        self.guarded(|observer| pause = observer.every());
        pause
    }
    fn name(&self) -> Option<&'static str> {
        (!self.writes_to_stderr).then_some(self.what)
    }
}

#[cfg(test)]
mod test {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::lock::lock;

    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn what_panics_is_called_once_and_reported_in_a_line() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let callback = ProgressCallback(Arc::new(move |_| {
            counted.fetch_add(1, Relaxed);
            panic!("no good");
        }));
        let mut guarded = Guarded::new(callback, "progress callback", "f");
        guarded.say = |line| lock(&SAID).push(line.to_owned());
        for _ in 0..3 {
            guarded.draw(&Snapshot::default());
        }
        assert_eq!(calls.load(Relaxed), 1);
        let said = lock(&SAID);
        let start = "larder: f: the progress callback panicked and is not called again: no good (at src/parallel/";
        assert!(said.len() == 1 && said[0].starts_with(start), "{said:?}");
    }

    #[test]
    fn a_shared_observer_answers_as_itself() {
        struct Particular;
        impl Observer for Particular {
            fn every(&self) -> Duration {
                Duration::from_secs(7)
            }
            fn wants_tasks(&self) -> bool {
                true
            }
        }
        let shared: Arc<dyn Observer> = Arc::new(Arc::new(Particular));
        assert_eq!((shared.every(), shared.wants_tasks()), (Duration::from_secs(7), true));
    }
}
