//! What there is of each call, before a run begins.

use super::super::Parallel;
use super::super::failure::FailureKind;
use super::super::progress::Progress;
use super::survey::{Has, Known};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::key::{Identity, describe};
use crate::memory::Cached;
use crate::memory::survey::{Identified, Survey};
use crate::panics;
use crate::runs::Failed;
use crate::task::{Delayed, Task};

/// What there is of one call.
pub(super) struct Looked<'a, T: Task> {
    pub(super) known: Known,
    pub(super) value: Option<T::Value>,
    /// If it has no result.
    pub(super) call: Option<Delayed<'a, T>>,
}

/// What there is of each call, and the result if there is one and it is to be loaded; else the call. On so many threads.
///
/// Entries are asked for in the order of their keys: neighbours share a page of the index, and a million of them in any other
/// order would have each page read again and again.
///
/// # Errors
/// A call has no key.
pub(super) fn look<'a, T>(
    threads: i32,
    cached: &Cached<T>,
    calls: Vec<Delayed<'a, T>>,
    load: bool,
) -> Result<Vec<Looked<'a, T>>>
where
    T: Task,
    T::Args<'a>: Send,
    T::Value: Send,
{
    // A run of its own: on threads, wherever the run itself is to be, and nobody watches it.
    let parallel = Parallel::new().backend(Backend::Threads).progress(Progress::Off).n_jobs(threads);
    let without_code = cached.without_code();
    let identify = |(index, call): (usize, Delayed<'a, T>)| {
        identify(cached, &without_code, index, &call).map(|who| (index, who, call))
    };
    let known: Result<Vec<_>> = parallel.map(calls.into_iter().enumerate(), identify)?.into_iter().collect();
    let mut known = known?;
    known.sort_unstable_by(|(_, one, _), (_, other, _)| one.key.as_bytes().cmp(other.key.as_bytes()));
    let look = |(index, who, call)| (index, look_at(cached, who, call, load));
    let mut looked = parallel.map(known, look)?;
    looked.sort_unstable_by_key(|(index, _)| *index);
    Ok(looked.into_iter().map(|(_, looked)| looked).collect())
}

/// Removes the error that a call has for its result, so that it is computed; what another program has stored since stays.
///
/// # Errors
/// The store refuses.
pub(super) fn forget_failure<T: Task>(cached: &Cached<T>, who: &Identified, call: &Delayed<'_, T>) -> Result<()> {
    let fails = match cached.survey(who, &call.args, true) {
        Survey::Hit(Some(output)) | Survey::Unkept(output) => T::into_value(output).is_err(),
        Survey::Hit(None) | Survey::Miss(_) => false,
    };
    if fails { cached.forget_lent(&call.args).map(drop) } else { Ok(()) }
}

fn identify<T: Task>(
    cached: &Cached<T>,
    without_code: &Identity,
    index: usize,
    call: &Delayed<'_, T>,
) -> Result<Identified> {
    cached.identify(without_code, &call.args).map_err(|refused| {
        Error::invalid_option(format!(
            "item {index} of the run has no key, so it could not be found again: {refused}; give its arguments a form that \
             serde can write, or leave them out of the key with `ignore(..)`"
        ))
    })
}

fn look_at<'a, T: Task>(cached: &Cached<T>, who: Identified, call: Delayed<'a, T>, load: bool) -> Looked<'a, T> {
    let (output, has) = match cached.survey(&who, &call.args, load) {
        Survey::Hit(output) => (output, Has::Result),
        Survey::Unkept(output) => (Some(output), Has::Unkept),
        Survey::Miss(missing) => (None, Has::Nothing(missing)),
    };
    let (value, has) = match output.map(T::into_value) {
        Some(Ok(value)) => (Some(value), has),
        // A function that stores its errors: the call fails as it did.
        Some(Err(error)) => {
            let text = panics::catch(|| describe::arguments(&call.args, T::PARAMETERS)).unwrap_or_default();
            (None, Has::Failure(Box::new(Failed::new(FailureKind::Error, error.message(), &text))))
        }
        None => (None, has),
    };
    let call = if matches!(has, Has::Result | Has::Unkept) { None } else { Some(call) };
    Looked { known: Known { who, has }, value, call }
}
