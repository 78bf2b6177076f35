//! bincode: the only file that names it.

use std::marker::PhantomData;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;
use super::bounded::Bounded;
use super::guard::{Watch, Watched};
use super::sections::Reader;

/// The configuration is part of what codec 1 means on disk and must never change.
const CONFIG: Configuration = bincode::config::standard();

/// A TiB, or on a smaller machine half of what it can address.
const LAST_LIMIT: usize = if usize::BITS > 40 { 1 << 40 } else { usize::MAX >> 1 };

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(|error| match error {
        EncodeError::OtherString(words) => CodecError::new(words),
        error => CodecError::new(error),
    })
}

/// As [`encode`], into what may refuse more: then it stops there.
pub(super) fn encode_into<T: Serialize>(value: &T, bounded: &mut Bounded) -> Result<(), CodecError> {
    bincode::serde::encode_into_writer(value, &mut *bounded, CONFIG).map(drop).map_err(CodecError::new)
}

impl Writer for &mut Bounded {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        if self.take(bytes) { Ok(()) } else { Err(EncodeError::Other("it is too long")) }
    }
}

/// bincode makes room for a text before it reads it, so bytes that lie about a length could ask for all of memory. A
/// limit, which it only takes as a constant, bounds what the bytes may claim: 64 times what they are, on three rungs.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_under(bytes, None)
}

/// As [`decode`], with lists of numbers apart.
pub(super) fn decode_under<T: DeserializeOwned>(bytes: &[u8], apart: Option<&Reader<'_>>) -> Result<T, CodecError> {
    let watch = Watch::new(bytes.len(), apart);
    match bytes.len() {
        0..=0x1000 => decode_within(bytes, &watch, CONFIG.with_limit::<0x4_0000>()),
        0x1001..=0x100_0000 => decode_within(bytes, &watch, CONFIG.with_limit::<0x4000_0000>()),
        _ => decode_within(bytes, &watch, CONFIG.with_limit::<LAST_LIMIT>()),
    }
}

fn decode_within<T: DeserializeOwned, const BYTES: usize>(
    bytes: &[u8],
    watch: &Watch<'_>,
    config: Configuration<LittleEndian, Varint, Limit<BYTES>>,
) -> Result<T, CodecError> {
    let seed = Watched { seed: PhantomData::<T>, watch };
    let (value, read) = bincode::serde::seed_decode_from_slice(seed, bytes, config).map_err(|error| match error {
        DecodeError::OtherString(words) => CodecError::new(words),
        error => CodecError::new(error),
    })?;
    if read != bytes.len() {
        return Err(CodecError::new(format_args!("{} bytes are left over", bytes.len() - read)));
    }
    Ok(value)
}
