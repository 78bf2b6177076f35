//! The input, behind a lock of its own: reading it may take as long as it likes, and nobody waits for that who has results to
//! hand in or to fetch.

use std::collections::VecDeque;

use crate::panics::{self, Panic};

/// The input of a run.
pub(super) struct Source<I: Iterator> {
    items: I,
    /// What is read and not given out, where all is read at once.
    stock: VecDeque<I::Item>,
    reads_all: bool,
    /// It is not asked again: not every iterator goes on answering `None`, and one may have panicked.
    ended: bool,
}

impl<I: Iterator> Source<I> {
    pub(super) fn new(items: I, reads_all: bool) -> Source<I> {
        Source { items, stock: VecDeque::new(), reads_all, ended: false }
    }

    /// At most so many items are left, if that is known.
    pub(super) fn left(&self) -> Option<usize> {
        if self.ended {
            return Some(self.stock.len());
        }
        let most = panics::catch(|| self.items.size_hint().1).ok().flatten();
        most.map(|most| most.saturating_add(self.stock.len()))
    }

    /// Reads up to so many items. A panic of the input stands for the item that it should have given, and is its end.
    pub(super) fn read(&mut self, size: usize, items: &mut Vec<I::Item>) -> Result<(), Panic> {
        let mut refusal = Ok(());
        if self.reads_all && !self.ended {
            self.ended = true;
            refusal = panics::catch(|| self.stock.extend(self.items.by_ref()));
        }
        items.extend(self.stock.drain(..size.min(self.stock.len())));
        let wanted = size - items.len();
        if wanted > 0 && !self.ended {
            refusal = panics::catch(|| items.extend(self.items.by_ref().take(wanted)));
            self.ended = items.len() < size || refusal.is_err();
        }
        refusal
    }

    /// How much is read and not given out.
    pub(super) fn stocked(&self) -> usize {
        self.stock.len()
    }

    /// Whether all was given out.
    pub(super) fn is_empty(&self) -> bool {
        self.ended && self.stock.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_read_in_pieces_or_at_once() {
        for reads_all in [false, true] {
            let mut asked = 0;
            let mut source = Source::new((0..5).inspect(|_| asked += 1), reads_all);
            let mut items = Vec::new();
            assert_eq!((source.left(), source.is_empty()), (Some(5), false));
            source.read(2, &mut items).unwrap();
            assert_eq!((items.drain(..).as_slice(), source.left()), (&[0, 1][..], Some(3)));
            source.read(9, &mut items).unwrap();
            assert_eq!((items.drain(..).as_slice(), source.is_empty()), (&[2, 3, 4][..], true));
            source.read(9, &mut items).unwrap();
            assert!(items.is_empty());
            drop(source);
            assert_eq!(asked, 5);
        }
    }

    #[test]
    fn a_panic_ends_it_and_keeps_what_came_before() {
        for reads_all in [false, true] {
            let input = (0..9).inspect(|item| assert!(*item < 3, "(this panic belongs to the test)"));
            let mut source = Source::new(input, reads_all);
            let mut items = Vec::new();
            assert!(source.read(8, &mut items).is_err());
            assert_eq!(items, [0, 1, 2]);
            items.clear();
            source.read(8, &mut items).unwrap();
            assert!(items.is_empty() && source.is_empty());
        }
    }
}
