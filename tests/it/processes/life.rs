//! Workers live as long as their program, however that ends, and speak through it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder::{CancelToken, Parallel, Schedule, delayed};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    Listed, alone, children_of, is_alive, name_of, note, noted, process, processes, utf8, wait_until, workers,
};
use crate::child::{self, Other, ROLE, say, this_program};
use crate::support::ends;

/// Starts a process that never ends, notes both, and does not end either.
#[larder::task]
#[expect(clippy::zombie_processes, reason = "whoever ends this worker is to end that process too")]
fn never_ends(place: &str) {
    let other = Command::new("sleep").arg("1000").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    note(place, std::process::id());
    note(place, other.id());
    loop {
        std::thread::park();
    }
}

/// Not a test of its own: a program that is killed, or ends, with workers.
#[test]
fn child_with_workers() {
    let Some((role, place)) = child::role() else { return };
    match &*role {
        "busy" => {
            let parallel = processes(2).schedule(Schedule::TopPicking);
            let ran = parallel.run_list((0..2).map(|_| delayed!(never_ends(&place))));
            panic!("it ended: {ran:?}");
        }
        "idle" => {
            workers(processes(3), Path::new(&place), 3);
            say("idle");
        }
        "idle-waiting" => {
            workers(processes(3), Path::new(&place), 3);
            say("idle");
            let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        }
        "rebuilt" => {
            assert_eq!(workers(processes(2), Path::new(&place), 2).len(), 2);
            say("ready");
            let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
            // New ones, since these are told of other threads.
            let values = processes(2).inner_threads(3).run_list((0..100).map(|x| delayed!(process(x)))).unwrap();
            assert!(values.into_iter().map(|(x, _)| x).eq(0..100));
            say("done");
        }
        other => panic!("an unknown role `{other}`"),
    }
}

fn start(program: PathBuf, role: &str, place: &Path) -> Other {
    Other::start(Command::new(program), name_of(child_with_workers), role, place)
}

fn ids(place: &Path) -> Vec<u32> {
    noted(place).iter().map(|id| id.parse().unwrap()).collect()
}

/// A program with busy workers is ended so: they are gone, and what they started.
fn all_are_gone_after(end: impl FnOnce(&mut Other)) {
    let place = tempfile::tempdir().unwrap();
    let mut other = start(this_program(), "busy", place.path());
    wait_until("both are busy", || ids(place.path()).len() == 4);
    let all = ids(place.path());
    assert!(all.iter().all(|id| is_alive(*id)), "{all:?}");
    end(&mut other);
    wait_until("all of them are gone", || !all.iter().any(|id| is_alive(*id)));
    drop(other);
}

#[test]
fn workers_end_with_a_program_that_is_killed() {
    all_are_gone_after(|other| other.child.kill().unwrap());
}

#[test]
fn workers_end_with_a_program_that_is_interrupted() {
    for signal in [Signal::INT, Signal::TERM] {
        all_are_gone_after(|other| {
            let process = Pid::from_raw(i32::try_from(other.child.id()).unwrap()).unwrap();
            kill_process(process, signal).unwrap();
        });
    }
}

#[test]
fn idle_workers_end_with_their_program() {
    for (role, killed) in [("idle", false), ("idle-waiting", false), ("idle-waiting", true)] {
        let place = tempfile::tempdir().unwrap();
        let mut other = start(this_program(), role, place.path());
        other.wait_for("idle");
        let all = ids(place.path());
        assert_eq!(all.len(), 3);
        if killed {
            other.child.kill().unwrap();
        } else {
            assert!(other.end().success());
        }
        wait_until("all of them are gone", || !all.iter().any(|id| is_alive(*id)));
    }
}

#[test]
fn a_program_that_was_replaced_while_it_runs_goes_on_as_it_is() {
    for (replaced, words) in [(true, "another file"), (false, "")] {
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("program");
        fs::copy(this_program(), &program).unwrap();
        let mut other = start(program.clone(), "rebuilt", place.path());
        other.wait_for("ready");
        if replaced {
            let new = place.path().join("new");
            fs::write(&new, words).unwrap();
            fs::rename(new, &program).unwrap();
        } else {
            fs::remove_file(&program).unwrap();
        }
        other.go();
        other.wait_for("done");
        assert!(other.end().success());
    }
}

/// Is quick, or is begun and never ends.
#[larder::task]
fn quick_or_not(x: u64, hangs: bool, place: &str) -> u64 {
    if hangs {
        note(place, x);
        loop {
            std::thread::park();
        }
    }
    x * 10
}

#[test]
fn a_cancelled_run_ends_in_spite_of_tasks_that_hang_and_keeps_what_was_finished() {
    alone(a_cancelled_run_ends_in_spite_of_tasks_that_hang_and_keeps_what_was_finished, |place| {
        let token = CancelToken::new();
        let parallel = processes(2).schedule(Schedule::TopPicking).cancel_token(&token);
        let calls = || (0..40).map(|x| delayed!(quick_or_not(x, x == 18 || x == 19, utf8(place))));
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                wait_until("both hang", || noted(place).len() == 2);
                token.cancel();
            });
            parallel.outcome_list(calls()).unwrap()
        });
        // Each worker had done what it had before.
        let expected: Vec<_> = (0..40).map(|x| (x < 18).then_some(x * 10)).collect();
        assert_eq!(outcome.results(), expected);
        assert!(outcome.is_cancelled() && outcome.failures().is_empty(), "{outcome:?}");
        assert_eq!(outcome.report().completed, 18);
        wait_until("those that hung are gone", || children_of(std::process::id()).is_empty());
        let error = parallel.run_list(calls()).unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        // The next run is none the worse for it.
        assert_eq!(processes(2).run_list((0..9).map(|x| delayed!(quick_or_not(x, false, "")))).unwrap().len(), 9);
    });
}

/// Prints lines whole, in pieces, long and without an end, and what is no text.
#[larder::task]
fn prints(x: usize) -> usize {
    use std::io::Write;

    print!("out {x} ");
    std::io::stdout().flush().unwrap();
    println!("whole");
    eprint!("err {x} ");
    eprintln!("whole");
    println!("long {}", "x".repeat(10_000));
    std::io::stdout().write_all(b"\xff\xfe\x00 no text\n").unwrap();
    // Not even by the descriptor itself does anything get among the messages.
    Command::new("sh").args(["-c", &format!("echo from a shell {x}; echo complaints {x} >&2")]).status().unwrap();
    print!("no end {x}");
    std::io::stdout().flush().unwrap();
    println!();
    x
}

/// Not a test of its own: prints through its workers.
#[test]
fn child_prints() {
    let Some((role, _)) = child::role() else { return };
    assert_eq!(role, "prints");
    let parallel: Parallel = processes(2).idle_timeout(std::time::Duration::ZERO);
    assert_eq!(parallel.run_list((0..200).map(|x| delayed!(prints(x)))).unwrap(), (0..200).collect::<Vec<_>>());
    // Output is passed on while workers live: when they are gone, so it has been.
    wait_until("the workers are gone", || children_of(std::process::id()).is_empty());
    say("all came back");
}

#[test]
fn what_workers_print_comes_in_whole_lines_with_their_number() {
    ends(|| {
        let mut command = Command::new(this_program());
        command.args(["--exact", name_of(child_prints), "--nocapture"]).env(ROLE, "prints nowhere");
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
        assert!(out.contains("\nall came back\n"), "{out}");
        let of_workers = |text: &str| -> Vec<String> {
            let lines =
                text.lines().filter_map(|line| line.strip_prefix("[worker 0] ").or(line.strip_prefix("[worker 1] ")));
            lines.map(str::to_owned).collect()
        };
        let (out, err) = (of_workers(&out), of_workers(&err));
        for x in 0..200 {
            for line in [format!("out {x} whole"), format!("from a shell {x}"), format!("no end {x}")] {
                assert_eq!(out.iter().filter(|other| **other == line).count(), 1, "{line}: {out:#?}");
            }
            for line in [format!("err {x} whole"), format!("complaints {x}")] {
                assert_eq!(err.iter().filter(|other| **other == line).count(), 1, "{line}: {err:#?}");
            }
        }
        let long = format!("long {}", "x".repeat(10_000));
        assert_eq!(out.iter().filter(|line| **line == long).count(), 200);
        assert_eq!(out.iter().filter(|line| line.ends_with("no text")).count(), 200);
        assert_eq!((out.len(), err.len()), (5 * 200, 2 * 200));
    });
}
