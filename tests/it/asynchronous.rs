//! Runs of futures: on any runtime, so many at once, in order, and nothing left of what did not come to its end.

use std::cell::Cell;
use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures::executor::block_on;
use futures::{Stream, stream};
use larder::{Backend, CancelToken, FailureKind, OnError, Parallel, Progress, Require, Schedule, config};

use crate::support::ends;

type Boxed<'f, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'f>>;

/// Lets others have a turn so many times.
struct Turns(usize);

impl Future for Turns {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Adds one as long as it lives.
struct Alive<'c>(&'c Cell<usize>);

impl<'c> Alive<'c> {
    fn new(count: &'c Cell<usize>) -> Alive<'c> {
        count.set(count.get() + 1);
        Alive(count)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// A waker that counts.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Woken>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn so_many_are_under_way_and_results_come_in_order() {
    for (n_jobs, under_way) in [(Some(1), 1), (Some(2), 2), (Some(7), 7), (Some(500), 100), (None, 64)] {
        let (alive, most, read) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let futures = stream::iter((0..100_usize).map(|x| {
            read.set(read.get() + 1);
            let (alive, most) = (&alive, &most);
            async move {
                let _alive = Alive::new(alive);
                most.set(most.get().max(alive.get()));
                // The later they begin, the sooner they end.
                Turns(200 - 2 * x).await;
                Ok::<_, String>(x)
            }
        }));
        let parallel = n_jobs.map_or(Parallel::new(), |n_jobs| Parallel::new().n_jobs(n_jobs));
        assert_eq!(block_on(parallel.run_async(futures)).unwrap(), (0..100).collect::<Vec<_>>(), "{n_jobs:?}");
        assert_eq!((most.get(), alive.get(), read.get()), (under_way, 0, 100), "{n_jobs:?}");
    }
}

#[test]
fn the_stream_is_asked_only_when_there_is_room() {
    let (read, done) = (Cell::new(0_usize), Cell::new(0_usize));
    let futures = stream::iter((0..50).map(|x| {
        read.set(read.get() + 1);
        assert!(read.get() - done.get() <= 3, "{} read, {} done", read.get(), done.get());
        let done = &done;
        async move {
            Turns(x % 5).await;
            done.set(done.get() + 1);
            Ok::<_, String>(x)
        }
    }));
    assert_eq!(block_on(Parallel::new().n_jobs(3).run_async(futures)).unwrap().len(), 50);
}

#[test]
fn nothing_begins_before_it_is_awaited() {
    let begun = Cell::new(false);
    let futures = stream::iter(std::iter::once_with(|| {
        begun.set(true);
        ready(Ok::<_, String>(1))
    }));
    let run = Parallel::new().run_async(futures);
    assert!(!begun.get());
    assert_eq!(block_on(run).unwrap(), [1]);
}

#[test]
fn a_stream_may_be_empty_or_keep_one_waiting() {
    let none = stream::empty::<std::future::Ready<Result<u8, String>>>();
    assert_eq!(block_on(Parallel::new().run_async(none)).unwrap(), [0; 0]);
    // What another thread sends, one by one, each when the one before is done.
    let (sender, receiver) = mpsc::sync_channel::<(u32, Waker)>(1);
    let waits = thread::spawn(move || receiver.iter().map(|(x, waker)| (x, waker.wake()).0).collect::<Vec<_>>());
    let mut next = 0;
    let mut asked = false;
    let slow = stream::poll_fn(move |context| {
        if next == 5 {
            return Poll::Ready(None);
        }
        asked = !asked;
        if asked {
            sender.send((next, context.waker().clone())).unwrap();
            return Poll::Pending;
        }
        next += 1;
        Poll::Ready(Some(ready(Ok::<_, String>(next))))
    });
    let found = ends(move || block_on(Parallel::new().n_jobs(2).run_async(slow)).unwrap());
    assert_eq!(found, [1, 2, 3, 4, 5]);
    waits.join().unwrap();
}

/// What a bad future ends with.
type Bad = fn() -> Result<usize, String>;

/// Futures of which the one at 3 does `bad`, and those from 10 on would wait for ever.
fn with_a_bad_one<'c>(
    alive: &'c Cell<usize>,
    begun: &'c Cell<usize>,
    bad: Bad,
) -> impl Stream<Item = impl Future<Output = Result<usize, String>>> {
    stream::iter((0..20).map(move |x| async move {
        let _alive = Alive::new(alive);
        begun.set(begun.get() + 1);
        Turns(1).await;
        match x {
            3 => bad(),
            10.. => pending().await,
            x => Ok(x),
        }
    }))
}

#[test]
fn the_first_failure_ends_the_run_and_drops_what_is_under_way() {
    let no = || Err("no".to_owned());
    let panics = || panic!("no (this panic belongs to the test)");
    let bads: [(Bad, FailureKind); 2] = [(no, FailureKind::Error), (panics, FailureKind::Panic)];
    for (bad, kind) in bads {
        let (alive, begun) = (Cell::new(0), Cell::new(0));
        let error = block_on(Parallel::new().n_jobs(6).run_async(with_a_bad_one(&alive, &begun, bad))).unwrap_err();
        let failure = error.task_failure().unwrap();
        assert_eq!((failure.index(), failure.kind(), failure.attempts(), failure.worker()), (3, kind, 1, 0));
        assert!(failure.message().starts_with("no"), "{failure}");
        assert_eq!(
            failure.location().is_some_and(|place| place.contains("asynchronous.rs")),
            kind == FailureKind::Panic
        );
        assert_eq!(alive.get(), 0);
        assert!(begun.get() < 20, "what waits for ever would keep the run, were it begun by more than six");

        let outcome =
            block_on(Parallel::new().n_jobs(4).run_async_outcome(with_a_bad_one(&alive, &begun, bad))).unwrap();
        assert_eq!(outcome.results()[..4], [Some(0), Some(1), Some(2), None], "what was done before is kept");
        assert_eq!((outcome.results().len(), outcome.failures().len(), outcome.is_complete()), (20, 1, false));
        assert_eq!(alive.get(), 0);
    }
}

#[test]
fn collected_failures_cost_no_other_result() {
    let check = |x: u32| async move {
        Turns(x as usize % 3).await;
        assert_ne!(x, 5, "(this panic belongs to the test)");
        if x % 4 == 3 { Err(format!("{x} is bad")) } else { Ok(x) }
    };
    let parallel = Parallel::new().n_jobs(3).on_error(OnError::Collect);
    let outcome = block_on(parallel.run_async_outcome(stream::iter((0..9).map(check)))).unwrap();
    assert_eq!(outcome.results(), [Some(0), Some(1), Some(2), None, Some(4), None, Some(6), None, Some(8)]);
    let failed: Vec<_> = outcome.failures().iter().map(|failure| (failure.index(), failure.is_panic())).collect();
    assert_eq!(failed, [(3, false), (5, true), (7, false)]);
    let report = outcome.report();
    assert_eq!((report.items, report.completed, report.failed, report.workers.len()), (9, 6, 3, 1));
    let error = block_on(parallel.run_async(stream::iter((0..9).map(check)))).unwrap_err();
    assert_eq!(error.to_string(), "task 3 failed on worker 0: 3 is bad (and 2 more failed)");
}

/// A future whose end panics.
struct BadEnd(usize);

impl Future for BadEnd {
    type Output = Result<usize, String>;
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if self.0 == 9 { Poll::Pending } else { Poll::Ready(Ok(self.0)) }
    }
}

impl Drop for BadEnd {
    fn drop(&mut self) {
        assert!(self.0 < 2, "(this panic belongs to the test)");
    }
}

#[test]
fn a_panic_at_the_end_of_a_future_is_its_failure() {
    let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
    let outcome = block_on(parallel.run_async_outcome(stream::iter([0, 2, 1].map(BadEnd)))).unwrap();
    assert_eq!(outcome.results(), [Some(0), None, Some(1)]);
    assert!(outcome.failures()[0].is_panic());
    // Of one that is dropped under way it is nobody's.
    let token = CancelToken::new();
    let cancels = async {
        token.cancel();
        Turns(1).await;
        Ok(1)
    };
    let futures: [Boxed<'_, usize>; 2] = [Box::pin(BadEnd(9)), Box::pin(cancels)];
    let parallel = Parallel::new().cancel_token(&token);
    assert!(block_on(parallel.run_async(stream::iter(futures))).unwrap_err().is_cancelled());
}

#[test]
fn a_stream_that_panics_is_a_failure_and_is_not_asked_again() {
    for on_error in [OnError::FailFast, OnError::Collect] {
        let futures = stream::iter((0..).map(|x| {
            assert_ne!(x, 4, "(this panic belongs to the test)");
            assert!(x < 4, "it is not asked again");
            ready(Ok::<_, String>(x))
        }));
        let parallel = Parallel::new().n_jobs(2).on_error(on_error);
        let outcome = block_on(parallel.run_async_outcome(futures)).unwrap();
        let failure = &outcome.failures()[0];
        assert_eq!((failure.index(), failure.kind(), failure.attempts()), (4, FailureKind::Input, 0));
        assert_eq!(outcome.failures().len(), 1);
        assert_eq!(outcome.results()[..3], [Some(0), Some(1), Some(2)]);
    }
}

#[test]
fn a_token_ends_a_run_that_nothing_else_would_wake() {
    // From a future, of an endless stream.
    let token = CancelToken::new();
    let futures = stream::iter(0_usize..).map_with(|x| {
        let token = &token;
        async move {
            if x == 1000 {
                token.cancel();
            }
            Ok::<_, String>(x)
        }
    });
    let outcome = block_on(Parallel::new().n_jobs(4).cancel_token(&token).run_async_outcome(futures)).unwrap();
    assert!(outcome.is_cancelled());
    assert_eq!((outcome.results()[999], outcome.results()[1000]), (Some(999), Some(1000)));

    // From another thread, once the run waits; and before it began.
    for waits in [true, false] {
        let token = CancelToken::new();
        let parallel = Parallel::new().n_jobs(3).cancel_token(&token);
        let (begun, all_begun) = mpsc::channel();
        let cancels = thread::spawn(move || {
            if waits {
                (0..3).for_each(|_| all_begun.recv().unwrap());
            }
            token.cancel();
        });
        if !waits {
            cancels.join().unwrap();
        }
        let error = ends(move || {
            let futures = stream::repeat_with(move || {
                begun.send(()).unwrap_or_default();
                pending::<Result<u8, String>>()
            });
            block_on(parallel.run_async(futures)).unwrap_err()
        });
        assert!(error.is_cancelled(), "{error}");
        assert!(error.to_string().starts_with("the run was cancelled after 0 items"), "{error}");
    }
    // A stream that gives nothing, and a token that comes too late.
    let token = CancelToken::new();
    let late = Parallel::new().cancel_token(&token);
    assert_eq!(block_on(late.run_async(stream::iter([ready(Ok::<_, String>(1))]))).unwrap(), [1]);
    let run = late.run_async(stream::pending::<std::future::Ready<Result<u8, String>>>());
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut run = pin!(run);
    assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    token.cancel();
    assert_eq!(woken.0.load(Relaxed), 1);
    let Poll::Ready(ended) = run.poll(&mut Context::from_waker(&waker)) else { panic!("it is cancelled") };
    assert!(ended.unwrap_err().is_cancelled());
}

/// `map` of iterators, by a stream of theirs.
trait MapWith<T> {
    fn map_with<U>(self, f: impl FnMut(T) -> U) -> impl Stream<Item = U>;
}

impl<I: Iterator<Item = T>, T> MapWith<T> for stream::Iter<I> {
    fn map_with<U>(self, f: impl FnMut(T) -> U) -> impl Stream<Item = U> {
        futures::StreamExt::map(self, f)
    }
}

#[test]
fn an_endless_run_lets_others_have_their_turn() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let read = Cell::new(0_usize);
    let futures = stream::repeat_with(|| {
        read.set(read.get() + 1);
        ready(Ok::<_, String>(1))
    });
    let mut run = Box::pin(Parallel::new().n_jobs(2).run_async(futures));
    for polls in 1..=3 {
        assert!(run.as_mut().poll(&mut context).is_pending());
        assert!(woken.0.load(Relaxed) >= polls, "it wants to go on");
    }
    assert!((300..1000).contains(&read.get()), "{} futures in three polls", read.get());
}

#[test]
fn a_run_that_is_dropped_drops_what_is_under_way() {
    let (alive, begun) = (Cell::new(0), Cell::new(0));
    let mut run = Box::pin(Parallel::new().n_jobs(5).run_async(with_a_bad_one(&alive, &begun, || Ok(3))));
    assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(alive.get() > 0);
    drop(run);
    assert_eq!(alive.get(), 0);
}

#[test]
fn what_means_nothing_for_futures_is_refused_by_name() {
    let parallel = || Parallel::new().n_jobs(2);
    for (parallel, option) in [
        (parallel().backend(Backend::Processes), "`backend` is `Processes`, and a future runs where it is awaited"),
        (parallel().batch_size(3), "`batch_size` is `Fixed(3)`"),
        (parallel().schedule(Schedule::TopPicking), "`schedule` is `TopPicking`"),
        (parallel().retries(2), "`retries` is `2`, and a future cannot be awaited again"),
        (parallel().n_jobs(0), "`n_jobs` is 0: "),
    ] {
        let error = block_on(parallel.run_async(stream::iter([ready(Ok::<_, String>(1))]))).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().starts_with(option), "{error}");
    }
}

#[test]
fn a_scope_says_how_many_and_cannot_send_futures_away() {
    let under_way = |parallel: &Parallel| {
        let (alive, most) = (Cell::new(0), Cell::new(0));
        let futures = stream::iter((0..9).map(|_| async {
            let _alive = Alive::new(&alive);
            most.set(most.get().max(alive.get()));
            Turns(1).await;
            Ok::<_, String>(larder::effective_n_jobs(None).unwrap())
        }));
        let seen = block_on(parallel.run_async(futures)).unwrap();
        // What a future starts is its own affair: the scope is not seen there.
        assert_eq!(seen, [larder::cpu_count(); 9]);
        most.get()
    };
    assert_eq!(under_way(&Parallel::new()), 9);
    config().n_jobs(2).backend(Backend::Processes).require(Require::SharedMemory).scope(|| {
        assert_eq!((under_way(&Parallel::new()), under_way(&Parallel::new().n_jobs(4))), (2, 4));
        config().backend(Backend::Sequential).scope(|| assert_eq!(under_way(&Parallel::new()), 1));
    });
}

#[test]
fn progress_is_told_of_futures() {
    let (told, ends) = mpsc::channel();
    let progress = Progress::callback(move |now| {
        if now.finished() {
            told.send((now.total(), now.done(), now.completed())).unwrap();
        }
    });
    let parallel = Parallel::new().progress(progress).on_error(OnError::Collect);
    let check = |x: u32| ready(if x == 2 { Err("no") } else { Ok(x) });
    block_on(parallel.run_async(stream::iter((0..2).map(check)))).unwrap();
    block_on(parallel.run_async(stream::iter((0..4).map(check)))).unwrap_err();
    drop(parallel);
    assert_eq!(ends.iter().collect::<Vec<_>>(), [(Some(2), 2, true), (Some(4), 4, false)]);
}

#[test]
fn a_run_of_runs_without_end_is_an_error() {
    fn deeper() -> Boxed<'static, u32> {
        Box::pin(async move {
            let inner = Parallel::new().run_async(stream::iter([deeper()]));
            inner.await.map(|found| found[0]).map_err(|error| error.to_string())
        })
    }
    let text = ends(|| block_on(deeper()).unwrap_err());
    assert!(text.contains("this run would be number 25 of runs"), "{text}");
}
