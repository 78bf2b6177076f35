//! Named runs: resumed, priced, shared, by the content of their items.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use larder::{Change, MissReason, OnError, Order, Parallel, delayed};

use crate::examples::program;
use crate::support::open;

/// How often each case's function was computed, by the case's number.
static COMPUTED: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());

fn computed(case: u64) -> u64 {
    COMPUTED.lock().unwrap().get(&case).copied().unwrap_or(0)
}

#[larder::task]
fn cell(case: u64, id: u64, value: u64) -> u64 {
    *COMPUTED.lock().unwrap().entry(case).or_default() += 1;
    id * 1000 + value
}

#[test]
fn a_list_that_changed_is_compared_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let run = Parallel::new().n_jobs(2).named("cells", &memory).unwrap();
    let case = 1;
    let first: Vec<(u64, u64)> = (0..100).map(|id| (id, id + 500)).collect();
    let outcome = run.run(first.iter().map(|(id, value)| delayed!(cell(case, *id, *value)))).unwrap();
    assert_eq!(outcome.summary().to_string(), "0 reused, 0 changed, 100 new, 0 gone");
    assert_eq!((outcome.computed(), computed(case)), (100, 100));

    // In another order, 5 removed, 10 with another value, 5 more.
    let mut second: Vec<(u64, u64)> = first[5..].iter().rev().copied().collect();
    second.iter_mut().filter(|(id, _)| (20..30).contains(id)).for_each(|(_, value)| *value += 10_000);
    second.extend((0..5).map(|more| (1000 + more, 1500 + more)));
    let calls = || second.iter().map(|(id, value)| delayed!(cell(case, *id, *value)));
    let plan = run.plan(calls()).unwrap();
    assert_eq!((plan.misses, plan.summary.reused, computed(case)), (15, 85, 100), "nothing is computed for a plan");
    let outcome = run.run(calls()).unwrap();
    let words = "85 reused, 10 changed (argument `value`), 5 new, 5 gone";
    assert_eq!(outcome.summary().to_string(), words);
    assert_eq!(outcome.summary().changed, [(Change::Argument("value".to_owned()), 10)]);
    assert_eq!((outcome.computed(), computed(case)), (15, 115));
    let expected: Vec<u64> = second.iter().map(|(id, value)| id * 1000 + value).collect();
    assert_eq!(outcome.into_values().unwrap(), expected);
}

#[test]
fn too_much_to_compute_is_refused_before_the_first_computation() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    #[larder::task]
    fn slow(id: u64) -> u64 {
        *COMPUTED.lock().unwrap().entry(2).or_default() += 1;
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(3) {
            std::hint::spin_loop();
        }
        id
    }
    let run = Parallel::new().n_jobs(2).named("slow", &memory).unwrap();
    let calls = || (0..20).map(|id| delayed!(slow(id)));
    assert!(run.run(calls()).unwrap().is_complete());
    assert_eq!(computed(2), 20);
    for id in 0..20 {
        assert!(memory.cached::<slow>().forget((id,)).unwrap());
    }
    let plan = run.plan(calls()).unwrap();
    assert_eq!((plan.misses, plan.unpriced, &plan.reasons[..]), (20, 0, &[(MissReason::Forgotten, 20)][..]));
    assert!(plan.compute_time >= Duration::from_millis(60), "{plan}");
    let error = run.clone().max_recompute(Duration::from_millis(59)).run(calls()).unwrap_err();
    assert!(error.is_too_costly());
    let words = error.to_string();
    assert!(words.starts_with("the run `slow` would compute for ") && words.contains("20 of 20 to compute"), "{words}");
    assert!(words.contains("20 changed (the entry was removed by hand"), "{words}");
    assert_eq!(computed(2), 20);
    // Enough is enough.
    assert!(run.max_recompute(plan.compute_time).run(calls()).unwrap().is_complete());
    assert_eq!(computed(2), 40);
}

static BROKEN: AtomicU64 = AtomicU64::new(1);

#[larder::task]
fn fragile(id: u64) -> Result<u64, String> {
    *COMPUTED.lock().unwrap().entry(3).or_default() += 1;
    match id {
        4 if BROKEN.load(SeqCst) == 1 => Err("the valve is stuck".to_owned()),
        7 if BROKEN.load(SeqCst) == 1 => panic!("the tank is empty"),
        id => Ok(id),
    }
}

#[test]
fn what_failed_is_kept_and_tried_again_on_request_only() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let run = Parallel::new().n_jobs(2).on_error(OnError::Collect).named("fragile", &memory).unwrap();
    let calls = || (0..10).map(|id| delayed!(fragile(id)));
    let outcome = run.run(calls()).unwrap();
    assert_eq!((outcome.failures().len(), outcome.computed(), computed(3)), (2, 8, 10));

    let outcome = run.run(calls()).unwrap();
    assert_eq!(
        outcome.summary().to_string(),
        "8 reused, 0 changed, 0 new, 0 gone, 2 failed before and not tried again"
    );
    let failures: Vec<_> = outcome.failures().iter().map(|failure| (failure.index(), failure.attempts())).collect();
    assert_eq!(failures, [(4, 1), (7, 1)]);
    let words = outcome.failures()[0].message().to_owned();
    assert!(words.starts_with("the valve is stuck (it failed in an earlier run; "), "{words}");
    assert_eq!(outcome.failures()[0].arguments(), Some("id = 4"));
    assert_eq!(computed(3), 10);

    // Once more, in vain.
    let outcome = run.clone().retry_failed(true).run(calls()).unwrap();
    assert_eq!((outcome.failures().len(), computed(3)), (2, 12));
    BROKEN.store(0, SeqCst);
    let outcome = run.run(calls()).unwrap();
    assert_eq!((outcome.failures().len(), outcome.failures()[1].attempts(), computed(3)), (2, 2, 12));
    // Alone: what is new waits.
    let more = (0..12).map(|id| delayed!(fragile(id)));
    let outcome = run.clone().only_failed(true).run(more).unwrap();
    assert_eq!((outcome.failures().len(), outcome.is_complete(), computed(3)), (0, false, 14));
    assert_eq!(outcome.results()[10..], [None, None]);
    assert_eq!(run.run(calls()).unwrap().into_values().unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!(computed(3), 14);
}

#[test]
fn orders_change_when_items_are_computed_and_not_where_results_are() {
    static SEEN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    #[larder::task]
    fn seen(id: u64) -> u64 {
        SEEN.lock().unwrap().push(id);
        id
    }
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    for (name, order) in [("a", Order::Input), ("b", Order::Shuffled(3)), ("c", Order::Shuffled(3))] {
        memory.cached::<seen>().clear().unwrap();
        SEEN.lock().unwrap().clear();
        let run = Parallel::new().n_jobs(1).named(name, &memory).unwrap().order(order);
        let values = run.run((0..50).map(|id| delayed!(seen(id)))).unwrap().into_values().unwrap();
        assert_eq!(values, (0..50).collect::<Vec<_>>());
        let seen = SEEN.lock().unwrap().clone();
        assert_eq!(seen == values, order == Order::Input, "{name}: {seen:?}");
    }
}

#[test]
fn names_that_mean_nothing_or_places_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    for name in ["", "a/b", "..", ".hidden", "a b", "a\\b", &"x".repeat(101)] {
        let error = Parallel::new().named(name, &memory).unwrap_err();
        assert!(error.is_invalid_option(), "{name}: {error}");
    }
    let error = Parallel::new().named("nightly", &larder::Memory::disabled()).unwrap_err();
    assert!(error.to_string().contains("open on a directory"), "{error}");
}

/// The segments of a run's ledger.
fn segments(cache: &Path, name: &str) -> Vec<PathBuf> {
    let dir = cache.join("runs").join(name);
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn a_ledger_that_is_cut_or_altered_costs_nothing_that_was_finished() {
    for damage in ["cut", "altered", "gone"] {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        let case = 10 + damage.len() as u64;
        let run = Parallel::new().n_jobs(2).named("cells", &memory).unwrap();
        let calls = || (0..200).map(|id| delayed!(cell(case, id, 1)));
        assert!(run.run(calls()).unwrap().is_complete());
        for segment in segments(dir.path(), "cells") {
            let mut bytes = fs::read(&segment).unwrap();
            match damage {
                "cut" => bytes.truncate(bytes.len() * 2 / 3),
                "altered" => bytes[200] ^= 0x40,
                _ => bytes.clear(),
            }
            fs::write(&segment, bytes).unwrap();
        }
        let outcome = run.run(calls()).unwrap();
        assert_eq!((outcome.summary().reused, outcome.computed(), computed(case)), (200, 0, 200), "{damage}");
        assert!(outcome.is_complete());
    }
}

/// An example of this name, in this folder.
fn resumable(cache: &Path, log: &Path, items: u64, ms: u64, backend: &str) -> Command {
    let mut command = Command::new(program("resumable_run"));
    command.arg("--cache").arg(cache).args(["--name", "nightly", "--jobs", "2", "--json", "--backend", backend]);
    command.args(["--items", &items.to_string(), "--task-ms", &ms.to_string()]).arg("--log").arg(log);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lines(log: &Path) -> usize {
    fs::read(log).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// How often each item was computed, as the log has it.
fn counts(log: &Path) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        *counts.entry(line.split(' ').next().unwrap().parse().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn a_run_that_is_killed_again_and_again_computes_each_item_once() {
    for (backend, items, kills) in [("threads", 2000, 20), ("processes", 600, 6)] {
        let dir = tempfile::tempdir().unwrap();
        let (cache, log) = (dir.path().join("cache"), dir.path().join("log"));
        let mut killed = 0;
        for kill in 1..=kills {
            let mut child = resumable(&cache, &log, items, 2, backend).spawn().unwrap();
            // Somewhere in the middle of it, never at the same place of a batch.
            let wanted = (items as usize * kill) / (kills + 1) + kill * kill % 17;
            while lines(&log) < wanted && child.try_wait().unwrap().is_none() {
                std::thread::yield_now();
            }
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let output = resumable(&cache, &log, items, 2, backend).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let last = said.lines().last().unwrap();
        assert!(last.starts_with(&format!("{{\"items\":{items},")) && last.ends_with("\"failed\":0}"), "{last}");
        let counts = counts(&log);
        assert_eq!(counts.len() as u64, items, "every item was computed");
        // Two workers: what they had in hand, and what was not yet safe: a moment's work of threads, more of it where the machine is
        // busy; less than 10 ms of each process.
        let again: u64 = counts.values().map(|count| count - 1).sum();
        assert!(killed > kills / 2, "{killed} kills met a run");
        assert!(again <= 8 * killed as u64, "{again} items computed again in {killed} kills");
    }
}

#[test]
fn two_programs_share_a_run_and_one_may_be_killed() {
    let dir = tempfile::tempdir().unwrap();
    let (cache, log) = (dir.path().join("cache"), dir.path().join("log"));
    let mut first = resumable(&cache, &log, 600, 2, "threads").spawn().unwrap();
    let second = resumable(&cache, &log, 600, 2, "threads").spawn().unwrap();
    while lines(&log) < 200 {
        std::thread::yield_now();
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let output = second.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts = counts(&log);
    assert_eq!(counts.len(), 600);
    let again: u64 = counts.values().map(|count| count - 1).sum();
    assert!(again <= 8, "{again} items computed again after one kill");

    // Undisturbed, none is computed twice.
    fs::remove_file(&log).unwrap();
    let cache = dir.path().join("another");
    let pair = [0, 1].map(|_| resumable(&cache, &log, 400, 2, "threads").spawn().unwrap());
    for child in pair {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    assert_eq!(lines(&log), 400);
}
