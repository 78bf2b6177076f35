//! Runs whose results are taken one after the other: order, windows, ends. Over backends.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use larder::{Backend, BatchSize, CancelToken, Error, FailureKind, OnError, Parallel, PreDispatch, Progress, delayed};

use crate::support::ends;

/// Every backend a stream can run on, with its name and its number of workers.
fn ways() -> Vec<(String, Parallel, usize)> {
    let mut ways = vec![
        ("sequential".to_owned(), Parallel::new().backend(Backend::Sequential), 1),
        ("1 thread".to_owned(), Parallel::new().n_jobs(1), 1),
        ("3 threads".to_owned(), Parallel::new().n_jobs(3), 3),
    ];
    if cfg!(all(unix, feature = "auto-worker")) {
        ways.push(("2 processes".to_owned(), Parallel::new().backend(Backend::Processes).n_jobs(2), 2));
    }
    ways
}

#[larder::task]
fn triple(x: u64) -> u64 {
    x * 3
}

#[larder::task]
fn picky(x: u64, bad: Vec<u64>) -> Result<u64, String> {
    assert!(!bad.contains(&(x + 1000)), "{x} panics (this panic belongs to the test)");
    if bad.contains(&x) { Err(format!("{x} is bad")) } else { Ok(x) }
}

#[test]
fn results_come_in_order_or_with_their_positions() {
    let windows = [PreDispatch::Auto, PreDispatch::All, PreDispatch::Items(1), PreDispatch::PerJob(2)];
    for (way, parallel, _) in ways() {
        for window in windows {
            for size in [BatchSize::Auto, BatchSize::Fixed(1), BatchSize::Fixed(7)] {
                let parallel = parallel.clone().pre_dispatch(window).batch_size(size);
                for len in [0, 1, 100] {
                    let way = format!("{way}, {window:?}, {size:?}, {len} items");
                    let expected: Vec<u64> = (0..len).map(|x| x * 3).collect();
                    let calls = move || (0..len).map(|x| delayed!(triple(x)));
                    let mut ordered = parallel.stream(calls()).unwrap();
                    assert_eq!(ordered.by_ref().collect::<Result<Vec<_>, _>>().unwrap(), expected, "{way}");
                    assert!(ordered.next().is_none(), "{way}");
                    assert_eq!(ordered.report().unwrap().completed, len, "{way}");

                    let mut unordered = parallel.stream_unordered(calls()).unwrap();
                    let mut found: Vec<_> = unordered.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
                    found.sort_unstable();
                    assert_eq!(found, expected.iter().copied().enumerate().collect::<Vec<_>>(), "{way}");
                    assert_eq!(unordered.report().unwrap().items, len, "{way}");
                }
            }
        }
    }
}

#[test]
fn no_more_is_read_than_the_window_lets() {
    for (way, parallel, workers) in ways() {
        for (window, most) in
            [(PreDispatch::Items(1), 1), (PreDispatch::Items(5), 5), (PreDispatch::PerJob(2), 2 * workers)]
        {
            let read = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&read);
            let input = (0..).inspect(move |_| {
                counted.fetch_add(1, SeqCst);
            });
            let stream = parallel.clone().pre_dispatch(window).stream(input.map(|x| delayed!(triple(x)))).unwrap();
            for (taken, value) in stream.take(50).enumerate() {
                assert_eq!(value.unwrap(), 3 * taken as u64);
                let read = read.load(SeqCst);
                assert!(read <= taken + 1 + most, "{way}, {window:?}: {read} were read when {} were taken", taken + 1);
            }
        }
    }
}

#[test]
fn an_automatic_window_is_bounded_too() {
    let read = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&read);
    let input = (0_u64..).inspect(move |_| {
        counted.fetch_add(1, SeqCst);
    });
    let mut stream = Parallel::new().n_jobs(2).batch_size(10).map_stream(input, |x| x).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 0);
    // Two batches for each worker, of which the first is only reported as taken as a whole.
    assert!(read.load(SeqCst) <= 4 * 10 + 10, "{}", read.load(SeqCst));
}

#[test]
fn a_stream_that_is_dropped_ends_its_run_and_no_other() {
    for (way, parallel, _) in ways() {
        // At once, and after some results.
        for taken in [0, 3] {
            let started = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&started);
            let endless = move || {
                let counted = Arc::clone(&counted);
                (0..).inspect(move |_| {
                    counted.fetch_add(1, SeqCst);
                })
            };
            let mut other = parallel.stream((0..).map(|x| delayed!(triple(x)))).unwrap();
            assert_eq!(other.next().unwrap().unwrap(), 0, "{way}");
            let stream = parallel.stream(endless().map(|x| delayed!(triple(x)))).unwrap();
            assert_eq!(stream.take(taken).map(Result::unwrap).collect::<Vec<_>>(), [0, 3, 6][..taken], "{way}");
            // It is over: nothing reads on, and the input goes once whoever was in the middle of reading it has ended.
            drop(endless);
            while Arc::strong_count(&started) > 1 {
                thread::yield_now();
            }
            assert!(started.load(SeqCst) >= taken, "{way}");
            assert_eq!(other.next().unwrap().unwrap(), 3, "{way}");
        }
    }
}

#[test]
fn one_worker_computes_what_is_asked_for_on_the_calling_thread() {
    let computed = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&computed);
    let here = thread::current().id();
    let mut stream = Parallel::new()
        .n_jobs(1)
        .map_stream(0.., move |x: u64| {
            assert_eq!(thread::current().id(), here);
            counted.fetch_add(1, SeqCst);
            x
        })
        .unwrap();
    assert_eq!(computed.load(SeqCst), 0, "nothing was asked for");
    for taken in 1..=5 {
        stream.next().unwrap().unwrap();
        assert_eq!(computed.load(SeqCst), taken);
    }
}

#[test]
fn failures_stand_in_their_places_or_end_the_stream() {
    let bad = vec![4, 1007];
    for (way, parallel, _) in ways() {
        let calls = || {
            let bad = bad.clone();
            (0..10).map(move |x| delayed!(picky(x, bad.clone())))
        };
        let told = |result: Result<u64, Error>| match result {
            Ok(value) => format!("{value}"),
            Err(error) => {
                let failure = error.task_failure().unwrap();
                format!("{} {:?}", failure.index(), failure.kind())
            }
        };
        let collecting = parallel.clone().on_error(OnError::Collect);
        let all: Vec<_> = collecting.stream(calls()).unwrap().map(told).collect();
        assert_eq!(all, ["0", "1", "2", "3", "4 Error", "5", "6", "7 Panic", "8", "9"], "{way}");
        let mut unordered: Vec<_> =
            collecting.stream_unordered(calls()).unwrap().map(|result| told(result.map(|(_, value)| value))).collect();
        unordered.sort();
        assert_eq!(unordered, all, "{way}");

        let mut ended: Vec<_> = parallel.stream(calls()).unwrap().map(told).collect();
        let last = ended.pop().unwrap();
        // Which of the two comes first is the workers' affair.
        assert!(last == "4 Error" || last == "7 Panic", "{way}: {last}");
        assert!(
            ended.len() <= 7 && ended.iter().enumerate().all(|(x, value)| *value == x.to_string() || x == 4),
            "{way}: {ended:?}"
        );
    }
}

#[test]
fn a_panic_of_the_input_is_the_last_item() {
    for (way, parallel, _) in ways() {
        let input = (0..9).inspect(|x| assert!(*x < 5, "(this panic belongs to the test)"));
        let stream =
            parallel.on_error(OnError::Collect).batch_size(2).stream(input.map(|x| delayed!(triple(x)))).unwrap();
        let (good, bad): (Vec<_>, Vec<_>) = stream.partition(Result::is_ok);
        assert_eq!(good.len(), 5, "{way}");
        let error = bad.into_iter().map(Result::unwrap_err).next().unwrap();
        let failure = error.task_failure().unwrap();
        assert_eq!((failure.index(), failure.kind()), (5, FailureKind::Input), "{way}");
    }
}

#[test]
fn a_cancelled_stream_says_so() {
    for (way, parallel, _) in ways() {
        let token = CancelToken::new();
        let mut stream = parallel.cancel_token(&token).stream((0..).map(|x| delayed!(triple(x)))).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 0, "{way}");
        token.cancel();
        let last = stream.by_ref().last().unwrap().unwrap_err();
        assert!(last.is_cancelled(), "{way}: {last}");
        assert!(stream.next().is_none() && stream.report().is_some(), "{way}");
    }
}

#[test]
fn a_consumer_can_be_slower_than_the_end_of_the_run() {
    let mut stream = Parallel::new().n_jobs(2).pre_dispatch(PreDispatch::All).map_stream(0..100, |x| x).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 0);
    // Moved to another thread, as a stream may be.
    let rest: Vec<_> = thread::spawn(move || stream.map(Result::unwrap).collect()).join().unwrap();
    assert_eq!(rest, (1..100).collect::<Vec<_>>());
}

#[test]
fn unordered_results_do_not_wait_for_a_slow_one() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let stream = Parallel::new().n_jobs(2).batch_size(1).map_stream_unordered(0..20, move |x| {
        if x == 0 {
            let _ = held.lock().unwrap().recv();
        }
        x
    });
    let mut stream = stream.unwrap();
    let quick: BTreeSet<_> = stream.by_ref().take(19).map(|result| result.unwrap().0).collect();
    assert_eq!(quick, (1..20).collect());
    drop(release);
    assert_eq!(stream.next().unwrap().unwrap(), (0, 0));
    assert!(stream.next().is_none());
}

#[test]
fn streams_of_one_parallel_go_on_side_by_side_and_within_tasks() {
    let parallel = Parallel::new().n_jobs(2);
    let evens = parallel.map_stream((0..50).map(|x| 2 * x), |x| x).unwrap();
    let odds = parallel.map_stream((0..50).map(|x| 2 * x + 1), |x| x).unwrap();
    let both: Vec<_> = evens.zip(odds).flat_map(|(even, odd)| [even.unwrap(), odd.unwrap()]).collect();
    assert_eq!(both, (0..100).collect::<Vec<_>>());

    let within = parallel.clone();
    let sums = parallel.map(0..10_u64, |x| within.map_stream(0..=x, |y| y).unwrap().map(Result::unwrap).sum::<u64>());
    assert_eq!(sums.unwrap()[9], 45);
}

#[test]
fn a_stream_shows_its_progress_to_the_end() {
    let seen = Arc::new(AtomicUsize::new(0));
    let finished = Arc::new(AtomicBool::new(false));
    let (counts, ended) = (Arc::clone(&seen), Arc::clone(&finished));
    let progress = Progress::callback(move |now| {
        counts.store(now.done() as usize, SeqCst);
        ended.store(now.completed(), SeqCst);
    });
    for n_jobs in [1, 2] {
        let stream = Parallel::new().n_jobs(n_jobs).progress(progress.clone()).map_stream(0..100, |x| x).unwrap();
        assert_eq!(stream.count(), 100);
        assert_eq!((seen.swap(0, SeqCst), finished.swap(false, SeqCst)), (100, true));
        let mut dropped = Parallel::new().n_jobs(n_jobs).progress(progress.clone()).map_stream(0.., |x| x).unwrap();
        dropped.next();
        drop(dropped);
        assert!(!finished.load(SeqCst), "it stopped");
    }
}

#[test]
fn what_means_nothing_is_refused_when_the_stream_starts() {
    let parallel = Parallel::new().n_jobs(2);
    let refused = |parallel: &Parallel| parallel.map_stream(0..3, |x| x).unwrap_err().to_string();
    assert!(refused(&parallel.clone().pre_dispatch(0)).contains("`pre_dispatch` is 0"));
    assert!(refused(&parallel.clone().n_jobs(0)).contains("`n_jobs` is 0"));
    assert!(refused(&parallel.clone().batch_size(0)).contains("`batch_size` is 0"));
    assert!(refused(&parallel.clone().retries(1)).contains("#[larder::task]"));
    let error = parallel
        .backend(Backend::Processes)
        .map_stream(0..3, |x| x)
        .and_then(|stream| stream.collect::<Result<Vec<_>, _>>());
    assert!(error.unwrap_err().to_string().contains("a closure cannot go to worker processes"));
}

#[test]
fn an_input_that_gives_slowly_does_not_hold_up_what_is_there() {
    let (give, given) = mpsc::channel::<u64>();
    let given = std::sync::Mutex::new(given);
    let input = std::iter::from_fn(move || given.lock().unwrap().recv().ok());
    let mut stream = Parallel::new().n_jobs(2).batch_size(1).map_stream(input, |x| x + 1).unwrap();
    for x in 0..10 {
        give.send(x).unwrap();
        // The other worker waits for the input meanwhile.
        assert_eq!(stream.next().unwrap().unwrap(), x + 1);
    }
    ends(move || {
        drop(give);
        assert!(stream.next().is_none());
    });
}

#[test]
fn many_streams_are_dropped_at_any_moment() {
    // Who stops a run must wake whoever just then goes to wait.
    let parallel = Parallel::new().n_jobs(2).batch_size(1);
    ends(move || {
        for taken in 0..600 {
            let mut stream = parallel.map_stream(0_u64.., |x| x).unwrap();
            assert_eq!(stream.by_ref().take(taken % 50).count(), taken % 50);
        }
    });
}

#[test]
fn an_input_may_wait_for_who_drops_the_stream() {
    let (give, given) = mpsc::channel::<u64>();
    let given = std::sync::Mutex::new(given);
    let input = std::iter::from_fn(move || given.lock().unwrap().recv().ok());
    let mut stream = Parallel::new().n_jobs(2).batch_size(1).map_stream(input, |x| x).unwrap();
    give.send(7).unwrap();
    assert_eq!(stream.next().unwrap().unwrap(), 7);
    ends(move || drop(stream));
    drop(give);
}

#[test]
fn a_task_may_drop_the_stream_that_runs_it() {
    let slot = Arc::new(std::sync::Mutex::new(None));
    let own = Arc::clone(&slot);
    let (ready, is_ready) = mpsc::channel::<()>();
    let is_ready = std::sync::Mutex::new(is_ready);
    let (done, is_done) = mpsc::channel();
    let stream = Parallel::new().n_jobs(2).batch_size(1).map_stream(0..10, move |x| {
        if x == 0 {
            let _ = is_ready.lock().unwrap().recv();
            let stream: Option<larder::Stream<i32>> = own.lock().unwrap().take();
            drop(stream);
            let _ = done.send(());
        }
        x
    });
    *slot.lock().unwrap() = Some(stream.unwrap());
    ready.send(()).unwrap();
    ends(move || is_done.recv().unwrap());
}

#[test]
fn a_stream_that_ends_by_its_failures_says_so() {
    for (way, parallel, _) in ways() {
        let calls = (0..1000).map(|x| delayed!(picky(x, (0..1000).collect())));
        let mut stream = parallel.on_error(OnError::MaxFailures(3)).batch_size(1).stream(calls).unwrap();
        let results: Vec<_> = stream.by_ref().collect();
        let last = results.last().unwrap().as_ref().unwrap_err();
        assert!(last.task_failure().is_none() && last.to_string().contains("ended by failures"), "{way}: {last}");
        assert_eq!(stream.stopped(), Some(larder::Stopped::Failure), "{way}");
    }
}
