//! Between the workers of a run and the thread that reports: events on their way, and word of the end.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::Stage;
use super::event::EventKind;
use crate::lock::{lock, whole};

/// So many events wait at most. Some 100 bytes each, and a text where there is one.
const MOST: usize = 8192;

/// What workers post and the reporting thread takes. Nobody waits for room: what finds none is counted and dropped.
pub(super) struct Mailbox {
    began: Instant,
    most: usize,
    pub(super) wants_tasks: bool,
    state: Mutex<State>,
    /// There is something to take, or the run is over.
    news: Condvar,
    /// The thread is gone.
    gone: Condvar,
    /// Whom the thread is just now calling; told apart by place.
    pub(super) busy_with: AtomicUsize,
}

#[derive(Default)]
struct State {
    events: Vec<Posted>,
    /// How many came after those that wait, and were not kept.
    dropped: u64,
    tally: CameTo,
    /// The thread's last state, once the run is over.
    end: Option<(Stage, Duration)>,
    is_gone: bool,
    /// Who kept the end of the run waiting for too long.
    left: Option<usize>,
}

/// An event, and when it happened.
pub(super) type Posted = (Duration, EventKind);

/// What came of the items of a run, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CameTo {
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: bool,
}

/// What the thread took.
pub(super) struct Taken {
    pub(super) dropped: u64,
    /// How long the run had gone on, or went on in all.
    pub(super) elapsed: Duration,
    pub(super) stage: Stage,
    pub(super) tally: CameTo,
}

impl Mailbox {
    pub(super) fn new(wants_tasks: bool) -> Mailbox {
        Mailbox::of_size(wants_tasks, MOST)
    }

    fn of_size(wants_tasks: bool, most: usize) -> Mailbox {
        Mailbox {
            began: Instant::now(),
            most,
            wants_tasks,
            state: Mutex::default(),
            news: Condvar::new(),
            gone: Condvar::new(),
            busy_with: AtomicUsize::new(usize::MAX),
        }
    }

    /// Posts an event, if there is room for it.
    pub(super) fn post(&self, kind: EventKind) {
        let mut state = self.state();
        if state.events.len() >= self.most {
            state.dropped += 1;
            return;
        }
        // Under the lock, so that times and order agree.
        state.events.push((self.began.elapsed(), kind));
        let is_much = state.events.len() == self.most / 2;
        drop(state);
        if is_much {
            self.news.notify_one();
        }
    }

    /// What came of the run; to be told before its end.
    pub(super) fn tally(&self, tally: CameTo) {
        self.state().tally = tally;
    }

    /// The run is over, and nothing will be posted any more.
    pub(super) fn end(&self, stage: Stage) {
        self.state().end = Some((stage, self.began.elapsed()));
        self.news.notify_one();
    }

    /// Waits until then, until there is much to take, or for the end of the run, and takes what there is into `events`,
    /// which is empty.
    pub(super) fn take(&self, until: Duration, events: &mut Vec<Posted>) -> Taken {
        let wait = until.saturating_sub(self.began.elapsed());
        let is_idle = |state: &mut State| state.end.is_none() && state.events.len() < self.most / 2;
        let (mut state, _) = whole(self.news.wait_timeout_while(self.state(), wait, is_idle));
        std::mem::swap(&mut state.events, events);
        let (stage, elapsed) = state.end.unwrap_or_else(|| (Stage::Running, self.began.elapsed()));
        Taken { dropped: std::mem::take(&mut state.dropped), elapsed, stage, tally: state.tally }
    }

    /// Waits for the thread to go, but no longer than this; then whom it was calling is to be left alone. Answers who.
    pub(super) fn await_thread(&self, patience: Duration) -> Result<(), usize> {
        let (mut state, _) = whole(self.gone.wait_timeout_while(self.state(), patience, |state| !state.is_gone));
        if state.is_gone {
            return Ok(());
        }
        let busy_with = self.busy_with.load(Relaxed);
        state.left = Some(busy_with);
        Err(busy_with)
    }

    /// Who is to be called no more, if that is said for the first time.
    pub(super) fn left(&self) -> Option<usize> {
        self.state().left.take()
    }

    /// The thread goes.
    pub(super) fn leave(&self) {
        self.state().is_gone = true;
        self.gone.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn dropped(events: u64) -> EventKind {
        EventKind::Dropped { events }
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let mailbox = Mailbox::of_size(false, 4);
        let mut events = Vec::new();
        for (posted, kept, lost) in [(3, 3, 0), (7, 4, 3), (0, 0, 0), (4, 4, 0)] {
            (0..posted).for_each(|number| mailbox.post(dropped(number)));
            events.clear();
            let taken = mailbox.take(Duration::ZERO, &mut events);
            assert_eq!((events.len(), taken.dropped, taken.stage), (kept, lost, Stage::Running));
            assert!(events.is_sorted_by_key(|(at, _)| *at));
            assert!(events.iter().zip(0..).all(|((_, kind), number)| *kind == dropped(number)));
        }
    }

    #[test]
    fn whoever_waits_is_woken_by_much_and_by_the_end() {
        let mailbox = Mailbox::of_size(false, 4);
        let tomorrow = Duration::from_secs(24 * 3600);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut events = Vec::new();
                mailbox.take(tomorrow, &mut events);
                let much = events.len();
                events.clear();
                (much, mailbox.take(tomorrow, &mut events).stage)
            });
            mailbox.post(dropped(1));
            mailbox.post(dropped(2));
            // Not before the two were taken, or the one wait would see both.
            while !mailbox.state().events.is_empty() {
                std::thread::yield_now();
            }
            mailbox.end(Stage::Stopped);
            assert_eq!(waiting.join().unwrap(), (2, Stage::Stopped));
        });
    }

    #[test]
    fn the_thread_is_waited_for_within_limits() {
        let mailbox = Mailbox::new(false);
        mailbox.busy_with.store(3, Relaxed);
        assert_eq!(mailbox.await_thread(Duration::ZERO), Err(3));
        assert_eq!((mailbox.left(), mailbox.left()), (Some(3), None));
        mailbox.leave();
        assert_eq!(mailbox.await_thread(Duration::from_secs(24 * 3600)), Ok(()));
    }
}
