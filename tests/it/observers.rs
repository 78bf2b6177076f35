//! What observers are told of runs, in which order, and that no observer can harm a run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Barrier, Mutex};

use larder::{
    Backend, CancelToken, Event, EventKind, FailureKind, JsonLines, MissReason, Observer, OnError, Parallel, RunId,
    Snapshot, delayed,
};
use serde_json::Value;

use crate::support::{FOREVER, ends, open};

/// Keeps what it is told.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<(RunId, String, EventKind)>>,
    last_ticks: Mutex<Vec<(RunId, u64, bool)>>,
    tasks: bool,
}

impl Log {
    fn new() -> Arc<Log> {
        Arc::default()
    }

    fn with_tasks() -> Arc<Log> {
        Arc::new(Log { tasks: true, ..Log::default() })
    }

    /// The events so far, which are then forgotten; checked for what holds of any run.
    #[track_caller]
    fn take(&self) -> Vec<EventKind> {
        let events: Vec<_> = self.events.lock().unwrap().drain(..).collect();
        let runs: BTreeSet<_> = events.iter().map(|(run, ..)| *run).collect();
        assert_eq!(runs.len(), 1, "of one run: {events:?}");
        let events: Vec<_> = events.into_iter().map(|(.., kind)| kind).collect();
        check_order(&events);
        events
    }
}

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        self.events.lock().unwrap().push((event.run, event.label.to_owned(), event.kind.clone()));
    }

    fn tick(&self, now: &Snapshot<'_>) {
        if now.finished() {
            let ended = self.events.lock().unwrap();
            assert!(!ended.iter().any(|(run, _, kind)| *run == now.run() && kind.name() == "run_ended"));
            self.last_ticks.lock().unwrap().push((now.run(), now.done(), now.completed()));
        }
    }

    fn wants_tasks(&self) -> bool {
        self.tasks
    }
}

/// The run starts first and ends last, and nothing ends that was not started.
#[track_caller]
fn check_order(events: &[EventKind]) {
    let named = |name: &str| events.iter().filter(|kind| kind.name() == name).count();
    assert_eq!((named("run_started"), named("run_ended")), (1, 1), "{events:?}");
    assert_eq!(events.first().unwrap().name(), "run_started");
    assert_eq!(events.last().unwrap().name(), "run_ended");
    let (mut workers, mut batches, mut tasks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for event in events {
        match *event {
            EventKind::WorkerStarted { worker, pid, .. } => assert!(workers.insert((worker, pid)), "{events:?}"),
            EventKind::WorkerEnded { worker, pid, .. } => assert!(workers.remove(&(worker, pid)), "{events:?}"),
            EventKind::WorkerDied { worker, pid, .. } => {
                assert!(workers.remove(&(worker, pid)), "{events:?}");
                batches.retain(|(whose, _)| *whose != worker);
            }
            EventKind::BatchStarted { worker, index, .. } => {
                assert!(workers.iter().any(|(started, _)| *started == worker), "{events:?}");
                assert!(batches.insert((worker, index)), "{events:?}");
            }
            EventKind::BatchEnded { worker, index, .. } => assert!(batches.remove(&(worker, index)), "{events:?}"),
            EventKind::TaskStarted { worker, index, .. } => assert!(tasks.insert((worker, index)), "{events:?}"),
            EventKind::TaskEnded { worker, index, took: Some(_), .. } => assert!(tasks.remove(&(worker, index))),
            _ => {}
        }
    }
    assert!(workers.is_empty() && batches.is_empty(), "{workers:?}, {batches:?}: {events:?}");
}

/// How many items were in batches that ended, and what the end says: completed, failed, cancelled, complete.
fn sums(events: &[EventKind]) -> (usize, (u64, u64, bool, bool)) {
    let batched = events.iter().map(|kind| if let EventKind::BatchEnded { items, .. } = kind { *items } else { 0 });
    let Some(EventKind::RunEnded { completed, failed, cancelled, is_complete, .. }) = events.last() else {
        panic!("it did not end: {events:?}")
    };
    (batched.sum(), (*completed, *failed, *cancelled, *is_complete))
}

fn ways() -> [(&'static str, Parallel); 4] {
    [
        ("sequential", Parallel::new().backend(Backend::Sequential)),
        ("one worker", Parallel::new().n_jobs(1)),
        ("two workers", Parallel::new().n_jobs(2)),
        ("five workers, batches of 7", Parallel::new().n_jobs(5).batch_size(7)),
    ]
}

#[test]
fn a_run_on_threads_is_told_from_its_start_to_its_end() {
    for (way, parallel) in ways() {
        let log = Log::new();
        let parallel = parallel.observer(Arc::clone(&log));
        assert_eq!(parallel.map(0..10_000, |x| x + 1).unwrap().len(), 10_000);
        let label = log.events.lock().unwrap()[0].1.clone();
        let events = log.take();
        assert!(matches!(events[0], EventKind::RunStarted { total: Some(10_000), .. }), "{way}: {:?}", events[0]);
        assert_eq!((sums(&events), &*label), ((10_000, (10_000, 0, false, true)), "map"), "{way}");
        let last = log.last_ticks.lock().unwrap().pop().unwrap();
        assert_eq!((last.1, last.2), (10_000, true), "{way}");
        // The same `Parallel` again: another run.
        parallel.try_map(0..100, |x| if x == 40 { Err("no 40") } else { Ok(x) }).unwrap_err();
        let events = log.take();
        assert!(matches!(sums(&events).1, (_, 1, false, false)), "{way}: {events:?}");
        let failed = events.iter().find(|kind| kind.name() == "task_failed").unwrap();
        let EventKind::TaskFailed { index, attempts, kind, message, .. } = failed else { unreachable!() };
        assert_eq!((*index, *attempts, *kind, &**message), (40, 1, FailureKind::Error, "no 40"), "{way}");
    }
}

#[test]
fn each_task_is_told_to_who_wants_it() {
    for (way, parallel) in ways() {
        let log = Log::with_tasks();
        let parallel = parallel.observer(Arc::clone(&log)).on_error(OnError::Collect);
        let outcome = parallel.map_outcome(0..500_u32, |x| assert_ne!(x, 123)).unwrap();
        assert_eq!(outcome.failures().len(), 1);
        let events = log.take();
        let mut told: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        for event in &events {
            if let EventKind::TaskStarted { index, .. }
            | EventKind::TaskEnded { index, .. }
            | EventKind::TaskFailed { index, .. } = event
            {
                told.entry(*index).or_default().push(event.name());
            }
        }
        assert!(told.keys().copied().eq(0..500), "{way}");
        for (index, told) in told {
            let end = if index == 123 { "task_failed" } else { "task_ended" };
            assert_eq!(told, ["task_started", end], "{way}: item {index}");
        }
        assert_eq!(sums(&events), (500, (499, 1, false, false)), "{way}");
    }
}

#[test]
fn an_input_that_panics_and_a_cancelled_run_are_told() {
    let log = Log::new();
    let parallel = Parallel::new().n_jobs(2).observer(Arc::clone(&log));
    let items = (0..100).inspect(|x| assert!(*x < 7, "the input panics (this panic belongs to the test)"));
    parallel.map(items, |x| x).unwrap_err();
    let events = log.take();
    let failed: Vec<_> = events
        .iter()
        .filter_map(
            |kind| if let EventKind::TaskFailed { index, kind, .. } = kind { Some((*index, *kind)) } else { None },
        )
        .collect();
    assert_eq!(failed, [(7, FailureKind::Input)]);
    let token = CancelToken::new();
    let cancelled = parallel
        .cancel_token(&token)
        .map_outcome(0..100_000, |x| {
            if x == 50 {
                token.cancel()
            }
        })
        .unwrap();
    assert!(cancelled.is_cancelled());
    assert_eq!(sums(&log.take()).1, (cancelled.report().completed, 0, true, false));
}

static ATTEMPTS: AtomicU32 = AtomicU32::new(0);

#[larder::task]
fn flaky(x: u64) -> Result<u64, String> {
    match (x, ATTEMPTS.fetch_add(u32::from(x == 3), Relaxed)) {
        (3, 0) => Err("not yet".to_owned()),
        (3, 1) => panic!("nor now (this panic belongs to the test)"),
        _ => Ok(x),
    }
}

/// Index, attempt and words of each retry.
fn retries(events: &[EventKind]) -> Vec<(usize, u32, &str)> {
    let retry = |kind| match kind {
        &EventKind::TaskRetried { index, attempt, ref why, .. } => Some((index, attempt, &**why)),
        _ => None,
    };
    events.iter().filter_map(retry).collect()
}

#[test]
fn retries_on_threads_are_told_with_their_reason() {
    let log = Log::new();
    let parallel = Parallel::new().n_jobs(2).retries(2).observer(Arc::clone(&log));
    assert_eq!(parallel.run((0..8).map(|x| delayed!(flaky(x)))).unwrap().len(), 8);
    let events = log.take();
    assert_eq!(retries(&events), [(3, 2, "not yet"), (3, 3, "nor now (this panic belongs to the test)")]);
    assert_eq!(sums(&events), (8, (8, 0, false, true)));
}

#[larder::task]
fn squared(x: u64) -> u64 {
    x * x
}

/// The items that were hits, those that were misses, and how many hits and misses there are without an item.
fn lookups(events: &[EventKind]) -> (BTreeSet<usize>, BTreeSet<usize>, u64, u64) {
    let (mut hits, mut misses, mut more_hits, mut more_misses) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    for event in events {
        match *event {
            EventKind::CacheHit { index: Some(index), calls: 1, .. } => assert!(hits.insert(index)),
            EventKind::CacheHit { index: None, calls, .. } => more_hits += calls,
            EventKind::CacheMiss { index, calls, reason, .. } => {
                assert_eq!(reason, MissReason::NeverSeen);
                match index {
                    Some(index) => assert!(misses.insert(index)),
                    None => more_misses += calls,
                }
            }
            _ => {}
        }
    }
    (hits, misses, more_hits, more_misses)
}

#[test]
fn hits_and_misses_on_threads_are_told_for_each_item() {
    let place = tempfile::tempdir().unwrap();
    let memory = open(&place.path().join("cache"));
    for retries in [0, 1] {
        let log = Log::new();
        let parallel = Parallel::new().n_jobs(2).memory(&memory).retries(retries).observer(Arc::clone(&log));
        let first = u64::from(retries) * 1000;
        let run = |count: u64| parallel.run((first..first + count).map(|x| delayed!(squared(x)))).unwrap();
        run(20);
        assert_eq!(lookups(&log.take()), (BTreeSet::new(), (0..20).collect(), 0, 0));
        run(30);
        assert_eq!(lookups(&log.take()), ((0..20).collect(), (20..30).collect(), 0, 0));
    }
}

#[test]
fn an_observer_that_panics_is_left_out() {
    struct Panics(AtomicU32);
    impl Observer for Panics {
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Relaxed);
            panic!("the observer fails (this panic belongs to the test)");
        }
        fn wants_tasks(&self) -> bool {
            panic!("so it does when it is asked (this panic belongs to the test)");
        }
    }
    let (panics, log) = (Arc::new(Panics(AtomicU32::new(0))), Log::new());
    let parallel = Parallel::new().n_jobs(2).observer(Arc::clone(&panics)).observer(Arc::clone(&log));
    assert_eq!(parallel.map(0..1000, |x| x).unwrap().len(), 1000);
    assert_eq!((panics.0.load(Relaxed), sums(&log.take()).0), (1, 1000));
}

/// Waits in its first event until the other end is gone.
struct Gated(Mutex<Receiver<()>>);

impl Gated {
    fn new() -> (Sender<()>, Gated) {
        let (gate, closed) = mpsc::channel();
        (gate, Gated(Mutex::new(closed)))
    }
}

impl Observer for Gated {
    fn event(&self, _: &Event<'_>) {
        let _ = self.0.lock().unwrap().recv();
    }
}

/// A run would never end whose observer waits for what comes after it.
#[test]
fn an_observer_that_blocks_is_left_behind() {
    let (gate, gated) = Gated::new();
    let (ended, behind) = mpsc::channel();
    struct Behind(Mutex<Sender<&'static str>>);
    impl Observer for Behind {
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().send(event.kind.name()).unwrap();
        }
    }
    let sum: u64 = ends(move || {
        let parallel = Parallel::new().n_jobs(2).observer(gated).observer(Behind(Mutex::new(ended)));
        parallel.map(0..10_000_u64, |x| x).unwrap().into_iter().sum()
    });
    assert_eq!(sum, 49_995_000);
    assert!(behind.try_recv().is_err(), "who is behind it cannot have been told yet");
    drop(gate);
    let mut told = vec![behind.recv_timeout(FOREVER).unwrap()];
    while told.last() != Some(&"run_ended") {
        told.push(behind.recv_timeout(FOREVER).unwrap());
    }
    assert_eq!(told[0], "run_started");
}

#[test]
fn what_finds_no_room_is_counted() {
    struct Slow(Gated, Arc<Log>);
    impl Observer for Slow {
        fn event(&self, event: &Event<'_>) {
            self.0.event(event);
            self.1.event(event);
        }
        fn wants_tasks(&self) -> bool {
            true
        }
    }
    let (gate, gated) = Gated::new();
    let gate = Mutex::new(Some(gate));
    let log = Log::new();
    let parallel =
        Parallel::new().backend(Backend::Sequential).batch_size(1000).observer(Slow(gated, Arc::clone(&log)));
    const ITEMS: u64 = 20_000;
    // The last item lets the observer go on.
    parallel
        .map(0..ITEMS, |x| {
            if x + 1 == ITEMS {
                drop(gate.lock().unwrap().take())
            }
        })
        .unwrap();
    let events: Vec<_> = log.events.lock().unwrap().drain(..).map(|(.., kind)| kind).collect();
    let dropped: u64 =
        events.iter().map(|kind| if let EventKind::Dropped { events, .. } = kind { *events } else { 0 }).sum();
    let kept = events.iter().filter(|kind| kind.name() != "dropped").count() as u64;
    assert!(dropped > ITEMS / 2, "{dropped}");
    // Of the run, of its one worker, of 20 batches, and of each item.
    assert_eq!(kept + dropped, 2 + 2 + 2 * 20 + 2 * ITEMS);
    assert!(matches!(events.last(), Some(EventKind::RunEnded { completed: ITEMS, .. })));
}

#[test]
fn two_runs_at_once_share_an_observer() {
    let log = Log::new();
    let parallel = Parallel::new().n_jobs(2).observer(Arc::clone(&log));
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        for items in [1000_usize, 2000] {
            let (parallel, both) = (&parallel, &both);
            scope.spawn(move || {
                // Neither run ends before the other has begun.
                let work = |x| if x == 0 { both.wait().is_leader() } else { false };
                assert_eq!(parallel.map(0..items, work).unwrap().len(), items);
            });
        }
    });
    let mut runs: BTreeMap<RunId, Vec<EventKind>> = BTreeMap::new();
    for (run, label, kind) in log.events.lock().unwrap().drain(..) {
        assert_eq!(label, "map");
        runs.entry(run).or_default().push(kind);
    }
    runs.values().for_each(|events| check_order(events));
    let items: BTreeSet<_> = runs.values().map(|events| sums(events).0).collect();
    assert_eq!((runs.len(), items), (2, BTreeSet::from([1000, 2000])));
}

/// A writer whose text can be had afterwards.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn json_lines_tell_a_whole_run() {
    let kept = Kept::default();
    let parallel = Parallel::new().n_jobs(2).label("a \"run\"").on_error(OnError::Collect);
    let parallel = parallel.observer(JsonLines::new(kept.clone()).with_tasks());
    let outcome = parallel.try_map_outcome(0..100, |x| if x == 9 { Err("no\n9") } else { Ok(x) }).unwrap();
    assert_eq!(outcome.failures().len(), 1);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| objects.iter().filter(|object| object["event"] == name).collect::<Vec<_>>();
    assert!(objects.iter().all(|object| object["label"] == "a \"run\"" && object["at"].is_number()));
    assert_eq!((of("task_started").len(), of("task_ended").len()), (100, 99));
    let [failed] = of("task_failed")[..] else { panic!("{text}") };
    assert_eq!((&failed["index"], &failed["kind"], &failed["message"]), (&9.into(), &"error".into(), &"no\n9".into()));
    let progress = of("progress").pop().unwrap();
    assert_eq!((&progress["done"], &progress["finished"]), (&100.into(), &true.into()));
    assert_eq!(progress["per_worker"].as_array().unwrap().len(), 2);
    let end = objects.last().unwrap();
    assert_eq!((&end["event"], &end["completed"], &end["failed"]), (&"run_ended".into(), &99.into(), &1.into()));
}

#[cfg(all(unix, feature = "auto-worker"))]
mod processes {
    use std::path::Path;

    use super::*;

    fn processes() -> Parallel {
        Parallel::new().backend(Backend::Processes).n_jobs(2).inner_threads(1)
    }

    /// Fails in the first attempt, and kills its worker in the second; of those that are told to.
    #[larder::task]
    fn unlucky(x: u64, place: &str, kind: u32) -> u64 {
        let begun = |attempt: u32| Path::new(place).join(format!("{kind} {x} {attempt}"));
        let attempt = (1..).find(|attempt| !begun(*attempt).exists()).unwrap();
        std::fs::write(begun(attempt), "").unwrap();
        match (x % 50, kind, attempt) {
            (7, 1, 1) => panic!("no luck (this panic belongs to the test)"),
            (7, 2, _) => std::process::abort(),
            _ => x,
        }
    }

    #[test]
    fn a_run_on_processes_is_told_from_its_start_to_its_end() {
        let log = Log::with_tasks();
        let parallel = processes().observer(Arc::clone(&log));
        assert_eq!(parallel.run((0..3000).map(|x| delayed!(squared(x)))).unwrap().len(), 3000);
        let events = log.take();
        assert!(matches!(events[0], EventKind::RunStarted { backend: Backend::Processes, workers: 2, .. }));
        assert_eq!(sums(&events), (3000, (3000, 0, false, true)));
        let ended: BTreeSet<_> = events
            .iter()
            .filter_map(|kind| if let EventKind::TaskEnded { index, .. } = kind { Some(*index) } else { None })
            .collect();
        assert!(ended.into_iter().eq(0..3000));
        let pids = events.iter().filter(|kind| matches!(kind, EventKind::WorkerStarted { pid: Some(1..), .. }));
        assert!(pids.count() >= 1);
    }

    #[test]
    fn a_retry_on_processes_is_told() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().to_str().unwrap();
        let log = Log::new();
        let parallel = processes().retries(1).observer(Arc::clone(&log));
        parallel.run((0..20).map(|x| delayed!(unlucky(x, folder, 1)))).unwrap();
        let events = log.take();
        assert_eq!(retries(&events), [(7, 2, "no luck (this panic belongs to the test)")]);
    }

    #[test]
    fn a_death_is_told_with_the_words_of_the_end() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().to_str().unwrap();
        let log = Log::new();
        let parallel = processes().on_error(OnError::Collect).observer(Arc::clone(&log));
        let outcome = parallel.outcome((0..20).map(|x| delayed!(unlucky(x, folder, 2)))).unwrap();
        assert_eq!(outcome.failures().len(), 1);
        let events = log.take();
        let deaths: Vec<_> = events
            .iter()
            .filter_map(|kind| if let EventKind::WorkerDied { pid, why, .. } = kind { Some((*pid, why)) } else { None })
            .collect();
        assert_eq!(deaths.len() as u64, outcome.report().deaths);
        assert!(deaths.iter().all(|(pid, why)| pid.is_some() && why.contains("SIGABRT")), "{deaths:?}");
        let failed = events.iter().find(|kind| kind.name() == "task_failed").unwrap();
        assert!(matches!(failed, EventKind::TaskFailed { index: 7, kind: FailureKind::Death, .. }), "{failed:?}");
        assert_eq!(sums(&events).1, (19, 1, false, false));
    }

    #[test]
    fn hits_and_misses_on_processes_add_up() {
        let place = tempfile::tempdir().unwrap();
        let memory = open(&place.path().join("cache"));
        let log = Log::new();
        let parallel = processes().memory(&memory).observer(Arc::clone(&log));
        let run = |count: u64| parallel.run((0..count).map(|x| delayed!(squared(x)))).unwrap();
        run(20);
        assert_eq!(lookups(&log.take()), (BTreeSet::new(), BTreeSet::new(), 0, 20));
        run(30);
        assert_eq!(lookups(&log.take()), ((0..20).collect(), BTreeSet::new(), 0, 10));
    }
}
