//! The drivers of a run's worker processes: each takes batches from the feed for its worker, sends them, hands in what comes
//! back, and finds another worker when its own dies.
//!
//! A driver keeps the items of a batch until their results are here, so nothing is lost with a worker: what it had not
//! finished is given back to the feed. It never blocks on its worker; between two messages it looks after time, memory and
//! the end of the run.

mod inbound;
mod outbound;
mod oversight;

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::crossing::Crossing;
use super::feed::Feed;
use super::flight::{Flight, Record};
use super::isolation::Isolation;
use super::progress::{EventKind, Meter, tell};
use super::retry::Retry;
use super::stop::Stopped;
use super::work::Work;
use crate::backend::processes::{self, Handle, Refusal, Spec};
use crate::codec::Prefer;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::wire::message::MemoryAt;

/// Batches are sent ahead until they are this much work: a worker then never waits for its driver.
const AHEAD: Duration = Duration::from_millis(1);
/// But not so long ones: what a worker has no other can take.
const LONG: Duration = Duration::from_millis(20);
/// Nor beyond so many bytes.
const MUCH: usize = 4 << 20;
/// And no more than so many.
const MOST_AHEAD: usize = 16;

/// One run on worker processes.
pub(super) struct Remote<'s, 'r, W: Work, I: Iterator> {
    pub(super) crossing: &'r dyn Crossing<W::Item, W::Output>,
    pub(super) feed: &'r Feed<'s, W, I>,
    pub(super) meter: Option<&'r Meter>,
    pub(super) isolation: &'r Isolation,
    pub(super) retry: &'r Retry,
    pub(super) memory: Option<MemoryAt>,
    pub(super) task: &'static str,
    pub(super) shared: Shared,
}

/// What the drivers of a run share, beside the feed.
#[derive(Default)]
pub(super) struct Shared {
    /// Bytes did not come back in the smaller form.
    self_describing: AtomicBool,
    /// What is held against items.
    records: Mutex<HashMap<usize, Record>>,
    /// Why a driver has no worker, and whether that ends the run.
    refusal: Mutex<Option<(Error, bool)>>,
}

/// A driver and its worker.
struct Driver<'s, 'r, W: Work, I: Iterator> {
    run: &'r Remote<'s, 'r, W, I>,
    number: usize,
    spec: Spec,
    worker: Option<Handle>,
    /// What the worker was told at the beginning of the run.
    begun_as: Prefer,
    /// How many tasks it may still be given.
    tasks_left: u64,
    flights: VecDeque<Flight<'s, W>>,
    /// An item that is to be run in a worker of its own.
    suspect: Option<Flight<'s, W>>,
    /// What the last batch took.
    pace: Option<Duration>,
    /// Since when the task that is being run is being run: its batch, how many were begun with it, and when that was seen.
    clock: Option<((u64, u64), Instant)>,
    /// Something came from the worker since that was looked at.
    heard: bool,
    memory_looked_at: Instant,
    /// How many items of the front flight progress was told of before they came back.
    told: u64,
    stopped_at: Option<Instant>,
}

impl<'s, W: Work, I: Iterator<Item = W::Item> + Send> Remote<'s, '_, W, I> {
    /// Runs with a driver for each spec until the input ends or the run stops.
    ///
    /// # Errors
    /// There is no worker, or not enough of them to end the run.
    pub(super) fn run(&self, specs: Vec<Spec>) -> Result<()> {
        std::thread::scope(|scope| {
            let mut specs = specs.into_iter().enumerate();
            let first = specs.next();
            for (number, spec) in specs {
                let driver = std::thread::Builder::new().name(format!("larder-driver-{number}"));
                if let Err(error) = driver.spawn_scoped(scope, move || Driver::new(self, number, spec).drive()) {
                    // The others do its share.
                    self.refused(Refusal::Resource("cannot start the thread that drives a worker".to_owned(), error));
                    break;
                }
            }
            if let Some((number, spec)) = first {
                Driver::new(self, number, spec).drive();
            }
        });
        match lock(&self.shared.refusal).take() {
            // What the others had to do without did not keep them from the end, or somebody else ended the run.
            Some((error, ends)) if ends || !(self.feed.is_stopped() || self.feed.turn().is_done()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes why there is no worker. What is wrong with the program ends the run; what the machine lacks does not as long
    /// as another driver has a worker.
    fn refused(&self, refusal: Refusal) {
        let ends = !matches!(refusal, Refusal::Resource(..) | Refusal::Cancelled);
        if matches!(refusal, Refusal::Cancelled) {
            return;
        }
        let mut noted = lock(&self.shared.refusal);
        if ends || noted.is_none() {
            *noted = Some((refusal.into(), ends));
        }
        drop(noted);
        if ends {
            self.feed.stop(true, Stopped::Failure);
        }
    }
}

impl<'s, 'r, W: Work, I: Iterator<Item = W::Item> + Send> Driver<'s, 'r, W, I> {
    fn new(run: &'r Remote<'s, 'r, W, I>, number: usize, spec: Spec) -> Self {
        Driver {
            run,
            number,
            spec,
            worker: None,
            begun_as: Prefer::Small,
            tasks_left: 0,
            flights: VecDeque::new(),
            suspect: None,
            pace: None,
            clock: None,
            heard: false,
            memory_looked_at: Instant::now(),
            told: 0,
            stopped_at: None,
        }
    }

    fn drive(mut self) {
        loop {
            self.fill();
            if self.flights.is_empty() {
                break;
            }
            if let Err(end) = self.exchange() {
                self.lose(end);
            }
            self.look_after();
        }
        self.run.feed.leaves(self.number);
        if let Some(worker) = self.let_go()
            && self.tasks_left > 0
        {
            processes::dismiss(worker, self.spec, self.run.isolation.idle_timeout);
        }
    }

    /// Gives the worker work, as far ahead as is good.
    fn fill(&mut self) {
        while self.flights.len() <= self.ahead() {
            let Some(flight) = self.take() else { return };
            if !self.has_worker(flight.is_suspect) {
                flight.give_back(&mut self.run.feed.turn());
                return;
            }
            self.send(flight);
        }
    }

    /// How many batches may wait behind the one that is being run.
    fn ahead(&self) -> usize {
        let has_board = self.worker.as_ref().is_some_and(|worker| worker.board.is_some());
        let has_suspect = self.suspect.is_some() || self.flights.iter().any(|flight| flight.is_suspect);
        let is_much = self.flights.iter().map(|flight| flight.bytes).sum::<usize>() >= MUCH;
        match self.pace {
            Some(pace) if pace <= LONG && has_board && !has_suspect && !is_much && self.run.feed.reads_ahead() => {
                let batches = AHEAD.as_nanos() / pace.as_nanos().max(1);
                usize::try_from(batches).map_or(MOST_AHEAD, |batches| batches.clamp(1, MOST_AHEAD))
            }
            _ => 0,
        }
    }

    /// Takes the worker, which did no wrong.
    fn let_go(&mut self) -> Option<Handle> {
        let worker = self.worker.take()?;
        let pid = Some(worker.process());
        tell(self.run.meter, || EventKind::WorkerEnded { worker: self.number, pid });
        Some(worker)
    }

    fn count(&self, items: u64) {
        if let Some(meter) = self.run.meter {
            meter.add(self.number, items);
        }
    }

    /// What progress was told of a batch that is not here yet.
    fn take_back_told(&mut self) {
        if let Some(meter) = self.run.meter {
            meter.take_back(self.number, self.told);
        }
        self.told = 0;
    }
}
