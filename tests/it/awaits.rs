//! Calls that are awaited: on any runtime, one computation per key, and nothing held on the way.

use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use futures::FutureExt;
use futures::future::{join_all, join3};
use larder::store::VolatileStore;
use larder::{Cached, Memory, MissReason, NotStoredReason};
use smol::block_on;
use smol::channel::unbounded;

use crate::awaited::{Boxed, HeldUp, Order, Point, Runtime, Stage, answer, boxed, staged, telling};
use crate::child::{self, Other, say, this_program};
use crate::support::{ends, hit, miss, open, quick_directory, telling as telling_memory};

#[test]
fn a_hundred_awaits_of_one_key_compute_once() {
    for runtime in Runtime::ALL {
        ends(move || {
            let dir = quick_directory();
            let memory = open(dir.path());
            let cached = memory.cached::<staged>();
            let (stage, director) = Stage::new();
            let (polled, polls) = unbounded();
            let call = |_| -> Boxed<_> { Box::pin(telling(boxed(&cached, 7, &stage), polled.clone())) };
            let results = runtime.run((0..100).map(call).collect(), async {
                for _ in 0..100 {
                    polls.recv().await.unwrap();
                }
                director.order(Order::Answer);
            });
            assert_eq!(results, vec![answer(7); 100], "{runtime:?}");
            assert_eq!(director.computations(), 1, "{runtime:?}");
            let stats = memory.stats();
            assert_eq!((stats.misses(), stats.hits_hot, stats.hits()), (1, 99, 99), "{runtime:?}");
        });
    }
}

#[test]
fn ten_thousand_awaits_end() {
    // Of one key, of as many keys, and of both.
    for keys in [1, 100, 10_000] {
        for runtime in [Runtime::TokioThreads, Runtime::Smol] {
            ends(move || {
                let dir = quick_directory();
                let memory = open(dir.path());
                let cached = memory.cached::<staged>();
                let (stage, director) = Stage::open();
                let calls = (0..10_000).map(|number| boxed(&cached, number % keys, &stage)).collect();
                let results = runtime.run(calls, async {});
                assert!(results.into_iter().eq((0..10_000).map(|number| answer(number % keys))), "{runtime:?}");
                assert_eq!(director.computations() as u64, keys, "{runtime:?}");
                assert_eq!((memory.stats().misses(), memory.stats().stores), (keys, keys));
            });
        }
    }
}

#[test]
fn who_waits_for_a_result_that_memory_does_not_keep_reads_it() {
    for runtime in Runtime::ALL {
        ends(move || {
            let memory = Memory::builder().memory_tier_bytes(0).with_store(VolatileStore::new());
            let cached = memory.cached::<staged>();
            let (stage, director) = Stage::new();
            director.order(Order::Answer);
            let results = runtime.run((0..100).map(|_| boxed(&cached, 7, &stage)).collect(), async {});
            assert_eq!(results, vec![answer(7); 100], "{runtime:?}");
            let stats = memory.stats();
            assert_eq!((stats.misses(), stats.hits_index, stats.hits()), (1, 99, 99), "{runtime:?}");
        });
    }
}

/// What memory does not keep is read by all who waited at once: one that is slow holds up no other.
#[test]
fn those_who_read_do_not_wait_for_each_other() {
    ends(|| {
        let store = HeldUp::new();
        let memory = Memory::builder().memory_tier_bytes(0).with_store(Arc::clone(&store));
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::new();
        let (polled, polls) = unbounded();
        let (done, ended) = unbounded();
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (call, done) = (telling(boxed(&cached, 7, &stage), polled.clone()), done.clone());
                smol::spawn(async move { done.send(call.await).await })
            })
            .collect();
        for _ in &tasks {
            polls.recv_blocking().unwrap();
        }
        director.came.recv_blocking().unwrap();
        let (looked, go) = store.hold(Point::Looked);
        director.order(Order::Answer);
        looked.recv_blocking().unwrap();
        let two = [ended.recv_blocking().unwrap(), ended.recv_blocking().unwrap()];
        assert_eq!((two, ended.try_recv().is_err()), ([answer(7), answer(7)], true));
        drop(go);
        assert_eq!(ended.recv_blocking().unwrap(), answer(7));
    });
}

#[test]
fn what_is_in_memory_is_there_at_the_first_poll() {
    let memory = Memory::with_store(VolatileStore::new());
    let cached = memory.cached::<staged>();
    let (stage, _director) = Stage::open();
    miss!(memory, NeverSeen, block_on(boxed(&cached, 7, &stage)), answer(7));
    let polled = || pin!(boxed(&cached, 7, &stage)).poll(&mut Context::from_waker(Waker::noop()));
    hit!(memory, hits_hot, polled(), Poll::Ready(answer(7)));
}

#[test]
fn what_threads_computed_is_loaded_and_the_other_way_round() {
    let memory = Memory::with_store(VolatileStore::new());
    let cached = memory.cached::<staged>();
    let (stage, _director) = Stage::open();
    miss!(memory, NeverSeen, cached.call((1, stage.clone())), answer(1));
    hit!(memory, hits_hot, block_on(boxed(&cached, 1, &stage)), answer(1));
    miss!(memory, NeverSeen, block_on(boxed(&cached, 2, &stage)), answer(2));
    hit!(memory, hits_hot, cached.call((2, stage)), answer(2));
}

/// A thread and an await of one key: whoever comes second waits.
#[test]
fn a_thread_and_an_await_of_one_key_compute_once() {
    for thread_first in [true, false] {
        ends(move || {
            let store = HeldUp::new();
            let memory = Memory::with_store(Arc::clone(&store));
            let (stage, director) = Stage::new();
            let start = |by_thread: bool| {
                let (cached, stage) = (memory.cached::<staged>(), stage.clone());
                thread::spawn(
                    move || {
                        if by_thread { cached.call((7, stage)) } else { block_on(boxed(&cached, 7, &stage)) }
                    },
                )
            };
            let first = start(thread_first);
            director.came.recv_blocking().unwrap();
            let (waits, go) = store.hold(Point::Waits);
            let second = start(!thread_first);
            waits.recv_blocking().unwrap();
            drop(go);
            director.order(Order::Answer);
            assert_eq!((first.join().unwrap(), second.join().unwrap()), (answer(7), answer(7)));
            assert_eq!(director.computations(), 0, "another one");
            assert_eq!((memory.stats().misses(), memory.stats().hits()), (1, 1));
        });
    }
}

/// More calls wait for a stranger than there are threads for such work.
#[test]
fn those_who_wait_for_others_are_in_nobodys_way() {
    ends(|| {
        let store = HeldUp::new();
        let memory = Memory::with_store(Arc::clone(&store));
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::open();
        store.stranger_takes();
        let waiting: Vec<_> = (0..600).map(|item| smol::spawn(boxed(&cached, item, &stage))).collect();
        store.stranger_has(600);
        for item in 1000..1010 {
            miss!(memory, NeverSeen, block_on(boxed(&cached, item, &stage)), answer(item));
        }
        assert_eq!(director.computations(), 10);
        store.stranger_leaves();
        assert_eq!(block_on(join_all(waiting)), (0..600).map(answer).collect::<Vec<_>>());
        assert_eq!(director.computations(), 600);
    });
}

#[test]
fn only_the_first_of_those_who_await_a_key_asks_the_store() {
    ends(|| {
        let store = HeldUp::new();
        let memory = Memory::with_store(Arc::clone(&store));
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::new();
        director.order(Order::Answer);
        let calls = (0..100).map(|_| boxed(&cached, 7, &stage)).collect();
        assert_eq!(Runtime::TokioThreads.run(calls, async {}), vec![answer(7); 100]);
        assert_eq!((store.asked(), director.computations()), (1, 1));
    });
}

#[test]
fn each_of_those_who_wait_for_an_error_computes_after_the_other() {
    for runtime in Runtime::ALL {
        ends(move || {
            let memory = Memory::with_store(VolatileStore::new());
            let cached = memory.cached::<staged>();
            let (stage, director) = Stage::new();
            let (polled, polls) = unbounded();
            let call = |_| -> Boxed<_> { Box::pin(telling(boxed(&cached, 7, &stage), polled.clone())) };
            let results = runtime.run((0..4).map(call).collect(), async {
                for _ in 0..4 {
                    polls.recv().await.unwrap();
                }
                director.order(Order::Fail);
                director.order(Order::Fail);
                director.order(Order::Answer);
            });
            let failed = results.iter().filter(|result| result.is_err()).count();
            assert_eq!((failed, director.computations(), director.most_under_way()), (2, 3, 1), "{runtime:?}");
            let stats = memory.stats();
            assert_eq!((stats.hits_hot, stats.not_stored_for(NotStoredReason::ErrorResult)), (1, 2));
            let misses = [MissReason::NeverSeen, MissReason::Claimed].map(|reason| stats.misses_for(reason));
            assert_eq!((misses, stats.misses()), ([1, 2], 3), "{runtime:?}");
        });
    }
}

#[test]
fn after_a_panic_the_next_one_computes() {
    ends(|| {
        let memory = Memory::with_store(VolatileStore::new());
        let cached = memory.cached::<staged>();
        let (stage, director) = Stage::new();
        director.order(Order::Panic);
        let first = AssertUnwindSafe(boxed(&cached, 7, &stage)).catch_unwind();
        let directed = async {
            director.came.recv().await.unwrap();
            director.came.recv().await.unwrap();
            director.order(Order::Answer);
        };
        let (first, next, ()) = block_on(join3(first, boxed(&cached, 7, &stage), directed));
        assert_eq!(first.unwrap_err().downcast_ref::<String>().unwrap(), "the end of 7");
        assert_eq!(next, answer(7));
        hit!(memory, hits_hot, cached.call((7, stage)), answer(7));
    });
}

#[larder::cached]
async fn length(text: &str, again: &[u8]) -> usize {
    smol::future::yield_now().await;
    text.len() + again.len()
}

#[test]
fn arguments_may_be_borrowed_and_the_call_sent() {
    fn sent<F: Future + Send>(call: F) -> F::Output
    where
        F::Output: Send,
    {
        thread::scope(|scope| {
            let call = Box::pin(call);
            scope.spawn(|| block_on(call)).join().unwrap()
        })
    }
    let memory = Memory::with_store(VolatileStore::new());
    let text = String::from("seven");
    // The wrapper may go before the call does.
    let call = || memory.cached::<length>().call_async((&text, &[1, 2]));
    miss!(memory, NeverSeen, sent(call()), 7);
    hit!(memory, hits_hot, sent(call()), 7);
}

#[test]
fn without_a_place_every_await_computes() {
    let memory = Memory::disabled();
    let cached = memory.cached::<staged>();
    let (stage, director) = Stage::open();
    miss!(memory, Disabled, block_on(boxed(&cached, 7, &stage)), answer(7));
    miss!(memory, Disabled, block_on(boxed(&cached, 7, &stage)), answer(7));
    assert_eq!(director.computations(), 2);
}

/// What a memory says of one call after the other: computed, loaded, an error.
fn said(call: impl Fn(&Cached<staged>, u64, &Stage) -> Result<u64, String>) -> Vec<String> {
    let (builder, lines) = telling_memory(2);
    let memory = builder.memory_tier_bytes(0).with_store(VolatileStore::new());
    let cached = memory.cached::<staged>();
    let (stage, director) = Stage::new();
    for order in [Order::Answer, Order::Fail] {
        director.order(order);
    }
    assert_eq!(call(&cached, 7, &stage), answer(7));
    assert_eq!(call(&cached, 7, &stage), answer(7));
    assert!(call(&cached, 8, &stage).is_err());
    // How long a computation took is no matter here.
    lines.all().into_iter().map(|line| if line.ends_with("min") { String::from("done") } else { line }).collect()
}

#[test]
fn an_await_says_what_a_call_says() {
    let awaited = said(|cached, item, stage| block_on(boxed(cached, item, stage)));
    assert_eq!(awaited, said(|cached, item, stage| cached.call((item, stage.clone()))));
    assert_eq!(awaited.len(), 8, "{awaited:#?}");
}

/// Not a test of its own: what the children of the tests below run.
#[test]
fn child_awaits() {
    let Some((role, place)) = child::role() else { return };
    let memory = open(Path::new(&place));
    let (stage, director) = Stage::new();
    let call = boxed(&memory.cached(), 7, &stage);
    let came = || {
        director.came.recv_blocking().unwrap();
        say("computing");
        // Until the parent says so, or is gone.
        let _ = std::io::stdin().read(&mut [0]);
    };
    match &*role {
        "answers" => {
            let call = smol::spawn(call);
            came();
            director.order(Order::Answer);
            assert_eq!(block_on(call), answer(7));
        }
        "drops" => {
            let call = smol::spawn(call);
            came();
            assert_eq!(block_on(call.cancel()), None);
            say("dropped");
            let _ = std::io::stdin().read(&mut [0]);
        }
        other => panic!("an unknown role `{other}`"),
    }
}

fn start_child(role: &str, place: &Path) -> Other {
    let mut child = Other::start(Command::new(this_program()), "awaits::child_awaits", role, place);
    child.wait_for("computing");
    child
}

#[test]
fn two_programs_that_await_one_key_compute_once() {
    // The owner of the cache awaits a guest's computation, and a guest that of the owner.
    for guest_computes in [true, false] {
        let dir = quick_directory();
        let (memory, mut child);
        if guest_computes {
            memory = open(dir.path());
            child = start_child("answers", dir.path());
        } else {
            child = start_child("answers", dir.path());
            memory = open(dir.path());
        }
        let (stage, _director) = Stage::open();
        let (polled, polls) = unbounded();
        let call = smol::spawn(telling(boxed(&memory.cached(), 7, &stage), polled));
        polls.recv_blocking().unwrap();
        child.go();
        assert_eq!(ends(|| block_on(call)), answer(7));
        assert!(child.end().success());
        assert_eq!((memory.stats().hits_index, memory.stats().misses()), (1, 0), "guest computes: {guest_computes}");
    }
}

#[test]
fn a_call_that_is_dropped_in_one_program_is_computed_in_the_other() {
    for guest_drops in [true, false] {
        let dir = quick_directory();
        let (memory, mut child);
        if guest_drops {
            memory = open(dir.path());
            child = start_child("drops", dir.path());
        } else {
            child = start_child("drops", dir.path());
            memory = open(dir.path());
        }
        let (stage, director) = Stage::open();
        let (polled, polls) = unbounded();
        let call = smol::spawn(telling(boxed(&memory.cached(), 7, &stage), polled));
        polls.recv_blocking().unwrap();
        child.go();
        child.wait_for("dropped");
        assert_eq!((ends(|| block_on(call)), director.computations()), (answer(7), 1));
        assert!(child.end().success());
    }
}
