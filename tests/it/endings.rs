//! When runs end before their input, and what is kept then: numbers of failures, halts, deadlines, time limits, attempts with
//! pauses.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use larder::{
    Backend, Error, Failure, FailureKind, Halt, OnError, Parallel, PreDispatch, Retry, Schedule, Stopped, Timeout,
    delayed,
};

use crate::support::ends;

fn ways() -> Vec<(String, Parallel)> {
    let mut ways = vec![
        ("sequential".to_owned(), Parallel::new().backend(Backend::Sequential)),
        ("1 thread".to_owned(), Parallel::new().n_jobs(1)),
        ("3 threads".to_owned(), Parallel::new().n_jobs(3)),
    ];
    if cfg!(all(unix, feature = "auto-worker")) {
        ways.push(("2 processes".to_owned(), Parallel::new().backend(Backend::Processes).n_jobs(2)));
    }
    ways
}

#[larder::task]
fn odd_ones_fail(x: u64) -> Result<u64, String> {
    if x % 2 == 1 { Err(format!("{x} is odd")) } else { Ok(x) }
}

#[larder::task]
fn same(x: u64) -> u64 {
    x
}

#[test]
fn a_run_goes_on_until_as_many_failed_as_was_said() {
    for (way, parallel) in ways() {
        let parallel = parallel.batch_size(1).on_error(OnError::MaxFailures(3));
        let outcome = parallel.outcome((0..1_000_000).map(|x| delayed!(odd_ones_fail(x)))).unwrap();
        assert_eq!(outcome.stopped(), Some(Stopped::Failure), "{way}");
        // What was running when the third one failed may have failed too, and in worker processes what was sent ahead.
        let failed = outcome.failures().len();
        assert!((3..=40).contains(&failed), "{way}: {failed}");
        assert!(outcome.report().completed >= 1, "{way}");
        let few = parallel.outcome([0, 1, 2, 3].map(|x| delayed!(odd_ones_fail(x)))).unwrap();
        assert_eq!((few.stopped(), few.failures().len(), few.report().completed), (None, 2, 2), "{way}");
    }
    let refused = Parallel::new().on_error(OnError::MaxFailures(0)).map(0..3, |x| x).unwrap_err();
    assert!(refused.is_invalid_option() && refused.to_string().contains("`OnError::MaxFailures` is 0"), "{refused}");
}

#[test]
fn a_run_halts_at_its_number_and_keeps_what_it_has() {
    for (way, parallel) in ways() {
        for halt in [Halt::soon().successes(5), Halt::now().successes(5), Halt::soon().done(5)] {
            let parallel = parallel.clone().batch_size(1).halt(halt);
            let calls = || (0_u64..).map(|x| delayed!(same(x)));
            let outcome = parallel.outcome(calls()).unwrap();
            assert_eq!(outcome.stopped(), Some(Stopped::Halted), "{way}, {halt:?}");
            assert!(outcome.report().completed >= 5, "{way}, {halt:?}: {}", outcome.report());
            let error = parallel.run(calls()).unwrap_err();
            assert!(error.is_halted() && error.to_string().contains("halted"), "{way}: {error}");
            // A stream has given what there is.
            let taken: Vec<_> = parallel.stream_unordered(calls()).unwrap().map(Result::unwrap).collect();
            assert!(taken.len() >= 5, "{way}, {halt:?}: {taken:?}");
        }
        let share = parallel.clone().on_error(OnError::Collect).batch_size(1).halt(Halt::soon().failures_share(0.1));
        let outcome = share.outcome((0..100).map(|x| delayed!(odd_ones_fail(x)))).unwrap();
        assert_eq!(outcome.stopped(), Some(Stopped::Halted), "{way}");
        // On threads what was running; a worker process may have done what was sent ahead.
        assert!((10..=50).contains(&outcome.failures().len()), "{way}: {}", outcome.failures().len());
    }
}

#[test]
fn a_run_ends_at_its_deadline() {
    for (way, parallel) in ways() {
        let parallel = parallel.deadline(Duration::from_millis(30));
        let calls = || (0_u64..).map(|x| delayed!(same(x)));
        let outcome = parallel.outcome(calls()).unwrap();
        assert_eq!(outcome.stopped(), Some(Stopped::Deadline), "{way}");
        let error = parallel.run(calls()).unwrap_err();
        assert!(error.is_deadline() && error.to_string().contains("deadline"), "{way}: {error}");
        let last = parallel.stream(calls()).unwrap().last().unwrap().unwrap_err();
        assert!(last.is_deadline(), "{way}: {last}");
    }
    let refused = Parallel::new().deadline(Duration::ZERO).map(0..3, |x| x).unwrap_err();
    assert!(refused.is_invalid_option() && refused.to_string().contains("`deadline` is 0"), "{refused}");
    assert_eq!(Parallel::new().deadline(Duration::MAX).map(0..3, |x| x).unwrap(), [0, 1, 2]);
}

#[test]
fn the_error_has_what_was_finished() {
    let outcome = Parallel::new().n_jobs(1).outcome((0..10).map(|x| delayed!(odd_ones_fail(2 * x + x / 7)))).unwrap();
    let incomplete = outcome.into_values().unwrap_err();
    assert!(incomplete.to_string().contains("15 is odd"), "{incomplete}");
    let results = incomplete.outcome().results();
    assert_eq!(results[..7], [0, 2, 4, 6, 8, 10, 12].map(Some));
    assert_eq!(results[7..], [None; 3]);
    let error = Error::from(incomplete);
    assert_eq!(error.task_failure().map(Failure::index), Some(7));
}

// ---- Attempts.

#[test]
fn another_attempt_comes_after_its_pause_and_for_chosen_failures_only() {
    static ATTEMPTS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
    #[larder::task]
    fn flaky(x: usize) -> Result<usize, String> {
        match (x, ATTEMPTS[x].fetch_add(1, SeqCst)) {
            (0, 0 | 1) => Err("connection reset".to_owned()),
            (1, _) => Err("no such table".to_owned()),
            _ => Ok(x),
        }
    }
    let retry = Retry::times(5).pause(Duration::from_millis(1)).only(|attempt| attempt.message() == "connection reset");
    let parallel = Parallel::new().n_jobs(2).retry(retry).on_error(OnError::Collect);
    let outcome = parallel.outcome((0..3).map(|x| delayed!(flaky(x)))).unwrap();
    assert_eq!(outcome.results(), [Some(0), None, Some(2)]);
    assert_eq!((outcome.failures()[0].attempts(), outcome.report().retries), (1, 2));
    assert_eq!(outcome.failures()[0].kind(), FailureKind::Error);
    let refused = Parallel::new().retry(Retry::times(1).factor(0.1)).run([delayed!(flaky(2))]).unwrap_err();
    assert!(refused.is_invalid_option() && refused.to_string().contains("factor"), "{refused}");
}

#[test]
fn a_pause_ends_with_the_run() {
    #[larder::task]
    fn never(x: u64) -> Result<u64, String> {
        Err(format!("{x} never works"))
    }
    let parallel = Parallel::new().n_jobs(2).retry(Retry::times(9).pause(Duration::from_secs(100_000)));
    let parallel = parallel.deadline(Duration::from_millis(20));
    ends(move || {
        let outcome = parallel.outcome((0..4).map(|x| delayed!(never(x)))).unwrap();
        assert!(outcome.stopped().is_some() && outcome.report().completed == 0);
    });
}

#[cfg(all(unix, feature = "auto-worker"))]
#[test]
fn in_worker_processes_other_items_are_done_during_a_pause() {
    #[larder::task]
    fn second_time(x: u64, folder: String) -> Result<u64, String> {
        let mark = std::path::Path::new(&folder).join(x.to_string());
        if x == 0 && !mark.exists() {
            std::fs::write(mark, "").map_err(|error| error.to_string())?;
            return Err("not the first time".to_owned());
        }
        Ok(x)
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let parallel = Parallel::new().backend(Backend::Processes).n_jobs(1).batch_size(1);
    let parallel = parallel.retry(Retry::times(1).pause(Duration::from_millis(30)));
    let order: Vec<_> = parallel
        .stream_unordered((0..4).map(move |x| delayed!(second_time(x, path.clone()))))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(order.iter().map(|(index, _)| *index).max(), Some(3));
    assert_eq!(order.len(), 4);
    assert_ne!(order[0].0, 0, "it was run again later");
}

// ---- Time limits.

/// A door that tasks wait at.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn wait(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn on_threads_others_take_the_place_of_those_that_hang() {
    // Both workers hang, and only the last item lets them go: it needs a third thread. What is before it takes long enough that the
    // second one has hung for too long as well, however late it began.
    let door = Door::default();
    let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect).timeout_per_task(Duration::from_millis(300));
    let work = || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(40) {
            std::hint::spin_loop();
        }
    };
    let outcome = parallel
        .map_outcome(0..10, |x| {
            match x {
                0 | 1 => door.wait(),
                9 => door.open(),
                _ => work(),
            }
            x
        })
        .unwrap();
    let failures: Vec<_> = outcome.failures().iter().map(|failure| (failure.index(), failure.kind())).collect();
    assert_eq!(failures, [(0, FailureKind::Timeout), (1, FailureKind::Timeout)]);
    assert_eq!(outcome.results()[2..], (2..10).map(Some).collect::<Vec<_>>());
    assert!(outcome.failures()[0].message().contains("`timeout_per_task`"), "{}", outcome.failures()[0]);
    // And those threads are workers like others.
    assert_eq!(parallel.map(0..5, |x| x).unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn a_stream_does_not_wait_for_what_it_left_behind() {
    for (on_error, drops) in [(OnError::Collect, false), (OnError::FailFast, false), (OnError::Collect, true)] {
        let (_release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let parallel = Parallel::new().n_jobs(2).on_error(on_error).timeout_per_task(Duration::from_millis(50));
        let stream = parallel.map_stream(0..10, move |x| {
            if x == 3 {
                // As long as the test lasts.
                let _ = held.lock().unwrap().recv();
            }
            x
        });
        let mut stream = stream.unwrap();
        if drops {
            assert_eq!(stream.next().unwrap().unwrap(), 0);
            drop(stream);
            continue;
        }
        let results: Vec<_> = stream.by_ref().collect();
        let timed_out = results[3].as_ref().unwrap_err().task_failure().unwrap();
        assert_eq!((timed_out.index(), timed_out.kind()), (3, FailureKind::Timeout));
        assert_eq!(results.len(), if on_error == OnError::Collect { 10 } else { 4 });
        assert!(stream.report().is_some());
    }
}

#[test]
fn one_worker_tells_of_a_slow_item_when_it_has_ended() {
    let slow = |x: u64| {
        let begun = std::time::Instant::now();
        while x == 1 && begun.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        x
    };
    let parallel = Parallel::new().n_jobs(1).on_error(OnError::Collect).timeout_per_task(Duration::from_millis(4));
    let outcome = parallel.map_outcome(0..3, slow).unwrap();
    assert!(outcome.failures().iter().any(|failure| (failure.index(), failure.kind()) == (1, FailureKind::Timeout)));
    assert_eq!(outcome.results()[1], None);
    let streamed: Vec<_> = parallel.map_stream(0..3, slow).unwrap().collect();
    assert!(streamed.len() == 3 && streamed[1].is_err());
}

#[larder::task]
fn hangs_at(x: u64, at: u64) -> u64 {
    let (_kept, nothing) = mpsc::channel::<()>();
    if x == at {
        let _ = nothing.recv();
    }
    x
}

#[test]
fn a_limit_can_be_a_multiple_of_the_median() {
    for (way, parallel) in ways() {
        if way == "sequential" || way == "1 thread" {
            continue; // A task without end is without end there.
        }
        let parallel = parallel.on_error(OnError::Collect).timeout_per_task(Timeout::median(50.0));
        let mut stream = parallel.stream_unordered((0..40).map(|x| delayed!(hangs_at(x, 30)))).unwrap();
        let failed: Vec<_> = stream.by_ref().filter_map(Result::err).collect();
        assert_eq!(failed.len(), 1, "{way}");
        let failure = failed[0].task_failure().unwrap();
        assert_eq!((failure.index(), failure.kind()), (30, FailureKind::Timeout), "{way}");
        assert_eq!(stream.report().unwrap().completed, 39, "{way}");
    }
    let refused = Parallel::new().timeout_per_task(Timeout::median(0.5)).map(0..3, |x| x).unwrap_err();
    assert!(refused.is_invalid_option() && refused.to_string().contains("median"), "{refused}");
}

// ---- What is told in the end.

#[test]
fn a_report_names_the_slowest_items() {
    #[larder::task]
    fn spins(millis: u64) -> u64 {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(millis) {
            std::hint::spin_loop();
        }
        millis
    }
    for (way, parallel) in ways() {
        let parallel = parallel.schedule(Schedule::Individual);
        let outcome = parallel.outcome([0, 0, 0, 30, 0, 0, 0, 60].map(|millis| delayed!(spins(millis)))).unwrap();
        let report = outcome.report();
        assert_eq!(report.slowest.len(), 5, "{way}");
        // On a machine that is busy elsewhere another one can take as long.
        let slow: Vec<_> = report.slowest.iter().filter(|item| item.took >= Duration::from_millis(30)).collect();
        assert!(slow.iter().any(|item| (item.index, item.arguments.as_deref()) == (7, Some("millis = 60"))), "{way}");
        assert!(slow.iter().any(|item| (item.index, item.arguments.as_deref()) == (3, Some("millis = 30"))), "{way}");
        assert!(report.slowest.is_sorted_by(|a, b| a.took >= b.took), "{way}");
        let ratios = report.working() + report.waiting() + report.overhead();
        assert!((ratios - 1.0).abs() < 1e-6 && report.working() > 0.0, "{way}: {report}");
        assert!(report.median.is_some(), "{way}");
        let words = report.to_string();
        assert!(
            words.contains("% working") && words.contains("Slowest: item") && words.contains("Limited by"),
            "{words}"
        );
    }
}

#[test]
fn all_of_the_input_is_read_first_where_that_is_asked_for() {
    let read = AtomicUsize::new(0);
    let input = (0..100).inspect(|_| {
        read.fetch_add(1, SeqCst);
    });
    let seen = Parallel::new().n_jobs(2).pre_dispatch(PreDispatch::All).map(input, |_| read.load(SeqCst)).unwrap();
    assert_eq!(seen, [100; 100]);
}

// ---- Found by a reader who tried to break it.

#[test]
fn runs_started_in_other_pools_of_threads_are_not_within_each_other() {
    let parallel = Parallel::new().n_jobs(2);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let sums: Vec<u64> = pool.install(|| {
        use rayon::prelude::*;
        (0..200_u64).into_par_iter().map(|x| parallel.map(0..=x, |y| y).unwrap().into_iter().sum()).collect()
    });
    assert_eq!(sums[199], 199 * 100);
}

#[test]
fn items_that_turn_slow_are_shared_out_and_stopped_like_others() {
    // 8,000 quick items make batches of thousands; those behind them take 2 ms each.
    let slow = |x: u64| {
        let begun = std::time::Instant::now();
        while x > 8000 && begun.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        x
    };
    let outcome =
        Parallel::new().n_jobs(2).deadline(Duration::from_millis(400)).map_outcome(0..1_000_000, slow).unwrap();
    assert_eq!(outcome.stopped(), Some(Stopped::Deadline));
    // A batch of thousands of slow items would go on for many seconds.
    assert!(outcome.report().completed < 20_000, "{}", outcome.report());
    for on_error in [OnError::FailFast, OnError::Collect] {
        let all = Parallel::new().n_jobs(2).on_error(on_error).map(0..8300, slow).unwrap();
        assert_eq!(all, (0..8300).collect::<Vec<_>>());
    }
}

#[test]
fn a_duplicate_of_what_was_left_behind_is_given_up_too() {
    #[larder::task]
    fn stuck(x: u64) -> u64 {
        let (_kept, nothing) = mpsc::channel::<()>();
        if x == 1 {
            let _ = nothing.recv();
        }
        x
    }
    let memory = larder::Memory::with_store(larder::store::VolatileStore::new());
    let parallel = Parallel::new().n_jobs(2).memory(&memory).on_error(OnError::Collect);
    let parallel = parallel.timeout_per_task(Duration::from_millis(50));
    ends(move || {
        let results: Vec<_> = parallel.stream([1, 1, 2].map(|x| delayed!(stuck(x)))).unwrap().collect();
        let failed: Vec<_> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [true, true, false]);
    });
}

#[test]
fn a_pause_between_attempts_is_not_the_time_of_an_item() {
    for n_jobs in [1, 2] {
        let attempts = std::sync::Arc::new(AtomicU32::new(0));
        static COUNTS: Mutex<Vec<std::sync::Arc<AtomicU32>>> = Mutex::new(Vec::new());
        #[larder::task]
        fn second_try(place: usize) -> Result<u64, String> {
            let count = COUNTS.lock().unwrap()[place].clone();
            if count.fetch_add(1, SeqCst) == 0 { Err("not yet".to_owned()) } else { Ok(7) }
        }
        let place = {
            let mut counts = COUNTS.lock().unwrap();
            counts.push(attempts);
            counts.len() - 1
        };
        let parallel = Parallel::new().n_jobs(n_jobs).timeout_per_task(Duration::from_millis(60));
        let parallel = parallel.retry(Retry::times(1).pause(Duration::from_millis(150)));
        assert_eq!(parallel.run([delayed!(second_try(place))]).unwrap(), [7], "{n_jobs}");
    }
}

#[test]
fn what_waits_for_another_attempt_when_the_run_ends_did_not_fail() {
    for (way, parallel) in ways() {
        let parallel =
            parallel.retry(Retry::times(3).pause(Duration::from_secs(1000))).deadline(Duration::from_millis(60));
        ends(move || {
            let outcome = parallel.outcome([1, 3].map(|x| delayed!(odd_ones_fail(x)))).unwrap();
            assert_eq!((outcome.failures().len(), outcome.stopped()), (0, Some(Stopped::Deadline)), "{way}");
            let error = parallel.run([1, 3].map(|x| delayed!(odd_ones_fail(x)))).unwrap_err();
            assert!(error.is_deadline(), "{way}: {error}");
        });
    }
}
