//! What has a fixed width and no parts.

use std::fmt::Display;

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
                (cfg!(target_endian = "little") || size_of::<$type>() == 1).then(|| bytemuck::cast_slice(values))
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
