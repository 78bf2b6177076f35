//! MessagePack with field names.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{DeserializeOwned, DeserializeSeed};

use super::CodecError;
use super::bounded::Bounded;
use super::guard::{Watch, Watched};

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec_named(value).map_err(CodecError::new)
}

/// As [`encode`], into what may refuse more.
pub(super) fn encode_into<T: Serialize>(value: &T, bounded: &mut Bounded) -> Result<(), CodecError> {
    rmp_serde::encode::write_named(bounded, value).map_err(CodecError::new)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    // Reading moves the start of `rest` on, so that what is left over can be seen.
    let mut rest = bytes;
    let watched = Watched { seed: PhantomData::<T>, watch: &Watch::marking_all(bytes.len()) };
    let value = watched.deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).map_err(CodecError::new)?;
    if !rest.is_empty() {
        return Err(CodecError::new(format_args!("{} bytes are left over", rest.len())));
    }
    Ok(value)
}
