//! Methods that are tasks, found from the type whose methods they are.

use super::Task;
use crate::memory::CachedCell;

/// A type with a method that is a task. `NAME` stands for the method's name; `Mark` is found by inference, and keeps what
/// is implemented as private as the method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no method of this name that is a task",
    label = "not a task of `{Self}`",
    note = "write `#[larder::task(of = {Self})]` on the method, in an `impl` of the type itself"
)]
pub trait Method<const NAME: u128, Mark> {
    /// The method's type.
    type Task: Task;

    /// Where its wrapper is kept, if it has a cache of its own.
    fn cell() -> &'static CachedCell<Self::Task>;
}
