//! Locks that are taken whatever happened to the thread that held them last.
//!
//! What is kept behind the crate's locks is whole at every point where the holder may panic, so poisoning tells nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lock, poisoned or not.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    whole(mutex.lock())
}

/// What a lock or a wait answers, poisoned or not.
pub(crate) fn whole<T>(answer: Result<T, PoisonError<T>>) -> T {
    answer.unwrap_or_else(PoisonError::into_inner)
}
