//! Vectors of numbers as the bytes they are: written without a copy, read into place.
//!
//! Little-endian machines only, where memory holds numbers as the format does; others use the other codecs, and decode
//! what these wrote number by number.

use bytemuck::Pod;
use bytemuck::allocation::{cast_vec, pod_collect_to_vec};

use crate::sys::cast::{from_vec, of_vec};

/// A number, and how this machine holds what the format holds.
trait Number: Pod {
    fn native(self) -> Self;
}

macro_rules! for_each_number {
    ($do:ident) => {
        $do!(f64);
        $do!(f32);
        $do!(u8);
        $do!(u16);
        $do!(u32);
        $do!(u64);
        $do!(i8);
        $do!(i16);
        $do!(i32);
        $do!(i64);
    };
}

macro_rules! number {
    ($type:ty) => {
        impl Number for $type {
            fn native(self) -> Self {
                <$type>::from_le_bytes(bytemuck::cast(self))
            }
        }
    };
}

for_each_number!(number);

/// The bytes of `value`, if it is a vector of numbers and memory holds them as the format does.
pub(super) fn as_bytes<T>(value: &T) -> Option<&[u8]> {
    if cfg!(target_endian = "big") {
        return None;
    }
    macro_rules! bytes_of {
        ($type:ty) => {
            if let Some(numbers) = of_vec::<T, $type>(value) {
                return Some(bytemuck::cast_slice(numbers));
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
            if typeid::of::<T>() == std::any::TypeId::of::<Vec<$type>>() {
                return (bytes.len() % size_of::<$type>() == 0)
                    .then(|| in_place(pod_collect_to_vec::<u8, $type>(bytes)))
                    .and_then(from_vec::<T, $type>);
            }
        };
    }
    for_each_number!(vector_of);
    None
}

/// As [`from_bytes`], for bytes that stand in words of eight: numbers of eight bytes stay where they are.
pub(super) fn from_words<T>(mut words: Vec<u64>, bytes: usize) -> Option<T> {
    macro_rules! vector_of {
        ($type:ty) => {
            if typeid::of::<T>() == std::any::TypeId::of::<Vec<$type>>() && bytes % 8 == 0 {
                words.truncate(bytes / 8);
                return from_vec::<T, $type>(in_place(cast_vec::<u64, $type>(words)));
            }
        };
    }
    vector_of!(f64);
    vector_of!(u64);
    vector_of!(i64);
    from_bytes(bytemuck::cast_slice(&words).get(..bytes)?)
}

/// Numbers as this machine holds them.
fn in_place<P: Number>(mut numbers: Vec<P>) -> Vec<P> {
    if cfg!(target_endian = "big") {
        numbers.iter_mut().for_each(|number| *number = number.native());
    }
    numbers
}
