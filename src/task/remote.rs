//! The far side of a call: what a worker knows of a task that its caller does not have to.

use serde::de::DeserializeOwned;

use super::registry::CallError;
use super::{Task, TaskError};
use crate::codec::{self, CodecError, CodecId, Encoded, Encoding, Large, Prefer};
use crate::memory::{Cached, Memory, Waiting};
use crate::panics::{self, Panic};

/// A task whose arguments can be had from bytes. Implemented by the attributes.
pub trait Remote: Task {
    /// The arguments as a worker decodes them: each parameter's own.
    type Owned: DeserializeOwned;

    /// Calls `call` with the arguments that `owned` are, borrowed where the function borrows.
    fn with(owned: Self::Owned, call: &mut dyn for<'a> FnMut(Self::Args<'a>));
}

/// One call with encoded arguments.
pub(super) fn call<T: Remote>(args: &Encoded) -> Result<Encoded, CallError> {
    let owned = args.decode().map_err(CallError::Arguments)?;
    let output = run::<T>(owned, &mut |args| Some(T::call(args))).map_err(CallError::Panicked)?;
    let value = T::into_value(output.expect("a call has an output")).map_err(CallError::Failed)?;
    codec::encode(&value).map_err(CallError::Result)
}

fn run<T: Remote>(
    owned: T::Owned,
    call: &mut dyn for<'a> FnMut(T::Args<'a>) -> Option<T::Output>,
) -> Result<Option<T::Output>, Panic> {
    let mut output = None;
    panics::catch(|| T::with(owned, &mut |args| output = call(args)))?;
    Ok(output)
}

/// Who has a list of calls made: the loop of a worker.
pub(crate) trait Host {
    /// Calls `decode` with the arguments of all calls.
    fn arguments(&mut self, decode: &mut dyn FnMut(CodecId, Large));
    /// Where results are looked for first.
    fn memory(&self) -> Option<&Memory>;
    /// What is done about a call that is under way elsewhere.
    fn waiting(&self) -> Waiting;
    /// How results are written.
    fn prefers(&self) -> Prefer;
    /// Whether these are the first calls of their kind.
    fn is_first(&self) -> bool;
    /// A call is made that was not loaded, after what waiting there was.
    fn computes(&self);
    /// Before each call: whether it is to be made, and those behind it.
    fn begin(&mut self) -> bool;
    /// After each call.
    fn end(&mut self, end: End<'_>);
    /// The results of the calls that succeeded, as a list.
    fn results(&mut self, results: &Encoding<'_>);
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum End<'e> {
    Succeeded,
    Erred(TaskError),
    Panicked(&'e Panic),
    /// It is under way elsewhere, and was not made.
    Busy,
}

/// What cannot be used of a list of calls.
#[derive(Debug)]
pub(crate) enum Unusable {
    Arguments(CodecError),
    Results(CodecError),
}

/// Makes all calls whose arguments `host` has.
pub(super) fn call_all<T: Remote>(host: &mut dyn Host) -> Result<(), Unusable> {
    let list = codec::guarded(|| {
        let mut list = Err(CodecError::new("there are no arguments"));
        host.arguments(&mut |codec, bytes| list = codec::decode_large::<Vec<T::Owned>>(codec, bytes));
        list
    });
    let list = list.map_err(Unusable::Arguments)?;
    let cached = host.memory().map(Memory::cached::<T>);
    let mut values = Vec::with_capacity(list.len());
    for owned in list {
        if !host.begin() {
            break;
        }
        let end = match run::<T>(owned, &mut |args| call_one(cached.as_ref(), args, host)) {
            Ok(Some(output)) => match T::into_value(output) {
                Ok(value) => {
                    values.push(value);
                    End::Succeeded
                }
                Err(error) => End::Erred(error),
            },
            Ok(None) => End::Busy,
            Err(ref panic) => {
                host.end(End::Panicked(panic));
                continue;
            }
        };
        host.end(end);
    }
    codec::guarded(|| {
        let prefers = host.prefers();
        // What goes out in the small form may not come back: that is found out here, at one value, and not when all is done.
        let needs_names = |value| codec::encode_ref(value).is_ok_and(|proved| proved.codec == CodecId::SelfDescribing);
        let small = prefers == Prefer::Small && !(host.is_first() && values.first().is_some_and(needs_names));
        let encoded = if small { codec::encode_unproved(&values, Prefer::Small) } else { Err(CodecError::new("")) };
        host.results(&encoded.or_else(|_| codec::encode_unproved(&values, Prefer::SelfDescribing))?);
        Ok(())
    })
    .map_err(Unusable::Results)
}

fn call_one<T: Task>(cached: Option<&Cached<T>>, args: T::Args<'_>, host: &dyn Host) -> Option<T::Output> {
    let compute = |args: T::Args<'_>| {
        host.computes();
        T::compute(args)
    };
    match cached {
        Some(cached) => cached.call_unless_busy(args, compute, host.waiting()).ok(),
        None => Some(T::call(args)),
    }
}
