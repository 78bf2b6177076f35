//! How one attempt to ask for the index ends.

#[cfg(unix)]
use super::guest::NoAnswer;
use super::types::StoreError;

/// Why an operation has no answer.
pub(super) enum Unanswered {
    /// Nobody can be asked.
    Apart(StoreError),
    Failed(StoreError),
}

/// Why an index whose directory is not its own any more does no more work.
pub(super) fn gone() -> StoreError {
    StoreError::new("writing the index", "its directory was removed or replaced")
}

pub(super) fn unanswered() -> StoreError {
    StoreError::new("reaching the cache", "no program answers for it")
}

/// What one attempt with a role met.
pub(super) enum Attempt<R> {
    Done(Result<R, StoreError>),
    /// The role is over: another one is needed.
    Over(StoreError),
}

#[cfg(unix)]
pub(super) fn answered<R>(answer: Result<R, NoAnswer>) -> Attempt<R> {
    match answer {
        Ok(done) => Attempt::Done(Ok(done)),
        Err(NoAnswer::Failed(error)) => Attempt::Done(Err(error)),
        Err(NoAnswer::Lost(error)) => Attempt::Over(error),
    }
}
