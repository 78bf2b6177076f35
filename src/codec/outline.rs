//! A serializer around another one that takes the vectors of numbers out of a value, and leaves the rest: its outline.

use std::cell::RefCell;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::sections::{IS_SECTION, MIN_BYTES, Sections, list_of};
use crate::bulk::sealed::Plain;
use crate::bulk::{Bulk, Number, for_each_number};
use crate::sys::cast::{as_slice, referent, same_ref};

/// A value as its outline, without the vectors that go into `sections`.
pub(super) struct Outlined<'s, 'v, T: ?Sized> {
    pub(super) value: &'s T,
    pub(super) sections: &'s RefCell<Sections<'v>>,
}

impl<T: Serialize + ?Sized> Serialize for Outlined<'_, '_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        #[cfg(feature = "ndarray")]
        if let Some(array) = crate::array::in_bulk(self.value) {
            return array.serialize(Outliner { inner, sections: self.sections });
        }
        self.value.serialize(Outliner { inner, sections: self.sections })
    }
}

struct Outliner<'s, 'v, S> {
    inner: S,
    sections: &'s RefCell<Sections<'v>>,
}

/// A group whose parts are outlined.
struct Parts<'s, 'v, S> {
    inner: S,
    sections: &'s RefCell<Sections<'v>>,
}

/// A list, before and after it is known whether its elements are numbers.
struct List<'s, 'v, S> {
    inner: S,
    sections: &'s RefCell<Sections<'v>>,
    len: usize,
    kind: Kind,
}

enum Kind {
    /// No element yet.
    Open,
    Plain,
    /// So far all are numbers of one type, which a section takes if that stays so.
    Numbers {
        tag: u8,
        bytes: Vec<u8>,
    },
}

/// A number as its tag and its little-endian bytes.
struct Bytes {
    tag: u8,
    width: usize,
    bytes: [u8; 8],
}

impl Bytes {
    #[inline(always)]
    fn of<P: Plain>(number: P) -> Bytes {
        let mut bytes = [0; 8];
        bytes[..size_of::<P>()].copy_from_slice(bytemuck::bytes_of(&number.swapped()));
        Bytes { tag: P::TAG, width: size_of::<P>(), bytes }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.width]
    }
}

/// The number that `value` is or refers to. Which it is, the compiler knows for each `T`.
#[inline(always)]
fn as_number<T: ?Sized>(value: &T) -> Option<Bytes> {
    macro_rules! try_number {
        ($type:ty) => {
            if let Some(number) = same_ref::<T, $type>(value) {
                return Some(Bytes::of(*number));
            }
        };
    }
    for_each_number!(try_number);
    // An iterator over a deque or the like has references, and serde's method is given a reference to these.
    macro_rules! try_reference {
        ($type:ty) => {
            if let Some(number) = referent::<T, $type>(value) {
                return Some(Bytes::of(*number));
            }
        };
    }
    for_each_number!(try_reference);
    None
}

impl<'s, 'v, S: Serializer> Outliner<'s, 'v, S> {
    fn parts<P>(self, open: impl FnOnce(S) -> Result<P, S::Error>) -> Result<Parts<'s, 'v, P>, S::Error> {
        Ok(Parts { inner: open(self.inner)?, sections: self.sections })
    }

    /// Writes that a section follows, and makes it.
    fn section<P: Number>(self, numbers: &[P]) -> Result<S::Ok, S::Error> {
        self.sections.borrow_mut().push_numbers(numbers);
        self.says_section()
    }

    fn says_section(self) -> Result<S::Ok, S::Error> {
        let mut list = self.inner.serialize_tuple(1)?;
        list.serialize_element(&IS_SECTION)?;
        list.end()
    }
}

macro_rules! forward {
    ($($method:ident: $type:ty),*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        }
    )*};
}

impl<'s, 'v, S: Serializer> Serializer for Outliner<'s, 'v, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = List<'s, 'v, S::SerializeTuple>;
    type SerializeTuple = Parts<'s, 'v, S::SerializeTuple>;
    type SerializeTupleStruct = Parts<'s, 'v, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Parts<'s, 'v, S::SerializeTupleVariant>;
    type SerializeMap = Parts<'s, 'v, S::SerializeMap>;
    type SerializeStruct = Parts<'s, 'v, S::SerializeStruct>;
    type SerializeStructVariant = Parts<'s, 'v, S::SerializeStructVariant>;

    forward!(
        serialize_bool: bool, serialize_char: char, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_u128: u128, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_f32: f32, serialize_f64: f64, serialize_str: &str,
        serialize_bytes: &[u8], serialize_unit_struct: &'static str
    );

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&Outlined { value, sections: self.sections })
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &Outlined { value, sections: self.sections })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Outlined { value, sections: self.sections };
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    fn collect_seq<I>(self, iter: I) -> Result<S::Ok, S::Error>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        macro_rules! try_slice {
            ($type:ty) => {
                if let Some(bulk) = referent::<I, Bulk<$type>>(&iter) {
                    if size_of_val::<[$type]>(bulk) >= MIN_BYTES {
                        self.sections.borrow_mut().push_bulk(bulk);
                        return self.says_section();
                    }
                }
                if let Some(numbers) = as_slice::<I, $type>(&iter) {
                    if size_of_val(numbers) >= MIN_BYTES {
                        return self.section(numbers);
                    }
                }
            };
        }
        for_each_number!(try_slice);
        #[cfg(target_pointer_width = "64")]
        {
            if let Some(numbers) = as_slice::<I, usize>(&iter).filter(|numbers| size_of_val(*numbers) >= MIN_BYTES) {
                return self.section::<u64>(bytemuck::cast_slice(numbers));
            }
            if let Some(numbers) = as_slice::<I, isize>(&iter).filter(|numbers| size_of_val(*numbers) >= MIN_BYTES) {
                return self.section::<i64>(bytemuck::cast_slice(numbers));
            }
        }
        let mut iter = iter.into_iter();
        let len = match iter.size_hint() {
            (least, Some(most)) if least == most => Some(most),
            _ => None,
        };
        let mut list = self.serialize_seq(len)?;
        iter.try_for_each(|element| list.serialize_element(&element))?;
        SerializeSeq::end(list)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        let len = len.ok_or_else(|| serde::ser::Error::custom("a list does not say how long it is"))?;
        let inner = self.inner.serialize_tuple(len.saturating_add(1))?;
        Ok(List { inner, sections: self.sections, len, kind: Kind::Open })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.parts(|inner| inner.serialize_tuple(len))
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.parts(|inner| inner.serialize_tuple_struct(name, len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.parts(|inner| inner.serialize_tuple_variant(name, index, variant, len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.parts(|inner| inner.serialize_map(len))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.parts(|inner| inner.serialize_struct(name, len))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.parts(|inner| inner.serialize_struct_variant(name, index, variant, len))
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'v, S: SerializeTuple> List<'_, 'v, S> {
    fn plain<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_element(&Outlined { value, sections: self.sections })
    }

    /// The first element says what the list is.
    fn open(&mut self, number: Option<Bytes>) -> Result<(), S::Error> {
        match number {
            Some(number) if self.len.saturating_mul(number.width) >= MIN_BYTES => {
                // A list that lies about its length is not believed at once.
                let bytes = Vec::with_capacity((self.len * number.width).min(1 << 20));
                self.kind = Kind::Numbers { tag: number.tag, bytes };
                Ok(())
            }
            _ => {
                self.kind = Kind::Plain;
                self.inner.serialize_element(&list_of(self.len))
            }
        }
    }

    /// What was taken for a section is none: it goes out number by number.
    #[cold]
    fn give_up(&mut self) -> Result<(), S::Error> {
        let Kind::Numbers { tag, bytes } = std::mem::replace(&mut self.kind, Kind::Plain) else { return Ok(()) };
        self.inner.serialize_element(&list_of(self.len))?;
        macro_rules! write_out {
            ($type:ty) => {
                if tag == <$type>::TAG {
                    for number in bytes.chunks_exact(size_of::<$type>()) {
                        self.inner.serialize_element(&<$type>::from_file_bytes(number))?;
                    }
                }
            };
        }
        for_each_number!(write_out);
        Ok(())
    }
}

impl<S: SerializeTuple> SerializeSeq for List<'_, '_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let number = as_number(value);
        if let (Kind::Numbers { tag, bytes }, Some(number)) = (&mut self.kind, &number)
            && *tag == number.tag
        {
            bytes.extend_from_slice(number.as_slice());
            return Ok(());
        }
        match (&self.kind, number) {
            (Kind::Plain, _) => self.plain(value),
            (Kind::Open, number) => {
                self.open(number)?;
                self.serialize_element(value)
            }
            (Kind::Numbers { .. }, _) => {
                self.give_up()?;
                self.plain(value)
            }
        }
    }

    fn end(mut self) -> Result<S::Ok, S::Error> {
        match std::mem::replace(&mut self.kind, Kind::Plain) {
            Kind::Open => self.inner.serialize_element(&list_of(self.len))?,
            Kind::Plain => {}
            Kind::Numbers { tag, bytes } => {
                let count = self.sections.borrow_mut().push_bytes(tag, bytes);
                if count != self.len as u64 {
                    return Err(serde::ser::Error::custom("a list is not as long as it said"));
                }
                self.inner.serialize_element(&IS_SECTION)?;
            }
        }
        self.inner.end()
    }
}

/// serde has a trait for each kind of group; parts without a name are the same in three of them, fields in two.
macro_rules! unnamed {
    ($($trait:ident::$method:ident),*) => {$(
        impl<S: $trait> $trait for Parts<'_, '_, S> {
            type Ok = S::Ok;
            type Error = S::Error;
            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                self.inner.$method(&Outlined { value, sections: self.sections })
            }
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

unnamed!(
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl<S: $trait> $trait for Parts<'_, '_, S> {
            type Ok = S::Ok;
            type Error = S::Error;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), S::Error> {
                self.inner.serialize_field(key, &Outlined { value, sections: self.sections })
            }
            fn skip_field(&mut self, key: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(key)
            }
            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl<S: SerializeMap> SerializeMap for Parts<'_, '_, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_key(&Outlined { value, sections: self.sections })
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        self.inner.serialize_value(&Outlined { value, sections: self.sections })
    }
    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
