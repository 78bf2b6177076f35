//! Delayed calls that are run again when they fail.
//!
//! A call takes its arguments away, so they are kept beside it: as a copy where that costs nothing, else encoded, and the
//! call is made again as a worker process would make it, by name. With a memory the attempts are made within one
//! computation: whoever waits for the call waits for all of them, and a result is stored whichever attempt gave it.

use std::cell::Cell;
use std::error::Error as StdError;
use std::fmt;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::failure::{Cause, FailureKind, Lost};
use super::progress::{EventKind, Here};
use super::stop::Stop;
use super::watch::Between;
use super::work::{self, ArgsTrace, Work};
use crate::codec::Encoded;
use crate::error::{Error, Result};
use crate::memory::{Cached, Waiting};
use crate::panics;
use crate::task::registry::{self, CallError, TaskEntry};
use crate::task::{Delayed, Task, TaskError};

/// Whether and when a call that failed is run again.
///
/// # Examples
/// ```
/// use larder::{FailureKind, Parallel, Retry};
/// use std::time::Duration;
///
/// // Up to four attempts, with pauses of 0.1, 0.2 and 0.4 s between them, and only for errors that may pass.
/// let retry = Retry::times(3)
///     .pause(Duration::from_millis(100))
///     .only(|attempt| attempt.kind() == FailureKind::Error && attempt.message().contains("connection reset"));
/// let parallel = Parallel::new().retry(retry);
/// ```
#[derive(Clone, Default)]
#[must_use = "a `Retry` does nothing until it is given to `Parallel::retry`"]
pub struct Retry {
    times: u32,
    pause: Duration,
    factor: Option<f64>,
    longest: Option<Duration>,
    only: Option<Arc<Chosen>>,
}

type Chosen = dyn Fn(&FailedAttempt<'_>) -> bool + Send + Sync;

/// The longest pause, if none is said.
const LONGEST: Duration = Duration::from_secs(60);

impl Retry {
    /// Up to so many attempts beyond the first, without a pause, whatever the failure is.
    pub fn times(times: u32) -> Retry {
        Retry { times, ..Retry::default() }
    }

    /// So long a pause before the second attempt; before each later one twice as long as before, up to a minute.
    ///
    /// On threads the worker waits; in a run on worker processes it does other items meanwhile.
    pub fn pause(mut self, pause: Duration) -> Retry {
        self.pause = pause;
        self
    }

    /// How many times as long each pause is as the one before. Default: 2. 1: they are all the same.
    pub fn factor(mut self, factor: f64) -> Retry {
        self.factor = Some(factor);
        self
    }

    /// No pause is longer. Default: a minute.
    pub fn longest_pause(mut self, longest: Duration) -> Retry {
        self.longest = Some(longest);
        self
    }

    /// Only failures for which `chosen` answers true are followed by another attempt. A panic of `chosen` counts as `false`.
    pub fn only(mut self, chosen: impl Fn(&FailedAttempt<'_>) -> bool + Send + Sync + 'static) -> Retry {
        self.only = Some(Arc::new(chosen));
        self
    }

    /// # Errors
    /// A factor that means nothing.
    pub(super) fn check(&self) -> Result<()> {
        match self.factor {
            Some(factor) if !(factor >= 1.0 && factor.is_finite()) => Err(Error::invalid_option(format!(
                "`Retry::factor` is {factor}: give how many times as long each pause is as the one before, at least 1"
            ))),
            _ => Ok(()),
        }
    }

    /// Whether any call is run again.
    pub(super) fn is_on(&self) -> bool {
        self.times > 0
    }

    /// How many attempts there are beyond the first.
    pub(super) fn most(&self) -> u32 {
        self.times
    }

    /// The pause before another attempt, after so many that failed, the last one with this; `None` if there is to be none.
    pub(super) fn pause_after(&self, attempts: u32, cause: &Cause) -> Option<Duration> {
        if attempts > self.times {
            return None;
        }
        if let Some(only) = &self.only {
            let attempt = FailedAttempt { number: attempts, cause };
            if !panics::catch(|| only(&attempt)).unwrap_or(false) {
                return None;
            }
        }
        let longest = self.longest.unwrap_or(LONGEST);
        let times = self.factor.unwrap_or(2.0).powi(i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX));
        Some(Duration::try_from_secs_f64(self.pause.as_secs_f64() * times).map_or(longest, |pause| pause.min(longest)))
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("times", &self.times)
            .field("pause", &self.pause)
            .field("factor", &self.factor)
            .field("longest_pause", &self.longest)
            .field("only", &self.only.as_ref().map(|_| ".."))
            .finish()
    }
}

/// An attempt that failed, as [`Retry::only`] is asked about it.
#[derive(Debug)]
pub struct FailedAttempt<'f> {
    number: u32,
    cause: &'f Cause,
}

impl FailedAttempt<'_> {
    /// Which attempt it was: 1 for the first.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// In what way it failed.
    pub fn kind(&self) -> FailureKind {
        self.cause.kind()
    }

    /// The panic's or the error's own words.
    pub fn message(&self) -> &str {
        self.cause.message()
    }

    /// The task's own error, which can be downcast, where its type allows. Not from worker processes: there it is text.
    pub fn error(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.source()
    }
}

/// Delayed calls of a task, each run up to so many times more.
pub(super) struct Retried<'a, T: Task> {
    memory: Option<Cached<T>>,
    retry: Retry,
    /// How the task is called with encoded arguments; `None` if the attribute did not register it.
    entry: Option<&'static TaskEntry>,
    /// How many attempts were made beyond the first.
    made: AtomicU64,
    _calls: PhantomData<fn(&'a T)>,
}

/// What is kept of a call while it runs.
pub(super) struct RetryTrace<'a, T: Task> {
    args: ArgsTrace<'a, T>,
    /// The arguments, where there is no copy of them.
    encoded: Option<Encoded>,
    attempts: Cell<u32>,
    /// What the last attempt failed with, where that is neither a panic on its way nor an output.
    cause: Cell<Option<Cause>>,
    /// The run stopped before there could be another attempt.
    broken_off: Cell<bool>,
}

impl<'a, T: Task> Retried<'a, T> {
    pub(super) fn new(memory: Option<Cached<T>>, retry: Retry) -> Self {
        let entry = registry::entry::<T>();
        Retried { memory, retry, entry, made: AtomicU64::new(0), _calls: PhantomData }
    }

    /// Whether any call can be run again, whatever its arguments are.
    pub(super) fn is_registered(&self) -> bool {
        self.entry.is_some()
    }

    /// # Errors
    /// This call of a task that is not registered cannot be run again.
    pub(super) fn check(&self, call: &Delayed<'a, T>) -> Result<()> {
        if self.is_registered() || T::copy_args(&call.args).is_some() {
            return Ok(());
        }
        Err(Error::invalid_option(format!(
            "`retries` is {}, and the arguments of `{}` cannot be had again: write `#[cached(task)]` instead of \
             `#[cached]`, so that they can be encoded and decoded",
            self.retry.times,
            T::NAME
        )))
    }

    /// Runs a call until it succeeds or has no attempts left. The last failure is the output, or in the trace and then
    /// followed by a panic.
    fn tried(
        &self,
        args: T::Args<'a>,
        trace: &RetryTrace<'a, T>,
        function: fn(T::Args<'a>) -> T::Output,
        between: &Between<'_>,
    ) -> T::Output {
        let mut end = direct::<T>(function, args);
        for attempt in 1.. {
            trace.attempts.set(attempt);
            let cause = match end {
                Ok(output) if !T::failed(&output) || attempt > self.retry.times => return output,
                Ok(output) => match T::into_value(output) {
                    Err(error) => Cause::Erred(error),
                    // It has a value only if it did not fail.
                    Ok(value) => return T::from_value(value),
                },
                Err(cause) => cause,
            };
            let pause = match cause {
                Cause::Lost(_) => None,
                _ => self.retry.pause_after(attempt, &cause),
            };
            let again = pause.and_then(|pause| {
                if !between.pause(pause) {
                    // Without a pause it simply failed.
                    trace.broken_off.set(!pause.is_zero());
                    return None;
                }
                let why = || cause.message().to_owned();
                Here::tell(|worker, index| EventKind::TaskRetried { worker, index, attempt: attempt + 1, why: why() });
                self.again(trace, function)
            });
            let Some(next) = again else {
                trace.cause.set(Some(cause));
                break;
            };
            self.made.fetch_add(1, Relaxed);
            end = next;
        }
        // It ends here, at the catch around the item: what it stands for is in the trace.
        resume_unwind(Box::new("the last attempt failed"))
    }

    /// One more attempt; `None` if the arguments cannot be had again after all.
    fn again(
        &self,
        trace: &RetryTrace<'a, T>,
        function: fn(T::Args<'a>) -> T::Output,
    ) -> Option<std::result::Result<T::Output, Cause>> {
        if let ArgsTrace::Copied(args) = &trace.args {
            return T::copy_args(args).map(|args| direct::<T>(function, args));
        }
        let lost = |error| {
            let message = format!("the result of another attempt cannot be carried: {error}");
            Cause::Lost(Lost { kind: FailureKind::Serialization, message })
        };
        Some(match self.entry?.call(trace.encoded.as_ref()?) {
            Ok(value) => value.decode().map(T::from_value).map_err(lost),
            Err(CallError::Arguments(_)) => return None,
            Err(CallError::Failed(error)) => Err(Cause::Erred(error)),
            Err(CallError::Panicked(panic)) => Err(Cause::Panicked(panic)),
            Err(CallError::Result(error)) => Err(lost(error)),
        })
    }
}

fn direct<'a, T: Task>(
    function: fn(T::Args<'a>) -> T::Output,
    args: T::Args<'a>,
) -> std::result::Result<T::Output, Cause> {
    panics::catch(|| function(args)).map_err(Cause::Panicked)
}

impl<'a, T> Work for Retried<'a, T>
where
    T: Task,
    T::Args<'a>: Send,
    T::Value: Send,
{
    type Item = Delayed<'a, T>;
    type Output = T::Value;
    type Trace = RetryTrace<'a, T>;
    const DEFERS: bool = true;

    fn trace(&self, call: &Delayed<'a, T>) -> RetryTrace<'a, T> {
        let args = work::trace(call);
        let encoded = match (&args, self.entry) {
            // As with the text of the arguments: this must not fail a call that does not need it.
            (ArgsTrace::Text(_), Some(_)) => panics::catch(|| call.encode().ok()).ok().flatten(),
            _ => None,
        };
        RetryTrace { args, encoded, attempts: Cell::new(1), cause: Cell::new(None), broken_off: Cell::new(false) }
    }
    fn describe(&self, trace: RetryTrace<'a, T>) -> Option<String> {
        Some(trace.args.into_text())
    }
    fn task(&self) -> Option<&'static str> {
        Some(T::NAME)
    }
    fn attempts(&self, trace: &RetryTrace<'a, T>) -> (u32, Option<Cause>) {
        (trace.attempts.get(), trace.cause.take())
    }
    fn was_broken_off(&self, trace: &RetryTrace<'a, T>) -> bool {
        trace.broken_off.get()
    }
    fn retries(&self) -> u64 {
        self.made.load(Relaxed)
    }
    fn run(&self, call: Delayed<'a, T>) -> std::result::Result<T::Value, TaskError> {
        let trace = self.trace(&call);
        T::into_value(self.tried(call.args, &trace, T::call, &Between { stop: &Stop::default(), watch: None }))
    }
    fn attempt(
        &self,
        call: Delayed<'a, T>,
        trace: &RetryTrace<'a, T>,
        waiting: Waiting,
        between: &Between<'_>,
    ) -> std::result::Result<std::result::Result<T::Value, TaskError>, Delayed<'a, T>> {
        let output = match &self.memory {
            Some(memory) => memory
                .call_unless_busy(call.args, |args| self.tried(args, trace, T::compute, between), waiting)
                .map_err(Delayed::new)?,
            None => self.tried(call.args, trace, T::call, between),
        };
        Ok(T::into_value(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(message: &str) -> Cause {
        Cause::Erred(TaskError::from_message(message.to_owned()))
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let millis = Duration::from_millis;
        let retry = Retry::times(5).pause(millis(10)).longest_pause(millis(50));
        let pauses: Vec<_> = (1..=6).map(|attempts| retry.pause_after(attempts, &cause("no"))).collect();
        assert_eq!(pauses, [Some(10), Some(20), Some(40), Some(50), Some(50), None].map(|pause| pause.map(millis)));
        assert_eq!(Retry::times(1).pause_after(1, &cause("no")), Some(Duration::ZERO));
        assert_eq!(Retry::times(0).pause_after(1, &cause("no")), None);
        let far = Retry::times(u32::MAX).pause(Duration::MAX).pause_after(u32::MAX, &cause("no"));
        assert_eq!(far, Some(LONGEST));
    }

    #[test]
    fn only_chosen_failures_are_followed_by_another_attempt() {
        let retry = Retry::times(3).only(|attempt| {
            assert_ne!(attempt.message(), "panic");
            attempt.message() == "reset" && attempt.kind() == FailureKind::Error && attempt.number() < 3
        });
        let again = |attempts, words: &str| retry.pause_after(attempts, &cause(words)).is_some();
        assert!(again(1, "reset") && again(2, "reset"));
        assert!(!again(3, "reset") && !again(1, "not found"));
        assert!(!again(1, "panic"), "an answer that panics is no");
    }

    #[test]
    fn a_factor_below_one_is_an_error() {
        for factor in [0.5, f64::NAN, f64::INFINITY] {
            let error = Retry::times(1).factor(factor).check().unwrap_err();
            assert!(error.is_invalid_option() && error.to_string().contains("at least 1"), "{error}");
        }
        Retry::times(1).factor(1.0).check().unwrap();
    }
}
