//! What a user of joblib knows of `Memory`: each behaviour is a test that is named by joblib's word for it.
//!
//! Tests in other modules hold these, and they are not repeated here:
//!
//! | joblib | held by |
//! |---|---|
//! | `Memory(location)`, `f(*a)` | `memory::the_second_call_loads`, `results_persist_over_reopening`, `a_memory_says_where_it_is` |
//! | `location=None` | `memory::a_disabled_memory_computes_each_time`; the rest below, `location_none_..` |
//! | key: function and arguments | `memory::different_arguments_have_different_entries`, `holes::functions_within_functions_are_told_apart` |
//! | argument binding: one key however they are written, `*args`, `**kw` | `memory::equal_content_is_an_equal_key_however_it_is_stored`, `the_order_of_a_map_is_not_in_the_key` |
//! | `ignore` | `memory::an_ignored_argument_is_not_in_the_key`, `holes::an_ignored_argument_is_not_looked_at` |
//! | `ignore` of an unknown name or a bare string is an error | `tests/ui/fail/ignore.rs`: the compiler's |
//! | `JobLibCollisionWarning` | `holes::two_closures_by_one_name_are_warned_of` |
//! | a load error is a recomputation | all of `damage` |
//! | exceptions are never cached | `memory::an_err_is_returned_and_not_stored`, `a_panic_propagates_and_is_not_stored` |
//! | `f.clear`, `Memory.clear` | `memory::clearing_a_function_leaves_the_others`, `clearing_a_memory_leaves_nothing` |
//! | `mmap_mode` | `arrays::a_bulk_is_mapped_when_it_is_loaded_unless_that_is_turned_off` |
//! | `compress` | `blobs::compressed_results_come_back_and_are_smaller_on_disk`, `a_level_that_zstd_does_not_have_is_an_error_with_the_range` |
//! | `verbose` | `memory::verbose_1_prints_the_report_of_joblib`, `verbose_2_also_tells_loads_and_the_reason_of_each_miss` |
//! | dump failures | `memory::a_result_that_no_codec_carries_is_returned_and_said_once`; the rest below |
//! | `register_store_backend` | `stores::an_outsiders_store_keeps_the_laws`: a store is given to `Memory::with_store` |
//! | atomic replacement, no lost entries | `kills`, `damage`, `location::what_was_costly_survives_a_killed_process` |
//! | one computation per key (joblib has none) | `memory::eight_threads_on_one_cold_key_compute_it_once`, `programs` |
//!
//! Not taken over: `~` in a location, which the shell knows, and `<location>/joblib`: a location is the path as it is given.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use larder::store::{Absent, Claims, EntryKey, Found, NewEntry, Store, StoreError, VolatileStore};
use larder::{Bulk, Compression, Explanation, Limits, Memory, Metadata, MissReason, NotStoredReason, Removal, Shelved};
use serde::{Deserialize, Serialize};

use crate::child::{self, Other, say, this_program};
use crate::support::{Lines, NO_FILES, busy, ends, files_in, hit, miss, open, open_telling, telling};

const HOUR: Duration = Duration::from_secs(3600);

fn volatile() -> Memory {
    Memory::with_store(VolatileStore::new())
}

#[larder::task]
fn square(x: f64) -> f64 {
    x * x
}

/// Too large for the index: a blob.
#[larder::task]
fn squares(count: u64) -> Vec<u64> {
    (0..count).map(|x| x * x).collect()
}

// ---- Memory(location).

/// joblib appends `joblib` to a `str` and takes a `Path` as it is. Here both are taken as they are.
#[test]
fn location_is_the_same_place_as_text_and_as_path() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let memory = Memory::open(place.to_str().unwrap()).unwrap();
    miss!(memory, NeverSeen, memory.cached::<square>().call((3.0,)), 9.0);
    drop(memory);
    assert!(!place.join("joblib").exists());
    for memory in [Memory::open(&place).unwrap(), Memory::open(place.clone()).unwrap()] {
        assert!(memory.cached::<square>().check_call_in_cache((3.0,)));
    }
}

/// joblib's `NotMemorizedFunc` has the whole interface of a memorized one.
#[test]
fn location_none_answers_everything() {
    let memory = Memory::disabled();
    let cached = memory.cached::<square>();
    miss!(memory, Disabled, cached.call((3.0,)), 9.0);
    miss!(memory, Disabled, cached.call_forced((3.0,)), 9.0);
    assert_eq!(cached.call_uncached((3.0,)), 9.0);
    assert!(!cached.check_call_in_cache((3.0,)));
    assert_eq!(cached.explain((3.0,)), Explanation::Disabled);
    assert!(!cached.forget((3.0,)).unwrap());
    assert_eq!(cached.clear().unwrap(), 0);
    memory.clear().unwrap();
    assert_eq!(memory.reduce_size(&Limits::new().max_entries(1)).unwrap().entries, 0);
    assert_eq!(memory.stats().stores, 0);
}

/// joblib's `NotMemorizedResult` holds the value; `get` after `clear` raises KeyError.
#[test]
fn location_none_shelves_the_value_itself() {
    let memory = Memory::disabled();
    let shelved = memory.cached::<squares>().call_and_shelve((1000,)).unwrap();
    assert_eq!((shelved.location(), shelved.metadata().unwrap()), (None, None));
    assert_eq!(shelved.get().unwrap()[999], 998_001);
    let sent: Shelved<Vec<u64>> = serde_json::from_str(&serde_json::to_string(&shelved).unwrap()).unwrap();
    shelved.clear().unwrap();
    let error = shelved.get().unwrap_err();
    assert!(error.is_not_stored() && error.to_string().contains("call the function again"), "{error}");
    assert_eq!(sent.get().unwrap()[999], 998_001, "a copy was sent");
}

/// `Memory.eval(func, *a)` is `cache(func)(*a)`: here it is written out, and nothing is paid for a wrapper made anew.
#[test]
fn eval_is_a_call_of_a_wrapper_made_on_the_spot() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    miss!(memory, NeverSeen, memory.cached::<square>().call((4.0,)), 16.0);
    hit!(memory, hits_hot, memory.cached::<square>().call((4.0,)), 16.0);
}

/// Caching a memorized function again unwraps it: the result is in one cache, not in two.
#[test]
fn cache_of_a_cached_function_unwraps_it() {
    static OWN: LazyLock<Memory> = LazyLock::new(volatile);

    #[larder::cached(task, memory = OWN)]
    fn cubed(x: u64) -> u64 {
        x * x * x
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    miss!(memory, NeverSeen, memory.cached::<cubed>().call((3,)), 27);
    assert_eq!((OWN.stats().misses(), OWN.stats().stores), (0, 0));
    miss!(OWN, NeverSeen, cubed(3), 27);
    hit!(memory, hits_hot, memory.cached::<cubed>().call((3,)), 27);
}

// ---- The key.

/// Bound methods include `self`.
#[test]
fn argument_binding_of_a_bound_method_includes_self() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    #[derive(Serialize)]
    struct Scale {
        factor: u64,
    }

    impl Scale {
        #[larder::cached(memory = MEMORY)]
        fn scaled(&self, x: u64) -> u64 {
            self.factor * x
        }
    }

    let (two, three) = (Scale { factor: 2 }, Scale { factor: 3 });
    miss!(MEMORY, NeverSeen, two.scaled(5), 10);
    miss!(MEMORY, NeverSeen, three.scaled(5), 15);
    hit!(MEMORY, hits_hot, two.scaled(5), 10);
    hit!(MEMORY, hits_hot, Scale { factor: 3 }.scaled(5), 15);
}

/// Whether two arguments have one key.
fn have_one_key<A: Serialize, B: Serialize>(a: &A, b: &B) -> bool {
    let (builder, _) = telling(0);
    let memory = builder.with_store(VolatileStore::new());
    memory.cached_fn("hashed", 1, |_: &A| 1_u8).call(a);
    memory.cached_fn("hashed", 1, |_: &B| 1_u8).check_call_in_cache(b)
}

/// joblib: `1 != 1.0`, `1 != True`, `0.0 != -0.0`, a NaN is itself, a list is no tuple.
#[test]
fn hash_tells_values_apart_as_joblib_does() {
    assert!(have_one_key(&1_u64, &1_u64));
    assert!(!have_one_key(&1_u64, &1.0_f64));
    assert!(!have_one_key(&1_u64, &true));
    assert!(!have_one_key(&0.0_f64, &-0.0_f64));
    assert!(have_one_key(&f64::NAN, &f64::NAN));
    assert!(!have_one_key(&vec![1_u64, 2], &(1_u64, 2_u64)));
    assert!(!have_one_key(&Some(0_u8), &None::<u8>));
    assert!(!have_one_key(&"1", &1_u64));
}

/// joblib's `[l, l]` and `[l, copy of l]` hash apart, since it sees which object is which. A key here is of content alone.
#[test]
fn hash_knows_content_and_not_identity() {
    let list = Rc::new(vec![1_u64, 2]);
    let copy = Rc::new(vec![1_u64, 2]);
    assert!(have_one_key(&[Rc::clone(&list), Rc::clone(&list)], &[list, copy]));
}

/// joblib still takes the `repr` of ignored arguments (#926), which can be slow or large. Here they leave no trace.
#[test]
fn ignore_leaves_nothing_in_the_metadata() {
    #[larder::task(ignore(threads))]
    fn summed(xs: &[u64], threads: usize) -> u64 {
        let _ = threads;
        xs.iter().sum()
    }

    let memory = volatile();
    let shelved = memory.cached::<summed>().call_and_shelve((&[1, 2], 8)).unwrap();
    let metadata = shelved.metadata().unwrap().unwrap();
    assert_eq!(metadata.to_string(), "summed(xs = [1, 2])");
    assert_eq!(metadata.arguments.len(), 1);
}

/// An ignored argument that refuses to be serialized took those behind it out of the record, so nothing could be explained; one
/// that panicked took the call along.
#[test]
fn ignore_of_what_cannot_be_serialized_leaves_the_others_known() {
    struct Handle;
    impl Serialize for Handle {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("a handle is no data (this panic belongs to the test)")
        }
    }

    #[larder::cached(ignore(handle), memory = MEMORY)]
    fn row(handle: &Handle, number: u64) -> u64 {
        let Handle = handle;
        number + 1
    }

    static LINES: LazyLock<(Memory, Lines)> = LazyLock::new(|| {
        let (builder, lines) = telling(1);
        (builder.with_store(VolatileStore::new()), lines)
    });
    static MEMORY: LazyLock<Memory> = LazyLock::new(|| LINES.0.clone());

    miss!(MEMORY, NeverSeen, row(&Handle, 1), 2);
    hit!(MEMORY, hits_hot, row(&Handle, 1), 2);
    let why = MEMORY.cached::<row>().explain((&Handle, 2)).to_string();
    assert!(why.starts_with("argument `number`: 1 -> 2 ("), "{why}");
    assert!(LINES.1.all()[0].ends_with("\nrow(handle = _, number = 1)"), "{:?}", LINES.1.all());
}

// ---- Changed code.

/// One function in two states of its code, as two builds of a program have it.
fn edited(memory: &Memory, is_new: bool, x: u64) -> u64 {
    if is_new {
        #[larder::task]
        fn f(x: u64) -> u64 {
            x * 100
        }
        memory.cached::<f>().call((x,))
    } else {
        #[larder::task]
        fn f(x: u64) -> u64 {
            x * 10
        }
        memory.cached::<f>().call((x,))
    }
}

/// joblib notices by the source text and wipes the folder of the function. Here the code is in the key: the old results stay,
/// and are there again when the old code is.
#[test]
fn code_change_computes_anew_and_keeps_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let with = |is_new, check: fn(&Memory, u64, u64), expected| {
        let memory = open(dir.path());
        check(&memory, edited(&memory, is_new, 2), expected);
        memory.stats()
    };
    let same = |_: &Memory, value, expected| assert_eq!(value, expected);
    assert_eq!(with(false, same, 20).misses_for(MissReason::NeverSeen), 1);
    assert_eq!(with(true, same, 200).misses_for(MissReason::CodeChanged), 1);
    assert_eq!(with(false, same, 20).hits(), 1);
    assert_eq!(with(true, same, 200).hits(), 1);
}

/// joblib does not follow what a function calls (#1621). Nor does a key by itself, but `depends(..)` puts it in.
#[test]
fn code_change_of_what_is_called_is_seen_where_depends_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let first = {
        #[larder::task]
        fn step(x: u64) -> u64 {
            x + 1
        }
        #[larder::task(depends(step))]
        fn walked(x: u64) -> u64 {
            step(x) * 2
        }
        memory.cached::<walked>().call((1,))
    };
    let second = {
        #[larder::task]
        fn step(x: u64) -> u64 {
            x + 2
        }
        #[larder::task(depends(step))]
        fn walked(x: u64) -> u64 {
            step(x) * 2
        }
        memory.cached::<walked>().call((1,))
    };
    assert_eq!((first, second), (4, 6));
    assert_eq!(memory.stats().misses_for(MissReason::CodeChanged), 1);
}

/// joblib at `verbose > 10`: "Function .. has changed". Here at 2, with which and since when.
#[test]
fn verbose_2_says_what_has_changed() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(edited(&open(dir.path()), false, 2), 20);
    let (memory, lines) = open_telling(dir.path(), 2);
    edited(&memory, true, 2);
    memory.cached_fn("versioned", 1, |x: &u64| *x).call(&1);
    memory.cached_fn("versioned", 2, |x: &u64| *x).call(&1);
    memory.cached::<square>().call((1.0,));
    memory.cached::<square>().call((2.0,));
    let told: Vec<String> = lines.all().into_iter().filter(|line| line.starts_with("[Memory] Computing")).collect();
    for (line, start) in told.iter().zip([
        "[Memory] Computing f(x = 2): the code changed: ",
        "[Memory] Computing versioned(1): never seen",
        "[Memory] Computing versioned(1): the version changed: 1 -> 2 (the entry was stored ",
        "[Memory] Computing square(x = 1.0): never seen",
        "[Memory] Computing square(x = 2.0): argument `x`: 1.0 -> 2.0 (the nearest entry was stored ",
    ]) {
        assert!(line.starts_with(start), "`{start}` does not begin `{line}`");
    }
    assert_eq!(told.len(), 5, "{told:?}");
}

const CHILD: &str = "joblib_memory::child_has_the_new_code";

/// Not a test of its own: program B of the test below.
#[test]
fn child_has_the_new_code() {
    let Some((role, place)) = child::role() else { return };
    assert_eq!(role, "new-code");
    let memory = open(Path::new(&place));
    miss!(memory, NeverSeen, edited(&memory, true, 2), 200);
    say("stored");
    let _ = std::io::stdin().read(&mut [0]).unwrap();
    miss!(memory, CodeChanged, edited(&memory, true, 3), 300);
    hit!(memory, hits_hot, edited(&memory, true, 2), 200);
    say("done");
}

/// Two programs with two states of a function at once: A `f(1)`, B `f(2)`, A `f(2)`, A `f(3)`, B `f(3)`. joblib gives A the value
/// of B's code in the third call, and B that of A's in the fifth; and B wipes what A has stored.
#[test]
fn two_versions_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let memory = open(&place);
    miss!(memory, NeverSeen, edited(&memory, false, 1), 10);
    let mut other = Other::start(Command::new(this_program()), CHILD, "new-code", &place);
    other.wait_for("stored");
    miss!(memory, CodeChanged, edited(&memory, false, 2), 20);
    miss!(memory, NeverSeen, edited(&memory, false, 3), 30);
    other.go();
    other.wait_for("done");
    assert!(other.end().success());
    drop(memory);
    let memory = Memory::builder().memory_tier_bytes(0).open(&place).unwrap();
    hit!(memory, hits_index, edited(&memory, false, 1), 10);
    for x in [2, 3] {
        hit!(memory, hits_index, edited(&memory, false, x), x * 10);
        hit!(memory, hits_index, edited(&memory, true, x), x * 100);
    }
}

// ---- f.call, f.func, f.check_call_in_cache.

/// `f.call(*a)` computes and overwrites. joblib gives the metadata along; here a shelved result has it.
#[test]
fn call_forced_computes_and_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let reading = AtomicU64::new(1);
    let sensor = memory.cached_fn("sensor", 1, |_: &u8| reading.load(Relaxed));
    miss!(memory, NeverSeen, sensor.call(&1), 1);
    reading.store(2, Relaxed);
    hit!(memory, hits_hot, sensor.call(&1), 1);
    miss!(memory, Forced, sensor.call_forced(&1), 2);
    hit!(memory, hits_hot, sensor.call(&1), 2);
    drop(sensor);
    drop(memory);
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached_fn("sensor", 1, |_: &u8| 0_u64).call(&1), 2);
}

/// A forced call that fails costs nothing that was there.
#[test]
fn call_forced_that_fails_leaves_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let works = AtomicBool::new(true);
    let fragile = memory.cached_fn("fragile", 1, |x: &u64| {
        assert!(works.load(Relaxed), "(this panic belongs to the test)");
        if *x > 1 { Err("too much".to_owned()) } else { Ok(*x) }
    });
    miss!(memory, NeverSeen, fragile.call(&1), Ok(1));
    works.store(false, Relaxed);
    assert!(catch_unwind(AssertUnwindSafe(|| fragile.call_forced(&1))).is_err());
    hit!(memory, hits_hot, fragile.call(&1), Ok(1));
    works.store(true, Relaxed);
    miss!(memory, Forced, fragile.call_forced(&2), Err("too much".to_owned()));
    assert!(!fragile.check_call_in_cache(&2));
}

/// `f.func` is the function itself.
#[test]
fn func_is_called_past_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let runs = AtomicU64::new(0);
    let counted = memory.cached_fn("counted", 1, |x: &u64| {
        runs.fetch_add(1, Relaxed);
        x + 1
    });
    let before = memory.stats();
    assert_eq!((counted.call_uncached(&1), counted.call_uncached(&1)), (2, 2));
    assert_eq!((memory.stats(), runs.load(Relaxed)), (before, 2));
    assert!(!counted.check_call_in_cache(&1));
    assert_eq!(memory.cached::<square>().call_uncached((3.0,)), 9.0);
}

/// joblib's may wipe a function's folder and delete an item that is not valid any more. Here looking changes nothing.
#[test]
fn check_call_in_cache_has_no_side_effects() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    assert!(!memory.cached::<square>().check_call_in_cache((3.0,)));
    assert_eq!(memory.cached::<square>().call((3.0,)), 9.0);
    let (stats, files) = (memory.stats(), files_in(dir.path(), "blobs"));
    assert!(memory.cached::<square>().check_call_in_cache((3.0,)));
    assert!(!memory.cached::<square>().check_call_in_cache((4.0,)));
    // Expired or refused for these, and there for all others.
    assert!(!memory.cached::<square>().expires_after(Duration::ZERO).check_call_in_cache((3.0,)));
    assert!(!memory.cached::<square>().validate(|_| false).check_call_in_cache((3.0,)));
    // Other code, which in joblib wipes the function.
    assert!(!memory.cached_fn(<square as larder::Function>::NAME, 9, |x: &f64| *x).check_call_in_cache(&3.0));
    assert_eq!((memory.stats(), files_in(dir.path(), "blobs")), (stats, files));
    hit!(memory, hits_hot, memory.cached::<square>().call((3.0,)), 9.0);
}

/// joblib's does not prove that an entry loads: it says True of a truncated file, and every later call computes. Here the entry
/// is read and its digest checked.
#[test]
fn check_call_in_cache_proves_that_the_entry_loads() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).cached::<squares>().call((10_000,));
    let [blob] = &files_in(dir.path(), "blobs")[..] else { panic!("one blob") };
    let whole = fs::read(blob).unwrap();
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let cached = memory.cached::<squares>();
    assert!(cached.check_call_in_cache((10_000,)));
    fs::write(blob, &whole[..whole.len() / 2]).unwrap();
    assert!(!cached.check_call_in_cache((10_000,)));
    assert_eq!(cached.explain((10_000,)), Explanation::Damaged(MissReason::TruncatedBlob));
    let mut altered = whole.clone();
    altered[whole.len() - 1] ^= 1;
    fs::write(blob, altered).unwrap();
    assert_eq!(cached.explain((10_000,)), Explanation::Damaged(MissReason::AlteredBlob));
    fs::write(blob, whole).unwrap();
    assert!(cached.check_call_in_cache((10_000,)));
}

// ---- f.call_and_shelve, MemorizedResult.

/// On a hit the payload is not read, only the handle made.
#[test]
fn call_and_shelve_does_not_read_the_value() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let computed = memory.cached::<squares>().call_and_shelve((10_000,)).unwrap();
    assert_eq!((memory.stats().misses(), memory.stats().stores), (1, 1));
    drop(memory);
    let memory = open(dir.path());
    let shelved = memory.cached::<squares>().call_and_shelve((10_000,)).unwrap();
    let stats = memory.stats();
    assert_eq!((stats.hits(), stats.misses(), stats.bytes_loaded), (1, 0, 0));
    assert_eq!(shelved.get().unwrap(), squares(10_000));
    assert_eq!(computed.get().unwrap(), squares(10_000));
}

/// An exception of the function is raised by joblib's. Here it comes back, since there is nothing to shelve.
#[test]
fn call_and_shelve_gives_back_what_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let parsed = memory.cached_fn("parsed", 1, |text: &String| text.parse::<u64>().map_err(|error| error.to_string()));
    let refused = parsed.call_and_shelve(&"twelve".to_owned()).unwrap_err();
    assert_eq!(refused, Err("invalid digit found in string".to_owned()));
    let shelved = parsed.call_and_shelve(&"12".to_owned()).unwrap();
    assert_eq!(shelved.get().unwrap(), Ok(12));
    let root = memory.cached_fn("root", 1, |x: &f64| (*x >= 0.0).then(|| x.sqrt()));
    assert_eq!(root.call_and_shelve(&-1.0).unwrap_err(), None);
    assert_eq!(root.call_and_shelve(&4.0).unwrap().get().unwrap(), Some(2.0));
}

/// joblib's has `get`, `clear`, `duration`, `metadata`, `func_id`.
#[test]
fn memorized_result_has_get_clear_metadata_and_name() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let before = SystemTime::now() - Duration::from_millis(1);
    let slow = memory.cached_fn("slow", 3, |x: &u64| {
        busy(Duration::from_millis(2));
        x + 1
    });
    let shelved = slow.call_and_shelve(&41).unwrap();
    assert_eq!((shelved.function(), shelved.location()), ("slow", Some(dir.path())));
    let metadata = shelved.metadata().unwrap().unwrap();
    assert!(metadata.compute_time >= Duration::from_millis(2), "{metadata:?}");
    assert!(metadata.stored_at >= before && metadata.stored_at <= SystemTime::now(), "{metadata:?}");
    assert_eq!((metadata.version, metadata.to_string()), (3, "slow(41)".to_owned()));
    assert_eq!(shelved.get().unwrap(), 42);
    shelved.clear().unwrap();
    assert!(shelved.get().unwrap_err().is_not_stored());
    assert!(shelved.metadata().unwrap_err().is_not_stored());
    shelved.clear().unwrap();
    miss!(memory, Forgotten, slow.call(&41), 42);
    assert_eq!(shelved.get().unwrap(), 42, "it is the call's entry, whoever stored it");
}

/// joblib's is made of its `repr` or unpickled, and finds its cache. This one is any format of serde.
#[test]
fn memorized_result_finds_its_cache_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let sent = {
        let memory = open(dir.path());
        let shelved = memory.cached::<squares>().call_and_shelve((100_000,)).unwrap();
        serde_json::to_string(&shelved).unwrap()
    };
    assert!(sent.len() < 1000, "small, however large the value: {}", sent.len());
    let shelved: Shelved<Vec<u64>> = serde_json::from_str(&sent).unwrap();
    assert_eq!(shelved.get().unwrap().len(), 100_000);
    let other: Shelved<String> = serde_json::from_str(&sent).unwrap();
    let error = other.get().unwrap_err();
    assert!(error.is_not_stored() && error.to_string().contains("alloc::string::String"), "{error}");
}

/// joblib's raises KeyError where the item is gone, but EOFError for a truncated file. Here all are one kind of error.
#[test]
fn memorized_result_that_is_damaged_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let shelved = memory.cached::<squares>().call_and_shelve((100_000,)).unwrap();
    let [blob] = &files_in(dir.path(), "blobs")[..] else { panic!("one blob") };
    fs::write(blob, &fs::read(blob).unwrap()[..100]).unwrap();
    let error = shelved.get().unwrap_err();
    assert!(error.is_not_stored() && error.to_string().contains("damaged"), "{error}");
    fs::remove_file(blob).unwrap();
    assert!(shelved.get().unwrap_err().is_not_stored());
    miss!(memory, MissingBlob, memory.cached::<squares>().call((100_000,)).len(), 100_000);
    assert_eq!(shelved.get().unwrap().len(), 100_000, "computed again, and there again");
}

/// A look at what was there made an empty cache in its place: on a disk that is not mounted just now, say.
#[test]
fn memorized_result_of_a_cache_that_is_gone_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let sent = serde_json::to_string(&open(&place).cached::<squares>().call_and_shelve((10,)).unwrap()).unwrap();
    fs::rename(&place, dir.path().join("moved")).unwrap();
    let shelved: Shelved<Vec<u64>> = serde_json::from_str(&sent).unwrap();
    let error = shelved.get().unwrap_err();
    let words = format!("in the cache `{}`, which is not there: bring it back", place.display());
    assert!(error.is_not_stored() && error.to_string().contains(&words), "{error}");
    shelved.clear().unwrap();
    assert!(!place.exists());
    fs::rename(dir.path().join("moved"), &place).unwrap();
    assert_eq!(shelved.get().unwrap(), squares(10));
}

// ---- Clearing one entry, and some.

/// joblib drops one item by its arguments only through a shelved result (#1559).
#[test]
fn clear_of_one_entry_by_its_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = memory.cached::<square>();
    assert!(!cached.forget((3.0,)).unwrap(), "nothing is there");
    cached.call((3.0,));
    cached.call((4.0,));
    assert!(cached.forget((3.0,)).unwrap());
    assert!(!cached.forget((3.0,)).unwrap(), "it is gone already");
    assert!(matches!(cached.explain((3.0,)), Explanation::Removed(gone) if gone.why() == Removal::Forgotten));
    hit!(memory, hits_hot, cached.call((4.0,)), 16.0);
    miss!(memory, Forgotten, cached.call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
}

/// Who may only read removes nothing, and is told so.
#[test]
fn clear_of_what_is_open_for_reading_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).cached::<square>().call((3.0,));
    let memory = Memory::open_read_only(dir.path()).unwrap();
    let cached = memory.cached::<square>();
    for refused in [
        memory.clear().unwrap_err(),
        cached.clear().map(drop).unwrap_err(),
        cached.forget((3.0,)).map(drop).unwrap_err(),
        memory.reduce_size(&Limits::new().max_entries(1)).map(drop).unwrap_err(),
    ] {
        assert!(refused.to_string().contains("reading"), "{refused}");
    }
    assert_eq!(cached.call((3.0,)), 9.0);
    assert_eq!(memory.stats().hits(), 1);
}

/// Fills a cache with ten results of some 5 KB.
fn filled(dir: &Path) -> Memory {
    let memory = open(dir);
    (0..10).for_each(|x| drop(memory.cached::<five_kilobytes>().call((x,))));
    memory
}

#[larder::task]
fn five_kilobytes(x: u8) -> Vec<u8> {
    vec![x; 5 << 10]
}

/// Which of the ten are there.
fn kept(memory: &Memory) -> Vec<u8> {
    (0..10).filter(|x| memory.cached::<five_kilobytes>().check_call_in_cache((*x,))).collect()
}

/// `reduce_size(bytes_limit="10K")`: powers of 1024.
#[test]
fn reduce_size_to_a_number_of_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    let limits = Limits::new().max_bytes("22K");
    let would = memory.would_reduce(&limits).unwrap();
    assert_eq!((would.entries, kept(&memory).len()), (6, 10), "nothing was removed yet");
    assert_eq!(memory.reduce_size(&limits).unwrap(), would);
    assert_eq!((kept(&memory).len(), files_in(dir.path(), "blobs").len()), (4, 4));
    assert_eq!(memory.reduce_size(&limits).unwrap().entries, 0);
    assert_eq!(memory.reduce_size(&Limits::new()).unwrap().entries, 0, "no limits");
}

/// `reduce_size(items_limit=3)`.
#[test]
fn reduce_size_to_a_number_of_items() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    assert_eq!(memory.reduce_size(&Limits::new().max_entries(3)).unwrap().entries, 7);
    assert_eq!(kept(&memory).len(), 3);
    let gone = (0..10).find(|x| !kept(&memory).contains(x)).unwrap();
    miss!(memory, Evicted, memory.cached::<five_kilobytes>().call((gone,)), five_kilobytes(gone));
    drop(memory);
    assert_eq!(kept(&open(dir.path())).len(), 4);
}

/// `reduce_size(age_limit=timedelta(..))`.
#[test]
fn reduce_size_to_an_age() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    assert_eq!(memory.reduce_size(&Limits::new().max_age(HOUR)).unwrap().entries, 0);
    ends(move || {
        let mut removed = 0;
        while removed < 10 {
            removed += memory.reduce_size(&Limits::new().max_age(Duration::from_millis(1))).unwrap().entries;
        }
        assert_eq!(kept(&memory).len(), 0);
        miss!(memory, AgedOut, memory.cached::<five_kilobytes>().call((1,)), five_kilobytes(1));
    });
}

/// joblib removes the oldest by the access times of files, which many systems do not keep. Here uses are recorded, those that
/// memory answers included, and what took long and is used stays.
#[test]
fn reduce_size_keeps_what_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let costly = memory.cached_fn("costly", 1, |x: &u64| {
        busy(Duration::from_millis(1));
        *x
    });
    for x in 0..5 {
        costly.call(&x);
    }
    for _ in 0..2000 {
        costly.call(&2);
    }
    assert_eq!(memory.reduce_size(&Limits::new().max_entries(1)).unwrap().entries, 4);
    let kept: Vec<u64> = (0..5).filter(|x| costly.check_call_in_cache(x)).collect();
    assert_eq!(kept, [2]);
}

/// joblib raises ValueError for a negative age, and takes other nonsense. Here each limit that means nothing is refused, by
/// name, wherever it is given, and nothing is made or removed.
#[test]
fn reduce_size_refuses_limits_that_mean_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let memory = filled(dir.path());
    let place = dir.path().join("other");
    let builder = Memory::builder;
    for (limits, opened, words) in [
        (Limits::new().max_bytes(0), builder().max_bytes(0), "`max_bytes` is 0"),
        (Limits::new().max_bytes(-1), builder().max_bytes(-1), "`max_bytes`: -1 is no size"),
        (Limits::new().max_bytes("-10K"), builder().max_bytes("-10K"), "`max_bytes`: `-10K` is no size"),
        (Limits::new().max_bytes("ten"), builder().max_bytes("ten"), "`max_bytes`: `ten` is no size"),
        (Limits::new().max_entries(0), builder().max_entries(0), "`max_entries` is 0"),
        (Limits::new().max_age(Duration::ZERO), builder().max_age(Duration::ZERO), "`max_age` is 0"),
    ] {
        for refused in [
            memory.reduce_size(&limits).unwrap_err(),
            memory.would_reduce(&limits).unwrap_err(),
            opened.open(&place).unwrap_err(),
        ] {
            assert!(refused.is_invalid_option() && refused.to_string().starts_with(words), "{refused}");
        }
    }
    assert!(!place.exists());
    assert_eq!(kept(&memory).len(), 10);
}

// ---- cache_validation_callback, expires_after.

/// The callback is given `{duration, input_args, time}` of the entry.
#[test]
fn cache_validation_callback_sees_duration_arguments_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let seen: Arc<Mutex<Vec<Metadata>>> = Arc::default();
    let asked = Arc::clone(&seen);
    let memory = open(dir.path());
    let cached = memory.cached::<square>().validate(move |metadata| {
        asked.lock().unwrap().push(metadata.clone());
        true
    });
    miss!(memory, NeverSeen, cached.call((3.0,)), 9.0);
    assert!(seen.lock().unwrap().is_empty(), "there is nothing to ask about");
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
    let metadata = seen.lock().unwrap().pop().unwrap();
    assert_eq!(metadata.function, <square as larder::Function>::NAME);
    assert_eq!((metadata.arguments[0].name.as_str(), metadata.arguments[0].text.as_str()), ("x", "3.0"));
    assert!(metadata.stored_at <= SystemTime::now() && metadata.compute_time > Duration::ZERO, "{metadata:?}");
    drop(cached);
    drop(memory);
    // The same from disk.
    let memory = open(dir.path());
    let expected = metadata.clone();
    let cached = memory.cached::<square>().validate(move |metadata| *metadata == expected);
    hit!(memory, hits_index, cached.call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached.call((3.0,)), 9.0);
}

/// A falsy answer: the item is computed again, and replaced.
#[test]
fn cache_validation_callback_that_refuses_has_it_computed_again() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn run(_x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed)
    }

    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    miss!(memory, NeverSeen, memory.cached::<run>().call((1,)), 0);
    let refusing = memory.cached::<run>().validate(|_| false);
    miss!(memory, Rejected, refusing.call((1,)), 1);
    miss!(memory, Rejected, refusing.call((1,)), 2);
    assert!(matches!(refusing.explain((1,)), Explanation::Rejected(_)));
    assert_eq!(refusing.call_and_shelve((1,)).unwrap().get().unwrap(), 3);
    hit!(memory, hits_hot, memory.cached::<run>().call((1,)), 3);
    drop((refusing, memory));
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<run>().validate(|_| true).call((1,)), 3);
    assert_eq!(RUNS.load(Relaxed), 4);
}

/// The callback of the decorator; and one that is no function does not compile.
#[test]
fn cache_validation_callback_is_an_option_of_the_attribute() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    fn is_of_small(metadata: &Metadata) -> bool {
        metadata.arguments[0].text.len() < 3
    }

    #[larder::cached(memory = MEMORY, validate = is_of_small)]
    fn plus_one(x: u64) -> u64 {
        x + 1
    }

    miss!(MEMORY, NeverSeen, plus_one(10), 11);
    hit!(MEMORY, hits_hot, plus_one(10), 11);
    miss!(MEMORY, NeverSeen, plus_one(1000), 1001);
    miss!(MEMORY, Rejected, plus_one(1000), 1001);
}

/// joblib lets an exception of the callback out to whoever made the call. Here no call fails for its cache: a panic is a refusal,
/// and said once.
#[test]
fn cache_validation_callback_that_panics_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    let cached = memory.cached::<square>().validate(|_| panic!("no idea (this panic belongs to the test)"));
    miss!(memory, NeverSeen, cached.call((3.0,)), 9.0);
    miss!(memory, Rejected, cached.call((3.0,)), 9.0);
    miss!(memory, Rejected, cached.call((3.0,)), 9.0);
    assert!(!cached.check_call_in_cache((3.0,)));
    let warnings = lines.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("square` panicked") && warnings[0].contains("no idea"), "{warnings:?}");
    hit!(memory, hits_hot, memory.cached::<square>().call((3.0,)), 9.0);
}

/// `expires_after(hours=1)`: valid while younger.
#[test]
fn expires_after_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = || memory.cached::<square>();
    miss!(memory, NeverSeen, cached().expires_after(HOUR).call((3.0,)), 9.0);
    hit!(memory, hits_hot, cached().expires_after(HOUR).call((3.0,)), 9.0);
    miss!(memory, Expired, cached().expires_after(Duration::ZERO).call((3.0,)), 9.0);
    let Explanation::Expired { entry, at } = cached().expires_after(Duration::ZERO).explain((3.0,)) else {
        panic!("it has expired")
    };
    assert_eq!(entry.stored_at, at);
    let closure = |time| memory.cached_fn("plus", 1, |x: &u64| x + 1).expires_after(time);
    miss!(memory, NeverSeen, closure(HOUR).call(&1), 2);
    hit!(memory, hits_hot, closure(HOUR).call(&1), 2);
    miss!(memory, Expired, closure(Duration::ZERO).call(&1), 2);
    // What expires never is asked for by nobody: the longest time there is.
    hit!(memory, hits_hot, closure(Duration::MAX).call(&1), 2);
}

/// joblib raises KeyError('time') where the metadata is missing (#1727). Here the time is a part of the entry.
#[test]
fn expires_after_is_an_option_of_the_attribute() {
    #[larder::task(expires_after = "2w")]
    fn held(x: u64) -> u64 {
        x + 1
    }

    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached::<held>().call((1,)), 2);
    }
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<held>().call((1,)), 2);
    // What the caller says takes the place of what the attribute says.
    miss!(memory, Expired, memory.cached::<held>().expires_after(Duration::ZERO).call((1,)), 2);
}

/// A store whose clock is ahead of ours: as if ours had been set back since. The record is that of docs/format.md.
struct Ahead {
    by: Duration,
    records: Mutex<HashMap<EntryKey, Vec<u8>>>,
    claims: Claims,
}

impl Ahead {
    fn new(by: Duration) -> Ahead {
        Ahead { by, records: Mutex::default(), claims: Claims::default() }
    }

    fn shifted(&self, key: &EntryKey, mut record: Vec<u8>) -> Vec<u8> {
        let created = u64::from_le_bytes(record[36..44].try_into().unwrap()) + self.by.as_millis() as u64;
        record[36..44].copy_from_slice(&created.to_le_bytes());
        let mut hasher = blake3::Hasher::new_derive_key("larder 2026-11 index record v1");
        hasher.update(&key.as_bytes()[8..]).update(&record[32..]);
        record[..32].copy_from_slice(hasher.finalize().as_bytes());
        record
    }
}

impl Store for Ahead {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        let record = self.records.lock().unwrap().get(key).cloned().ok_or(Absent::Never)?;
        Found::from_record(key, record)
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        let key = entry.key();
        self.records.lock().unwrap().insert(key, self.shifted(&key, entry.to_record()));
        Ok(None)
    }

    fn clear_function(&self, _: &str, _: bool) -> Result<u64, StoreError> {
        Ok(0)
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        Ok(self.records.lock().unwrap().remove(key).is_some())
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.records.lock().unwrap().clear();
        Ok(())
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// joblib takes an entry from the future for a young one, for as long as the clock was wrong. Here nobody knows how old it is,
/// so it has expired; what a clock is corrected by in passing does not count.
#[test]
fn expires_after_a_clock_was_set_back() {
    let with = |by| Memory::builder().memory_tier_bytes(0).with_store(Ahead::new(by));
    let memory = with(HOUR);
    let cached = || memory.cached::<square>();
    miss!(memory, NeverSeen, cached().expires_after(3 * HOUR).call((3.0,)), 9.0);
    miss!(memory, Expired, cached().expires_after(3 * HOUR).call((3.0,)), 9.0);
    assert!(matches!(cached().expires_after(3 * HOUR).explain((3.0,)), Explanation::Expired { .. }));
    hit!(memory, hits_index, cached().call((3.0,)), 9.0);
    let memory = with(Duration::from_secs(1));
    miss!(memory, NeverSeen, memory.cached::<square>().call((3.0,)), 9.0);
    hit!(memory, hits_index, memory.cached::<square>().expires_after(HOUR).call((3.0,)), 9.0);
}

// ---- What is stored, and how.

/// joblib stores None like any value. Here it is more often "not found yet" than a result, so it takes a word to store it.
#[test]
fn call_that_gives_none_is_stored_where_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let cached = || memory.cached_fn("half", 1, |x: &u64| x.is_multiple_of(2).then_some(x / 2));
    let unsaid = cached();
    miss!(memory, NeverSeen, unsaid.call(&3), None);
    miss!(memory, NeverSeen, unsaid.call(&3), None);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NoneResult), 2);
    miss!(memory, NeverSeen, unsaid.call(&4), Some(2));
    hit!(memory, hits_hot, unsaid.call(&4), Some(2));
    let said = cached().store_none();
    miss!(memory, NeverSeen, said.call(&3), None);
    hit!(memory, hits_hot, said.call(&3), None);
}

/// joblib never stores an exception. An `Err` is a value: it can be, if someone says so.
#[test]
fn call_that_gives_an_err_is_stored_where_that_is_said() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    #[larder::cached(memory = MEMORY, store(err, none))]
    fn root(x: i64) -> Result<Option<i64>, String> {
        match x {
            ..0 => Err(format!("{x} has no root")),
            _ => Ok((0..=x).find(|root| root * root == x)),
        }
    }

    for (x, expected) in [(-1, Err("-1 has no root".to_owned())), (2, Ok(None)), (9, Ok(Some(3)))] {
        miss!(MEMORY, NeverSeen, root(x), expected);
        hit!(MEMORY, hits_hot, root(x), expected);
    }
}

/// Serializes, and does not come back.
#[derive(Debug, PartialEq, Serialize)]
struct OneWay(u64);

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<OneWay, D::Error> {
        Err(serde::de::Error::custom("this value cannot come back"))
    }
}

/// joblib leaves a truncated file in place: `check_call_in_cache` says True for ever, every call computes, `get` raises EOFError.
#[test]
fn dump_failures_leave_no_entry_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 2);
    let lost = memory.cached_fn("lost", 1, |x: &u64| OneWay(*x));
    miss!(memory, NeverSeen, lost.call(&1), OneWay(1));
    assert!(!lost.check_call_in_cache(&1));
    assert_eq!(lost.explain(&1), Explanation::NeverSeen);
    assert!(!lost.forget(&1).unwrap());
    assert_eq!(lost.call_and_shelve(&1).unwrap_err(), OneWay(1));
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NotSerializable), 2);
    assert_eq!((lines.warnings().len(), files_in(dir.path(), "blobs")), (1, NO_FILES.to_vec()));
    let told = "[Memory] Not storing lost: no codec carries the result there and back";
    assert!(lines.all().iter().any(|line| line == told), "{:?}", lines.all());
}

/// Every entry has joblib's `metadata.json`: what the call took, its arguments, the time. It cannot be missing: it is a part of
/// the record.
#[test]
fn metadata_is_kept_over_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let metadata = |memory: &Memory| {
        let shelved = memory.cached::<squares>().call_and_shelve((10_000,)).unwrap();
        shelved.metadata().unwrap().unwrap()
    };
    let stored = metadata(&open(dir.path()));
    assert_eq!(stored.to_string(), "squares(count = 10000)");
    assert_eq!(stored.fingerprint.as_ref().map(String::len), Some(64));
    assert!(stored.value_bytes > 10_000, "{stored:?}");
    let memory = open(dir.path());
    assert_eq!(metadata(&memory), stored);
    assert!(matches!(memory.cached::<squares>().explain((10_000,)), Explanation::Hit(entry) if *entry == stored));
}

/// joblib warns that `mmap_mode` is without effect where `compress` is on. Here what can be mapped is stored as it is, and mapped.
#[cfg(unix)]
#[test]
fn mmap_mode_goes_with_compress() {
    let dir = tempfile::tempdir().unwrap();
    let compressed = || open_compressed(dir.path());
    let ramp = |memory: &Memory| {
        memory.cached_fn("ramp", 1, |len: &u32| (0..*len).map(f64::from).collect::<Bulk<f64>>()).call(&100_000)
    };
    let first = ramp(&compressed());
    let memory = compressed();
    let again = ramp(&memory);
    assert_eq!((memory.stats().hits_blob, &again == &first), (1, true));
    assert!(again.is_mapped());
}

#[cfg(unix)]
fn open_compressed(dir: &Path) -> Memory {
    Memory::builder().compress(Compression::Lz4).open(dir).unwrap()
}

// ---- Functions that are awaited: `AsyncMemorizedFunc`.

#[cfg(feature = "async")]
mod awaited {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use futures::executor::block_on;
    use futures::future::{Either, join, pending, select};

    use super::*;

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
}
