//! The road of a call that is awaited: that of [`call`](super::call), with its file work on [threads apart](super::offload).
//!
//! The key and the memory tier are asked on the spot. Beyond that, [one task at a time](super::turns) asks the store for a
//! key. Its claim is the computation's, not a thread's; and it lies either in the future or in a job that is under way for
//! it, so wherever the future is dropped, the claim ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{ArgsOf, Arguments};
use super::call::{Keyed, Subject, Told};
use super::claim::{Guard, Met};
use super::computation::Computation;
use super::offload::Lane;
use super::reason::MissReason;
use super::stats::Source;
use super::waiting::Waiting;
use super::{Cached, Memory, Shelves};
use crate::key::{Key, MadeOf};
use crate::store::{Claimant, End, EntryKey};
use crate::task::{AsyncTask, Function};

/// Functions that are awaited. With the feature `async`.
impl<T: AsyncTask> Cached<T> {
    /// Loads the result of this call, or awaits its computation and stores it: [`call`](Cached::call) for an `async`
    /// function. Arguments are a tuple, one element per parameter.
    ///
    /// It runs on any runtime, and nothing happens before it is awaited. The key is hashed and recent results are given
    /// within the poll, and files that the function depends on (`depends(file = "..")`) are looked at there; files of the cache are read and written, and values encoded and decoded, on threads of their own (those of the
    /// `blocking` crate, at most 64 of them for all memories). So the output must be `Send`; the future is `Send` if the
    /// arguments and the function's own future are. It borrows from the arguments alone, so that it can be spawned.
    ///
    /// Among the tasks of a program that make the same call at once, one computes and the others wait for it without a
    /// thread; threads and other programs that make it are waited for too. An `Err` is returned and not stored, and each
    /// of those who waited then computes for itself, one after the other. The time that is recorded with a result is that
    /// from the function's first poll to its end, waits included.
    ///
    /// A function must not await its own call with the same arguments: it would wait for itself, for ever. So would a task
    /// that begins a call, polls it no further, and awaits the same call elsewhere. And a thread that an executor needs must
    /// not make a [`call`](Cached::call), which may wait for the executor's own tasks.
    ///
    /// # Cancellation
    /// Dropped before its end, the call leaves no claim, and the next of those who wait for it computes. A result that was
    /// about to be stored just then may be stored or not.
    ///
    /// # Panics
    /// If the function does; nothing is stored then, and the next call computes.
    ///
    /// # Examples
    /// ```
    /// use larder::Memory;
    ///
    /// #[larder::cached]
    /// async fn fetch(page: u32) -> Result<String, std::io::Error> {
    ///     Ok(format!("page {page}")) // imagine a server here
    /// }
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let memory = Memory::open(dir.path())?;
    /// let cached = memory.cached::<fetch>();
    /// # futures::executor::block_on(async {
    /// assert_eq!(cached.call_async((7,)).await?, "page 7"); // fetched, stored
    /// assert_eq!(cached.call_async((7,)).await?, "page 7"); // loaded
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// assert_eq!((memory.stats().misses(), memory.stats().hits()), (1, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_async<'a>(&self, args: T::Args<'a>) -> impl Future<Output = T::Output> + use<'a, T>
    where
        T::Output: Send,
    {
        Call::of(self).run(ArgsOf::<T>(args), |ArgsOf(args)| T::compute(args))
    }
}

/// What a call, and each job for it, needs of the wrapped function.
pub(super) struct Call<O, V> {
    pub(super) memory: Memory,
    pub(super) subject: Arc<Subject<O, V>>,
}

impl<O, V> Call<O, V> {
    pub(super) fn of<T: Function<Output = O, Stored = V>>(cached: &Cached<T>) -> Call<O, V> {
        Call { memory: cached.memory.clone(), subject: Arc::clone(&cached.subject) }
    }
}

impl<O, V> Clone for Call<O, V> {
    fn clone(&self) -> Call<O, V> {
        Call { memory: self.memory.clone(), subject: Arc::clone(&self.subject) }
    }
}

/// How far a call comes without waiting.
enum Start<O> {
    Done(O),
    /// Nothing is to be looked up or stored.
    Unkeyed(MissReason),
    Beyond(Place),
}

/// Where the result of a call belongs.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) shelves: Arc<Shelves>,
    pub(super) key: Key,
    pub(super) entry: EntryKey,
    /// A kilobyte that would make the future larger.
    pub(super) made_of: Arc<MadeOf>,
}

impl Place {
    pub(super) fn keyed(&self) -> Keyed<'_> {
        Keyed { key: self.key, entry: self.entry, made_of: &self.made_of }
    }
}

/// A claim that goes with the computation from thread to thread.
pub(super) type Claim = Guard<Arc<Shelves>>;

impl<O, V> Call<O, V>
where
    O: Send + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    pub(super) async fn run<A, F>(self, args: A, compute: impl FnOnce(A) -> F) -> O
    where
        A: Arguments,
        F: Future<Output = O>,
    {
        let place = match self.start(&args) {
            Start::Done(output) => return output,
            Start::Unkeyed(reason) => return self.unkeyed(args, compute, reason).await,
            Start::Beyond(place) => place,
        };
        let turn = place.shelves.turns.take(place.entry).await;
        if let Some(output) = self.hot_value(&place.shelves, &place.key, &args) {
            return output;
        }
        let last = turn.last();
        // Too large for memory if it was stored: then all who waited may read it at once.
        let mut turn = (last != Some(End::Stored)).then_some(turn);
        let mut ends = |end| turn.as_mut().map_or((), |turn| turn.set_end(end));
        let (claim, reason) = match self.seek(&place).await {
            Ok((output, source)) => {
                ends(End::Stored);
                self.subject.say_loaded(&self.memory, source, &args);
                return output;
            }
            // Waited for in vain, as a thread would say.
            Err((claim, MissReason::NeverSeen)) if last == Some(End::NotStored) => (claim, MissReason::Claimed),
            Err(missing) => missing,
        };
        // So it ends if it is dropped or panics.
        ends(End::NotStored);
        let (output, stored) = self.compute(place, args, compute, reason, claim).await;
        if stored {
            ends(End::Stored);
        }
        output
    }

    /// Computes what has no place.
    pub(super) async fn unkeyed<A, F>(&self, args: A, compute: impl FnOnce(A) -> F, reason: MissReason) -> O
    where
        A: Arguments,
        F: Future<Output = O>,
    {
        self.computation().begins(&self.computation().told_texts(&args), reason, None);
        self.timed(|| compute(args)).await.0
    }

    /// Computes and stores; answers whether others can now look it up.
    pub(super) async fn compute<A, F>(
        &self,
        place: Place,
        args: A,
        compute: impl FnOnce(A) -> F,
        reason: MissReason,
        claim: Option<Claim>,
    ) -> (O, bool)
    where
        A: Arguments,
        F: Future<Output = O>,
    {
        let keyed = place.keyed();
        let told = self.subject.told(&keyed, &args);
        let why = self.computation().told_why(&place.shelves, &keyed, &args, reason);
        self.computation().begins(&self.computation().told_texts(&args), reason, why);
        let (output, took) = self.timed(|| compute(args)).await;
        self.keep(place, output, told, took, claim).await
    }

    /// Does what takes no waiting.
    fn start<A: Arguments>(&self, args: &A) -> Start<O> {
        let place = match self.place(args) {
            Ok(place) => place,
            Err(reason) => return Start::Unkeyed(reason),
        };
        match self.hot_value(&place.shelves, &place.key, args) {
            Some(output) => Start::Done(output),
            None => Start::Beyond(place),
        }
    }

    /// Where the result belongs, or why it belongs nowhere.
    pub(super) fn place<A: Arguments>(&self, args: &A) -> Result<Place, MissReason> {
        let shelves = self.memory.inner.place.as_ref().ok_or(MissReason::Disabled)?;
        let mut made_of = MadeOf::default();
        let key = self.subject.key(&self.memory, args, &mut made_of).ok_or(MissReason::NoKey)?;
        let entry = self.subject.prefix.entry(&key);
        Ok(Place { shelves: Arc::clone(shelves), key, entry, made_of: Arc::new(made_of) })
    }

    fn hot_value<A: Arguments>(&self, shelves: &Shelves, key: &Key, args: &A) -> Option<O> {
        let (output, source) = self.subject.hot_value(&self.memory, shelves, key)?;
        self.subject.say_loaded(&self.memory, source, args);
        Some(output)
    }

    /// Asks the store until it has the result, or else the reason why not; with the claim, where it could be had.
    async fn seek(&self, place: &Place) -> Result<(O, Source), (Option<Claim>, MissReason)> {
        let who = Claimant::unique();
        let (mut lane, mut waiting) = (Lane::Work, Waiting::Not);
        loop {
            let (call, Place { shelves, key, entry, made_of }) = (self.clone(), place.clone());
            let job = move || {
                let keyed = Keyed { key, entry, made_of: &made_of };
                call.subject.seek(&call.memory, shelves, &keyed, who, waiting)
            };
            match lane.run(job).await {
                Met::Loaded(output, source) => return Ok((output, source)),
                Met::Missing(claim, reason) => return Err((claim, reason)),
                // A thread or another program has it. No thread of ours waits for long, and others have their turn.
                Met::Busy => (lane, waiting) = (Lane::Wait, Waiting::AWhile),
            }
        }
    }

    /// Stores an output and ends the claim; gives it back, and whether others can now look it up.
    async fn keep(&self, place: Place, output: O, told: Told, took: Duration, claim: Option<Claim>) -> (O, bool) {
        let call = self.clone();
        let job = move || {
            let Place { shelves, key, entry, made_of } = place;
            let keyed = Keyed { key, entry, made_of: &made_of };
            let stored = call.computation().keep(&shelves, &keyed, &output, told, took);
            if let Some(claim) = claim {
                claim.end(stored);
            }
            (output, stored)
        };
        Lane::Work.run(job).await
    }

    async fn timed<F>(&self, compute: impl FnOnce() -> F) -> (O, Duration)
    where
        F: Future<Output = O>,
    {
        let start = Instant::now();
        let output = compute().await;
        let took = start.elapsed();
        self.computation().ended(took);
        (output, took)
    }

    fn computation(&self) -> Computation<'_, O, V> {
        Computation { subject: &self.subject, memory: &self.memory }
    }
}
