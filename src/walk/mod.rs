//! Walks any `Serialize` value and tells a visitor what it meets.
//!
//! serde's `Serializer` has some thirty methods; the toolkit looks at values in several ways (a canonical hash, a
//! short text, "is this an `Err`?", "does it skip fields?"). This file speaks serde once, and a [`Visit`] hears a
//! handful of events.
//!
//! Two distinctions that serde does not make are made here by the type's own name, since keys need them: an array
//! from a tuple (serde calls `serialize_tuple` for both), and a set from a list (`collect_seq` for both). A name that
//! cannot be read as either is a tuple or a list, which at worst tells apart what could be equal.

mod primitive;
mod serializer;

use std::fmt::{self, Display};

use serde::ser;

pub(crate) use primitive::Primitive;
pub(crate) use serializer::{serializer_name, walk};

/// Why a walk ended early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The visitor has seen enough.
    Enough,
    /// The value refused to be serialized, with its words.
    Refused(String),
}

impl Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Halt::Enough => f.write_str("stopped by the visitor"),
            Halt::Refused(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Halt {}

impl ser::Error for Halt {
    fn custom<T: Display>(message: T) -> Halt {
        Halt::Refused(message.to_string())
    }
}

pub(crate) type Step = Result<(), Halt>;

/// What holds other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Some,
    Newtype(&'static str),
    /// A list: `Vec`, slice, array, deque.
    List,
    /// A collection whose order means nothing.
    Set,
    Map,
    Tuple,
    TupleStruct(&'static str),
    Struct(&'static str),
    NewtypeVariant(&'static str, &'static str),
    TupleVariant(&'static str, &'static str),
    StructVariant(&'static str, &'static str),
}

/// What a walk tells.
pub(crate) trait Visit {
    /// What the visitor keeps between the start and the end of a group.
    type Frame;
    /// Whether types should show their form for people (a date as text) or for machines.
    const FOR_PEOPLE: bool;

    fn primitive<P: Primitive>(&mut self, value: P) -> Step;
    /// Many primitives of a list, side by side in memory.
    fn run<P: Primitive>(&mut self, values: &[P]) -> Step {
        values.iter().try_for_each(|value| self.primitive(*value))
    }
    fn text(&mut self, value: &str) -> Step;
    /// `()`, a unit struct.
    fn unit(&mut self, name: &'static str) -> Step;
    fn none(&mut self) -> Step;
    fn unit_variant(&mut self, name: &'static str, variant: &'static str) -> Step;

    fn begin(&mut self, group: Group) -> Result<Self::Frame, Halt>;
    /// Before each element, field value or map entry; `field` is a struct field's name.
    fn item(&mut self, frame: &mut Self::Frame, field: Option<&'static str>) -> Step;
    /// Between the key and the value of a map entry.
    fn arrow(&mut self) -> Step {
        Ok(())
    }
    fn item_end(&mut self, _frame: &mut Self::Frame) -> Step {
        Ok(())
    }
    /// Whether the next item is not looked at.
    #[inline]
    fn passes_over(&mut self, _frame: &mut Self::Frame) -> bool {
        false
    }
    /// Whether an item that was stopped with [`Halt::Enough`] is followed by the next one.
    #[inline]
    fn goes_on(&self, _frame: &Self::Frame) -> bool {
        false
    }
    /// A field that the value leaves out this time (`skip_serializing_if`).
    fn skipped(&mut self, _field: &'static str) -> Step {
        Ok(())
    }
    fn end(&mut self, group: Group, frame: Self::Frame) -> Step;
}
