//! Wrapped functions.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{ArgsOf, Plain};
use super::call::Subject;
use super::waiting::Waiting;
use super::{Memory, NotStoredReason, Validity, lookup, store_failed};
use crate::codec;
use crate::error::Result;
use crate::key::{Identity, Layout};
use crate::store::Prefix;
use crate::task::{Function, Task};

/// A task function with a memory in front of it. joblib's `MemorizedFunc`.
///
/// Made by [`Memory::cached`]; cheap to keep, and to share among threads.
pub struct Cached<T: Function> {
    pub(super) memory: Memory,
    /// Shared with calls that are awaited, which go on without this.
    pub(super) subject: Arc<Subject<T::Output, T::Stored>>,
}

impl<T: Function> Cached<T> {
    pub(crate) fn new(memory: Memory) -> Cached<T> {
        let identity = Identity::of_task::<T>();
        let subject = Subject {
            prefix: Prefix::of(identity.name()),
            identity,
            layout: Layout::Tuple { ignored: T::IGNORED },
            parameters: T::PARAMETERS,
            stored: T::stored,
            restore: T::restore,
            sharing: T::sharing().filter(|_| is_fixed::<T::Stored>()),
            validity: T::validity(),
        };
        Cached { memory, subject: Arc::new(subject) }
    }

    /// The result of a call if it can be loaded now.
    #[cfg(unix)]
    pub(crate) fn find(&self, args: &T::Args<'_>) -> Option<T::Output> {
        use super::arguments::ArgsLent;
        self.subject.find(&self.memory, &ArgsLent::<T>(args))
    }

    /// The memory in front of the function.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Removes the entries of this function, those of earlier versions of its code too, and answers how many.
    ///
    /// # Errors
    /// The store refuses; what is then left is whole.
    pub fn clear(&self) -> Result<u64> {
        clear(&self.memory, &self.subject)
    }
}

impl<T: Task> Cached<T> {
    /// Loads the result of this call, or computes and stores it. Arguments are a tuple, one element per parameter.
    ///
    /// Among threads that make the same call at once, one computes and the others wait for it (threads of a rayon pool
    /// do other work instead, and in the end compute a duplicate). An `Err` is returned and not stored.
    ///
    /// A function must not wait for a thread of its own that makes the same call: it would wait for itself.
    ///
    /// # Panics
    /// If the function does; nothing is stored then, and the next call computes.
    #[inline]
    pub fn call(&self, args: T::Args<'_>) -> T::Output {
        self.subject.call(&self.memory, ArgsOf::<T>(args), |ArgsOf(args)| T::compute(args))
    }

    /// As [`call`](Cached::call), but for a call that is under way elsewhere: then the arguments come back, or it is
    /// waited for, as `waiting` says. What is not loaded is computed by `compute`.
    #[inline]
    pub(crate) fn call_unless_busy<'a>(
        &self,
        args: T::Args<'a>,
        compute: impl FnOnce(T::Args<'a>) -> T::Output,
        waiting: Waiting,
    ) -> std::result::Result<T::Output, T::Args<'a>> {
        lookup::begins();
        let compute = |ArgsOf(args): ArgsOf<'a, T>| compute(args);
        self.subject.call_unless_busy(&self.memory, ArgsOf(args), compute, waiting).map_err(|(ArgsOf(args), _)| args)
    }
}

impl<T: Function> fmt::Debug for Cached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("function", &T::NAME).field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Whether a clone of a `V` is a value of its own: one that shares what can change would let a caller change what the
/// next one gets. Told by the type's name, so a struct that hides such a part is not seen; the attribute's page says so.
pub(super) fn is_fixed<V>() -> bool {
    let name = std::any::type_name::<V>();
    !["Mutex<", "RwLock<", "Cell<", "::atomic::Atomic"].iter().any(|part| name.contains(part))
}

/// A closure with a memory in front of it. Made by [`Memory::cached_fn`].
pub struct CachedFn<A: ?Sized, R, F> {
    memory: Memory,
    subject: Subject<R, R>,
    function: F,
    _argument: PhantomData<fn(&A)>,
}

impl<A, R, F> CachedFn<A, R, F>
where
    A: Serialize + ?Sized,
    R: Serialize + DeserializeOwned,
    F: Fn(&A) -> R,
{
    pub(crate) fn new(memory: Memory, name: String, version: u64, function: F) -> CachedFn<A, R, F> {
        let identity = Identity::by_hand(name, version);
        let subject = Subject {
            prefix: Prefix::of(identity.name()),
            identity,
            layout: Layout::Single,
            parameters: &[],
            stored: |output| if codec::is_err(output) { Err(NotStoredReason::ErrorResult) } else { Ok(output) },
            restore: |value| value,
            // A type parameter is not known to be `Clone`: recent values are kept encoded.
            sharing: None,
            validity: Validity::always(),
        };
        CachedFn { memory, subject, function, _argument: PhantomData }
    }

    /// Loads the result of this call, or computes and stores it. See [`Cached::call`].
    ///
    /// # Panics
    /// If the closure does.
    #[inline]
    pub fn call(&self, argument: &A) -> R {
        self.subject.call(&self.memory, Plain(argument), |Plain(argument)| (self.function)(argument))
    }

    /// Removes the entries of this name, in all versions, and answers how many.
    ///
    /// # Errors
    /// The store refuses; what is then left is whole.
    pub fn clear(&self) -> Result<u64> {
        clear(&self.memory, &self.subject)
    }
}

impl<A: ?Sized, R, F> fmt::Debug for CachedFn<A, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedFn")
            .field("function", &self.subject.identity.name())
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

fn clear<O, V>(memory: &Memory, subject: &Subject<O, V>) -> Result<u64> {
    let Some(shelves) = &memory.inner.place else { return Ok(0) };
    let by_hand = subject.identity.fingerprint().is_none();
    let removed = shelves.store.clear_function(subject.identity.name(), by_hand);
    // Keys do not tell their function apart in memory; what is still on disk is warm again with its next use.
    shelves.hot.clear();
    removed.map_err(|error| store_failed(shelves, &error))
}
