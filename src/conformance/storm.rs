//! Many threads at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

use super::Law;
use super::sample::Sample;
use crate::store::{Absent, Claimant, Claimed, End, Lookup, Patience, Store};

pub(super) const LAWS: &[Law] = &[
    ("many threads put and get, and nothing is torn or lost", nothing_is_torn),
    ("functions are cleared while others are put", cleared_meanwhile),
    ("each key is computed once, whoever asks", computed_once),
];

const THREADS: u64 = 8;

/// Runs `work` on many threads, which start together.
fn together(work: impl Fn(u64) + Sync) {
    let (work, start) = (&work, &Barrier::new(THREADS as usize));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                start.wait();
                work(thread);
            });
        }
    });
}

/// What thread `thread` puts under key `argument` as its `round`th.
fn of_thread(thread: u64, argument: u64, round: u64) -> Sample {
    let round = round * THREADS + thread;
    // Short ones and long ones replace each other.
    let len = [100, 6000, 3000, 20_000][(round % 4) as usize] + thread as usize;
    Sample { round, costly: round % 16 == 3, ..Sample::new(argument, len) }
}

fn nothing_is_torn(store: &Arc<dyn Store>) {
    const SHARED: u64 = 16;
    const OWN: u64 = 16;
    const ROUNDS: u64 = 8;
    let must_be_one_of_them = |argument: u64| match store.get(&Sample::new(argument, 0).key()) {
        Ok(found) => {
            let (thread, round) = (found.facts.compute_nanos % THREADS, found.facts.compute_nanos / THREADS);
            assert!(round < ROUNDS, "{found:?} under key {argument} was never put");
            of_thread(thread, argument, round).must_be(&found);
            true
        }
        // It was just being replaced: an entry may go.
        Err(_) => false,
    };
    together(|thread| {
        for round in 0..ROUNDS {
            for step in 0..SHARED {
                // Each begins elsewhere.
                let argument = (step + thread * 2) % SHARED;
                of_thread(thread, argument, round).put(store);
                must_be_one_of_them((argument + 1) % SHARED);
                if step < OWN / ROUNDS {
                    let own = of_thread(thread, SHARED + thread * OWN + step, round);
                    own.put(store);
                    own.must_be_in(store);
                }
            }
        }
    });
    for argument in 0..SHARED {
        assert!(must_be_one_of_them(argument), "key {argument} was put by all threads, and nothing is there");
    }
}

fn cleared_meanwhile(store: &Arc<dyn Store>) {
    let cleared = |argument| Sample { function: "cleared", ..Sample::new(argument, 5000) };
    together(|thread| {
        for round in 0..10 {
            if thread == 0 {
                if let Err(error) = store.clear_function("cleared", false) {
                    panic!("clearing while others put: {error}");
                }
                continue;
            }
            let argument = thread * 10 + round;
            cleared(argument).put(store);
            if let Ok(found) = store.get(&cleared(argument).key()) {
                cleared(argument).must_be(&found);
            }
            Sample::new(argument, 5000).put(store);
            Sample::new(argument, 5000).must_be_in(store);
        }
    });
    if let Err(error) = store.clear_function("cleared", false) {
        panic!("clearing at last: {error}");
    }
    for argument in 10..THREADS * 10 {
        cleared(argument).must_not_be_in(store);
        Sample::new(argument, 5000).must_be_in(store);
    }
}

fn computed_once(store: &Arc<dyn Store>) {
    const KEYS: u64 = 200;
    let computed: Vec<_> = (0..KEYS).map(|_| AtomicU64::new(0)).collect();
    let waited = AtomicUsize::new(0);
    together(|thread| {
        let who = Claimant::current();
        for step in 0..KEYS {
            // In the same order, in twos and fours apart: they meet.
            let argument = (step + thread / 2) % KEYS;
            let sample = Sample::new(argument, if argument.is_multiple_of(5) { 5000 } else { 50 });
            loop {
                match store.get_or_claim(&sample.key(), who, Patience::Unbounded) {
                    Lookup::Found(found) => break sample.must_be(&found),
                    Lookup::Mine(Absent::Never) => {
                        computed[argument as usize].fetch_add(1, SeqCst);
                        sample.put(store);
                        store.release(&sample.key(), who, End::Stored);
                        break;
                    }
                    Lookup::Claimed(Claimed::Ended(End::Stored)) => {
                        waited.fetch_add(1, SeqCst);
                    }
                    met => panic!("who asked for {sample:?} with patience met {met:?}"),
                }
            }
        }
    });
    for (argument, computed) in computed.iter().enumerate() {
        let times = computed.load(SeqCst);
        assert_eq!(times, 1, "how often key {argument} was computed ({waited:?} waits in all)");
    }
}
