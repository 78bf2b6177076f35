//! Runs of futures, on the runtime of whoever awaits them.
//!
//! There are no workers: the run is one future that holds those under way and polls what was woken. So it spawns nothing,
//! needs nothing of a runtime, and whoever drops it drops all of it.

use std::error::Error as StdError;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_util::stream::FuturesUnordered;

use super::batch::BatchSize;
use super::cancel::{CancelToken, Listener};
use super::failure::{self, Cause, Failure, OnError};
use super::feed::End;
use super::nesting::Inside;
use super::outcome::Outcome;
use super::progress::{EventKind, Meter, tell};
use super::report::RunReport;
use super::run::{came_to, exact};
use super::schedule::Schedule;
use super::stop::Stopped;
use super::tally::Tally;
use super::window::PreDispatch;
use super::written::Written;
use super::{Parallel, jobs};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::panics;
use crate::task::TaskError;

/// So many futures are under way at once unless the run says otherwise: they wait for others, mostly, and not for cores.
const UNDER_WAY: i32 = 64;

/// So many futures may end in one poll before whoever polls has a turn: tokio lets a task do as much in one go.
const ENDS_IN_ONE_POLL: usize = 128;

/// Runs of futures, which wait for something else than cores. With the feature `async`.
impl Parallel {
    /// Awaits the futures that a stream gives, [`n_jobs`](Parallel::n_jobs) of them under way at once (default: 64), and
    /// gives their `Ok` sides in the order of the stream.
    ///
    /// It runs where it is awaited: on tokio, smol, or any other runtime, within the one task that awaits it. Nothing is
    /// spawned, so what a future does between two waits holds up the others, and computing belongs to
    /// [`map`](Parallel::map). If the stream and the futures are `Send`, so is the run. The stream is asked for a future only when there is room for it, so it may
    /// be endless. Nothing happens before the run is awaited; options and the [scope](crate::Config::scope) are those at the
    /// call.
    ///
    /// With [`OnError::FailFast`] the first failure ends the run, and drops what is under way. A panic of a future is its
    /// failure. A [token](Parallel::cancel_token) that is cancelled wakes the run, which then drops what is under way.
    /// Progress and labels are as in other runs; all is done by one worker. What is shown of the end is waited for on the spot.
    ///
    /// # Errors
    /// A future gave an `Err` or panicked, or the stream panicked: the error holds a [`Failure`] with the future's index.
    /// Or the run was cancelled; or an option means nothing for futures: a batch size, a schedule, retries,
    /// [`Backend::Processes`]. Those of a scope are passed over.
    ///
    /// # Cancellation
    /// Dropped before its end, the run drops all futures under way, and the stream.
    ///
    /// # Examples
    /// ```
    /// use futures::{executor::block_on, stream};
    /// use larder::Parallel;
    ///
    /// async fn fetch(page: u32) -> Result<String, std::io::Error> {
    ///     Ok(format!("page {page}")) // imagine a server here
    /// }
    ///
    /// let pages = Parallel::new().n_jobs(8).run_async(stream::iter((1..=100).map(fetch)));
    /// assert_eq!(block_on(pages)?[99], "page 100");
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn run_async<S, R, E>(&self, futures: S) -> impl Future<Output = Result<Vec<R>>> + use<S, R, E>
    where
        S: Stream,
        S::Item: Future<Output = std::result::Result<R, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let outcome = self.run_async_outcome(futures);
        async move { Ok(outcome.await?.into_values()?) }
    }

    /// Awaits futures as [`run_async`](Parallel::run_async) does, and gives every result and every failure.
    ///
    /// # Errors
    /// Only what keeps the run from starting: an option means nothing for futures.
    ///
    /// # Examples
    /// ```
    /// use futures::{executor::block_on, stream};
    /// use larder::{OnError, Parallel};
    ///
    /// async fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
    ///     text.parse()
    /// }
    ///
    /// let parallel = Parallel::new().on_error(OnError::Collect);
    /// let outcome = block_on(parallel.run_async_outcome(stream::iter(["1", "two", "3"].map(parse))))?;
    /// assert_eq!(outcome.results(), [Some(1), None, Some(3)]);
    /// assert_eq!(outcome.failures()[0].index(), 1);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn run_async_outcome<S, R, E>(&self, futures: S) -> impl Future<Output = Result<Outcome<R>>> + use<S, R, E>
    where
        S: Stream,
        S::Item: Future<Output = std::result::Result<R, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let plan = self.plan();
        async move {
            let (parallel, most) = plan?;
            run(parallel, most, futures).await
        }
    }

    /// What holds for a run of futures, and how many are under way at once.
    ///
    /// # Errors
    /// An option means nothing.
    fn plan(&self) -> Result<(Parallel, usize)> {
        let refused = |option: &str, value: &dyn fmt::Debug, why: &str| {
            Err(Error::invalid_option(format!("`{option}` is `{value:?}`, and {why}, so leave it out for `run_async`")))
        };
        let options = &self.options;
        match options.backend {
            Some(backend @ Backend::Processes) => {
                return refused("backend", &backend, "a future runs where it is awaited");
            }
            Some(Backend::Sequential | Backend::Threads) | None => {}
        }
        if options.batch_size != BatchSize::Auto {
            return refused("batch_size", &options.batch_size, "futures are begun one by one");
        }
        if options.schedule != Schedule::Auto {
            return refused("schedule", &options.schedule, "there are no workers to share futures out among");
        }
        if options.retry.is_on() {
            return refused("retries", &options.retry.most(), "a future cannot be awaited again: try again within it");
        }
        if let Some(timeout) = &options.timeout {
            return refused(
                "timeout_per_task",
                timeout,
                "only a runtime knows the time: put a timeout around the future",
            );
        }
        if let Some(deadline) = &options.deadline {
            return refused("deadline", deadline, "only a runtime knows the time: put a timeout around the run");
        }
        if let Some(halt) = &options.halt {
            return refused("halt", halt, "the stream can end itself");
        }
        if options.pre_dispatch != PreDispatch::Auto {
            return refused(
                "pre_dispatch",
                &options.pre_dispatch,
                "no more is taken from the stream than is under way",
            );
        }
        if options.on_error == OnError::MaxFailures(0) {
            return Err(Error::invalid_option(failure::NO_FAILURES));
        }
        let parallel = self.settled()?;
        let n_jobs = parallel.options.n_jobs.unwrap_or(UNDER_WAY);
        let most = jobs::resolve(n_jobs, || *parallel.cores.get_or_init(jobs::cpu_count))?;
        let most = if parallel.options.backend == Some(Backend::Sequential) { 1 } else { most };
        Ok((parallel, most))
    }
}

/// A run from its first poll to its end.
async fn run<S, R, E>(parallel: Parallel, most: usize, stream: S) -> Result<Outcome<R>>
where
    S: Stream,
    S::Item: Future<Output = std::result::Result<R, E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let total = exact(stream.size_hint());
    let watched = parallel.watch(1, total, "run_async");
    let mut state = State::new(most, parallel.options.on_error, watched.as_ref().map(|watched| &*watched.meter));
    let token = parallel.options.cancel.clone();
    let listener = token.as_ref().map(CancelToken::listener);
    let began = Instant::now();
    let ran = {
        let mut stream = pin!(stream);
        let mut under_way = FuturesUnordered::new();
        let ran = std::future::poll_fn(|context| {
            // Futures that are runs themselves are polled on this stack.
            let _inside = match Inside::enter() {
                Ok(inside) => inside,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let began = Instant::now();
            let polled = state.poll(context, stream.as_mut(), &mut under_way, caught, listener.as_ref());
            state.busy += began.elapsed();
            polled.map(Ok)
        })
        .await;
        // As with items that are not run, a panic at their end is nobody's failure.
        let _ = panics::catch(|| drop(under_way));
        ran
    };
    let is_cancelled = token.is_some_and(|token| token.is_cancelled());
    let outcome = ran.map(|()| {
        let (end, report) = state.end(total, is_cancelled, began.elapsed());
        came_to(watched.as_ref(), &end);
        Outcome::new(end, report, total, None)
    });
    if let Some(watched) = watched {
        watched.finish(outcome.as_ref().is_ok_and(Outcome::is_complete));
    }
    outcome
}

/// Awaits a future; a panic of its own is its failure. Gives its index back with what came of it.
async fn caught<F, R, E>(index: usize, future: F) -> (usize, std::result::Result<R, Cause>)
where
    F: Future<Output = std::result::Result<R, E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut future = pin!(Some(future));
    let ended = std::future::poll_fn(|context| {
        let polled = panics::catch(|| match future.as_mut().as_pin_mut() {
            Some(future) => future.poll(context).map_err(|error| Cause::Erred(TaskError::from_error(error.into()))),
            None => Poll::Pending,
        });
        polled.unwrap_or_else(|panic| Poll::Ready(Err(Cause::Panicked(panic))))
    })
    .await;
    match (ended, panics::catch(|| future.set(None))) {
        (Ok(_), Err(panic)) => (index, Err(Cause::Panicked(panic))),
        (ended, _) => (index, ended),
    }
}

/// Where a run stands.
struct State<'m, R> {
    most: usize,
    on_error: OnError,
    meter: Option<&'m Meter>,
    /// How many futures were taken from the stream; one that it could not give counts too.
    read: usize,
    /// The stream is not asked any more.
    ended: bool,
    /// In the order of their ends.
    results: Vec<(usize, R)>,
    failures: Vec<Failure>,
    /// The time spent in polls.
    busy: Duration,
}

impl<'m, R> State<'m, R> {
    fn new(most: usize, on_error: OnError, meter: Option<&'m Meter>) -> State<'m, R> {
        State {
            most,
            on_error,
            meter,
            read: 0,
            ended: false,
            results: Vec::new(),
            failures: Vec::new(),
            busy: Duration::ZERO,
        }
    }

    /// Begins futures while there is room, and polls those that were woken. Ready when the run is over.
    fn poll<S, F>(
        &mut self,
        context: &mut Context<'_>,
        mut stream: Pin<&mut S>,
        under_way: &mut FuturesUnordered<F>,
        begin: impl Fn(usize, S::Item) -> F,
        listener: Option<&Listener>,
    ) -> Poll<()>
    where
        S: Stream,
        F: Future<Output = (usize, std::result::Result<R, Cause>)>,
    {
        if let Some(listener) = listener {
            listener.listen(context.waker());
        }
        for _ in 0..ENDS_IN_ONE_POLL {
            while under_way.len() < self.most && !self.ended && !self.is_stopped(listener) {
                match panics::catch(|| stream.as_mut().poll_next(context)) {
                    Ok(Poll::Pending) => break,
                    Ok(Poll::Ready(Some(future))) => {
                        under_way.push(begin(self.read, future));
                        self.read += 1;
                    }
                    // Neither a stream that ended nor one that panicked is to be asked again.
                    Ok(Poll::Ready(None)) => self.ended = true,
                    Err(panic) => {
                        self.ended = true;
                        self.read += 1;
                        self.fail(self.read - 1, 0, Cause::Input(panic));
                    }
                }
            }
            if self.is_stopped(listener) {
                return Poll::Ready(());
            }
            match Pin::new(&mut *under_way).poll_next(context) {
                Poll::Ready(Some((index, Ok(value)))) => {
                    self.count();
                    self.results.push((index, value));
                }
                Poll::Ready(Some((index, Err(cause)))) => self.fail(index, 1, cause),
                Poll::Ready(None) if self.ended => return Poll::Ready(()),
                // Either a future wakes the run, or the stream, which was asked above.
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether nothing more is to be begun or awaited.
    fn is_stopped(&self, listener: Option<&Listener>) -> bool {
        self.has_failed() || listener.is_some_and(Listener::is_cancelled)
    }

    /// Whether so many failed that it is over.
    fn has_failed(&self) -> bool {
        self.on_error.ends_at(self.failures.len() as u64)
    }

    fn fail(&mut self, index: usize, attempts: u32, cause: Cause) {
        if self.on_error.goes_on() {
            // It is over, as the others are.
            self.count();
        }
        let failure = Failure { index, task: None, arguments: None, worker: 0, attempts, took: None, cause };
        // What the stream could not give is told at the end, as in other runs.
        if attempts > 0 {
            tell(self.meter, || EventKind::failed(&failure));
        }
        self.failures.push(failure);
    }

    fn count(&self) {
        if let Some(meter) = self.meter {
            meter.add(0, 1);
        }
    }

    /// What came of the run.
    fn end<'s>(mut self, total: Option<usize>, is_cancelled: bool, elapsed: Duration) -> (End<'s, R>, RunReport)
    where
        R: 's,
    {
        let has_failed = self.has_failed();
        self.results.sort_unstable_by_key(|(index, _)| *index);
        self.failures.sort_by_key(Failure::index);
        let mut report = RunReport::new(1);
        (report.elapsed, report.items) = (elapsed, self.read as u64);
        (report.completed, report.failed) = (self.results.len() as u64, self.failures.len() as u64);
        (report.workers[0].items, report.workers[0].busy) = (report.completed + report.failed, self.busy);
        let done = self.results.len() + self.failures.len();
        let is_whole = done == self.read && (self.ended || (self.read > 0 && total == Some(self.read)));
        let ended = self.ended && !self.failures.iter().any(|failure| matches!(failure.cause, Cause::Input(_)));
        let mut written: Vec<Written<'s, R>> = Vec::new();
        for (index, value) in self.results {
            match written.last_mut() {
                Some(Written::Apart { start, values }) if *start + values.len() == index => values.push(value),
                _ => written.push(Written::Apart { start: index, values: vec![value] }),
            }
        }
        let stopped = match (is_whole, has_failed, is_cancelled) {
            (true, ..) => None,
            (false, true, _) => Some(Stopped::Failure),
            (false, false, true) => Some(Stopped::Cancelled),
            (false, false, false) => None,
        };
        let (failures, read, tally) = (self.failures, self.read, Tally::of(&report));
        (End { written, failures, tally, read, ended, is_whole, stopped }, report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that can be moved to another thread can be given to a runtime that has several.
    fn assert_send<T: Send + 'static>(_: T) {}

    #[test]
    fn a_run_of_what_can_be_sent_can_be_sent_and_holds_nothing_of_its_parallel() {
        let parallel =
            Parallel::new().n_jobs(2).progress(super::super::Progress::Bar).cancel_token(&CancelToken::new());
        let futures = || futures::stream::iter((0..3).map(|x| async move { Ok::<_, String>(x) }));
        assert_send(parallel.run_async(futures()));
        assert_send(parallel.run_async_outcome(futures()));
    }

    #[test]
    fn results_are_put_in_order_with_their_gaps() {
        let mut state = State::new(3, OnError::Collect, None);
        (state.read, state.ended) = (5, true);
        state.results = vec![(4, 'e'), (1, 'b'), (0, 'a'), (2, 'c')];
        state.fail(3, 1, Cause::Erred(TaskError::from_message("no".to_owned())));
        let (end, report) = state.end(None, true, Duration::ZERO);
        let outcome = Outcome::new(end, report, None, None);
        assert_eq!(outcome.results(), [Some('a'), Some('b'), Some('c'), None, Some('e')]);
        let report = outcome.report();
        assert_eq!((report.items, report.completed, report.failed, report.workers[0].items), (5, 4, 1, 5));
        assert!(!outcome.is_cancelled(), "it came too late");
    }
}
