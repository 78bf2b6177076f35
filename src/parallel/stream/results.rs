//! What is taken from a stream.

use super::running::{Ended, Running};
use crate::error::{Error, Result};
use crate::parallel::shelf::{Order, Piece};

/// What both streams are: results with their positions.
pub(super) struct Results<R> {
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
    pub(super) fn of(running: Box<dyn Running<R>>, order: Order) -> Results<R> {
        let (grain, values) = (running.grain(), Vec::new().into_iter());
        Results { running: Some(running), values, at: 0, taken: 0, grain, order, ended: None }
    }

    /// What it says of itself, once it has ended.
    pub(super) fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<Result<(usize, R)>> {
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
