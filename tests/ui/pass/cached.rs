//! Every option of `cached`, and a recursion that goes through the cache.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use larder::{Function, Memory, Task, delayed};

static RUNS: AtomicU64 = AtomicU64::new(0);
static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory::open(directory()).expect("a store opens"));

fn directory() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("larder-ui-cached-{}", std::process::id()))
}

/// Counts its runs.
#[larder::cached(memory = MEMORY, version = 3, ignore(threads), task)]
#[must_use]
#[expect(unused_variables, reason = "only here to be ignored")]
pub fn ways(mut steps: u64, threads: usize) -> u64 {
    RUNS.fetch_add(1, Ordering::Relaxed);
    if steps < 2 {
        return 1;
    }
    steps -= 1;
    ways(steps, 1) + ways(steps - 1, 2)
}

#[larder::cached(memory = LazyLock::force(&MEMORY))]
fn halve(halve: f64) -> Result<f64, String> {
    if halve == 0.0 { Err("nothing to halve".to_owned()) } else { Ok(halve / 2.0) }
}

/// Not called: the program's own memory is not this test's to write to.
#[larder::cached]
pub fn global(xs: &[f64]) -> f64 {
    xs.iter().sum()
}

fn main() {
    assert_eq!(ways(10, 8), 89);
    assert_eq!(RUNS.load(Ordering::Relaxed), 11);
    assert_eq!(delayed!(ways(10, 9)).call(), 89);
    assert_eq!(RUNS.load(Ordering::Relaxed), 11);
    assert_eq!(ways::compute((1, 0)), 1);
    assert_eq!(RUNS.load(Ordering::Relaxed), 12);
    assert_eq!((ways::VERSION, ways::IGNORED), (3, 2));

    assert_eq!(halve(3.0), Ok(1.5));
    assert!(halve(0.0).is_err());

    let local = {
        #[larder::cached(memory = MEMORY)]
        fn local(x: u8) -> u8 {
            x + 1
        }
        local(1)
    };
    assert_eq!(local, 2);
    let _ = std::fs::remove_dir_all(directory());
}
