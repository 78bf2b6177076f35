//! The laws of a [`Store`], for the tests of whoever implements one. Needs the feature `conformance`.
//!
//! | | for |
//! |---|---|
//! | [`check`] | every store |
//! | [`check_durable`] | stores whose entries outlive the program |
//! | [`check_damage`] | stores that keep files: each byte of them is altered in turn |
//! | [`crash`] | stores whose entries outlive the program: it is killed while it stores |
//!
//! Each panics at the first law that is broken, and says which.
//!
//! What is not checked: anything about speed; what happens when a disk is full, a power loss, a network that fails.
//!
//! # Examples
//! Each line stands in a `#[test]`:
//! ```
//! use larder::conformance;
//! use larder::store::{DiskStore, VolatileStore};
//!
//! conformance::check(VolatileStore::new);
//! conformance::check_durable(|dir| DiskStore::open(dir).unwrap());
//! ```
//!
//! A crash takes two tests, of which the second starts and kills the first:
//! ```no_run
//! use larder::conformance;
//! use larder::store::DiskStore;
//!
//! // #[test]
//! fn child_is_killed() {
//!     conformance::crash::child(|dir| DiskStore::open(dir).unwrap());
//! }
//!
//! // #[test]
//! fn keeps_what_it_acknowledged() {
//!     conformance::crash::check("child_is_killed", 5, |dir| DiskStore::open(dir).unwrap());
//! }
//! ```

mod claiming;
pub mod crash;
mod damage;
mod durable;
mod entries;
mod sample;
mod storm;
mod through_memory;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::store::Store;
pub use damage::{Damage, check_damage};
pub use durable::check_durable;

/// Only what would never end meets it.
const FOREVER: Duration = Duration::from_secs(120);

/// A law, and what breaks it.
type Law = (&'static str, fn(&Arc<dyn Store>));

/// Checks what must hold of every store. `open` is called for each law, and must give a store that is empty; some 50 MB
/// are put, which it must have room for.
///
/// # Panics
/// A law is broken, or does not end within two minutes: the message says which.
pub fn check<S: Store>(open: impl Fn() -> S) {
    for (name, law) in entries::LAWS.iter().chain(storm::LAWS).chain(claiming::LAWS).chain(through_memory::LAWS) {
        let store: Arc<dyn Store> = Arc::new(open());
        obeyed(name, move || law(&store));
    }
}

/// Runs a law, which must end.
fn obeyed<R: Send + 'static>(name: &str, law: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, end) = channel();
    let checker = thread::spawn(move || {
        let end = catch_unwind(AssertUnwindSafe(law));
        // Nobody listens once the time is up.
        let _ = sender.send(end);
    });
    match end.recv_timeout(FOREVER) {
        Ok(Ok(done)) => {
            // The store is closed when its thread has ended.
            let _ = checker.join();
            done
        }
        Ok(Err(panic)) => panic!("a law of stores is broken, `{name}`: {}", words(&*panic)),
        Err(RecvTimeoutError::Timeout) => {
            panic!("a law of stores is broken, `{name}`: not ended after {FOREVER:?}, so someone waits for ever")
        }
        Err(RecvTimeoutError::Disconnected) => panic!("a law of stores is broken, `{name}`: its thread was ended"),
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}
