//! What a user of joblib knows of `Parallel`, on every backend: one table of behaviours, each tried on each.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use larder::{
    Backend, CancelToken, FailureKind, Memory, OnError, Parallel, Payload, PreDispatch, cpu_count, delayed,
    effective_n_jobs,
};

use crate::support::ends;

/// A backend to be tried.
struct Way {
    name: &'static str,
    parallel: Parallel,
    backend: Backend,
    workers: usize,
}

fn ways() -> Vec<Way> {
    let way = |name, backend, workers: usize| Way {
        name,
        parallel: Parallel::new().backend(backend).n_jobs(workers as i32),
        backend,
        workers,
    };
    let mut ways = vec![
        way("sequential", Backend::Sequential, 1),
        way("threads, 1", Backend::Threads, 1),
        way("threads, 3", Backend::Threads, 3),
    ];
    if cfg!(all(unix, feature = "auto-worker")) {
        ways.push(way("processes, 1", Backend::Processes, 1));
        ways.push(way("processes, 2", Backend::Processes, 2));
    }
    ways
}

#[larder::task]
fn square(x: u64) -> u64 {
    x * x
}

#[larder::task]
fn parsed(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

#[larder::task]
fn divided(x: u64, by: u64) -> u64 {
    x / by
}

#[larder::task]
fn where_it_runs(_item: u64) -> (u32, String) {
    (std::process::id(), format!("{:?}", thread::current().id()))
}

#[larder::task]
fn within(x: u64) -> Vec<u64> {
    Parallel::new().n_jobs(2).run((0..x).map(|y| delayed!(square(y)))).unwrap()
}

#[larder::task]
fn sum_of(block: &Payload<Vec<f64>>, from: usize) -> f64 {
    block[from..].iter().sum()
}

fn results_are_in_the_order_of_the_input(way: &Way) {
    for len in [0, 1, 2, 1000] {
        let expected: Vec<u64> = (0..len).map(|x| x * x).collect();
        assert_eq!(way.parallel.run((0..len).map(|x| delayed!(square(x)))).unwrap(), expected);
        // An input that does not know its length.
        let unknown = (0..2 * len).filter(|x| x % 2 == 0).map(|x| delayed!(square(x / 2)));
        assert_eq!(way.parallel.run(unknown).unwrap(), expected);
    }
}

fn no_jobs_is_an_error_and_a_negative_number_leaves_cores_free(way: &Way) {
    let error = way.parallel.clone().n_jobs(0).run([delayed!(square(1))]).unwrap_err();
    assert!(error.is_invalid_option() && error.to_string().contains("`n_jobs` is 0"), "{error}");
    assert_eq!(effective_n_jobs(-1).unwrap(), cpu_count());
    assert_eq!(way.parallel.clone().n_jobs(-1000).run([delayed!(square(3))]).unwrap(), [9]);
}

fn work_goes_where_it_was_said_to(way: &Way) {
    let here = (std::process::id(), format!("{:?}", thread::current().id()));
    let places: BTreeSet<_> =
        way.parallel.run((0..50).map(|x| delayed!(where_it_runs(x)))).unwrap().into_iter().collect();
    match way.backend {
        Backend::Processes => {
            assert!(places.iter().all(|(process, _)| *process != here.0));
            assert!(places.len() <= way.workers);
        }
        _ if way.workers == 1 => assert_eq!(places, BTreeSet::from([here])),
        _ => assert!(!places.contains(&here) && places.iter().all(|(process, _)| *process == here.0)),
    }
}

fn the_first_failure_ends_the_run_and_is_the_error(way: &Way) {
    let texts = ["1", "2", "x", "4"];
    let error = way.parallel.run(texts.iter().map(|text| delayed!(parsed(text)))).unwrap_err();
    let failure = error.task_failure().unwrap();
    assert_eq!((failure.index(), failure.arguments()), (2, Some("text = \"x\"")));
    assert_eq!(failure.message(), "invalid digit found in string");
    let source = std::error::Error::source(failure);
    if way.backend != Backend::Processes {
        assert!(source.unwrap().downcast_ref::<std::num::ParseIntError>().is_some(), "the error itself");
    }
    let error = way.parallel.run([1, 0].map(|by| delayed!(divided(4, by)))).unwrap_err();
    let failure = error.task_failure().unwrap();
    assert_eq!((failure.index(), failure.kind(), failure.is_panic()), (1, FailureKind::Panic, true));
    assert!(failure.location().unwrap().contains("joblib.rs"));
    // The same one works again.
    assert_eq!(way.parallel.run([delayed!(square(5))]).unwrap(), [25]);
}

fn failures_need_not_cost_the_others(way: &Way) {
    let parallel = way.parallel.clone().on_error(OnError::Collect);
    let outcome = parallel.outcome([1, 0, 2, 0].map(|by| delayed!(divided(4, by)))).unwrap();
    assert_eq!(outcome.results(), [Some(4), None, Some(2), None]);
    assert_eq!(outcome.failures().iter().map(larder::Failure::index).collect::<Vec<_>>(), [1, 3]);
}

fn an_input_that_fails_is_an_error(way: &Way) {
    let input = (0..9).inspect(|x| assert!(*x < 4, "(this panic belongs to the test)"));
    let error = way.parallel.run(input.map(|x| delayed!(square(x)))).unwrap_err();
    assert_eq!(error.task_failure().unwrap().kind(), FailureKind::Input);
    assert!(error.to_string().contains("the input iterator panicked at item 4"), "{error}");
}

fn the_input_is_read_no_further_than_was_said(way: &Way) {
    for (window, most) in [(PreDispatch::Items(3), 3), (PreDispatch::PerJob(2), 2 * way.workers)] {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let input = (0..).inspect(move |_| {
            counted.fetch_add(1, SeqCst);
        });
        let stream = way.parallel.clone().pre_dispatch(window).stream(input.map(|x| delayed!(square(x)))).unwrap();
        for (taken, result) in stream.take(20).enumerate() {
            result.unwrap();
            assert!(read.load(SeqCst) <= taken + 1 + most);
        }
    }
    let all = way.parallel.clone().pre_dispatch(PreDispatch::All).run((0..20).map(|x| delayed!(square(x))));
    assert_eq!(all.unwrap().len(), 20);
}

fn sizes_that_mean_nothing_are_errors(way: &Way) {
    for (parallel, words) in [
        (way.parallel.clone().batch_size(0), "`batch_size` is 0"),
        (way.parallel.clone().pre_dispatch(0), "`pre_dispatch` is 0"),
    ] {
        let error = parallel.run([delayed!(square(1))]).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains(words), "{error}");
    }
}

fn results_can_be_a_generator(way: &Way) {
    let ordered: Result<Vec<_>, _> = way.parallel.stream((0..100).map(|x| delayed!(square(x)))).unwrap().collect();
    assert_eq!(ordered.unwrap(), (0..100).map(|x| x * x).collect::<Vec<_>>());
    let unordered = way.parallel.stream_unordered((0..100).map(|x| delayed!(square(x)))).unwrap();
    let found: BTreeSet<_> = unordered.map(Result::unwrap).collect();
    assert_eq!(found, (0..100).map(|x| (x as usize, x * x)).collect());
    // Dropped early, the rest is not run, and the next call works.
    let mut endless = way.parallel.stream((0..).map(|x| delayed!(square(x)))).unwrap();
    assert_eq!(endless.nth(3).unwrap().unwrap(), 9);
    drop(endless);
    assert_eq!(way.parallel.run([delayed!(square(5))]).unwrap(), [25]);
}

fn runs_can_be_within_runs(way: &Way) {
    let nested = way.parallel.run((0..6).map(|x| delayed!(within(x)))).unwrap();
    assert_eq!(nested[5], [0, 1, 4, 9, 16]);
    // And within the input.
    let input = (0..4).map(|x| {
        let inner = Parallel::new().n_jobs(2).map(0..=x, |y| y).unwrap();
        delayed!(square(inner.into_iter().sum()))
    });
    assert_eq!(way.parallel.run(input).unwrap(), [0, 1, 9, 36]);
}

fn one_parallel_can_run_twice_at_a_time(way: &Way) {
    thread::scope(|scope| {
        let runs: Vec<_> = (0..3)
            .map(|from| scope.spawn(move || way.parallel.run((from..from + 50).map(|x| delayed!(square(x)))).unwrap()))
            .collect();
        for (from, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().unwrap()[0], (from * from) as u64);
        }
    });
}

fn large_values_are_shared(way: &Way) {
    let block = Payload::new(vec![1.0; 200_000]);
    let sums = way.parallel.run((0..20).map(|from| delayed!(sum_of(&block, from)))).unwrap();
    assert_eq!(sums, (0..20).map(|from| 200_000.0 - f64::from(from)).collect::<Vec<_>>());
}

fn cached_calls_are_loaded(way: &Way) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::open(folder.path()).unwrap();
    let parallel = way.parallel.clone().memory(&memory);
    let run = || parallel.run((0..30).map(|x| delayed!(square(x)))).unwrap();
    assert_eq!(run(), run());
    assert_eq!((memory.stats().misses(), memory.stats().hits()), (30, 30));
}

fn a_run_can_be_cancelled(way: &Way) {
    let token = CancelToken::new();
    let cancel = token.clone();
    let input = (0..).inspect(move |x| {
        if *x == 100 {
            cancel.cancel();
        }
    });
    let error = way.parallel.clone().cancel_token(&token).run(input.map(|x| delayed!(square(x)))).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

fn closures_run_where_they_can(way: &Way) {
    let offset = 7;
    let mapped = way.parallel.map(0..5, |x| x + offset);
    match way.backend {
        Backend::Processes => assert!(mapped.unwrap_err().to_string().contains("#[larder::task]")),
        _ => assert_eq!(mapped.unwrap(), [7, 8, 9, 10, 11]),
    }
}

#[test]
fn what_holds_for_joblib_holds_on_every_backend() {
    type Behaviour = (&'static str, fn(&Way));
    let behaviours: [Behaviour; 15] = [
        ("results are in the order of the input", results_are_in_the_order_of_the_input),
        ("n_jobs", no_jobs_is_an_error_and_a_negative_number_leaves_cores_free),
        ("the backend is where work goes", work_goes_where_it_was_said_to),
        ("the first failure is raised", the_first_failure_ends_the_run_and_is_the_error),
        ("failures can be collected", failures_need_not_cost_the_others),
        ("an input that fails is raised", an_input_that_fails_is_an_error),
        ("pre_dispatch", the_input_is_read_no_further_than_was_said),
        ("sizes are checked", sizes_that_mean_nothing_are_errors),
        ("return_as", results_can_be_a_generator),
        ("nesting", runs_can_be_within_runs),
        ("re-entry", one_parallel_can_run_twice_at_a_time),
        ("large arguments are shared", large_values_are_shared),
        ("delayed cached calls", cached_calls_are_loaded),
        ("cancelling", a_run_can_be_cancelled),
        ("closures", closures_run_where_they_can),
    ];
    for way in ways() {
        for (name, behaviour) in behaviours {
            eprintln!("{}: {name}", way.name);
            let parallel = way.parallel.clone();
            let way = Way { parallel, ..way };
            ends(move || behaviour(&way));
        }
    }
}
