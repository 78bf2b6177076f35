//! Questions about a value's shape, answered by a walk that keeps nothing.

use serde::Serialize;

use crate::walk::{Group, Halt, Primitive, Step, Visit, walk};

/// Whether `value` leaves out a field somewhere (`skip_serializing_if`).
///
/// Such a value decodes from a format without field names into something else, or not at all, depending on what
/// follows. The walk does nothing for most types, and the compiler mostly removes it.
pub(super) fn skips_fields<T: Serialize + ?Sized>(value: &T) -> bool {
    struct Skips(bool);
    impl Visit for Skips {
        type Frame = ();
        const FOR_PEOPLE: bool = false;

        fn primitive<P: Primitive>(&mut self, _: P) -> Step {
            Ok(())
        }
        fn run<P: Primitive>(&mut self, _: &[P]) -> Step {
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
        fn begin(&mut self, _: Group) -> Result<(), Halt> {
            Ok(())
        }
        fn item(&mut self, (): &mut (), _: Option<&'static str>) -> Step {
            Ok(())
        }
        fn skipped(&mut self, _: &'static str) -> Step {
            self.0 = true;
            Err(Halt::Enough)
        }
        fn end(&mut self, _: Group, (): ()) -> Step {
            Ok(())
        }
    }
    let mut skips = Skips(false);
    // A value that refuses to be serialized is refused by the codec, with its words.
    let _ = walk(value, &mut skips);
    skips.0
}

/// Whether `value` is the `Err` of a `Result`, as serde spells it, whatever alias the program gives the type.
///
/// Only the first thing the value says of itself is heard.
pub(crate) fn is_err<T: Serialize + ?Sized>(value: &T) -> bool {
    struct First(bool);
    impl Visit for First {
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
            Err(Halt::Enough)
        }
        fn unit_variant(&mut self, _: &'static str, _: &'static str) -> Step {
            Err(Halt::Enough)
        }
        fn begin(&mut self, group: Group) -> Result<(), Halt> {
            self.0 = group == Group::NewtypeVariant("Result", "Err");
            Err(Halt::Enough)
        }
        fn item(&mut self, (): &mut (), _: Option<&'static str>) -> Step {
            Err(Halt::Enough)
        }
        fn end(&mut self, _: Group, (): ()) -> Step {
            Err(Halt::Enough)
        }
    }
    let mut first = First(false);
    // The walk always ends early; what it met first is the answer.
    let _ = walk(value, &mut first);
    first.0
}

/// How many events a shape is made of at most: a look at any value costs about a microsecond.
const SHAPE_EVENTS: u32 = 256;
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// A digest of how the first parts of `value` are built: names of types, fields and variants, kinds of numbers; not
/// their content.
///
/// bincode stores no names, so bytes written by one layout of a type can decode as another (two fields exchanged, a
/// variant inserted). The shape stands beside the bytes, and a value that comes back in another shape is a miss.
pub(crate) fn shape_of<T: Serialize + ?Sized>(value: &T) -> u64 {
    struct Shape {
        left: u32,
        // FNV-1a: this guards against mistakes, not against malice, and most shapes are a few bytes.
        state: u64,
        /// Within this many maps or sets: their entries come back in any order, so nothing is noted of them.
        muted: u32,
    }
    impl Shape {
        fn note(&mut self, kind: u8, name: &str, second: &str) -> Step {
            self.left = self.left.checked_sub(1).ok_or(Halt::Enough)?;
            if self.muted == 0 {
                let bytes = [kind].into_iter().chain(name.bytes()).chain([0]).chain(second.bytes()).chain([0]);
                self.state = bytes.fold(self.state, |state, byte| (state ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
            }
            Ok(())
        }
    }
    impl Visit for Shape {
        type Frame = ();
        const FOR_PEOPLE: bool = false;

        fn primitive<P: Primitive>(&mut self, _: P) -> Step {
            self.note(P::TAG, "", "")
        }
        fn text(&mut self, _: &str) -> Step {
            self.note(b'"', "", "")
        }
        fn unit(&mut self, name: &'static str) -> Step {
            self.note(b'0', name, "")
        }
        fn none(&mut self) -> Step {
            self.note(b'N', "", "")
        }
        fn unit_variant(&mut self, name: &'static str, variant: &'static str) -> Step {
            self.note(b'E', name, variant)
        }
        fn begin(&mut self, group: Group) -> Result<(), Halt> {
            match group {
                Group::Some => self.note(b'S', "", ""),
                Group::Newtype(name) => self.note(b'w', name, ""),
                Group::List => self.note(b'[', "", ""),
                Group::Set | Group::Map => {
                    let noted = self.note(b'm', "", "");
                    self.muted += 1;
                    noted
                }
                Group::Tuple => self.note(b'(', "", ""),
                Group::TupleStruct(name) => self.note(b't', name, ""),
                Group::Struct(name) => self.note(b's', name, ""),
                Group::NewtypeVariant(name, variant) => self.note(b'1', name, variant),
                Group::TupleVariant(name, variant) => self.note(b'2', name, variant),
                Group::StructVariant(name, variant) => self.note(b'3', name, variant),
            }
        }
        fn item(&mut self, (): &mut (), field: Option<&'static str>) -> Step {
            field.map_or(Ok(()), |field| self.note(b'.', field, ""))
        }
        fn end(&mut self, group: Group, (): ()) -> Step {
            if matches!(group, Group::Set | Group::Map) {
                self.muted -= 1;
            }
            self.note(b')', "", "")
        }
    }
    let mut shape = Shape { left: SHAPE_EVENTS, state: FNV_BASIS, muted: 0 };
    // Ended early or not, the state is the answer; a value that refuses is refused elsewhere, with its words.
    let _ = walk(value, &mut shape);
    shape.state
}
