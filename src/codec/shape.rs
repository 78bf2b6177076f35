//! Questions about a value's shape, answered by walks that keep nothing of its content.

use serde::Serialize;

use super::sections::MIN_BYTES;
use crate::walk::{Group, Halt, Primitive, Step, Visit, walk};

/// What decides about a value's codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// It leaves out a field somewhere (`skip_serializing_if`): such a value decodes from a format without field names into
    /// something else, or not at all, depending on what follows.
    pub(super) skips_fields: bool,
    /// Somewhere in it is a list of numbers that is long enough to be a section.
    pub(super) has_numbers: bool,
}

/// Looks through `value`. The walk does next to nothing for most types, and the compiler removes much of it.
pub(super) fn look_at<T: Serialize + ?Sized>(value: &T) -> Look {
    struct Looking {
        look: Look,
        /// Bytes of numbers in the innermost list, if that is what the walk is in.
        list: Option<usize>,
    }
    impl Visit for Looking {
        type Frame = Option<usize>;
        const FOR_PEOPLE: bool = false;

        #[inline]
        fn primitive<P: Primitive>(&mut self, _: P) -> Step {
            self.list = self.list.map(|bytes| bytes + size_of::<P>());
            Ok(())
        }
        fn run<P: Primitive>(&mut self, values: &[P]) -> Step {
            self.look.has_numbers |= size_of_val(values) >= MIN_BYTES;
            Ok(())
        }
        fn text(&mut self, _: &str) -> Step {
            Ok(())
        }
        fn unit(&mut self, _: &'static str) -> Step {
            Ok(())
        }
        fn none(&mut self) -> Step {
            Ok(())
        }
        fn unit_variant(&mut self, _: &'static str, _: &'static str) -> Step {
            Ok(())
        }
        fn begin(&mut self, group: Group) -> Result<Option<usize>, Halt> {
            let list = matches!(group, Group::List | Group::Set).then_some(0);
            Ok(std::mem::replace(&mut self.list, list))
        }
        fn item(&mut self, _: &mut Option<usize>, _: Option<&'static str>) -> Step {
            Ok(())
        }
        fn skipped(&mut self, _: &'static str) -> Step {
            self.look.skips_fields = true;
            Err(Halt::Enough)
        }
        fn end(&mut self, _: Group, outer: Option<usize>) -> Step {
            let list = std::mem::replace(&mut self.list, outer);
            self.look.has_numbers |= list.is_some_and(|bytes| bytes >= MIN_BYTES);
            Ok(())
        }
    }
    let mut looking = Looking { look: Look::default(), list: None };
    // A value that refuses to be serialized is refused by the codec, with its words.
    let _ = walk(value, &mut looking);
    looking.look
}

/// Whether `value` is the `Err` of a `Result`, as serde spells it, whatever alias the program gives the type.
pub(crate) fn is_err<T: Serialize + ?Sized>(value: &T) -> bool {
    first(value) == Some(First::Err)
}

/// Whether `value` is `None`, as serde spells it.
pub(crate) fn is_none<T: Serialize + ?Sized>(value: &T) -> bool {
    first(value) == Some(First::None)
}

/// What a value says of itself first, as far as anyone asks.
#[derive(PartialEq, Eq)]
enum First {
    Err,
    None,
}

fn first<T: Serialize + ?Sized>(value: &T) -> Option<First> {
    struct Hearing(Option<First>);
    impl Visit for Hearing {
        type Frame = ();
        const FOR_PEOPLE: bool = false;

        fn primitive<P: Primitive>(&mut self, _: P) -> Step {
            Err(Halt::Enough)
        }
        fn text(&mut self, _: &str) -> Step {
            Err(Halt::Enough)
        }
        fn unit(&mut self, _: &'static str) -> Step {
            Err(Halt::Enough)
        }
        fn none(&mut self) -> Step {
            self.0 = Some(First::None);
            Err(Halt::Enough)
        }
        fn unit_variant(&mut self, _: &'static str, _: &'static str) -> Step {
            Err(Halt::Enough)
        }
        fn begin(&mut self, group: Group) -> Result<(), Halt> {
            self.0 = (group == Group::NewtypeVariant("Result", "Err")).then_some(First::Err);
            Err(Halt::Enough)
        }
        fn item(&mut self, (): &mut (), _: Option<&'static str>) -> Step {
            Err(Halt::Enough)
        }
        fn end(&mut self, _: Group, (): ()) -> Step {
            Err(Halt::Enough)
        }
    }
    let mut hearing = Hearing(None);
    // The walk always ends early; what it met first is the answer.
    let _ = walk(value, &mut hearing);
    hearing.0
}

/// A digest of how `value` is built: names of types, fields and variants, kinds of numbers; not their content.
///
/// bincode stores no names, so bytes written by one layout of a type can decode as another (two fields exchanged, a
/// variant inserted). The shape stands beside the bytes, and a value that comes back in another shape is a miss. A run
/// of numbers is one step, so an array costs nothing; other values cost about as much as their decoding.
pub(crate) fn shape_of<T: Serialize + ?Sized>(value: &T) -> u64 {
    let mut shape = Shape { state: 0, last_number: None };
    // A value that refuses to be serialized is refused elsewhere, with its words; it has no shape that is stored.
    let _ = walk(value, &mut shape);
    shape.state
}

struct Shape {
    state: u64,
    /// Within a list, the kind of the number before: the next of the same kind adds nothing.
    last_number: Option<u8>,
}

/// What is put back when a group ends.
struct Outer {
    last_number: Option<u8>,
    /// Within a map or a set: the state outside, and the sum of the entries so far, which come back in any order.
    unordered: Option<(u64, u64)>,
}

impl Shape {
    /// Multiply and rotate: this guards against mistakes, not against malice, and must be quick. The bytes on disk depend
    /// on it (docs/format.md).
    #[inline]
    fn mix(&mut self, word: u64) {
        self.state = (self.state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }

    #[inline]
    fn note(&mut self, kind: u8) {
        self.last_number = self.last_number.map(|_| LIST_START);
        self.mix(u64::from(kind) + 1);
    }

    #[inline]
    fn name(&mut self, name: &str) {
        let (words, rest) = name.as_bytes().as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last));
        self.mix(name.len() as u64);
    }

    #[inline]
    fn number(&mut self, kind: u8) {
        if self.last_number != Some(kind) {
            self.mix(u64::from(kind) + 1);
        }
        self.last_number = self.last_number.map(|_| kind);
    }
}

/// In a list, set by `begin`, this stands for "no number yet".
const LIST_START: u8 = 0;

impl Visit for Shape {
    type Frame = Outer;
    const FOR_PEOPLE: bool = false;

    #[inline]
    fn primitive<P: Primitive>(&mut self, _: P) -> Step {
        self.number(P::TAG);
        Ok(())
    }

    fn run<P: Primitive>(&mut self, values: &[P]) -> Step {
        if !values.is_empty() {
            self.number(P::TAG);
        }
        Ok(())
    }

    fn text(&mut self, _: &str) -> Step {
        self.note(b'"');
        Ok(())
    }

    fn unit(&mut self, name: &'static str) -> Step {
        self.note(b'0');
        self.name(name);
        Ok(())
    }

    fn none(&mut self) -> Step {
        self.note(b'N');
        Ok(())
    }

    fn unit_variant(&mut self, name: &'static str, variant: &'static str) -> Step {
        self.note(b'E');
        self.name(name);
        self.name(variant);
        Ok(())
    }

    fn begin(&mut self, group: Group) -> Result<Outer, Halt> {
        let last_number = self.last_number;
        match group {
            Group::Some => self.note(b'S'),
            Group::List => self.note(b'['),
            Group::Set | Group::Map => self.note(b'm'),
            Group::Tuple => self.note(b'('),
            Group::Newtype(name) => {
                self.note(b'w');
                self.name(name);
            }
            Group::TupleStruct(name) | Group::Struct(name) => {
                self.note(b's');
                self.name(name);
            }
            Group::NewtypeVariant(name, variant)
            | Group::TupleVariant(name, variant)
            | Group::StructVariant(name, variant) => {
                self.note(b'1');
                self.name(name);
                self.name(variant);
            }
        }
        self.last_number = (group == Group::List).then_some(LIST_START);
        let unordered = matches!(group, Group::Set | Group::Map).then_some((self.state, 0));
        Ok(Outer { last_number, unordered })
    }

    #[inline]
    fn item(&mut self, outer: &mut Outer, field: Option<&'static str>) -> Step {
        if outer.unordered.is_some() {
            self.state = 0;
        }
        if let Some(field) = field {
            self.name(field);
        }
        Ok(())
    }

    #[inline]
    fn item_end(&mut self, outer: &mut Outer) -> Step {
        if let Some((_, sum)) = &mut outer.unordered {
            *sum = sum.wrapping_add(self.state);
        }
        Ok(())
    }

    fn end(&mut self, _: Group, outer: Outer) -> Step {
        if let Some((state, sum)) = outer.unordered {
            self.state = state;
            self.mix(sum);
        }
        // The group was an element of its own: the next number of a list around it is noted again.
        self.last_number = outer.last_number;
        self.note(b')');
        Ok(())
    }
}
