//! Wrapped functions.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(unix)]
use super::arguments::ArgsLent;
use super::arguments::{ArgsOf, Plain};
use super::call::{Results, Subject};
use super::metadata::Metadata;
use super::validity::Validity;
use super::waiting::Waiting;
use super::{Memory, NotStoredReason, lookup, store_failed};
use crate::codec;
use crate::error::Result;
use crate::key::{Identity, Layout};
use crate::task::{Function, Task, registry};

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
        Cached::with_validity(memory, T::validity())
    }

    fn with_validity(memory: Memory, validity: Validity) -> Cached<T> {
        let results = Results {
            stored: T::stored,
            restore: T::restore,
            sharing: T::sharing().filter(|_| is_fixed::<T::Stored>()),
        };
        let layout = Layout::Tuple { ignored: T::IGNORED };
        let subject = Subject::new(Identity::of_task::<T>(), layout, T::PARAMETERS, results, validity);
        let subject = subject.made_of(TypeId::of::<T>()).of_task(registry::entry_of::<T>);
        Cached { memory, subject: Arc::new(subject) }
    }

    /// Loads results only for so long after they were stored, in place of what the attribute says; then they are computed anew.
    /// joblib's `expires_after`. An entry whose time lies ahead of the clock, by more than two seconds, has expired too.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use larder::{Explanation, Memory};
    ///
    /// #[larder::task]
    /// fn rate(currency: &str) -> f64 {
    ///     currency.len() as f64 // imagine a request here
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// memory.cached::<rate>().call(("EUR",));
    /// assert!(memory.cached::<rate>().expires_after(Duration::from_secs(3600)).check_call_in_cache(("EUR",)));
    /// let at_once = memory.cached::<rate>().expires_after(Duration::ZERO);
    /// assert!(matches!(at_once.explain(("EUR",)), Explanation::Expired { .. }));
    /// # Ok::<(), larder::Error>(())
    /// ```
    #[must_use]
    pub fn expires_after(self, time: Duration) -> Cached<T> {
        let validity = self.subject.validity.clone().expires_after(time);
        Cached::with_validity(self.memory, validity)
    }

    /// Loads a result only if `valid` says so of what is known of it, in place of what the attribute says; else it is computed
    /// anew. joblib's `cache_validation_callback`. It is asked for each call that has an entry, in memory or on disk, by
    /// whatever thread makes the call. Before an entry that it refused is computed anew it is asked again, once or twice, since
    /// another may have replaced the entry meanwhile: so its answer should go by the entry, not by how often it was asked. A
    /// panic is a refusal, and warned of once.
    #[must_use]
    pub fn validate(self, valid: impl Fn(&Metadata) -> bool + Send + Sync + 'static) -> Cached<T> {
        let validity = self.subject.validity.clone().validate(valid);
        Cached::with_validity(self.memory, validity)
    }

    /// The result of a call if it can be loaded now.
    #[cfg(unix)]
    pub(crate) fn find(&self, args: &T::Args<'_>) -> Option<T::Output> {
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

/// What a closure's results are stored of that others are not.
#[derive(Clone, Copy, Default)]
struct Stores {
    err: bool,
    none: bool,
}

impl Stores {
    fn function<R: Serialize>(self) -> fn(&R) -> std::result::Result<&R, NotStoredReason> {
        match (self.err, self.none) {
            (false, false) => stored::<R, false, false>,
            (false, true) => stored::<R, false, true>,
            (true, false) => stored::<R, true, false>,
            (true, true) => stored::<R, true, true>,
        }
    }
}

fn stored<R: Serialize, const ERR: bool, const NONE: bool>(output: &R) -> std::result::Result<&R, NotStoredReason> {
    match () {
        () if !ERR && codec::is_err(output) => Err(NotStoredReason::ErrorResult),
        () if !NONE && codec::is_none(output) => Err(NotStoredReason::NoneResult),
        () => Ok(output),
    }
}

/// A closure with a memory in front of it. Made by [`Memory::cached_fn`].
pub struct CachedFn<A: ?Sized, R, F> {
    pub(super) memory: Memory,
    pub(super) subject: Subject<R, R>,
    pub(super) function: F,
    stores: Stores,
    _argument: PhantomData<fn(&A)>,
}

impl<A, R, F> CachedFn<A, R, F>
where
    A: Serialize + ?Sized,
    R: Serialize + DeserializeOwned,
    F: Fn(&A) -> R,
{
    pub(crate) fn new(memory: Memory, name: String, version: u64, function: F) -> CachedFn<A, R, F> {
        // A type parameter is not known to be `Clone`: recent values are kept encoded.
        let results = Results { stored: stored::<R, false, false>, restore: |value| value, sharing: None };
        let subject = Subject::new(Identity::by_hand(name, version), Layout::Single, &[], results, Validity::always());
        CachedFn { memory, subject, function, stores: Stores::default(), _argument: PhantomData }
    }

    /// Loads results only for so long after they were stored. See [`Cached::expires_after`].
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> CachedFn<A, R, F> {
        self.subject.validity = self.subject.validity.expires_after(time);
        self
    }

    /// Loads a result only if `valid` says so of what is known of it. See [`Cached::validate`].
    #[must_use]
    pub fn validate(mut self, valid: impl Fn(&Metadata) -> bool + Send + Sync + 'static) -> CachedFn<A, R, F> {
        self.subject.validity = self.subject.validity.validate(valid);
        self
    }

    /// Stores a `None` like any other result. Without this it is returned, and computed again with the next call.
    #[must_use]
    pub fn store_none(mut self) -> CachedFn<A, R, F> {
        self.stores.none = true;
        self.subject.stored = self.stores.function();
        self
    }

    /// Stores the `Err` of a `Result` like any other result. Without this it is returned, and computed again with the next
    /// call.
    #[must_use]
    pub fn store_errors(mut self) -> CachedFn<A, R, F> {
        self.stores.err = true;
        self.subject.stored = self.stores.function();
        self
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
    let removed = shelves.clear(|store| store.clear_function(subject.identity.name(), by_hand));
    removed.map_err(|error| store_failed(shelves, &error))
}
