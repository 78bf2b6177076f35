//! Values that hold vectors of numbers: the numbers in aligned sections, all else in bincode.
//!
//! bincode writes and reads a list of numbers one by one. Here a long one is a section of its own, so it is written and
//! read as a piece of memory, and may stay in the file. docs/format.md has the layout.
//!
//! The sections of a value are used up in the order in which its outline names them, each once: so bytes cannot make
//! a value larger than they are.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Error, IntoDeserializer, SeqAccess, Visitor};

use super::outline::Outlined;
use super::{CodecError, Part, compact};
use crate::bulk::sealed::Plain;
use crate::bulk::{Bulk, Number, for_each_number, is_bulk_visitor};
use crate::sys::cast::same;
use crate::sys::map::Mapped;

/// Lists of at least so many bytes of numbers are sections. Below, bincode is small and quick enough.
pub(super) const MIN_BYTES: usize = 512;
/// Sections begin at multiples of this, counted from the start of the value.
const ALIGNMENT: usize = 64;
/// Sections of at least so many bytes are not put together with others in one piece of memory.
const APART_BYTES: usize = 64 * 1024;
const ZEROS: &[u8] = &[0; ALIGNMENT];
/// Length of the outline, number of sections.
const HEADER_BYTES: usize = 16;
/// Tag and seven zeros, number of elements.
const ROW_BYTES: usize = 16;

/// How a list begins in the outline: that it is the next section.
pub(super) const IS_SECTION: u64 = 0;

/// How a list begins in the outline that has so many elements there.
pub(super) fn list_of(len: usize) -> u64 {
    len as u64 + 1
}

/// How a list goes on.
pub(super) enum Next<'s> {
    Section(Section<'s>),
    List(usize),
    /// The sections are used up, or the length is none.
    Neither,
}

/// The vectors of a value that is being encoded.
#[derive(Default)]
pub(super) struct Sections<'v> {
    rows: Vec<Row>,
    /// The sections and what is between them.
    parts: Vec<Part<'v>>,
    len: usize,
    has_bulk: bool,
    /// Numbers that live as long as the value: if they become a section, they need not be copied.
    lasting: Option<&'v [u8]>,
}

/// A bulk as its bytes.
struct Shared<P: Number>(Bulk<P>);

impl<P: Number> AsRef<[u8]> for Shared<P> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

struct Row {
    tag: u8,
    count: u64,
    /// Where in the parts.
    part: usize,
    range: Range<usize>,
}

impl<'v> Sections<'v> {
    /// Takes numbers that are shared, without a copy.
    pub(super) fn push_bulk<P: Number>(&mut self, numbers: &Bulk<P>) {
        self.has_bulk = true;
        if cfg!(target_endian = "big") {
            return self.push_numbers(numbers);
        }
        self.push(P::TAG, numbers.len(), Part::Shared(Arc::new(Shared(numbers.clone()))));
    }

    pub(super) fn push_numbers<P: Number>(&mut self, numbers: &[P]) {
        if cfg!(target_endian = "big") {
            let swapped: Vec<P> = numbers.iter().map(|number| number.swapped()).collect();
            return self.push(P::TAG, numbers.len(), Part::Owned(bytemuck::cast_slice(&swapped).to_vec()));
        }
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        match self.lasting {
            Some(lasting) if std::ptr::eq(lasting, bytes) => self.push(P::TAG, numbers.len(), Part::Borrowed(lasting)),
            _ => self.push(P::TAG, numbers.len(), Part::Owned(bytes.to_vec())),
        }
    }

    /// Takes numbers as they stand in files, and answers how many they are.
    pub(super) fn push_bytes(&mut self, tag: u8, bytes: Vec<u8>) -> u64 {
        let count = bytes.len() / width_of(tag).unwrap_or(1);
        self.push(tag, count, Part::Owned(bytes));
        count as u64
    }

    fn push(&mut self, tag: u8, count: usize, bytes: Part<'v>) {
        let gap = self.len.next_multiple_of(ALIGNMENT) - self.len;
        self.len += gap + bytes.len();
        let start = match self.parts.last_mut() {
            // Small ones stand together, so that an array of many short arrays is not as many pieces.
            Some(Part::Owned(last)) if last.len() < APART_BYTES && bytes.len() < APART_BYTES => {
                last.extend_from_slice(&ZEROS[..gap]);
                last.extend_from_slice(&bytes);
                last.len() - bytes.len()
            }
            _ => {
                if gap > 0 {
                    self.parts.push(Part::Borrowed(&ZEROS[..gap]));
                }
                self.parts.push(bytes);
                0
            }
        };
        let part = self.parts.len() - 1;
        let end = self.parts[part].len();
        self.rows.push(Row { tag, count: count as u64, part, range: start..end });
    }

    /// The parts of a value with this outline.
    fn behind(self, outline: &[u8]) -> Split<'v> {
        let head = self.head(outline);
        Split { parts: std::iter::once(Part::Owned(head)).chain(self.parts).collect(), has_bulk: self.has_bulk }
    }

    fn head(&self, outline: &[u8]) -> Vec<u8> {
        let table = HEADER_BYTES + self.rows.len() * ROW_BYTES;
        let len = (table + outline.len()).next_multiple_of(ALIGNMENT);
        let mut head = Vec::with_capacity(len);
        head.extend_from_slice(&(outline.len() as u64).to_le_bytes());
        head.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
        for row in &self.rows {
            head.extend_from_slice(&u64::from(row.tag).to_le_bytes());
            head.extend_from_slice(&row.count.to_le_bytes());
        }
        head.extend_from_slice(outline);
        head.resize(len, 0);
        head
    }
}

/// A value in parts.
pub(super) struct Split<'v> {
    pub(super) parts: Vec<Part<'v>>,
    /// A section is a [`Bulk`].
    pub(super) has_bulk: bool,
}

/// Encodes `value`, and decodes it again for `check`; or `None` if nothing in it is long enough for a section.
///
/// # Errors
/// The value refuses to be serialized, does not come back, or does not pass the check.
pub(super) fn encode<'v, T: Serialize + DeserializeOwned>(
    value: &'v T,
    lasting: Option<&'v [u8]>,
    check: impl FnOnce(T) -> Result<(), CodecError>,
) -> Result<Option<Split<'v>>, CodecError> {
    let (outline, sections) = outlined(value, lasting)?;
    if sections.rows.is_empty() {
        return Ok(None);
    }
    let whole = |row: &Row| Section { tag: row.tag, bytes: &sections.parts[row.part][row.range.clone()], mapped: None };
    check(decode_outline(&outline, sections.rows.iter().map(whole).collect())?)?;
    Ok(Some(sections.behind(&outline)))
}

/// As [`encode`], for who finds out elsewhere whether the value comes back.
///
/// # Errors
/// The value refuses to be serialized.
pub(super) fn encode_unproved<'v, T: Serialize>(
    value: &'v T,
    lasting: Option<&'v [u8]>,
) -> Result<Option<Split<'v>>, CodecError> {
    let (outline, sections) = outlined(value, lasting)?;
    Ok((!sections.rows.is_empty()).then(|| sections.behind(&outline)))
}

fn outlined<'v, T: Serialize>(value: &'v T, lasting: Option<&'v [u8]>) -> Result<(Vec<u8>, Sections<'v>), CodecError> {
    let sections = RefCell::new(Sections { lasting, ..Sections::default() });
    let outline = compact::encode(&Outlined { value, sections: &sections })?;
    Ok((outline, sections.into_inner()))
}

/// Decodes what [`encode`] made, which `mapped` is the file of, if it is one.
///
/// # Errors
/// The bytes are not a whole value of this type.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], mapped: Option<&Mapped>) -> Result<T, CodecError> {
    let (outline, sections) =
        split(bytes, mapped).ok_or_else(|| CodecError::new("the table of sections is damaged"))?;
    decode_outline(outline, sections)
}

/// The outline and the sections, if the table is true to what is there.
fn split<'s>(bytes: &'s [u8], mapped: Option<&'s Mapped>) -> Option<(&'s [u8], Vec<Section<'s>>)> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?));
    let length = |at: usize| usize::try_from(number(at)?).ok();
    let (outline_len, count) = (length(0)?, length(8)?);
    let table_end = count.checked_mul(ROW_BYTES)?.checked_add(HEADER_BYTES)?;
    let outline_end = table_end.checked_add(outline_len)?;
    let outline = bytes.get(table_end..outline_end)?;
    let mut end = outline_end;
    // The table is within the bytes, so this is no more than they are.
    let mut sections = Vec::with_capacity(count);
    for row in (HEADER_BYTES..table_end).step_by(ROW_BYTES) {
        let tag = u8::try_from(number(row)?).ok()?;
        let start = end.checked_next_multiple_of(ALIGNMENT)?;
        end = length(row + 8)?.checked_mul(width_of(tag)?)?.checked_add(start)?;
        let mapped = mapped.map(|mapped| (mapped, start..end));
        sections.push(Section { tag, bytes: bytes.get(start..end)?, mapped });
    }
    (end == bytes.len()).then_some((outline, sections))
}

fn decode_outline<T: DeserializeOwned>(outline: &[u8], sections: Vec<Section<'_>>) -> Result<T, CodecError> {
    let reader = Reader { sections, used: Cell::new(0) };
    let value = compact::decode_under(outline, Some(&reader))?;
    if reader.used.get() != reader.sections.len() {
        return Err(CodecError::new("a section is left over"));
    }
    Ok(value)
}

/// The sections of a value that is being decoded.
pub(super) struct Reader<'s> {
    sections: Vec<Section<'s>>,
    used: Cell<usize>,
}

impl<'s> Reader<'s> {
    /// What the first word of a list says.
    pub(super) fn next(&self, start: u64) -> Next<'s> {
        if start != IS_SECTION {
            return usize::try_from(start - 1).map_or(Next::Neither, Next::List);
        }
        let used = self.used.get();
        self.used.set(used + 1);
        self.sections.get(used).map_or(Next::Neither, |section| Next::Section(section.clone()))
    }
}

/// Numbers as they stand in files.
#[derive(Clone)]
pub(super) struct Section<'s> {
    tag: u8,
    bytes: &'s [u8],
    mapped: Option<(&'s Mapped, Range<usize>)>,
}

impl Section<'_> {
    /// Tells the numbers to a visitor that wants a list.
    pub(super) fn tell<'de, V: Visitor<'de>, E: Error>(self, visitor: V) -> Result<V::Value, E> {
        macro_rules! tell {
            ($type:ty) => {
                if self.tag == <$type>::TAG {
                    if is_bulk_visitor::<V, $type>() {
                        return same(self.bulk::<$type>()).ok_or_else(|| E::custom("not a bulk"));
                    }
                    if is_serde_vec::<V>() && typeid::of::<V::Value>() == typeid::of::<Vec<$type>>() {
                        return same(vec_of::<$type>(self.bytes)).ok_or_else(|| E::custom("not a vector"));
                    }
                    let numbers = self.bytes.chunks_exact(size_of::<$type>());
                    return visitor.visit_seq(Numbers::<$type, E> { numbers, _type: PhantomData });
                }
            };
        }
        for_each_number!(tell);
        Err(E::custom("a section of no known numbers"))
    }

    fn bulk<P: Number>(&self) -> Bulk<P> {
        let mapped = self.mapped.clone().and_then(|(mapped, range)| mapped.part(range)).and_then(Bulk::from_mapped);
        mapped.unwrap_or_else(|| vec_of(self.bytes).into())
    }
}

/// Whether `V` is serde's own visitor for a `Vec`, which would take the numbers one by one and do nothing else to them.
///
/// Told by name, since the type is private: were it to change, vectors would be filled one by one; a test watches.
fn is_serde_vec<V>() -> bool {
    let name = type_name::<V>();
    name.starts_with("serde") && name.contains("::de::impls::") && name.contains("::VecVisitor<")
}

/// The numbers of little-endian bytes.
pub(super) fn vec_of<P: Number>(bytes: &[u8]) -> Vec<P> {
    let mut numbers = bytemuck::allocation::pod_collect_to_vec::<u8, P>(bytes);
    if cfg!(target_endian = "big") {
        numbers.iter_mut().for_each(|number| *number = number.swapped());
    }
    numbers
}

fn width_of(tag: u8) -> Option<usize> {
    macro_rules! width {
        ($type:ty) => {
            if tag == <$type>::TAG {
                return Some(size_of::<$type>());
            }
        };
    }
    for_each_number!(width);
    None
}

/// Numbers one by one, for visitors that know no better.
struct Numbers<'s, P, E> {
    numbers: std::slice::ChunksExact<'s, u8>,
    _type: PhantomData<fn() -> (P, E)>,
}

impl<'de, P: Plain + IntoDeserializer<'de, E>, E: Error> SeqAccess<'de> for Numbers<'_, P, E> {
    type Error = E;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, E> {
        match self.numbers.next() {
            Some(bytes) => seed.deserialize(P::from_file_bytes(bytes).into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.numbers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

    /// Answers a list with an error that says whether its visitor is known.
    struct Ask;

    impl<'de> Deserializer<'de> for Ask {
        type Error = serde::de::value::Error;
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Error::custom(is_serde_vec::<V>()))
        }
        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
        }
    }

    #[test]
    fn the_visitor_of_a_vector_is_known_by_its_name() {
        assert_eq!(Vec::<f64>::deserialize(Ask).unwrap_err().to_string(), "true");
        assert_eq!(std::collections::VecDeque::<f64>::deserialize(Ask).unwrap_err().to_string(), "false");
        assert_eq!(Bulk::<f64>::deserialize(Ask).unwrap_err().to_string(), "false");
    }
}
