//! Named runs that go on after failures, and after a change of what functions read.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use larder::{Backend, BatchSize, Change, FailureKind, MissReason, Order, Parallel, RunItemState, delayed};

use crate::child::{self, ROLE, say, this_program};
use crate::support::open;

/// How often each function was computed.
static COMPUTED: Mutex<BTreeMap<&str, u64>> = Mutex::new(BTreeMap::new());

fn computes(name: &'static str) {
    *COMPUTED.lock().unwrap().entry(name).or_default() += 1;
}

fn computed(name: &str) -> u64 {
    COMPUTED.lock().unwrap().get(name).copied().unwrap_or(0)
}

static REFUSES: AtomicBool = AtomicBool::new(true);

/// Its errors are results.
#[larder::task(store(err))]
fn picky(id: u64) -> Result<u64, String> {
    computes("picky");
    if id == 2 && REFUSES.load(SeqCst) { Err("not two".to_owned()) } else { Ok(id * 10) }
}

#[test]
fn an_error_that_is_stored_is_a_failure_of_the_run_until_it_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let run = Parallel::new().n_jobs(2).named("picky", &memory).unwrap();
    let calls = || (0..5).map(|id| delayed!(picky(id)));
    let outcome = run.run(calls()).unwrap();
    assert_eq!((outcome.computed(), outcome.failures().len(), outcome.unkept(), computed("picky")), (4, 1, 0, 5));

    let as_before = "4 reused, 0 changed, 0 new, 0 gone, 1 failed before and not tried again";
    for forgotten in [false, true] {
        if forgotten {
            // What the cache has, the next ledger is told.
            memory.remove_run("picky").unwrap();
        }
        let outcome = run.run(calls()).unwrap();
        assert_eq!(outcome.summary().to_string(), as_before, "{forgotten}");
        let failure = &outcome.failures()[0];
        assert_eq!((failure.index(), failure.kind(), failure.attempts()), (2, FailureKind::Error, 1));
        assert_eq!(failure.arguments(), Some("id = 2"));
        assert!(failure.message().starts_with("not two (it failed in an earlier run; "), "{failure}");
        let details = memory.run("picky").unwrap();
        assert_eq!((details.info.done, details.info.failed), (4, 1), "{forgotten}");
        assert_eq!(computed("picky"), 5);
    }
    // In vain, and then not.
    for (refuses, failures, times) in [(true, 1, 6), (false, 0, 7)] {
        REFUSES.store(refuses, SeqCst);
        assert_eq!(memory.retry_run("picky").unwrap(), 1);
        let outcome = run.run(calls()).unwrap();
        assert_eq!((outcome.failures().len(), computed("picky")), (failures, times));
    }
    assert_eq!(run.run(calls()).unwrap().into_values().unwrap(), [0, 10, 20, 30, 40]);
    assert_eq!(computed("picky"), 7);
}

static IS_QUICK: AtomicBool = AtomicBool::new(false);

/// What it gives too late is a result all the same: so it gives none.
#[larder::task]
fn slow_once(id: u64) -> u64 {
    if id != 1 || IS_QUICK.load(SeqCst) {
        return id;
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(120) {
        std::hint::spin_loop();
    }
    panic!("too late")
}

#[test]
fn how_an_item_failed_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let run = Parallel::new().n_jobs(2).timeout_per_task(Duration::from_millis(40)).named("slow", &memory).unwrap();
    let calls = || (0..4).map(|id| delayed!(slow_once(id)));
    assert_eq!(run.run(calls()).unwrap().failures()[0].kind(), FailureKind::Timeout);
    let outcome = run.run(calls()).unwrap();
    assert_eq!((outcome.failures()[0].index(), outcome.failures()[0].kind()), (1, FailureKind::Timeout));
    let details = memory.run("slow").unwrap();
    let failed = details.failed().next().unwrap();
    assert!(matches!(failed.state, RunItemState::Failed { kind: FailureKind::Timeout, .. }), "{failed:?}");
    assert_eq!(failed.took, Some(Duration::from_millis(40)), "the limit is what it was given");
    IS_QUICK.store(true, SeqCst);
    assert!(run.only_failed(true).run(calls()).unwrap().is_complete());
}

#[larder::task(depends(file = "model.bin"))]
fn by_model(x: u64) -> u64 {
    x
}

/// What a child does: a run of so many items.
#[test]
fn a_child_runs_what_depends_on_a_file() {
    let Some((role, cache)) = child::role() else { return };
    let memory = open(Path::new(&cache));
    let items: u64 = role.parse().unwrap();
    let run = Parallel::new().n_jobs(2).named("models", &memory).unwrap();
    let outcome = run.run((0..items).map(|x| delayed!(by_model(x)))).unwrap();
    assert!(outcome.is_complete());
    for (change, _) in &outcome.summary().changed {
        assert!(matches!(change, Change::Input(_) | Change::Miss(MissReason::Forgotten)), "{change:?}");
    }
    say(&format!("summary: {}; {}", outcome.summary(), outcome.computed()));
}

#[test]
fn a_file_that_changed_is_why_results_do_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let summary = |items: &str| {
        let output = Command::new(this_program())
            .args(["--exact", "resumed::a_child_runs_what_depends_on_a_file", "--nocapture"])
            .env(ROLE, format!("{items} {}", dir.path().join("cache").display()))
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let summary = said.lines().find_map(|line| line.strip_prefix("summary: "));
        summary.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr))).to_owned()
    };
    let model = dir.path().join("model.bin");
    fs::write(&model, "one").unwrap();
    assert_eq!(summary("20"), "0 reused, 0 changed, 20 new, 0 gone; 20");
    fs::write(&model, "two").unwrap();
    assert_eq!(summary("22"), "0 reused, 20 changed (file model.bin), 2 new, 0 gone; 22");
    assert_eq!(summary("22"), "22 reused, 0 changed, 0 new, 0 gone; 0");
    // What there was with the first one is still there.
    fs::write(&model, "one").unwrap();
    assert_eq!(summary("22"), "20 reused, 2 changed (file model.bin), 0 new, 0 gone; 2");
}

/// Item 0 waits for the other program, 9 waits until the first one has written down that an item failed; and 1 fails.
#[larder::task(ignore(dir))]
fn together(id: u64, dir: &Path) -> Result<u64, String> {
    let mut log = OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    log.write_all(format!("{id};").as_bytes()).unwrap();
    let computed = |item: &str| fs::read_to_string(dir.join("log")).unwrap().split(';').any(|id| id == item);
    match id {
        0 => {
            while !computed("9") {
                std::thread::yield_now();
            }
        }
        1 => return Err("the bridge is up".to_owned()),
        9 => {
            let memory = open(&dir.join("cache"));
            while memory.run("together").unwrap().info.failed == 0 {
                std::thread::yield_now();
            }
            // Programs look at each other's ledgers every few milliseconds.
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(50) {
                std::hint::spin_loop();
            }
        }
        _ => {}
    }
    Ok(id)
}

#[test]
fn what_fails_in_one_program_is_not_tried_in_another() {
    let processes = if cfg!(all(unix, feature = "auto-worker")) { Some(Backend::Processes) } else { None };
    for backend in [Some(Backend::Threads), processes].into_iter().flatten() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(&dir.path().join("cache"));
        let run = |items: &[u64]| {
            let parallel = Parallel::new().n_jobs(1).backend(backend).batch_size(BatchSize::Fixed(1));
            let run = parallel.named("together", &memory).unwrap().order(Order::Input);
            run.run(items.iter().map(|id| delayed!(together(*id, dir.path())))).unwrap()
        };
        let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let (first, second) = std::thread::scope(|scope| {
            let first = scope.spawn(|| run(&[0, 1, 2]));
            while !log().starts_with("0;") {
                std::thread::yield_now();
            }
            let second = run(&[9, 1, 3]);
            (first.join().unwrap(), second)
        });
        assert_eq!(log().split(';').filter(|id| *id == "1").count(), 1, "{backend:?}: {}", log());
        for (outcome, attempts) in [(first, 1), (second, 0)] {
            let failure = &outcome.failures()[0];
            assert_eq!((outcome.failures().len(), failure.index(), failure.attempts()), (1, 1, attempts), "{failure}");
            assert!(failure.message().starts_with("the bridge is up"), "{failure}");
            assert!(failure.arguments().unwrap().starts_with("id = 1, dir = "), "{failure}");
            assert_eq!(outcome.results().iter().flatten().count(), 2);
        }
        let details = memory.run("together").unwrap();
        assert_eq!(details.failed().map(|item| item.attempts).collect::<Vec<_>>(), [1], "and so says the ledger");
    }
}

/// Item 1 waits until the failure of item 0 is in the ledger.
#[larder::task(ignore(cache))]
fn after_a_failure(id: u64, cache: &Path) -> Result<u64, String> {
    if id == 0 {
        return Err("at once".to_owned());
    }
    let memory = open(cache);
    while memory.run("batch").unwrap().info.failed == 0 {
        std::thread::yield_now();
    }
    Ok(id)
}

#[test]
fn a_failure_is_written_down_before_the_rest_of_its_batch_has_run() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let parallel = Parallel::new().n_jobs(1).batch_size(BatchSize::Fixed(3));
    let run = parallel.named("batch", &memory).unwrap().order(Order::Input);
    let outcome = run.run((0..3).map(|id| delayed!(after_a_failure(id, dir.path())))).unwrap();
    assert_eq!((outcome.failures().len(), outcome.computed()), (1, 2));
}

#[larder::task]
fn perhaps(id: u64) -> Option<u64> {
    computes("perhaps");
    (!id.is_multiple_of(3)).then_some(id)
}

#[test]
fn nothing_went_wrong_with_what_gives_nothing() {
    let processes = if cfg!(all(unix, feature = "auto-worker")) { Some(Backend::Processes) } else { None };
    for backend in [Some(Backend::Threads), processes].into_iter().flatten() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        let run = Parallel::new().n_jobs(2).backend(backend).named("perhaps", &memory).unwrap();
        let calls = || (0..30).map(|id| delayed!(perhaps(id)));
        let first = run.run(calls()).unwrap();
        assert_eq!((first.computed(), first.unkept()), (30, 0), "{backend:?}");
        let second = run.run(calls()).unwrap();
        assert_eq!((second.computed(), second.unkept()), (10, 0), "{backend:?}: what is `None` is computed again");
        assert_eq!(second.summary().to_string(), "20 reused, 0 changed, 0 new, 0 gone, 10 not finished before");
        assert_eq!(second.into_values().unwrap().iter().flatten().count(), 20);
    }
}

/// A result that stays in the index.
#[larder::task]
fn text(id: u64) -> String {
    format!("{id:04000}")
}

const TEXTS: u64 = 1500;

/// What a child does, whose files may not become large: as on a full disk, writes fail.
#[test]
fn a_child_runs_until_the_disk_is_full() {
    let Some((_, cache)) = child::role() else { return };
    let memory = larder::Memory::builder().verbose(0).open(&cache).unwrap();
    let run = Parallel::new().n_jobs(2).named("texts", &memory).unwrap();
    let outcome = run.run((0..TEXTS).map(|id| delayed!(text(id)))).unwrap();
    // Every result is there, and the run says that not all are kept.
    assert!(outcome.is_complete());
    assert!(outcome.unkept() > 0, "6 MB do not fit into files of 2 MB");
    assert!(outcome.results().iter().zip(0..).all(|(result, id)| *result == Some(format!("{id:04000}"))));
    let unkept = outcome.unkept();
    let error = outcome.into_values().unwrap_err();
    assert!(error.to_string().contains("could not be stored"), "{error}");
    say(&format!("unkept: {unkept}"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_in_the_middle_of_a_run_costs_what_did_not_fit() {
    let dir = tempfile::tempdir().unwrap();
    // In the shell's units of 512 bytes (1024 in some); ignored, so that a write beyond is an error and not a signal.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh"])
        .arg(this_program())
        .args(["--exact", "resumed::a_child_runs_until_the_disk_is_full", "--nocapture"])
        .env(ROLE, format!("texts {}", dir.path().display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let unkept = said.lines().find_map(|line| line.strip_prefix("unkept: "));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("warning: the run `texts`: "), "whoever takes results one by one is told too: {told}");
    let unkept: u64 =
        unkept.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr))).parse().unwrap();

    let memory = larder::Memory::builder().verbose(0).open(dir.path()).unwrap();
    let run = Parallel::new().n_jobs(2).named("texts", &memory).unwrap();
    let outcome = run.run((0..TEXTS).map(|id| delayed!(text(id)))).unwrap();
    let (reused, computed) = (outcome.summary().reused, outcome.computed());
    assert_eq!((reused + computed, outcome.unkept()), (TEXTS, 0));
    assert!(computed <= unkept, "{computed} are computed again, and {unkept} were told");
    assert!(outcome.results().iter().zip(0..).all(|(result, id)| *result == Some(format!("{id:04000}"))));
}

#[test]
fn what_was_cleared_is_told_and_priced_by_what_the_ledger_knows() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let run = Parallel::new().n_jobs(2).named("texts", &memory).unwrap();
    let calls = || (0..40).map(|id| delayed!(text(id)));
    assert!(run.run(calls()).unwrap().is_complete());
    memory.clear().unwrap();
    let plan = run.plan(calls()).unwrap();
    assert_eq!((plan.misses, plan.unpriced, plan.summary.new), (40, 0, 0));
    assert!(plan.compute_time > Duration::ZERO);
    assert_eq!(plan.summary.changed, [(Change::Gone, 40)]);
    assert_eq!(memory.plan_run("texts").unwrap().summary.changed, [(Change::Gone, 40)]);
    let words = "0 reused, 40 changed (the result is gone from the cache), 0 new, 0 gone; 40 computed";
    assert_eq!(run.run(calls()).unwrap().to_string(), words);
}

#[test]
fn a_memory_for_reading_only_prices_a_run_and_does_not_make_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let memory = larder::Memory::open_read_only(dir.path()).unwrap();
    let run = Parallel::new().named("texts", &memory).unwrap();
    assert_eq!(
        run.plan([delayed!(text(1))]).unwrap().to_string(),
        "1 of 1 to compute, never measured; 0 reused, 0 changed, 1 new, 0 gone"
    );
    let error = run.run([delayed!(text(1))]).unwrap_err();
    assert!(error.is_invalid_option() && error.to_string().contains("open for reading only"), "{error}");
    assert!(!dir.path().join("runs").exists());
}
