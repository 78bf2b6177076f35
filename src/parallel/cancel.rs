//! The way to stop a run from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Stops runs: given to them with [`Parallel::cancel_token`](crate::Parallel::cancel_token), and told from anywhere.
///
/// Clones are one token. It stays cancelled: a run that is given a cancelled token starts nothing. What is running is
/// finished, never broken off. Not promised: that what was written before [`cancel`](CancelToken::cancel) is seen by
/// whoever finds the token cancelled.
///
/// # Examples
/// ```
/// use larder::{CancelToken, Parallel};
///
/// let token = CancelToken::new();
/// let parallel = Parallel::new().n_jobs(2).cancel_token(&token);
/// let enough = |x: u64| {
///     if x == 1000 {
///         token.cancel();
///     }
///     x
/// };
/// let outcome = parallel.map_outcome(0.., enough)?; // an endless input
/// assert!(outcome.is_cancelled());
/// assert_eq!(outcome.results()[1000], Some(1000));
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    cancelled: Arc<AtomicBool>,
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Stops every run that has this token: no further item is started. May be called within a task, and more than once.
    pub fn cancel(&self) {
        // Relaxed: it orders nothing, and says so.
        self.cancelled.store(true, Relaxed);
    }

    /// Whether it was cancelled.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::CancelToken;

    #[test]
    fn clones_are_one_token_and_it_stays_cancelled() {
        let (token, other) = (CancelToken::new(), CancelToken::new());
        let clone = token.clone();
        assert!(!clone.is_cancelled());
        token.cancel();
        token.cancel();
        assert!(token.is_cancelled() && clone.is_cancelled() && !other.is_cancelled());
    }
}
