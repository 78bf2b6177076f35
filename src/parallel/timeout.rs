//! How long one item may take.

use std::time::Duration;

use super::times::Times;
use crate::error::{Error, Result};

/// How long one task may take; for [`Parallel::timeout_per_task`](crate::Parallel::timeout_per_task).
///
/// # Examples
/// ```
/// use larder::{Parallel, Timeout};
/// use std::time::Duration;
///
/// let absolute = Parallel::new().timeout_per_task(Duration::from_secs(60));
/// // Twenty times as long as half of the tasks take, whatever that is.
/// let relative = Parallel::new().timeout_per_task(Timeout::median(20.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeout {
    pub(super) limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Limit {
    After(Duration),
    Median(f64),
}

/// A median of fewer items says little.
const ENOUGH: u64 = 10;
/// A machine that is busy elsewhere can hold up a task of any length for some milliseconds.
const LEAST: Duration = Duration::from_millis(50);

impl Timeout {
    /// So long.
    pub fn after(limit: Duration) -> Timeout {
        Timeout { limit: Limit::After(limit) }
    }

    /// So many times the median of the tasks finished so far, and at least 50 ms. Until ten are finished there is no
    /// limit. 1 or more, or it is an error when the run starts.
    pub fn median(times: f64) -> Timeout {
        Timeout { limit: Limit::Median(times) }
    }

    /// # Errors
    /// It means nothing.
    pub(super) fn check(self) -> Result<()> {
        match self.limit {
            Limit::After(limit) if limit.is_zero() => Err(Error::invalid_option(
                "`timeout_per_task` is 0: no task can end in that; leave it out for tasks without a limit",
            )),
            Limit::Median(times) if !(times >= 1.0 && times.is_finite()) => Err(Error::invalid_option(format!(
                "`timeout_per_task` is {times} times the median: half of all tasks take longer than less than once; give a \
                 number well above 1"
            ))),
            Limit::After(_) | Limit::Median(_) => Ok(()),
        }
    }

    /// The limit after items that took so long, if there is one yet.
    pub(super) fn at(self, times: &Times) -> Option<Duration> {
        match self.limit {
            Limit::After(limit) => Some(limit),
            Limit::Median(_) if times.items() < ENOUGH => None,
            Limit::Median(factor) => {
                let limit = times.median()?.as_secs_f64() * factor;
                // What cannot be said is never.
                Duration::try_from_secs_f64(limit).ok().map(|limit| limit.max(LEAST))
            }
        }
    }
}

impl From<Duration> for Timeout {
    fn from(limit: Duration) -> Timeout {
        Timeout::after(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_of_the_median_is_known_once_there_is_one() {
        let mut times = Times::default();
        let timeout = Timeout::median(10.0);
        times.add(Duration::from_secs(1), ENOUGH - 1);
        assert_eq!(timeout.at(&times), None);
        times.add(Duration::from_secs(9), 1);
        let limit = timeout.at(&times).unwrap().as_secs_f64();
        assert!((8.0..12.5).contains(&limit), "{limit}");
        let mut quick = Times::default();
        quick.add(Duration::from_nanos(10), 1000);
        assert_eq!(timeout.at(&quick), Some(LEAST));
        let second = Duration::from_secs(1);
        assert_eq!(Timeout::from(second).at(&Times::default()), Some(second));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for timeout in [Timeout::median(0.9), Timeout::median(f64::NAN), Timeout::after(Duration::ZERO)] {
            let error = timeout.check().unwrap_err();
            assert!(error.is_invalid_option() && error.to_string().contains("`timeout_per_task` is"), "{error}");
        }
        Timeout::median(1.0).check().unwrap();
    }
}
