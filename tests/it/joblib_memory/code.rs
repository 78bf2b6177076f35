//! Changed code: what is computed anew, what is said of it, and two states of it at once.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use larder::{Memory, MissReason};

use super::square;
use crate::child::{self, Other, say, this_program};
use crate::support::{hit, miss, open, open_telling};

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
    for (is_new, expected, misses_for) in [
        (false, 20, Some(MissReason::NeverSeen)),
        (true, 200, Some(MissReason::CodeChanged)),
        (false, 20, None),
        (true, 200, None),
    ] {
        let memory = open(dir.path());
        assert_eq!(edited(&memory, is_new, 2), expected);
        let stats = memory.stats();
        let missed = MissReason::ALL.into_iter().find(|reason| stats.misses_for(*reason) > 0);
        assert_eq!((missed, stats.misses() + stats.hits()), (misses_for, 1));
    }
}

/// joblib does not follow what a function calls. Nor does a key by itself, but `depends(..)` puts it in.
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

fn child_test() -> &'static str {
    let test = concat!(module_path!(), "::child_has_the_new_code");
    test.split_once("::").map_or(test, |(_, within)| within)
}

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
    let mut other = Other::start(Command::new(this_program()), child_test(), "new-code", &place);
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
