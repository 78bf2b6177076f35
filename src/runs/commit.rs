//! Group commit: a thread that writes what came of items, many records at once.
//!
//! A group is written when its first record is [`SOON`] old, [`GROUP`] records wait, or those that wait took [`COSTLY`] to
//! compute, after what makes their values durable; from then on it survives a killed process. Within [`SYNC`] of that it is
//! synced, together with the groups in between.
//!
//! A group that cannot be written is kept, and written with the next one, a second later, or at the end. What cannot be kept, or
//! not be written at the end either, is counted; and so is what was written before something that could not be synced: a later
//! sync that succeeds says nothing of it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::folder::now_ms;
use super::item::Ended;
use super::log::Log;
use super::record::{Outcome, put_ended, put_outcome};
use crate::lock::{lock, whole};
use crate::memory::COSTLY;

const SOON: Duration = Duration::from_millis(1);
const GROUP: usize = 512;
/// With the time a sync takes, this keeps the promise of 200 ms on a disk that is not overwhelmed.
const SYNC: Duration = Duration::from_millis(100);
/// A group that could not be written is tried again after so long, if there is no other before.
const AGAIN: Duration = Duration::from_secs(1);
/// Whoever has more to write waits; and no more are kept after a write that failed.
pub(super) const MOST: usize = 8192;

/// Makes the values durable that a group is about to call done.
pub(crate) type BeforeCommit = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// What became of the records of a program.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What came of so many items is written down.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the tests count them"))]
    pub(crate) records: u64,
    /// Of so many it could not be, or may not be on the disk.
    pub(crate) lost: u64,
    /// What was met: why records were lost, why they may not survive a power loss, or why segments were not folded.
    pub(crate) error: Option<io::Error>,
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    log: Arc<Mutex<Log>>,
    thread: Option<JoinHandle<Kept>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There may be something to do for the thread.
    changed: Condvar,
    /// There may be room for who waits.
    room: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<Outcome>,
    /// When the first of them came.
    since: Option<Instant>,
    /// What they took to compute.
    nanos: u64,
    /// Those that are being written.
    writing: usize,
    /// Those that could not be written, and will be tried again.
    held: usize,
    lost: u64,
    written: u64,
    sync_at: Option<Instant>,
    again_at: Option<Instant>,
    closing: Option<Closing>,
    /// The thread is gone: nothing will be written.
    over: bool,
}

enum Closing {
    /// With this summary.
    Ended(Ended),
    /// The run was abandoned.
    Left,
}

enum Next {
    Commit(Vec<Outcome>),
    Sync,
    Close(Vec<Outcome>, Closing),
}

impl Committer {
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(log: Log, before: BeforeCommit) -> io::Result<Committer> {
        let (shared, log) = (Arc::<Shared>::default(), Arc::new(Mutex::new(log)));
        let writer = Writer {
            shared: Arc::clone(&shared),
            log: Arc::clone(&log),
            before,
            held: Vec::new(),
            refused: None,
            unsynced: false,
            unsynced_records: 0,
            sync_failed: None,
            doubtful: 0,
        };
        let thread = thread::Builder::new().name("larder-ledger".to_owned()).spawn(move || writer.work())?;
        Ok(Committer { shared, log, thread: Some(thread) })
    }

    /// Hands over a record. Waits only while more than [`MOST`] are not written yet.
    pub(super) fn add(&self, outcome: Outcome) {
        let mut state = lock(&self.shared.state);
        while state.waiting.len() + state.writing >= MOST && !state.over {
            state = whole(self.shared.room.wait(state));
        }
        if state.over {
            state.lost += 1;
            return;
        }
        let was_costly = state.is_costly();
        state.nanos = state.nanos.saturating_add(outcome.nanos);
        state.waiting.push(outcome);
        let (count, is_costly) = (state.waiting.len(), state.is_costly());
        if count == 1 {
            state.since = Some(Instant::now());
        }
        drop(state);
        // In between the thread is awake, or will be in time.
        if count == 1 || count == GROUP || is_costly != was_costly {
            self.shared.changed.notify_one();
        }
    }

    /// Writes at once, from this thread.
    pub(super) fn log(&self) -> &Mutex<Log> {
        &self.log
    }

    /// Has what was written to the log synced with the next groups.
    pub(super) fn sync_soon(&self) {
        self.shared.sync_soon();
        self.shared.changed.notify_one();
    }

    /// Records that could not be written so far; some of them may be yet.
    #[cfg(test)]
    pub(super) fn lost(&self) -> u64 {
        let state = lock(&self.shared.state);
        state.lost + state.held as u64
    }

    /// Records that are written: they survive a killed process.
    #[cfg(test)]
    pub(super) fn written(&self) -> u64 {
        lock(&self.shared.state).written
    }

    /// Writes what waits, then the summary, and syncs.
    pub(super) fn end(mut self, ended: Ended) -> Kept {
        self.close(Closing::Ended(ended))
    }

    fn close(&mut self, how: Closing) -> Kept {
        lock(&self.shared.state).closing = Some(how);
        self.shared.changed.notify_one();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(kept)) => kept,
            // Its own hook has told of the panic.
            Some(Err(_)) | None => {
                let state = lock(&self.shared.state);
                let lost = state.lost + (state.held + state.writing + state.waiting.len()) as u64;
                let error = io::Error::other("the thread that writes the ledger panicked");
                Kept { records: state.written, lost, error: Some(error) }
            }
        }
    }
}

impl Drop for Committer {
    /// Writes what can be written. That the run did not end is seen by the missing summary, and nobody is left to be told more.
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.close(Closing::Left);
        }
    }
}

impl Shared {
    /// Waits for something to do.
    fn next(&self) -> Next {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            if let Some(closing) = state.closing.take() {
                return Next::Close(state.take(), closing);
            }
            // Before the groups, which may be so many that there is always one.
            if state.sync_at.is_some_and(|at| at <= now) {
                state.sync_at = None;
                return Next::Sync;
            }
            let commit_at = state.since.map(|since| since + SOON);
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if state.waiting.len() >= GROUP || state.is_costly() || is_due(commit_at) || is_due(state.again_at) {
                return Next::Commit(state.take());
            }
            state = match [commit_at, state.sync_at, state.again_at].into_iter().flatten().min() {
                Some(at) => whole(self.changed.wait_timeout(state, at.saturating_duration_since(now))).0,
                None => whole(self.changed.wait(state)),
            };
        }
    }

    fn sync_soon(&self) {
        lock(&self.state).sync_at.get_or_insert_with(|| Instant::now() + SYNC);
    }
}

impl State {
    fn is_costly(&self) -> bool {
        u128::from(self.nanos) >= COSTLY.as_nanos()
    }

    fn take(&mut self) -> Vec<Outcome> {
        (self.since, self.nanos, self.again_at) = (None, 0, None);
        self.writing = self.waiting.len();
        std::mem::replace(&mut self.waiting, Vec::with_capacity(GROUP))
    }
}

/// The thread's side.
struct Writer {
    shared: Arc<Shared>,
    log: Arc<Mutex<Log>>,
    before: BeforeCommit,
    /// What could not be written, and after it what is to be written now.
    held: Vec<Outcome>,
    /// Why the last write failed, if it did.
    refused: Option<io::Error>,
    /// Something was written since the last sync,
    unsynced: bool,
    /// and so many records.
    unsynced_records: u64,
    /// Why a sync failed, ever: what it was to save may be lost, whatever later ones say.
    sync_failed: Option<io::Error>,
    /// So many records.
    doubtful: u64,
}

/// Lets nobody wait for a thread that is gone.
impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.shared.state).over = true;
        self.shared.room.notify_all();
    }
}

impl Writer {
    fn work(mut self) -> Kept {
        loop {
            match self.shared.next() {
                Next::Commit(group) => self.commit(group),
                Next::Sync => self.sync(),
                Next::Close(group, closing) => return self.close(group, closing),
            }
        }
    }

    fn commit(&mut self, mut group: Vec<Outcome>) {
        self.held.append(&mut group);
        if self.held.is_empty() {
            return;
        }
        match self.write() {
            Ok(()) => {
                self.refused = None;
                self.unsynced = true;
                self.unsynced_records += self.held.len() as u64;
                let mut state = lock(&self.shared.state);
                state.written += self.held.len() as u64;
                (state.writing, state.held) = (0, 0);
                state.sync_at.get_or_insert_with(|| Instant::now() + SYNC);
                self.held.clear();
            }
            Err(error) => {
                self.refused = Some(error);
                let mut state = lock(&self.shared.state);
                state.lost += self.held.len().saturating_sub(MOST) as u64;
                self.held.truncate(MOST);
                (state.writing, state.held) = (0, self.held.len());
                state.again_at = Some(Instant::now() + AGAIN);
            }
        }
        self.shared.room.notify_all();
    }

    fn write(&mut self) -> io::Result<()> {
        // A panic must not leave those waiting who have more to write.
        let durable = catch_unwind(AssertUnwindSafe(&self.before));
        durable.unwrap_or_else(|_| Err(io::Error::other("making the results durable panicked")))?;
        let mut log = lock(&self.log);
        let at_ms = log.time(now_ms());
        log.write(|frames| {
            self.held.iter().for_each(|outcome| frames.push(|out| put_outcome(out, at_ms, outcome)));
        })
    }

    fn sync(&mut self) {
        self.unsynced = false;
        let synced = lock(&self.log).sync();
        match synced {
            Ok(()) => self.unsynced_records = 0,
            Err(error) => {
                // With the next group, or at the end; what was written since the last sync may not be on the disk even then.
                self.unsynced = true;
                self.doubtful += std::mem::take(&mut self.unsynced_records);
                self.sync_failed.get_or_insert(error);
            }
        }
    }

    fn close(mut self, group: Vec<Outcome>, closing: Closing) -> Kept {
        self.unsynced |= lock(&self.shared.state).sync_at.take().is_some();
        self.commit(group);
        let mut summary = None;
        if let Closing::Ended(ended) = closing {
            let mut log = lock(&self.log);
            let at_ms = log.time(now_ms());
            summary = log.write(|frames| frames.push(|out| put_ended(out, at_ms, &ended))).err();
            self.unsynced = true;
        }
        if self.unsynced {
            self.sync();
        }
        let (records, lost) = {
            let state = lock(&self.shared.state);
            (state.written, state.lost + state.held as u64 + self.doubtful)
        };
        let error = self.refused.take().or(summary).or(self.sync_failed.take());
        Kept { records, lost, error }
    }
}
