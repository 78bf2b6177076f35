//! A call that has not happened yet.

use std::fmt;

use super::Task;
use crate::codec::{self, CodecError, Encoded};
use crate::key::describe;

/// One delayed call: a task and its arguments. Made by [`delayed!`](crate::delayed), run by
/// [`Parallel::run`](crate::Parallel::run).
///
/// # Examples
/// ```
/// use larder::delayed;
///
/// #[larder::task]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// let call = delayed!(square(7));
/// assert_eq!(format!("{call:?}"), "square(x = 7)");
/// assert_eq!(call.call(), 49);
/// ```
#[must_use = "a delayed call does nothing until it is run"]
pub struct Delayed<'a, T: Task> {
    pub(crate) args: T::Args<'a>,
}

impl<'a, T: Task> Delayed<'a, T> {
    /// A call of `T` with these arguments.
    pub fn new(args: T::Args<'a>) -> Delayed<'a, T> {
        Delayed { args }
    }

    /// Calls the function now, on this thread.
    pub fn call(self) -> T::Output {
        T::call(self.args)
    }

    /// The arguments as bytes, as [`TaskEntry::call`](super::registry::TaskEntry::call) takes them.
    ///
    /// # Errors
    /// An argument refuses to be serialized.
    pub fn encode(&self) -> Result<Encoded, CodecError> {
        codec::encode_args(&self.args)
    }
}

impl<T: Task> fmt::Debug for Delayed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe::call::<T>(&self.args))
    }
}

/// Packs one call of a task: the function's name and its arguments, nothing run yet.
///
/// The name may be a path (`module::function`), an instance (`function::<f64>`) or a method (`Model::score`, or
/// `<Model>::score` where the type's name does not begin with a capital letter), and must carry [`#[larder::task]`](macro@crate::task) or
/// [`#[larder::cached]`](macro@crate::cached). Arguments are given as in an ordinary call; what the function borrows
/// is borrowed by the delayed call.
///
/// # Examples
/// ```
/// use larder::{Parallel, delayed};
///
/// #[larder::task]
/// fn scaled(row: usize, factor: f64, table: &[f64]) -> f64 {
///     table[row] * factor
/// }
///
/// let table = vec![1.0, 2.0, 3.0];
/// let scaled: Vec<f64> = Parallel::new().run((0..3).map(|row| delayed!(scaled(row, 2.0, &table))))?;
/// assert_eq!(scaled, [2.0, 4.0, 6.0]);
/// # Ok::<(), larder::Error>(())
/// ```
///
/// A function without the attribute has no task type, which the compiler words as "expected type, found function":
/// give it `#[larder::task]`. Closures have no name to find them by; [`Parallel::map`](crate::Parallel::map) takes them.
/// ```compile_fail,E0573
/// fn plain(x: u64) -> u64 { x }
/// let call = larder::delayed!(plain(1)); // error[E0573]: expected type, found function `plain`
/// ```
#[macro_export]
macro_rules! delayed {
    ($task:ident ( $($argument:expr),* $(,)? )) => {
        <$task as $crate::Task>::delay(($($argument,)*))
    };
    ($($call:tt)*) => {
        $crate::__private::delayed!($($call)*)
    };
}
