//! Holes that a review found, each closed and held closed: every test opens with what went wrong for the user.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};

use larder::{Memory, MissReason, NotStoredReason, Parallel, delayed};
use serde::{Deserialize, Serialize, Serializer};

fn fresh() -> (tempfile::TempDir, Memory) {
    let dir = tempfile::tempdir().expect("there is room");
    let memory = Memory::open(dir.path()).expect("an empty directory");
    (dir, memory)
}

/// Moving `ignore(..)` to another argument let entries of the old kind answer calls of the new one.
#[test]
fn which_argument_is_ignored_is_in_the_key() {
    mod before {
        #[larder::task(ignore(threads))]
        pub(super) fn scaled(threads: u64, n: u64) -> u64 {
            let _ = threads;
            n * 10
        }
    }
    mod after {
        #[larder::task(ignore(n))]
        pub(super) fn scaled(threads: u64, n: u64) -> u64 {
            let _ = threads;
            n * 10
        }
    }
    let (_dir, memory) = fresh();
    assert_eq!(memory.cached::<before::scaled>().call((4, 10)), 100);
    assert_eq!(memory.cached::<after::scaled>().call((10, 4)), 40);
}

/// Two functions of one name, module and text, within different functions, shared their entries.
#[test]
fn functions_within_functions_are_told_apart() {
    fn of_one(memory: &Memory) -> u64 {
        const K: u64 = 1;
        #[larder::task]
        fn scaled(x: u64) -> u64 {
            x * K
        }
        memory.cached::<scaled>().call((7,))
    }
    fn of_hundred(memory: &Memory) -> u64 {
        const K: u64 = 100;
        #[larder::task]
        fn scaled(x: u64) -> u64 {
            x * K
        }
        memory.cached::<scaled>().call((7,))
    }
    let (_dir, memory) = fresh();
    assert_eq!((of_one(&memory), of_hundred(&memory)), (7, 700));
}

/// A set of another crate that keeps the order of its elements was keyed as if it had none.
#[test]
fn a_set_that_keeps_an_order_keys_by_it() {
    struct LinkedHashSet(Vec<u8>);
    impl Serialize for LinkedHashSet {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self)
        }
    }
    impl<'s> IntoIterator for &'s LinkedHashSet {
        type Item = &'s u8;
        type IntoIter = std::slice::Iter<'s, u8>;
        fn into_iter(self) -> Self::IntoIter {
            self.0.iter()
        }
    }
    let (_dir, memory) = fresh();
    let first = memory.cached_fn("first", 1, |set: &LinkedHashSet| set.0[0]);
    assert_eq!(first.call(&LinkedHashSet(vec![1, 2])), 1);
    assert_eq!(first.call(&LinkedHashSet(vec![2, 1])), 2);
}

/// A caller that changed what it got changed what the next caller got.
#[test]
fn a_result_that_shares_what_can_change_is_not_shared_in_memory() {
    #[larder::task]
    fn shared(x: u64) -> Arc<Mutex<Vec<u64>>> {
        Arc::new(Mutex::new(vec![x]))
    }
    let (_dir, memory) = fresh();
    let cached = memory.cached::<shared>();
    cached.call((1,)).lock().unwrap().push(99);
    assert_eq!(*cached.call((1,)).lock().unwrap(), [1]);
    assert_eq!(memory.stats().hits_hot, 1, "it is in memory all the same");
}

/// Jobs that waited for one key did each other's work on one stack, until it overflowed.
#[test]
fn many_waiting_jobs_of_a_pool_do_not_overflow_the_stack() {
    let (_dir, memory) = fresh();
    let slow = memory.cached_fn("slow", 1, |x: &u64| {
        std::hint::black_box((0..3_000_000_u64).fold(*x, |sum, i| sum.wrapping_add(std::hint::black_box(i))))
    });
    let expected = (0..3_000_000_u64).sum::<u64>() + 7;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let right = AtomicU64::new(0);
    pool.scope(|scope| {
        for _ in 0..20_000 {
            scope.spawn(|_| {
                right.fetch_add(u64::from(slow.call(&7) == expected), Relaxed);
            });
        }
    });
    assert_eq!(right.into_inner(), 20_000);
}

/// A mistyped number of jobs asked for 256 GiB of counters.
#[test]
fn an_absurd_number_of_jobs_is_an_error() {
    let error = Parallel::new().n_jobs(i32::MAX).map(0..3, |x| x).unwrap_err();
    assert!(error.is_invalid_option() && error.to_string().contains("`n_jobs` is 2147483647"), "{error}");
}

/// A result whose `Deserialize` panics failed a call that had already computed it.
#[test]
fn a_panicking_deserialize_costs_the_entry_and_not_the_call() {
    #[derive(Debug, PartialEq, Serialize)]
    struct Touchy(u8);
    impl<'de> Deserialize<'de> for Touchy {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Touchy, D::Error> {
            panic!("(this panic belongs to the test)")
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::builder().report_to(|_| {}).open(dir.path()).unwrap();
    let touchy = memory.cached_fn("touchy", 1, |x: &u8| Touchy(*x));
    assert_eq!(touchy.call(&3), Touchy(3));
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NotSerializable), 1);
}

/// An argument that is only ignored, and cannot be serialized, made every call a miss.
#[test]
fn an_ignored_argument_is_not_looked_at() {
    struct Handle;
    impl Serialize for Handle {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("a handle is no data"))
        }
    }
    #[larder::cached(ignore(handle), memory = MEMORY)]
    fn with_handle(x: u64, handle: &Handle) -> u64 {
        let _ = handle;
        x + 1
    }
    static PLACE: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("there is room"));
    static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory::open(PLACE.path()).expect("an empty directory"));
    assert_eq!((with_handle(1, &Handle), with_handle(1, &Handle)), (2, 2));
    assert_eq!((MEMORY.stats().misses(), MEMORY.stats().hits()), (1, 1));
    std::fs::remove_dir_all(PLACE.path()).unwrap();
}

/// Clearing while calls were stored failed, and made their stores fail.
#[test]
fn clearing_while_results_are_stored_disturbs_neither() {
    let (_dir, memory) = fresh();
    let large = memory.cached_fn("large", 1, |x: &u64| vec![*x; 5000]);
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| (0..300).for_each(|x| assert_eq!(large.call(&x), vec![x; 5000])));
        while !storing.is_finished() {
            memory.clear().unwrap();
        }
    });
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 0);
    memory.clear().unwrap();
    assert_eq!(large.call(&7), vec![7; 5000]);
}

/// A mark of damage beside a missing index made a cache that never opened again.
#[test]
fn a_mark_of_damage_without_an_index_is_no_obstacle() {
    let (dir, memory) = fresh();
    let large = memory.cached_fn("large", 1, |x: &u64| vec![*x; 5000]);
    large.call(&1);
    drop((large, memory));
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    std::fs::write(dir.path().join("index.damaged"), "a kill came in between").unwrap();
    std::fs::create_dir(dir.path().join("temp/not ours")).unwrap();
    let memory = Memory::builder().report_to(|_| {}).open(dir.path()).unwrap();
    memory.cached_fn("large", 1, |_: &u64| -> Vec<u64> { panic!("it is kept") }).call(&1);
    drop(memory);
    assert!(!dir.path().join("index.damaged").exists(), "the mark is gone with the damage");
}

/// A blob that a newer release wrote was removed as if it were damaged.
#[test]
fn blobs_of_a_newer_release_are_left_alone() {
    let (dir, memory) = fresh();
    let large = memory.cached_fn("large", 1, |x: &u64| vec![*x; 5000]);
    large.call(&1);
    drop((large, memory));
    let blob = walk(&dir.path().join("blobs")).pop().unwrap();
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[8] = 99;
    std::fs::write(&blob, &bytes).unwrap();
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let memory = Memory::builder().report_to(|_| {}).open(dir.path()).unwrap();
    memory.cached_fn("large", 1, |x: &u64| vec![*x; 5000]).call(&1);
    assert_eq!(memory.stats().misses_for(MissReason::NeverSeen), 1);
    assert_eq!(std::fs::read(&blob).unwrap(), bytes);
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(dir).expect("a folder") {
        let path = item.expect("a folder").path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

/// A failure was described with the arguments of the item before it.
#[test]
fn a_failure_shows_its_own_arguments() {
    #[larder::task]
    fn measured(name: String) -> usize {
        assert!(name != "bad", "(this panic belongs to the test)");
        name.len()
    }
    let names = ["good", "bad", "better"].map(str::to_owned);
    let error = Parallel::new().n_jobs(1).run(names.map(|name| delayed!(measured(name)))).unwrap_err();
    assert_eq!(error.task_failure().unwrap().arguments(), Some("name = \"bad\""));
}

/// A caught panic was told with the place of an earlier one that others had caught.
#[test]
fn a_panic_without_a_place_borrows_none() {
    let error = Parallel::new()
        .n_jobs(1)
        .map(0..1, |_: i32| {
            let _ = std::panic::catch_unwind(|| panic!("(this panic belongs to the test)"));
            std::panic::resume_unwind(Box::new("second"))
        })
        .unwrap_err();
    assert_eq!(error.task_failure().unwrap().message(), "second");
}

const CHILD: &str = "LARDER_TEST_STATIC_CHILD";

/// A short program whose memory stands in a `static` stored nothing that was cheap.
#[test]
fn a_program_that_ends_without_closing_its_memory_keeps_cheap_results() {
    static MEMORY: LazyLock<Memory> =
        LazyLock::new(|| Memory::open(std::env::var_os(CHILD).expect("set by the parent")).expect("a cache"));

    #[larder::cached(memory = MEMORY)]
    fn cheap(x: u64) -> u64 {
        x + 1
    }

    if std::env::var_os(CHILD).is_some() {
        (0..50).for_each(|x| assert_eq!(cheap(x), x + 1));
        println!("misses: {}", MEMORY.stats().misses());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = || {
        let name = "holes::a_program_that_ends_without_closing_its_memory_keeps_cheap_results";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"), "a clean end leaves nothing to repair");
        said.lines().find_map(|line| line.split("misses: ").nth(1)?.parse::<u64>().ok()).expect("the child says it")
    };
    assert_eq!((run(), run()), (50, 0));
}

/// Entries of a map in a result came back in another order and were taken for another shape.
#[test]
fn a_large_map_of_mixed_entries_is_a_hit() {
    let (dir, memory) = fresh();
    let mixed = |x: &u32| (0..*x).map(|i| (i, (i % 3 == 0).then_some(i))).collect::<HashMap<u32, Option<u32>>>();
    let expected = memory.cached_fn("mixed", 1, mixed).call(&10_000);
    drop(memory);
    let memory = Memory::open(dir.path()).unwrap();
    assert_eq!(memory.cached_fn("mixed", 1, mixed).call(&10_000), expected);
    assert_eq!(memory.stats().hits_blob, 1);
}

/// Two closures by one name and version silently served each other's results.
#[test]
fn two_closures_by_one_name_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&said);
    let memory =
        Memory::builder().report_to(move |line| lines.lock().unwrap().push(line.to_owned())).open(dir.path()).unwrap();
    for _ in 0..2 {
        memory.cached_fn("same", 1, |x: &u64| x * 3);
    }
    assert!(said.lock().unwrap().is_empty(), "one place, made again");
    memory.cached_fn("same", 1, |x: &u64| x * 4);
    memory.cached_fn("same", 2, |x: &u64| x * 5);
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("`same` with version 1") && said[0].contains("holes.rs:"), "{said:?}");
}

/// An error printed by `main` hid what stood behind it.
#[test]
fn what_main_prints_names_the_cause_behind_the_cause() {
    #[derive(Debug)]
    struct Reading(std::num::ParseIntError);
    impl std::fmt::Display for Reading {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("reading settings")
        }
    }
    impl std::error::Error for Reading {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let error = Parallel::new().n_jobs(1).try_map(["x"], |text| text.parse::<u8>().map_err(Reading)).unwrap_err();
    assert_eq!(error.to_string(), "task 0 failed on worker 0: reading settings");
    assert_eq!(format!("{error:?}"), "task 0 failed on worker 0: reading settings: invalid digit found in string");
}

/// A program that was killed while it opened a cache, or had no room to, left half a snapshot of the index: the next one took the
/// index for damaged, and all small results were gone.
#[test]
fn half_a_snapshot_of_the_index_costs_nothing() {
    let dir = tempfile::tempdir().expect("there is room");
    let halves =
        |memory: &Memory| (0..50).map(|x: u64| memory.cached_fn("half", 1, |x: &u64| x / 2).call(&x)).sum::<u64>();
    let expected = halves(&Memory::open(dir.path()).expect("an empty directory"));
    for (name, content) in
        [("FFFFFFFFFFFFFFFF", &b""[..]), ("0000000000000000", b"half"), ("0000000000062DEA", &[7; 100])]
    {
        let half = dir.path().join(format!("index/snap.{name}.generating"));
        std::fs::write(&half, content).expect("there is room");
        let memory = Memory::open(dir.path()).expect("a cache");
        assert_eq!((halves(&memory), memory.stats().misses()), (expected, 0), "{name}");
        assert!(!half.exists());
    }
}
