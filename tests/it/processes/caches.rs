//! A memory in worker processes: the one that the program has.

use std::path::Path;
use std::process::Command;

use larder::{Backend, Memory, MissReason, OnError, Parallel, delayed};

use super::{Listed, alone, alone_in, name_of, note, noted, processes, utf8};
use crate::child::{self, Other, say, this_program};
use crate::support::open;

/// Notes that it was computed, with all that a test wants to know of where.
#[larder::task]
fn computed(x: u64, place: &str) -> Result<u64, String> {
    note(place, x);
    if x % 50 == 49 { Err(format!("{x} is refused")) } else { Ok(x * x) }
}

/// How often each was computed.
fn times(place: &Path, count: u64) -> Vec<usize> {
    let lines = noted(place);
    (0..count).map(|x| lines.iter().filter(|line| **line == x.to_string()).count()).collect()
}

#[test]
fn what_workers_computed_is_loaded_by_the_next_run_and_by_threads() {
    alone(what_workers_computed_is_loaded_by_the_next_run_and_by_threads, |place| {
        let memory = open(&place.join("cache"));
        let calls = || (0..40).map(|x| delayed!(computed(x, utf8(place))));
        let expected: Vec<_> = (0..40).map(|x| x * x).collect();
        for (backend, misses, hits) in [
            (Backend::Processes, 40, 0),
            (Backend::Processes, 40, 40),
            (Backend::Threads, 40, 80),
            (Backend::Sequential, 40, 120),
        ] {
            let parallel = Parallel::new().backend(backend).n_jobs(2).memory(&memory);
            assert_eq!(parallel.run_list(calls()).unwrap(), expected);
            let stats = memory.stats();
            assert_eq!((stats.misses(), stats.hits()), (misses, hits), "{backend:?}: {stats:?}");
            assert_eq!((stats.misses_for(MissReason::NeverSeen), stats.stores), (40, 40), "{backend:?}: {stats:?}");
            assert_eq!(times(place, 40), [1; 40], "{backend:?}");
        }
        // And the other way round.
        let more = || (0..60).map(|x| delayed!(computed(x, utf8(place)))).take(49);
        Parallel::new().n_jobs(2).memory(&memory).run_list(more()).unwrap();
        let loaded = processes(2).memory(&memory).outcome_list(more()).unwrap();
        assert!(loaded.is_complete() && loaded.report().bytes_encoded == 0, "{}", loaded.report());
        assert_eq!(times(place, 49), [1; 49]);
        drop(memory);
        // Opened anew it is all there.
        let memory = open(&place.join("cache"));
        assert_eq!(processes(2).memory(&memory).run_list(calls()).unwrap(), expected);
        assert_eq!((memory.stats().misses(), times(place, 49)), (0, vec![1; 49]));
    });
}

#[test]
fn some_known_items_among_many_are_loaded_and_the_others_computed() {
    alone(some_known_items_among_many_are_loaded_and_the_others_computed, |place| {
        let memory = open(&place.join("cache"));
        let parallel = || processes(2).memory(&memory).on_error(OnError::Collect).batch_size(7);
        let every = |step: usize| (0..200).step_by(step).map(|x| delayed!(computed(x, utf8(place))));
        for step in [3, 5, 1] {
            let outcome = parallel().outcome_list(every(step)).unwrap();
            let expected: Vec<_> = (0..200).step_by(step).map(|x| (x % 50 != 49).then_some(x * x)).collect();
            assert_eq!(outcome.results(), expected);
        }
        // Failures are not kept; all else was computed once.
        let expected: Vec<_> = (0..200)
            .map(|x| if x % 50 == 49 { 1 + usize::from(x % 3 == 0) + usize::from(x % 5 == 0) } else { 1 })
            .collect();
        assert_eq!(times(place, 200), expected);
    });
}

#[test]
fn two_runs_at_once_compute_each_item_once() {
    alone(two_runs_at_once_compute_each_item_once, |place| {
        let memory = open(&place.join("cache"));
        let run =
            || processes(2).memory(&memory).run_list((0..40).map(|x| delayed!(computed(x, utf8(place))))).unwrap();
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
            for run in runs {
                assert_eq!(run.join().unwrap(), (0..40).map(|x| x * x).collect::<Vec<_>>());
            }
        });
        assert_eq!(times(place, 40), [1; 40]);
    });
}

/// Not a test of its own: one of two programs on one cache.
#[test]
fn child_shares_the_cache() {
    let Some((role, place)) = child::role() else { return };
    assert_eq!(role, "shares");
    let memory = open(&Path::new(&place).join("cache"));
    say("ready");
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    let values = processes(2).memory(&memory).run_list((0..45).map(|x| delayed!(computed(x, &place)))).unwrap();
    assert_eq!(values, (0..45).map(|x| x * x).collect::<Vec<_>>());
    assert_eq!(memory.stats().hits() + memory.stats().misses(), 45, "{:?}", memory.stats());
    say("done");
}

#[test]
fn two_programs_at_once_compute_each_item_once() {
    if child::role().is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let start = || Other::start(Command::new(this_program()), name_of(child_shares_the_cache), "shares", place.path());
    let mut programs = [start(), start()];
    programs.iter_mut().for_each(|program| program.wait_for("ready"));
    programs.iter_mut().for_each(Other::go);
    programs.iter_mut().for_each(|program| program.wait_for("done"));
    for program in programs {
        assert!(program.end().success());
    }
    assert_eq!(times(place.path(), 45), [1; 45]);
}

#[larder::cached(task)]
fn remembered(x: u64, place: &str) -> u64 {
    note(place, x);
    x + 1
}

/// The first run computes all, the second and the program itself nothing.
fn remembers(place: &Path) {
    for _ in 0..2 {
        let values = processes(2).run_list((0..40).map(|x| delayed!(remembered(x, utf8(place))))).unwrap();
        assert_eq!(values, (1..41).collect::<Vec<_>>());
        assert_eq!(times(place, 40), [1; 40]);
    }
    assert_eq!(remembered(7, utf8(place)), 8);
    assert_eq!(times(place, 40), [1; 40]);
}

#[test]
fn a_cached_function_uses_the_global_memory_in_workers_too() {
    alone(a_cached_function_uses_the_global_memory_in_workers_too, |place| {
        Memory::open(place.join("cache")).unwrap().make_global().unwrap();
        remembers(place);
    });
}

#[test]
fn a_cached_function_uses_the_environments_memory_in_workers_too() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = Command::new(this_program());
    command.env("LARDER_CACHE", cache.path());
    alone_in(a_cached_function_uses_the_environments_memory_in_workers_too, command, remembers);
}
