//! What a driver takes for its worker, and how it gets there.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::super::crossing::Sent;
use super::super::dispatch::discard;
use super::super::failure::{Cause, FailureKind, Lost};
use super::super::feed::{Batch, PutOff, Taken};
use super::super::flight::Flight;
use super::super::progress::{EventKind, Meter, tell};
use super::super::work::Work;
use super::Driver;
use crate::backend::processes::{self, Handle};
use crate::codec::{CodecError, Prefer};
use crate::payload::travel;
use crate::wire::message::{Begin, Order};

impl<'s, W: Work, I: Iterator<Item = W::Item> + Send> Driver<'s, '_, W, I> {
    pub(super) fn take(&mut self) -> Option<Flight<'s, W>> {
        if self.worker.is_some() && self.tasks_left == 0 {
            if !self.flights.is_empty() {
                return None;
            }
            // It did what it may do, and ends.
            drop(self.let_go());
        }
        if self.flights.is_empty()
            && let Some(suspect) = self.suspect.take()
        {
            return Some(suspect);
        }
        loop {
            let mut items = Vec::new();
            // With work under way, nobody is waited for who reads a slow input.
            let turn = if self.flights.is_empty() { self.run.feed.turn() } else { self.run.feed.try_turn()? };
            if !self.flights.is_empty() && turn.reads_slowly() {
                return None;
            }
            let flight = match turn.take(self.number, &mut items) {
                Taken::Batch(Batch { start, attempts, out, .. }) => Flight::new(start, attempts, items, out),
                _ if !self.flights.is_empty() => return None,
                // What is under way elsewhere is waited for when there is nothing else.
                taken => match (self.next_put_off(), taken) {
                    (Some(PutOff { index, attempts, item, out, .. }), _) => {
                        Flight { waits: true, ..Flight::new(index, attempts, vec![item], out) }
                    }
                    (None, Taken::Wait(wait)) => {
                        self.run.feed.wait(wait);
                        continue;
                    }
                    (None, _) => return None,
                },
            };
            let flight = self.without_failing(self.without_known(flight));
            if !flight.items.is_empty() {
                return Some(flight);
            }
        }
    }

    /// With a turn that is over when this returns.
    fn next_put_off(&self) -> Option<PutOff<'s, W>> {
        self.run.feed.turn().next_put_off()
    }

    /// Hands in what the memory has, and answers the first stretch of items that it does not have. The others are given back:
    /// whoever takes them finds the same, and has a stretch of its own.
    pub(super) fn without_known(&self, flight: Flight<'s, W>) -> Flight<'s, W> {
        let crossing = self.run.crossing;
        if !crossing.has_memory() || flight.waits {
            return flight;
        }
        let began = Instant::now();
        let found: Vec<_> = flight.items.iter().map(|item| crossing.find(item)).collect();
        let known = found.iter().flatten().count();
        if known == 0 {
            return flight;
        }
        self.tell_known(flight.start, found.iter().map(Option::is_some));
        let (mut rest, mut spent) = (flight, Vec::new());
        let mut first_unknown: Option<Flight<'s, W>> = None;
        let mut recorded = Vec::new();
        let mut turn = self.run.feed.turn();
        let mut found = found.into_iter().peekable();
        while let Some(value) = found.next() {
            let is_known = value.is_some();
            let mut stretch = vec![value];
            while let Some(next) = found.next_if(|next| next.is_some() == is_known) {
                stretch.push(next);
            }
            let (mut part, behind) = rest.split(stretch.len());
            rest = behind;
            if is_known {
                let number = part.items.len();
                recorded.push((part.start..part.start + number, part.attempts));
                part.out.extend(stretch.into_iter().flatten());
                turn.hand_in([part.out]);
                spent.append(&mut part.items);
            } else if first_unknown.is_none() {
                first_unknown = Some(part);
            } else {
                part.give_back(&mut turn);
            }
        }
        turn.caught_up(self.number, known, began.elapsed());
        drop(turn);
        for (items, attempts) in recorded {
            self.record(items, &[], attempts, Duration::ZERO, &|_| true, 0);
        }
        discard(spent.into_iter());
        self.count(known as u64);
        // Behind the last stretch there is nothing, which is what is left if all is known.
        first_unknown.unwrap_or(rest)
    }

    /// Gives up what another program of the run has seen fail, up to the first stretch of other items, which it answers. What is
    /// behind that is given back.
    fn without_failing(&self, mut flight: Flight<'s, W>) -> Flight<'s, W> {
        let Some(recorder) = self.run.feed.recorder() else { return flight };
        loop {
            let first = flight.start;
            let failing = (first..first + flight.items.len())
                .find_map(|index| Some((index, recorder.failed_elsewhere(index, self.number)?)));
            let Some((index, failure)) = failing else { return flight };
            let (front, behind) = flight.split(index - first);
            if !front.items.is_empty() {
                behind.give_back(&mut self.run.feed.turn());
                return front;
            }
            let (failed, rest) = behind.split(1);
            self.give_up(failed, failure);
            flight = rest;
        }
    }

    /// Which items of a batch the memory has.
    fn tell_known(&self, start: usize, known: impl Iterator<Item = bool>) {
        let (meter, worker) = (self.run.meter, self.number);
        if !meter.is_some_and(Meter::is_observed) {
            return;
        }
        for (index, _) in (start..).zip(known).filter(|(_, is_known)| *is_known) {
            tell(meter, || EventKind::CacheHit { worker, index: Some(index), calls: 1 });
            if meter.is_some_and(Meter::wants_tasks) {
                tell(meter, || EventKind::TaskEnded { worker, index, took: None });
            }
        }
    }

    /// Whether there is a worker: if there was none, there is one now or a reason why not.
    pub(super) fn has_worker(&mut self, fresh: bool) -> bool {
        if self.worker.as_ref().is_some_and(|worker| !fresh || worker.batches == 0) {
            return true;
        }
        drop(self.let_go());
        let most = self.run.isolation.max_tasks_per_worker.unwrap_or(u64::MAX);
        let is_good = |worker: &Handle| !fresh && worker.given < most;
        let hired = processes::hire(&self.spec, &is_good, &|| self.run.feed.is_stopped());
        match hired {
            Err(refusal) => {
                self.run.refused(refusal);
                false
            }
            Ok((worker, is_new)) => {
                worker.belongs_to(self.number);
                let pid = Some(worker.process());
                tell(self.run.meter, || EventKind::WorkerStarted { worker: self.number, pid });
                self.run.feed.turn().tally().report.workers_started += u64::from(is_new);
                self.tasks_left = most - worker.given;
                self.worker = Some(worker);
                self.begin();
                true
            }
        }
    }

    /// Tells the worker what its batches are of.
    pub(super) fn begin(&mut self) {
        let run = self.run;
        let is_self_describing = run.shared.self_describing.load(Relaxed);
        self.begun_as = if is_self_describing { Prefer::SelfDescribing } else { Prefer::Small };
        let begin = Begin {
            task: run.crossing.task(),
            memory: run.memory.clone(),
            fail_fast: !run.feed.goes_on() && !run.retry.is_on(),
            self_describing: is_self_describing,
            soft_limit: run.isolation.limit_memory_soft,
        };
        if let Some(worker) = &mut self.worker {
            worker.order(&Order::Begin(begin), &[]).expect("a head of some hundred bytes is a message");
        }
    }

    pub(super) fn send(&mut self, mut flight: Flight<'s, W>) {
        let prefers =
            if self.run.shared.self_describing.load(Relaxed) { Prefer::SelfDescribing } else { Prefer::Small };
        if prefers != self.begun_as {
            self.begin();
        }
        let has_board = self.worker.as_ref().is_some_and(|worker| worker.board.is_some());
        let most = if has_board { usize::try_from(self.tasks_left).unwrap_or(usize::MAX) } else { 1 };
        if flight.items.len() > most {
            let (now, later) = flight.split(most);
            later.give_back(&mut self.run.feed.turn());
            flight = now;
        }
        flight.prefer = self.begun_as;
        let began = Instant::now();
        let sent = match self.encode(&flight.items, flight.prefer) {
            Ok(sent) => sent,
            Err(error) => return self.unencodable(flight, error),
        };
        let Some(worker) = &mut self.worker else { return flight.give_back(&mut self.run.feed.turn()) };
        let Sent { codec, content, departed } = sent;
        let mut mapped = 0;
        let ordered = worker.sweep_payloads();
        let ordered = ordered.and_then(|()| {
            departed.payloads.iter().try_for_each(|payload| {
                mapped += worker.send_payload(payload)?;
                Ok(())
            })
        });
        let ordered = ordered.and_then(|()| worker.send_batch(flight.waits, codec, &content));
        let mut turn = self.run.feed.turn();
        let tally = turn.tally();
        tally.crossing += began.elapsed();
        let report = &mut tally.report;
        report.bytes_encoded += content.len() as u64 + departed.bytes_encoded;
        report.payload_encodings += departed.encodings;
        report.bytes_mapped += mapped;
        drop(turn);
        match ordered {
            Ok(id) => {
                worker.given += flight.items.len() as u64;
                self.tasks_left -= flight.items.len() as u64;
                let (worker, index, items) = (self.number, flight.start, flight.items.len());
                tell(self.run.meter, || EventKind::BatchStarted { worker, index, items });
                self.flights.push_back(Flight { id, bytes: content.len(), ..flight });
            }
            Err(error) => self.unencodable(flight, CodecError::new(error)),
        }
    }

    fn encode(&self, items: &[W::Item], prefer: Prefer) -> Result<Sent, CodecError> {
        let folder = self.run.isolation.temp_folder.as_deref();
        travel::lying_in(folder, || self.run.crossing.encode(items, prefer))
    }

    /// What cannot be encoded is looked for item by item, and in the other form.
    pub(super) fn unencodable(&mut self, flight: Flight<'s, W>, error: CodecError) {
        let run = self.run;
        if flight.items.len() > 1 {
            return flight.give_back_in_halves(&mut run.feed.turn());
        }
        if flight.prefer == Prefer::Small && self.encode(&flight.items, Prefer::SelfDescribing).is_ok() {
            run.shared.self_describing.store(true, Relaxed);
            return flight.give_back(&mut run.feed.turn());
        }
        let message = format!("its arguments cannot be sent to a worker process: {error}");
        self.fail(flight, Cause::Lost(Lost { kind: FailureKind::Serialization, message }), 0);
    }
}
