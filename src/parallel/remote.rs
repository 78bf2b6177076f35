//! The drivers of a run's worker processes: each takes batches from the feed for its worker, sends them, hands in what comes
//! back, and finds another worker when its own dies.
//!
//! A driver keeps the items of a batch until their results are here, so nothing is lost with a worker: what it had not
//! finished is given back to the feed. It never blocks on its worker; between two messages it looks after time, memory and
//! the end of the run.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use super::crossing::{Crossing, Sent};
use super::dispatch::discard;
use super::failure::{Cause, Failure, FailureKind, Lost};
use super::feed::{Batch, Feed, PutOff};
use super::flight::{Flight, Offence, Record, Verdict};
use super::isolation::Isolation;
use super::progress::Meter;
use super::work::Work;
use crate::backend::processes::{self, Handle, Refusal, Spec, TICK, Unheard};
use crate::codec::{CodecError, Large, Prefer};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::wire::message::{Begin, Done, MemoryAt, Order, Report, Unusable};
use crate::worker::usage::own_bytes;

/// A worker whose run was stopped has so long to leave its task, before it is killed.
const GRACE: Duration = Duration::from_millis(100);
/// Batches are sent ahead until they are this much work: a worker then never waits for its driver.
const AHEAD: Duration = Duration::from_millis(1);
/// But not so long ones: what a worker has no other can take.
const LONG: Duration = Duration::from_millis(20);
/// And no more than so many.
const MOST_AHEAD: usize = 16;

/// One run on worker processes.
pub(super) struct Remote<'s, 'r, W: Work, I> {
    pub(super) crossing: &'r dyn Crossing<W::Item, W::Output>,
    pub(super) feed: &'r Feed<'s, W, I>,
    pub(super) meter: Option<&'r Meter>,
    pub(super) isolation: &'r Isolation,
    pub(super) retries: u32,
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
    /// Why a driver has no worker.
    refusal: Mutex<Option<Error>>,
}

/// A driver and its worker.
struct Driver<'s, 'r, W: Work, I> {
    run: &'r Remote<'s, 'r, W, I>,
    number: usize,
    spec: Spec,
    worker: Option<Handle>,
    /// What the worker was told at the beginning of the run.
    begun_as: Prefer,
    /// How many tasks it may still be given.
    tasks_left: u64,
    flights: VecDeque<Flight<'s, W>>,
    /// What the last batch took.
    pace: Option<Duration>,
    /// Since when the task that is being run is being run: how many were begun then, and when that was seen.
    clock: Option<(u64, Instant)>,
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
        let refusal = lock(&self.shared.refusal).take();
        match refusal {
            Some(error) if !self.feed.turn().is_done() => Err(error),
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
            *noted = Some(refusal.into());
        }
        drop(noted);
        if ends {
            self.feed.stop();
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
            pace: None,
            clock: None,
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
        if let Some(worker) = self.worker.take()
            && self.tasks_left > 0
        {
            processes::dismiss(worker, self.spec, self.run.isolation.idle_timeout);
        }
    }

    /// Gives the worker work, as far ahead as is good.
    fn fill(&mut self) {
        while self.flights.len() <= self.ahead() {
            let Some(flight) = self.take() else { return };
            if !self.has_worker() {
                flight.give_back(&mut self.run.feed.turn());
                return;
            }
            self.send(flight);
        }
    }

    /// How many batches may wait behind the one that is being run.
    fn ahead(&self) -> usize {
        let has_board = self.worker.as_ref().is_some_and(|worker| worker.board.is_some());
        match self.pace {
            Some(pace) if pace <= LONG && has_board && self.run.feed.reads_ahead() => {
                let batches = AHEAD.as_nanos() / pace.as_nanos().max(1);
                usize::try_from(batches).map_or(MOST_AHEAD, |batches| batches.clamp(1, MOST_AHEAD))
            }
            _ => 0,
        }
    }

    fn take(&mut self) -> Option<Flight<'s, W>> {
        if self.worker.is_some() && self.tasks_left == 0 {
            if !self.flights.is_empty() {
                return None;
            }
            // It did what it may do, and ends.
            self.worker = None;
        }
        loop {
            let mut items = Vec::new();
            let mut turn = self.run.feed.turn();
            let flight = match turn.take(self.number, &mut items) {
                Some(Batch { start, attempts, out, .. }) => Flight::new(start, attempts, items, out),
                // What is under way elsewhere is waited for when there is nothing else.
                None if self.flights.is_empty() => {
                    let PutOff { index, attempts, item, out } = turn.next_put_off()?;
                    Flight { waits: true, ..Flight::new(index, attempts, vec![item], out) }
                }
                None => return None,
            };
            drop(turn);
            let flight = self.without_known(flight);
            if !flight.items.is_empty() {
                return Some(flight);
            }
        }
    }

    /// Hands in what the memory has, and answers the first stretch of items that it does not have.
    fn without_known(&self, flight: Flight<'s, W>) -> Flight<'s, W> {
        let crossing = self.run.crossing;
        if !crossing.has_memory() || flight.waits {
            return flight;
        }
        let began = Instant::now();
        let mut values = Vec::new();
        let mut unknown = None;
        for item in &flight.items {
            match (crossing.find(item), &mut unknown) {
                (Some(value), None) => values.push(value),
                (None, None) => unknown = Some(1),
                (None, Some(count)) => *count += 1,
                (Some(_), Some(_)) => break,
            }
        }
        let known = values.len();
        let (mut first, rest) = flight.split(known);
        let (rest, behind) = rest.split(unknown.unwrap_or(0));
        first.out.extend(values.into_iter());
        let mut turn = self.run.feed.turn();
        turn.hand_in([first.out]);
        if known > 0 {
            turn.caught_up(self.number, known, began.elapsed());
        }
        behind.give_back(&mut turn);
        drop(turn);
        discard(first.items.into_iter());
        self.count(known as u64);
        rest
    }

    /// Whether there is a worker: if there was none, there is one now or a reason why not.
    fn has_worker(&mut self) -> bool {
        if self.worker.is_some() {
            return true;
        }
        let hired = processes::hire(&self.spec, &|| self.run.feed.is_stopped());
        match hired {
            Err(refusal) => {
                self.run.refused(refusal);
                false
            }
            Ok((worker, is_new)) => {
                worker.belongs_to(self.number);
                self.run.feed.turn().report().workers_started += u64::from(is_new);
                self.tasks_left = self.run.isolation.max_tasks_per_worker.unwrap_or(u64::MAX);
                self.worker = Some(worker);
                self.begin();
                true
            }
        }
    }

    /// Tells the worker what its batches are of.
    fn begin(&mut self) {
        let run = self.run;
        let is_self_describing = run.shared.self_describing.load(Relaxed);
        self.begun_as = if is_self_describing { Prefer::SelfDescribing } else { Prefer::Small };
        let begin = Begin {
            task: run.crossing.task(),
            memory: run.memory.clone(),
            fail_fast: !run.feed.goes_on() && run.retries == 0,
            self_describing: is_self_describing,
            soft_limit: run.isolation.limit_memory_soft,
        };
        if let Some(worker) = &mut self.worker {
            worker.order(&Order::Begin(begin), &[]).expect("a head of some hundred bytes is a message");
        }
    }

    fn send(&mut self, mut flight: Flight<'s, W>) {
        let prefers =
            if self.run.shared.self_describing.load(Relaxed) { Prefer::SelfDescribing } else { Prefer::Small };
        if prefers != self.begun_as {
            self.begin();
        }
        if flight.items.len() as u64 > self.tasks_left {
            let (now, later) = flight.split(self.tasks_left as usize);
            later.give_back(&mut self.run.feed.turn());
            flight = now;
        }
        flight.prefer = self.begun_as;
        let sent = match self.run.crossing.encode(&flight.items, flight.prefer) {
            Ok(sent) => sent,
            Err(error) => return self.unencodable(flight, error),
        };
        let Some(worker) = &mut self.worker else { return flight.give_back(&mut self.run.feed.turn()) };
        let Sent { codec, content, departed } = sent;
        let mut mapped = 0;
        let ordered = departed.payloads.iter().try_for_each(|payload| {
            mapped += worker.send_payload(payload)?;
            Ok(())
        });
        let ordered = ordered.and_then(|()| worker.send_batch(flight.waits, codec, &content));
        let mut turn = self.run.feed.turn();
        let report = turn.report();
        report.bytes_encoded += content.len() as u64 + departed.bytes_encoded;
        report.payload_encodings += departed.encodings;
        report.bytes_mapped += mapped;
        drop(turn);
        match ordered {
            Ok(id) => {
                self.tasks_left -= flight.items.len() as u64;
                self.flights.push_back(Flight { id, ..flight });
            }
            Err(error) => self.unencodable(flight, CodecError::new(error)),
        }
    }

    /// What cannot be encoded is looked for item by item, and in the other form.
    fn unencodable(&mut self, flight: Flight<'s, W>, error: CodecError) {
        let run = self.run;
        if flight.items.len() > 1 {
            return flight.give_back_in_halves(&mut run.feed.turn());
        }
        if flight.prefer == Prefer::Small && run.crossing.encode(&flight.items, Prefer::SelfDescribing).is_ok() {
            run.shared.self_describing.store(true, Relaxed);
            return flight.give_back(&mut run.feed.turn());
        }
        let message = format!("its arguments cannot be sent to a worker process: {error}");
        self.fail(flight, Cause::Lost(Lost { kind: FailureKind::Serialization, message }), 0);
    }

    /// Writes, reads, and deals with what was read.
    fn exchange(&mut self) -> std::result::Result<(), Unheard> {
        let wait = self.run.isolation.timeout_per_task.map_or(TICK, |timeout| TICK.min(timeout / 8));
        let Some(worker) = &mut self.worker else { return Ok(()) };
        let exchanged = worker.exchange(wait.max(Duration::from_millis(1)));
        // A worker that is gone may have left reports.
        while let Some(worker) = &mut self.worker
            && let Some((report, body)) = worker.next_report()?
        {
            self.hear(report, body)?;
        }
        exchanged
    }

    fn hear(&mut self, report: Report, body: Large) -> std::result::Result<(), Unheard> {
        match report {
            Report::Done(done) => self.land(done, body),
            Report::Unusable { id, what, words } => {
                let flight = self.landed(id)?;
                self.unusable(flight, what, &words);
                Ok(())
            }
            Report::Refused(words) => {
                self.run.refused(Refusal::Setup(words));
                Ok(())
            }
            Report::Hello(_) | Report::Ready => Err(garbage("it greets again")),
        }
    }

    /// The flight that a report is of: the first, since a worker runs them in order.
    fn landed(&mut self, id: u64) -> std::result::Result<Flight<'s, W>, Unheard> {
        match self.flights.front() {
            Some(flight) if flight.id == id => {}
            _ => return Err(garbage("a report of a batch that it does not have")),
        }
        self.clock = None;
        self.flights.pop_front().ok_or_else(|| garbage("a report too many"))
    }

    /// Hands in what came of a batch.
    fn land(&mut self, done: Done, body: Large) -> std::result::Result<(), Unheard> {
        let flight = self.landed(done.id)?;
        let calls = usize::try_from(done.calls).ok().filter(|calls| *calls <= flight.items.len());
        let Some(calls) = calls else {
            self.flights.push_front(flight);
            return Err(garbage("more calls than were asked for"));
        };
        let bytes = body.as_slice().len() as u64;
        let codec = match done.codec.id() {
            Ok(codec) => codec,
            Err(error) => {
                self.flights.push_front(flight);
                return Err(Unheard::Garbage(error));
            }
        };
        let values = match self.run.crossing.decode(codec, body) {
            Ok(values) if values.len() + done.exceptions.len() == calls => values,
            Ok(_) => {
                self.flights.push_front(flight);
                return Err(garbage("another number of results than of calls"));
            }
            Err(error) => {
                self.settle_calls(done.calls);
                self.unusable(flight, Unusable::Results, &error.to_string());
                return Ok(());
            }
        };
        self.settle_calls(done.calls);
        self.run.crossing.add_counts(&done.counts);
        let took = Duration::from_nanos(done.busy_nanos);
        self.pace = Some(took);
        let Flight { start, attempts, items, mut out, .. } = flight;
        let (mut items, mut values) = (items.into_iter(), values.into_iter());
        let (mut at, mut spent, mut busy) = (0, Vec::new(), 0);
        let mut turn = self.run.feed.turn();
        turn.report().bytes_encoded += bytes;
        let mut failures = Vec::new();
        for (place, exception) in done.exceptions {
            let place = usize::try_from(place).unwrap_or(usize::MAX).clamp(at, calls.saturating_sub(1));
            spent.extend(items.by_ref().take(place - at));
            out.extend(values.by_ref().take(place - at));
            let Some(item) = items.next() else { break };
            at = place + 1;
            let index = start + place;
            let (before, slot, behind) = out.part(index);
            turn.hand_in([before]);
            out = behind;
            match Cause::from_exception(exception) {
                None => {
                    busy += 1;
                    turn.put_off([PutOff { index, attempts, item, out: slot }]);
                }
                Some(cause) => failures.push((Flight::new(index, attempts, vec![item], slot), cause)),
            }
        }
        spent.extend(items.by_ref().take(calls - at));
        out.extend(values);
        let items: Vec<_> = items.collect();
        let (before, rest) = out.split_at(calls - at, start + calls);
        turn.hand_in([before]);
        Flight::<W>::new(start + calls, attempts, items, rest).give_back(&mut turn);
        turn.batch_finished(self.number, calls - busy, took);
        drop(turn);
        discard(spent.into_iter());
        // Those that failed are counted as they are given up.
        self.count((calls - busy - failures.len()) as u64);
        for (flight, cause) in failures {
            self.failed(flight, cause);
        }
        if done.grown_to.is_some() {
            self.replace_grown();
        }
        Ok(())
    }

    /// The worker says that it ended so many calls more: from here on its board counts the next ones.
    fn settle_calls(&mut self, calls: u64) {
        if let Some(worker) = &mut self.worker {
            worker.calls += calls;
        }
        self.take_back_told();
    }

    /// A batch came back without results that can be used.
    fn unusable(&mut self, flight: Flight<'s, W>, what: Unusable, words: &str) {
        let run = self.run;
        if flight.prefer == Prefer::Small {
            run.shared.self_describing.store(true, Relaxed);
            return flight.give_back(&mut run.feed.turn());
        }
        if flight.items.len() > 1 {
            return flight.give_back_in_halves(&mut run.feed.turn());
        }
        let message = match what {
            Unusable::Arguments => format!("its arguments do not decode in the worker process: {words}"),
            Unusable::Results => format!("its result does not come back from the worker process: {words}"),
        };
        self.fail(flight, Cause::Lost(Lost { kind: FailureKind::Serialization, message }), 1);
    }

    /// One item failed: it is run again, or given up.
    fn failed(&mut self, mut flight: Flight<'s, W>, cause: Cause) {
        if flight.attempts < self.run.retries {
            flight.attempts += 1;
            let mut turn = self.run.feed.turn();
            turn.report().retries += 1;
            return flight.give_back(&mut turn);
        }
        self.fail(flight, cause, 1);
    }

    /// Gives one item up, which was run so often beside its earlier attempts.
    fn fail(&mut self, flight: Flight<'s, W>, cause: Cause, attempts: u32) {
        let arguments = flight.items.first().and_then(|item| self.run.crossing.describe(item));
        let failure = Failure {
            index: flight.start,
            task: Some(self.run.task),
            arguments,
            worker: self.number,
            attempts: flight.attempts + attempts,
            cause,
        };
        if self.run.feed.goes_on() {
            // It is over, as the others are: a run that goes on comes to the end of its bar.
            self.count(1);
        }
        self.run.feed.turn().fail(failure);
        discard(flight.items.into_iter());
    }

    /// The worker is gone, or cannot be trusted.
    fn lose(&mut self, end: Unheard) {
        let Some(worker) = self.worker.take() else { return };
        let board = worker.board.as_ref().map(|board| (board.begun().load(Acquire), board.ended().load(Acquire)));
        let calls = worker.calls;
        let offence = match end {
            Unheard::Garbage(error) => {
                worker.end();
                Offence::Garbage(error.to_string())
            }
            Unheard::Gone | Unheard::Late | Unheard::Cancelled => Offence::Died(worker.end_of_itself()),
        };
        self.sort_out(&offence, board.map(|(begun, ended)| (begun - calls, ended < begun)));
    }

    /// Kills the worker for what it is doing.
    fn punish(&mut self, offence: &Offence) {
        let Some(worker) = self.worker.take() else { return };
        let board = worker.board.as_ref().map(|board| (board.begun().load(Acquire), board.ended().load(Acquire)));
        let calls = worker.calls;
        worker.end();
        self.sort_out(offence, board.map(|(begun, ended)| (begun - calls, ended < begun)));
    }

    /// Gives back what a lost worker had, and judges the item it was running: of the first batch it had begun so many, and
    /// was within the last of these or between two; `None` if that is not known.
    fn sort_out(&mut self, offence: &Offence, begun: Option<(u64, bool)>) {
        self.take_back_told();
        self.clock = None;
        if self.stopped_at.is_some() {
            self.flights.clear();
            return;
        }
        self.run.feed.turn().report().deaths += 1;
        let mut flights = std::mem::take(&mut self.flights);
        let Some(flight) = flights.pop_front() else { return };
        for flight in flights {
            flight.give_back(&mut self.run.feed.turn());
        }
        let running = match begun {
            _ if flight.items.len() == 1 => Some(0),
            Some((begun, true)) => usize::try_from(begun).ok().and_then(|begun| begun.checked_sub(1)),
            _ => None,
        };
        let Some(running) = running.filter(|running| *running < flight.items.len()) else {
            // It was between two items, or busy with all results: one of them may be the cause.
            return flight.give_back_in_halves(&mut self.run.feed.turn());
        };
        let (before, rest) = flight.split(running);
        let (item, behind) = rest.split(1);
        let mut turn = self.run.feed.turn();
        before.give_back(&mut turn);
        behind.give_back(&mut turn);
        drop(turn);
        let verdict = lock(&self.run.shared.records).entry(item.start).or_default().judge(offence);
        match verdict {
            Verdict::RunAlone => item.give_back(&mut self.run.feed.turn()),
            Verdict::Guilty => {
                let again = item.attempts < self.run.retries;
                if again {
                    // Each attempt is judged anew.
                    lock(&self.run.shared.records).remove(&item.start);
                }
                self.failed(item, offence.cause());
            }
        }
    }

    /// The worker is grown, says that it begins nothing more, and makes way for another.
    fn replace_grown(&mut self) {
        // Dropped, it ends by itself.
        self.worker = None;
        self.take_back_told();
        let mut turn = self.run.feed.turn();
        for flight in std::mem::take(&mut self.flights) {
            flight.give_back(&mut turn);
        }
    }

    /// Looks whether the run, the time and the memory of the task at hand are over.
    fn look_after(&mut self) {
        if self.run.feed.is_stopped() {
            return self.stop();
        }
        let Some(worker) = &self.worker else { return };
        let begun = worker.board.as_ref().map(|board| (board.begun().load(Acquire), board.ended().load(Acquire)));
        if let (Some((_, ended)), Some(_)) = (begun, self.run.meter) {
            let told = ended.saturating_sub(worker.calls);
            self.count(told - self.told.min(told));
            self.told = self.told.max(told);
        }
        let Some(flight) = self.flights.front() else { return };
        if let Some(timeout) = self.run.isolation.timeout_per_task {
            // Without a board a batch is one task.
            let task = match begun {
                Some((begun, ended)) => (ended < begun).then_some(begun),
                None => Some(flight.id),
            };
            let now = Instant::now();
            self.clock = match (task, self.clock) {
                (Some(task), Some((known, since))) if task == known => Some((known, since)),
                (Some(task), _) => Some((task, now)),
                (None, _) => None,
            };
            if self.clock.is_some_and(|(_, since)| now - since > timeout) {
                return self.punish(&Offence::TooLong(timeout));
            }
        }
        let Some(worker) = &self.worker else { return };
        if let Some(limit) = self.run.isolation.limit_memory_hard
            && self.memory_looked_at.elapsed() >= TICK
        {
            self.memory_looked_at = Instant::now();
            if let Some(used) = own_bytes(Some(worker.process())).filter(|used| *used > limit) {
                let is_fresh = begun.map_or(worker.batches, |(begun, _)| begun) <= 1;
                self.punish(&Offence::TooMuch { used, limit, is_fresh });
            }
        }
    }

    /// The run stops: what is being run is left a moment to end, as what was run is worth having.
    fn stop(&mut self) {
        let now = Instant::now();
        let since = *self.stopped_at.get_or_insert_with(|| {
            if let Some(board) =
                self.worker.as_ref().and_then(|worker| worker.board.as_ref().map(|board| (board, worker.batches)))
            {
                board.0.stop().store(board.1, Release);
            }
            now
        });
        if now - since < GRACE {
            return;
        }
        self.take_back_told();
        self.flights.clear();
        if let Some(worker) = self.worker.take() {
            worker.end();
        }
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

fn garbage(words: &str) -> Unheard {
    Unheard::Garbage(std::io::Error::new(std::io::ErrorKind::InvalidData, words))
}
