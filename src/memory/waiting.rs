//! How long a call waits for the same call elsewhere.
//!
//! Waiting is an optimisation, computing twice is always right (tasks are pure), and a wait can deadlock: a rayon worker
//! that waits may be the very thread whose other work the holder is waiting for (rayon #592). So only threads outside any
//! rayon pool wait without limit; a pool's worker does other work of its pool, waits a little, and then computes a
//! duplicate. What is not seen is a holder that waits for a thread it started itself, and that thread wanting the same key:
//! such a function waits for itself, and is documented as not allowed.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::store::{Claimant, Claimed, EntryKey, Lookup, Patience, Store};

/// How long a rayon worker without other work waits for another's computation before it computes a duplicate.
const POOL_PATIENCE: Duration = Duration::from_millis(100);
/// How often it looks for other work meanwhile.
const POOL_NAP: Duration = Duration::from_millis(1);
/// How long one waits who then looks whether there is anything else to do, or the run is over.
const A_WHILE: Duration = Duration::from_millis(20);
/// How many pieces of other work may wait on top of each other on one stack.
const DEEPEST_YIELD: u32 = 4;

/// What a call does about a key that another has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Waits as its thread may.
    AsThreadMay,
    /// Comes back later.
    Not,
    /// Waits for some milliseconds, and then comes back later.
    AWhile,
    /// Waits to the end: the caller knows that nobody waits for its thread but for this result.
    ToTheEnd,
}

/// Looks an entry up or claims its key. [`Claimed::Busy`] is an answer only to one who does not wait.
pub(super) fn get_or_claim(store: &dyn Store, key: &EntryKey, who: Claimant, waiting: Waiting) -> Lookup {
    match waiting {
        Waiting::Not => store.get_or_claim(key, who, Patience::AtMost(Duration::ZERO)),
        Waiting::AWhile => store.get_or_claim(key, who, Patience::AtMost(A_WHILE)),
        Waiting::AsThreadMay if rayon::current_thread_index().is_some() => wait_on_pool(store, key, who),
        Waiting::AsThreadMay | Waiting::ToTheEnd => store.get_or_claim(key, who, Patience::Unbounded),
    }
}

fn wait_on_pool(store: &dyn Store, key: &EntryKey, who: Claimant) -> Lookup {
    let mut idle = Duration::ZERO;
    // The first look waits for nothing, so that other work comes first.
    let mut nap = Duration::ZERO;
    while idle < POOL_PATIENCE {
        let start = Instant::now();
        match store.get_or_claim(key, who, Patience::AtMost(nap)) {
            Lookup::Claimed(Claimed::Busy) => {}
            met => return met,
        }
        idle += start.elapsed();
        nap = if yield_to_pool() { Duration::ZERO } else { POOL_NAP };
    }
    Lookup::Claimed(Claimed::MustNotWait)
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
    use crate::store::VolatileStore;

    #[test]
    fn a_pool_worker_gives_up_on_a_holder_that_waits_for_the_pool() {
        let store = VolatileStore::new();
        let key = EntryKey::from_bytes([3; 40]);
        let lookup = get_or_claim(&store, &key, Claimant::current(), Waiting::AsThreadMay);
        assert!(matches!(lookup, Lookup::Mine(_)), "nobody has the key");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        // The holder waits for the pool's only worker, which meets the claimed key: without the rule, for ever.
        let met = pool.install(|| get_or_claim(&store, &key, Claimant::current(), Waiting::AsThreadMay));
        assert!(matches!(met, Lookup::Claimed(Claimed::MustNotWait)), "{met:?}");
        let met = pool.install(|| get_or_claim(&store, &key, Claimant::current(), Waiting::Not));
        assert!(matches!(met, Lookup::Claimed(Claimed::Busy)), "{met:?}");
    }
}
