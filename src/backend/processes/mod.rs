//! Worker processes, as their program sees them: started, hired for a run, kept for the next.
//!
//! A [`Handle`] is one worker; a driver of a run ([`crate::parallel`]) has it to itself. [`spawn`] starts it, [`keeper`] has the
//! idle ones, [`output`] passes on what they print. The worker's own side is [`crate::worker`].

mod handle;
pub(crate) mod keeper;
mod output;
mod spawn;

use std::io;
use std::time::Duration;

pub(crate) use handle::{Ending, Handle, TICK, Unheard};
pub(crate) use spawn::{Spec, Surroundings};

use crate::error::{Error, Kind};
use crate::worker;

/// Why there is no worker.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The program has no entry for workers.
    NoEntry,
    /// This process is itself what a driver started as a worker, and went past the entry.
    PastTheEntry,
    /// What was started is no worker: what it did instead.
    Stray(String),
    OtherBuild,
    /// Somebody killed it before it was ready.
    Killed(String),
    Setup(String),
    Resource(String, io::Error),
    /// The run is over.
    Cancelled,
}

/// A worker of this kind, and whether it is a new one; an idle one only if it `is_good`.
///
/// # Errors
/// There is none to be had.
pub(crate) fn hire(
    spec: &Spec,
    is_good: &dyn Fn(&Handle) -> bool,
    cancelled: &dyn Fn() -> bool,
) -> Result<(Handle, bool), Refusal> {
    if !worker::has_entry() {
        return Err(if worker::denounce() { Refusal::PastTheEntry } else { Refusal::NoEntry });
    }
    match keeper::take(spec, is_good) {
        Some(handle) => Ok((handle, false)),
        None => {
            let mut tries = 1;
            loop {
                match spawn::start(spec, cancelled) {
                    Err(Refusal::Killed(_)) if tries < TRIES => tries += 1,
                    started => return Ok((started?, true)),
                }
            }
        }
    }
}

/// Gives a worker back that is without work, for who wants one of its kind within `idle_timeout`.
pub(crate) fn dismiss(handle: Handle, spec: Spec, idle_timeout: Duration) {
    keeper::put(handle, spec, idle_timeout);
}

/// So often a worker is started that somebody kills before it is ready.
const TRIES: u32 = 5;

const REMEDY: &str = "worker processes are this program started again: write `#[larder::main]` on `fn main`, or \
                      `larder::init();` as its first line; in tests and benches, use larder with the feature `auto-worker`";

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let entry = |what: String| Error::new(Kind::WorkerEntry { what });
        match refusal {
            Refusal::NoEntry => entry(format!("this program has no entry for worker processes: {REMEDY}")),
            Refusal::PastTheEntry => {
                entry(format!("this process was started as a worker but runs the program: {REMEDY}"))
            }
            Refusal::Stray(words) => entry(format!("what was started is no worker process: {words}; {REMEDY}")),
            Refusal::OtherBuild => entry(
                "the program's file is another build than the one that is running: start the program again".to_owned(),
            ),
            Refusal::Killed(words) | Refusal::Setup(words) => {
                Error::new(Kind::Worker { what: format!("a worker process cannot be used: {words}") })
            }
            Refusal::Resource(what, source) => Error::resource(what, source),
            Refusal::Cancelled => {
                Error::new(Kind::Worker { what: "the run was over before a worker was ready".to_owned() })
            }
        }
    }
}
