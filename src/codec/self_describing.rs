//! MessagePack with field names.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec_named(value).map_err(CodecError::new)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = T::deserialize(&mut reader).map_err(CodecError::new)?;
    let left = reader.get_ref().len();
    if left != 0 {
        return Err(CodecError::new(format_args!("{left} bytes are left over")));
    }
    Ok(value)
}
