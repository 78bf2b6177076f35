//! The way to stop a run from outside.

#[cfg(feature = "async")]
use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "async")]
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
#[cfg(feature = "async")]
use std::task::Waker;

#[cfg(feature = "async")]
use crate::lock::lock;

/// Stops runs: given to them with [`Parallel::cancel_token`](crate::Parallel::cancel_token), and told from anywhere.
///
/// Clones are one token. It stays cancelled: a run that is given a cancelled token starts nothing. What is running
/// on threads is finished, never broken off; a worker process has a tenth of a second for that and is then killed. An input that
/// blocks is waited for, since nobody can call it back. Not promised: that what was written before [`cancel`](CancelToken::cancel) is seen by
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
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    /// The runs of futures that are to be woken.
    #[cfg(feature = "async")]
    listeners: Mutex<Listeners>,
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// Stops every run that has this token: no further item is started. May be called within a task, and more than once.
    pub fn cancel(&self) {
        // Relaxed: it orders nothing, and says so.
        self.shared.cancelled.store(true, Relaxed);
        #[cfg(feature = "async")]
        {
            // Woken without the lock: what is woken may ask for it.
            let wakers = std::mem::take(&mut lock(&self.shared.listeners).wakers);
            wakers.into_values().for_each(Waker::wake);
        }
    }

    /// Whether it was cancelled.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.load(Relaxed)
    }
}

#[cfg(feature = "async")]
#[derive(Debug, Default)]
struct Listeners {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

/// A run of futures, as its token knows it: to be woken when the token is cancelled.
#[cfg(feature = "async")]
pub(super) struct Listener {
    token: CancelToken,
    number: u64,
}

#[cfg(feature = "async")]
impl CancelToken {
    /// A run that wants to be woken.
    pub(super) fn listener(&self) -> Listener {
        let mut listeners = lock(&self.shared.listeners);
        listeners.next += 1;
        Listener { token: self.clone(), number: listeners.next }
    }
}

#[cfg(feature = "async")]
impl Listener {
    /// Has this waker called when the token is cancelled. To be followed by a look at the token: who cancels after it finds
    /// the waker, and who did before is seen, since both had the lock.
    pub(super) fn listen(&self, waker: &Waker) {
        let mut listeners = lock(&self.token.shared.listeners);
        match listeners.wakers.get_mut(&self.number) {
            Some(known) => known.clone_from(waker),
            None => drop(listeners.wakers.insert(self.number, waker.clone())),
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.token.is_cancelled()
    }
}

#[cfg(feature = "async")]
impl Drop for Listener {
    fn drop(&mut self) {
        let forgotten = lock(&self.token.shared.listeners).wakers.remove(&self.number);
        drop(forgotten);
    }
}

#[cfg(test)]
mod tests {
    use super::CancelToken;

    #[test]
    #[cfg(feature = "async")]
    fn who_listens_is_woken_once_and_who_left_is_not() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
        use std::task::{Wake, Waker};

        #[derive(Default)]
        struct Count(AtomicU32);
        impl Wake for Count {
            fn wake(self: Arc<Count>) {
                self.0.fetch_add(1, Relaxed);
            }
        }

        let token = CancelToken::new();
        let counts: [Arc<Count>; 3] = Default::default();
        let listeners: Vec<_> = counts.iter().map(|_| token.listener()).collect();
        for (listener, count) in listeners.iter().zip(&counts) {
            listener.listen(&Waker::from(Arc::clone(&counts[0])));
            listener.listen(&Waker::from(Arc::clone(count)));
        }
        drop(listeners.into_iter().nth(1));
        let again = token.listener();
        again.listen(&Waker::from(Arc::clone(&counts[2])));
        token.cancel();
        token.cancel();
        assert_eq!(counts.each_ref().map(|count| count.0.load(Relaxed)), [0, 0, 1]);
        assert!(again.is_cancelled());
    }

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
