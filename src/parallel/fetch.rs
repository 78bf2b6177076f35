//! Paged sources, read by many workers to their end.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::Mutex;

use super::Parallel;
use super::batch::BatchSize;
use super::failure::OnError;
use super::outcome::Outcome;
use super::pages::{Page, Pages};
use super::schedule::Schedule;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::lock::lock;

/// So many pages in a row that fail are the end, where one is not.
const MOST_IN_A_ROW: u64 = 8;

/// What runs over pages are called, by the progress and in failures.
const LABEL: &str = "fetch_pages";

/// Runs over pages.
impl Parallel {
    /// Fetches the pages of a source on many workers, until a short page ends it, and gives all rows in their order.
    ///
    /// `fetch` is given pages of `limit` rows from row 0 on, each once, and gives their rows. A page with fewer rows
    /// (or none) is the last one. No page is asked for after that; those behind it that were under way by then give
    /// nothing, whether they fail or not (one for each other worker, where there are no rows behind it). So the result
    /// is that of a loop which reads page after page, whatever the number of workers.
    ///
    /// To fetch is to wait: more workers than cores are right here, as many as the server likes to serve at once. A
    /// page is dispatched at a time, unless a [`batch_size`](Parallel::batch_size) or [`schedule`](Parallel::schedule)
    /// was asked for. A source that does not start at row 0 is one whose `fetch` adds to the offset.
    ///
    /// Not promised: that the rows are of one moment. A source that changes while it is read gives rows twice or not at
    /// all, unless `fetch` asks for a fixed order and a fixed moment (a snapshot, an `as of`). A source that never has
    /// a short page, since it passes over the offset, is read without end: give the run a
    /// [`cancel_token`](Parallel::cancel_token).
    ///
    /// # Errors
    /// The first page that failed: `fetch` returned an `Err` (kept as the error's source), panicked, or gave more rows
    /// than `limit`. Its [`Failure`](crate::Failure) has the page's offset among its arguments. Those before it are
    /// finished, and none behind it is asked for then, unless the others are wanted with [`OnError::Collect`]
    /// ([`fetch_pages_outcome`](Parallel::fetch_pages_outcome) says what ends such a run). Or the run was cancelled,
    /// the system refuses threads, `limit` is 0, or an option does not go with pages: `Backend::Processes` (a closure
    /// cannot go there), `retries` (try again within `fetch`) and `timeout_per_task` (give the client one).
    ///
    /// # Examples
    /// ```
    /// use larder::{Page, Parallel};
    /// use std::sync::Mutex;
    ///
    /// // A table of 10,500 rows, and what it was asked for.
    /// let requests = Mutex::new(Vec::new());
    /// let fetch = |page: Page| -> Result<Vec<u64>, std::io::Error> {
    ///     requests.lock().unwrap().push(page.offset);
    ///     Ok(page.range().take_while(|row| *row < 10_500).collect())
    /// };
    ///
    /// let rows = Parallel::new().n_jobs(4).fetch_pages(1000, fetch)?;
    /// assert!(rows.into_iter().eq(0..10_500));
    ///
    /// let mut requests = requests.into_inner().unwrap();
    /// requests.sort();
    /// let expected: Vec<u64> = (0..requests.len() as u64).map(|page| page * 1000).collect();
    /// assert_eq!(requests, expected); // each once
    /// assert!((11..=14).contains(&requests.len())); // the short one was the 11th
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn fetch_pages<R, E, F>(&self, limit: u64, fetch: F) -> Result<Vec<R>>
    where
        R: Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
        F: Fn(Page) -> std::result::Result<Vec<R>, E> + Sync,
    {
        let mut pages = self.fetch_pages_outcome(limit, fetch)?.into_values()?;
        if let [only] = &mut pages[..] {
            return Ok(std::mem::take(only));
        }
        let mut rows = Vec::with_capacity(pages.iter().map(Vec::len).sum());
        pages.into_iter().for_each(|mut page| rows.append(&mut page));
        Ok(rows)
    }

    /// Fetches pages as [`fetch_pages`](Parallel::fetch_pages) does, and gives every page and every failure: the result
    /// at index `i` is the page at offset `i * limit`.
    ///
    /// With [`OnError::FailFast`] what stands before the first failure, which is then the last of the list. With
    /// [`OnError::Collect`] reading goes on behind a page that failed. The end is found all the same where that would
    /// have been the short one: the next page is empty, and so the last. Of a source that gives nothing but failures no
    /// end can be found: 8 pages in a row that failed are taken for it, and the list ends with them, whatever may stand
    /// behind. Both depend on what the pages give and not on who fetched them when.
    ///
    /// The [report](Outcome::report) counts the pages up to the end; its workers, what they did.
    ///
    /// # Errors
    /// As [`fetch_pages`](Parallel::fetch_pages), but for pages that failed and a run that was cancelled: those are in
    /// the [`Outcome`].
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Page, Parallel};
    ///
    /// let fetch = |page: Page| match page.offset {
    ///     2000 => Err("connection reset"),
    ///     _ => Ok(page.range().take_while(|row| *row < 4500).collect::<Vec<_>>()),
    /// };
    /// let outcome = Parallel::new().n_jobs(4).on_error(OnError::Collect).fetch_pages_outcome(1000, fetch)?;
    ///
    /// let lengths = outcome.results().iter().map(|page| page.as_ref().map(Vec::len));
    /// assert!(lengths.eq([Some(1000), Some(1000), None, Some(1000), Some(500)]));
    /// let failure = &outcome.failures()[0];
    /// assert_eq!((failure.index(), failure.arguments()), (2, Some("offset = 2000, limit = 1000")));
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn fetch_pages_outcome<R, E, F>(&self, limit: u64, fetch: F) -> Result<Outcome<Vec<R>>>
    where
        R: Send,
        E: Into<Box<dyn StdError + Send + Sync>>,
        F: Fn(Page) -> std::result::Result<Vec<R>, E> + Sync,
    {
        let pages = Pages::new(limit)?;
        let reading =
            Reading::new(pages.clone(), if self.options.on_error == OnError::FailFast { 1 } else { MOST_IN_A_ROW });
        let mut outcome = self.for_pages()?.try_map_outcome(pages.clone(), |page| reading.read(page, &fetch))?;
        if let Some(last) = pages.last_offset() {
            // As long as a list, since each page up to there was given out.
            outcome.cut((last / limit) as usize + 1);
        }
        for failure in outcome.failures_mut() {
            let offset = failure.index as u64 * limit;
            failure.task = Some(LABEL);
            failure.arguments = Some(format!("offset = {offset}, limit = {}", limit.min(u64::MAX - offset)));
        }
        Ok(outcome)
    }

    /// The same workers, with the options that suit pages where nothing else was asked for.
    fn for_pages(&self) -> Result<Parallel> {
        if self.backend_here() == Backend::Processes {
            return Err(Error::invalid_option(
                "`backend` is `Backend::Processes`, and pages are fetched by a closure, which cannot go there: leave \
                 out the backend, since to fetch is to wait, and threads do that as well",
            ));
        }
        if self.options.retry.is_on() {
            return Err(Error::invalid_option(format!(
                "`retries` is {}, and a page is fetched once: leave it out, and try again within the closure",
                self.options.retry.most()
            )));
        }
        if let Some(timeout) = &self.options.timeout {
            return Err(Error::invalid_option(format!(
                "`timeout_per_task` is `{timeout:?}`, and who fetches a page cannot be broken off: leave it out, and give the \
                 client that fetches a timeout"
            )));
        }
        let mut options = self.options.clone();
        if options.batch_size == BatchSize::Auto && options.schedule == Schedule::Auto {
            options.schedule = Schedule::Individual;
        }
        // A failure behind the end is none: it is the reading that tells whether one ends the run.
        if options.on_error == OnError::FailFast {
            options.on_error = OnError::Collect;
        }
        options.label.get_or_insert_with(|| LABEL.to_owned());
        Ok(Parallel { options, ..self.clone() })
    }
}

/// What readers of one source know together.
struct Reading {
    pages: Pages,
    limit: u64,
    /// So many failures in a row are the end.
    most_in_a_row: u64,
    /// The numbers of the pages that failed.
    failed: Mutex<BTreeSet<u64>>,
}

impl Reading {
    fn new(pages: Pages, most_in_a_row: u64) -> Reading {
        let limit = pages.limit();
        Reading { pages, limit, most_in_a_row, failed: Mutex::default() }
    }

    fn read<R, E>(
        &self,
        page: Page,
        fetch: impl FnOnce(Page) -> std::result::Result<Vec<R>, E>,
    ) -> std::result::Result<Vec<R>, Box<dyn StdError + Send + Sync>>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        if self.pages.is_behind_end(page) {
            return Ok(Vec::new());
        }
        let unread = Unread { reading: self, page };
        let read = fetch(page).map_err(Into::into).and_then(|rows| match rows.len() {
            rows if !page.is_short(rows) && rows as u64 != page.limit => Err(format!(
                "the page has {rows} rows, and its limit is {}: see that the source is asked for no more than \
                 the limit",
                page.limit
            )
            .into()),
            _ => Ok(rows),
        });
        let rows = match read {
            // Many sources refuse to be asked for what is behind their end.
            Err(_) if self.pages.is_behind_end(page) => return Ok(Vec::new()),
            read => read?,
        };
        std::mem::forget(unread);
        if page.is_short(rows.len()) {
            self.pages.end_at(page);
        }
        Ok(rows)
    }

    /// A page gave no rows.
    fn fail(&self, page: Page) {
        let number = page.offset / self.limit;
        let mut failed = lock(&self.failed);
        failed.insert(number);
        let before =
            failed.range(..number).rev().zip(1..).take_while(|(other, by)| **other + by == number).count() as u64;
        let behind =
            failed.range(number + 1..).zip(1..).take_while(|(other, by)| **other == number + by).count() as u64;
        if before + 1 + behind >= self.most_in_a_row {
            let last = number - before + self.most_in_a_row - 1;
            self.pages.end_at(Page { offset: last * self.limit, limit: self.limit });
        }
    }
}

/// A page that is being fetched; dropped, it failed: by an `Err`, a panic, or for what it has.
struct Unread<'r> {
    reading: &'r Reading,
    page: Page,
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        self.reading.fail(self.page);
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::Options;
    use super::*;

    /// The offset of the last page, after these pages of 10 rows failed in this order.
    fn last(most_in_a_row: u64, failed: &[u64]) -> Option<u64> {
        let pages = Pages::new(10).unwrap();
        let reading = Reading::new(pages.clone(), most_in_a_row);
        failed.iter().for_each(|number| reading.fail(Page { offset: number * 10, limit: 10 }));
        pages.last_offset()
    }

    #[test]
    fn so_many_failures_in_a_row_are_the_end() {
        assert_eq!(last(3, &[0, 1]), None);
        assert_eq!(last(3, &[0, 1, 2]), Some(20));
        assert_eq!(last(3, &[0, 1, 3, 4, 6]), None, "none are three");
        assert_eq!(last(3, &[4, 6, 5]), Some(60), "the last of the first three");
        assert_eq!(last(3, &[4, 6, 7, 5]), Some(60), "though there are four");
        assert_eq!(last(3, &[7, 8, 9, 1, 3, 2]), Some(30), "an earlier end counts");
        assert_eq!(last(3, &[1, 3, 2, 7, 8, 9]), Some(30), "whenever it is found");
        assert_eq!(last(1, &[5, 2, 7]), Some(20));
    }

    #[test]
    fn the_order_in_which_pages_come_back_does_not_count() {
        let failed = [2, 3, 5, 6, 7, 8];
        for turn in 0..failed.len() {
            let mut failed = failed;
            failed.rotate_left(turn);
            assert_eq!(last(3, &failed), Some(70));
            failed.reverse();
            assert_eq!(last(3, &failed), Some(70));
        }
    }

    #[test]
    fn what_was_asked_for_explicitly_is_kept() {
        let of = |parallel: Parallel| {
            let Options { batch_size, schedule, on_error, label, .. } = parallel.for_pages().unwrap().options;
            (batch_size, schedule, on_error, label.unwrap())
        };
        let parallel = || Parallel::new().n_jobs(4);
        let usual = (BatchSize::Auto, Schedule::Individual, OnError::Collect, LABEL.to_owned());
        assert_eq!(of(parallel()), usual);
        let asked = of(parallel().batch_size(3).label("orders"));
        assert_eq!(asked, (BatchSize::Fixed(3), Schedule::Auto, OnError::Collect, "orders".to_owned()));
        assert_eq!(of(parallel().schedule(Schedule::TopPicking)).1, Schedule::TopPicking);
    }
}
