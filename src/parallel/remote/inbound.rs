//! What comes back from a worker, and what becomes of it.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::super::dispatch::discard;
use super::super::failure::{Cause, Failure, FailureKind, Lost};
use super::super::feed::PutOff;
use super::super::flight::Flight;
use super::super::progress::{EventKind, Meter, tell};
use super::super::record::Ended;
use super::super::tally::Slow;
use super::super::times::Slowest;
use super::super::work::Work;
use super::Driver;
use crate::backend::processes::{Refusal, TICK, Unheard};
use crate::codec::{Large, Prefer};
use crate::memory::{Kept, lookups_in};
use crate::wire::message::{Done, Report, Unusable};

impl<'s, W: Work, I: Iterator<Item = W::Item> + Send> Driver<'s, '_, W, I> {
    /// Writes, reads, and deals with what was read.
    pub(super) fn exchange(&mut self) -> std::result::Result<(), Unheard> {
        let wait = self.run.feed.task_limit().map_or(TICK, |timeout| TICK.min(timeout / 8));
        let Some(worker) = &mut self.worker else { return Ok(()) };
        let exchanged = worker.exchange(wait.max(Duration::from_millis(1)));
        // A worker that is gone may have left reports.
        while let Some(worker) = &mut self.worker
            && let Some((report, body)) = worker.next_report()?
        {
            self.heard = true;
            self.hear(report, body)?;
        }
        exchanged
    }

    pub(super) fn hear(&mut self, report: Report, body: Large) -> std::result::Result<(), Unheard> {
        match report {
            Report::Done(done) => self.land(done, body),
            Report::Unusable { id, calls, what, words } => {
                let flight = self.landed(id)?;
                self.settle_calls(calls);
                self.unusable(flight, what, &words);
                Ok(())
            }
            Report::Refused(words) => {
                self.run.refused(Refusal::Setup(words));
                Ok(())
            }
            Report::Hello(_) | Report::Ready => Err(garbage("it greets again")),
            Report::Blessed(_) => Err(garbage("it answers what it was not asked")),
        }
    }

    /// The flight that a report is of: the first, since a worker runs them in order.
    pub(super) fn flight_of(&self, id: u64) -> std::result::Result<&Flight<'s, W>, Unheard> {
        let flight = self.flights.front().filter(|flight| flight.id == id);
        flight.ok_or_else(|| garbage("a report of a batch that it does not have"))
    }

    /// Takes the flight that a report is of.
    pub(super) fn landed(&mut self, id: u64) -> std::result::Result<Flight<'s, W>, Unheard> {
        self.flight_of(id)?;
        self.clock = None;
        self.flights.pop_front().ok_or_else(|| garbage("a report too many"))
    }

    /// Hands in what came of a batch.
    pub(super) fn land(&mut self, done: Done, body: Large) -> std::result::Result<(), Unheard> {
        // All is checked before the flight is taken: what is wrong with a report is held against the item that is being run.
        let asked = self.flight_of(done.id)?.items.len();
        let calls = usize::try_from(done.calls).ok().filter(|calls| *calls <= asked);
        let calls = calls.ok_or_else(|| garbage("more calls than were asked for"))?;
        let in_order = done.exceptions.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let within = done.exceptions.last().is_none_or(|(place, _)| *place < done.calls);
        if !in_order || !within {
            return Err(garbage("failures of calls that were not made"));
        }
        let bytes = body.as_slice().len() as u64;
        let began = Instant::now();
        let values = match self.run.crossing.decode(done.codec.id().map_err(Unheard::Garbage)?, body) {
            Ok(values) if values.len() + done.exceptions.len() == calls => values,
            Ok(_) => return Err(garbage("another number of results than of calls")),
            Err(error) => {
                let flight = self.landed(done.id)?;
                self.settle_calls(done.calls);
                self.unusable(flight, Unusable::Results, &error.to_string());
                return Ok(());
            }
        };
        let flight = self.landed(done.id)?;
        self.settle_calls(done.calls);
        self.run.crossing.add_counts(&done.counts);
        self.tell_lookups(&done.counts);
        let took = Duration::from_nanos(done.busy_nanos);
        let crossing = began.elapsed();
        self.pace = Some(took);
        let Flight { start, attempts, items, mut out, .. } = flight;
        let slow = self.slow(start, &items, done.slowest);
        let (mut items, mut values) = (items.into_iter(), values.into_iter());
        let (mut at, mut spent, mut busy) = (0, Vec::new(), 0);
        let mut without_result = Vec::new();
        let mut turn = self.run.feed.turn();
        let tally = turn.tally();
        tally.report.bytes_encoded += bytes;
        tally.crossing += crossing;
        tally.times.merge(&done.times);
        slow.into_iter().for_each(|(took, slow)| tally.slow(took, slow));
        let mut failures = Vec::new();
        for (place, exception) in done.exceptions {
            // Less than `calls`, and more than the last one.
            let place = place as usize;
            spent.extend(items.by_ref().take(place - at));
            out.extend(values.by_ref().take(place - at));
            let Some(item) = items.next() else { break };
            at = place + 1;
            let index = start + place;
            without_result.push(index);
            let (before, slot, behind) = out.part(index);
            turn.hand_in([before]);
            out = behind;
            match Cause::from_exception(exception) {
                None => {
                    busy += 1;
                    turn.put_off([PutOff { index, attempts, item, out: slot, since: Instant::now() }]);
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
        self.tell_ended(start..start + calls, &without_result);
        let is_loaded = |index: usize| done.loaded.binary_search(&((index - start) as u64)).is_ok();
        let computed = calls.saturating_sub(done.loaded.len());
        let each = took / u32::try_from(computed.max(1)).unwrap_or(u32::MAX);
        self.record(start..start + calls, &without_result, attempts, each, &is_loaded, done.nothings);
        let (meter, worker) = (self.run.meter, self.number);
        tell(meter, || EventKind::BatchEnded { worker, index: start, items: calls - busy, took });
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

    /// What is known of the items of a batch that took long, if they are among the slowest of the run.
    fn slow(&self, start: usize, items: &[W::Item], slowest: Slowest<u64>) -> Vec<(Duration, Slow)> {
        let describe = |(took, place): (Duration, u64)| {
            let place = usize::try_from(place).ok()?;
            let arguments = self.run.crossing.describe(items.get(place)?);
            Some((took, Slow { index: start + place, worker: self.number, arguments }))
        };
        let mut turn = self.run.feed.turn();
        let slowest: Vec<_> = slowest.into_items();
        let slowest =
            slowest.into_iter().filter(|(took, _)| turn.tally().slowest.has_place_for(*took)).collect::<Vec<_>>();
        drop(turn);
        slowest.into_iter().filter_map(describe).collect()
    }

    /// What the memory in the worker looked up for a batch.
    fn tell_lookups(&self, counts: &[u64]) {
        let (meter, worker) = (self.run.meter, self.number);
        if !meter.is_some_and(Meter::is_observed) || !self.run.crossing.has_memory() {
            return;
        }
        let (hits, misses) = lookups_in(counts);
        if hits > 0 {
            tell(meter, || EventKind::CacheHit { worker, index: None, calls: hits });
        }
        for (reason, calls) in misses {
            tell(meter, || EventKind::CacheMiss { worker, index: None, calls, reason, changed: None });
        }
    }

    /// The items that have a result: all but those, which are in order.
    fn tell_ended(&self, mut items: Range<usize>, without_result: &[usize]) {
        let (meter, worker) = (self.run.meter, self.number);
        if meter.is_some_and(Meter::wants_tasks) {
            let results = items.by_ref().filter(|index| without_result.binary_search(index).is_err());
            results.for_each(|index| tell(meter, || EventKind::TaskEnded { worker, index, took: None }));
        }
    }

    /// Has the results of items written down, which a worker took so long for each, unless it loaded them; so many are a `None` that
    /// is not stored for that.
    pub(super) fn record(
        &self,
        items: Range<usize>,
        without_result: &[usize],
        before: u32,
        each: Duration,
        is_loaded: &dyn Fn(usize) -> bool,
        nothings: u64,
    ) {
        let Some(recorder) = self.run.feed.recorder() else { return };
        let worker = self.number;
        let results = items.filter(|index| without_result.binary_search(index).is_err());
        let ended = |index| Ended {
            index,
            worker,
            attempts: before + 1,
            took: each,
            loaded: is_loaded(index),
            kept: Kept::Unknown,
        };
        let unkept: u64 = results.map(|index| u64::from(!recorder.done(ended(index)))).sum();
        recorder.lost(unkept.saturating_sub(nothings));
    }

    /// The worker says that it ended so many calls more: from here on its board counts the next ones.
    pub(super) fn settle_calls(&mut self, calls: u64) {
        if let Some(worker) = &mut self.worker {
            worker.calls += calls;
        }
        self.take_back_told();
    }

    /// A batch came back without results that can be used.
    pub(super) fn unusable(&mut self, flight: Flight<'s, W>, what: Unusable, words: &str) {
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
    pub(super) fn failed(&mut self, mut flight: Flight<'s, W>, cause: Cause) {
        if let Some(pause) = self.run.retry.pause_after(flight.attempts + 1, &cause) {
            flight.attempts += 1;
            let (worker, index, attempt) = (self.number, flight.start, flight.attempts + 1);
            let why = || cause.message().to_owned();
            tell(self.run.meter, || EventKind::TaskRetried { worker, index, attempt, why: why() });
            let mut turn = self.run.feed.turn();
            turn.tally().report.retries += 1;
            if pause.is_zero() {
                return flight.give_back(&mut turn);
            }
            let due = Instant::now() + pause;
            return turn.give_back_until(due, flight.into_given_back());
        }
        self.fail(flight, cause, 1);
    }

    /// Gives one item up, which was run so often beside its earlier attempts.
    pub(super) fn fail(&mut self, flight: Flight<'s, W>, cause: Cause, attempts: u32) {
        let arguments = flight.items.first().and_then(|item| self.run.crossing.describe(item));
        let failure = Failure {
            index: flight.start,
            task: Some(self.run.task),
            arguments,
            worker: self.number,
            attempts: flight.attempts + attempts,
            took: None,
            cause,
        };
        if let Some(recorder) = self.run.feed.recorder() {
            recorder.failed(&failure);
        }
        self.give_up(flight, failure);
    }

    /// Gives up an item that failed for good.
    pub(super) fn give_up(&self, flight: Flight<'s, W>, failure: Failure) {
        if self.run.feed.goes_on() {
            // It is over, as the others are: a run that goes on comes to the end of its bar.
            self.count(1);
        }
        tell(self.run.meter, || EventKind::failed(&failure));
        self.run.feed.turn().fail(failure);
        discard(flight.items.into_iter());
    }
}

fn garbage(words: &str) -> Unheard {
    Unheard::Garbage(std::io::Error::new(std::io::ErrorKind::InvalidData, words))
}
