//! Walks any `Serialize` value and tells a visitor what it meets.
//!
//! serde's `Serializer` has some thirty methods; the toolkit looks at values in several ways (a canonical hash, a
//! short text, "is this an `Err`?", "does it skip fields?"). This file speaks serde once, and a [`Visit`] hears a
//! handful of events.
//!
//! Two distinctions that serde does not make are made here by the type's own name, since keys need them: an array
//! from a tuple (serde calls `serialize_tuple` for both), and a set from a list (`collect_seq` for both). A name that
//! cannot be read as either is a tuple or a list, which at worst tells apart what could be equal.

use std::any::type_name;
use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::sys::cast::as_slice;

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

/// A number, `bool` or `char`: what has a fixed width and no parts.
pub(crate) trait Primitive: Copy + Display + 'static {
    /// Its type's letter, in keys for ever (docs/key.md).
    const TAG: u8;
    /// Many side by side as the bytes they would be written as (NaNs apart), if memory holds them so.
    fn as_bytes(values: &[Self]) -> Option<&[u8]>;
    /// Its width in bytes as an array.
    type Bytes: AsRef<[u8]>;
    /// Its little-endian bytes, all NaNs made one.
    fn canonical(self) -> Self::Bytes;
    /// Whether its bytes are not yet canonical (a NaN).
    fn is_nan(self) -> bool {
        false
    }
}

macro_rules! primitive {
    ($($type:ty = $tag:literal),*) => {$(
        impl Primitive for $type {
            const TAG: u8 = $tag;
            fn as_bytes(values: &[Self]) -> Option<&[u8]> {
                cfg!(target_endian = "little").then(|| bytemuck::cast_slice(values))
            }
            type Bytes = [u8; size_of::<$type>()];
            #[inline]
            fn canonical(self) -> Self::Bytes {
                self.to_le_bytes()
            }
        }
    )*};
}

primitive!(
    u8 = b'B',
    u16 = b'H',
    u32 = b'I',
    u64 = b'L',
    u128 = b'O',
    i8 = b'b',
    i16 = b'h',
    i32 = b'i',
    i64 = b'l',
    i128 = b'o'
);

macro_rules! float {
    ($($type:ty = $tag:literal),*) => {$(
        impl Primitive for $type {
            const TAG: u8 = $tag;
            fn as_bytes(values: &[Self]) -> Option<&[u8]> {
                cfg!(target_endian = "little").then(|| bytemuck::cast_slice(values))
            }
            type Bytes = [u8; size_of::<$type>()];
            #[inline]
            fn canonical(self) -> Self::Bytes {
                // The quiet NaN is spelled out, since the bits of `NAN` are not promised by the language.
                const QUIET: u32 = <$type>::MANTISSA_DIGITS - 2;
                let nan = <$type>::INFINITY.to_bits() | (1 << QUIET);
                (if self.is_nan() { nan } else { self.to_bits() }).to_le_bytes()
            }
            #[inline]
            fn is_nan(self) -> bool {
                <$type>::is_nan(self)
            }
        }
    )*};
}

float!(f32 = b'f', f64 = b'd');

impl Primitive for bool {
    const TAG: u8 = b'?';
    fn as_bytes(_: &[bool]) -> Option<&[u8]> {
        None
    }
    type Bytes = [u8; 1];
    fn canonical(self) -> [u8; 1] {
        [u8::from(self)]
    }
}

impl Primitive for char {
    const TAG: u8 = b'c';
    fn as_bytes(_: &[char]) -> Option<&[u8]> {
        None
    }
    type Bytes = [u8; 4];
    fn canonical(self) -> [u8; 4] {
        u32::from(self).to_le_bytes()
    }
}

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

/// Walks `value`, telling `visitor`.
///
/// # Errors
/// What the visitor halted with, or the value's own refusal to be serialized.
pub(crate) fn walk<T: Serialize + ?Sized, V: Visit>(value: &T, visitor: &mut V) -> Step {
    value.serialize(Walker::<V, T> { visitor, _type: PhantomData })
}

struct Walker<'v, V, T: ?Sized> {
    visitor: &'v mut V,
    /// The type as the walk met it: serde's methods do not say whether they serve an array or a tuple.
    _type: PhantomData<fn(&T)>,
}

struct Open<'v, V: Visit> {
    visitor: &'v mut V,
    group: Group,
    frame: V::Frame,
}

impl<'v, V: Visit> Open<'v, V> {
    fn new(visitor: &'v mut V, group: Group) -> Result<Open<'v, V>, Halt> {
        let frame = visitor.begin(group)?;
        Ok(Open { visitor, group, frame })
    }

    #[inline]
    fn one<T: Serialize + ?Sized>(&mut self, field: Option<&'static str>, value: &T) -> Step {
        self.visitor.item(&mut self.frame, field)?;
        match walk(value, self.visitor) {
            Err(Halt::Enough) if self.visitor.goes_on(&self.frame) => {}
            end => end?,
        }
        self.visitor.item_end(&mut self.frame)
    }

    fn close(self) -> Step {
        self.visitor.end(self.group, self.frame)
    }
}

/// The type's name past the wrappers that serialize as what they hold.
fn bare_name<T: ?Sized>() -> &'static str {
    const WRAPPERS: [&str; 12] = [
        "&mut ",
        "&",
        "alloc::boxed::Box<",
        "alloc::rc::Rc<",
        "alloc::sync::Arc<",
        "alloc::borrow::Cow<",
        "core::cell::Cell<",
        "core::cell::RefCell<",
        "core::cmp::Reverse<",
        "core::num::wrapping::Wrapping<",
        "std::sync::poison::mutex::Mutex<",
        "std::sync::poison::rwlock::RwLock<",
    ];
    let mut name = type_name::<T>();
    while let Some(rest) = WRAPPERS.iter().find_map(|wrapper| name.strip_prefix(wrapper)) {
        name = rest;
    }
    name
}

fn is_array<T: ?Sized>() -> bool {
    bare_name::<T>().starts_with('[')
}

fn is_unordered<I>() -> bool {
    let name = bare_name::<I>();
    let path = name.split('<').next().unwrap_or(name);
    ["HashSet", "BTreeSet", "BinaryHeap"].iter().any(|set| path.ends_with(set))
}

macro_rules! primitives {
    ($($method:ident: $type:ty),*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Step {
            self.visitor.primitive(value)
        }
    )*};
}

macro_rules! try_runs {
    ($visitor:expr, $iter:expr, $($type:ty $(as $wide:ty)?),*) => {$(
        if let Some(values) = as_slice::<_, $type>(&$iter) {
            $(let values: &[$wide] = bytemuck::cast_slice(values);)?
            let frame = $visitor.begin(Group::List)?;
            $visitor.run(values)?;
            return $visitor.end(Group::List, frame);
        }
    )*};
}

impl<'v, V: Visit, T: ?Sized> Serializer for Walker<'v, V, T> {
    type Ok = ();
    type Error = Halt;
    type SerializeSeq = Open<'v, V>;
    type SerializeTuple = Open<'v, V>;
    type SerializeTupleStruct = Open<'v, V>;
    type SerializeTupleVariant = Open<'v, V>;
    type SerializeMap = Open<'v, V>;
    type SerializeStruct = Open<'v, V>;
    type SerializeStructVariant = Open<'v, V>;

    primitives!(
        serialize_bool: bool, serialize_char: char, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_f32: f32, serialize_f64: f64
    );

    fn serialize_str(self, value: &str) -> Step {
        self.visitor.text(value)
    }

    /// Bytes are a list of `u8`, however they are kept.
    fn serialize_bytes(self, value: &[u8]) -> Step {
        let frame = self.visitor.begin(Group::List)?;
        self.visitor.run(value)?;
        self.visitor.end(Group::List, frame)
    }

    fn serialize_none(self) -> Step {
        self.visitor.none()
    }

    fn serialize_some<U: Serialize + ?Sized>(self, value: &U) -> Step {
        let mut open = Open::new(self.visitor, Group::Some)?;
        open.one(None, value)?;
        open.close()
    }

    fn serialize_unit(self) -> Step {
        self.visitor.unit("")
    }

    fn serialize_unit_struct(self, name: &'static str) -> Step {
        self.visitor.unit(name)
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Step {
        self.visitor.unit_variant(name, variant)
    }

    fn serialize_newtype_struct<U: Serialize + ?Sized>(self, name: &'static str, value: &U) -> Step {
        let mut open = Open::new(self.visitor, Group::Newtype(name))?;
        open.one(None, value)?;
        open.close()
    }

    fn serialize_newtype_variant<U: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &U,
    ) -> Step {
        let mut open = Open::new(self.visitor, Group::NewtypeVariant(name, variant))?;
        open.one(None, value)?;
        open.close()
    }

    fn collect_seq<I>(self, iter: I) -> Step
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        try_runs!(self.visitor, iter, f64, f32, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);
        #[cfg(target_pointer_width = "64")]
        try_runs!(self.visitor, iter, usize as u64, isize as i64);
        let group = if is_unordered::<I>() { Group::Set } else { Group::List };
        let mut open = Open::new(self.visitor, group)?;
        for value in iter {
            open.one(None, &value)?;
        }
        open.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, Group::List)
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, if is_array::<T>() { Group::List } else { Group::Tuple })
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, Group::TupleStruct(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, Group::TupleVariant(name, variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, Group::Map)
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, Group::Struct(name))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Open<'v, V>, Halt> {
        Open::new(self.visitor, Group::StructVariant(name, variant))
    }

    fn collect_str<U: Display + ?Sized>(self, value: &U) -> Step {
        self.visitor.text(&value.to_string())
    }

    fn is_human_readable(&self) -> bool {
        V::FOR_PEOPLE
    }
}

impl<V: Visit> SerializeSeq for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Step {
        self.one(None, value)
    }
    fn end(self) -> Step {
        self.close()
    }
}

impl<V: Visit> SerializeTuple for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Step {
        self.one(None, value)
    }
    fn end(self) -> Step {
        self.close()
    }
}

impl<V: Visit> SerializeTupleStruct for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Step {
        self.one(None, value)
    }
    fn end(self) -> Step {
        self.close()
    }
}

impl<V: Visit> SerializeTupleVariant for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Step {
        self.one(None, value)
    }
    fn end(self) -> Step {
        self.close()
    }
}

impl<V: Visit> SerializeMap for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Step {
        self.visitor.item(&mut self.frame, None)?;
        walk(key, self.visitor)?;
        self.visitor.arrow()
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Step {
        walk(value, self.visitor)?;
        self.visitor.item_end(&mut self.frame)
    }
    fn end(self) -> Step {
        self.close()
    }
}

impl<V: Visit> SerializeStruct for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Step {
        self.one(Some(key), value)
    }
    fn skip_field(&mut self, key: &'static str) -> Step {
        self.visitor.skipped(key)
    }
    fn end(self) -> Step {
        self.close()
    }
}

impl<V: Visit> SerializeStructVariant for Open<'_, V> {
    type Ok = ();
    type Error = Halt;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Step {
        self.one(Some(key), value)
    }
    fn skip_field(&mut self, key: &'static str) -> Step {
        self.visitor.skipped(key)
    }
    fn end(self) -> Step {
        self.close()
    }
}

/// How the name of a serializer that tells a `V` begins, up to the type it serves.
pub(crate) fn serializer_name<V: Visit + 'static>() -> &'static str {
    let name = type_name::<Walker<'static, V, ()>>();
    name.strip_suffix("()>").unwrap_or(name)
}
