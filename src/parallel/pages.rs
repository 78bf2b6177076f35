//! Pages of a source that is read by offset and limit: who reads which, and where they end.

use std::iter::FusedIterator;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::lock::lock;

/// A part of a source: `limit` rows from row `offset` on, as databases and most APIs are asked for them.
///
/// An API that counts pages is asked for page `page.offset / page.limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Page {
    /// How many rows stand before it.
    pub offset: u64,
    /// How many rows it has, if the source has as many.
    pub limit: u64,
}

impl Page {
    /// The rows' numbers, from 0.
    pub fn range(self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.limit)
    }

    /// Whether a page of so many rows says that there are no more behind it: it has fewer than it may have.
    pub fn is_short(self, rows: usize) -> bool {
        u64::try_from(rows).is_ok_and(|rows| rows < self.limit)
    }
}

/// The pages of a source, one after the other, for readers that work in parallel: no two are given the same page.
///
/// A handle and an iterator: clones share one position, so each worker may have its own, or a run may read one as its
/// input. How long the source is, the readers find out: who got a short page tells it with [`end_at`](Pages::end_at),
/// and the iterator ends for everyone. Who never tells has an endless iterator (to the last of 2^64 rows).
///
/// [`Parallel::fetch_pages`](crate::Parallel::fetch_pages) does all that for a function that fetches one page, and puts
/// the rows in order. Not promised: that a page is asked for only if there is such a page: when one reader has met the
/// end, the others may be under way with pages behind it.
///
/// # Examples
/// ```
/// use larder::{Page, Pages};
///
/// let fetch = |page: Page| -> Vec<u64> { page.range().take_while(|row| *row < 10_500).collect() };
/// let pages = Pages::new(1000)?;
/// let read = || {
///     pages.clone().map(|page| {
///         let rows = fetch(page);
///         if page.is_short(rows.len()) {
///             pages.end_at(page);
///         }
///         rows.len()
///     }).sum::<usize>()
/// };
/// let rows = std::thread::scope(|scope| {
///     let other = scope.spawn(&read);
///     read() + other.join().unwrap()
/// });
/// assert_eq!(rows, 10_500);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "an iterator does nothing until it is read"]
pub struct Pages {
    limit: u64,
    position: Arc<Mutex<Position>>,
}

#[derive(Debug)]
struct Position {
    /// The offset of the next page.
    next: u64,
    /// The offset of the last page, once it is known.
    last: Option<u64>,
}

impl Pages {
    /// Pages of so many rows, from the first row on.
    ///
    /// # Errors
    /// `limit` is 0.
    pub fn new(limit: u64) -> Result<Pages> {
        if limit == 0 {
            return Err(Error::invalid_option(
                "`limit` of pages is 0: give how many rows are fetched at a time, 1 or more",
            ));
        }
        Ok(Pages::of(limit, 0))
    }

    fn of(limit: u64, offset: u64) -> Pages {
        Pages { limit, position: Arc::new(Mutex::new(Position { next: offset, last: None })) }
    }

    /// Pages of as many rows from row `offset` on. They have a position of their own, whatever was read before.
    pub fn starting_at(self, offset: u64) -> Pages {
        Pages::of(self.limit, offset)
    }

    /// Tells that there is nothing behind `page`, since it was short or empty: no further page is given, to anyone.
    /// Told of several, the first of them in the source is the end.
    pub fn end_at(&self, page: Page) {
        let mut position = lock(&self.position);
        position.last = Some(position.last.map_or(page.offset, |last| last.min(page.offset)));
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// The offset of the page that was told to be the last.
    pub(super) fn last_offset(&self) -> Option<u64> {
        lock(&self.position).last
    }

    /// Whether the end is known and this page is behind it: for readers that took pages ahead.
    pub fn is_behind_end(&self, page: Page) -> bool {
        self.last_offset().is_some_and(|last| page.offset > last)
    }
}

impl Iterator for Pages {
    type Item = Page;

    fn next(&mut self) -> Option<Page> {
        let mut position = lock(&self.position);
        // What is left of 2^64 rows; so `offset + limit` is always a number.
        let limit = self.limit.min(u64::MAX - position.next);
        if limit == 0 || position.last.is_some_and(|last| position.next > last) {
            return None;
        }
        let page = Page { offset: position.next, limit };
        position.next += limit;
        Some(page)
    }
}

// The position only goes up, and the end only down.
impl FusedIterator for Pages {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::thread;

    fn page(offset: u64, limit: u64) -> Page {
        Page { offset, limit }
    }

    #[test]
    fn clones_share_one_position() {
        let mut pages = Pages::new(10).unwrap();
        let mut other = pages.clone();
        assert_eq!(
            (pages.next(), other.next(), pages.next()),
            (Some(page(0, 10)), Some(page(10, 10)), Some(page(20, 10)))
        );
        let mut apart = other.clone().starting_at(5);
        assert_eq!(
            (apart.next(), other.next(), apart.next()),
            (Some(page(5, 10)), Some(page(30, 10)), Some(page(15, 10)))
        );
    }

    #[test]
    fn the_first_end_that_is_told_is_the_end() {
        let mut pages = Pages::new(10).unwrap();
        let given: Vec<Page> = pages.by_ref().take(5).collect();
        pages.end_at(given[3]);
        pages.end_at(given[4]);
        assert!(!pages.is_behind_end(given[3]) && pages.is_behind_end(given[4]));
        pages.end_at(given[1]);
        assert!(!pages.is_behind_end(given[1]) && pages.is_behind_end(given[2]));
        assert_eq!((pages.next(), pages.clone().next(), pages.next()), (None, None, None));
    }

    /// The end may be known from elsewhere, before anyone comes to it.
    #[test]
    fn pages_up_to_an_end_that_is_known_before_are_given() {
        let pages = Pages::new(10).unwrap();
        pages.end_at(page(20, 10));
        assert_eq!(pages.map(|page| page.offset).collect::<Vec<_>>(), [0, 10, 20]);
    }

    #[test]
    fn offsets_do_not_overflow() {
        let last: Vec<Page> = Pages::new(10).unwrap().starting_at(u64::MAX - 25).collect();
        assert_eq!(last, [page(u64::MAX - 25, 10), page(u64::MAX - 15, 10), page(u64::MAX - 5, 5)]);
        assert_eq!(last[2].range(), u64::MAX - 5..u64::MAX);
        assert_eq!(Pages::new(u64::MAX).unwrap().collect::<Vec<_>>(), [page(0, u64::MAX)]);
        assert_eq!(Pages::new(1).unwrap().starting_at(u64::MAX).next(), None);
    }

    #[test]
    fn no_page_is_given_twice() {
        let pages = Pages::new(3).unwrap();
        let read = || pages.clone().take(2000).map(|page| page.offset).collect::<Vec<_>>();
        let lists = thread::scope(|scope| {
            let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(lists.iter().all(|list| list.is_sorted()));
        let all: BTreeSet<u64> = lists.into_iter().flatten().collect();
        assert!(all.into_iter().eq((0..8000).map(|page| page * 3)));
    }

    #[test]
    fn short_is_less_than_the_limit() {
        assert!(page(0, 10).is_short(0) && page(0, 10).is_short(9));
        assert!(!page(0, 10).is_short(10) && !page(0, 10).is_short(11));
    }

    #[test]
    fn pages_of_nothing_are_refused() {
        let error = Pages::new(0).unwrap_err();
        assert!(error.is_invalid_option());
        assert!(error.to_string().starts_with("`limit` of pages is 0: give how many rows"), "{error}");
    }
}
