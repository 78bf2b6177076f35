//! `Parallel`: joblib's behaviours that apply, over backends, numbers of workers and batch sizes.

use std::collections::HashSet;
use std::error::Error as _;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, ThreadId};

use larder::{Backend, BatchSize, Parallel, Payload, Progress, delayed};
use serde::{Deserialize, Serialize};

use crate::support::{ends, open};

/// Every way to run that must make no difference, with its name.
fn ways() -> Vec<(String, Parallel)> {
    let crews = [(Backend::Sequential, 1), (Backend::Threads, 1), (Backend::Threads, 2), (Backend::Threads, 7)];
    let sizes = [BatchSize::Auto, BatchSize::Fixed(1), BatchSize::Fixed(3), BatchSize::Fixed(1000)];
    let mut ways = Vec::new();
    for (backend, n_jobs) in crews {
        for size in sizes {
            let name = format!("{backend:?}, {n_jobs} workers, {size:?}");
            ways.push((name, Parallel::new().backend(backend).n_jobs(n_jobs).batch_size(size)));
        }
    }
    ways
}

#[larder::task]
fn root(x: f64) -> f64 {
    x.sqrt()
}

// ---- Results.

#[test]
fn results_are_those_of_a_loop_in_its_order() {
    let expected: Vec<f64> = (0..1000).map(|x| f64::from(x).sqrt()).collect();
    for (way, parallel) in ways() {
        assert_eq!(parallel.map(0..1000, |x| f64::from(x).sqrt()).unwrap(), expected, "{way}");
        assert_eq!(parallel.run((0..1000).map(|x| delayed!(root(f64::from(x))))).unwrap(), expected, "{way}");
        let tried = parallel.try_map(0..1000, |x| Ok::<_, String>(f64::from(x).sqrt())).unwrap();
        assert_eq!(tried, expected, "{way}");
    }
}

#[test]
fn an_empty_input_gives_an_empty_list() {
    for (way, parallel) in ways() {
        assert_eq!(parallel.map(Vec::<u8>::new(), |x| x).unwrap(), [0; 0], "{way}");
        assert_eq!(parallel.run(std::iter::empty::<larder::Delayed<'_, root>>()).unwrap(), [0.0; 0], "{way}");
        assert_eq!(parallel.map((0..100).filter(|_| false), |x| x).unwrap(), [0; 0], "{way}");
    }
}

#[test]
fn an_input_need_not_know_its_length() {
    let expected: Vec<u32> = (0..3000).filter(|x| x % 3 != 0).collect();
    for (way, parallel) in ways() {
        assert_eq!(parallel.map((0..3000).filter(|x| x % 3 != 0), |x| x).unwrap(), expected, "{way}");
    }
}

/// An iterator that says of its length whatever it was told to.
struct Lying<I> {
    items: I,
    hint: (usize, Option<usize>),
}

impl<I: Iterator> Iterator for Lying<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        self.items.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.hint
    }
}

#[test]
fn an_input_may_be_wrong_about_its_length() {
    let hints = [
        (0, Some(0)),
        (10, Some(10)),
        (2005, Some(2005)),
        (5000, Some(5000)),
        (0, None),
        (10, None),
        (9, Some(3)),
        (usize::MAX, Some(usize::MAX)),
        (usize::MAX, None),
    ];
    let expected: Vec<String> = (0..2000).map(|x| x.to_string()).collect();
    for (way, parallel) in ways() {
        for hint in hints {
            let found = parallel.map(Lying { items: 0..2000, hint }, |x| x.to_string()).unwrap();
            assert_eq!(found, expected, "{way}, {hint:?}");
        }
    }
}

#[test]
fn an_endless_input_ends_with_the_first_failure() {
    for (way, parallel) in ways() {
        let error = ends(move || {
            let check = |x: u64| if x < 5000 { Ok(x) } else { Err(format!("{x} is too much")) };
            parallel.try_map(0_u64.., check).unwrap_err()
        });
        let failure = error.task_failure().unwrap();
        assert!(failure.index() >= 5000, "{way}: {error}");
        assert_eq!(failure.message(), format!("{} is too much", failure.index()), "{way}");
    }
}

#[test]
fn an_input_that_would_go_on_after_its_end_is_read_once() {
    for (way, parallel) in ways() {
        let mut asked = 0;
        // Ends after 50 items, and would then begin again.
        let items = std::iter::from_fn(move || {
            asked += 1;
            (asked % 51 != 0).then_some(asked)
        });
        assert_eq!(parallel.map(items, |x| x).unwrap(), (1..=50).collect::<Vec<_>>(), "{way}");
    }
}

#[test]
fn the_input_is_read_no_further_than_the_work_has_come() {
    for backend in [Backend::Sequential, Backend::Threads] {
        for batch in [1, 3] {
            let (read, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let items = (0..100).inspect(|_| {
                read.fetch_add(1, Relaxed);
            });
            let ahead = |_| {
                let ahead = read.load(Relaxed) - done.fetch_add(1, Relaxed);
                assert!(ahead <= batch * 2, "{ahead} items ahead");
            };
            let n_jobs = if backend == Backend::Threads { 2 } else { 1 };
            Parallel::new().backend(backend).n_jobs(n_jobs).batch_size(batch).map(items, ahead).unwrap();
            assert_eq!(done.load(Relaxed), 100);
        }
    }
}

#[test]
fn a_hundred_thousand_tiny_tasks_come_back() {
    for (way, parallel) in ways() {
        let sum: u64 = parallel.map(0..100_000_u64, |x| x ^ 1).unwrap().into_iter().sum();
        assert_eq!(sum, 99_999 * 50_000, "{way}");
    }
}

#[test]
fn results_and_items_may_have_no_size() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    struct Nothing;

    impl Drop for Nothing {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Relaxed);
        }
    }

    for (way, parallel) in ways() {
        assert_eq!(parallel.map(0..1000, |_| ()).unwrap().len(), 1000, "{way}");
        assert_eq!(parallel.map(vec![(); 500], |()| 1).unwrap(), vec![1; 500], "{way}");
        DROPPED.store(0, Relaxed);
        let list = parallel.map(0..1000, |_| Nothing).unwrap();
        assert_eq!((list.len(), DROPPED.load(Relaxed)), (1000, 0), "{way}");
        drop(list);
        assert_eq!(DROPPED.load(Relaxed), 1000, "{way}");
        DROPPED.store(0, Relaxed);
        assert!(parallel.try_map(0..1000, |x| if x == 700 { Err("no") } else { Ok(Nothing) }).is_err());
        let dropped = DROPPED.load(Relaxed);
        assert!(dropped <= 999, "{way}: {dropped}");
    }
}

#[test]
fn closures_may_borrow() {
    for (way, parallel) in ways() {
        let (table, total) = (vec![vec![1, 2], vec![3], vec![]], AtomicU64::new(0));
        let sums = parallel.map(&table, |row| {
            let sum = row.iter().sum::<u64>();
            total.fetch_add(sum, Relaxed);
            sum
        });
        assert_eq!(sums.unwrap(), [3, 3, 0], "{way}");
        let firsts = parallel.map(0..3, |row| table[row].first()).unwrap();
        assert_eq!(firsts, [Some(&1), Some(&3), None], "{way}");
        assert_eq!(total.into_inner(), 6, "{way}");
    }
}

// ---- Nothing is dropped twice, and nothing is lost.

/// Holds a share of a witness, and some memory of its own that a second drop would free again.
struct Held {
    number: u64,
    _text: String,
    _witness: Arc<()>,
}

impl Held {
    fn new(number: u64, witness: &Arc<()>) -> Held {
        Held { number, _text: number.to_string(), _witness: Arc::clone(witness) }
    }
}

#[test]
fn items_and_results_are_moved_and_dropped_once() {
    for (way, parallel) in ways() {
        let (items, results) = (Arc::new(()), Arc::new(()));
        let input = (0..2000).map(|x| Held::new(x, &items));
        let list = parallel.map(input, |item| Held::new(item.number * 2, &results)).unwrap();
        assert_eq!((Arc::strong_count(&items), Arc::strong_count(&results)), (1, 2001), "{way}");
        assert!(list.iter().enumerate().all(|(index, held)| held.number == 2 * index as u64), "{way}");
        drop(list);
        assert_eq!(Arc::strong_count(&results), 1, "{way}");
    }
}

#[test]
fn items_and_results_of_a_failed_run_are_dropped_once() {
    for (way, parallel) in ways() {
        for (at, panics) in [(0, true), (700, true), (1999, true), (0, false), (700, false), (1999, false)] {
            let (items, results) = (Arc::new(()), Arc::new(()));
            for known in [true, false] {
                let input = (0..2000).map(|x| Held::new(x, &items)).filter(|_| true);
                let hint = if known { (2000, Some(2000)) } else { (0, None) };
                let work = |item: Held| {
                    assert!(item.number != at || !panics, "at {at} (this panic belongs to the test)");
                    if item.number == at { Err(format!("at {at}")) } else { Ok(Held::new(item.number, &results)) }
                };
                let Err(error) = parallel.try_map(Lying { items: input, hint }, work) else {
                    panic!("{way}: no error")
                };
                let failure = error.task_failure().unwrap();
                assert_eq!((failure.index() as u64, failure.is_panic()), (at, panics), "{way}: {error}");
                assert_eq!((Arc::strong_count(&items), Arc::strong_count(&results)), (1, 1), "{way}, at {at}");
            }
        }
    }
}

// ---- Options.

#[test]
fn n_jobs_0_is_an_error() {
    for backend in [Backend::Sequential, Backend::Threads] {
        let error = Parallel::new().backend(backend).n_jobs(0).map(0..3, |x| x).unwrap_err();
        assert!(error.is_invalid_option() && error.task_failure().is_none());
        assert!(error.to_string().contains("`n_jobs` is 0: give a number of workers"), "{error}");
    }
}

#[test]
fn batch_size_0_is_an_error() {
    for backend in [Backend::Sequential, Backend::Threads] {
        let parallel = Parallel::new().backend(backend).n_jobs(2).batch_size(0);
        let error = parallel.run([delayed!(root(1.0))]).unwrap_err();
        assert!(error.is_invalid_option());
        assert!(error.to_string().contains("`batch_size` is 0: give a number of items"), "{error}");
    }
}

#[test]
fn options_that_mean_nothing_run_nothing() {
    let ran = AtomicBool::new(false);
    let touched = |_| ran.store(true, Relaxed);
    assert!(Parallel::new().n_jobs(0).map(0..3, touched).is_err());
    assert!(Parallel::new().batch_size(0).map(0..3, touched).is_err());
    assert!(!ran.into_inner());
}

#[test]
fn negative_n_jobs_count_from_all_cores() {
    for n_jobs in [-1, -2, -1000] {
        let threads = Parallel::new().n_jobs(n_jobs).batch_size(1).map(0..100, |_| thread::current().id()).unwrap();
        let threads: HashSet<ThreadId> = threads.into_iter().collect();
        assert!(threads.len() <= larder::effective_n_jobs(n_jobs).unwrap(), "{n_jobs}: {threads:?}");
    }
}

#[test]
fn one_worker_is_the_calling_thread() {
    let here = thread::current().id();
    for parallel in [Parallel::new().n_jobs(1), Parallel::new().backend(Backend::Sequential).n_jobs(7)] {
        assert_eq!(parallel.map(0..50, |_| thread::current().id()).unwrap(), [here; 50]);
    }
    let threads = Parallel::new().n_jobs(2).map(0..50, |_| thread::current().id()).unwrap();
    assert!(!threads.contains(&here), "two workers are threads of their own");
}

// ---- Failures.

const CHECKED_PANICS_AT: u32 = line!() + 4;

#[larder::task]
fn checked(row: usize, name: &str, limits: &[u8]) -> Result<u64, ParseIntError> {
    assert!(row != 41, "row {row} of {name} is broken (this panic belongs to the test)");
    if limits.is_empty() { name.parse() } else { Ok(row as u64) }
}

#[test]
fn a_panic_is_carried_with_its_call() {
    for (way, parallel) in ways() {
        let error = parallel.run((0..100).map(|row| delayed!(checked(row, "rain", &[1])))).unwrap_err();
        let failure = error.task_failure().unwrap();
        assert_eq!(failure.index(), 41, "{way}");
        assert_eq!(failure.task(), Some("it::parallel::checked"), "{way}");
        assert_eq!(failure.arguments(), Some("row = 41, name = \"rain\", limits = [1]"), "{way}");
        assert_eq!(failure.message(), "row 41 of rain is broken (this panic belongs to the test)", "{way}");
        let place = failure.location().unwrap();
        assert!(place.starts_with(&format!("tests/it/parallel.rs:{CHECKED_PANICS_AT}:")), "{way}: {place}");
        assert!(failure.is_panic() && failure.panic().is_some(), "{way}");
        assert!(error.source().is_none(), "{way}");
        let words = error.to_string();
        assert!(words.starts_with("task 41 `checked(row = 41, name = \"rain\""), "{way}: {words}");
        assert!(words.contains(&format!("panicked on worker {}", failure.worker())), "{way}: {words}");
        let failure = error.into_task_failure().unwrap();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| failure.resume_panic())).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().starts_with("row 41"), "{way}");
    }
}

#[test]
fn an_err_is_carried_with_its_call_and_itself() {
    for (way, parallel) in ways() {
        let names = ["1", "2", "three", "4"];
        let error = parallel.run(names.map(|name| delayed!(checked(0, name, &[])))).unwrap_err();
        let failure = error.task_failure().unwrap();
        assert_eq!((failure.index(), failure.task()), (2, Some("it::parallel::checked")), "{way}");
        assert_eq!(failure.arguments(), Some("row = 0, name = \"three\", limits = []"), "{way}");
        assert_eq!(failure.message(), "invalid digit found in string", "{way}");
        assert!(!failure.is_panic() && failure.panic().is_none() && failure.location().is_none(), "{way}");
        let expected = "three".parse::<u64>().unwrap_err();
        assert_eq!(error.source().and_then(|source| source.downcast_ref::<ParseIntError>()), Some(&expected), "{way}");
    }
}

#[test]
fn a_closures_failure_is_carried_without_arguments() {
    for (way, parallel) in ways() {
        let error = parallel.try_map(["4", "x", "6"], |text| text.parse::<u8>()).unwrap_err();
        let failure = error.task_failure().unwrap();
        assert_eq!((failure.index(), failure.task(), failure.arguments()), (1, None, None), "{way}");
        assert!(error.source().is_some_and(|source| source.is::<ParseIntError>()), "{way}");
        let error = parallel
            .map(0..100, |x| {
                if x == 13 {
                    std::panic::panic_any(x);
                }
            })
            .unwrap_err();
        let failure = error.into_task_failure().unwrap();
        assert_eq!((failure.index(), failure.message()), (13, "a panic with a payload that is no text"), "{way}");
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| failure.resume_panic())).unwrap_err();
        assert_eq!(panic.downcast_ref::<i32>(), Some(&13), "{way}");
    }
}

#[test]
fn one_worker_fails_at_the_first_failure_and_starts_nothing_after_it() {
    for batch in [BatchSize::Auto, BatchSize::Fixed(1), BatchSize::Fixed(3), BatchSize::Fixed(1000)] {
        let started = AtomicUsize::new(0);
        let error = Parallel::new()
            .n_jobs(1)
            .batch_size(batch)
            .try_map(0..100, |x| {
                started.fetch_add(1, Relaxed);
                if x >= 30 { Err(format!("{x} is too much")) } else { Ok(x) }
            })
            .unwrap_err();
        assert_eq!(error.task_failure().unwrap().index(), 30, "{batch:?}");
        assert_eq!(started.into_inner(), 31, "{batch:?}");
    }
}

/// Both fail at once: whoever comes later, the lower index is told.
#[test]
fn of_two_failures_the_lower_index_is_told() {
    for _ in 0..20 {
        let both = Barrier::new(2);
        let error = Parallel::new()
            .n_jobs(2)
            .batch_size(1)
            .try_map(0..2, |x| -> Result<(), String> {
                both.wait();
                Err(format!("{x} fails"))
            })
            .unwrap_err();
        assert_eq!((error.task_failure().unwrap().index(), error.task_failure().unwrap().message()), (0, "0 fails"));
    }
}

#[test]
fn a_failure_stops_the_other_workers() {
    let error = ends(|| {
        let (failed, has_failed) = mpsc::channel();
        let has_failed = Mutex::new(has_failed);
        Parallel::new()
            .n_jobs(2)
            .batch_size(1)
            .try_map(0_u64.., |x| {
                // The second item waits for the failure of the first; an endless input goes on behind them.
                match x {
                    0 => failed.send(()).unwrap(),
                    1 => has_failed.lock().unwrap().recv().unwrap(),
                    _ => {}
                }
                if x == 0 { Err("the first") } else { Ok(x) }
            })
            .unwrap_err()
    });
    assert_eq!(error.task_failure().unwrap().index(), 0);
}

#[test]
fn a_panicking_input_is_an_error_with_its_place() {
    for (way, parallel) in ways() {
        let results = Arc::new(());
        let items = (0..100_u64).inspect(|x| assert!(*x != 60, "unreadable (this panic belongs to the test)"));
        let Err(error) = parallel.map(items, |x| Held::new(x, &results)) else { panic!("{way}: no error") };
        let failure = error.task_failure().unwrap();
        assert_eq!((failure.index(), failure.task(), failure.arguments()), (60, None, None), "{way}");
        assert!(failure.is_panic(), "{way}");
        let words = error.to_string();
        assert!(words.starts_with("the input iterator panicked at item 60: unreadable"), "{way}: {words}");
        assert_eq!(Arc::strong_count(&results), 1, "{way}");
    }
}

#[test]
fn a_parallel_runs_again_after_a_failure() {
    for (way, parallel) in ways() {
        for _ in 0..3 {
            assert!(parallel.map(0..100, |x| assert!(x != 50, "(this panic belongs to the test)")).is_err(), "{way}");
            assert_eq!(parallel.map(0..100, |x| x).unwrap(), (0..100).collect::<Vec<_>>(), "{way}");
        }
    }
}

// ---- Threads.

/// The threads of a run that needs as many at once.
fn threads_of(parallel: &Parallel, count: usize) -> HashSet<ThreadId> {
    let all = Barrier::new(count);
    let met = |_| {
        all.wait();
        thread::current().id()
    };
    parallel.map(0..count, met).expect("nothing fails").into_iter().collect()
}

#[test]
fn a_pool_is_kept_between_runs() {
    for count in [2, 7] {
        let parallel = Parallel::new().n_jobs(count).batch_size(1);
        let count = count.unsigned_abs() as usize;
        let first = threads_of(&parallel, count);
        assert_eq!(first.len(), count);
        assert_eq!(threads_of(&parallel, count), first);
        assert!(parallel.map(0..10, |x| assert!(x != 5, "(this panic belongs to the test)")).is_err());
        assert_eq!(threads_of(&parallel, count), first, "after a failure too");
        let parallel = parallel.n_jobs(3);
        assert_eq!(threads_of(&parallel, 3).len(), 3, "another number is another pool");
    }
}

#[test]
fn nested_runs_make_no_threads() {
    for n_jobs in [2, 7] {
        let inner = Parallel::new().n_jobs(5).batch_size(1);
        let found = Parallel::new().n_jobs(n_jobs).batch_size(1).map(0..20, |x| {
            let threads = inner.map(0..10, |_| thread::current().id()).expect("nothing fails");
            assert!(threads.iter().all(|thread| *thread == thread::current().id()), "the outer run's thread");
            let deeper = Parallel::new()
                .n_jobs(2)
                .map(0..3, |y| Parallel::new().map(0..2, |z| (x, y, z)).expect("nothing fails"));
            (thread::current().id(), deeper.expect("nothing fails").concat().len())
        });
        let found = found.unwrap();
        assert!(found.iter().all(|(_, count)| *count == 6));
        let threads: HashSet<ThreadId> = found.into_iter().map(|(thread, _)| thread).collect();
        assert!(threads.len() <= n_jobs as usize);
    }
}

/// A task may use rayon: its parts run in the run's pool, and a run within such a part is nested like any other.
#[test]
fn runs_nested_in_rayon_work_of_a_task_make_no_threads() {
    let outer = Parallel::new().n_jobs(2).batch_size(1);
    let crew = threads_of(&outer, 2);
    let inner = ends(move || {
        let nested = || Parallel::new().n_jobs(2).batch_size(1).map(0..10, |_| thread::current().id()).unwrap();
        // One item: the other worker has nothing to do, and takes the second half of the join.
        let found = outer.map(0..1, |_| {
            let (taken, was_taken) = mpsc::channel();
            let (_, inner) = rayon::join(
                move || was_taken.recv().unwrap(),
                move || {
                    taken.send(()).unwrap();
                    nested()
                },
            );
            inner
        });
        found.unwrap().concat()
    });
    assert_eq!(inner.len(), 10);
    assert!(inner.iter().all(|thread| crew.contains(thread)), "{inner:?} are not all of {crew:?}");
}

#[test]
fn a_parallel_may_run_within_itself() {
    for (way, parallel) in ways() {
        let sums = ends(move || {
            parallel.map(0..20_u64, |x| parallel.map(0..x, |y| y).unwrap().into_iter().sum::<u64>()).unwrap()
        });
        assert_eq!(sums, (0..20).map(|x: u64| (0..x).sum()).collect::<Vec<u64>>(), "{way}");
    }
}

#[test]
fn two_threads_may_run_one_parallel_at_once() {
    for (way, parallel) in ways() {
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for factor in [2, 3] {
                let (parallel, start, way) = (&parallel, &start, &way);
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..5 {
                        let found = parallel.map(0..500, |x| x * factor).unwrap();
                        assert_eq!(found, (0..500).map(|x| x * factor).collect::<Vec<_>>(), "{way}");
                    }
                });
            }
        });
    }
}

#[test]
fn a_run_is_possible_within_a_pool_of_the_program() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let found = ends(move || pool.install(|| Parallel::new().n_jobs(3).map(0..100, |x| x + 1).unwrap()));
    assert_eq!(found, (1..101).collect::<Vec<_>>());
}

// ---- Delayed calls.

#[derive(Clone, Serialize, Deserialize)]
struct Table {
    cells: Vec<u64>,
}

#[larder::task]
#[expect(clippy::too_many_arguments, reason = "one of each kind")]
fn everything(
    row: usize,
    name: &str,
    xs: &[f64],
    file: &Path,
    table: &Table,
    fixed: &[u8; 2],
    shared: &Payload<Vec<u64>>,
    mut owned: Vec<u64>,
    pair: (bool, Option<String>),
) -> String {
    owned.push(table.cells[row] + shared[row] + u64::from(fixed[0]));
    format!("{row} {name} {xs:?} {} {owned:?} {pair:?}", file.display())
}

#[test]
fn delayed_calls_take_every_kind_of_parameter() {
    let table = Table { cells: (0..10).collect() };
    let shared = Payload::new(vec![100; 10]);
    let (xs, file) = (vec![0.5], PathBuf::from("a/b"));
    let names: Vec<String> = (0..10).map(|row| format!("row {row}")).collect();
    let calls = || {
        names.iter().enumerate().map(|(row, name)| {
            let pair = (row % 2 == 0, Some(name.clone()));
            delayed!(everything(row, name, &xs, &file, &table, &[7, 8], &shared, vec![1], pair))
        })
    };
    let expected: Vec<String> = calls().map(larder::Delayed::call).collect();
    assert_eq!(expected[3], "3 row 3 [0.5] a/b [1, 110] (false, Some(\"row 3\"))");
    for (way, parallel) in ways() {
        assert_eq!(parallel.run(calls()).unwrap(), expected, "{way}");
    }
}

#[test]
fn a_failed_call_shows_its_payload_and_what_it_consumed() {
    #[larder::task]
    fn failing(table: &Payload<Vec<f64>>, owned: Vec<u8>) -> Result<u8, String> {
        let _ = table;
        Err(format!("{} bytes", owned.len()))
    }

    let table = Payload::new(vec![1.0, 2.5]);
    let error = Parallel::new().n_jobs(1).run([delayed!(failing(&table, vec![1, 2]))]).unwrap_err();
    let failure = error.task_failure().unwrap();
    assert_eq!(failure.arguments(), Some("table = [1.0, 2.5], owned = [1, 2]"));
    assert_eq!(failure.message(), "2 bytes");
}

#[test]
fn of_results_the_ok_sides_are_given() {
    #[larder::task]
    fn half(x: u64) -> Result<u64, String> {
        if x.is_multiple_of(2) { Ok(x / 2) } else { Err("odd".to_owned()) }
    }

    for (way, parallel) in ways() {
        let halves: Vec<u64> = parallel.run([2, 4, 6].map(|x| delayed!(half(x)))).unwrap();
        assert_eq!(halves, [1, 2, 3], "{way}");
    }
}

// ---- With a memory.

#[test]
fn with_a_memory_a_second_run_computes_nothing() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn squared(x: u64) -> Result<u64, String> {
        RUNS.fetch_add(1, Relaxed);
        Ok(x * x)
    }

    let expected: Vec<u64> = (0..200).map(|x| x * x).collect();
    for (way, parallel) in ways() {
        let dir = tempfile::tempdir().unwrap();
        RUNS.store(0, Relaxed);
        {
            let memory = open(dir.path());
            let parallel = parallel.memory(&memory);
            for _ in 0..2 {
                assert_eq!(parallel.run((0..200).map(|x| delayed!(squared(x)))).unwrap(), expected, "{way}");
                assert_eq!(RUNS.load(Relaxed), 200, "{way}");
            }
            let stats = memory.stats();
            assert_eq!((stats.misses(), stats.stores, stats.hits_hot), (200, 200, 200), "{way}");
        }
        let memory = open(dir.path());
        let again = Parallel::new().n_jobs(2).memory(&memory);
        assert_eq!(again.run((0..200).map(|x| delayed!(squared(x)))).unwrap(), expected, "{way}");
        assert_eq!((memory.stats().hits_index, RUNS.load(Relaxed)), (200, 200), "{way}");
    }
}

#[test]
fn an_interrupted_run_keeps_what_was_finished() {
    static COMPUTED: AtomicU64 = AtomicU64::new(0);
    static BROKEN: AtomicBool = AtomicBool::new(true);

    #[larder::task]
    fn fragile(x: u64) -> Result<u64, String> {
        if x == 150 && BROKEN.load(Relaxed) {
            return Err("not now".to_owned());
        }
        COMPUTED.fetch_add(1, Relaxed);
        Ok(x + 1)
    }

    for (way, parallel) in ways() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        let parallel = parallel.memory(&memory);
        COMPUTED.store(0, Relaxed);
        BROKEN.store(true, Relaxed);
        let error = parallel.run((0..200).map(|x| delayed!(fragile(x)))).unwrap_err();
        assert_eq!(error.task_failure().unwrap().index(), 150, "{way}");
        let finished = COMPUTED.load(Relaxed);
        assert!(finished >= 100, "{way}: {finished}");
        assert_eq!(memory.stats().stores, finished, "{way}");
        BROKEN.store(false, Relaxed);
        let found = parallel.run((0..200).map(|x| delayed!(fragile(x)))).unwrap();
        assert_eq!(found, (1..=200).collect::<Vec<u64>>(), "{way}");
        assert_eq!(COMPUTED.load(Relaxed), 200, "{way}: nothing is computed twice");
        assert_eq!(memory.stats().hits(), finished, "{way}");
    }
}

#[test]
fn one_call_many_times_in_a_run_is_stored_once() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::task]
    fn constant(x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        x
    }

    for (way, parallel) in ways() {
        let dir = tempfile::tempdir().unwrap();
        let memory = open(dir.path());
        RUNS.store(0, Relaxed);
        let found = ends({
            let parallel = parallel.memory(&memory);
            move || parallel.run((0..300).map(|_| delayed!(constant(5)))).unwrap()
        });
        assert_eq!(found, [5; 300], "{way}");
        // Threads of a pool need not wait for each other for ever, so there may be duplicates, one for each at most.
        assert!(RUNS.load(Relaxed) <= 7, "{way}: {} runs", RUNS.load(Relaxed));
        assert_eq!(memory.stats().hits() + memory.stats().misses(), 300, "{way}");
    }
}

#[test]
fn an_annotated_function_uses_its_own_memory_in_a_run() {
    static MEMORY: std::sync::LazyLock<larder::Memory> =
        std::sync::LazyLock::new(|| open(&tempfile::tempdir().expect("there is room").keep()));
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    fn annotated(x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        x + 1
    }

    let expected: Vec<u64> = (1..=50).collect();
    for (way, parallel) in ways() {
        assert_eq!(parallel.run((0..50).map(|x| delayed!(annotated(x)))).unwrap(), expected, "{way}");
    }
    assert_eq!((RUNS.load(Relaxed), MEMORY.stats().misses()), (50, 50));
    std::fs::remove_dir_all(MEMORY.location().unwrap()).unwrap();
}

// ---- Progress.

/// What the last snapshot of a run said: total, done, per worker, completed.
type Last = (Option<u64>, u64, Vec<u64>, bool);

/// A progress that keeps what it was told, and a way to ask for the last of it. Everything told must make sense.
fn watched() -> (Progress, impl Fn() -> Last) {
    let told: Arc<Mutex<Vec<(Last, bool)>>> = Arc::default();
    let keep = Arc::clone(&told);
    let progress = Progress::callback(move |now| {
        let last = (now.total(), now.done(), now.per_worker().to_vec(), now.completed());
        keep.lock().expect("no test panics while it holds this").push((last, now.finished()));
    });
    let last = move || {
        let told = std::mem::take(&mut *told.lock().expect("no test panics while it holds this"));
        let (last, earlier) = told.split_last().expect("a run tells its end");
        assert!(last.1, "the last one is finished");
        assert!(earlier.iter().all(|((.., completed), finished)| !finished && !completed), "{told:?}");
        assert!(told.windows(2).all(|pair| pair[0].0.1 <= pair[1].0.1), "it never goes back: {told:?}");
        let ((total, done, per_worker, completed), _) = last.clone();
        assert_eq!(per_worker.iter().sum::<u64>(), done);
        (total, done, per_worker, completed)
    };
    (progress, last)
}

#[test]
fn progress_counts_every_item() {
    for (way, parallel) in ways() {
        let (progress, last) = watched();
        let parallel = parallel.progress(progress);
        parallel.map(0..1234, |x| x).unwrap();
        let (total, done, per_worker, completed) = last();
        assert_eq!((total, done, completed), (Some(1234), 1234, true), "{way}");
        let workers = if way.starts_with("Sequential") { 1 } else { way[9..10].parse().unwrap() };
        assert_eq!(per_worker.len(), workers, "{way}");

        parallel.run((0..10).map(|x| delayed!(root(f64::from(x))))).unwrap();
        let (total, done, _, completed) = last();
        assert_eq!((total, done, completed), (Some(10), 10, true), "{way}");

        parallel.map((0..100).filter(|x| x % 2 == 0), |x| x).unwrap();
        let (total, done, _, completed) = last();
        assert_eq!((total, done, completed), (None, 50, true), "{way}: the total is not known");

        parallel.map(0..0, |x| x).unwrap();
        let (total, done, _, completed) = last();
        assert_eq!((total, done, completed), (Some(0), 0, true), "{way}");
    }
}

#[test]
fn progress_of_a_failed_run_says_that_it_stopped() {
    for (way, parallel) in ways() {
        let (progress, last) = watched();
        let parallel = parallel.progress(progress);
        assert!(parallel.try_map(0..100, |x| if x == 60 { Err("no") } else { Ok(x) }).is_err());
        let (total, done, _, completed) = last();
        assert_eq!((total, completed), (Some(100), false), "{way}");
        assert!(done < 100, "{way}: {done}");
        assert!(parallel.map(0..100, |x| assert!(x != 0, "(this panic belongs to the test)")).is_err());
        assert!(!last().3, "{way}");
        parallel.map(0..100, |x| x).unwrap();
        assert!(last().3, "{way}: the next run completes");
    }
}

/// The last snapshot is exact: what was done before the failure was done.
#[test]
fn progress_of_a_failed_run_counts_what_was_done() {
    for panics in [false, true] {
        for (way, parallel) in ways() {
            let (progress, last) = watched();
            let finished = AtomicU64::new(0);
            let work = |x: u64| {
                assert!(x != 900 || !panics, "at {x} (this panic belongs to the test)");
                if x == 900 {
                    return Err("at 900");
                }
                finished.fetch_add(1, Relaxed);
                Ok(())
            };
            assert!(parallel.progress(progress).try_map(0..1000, work).is_err());
            assert_eq!(last().1, finished.into_inner(), "{way}, panics: {panics}");
        }
    }
}

#[test]
fn a_panicking_progress_does_not_fail_the_run() {
    for (way, parallel) in ways() {
        let progress = Progress::callback(|_| panic!("the callback fails (this panic belongs to the test)"));
        assert_eq!(parallel.progress(progress).map(0..100, |x| x).unwrap().len(), 100, "{way}");
    }
}
