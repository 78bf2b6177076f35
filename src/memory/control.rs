//! What a caller decides of one call: forced, uncached, looked for, shelved, forgotten, explained.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{ArgsOf, Arguments, Plain};
use super::call::{Keyed, NotOwn, Subject};
use super::claim::Guard;
use super::computation::{Computation, nanos};
use super::explain::Explanation;
use super::reason::MissReason;
use super::shelf::Shelved;
use super::stats::{Place, Source};
use super::{Cached, CachedFn, Memory, Shelves, store_failed};
use crate::codec;
use crate::error::Result;
use crate::key::MadeOf;
use crate::panics;
use crate::store::used::Calls;
use crate::store::{Absent, Claimant, Claimed, EntryKey, Patience};
use crate::task::{Function, Task};

impl<T: Function> Cached<T> {
    /// Whether [`call`](Cached::call) would load its result now: there is an entry, it is whole, and it holds. Nothing is counted,
    /// stored or removed to find out. joblib's `check_call_in_cache`, which proves less and may remove entries.
    pub fn check_call_in_cache(&self, args: T::Args<'_>) -> bool {
        self.explain(args).is_hit()
    }

    /// Says whether a call would be loaded and, if not, why it would be computed. See [`Explanation`].
    ///
    /// To name the arguments that differ, all entries of the function are looked at.
    ///
    /// # Examples
    /// ```
    /// use larder::{Explanation, Memory};
    ///
    /// #[larder::task]
    /// fn power(base: f64, exponent: i32) -> f64 {
    ///     base.powi(exponent)
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// let power = memory.cached::<power>();
    /// assert_eq!(power.explain((2.0, 10)), Explanation::NeverSeen);
    /// power.call((2.0, 10));
    /// assert!(power.explain((2.0, 10)).is_hit());
    /// let why = power.explain((2.0, 11)).to_string();
    /// assert!(why.starts_with("argument `exponent`: 10 -> 11 (the nearest entry was stored "), "{why}");
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn explain(&self, args: T::Args<'_>) -> Explanation {
        self.subject.explain(&self.memory, &ArgsOf::<T>(args))
    }

    /// Removes the entry of one call; answers whether there was one. The next such call computes; that of another program which has
    /// the result in memory loads it from there. An entry of earlier code that answers for the call, as it was
    /// [blessed](Cached::bless), is removed as well: going back to that code computes it too.
    ///
    /// # Errors
    /// The store refuses; the entry is still there.
    pub fn forget(&self, args: T::Args<'_>) -> Result<bool> {
        self.subject.forget(&self.memory, &ArgsOf::<T>(args))
    }
}

impl<T: Task> Cached<T> {
    /// Computes the call, whatever is stored, and stores its result in place of what was. joblib's `MemorizedFunc.call`.
    ///
    /// # Panics
    /// If the function does; what was stored is still there then.
    pub fn call_forced(&self, args: T::Args<'_>) -> T::Output {
        self.subject.call_forced(&self.memory, ArgsOf::<T>(args), |ArgsOf(args)| T::compute(args))
    }

    /// Computes the call past the cache: nothing is looked up, stored or counted. joblib's `MemorizedFunc.func`.
    ///
    /// # Panics
    /// If the function does.
    pub fn call_uncached(&self, args: T::Args<'_>) -> T::Output {
        T::compute(args)
    }

    /// As [`call`](Cached::call), but leaves the result where it is stored and gives a small handle to it, which can be
    /// sent and kept in its place. Where there is an entry, its value is not read.
    ///
    /// # Errors
    /// The output itself, where nothing of it is stored and it cannot be encoded either: an `Err`, a `None`.
    ///
    /// # Examples
    /// ```
    /// use larder::Memory;
    ///
    /// #[larder::task]
    /// fn squares(count: u64) -> Vec<u64> {
    ///     (0..count).map(|x| x * x).collect()
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let memory = Memory::open(dir.path())?;
    /// let shelved = memory.cached::<squares>().call_and_shelve((1000,)).expect("it is stored");
    /// assert_eq!(shelved.get()?.len(), 1000);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn call_and_shelve(&self, args: T::Args<'_>) -> std::result::Result<Shelved<T::Stored>, T::Output> {
        self.subject.call_and_shelve(&self.memory, ArgsOf::<T>(args), |ArgsOf(args)| T::compute(args))
    }
}

/// As the methods of [`Cached`] of the same names.
impl<A, R, F> CachedFn<A, R, F>
where
    A: Serialize + ?Sized,
    R: Serialize + DeserializeOwned,
    F: Fn(&A) -> R,
{
    /// Whether [`call`](CachedFn::call) would load its result now. See [`Cached::check_call_in_cache`].
    pub fn check_call_in_cache(&self, argument: &A) -> bool {
        self.explain(argument).is_hit()
    }

    /// Says whether a call would be loaded and, if not, why it would be computed. See [`Cached::explain`].
    pub fn explain(&self, argument: &A) -> Explanation {
        self.subject.explain(&self.memory, &Plain(argument))
    }

    /// Removes the entry of one call; answers whether there was one.
    ///
    /// # Errors
    /// The store refuses; the entry is still there.
    pub fn forget(&self, argument: &A) -> Result<bool> {
        self.subject.forget(&self.memory, &Plain(argument))
    }

    /// Computes the call, whatever is stored, and stores its result in place of what was. See [`Cached::call_forced`].
    ///
    /// # Panics
    /// If the closure does.
    pub fn call_forced(&self, argument: &A) -> R {
        self.subject.call_forced(&self.memory, Plain(argument), |Plain(argument)| (self.function)(argument))
    }

    /// Computes the call past the cache. See [`Cached::call_uncached`].
    ///
    /// # Panics
    /// If the closure does.
    pub fn call_uncached(&self, argument: &A) -> R {
        (self.function)(argument)
    }

    /// As [`call`](CachedFn::call), but gives a small handle to the result. See [`Cached::call_and_shelve`].
    ///
    /// # Errors
    /// The output itself, where nothing of it is stored and it cannot be encoded either.
    pub fn call_and_shelve(&self, argument: &A) -> std::result::Result<Shelved<R>, R> {
        let compute = |Plain(argument): Plain<&A>| (self.function)(argument);
        self.subject.call_and_shelve(&self.memory, Plain(argument), compute)
    }
}

impl<O, V: Serialize + DeserializeOwned> Subject<O, V> {
    pub(super) fn forget<A: Arguments>(&self, memory: &Memory, args: &A) -> Result<bool> {
        let Some(shelves) = &memory.inner.place else { return Ok(false) };
        let mut made_of = MadeOf::default();
        // What has no key has no entry.
        let Ok(key) = self.try_key(args, &mut made_of) else { return Ok(false) };
        let answers = self.blessed_keys(memory, shelves, &made_of);
        let mut forgotten = false;
        for entry in answers.iter().chain([&self.prefix.entry(&key)]) {
            forgotten |= shelves.forget(entry).map_err(|error| store_failed(shelves, &error))?;
        }
        Ok(forgotten)
    }

    fn call_forced<A: Arguments>(&self, memory: &Memory, args: A, compute: impl FnOnce(A) -> O) -> O {
        let computation = Computation { subject: self, memory };
        let Some(shelves) = &memory.inner.place else {
            return computation.unkeyed(args, compute, MissReason::Disabled);
        };
        let mut made_of = MadeOf::default();
        let Some(key) = self.key(memory, &args, &mut made_of) else {
            return computation.unkeyed(args, compute, MissReason::NoKey);
        };
        let keyed = Keyed { key, entry: self.prefix.entry(&key), made_of: &made_of };
        let who = Claimant::current();
        // Others who want the result wait for this one; where another computes it just now, it is computed twice.
        let is_mine = shelves.store.claim(&keyed.entry, who, Patience::AtMost(Duration::ZERO)) == Claimed::Mine;
        let claim = is_mine.then(|| Guard::new(&**shelves, keyed.entry, who));
        let (output, stored) = computation.keyed(shelves, &keyed, args, compute, MissReason::Forced);
        if let Some(claim) = claim {
            claim.end(stored);
        }
        output
    }

    fn call_and_shelve<A: Arguments>(
        &self,
        memory: &Memory,
        args: A,
        compute: impl FnOnce(A) -> O,
    ) -> std::result::Result<Shelved<V>, O> {
        let mut made_of = MadeOf::default();
        let key = self.try_key(&args, &mut made_of).ok();
        let keyed = key.map(|key| Keyed { key, entry: self.prefix.entry(&key), made_of: &made_of });
        if let Some(shelved) = keyed.as_ref().and_then(|keyed| self.shelved_before(memory, keyed)) {
            return Ok(shelved);
        }
        let output = self.call(memory, args, compute);
        self.shelve(memory, keyed.as_ref(), output)
    }

    /// A handle to the result of a call that has an entry which holds; that is a hit.
    pub(super) fn shelved_before(&self, memory: &Memory, keyed: &Keyed<'_>) -> Option<Shelved<V>> {
        let shelves = memory.inner.place.as_ref()?;
        let (entry, blessed, nanos_saved) = self.in_store(memory, keyed)?;
        memory.inner.counters.hit(Source { place: Place::Index, blessed }, nanos_saved);
        let calls = Calls { hits: 1, nanos_saved, blessed: u64::from(blessed), ..Calls::default() };
        memory.note_call(shelves, &self.function, Some(&entry), calls);
        Some(Shelved::stored(memory, &self.function.name, entry))
    }

    /// Looks whether a call has an entry of its own that holds, by its record.
    pub(super) fn own_record(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        entry: &EntryKey,
    ) -> std::result::Result<(), NotOwn> {
        let removals = shelves.removals();
        let listed = shelves.store.peek(entry).map_err(|absent| NotOwn::Absent(absent, removals))?;
        let info = listed.info().map_err(|_| NotOwn::Refused(MissReason::DamagedRecord))?;
        self.judged_record(memory, &info, None).map_err(NotOwn::Refused)
    }

    /// Whether a call without an entry of its own has one of earlier code that answers for it and holds, by its record.
    pub(super) fn has_blessed_record(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        made_of: &MadeOf,
        absent: &Absent,
    ) -> bool {
        let Some((blessing, Ok(listed))) = self.blessed_entry(memory, shelves, made_of, absent) else { return false };
        listed.info().is_ok_and(|info| self.judged_record(memory, &info, Some(&blessing)).is_ok())
    }

    /// The entry that answers for a call, whether it is one of earlier code, and what it took to compute.
    pub(super) fn in_store(&self, memory: &Memory, keyed: &Keyed<'_>) -> Option<(EntryKey, bool, u64)> {
        let shelves = memory.inner.place.as_ref()?;
        let (blessing, listed) = match shelves.store.peek(&keyed.entry) {
            Ok(listed) => (None, listed),
            Err(absent) => {
                let (blessing, listed) = self.blessed_entry(memory, shelves, keyed.made_of, &absent)?;
                (Some(blessing), listed.ok()?)
            }
        };
        let info = listed.info().ok()?;
        self.judged_record(memory, &info, blessing.as_deref()).ok()?;
        let nanos_saved = nanos(info.compute_time());
        Some((listed.key(), blessing.is_some(), nanos_saved))
    }

    /// A handle to an output that was just computed or loaded; the output itself where there can be none.
    pub(super) fn shelve(
        &self,
        memory: &Memory,
        keyed: Option<&Keyed<'_>>,
        output: O,
    ) -> std::result::Result<Shelved<V>, O> {
        if let Some((entry, ..)) = keyed.and_then(|keyed| self.in_store(memory, keyed)) {
            return Ok(Shelved::stored(memory, &self.function.name, entry));
        }
        // It is not stored: the handle holds the bytes itself, where there can be any.
        let held = (self.stored)(&output).ok().and_then(|value| {
            let encode = || Ok::<_, codec::CodecError>((codec::encode(value)?, codec::shape_of(value)));
            let (encoded, shape) = panics::catch(encode).ok()?.ok()?;
            Some(Shelved::held(&self.function.name, encoded, shape))
        });
        held.ok_or(output)
    }
}
