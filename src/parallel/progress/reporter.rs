//! The thread that draws.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bars::Bars;
use super::lines::{Lines, write_line};
use super::{Meter, Progress, ProgressCallback, Snapshot, Stage};

/// The pause between two pictures, and between two calls of a callback.
const TICK: Duration = Duration::from_millis(100);

/// One way of showing progress.
pub(super) trait Draw: Send {
    /// Shows one state; the last one is finished.
    fn draw(&mut self, snapshot: &Snapshot<'_>);

    /// How long to wait before the next state.
    fn pause(&self) -> Duration {
        TICK
    }
}

/// The running thread that shows the progress of one run.
pub(crate) struct Reporter {
    stage: Arc<Signal>,
    /// `None` once stopped.
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts reporting. Returns `None` when progress is off, or when the system gives no thread for it: the run matters
    /// more.
    pub(crate) fn start(progress: &Progress, meter: Arc<Meter>, total: Option<u64>, label: &str) -> Option<Reporter> {
        let label = label.replace(char::is_control, " ");
        let bars = |workers| Bars::stderr().map(|target| Bars::new(target, workers, total, &label));
        let bars = match progress {
            Progress::Off => return None,
            Progress::Bar => bars(0),
            Progress::PerWorker => bars(meter.workers()),
            Progress::Lines => None,
            Progress::Callback(callback) => {
                let calls = Calls { callback: Some(callback.clone()), sink: io::stderr(), label: label.clone() };
                return Reporter::run(calls, meter, total);
            }
        };
        match bars {
            Some(bars) => Reporter::run(bars, meter, total),
            None => Reporter::run(Lines::new(io::stderr(), &label), meter, total),
        }
    }

    fn run(mut draw: impl Draw + 'static, meter: Arc<Meter>, total: Option<u64>) -> Option<Reporter> {
        let stage = Arc::new(Signal::default());
        let (seen, began) = (Arc::clone(&stage), Instant::now());
        let tick = move || {
            let mut counts = Vec::new();
            loop {
                let stage = seen.wait(draw.pause());
                draw.draw(&meter.snapshot(&mut counts, total, began.elapsed(), stage));
                if stage != Stage::Running {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("larder-progress".to_owned()).spawn(tick).ok()?;
        Some(Reporter { stage, thread: Some(thread) })
    }

    /// Shows the last state and stops. Call it when the workers have counted their last item; `completed` is whether the
    /// run did all it was to do.
    pub(crate) fn finish(mut self, completed: bool) {
        self.stop(if completed { Stage::Completed } else { Stage::Stopped });
    }

    fn stop(&mut self, stage: Stage) {
        if let Some(thread) = self.thread.take() {
            self.stage.set(stage);
            // An error is a panic while drawing. It has been printed, and the run does not depend on it.
            let _ = thread.join();
        }
    }
}

/// A caller that leaves by a panic or an early return leaves no thread behind, and a last line that says it stopped.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.stop(Stage::Stopped);
    }
}

/// Tells the thread that the run is over.
#[derive(Default)]
struct Signal {
    stage: Mutex<Stage>,
    changed: Condvar,
}

impl Signal {
    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.changed.notify_all();
    }

    /// Returns the stage after `pause`, or at once when the run is over.
    fn wait(&self, pause: Duration) -> Stage {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stage, pause, |stage| *stage == Stage::Running);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Calls the user's function.
struct Calls<W> {
    /// `None` once it has panicked.
    callback: Option<ProgressCallback>,
    sink: W,
    label: String,
}

impl<W: Write + Send> Draw for Calls<W> {
    fn draw(&mut self, snapshot: &Snapshot<'_>) {
        let Some(ProgressCallback(f)) = &self.callback else { return };
        // Unwind safe for us: we share nothing with the function but the snapshot, which is only read.
        if catch_unwind(AssertUnwindSafe(|| f(snapshot))).is_err() {
            self.callback = None;
            write_line(&mut self.sink, &self.label, "the progress callback panicked and is not called again");
        }
    }
}

#[cfg(test)]
mod test {
    use std::sync::mpsc;

    use super::*;

    /// Sends what it is to draw; waits for the end of the run only.
    struct Told(mpsc::Sender<(u64, Stage)>);

    impl Draw for Told {
        fn draw(&mut self, snapshot: &Snapshot<'_>) {
            let _ = self.0.send((snapshot.done(), snapshot.stage));
        }

        fn pause(&self) -> Duration {
            Duration::from_secs(24 * 3600)
        }
    }

    fn told() -> (Reporter, Arc<Meter>, mpsc::Receiver<(u64, Stage)>) {
        let (states, seen) = mpsc::channel();
        let meter = Arc::new(Meter::new(1));
        (Reporter::run(Told(states), Arc::clone(&meter), Some(5)).expect("there are threads"), meter, seen)
    }

    #[test]
    fn a_short_run_draws_its_last_state_only() {
        for (completed, stage) in [(true, Stage::Completed), (false, Stage::Stopped)] {
            let (reporter, meter, seen) = told();
            meter.add(0, 5);
            reporter.finish(completed);
            assert_eq!(seen.iter().collect::<Vec<_>>(), [(5, stage)]);
        }
    }

    #[test]
    fn a_panic_of_the_caller_stops_the_thread() {
        let (reporter, meter, seen) = told();
        let run = thread::spawn(move || {
            let _reporter = reporter;
            meter.add(0, 3);
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
        let meter = Arc::new(Meter::new(2));
        let reporter = Reporter::start(&progress, Arc::clone(&meter), Some(4), "f").expect("it is on");
        assert_eq!(seen.recv(), Ok((false, false, Some(4), vec![0, 0])));
        meter.add(1, 4);
        reporter.finish(true);
        drop(progress);
        let finished: Vec<_> = seen.iter().skip_while(|(finished, ..)| !finished).collect();
        assert_eq!(finished, [(true, true, Some(4), vec![0, 4])]);
    }

    #[test]
    fn a_callback_that_panics_is_called_once_and_reported() {
        let (states, seen) = mpsc::channel();
        let callback = ProgressCallback(Arc::new(move |_| {
            let _ = states.send(());
            panic!("the callback fails (this panic belongs to the test)");
        }));
        let mut calls = Calls { callback: Some(callback), sink: Vec::new(), label: "f".to_owned() };
        for stage in [Stage::Running, Stage::Completed] {
            calls.draw(&Meter::new(1).snapshot(&mut Vec::new(), None, Duration::ZERO, stage));
        }
        assert_eq!(calls.sink, b"larder: f: the progress callback panicked and is not called again\n");
        drop(calls);
        assert_eq!(seen.iter().count(), 1);
    }

    #[test]
    fn off_starts_nothing() {
        assert!(Reporter::start(&Progress::default(), Arc::new(Meter::new(1)), None, "f").is_none());
    }
}
