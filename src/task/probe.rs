//! What the attributes ask of concrete types, answered by method resolution.
//!
//! A macro sees type *tokens*, not traits, so it cannot know whether a result is `Clone` or an error is `Display`. It
//! can emit a method call whose candidates stand at different autoref depths: the first one whose bounds hold wins
//! ("autoref specialization", D. Tolnay, <https://github.com/dtolnay/case-studies/tree/master/autoref-specialization>).
//! It works on concrete types, resolves aliases, and needs no unstable feature. Nothing here is for people.

use std::any::{Any, type_name};
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::TaskError;
use crate::codec;

/// How a value of type `V` is put into the memory tier and copied out of it.
pub struct Sharing<V> {
    pub(crate) share: fn(V) -> Arc<dyn Any + Send + Sync>,
    pub(crate) copy: fn(&(dyn Any + Send + Sync)) -> Option<V>,
    pub(crate) clone: fn(&V) -> V,
}

/// The `Ok` side of a `Result`, by any alias.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `Result`",
    label = "returned, and no `Result`",
    note = "a return type that is called `Result`, or that the option `result` says to be one, is taken apart"
)]
pub trait ResultLike {
    /// The success type.
    type Ok;
    /// The error type.
    type Err;
    /// The type as the plain `Result` it is.
    fn as_result(&self) -> Result<&Self::Ok, &Self::Err>;
    /// The value as the plain `Result` it is.
    fn into_result(self) -> Result<Self::Ok, Self::Err>;
    /// The output a success stands for.
    fn from_ok(value: Self::Ok) -> Self;
}

impl<T, E> ResultLike for Result<T, E> {
    type Ok = T;
    type Err = E;
    fn as_result(&self) -> Result<&T, &E> {
        self.as_ref()
    }
    fn into_result(self) -> Result<T, E> {
        self
    }
    fn from_ok(value: T) -> Self {
        Ok(value)
    }
}

/// `(&SharingProbe::<V>::new()).sharing()`: `Some` where `V: Clone + Send + Sync + 'static`.
pub struct SharingProbe<V>(PhantomData<fn() -> V>);

impl<V> SharingProbe<V> {
    #[expect(clippy::new_without_default, reason = "written by macros only")]
    pub fn new() -> Self {
        SharingProbe(PhantomData)
    }
}

pub trait Shares<V> {
    fn sharing(&self) -> Option<Sharing<V>>;
}

impl<V: Clone + Send + Sync + 'static> Shares<V> for SharingProbe<V> {
    fn sharing(&self) -> Option<Sharing<V>> {
        Some(Sharing { share: |value| Arc::new(value), copy: |any| any.downcast_ref::<V>().cloned(), clone: V::clone })
    }
}

pub trait SharesNot<V> {
    fn sharing(&self) -> Option<Sharing<V>>;
}

impl<V> SharesNot<V> for &SharingProbe<V> {
    fn sharing(&self) -> Option<Sharing<V>> {
        None
    }
}

/// `(&CopyProbe(args)).copied()`: `Some` where the arguments are `Copy`.
pub struct CopyProbe<'r, A>(pub &'r A);

pub trait Copies<A> {
    fn copied(&self) -> Option<A>;
}

impl<A: Copy> Copies<A> for CopyProbe<'_, A> {
    fn copied(&self) -> Option<A> {
        Some(*self.0)
    }
}

pub trait CopiesNot<A> {
    fn copied(&self) -> Option<A>;
}

impl<A> CopiesNot<A> for &CopyProbe<'_, A> {
    fn copied(&self) -> Option<A> {
        None
    }
}

/// `(&&&&ErrorProbe::new(error)).task_error()`: the error kept whole, as `Display`, as `Debug`, or as a bare sentence.
/// The one behind the most `&` is tried first.
pub struct ErrorProbe<E>(std::cell::Cell<Option<E>>);

impl<E> ErrorProbe<E> {
    pub fn new(error: E) -> Self {
        ErrorProbe(std::cell::Cell::new(Some(error)))
    }

    fn with(&self, describe: impl FnOnce(E) -> TaskError) -> TaskError {
        match self.0.take() {
            Some(error) => describe(error),
            None => TaskError::from_message("the error was taken before".to_owned()),
        }
    }
}

pub trait BoxedError {
    fn task_error(&self) -> TaskError;
}

impl<E: Into<Box<dyn StdError + Send + Sync>> + Display> BoxedError for &&&ErrorProbe<E> {
    fn task_error(&self) -> TaskError {
        self.with(|error| TaskError::from_error(error.into()))
    }
}

pub trait DisplayError {
    fn task_error(&self) -> TaskError;
}

impl<E: Display> DisplayError for &&ErrorProbe<E> {
    fn task_error(&self) -> TaskError {
        self.with(|error| TaskError::from_message(error.to_string()))
    }
}

pub trait DebugError {
    fn task_error(&self) -> TaskError;
}

impl<E: Debug> DebugError for &ErrorProbe<E> {
    fn task_error(&self) -> TaskError {
        self.with(|error| TaskError::from_message(format!("{error:?}")))
    }
}

pub trait SilentError {
    fn task_error(&self) -> TaskError;
}

impl<E> SilentError for ErrorProbe<E> {
    fn task_error(&self) -> TaskError {
        let name = std::any::type_name::<E>();
        self.with(|_| TaskError::from_message(format!("an error of type `{name}`, which has no text")))
    }
}

/// `(&FailedProbe(&output)).failed()`: whether an output that is not *called* `Result` is an `Err` all the same.
pub struct FailedProbe<'r, O>(pub &'r O);

pub trait Fails {
    fn failed(&self) -> bool;
}

impl<T, E> Fails for FailedProbe<'_, Result<T, E>> {
    fn failed(&self) -> bool {
        self.0.is_err()
    }
}

pub trait FailsNot {
    fn failed(&self) -> bool;
}

impl<O> FailsNot for &FailedProbe<'_, O> {
    fn failed(&self) -> bool {
        false
    }
}

/// `(&NoneProbe(&output)).is_none()`: whether an output is the `None` of an `Option`, by any alias.
pub struct NoneProbe<'r, O>(pub &'r O);

pub trait Lacks {
    fn is_none(&self) -> bool;
}

impl<T> Lacks for NoneProbe<'_, Option<T>> {
    fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

pub trait LacksNot {
    fn is_none(&self) -> bool;
}

impl<O> LacksNot for &NoneProbe<'_, O> {
    fn is_none(&self) -> bool {
        false
    }
}

/// Whether an output of a type that is known only to its instance is an `Err`: the name says whether it can be one, and
/// serde whether it is.
pub fn is_err<O: Serialize>(output: &O) -> bool {
    type_name::<O>().starts_with("core::result::Result<") && codec::is_err(output)
}

/// Whether such an output is `None`.
pub fn is_none<O: Serialize>(output: &O) -> bool {
    type_name::<O>().starts_with("core::option::Option<") && codec::is_none(output)
}

#[cfg(test)]
mod test {
    use super::*;

    type Outcome = Result<u8, String>;
    type Perhaps = Option<u8>;

    /// Were the compiler to spell the two otherwise one day, this would tell.
    #[test]
    fn what_a_type_parameter_stands_for_is_seen() {
        assert!(is_err::<Outcome>(&Err("no".to_owned())));
        assert!(!is_err::<Outcome>(&Ok(1)));
        assert!(is_none::<Perhaps>(&None));
        assert!(!is_none::<Perhaps>(&Some(1)));
        assert!(!is_none(&Some(None::<u8>)));
        assert!(!is_none(&()));
        assert!(!is_err(&None::<u8>));
    }
}
