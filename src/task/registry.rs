//! The tasks of this program by name: how a worker finds the function that a message names.
//!
//! Filled before `main` by [`#[larder::task]`](macro@crate::task), so a function crosses to another process by its
//! name and fingerprint, never by an address.

use serde::de::DeserializeOwned;

use super::{Parameter, Task, TaskError};
use crate::codec::{self, CodecId};
use crate::panics::{self, Panic};

/// What went wrong in a call by name.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The arguments do not decode as this task's arguments. A retry cannot help.
    Arguments(codec::CodecError),
    /// The function returned an error.
    Failed(TaskError),
    /// The function panicked.
    Panicked(Panic),
    /// The result cannot be encoded. A retry cannot help.
    Result(codec::CodecError),
}

/// One registered task.
pub struct TaskEntry {
    name: &'static str,
    fingerprint: [u8; 32],
    parameters: &'static [Parameter],
    run: fn(CodecId, &[u8]) -> Result<(CodecId, Vec<u8>), CallError>,
}

inventory::collect!(TaskEntry);

impl TaskEntry {
    #[doc(hidden)]
    pub const fn new<T: Task>(run: fn(CodecId, &[u8]) -> Result<(CodecId, Vec<u8>), CallError>) -> TaskEntry {
        TaskEntry { name: T::NAME, fingerprint: T::FINGERPRINT, parameters: T::PARAMETERS, run }
    }

    /// The function's full path.
    pub fn name(&self) -> &'static str {
        self.name
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
    pub fn call_encoded(&self, codec: CodecId, args: &[u8]) -> Result<(CodecId, Vec<u8>), CallError> {
        (self.run)(codec, args)
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
    tasks().find(|task| task.name == name && task.fingerprint == *fingerprint)
}

/// The far side of a call by name, with the types that only the attribute knows.
#[doc(hidden)]
pub fn run_encoded<T: Task, Owned: DeserializeOwned>(
    codec: CodecId,
    args: &[u8],
    call: fn(Owned) -> T::Output,
) -> Result<(CodecId, Vec<u8>), CallError> {
    let owned: Owned = codec::decode(codec, args).map_err(CallError::Arguments)?;
    let output = panics::catch(|| call(owned)).map_err(CallError::Panicked)?;
    let value = T::into_value(output).map_err(CallError::Failed)?;
    codec::encode(&value).map_err(CallError::Result)
}
