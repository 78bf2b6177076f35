//! The one thread that lives as long as the program: it keeps idle workers until they are wanted or have been idle too long,
//! and sees to the end of those that are let go.

use std::io;
use std::process::Child;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::handle::{Handle, is_dead, kill};
use super::spawn::Spec;
use crate::lock::lock;
use crate::wire::message::Order;

enum Job {
    Bury(Child),
    /// There is an idle worker more.
    Look,
}

/// A worker that was let go has so long to end by itself.
const GRACE: Duration = Duration::from_secs(2);
/// Those that are ending are looked at so often.
const LOOK: Duration = Duration::from_millis(20);
/// Idle ones that died are found so soon.
const DEAD: Duration = Duration::from_secs(5);
/// So many jobs wait at most; then who has more waits.
const JOBS: usize = 64;

fn jobs() -> io::Result<&'static SyncSender<Job>> {
    static JOBS_TO: OnceLock<SyncSender<Job>> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(jobs) = JOBS_TO.get() {
        return Ok(jobs);
    }
    let _starting = lock(&STARTING);
    if let Some(jobs) = JOBS_TO.get() {
        return Ok(jobs);
    }
    let (sender, receiver) = mpsc::sync_channel(JOBS);
    std::thread::Builder::new().name("larder-keeper".to_owned()).spawn(move || keep(&receiver))?;
    Ok(JOBS_TO.get_or_init(|| sender))
}

/// Sees to the end of a process that has no work any more.
pub(super) fn bury(mut child: Child) {
    let sent = jobs().map(|jobs| jobs.send(Job::Bury(child)).map_err(|refused| refused.0));
    if let Ok(Err(Job::Bury(back))) = sent {
        child = back;
        kill(&mut child);
        let _ = child.wait();
    }
}

fn keep(jobs: &mpsc::Receiver<Job>) {
    let mut dying: Vec<(Child, Instant)> = Vec::new();
    loop {
        let (expired, expiry) = expire(Instant::now());
        dying.extend(expired.into_iter().map(|child| (child, Instant::now() + GRACE)));
        let wait = if dying.is_empty() { expiry } else { Some(LOOK) };
        let job = match wait {
            Some(wait) => jobs.recv_timeout(wait),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match job {
            Ok(Job::Bury(child)) => dying.push((child, Instant::now() + GRACE)),
            Ok(Job::Look) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        dying.retain_mut(|(child, until)| {
            if *until > now && !is_dead(child) {
                return true;
            }
            // And what it started. What cannot be waited for is not ours any more.
            kill(child);
            matches!(child.try_wait(), Ok(None))
        });
    }
}

/// A worker without work.
struct Idle {
    handle: Handle,
    spec: Spec,
    /// `None`: as long as the program.
    until: Option<Instant>,
}

/// The idle workers of this program, the latest last.
static IDLE: Mutex<Vec<Idle>> = Mutex::new(Vec::new());

/// So many idle workers are kept for each core, whatever they were for.
const IDLE_PER_CORE: usize = 2;

/// An idle worker of this kind, if there is one.
pub(super) fn take(spec: &Spec, is_good: &dyn Fn(&Handle) -> bool) -> Option<Handle> {
    loop {
        let found = {
            let mut idle = lock(&IDLE);
            let at = idle.iter().rposition(|idle| idle.spec == *spec && is_good(&idle.handle))?;
            idle.remove(at)
        };
        let handle = found.handle;
        // What died while it was idle is buried as it goes.
        if handle.is_alive() {
            return Some(handle);
        }
    }
}

/// Keeps a worker for later.
pub(super) fn put(mut handle: Handle, spec: Spec, idle_timeout: Duration) {
    handle.settle_output();
    let rests = handle.forget_payloads().is_ok() && handle.order(&Order::Rest, &[]).is_ok();
    if idle_timeout.is_zero() || !rests || handle.exchange(Duration::ZERO).is_err() {
        return;
    }
    let most = IDLE_PER_CORE * crate::parallel::cpu_count();
    let surplus = {
        let mut idle = lock(&IDLE);
        idle.push(Idle { handle, spec, until: Instant::now().checked_add(idle_timeout) });
        let surplus = idle.len().saturating_sub(most);
        idle.drain(..surplus).collect::<Vec<_>>()
    };
    drop(surplus);
    if let Ok(jobs) = jobs() {
        // A full list of jobs has the keeper look all the same.
        let _ = jobs.try_send(Job::Look);
    }
}

/// Has idle workers forget the payloads that are gone.
pub(crate) fn forget_payloads() {
    // Whoever holds the list is about to do so, or will with the next run.
    if let Ok(mut idle) = IDLE.try_lock() {
        for idle in idle.iter_mut() {
            // A worker that is gone is noticed when it is wanted.
            let _ = idle.handle.forget_payloads().is_ok_and(|()| idle.handle.exchange(Duration::ZERO).is_ok());
        }
    }
}

/// Lets go of workers that were idle too long or are dead, and answers them, and when to look again.
fn expire(now: Instant) -> (Vec<Child>, Option<Duration>) {
    let mut idle = lock(&IDLE);
    let (kept, gone): (Vec<_>, Vec<_>) = idle
        .drain(..)
        .map(|idle| (idle.until.is_none_or(|until| until > now) && idle.handle.is_alive(), idle))
        .partition(|(keep, _)| *keep);
    *idle = kept.into_iter().map(|(_, idle)| idle).collect();
    let next =
        idle.iter().map(|idle| idle.until.map_or(DEAD, |until| until.saturating_duration_since(now).min(DEAD))).min();
    (gone.into_iter().filter_map(|(_, idle)| idle.handle.let_go()).collect(), next)
}
