//! Tasks: functions that the toolkit knows by name, code and arguments.
//!
//! [`#[larder::task]`](macro@crate::task) and [`#[larder::cached]`](macro@crate::cached) leave a function as it is and
//! add a type of the same name beside it (a braced unit struct: it lives among the types, the function among the
//! values, so both can be called by one name). That type implements [`Task`]. [`delayed!`](crate::delayed) names the
//! type and packs the arguments of one call; nothing runs until [`Parallel`](crate::Parallel) runs it.

mod delayed;
mod outcome;
pub mod registry;

pub use delayed::Delayed;
pub use outcome::TaskError;

#[doc(hidden)]
pub mod probe;
pub(crate) mod remote;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One parameter of a task: its name and its type as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parameter {
    /// The parameter's name.
    pub name: &'static str,
    /// The parameter's type, as the source spells it.
    pub type_name: &'static str,
}

impl Parameter {
    #[doc(hidden)]
    pub const fn new(name: &'static str, type_name: &'static str) -> Parameter {
        Parameter { name, type_name }
    }
}

/// A function that can be named, keyed, delayed and memoized.
///
/// Implemented by [`#[larder::task]`](macro@crate::task) and [`#[larder::cached]`](macro@crate::cached), not by hand:
/// the attribute keeps the parts in step with the function, and the trait may grow between releases.
///
/// The user's part of the bargain is that the function is *pure* as far as its result goes: the same arguments and
/// the same code give an equal result. What the attribute cannot see (files, clocks, the environment) is not in the
/// key.
pub trait Task: Sized + 'static {
    /// The function's module and name, `crate::module::name`. A cache key has the full path, which also tells functions
    /// within different functions apart.
    const NAME: &'static str;
    /// A digest of the function's code. Part of every cache key.
    const FINGERPRINT: [u8; 32];
    /// A number the author raises to say "the result has changed meaning". Part of every cache key.
    const VERSION: u64;
    /// The parameters in order.
    const PARAMETERS: &'static [Parameter];
    /// Bit `i` is set where parameter `i` does not enter the key (`ignore(..)`).
    const IGNORED: u32;

    /// The arguments as a tuple, borrowed where the function borrows.
    type Args<'a>: Serialize;
    /// What the function returns.
    type Output;
    /// What is stored: the `Ok` side of a `Result`, else the whole output.
    type Value: Serialize + DeserializeOwned;

    /// Calls the function as its users see it (through its cache, where it has one).
    fn call(args: Self::Args<'_>) -> Self::Output;

    /// Runs the function's own body, past any cache.
    fn compute(args: Self::Args<'_>) -> Self::Output {
        Self::call(args)
    }

    /// Packs one call; what [`delayed!`](crate::delayed) expands to.
    fn delay(args: Self::Args<'_>) -> Delayed<'_, Self> {
        Delayed::new(args)
    }

    /// The part of an output that may be stored; `None` for an error.
    fn stored(output: &Self::Output) -> Option<&Self::Value>;

    /// The output that a stored value stands for.
    fn restore(value: Self::Value) -> Self::Output;

    /// Splits an output into its value or its error.
    ///
    /// # Errors
    /// The function's own `Err`, as text and, where its type allows, as a source.
    fn into_value(output: Self::Output) -> Result<Self::Value, TaskError>;

    /// A second copy of the arguments where that costs nothing (they are `Copy`), kept to describe a failure.
    fn copy_args<'a>(args: &Self::Args<'a>) -> Option<Self::Args<'a>>;

    /// How a value is shared by clones in memory, where its type allows; `None` where it must be decoded anew.
    #[doc(hidden)]
    fn sharing() -> Option<probe::Sharing<Self::Value>>;
}
