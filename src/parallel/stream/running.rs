//! A run that goes on by itself, or on the thread of whoever asks for its results.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Instant;

use super::results::Results;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::parallel::feed::Feed;
use crate::parallel::nesting::{self, Here, Inside};
use crate::parallel::progress::{Meter, Watched};
use crate::parallel::report::RunReport;
use crate::parallel::run::{Gather, length_of, report_of};
use crate::parallel::shelf::{Order, Piece, Shelf};
use crate::parallel::stop::Stopped;
use crate::parallel::watch::Watch;
use crate::parallel::work::Work;
use crate::parallel::{Parallel, dispatch};

/// A stream in this order.
pub(super) struct Streamed(pub(super) Order);

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
            let watch = parallel.options.timeout.map(|_| Watch::new(1));
            Box::new(Loop { meter: run.meter(), run, watch, idle: Instant::now() })
        } else {
            let run = Arc::new(run);
            let driven = Arc::clone(&run);
            let thread = std::thread::Builder::new().name("larder-stream".to_owned()).spawn(move || driven.drive());
            let thread = thread.map_err(|error| Error::resource("cannot start the thread of a stream", error))?;
            Box::new(Background { run, thread: Some(thread) })
        };
        Ok(Results::of(running, order))
    }
}

/// A run that goes on, as whoever takes its results sees it.
pub(super) trait Running<R>: Send {
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
pub(super) struct Ended {
    pub(super) report: RunReport,
    pub(super) stopped: Option<Stopped>,
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
            let report = report_of(&self.work, watched.as_ref(), &mut end);
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
    watch: Option<Watch>,
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
                dispatch::Run::new(&run.work, &run.feed, self.meter.as_deref(), self.watch.as_ref(), true).step()
            };
            if !has_more {
                self.stop();
                return self.run.shelf().try_take();
            }
        }
    }
}
