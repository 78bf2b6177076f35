//! The arguments of a call, as its road needs them: to be shown, and to make a key of.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::key::{self, Identity, Key, Layout, MadeOf};
use crate::task::{Function, WithKey};
use crate::walk::Halt;

/// Arguments that know what of them is in the key.
pub(super) trait Arguments: Serialize {
    /// Makes the key.
    ///
    /// # Errors
    /// What is in the key refuses to be serialized.
    fn key(&self, maker: MakeKey<'_>) -> Made;
}

/// Makes the key of one call.
pub struct MakeKey<'k> {
    pub(super) function: &'k Identity,
    pub(super) layout: Layout,
    pub(super) made_of: &'k mut MadeOf,
}

/// The key, or why there is none.
pub struct Made(pub(super) Result<Key, Halt>);

impl WithKey for MakeKey<'_> {
    type Out = Made;

    #[inline]
    fn arguments<A: Serialize + ?Sized>(self, args: &A) -> Made {
        Made(key::key(self.function, args, self.layout, self.made_of))
    }

    fn given<K: Serialize + ?Sized>(self, given: &K) -> Made {
        Made(key::given(self.function, given, self.made_of))
    }
}

/// Why a call has no key.
pub(super) enum Refused {
    /// No call of the function can have one.
    Function(&'static str),
    /// An argument cannot be serialized.
    Argument(Halt),
    /// What the function depends on cannot be read.
    Input(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Function(words) => f.write_str(words),
            Refused::Argument(halt) => halt.fmt(f),
            Refused::Input(words) => f.write_str(words),
        }
    }
}

impl Refused {
    /// What a function's user is told, and under which subject it is told once.
    pub(super) fn warning(&self, function: &str) -> (String, String) {
        let computed = "its calls are computed each time";
        match self {
            Refused::Function(words) => {
                (format!("key {function}"), format!("`{function}` has no key, so {computed}: {words}"))
            }
            Refused::Argument(halt) => (
                format!("key {function}"),
                format!(
                    "an argument of `{function}` cannot be serialized, so {computed}: {halt}; give its type a form that \
                     serde can write, or leave it out of the key with `ignore(..)`"
                ),
            ),
            Refused::Input(words) => {
                (format!("input {function} {words}"), format!("`{function}` has no key, so it is computed: {words}"))
            }
        }
    }
}

/// The arguments of a function with one of the attributes.
pub(super) struct ArgsOf<'a, T: Function>(pub(super) T::Args<'a>);

impl<T: Function> Serialize for ArgsOf<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<T: Function> Arguments for ArgsOf<'_, T> {
    #[inline]
    fn key(&self, maker: MakeKey<'_>) -> Made {
        T::with_key(&self.0, maker)
    }
}

/// As [`ArgsOf`], but only lent.
#[cfg(unix)]
pub(super) struct ArgsLent<'r, 'a, T: Function>(pub(super) &'r T::Args<'a>);

#[cfg(unix)]
impl<T: Function> Serialize for ArgsLent<'_, '_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(unix)]
impl<T: Function> Arguments for ArgsLent<'_, '_, T> {
    fn key(&self, maker: MakeKey<'_>) -> Made {
        T::with_key(self.0, maker)
    }
}

/// Arguments that are in the key as they are: the one of a closure, those of a method.
pub(super) struct Plain<A>(pub(super) A);

impl<A: Serialize> Serialize for Plain<A> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<A: Serialize> Arguments for Plain<A> {
    #[inline]
    fn key(&self, maker: MakeKey<'_>) -> Made {
        maker.arguments(&self.0)
    }
}

/// The arguments of a method, and what makes its key of them.
pub(super) struct Keyed<A, K> {
    pub(super) args: A,
    pub(super) key: K,
}

impl<A: Serialize, K> Serialize for Keyed<A, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.args.serialize(serializer)
    }
}

impl<A: Serialize, K: Fn(&A, MakeKey<'_>) -> Made> Arguments for Keyed<A, K> {
    fn key(&self, maker: MakeKey<'_>) -> Made {
        (self.key)(&self.args, maker)
    }
}
