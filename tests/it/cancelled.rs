//! Awaited calls that are dropped, at each point where they wait: nothing is held, and the next one goes on.

use std::sync::Arc;
use std::thread;

use larder::store::VolatileStore;
use larder::{Memory, MissReason};
use smol::block_on;
use smol::channel::unbounded;

use crate::awaited::{Boxed, HeldUp, Order, Point, Stage, answer, boxed, drop_when, staged, telling};
use crate::support::{ends, hit, open, quick_directory};

/// A future that was dropped left no claim: a thread, or an await, computes; `item` was not computed before.
fn computes_at_once(memory: &Memory, item: u64, by_thread: bool) {
    let (cached, (stage, director)) = (memory.cached::<staged>(), Stage::open());
    let result =
        ends(move || if by_thread { cached.call((item, stage)) } else { block_on(boxed(&cached, item, &stage)) });
    assert_eq!((result, director.computations()), (answer(item), 1));
}

#[test]
fn a_computation_that_is_dropped_leaves_no_claim() {
    let dir = quick_directory();
    for memory in [open(dir.path()), Memory::with_store(VolatileStore::new())] {
        for by_thread in [true, false] {
            let item = u64::from(by_thread);
            let (stage, director) = Stage::new();
            drop_when(director.came.recv(), boxed(&memory.cached(), item, &stage));
            assert_eq!(director.most_under_way(), 1);
            computes_at_once(&memory, item, by_thread);
            assert_eq!(memory.stats().misses_for(MissReason::NeverSeen), 2 * (2 - item), "it had no claim to wait for");
        }
    }
}

#[test]
fn a_claim_that_comes_after_its_call_was_dropped_is_given_back() {
    for by_thread in [true, false] {
        let store = HeldUp::new();
        let memory = Memory::with_store(Arc::clone(&store));
        let (stage, director) = Stage::open();
        let (looked, go) = store.hold(Point::Looked);
        drop_when(looked.recv(), boxed(&memory.cached(), 7, &stage));
        drop(go);
        computes_at_once(&memory, 7, by_thread);
        assert_eq!(director.computations(), 0, "it was dropped");
    }
}

#[test]
fn a_result_that_is_being_stored_is_stored_though_its_call_is_dropped() {
    for by_thread in [true, false] {
        let store = HeldUp::new();
        let memory = Memory::builder().memory_tier_bytes(0).with_store(Arc::clone(&store));
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::open();
        let (puts, go) = store.hold(Point::Puts);
        drop_when(puts.recv(), boxed(&cached, 7, &stage));
        drop(go);
        let (result, again) = (memory.cached::<staged>(), stage.clone());
        let call = move || if by_thread { result.call((7, again)) } else { block_on(boxed(&result, 7, &again)) };
        hit!(memory, hits_index, ends(call), answer(7));
        assert_eq!(director.computations(), 1);
        assert_eq!(cached.clear().unwrap(), 1);
        computes_at_once(&memory, 7, by_thread);
    }
}

#[test]
fn a_call_that_is_dropped_while_it_waits_for_its_turn_is_missed_by_nobody() {
    ends(|| {
        let memory = Memory::with_store(VolatileStore::new());
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::new();
        let first = smol::spawn(boxed(&cached, 7, &stage));
        director.came.recv_blocking().unwrap();
        let (polled, polls) = unbounded();
        let wait = || -> Boxed<_> { Box::pin(telling(boxed(&cached, 7, &stage), polled.clone())) };
        drop_when(polls.recv(), wait());
        let last = smol::spawn(wait());
        polls.recv_blocking().unwrap();
        director.order(Order::Answer);
        assert_eq!(block_on(async { (first.await, last.await) }), (answer(7), answer(7)));
        assert_eq!((director.computations(), memory.stats().hits_hot), (0, 1));
    });
}

#[test]
fn when_the_first_is_dropped_the_next_one_computes() {
    ends(|| {
        let memory = Memory::with_store(VolatileStore::new());
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::new();
        let first = smol::spawn(boxed(&cached, 7, &stage));
        director.came.recv_blocking().unwrap();
        let (polled, polls) = unbounded();
        let next = smol::spawn(telling(boxed(&cached, 7, &stage), polled));
        polls.recv_blocking().unwrap();
        assert_eq!(block_on(first.cancel()), None);
        director.came.recv_blocking().unwrap();
        director.order(Order::Answer);
        assert_eq!(block_on(next), answer(7));
        assert_eq!((director.most_under_way(), memory.stats().misses_for(MissReason::Claimed)), (1, 1));
    });
}

#[test]
fn a_call_that_is_dropped_while_it_waits_for_a_thread_leaves_no_claim() {
    for by_thread in [true, false] {
        let store = HeldUp::new();
        let memory = Memory::with_store(Arc::clone(&store));
        let (stage, director) = Stage::new();
        let (cached, on_thread) = (memory.cached::<staged>(), stage.clone());
        let thread = thread::spawn(move || cached.call((7, on_thread)));
        director.came.recv_blocking().unwrap();
        let (waits, go) = store.hold(Point::Waits);
        drop_when(waits.recv(), boxed(&memory.cached(), 7, &stage));
        director.order(Order::Fail);
        assert!(thread.join().unwrap().is_err());
        // Now it can be had, for nobody.
        drop(go);
        computes_at_once(&memory, 7, by_thread);
        assert_eq!(director.computations(), 0);
    }
}
