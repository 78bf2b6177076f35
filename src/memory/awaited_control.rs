//! What a caller decides of one awaited call: forced, shelved.

use std::sync::Arc;
use std::time::Duration;

use super::Cached;
use super::arguments::ArgsOf;
use super::asynchronous::{Call, Place};
use super::claim::Guard;
use super::offload::Lane;
use super::reason::MissReason;
use super::shelf::Shelved;
use crate::store::{Claimant, Claimed, End, Patience};
use crate::task::AsyncTask;

/// Functions that are awaited. With the feature `async`.
impl<T: AsyncTask> Cached<T> {
    /// Awaits the computation of the call, whatever is stored, and stores its result in place of what was:
    /// [`call_forced`](Cached::call_forced) for an `async` function. See [`call_async`](Cached::call_async).
    ///
    /// # Panics
    /// If the function does; what was stored is still there then.
    pub fn call_forced_async<'a>(&self, args: T::Args<'a>) -> impl Future<Output = T::Output> + use<'a, T>
    where
        T::Output: Send,
    {
        let call = Call::of(self);
        async move {
            let (args, compute) = (ArgsOf::<T>(args), |ArgsOf(args): ArgsOf<'a, T>| T::compute(args));
            let place = match call.place(&args) {
                Ok(place) => place,
                Err(reason) => return call.unkeyed(args, compute, reason).await,
            };
            let mut turn = place.shelves.turns.take(place.entry).await;
            let (shelves, entry, who) = (Arc::clone(&place.shelves), place.entry, Claimant::unique());
            let claim = move || {
                // As for a thread: where another computes it just now, it is computed twice.
                let is_mine = shelves.store.claim(&entry, who, Patience::AtMost(Duration::ZERO)) == Claimed::Mine;
                is_mine.then(|| Guard::new(shelves, entry, who))
            };
            let claim = Lane::Work.run(claim).await;
            turn.set_end(End::NotStored);
            let (output, stored) = call.compute(place, args, compute, MissReason::Forced, claim).await;
            if stored {
                turn.set_end(End::Stored);
            }
            output
        }
    }

    /// As [`call_async`](Cached::call_async), but leaves the result where it is stored and gives a small handle to it:
    /// [`call_and_shelve`](Cached::call_and_shelve) for an `async` function.
    ///
    /// # Errors
    /// The output itself, where nothing of it is stored and it cannot be encoded either: an `Err`, a `None`.
    ///
    /// # Panics
    /// If the function does.
    pub fn call_and_shelve_async<'a>(
        &self,
        args: T::Args<'a>,
    ) -> impl Future<Output = Result<Shelved<T::Stored>, T::Output>> + use<'a, T>
    where
        T::Output: Send,
    {
        let call = Call::of(self);
        async move {
            let args = ArgsOf::<T>(args);
            let place = call.place(&args).ok();
            if let Some(place) = place.clone() {
                let asked = call.clone();
                let look = move || asked.subject.shelved_before(&asked.memory, &place.keyed());
                if let Some(shelved) = Lane::Work.run(look).await {
                    return Ok(shelved);
                }
            }
            let output = call.clone().run(args, |ArgsOf(args)| T::compute(args)).await;
            let shelve = move || {
                let keyed = place.as_ref().map(Place::keyed);
                call.subject.shelve(&call.memory, keyed.as_ref(), output)
            };
            Lane::Work.run(shelve).await
        }
    }
}
