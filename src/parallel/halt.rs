//! When a run has done enough.

use crate::error::{Error, Result};

/// When a run ends before its input does, though nothing forces it to: GNU parallel's `--halt`.
///
/// An [`Outcome`](crate::Outcome) has all that was finished then, and so has a stream without order; one in order ends where the
/// first result is missing.
///
/// # Examples
/// ```
/// use larder::{Halt, Parallel, Stopped};
///
/// // The first answer is enough.
/// let parallel = Parallel::new().n_jobs(2).batch_size(1).halt(Halt::now().successes(1));
/// let outcome = parallel.map_outcome(0..1_000_000, |x| x + 1)?;
/// assert_eq!(outcome.stopped(), Some(Stopped::Halted));
/// assert!(outcome.report().completed >= 1);
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "a `Halt` does nothing until it is given to `Parallel::halt`"]
pub struct Halt {
    now: bool,
    failures: Option<Much>,
    successes: Option<Much>,
    done: Option<Much>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Much {
    Items(u64),
    Share(f64),
}

impl Halt {
    const NEVER: Halt = Halt { now: false, failures: None, successes: None, done: None };

    /// No further item is started, and what is running is broken off: in worker processes, which are killed. Threads
    /// cannot be broken off; what runs there is finished.
    pub fn now() -> Halt {
        Halt { now: true, ..Halt::NEVER }
    }

    /// No further item is started, and what is running is finished.
    pub fn soon() -> Halt {
        Halt::NEVER
    }

    /// When so many items have failed. What a failure does beside that is said by [`OnError`](crate::OnError).
    pub fn failures(mut self, items: u64) -> Halt {
        self.failures = Some(Much::Items(items));
        self
    }

    /// When this share of the items, 0 to 1, has failed. The input must know its length.
    pub fn failures_share(mut self, share: f64) -> Halt {
        self.failures = Some(Much::Share(share));
        self
    }

    /// When so many items have given a result.
    pub fn successes(mut self, items: u64) -> Halt {
        self.successes = Some(Much::Items(items));
        self
    }

    /// When this share of the items, 0 to 1, has given a result. The input must know its length.
    pub fn successes_share(mut self, share: f64) -> Halt {
        self.successes = Some(Much::Share(share));
        self
    }

    /// When so many items are done, with or without a result.
    pub fn done(mut self, items: u64) -> Halt {
        self.done = Some(Much::Items(items));
        self
    }

    /// When this share of the items, 0 to 1, is done. The input must know its length.
    pub fn done_share(mut self, share: f64) -> Halt {
        self.done = Some(Much::Share(share));
        self
    }

    /// The numbers at which a run over so many items halts.
    ///
    /// # Errors
    /// A number means nothing, or is a share of nobody knows what.
    pub(super) fn at(self, total: Option<usize>) -> Result<HaltAt> {
        let number = |much: Option<Much>, what: &str| match much {
            None => Ok(u64::MAX),
            Some(Much::Items(0)) => Err(Error::invalid_option(format!(
                "`halt` after 0 {what}: a run that does nothing need not be started; give a number of at least 1"
            ))),
            Some(Much::Items(items)) => Ok(items),
            Some(Much::Share(share)) if !(share > 0.0 && share <= 1.0) => Err(Error::invalid_option(format!(
                "`halt` after a share of {share} of {what}: give a share above 0 and up to 1"
            ))),
            Some(Much::Share(share)) => match total {
                // Rounded up: with less it has not come to that share.
                Some(total) => Ok(((total as f64 * share).ceil() as u64).max(1)),
                None => Err(Error::invalid_option(format!(
                    "`halt` after a share of {what}, and the input does not know its length: give a number, or collect the \
                     input into a `Vec` first"
                ))),
            },
        };
        Ok(HaltAt {
            now: self.now,
            failures: number(self.failures, "failures")?,
            successes: number(self.successes, "successes")?,
            done: number(self.done, "items")?,
        })
    }
}

/// The numbers at which a run halts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HaltAt {
    pub(super) now: bool,
    failures: u64,
    successes: u64,
    done: u64,
}

impl HaltAt {
    pub(super) const NEVER: HaltAt = HaltAt { now: false, failures: u64::MAX, successes: u64::MAX, done: u64::MAX };

    /// Whether it is enough.
    pub(super) fn is_reached(&self, successes: u64, failures: u64) -> bool {
        failures >= self.failures || successes >= self.successes || successes + failures >= self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_halts_at_the_first_of_its_numbers() {
        let halt = Halt::soon().failures(2).successes_share(0.5).done(7).at(Some(9)).unwrap();
        for (successes, failures, reached) in [(4, 1, false), (5, 0, true), (0, 2, true), (4, 3, true), (0, 0, false)] {
            assert_eq!(halt.is_reached(successes, failures), reached, "{successes} and {failures}");
        }
        let never = Halt::now().at(None).unwrap();
        assert!(never.now && !never.is_reached(1 << 60, 1 << 60));
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        for (halt, total, words) in [
            (Halt::now().failures(0), None, "0 failures"),
            (Halt::now().done_share(0.0), Some(3), "above 0"),
            (Halt::now().successes_share(1.1), Some(3), "up to 1"),
            (Halt::now().successes_share(f64::NAN), Some(3), "up to 1"),
            (Halt::now().failures_share(0.5), None, "does not know its length"),
        ] {
            let error = halt.at(total).unwrap_err();
            assert!(error.is_invalid_option() && error.to_string().contains(words), "{error}");
        }
    }
}
