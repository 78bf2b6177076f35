//! Runs of delayed calls.

use super::Parallel;
#[cfg(unix)]
use super::crossing;
use super::failure::{Cause, Failure};
#[cfg(unix)]
use super::isolation;
use super::outcome::Outcome;
use super::retry::Retried;
use super::run::{Gather, Outcomes, Values};
use super::work;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::panics;
#[cfg(unix)]
use crate::task::registry;
use crate::task::{Delayed, Task};

/// Runs of delayed calls.
impl Parallel {
    /// Runs delayed calls and gives their results in order; of a `Result`, the `Ok` sides.
    ///
    /// # Errors
    /// A call panicked or returned an `Err`: the error holds a [`Failure`](crate::Failure) with the call's index and arguments; or the run
    /// was cancelled, an option means nothing, or the system refuses threads. With [`OnError::Collect`](crate::OnError::Collect) the failure with the
    /// lowest index is told when all others are done, and how many more there were; [`outcome`](Parallel::outcome) keeps
    /// what they and the others gave.
    ///
    /// # Examples
    /// ```
    /// use larder::{Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn power(base: f64, exponent: i32) -> f64 {
    ///     base.powi(exponent)
    /// }
    ///
    /// let parallel = Parallel::new().n_jobs(2);
    /// let cubes = parallel.run((1..=3).map(|x| delayed!(power(f64::from(x), 3))))?;
    /// assert_eq!(cubes, [1.0, 8.0, 27.0]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn run<'a, T, I>(&self, calls: I) -> Result<Vec<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
        I::IntoIter: Send,
    {
        self.calls(Values, calls)
    }

    /// Runs delayed calls as [`run`](Parallel::run) does, and gives every result and every failure.
    ///
    /// With [`OnError::FailFast`](crate::OnError::FailFast) what was finished before the first failure, with [`OnError::Collect`](crate::OnError::Collect) everything but
    /// what failed.
    ///
    /// # Errors
    /// Only what keeps the run from starting: an option means nothing, or the system refuses threads. What fails in the
    /// run is in the [`Outcome`].
    ///
    /// # Examples
    /// ```
    /// use larder::{OnError, Parallel, delayed};
    ///
    /// #[larder::task]
    /// fn inverse(x: i32) -> i32 {
    ///     100 / x
    /// }
    ///
    /// let parallel = Parallel::new().n_jobs(2).on_error(OnError::Collect);
    /// let outcome = parallel.outcome([4, 0, 5].map(|x| delayed!(inverse(x))))?;
    /// assert_eq!(outcome.results(), [Some(25), None, Some(20)]);
    /// assert_eq!(outcome.failures()[0].message(), "attempt to divide by zero");
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn outcome<'a, T, I>(&self, calls: I) -> Result<Outcome<T::Value>>
    where
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
        I::IntoIter: Send,
    {
        self.calls(Outcomes, calls)
    }

    pub(super) fn calls<'s, 'a, G, T, I>(&self, gather: G, calls: I) -> Result<G::Of<T::Value>>
    where
        G: Gather<'s>,
        T: Task,
        T::Args<'a>: Send,
        T::Value: Send,
        I: IntoIterator<Item = Delayed<'a, T>>,
        I::IntoIter: Send + 's,
        'a: 's,
    {
        let label = T::NAME.rsplit("::").next().unwrap_or(T::NAME);
        let begun = self.begin(can_cross::<T>)?;
        let parallel = &*begun;
        let calls = calls.into_iter();
        let cached = parallel.options.memory.as_ref().map(Memory::cached::<T>);
        if parallel.backend_here() != Backend::Processes && !parallel.options.retry.is_on() && cached.is_none() {
            return gather.gather(parallel, calls, work::Calls::<T, _, false>::new(|args, _| Ok(T::call(args))), label);
        }
        // Next to what these calls cost, asking an input of unknown type is nothing: so there is one copy of all that follows
        // for each task, and not for each input.
        let calls: Box<dyn Iterator<Item = Delayed<'a, T>> + Send + 's> = Box::new(calls);
        #[cfg(unix)]
        if parallel.backend_here() == Backend::Processes {
            if registry::entry::<T>().is_none() {
                return Err(Error::invalid_option(isolation::not_registered::<T>()));
            }
            return gather.gather(parallel, calls, crossing::SentCalls::<T>::new(cached), label);
        }
        if parallel.options.retry.is_on() {
            let work = Retried::<T>::new(cached, parallel.options.retry.clone());
            if work.is_registered() {
                return gather.gather(parallel, calls, work, label);
            }
            // Whether arguments can be copied is a matter of their type, but only a call can be asked.
            let mut calls = calls.peekable();
            let first = panics::catch(|| calls.peek().map_or(Ok(()), |call| work.check(call)));
            first.unwrap_or_else(|panic| {
                let cause = Cause::Input(panic);
                Err(Failure { index: 0, task: None, arguments: None, worker: 0, attempts: 0, took: None, cause }.into())
            })?;
            return gather.gather(parallel, calls, work, label);
        }
        let call = move |args, waiting| match &cached {
            Some(cached) => cached.call_unless_busy(args, T::compute, waiting),
            None => Ok(T::call(args)),
        };
        gather.gather(parallel, calls, work::Calls::<T, _, true>::new(call), label)
    }
}

/// Whether calls of this task could be made in worker processes, as far as the program is concerned.
pub(super) fn can_cross<T: Task>() -> bool {
    #[cfg(unix)]
    return registry::entry::<T>().is_some() && crate::worker::has_entry();
    #[cfg(not(unix))]
    return false;
}
