//! Results of a stream that wait for whoever iterates over it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex};

use super::failure::Failure;
use crate::lock::{lock, whole};

/// In what order results are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    OfInput,
    AsTheyCome,
}

/// What came of some items.
#[derive(Debug)]
pub(super) enum Piece<R> {
    Values(Vec<R>),
    Failed(Failure),
}

impl<R> Piece<R> {
    /// Of how many items.
    fn len(&self) -> usize {
        match self {
            Piece::Values(values) => values.len(),
            Piece::Failed(_) => 1,
        }
    }
}

/// Where workers put results, and one consumer takes them.
pub(super) struct Shelf<R> {
    stock: Mutex<Stock<R>>,
    ready: Condvar,
}

struct Stock<R> {
    pieces: Pieces<R>,
    /// No more comes.
    closed: bool,
    waiting: bool,
}

/// With the index of the first item of each.
enum Pieces<R> {
    Ordered { next: usize, later: BTreeMap<usize, Piece<R>> },
    Unordered(VecDeque<(usize, Piece<R>)>),
}

impl<R> Shelf<R> {
    pub(super) fn new(order: Order) -> Shelf<R> {
        let pieces = match order {
            Order::OfInput => Pieces::Ordered { next: 0, later: BTreeMap::new() },
            Order::AsTheyCome => Pieces::Unordered(VecDeque::new()),
        };
        Shelf { stock: Mutex::new(Stock { pieces, closed: false, waiting: false }), ready: Condvar::new() }
    }

    /// Puts down what came of the items from `start` on.
    pub(super) fn put(&self, start: usize, piece: Piece<R>) {
        if piece.len() == 0 {
            return;
        }
        let mut stock = lock(&self.stock);
        let is_wanted = match &mut stock.pieces {
            Pieces::Ordered { next, later } => {
                later.insert(start, piece);
                start == *next
            }
            Pieces::Unordered(pieces) => {
                pieces.push_back((start, piece));
                true
            }
        };
        if stock.waiting && is_wanted {
            self.ready.notify_one();
        }
    }

    /// Says that no more comes.
    pub(super) fn close(&self) {
        lock(&self.stock).closed = true;
        self.ready.notify_one();
    }

    /// The next piece, if it is there.
    pub(super) fn try_take(&self) -> Option<(usize, Piece<R>)> {
        lock(&self.stock).pieces.take()
    }

    /// The next piece; waits for it. `None` if no more comes.
    pub(super) fn take(&self) -> Option<(usize, Piece<R>)> {
        let mut stock = lock(&self.stock);
        loop {
            if let Some(piece) = stock.pieces.take() {
                return Some(piece);
            }
            if stock.closed {
                return None;
            }
            stock.waiting = true;
            stock = whole(self.ready.wait(stock));
            stock.waiting = false;
        }
    }

    /// Waits until no more comes.
    pub(super) fn await_close(&self) {
        let mut stock = lock(&self.stock);
        while !stock.closed {
            stock.waiting = true;
            stock = whole(self.ready.wait(stock));
        }
    }

    /// Of what lies behind a gap, the failure with the lowest index: what a stream in order ends with that stopped before
    /// it came there.
    pub(super) fn failure_behind_gap(&self) -> Option<Failure> {
        let Pieces::Ordered { later, .. } = &mut lock(&self.stock).pieces else { return None };
        std::mem::take(later).into_values().find_map(|piece| match piece {
            Piece::Failed(failure) => Some(failure),
            Piece::Values(_) => None,
        })
    }
}

impl<R> Pieces<R> {
    fn take(&mut self) -> Option<(usize, Piece<R>)> {
        match self {
            Pieces::Ordered { next, later } => {
                let piece = later.remove(next)?;
                let start = *next;
                *next += piece.len();
                Some((start, piece))
            }
            Pieces::Unordered(pieces) => pieces.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::failure::Cause;
    use crate::task::TaskError;

    fn failure(index: usize) -> Failure {
        let cause = Cause::Erred(TaskError::from_message("no".to_owned()));
        Failure { index, task: None, arguments: None, worker: 0, attempts: 1, took: None, cause }
    }

    /// What is taken, each value with its index, a failure as `None`.
    fn taken(shelf: &Shelf<u32>) -> Vec<(usize, Option<u32>)> {
        let mut all = Vec::new();
        while let Some((start, piece)) = shelf.try_take() {
            match piece {
                Piece::Values(values) => all.extend(values.into_iter().enumerate().map(|(i, v)| (start + i, Some(v)))),
                Piece::Failed(failure) => all.push((failure.index, None)),
            }
        }
        all
    }

    #[test]
    fn pieces_are_taken_in_order_or_as_they_came() {
        for order in [Order::OfInput, Order::AsTheyCome] {
            let shelf = Shelf::new(order);
            shelf.put(3, Piece::Values(vec![3, 4]));
            shelf.put(0, Piece::Values(Vec::new()));
            let early = taken(&shelf);
            shelf.put(2, Piece::Failed(failure(2)));
            shelf.put(0, Piece::Values(vec![0, 1]));
            let late = taken(&shelf);
            let in_order = [(0, Some(0)), (1, Some(1)), (2, None), (3, Some(3)), (4, Some(4))];
            match order {
                Order::OfInput => assert_eq!((early.as_slice(), late.as_slice()), (&[][..], &in_order[..])),
                Order::AsTheyCome => {
                    assert_eq!(early, in_order[3..]);
                    assert_eq!(late, [(2, None), (0, Some(0)), (1, Some(1))]);
                }
            }
        }
    }

    #[test]
    fn behind_a_gap_the_first_failure_is_found() {
        let shelf = Shelf::new(Order::OfInput);
        shelf.put(9, Piece::Failed(failure(9)));
        shelf.put(2, Piece::Values(vec![2]));
        shelf.put(5, Piece::Failed(failure(5)));
        shelf.close();
        assert!(shelf.take().is_none());
        assert_eq!(shelf.failure_behind_gap().map(|failure| failure.index), Some(5));
        assert!(shelf.failure_behind_gap().is_none());
    }

    #[test]
    fn a_consumer_that_waits_is_woken_by_what_it_waits_for_and_by_the_end() {
        let shelf = Shelf::new(Order::OfInput);
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| {
                let mut values = Vec::new();
                while let Some((_, Piece::Values(piece))) = shelf.take() {
                    values.extend(piece);
                }
                values
            });
            shelf.put(1, Piece::Values(vec![1, 2]));
            shelf.put(0, Piece::Values(vec![0]));
            shelf.close();
            assert_eq!(consumer.join().unwrap(), [0, 1, 2]);
        });
    }
}
