//! Tasks: functions that the toolkit knows by name, code and arguments.
//!
//! [`#[larder::task]`](macro@crate::task) and [`#[larder::cached]`](macro@crate::cached) leave a function as it is and
//! add a type of the same name beside it (a braced unit struct: it lives among the types, the function among the
//! values, so both can be called by one name). That type implements [`Function`], which is what a cache needs to know,
//! and [`Task`], which is how it is called. [`delayed!`](crate::delayed) names the
//! type and packs the arguments of one call; nothing runs until [`Parallel`](crate::Parallel) runs it.

pub(crate) mod code;
mod delayed;
pub(crate) mod dependency;
mod outcome;
pub mod registry;

pub use code::{Input, Setting};
pub use delayed::Delayed;
pub use dependency::Dependency;
pub use outcome::TaskError;

pub(crate) mod method;
#[doc(hidden)]
pub mod probe;
pub(crate) mod remote;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::memory::{NotStoredReason, Validity};

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

/// What a cache needs to know of a function.
///
/// Implemented by [`#[larder::task]`](macro@crate::task) and [`#[larder::cached]`](macro@crate::cached), not by hand:
/// the attribute keeps the parts in step with the function, and the trait may grow between releases. A function that is
/// called as ever is a [`Task`] as well, an `async` one an [`AsyncTask`].
///
/// The user's part of the bargain is that the function is *pure* as far as its result goes: the same arguments and
/// the same code give an equal result. What the attribute cannot see (files, clocks, the environment) is not in the
/// key, unless it is declared.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function with an attribute of larder",
    label = "no function with an attribute",
    note = "write `#[larder::task]` or `#[larder::cached]` on the function"
)]
pub trait Function: Sized + 'static {
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
    /// The functions whose code is part of every cache key beside this one's own (`depends(..)`).
    const DEPENDS: &'static [Dependency] = &[];
    /// What the code was made of, for people: a line for each item that it reaches, `digest (16 hexadecimal digits) TAB kind and
    /// name TAB file or package`. Empty where that is not known. The digests are in [`FINGERPRINT`](Function::FINGERPRINT).
    const ITEMS: &'static str = "";
    /// What the code asks of the build. Part of every cache key.
    const SETTINGS: &'static [Setting] = &[];
    /// The files and variables that are read when a call is made, and are part of its key (`depends(file = "..", env = "..")`).
    const INPUTS: &'static [Input] = &[];
    /// Whether compiler and target are part of every cache key (`toolchain = true`).
    const TOOLCHAIN: bool = false;

    /// The arguments as a tuple, borrowed where the function borrows.
    type Args<'a>: Serialize;
    /// What the function returns; for an `async` one, what its future gives.
    type Output;
    /// What a run of it hands out: the `Ok` side of a `Result`, else the whole output.
    type Value: Serialize + DeserializeOwned;
    /// What a cache keeps: the value, or the whole output where an `Err` is stored too (`store(err)`).
    type Stored: Serialize + DeserializeOwned;

    /// Gives `with` what the key is made of: the arguments, or what `key = ..` says in their place.
    fn with_key<W: WithKey>(args: &Self::Args<'_>, with: W) -> W::Out {
        with.arguments(args)
    }

    /// Whether an output is an `Err`.
    fn failed(output: &Self::Output) -> bool;

    /// The part of an output that is stored.
    ///
    /// # Errors
    /// Why nothing of it is.
    fn stored(output: &Self::Output) -> Result<&Self::Stored, NotStoredReason>;

    /// The output that was stored so.
    fn restore(stored: Self::Stored) -> Self::Output;

    /// Splits an output into its value or its error.
    ///
    /// # Errors
    /// The function's own `Err`, as text and, where its type allows, as a source.
    fn into_value(output: Self::Output) -> Result<Self::Value, TaskError>;

    /// The output that a value stands for.
    fn from_value(value: Self::Value) -> Self::Output;

    /// A second copy of the arguments where that costs nothing (they are `Copy`), kept to describe a failure.
    fn copy_args<'a>(args: &Self::Args<'a>) -> Option<Self::Args<'a>>;

    /// How what is stored is shared by clones in memory, where its type allows; `None` where it must be decoded anew.
    #[doc(hidden)]
    fn sharing() -> Option<probe::Sharing<Self::Stored>>;

    /// How long, and on which condition, a stored result holds: `expires_after`, `validate`.
    fn validity() -> Validity {
        Validity::always()
    }
}

/// A function that can be called, delayed and memoized. See [`Function`], where most of it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    label = "not a task",
    note = "write `#[larder::task]` or `#[larder::cached]` on the function; an `async` function is awaited and is no task"
)]
pub trait Task: Function {
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
}

/// An `async` function that can be memoized. See [`Function`], where most of it is.
pub trait AsyncTask: Function {
    /// The future of the function's own body, past its cache.
    ///
    /// It is `Send` where the body allows: that is known of each function, not of the trait.
    fn compute(args: Self::Args<'_>) -> impl Future<Output = Self::Output>;
}

/// Who makes a key of a call: is given the arguments, or what stands for all of them.
pub trait WithKey {
    /// What comes of it.
    type Out;
    /// The arguments as a tuple, of which those in [`IGNORED`](Function::IGNORED) are left out.
    fn arguments<A: Serialize + ?Sized>(self, args: &A) -> Self::Out;
    /// One value in place of all arguments (`key = ..`).
    fn given<K: Serialize + ?Sized>(self, key: &K) -> Self::Out;
}
