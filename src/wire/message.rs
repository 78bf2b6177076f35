//! The messages.
//!
//! A message is its head, which bincode writes, behind the head's length; what follows is the body, which belongs to
//! the head's kind: the bytes of arguments, of results, of a payload.

use std::io;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecId};
use crate::memory::{Bless, Blessed, NotBlessed};
use crate::parallel::{Slowest, Times};

/// Raised with every change to a message: both sides are one program, but who knows what a build leaves lying about.
pub(crate) const PROTOCOL: u32 = 2;

/// The first message of a worker: who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    /// What the driver gave its worker to prove itself by.
    pub(crate) nonce: u64,
    /// The program and its tasks; see [`crate::worker::build_id`].
    pub(crate) build: [u8; 32],
}

/// What a driver says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Once, after the hello. A board may come with it.
    Setup(Setup),
    /// What the batches that follow are of.
    Begin(Begin),
    /// A value that arguments refer to by its number. Its bytes are the body, or a file that comes with it.
    Payload { id: u64, codec: Codec, form: Option<Vec<u8>>, file_bytes: Option<u64> },
    /// A payload that nobody will name again.
    Forget { id: u64 },
    /// There is nothing to do for now: what belongs to a run is let go, its memory above all, which others may want.
    Rest,
    /// Calls to be made, in order. Their arguments, as a list, are the body, or a file that comes with it. With `waits`, a
    /// call that is under way elsewhere is waited for.
    Batch { id: u64, waits: bool, codec: Codec, file_bytes: Option<u64> },
    /// Entries of earlier code of a function are to answer for the code that the worker has, if a sample agrees.
    Bless { memory: MemoryAt, function: String, options: Bless },
}

/// How a worker lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) has_board: bool,
    /// How many cores its tasks may use.
    pub(crate) cores: usize,
    /// The processors it is bound to, if it is.
    pub(crate) affinity: Vec<usize>,
    /// A task to run first.
    pub(crate) init: Option<Init>,
}

/// A call that each worker makes before its first batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Init {
    pub(crate) task: TaskName,
    pub(crate) codec: Codec,
    pub(crate) args: Vec<u8>,
}

/// A task as both sides know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskName {
    pub(crate) name: String,
    pub(crate) fingerprint: [u8; 32],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) task: TaskName,
    pub(crate) memory: Option<MemoryAt>,
    /// A batch ends with the first call that fails.
    pub(crate) fail_fast: bool,
    /// Results in a form that describes itself: in the other one some did not come back.
    pub(crate) self_describing: bool,
    /// Beyond so many bytes the worker asks to be replaced.
    pub(crate) soft_limit: Option<u64>,
}

/// Where calls look for their results first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryAt {
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    pub(crate) verbose: u8,
}

/// What a worker says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Hello(Hello),
    /// The setup is done.
    Ready,
    /// The worker cannot do what it was asked to, and says why.
    Refused(String),
    /// The results of those calls that succeeded, as a list, are the body, or a file that comes with it.
    Done(Done),
    /// No call of the batch has a result that can be used, and running it again in the same way will not help.
    /// So many were made all the same.
    Unusable {
        id: u64,
        calls: u64,
        what: Unusable,
        words: String,
    },
    /// What was blessed, or why nothing was.
    Blessed(Result<Blessed, NotBlessed>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) id: u64,
    /// How many calls were made, from the first; the others were not begun.
    pub(crate) calls: u64,
    pub(crate) busy_nanos: u64,
    /// By their place in the batch, in order.
    pub(crate) exceptions: Vec<(u64, Exception)>,
    pub(crate) codec: Codec,
    pub(crate) file_bytes: Option<u64>,
    /// The worker is to be replaced: so many bytes of memory are its own.
    pub(crate) grown_to: Option<u64>,
    /// What the memory in the worker counted since the last report.
    pub(crate) counts: Vec<u64>,
    /// The places in the batch of the calls whose results were loaded, in order.
    pub(crate) loaded: Vec<u64>,
    /// How many calls gave a `None` that is not stored for that.
    pub(crate) nothings: u64,
    /// How long calls took, of which not all were looked at.
    pub(crate) times: Times,
    /// Those that took longest, by their place in the batch.
    pub(crate) slowest: Slowest<u64>,
}

/// A call without a result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Exception {
    Panicked {
        message: String,
        location: Option<String>,
        backtrace: Option<String>,
    },
    Erred(String),
    /// The same call is under way elsewhere.
    Busy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unusable {
    Arguments,
    Results,
}

/// The codec of some bytes, as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Codec(u8);

impl From<CodecId> for Codec {
    fn from(codec: CodecId) -> Codec {
        Codec(codec.as_byte())
    }
}

impl Codec {
    /// # Errors
    /// There is no such codec.
    pub(crate) fn id(self) -> io::Result<CodecId> {
        CodecId::from_byte(self.0).ok_or_else(|| no_message("an unknown codec"))
    }
}

/// The bytes of a message's head, with their length before them.
///
/// # Errors
/// None that is known: what is in a head can be written.
pub(crate) fn encode(head: &impl Serialize) -> io::Result<Vec<u8>> {
    let head = codec::to_bytes(head).map_err(no_message)?;
    let len = u32::try_from(head.len()).map_err(no_message)?;
    Ok([&len.to_le_bytes()[..], &head].concat())
}

/// The head of a message and its body.
///
/// # Errors
/// The bytes are no such message.
pub(crate) fn decode<T: DeserializeOwned>(message: &[u8]) -> io::Result<(T, &[u8])> {
    let parts = message
        .split_first_chunk()
        .and_then(|(len, rest)| rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?));
    let (head, body) = parts.ok_or_else(|| no_message("a message that is cut short"))?;
    Ok((codec::from_bytes(head).map_err(no_message)?, body))
}

fn no_message(error: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_head_and_body() {
        let head =
            encode(&Order::Batch { id: 7, waits: false, codec: CodecId::Compact.into(), file_bytes: None }).unwrap();
        let message = [&head[..], b"body"].concat();
        let (order, body) = decode::<Order>(&message).unwrap();
        assert!(matches!(order, Order::Batch { id: 7, waits: false, file_bytes: None, .. }), "{order:?}");
        assert_eq!(body, b"body");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in [&b""[..], b"abc", &[9, 0, 0, 0, 1], &[1, 0, 0, 0, 99], &[0xff; 40]] {
            assert!(decode::<Order>(bytes).is_err(), "{bytes:?}");
        }
        assert!(Codec(77).id().is_err());
    }
}
