//! What a user of the store sees.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

use super::Law;
use crate::store::Store;
use crate::{Memory, MissReason};

pub(super) const LAWS: &[Law] = &[
    ("a memory computes each call once", computes_once),
    ("a memory finds what another memory put", another_memory),
    ("a memory clears a function", clears),
];

/// A memory that looks into the store each time.
fn memory(store: &Arc<dyn Store>) -> Memory {
    Memory::builder().memory_tier_bytes(0).with_store(Arc::clone(store))
}

/// Results of a few bytes and of some kilobytes, with no two alike.
fn numbers(x: u64) -> Vec<u64> {
    let len = if x.is_multiple_of(3) { 2000 } else { 2 };
    (0..len).map(|at| x * 1_000_003 + at).collect()
}

fn computes_once(store: &Arc<dyn Store>) {
    const THREADS: u64 = 8;
    const CALLS: u64 = 40;
    let memory = &memory(store);
    let computed = &AtomicU64::new(0);
    let start = &Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let cached = memory.cached_fn("numbers", 1, |x: &u64| {
                    computed.fetch_add(1, SeqCst);
                    numbers(*x)
                });
                start.wait();
                for step in 0..CALLS {
                    let x = (step + thread / 2) % CALLS;
                    assert!(cached.call(&x) == numbers(x), "a wrong result of call {x}");
                }
            });
        }
    });
    let stats = memory.stats();
    assert_eq!(computed.load(SeqCst), CALLS, "how often was computed: {stats:?}");
    assert_eq!((stats.misses(), stats.hits()), (CALLS, (THREADS - 1) * CALLS), "misses and hits: {stats:?}");
    assert_eq!((stats.misses_for(MissReason::NeverSeen), stats.stores), (CALLS, CALLS), "{stats:?}");
}

fn another_memory(store: &Arc<dyn Store>) {
    for (round, memory) in [memory(store), memory(store)].into_iter().enumerate() {
        for x in 0..10 {
            assert!(memory.cached_fn("numbers", 1, |x: &u64| numbers(*x)).call(&x) == numbers(x), "call {x}");
        }
        // Another version's result is another.
        assert_eq!(memory.cached_fn("numbers", 2, |x: &u64| *x).call(&1), 1);
        let failed = memory.cached_fn("fails", 1, |x: &u64| Err::<u64, u64>(*x)).call(&7);
        assert_eq!(failed, Err(7));
        let stats = memory.stats();
        // An `Err` is not stored.
        let expected = if round == 0 { (12, 0, 11) } else { (1, 11, 0) };
        assert_eq!((stats.misses(), stats.hits(), stats.stores), expected, "misses, hits and stores: {stats:?}");
    }
}

fn clears(store: &Arc<dyn Store>) {
    let memory = memory(store);
    let (first, second) =
        (memory.cached_fn("first", 1, |x: &u64| numbers(*x)), memory.cached_fn("second", 1, |x: &u64| numbers(*x)));
    let call_all = || (0..6).for_each(|x| assert!(first.call(&x) == numbers(x) && second.call(&x) == numbers(x)));
    call_all();
    let cleared = first.clear();
    assert!(matches!(cleared, Ok(6)), "clearing a function of 6 results: {cleared:?}");
    call_all();
    assert_eq!((memory.stats().misses(), memory.stats().hits()), (18, 6), "one of two functions was cleared");
    let cleared = memory.clear();
    assert!(cleared.is_ok(), "clearing everything: {cleared:?}");
    call_all();
    assert_eq!(memory.stats().misses(), 30, "everything was cleared");
}
