//! What a driver looks after between two messages: time, memory, the end of the run; and what it does when its worker is lost.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use super::super::flight::{Offence, Verdict};
use super::super::work::Work;
use super::Driver;
use crate::backend::processes::{TICK, Unheard};
use crate::lock::lock;
use crate::worker::usage::own_bytes;

/// A worker whose run was stopped has so long to leave its task, before it is killed.
const GRACE: Duration = Duration::from_millis(100);
impl<'s, W: Work, I: Iterator<Item = W::Item> + Send> Driver<'s, '_, W, I> {
    /// The worker is gone, or cannot be trusted.
    pub(super) fn lose(&mut self, end: Unheard) {
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
    pub(super) fn punish(&mut self, offence: &Offence) {
        let Some(worker) = self.worker.take() else { return };
        let board = worker.board.as_ref().map(|board| (board.begun().load(Acquire), board.ended().load(Acquire)));
        let calls = worker.calls;
        worker.end();
        self.sort_out(offence, board.map(|(begun, ended)| (begun - calls, ended < begun)));
    }

    /// Gives back what a lost worker had, and judges the item it was running: of the first batch it had begun so many, and
    /// was within the last of these or between two; `None` if that is not known.
    pub(super) fn sort_out(&mut self, offence: &Offence, begun: Option<(u64, bool)>) {
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
    pub(super) fn replace_grown(&mut self) {
        // Dropped, it ends by itself.
        self.worker = None;
        self.take_back_told();
        let mut turn = self.run.feed.turn();
        for flight in std::mem::take(&mut self.flights) {
            flight.give_back(&mut turn);
        }
    }

    /// Looks whether the run, the time and the memory of the task at hand are over.
    pub(super) fn look_after(&mut self) {
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
    pub(super) fn stop(&mut self) {
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
}
