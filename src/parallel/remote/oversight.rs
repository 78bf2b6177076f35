//! What a driver looks after between two messages: time, memory, the end of the run; and what it does when its worker is lost.

use std::sync::atomic::Ordering::Release;
use std::time::{Duration, Instant};

use super::super::flight::{Flight, Offence, Verdict};
use super::super::progress::{EventKind, tell};
use super::super::work::Work;
use super::Driver;
use crate::backend::processes::{Handle, TICK, Unheard};
use crate::lock::lock;
use crate::sys::board::{Board, Stand};
use crate::worker::usage::own_bytes;

/// A worker whose run was stopped has so long to leave its task, before it is killed.
const GRACE: Duration = Duration::from_millis(100);
/// Between two tasks a worker decodes and encodes; so long at least it may take for that.
const BETWEEN: Duration = Duration::from_secs(10);

impl<'s, W: Work, I: Iterator<Item = W::Item> + Send> Driver<'s, '_, W, I> {
    /// The worker is gone, or cannot be trusted.
    pub(super) fn lose(&mut self, end: Unheard) {
        let Some(worker) = self.worker.take() else { return };
        let (running, pid) = (running_in(&worker), worker.process());
        let offence = match end {
            Unheard::Garbage(error) => {
                worker.kill();
                Offence::Garbage(error.to_string())
            }
            Unheard::Gone | Unheard::Late | Unheard::Cancelled => Offence::Died(worker.await_end()),
        };
        self.tell_death(pid, &offence);
        self.sort_out(&offence, running);
    }

    /// Kills the worker for what it is doing.
    pub(super) fn punish(&mut self, offence: &Offence) {
        let Some(worker) = self.worker.take() else { return };
        let (running, pid) = (running_in(&worker), worker.process());
        worker.kill();
        self.tell_death(pid, offence);
        self.sort_out(offence, running);
    }

    fn tell_death(&self, pid: u32, offence: &Offence) {
        let (worker, pid) = (self.number, Some(pid));
        tell(self.run.meter, || match self.stopped_at {
            // As in the report: at the end of a run none is counted.
            Some(_) => EventKind::WorkerEnded { worker, pid },
            None => EventKind::WorkerDied { worker, pid, why: offence.cause().message().to_owned() },
        });
    }

    /// Gives back what a lost worker had, and judges the item it was running, by its place in the first batch; `None` if
    /// it was between two, or that is not known.
    pub(super) fn sort_out(&mut self, offence: &Offence, running: Option<usize>) {
        self.take_back_told();
        self.clock = None;
        if self.stopped_at.is_some() {
            self.flights.clear();
            return;
        }
        let mut turn = self.run.feed.turn();
        turn.tally().report.deaths += 1;
        let mut flights = std::mem::take(&mut self.flights);
        let Some(flight) = flights.pop_front() else { return };
        for flight in flights {
            flight.give_back(&mut turn);
        }
        let running = if flight.items.len() == 1 { Some(0) } else { running };
        let Some(running) = running.filter(|running| *running < flight.items.len()) else {
            // It was between two items, or busy with all results: one of them may be the cause.
            return flight.give_back_in_halves(&mut turn);
        };
        let (before, rest) = flight.split(running);
        let (item, behind) = rest.split(1);
        before.give_back(&mut turn);
        behind.give_back(&mut turn);
        drop(turn);
        let verdict = lock(&self.run.shared.records).entry(item.start).or_default().judge(offence);
        match verdict {
            // In a worker of its own: then nobody else can be the cause.
            Verdict::RunAlone => self.suspect = Some(Flight { is_suspect: true, ..item }),
            Verdict::Guilty => {
                // Each attempt is judged anew.
                lock(&self.run.shared.records).remove(&item.start);
                self.failed(item, offence.cause());
            }
        }
    }

    /// The worker is grown, says that it begins nothing more, and makes way for another.
    pub(super) fn replace_grown(&mut self) {
        // Dropped, it ends by itself.
        drop(self.let_go());
        self.take_back_told();
        let mut turn = self.run.feed.turn();
        for flight in std::mem::take(&mut self.flights) {
            flight.give_back(&mut turn);
        }
    }

    /// Looks whether the run, the time and the memory of the task at hand are over.
    pub(super) fn look_after(&mut self) {
        if self.run.feed.is_stopped() {
            self.end_batches();
            if self.run.feed.stopping().breaks_off() {
                return self.stop();
            }
        }
        let Some(worker) = &self.worker else { return };
        let stand = worker.board.as_ref().map(Board::stand);
        if let (Some(Stand { ended, .. }), Some(_)) = (stand, self.run.meter) {
            let told = ended.saturating_sub(worker.calls);
            self.count(told - self.told.min(told));
            self.told = self.told.max(told);
        }
        let Some(flight) = self.flights.front() else { return };
        if let Some(timeout) = self.run.feed.task_limit() {
            let (task, limit) = match stand {
                // Somebody else's time.
                Some(Stand { waits: true, .. }) => (None, timeout),
                Some(Stand { begun, ended, .. }) if ended < begun => (Some((flight.id, begun)), timeout),
                // It decodes, encodes, or does nothing at all, as a process that is stopped.
                Some(Stand { begun, .. }) => (Some((flight.id, begun)), timeout.max(BETWEEN)),
                // Without a board a batch is one task.
                None => (Some((flight.id, 0)), timeout),
            };
            let now = Instant::now();
            self.clock = task.map(|task| match self.clock {
                Some((known, since)) if task == known && !self.heard => (known, since),
                _ => (task, now),
            });
            self.heard = false;
            if self.clock.is_some_and(|(_, since)| now - since > limit) {
                return self.punish(&Offence::TooLong(timeout));
            }
        }
        let Some(worker) = &self.worker else { return };
        if let Some(limit) = self.run.isolation.limit_memory_hard
            && self.memory_looked_at.elapsed() >= TICK
        {
            self.memory_looked_at = Instant::now();
            if let Some(used) = own_bytes(Some(worker.process())).filter(|used| *used > limit) {
                let is_fresh = stand.map_or(worker.batches, |stand| stand.begun) <= 1;
                self.punish(&Offence::TooMuch { used, limit, is_fresh });
            }
        }
    }

    /// No further item is begun.
    fn end_batches(&self) {
        if let Some(worker) = &self.worker
            && let Some(board) = &worker.board
        {
            board.stop().store(worker.batches, Release);
        }
    }

    /// The run stops: what is being run is left a moment to end, as what was run is worth having.
    pub(super) fn stop(&mut self) {
        let now = Instant::now();
        let since = *self.stopped_at.get_or_insert(now);
        if now - since < GRACE {
            return;
        }
        self.take_back_told();
        self.flights.clear();
        if let Some(worker) = self.let_go() {
            worker.kill();
        }
    }
}

/// The place in its first batch of the item that a worker is running.
fn running_in(worker: &Handle) -> Option<usize> {
    let Stand { begun, ended, .. } = worker.board.as_ref()?.stand();
    // A worker that is out of its mind may have written anything there.
    let place = begun.checked_sub(worker.calls)?.checked_sub(1)?;
    if ended < begun { usize::try_from(place).ok() } else { None }
}
