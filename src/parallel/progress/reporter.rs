//! The thread that draws and tells.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::bars::Bars;
use super::event::{Event, EventKind, RunId};
use super::json::JsonLines;
use super::lines::{Lines, line};
use super::mailbox::{CameTo, Mailbox, Posted, Taken};
use super::observer::{Guarded, Observer, Observers};
use super::speed::Speed;
use super::{Meter, Progress, Snapshot, Stage, tell};
use crate::backend::Backend;
use crate::parallel::failure::{Cause, Failure};
use crate::screen::print_line;

/// The pause between two pictures, between two calls of a callback, and until events are handed on.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// So long the end of a run waits for those who watch it.
const PATIENCE: Duration = Duration::from_secs(5);

/// One way of showing or telling what happens.
pub(super) trait Draw: Send {
    /// Shows one state; the last one is finished.
    fn draw(&mut self, snapshot: &Snapshot<'_>);

    /// Tells of an event.
    fn event(&mut self, _event: &Event<'_>) {}

    /// How long to wait before the next state.
    fn pause(&mut self) -> Duration {
        TICK
    }

    /// What a line on stderr calls it that says that it blocks. `None` for what writes to stderr itself.
    fn name(&self) -> Option<&'static str> {
        None
    }
}

/// What is to be shown and told of a run, and of which.
pub(crate) struct Plan<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) observers: &'a Observers,
    pub(crate) label: &'a str,
    pub(crate) total: Option<u64>,
    pub(crate) workers: usize,
    pub(crate) backend: Backend,
}

/// A run that is shown or observed.
pub(crate) struct Watched {
    pub(crate) meter: Arc<Meter>,
    mailbox: Arc<Mailbox>,
    patience: Duration,
    label: String,
    /// What each shown one is called, if it blocks.
    names: Vec<Option<&'static str>>,
    /// `None` once stopped.
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    /// Starts to report. `None` when there is nobody to report to, or when the system gives no thread for it: the run
    /// matters more.
    pub(crate) fn start(plan: &Plan<'_>) -> Option<Watched> {
        let Plan { progress, observers, label, total, workers, .. } = *plan;
        let label = label.replace(char::is_control, " ");
        let bars = |workers| -> Option<Box<dyn Draw>> {
            let target = Bars::stderr()?;
            Some(Box::new(Bars::new(target, workers, total, &label)))
        };
        let lines = || Lines::new(io::stderr(), &label);
        let mut shown: Vec<Box<dyn Draw>> = Vec::new();
        let mut listens = !observers.0.is_empty();
        match progress {
            Progress::Off => {}
            Progress::Bar => shown.push(bars(0).unwrap_or_else(|| Box::new(lines()))),
            Progress::PerWorker => {
                shown.push(bars(workers.max(1)).unwrap_or_else(|| Box::new(lines().per_worker())));
            }
            Progress::Lines => shown.push(Box::new(lines())),
            Progress::JsonLines => {
                listens = true;
                let lines = JsonLines::new(io::stderr());
                shown.push(Box::new(Guarded::new(lines, "JSON output", &label).on_stderr()));
            }
            Progress::Callback(callback) => {
                shown.push(Box::new(Guarded::new(callback.clone(), "progress callback", &label)));
            }
        }
        for observer in &observers.0 {
            shown.push(Box::new(Guarded::new(Arc::clone(observer), "observer", &label)));
        }
        // Asked as everything of the user's is asked, with care.
        let wants_tasks = listens
            && observers.0.iter().any(|observer| crate::panics::catch(|| observer.wants_tasks()).unwrap_or(false));
        Watched::run(shown, listens.then_some(wants_tasks), label, plan)
    }

    /// Reports to these; to `listens` for events, and for those of tasks.
    fn run(shown: Vec<Box<dyn Draw>>, listens: Option<bool>, label: String, plan: &Plan<'_>) -> Option<Watched> {
        if shown.is_empty() {
            return None;
        }
        let mailbox = Arc::new(Mailbox::new(listens.unwrap_or(false)));
        let meter = Arc::new(Meter::with(plan.workers, listens.map(|_| Arc::clone(&mailbox))));
        let names = shown.iter().map(|shown| shown.name()).collect();
        tell(Some(&meter), || {
            let Plan { total, workers, backend, .. } = *plan;
            EventKind::RunStarted { total, workers, backend }
        });
        let report = Report {
            leave: Leave(Arc::clone(&mailbox)),
            meter: Arc::clone(&meter),
            run: RunId::next(),
            label: label.clone(),
            total: plan.total,
            speed: Speed::new(plan.workers),
            shown: shown.into_iter().map(Shown::new).collect(),
            listens: listens.is_some(),
        };
        let thread = thread::Builder::new().name("larder-progress".to_owned());
        let thread = thread.spawn(move || report.run_to_end()).ok()?;
        Some(Watched { meter, mailbox, patience: PATIENCE, label, names, thread: Some(thread) })
    }

    /// What came of the items. To be told before the end, once all of them are over.
    pub(crate) fn came_to(&self, tally: CameTo, failures: &[Failure]) {
        self.mailbox.tally(tally);
        // The others were told by who ran the item, and this one nobody ran.
        for failure in failures.iter().filter(|failure| matches!(failure.cause, Cause::Input(_))) {
            tell(Some(&self.meter), || EventKind::failed(failure));
        }
    }

    /// Shows the last state and stops. Call it when the workers have counted their last item; `completed` is whether the
    /// run did all it was to do.
    pub(crate) fn finish(mut self, completed: bool) {
        self.stop(if completed { Stage::Completed } else { Stage::Stopped });
    }

    fn stop(&mut self, stage: Stage) {
        let Some(thread) = self.thread.take() else { return };
        self.mailbox.end(stage);
        let busy_with = match self.mailbox.await_thread(self.patience) {
            // An error is a panic while drawing. It has been printed, and the run does not depend on it.
            Ok(()) => return drop(thread.join()),
            Err(busy_with) => busy_with,
        };
        // What blocks may be stderr: who writes there is left without a word.
        if let Some(Some(name)) = self.names.get(busy_with) {
            let words = format!("the {name} kept the end waiting for {:?} and is left alone", self.patience);
            print_line(&line(&self.label, &words));
        }
    }
}

/// A caller that leaves by a panic or an early return leaves no thread behind, and a last line that says it stopped.
impl Drop for Watched {
    fn drop(&mut self) {
        self.stop(Stage::Stopped);
    }
}

/// Tells that the thread is gone, however it goes.
struct Leave(Arc<Mailbox>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// What the thread has.
struct Report {
    shown: Vec<Shown>,
    meter: Arc<Meter>,
    run: RunId,
    label: String,
    total: Option<u64>,
    speed: Speed,
    listens: bool,
    /// Dropped last: who waits for the thread waits for what the others let go, too.
    leave: Leave,
}

struct Shown {
    draw: Box<dyn Draw>,
    due: Duration,
    /// It blocked for too long.
    is_left: bool,
}

impl Shown {
    fn new(mut draw: Box<dyn Draw>) -> Shown {
        Shown { due: draw.pause(), draw, is_left: false }
    }
}

impl Report {
    fn run_to_end(mut self) {
        let mailbox = Arc::clone(&self.leave.0);
        let (mut counts, mut events) = (Vec::new(), Vec::new());
        let mut elapsed = Duration::ZERO;
        loop {
            let due = self.shown.iter().map(|shown| shown.due).min().unwrap_or(Duration::MAX);
            let until = if self.listens { due.min(elapsed + TICK) } else { due };
            let taken = mailbox.take(until, &mut events);
            elapsed = taken.elapsed;
            self.report(&mailbox, &taken, &events, &mut counts);
            if taken.stage != Stage::Running {
                return;
            }
            events.clear();
        }
    }

    /// Hands on what was taken: to each in turn all of it.
    fn report(&mut self, mailbox: &Mailbox, taken: &Taken, events: &[Posted], counts: &mut Vec<u64>) {
        let Taken { dropped, elapsed, stage, tally } = *taken;
        let (run, label) = (self.run, &*self.label);
        let done = self.meter.read(counts);
        let speed = self.speed.update(elapsed, done);
        let total = self.total;
        let snapshot = Snapshot { run, label, total, done, per_worker: counts, elapsed, speed, stage };
        let lost = (dropped > 0).then_some((elapsed, EventKind::Dropped { events: dropped }));
        let CameTo { completed, failed, cancelled } = tally;
        let end = EventKind::RunEnded { completed, failed, cancelled, is_complete: snapshot.completed(), elapsed };
        let end = (stage != Stage::Running).then_some((elapsed, end));
        for (place, shown) in self.shown.iter_mut().enumerate().filter(|(_, shown)| !shown.is_left) {
            mailbox.busy_with.store(place, Relaxed);
            // Asked before each call: the run may have been over for long.
            let mut is_left = || {
                shown.is_left |= mailbox.left() == Some(place);
                shown.is_left
            };
            let mut tell = |(at, kind): &Posted| shown.draw.event(&Event { run, label, at: *at, kind });
            for event in events.iter().chain(&lost) {
                tell(event);
                if is_left() {
                    break;
                }
            }
            if is_left() {
                continue;
            }
            if end.is_some() || shown.due <= elapsed {
                shown.draw.draw(&snapshot);
                shown.due = elapsed + shown.draw.pause();
            }
            if let Some(end) = &end
                && !is_left()
            {
                shown.draw.event(&Event { run, label, at: end.0, kind: &end.1 });
            }
        }
        // A wait that begins now is for nobody.
        mailbox.busy_with.store(usize::MAX, Relaxed);
    }
}

#[cfg(test)]
mod test {
    use std::sync::mpsc;

    use super::*;

    const PLAN: Plan<'_> = Plan {
        progress: &Progress::Off,
        observers: &Observers(Vec::new()),
        label: "f",
        total: Some(5),
        workers: 1,
        backend: Backend::Threads,
    };

    /// Sends what it is to draw; waits for the end of the run only.
    struct Told(mpsc::Sender<(u64, Stage)>);

    impl Draw for Told {
        fn draw(&mut self, snapshot: &Snapshot<'_>) {
            let _ = self.0.send((snapshot.done(), snapshot.stage));
        }

        fn pause(&mut self) -> Duration {
            Duration::from_secs(24 * 3600)
        }
    }

    fn told() -> (Watched, mpsc::Receiver<(u64, Stage)>) {
        let (states, seen) = mpsc::channel();
        let watched = Watched::run(vec![Box::new(Told(states))], None, "f".to_owned(), &PLAN);
        (watched.expect("there are threads"), seen)
    }

    #[test]
    fn a_short_run_draws_its_last_state_only() {
        for (completed, stage) in [(true, Stage::Completed), (false, Stage::Stopped)] {
            let (watched, seen) = told();
            watched.meter.add(0, 5);
            watched.finish(completed);
            assert_eq!(seen.iter().collect::<Vec<_>>(), [(5, stage)]);
        }
    }

    #[test]
    fn a_panic_of_the_caller_stops_the_thread() {
        let (watched, seen) = told();
        let run = thread::spawn(move || {
            watched.meter.add(0, 3);
            let _watched = watched;
            panic!("the run fails (this panic belongs to the test)");
        });
        assert!(run.join().is_err());
        // Ends only because the thread is gone, and with it the sender.
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(3, Stage::Stopped)]);
    }

    #[test]
    fn a_callback_is_called_during_the_run_and_once_at_its_end() {
        let (states, seen) = mpsc::channel();
        let progress = Progress::callback(move |now| {
            let _ = states.send((now.finished(), now.completed(), now.total(), now.per_worker().to_vec()));
        });
        let watched = Watched::start(&Plan { progress: &progress, workers: 2, ..PLAN }).expect("it is on");
        assert_eq!(seen.recv(), Ok((false, false, Some(5), vec![0, 0])));
        watched.meter.add(1, 5);
        watched.finish(true);
        drop(progress);
        let finished: Vec<_> = seen.iter().skip_while(|(finished, ..)| !finished).collect();
        assert_eq!(finished, [(true, true, Some(5), vec![0, 5])]);
    }

    #[test]
    fn off_starts_nothing() {
        assert!(Watched::start(&PLAN).is_none());
    }

    /// Blocks in its first event, until the sender is gone; then tells what it is called for.
    struct Blocked(mpsc::Receiver<()>, mpsc::Sender<&'static str>);

    impl Draw for Blocked {
        fn draw(&mut self, _: &Snapshot<'_>) {
            let _ = self.1.send("draw");
        }

        fn event(&mut self, event: &Event<'_>) {
            let _ = self.0.recv();
            let _ = self.1.send(event.kind.name());
        }
    }

    #[test]
    fn who_blocks_is_left_and_the_others_are_told_when_it_comes_back() {
        let ((gate, closed), (calls, called), (states, seen)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let shown: Vec<Box<dyn Draw>> = vec![Box::new(Blocked(closed, calls)), Box::new(Told(states))];
        let mut watched = Watched::run(shown, Some(false), "f".to_owned(), &PLAN).expect("there are threads");
        watched.patience = Duration::ZERO;
        // It has come to the event, and cannot come back before the gate is gone.
        while watched.mailbox.busy_with.load(Relaxed) != 0 {
            thread::yield_now();
        }
        tell(Some(&watched.meter), || EventKind::WorkerStarted { worker: 0, pid: None });
        watched.finish(true);
        drop(gate);
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(0, Stage::Completed)]);
        assert_eq!(called.iter().collect::<Vec<_>>(), ["run_started"]);
    }
}
