//! Delayed calls that are run again when they fail.
//!
//! A call takes its arguments away, so they are kept beside it: as a copy where that costs nothing, else encoded, and the
//! call is made again as a worker process would make it, by name. With a memory the attempts are made within one
//! computation: whoever waits for the call waits for all of them, and a result is stored whichever attempt gave it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::cancel::CancelToken;
use super::failure::{Cause, FailureKind, Lost};
use super::progress::{EventKind, Here};
use super::work::{self, ArgsTrace, Work};
use crate::codec::Encoded;
use crate::error::{Error, Result};
use crate::memory::{Cached, Waiting};
use crate::panics;
use crate::task::registry::{self, CallError, TaskEntry};
use crate::task::{Delayed, Task, TaskError};

/// Delayed calls of a task, each run up to so many times more.
pub(super) struct Retried<'a, T: Task> {
    memory: Option<Cached<T>>,
    retries: u32,
    /// How the task is called with encoded arguments; `None` if the attribute did not register it.
    entry: Option<&'static TaskEntry>,
    cancel: Option<CancelToken>,
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
}

impl<'a, T: Task> Retried<'a, T> {
    pub(super) fn new(memory: Option<Cached<T>>, retries: u32, cancel: Option<CancelToken>) -> Self {
        let entry = registry::entry::<T>();
        Retried { memory, retries, entry, cancel, made: AtomicU64::new(0), _calls: PhantomData }
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
            self.retries,
            T::NAME
        )))
    }

    /// Runs a call until it succeeds or has no attempts left. The last failure is the output, or in the trace and then
    /// followed by a panic.
    fn tried(&self, args: T::Args<'a>, trace: &RetryTrace<'a, T>, function: fn(T::Args<'a>) -> T::Output) -> T::Output {
        let mut end = direct::<T>(function, args);
        for attempt in 1.. {
            trace.attempts.set(attempt);
            if end.as_ref().is_ok_and(|output| T::stored(output).is_some()) || attempt > self.retries {
                break;
            }
            if matches!(end, Err(Cause::Lost(_))) || self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
                break;
            }
            let failed = match end.map(T::into_value) {
                Ok(Err(error)) => Cause::Erred(error),
                Err(cause) => cause,
                // No failure after all.
                Ok(Ok(value)) => return T::restore(value),
            };
            let why = || failed.message().to_owned();
            Here::tell(|worker, index| EventKind::TaskRetried { worker, index, attempt: attempt + 1, why: why() });
            let Some(next) = self.again(trace, function) else {
                end = Err(failed);
                break;
            };
            self.made.fetch_add(1, Relaxed);
            end = next;
        }
        end.unwrap_or_else(|cause| {
            trace.cause.set(Some(cause));
            // It ends here, at the catch around the item: what it stands for is in the trace.
            resume_unwind(Box::new("the last attempt failed"))
        })
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
            Ok(value) => value.decode().map(T::restore).map_err(lost),
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
        RetryTrace { args, encoded, attempts: Cell::new(1), cause: Cell::new(None) }
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
    fn retries(&self) -> u64 {
        self.made.load(Relaxed)
    }
    fn run(&self, call: Delayed<'a, T>) -> std::result::Result<T::Value, TaskError> {
        let trace = self.trace(&call);
        T::into_value(self.tried(call.args, &trace, T::call))
    }
    fn attempt(
        &self,
        call: Delayed<'a, T>,
        trace: &RetryTrace<'a, T>,
        waiting: Waiting,
    ) -> std::result::Result<std::result::Result<T::Value, TaskError>, Delayed<'a, T>> {
        let output = match &self.memory {
            Some(memory) => memory
                .call_unless_busy(call.args, |args| self.tried(args, trace, T::compute), waiting)
                .map_err(Delayed::new)?,
            None => self.tried(call.args, trace, T::call),
        };
        Ok(T::into_value(output))
    }
}
