//! A deserializer around another one: what bytes may ask for is bounded, and sections are put in place.
//!
//! Bytes can lie. Every level of a recursive type takes one byte of bincode and some hundred bytes of stack, so depth is
//! limited; a list may claim 2^60 elements, so what is told of its length is limited by the bytes there are, and so is the
//! number of elements that take none. The other deserializer sees to it that nothing is read beyond the end.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::sections::{Next, Reader};

/// So many levels fit the stack of a thread (2 MiB) in an unoptimised build: the types of the tests need some 1.2 MiB.
pub(super) const MAX_DEPTH: u16 = 256;
/// So many elements of lists and maps may take no bytes; longer lists of nothing are for a codec that gives each a byte.
pub(super) const MAX_IDLE: u32 = 1 << 16;

/// What one decoding has used up.
pub(super) struct Watch<'s> {
    /// Nothing can have more elements than there are bytes, but for those that take none.
    bytes: usize,
    /// How often something was read.
    reads: Cell<u64>,
    idle: Cell<u32>,
    /// The format has bytes for a unit, and for the start of a tuple or a struct.
    marks_all: bool,
    /// Where lists of numbers may be, if the codec has such.
    sections: Option<&'s Reader<'s>>,
}

impl<'s> Watch<'s> {
    /// For bincode, perhaps with sections.
    pub(super) fn new(bytes: usize, sections: Option<&'s Reader<'s>>) -> Watch<'s> {
        Watch { bytes, reads: Cell::new(0), idle: Cell::new(0), marks_all: false, sections }
    }

    /// For a format whose every value takes a byte.
    pub(super) fn marking_all(bytes: usize) -> Watch<'s> {
        Watch { marks_all: true, ..Watch::new(bytes, None) }
    }

    #[inline]
    fn note_mark(&self) {
        if self.marks_all {
            self.note_read();
        }
    }

    #[inline]
    fn note_read(&self) {
        self.reads.set(self.reads.get() + 1);
    }

    /// Counts an element, if nothing was read since `before`.
    #[inline]
    fn element_since<E: Error>(&self, before: u64) -> Result<(), E> {
        if self.reads.get() == before {
            self.idle.set(self.idle.get() + 1);
            if self.idle.get() > MAX_IDLE {
                return Err(E::custom(format_args!("more than {MAX_IDLE} elements take no bytes")));
            }
        }
        Ok(())
    }
}

/// Decodes a `T` under watch: what is given to the codec's own deserializer.
pub(super) struct Watched<'s, S> {
    pub(super) seed: S,
    pub(super) watch: &'s Watch<'s>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Watched<'_, S> {
    type Value = S::Value;
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Guard { inner, place: Place { watch: self.watch, depth: 0 } })
    }
}

#[derive(Clone, Copy)]
struct Place<'s> {
    watch: &'s Watch<'s>,
    depth: u16,
}

impl<'s> Place<'s> {
    #[inline]
    fn below<E: Error>(self) -> Result<Place<'s>, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!("the value is nested more than {MAX_DEPTH} levels deep")));
        }
        Ok(Place { depth: self.depth + 1, ..self })
    }
}

struct Guard<'s, D> {
    inner: D,
    place: Place<'s>,
}

macro_rules! forward {
    ($($method:ident($($name:ident: $type:ty),*) $($reads:ident)?;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($name: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            $(self.place.watch.$reads();)?
            self.inner.$method($($name,)* Ear { visitor, place: self.place, counted: true })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guard<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() note_read;
        deserialize_bool() note_read;
        deserialize_i8() note_read;
        deserialize_i16() note_read;
        deserialize_i32() note_read;
        deserialize_i64() note_read;
        deserialize_i128() note_read;
        deserialize_u8() note_read;
        deserialize_u16() note_read;
        deserialize_u32() note_read;
        deserialize_u64() note_read;
        deserialize_u128() note_read;
        deserialize_f32() note_read;
        deserialize_f64() note_read;
        deserialize_char() note_read;
        deserialize_str() note_read;
        deserialize_string() note_read;
        deserialize_bytes() note_read;
        deserialize_byte_buf() note_read;
        deserialize_option() note_read;
        deserialize_unit() note_mark;
        deserialize_unit_struct(name: &'static str) note_mark;
        deserialize_newtype_struct(name: &'static str);
        deserialize_map() note_read;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) note_read;
        deserialize_identifier() note_read;
        deserialize_ignored_any() note_read;
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let Guard { inner, place } = self;
        place.watch.note_read();
        let ear = Ear { visitor, place, counted: true };
        match place.watch.sections {
            None => inner.deserialize_seq(ear),
            // The length is written as an element of its own, before the others.
            Some(sections) => inner.deserialize_tuple(usize::MAX, ListEar { ear, sections }),
        }
    }

    // The length of these three comes from the type.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.place.watch.note_mark();
        self.inner.deserialize_tuple(len, Ear { visitor, place: self.place, counted: false })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.place.watch.note_mark();
        self.inner.deserialize_tuple_struct(name, len, Ear { visitor, place: self.place, counted: false })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.place.watch.note_mark();
        self.inner.deserialize_struct(name, fields, Ear { visitor, place: self.place, counted: false })
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Hears what the inner deserializer says, and puts guards around all that leads further down.
struct Ear<'s, V> {
    visitor: V,
    place: Place<'s>,
    /// The number of elements comes from the bytes.
    counted: bool,
}

macro_rules! hear {
    ($($method:ident: $type:ty),*) => {$(
        #[inline]
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Ear<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    hear!(
        visit_bool: bool, visit_char: char, visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64,
        visit_u128: u128, visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_f32: f32, visit_f64: f64, visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>
    );

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Guard { inner, place: self.place.below()? })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Guard { inner, place: self.place.below()? })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Ear { visitor, place, counted } = self;
        visitor.visit_seq(Items { inner, place: place.below()?, left: usize::MAX, counted })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Ear { visitor, place, .. } = self;
        visitor.visit_map(Entries { inner, place: place.below()?, before: None })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Variant { inner, place: self.place.below()? })
    }
}

/// Hears a list of the sections codec: its first element says what follows.
struct ListEar<'s, V> {
    ear: Ear<'s, V>,
    sections: &'s Reader<'s>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ListEar<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ear.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut inner: A) -> Result<V::Value, A::Error> {
        let Ear { visitor, place, .. } = self.ear;
        let Some(start) = inner.next_element::<u64>()? else {
            return Err(Error::invalid_length(0, &visitor));
        };
        match self.sections.next(start) {
            Next::Section(section) => section.tell(visitor),
            Next::List(left) => visitor.visit_seq(Items { inner, place: place.below()?, left, counted: true }),
            Next::Neither => Err(Error::invalid_value(Unexpected::Unsigned(start), &visitor)),
        }
    }
}

struct Items<'s, A> {
    inner: A,
    place: Place<'s>,
    /// At most so many elements follow; the inner access may know of fewer.
    left: usize,
    counted: bool,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let watch = self.place.watch;
        let before = watch.reads.get();
        let element = self.inner.next_element_seed(Below { seed, place: self.place })?;
        if self.counted && element.is_some() {
            watch.element_since(before)?;
        }
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.inner.size_hint()?.min(self.left).min(self.place.watch.bytes))
    }
}

struct Entries<'s, A> {
    inner: A,
    place: Place<'s>,
    /// What was read when the last entry began.
    before: Option<u64>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Entries<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let watch = self.place.watch;
        if let Some(before) = self.before.replace(watch.reads.get()) {
            watch.element_since(before)?;
        }
        self.inner.next_key_seed(Below { seed, place: self.place })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Below { seed, place: self.place })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.inner.size_hint()?.min(self.place.watch.bytes))
    }
}

struct Variant<'s, A> {
    inner: A,
    place: Place<'s>,
}

impl<'de, 's, A: EnumAccess<'de>> EnumAccess<'de> for Variant<'s, A> {
    type Error = A::Error;
    type Variant = Variant<'s, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (name, inner) = self.inner.variant_seed(seed)?;
        Ok((name, Variant { inner, place: self.place }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Variant<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Below { seed, place: self.place })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Ear { visitor, place: self.place, counted: false })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Ear { visitor, place: self.place, counted: false })
    }
}

/// What is one level further down.
struct Below<'s, S> {
    seed: S,
    place: Place<'s>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Below<'_, S> {
    type Value = S::Value;
    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Guard { inner, place: self.place })
    }
}
