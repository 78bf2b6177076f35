//! Single flight: one computation per key among the threads of this process.
//!
//! A thread claims a key before it looks it up and computes it; others wait for the end and look again. A claim is an
//! RAII guard, so it ends with its holder whatever happens.
//!
//! Waiting is an optimisation, computing twice is always right (tasks are pure), and a wait can deadlock: a rayon worker
//! that waits may be the very thread whose other work the holder is waiting for (rayon #592). So only threads outside
//! any rayon pool wait without limit; a pool's worker does other work of its pool, waits a little, and then computes a
//! duplicate; and a thread that meets its own claim (recursion, or work it stole while holding it) does so at once, as
//! does one that would close a ring of threads that wait for each other. What is not seen is a holder that waits for a
//! thread it started itself, and that thread wanting the same key: such a function waits for itself, and is documented
//! as not allowed.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::key::{ByFirstBytes, Key};
use crate::lock::{lock, whole};

/// How long a rayon worker without other work waits for another's computation before it computes a duplicate.
const POOL_PATIENCE: Duration = Duration::from_millis(100);
/// How often it looks for other work meanwhile.
const POOL_NAP: Duration = Duration::from_millis(1);

/// How many pieces of other work may wait on top of each other on one stack.
const DEEPEST_YIELD: u32 = 4;

const SHARDS: usize = 16;

#[derive(Default)]
pub(crate) struct Claims {
    shards: [Mutex<Flights>; SHARDS],
    /// Which thread waits for which other's computation. Only waiting touches it.
    waits: Mutex<HashMap<ThreadId, ThreadId>>,
}

type Flights = HashMap<Key, Arc<Flight>, ByFirstBytes>;

/// A computation under way.
pub(crate) struct Flight {
    holder: ThreadId,
    end: Mutex<Option<End>>,
    ended: Condvar,
}

/// How a computation ended, for those who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The result can be looked up.
    Stored,
    /// There is nothing to look up: it failed, panicked, or could not be stored. Each computes its own.
    NotStored,
}

/// What a claim met.
pub(crate) enum Claim<'c> {
    /// The key is this caller's until the guard drops.
    Mine(Guard<'c>),
    /// Another had it, and ended so.
    Ended(End),
    /// Another has it, and this thread must not wait.
    MustNotWait,
}

pub(crate) struct Guard<'c> {
    claims: &'c Claims,
    key: Key,
    flight: Arc<Flight>,
    end: End,
}

impl Guard<'_> {
    /// Ends the claim with a result that others can look up.
    pub(crate) fn stored(mut self) {
        self.end = End::Stored;
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        lock(self.claims.shard(&self.key)).remove(&self.key);
        // Who waits, or is about to, took its share of the flight under the shard's lock; waking nobody is a system call.
        if Arc::strong_count(&self.flight) == 1 {
            return;
        }
        *lock(&self.flight.end) = Some(self.end);
        self.flight.ended.notify_all();
    }
}

impl Claims {
    /// Takes the key, or waits for the one who has it, as far as this thread may.
    pub(crate) fn claim(&self, key: &Key) -> Claim<'_> {
        let flight = {
            let mut shard = lock(self.shard(key));
            match shard.get(key) {
                Some(flight) => Arc::clone(flight),
                None => {
                    let flight = Arc::new(Flight {
                        holder: thread::current().id(),
                        end: Mutex::new(None),
                        ended: Condvar::new(),
                    });
                    shard.insert(*key, Arc::clone(&flight));
                    return Claim::Mine(Guard { claims: self, key: *key, flight, end: End::NotStored });
                }
            }
        };
        self.wait(&flight).map_or(Claim::MustNotWait, Claim::Ended)
    }

    /// The end of another's computation, or `None` where this thread must not wait for it.
    fn wait(&self, flight: &Flight) -> Option<End> {
        let me = thread::current().id();
        if rayon::current_thread_index().is_some() {
            return if flight.holder == me { None } else { flight.wait_on_pool() };
        }
        {
            let mut waits = lock(&self.waits);
            let mut holder = flight.holder;
            // Whoever waits is followed to whom it waits for; an end of the chain is at work.
            loop {
                if holder == me {
                    return None;
                }
                match waits.get(&holder) {
                    Some(next) => holder = *next,
                    None => break,
                }
            }
            waits.insert(me, flight.holder);
        }
        let end = flight.wait_outside();
        lock(&self.waits).remove(&me);
        Some(end)
    }

    fn shard(&self, key: &Key) -> &Mutex<Flights> {
        &self.shards[usize::from(key.as_bytes()[0]) % SHARDS]
    }
}

impl Flight {
    fn wait_outside(&self) -> End {
        let mut end = lock(&self.end);
        loop {
            match *end {
                Some(end) => return end,
                None => end = whole(self.ended.wait(end)),
            }
        }
    }

    fn wait_on_pool(&self) -> Option<End> {
        let mut idle = Duration::ZERO;
        while idle < POOL_PATIENCE {
            if let Some(end) = *lock(&self.end) {
                return Some(end);
            }
            if yield_to_pool() {
                continue;
            }
            let start = Instant::now();
            let end = lock(&self.end);
            if end.is_none() {
                // Woken or not, the loop looks again.
                drop(whole(self.ended.wait_timeout(end, POOL_NAP)));
            }
            idle += start.elapsed();
        }
        *lock(&self.end)
    }
}

/// Does one piece of the pool's other work, if there is any and the stack has room: that work may wait here too.
fn yield_to_pool() -> bool {
    thread_local! {
        static DEPTH: Cell<u32> = const { Cell::new(0) };
    }
    struct Level;
    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    if DEPTH.get() >= DEEPEST_YIELD {
        return false;
    }
    DEPTH.set(DEPTH.get() + 1);
    let _level = Level;
    rayon::yield_now() == Some(rayon::Yield::Executed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes([3; 32])
    }

    #[test]
    fn a_thread_never_waits_for_itself() {
        let claims = Claims::default();
        let Claim::Mine(guard) = claims.claim(&key()) else { panic!("nobody has the key") };
        assert!(matches!(claims.claim(&key()), Claim::MustNotWait));
        drop(guard);
        assert!(matches!(claims.claim(&key()), Claim::Mine(_)), "the claim ended with its guard");
    }

    #[test]
    fn waiters_learn_how_it_ended() {
        for stored in [true, false] {
            let claims = Claims::default();
            let Claim::Mine(guard) = claims.claim(&key()) else { panic!("nobody has the key") };
            let end = thread::scope(|scope| {
                let waiter = scope.spawn(|| match claims.claim(&key()) {
                    Claim::Ended(end) => Some(end),
                    // The guard may be gone before this thread came.
                    Claim::Mine(_) => None,
                    Claim::MustNotWait => panic!("a plain thread may wait"),
                });
                if stored {
                    guard.stored()
                } else {
                    drop(guard)
                }
                waiter.join().unwrap()
            });
            let expected = if stored { End::Stored } else { End::NotStored };
            assert!(end.is_none_or(|end| end == expected), "{end:?}");
        }
    }

    #[test]
    fn a_pool_worker_gives_up_on_a_holder_that_waits_for_the_pool() {
        let claims = Claims::default();
        let Claim::Mine(guard) = claims.claim(&key()) else { panic!("nobody has the key") };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        // The holder waits for the pool's only worker, which meets the claimed key: without the rule, for ever.
        let met = pool.install(|| matches!(claims.claim(&key()), Claim::MustNotWait));
        assert!(met);
        drop(guard);
    }
}
