//! `async` functions with a cache in front of them.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::executor::block_on;
use larder::{Memory, NotStoredReason};

use super::volatile;
use crate::support::{hit, miss};

static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);
static FETCHES: AtomicU64 = AtomicU64::new(0);

/// Waits for something, as one that fetches would.
#[larder::cached(memory = MEMORY, ignore(attempts), version = 2)]
async fn fetched(url: &str, mut attempts: u32) -> Result<String, String> {
    FETCHES.fetch_add(1, Relaxed);
    futures::future::ready(()).await;
    attempts += 1;
    if url.is_empty() {
        return Err(format!("no address, {attempts}"));
    }
    Ok(url.to_uppercase())
}

#[test]
fn an_awaited_function_is_computed_once() {
    miss!(MEMORY, NeverSeen, block_on(fetched("a", 1)), Ok("A".to_owned()));
    hit!(MEMORY, hits_hot, block_on(fetched("a", 2)), Ok("A".to_owned()));
    miss!(MEMORY, NeverSeen, block_on(fetched("", 1)), Err("no address, 2".to_owned()));
    miss!(MEMORY, NeverSeen, block_on(fetched("", 2)), Err("no address, 3".to_owned()));
    assert_eq!(FETCHES.load(Relaxed), 3);
    assert_eq!(MEMORY.stats().not_stored_for(NotStoredReason::ErrorResult), 2);
}

fn is_send<F: Future + Send>(future: F) -> F {
    future
}

#[larder::cached(memory = volatile())]
async fn shouted(text: &str) -> String {
    futures::future::ready(()).await;
    text.to_uppercase()
}

/// With what it borrows, on any thread, where its own body allows that.
#[test]
fn the_future_can_be_sent() {
    #[larder::cached(memory = volatile())]
    async fn local(x: u8) -> u8 {
        let held = std::rc::Rc::new(x);
        futures::future::ready(()).await;
        *held
    }

    let text = "b".to_owned();
    assert_eq!(std::thread::spawn(move || block_on(is_send(shouted(&text)))).join().unwrap(), "B");
    assert_eq!(block_on(local(3)), 3, "and one that cannot be sent is awaited where it is");
}

#[test]
fn an_awaited_recursion_goes_through_its_cache() {
    #[larder::cached(memory = volatile())]
    async fn climbed(steps: u64) -> u64 {
        if steps < 2 { 1 } else { Box::pin(climbed(steps - 1)).await + Box::pin(climbed(steps - 2)).await }
    }

    assert_eq!(block_on(climbed(50)), 20_365_011_074);
}
