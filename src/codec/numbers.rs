//! Vectors of numbers as the bytes they are: written without a copy, read into place or left in their file.
//!
//! Written on little-endian machines only, where memory holds numbers as the format does; others use the other codecs,
//! and decode what these wrote number by number.

use bytemuck::allocation::cast_vec;

use super::sections::vec_of;
use super::{Large, Words};
use crate::bulk::{Bulk, Number, for_each_number};
use crate::sys::cast::{Lifeless, same, same_ref};

/// The bytes of a vector, and whether it is to be mapped when it is loaded.
pub(super) struct AsBytes<'v> {
    pub(super) bytes: &'v [u8],
    pub(super) is_bulk: bool,
}

/// The bytes of `value`, if it is a vector of numbers and memory holds them as the format does.
pub(super) fn as_bytes<T>(value: &T) -> Option<AsBytes<'_>> {
    if cfg!(target_endian = "big") {
        return None;
    }
    macro_rules! bytes_of {
        ($type:ty) => {
            if let Some(numbers) = same_ref::<T, Vec<$type>>(value) {
                return Some(AsBytes { bytes: bytemuck::cast_slice(numbers), is_bulk: false });
            }
            if let Some(numbers) = same_ref::<T, Bulk<$type>>(value) {
                return Some(AsBytes { bytes: bytemuck::cast_slice(numbers), is_bulk: true });
            }
        };
    }
    for_each_number!(bytes_of);
    None
}

/// The vector that `bytes` are, if `T` is a vector of numbers of which they are a whole count.
pub(super) fn from_bytes<T>(bytes: &[u8]) -> Option<T> {
    macro_rules! vector_of {
        ($type:ty) => {
            if is_one::<T, Vec<$type>, Bulk<$type>>() {
                return whole::<$type>(bytes.len()).then(|| either(vec_of::<$type>(bytes))).flatten();
            }
        };
    }
    for_each_number!(vector_of);
    None
}

/// As [`from_bytes`], for bytes that belong to the vector: it keeps them where it can.
pub(super) fn from_large<T>(large: Large) -> Option<T> {
    macro_rules! vector_of {
        ($type:ty) => {
            if is_one::<T, Vec<$type>, Bulk<$type>>() {
                return match large {
                    Large::Read(words) => from_words(words),
                    Large::Mapped(mapped) if is_one::<T, Bulk<$type>, Bulk<$type>>() => {
                        match Bulk::<$type>::from_mapped(mapped.clone()) {
                            Some(bulk) => same(bulk),
                            None => from_bytes(&mapped),
                        }
                    }
                    Large::Mapped(mapped) => from_bytes(&mapped),
                };
            }
        };
    }
    for_each_number!(vector_of);
    None
}

/// Bytes that stand in words of eight: numbers of eight bytes stay where they are.
fn from_words<T>(words: Words) -> Option<T> {
    let Words { mut words, bytes } = words;
    macro_rules! vector_of {
        ($type:ty) => {
            if is_one::<T, Vec<$type>, Bulk<$type>>() && cfg!(target_endian = "little") && bytes % 8 == 0 {
                words.truncate(bytes / 8);
                return either(cast_vec::<u64, $type>(words));
            }
        };
    }
    vector_of!(f64);
    vector_of!(u64);
    vector_of!(i64);
    from_bytes(bytemuck::cast_slice(&words).get(..bytes)?)
}

/// Whether `T` is one of two types.
fn is_one<T, A: Lifeless, B: Lifeless>() -> bool {
    let id = typeid::of::<T>();
    id == typeid::of::<A>() || id == typeid::of::<B>()
}

fn whole<P>(bytes: usize) -> bool {
    bytes.is_multiple_of(size_of::<P>())
}

/// The vector, as itself or as a [`Bulk`].
fn either<T, P: Number + Lifeless>(numbers: Vec<P>) -> Option<T> {
    if is_one::<T, Vec<P>, Vec<P>>() { same(numbers) } else { same(Bulk::from(numbers)) }
}
