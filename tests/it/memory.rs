//! `Memory`: joblib's behaviours that apply, what enters a key, what is stored and what is not, single flight.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use larder::{Memory, MissReason, NotStoredReason, Payload, Stats};
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use crate::support::{NO_FILES, busy, ends, files_in, hit, miss, open, open_telling, telling};

// ---- A call, and the same call again.

#[test]
fn the_second_call_loads() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn square(x: f64) -> f64 {
        RUNS.fetch_add(1, Relaxed);
        x * x
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = memory.cached::<square>();
    miss!(memory, NeverSeen, cached.call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
    assert_eq!(RUNS.load(Relaxed), 1);
    assert_eq!(square(3.0), 9.0, "the function itself is as it was");
    assert_eq!(RUNS.load(Relaxed), 2);
}

#[test]
fn results_persist_over_reopening() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn repeated(text: &str, times: usize) -> String {
        RUNS.fetch_add(1, Relaxed);
        text.repeat(times)
    }

    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached::<repeated>().call(("ab", 2)), "abab");
        miss!(memory, NeverSeen, memory.cached::<repeated>().call(("x", 10_000)), "x".repeat(10_000));
    }
    for _ in 0..2 {
        let memory = open(dir.path());
        hit!(memory, hits_index, memory.cached::<repeated>().call(("ab", 2)), "abab");
        hit!(memory, hits_blob, memory.cached::<repeated>().call(("x", 10_000)), "x".repeat(10_000));
        hit!(memory, hits_hot, memory.cached::<repeated>().call(("x", 10_000)), "x".repeat(10_000));
    }
    assert_eq!(RUNS.load(Relaxed), 2);
}

#[test]
fn nothing_is_lost_when_a_cache_is_opened_and_closed_often() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..40_u64 {
        let (memory, lines) = open_telling(dir.path(), 0);
        let double = memory.cached_fn("double", 1, |x: &u64| x * 2);
        for x in 0..round {
            hit!(memory, hits_index, double.call(&x), x * 2);
        }
        miss!(memory, NeverSeen, double.call(&round), round * 2);
        assert_eq!(lines.all(), [""; 0], "round {round}");
    }
}

#[test]
fn different_arguments_have_different_entries() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let joined = memory.cached_fn("joined", 1, |(a, b): &(String, String)| format!("{a}-{b}"));
    let call = |a: &str, b: &str| joined.call(&(a.to_owned(), b.to_owned()));
    miss!(memory, NeverSeen, call("ab", "c"), "ab-c");
    miss!(memory, NeverSeen, call("a", "bc"), "a-bc");
    miss!(memory, NeverSeen, call("", "abc"), "-abc");
    miss!(memory, NeverSeen, call("abc", ""), "abc-");
    hit!(memory, hits_hot, call("ab", "c"), "ab-c");
    hit!(memory, hits_hot, call("a", "bc"), "a-bc");
    assert_eq!(memory.stats().stores, 4);
}

#[test]
fn a_disabled_memory_computes_each_time() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn fifth(x: u64) -> Result<u64, String> {
        RUNS.fetch_add(1, Relaxed);
        if x.is_multiple_of(5) { Ok(x / 5) } else { Err(format!("{x} is no fifth")) }
    }

    let memory = Memory::disabled();
    let cached = memory.cached::<fifth>();
    for _ in 0..3 {
        miss!(memory, Disabled, cached.call((10,)), Ok(2));
        miss!(memory, Disabled, cached.call((7,)), Err("7 is no fifth".to_owned()));
    }
    assert_eq!(RUNS.load(Relaxed), 6);
    assert_eq!(memory.location(), None);
    assert_eq!((memory.stats().stores, memory.stats().hits()), (0, 0));
    assert_eq!(cached.clear().unwrap(), 0);
    memory.clear().unwrap();
    let thrice = memory.cached_fn("thrice", 1, |x: &u64| x * 3);
    miss!(memory, Disabled, thrice.call(&2), 6);
}

#[test]
fn a_memory_says_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("not").join("there").join("yet");
    let memory = open(&place);
    assert_eq!(memory.location(), Some(place.as_path()));
    assert!(place.is_dir());
}

// ---- Errors and panics are the caller's, and never stored.

#[test]
fn an_err_is_returned_and_not_stored() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    static READY: AtomicBool = AtomicBool::new(false);

    #[larder::task]
    fn reading(station: u32) -> Result<u32, String> {
        RUNS.fetch_add(1, Relaxed);
        if READY.load(Relaxed) { Ok(station * 10) } else { Err("not ready".to_owned()) }
    }

    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        let cached = memory.cached::<reading>();
        miss!(memory, NeverSeen, cached.call((1,)), Err("not ready".to_owned()));
        miss!(memory, NeverSeen, cached.call((1,)), Err("not ready".to_owned()));
        assert_eq!(memory.stats().not_stored_for(NotStoredReason::ErrorResult), 2);
        READY.store(true, Relaxed);
        miss!(memory, NeverSeen, cached.call((1,)), Ok(10));
        hit!(memory, hits_hot, cached.call((1,)), Ok(10));
        assert_eq!((memory.stats().stores, RUNS.load(Relaxed)), (1, 3));
    }
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<reading>().call((1,)), Ok(10));
}

#[test]
fn an_err_of_a_closure_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let parsed = memory.cached_fn("parsed", 1, |text: &String| text.parse::<u64>().map_err(|error| error.to_string()));
    let (good, bad) = ("12".to_owned(), "twelve".to_owned());
    let words = "invalid digit found in string".to_owned();
    miss!(memory, NeverSeen, parsed.call(&bad), Err(words.clone()));
    miss!(memory, NeverSeen, parsed.call(&bad), Err(words.clone()));
    miss!(memory, NeverSeen, parsed.call(&good), Ok(12));
    hit!(memory, hits_hot, parsed.call(&good), Ok(12));
    assert_eq!((memory.stats().stores, memory.stats().not_stored_for(NotStoredReason::ErrorResult)), (1, 2));
}

#[test]
fn an_err_under_another_name_than_result_is_not_stored() {
    type Outcome<T> = Result<T, String>;

    #[larder::task]
    fn aliased(x: u8) -> Outcome<u8> {
        x.checked_add(1).ok_or_else(|| "too much".to_owned())
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = memory.cached::<aliased>();
    miss!(memory, NeverSeen, cached.call((255,)), Err("too much".to_owned()));
    miss!(memory, NeverSeen, cached.call((255,)), Err("too much".to_owned()));
    miss!(memory, NeverSeen, cached.call((1,)), Ok(2));
    hit!(memory, hits_hot, cached.call((1,)), Ok(2));
}

#[test]
fn a_panic_propagates_and_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let (runs, broken) = (AtomicU64::new(0), AtomicBool::new(true));
    let cached = memory.cached_fn("fragile", 1, |x: &u64| {
        runs.fetch_add(1, Relaxed);
        assert!(!broken.load(Relaxed), "broken (this panic belongs to the test)");
        x + 1
    });
    for _ in 0..2 {
        let panic = catch_unwind(AssertUnwindSafe(|| cached.call(&1))).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"broken (this panic belongs to the test)"));
    }
    assert_eq!(memory.stats().stores, 0);
    broken.store(false, Relaxed);
    miss!(memory, NeverSeen, cached.call(&1), 2);
    hit!(memory, hits_hot, cached.call(&1), 2);
    assert_eq!(runs.load(Relaxed), 3);
}

// ---- What enters a key.

#[test]
fn an_ignored_argument_is_not_in_the_key() {
    #[larder::task(ignore(threads, label))]
    fn summed(xs: &[u64], threads: usize, label: &str) -> u64 {
        let _ = (threads, label);
        xs.iter().sum()
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = memory.cached::<summed>();
    miss!(memory, NeverSeen, cached.call((&[1, 2], 1, "a")), 3);
    hit!(memory, hits_hot, cached.call((&[1, 2], 8, "a")), 3);
    hit!(memory, hits_hot, cached.call((&[1, 2], 8, "b")), 3);
    miss!(memory, NeverSeen, cached.call((&[1, 3], 1, "a")), 4);
}

#[test]
fn another_version_has_entries_of_its_own_and_the_old_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    // Three functions of one path, as three builds of a program would have.
    let first = {
        #[larder::task(version = 1)]
        fn smoothed(x: u64) -> u64 {
            x + 1
        }
        memory.cached::<smoothed>()
    };
    let second = {
        #[larder::task(version = 2)]
        fn smoothed(x: u64) -> u64 {
            x + 1
        }
        memory.cached::<smoothed>()
    };
    let edited = {
        #[larder::task(version = 1)]
        fn smoothed(x: u64) -> u64 {
            x + 2
        }
        memory.cached::<smoothed>()
    };
    miss!(memory, NeverSeen, first.call((1,)), 2);
    miss!(memory, VersionChanged, second.call((1,)), 2);
    miss!(memory, CodeChanged, edited.call((1,)), 3);
    hit!(memory, hits_hot, first.call((1,)), 2);
    hit!(memory, hits_hot, second.call((1,)), 2);
    hit!(memory, hits_hot, edited.call((1,)), 3);
}

/// joblib serves two of these five from the other version (reference, section 4).
#[test]
fn two_versions_in_use_at_once_never_share_an_entry() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path()), open(dir.path()));
    let old = a.cached_fn("f", 1, |x: &u64| x * 10);
    let new = b.cached_fn("f", 2, |x: &u64| x * 100);
    miss!(a, NeverSeen, old.call(&1), 10);
    miss!(b, NeverSeen, new.call(&2), 200);
    miss!(a, NeverSeen, old.call(&2), 20);
    miss!(a, NeverSeen, old.call(&3), 30);
    miss!(b, VersionChanged, new.call(&3), 300);
    hit!(a, hits_hot, old.call(&1), 10);
}

#[test]
fn closures_are_known_by_name_and_version() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let runs = AtomicU64::new(0);
    let counted = |factor: u64| {
        let runs = &runs;
        move |x: &u64| {
            runs.fetch_add(1, Relaxed);
            x * factor
        }
    };
    miss!(memory, NeverSeen, memory.cached_fn("times", 1, counted(2)).call(&5), 10);
    hit!(memory, hits_hot, memory.cached_fn("times", 1, counted(2)).call(&5), 10);
    miss!(memory, VersionChanged, memory.cached_fn("times", 2, counted(3)).call(&5), 15);
    miss!(memory, NeverSeen, memory.cached_fn("other", 1, counted(4)).call(&5), 20);
    hit!(memory, hits_hot, memory.cached_fn("times", 1, counted(2)).call(&5), 10);
    hit!(memory, hits_hot, memory.cached_fn("times", 2, counted(3)).call(&5), 15);
    assert_eq!(runs.load(Relaxed), 3);
}

#[test]
fn a_closure_and_a_function_of_one_name_are_apart() {
    #[larder::task]
    fn halved(x: f64) -> f64 {
        x / 2.0
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let name = <halved as larder::Function>::NAME;
    miss!(memory, NeverSeen, memory.cached::<halved>().call((3.0,)), 1.5);
    miss!(memory, NeverSeen, memory.cached_fn(name, 0, |(x,): &(f64,)| x / 3.0).call(&(3.0,)), 1.0);
    hit!(memory, hits_hot, memory.cached::<halved>().call((3.0,)), 1.5);
}

#[test]
fn equal_content_is_an_equal_key_however_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let list = vec![1.0, 2.0, 3.0];
    miss!(memory, NeverSeen, memory.cached_fn("sum", 1, |xs: &Vec<f64>| xs.iter().sum::<f64>()).call(&list), 6.0);
    let of_slice = memory.cached_fn("sum", 1, |xs: &[f64]| xs.iter().sum::<f64>());
    hit!(memory, hits_hot, of_slice.call(&list[..]), 6.0);
    let of_arc = memory.cached_fn("sum", 1, |xs: &Arc<[f64]>| xs.iter().sum::<f64>());
    hit!(memory, hits_hot, of_arc.call(&Arc::from(list.clone())), 6.0);
    let of_payload = memory.cached_fn("sum", 1, |xs: &Payload<Vec<f64>>| xs.iter().sum::<f64>());
    hit!(memory, hits_hot, of_payload.call(&Payload::new(list.clone())), 6.0);
    miss!(memory, NeverSeen, of_slice.call(&list[..2]), 3.0);
}

#[test]
fn the_order_of_a_map_is_not_in_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let count = memory.cached_fn("count", 1, |map: &HashMap<u64, u64>| map.len());
    let forward: HashMap<u64, u64> = (0..50).map(|x| (x, x)).collect();
    let backward: HashMap<u64, u64> = (0..50).rev().map(|x| (x, x)).collect();
    miss!(memory, NeverSeen, count.call(&forward), 50);
    hit!(memory, hits_hot, count.call(&backward), 50);
}

// ---- Payloads.

/// Counts how often a value of it is serialized.
#[derive(Deserialize)]
struct Witnessed {
    #[serde(skip)]
    walks: Arc<AtomicU64>,
    cells: Vec<f64>,
}

impl Serialize for Witnessed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.walks.fetch_add(1, Relaxed);
        self.cells.serialize(serializer)
    }
}

#[test]
fn a_payload_is_hashed_once() {
    #[larder::task]
    fn cell(row: usize, table: &Payload<Witnessed>) -> f64 {
        table.cells[row]
    }

    let dir = tempfile::tempdir().unwrap();
    let walks = Arc::new(AtomicU64::new(0));
    let table = Payload::new(Witnessed { walks: Arc::clone(&walks), cells: (0..100).map(f64::from).collect() });
    {
        let memory = open(dir.path());
        let cached = memory.cached::<cell>();
        for row in 0..10 {
            miss!(memory, NeverSeen, cached.call((row, &table)), row as f64);
        }
        let after_misses = walks.load(Relaxed);
        for row in 0..10 {
            hit!(memory, hits_hot, cached.call((row, &table.clone())), row as f64);
        }
        assert_eq!(walks.load(Relaxed), after_misses, "a hit takes the digest that is known");
    }
    // An equal payload, made anew, has the same key.
    let memory = open(dir.path());
    let equal =
        Payload::new(Witnessed { walks: Arc::new(AtomicU64::new(0)), cells: (0..100).map(f64::from).collect() });
    hit!(memory, hits_index, memory.cached::<cell>().call((7, &equal)), 7.0);
    assert_eq!(equal.walks.load(Relaxed), 1);
    hit!(memory, hits_index, memory.cached::<cell>().call((8, &equal)), 8.0);
    assert_eq!(equal.walks.load(Relaxed), 1, "the second key is made without a walk");
    let other = Payload::new(Witnessed { walks, cells: vec![0.5; 100] });
    miss!(memory, NeverSeen, memory.cached::<cell>().call((7, &other)), 0.5);
}

#[test]
fn equal_payloads_have_equal_keys() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn sum_of_payload(xs: &Payload<Vec<f64>>) -> f64 {
        RUNS.fetch_add(1, Relaxed);
        xs.iter().sum()
    }

    #[larder::task]
    #[expect(clippy::ptr_arg, reason = "the type is what is tested")]
    fn sum_of_list(xs: &Vec<f64>) -> f64 {
        RUNS.fetch_add(1, Relaxed);
        xs.iter().sum()
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let list: Vec<f64> = (0..1000).map(f64::from).collect();
    let shared = Payload::new(list.clone());
    miss!(memory, NeverSeen, memory.cached::<sum_of_payload>().call((&shared,)), 499_500.0);
    hit!(memory, hits_hot, memory.cached::<sum_of_payload>().call((&Payload::new(list.clone()),)), 499_500.0);
    miss!(memory, NeverSeen, memory.cached::<sum_of_list>().call((&list,)), 499_500.0);
    hit!(memory, hits_hot, memory.cached::<sum_of_list>().call((&list.clone(),)), 499_500.0);
    assert_eq!(RUNS.load(Relaxed), 2);
}

// ---- Clearing.

#[test]
fn clearing_a_function_leaves_the_others() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        let small = memory.cached_fn("small", 1, |x: &u64| x + 1);
        let newer = memory.cached_fn("small", 2, |x: &u64| x + 2);
        let large = memory.cached_fn("large", 1, |x: &u8| vec![*x; 10_000]);
        let kept = memory.cached_fn("kept", 1, |x: &u8| vec![*x; 20_000]);
        for x in 0..5 {
            small.call(&x);
            newer.call(&x);
        }
        large.call(&1);
        large.call(&2);
        kept.call(&1);
        assert_eq!(files_in(dir.path(), "blobs").len(), 3);
        assert_eq!(small.clear().unwrap(), 10, "of all versions");
        assert_eq!(small.clear().unwrap(), 0);
        assert_eq!(large.clear().unwrap(), 2);
        assert_eq!(files_in(dir.path(), "blobs").len(), 1);
        miss!(memory, NeverSeen, small.call(&1), 2);
        miss!(memory, VersionChanged, newer.call(&1), 3);
        miss!(memory, NeverSeen, large.call(&1), vec![1; 10_000]);
        hit!(memory, hits_blob, kept.call(&1), vec![1; 20_000]);
        assert_eq!((small.clear().unwrap(), large.clear().unwrap()), (2, 1));
    }
    let memory = open(dir.path());
    miss!(memory, NeverSeen, memory.cached_fn("small", 1, |x: &u64| x + 1).call(&1), 2);
    hit!(memory, hits_blob, memory.cached_fn("kept", 1, |x: &u8| vec![*x; 20_000]).call(&1), vec![1; 20_000]);
}

#[test]
fn clearing_a_memory_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        let small = memory.cached_fn("small", 1, |x: &u64| x + 1);
        let large = memory.cached_fn("large", 1, |x: &u8| vec![*x; 10_000]);
        small.call(&1);
        large.call(&1);
        memory.clear().unwrap();
        assert_eq!(files_in(dir.path(), "blobs"), NO_FILES);
        miss!(memory, NeverSeen, small.call(&1), 2);
        miss!(memory, NeverSeen, large.call(&1), vec![1; 10_000]);
        memory.clear().unwrap();
    }
    let memory = open(dir.path());
    miss!(memory, NeverSeen, memory.cached_fn("small", 1, |x: &u64| x + 1).call(&1), 2);
    miss!(memory, NeverSeen, memory.cached_fn("large", 1, |x: &u8| vec![*x; 10_000]).call(&1), vec![1; 10_000]);
}

// ---- What a memory says and counts.

#[larder::task]
fn mean(column: usize, table: &[Vec<f64>]) -> f64 {
    table.iter().map(|row| row[column]).sum::<f64>() / table.len() as f64
}

#[test]
fn verbose_1_prints_the_report_of_joblib() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 1);
    let table = [vec![1.0, 2.0], vec![3.0, 4.0]];
    assert_eq!(memory.cached::<mean>().call((1, &table)), 3.0);
    let said = lines.all();
    let before: Vec<&str> = said[0].lines().collect();
    assert_eq!(before[0], "_".repeat(80));
    assert_eq!(before[1], "[Memory] Calling it::memory::mean...");
    assert_eq!(before[2], "mean(column = 1, table = [[1.0, 2.0], [3.0, 4.0]])");
    let duration = said[1].trim_start_matches('_').strip_prefix("mean - ").expect("the name, then the time");
    let (seconds, minutes) = duration.split_once("s, ").expect("seconds, then minutes");
    assert!(seconds.parse::<f64>().is_ok(), "{duration}");
    assert!(minutes.strip_suffix("min").is_some_and(|minutes| minutes.parse::<f64>().is_ok()), "{duration}");
    assert_eq!((said.len(), said[1].len()), (2, 80), "{said:?}");

    memory.cached::<mean>().call((1, &table));
    assert_eq!(lines.all().len(), 2, "a load is not reported at this level");
    assert_eq!(memory.cached_fn("root", 1, |x: &f64| x.sqrt()).call(&4.0), 2.0);
    assert!(lines.all()[2].ends_with("[Memory] Calling root...\nroot(4.0)"), "{:?}", lines.all());
}

#[test]
fn verbose_2_also_tells_loads_and_the_reason_of_each_miss() {
    let dir = tempfile::tempdir().unwrap();
    let table = [vec![1.0, 2.0]];
    {
        let (memory, lines) = open_telling(dir.path(), 2);
        memory.cached::<mean>().call((0, &table));
        memory.cached::<mean>().call((0, &table));
        let said = lines.all();
        assert_eq!(
            said[0],
            "[Memory] Computing mean(column = 0, table = [[1.0, 2.0]]): never seen with these arguments and this code",
            "{said:?}"
        );
        assert_eq!(said[3..], ["[Memory] Loading mean(column = 0, table = [[1.0, 2.0]]) from memory"]);
        memory.cached_fn("large", 1, |x: &u8| vec![*x; 10_000]).call(&1);
        let failed = memory.cached_fn("failed", 1, |_: &u8| Err::<u8, _>("no".to_owned())).call(&1);
        assert!(failed.is_err());
        assert_eq!(lines.all().last().unwrap(), "[Memory] Not storing failed: the result is an error");
    }
    let (memory, lines) = open_telling(dir.path(), 2);
    memory.cached::<mean>().call((0, &table));
    memory.cached_fn("large", 1, |x: &u8| vec![*x; 10_000]).call(&1);
    assert_eq!(
        lines.all(),
        [
            "[Memory] Loading mean(column = 0, table = [[1.0, 2.0]]) from the index",
            "[Memory] Loading large(1) from a blob"
        ]
    );
}

#[test]
fn a_silent_memory_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    for _ in 0..2 {
        memory.cached::<mean>().call((0, &[vec![1.0]]));
    }
    assert_eq!(lines.all(), [""; 0]);
}

#[test]
fn a_disabled_memory_reports_as_well() {
    let (builder, lines) = telling(2);
    let memory = builder.disabled();
    memory.cached::<mean>().call((0, &[vec![1.0]]));
    let said = lines.all();
    assert_eq!(said[0], "[Memory] Computing mean(column = 0, table = [[1.0]]): the memory is disabled");
    assert!(said[1].ends_with("mean(column = 0, table = [[1.0]])"), "{said:?}");
}

#[test]
fn everything_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let spin = Duration::from_millis(1);
    let small = |memory: &Memory, x: u64| {
        memory
            .cached_fn("small", 1, |x: &u64| {
                busy(spin);
                *x
            })
            .call(&x)
    };
    let large = |memory: &Memory, x: u8| memory.cached_fn("large", 1, |x: &u8| vec![*x; 5000]).call(&x);
    {
        let memory = open(dir.path());
        assert_eq!(memory.stats(), Stats::default());
        small(&memory, 1);
        small(&memory, 2);
        large(&memory, 1);
        let stats = memory.stats();
        assert_eq!((stats.misses(), stats.misses_for(MissReason::NeverSeen), stats.hits()), (3, 3, 0));
        assert_eq!((stats.stores, stats.bytes_stored), (3, 1 + 1 + 5000));
        assert_eq!((stats.bytes_loaded, stats.time_saved), (0, Duration::ZERO));
        assert!(stats.time_computing >= 2 * spin, "{stats:?}");
        small(&memory, 1);
        let stats = memory.stats();
        assert_eq!((stats.hits_hot, stats.bytes_loaded), (1, 0));
        assert!(stats.time_saved >= spin, "{stats:?}");
    }
    let memory = open(dir.path());
    small(&memory, 1);
    small(&memory, 2);
    large(&memory, 1);
    small(&memory, 1);
    let stats = memory.stats();
    assert_eq!((stats.hits_hot, stats.hits_index, stats.hits_blob, stats.hits()), (1, 2, 1, 4));
    assert_eq!((stats.misses(), stats.stores, stats.bytes_stored), (0, 0, 0));
    assert_eq!(stats.bytes_loaded, 1 + 1 + 5000);
    assert!(stats.time_saved >= 3 * spin, "{stats:?}");
    assert_eq!(stats.time_computing, Duration::ZERO);
}

#[test]
fn without_a_memory_tier_every_hit_is_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let double = memory.cached_fn("double", 1, |x: &u64| x * 2);
    miss!(memory, NeverSeen, double.call(&4), 8);
    hit!(memory, hits_index, double.call(&4), 8);
    hit!(memory, hits_index, double.call(&4), 8);
}

#[test]
fn a_full_memory_tier_forgets_and_the_disk_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::builder().memory_tier_bytes(64 << 10).open(dir.path()).unwrap();
    let filled = memory.cached_fn("filled", 1, |x: &u64| vec![*x; 300]);
    for x in 0..500 {
        miss!(memory, NeverSeen, filled.call(&x), vec![x; 300]);
    }
    let before = memory.stats();
    for x in 0..500 {
        assert_eq!(filled.call(&x), vec![x; 300]);
    }
    let after = memory.stats();
    assert_eq!(after.hits() - before.hits(), 500);
    assert!(after.hits_index > before.hits_index, "500 lists of 300 numbers are more than 64 KiB");
}

// ---- Shapes of functions.

#[test]
fn functions_without_arguments_are_cached() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn constant() -> f64 {
        RUNS.fetch_add(1, Relaxed);
        6.5
    }

    #[larder::task]
    fn nothing() {
        RUNS.fetch_add(1, Relaxed);
    }

    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached::<constant>().call(()), 6.5);
        miss!(memory, NeverSeen, memory.cached::<nothing>().call(()), ());
        hit!(memory, hits_hot, memory.cached::<nothing>().call(()), ());
    }
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<constant>().call(()), 6.5);
    hit!(memory, hits_index, memory.cached::<nothing>().call(()), ());
    assert_eq!(RUNS.load(Relaxed), 2);
}

#[test]
fn functions_of_sixteen_arguments_are_cached() {
    #[larder::task]
    #[rustfmt::skip]
    #[expect(clippy::too_many_arguments, reason = "as many as there may be")]
    fn weighed(
        a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64, i: f32, j: f64, k: bool, l: char, m: &str,
        n: &[u8], o: String, p: Option<u8>,
    ) -> String {
        format!("{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}{m}{n:?}{o}{p:?}")
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = memory.cached::<weighed>();
    let call = |last: Option<u8>| {
        cached.call((1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, true, 'x', "m", &[1, 2], "o".to_owned(), last))
    };
    miss!(memory, NeverSeen, call(Some(1)), "123456780.51.5truexm[1, 2]oSome(1)");
    miss!(memory, NeverSeen, call(None), "123456780.51.5truexm[1, 2]oNone");
    hit!(memory, hits_hot, call(Some(1)), "123456780.51.5truexm[1, 2]oSome(1)");
}

#[test]
fn results_need_not_be_clone() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Single(u64);

    #[larder::task]
    fn single(x: u64) -> Single {
        RUNS.fetch_add(1, Relaxed);
        Single(x)
    }

    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached::<single>().call((3,)), Single(3));
        hit!(memory, hits_hot, memory.cached::<single>().call((3,)), Single(3));
        hit!(memory, hits_hot, memory.cached::<single>().call((3,)), Single(3));
    }
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<single>().call((3,)), Single(3));
    assert_eq!(RUNS.load(Relaxed), 1);
}

// ---- Shapes of results.

/// Stores `value`, and asks for it from memory and, after a reopening, from the disk.
#[track_caller]
fn comes_back<R: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(value: R) {
    let dir = tempfile::tempdir().expect("there is room");
    {
        let (memory, lines) = open_telling(dir.path(), 0);
        let stored = memory.cached_fn("value", 1, |_: &u8| value.clone()).store_none();
        assert_eq!(stored.call(&1), value, "as computed");
        assert_eq!(stored.call(&1), value, "from memory");
        assert_eq!((memory.stats().stores, memory.stats().hits()), (1, 1), "{value:?}: {:?}", lines.all());
    }
    let memory = open(dir.path());
    let loaded = memory.cached_fn("value", 1, |_: &u8| -> R { panic!("{value:?} is stored") });
    assert_eq!(loaded.call(&1), value, "from the disk");
    assert_eq!(memory.stats().hits_index + memory.stats().hits_blob, 1);
}

#[test]
fn plain_results_come_back() {
    comes_back(());
    comes_back((1_u8, -1_i64, u64::MAX, i128::MIN, 0.1_f32, 'ß', true));
    comes_back((f64::INFINITY, f64::MIN_POSITIVE, [1_u8; 32]));
    comes_back(String::from("naïve\0text"));
    comes_back(PathBuf::from("a/b"));
    comes_back(Duration::new(3, 7));
    comes_back("127.0.0.1".parse::<IpAddr>().unwrap());
    comes_back(vec![vec![1_u8], vec![], vec![2, 3]]);
    comes_back(Box::new([Arc::new(1_u16)]));
    comes_back(None::<u8>);
    comes_back(Some(None::<Option<u8>>));
    comes_back(Some(Some(None::<u8>)));
    comes_back(Some(Some(Some(0_u8))));
    comes_back(Some(()));
    comes_back(vec![Ok::<u8, String>(1), Err("in a list".to_owned())]);
    comes_back(HashMap::from([("a".to_owned(), vec![1.5]), ("b".to_owned(), vec![])]));
    comes_back((0..500_u32).map(|x| (x, x.to_string())).collect::<HashMap<u32, String>>());
    comes_back(BTreeMap::from([((1_u8, 2_u8), BTreeSet::from(['x', 'y']))]));
}

#[test]
fn a_nan_and_a_negative_zero_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let values = [f64::NAN, -0.0];
    for _ in 0..2 {
        let memory = open(dir.path());
        let stored = memory.cached_fn("odd", 1, |place: &usize| values[*place]);
        assert!(stored.call(&0).is_nan());
        assert!(stored.call(&1).is_sign_negative());
        assert_eq!(memory.stats().not_stored_for(NotStoredReason::NotSerializable), 0);
    }
    assert_eq!(open(dir.path()).cached_fn("odd", 1, |_: &usize| 1.0_f64).call(&1).to_bits(), (-0.0_f64).to_bits());
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(f64),
    Text(String),
    Pair { left: u8, right: Option<Box<Untagged>> },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Point { x: f64, y: f64 },
    Empty,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value")]
enum Adjacent {
    Words(Vec<String>),
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skipping {
    first: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    third: Vec<Untagged>,
    last: Option<u8>,
}

#[test]
fn self_describing_results_come_back() {
    comes_back(Untagged::Number(1.5));
    comes_back(Untagged::Text("1.5".to_owned()));
    comes_back(Untagged::Pair { left: 1, right: Some(Box::new(Untagged::Number(2.0))) });
    comes_back(Some(Untagged::Text("x".to_owned())));
    comes_back(None::<Untagged>);
    comes_back(vec![Some(Untagged::Number(0.0)), None]);
    comes_back(Tagged::Point { x: 1.0, y: -2.0 });
    comes_back(Tagged::Empty);
    comes_back(Adjacent::Words(vec!["a".to_owned()]));
    comes_back(Adjacent::Nothing);
    comes_back(Flat { id: 7, rest: BTreeMap::from([("k".to_owned(), "v".to_owned())]) });
    comes_back(Flat { id: 8, rest: BTreeMap::new() });
    comes_back(Skipping { first: 1, second: None, third: vec![], last: Some(4) });
    comes_back(Skipping { first: 1, second: Some(2), third: vec![Untagged::Number(3.0)], last: None });
    comes_back(Skipping { first: 1, second: Some(2), third: vec![], last: None });
    comes_back(vec![
        Skipping { first: 1, second: Some(2), third: vec![], last: None },
        Skipping { first: 1, second: None, third: vec![], last: None },
    ]);
    comes_back(serde_json::Value::Null);
    comes_back(serde_json::json!({"a": [1, -1, 0.5, null, true, "text"], "b": {"c": u64::MAX, "d": {}}}));
    comes_back(vec![serde_json::json!("x"); 2000]);
}

/// A large value is only tried backwards once per type, so the first of a type must not speak for what it does not hold.
#[test]
fn a_large_self_describing_result_after_a_large_plain_one_of_its_type_comes_back() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Either {
        Plain(Vec<u64>),
        Open(Vec<serde_json::Value>),
    }

    comes_back(Either::Plain(vec![u64::MAX; 10_000]));
    comes_back(Either::Open(vec![serde_json::json!("a text"); 10_000]));
}

#[test]
fn results_up_to_4096_bytes_are_in_the_index_and_larger_ones_in_blobs() {
    for (bytes, blobs) in [(1, 0), (4095, 0), (4096, 0), (4097, 1), (1 << 20, 1)] {
        let dir = tempfile::tempdir().unwrap();
        {
            let memory = open(dir.path());
            let filled = memory.cached_fn("filled", 1, |len: &usize| vec![7_u8; *len]);
            miss!(memory, NeverSeen, filled.call(&bytes), vec![7; bytes]);
            assert_eq!(memory.stats().bytes_stored, bytes as u64);
            assert_eq!(files_in(dir.path(), "blobs").len(), blobs, "{bytes} bytes");
        }
        let memory = open(dir.path());
        let filled = memory.cached_fn("filled", 1, |len: &usize| vec![7_u8; *len]);
        assert_eq!(filled.call(&bytes), vec![7; bytes]);
        assert_eq!((memory.stats().hits_blob, memory.stats().misses()), (blobs as u64, 0), "{bytes} bytes");
    }
}

/// Comes back from no codec.
#[derive(Debug, PartialEq, Serialize)]
struct OneWay(Vec<u8>);

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
        Err(de::Error::custom("this value cannot come back"))
    }
}

#[test]
fn a_result_that_no_codec_carries_is_returned_and_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let runs = AtomicU64::new(0);
    {
        let (memory, lines) = open_telling(dir.path(), 0);
        let lost = memory.cached_fn("lost", 1, |len: &usize| {
            runs.fetch_add(1, Relaxed);
            OneWay(vec![1; *len])
        });
        for len in [3, 3, 100_000, 100_000] {
            miss!(memory, NeverSeen, lost.call(&len), OneWay(vec![1; len]));
        }
        assert_eq!(runs.load(Relaxed), 4);
        assert_eq!(memory.stats().not_stored_for(NotStoredReason::NotSerializable), 4);
        assert_eq!((memory.stats().stores, memory.stats().bytes_stored), (0, 0));
        let warnings = lines.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("`lost`") && warnings[0].contains("this value cannot come back"), "{warnings:?}");
        assert_eq!(files_in(dir.path(), "blobs"), NO_FILES);
        assert_eq!(files_in(dir.path(), "temp"), NO_FILES);
    }
    let memory = open(dir.path());
    let lost = memory.cached_fn("lost", 1, |_: &usize| OneWay(vec![]));
    miss!(memory, NeverSeen, lost.call(&3), OneWay(vec![]));
}

/// `Some(null)` and `None` are one and the same in MessagePack, and bincode carries neither: never the wrong one.
#[test]
fn a_result_that_comes_back_changed_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    let null = memory.cached_fn("null", 1, |_: &u8| Some(serde_json::Value::Null));
    for _ in 0..2 {
        miss!(memory, NeverSeen, null.call(&1), Some(serde_json::Value::Null));
    }
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NotSerializable), 2);
    assert_eq!(lines.warnings().len(), 1, "{:?}", lines.all());
}

/// An argument with no form.
#[derive(Deserialize)]
struct Opaque;

impl Serialize for Opaque {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("an open file has no content"))
    }
}

#[test]
fn calls_whose_arguments_cannot_be_serialized_are_computed() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn rows(file: &Opaque, from: u64) -> u64 {
        let Opaque = file;
        RUNS.fetch_add(1, Relaxed);
        from + 1
    }

    #[larder::task(ignore(file))]
    fn rows_whatever_the_file(file: &Opaque, from: u64) -> u64 {
        let Opaque = file;
        from + 2
    }

    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 1);
    let cached = memory.cached::<rows>();
    for from in [1, 1, 2] {
        miss!(memory, NoKey, cached.call((&Opaque, from)), from + 1);
    }
    assert_eq!(RUNS.load(Relaxed), 3);
    assert_eq!(memory.stats().stores, 0);
    let warnings = lines.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("it::memory::calls_whose_arguments_cannot_be_serialized_are_computed::rows`"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains("an open file has no content"), "{warnings:?}");
    let by_closure = memory.cached_fn("by_closure", 1, |_: &Opaque| 1);
    miss!(memory, NoKey, by_closure.call(&Opaque), 1);
    assert_eq!(lines.warnings().len(), 2, "once for each function");
    let ignored = memory.cached::<rows_whatever_the_file>();
    assert_eq!(ignored.call((&Opaque, 1)), 3, "whether it is cached or not");
}

// ---- One directory, several memories.

#[test]
fn memories_of_one_directory_share_its_entries() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let first = open(&place);
    // The same place by another spelling.
    let second = open(&dir.path().join("cache").join("..").join("cache"));
    let runs = AtomicU64::new(0);
    let count = |x: &u64| {
        runs.fetch_add(1, Relaxed);
        x + 1
    };
    miss!(first, NeverSeen, first.cached_fn("next", 1, count).call(&1), 2);
    hit!(second, hits_hot, second.cached_fn("next", 1, count).call(&1), 2);
    assert_eq!((first.stats().hits(), second.stats().misses()), (0, 0), "each counts for itself");
    drop(first);
    miss!(second, NeverSeen, second.cached_fn("next", 1, count).call(&2), 3);
    let third = open(&place);
    hit!(third, hits_hot, third.cached_fn("next", 1, count).call(&2), 3);
    assert_eq!(runs.load(Relaxed), 2);
}

#[test]
fn directories_are_apart() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (one, other) = (open(one.path()), open(other.path()));
    miss!(one, NeverSeen, one.cached_fn("next", 1, |x: &u64| x + 1).call(&1), 2);
    miss!(other, NeverSeen, other.cached_fn("next", 1, |x: &u64| x + 1).call(&1), 2);
}

/// The last memory of a directory closes it; a thread that opens it just then must not be told that it is in use.
#[test]
fn threads_may_open_and_close_a_directory_as_they_like() {
    let dir = tempfile::tempdir().unwrap();
    let start = Barrier::new(3);
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    (0..60).filter_map(|_| Memory::open(dir.path()).err()).map(|error| error.to_string()).collect()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| -> Vec<String> { thread.join().unwrap() }).collect()
    });
    assert_eq!(failures, [""; 0]);
}

// ---- Annotated functions.

/// A memory that outlives the test, since a `static` names it, in a directory that the test removes.
fn lasting() -> Memory {
    open(&tempfile::tempdir().expect("there is room").keep())
}

fn removed(memory: &Memory) {
    std::fs::remove_dir_all(memory.location().expect("it is not disabled")).expect("the directory can be removed");
}

#[test]
fn an_annotated_recursion_computes_each_number_once() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(lasting);
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    fn fibonacci(n: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    }

    assert_eq!(fibonacci(60), 1_548_008_755_920);
    assert_eq!(RUNS.load(Relaxed), 61);
    assert_eq!((MEMORY.stats().misses(), MEMORY.stats().stores, MEMORY.stats().hits()), (61, 61, 58));
    hit!(MEMORY, hits_hot, fibonacci(60), 1_548_008_755_920);
    hit!(MEMORY, hits_hot, larder::delayed!(fibonacci(59)).call(), 956_722_026_041);
    assert_eq!(RUNS.load(Relaxed), 61);
    removed(&MEMORY);
}

#[test]
fn cached_functions_may_call_each_other() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(lasting);
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    fn inner(x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        x + 1
    }

    #[larder::cached(memory = MEMORY)]
    fn outer(x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        inner(x) * inner(x + 1)
    }

    miss!(MEMORY, NeverSeen, inner(1), 2);
    assert_eq!(outer(1), 6);
    assert_eq!(outer(2), 12);
    assert_eq!(outer(1), 6);
    assert_eq!(RUNS.load(Relaxed), 5, "inner of 1, 2 and 3, outer of 1 and 2");
    removed(&MEMORY);
}

#[test]
fn a_recursion_to_its_own_key_ends() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(lasting);
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY, ignore(depth))]
    fn descended(x: u64, depth: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        if depth == 0 { x + 1 } else { descended(x, depth - 1) }
    }

    assert_eq!(ends(|| descended(1, 3)), 2);
    assert_eq!(RUNS.load(Relaxed), 4);
    assert_eq!(MEMORY.stats().misses_for(MissReason::Claimed), 3);
    hit!(MEMORY, hits_hot, descended(1, 9), 2);
    removed(&MEMORY);
}

/// Each thread computes one key and needs the other: a wait for each other would never end.
#[test]
fn two_threads_that_need_each_others_keys_end() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(lasting);
    static BOTH_COMPUTE: Barrier = Barrier::new(2);

    #[larder::cached(memory = MEMORY, ignore(depth))]
    fn crossed(x: u64, depth: u64) -> u64 {
        if depth > 0 {
            BOTH_COMPUTE.wait();
            crossed(1 - x, depth - 1);
        }
        x + 10
    }

    let found = ends(|| {
        let other = thread::spawn(|| crossed(1, 1));
        (crossed(0, 1), other.join().unwrap())
    });
    assert_eq!(found, (10, 11));
    removed(&MEMORY);
}

// ---- One computation per key.

#[test]
fn eight_threads_on_one_cold_key_compute_it_once() {
    for tier_bytes in [64 << 20, 0] {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::builder().memory_tier_bytes(tier_bytes).open(dir.path()).unwrap();
        let (runs, start) = (AtomicU64::new(0), Barrier::new(8));
        let slow = memory.cached_fn("slow", 1, |x: &u64| {
            runs.fetch_add(1, Relaxed);
            busy(Duration::from_millis(5));
            vec![*x; 2000]
        });
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(slow.call(&7), vec![7; 2000]);
                });
            }
        });
        assert_eq!(runs.load(Relaxed), 1);
        let stats = memory.stats();
        assert_eq!((stats.misses(), stats.hits(), stats.stores), (1, 7, 1));
    }
}

#[test]
fn eight_threads_on_a_hundred_keys_compute_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let (runs, start) = (AtomicU64::new(0), Barrier::new(8));
    let square = memory.cached_fn("square", 1, |x: &u64| {
        runs.fetch_add(1, Relaxed);
        x * x
    });
    thread::scope(|scope| {
        for thread in 0..8 {
            let (square, start) = (&square, &start);
            scope.spawn(move || {
                start.wait();
                for step in 0..100 {
                    // Each thread takes its own way through the keys, and all meet again and again.
                    let x = (step * (2 * thread + 1)) % 100;
                    let x = if thread % 2 == 0 { x } else { 99 - step };
                    assert_eq!(square.call(&x), x * x);
                }
                for x in 0..100 {
                    assert_eq!(square.call(&x), x * x);
                }
            });
        }
    });
    assert_eq!(runs.load(Relaxed), 100);
    assert_eq!((memory.stats().misses(), memory.stats().stores), (100, 100));
}

#[test]
fn memories_of_one_directory_share_a_computation() {
    let dir = tempfile::tempdir().unwrap();
    let memories = [open(dir.path()), open(dir.path())];
    let (runs, start) = (AtomicU64::new(0), Barrier::new(2));
    thread::scope(|scope| {
        for memory in &memories {
            scope.spawn(|| {
                let slow = memory.cached_fn("slow", 1, |x: &u64| {
                    runs.fetch_add(1, Relaxed);
                    x + 1
                });
                start.wait();
                assert_eq!(slow.call(&1), 2);
            });
        }
    });
    assert_eq!(runs.load(Relaxed), 1);
}

#[test]
fn when_the_holder_panics_those_who_wait_compute() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let runs = AtomicU64::new(0);
    let (computing, is_computing) = mpsc::channel();
    let (others, others_came) = mpsc::channel();
    let others_came = std::sync::Mutex::new(others_came);
    let first_fails = memory.cached_fn("first_fails", 1, |x: &u64| {
        if runs.fetch_add(1, Relaxed) == 0 {
            computing.send(()).unwrap();
            for () in others_came.lock().unwrap().iter().take(4) {}
            panic!("the holder fails (this panic belongs to the test)");
        }
        x + 1
    });
    thread::scope(|scope| {
        let holder = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| first_fails.call(&1))));
        is_computing.recv().unwrap();
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let (others, first_fails) = (others.clone(), &first_fails);
                scope.spawn(move || {
                    others.send(()).unwrap();
                    first_fails.call(&1)
                })
            })
            .collect();
        assert!(holder.join().unwrap().is_err());
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 2);
        }
    });
    assert!((2..=5).contains(&runs.load(Relaxed)), "{} runs", runs.load(Relaxed));
    hit!(memory, hits_hot, first_fails.call(&1), 2);
}

#[test]
fn an_err_of_the_holder_is_not_served_to_those_who_wait() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let (runs, start) = (AtomicU64::new(0), Barrier::new(4));
    let failing = memory.cached_fn("failing", 1, |x: &u64| {
        runs.fetch_add(1, Relaxed);
        Err::<u64, String>(format!("{x} is not good"))
    });
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                assert_eq!(failing.call(&1), Err("1 is not good".to_owned()));
            });
        }
    });
    assert_eq!((runs.load(Relaxed), memory.stats().stores), (4, 0));
}

#[test]
fn a_rayon_pool_on_one_key_ends() {
    let values = ends(|| {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let joined = memory.cached_fn("joined", 1, |x: &u64| {
            let (left, right) = rayon::join(
                || (0..2000).into_par_iter().map(|i| i ^ x).sum::<u64>(),
                || {
                    busy(Duration::from_millis(2));
                    *x
                },
            );
            left.wrapping_add(right)
        });
        let values: Vec<u64> = pool.install(|| (0..64).into_par_iter().map(|_| joined.call(&3)).collect());
        assert!(memory.stats().stores >= 1);
        hit!(memory, hits_hot, joined.call(&3), values[0]);
        values
    });
    let expected = (0..2000).map(|i| i ^ 3).sum::<u64>() + 3;
    assert_eq!(values, [expected; 64]);
}

/// Work that a pool's thread takes over while it waits may need any key, the one it computes included.
#[test]
fn nested_cached_calls_in_a_rayon_pool_end() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(lasting);

    #[larder::cached(memory = MEMORY)]
    fn paths(n: u64) -> u64 {
        if n < 2 {
            return 1;
        }
        let (a, b) = rayon::join(|| paths(n - 1), || paths(n - 2));
        a + b
    }

    let found = ends(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| (0..30).into_par_iter().map(|n| paths(n % 15)).collect::<Vec<u64>>())
    });
    let mut expected = vec![1, 1];
    for n in 2..15 {
        expected.push(expected[n - 1] + expected[n - 2]);
    }
    expected.extend_from_within(..);
    assert_eq!(found, expected);
    removed(&MEMORY);
}
