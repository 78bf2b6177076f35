//! Where runs take place and with how much: scopes of defaults, hints and requirements, cores, runs within runs, tasks that
//! wait, and `batch_process`.

use std::backtrace::Backtrace;
use std::collections::HashSet;
use std::fmt::Display;
use std::process::Command;
use std::sync::Barrier;
use std::thread::{self, ThreadId};

use larder::{
    Backend, Parallel, Payload, Prefer, Progress, Require, batch_process, config, cpu_count, delayed, effective_n_jobs,
    physical_cpu_count,
};

use crate::child::{self, Other, say, this_program};
use crate::support::ends;

/// How many workers a run has.
fn workers(parallel: &Parallel) -> usize {
    parallel.map_outcome(0..3, |x| x).unwrap().report().workers.len()
}

// ---- Scopes.

#[test]
fn a_scope_says_what_a_parallel_does_not() {
    let (plain, said) = (Parallel::new(), Parallel::new().n_jobs(3));
    config().n_jobs(2).scope(|| {
        assert_eq!((workers(&plain), workers(&said)), (2, 3));
        assert_eq!((effective_n_jobs(None).unwrap(), effective_n_jobs(5).unwrap()), (2, 5));
        config().backend(Backend::Sequential).scope(|| {
            assert_eq!((workers(&plain), workers(&said)), (1, 1));
            assert_eq!((effective_n_jobs(None).unwrap(), effective_n_jobs(5).unwrap()), (1, 1));
        });
        config().n_jobs(4).scope(|| assert_eq!((workers(&plain), workers(&said)), (4, 3)));
        assert_eq!(workers(&plain), 2);
    });
    assert_eq!((workers(&plain), effective_n_jobs(None).unwrap()), (cpu_count(), cpu_count()));
}

#[test]
fn a_scope_that_panics_is_over() {
    let panicked = std::panic::catch_unwind(|| {
        config().n_jobs(3).scope(|| {
            let parallel = Parallel::new();
            assert_eq!(effective_n_jobs(None).unwrap(), 3);
            parallel.map(0..4, |x| assert_ne!(x, 2, "(this panic belongs to the test)")).unwrap();
        })
    });
    assert!(panicked.is_err());
    assert_eq!(effective_n_jobs(None).unwrap(), cpu_count());
}

#[test]
fn scopes_are_not_seen_by_tasks_wherever_they_run() {
    for n_jobs in [1, 2] {
        let seen = config().n_jobs(n_jobs).scope(|| {
            // A run within a task of its own scope has the task's thread; only there is the outer scope to be told from none.
            Parallel::new().map(0..4, |_| config().verbose(0).scope(|| effective_n_jobs(None).unwrap())).unwrap()
        });
        assert_eq!(seen, [if n_jobs == 1 { cpu_count() } else { 1 }; 4], "{n_jobs}");
    }
    // What reads the input on the calling thread belongs to the run too.
    let items = std::iter::from_fn(|| Some(effective_n_jobs(None).unwrap())).take(2);
    assert_eq!(config().n_jobs(1).scope(|| Parallel::new().map(items, |seen| seen)).unwrap(), [cpu_count(); 2]);
}

#[test]
fn a_parallel_has_as_many_threads_as_each_scope_says() {
    let parallel = Parallel::new();
    for n_jobs in [2, 3, 2, 5, 2] {
        let all = Barrier::new(n_jobs);
        let threads: HashSet<ThreadId> = config().n_jobs(i32::try_from(n_jobs).unwrap()).scope(|| {
            let meet = |_| {
                all.wait();
                thread::current().id()
            };
            parallel.map(0..n_jobs, meet).unwrap().into_iter().collect()
        });
        assert_eq!(threads.len(), n_jobs);
    }
}

#[test]
fn what_means_nothing_in_a_scope_is_told_by_the_run() {
    let words = "`n_jobs` is 0: give a number of workers, or -1 for every core, -2 for all but one";
    config().n_jobs(0).scope(|| {
        let error = Parallel::new().map(0..3, |x| x).unwrap_err();
        assert!(error.is_invalid_option());
        assert_eq!(error.to_string(), words);
        assert_eq!(effective_n_jobs(None).unwrap_err().to_string(), words);
        assert_eq!(Parallel::new().n_jobs(1).map(0..3, |x| x).unwrap(), [0, 1, 2], "its own number means something");
    });
    assert_eq!(effective_n_jobs(0).unwrap_err().to_string(), words);
}

#[test]
fn progress_of_a_scope_is_that_of_its_runs() {
    let (told, ends) = std::sync::mpsc::channel();
    let progress = Progress::callback(move |now| {
        if now.finished() {
            told.send((now.total(), now.done())).unwrap();
        }
    });
    config().progress(progress).scope(|| {
        Parallel::new().n_jobs(2).map(0..7, |x| x).unwrap();
        Parallel::new().n_jobs(2).progress(Progress::Off).map(0..8, |x| x).unwrap();
        config().verbose(0).scope(|| Parallel::new().n_jobs(2).map(0..9, |x| x)).unwrap();
    });
    assert_eq!(ends.iter().collect::<Vec<_>>(), [(Some(7), 7)]);
}

// ---- Hints and requirements.

#[cfg(all(unix, feature = "auto-worker"))]
#[larder::task]
fn process_of_task(item: u32) -> (u32, u32) {
    (item, std::process::id())
}

#[cfg(all(unix, feature = "auto-worker"))]
fn is_elsewhere(parallel: &Parallel) -> bool {
    let found = parallel.run((0..4).map(|x| delayed!(process_of_task(x)))).unwrap();
    assert_eq!(found.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let elsewhere = found.iter().filter(|(_, process)| *process != std::process::id()).count();
    assert!([0, 4].contains(&elsewhere), "all or none: {elsewhere}");
    elsewhere == 4
}

#[test]
#[cfg(all(unix, feature = "auto-worker"))]
fn what_is_preferred_and_what_is_required_is_where_tasks_run() {
    let parallel = || Parallel::new().n_jobs(2).inner_threads(1);
    let prefers = parallel().prefer(Prefer::Processes);
    assert!(is_elsewhere(&prefers));
    // A closure cannot go there, and a hint does not make that an error.
    let here = prefers.map(0..4, |_| std::process::id()).unwrap();
    assert_eq!(here, [std::process::id(); 4]);
    assert!(!is_elsewhere(&parallel()));
    config().prefer(Prefer::Processes).scope(|| {
        assert!(is_elsewhere(&parallel()));
        assert!(!is_elsewhere(&parallel().prefer(Prefer::Threads)));
    });
    config().backend(Backend::Processes).scope(|| {
        assert!(is_elsewhere(&parallel()));
        assert!(!is_elsewhere(&parallel().require(Require::SharedMemory)));
        assert!(!is_elsewhere(&parallel().backend(Backend::Threads)));
        let error = parallel().map(0..3, |x| x).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains("a closure cannot go"), "{error}");
        config().require(Require::SharedMemory).scope(|| assert!(!is_elsewhere(&parallel())));
    });
}

#[test]
fn a_contradiction_is_an_error_that_names_both_sides() {
    let processes = Parallel::new().backend(Backend::Processes);
    let required = Parallel::new().backend(Backend::Processes).require(Require::SharedMemory);
    let in_scope = config().require(Require::SharedMemory).scope(|| processes.map(0..3, |x| x)).unwrap_err();
    for error in [required.map(0..3, |x| x).unwrap_err(), in_scope] {
        assert!(error.is_invalid_option());
        let text = error.to_string();
        assert!(text.contains("`Backend::Processes`") && text.contains("`Require::SharedMemory`"), "{text}");
    }
}

// ---- Cores.

#[test]
fn the_environment_lowers_the_number_of_cores() {
    if child::role().is_some() {
        assert_eq!((cpu_count(), physical_cpu_count(), effective_n_jobs(-1).unwrap()), (1, 1, 1));
        assert_eq!((effective_n_jobs(7).unwrap(), workers(&Parallel::new())), (7, 1));
        return say("done");
    }
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(this_program());
    command.env("LARDER_MAX_CPUS", "1");
    let name = "context::the_environment_lowers_the_number_of_cores";
    let mut other = Other::start(command, name, "limited", place.path());
    other.wait_for("done");
    assert!(other.end().success());
}

#[test]
fn one_worker_is_a_loop_on_the_callers_thread() {
    let here = thread::current().id();
    for parallel in [Parallel::new().n_jobs(1), Parallel::new().backend(Backend::Sequential)] {
        let stacks = parallel.map(0..2, |_| {
            assert_eq!((thread::current().id(), rayon::current_thread_index()), (here, None));
            Backtrace::force_capture().to_string()
        });
        for stack in stacks.unwrap() {
            assert!(!stack.contains("rayon"), "{stack}");
            assert!(stack.contains("one_worker_is_a_loop_on_the_callers_thread"), "who called is to be seen: {stack}");
        }
    }
}

#[test]
fn tasks_that_wait_for_each_other_have_a_thread_each() {
    let meeting = |parallel: &Parallel| {
        let all = Barrier::new(8);
        let met = parallel.map(0..8, |x| {
            all.wait();
            x
        });
        assert_eq!(met.unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    };
    ends(move || {
        let parallel = Parallel::new().n_jobs(8);
        meeting(&parallel);
        meeting(&parallel);
        config().n_jobs(8).scope(|| meeting(&Parallel::new()));
    });
}

// ---- Runs within runs.

/// Some of the stack, as a task may need.
fn with_a_frame<R>(f: impl FnOnce() -> R) -> R {
    let frame = std::hint::black_box([1_u8; 16 << 10]);
    let result = f();
    assert_eq!(std::hint::black_box(&frame)[frame.len() - 1], 1);
    result
}

fn words<T, E: Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

#[larder::task]
fn endless(level: u32, backend: u8, n_jobs: i32) -> Result<u32, String> {
    with_a_frame(|| words(call_endless(level + 1, backend, n_jobs)))
}

fn call_endless(level: u32, backend: u8, n_jobs: i32) -> larder::Result<u32> {
    let backend = [Backend::Sequential, Backend::Threads, Backend::Processes][usize::from(backend)];
    let call = [delayed!(endless(level, backend as u8, n_jobs))];
    Parallel::new().backend(backend).n_jobs(n_jobs).inner_threads(1).run(call).map(|results| results[0])
}

#[test]
fn a_run_that_starts_itself_without_end_is_an_error() {
    let mut ways = vec![(Backend::Sequential, 1), (Backend::Threads, 1), (Backend::Threads, 2)];
    if cfg!(all(unix, feature = "auto-worker")) {
        ways.extend([(Backend::Processes, 1), (Backend::Processes, 2)]);
    }
    for (backend, n_jobs) in ways {
        let text = ends(move || call_endless(1, backend as u8, n_jobs).unwrap_err().to_string());
        let (deepest, why) = text.rsplit_once("`endless(level = ").unwrap();
        assert!(deepest.contains("`endless(level = 23, "), "{backend:?}, {n_jobs}: {text}");
        assert!(why.starts_with("24, ") && why.contains("this run would be number 25 of runs"), "{text}");
        assert!(why.contains("at most 24 may be") && why.contains("End the recursion earlier"), "{text}");
    }
}

#[test]
fn closures_that_start_themselves_without_end_are_an_error_too() {
    fn deeper(parallel: &Parallel, levels: u32) -> Result<u32, String> {
        let deepest = words(parallel.try_map([levels], |levels| with_a_frame(|| deeper(parallel, levels + 1))))?;
        Ok(deepest[0])
    }
    fn down_to(parallel: &Parallel, level: u32) -> u32 {
        if level == 0 { 0 } else { 1 + parallel.map([level - 1], |level| down_to(parallel, level)).unwrap()[0] }
    }
    for n_jobs in [1, 2] {
        let parallel = Parallel::new().n_jobs(n_jobs);
        let (text, reached) = ends(move || (deeper(&parallel, 0).unwrap_err(), down_to(&parallel, 24)));
        assert!(text.ends_with("what the inner run has to do into the input of the outer one"), "{text}");
        assert_eq!(text.matches("task 0 failed").count(), 24, "{text}");
        // The depth is counted anew after that, and 24 are not too many.
        assert_eq!(reached, 24);
    }
}

#[test]
fn runs_side_by_side_have_their_workers_each() {
    let all = Barrier::new(6);
    let run = |n_jobs: i32| {
        Parallel::new()
            .n_jobs(n_jobs)
            .map(0..n_jobs, |_| {
                all.wait();
            })
            .unwrap();
    };
    thread::scope(|scope| {
        scope.spawn(|| run(2));
        scope.spawn(|| run(4));
    });
}

// ---- batch_process.

#[test]
fn batch_process_gives_results_in_order_and_lends_the_payload() {
    struct Table(Vec<u64>); // neither Clone nor Serialize
    let table = Table((0..100).map(|x| x * x).collect());
    for (n_workers, sep_progress) in [(1, false), (2, true), (7, false)] {
        let found = batch_process(0..100, |x: usize, table: &Table| table.0[x] + 1, n_workers, sep_progress, &table);
        assert_eq!(found.unwrap(), (0..100).map(|x| x * x + 1).collect::<Vec<_>>());
    }
    let shared = Payload::new(vec![3, 4]);
    assert_eq!(batch_process([0, 1], |x, list: &Payload<Vec<i32>>| list[x], 2, false, &shared).unwrap(), [3, 4]);
    let words: &[&str] = &["a", "b"];
    assert_eq!(
        batch_process([1, 0], |x: usize, words: &[&str]| words[x].to_owned(), 2, false, words).unwrap(),
        ["b", "a"]
    );
}

#[test]
fn batch_process_says_what_is_wrong_and_which_item_failed() {
    let error = batch_process(0..3, |x, _: &()| x, 0, false, &()).unwrap_err();
    assert!(error.is_invalid_option() && error.to_string().starts_with("`n_workers` is 0: "), "{error}");
    let panics = |x, _: &()| assert_ne!(x, 2, "(this panic belongs to the test)");
    let error = batch_process(0..5, panics, 1, false, &()).unwrap_err();
    assert_eq!(error.task_failure().unwrap().index(), 2);
    // Its closure shares memory, whatever the scope around says.
    let found = config().backend(Backend::Processes).scope(|| batch_process(0..3, |x, y: &i32| x * y, 2, false, &5));
    assert_eq!(found.unwrap(), [0, 5, 10]);
}
