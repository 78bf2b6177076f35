//! Group commit: what must survive a power loss is synced to the disk soon, many results at once.
//!
//! sled's flush hands its log to the operating system and no further (on Linux it is `sync_file_range`), which a killed
//! process survives and a machine without power may not. One thread per open cache syncs the log within [`DELAY`] of the
//! first result that asks for it; results that follow within that time share the same sync.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::StoreError;
use crate::lock::{lock, whole};

/// With the time a sync takes, this keeps the promise of 200 ms on a disk that is not overwhelmed.
const DELAY: Duration = Duration::from_millis(100);

type Sync = Box<dyn Fn() -> Result<(), StoreError> + Send>;

pub(super) struct Syncer {
    shared: Arc<Shared>,
    /// Started with the first result that asks; `None` before, and where the system refuses a thread.
    thread: Mutex<Option<JoinHandle<()>>>,
    sync: Mutex<Option<Sync>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: Option<Instant>,
    closing: bool,
    /// What the last sync met, until someone is told.
    failure: Option<StoreError>,
}

impl Syncer {
    /// Runs `sync` in the background whenever it is due.
    pub(super) fn new(sync: Sync) -> Syncer {
        Syncer { shared: Arc::default(), thread: Mutex::default(), sync: Mutex::new(Some(sync)) }
    }

    /// Asks for a sync soon; answers what an earlier one met.
    pub(super) fn soon(&self) -> Result<(), StoreError> {
        let failure = {
            let mut state = lock(&self.shared.state);
            state.due.get_or_insert_with(|| Instant::now() + DELAY);
            state.failure.take()
        };
        self.shared.changed.notify_one();
        self.start()?;
        failure.map_or(Ok(()), Err)
    }

    fn start(&self) -> Result<(), StoreError> {
        let mut thread = lock(&self.thread);
        if thread.is_none()
            && let Some(sync) = lock(&self.sync).take()
        {
            let shared = Arc::clone(&self.shared);
            let started = thread::Builder::new().name("larder-sync".to_owned()).spawn(move || shared.work(&sync));
            *thread =
                Some(started.map_err(|error| StoreError::new("starting the thread that syncs the index", error))?);
        }
        Ok(())
    }
}

impl Drop for Syncer {
    /// Syncs what is due, and ends the thread.
    fn drop(&mut self) {
        lock(&self.shared.state).closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            // A panic of the thread was reported by its own hook, and there is nothing left to sync.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self, sync: &Sync) {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            match state.due {
                Some(due) if due <= now || state.closing => {
                    state.due = None;
                    drop(state);
                    let end = sync();
                    state = lock(&self.state);
                    if let Err(failure) = end {
                        state.failure = Some(failure);
                    }
                }
                Some(due) => state = whole(self.changed.wait_timeout(state, due - now)).0,
                None if state.closing => return,
                None => state = whole(self.changed.wait(state)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn results_that_ask_together_share_a_sync_and_the_last_is_not_forgotten() {
        let (told, syncs) = channel();
        let syncer =
            Syncer::new(Box::new(move || told.send(()).map_err(|error| StoreError::new("telling the test", error))));
        for _ in 0..1000 {
            syncer.soon().unwrap();
        }
        syncs.recv().expect("a sync comes by itself");
        syncer.soon().unwrap();
        drop(syncer);
        assert!(syncs.iter().count() >= 1, "what was due at the end was synced");
    }

    #[test]
    fn who_asks_for_nothing_costs_nothing() {
        let (told, syncs) = channel::<()>();
        drop(Syncer::new(Box::new(move || told.send(()).map_err(|error| StoreError::new("telling the test", error)))));
        assert!(syncs.recv().is_err(), "no sync, no thread");
    }

    #[test]
    fn a_failed_sync_is_told_to_the_next_who_asks() {
        let (told, syncs) = channel();
        let syncer = Syncer::new(Box::new(move || {
            told.send(()).map_err(|error| StoreError::new("telling the test", error))?;
            Err(StoreError::new("syncing", "no disk"))
        }));
        syncer.soon().unwrap();
        syncs.recv().unwrap();
        // The thread notes the failure after its sync, so one that asks at once may be too early for it.
        let failure = std::iter::repeat_with(|| syncer.soon()).find_map(Result::err).expect("it repeats for ever");
        assert_eq!(failure.to_string(), "syncing: no disk");
    }
}
