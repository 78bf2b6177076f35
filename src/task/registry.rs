//! The tasks of this program by name: how a worker finds the function that a message names.
//!
//! Filled before `main` by [`#[larder::task]`](macro@crate::task), so a function crosses to another process by its
//! name and fingerprint, never by an address. Instances of generic functions are added by [`register!`](crate::register).

use std::fmt;

use super::remote::{self, Host, Remote, Unusable};
use super::{Function, Parameter, Task, TaskError};
use crate::codec::{CodecError, Encoded};
use crate::key::identity;
use crate::memory::Recall;
use crate::panics::Panic;

/// What went wrong in a call by name.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The arguments do not decode as this task's arguments. A retry cannot help.
    Arguments(CodecError),
    /// The function returned an error.
    Failed(TaskError),
    /// The function panicked.
    Panicked(Panic),
    /// The result cannot be encoded. A retry cannot help.
    Result(CodecError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Arguments(error) => write!(f, "the arguments do not decode: {error}"),
            CallError::Failed(error) => write!(f, "the task failed: {error}"),
            CallError::Panicked(panic) => write!(f, "the task panicked: {panic}"),
            CallError::Result(error) => write!(f, "the result cannot be encoded: {error}"),
        }
    }
}

impl std::error::Error for CallError {}

/// One registered task.
pub struct TaskEntry {
    path: fn() -> &'static str,
    fingerprint: [u8; 32],
    parameters: &'static [Parameter],
    call: fn(&Encoded) -> Result<Encoded, CallError>,
    call_all: fn(&mut dyn Host) -> Result<(), Unusable>,
    recall: Recall,
}

inventory::collect!(TaskEntry);

impl TaskEntry {
    #[doc(hidden)]
    pub const fn new<T: Remote>() -> TaskEntry {
        TaskEntry {
            path: identity::path_of::<T>,
            fingerprint: T::FINGERPRINT,
            parameters: T::PARAMETERS,
            call: remote::call::<T>,
            call_all: remote::call_all::<T>,
            recall: Recall::of::<T>(),
        }
    }

    /// The function's full path.
    pub fn name(&self) -> &'static str {
        (self.path)()
    }

    /// The digest of the function's code.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The parameters in order.
    pub fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    /// Calls the function on encoded arguments and encodes its result.
    ///
    /// # Errors
    /// Arguments that do not decode, an `Err` or a panic of the function, a result that no codec carries.
    ///
    /// # Examples
    /// ```
    /// use larder::{delayed, registry};
    ///
    /// #[larder::task]
    /// fn shout(word: &str) -> String {
    ///     word.to_uppercase()
    /// }
    ///
    /// let args = delayed!(shout("psst")).encode()?;
    /// let task = registry::entry::<shout>().expect("the attribute registered it");
    /// let word: String = task.call(&args)?.decode()?;
    /// assert_eq!(word, "PSST");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call(&self, args: &Encoded) -> Result<Encoded, CallError> {
        (self.call)(args)
    }

    /// What is done with calls of its that were stored.
    pub(crate) fn recall(&self) -> &Recall {
        &self.recall
    }

    /// Makes the calls that `host` has.
    ///
    /// # Errors
    /// Arguments that do not decode (no call was made then), or results that cannot be encoded.
    #[cfg(unix)]
    pub(crate) fn call_all(&self, host: &mut dyn Host) -> Result<(), Unusable> {
        (self.call_all)(host)
    }
}

impl fmt::Debug for TaskEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEntry")
            .field("name", &self.name())
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

/// All tasks of this program, in no particular order.
///
/// # Examples
/// ```
/// #[larder::task]
/// fn halve(x: f64) -> f64 {
///     x / 2.0
/// }
///
/// assert!(larder::registry::tasks().any(|task| task.name().ends_with("::halve")));
/// ```
pub fn tasks() -> impl Iterator<Item = &'static TaskEntry> {
    inventory::iter::<TaskEntry>.into_iter()
}

/// The task of this name and code, if this program has it.
pub fn find(name: &str, fingerprint: &[u8; 32]) -> Option<&'static TaskEntry> {
    tasks().find(|task| task.fingerprint == *fingerprint && task.name() == name)
}

/// As [`entry`], of a function that may be none.
pub(crate) fn entry_of<T: Function>() -> Option<&'static TaskEntry> {
    find(identity::path_of::<T>(), &T::FINGERPRINT)
}

/// The entry of the task `T`; `None` if it carries [`#[larder::cached]`](macro@crate::cached) without `task`, or is an
/// instance of a generic function that was not [registered](crate::register).
pub fn entry<T: Task>() -> Option<&'static TaskEntry> {
    entry_of::<T>()
}

/// Makes instances of a generic task known to worker processes.
///
/// Threads run any instance of a generic function with [`#[larder::task]`](macro@crate::task). A worker process finds
/// functions by name, in a list that is made while the program is compiled; and which instances there are, only their
/// users know. Write this beside the function or beside its use, at the level of a module, once for each instance.
///
/// # Examples
/// ```
/// use serde::{Serialize, de::DeserializeOwned};
///
/// #[larder::task]
/// fn largest<T: Ord + Clone + Serialize + DeserializeOwned>(values: &[T]) -> T {
///     values.iter().max().expect("there are some").clone()
/// }
///
/// larder::register!(largest::<u64>, largest::<String>);
///
/// # fn main() {
/// assert!(larder::registry::entry::<largest<u64>>().is_some());
/// assert!(larder::registry::entry::<largest<i8>>().is_none());
/// # }
/// ```
#[macro_export]
macro_rules! register {
    ($($task:ty),+ $(,)?) => {
        $(
            const _: () = {
                $crate::__private::inventory::submit! {
                    $crate::__private::TaskEntry::new::<$task>()
                }
            };
        )+
    };
}
