//! What comes of runs that do not go well: failures that are kept apart, cancelled runs, calls that are run again; and
//! the ways to share items out. Over backends and numbers of workers.

use std::num::ParseIntError;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use larder::{Backend, BatchSize, CancelToken, FailureKind, OnError, Outcome, Parallel, Progress, Schedule, delayed};

use crate::support::{ends, open};

/// Every crew and batch size that must make no difference, with its name.
fn ways() -> Vec<(String, Parallel)> {
    let mut ways = Vec::new();
    for (backend, n_jobs) in [(Backend::Sequential, 1), (Backend::Threads, 1), (Backend::Threads, 3)] {
        for size in [BatchSize::Auto, BatchSize::Fixed(1), BatchSize::Fixed(7), BatchSize::Fixed(1000)] {
            let name = format!("{backend:?}, {n_jobs} workers, {size:?}");
            ways.push((name, Parallel::new().backend(backend).n_jobs(n_jobs).batch_size(size)));
        }
    }
    ways
}

fn collecting() -> impl Iterator<Item = (String, Parallel)> {
    ways().into_iter().map(|(way, parallel)| (way, parallel.on_error(OnError::Collect)))
}

/// The indices of an outcome's failures; and what it says of itself must agree.
fn failed<R>(outcome: &Outcome<R>, way: &str) -> Vec<usize> {
    let failed: Vec<usize> = outcome.failures().iter().map(larder::Failure::index).collect();
    assert!(failed.is_sorted(), "{way}: {failed:?}");
    assert!(failed.iter().all(|index| outcome.results()[*index].is_none()), "{way}");
    let (report, completed) = (outcome.report(), outcome.results().iter().flatten().count());
    assert_eq!((report.completed, report.failed), (completed as u64, failed.len() as u64), "{way}");
    let worked: u64 = report.workers.iter().map(|worker| worker.items).sum();
    assert_eq!(worked, report.completed + outcome.failures().iter().filter(|f| f.attempts() > 0).count() as u64);
    failed
}

// ---- Failures that leave the others alone.

#[larder::task]
fn checked(x: usize, bad: &[usize], panics: bool) -> Result<usize, String> {
    assert!(!panics || !bad.contains(&x), "{x} is bad (this panic belongs to the test)");
    if bad.contains(&x) { Err(format!("{x} is bad")) } else { Ok(x * 10) }
}

/// Which of 100 items fail.
fn bad_ones() -> [Vec<usize>; 6] {
    [vec![], vec![0], vec![99], vec![0, 1, 2, 50, 98, 99], vec![17, 18, 19], (0..100).collect()]
}

#[test]
fn what_does_not_fail_is_kept() {
    for (way, parallel) in collecting() {
        for bad in bad_ones() {
            for panics in [true, false] {
                let way = format!("{way}, {bad:?}, panics: {panics}");
                let expected: Vec<_> = (0..100).map(|x| (!bad.contains(&x)).then_some(x * 10)).collect();
                let function = |x| checked(x, &bad, panics);
                let outcomes = [
                    parallel.outcome((0..100).map(|x| delayed!(checked(x, &bad, panics)))).unwrap(),
                    parallel.try_map_outcome(0..100, function).unwrap(),
                    parallel.try_map_outcome((0..100).filter(|_| true), function).unwrap(),
                    parallel
                        .map_outcome(0..100, |x| function(x).expect("bad (this panic belongs to the test)"))
                        .unwrap(),
                ];
                for outcome in outcomes {
                    assert_eq!(outcome.results(), expected, "{way}");
                    assert_eq!(failed(&outcome, &way), bad, "{way}");
                    assert_eq!((outcome.is_complete(), outcome.is_cancelled()), (bad.is_empty(), false), "{way}");
                    assert!(outcome.failures().iter().all(|failure| failure.attempts() == 1), "{way}");
                    assert_eq!(outcome.into_results(), expected, "{way}");
                }
            }
        }
    }
}

#[test]
fn failures_of_an_outcome_carry_what_those_of_an_error_do() {
    #[larder::task]
    fn parsed(text: &str) -> Result<u8, ParseIntError> {
        assert!(!text.is_empty(), "nothing (this panic belongs to the test)");
        text.parse()
    }

    for (way, parallel) in collecting() {
        let outcome = parallel.outcome(["1", "x", "", "4"].map(|text| delayed!(parsed(text)))).unwrap();
        assert_eq!(failed(&outcome, &way), [1, 2], "{way}");
        let [erred, panicked] = outcome.failures() else { panic!("{way}: {outcome:?}") };
        assert_eq!((erred.kind(), panicked.kind()), (FailureKind::Error, FailureKind::Panic), "{way}");
        assert_eq!((erred.arguments(), panicked.arguments()), (Some("text = \"x\""), Some("text = \"\"")), "{way}");
        let source = std::error::Error::source(erred);
        assert!(source.is_some_and(|source| source.is::<ParseIntError>()), "{way}");
        assert!(panicked.location().is_some_and(|place| place.starts_with("tests/it/outcomes.rs:")), "{way}");
        let error = outcome.into_values().unwrap_err().to_string();
        assert!(error.starts_with("task 1 `parsed(text = \"x\")` failed on worker "), "{way}: {error}");
        assert!(error.ends_with("invalid digit found in string (and 1 more failed)"), "{way}: {error}");
    }
}

#[test]
fn a_run_that_collects_runs_all_and_tells_the_first_failure() {
    for (way, parallel) in collecting() {
        for bad in bad_ones() {
            let ran = AtomicUsize::new(0);
            let found = parallel.try_map(0..100, |x| {
                ran.fetch_add(1, Relaxed);
                checked(x, &bad, x % 2 == 0)
            });
            assert_eq!(ran.into_inner(), 100, "{way}, {bad:?}");
            match (found, bad.len()) {
                (Ok(values), 0) => assert_eq!(values, (0..100).map(|x| x * 10).collect::<Vec<_>>(), "{way}"),
                (Err(error), count) => {
                    assert_eq!(error.task_failure().unwrap().index(), bad[0], "{way}");
                    let others = format!(" (and {} more failed)", count - 1);
                    assert_eq!(error.to_string().ends_with(&others), count > 1, "{way}: {error}");
                    assert_eq!(error.to_string().contains("more failed"), count > 1, "{way}: {error}");
                }
                (Ok(_), _) => panic!("{way}, {bad:?}: no error"),
            }
        }
    }
}

#[test]
fn a_run_that_fails_fast_keeps_what_was_finished() {
    for (way, parallel) in ways() {
        for panics in [true, false] {
            for known in [true, false] {
                let finished = Mutex::new(Vec::new());
                let work = |x: usize| {
                    let value = checked(x, &[60], panics)?;
                    finished.lock().unwrap().push(x);
                    Ok::<_, String>(value)
                };
                let outcome = match known {
                    true => parallel.try_map_outcome(0..5000, work),
                    false => parallel.try_map_outcome((0..5000).filter(|_| true), work),
                };
                let outcome = outcome.unwrap();
                assert_eq!(failed(&outcome, &way), [60], "{way}");
                assert!(!outcome.is_complete() && !outcome.is_cancelled(), "{way}");
                assert!(!known || outcome.results().len() == 5000, "{way}");
                let mut finished = finished.into_inner().unwrap();
                finished.sort_unstable();
                let kept = outcome.results().iter().enumerate().filter_map(|(x, result)| result.map(|_| x));
                assert_eq!(kept.collect::<Vec<_>>(), finished, "{way}: nothing is lost, nothing made up");
                if !way.contains("3 workers") {
                    assert_eq!(finished, (0..60).collect::<Vec<_>>(), "{way}");
                }
            }
        }
    }
}

#[test]
fn results_and_items_of_outcomes_are_dropped_once() {
    for (way, parallel) in ways() {
        for on_error in [OnError::FailFast, OnError::Collect] {
            let parallel = Parallel::new().n_jobs(if way.contains("3 workers") { 3 } else { 1 }).on_error(on_error);
            let (items, results) = (Arc::new(()), Arc::new(()));
            let input = (0..500).map(|x| (x, Arc::clone(&items)));
            let outcome = parallel.map_outcome(input, |(x, _item)| {
                assert!(x % 100 != 99, "{x} (this panic belongs to the test)");
                (x, Arc::clone(&results))
            });
            let outcome = outcome.unwrap();
            let kept = outcome.report().completed;
            assert_eq!((Arc::strong_count(&items), Arc::strong_count(&results) as u64), (1, 1 + kept), "{way}");
            drop(outcome.into_values());
            assert_eq!(Arc::strong_count(&results), 1, "{way}");
        }
        drop(parallel);
    }
}

#[test]
fn an_input_that_panics_ends_an_outcome_that_keeps_what_was_read() {
    for (way, parallel) in collecting() {
        let items = (0..100_u64).inspect(|x| assert!(*x != 60, "unreadable (this panic belongs to the test)"));
        let outcome = parallel.map_outcome(items, |x| x + 1).unwrap();
        assert_eq!(outcome.results()[..60], (1..=60).map(Some).collect::<Vec<_>>(), "{way}");
        assert_eq!(outcome.results()[60..], [None; 40], "{way}");
        assert_eq!(failed(&outcome, &way), [60], "{way}");
        let failure = &outcome.failures()[0];
        assert_eq!((failure.kind(), failure.attempts()), (FailureKind::Input, 0), "{way}");
        assert!(!outcome.is_complete() && !outcome.is_cancelled(), "{way}");
        assert!(outcome.into_values().unwrap_err().to_string().starts_with("the input iterator panicked"), "{way}");
    }
}

#[test]
fn a_million_items_have_an_outcome() {
    for (way, parallel) in collecting().filter(|(way, _)| way.contains("Auto")) {
        let outcome = parallel.map_outcome(0..1_000_000_u64, |x| x ^ 1).unwrap();
        assert!(outcome.is_complete(), "{way}");
        assert_eq!(failed(&outcome, &way), [0; 0], "{way}");
        let values = outcome.into_values().unwrap();
        assert_eq!((values.len(), values.iter().sum::<u64>()), (1_000_000, 999_999 * 500_000), "{way}");

        let bad = |x: &u64| x % 100_000 == 7;
        let outcome = parallel.map_outcome(0..1_000_000_u64, |x| assert!(!bad(&x), "(this panic belongs to the test)"));
        let expected: Vec<usize> = (0..10).map(|x| x * 100_000 + 7).collect();
        assert_eq!(failed(&outcome.unwrap(), &way), expected, "{way}");
    }
}

#[test]
fn outcomes_go_with_a_memory() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn remembered(x: u64) -> Result<u64, String> {
        RUNS.fetch_add(1, Relaxed);
        assert!(x != 40, "(this panic belongs to the test)");
        if x % 50 == 20 { Err("no".to_owned()) } else { Ok(x + 1) }
    }

    for (way, parallel) in collecting() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        let parallel = parallel.memory(&memory);
        for computed in [100, 3] {
            RUNS.store(0, Relaxed);
            let outcome = parallel.outcome((0..100).map(|x| delayed!(remembered(x)))).unwrap();
            assert_eq!(failed(&outcome, &way), [20, 40, 70], "{way}");
            assert_eq!(RUNS.load(Relaxed), computed, "{way}: what succeeded is loaded");
        }
    }
}

#[test]
fn progress_comes_to_its_end_in_spite_of_failures() {
    for (way, parallel) in collecting() {
        let last = Arc::new(Mutex::new((0, true)));
        let keep = Arc::clone(&last);
        let progress = Progress::callback(move |now| *keep.lock().unwrap() = (now.done(), now.completed()));
        let bad = [3, 4, 99];
        let parallel = parallel.progress(progress);
        let _ = parallel.outcome((0..100).map(|x| delayed!(checked(x, &bad, x == 4)))).unwrap();
        assert_eq!(*last.lock().unwrap(), (100, false), "{way}");
        let _ = parallel.map_outcome(0..100, |x| x).unwrap();
        assert_eq!(*last.lock().unwrap(), (100, true), "{way}");
    }
}

// ---- Cancelled runs.

#[test]
fn a_run_is_cancelled_from_within() {
    for (way, parallel) in ways() {
        for on_error in [OnError::FailFast, OnError::Collect] {
            let token = CancelToken::new();
            let before = AtomicUsize::new(0);
            let work = |x: u64| {
                if x < 500 {
                    before.fetch_add(1, Relaxed);
                }
                if x == 500 {
                    // Those before it are all given out, but another worker may not have come to the last of its own.
                    while before.load(Relaxed) < 500 {
                        std::thread::yield_now();
                    }
                    token.cancel();
                }
                x
            };
            let parallel = Parallel::new()
                .n_jobs(if way.contains("3 workers") { 3 } else { 1 })
                .batch_size(if way.contains("Fixed(7)") { BatchSize::Fixed(7) } else { BatchSize::Auto })
                .on_error(on_error)
                .cancel_token(&token);
            let outcome = parallel.map_outcome(0_u64.., work).unwrap();
            assert!(outcome.is_cancelled() && !outcome.is_complete(), "{way}");
            assert_eq!(outcome.results()[..501], (0..501).map(Some).collect::<Vec<_>>(), "{way}");
            assert_eq!(failed(&outcome, &way), [0; 0], "{way}");
            assert!(larder::Error::from(outcome.into_values().unwrap_err()).is_cancelled(), "{way}");
            // It stays cancelled.
            assert!(parallel.map(0_u64.., work).unwrap_err().is_cancelled(), "{way}");
        }
        drop(parallel);
    }
}

#[test]
fn a_run_within_which_someone_cancels_is_an_error() {
    #[larder::task]
    fn plain(x: u64) -> u64 {
        if x == 30 {
            STOP.with_borrow(|token| token.as_ref().map(CancelToken::cancel));
        }
        x
    }
    thread_local! {
        static STOP: std::cell::RefCell<Option<CancelToken>> = const { std::cell::RefCell::new(None) };
    }

    // One worker is this thread, which has the token.
    for (way, parallel) in ways().into_iter().filter(|(way, _)| !way.contains("3 workers")) {
        let token = CancelToken::new();
        STOP.set(Some(token.clone()));
        let parallel = parallel.cancel_token(&token);
        let outcome = parallel.outcome((0..100).map(|x| delayed!(plain(x)))).unwrap();
        STOP.set(None);
        assert!(outcome.is_cancelled(), "{way}");
        // Quick items are looked after by the handful, so some may be done behind the one that cancelled.
        let done = outcome.report().completed;
        assert!((31..100).contains(&done), "{way}: {done}");
        assert_eq!(outcome.results(), (0..100).map(|x| (x < done).then_some(x)).collect::<Vec<_>>(), "{way}");
    }
}

#[test]
fn a_cancelled_token_lets_nothing_start() {
    for (way, parallel) in ways() {
        let token = CancelToken::new();
        let parallel = parallel.cancel_token(&token);
        assert_eq!(parallel.map(0..10, |x| x).unwrap().len(), 10, "{way}: not yet");
        token.cancel();
        let ran = AtomicUsize::new(0);
        let touched = |_| ran.fetch_add(1, Relaxed);
        let read = AtomicUsize::new(0);
        let items = || {
            (0..100).inspect(|_| {
                read.fetch_add(1, Relaxed);
            })
        };
        let error = parallel.map(items(), touched).unwrap_err();
        assert!(error.is_cancelled() && !error.is_invalid_option() && error.task_failure().is_none(), "{way}");
        let outcome = parallel.map_outcome(items(), touched).unwrap();
        assert!(outcome.is_cancelled(), "{way}");
        assert_eq!(outcome.results(), [None; 100], "{way}");
        assert_eq!((ran.into_inner(), read.into_inner()), (0, 0), "{way}");
    }
}

#[test]
fn cancelled_too_late_a_run_is_complete() {
    for (way, parallel) in ways() {
        let (token, left) = (CancelToken::new(), AtomicUsize::new(49));
        let work = |x: usize| {
            // The last to begin: all others have.
            if left.fetch_sub(1, Relaxed) == 1 {
                token.cancel();
            }
            x
        };
        let parallel = parallel.cancel_token(&token);
        assert_eq!(parallel.map(0..49, work).unwrap(), (0..49).collect::<Vec<_>>(), "{way}");
        left.store(0, Relaxed);
        assert!(parallel.map(0..49, work).unwrap_err().is_cancelled(), "{way}");
    }
}

// ---- Calls that are run again.

/// Counts attempts by item.
static ATTEMPTS: [AtomicU32; 100] = [const { AtomicU32::new(0) }; 100];
/// One test at a time counts.
static COUNTING: Mutex<()> = Mutex::new(());

fn count_from_zero() -> impl Drop {
    let guard = COUNTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ATTEMPTS.iter().for_each(|count| count.store(0, Relaxed));
    guard
}

/// Succeeds at its third attempt.
fn third_time(x: usize, panics: bool) -> Result<usize, String> {
    let attempt = ATTEMPTS[x].fetch_add(1, Relaxed) + 1;
    if attempt >= 3 || !x.is_multiple_of(10) {
        return Ok(x);
    }
    assert!(!panics, "attempt {attempt} of {x} (this panic belongs to the test)");
    Err(format!("attempt {attempt} of {x}"))
}

/// Its arguments are `Copy`.
#[larder::task]
fn copied(x: usize, panics: bool) -> Result<usize, String> {
    third_time(x, panics)
}

/// Its arguments are not.
#[larder::task]
fn moved(x: Vec<usize>, panics: bool) -> Result<usize, String> {
    third_time(x[0], panics)
}

#[test]
fn a_call_may_succeed_at_its_third_attempt() {
    let _guard = count_from_zero();
    for (way, parallel) in ways() {
        for panics in [true, false] {
            for on_error in [OnError::FailFast, OnError::Collect] {
                for copies in [true, false] {
                    let way = format!("{way}, panics: {panics}, {on_error:?}, copies: {copies}");
                    ATTEMPTS.iter().for_each(|count| count.store(0, Relaxed));
                    let size = if way.contains("Fixed(7)") { BatchSize::Fixed(7) } else { BatchSize::Auto };
                    let crew = if way.contains("3 workers") { 3 } else { 1 };
                    let parallel = Parallel::new().n_jobs(crew).batch_size(size).on_error(on_error).retries(2);
                    let outcome = match copies {
                        true => parallel.outcome((0..100).map(|x| delayed!(copied(x, panics)))),
                        false => parallel.outcome((0..100).map(|x| delayed!(moved(vec![x], panics)))),
                    };
                    let outcome = outcome.unwrap();
                    assert_eq!(failed(&outcome, &way), [0; 0], "{way}");
                    assert_eq!(outcome.report().retries, 20, "{way}");
                    assert_eq!(outcome.into_values().unwrap(), (0..100).collect::<Vec<_>>(), "{way}");
                    let attempts: u32 = ATTEMPTS.iter().map(|count| count.load(Relaxed)).sum();
                    assert_eq!(attempts, 90 + 30, "{way}");
                }
            }
        }
        drop(parallel);
    }
}

#[test]
fn attempts_end() {
    let _guard = count_from_zero();
    for (way, parallel) in collecting() {
        let parallel = parallel.retries(1);
        for panics in [true, false] {
            for copies in [true, false] {
                let way = format!("{way}, panics: {panics}, copies: {copies}");
                ATTEMPTS.iter().for_each(|count| count.store(0, Relaxed));
                let outcome = match copies {
                    true => parallel.outcome((0..100).map(|x| delayed!(copied(x, panics)))),
                    false => parallel.outcome((0..100).map(|x| delayed!(moved(vec![x], panics)))),
                };
                let outcome = outcome.unwrap();
                assert_eq!(failed(&outcome, &way), (0..10).map(|x| x * 10).collect::<Vec<_>>(), "{way}");
                assert_eq!(outcome.report().retries, 10, "{way}");
                for failure in outcome.failures() {
                    let x = failure.index();
                    assert_eq!((failure.attempts(), failure.is_panic()), (2, panics), "{way}");
                    assert!(failure.message().starts_with(&format!("attempt 2 of {x}")), "{way}: {failure}");
                    assert!(failure.to_string().contains(" in attempt 2: attempt 2 of"), "{way}: {failure}");
                    let place = failure.location().map(|place| place.starts_with("tests/it/outcomes.rs:"));
                    assert_eq!(place, panics.then_some(true), "{way}");
                    let shown = if copies { format!("x = {x}, ") } else { format!("x = [{x}], ") };
                    assert!(failure.arguments().is_some_and(|text| text.starts_with(&shown)), "{way}: {failure}");
                }
            }
        }
    }
}

#[test]
fn one_result_of_several_attempts_is_stored() {
    let _guard = count_from_zero();
    for (way, parallel) in ways() {
        for copies in [true, false] {
            ATTEMPTS.iter().for_each(|count| count.store(0, Relaxed));
            let dir = tempfile::tempdir().unwrap();
            let memory = open(dir.path());
            let size = if way.contains("Fixed(7)") { BatchSize::Fixed(7) } else { BatchSize::Auto };
            let crew = if way.contains("3 workers") { 3 } else { 1 };
            let parallel = Parallel::new().n_jobs(crew).batch_size(size).retries(2).memory(&memory);
            for retries in [20, 0] {
                let outcome = match copies {
                    true => parallel.outcome((0..100).map(|x| delayed!(copied(x, true)))),
                    false => parallel.outcome((0..100).map(|x| delayed!(moved(vec![x], true)))),
                };
                let outcome = outcome.unwrap();
                assert_eq!(outcome.report().retries, retries, "{way}");
                assert_eq!(outcome.into_values().unwrap(), (0..100).collect::<Vec<_>>(), "{way}");
            }
            assert_eq!((memory.stats().stores, memory.stats().hits()), (100, 100), "{way}");
        }
        drop(parallel);
    }
}

/// Another attempt is made by name, through the function's own memory: the one that has the call under way already.
#[test]
fn an_annotated_function_may_be_run_again_in_its_own_memory() {
    static MEMORY: std::sync::LazyLock<larder::Memory> =
        std::sync::LazyLock::new(|| open(&tempfile::tempdir().expect("there is room").keep()));
    static RUNS: AtomicU32 = AtomicU32::new(0);

    #[larder::cached(task, memory = MEMORY)]
    fn annotated(text: String) -> Result<usize, String> {
        if RUNS.fetch_add(1, Relaxed) < 2 { Err("not yet".to_owned()) } else { Ok(text.len()) }
    }

    for (round, (way, parallel)) in ways().into_iter().enumerate() {
        for with_memory in [true, false] {
            RUNS.store(0, Relaxed);
            let parallel = Parallel::new().n_jobs(if way.contains("3 workers") { 3 } else { 1 }).retries(2);
            let parallel = if with_memory { parallel.memory(&MEMORY) } else { parallel };
            let text = format!("{round} {with_memory}");
            let outcome = ends(move || parallel.outcome([delayed!(annotated(text))]).unwrap());
            assert!(outcome.is_complete(), "{way}, memory: {with_memory}: {outcome:?}");
            assert_eq!((RUNS.load(Relaxed), outcome.report().retries), (3, 2), "{way}");
        }
        drop(parallel);
    }
    std::fs::remove_dir_all(MEMORY.location().unwrap()).unwrap();
}

#[test]
fn a_cancelled_run_makes_no_further_attempt() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static TOKEN: Mutex<Option<CancelToken>> = Mutex::new(None);

    #[larder::task]
    fn hopeless(x: u32) -> Result<u32, String> {
        if RUNS.fetch_add(1, Relaxed) == 4 {
            TOKEN.lock().unwrap().as_ref().unwrap().cancel();
        }
        Err(format!("{x}"))
    }

    let token = CancelToken::new();
    *TOKEN.lock().unwrap() = Some(token.clone());
    let parallel = Parallel::new().n_jobs(1).retries(u32::MAX).cancel_token(&token);
    let outcome = ends(move || parallel.outcome((0..10).map(|x| delayed!(hopeless(x)))).unwrap());
    assert_eq!((RUNS.load(Relaxed), outcome.report().retries), (5, 4));
    assert_eq!(outcome.failures()[0].attempts(), 5);
}

#[test]
fn what_cannot_be_had_again_is_not_retried() {
    #[larder::cached]
    fn copyable(x: u64) -> u64 {
        x
    }

    #[larder::cached]
    fn consuming(text: String) -> usize {
        text.len()
    }

    for (way, parallel) in ways() {
        let parallel = parallel.retries(1);
        assert_eq!(parallel.run((0..5).map(|x| delayed!(copyable(x)))).unwrap(), [0, 1, 2, 3, 4], "{way}");
        let texts = || (0..5).map(|x| delayed!(consuming(x.to_string())));
        for error in [parallel.run(texts()).unwrap_err(), parallel.outcome(texts()).unwrap_err()] {
            assert!(error.is_invalid_option(), "{way}: {error}");
            assert!(error.to_string().contains("consuming") && error.to_string().contains("`#[cached(task)]`"));
        }
        assert_eq!(parallel.run(texts().take(0)).unwrap(), [0; 0], "{way}");
        let ran = AtomicUsize::new(0);
        let touched = |_: u64| ran.fetch_add(1, Relaxed);
        for error in [parallel.map(0..3, touched).unwrap_err(), parallel.map_outcome(0..3, touched).unwrap_err()] {
            assert!(error.is_invalid_option(), "{way}: {error}");
            assert!(error.to_string().contains("`#[larder::task]`"), "{way}: {error}");
        }
        assert_eq!(ran.into_inner(), 0, "{way}");
    }
}

// ---- Schedules.

#[test]
fn every_schedule_gives_the_same_results() {
    for schedule in [Schedule::Auto, Schedule::Bundled, Schedule::Individual, Schedule::TopPicking] {
        for (backend, n_jobs) in [(Backend::Sequential, 1), (Backend::Threads, 1), (Backend::Threads, 3)] {
            let parallel = Parallel::new().backend(backend).n_jobs(n_jobs).schedule(schedule);
            let way = format!("{schedule:?}, {backend:?}, {n_jobs}");
            for count in [0_u64, 1, 2, 3, 1000] {
                let outcome = parallel.map_outcome(0..count, |x| x + 1).unwrap();
                let batches = outcome.report().batches;
                let sizes = (batches.smallest, batches.largest, batches.count);
                let workers = u64::from(n_jobs.unsigned_abs());
                let share = count.div_ceil(workers).max(1);
                match schedule {
                    _ if count == 0 => assert_eq!(sizes, (0, 0, 0), "{way}"),
                    Schedule::Bundled => {
                        assert_eq!((sizes.1, sizes.2), (share, count.div_ceil(share)), "{way}, {count}")
                    }
                    Schedule::Individual | Schedule::TopPicking => assert_eq!(sizes, (1, 1, count), "{way}"),
                    _ => assert_eq!(batches.items, count, "{way}"),
                }
                assert_eq!(outcome.into_values().unwrap(), (1..=count).collect::<Vec<_>>(), "{way}");
            }
            let endless = (0..50).filter(|x| x % 2 == 0);
            match parallel.map(endless, |x| x) {
                Ok(values) => assert_eq!(values.len(), 25, "{way}"),
                Err(error) => {
                    assert_eq!(schedule, Schedule::Bundled);
                    assert!(error.is_invalid_option(), "{way}: {error}");
                    assert!(error.to_string().contains("the input does not know its length"), "{way}: {error}");
                }
            }
            if schedule != Schedule::Auto {
                let error = parallel.batch_size(7).map(0..10, |x| x).unwrap_err();
                let words = error.to_string();
                assert!(error.is_invalid_option(), "{way}: {words}");
                assert!(words.starts_with("`batch_size` is 7 and `schedule` is `Schedule::"), "{way}: {words}");
            }
        }
    }
}
