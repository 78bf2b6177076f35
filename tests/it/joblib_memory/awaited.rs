//! Functions that are awaited: `AsyncMemorizedFunc`.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::Duration;

use futures::executor::block_on;
use futures::future::{Either, join, pending, select};
use larder::Memory;

use super::volatile;
use crate::support::{ends, hit, miss};

/// `await f()`; and what is asked of a cached function besides.
#[test]
fn async_functions_are_awaited_and_then_loaded() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    #[larder::cached(memory = MEMORY)]
    async fn length(url: &str) -> usize {
        url.len()
    }

    miss!(MEMORY, NeverSeen, block_on(length("abc")), 3);
    hit!(MEMORY, hits_hot, block_on(length("abc")), 3);
    let cached = MEMORY.cached::<length>();
    assert!(cached.check_call_in_cache(("abc",)) && !cached.check_call_in_cache(("ab",)));
    assert!(cached.forget(("abc",)).unwrap());
    miss!(MEMORY, NeverSeen, block_on(cached.call_async(("abc",))), 3);
    assert_eq!(cached.clear().unwrap(), 1);
    let old = cached.expires_after(Duration::ZERO);
    miss!(MEMORY, NeverSeen, block_on(old.call_async(("abc",))), 3);
    miss!(MEMORY, Expired, block_on(old.call_async(("abc",))), 3);
}

/// `AsyncMemorizedFunc.call` and `.call_and_shelve`.
#[test]
fn async_call_forced_and_call_and_shelve() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    async fn parts(text: &str) -> Result<Vec<String>, String> {
        RUNS.fetch_add(1, Relaxed);
        if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.split(' ').map(str::to_owned).collect()) }
    }

    let cached = MEMORY.cached::<parts>();
    let shelved = block_on(cached.call_and_shelve_async(("a b",))).expect("it is stored");
    assert_eq!((shelved.get().unwrap().len(), RUNS.load(Relaxed)), (2, 1));
    let again = block_on(cached.call_and_shelve_async(("a b",))).expect("it is stored");
    assert_eq!((again.get().unwrap().len(), RUNS.load(Relaxed), MEMORY.stats().hits()), (2, 1, 1));
    miss!(MEMORY, Forced, block_on(cached.call_forced_async(("a b",))).map(|parts| parts.len()), Ok(2));
    assert_eq!(RUNS.load(Relaxed), 2);
    hit!(MEMORY, hits_hot, block_on(cached.call_async(("a b",))).map(|parts| parts.len()), Ok(2));
    let error = block_on(cached.call_and_shelve_async(("",))).expect_err("an error is not stored");
    assert_eq!(error, Err("empty".to_owned()));
    let disabled = Memory::disabled();
    let held = block_on(disabled.cached::<parts>().call_and_shelve_async(("c",))).expect("it is held");
    assert_eq!(held.get().unwrap(), ["c"]);
}

/// An exception is the caller's, and not stored.
#[test]
fn async_functions_that_fail_are_not_stored() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);
    static IS_UP: AtomicBool = AtomicBool::new(false);

    #[larder::cached(memory = MEMORY)]
    async fn status(url: &str) -> Result<usize, String> {
        if IS_UP.load(Relaxed) { Ok(url.len()) } else { Err(format!("{url} is down")) }
    }

    for _ in 0..2 {
        miss!(MEMORY, NeverSeen, block_on(status("abc")), Err("abc is down".to_owned()));
    }
    IS_UP.store(true, Relaxed);
    miss!(MEMORY, NeverSeen, block_on(status("abc")), Ok(3));
    hit!(MEMORY, hits_hot, block_on(status("abc")), Ok(3));
}

/// joblib computes twice what is awaited twice at once.
#[test]
fn async_calls_at_once_compute_once() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    async fn slow(x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        // Others have their turn.
        let mut polled = false;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        x + 1
    }

    assert_eq!(ends(|| block_on(join(slow(1), slow(1)))), (2, 2));
    assert_eq!((RUNS.load(Relaxed), MEMORY.stats().misses(), MEMORY.stats().hits()), (1, 1, 1));
}

/// A call that is given up leaves nothing in the way of the next one.
#[test]
fn async_calls_that_are_dropped_leave_no_claim() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    async fn stuck_at_first(x: u64) -> u64 {
        if RUNS.fetch_add(1, Relaxed) == 0 {
            pending::<()>().await;
        }
        x + 1
    }

    ends(|| {
        let begun = poll_fn(|context| {
            context.waker().wake_by_ref();
            if RUNS.load(Relaxed) > 0 { Poll::Ready(()) } else { Poll::Pending }
        });
        let given_up = block_on(async { matches!(select(pin!(stuck_at_first(1)), begun).await, Either::Right(_)) });
        assert!(given_up);
        miss!(MEMORY, NeverSeen, block_on(stuck_at_first(1)), 2);
        hit!(MEMORY, hits_hot, block_on(stuck_at_first(1)), 2);
    });
    assert_eq!(RUNS.load(Relaxed), 2);
}
