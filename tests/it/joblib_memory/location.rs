//! `Memory(location)`, `location=None`, `Memory.cache`, `Memory.eval`.

use std::sync::LazyLock;

use larder::{Explanation, Limits, Memory, Shelved};

use super::{square, squares, volatile};
use crate::support::{hit, miss, open};

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
