//! What came of a run, failures and all.

use std::fmt;

use super::failure::Failure;
use super::feed::End;
use super::report::RunReport;
use super::run::LARGEST_LIST_BYTES;
use super::stop::Stopped;
use super::written::Written;
use crate::error::Error;

/// What came of a run: every result there is, and every failure. Given by [`Parallel::outcome`](crate::Parallel::outcome),
/// [`map_outcome`](crate::Parallel::map_outcome) and [`try_map_outcome`](crate::Parallel::try_map_outcome).
///
/// # Examples
/// ```
/// use larder::{OnError, Parallel, delayed};
///
/// #[larder::task]
/// fn root(x: f64) -> Result<f64, String> {
///     if x < 0.0 { Err(format!("{x} has no real root")) } else { Ok(x.sqrt()) }
/// }
///
/// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
/// let outcome = parallel.outcome([4.0, -1.0, 9.0].map(|x| delayed!(root(x))))?;
/// assert_eq!(outcome.results(), [Some(2.0), None, Some(3.0)]);
/// assert_eq!(outcome.failures()[0].arguments(), Some("x = -1.0"));
/// # Ok::<(), larder::Error>(())
/// ```
#[must_use = "failures of tasks are told in the outcome only"]
pub struct Outcome<R> {
    results: Vec<Option<R>>,
    failures: Vec<Failure>,
    report: RunReport,
    is_whole: bool,
    stopped: Option<Stopped>,
    error: Option<Error>,
}

impl<R> Outcome<R> {
    /// The list is as long as the input where that says its length, and no shorter than what was read of it. `error` is
    /// what kept workers from going on.
    pub(super) fn new(end: End<'_, R>, report: RunReport, total: Option<usize>, error: Option<Error>) -> Outcome<R> {
        let End { written, failures, read, ended, is_whole, stopped, .. } = end;
        let wanted = total.filter(|total| !ended && *total <= LARGEST_LIST_BYTES / size_of::<Option<R>>().max(1));
        let len = wanted.unwrap_or(0).max(read);
        let mut parts: Vec<(usize, Vec<R>)> = written
            .into_iter()
            .filter_map(|written| match written {
                Written::Apart { start, values } => Some((start, values)),
                // There are no slots in a run that is gathered here.
                Written::Placed(_) => None,
            })
            .collect();
        // An empty one may begin where another does.
        parts.sort_by_key(|(start, _)| *start);
        let mut results = Vec::with_capacity(len);
        for (start, values) in parts.into_iter().filter(|(_, values)| !values.is_empty()) {
            results.resize_with(start, || None);
            results.extend(values.into_iter().map(Some));
        }
        results.resize_with(len, || None);
        Outcome { results, failures, report, is_whole, stopped, error }
    }

    /// Of a run that had nothing to do: these results were known, and these items failed before.
    pub(super) fn of_known(results: Vec<Option<R>>, failures: Vec<Failure>) -> Outcome<R> {
        let failed = failures.len() as u64;
        let report = RunReport { items: failed, failed, ..RunReport::default() };
        let settled = results.iter().flatten().count() + failures.len();
        let is_whole = settled == results.len();
        Outcome { results, failures, report, is_whole, stopped: None, error: None }
    }

    /// Puts the outcome of a part of a list where it belongs: `places` are the indices of its items, `results` are those that
    /// were known, and `failures` those of items that were not run.
    pub(super) fn into_place(
        self,
        places: &[usize],
        mut results: Vec<Option<R>>,
        mut failures: Vec<Failure>,
    ) -> Outcome<R> {
        let Outcome { results: ran, failures: failed, mut report, stopped, error, .. } = self;
        let place = |index: usize| places.get(index).copied().unwrap_or(index);
        report.slowest.iter_mut().for_each(|slow| slow.index = place(slow.index));
        for (place, result) in places.iter().zip(ran) {
            if let Some(slot) = results.get_mut(*place) {
                *slot = result;
            }
        }
        failures.extend(failed.into_iter().map(|failure| Failure { index: place(failure.index), ..failure }));
        failures.sort_by_key(|failure| failure.index);
        let settled = results.iter().flatten().count() + failures.len();
        let is_whole = settled == results.len();
        Outcome { results, failures, report, is_whole, stopped, error }
    }

    /// The outcome of a run in which so many items were left out, because that was asked for.
    pub(super) fn without(mut self, left_out: usize) -> Outcome<R> {
        if left_out > 0 && self.error.is_none() {
            self.error = Some(Error::invalid_option(format!(
                "{left_out} items without a result were left out, since `only_failed` asks for those alone that failed before: run \
                 without it for the rest"
            )));
        }
        self
    }

    /// Ends the outcome behind the first `len` items: those were all there is, and what was read beyond is nothing. What
    /// the workers did remains counted.
    pub(super) fn cut(&mut self, len: usize) {
        self.results.truncate(len);
        self.failures.retain(|failure| failure.index < len);
        let (completed, failed) = (self.results.iter().flatten().count(), self.failures.len());
        let report = &mut self.report;
        (report.items, report.completed, report.failed) =
            (report.items.min(len as u64), completed as u64, failed as u64);
        if completed + failed == len {
            (self.is_whole, self.stopped) = (true, None);
        }
    }

    /// The failures, to be told more of.
    pub(super) fn failures_mut(&mut self) -> &mut [Failure] {
        &mut self.failures
    }

    /// The results in the order of the input; `None` where an item failed or was not run.
    ///
    /// As long as the input, if that says its length (and a list of as many results takes no more than 256 MiB); a run
    /// of another input that ended early has a list up to the last item that was read.
    pub fn results(&self) -> &[Option<R>] {
        &self.results
    }

    /// The results themselves, as [`results`](Outcome::results) has them.
    pub fn into_results(self) -> Vec<Option<R>> {
        self.results
    }

    /// The failures in the order of the input. With [`OnError::FailFast`](crate::OnError::FailFast) there may be more than
    /// one: the others were running when the first one failed.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// What the run did, in numbers.
    pub fn report(&self) -> &RunReport {
        &self.report
    }

    /// Whether every item of the input has a result.
    pub fn is_complete(&self) -> bool {
        self.is_whole && self.failures.is_empty()
    }

    /// Whether items were not run because a [`CancelToken`](crate::CancelToken) stopped the run. `false` if it came too
    /// late for that.
    pub fn is_cancelled(&self) -> bool {
        self.stopped == Some(Stopped::Cancelled)
    }

    /// Why items were not run, or not to their end; `None` if all were.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// What kept workers from going on, beyond the items themselves: the system refused a resource.
    pub fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// All results, as [`Parallel::run`](crate::Parallel::run) gives them.
    ///
    /// # Errors
    /// Something failed, or the run ended early. The error has all there is: results, failures, the report. With `?` it
    /// becomes an [`Error`]: the failure with the lowest index, and in the text how many others there are.
    ///
    /// # Examples
    /// ```
    /// let outcome = larder::Parallel::new().n_jobs(2).map_outcome(0..4, |x| x * x)?;
    /// assert!(outcome.is_complete());
    /// assert_eq!(outcome.into_values()?, [0, 1, 4, 9]);
    ///
    /// let halves = larder::Parallel::new().n_jobs(1).try_map_outcome([4, 6, 7, 8], |x| match x % 2 {
    ///     0 => Ok(x / 2),
    ///     _ => Err(format!("{x} is odd")),
    /// })?;
    /// let error = halves.into_values().unwrap_err();
    /// assert_eq!(error.to_string(), "task 2 failed on worker 0: 7 is odd");
    /// assert_eq!(error.outcome().results(), [Some(2), Some(3), None, None]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn into_values(self) -> std::result::Result<Vec<R>, Incomplete<R>> {
        if self.is_complete() && self.results.iter().all(Option::is_some) {
            return Ok(self.results.into_iter().flatten().collect());
        }
        Err(Incomplete { outcome: Box::new(self) })
    }

    /// What makes it incomplete.
    fn into_error(mut self) -> Error {
        if !self.failures.is_empty() {
            let others = self.failures.len() - 1;
            return Error::failed(self.failures.swap_remove(0), others);
        }
        let completed = self.report.completed;
        self.error.unwrap_or_else(|| Error::stopped(self.stopped.unwrap_or(Stopped::Cancelled), completed))
    }
}

/// The error of an [`Outcome`] without all results: it has what there is.
pub struct Incomplete<R> {
    outcome: Box<Outcome<R>>,
}

impl<R> Incomplete<R> {
    /// Every result and every failure there is.
    pub fn outcome(&self) -> &Outcome<R> {
        &self.outcome
    }

    /// Every result and every failure there is.
    pub fn into_outcome(self) -> Outcome<R> {
        *self.outcome
    }
}

impl<R> From<Incomplete<R>> for Error {
    fn from(incomplete: Incomplete<R>) -> Error {
        incomplete.outcome.into_error()
    }
}

impl<R> fmt::Display for Incomplete<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { failures, report, stopped, error, .. } = &*self.outcome;
        match (failures.as_slice(), error) {
            ([first, others @ ..], _) => first.words(others.len(), f),
            ([], Some(error)) => fmt::Display::fmt(error, f),
            ([], None) => stopped.unwrap_or(Stopped::Cancelled).words(report.completed, f),
        }
    }
}

impl<R> fmt::Debug for Incomplete<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<R> std::error::Error for Incomplete<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let Outcome { failures, error, .. } = &*self.outcome;
        let failed = failures.first().and_then(std::error::Error::source);
        failed.or_else(|| error.as_ref().and_then(std::error::Error::source))
    }
}

/// The counts; results need not be `Debug`.
impl<R> fmt::Debug for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("results", &self.results.len())
            .field("failures", &self.failures)
            .field("report", &self.report)
            .field("stopped", &self.stopped)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::failure::Cause;
    use crate::parallel::tally::Tally;
    use crate::task::TaskError;

    fn outcome(parts: &[(usize, &[u8])], failed: &[usize], read: usize, total: Option<usize>) -> Outcome<u8> {
        let apart = |(start, values): &(usize, &[u8])| Written::Apart { start: *start, values: values.to_vec() };
        let written: Vec<_> = parts.iter().map(apart).collect();
        let done = written.iter().map(Written::len).sum::<usize>() + failed.len();
        let failure = |index: &usize| {
            let cause = Cause::Erred(TaskError::from_message(format!("{index} fails")));
            Failure { index: *index, task: None, arguments: None, worker: 0, attempts: 1, took: None, cause }
        };
        let is_whole = done == read && total.is_none_or(|total| total == read);
        let failures = failed.iter().map(failure).collect();
        let stopped = (!is_whole).then_some(Stopped::Cancelled);
        let tally = Tally::default();
        let end = End { written, failures, tally, read, ended: is_whole, is_whole, stopped };
        Outcome::new(end, RunReport::default(), total, None)
    }

    #[test]
    fn results_go_to_their_places_and_gaps_stay() {
        let whole = outcome(&[(2, &[2, 3]), (0, &[0, 1]), (4, &[])], &[], 4, None);
        assert_eq!(whole.results(), [0, 1, 2, 3].map(Some));
        assert!(whole.is_complete());
        assert_eq!(whole.into_values().unwrap(), [0, 1, 2, 3]);

        let gaps = outcome(&[(6, &[6]), (0, &[]), (1, &[1, 2]), (4, &[])], &[0, 3, 5], 7, None);
        assert_eq!(gaps.results(), [None, Some(1), Some(2), None, None, None, Some(6)]);
        assert!(!gaps.is_complete());
        let error = gaps.into_values().unwrap_err();
        assert_eq!(error.to_string(), "task 0 failed on worker 0: 0 fails (and 2 more failed)");
    }

    #[test]
    fn what_is_cut_off_counts_for_nothing() {
        let mut whole = outcome(&[(0, &[0]), (2, &[2, 3])], &[1, 4, 5], 6, None);
        whole.cut(3);
        assert_eq!((whole.results(), whole.failures().len()), (&[Some(0), None, Some(2)][..], 1));
        assert_eq!((whole.report.completed, whole.report.failed), (2, 1));
        assert!(!whole.is_complete() && !whole.is_cancelled());

        let mut cancelled = outcome(&[(0, &[0, 1])], &[], 3, None);
        assert!(cancelled.is_cancelled());
        cancelled.cut(3);
        assert!(cancelled.is_cancelled() && !cancelled.is_complete(), "one is missing");
        cancelled.cut(2);
        assert!(!cancelled.is_cancelled() && cancelled.is_complete(), "none of those that count");
        assert_eq!(cancelled.into_values().unwrap(), [0, 1]);
    }

    #[test]
    fn the_list_is_as_long_as_an_input_that_says_its_length() {
        for (read, total, len) in [(2, Some(5), 5), (2, None, 2), (2, Some(usize::MAX), 2), (0, Some(3), 3)] {
            let stopped = outcome(&[(0, &[7][..read.min(1)])], &[], read, total);
            assert_eq!(stopped.results().len(), len, "{total:?}");
            assert!(!stopped.is_complete() && stopped.is_cancelled());
            let incomplete = stopped.into_values().unwrap_err();
            assert!(incomplete.to_string().contains("cancelled") && incomplete.outcome().results().len() == len);
            assert!(Error::from(incomplete).is_cancelled());
        }
    }
}
