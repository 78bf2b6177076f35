//! Locks that are taken whatever happened to the thread that held them last.
//!
//! What is kept behind the crate's locks is whole at every point where the holder may panic, so poisoning tells nothing.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// The lock, poisoned or not.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    whole(mutex.lock())
}

/// The lock, poisoned or not, if nobody has it.
pub(crate) fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// What a lock or a wait answers, poisoned or not.
pub(crate) fn whole<T>(answer: Result<T, PoisonError<T>>) -> T {
    answer.unwrap_or_else(PoisonError::into_inner)
}
