//! Tasks that panic, fail, die, hang and eat memory: each is told of as what it did, and costs no other its result.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use larder::{Failure, FailureKind, OnError, Outcome, Parallel, Schedule, delayed};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::{Listed, alone, children_of, note, noted, processes, utf8, wait_until};
use crate::support::{busy, ends};

/// What a task does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Fault {
    None,
    Panic,
    Err,
    Abort,
    Exit,
    Segv,
    Kill,
    Overflow,
    Hang,
    Eat,
}

/// Takes memory until there is far more than is allowed; then it only has it.
fn eat() -> ! {
    let eaten: Vec<Vec<u8>> = (0..800).map(|byte| vec![byte as u8 | 1; 1 << 20]).collect();
    std::hint::black_box(&eaten);
    hang()
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

fn signal_myself(signal: &str) -> ! {
    Command::new("kill").args([signal, &std::process::id().to_string()]).status().unwrap();
    hang()
}

fn deep(x: u64) -> u64 {
    if x == u64::MAX { 0 } else { std::hint::black_box(deep(std::hint::black_box(x) + 1)) + 1 }
}

#[larder::task]
fn work(item: u64, fault: Fault) -> Result<u64, String> {
    match fault {
        Fault::None => return Ok(item * 10),
        Fault::Err => return Err(format!("{item} is refused")),
        Fault::Panic => panic!("{item} panics (this panic belongs to the test)"),
        _ => eprintln!("last words of {item}"),
    }
    match fault {
        Fault::Abort => std::process::abort(),
        Fault::Exit => std::process::exit(3),
        Fault::Segv => signal_myself("-SEGV"),
        Fault::Kill => signal_myself("-KILL"),
        Fault::Overflow => Ok(deep(0)),
        Fault::Eat => eat(),
        _ => hang(),
    }
}

/// Every fault, its kind, and what must be said of it.
fn faults() -> [(Fault, FailureKind, &'static [&'static str]); 9] {
    [
        (Fault::Panic, FailureKind::Panic, &["7 panics"]),
        (Fault::Err, FailureKind::Error, &["7 is refused"]),
        (Fault::Abort, FailureKind::Death, &["signal 6 (SIGABRT", "last words of 7"]),
        (Fault::Exit, FailureKind::Death, &["exited with code 3", "last words of 7"]),
        (Fault::Segv, FailureKind::Death, &["signal 11 (SIGSEGV", "last words of 7"]),
        (Fault::Kill, FailureKind::Death, &["signal 9 (SIGKILL", "last words of 7"]),
        // An abort where the standard library's handler of overflows is in place, else the bare signal.
        (Fault::Overflow, FailureKind::Death, &["signal ", "overflow", "last words of 7"]),
        (Fault::Hang, FailureKind::Timeout, &["timeout_per_task", "killed"]),
        (Fault::Eat, FailureKind::Memory, &["limit_memory_hard", "killed"]),
    ]
}

/// Limits that no healthy task meets on a busy machine.
fn guarded(n_jobs: i32) -> Parallel {
    processes(n_jobs).timeout_per_task(Duration::from_secs(3)).limit_memory_hard(400 << 20)
}

fn check(failure: &Failure, index: usize, fault: Fault, kind: FailureKind, words: &[&str]) {
    assert_eq!((failure.index(), failure.kind()), (index, kind), "{failure}");
    let arguments = failure.arguments().unwrap_or_default();
    assert!(arguments.contains(&format!("item = {index}")) && arguments.contains(&format!("{fault:?}")), "{failure}");
    assert!(failure.task().is_some_and(|task| task.ends_with("faults::work")), "{failure}");
    for words in words {
        assert!(failure.message().contains(words), "{fault:?}: `{words}` is not in {failure}");
    }
    assert_eq!(failure.attempts(), 1, "{failure}");
    let place = failure.location().unwrap_or_default();
    assert_eq!(place.contains("processes/faults.rs:"), fault == Fault::Panic, "{failure:?}");
}

fn run(parallel: &Parallel, count: u64, faults: &[(u64, Fault)]) -> Outcome<u64> {
    let fault = |item| faults.iter().find(|(at, _)| *at == item).map_or(Fault::None, |(_, fault)| *fault);
    parallel.outcome_list((0..count).map(|item| delayed!(work(item, fault(item))))).unwrap()
}

/// The results, but for those of these.
fn all_but(count: u64, faulty: &[(u64, Fault)]) -> Vec<Option<u64>> {
    (0..count).map(|item| (!faulty.iter().any(|(at, _)| *at == item)).then_some(item * 10)).collect()
}

#[test]
fn each_fault_is_told_precisely_and_costs_no_other_its_result() {
    ends(|| {
        for (fault, kind, words) in faults() {
            let outcome = run(&guarded(2).on_error(OnError::Collect), 40, &[(7, fault)]);
            assert_eq!(outcome.results(), all_but(40, &[(7, fault)]), "{fault:?}: {outcome:?}");
            let [failure] = outcome.failures() else { panic!("{fault:?}: {outcome:?}") };
            check(failure, 7, fault, kind, words);
            let report = outcome.report();
            assert_eq!((report.items, report.completed, report.failed), (40, 39, 1), "{fault:?}");
            let dies = !matches!(fault, Fault::Panic | Fault::Err);
            assert_eq!(report.deaths > 0, dies, "{fault:?}: {report}");
        }
    });
}

#[test]
fn each_fault_ends_a_run_that_fails_fast() {
    ends(|| {
        for (fault, kind, words) in faults() {
            let calls = |item| delayed!(work(item, if item == 7 { fault } else { Fault::None }));
            let error = guarded(2).run_list((0..40).map(calls)).unwrap_err();
            check(error.task_failure().unwrap(), 7, fault, kind, words);
            assert!(error.to_string().starts_with("task 7 `work(item = 7"), "{error}");
        }
    });
}

#[test]
fn three_that_abort_two_that_hang_and_two_that_eat_cost_seven_of_a_thousand() {
    ends(|| {
        let faulty = [
            (3, Fault::Abort),
            (100, Fault::Hang),
            (101, Fault::Eat),
            (500, Fault::Abort),
            (501, Fault::Abort),
            (750, Fault::Eat),
            (999, Fault::Hang),
        ];
        let outcome = run(&guarded(2).on_error(OnError::Collect), 1000, &faulty);
        assert_eq!(outcome.results(), all_but(1000, &faulty), "{outcome:?}");
        assert_eq!((outcome.report().completed, outcome.failures().len()), (993, 7));
        for (failure, (index, fault)) in outcome.failures().iter().zip(faulty) {
            let (kind, words): (_, &[&str]) = match fault {
                Fault::Abort => (FailureKind::Death, &["SIGABRT", "last words of"]),
                Fault::Hang => (FailureKind::Timeout, &["timeout_per_task"]),
                _ => (FailureKind::Memory, &["limit_memory_hard"]),
            };
            check(failure, index as usize, fault, kind, words);
        }
    });
}

#[test]
fn tasks_that_all_die_are_all_told_of() {
    ends(|| {
        for fault in [Fault::Abort, Fault::Panic, Fault::Err] {
            let faulty: Vec<_> = (0..12).map(|item| (item, fault)).collect();
            let outcome = run(&guarded(2).on_error(OnError::Collect), 12, &faulty);
            let failed: Vec<_> = outcome.failures().iter().map(Failure::index).collect();
            assert_eq!(failed, (0..12).collect::<Vec<_>>(), "{fault:?}");
        }
    });
}

/// Fails in its way until it was begun so often.
#[larder::task]
fn flaky(item: u64, place: &str, fault: Fault, bad: usize) -> u64 {
    note(place, item);
    let begun = begun(Path::new(place), item);
    if begun <= bad {
        match fault {
            Fault::Abort => std::process::abort(),
            Fault::Hang => hang(),
            _ => panic!("begun {begun} times (this panic belongs to the test)"),
        }
    }
    item * 10
}

fn begun(place: &Path, item: u64) -> usize {
    noted(place).iter().filter(|line| **line == item.to_string()).count()
}

#[test]
fn what_fails_is_run_again_as_often_as_asked() {
    ends(|| {
        // A death may be another's doing, so it takes two of them, the second alone, to be an attempt.
        for (fault, each) in [(Fault::Panic, 1), (Fault::Hang, 1), (Fault::Abort, 2)] {
            for retries in [0, 1, 2] {
                for helps in [true, false] {
                    let place = tempfile::tempdir().unwrap();
                    let path = utf8(place.path());
                    let bad = each * retries as usize + usize::from(!helps) * 100;
                    let parallel = processes(2).timeout_per_task(Duration::from_secs(1)).on_error(OnError::Collect);
                    let parallel = parallel.retries(retries).batch_size(3);
                    let calls = |item| delayed!(flaky(item, path, fault, if item == 4 { bad } else { 0 }));
                    let outcome = parallel.outcome_list((0..10).map(calls)).unwrap();
                    let way = format!("{fault:?}, {retries} retries, they help: {helps}: {outcome:?}");
                    assert_eq!(outcome.is_complete(), helps, "{way}");
                    assert_eq!(outcome.report().retries, u64::from(retries), "{way}");
                    if let [failure] = outcome.failures() {
                        assert_eq!((failure.index(), failure.attempts()), (4, retries + 1), "{way}");
                        assert_eq!(begun(place.path(), 4), each * (retries as usize + 1), "{way}");
                    } else {
                        assert_eq!(begun(place.path(), 4), bad + 1, "{way}");
                    }
                    let expected: Vec<_> = (0..10).map(|item| (helps || item != 4).then_some(item * 10)).collect();
                    assert_eq!(outcome.results(), expected, "{way}");
                }
            }
        }
    });
}

#[test]
fn an_innocent_task_is_not_run_again_because_another_failed() {
    ends(|| {
        let place = tempfile::tempdir().unwrap();
        let path = utf8(place.path());
        let calls = |item| delayed!(flaky(item, path, Fault::Panic, if item % 10 == 4 { 100 } else { 0 }));
        let outcome = processes(2).on_error(OnError::Collect).retries(1).outcome_list((0..100).map(calls)).unwrap();
        assert_eq!(outcome.failures().len(), 10);
        for item in 0..100 {
            assert_eq!(begun(place.path(), item), 1 + usize::from(item % 10 == 4), "{item}");
        }
    });
}

#[larder::task]
fn a_millisecond(x: u64) -> u64 {
    busy(Duration::from_millis(1));
    x * 3 + 1
}

#[test]
fn workers_that_are_killed_again_and_again_lose_no_result() {
    alone(workers_that_are_killed_again_and_again_lose_no_result, |_| {
        let (over, ended) = channel::<()>();
        let killer = std::thread::spawn(move || {
            let mut killed = 0_usize;
            // Paced, or no worker would live long enough for anything: the run's end is what is waited for.
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_millis(50)) {
                let workers = children_of(std::process::id());
                if let Some(worker) = workers.get(killed * 7 % workers.len().max(1)) {
                    let worker = Pid::from_raw(i32::try_from(*worker).unwrap()).unwrap();
                    // It may have ended by itself.
                    killed += usize::from(kill_process(worker, Signal::KILL).is_ok());
                }
            }
            killed
        });
        let outcome =
            processes(2).on_error(OnError::Collect).outcome_list((0..10_000).map(|x| delayed!(a_millisecond(x))));
        drop(over);
        let (killed, outcome) = (killer.join().unwrap(), outcome.unwrap());
        assert!(outcome.failures().is_empty(), "{:?}", &outcome.failures()[..1]);
        assert!(killed >= 20 && outcome.report().deaths >= 10, "{killed} killed, {}", outcome.report());
        assert_eq!(outcome.into_values().unwrap(), (0..10_000).map(|x| x * 3 + 1).collect::<Vec<_>>());
    });
}

#[larder::task]
fn starts_and_dies(place: &str) {
    let other = Command::new("sleep").arg("1000").spawn().unwrap();
    note(place, other.id());
    std::process::abort()
}

#[test]
fn what_a_dead_worker_had_started_ends_with_it() {
    alone(what_a_dead_worker_had_started_ends_with_it, |place| {
        let error = processes(1).run_list([delayed!(starts_and_dies(utf8(place)))]).unwrap_err();
        assert_eq!(error.task_failure().unwrap().kind(), FailureKind::Death, "{error}");
        let started: Vec<u32> = noted(place).iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(started.len(), 2);
        wait_until("what the dead worker started is gone", || !started.iter().any(|id| super::is_alive(*id)));
    });
}

/// The first waits until the second was begun, which then waits for nothing.
#[larder::task]
fn hangs_beside(place: &str, item: u64, hangs: bool) -> u64 {
    note(place, item);
    if hangs {
        hang()
    }
    wait_until("the other hangs", || noted(Path::new(place)).len() == 2);
    panic!("{item} panics (this panic belongs to the test)")
}

#[test]
fn a_task_that_hangs_does_not_hold_up_a_run_that_fails_fast() {
    ends(|| {
        let place = tempfile::tempdir().unwrap();
        let path = utf8(place.path());
        let parallel = processes(2).schedule(Schedule::TopPicking);
        let error = parallel.run_list((0..2).map(|item| delayed!(hangs_beside(path, item, item == 0)))).unwrap_err();
        assert_eq!(error.task_failure().map(Failure::index), Some(1), "{error}");
        assert_eq!(fs::read_to_string(place.path().join("log")).unwrap().lines().count(), 2);
    });
}
