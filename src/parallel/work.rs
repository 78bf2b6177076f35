//! The kinds of work: delayed calls, delayed calls through a memory, closures, closures that can fail.

use std::marker::PhantomData;

use super::Parallel;
use super::failure::Cause;
use super::feed::Feed;
use super::progress::Meter;
use super::watch::Between;
use crate::error::Error;
use crate::key::describe;
use crate::memory::Waiting;
use crate::panics;
use crate::task::{Delayed, Task, TaskError};

/// What is to be done with each item.
pub(super) trait Work: Send + Sync {
    type Item: Send;
    type Output: Send;
    /// What is kept of an item while it runs, to describe it if it fails.
    type Trace;

    fn trace(&self, item: &Self::Item) -> Self::Trace;
    fn run(&self, item: Self::Item) -> Result<Self::Output, TaskError>;

    /// Whether items must go one at a time through [`attempt`](Work::attempt): one may be under way elsewhere, so that
    /// others are better taken first, or be run more than once.
    const DEFERS: bool = false;

    /// Runs an item, or gives it back: it is under way elsewhere, and not to be waited for. Who runs it more than once looks
    /// whether to stop.
    fn attempt(
        &self,
        item: Self::Item,
        _trace: &Self::Trace,
        _waiting: Waiting,
        _between: &Between<'_>,
    ) -> Result<Result<Self::Output, TaskError>, Self::Item> {
        Ok(self.run(item))
    }

    /// How often an item that failed was run, and what is known of its failure beyond its error or panic.
    fn attempts(&self, _trace: &Self::Trace) -> (u32, Option<Cause>) {
        (1, None)
    }

    /// Whether an item ended since the run stopped between two of its attempts: then it did not fail, and was not run.
    fn was_broken_off(&self, _trace: &Self::Trace) -> bool {
        false
    }

    /// How many attempts were made beyond the first, by all items.
    fn retries(&self) -> u64 {
        0
    }

    /// The text of the arguments, where they are known to anyone but the function.
    fn describe(&self, _trace: Self::Trace) -> Option<String> {
        None
    }

    /// The task's name, where there is a task.
    fn task(&self) -> Option<&'static str> {
        None
    }

    /// Runs all of it in worker processes, where items can go there. Only such work is compiled for that.
    ///
    /// # Errors
    /// It cannot, or there are no workers.
    fn drive_processes<I>(&self, _: &Parallel, _: &Feed<'_, Self, I>, _: Option<&Meter>, _: usize) -> Result<(), Error>
    where
        Self: Sized,
        I: Iterator<Item = Self::Item> + Send,
    {
        Err(Error::invalid_option(
            "a closure cannot go to worker processes: make the function a task with `#[larder::task]` and give delayed \
             calls to `run` or `outcome`, or leave out `Backend::Processes`",
        ))
    }

    /// The bare function, where an item is only passed to it: then a batch of quick items is one simple loop, which the
    /// compiler can turn into vector instructions.
    fn plain(&self) -> Option<impl Fn(Self::Item) -> Self::Output> {
        None::<fn(Self::Item) -> Self::Output>
    }
}

/// What is kept of a call's arguments while it runs.
pub(super) enum ArgsTrace<'a, T: Task> {
    /// A copy, which costs nothing, made text if the call fails.
    Copied(T::Args<'a>),
    /// The text, since the call takes the arguments away.
    Text(String),
}

pub(super) fn trace<'a, T: Task>(call: &Delayed<'a, T>) -> ArgsTrace<'a, T> {
    match T::copy_args(&call.args) {
        Some(args) => ArgsTrace::Copied(args),
        // The text runs the user's `Serialize`: it must not fail a call that does not need it.
        None => ArgsTrace::Text(
            panics::catch(|| describe::arguments(&call.args, T::PARAMETERS))
                .unwrap_or_else(|panic| format!("<cannot be shown: {panic}>")),
        ),
    }
}

impl<T: Task> ArgsTrace<'_, T> {
    pub(super) fn into_text(self) -> String {
        match self {
            ArgsTrace::Copied(args) => describe::arguments(&args, T::PARAMETERS),
            ArgsTrace::Text(text) => text,
        }
    }
}

/// Delayed calls of a task, each made by `call`: the function itself, or a memory in front of it, which may give the
/// arguments back (`DEFERS`).
pub(super) struct Calls<'a, T, F, const DEFERS: bool> {
    call: F,
    _calls: PhantomData<fn(&'a T)>,
}

impl<'a, T, F, const DEFERS: bool> Calls<'a, T, F, DEFERS>
where
    T: Task,
    F: Fn(T::Args<'a>, Waiting) -> Result<T::Output, T::Args<'a>>,
{
    pub(super) fn new(call: F) -> Self {
        Calls { call, _calls: PhantomData }
    }
}

impl<'a, T, F, const DEFERS: bool> Work for Calls<'a, T, F, DEFERS>
where
    T: Task,
    T::Args<'a>: Send,
    T::Value: Send,
    F: Fn(T::Args<'a>, Waiting) -> Result<T::Output, T::Args<'a>> + Send + Sync,
{
    type Item = Delayed<'a, T>;
    type Output = T::Value;
    type Trace = ArgsTrace<'a, T>;
    const DEFERS: bool = DEFERS;

    #[inline]
    fn trace(&self, call: &Delayed<'a, T>) -> ArgsTrace<'a, T> {
        trace(call)
    }
    fn describe(&self, trace: ArgsTrace<'a, T>) -> Option<String> {
        Some(trace.into_text())
    }
    fn task(&self) -> Option<&'static str> {
        Some(T::NAME)
    }
    #[inline]
    fn run(&self, delayed: Delayed<'a, T>) -> Result<T::Value, TaskError> {
        let output = (self.call)(delayed.args, Waiting::AsThreadMay);
        // Only who does not wait gets the arguments back.
        T::into_value(output.unwrap_or_else(T::call))
    }
    fn attempt(
        &self,
        delayed: Delayed<'a, T>,
        _: &ArgsTrace<'a, T>,
        waiting: Waiting,
        _: &Between<'_>,
    ) -> Result<Result<T::Value, TaskError>, Delayed<'a, T>> {
        (self.call)(delayed.args, waiting).map(T::into_value).map_err(Delayed::new)
    }
}

pub(super) struct Closure<I, F> {
    function: F,
    _item: PhantomData<fn(I)>,
}

impl<I, F> Closure<I, F> {
    pub(super) fn new(function: F) -> Closure<I, F> {
        Closure { function, _item: PhantomData }
    }
}

impl<I: Send, R: Send, F: Fn(I) -> R + Send + Sync> Work for Closure<I, F> {
    type Item = I;
    type Output = R;
    type Trace = ();

    #[inline]
    fn trace(&self, _: &I) {}
    #[inline]
    fn run(&self, item: I) -> Result<R, TaskError> {
        Ok((self.function)(item))
    }
    #[inline]
    fn plain(&self) -> Option<impl Fn(I) -> R> {
        Some(&self.function)
    }
}

pub(super) struct Fallible<I, F> {
    function: F,
    _item: PhantomData<fn(I)>,
}

impl<I, F> Fallible<I, F> {
    pub(super) fn new(function: F) -> Fallible<I, F> {
        Fallible { function, _item: PhantomData }
    }
}

impl<I, R, E, F> Work for Fallible<I, F>
where
    I: Send,
    R: Send,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Fn(I) -> Result<R, E> + Send + Sync,
{
    type Item = I;
    type Output = R;
    type Trace = ();

    #[inline]
    fn trace(&self, _: &I) {}
    #[inline]
    fn run(&self, item: I) -> Result<R, TaskError> {
        (self.function)(item).map_err(|error| TaskError::from_error(error.into()))
    }
}
