//! Who takes what when.

use std::num::NonZeroUsize;

use crate::error::{Error, Result};

/// How items are shared out among the workers.
///
/// # Examples
/// ```
/// use larder::{Parallel, Schedule};
///
/// // Few long tasks of very different lengths: nothing waits behind another.
/// let done = Parallel::new().n_jobs(2).schedule(Schedule::TopPicking).map(0..10, |x| x * x)?;
/// assert_eq!(done[9], 81);
///
/// // Many tasks that all take the same time: the fewest dispatches there can be.
/// let halves = Parallel::new().n_jobs(2).schedule(Schedule::Bundled).map_outcome(0..100, |x| x / 2)?;
/// assert_eq!(halves.report().batches.largest, 50);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// A free worker takes the next batch, as long as [`BatchSize`](crate::BatchSize) says.
    #[default]
    Auto,
    /// Equal shares, one for each worker, fixed when the run starts. The input must know its length, or it is an error
    /// when the run starts.
    Bundled,
    /// One item per dispatch.
    Individual,
    /// A free worker takes the next free item, and nothing is set aside for a worker that is busy. On threads the same as
    /// [`Individual`](Schedule::Individual).
    TopPicking,
}

impl Schedule {
    /// The size of each batch; `None` if it is left to the sizer. `total` is the input's length, if it knows that.
    ///
    /// # Errors
    /// Equal shares of an input that does not know its length.
    pub(super) fn fixed(self, total: Option<usize>, workers: usize) -> Result<Option<NonZeroUsize>> {
        match (self, total) {
            (Schedule::Auto, _) => Ok(None),
            (Schedule::Individual | Schedule::TopPicking, _) => Ok(Some(NonZeroUsize::MIN)),
            (Schedule::Bundled, Some(total)) => {
                Ok(Some(NonZeroUsize::new(total.div_ceil(workers.max(1))).unwrap_or(NonZeroUsize::MIN)))
            }
            (Schedule::Bundled, None) => Err(Error::invalid_option(
                "`schedule` is `Schedule::Bundled`, and the input does not know its length: collect it into a `Vec` \
                 first, or give another schedule",
            )),
        }
    }

    /// Whether a worker that is far away may be sent its next batch while it still works on the one before.
    pub(super) fn reads_ahead(self) -> bool {
        match self {
            Schedule::Auto | Schedule::Individual => true,
            // A share sent ahead to one would be missing for another.
            Schedule::Bundled | Schedule::TopPicking => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schedule_has_its_sizes() {
        let size = |schedule: Schedule, total, workers| schedule.fixed(total, workers).unwrap().map(NonZeroUsize::get);
        for total in [None, Some(0), Some(10)] {
            assert_eq!(size(Schedule::Auto, total, 3), None);
            assert_eq!(size(Schedule::Individual, total, 3), Some(1));
            assert_eq!(size(Schedule::TopPicking, total, 3), Some(1));
        }
        let shares = [(0, 1), (1, 1), (3, 1), (4, 2), (10, 4), (12, 4), (usize::MAX, usize::MAX / 3)];
        for (total, share) in shares {
            assert_eq!(size(Schedule::Bundled, Some(total), 3), Some(share), "{total}");
        }
        let error = Schedule::Bundled.fixed(None, 3).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains("does not know its length"), "{error}");
    }

    #[test]
    fn nothing_is_sent_ahead_where_it_would_be_missed() {
        let schedules = [Schedule::Auto, Schedule::Bundled, Schedule::Individual, Schedule::TopPicking];
        assert_eq!(schedules.map(Schedule::reads_ahead), [true, false, true, false]);
    }
}
