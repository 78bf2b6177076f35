//! Whether a run is to end before its input does, and why.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::cancel::CancelToken;
use crate::lock::{lock, whole};

/// Why a run ended before its input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stopped {
    /// As many items failed as [`OnError`](crate::OnError) lets.
    Failure,
    /// Its [`CancelToken`] was cancelled.
    Cancelled,
    /// Its [deadline](crate::Parallel::deadline) passed.
    Deadline,
    /// It came to where it was to [halt](crate::Parallel::halt).
    Halted,
}

impl Stopped {
    /// What a run that ended so says.
    pub(crate) fn words(self, completed: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Stopped::Failure => "was ended by failures",
            Stopped::Cancelled => "was cancelled",
            Stopped::Deadline => "came to its deadline",
            Stopped::Halted => "halted, as was asked,",
        };
        write!(f, "the run {what} after {completed} items: `Parallel::outcome` and its like give what was finished")
    }
}

/// A token or a clock is looked at so often by who waits for something else.
pub(super) const LOOK: Duration = Duration::from_millis(20);

const RUNNING: u8 = 0;
const SOON: u8 = 1;
const NOW: u8 = 2;

/// Whether no further item is to be started; looked at between items.
#[derive(Debug, Default)]
pub(super) struct Stop {
    mode: AtomicU8,
    /// The first one that was given.
    reason: OnceLock<Stopped>,
    cancel: Option<CancelToken>,
    deadline: Option<Instant>,
    quiet: Mutex<()>,
    bell: Condvar,
}

impl Stop {
    pub(super) fn new(cancel: Option<CancelToken>, deadline: Option<Instant>) -> Stop {
        Stop { cancel, deadline, ..Stop::default() }
    }

    /// Whether no further item is to be started.
    #[inline]
    pub(super) fn is_stopped(&self) -> bool {
        self.mode.load(Relaxed) != RUNNING || self.is_cancelled() || (self.is_past() && self.note_deadline())
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    fn is_past(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    #[cold]
    fn note_deadline(&self) -> bool {
        self.stop(true, Stopped::Deadline);
        true
    }

    /// Whether what is running is to be broken off, where that can be done.
    #[cfg(unix)]
    pub(super) fn breaks_off(&self) -> bool {
        self.mode.load(Relaxed) == NOW || self.is_cancelled()
    }

    /// Has no further item started, and what is running broken off if it is `now`.
    pub(super) fn stop(&self, now: bool, reason: Stopped) {
        // The first reason is the reason; the stricter way wins.
        let _ = self.reason.set(reason);
        self.mode.fetch_max(if now { NOW } else { SOON }, Relaxed);
        drop(lock(&self.quiet));
        self.bell.notify_all();
    }

    /// Why it was stopped, if it was.
    pub(super) fn reason(&self) -> Option<Stopped> {
        self.reason.get().copied().or_else(|| self.is_cancelled().then_some(Stopped::Cancelled))
    }

    /// How long one may wait without looking whether it was stopped from outside; `None` if that cannot be.
    pub(super) fn longest_wait(&self) -> Option<Duration> {
        (self.cancel.is_some() || self.deadline.is_some()).then_some(LOOK)
    }

    /// Waits so long, or until it is stopped.
    pub(super) fn pause(&self, pause: Duration) {
        let end = Instant::now().checked_add(pause);
        let mut quiet = lock(&self.quiet);
        // The bell's lock is held here, so a deadline that passes is left for the next look.
        while !(self.mode.load(Relaxed) != RUNNING || self.is_cancelled() || self.is_past()) {
            let left = end.map_or(LOOK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return;
            }
            let step = self.longest_wait().map_or(left, |longest| longest.min(left));
            quiet = whole(self.bell.wait_timeout(quiet, step)).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts_and_the_stricter_way() {
        let stop = Stop::default();
        assert!(!stop.is_stopped() && stop.reason().is_none() && stop.longest_wait().is_none());
        stop.stop(false, Stopped::Halted);
        assert!(stop.is_stopped());
        #[cfg(unix)]
        assert!(!stop.breaks_off());
        stop.stop(true, Stopped::Failure);
        stop.stop(false, Stopped::Deadline);
        #[cfg(unix)]
        assert!(stop.breaks_off());
        assert_eq!(stop.reason(), Some(Stopped::Halted));
    }

    #[test]
    fn a_token_and_a_clock_stop_too() {
        let token = CancelToken::new();
        let stop = Stop::new(Some(token.clone()), None);
        assert!(!stop.is_stopped() && stop.longest_wait().is_some());
        token.cancel();
        assert!(stop.is_stopped());
        assert_eq!(stop.reason(), Some(Stopped::Cancelled));
        let past = Stop::new(None, Some(Instant::now()));
        assert!(past.is_stopped());
        assert_eq!(past.reason(), Some(Stopped::Deadline));
    }

    #[test]
    fn a_pause_ends_with_its_time_or_with_the_run() {
        let stop = Stop::default();
        let (began, pause) = (Instant::now(), Duration::from_millis(2));
        stop.pause(pause);
        assert!(began.elapsed() >= pause);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| stop.pause(Duration::MAX));
            stop.stop(true, Stopped::Failure);
            waits.join().unwrap();
        });
        // Stopped already.
        stop.pause(Duration::MAX);
    }
}
