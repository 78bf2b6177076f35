//! The only serde `Serializer` of the crate: tells a visitor what it hears.

use std::any::type_name;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::{Group, Halt, Step, Visit};
use crate::bulk::{Bulk, Number};
use crate::sys::cast::{as_slice, referent};

/// Walks `value`, telling `visitor`.
///
/// # Errors
/// What the visitor halted with, or the value's own refusal to be serialized.
pub(crate) fn walk<T: Serialize + ?Sized, V: Visit>(value: &T, visitor: &mut V) -> Step {
    #[cfg(feature = "ndarray")]
    if let Some(array) = crate::array::in_bulk(value) {
        return array.serialize(Walker::<V, crate::array::InBulk<'_>> { visitor, _type: PhantomData });
    }
    value.serialize(Walker::<V, T> { visitor, _type: PhantomData })
}

/// How the name of a serializer that tells a `V` begins, up to the type it serves.
pub(crate) fn serializer_name<V: Visit + 'static>() -> &'static str {
    let name = type_name::<Walker<'static, V, ()>>();
    name.strip_suffix("()>").unwrap_or(name)
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
        if self.visitor.passes_over(&mut self.frame) {
            return Ok(());
        }
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
    const UNORDERED: [&str; 4] = [
        "std::collections::hash::set::HashSet<",
        "alloc::collections::btree::set::BTreeSet<",
        "alloc::collections::binary_heap::BinaryHeap<",
        "hashbrown::set::HashSet<",
    ];
    // By the whole path: a set of another crate may keep an order that its users see.
    let name = bare_name::<I>();
    UNORDERED.iter().any(|unordered| name.starts_with(unordered))
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
    ($find:ident, $visitor:expr, $iter:expr, $($type:ty $(as $wide:ty)?),*) => {$(
        if let Some(values) = $find::<_, $type>(&$iter) {
            $(let values: &[$wide] = bytemuck::cast_slice(values);)?
            let frame = $visitor.begin(Group::List)?;
            $visitor.run(values)?;
            return $visitor.end(Group::List, frame);
        }
    )*};
}

/// The numbers of a `&Bulk`, which serializes as a list of them.
fn as_bulk<I, P: Number>(iter: &I) -> Option<&[P]> {
    referent::<I, Bulk<P>>(iter).map(|bulk| &**bulk)
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
        try_runs!(as_slice, self.visitor, iter, f64, f32, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128);
        try_runs!(as_bulk, self.visitor, iter, f64, f32, u8, u16, u32, u64, i8, i16, i32, i64);
        #[cfg(target_pointer_width = "64")]
        try_runs!(as_slice, self.visitor, iter, usize as u64, isize as i64);
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

/// serde has a trait for each kind of group; items without a name are the same in four of them, fields in two.
macro_rules! items {
    ($($trait:ident::$method:ident),*) => {$(
        impl<V: Visit> $trait for Open<'_, V> {
            type Ok = ();
            type Error = Halt;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Step {
                self.one(None, value)
            }
            fn end(self) -> Step {
                self.close()
            }
        }
    )*};
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl<V: Visit> $trait for Open<'_, V> {
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
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

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
