//! Runs of closures.

use super::Parallel;
use super::outcome::Outcome;
use super::run::{Gather, Outcomes, Values};
use super::work::{self, Work};
use crate::error::{Error, Result};

/// Runs of closures, which may borrow.
impl Parallel {
    /// Calls `function` with each item and gives the results in order. What the closure borrows must outlive the call
    /// only.
    ///
    /// # Errors
    /// The closure panicked: the error holds a [`Failure`](crate::Failure) with the item's index; or as [`run`](Parallel::run).
    pub fn map<I, R, F>(&self, items: I, function: F) -> Result<Vec<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        F: Fn(I::Item) -> R + Send + Sync,
    {
        self.closure(Values, items.into_iter(), work::Closure::new(function))
    }

    /// As [`map`](Parallel::map), for a closure that can fail: the first `Err` ends the run.
    ///
    /// # Errors
    /// The closure returned an `Err` (kept as the error's source) or panicked; or as [`run`](Parallel::run).
    ///
    /// # Examples
    /// ```
    /// let error = larder::Parallel::new().n_jobs(1).try_map(["4", "x", "6"], |text| text.parse::<u8>()).unwrap_err();
    /// assert_eq!(error.to_string(), "task 1 failed on worker 0: invalid digit found in string");
    /// ```
    pub fn try_map<I, R, E, F>(&self, items: I, function: F) -> Result<Vec<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Fn(I::Item) -> std::result::Result<R, E> + Send + Sync,
    {
        self.closure(Values, items.into_iter(), work::Fallible::new(function))
    }

    /// Calls `function` with each item as [`map`](Parallel::map) does, and gives every result and every failure.
    ///
    /// # Errors
    /// As [`outcome`](Parallel::outcome): only what keeps the run from starting.
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Parallel};
    ///
    /// let table = [vec![3, 1, 2], vec![], vec![5]];
    /// let outcome = Parallel::new().n_jobs(2).on_error(OnError::Collect).map_outcome(&table, |row| row[0])?;
    /// assert_eq!(outcome.results(), [Some(3), None, Some(5)]);
    /// assert!(outcome.failures()[0].is_panic());
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn map_outcome<I, R, F>(&self, items: I, function: F) -> Result<Outcome<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        F: Fn(I::Item) -> R + Send + Sync,
    {
        self.closure(Outcomes, items.into_iter(), work::Closure::new(function))
    }

    /// As [`map_outcome`](Parallel::map_outcome), for a closure that can fail.
    ///
    /// # Errors
    /// As [`outcome`](Parallel::outcome): only what keeps the run from starting.
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Parallel};
    ///
    /// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
    /// let outcome = parallel.try_map_outcome(["4", "x", "6"], |text| text.parse::<u8>())?;
    /// assert_eq!(outcome.into_results(), [Some(4), None, Some(6)]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn try_map_outcome<I, R, E, F>(&self, items: I, function: F) -> Result<Outcome<R>>
    where
        I: IntoIterator,
        I::Item: Send,
        I::IntoIter: Send,
        R: Send,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
        F: Fn(I::Item) -> std::result::Result<R, E> + Send + Sync,
    {
        self.closure(Outcomes, items.into_iter(), work::Fallible::new(function))
    }

    pub(super) fn closure<'s, G, W, I>(&self, gather: G, items: I, work: W) -> Result<G::Of<W::Output>>
    where
        G: Gather<'s>,
        W: Work + 's,
        I: Iterator<Item = W::Item> + Send + 's,
    {
        if self.options.retry.is_on() {
            return Err(Error::invalid_option(format!(
                "`retries` is {}, and a closure consumes its item, so it cannot be run again: make the function a task \
                 with `#[larder::task]` and give delayed calls to `run` or `outcome`",
                self.options.retry.most()
            )));
        }
        gather.gather(&*self.begin(|| false)?, items, work, "map")
    }
}
