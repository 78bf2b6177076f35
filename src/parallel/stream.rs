//! Runs whose results are taken one after the other, while the others are computed.
//!
//! A stream owns its run: the work goes on in threads of its own (or, with one worker, in `next` itself), results wait on a
//! [shelf](super::shelf) for whoever iterates, and the [window](super::window) keeps the workers from running away from it.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use super::Parallel;
use super::dispatch;
use super::feed::Feed;
use super::nesting::{self, Here, Inside};
use super::progress::{Meter, Watched};
use super::report::RunReport;
use super::run::{Gather, came_to, length_of};
use super::shelf::{Order, Piece, Shelf};
use super::stop::Stopped;
use super::watch::Watch;
use super::work::{self, Work};
use crate::error::{Error, Kind, Result};
use crate::lock::lock;
use crate::task::{Delayed, Task};

/// The results of a run in the order of the input, as they come. Made by [`Parallel::stream`], [`Parallel::map_stream`]
/// and [`Parallel::try_map_stream`].
///
/// With [`OnError::FailFast`](crate::OnError::FailFast) an `Err` is the last item; otherwise it stands in the place of the
/// result, and the others follow. A run that is cancelled or comes to its deadline ends with an `Err` that says so.
///
/// Dropping it ends its run and no other: no further item is started, what is running on threads is finished and waited
/// for, what is running in worker processes is broken off.
#[must_use = "dropping a stream ends its run"]
pub struct Stream<R> {
    results: Results<R>,
}

/// The results of a run as they come, the quickest first, each with its position in the input. Made by
/// [`Parallel::stream_unordered`] and its like.
///
/// An `Err` that is a task's failure says its position too. Otherwise as [`Stream`]; after the failure that ends a run
/// come the results of what was running.
#[must_use = "dropping a stream ends its run"]
pub struct UnorderedStream<R> {
    results: Results<R>,
}

impl<R> Stream<R> {
    /// What the run did, in numbers; once the stream has ended.
    pub fn report(&self) -> Option<&RunReport> {
        self.results.ended.as_ref().map(|ended| &ended.report)
    }

    /// Why it ended before its input; `None` if it did not, or has not ended.
    pub fn stopped(&self) -> Option<Stopped> {
        self.results.ended.as_ref()?.stopped
    }
}

impl<R> UnorderedStream<R> {
    /// What the run did, in numbers; once the stream has ended.
    pub fn report(&self) -> Option<&RunReport> {
        self.results.ended.as_ref().map(|ended| &ended.report)
    }

    /// Why it ended before its input; `None` if it did not, or has not ended.
    pub fn stopped(&self) -> Option<Stopped> {
        self.results.ended.as_ref()?.stopped
    }
}

impl<R> Iterator for Stream<R> {
    type Item = Result<R>;

    #[inline]
    fn next(&mut self) -> Option<Result<R>> {
        Some(self.results.next()?.map(|(_, value)| value))
    }
}

impl<R> Iterator for UnorderedStream<R> {
    type Item = Result<(usize, R)>;

    #[inline]
    fn next(&mut self) -> Option<Result<(usize, R)>> {
        self.results.next()
    }
}

impl<R> FusedIterator for Stream<R> {}
impl<R> FusedIterator for UnorderedStream<R> {}

impl<R> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("ended", &self.results.ended).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for UnorderedStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnorderedStream").field("ended", &self.results.ended).finish_non_exhaustive()
    }
}

/// Streams: runs that go on while their results are taken.
///
/// Inputs, closures and arguments live as long as the stream and so cannot borrow: what many calls share is moved in, an
/// `Arc` or a [`Payload`](crate::Payload).
impl Parallel {
    /// Runs delayed calls and gives their results in order, as they come: joblib's `return_as="generator"`.
    ///
    /// The work starts at once; with one worker, when a result is asked for. No more is read of the input than
    /// [`pre_dispatch`](Parallel::pre_dispatch) lets, by default two batches for each worker, counted until a result is taken
    /// from the stream: an endless input with a slow consumer takes no more memory than that.
    ///
    /// # Errors
    /// An option means nothing, or the system refuses threads. What fails in the run is in the stream.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn square(x: u64) -> u64 {
    ///     x * x
    /// }
    ///
    /// let mut sum = 0;
    /// for square in Parallel::new().n_jobs(2).stream((0..).map(|x| delayed!(square(x))))? {
    ///     sum += square?;
    ///     if sum > 1000 {
    ///         break; // the stream is dropped, and with it the rest of the endless run
    ///     }
    /// }
    /// assert_eq!(sum, 1015);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn stream<T, I>(&self, calls: I) -> Result<Stream<T::Value>>
    where
        T: Task,
        T::Args<'static>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'static, T>>,
        I::IntoIter: Send + 'static,
    {
        Ok(Stream { results: self.calls(Streamed(Order::OfInput), boxed(calls))? })
    }

    /// As [`stream`](Parallel::stream), each result as soon as it is there: joblib's `return_as="generator_unordered"`.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn stream_unordered<T, I>(&self, calls: I) -> Result<UnorderedStream<T::Value>>
    where
        T: Task,
        T::Args<'static>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'static, T>>,
        I::IntoIter: Send + 'static,
    {
        Ok(UnorderedStream { results: self.calls(Streamed(Order::AsTheyCome), boxed(calls))? })
    }

    /// Calls `function` with each item and gives the results in order, as they come; see [`stream`](Parallel::stream).
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn map_stream<I, R, F>(&self, items: I, function: F) -> Result<Stream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
    {
        Ok(Stream { results: self.closure(Streamed(Order::OfInput), boxed(items), work::Closure::new(function))? })
    }

    /// As [`map_stream`](Parallel::map_stream), each result as soon as it is there, with its position.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    ///
    /// # Examples
    /// ```
    /// let mut squares = [0; 5];
    /// for square in larder::Parallel::new().n_jobs(2).map_stream_unordered(0..5, |x| x * x)? {
    ///     let (index, square) = square?;
    ///     squares[index] = square;
    /// }
    /// assert_eq!(squares, [0, 1, 4, 9, 16]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn map_stream_unordered<I, R, F>(&self, items: I, function: F) -> Result<UnorderedStream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
    {
        Ok(UnorderedStream {
            results: self.closure(Streamed(Order::AsTheyCome), boxed(items), work::Closure::new(function))?,
        })
    }

    /// As [`map_stream`](Parallel::map_stream), for a closure that can fail.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn try_map_stream<I, R, E, F>(&self, items: I, function: F) -> Result<Stream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Fn(I::Item) -> std::result::Result<R, E> + Send + Sync + 'static,
    {
        Ok(Stream { results: self.closure(Streamed(Order::OfInput), boxed(items), work::Fallible::new(function))? })
    }

    /// As [`map_stream_unordered`](Parallel::map_stream_unordered), for a closure that can fail.
    ///
    /// # Errors
    /// As [`stream`](Parallel::stream).
    pub fn try_map_stream_unordered<I, R, E, F>(&self, items: I, function: F) -> Result<UnorderedStream<R>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        I::IntoIter: Send + 'static,
        R: Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
        F: Fn(I::Item) -> std::result::Result<R, E> + Send + Sync + 'static,
    {
        Ok(UnorderedStream {
            results: self.closure(Streamed(Order::AsTheyCome), boxed(items), work::Fallible::new(function))?,
        })
    }
}

/// An input of whatever type: so there is one copy of all that follows for each function, and not for each input.
fn boxed<I>(items: I) -> Box<dyn Iterator<Item = I::Item> + Send>
where
    I: IntoIterator,
    I::IntoIter: Send + 'static,
{
    Box::new(items.into_iter())
}

/// A stream in this order.
struct Streamed(Order);

impl Gather<'static> for Streamed {
    type Of<R>
        = Results<R>
    where
        R: 'static;

    fn gather<W, I>(self, parallel: &Parallel, items: I, work: W, label: &str) -> Result<Results<W::Output>>
    where
        W: Work + 'static,
        I: Iterator<Item = W::Item> + Send + 'static,
    {
        let Streamed(order) = self;
        let (rules, _) = parallel.rules(length_of(&items), true)?;
        let workers = rules.workers;
        let is_loop = parallel.is_loop(workers);
        let watched = parallel.watch(workers, rules.total, label);
        let run = Run {
            parallel: parallel.clone(),
            workers,
            here: nesting::here(),
            feed: Feed::new(items, rules, &mut [], Some(Shelf::new(order))),
            work,
            watched: Mutex::new(watched),
            left_behind: AtomicBool::new(false),
            end: OnceLock::new(),
        };
        let running: Box<dyn Running<W::Output>> = if is_loop {
            Box::new(Loop { meter: run.meter(), run, idle: Instant::now() })
        } else {
            let run = Arc::new(run);
            let driven = Arc::clone(&run);
            let thread = std::thread::Builder::new().name("larder-stream".to_owned()).spawn(move || driven.drive());
            let thread = thread.map_err(|error| {
                let what = "cannot start the thread of a stream".to_owned();
                Error::new(Kind::Resource { what, source: error.into() })
            })?;
            Box::new(Background { run, thread: Some(thread) })
        };
        Ok(Results {
            grain: running.grain(),
            order,
            running: Some(running),
            values: Vec::new().into_iter(),
            at: 0,
            taken: 0,
            ended: None,
        })
    }
}

/// A run that goes on, as whoever takes its results sees it.
trait Running<R>: Send {
    /// What came of the next items; waits for it. `None` at the end.
    fn next(&mut self) -> Option<(usize, Piece<R>)>;
    /// How many results may be reported as taken together.
    fn grain(&self) -> usize;
    /// So many results were taken.
    fn taken(&self, items: usize);
    /// Whether a failure is not the end of it.
    fn goes_on(&self) -> bool;
    /// Ends it, and waits until it is over.
    fn stop(&mut self);
    /// What it did, and what it ended with that was not told of an item. It is over.
    fn end(&self) -> Option<(Ended, Option<Error>)>;
}

/// What a stream says of itself once it has ended.
#[derive(Clone, Debug)]
struct Ended {
    report: RunReport,
    stopped: Option<Stopped>,
}

/// All that a run needs.
struct Run<W: Work + 'static, I: Iterator> {
    parallel: Parallel,
    workers: usize,
    /// What its tasks work for.
    here: Here,
    feed: Feed<'static, W, I>,
    work: W,
    watched: Mutex<Option<Watched>>,
    /// There are threads that are not waited for.
    left_behind: AtomicBool,
    /// Set when it is over.
    end: OnceLock<(Ended, Mutex<Option<Error>>)>,
}

impl<W: Work + 'static, I: Iterator<Item = W::Item> + Send> Run<W, I> {
    fn shelf(&self) -> &Shelf<W::Output> {
        self.feed.shelf().expect("a stream has a shelf")
    }

    /// Runs all of it, on workers.
    fn drive(&self) {
        let _inside = Inside::at(self.here);
        let meter = self.meter();
        // What is left to wait for then gives nothing that is still wanted.
        let left_behind = || {
            self.left_behind.store(true, Relaxed);
            self.over(Ok(()));
        };
        let ran = self.parallel.drive(&self.feed, &self.work, meter.as_deref(), self.workers, &left_behind);
        self.over(ran);
    }

    fn meter(&self) -> Option<Arc<Meter>> {
        lock(&self.watched).as_ref().map(|watched| Arc::clone(&watched.meter))
    }

    /// It is over; the first word on how counts.
    fn over(&self, ran: Result<()>) {
        self.end.get_or_init(|| {
            let mut end = self.feed.end_of_stream();
            let watched = lock(&self.watched).take();
            came_to(watched.as_ref(), &end);
            let mut report = std::mem::take(&mut end.tally).report();
            report.retries += self.work.retries();
            let is_complete = end.is_whole && report.failed == 0;
            let error = match (ran, end.stopped) {
                (Err(error), _) => Some(error),
                (Ok(()), Some(why @ (Stopped::Cancelled | Stopped::Deadline))) => {
                    Some(Error::stopped(why, report.completed))
                }
                // Each failure was told, but not that nothing follows.
                (Ok(()), Some(Stopped::Failure)) if self.feed.goes_on() => {
                    Some(Error::stopped(Stopped::Failure, report.completed))
                }
                // That was told, or is told when nothing else is left; or the caller wanted it so.
                (Ok(()), Some(Stopped::Failure | Stopped::Halted) | None) => None,
            };
            let stopped = end.stopped;
            if let Some(watched) = watched {
                watched.finish(is_complete);
            }
            (Ended { report, stopped }, Mutex::new(error))
        });
        self.feed.dismiss();
        self.shelf().close();
    }

    fn end(&self) -> Option<(Ended, Option<Error>)> {
        let (ended, error) = self.end.get()?;
        let error = lock(error).take();
        Some((ended.clone(), error.or_else(|| self.shelf().failure_behind_gap().map(Error::from))))
    }
}

/// The work is done by others.
struct Background<W: Work + 'static, I: Iterator> {
    run: Arc<Run<W, I>>,
    /// `None` once it is over.
    thread: Option<JoinHandle<()>>,
}

impl<W: Work + 'static, I: Iterator<Item = W::Item> + Send> Running<W::Output> for Background<W, I> {
    fn next(&mut self) -> Option<(usize, Piece<W::Output>)> {
        self.run.shelf().take()
    }

    fn grain(&self) -> usize {
        self.run.feed.gate().grain()
    }

    fn taken(&self, items: usize) {
        self.run.feed.gate().settle(items);
    }

    fn goes_on(&self) -> bool {
        self.run.feed.goes_on()
    }

    fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.run.feed.stop(true, Stopped::Cancelled);
            if nesting::here() == self.run.here {
                // One of its own tasks drops it: what that waits for would wait for that.
                return;
            }
            // An input that blocks may wait for the very one who ends the stream.
            if !self.run.feed.await_workers(self.run.workers) {
                return;
            }
            self.run.shelf().await_close();
            if !self.run.left_behind.load(Relaxed) {
                // It does not panic: what may is caught where it is called.
                let _ = thread.join();
            }
        }
    }

    fn end(&self) -> Option<(Ended, Option<Error>)> {
        self.run.end()
    }
}

/// The work is done by whoever asks for the next result.
struct Loop<W: Work + 'static, I: Iterator> {
    run: Run<W, I>,
    meter: Option<Arc<Meter>>,
    /// Since when nobody has asked for a result.
    idle: Instant,
}

impl<W: Work + 'static, I: Iterator<Item = W::Item> + Send> Running<W::Output> for Loop<W, I> {
    fn next(&mut self) -> Option<(usize, Piece<W::Output>)> {
        self.run.feed.turn().tally().waited_for_room += self.idle.elapsed();
        let next = self.run_on();
        self.idle = Instant::now();
        next
    }

    fn grain(&self) -> usize {
        usize::MAX
    }

    fn taken(&self, _: usize) {}

    fn goes_on(&self) -> bool {
        self.run.feed.goes_on()
    }

    fn stop(&mut self) {
        if self.run.end.get().is_none() {
            self.run.feed.leaves(0);
            self.run.over(Ok(()));
        }
    }

    fn end(&self) -> Option<(Ended, Option<Error>)> {
        self.run.end()
    }
}

impl<W: Work + 'static, I: Iterator<Item = W::Item> + Send> Loop<W, I> {
    /// Works until there is a result.
    fn run_on(&mut self) -> Option<(usize, Piece<W::Output>)> {
        loop {
            if let Some(piece) = self.run.shelf().try_take() {
                return Some(piece);
            }
            let has_more = {
                let run = &self.run;
                let _inside = Inside::at(run.here);
                let watch = run.parallel.options.timeout.map(|_| Watch::new(1));
                dispatch::Run::new(&run.work, &run.feed, self.meter.as_deref(), watch.as_ref(), true).step()
            };
            if !has_more {
                self.stop();
                return self.run.shelf().try_take();
            }
        }
    }
}

/// What both streams are: results with their positions.
struct Results<R> {
    /// `None` once it is over.
    running: Option<Box<dyn Running<R>>>,
    /// The rest of the piece at hand,
    values: std::vec::IntoIter<R>,
    /// and the position of its next result.
    at: usize,
    /// So many results were taken that the run was not told of; it is after so many.
    taken: usize,
    grain: usize,
    order: Order,
    ended: Option<Ended>,
}

impl<R> Results<R> {
    #[inline]
    fn next(&mut self) -> Option<Result<(usize, R)>> {
        if self.taken >= self.grain {
            self.tell();
        }
        match self.values.next() {
            Some(value) => Some(Ok(self.count(value))),
            None => self.next_piece(),
        }
    }

    fn count(&mut self, value: R) -> (usize, R) {
        let index = self.at;
        self.at += 1;
        self.taken += 1;
        (index, value)
    }

    fn next_piece(&mut self) -> Option<Result<(usize, R)>> {
        self.tell();
        let running = self.running.as_mut()?;
        match running.next() {
            Some((start, Piece::Values(values))) => {
                self.values = values.into_iter();
                self.at = start;
                let value = self.values.next()?;
                Some(Ok(self.count(value)))
            }
            Some((_, Piece::Failed(failure))) => {
                self.taken += 1;
                // In order nothing can follow it.
                if self.order == Order::OfInput && !running.goes_on() {
                    let _told_already = self.finish();
                }
                Some(Err(failure.into()))
            }
            None => self.finish().map(Err),
        }
    }

    /// Tells the run how many results were taken.
    fn tell(&mut self) {
        if let Some(running) = &self.running
            && self.taken > 0
        {
            running.taken(self.taken);
        }
        self.taken = 0;
    }

    /// It is over: what it ended with.
    fn finish(&mut self) -> Option<Error> {
        let mut running = self.running.take()?;
        running.stop();
        let (ended, error) = running.end()?;
        self.ended = Some(ended);
        error
    }
}

impl<R> Drop for Results<R> {
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            running.stop();
        }
    }
}
