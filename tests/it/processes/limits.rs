//! How worker processes live: how long, with how much, on which processors, and what runs within them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use larder::{Backend, OnError, Parallel, Schedule, cpu_count, delayed};

use super::{
    Listed, alone, children_of, is_alive, note, noted, process, processes, state_of, utf8, wait_until, workers,
};
use crate::child::this_program;
use crate::support::ends;

/// How many calls each process made.
fn calls_of(values: &[(u64, u32)]) -> BTreeMap<u32, usize> {
    let mut calls = BTreeMap::new();
    for (_, process) in values {
        *calls.entry(*process).or_default() += 1;
    }
    calls
}

static LEAK: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Keeps 10 MB for good.
#[larder::task]
fn leaks(x: u64, place: &str) -> (u64, u32) {
    LEAK.lock().unwrap().push(vec![x as u8 | 1; 10 << 20]);
    note(place, x);
    (x, std::process::id())
}

#[test]
fn a_worker_that_grows_is_replaced_between_two_tasks() {
    alone(a_worker_that_grows_is_replaced_between_two_tasks, |place| {
        let parallel = processes(2).limit_memory_soft(60 << 20);
        let outcome = parallel.outcome_list((0..60).map(|x| delayed!(leaks(x, utf8(place))))).unwrap();
        assert!(outcome.is_complete(), "{outcome:?}");
        assert_eq!(outcome.report().deaths, 0, "to be replaced is not to die: {}", outcome.report());
        let values = outcome.into_values().unwrap();
        assert!(values.iter().map(|(x, _)| *x).eq(0..60));
        let calls = calls_of(&values);
        // 60 MB are six of them; memory is looked at now and then only, but after each of so long ones.
        assert!(calls.len() >= 5 && calls.values().all(|calls| *calls <= 12), "{calls:?}");
    });
}

#[test]
fn a_worker_that_is_replaced_leaves_no_task_to_be_run_twice() {
    alone(a_worker_that_is_replaced_leaves_no_task_to_be_run_twice, |place| {
        let parallel = processes(2).limit_memory_soft(60 << 20);
        assert_eq!(parallel.run_list((0..60).map(|x| delayed!(leaks(x, utf8(place))))).unwrap().len(), 60);
        let mut ran: Vec<u64> = noted(place).iter().map(|x| x.parse().unwrap()).collect();
        ran.sort_unstable();
        assert_eq!(ran, (0..60).collect::<Vec<_>>());
    });
}

#[test]
fn no_worker_runs_more_tasks_than_it_may() {
    ends(|| {
        for n_jobs in [1, 2, 3] {
            let parallel = processes(n_jobs).max_tasks_per_worker(10);
            let values = parallel.run_list((0..100).map(|x| delayed!(process(x)))).unwrap();
            assert!(values.iter().map(|(x, _)| *x).eq(0..100));
            let calls = calls_of(&values);
            assert!(calls.len() >= 10 && calls.values().all(|calls| *calls <= 10), "{calls:?}");
        }
    });
}

#[test]
fn a_worker_that_was_kept_runs_no_more_tasks_than_it_may_either() {
    alone(a_worker_that_was_kept_runs_no_more_tasks_than_it_may_either, |_| {
        let parallel = processes(1).max_tasks_per_worker(10);
        let mut values = Vec::new();
        for _ in 0..4 {
            values.extend(parallel.run_list((0..7).map(|x| delayed!(process(x)))).unwrap());
        }
        let calls = calls_of(&values);
        assert!(calls.values().all(|calls| *calls <= 10), "{calls:?}");
    });
}

#[test]
fn workers_are_kept_for_the_next_run_or_gone_with_their_own() {
    alone(workers_are_kept_for_the_next_run_or_gone_with_their_own, |place| {
        let kept = workers(processes(2), place, 2);
        assert_eq!(workers(processes(2), place, 2), kept, "another `Parallel` with the same options");
        let own = workers(processes(2).inner_threads(2).idle_timeout(Duration::ZERO), place, 2);
        assert!(own.is_disjoint(&kept), "they are told of other threads");
        wait_until("they are gone, and reaped", || own.iter().all(|id| state_of(*id).is_none()));
        let left: BTreeSet<_> = children_of(std::process::id()).into_iter().collect();
        assert!(left.iter().all(|id| is_alive(*id)), "a zombie");
        // One that dies while nobody needs it is replaced in silence.
        let kept = workers(processes(2), place, 2);
        for id in &kept {
            Command::new("kill").args(["-9", &id.to_string()]).status().unwrap();
        }
        let new = workers(processes(2), place, 2);
        assert!(new.is_disjoint(&kept));
        wait_until("the dead are reaped", || kept.iter().all(|id| state_of(*id).is_none()));
    });
}

#[test]
fn idle_workers_are_few_and_end_in_time() {
    alone(idle_workers_are_few_and_end_in_time, |place| {
        let many = workers(processes(9).idle_timeout(Duration::from_millis(300)), place, 9);
        wait_until("all of them are gone, and reaped", || many.iter().all(|id| state_of(*id).is_none()));
        let many = workers(processes(9), place, 9);
        let most = 2 * cpu_count();
        wait_until("only the surplus is gone", || {
            many.iter().filter(|id| state_of(**id).is_some()).count() == most.min(9)
        });
    });
}

static PREPARED: AtomicUsize = AtomicUsize::new(0);

#[larder::task]
fn prepare(place: &str, times: usize) {
    PREPARED.fetch_add(times, Relaxed);
    note(place, format_args!("init {}", std::process::id()));
}

#[larder::task]
fn prepared(place: &str) -> usize {
    note(place, format_args!("task {}", std::process::id()));
    PREPARED.load(Relaxed)
}

#[test]
fn every_worker_is_prepared_once_before_its_first_task() {
    alone(every_worker_is_prepared_once_before_its_first_task, |place| {
        let path = utf8(place);
        let parallel = processes(2).worker_init(delayed!(prepare(path, 17))).max_tasks_per_worker(20);
        for _ in 0..2 {
            assert_eq!(parallel.run_list((0..100).map(|_| delayed!(prepared(path)))).unwrap(), [17; 100]);
        }
        let mut known = BTreeSet::new();
        for line in noted(place) {
            let (word, process) = line.split_once(' ').unwrap();
            assert_eq!(known.insert(process.to_owned()), word == "init", "{line}");
        }
        assert!(known.len() >= 5 && !known.contains(&std::process::id().to_string()), "{known:?}");
        // A worker that was prepared otherwise, or not at all, is not mistaken for it.
        let other = processes(2).worker_init(delayed!(prepare(path, 3)));
        assert_eq!(other.run_list((0..10).map(|_| delayed!(prepared(path)))).unwrap(), [3; 10]);
        assert_eq!(processes(2).run_list((0..10).map(|_| delayed!(prepared(path)))).unwrap(), [0; 10]);
    });
}

#[larder::task]
fn not_to_be_had(how: &str) -> Result<(), String> {
    match how {
        "err" => Err("no such model".to_owned()),
        "panic" => panic!("no such model (this panic belongs to the test)"),
        _ => {
            eprintln!("no such model");
            std::process::exit(9)
        }
    }
}

#[test]
fn a_preparation_that_fails_fails_the_run() {
    ends(|| {
        for how in ["err", "panic", "exit"] {
            for on_error in [OnError::FailFast, OnError::Collect] {
                let parallel = processes(2).on_error(on_error).worker_init(delayed!(not_to_be_had(how)));
                let error = parallel.run_list((0..100).map(|x| delayed!(process(x)))).unwrap_err().to_string();
                assert!(error.contains("no such model"), "{how}: {error}");
                assert!(error.contains("worker_init") && error.contains("not_to_be_had"), "{how}: {error}");
            }
        }
    });
}

#[larder::task]
fn threads() -> (Option<String>, Option<String>, usize) {
    (std::env::var("RAYON_NUM_THREADS").ok(), std::env::var("OMP_NUM_THREADS").ok(), cpu_count())
}

#[test]
fn tasks_are_told_how_many_threads_they_may_use() {
    // What the program's own environment says comes first.
    let mut command = Command::new(this_program());
    command.env_remove("RAYON_NUM_THREADS").env("OMP_NUM_THREADS", "11");
    super::alone_in(tasks_are_told_how_many_threads_they_may_use, command, |_| {
        let text = |number: usize| Some(number.to_string());
        for inner in [1, 3] {
            let seen = processes(2).inner_threads(inner).run_list((0..10).map(|_| delayed!(threads()))).unwrap();
            assert_eq!(seen, vec![(text(inner), text(11), inner); 10]);
        }
        let share = (cpu_count() / 2).max(1);
        let parallel = Parallel::new().backend(Backend::Processes).n_jobs(2);
        let seen = parallel.run_list((0..10).map(|_| delayed!(threads()))).unwrap();
        assert_eq!(seen, vec![(text(share), text(11), share); 10]);
    });
}

/// Where the process of a task may run, in the kernel's words; it waits for the others as `meet` does.
#[larder::task]
fn processors(place: &str, count: usize) -> String {
    super::meet(place, count);
    processors_here()
}

fn processors_here() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("the kernel says so").trim().to_owned()
}

#[test]
fn workers_are_bound_to_processors_of_their_own() {
    alone(workers_are_bound_to_processors_of_their_own, |place| {
        let all = processors_here();
        for (bound, many) in [(true, 2), (false, 2), (true, 3)] {
            let _ = std::fs::remove_file(place.join("log"));
            let parallel = processes(many as i32).schedule(Schedule::TopPicking).cpu_affinity(bound);
            let path = utf8(place);
            let lists = parallel.run_list((0..many).map(|_| delayed!(processors(path, many)))).unwrap();
            let own: BTreeSet<_> = lists.iter().filter(|list| list.parse::<usize>().is_ok()).collect();
            // More workers than processors: the last ones run where they like.
            let expected = if bound { many.min(std::thread::available_parallelism().unwrap().get()) } else { 0 };
            if std::thread::available_parallelism().unwrap().get() > 1 {
                assert_eq!(own.len(), expected, "{lists:?} of {all}");
            }
            assert!(bound || lists.iter().all(|list| *list == all), "{lists:?} of {all}");
        }
        assert_eq!(processors_here(), all, "the program itself is not bound");
    });
}

#[larder::task]
fn inner(x: u64) -> (u64, u32, String) {
    (x * 2, std::process::id(), format!("{:?}", std::thread::current().id()))
}

/// A run within a task: whether all of it was in this process, on how many threads, and how many processes were started.
#[larder::task]
fn outer(x: u64, in_processes: bool) -> Result<(u64, bool, usize, usize), larder::Error> {
    let backend = if in_processes { Backend::Processes } else { Backend::Threads };
    let parallel = Parallel::new().backend(backend).n_jobs(-1);
    let values = parallel.run_list((0..300).map(|y| delayed!(inner(x + y))))?;
    let here = values.iter().all(|(_, process, _)| *process == std::process::id());
    let threads: BTreeSet<_> = values.iter().map(|(_, _, thread)| thread).collect();
    let sum = values.iter().map(|(value, _, _)| value).sum();
    Ok((sum, here, threads.len(), children_of(std::process::id()).len()))
}

#[test]
fn a_run_within_a_task_stays_in_its_worker_and_keeps_to_its_threads() {
    alone(a_run_within_a_task_stays_in_its_worker_and_keeps_to_its_threads, |_| {
        for budget in [1, 2] {
            for in_processes in [true, false] {
                let parallel = processes(2).inner_threads(budget);
                for (x, value) in parallel
                    .run_list((0..20).map(|x| delayed!(outer(x, in_processes))))
                    .unwrap()
                    .into_iter()
                    .enumerate()
                {
                    let (sum, here, threads, children) = value;
                    assert_eq!((sum, here, children), (600 * x as u64 + 300 * 299, true, 0));
                    assert!(threads <= budget, "{threads} threads of {budget}");
                }
            }
        }
        assert!(children_of(std::process::id()).len() <= 4);
    });
}

/// What this program says when a task starts it as any other program.
#[larder::task]
fn started(place: &str) -> String {
    assert!(std::env::var_os("LARDER_WORKER").is_some(), "what is started inherits it");
    let output =
        Command::new(this_program()).args(["--list", "processes::limits"]).current_dir(place).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_task_starts_is_no_worker() {
    ends(|| {
        let place = tempfile::tempdir().unwrap();
        for said in processes(2).run_list((0..2).map(|_| delayed!(started(utf8(place.path()))))).unwrap() {
            assert!(said.contains("processes::limits::what_a_task_starts_is_no_worker: test"), "{said}");
        }
    });
}

#[test]
fn runs_at_once_do_not_get_each_others_workers() {
    alone(runs_at_once_do_not_get_each_others_workers, |place| {
        let run = |at: usize| {
            let own: &Path = &place.join(at.to_string());
            std::fs::create_dir(own).unwrap();
            workers(processes(2), own, 2)
        };
        std::thread::scope(|scope| {
            let runs: Vec<_> = (0..3).map(|at| scope.spawn(move || run(at))).collect();
            for run in runs {
                assert_eq!(run.join().unwrap().len(), 2);
            }
        });
    });
}
