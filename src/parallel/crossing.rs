//! How items go to another process and their results come back: the one part of a driver that knows the task's types.

use std::marker::PhantomData;

use serde::{Serialize, Serializer};

use super::feed::Feed;
use super::progress::Meter;
use super::work::Work;
use super::{Parallel, jobs, remote};
use crate::codec::{self, CodecError, CodecId, Large, Prefer};
use crate::key::{describe, identity};
use crate::memory::Cached;
use crate::panics;
use crate::payload::travel::{self, Content, Departed};
use crate::task::{Delayed, Task, TaskError};
use crate::wire::message::TaskName;

/// Items as bytes.
pub(super) struct Sent {
    pub(super) codec: CodecId,
    pub(super) content: Content,
    pub(super) departed: Departed,
}

/// What a driver asks of the types at hand.
pub(super) trait Crossing<Item, Output>: Sync {
    fn task(&self) -> TaskName;
    /// The arguments of these items, side by side.
    fn encode(&self, items: &[Item], prefer: Prefer) -> Result<Sent, CodecError>;
    /// The results that a worker encoded.
    fn decode(&self, codec: CodecId, bytes: Large) -> Result<Vec<Output>, CodecError>;
    /// The result of an item that the memory has.
    fn find(&self, item: &Item) -> Option<Output>;
    /// Whether there is a memory to ask.
    fn has_memory(&self) -> bool;
    /// Adds what the memory in a worker counted.
    fn add_counts(&self, counts: &[u64]);
    fn describe(&self, item: &Item) -> Option<String>;
}

/// Delayed calls that go to worker processes.
pub(super) struct SentCalls<'a, T: Task> {
    cached: Option<Cached<T>>,
    _calls: PhantomData<fn(&'a T)>,
}

impl<T: Task> SentCalls<'_, T> {
    pub(super) fn new(cached: Option<Cached<T>>) -> Self {
        SentCalls { cached, _calls: PhantomData }
    }
}

/// The arguments of some calls as one list.
struct SideBySide<'s, 'a, T: Task>(&'s [Delayed<'a, T>]);

impl<T: Task> Serialize for SideBySide<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|call| &call.args))
    }
}

impl<'a, T> Crossing<Delayed<'a, T>, T::Value> for SentCalls<'a, T>
where
    T: Task,
    T::Args<'a>: Send,
{
    fn task(&self) -> TaskName {
        TaskName { name: identity::path_of::<T>().to_owned(), fingerprint: T::FINGERPRINT }
    }

    fn encode(&self, items: &[Delayed<'a, T>], prefer: Prefer) -> Result<Sent, CodecError> {
        let calls = SideBySide(items);
        codec::guarded(|| {
            let (encoding, departed) = travel::departing(prefer, || codec::encode_unproved(&calls, prefer));
            let encoding = encoding?;
            let content = Content::of_message("larder-arguments", &encoding);
            Ok(Sent { codec: encoding.codec, content, departed })
        })
    }

    fn decode(&self, codec: CodecId, bytes: Large) -> Result<Vec<T::Value>, CodecError> {
        codec::guarded(|| codec::decode_large(codec, bytes))
    }

    fn find(&self, item: &Delayed<'a, T>) -> Option<T::Value> {
        let output = panics::catch(|| self.cached.as_ref()?.find(&item.args)).ok()??;
        T::into_value(output).ok()
    }

    fn has_memory(&self) -> bool {
        self.cached.is_some()
    }

    fn add_counts(&self, counts: &[u64]) {
        if let Some(cached) = &self.cached {
            cached.memory().add_counts(counts);
        }
    }

    fn describe(&self, item: &Delayed<'a, T>) -> Option<String> {
        panics::catch(|| describe::arguments(&item.args, T::PARAMETERS)).ok()
    }
}

impl<'a, T> Work for SentCalls<'a, T>
where
    T: Task,
    T::Args<'a>: Send,
    T::Value: Send,
{
    type Item = Delayed<'a, T>;
    type Output = T::Value;
    type Trace = ();

    fn trace(&self, _: &Delayed<'a, T>) {}

    /// On the spot, without the memory: for a run that finds no other process after all.
    fn run(&self, item: Delayed<'a, T>) -> Result<T::Value, TaskError> {
        T::into_value(item.call())
    }

    fn task(&self) -> Option<&'static str> {
        Some(T::NAME)
    }

    fn drive_processes<I>(
        &self,
        parallel: &Parallel,
        feed: &Feed<'_, Self, I>,
        meter: Option<&Meter>,
        workers: usize,
    ) -> crate::Result<()>
    where
        I: Iterator<Item = Delayed<'a, T>> + Send,
    {
        let options = &parallel.options;
        let memory = match &options.memory {
            Some(memory) => memory.for_workers()?,
            None => None,
        };
        let run = remote::Remote {
            crossing: self,
            feed,
            meter,
            isolation: &options.isolation,
            retry: &options.retry,
            memory,
            task: T::NAME,
            shared: remote::Shared::default(),
        };
        run.run(options.isolation.specs(workers, *parallel.cores.get_or_init(jobs::cpu_count)))
    }
}
