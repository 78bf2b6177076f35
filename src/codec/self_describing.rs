//! MessagePack with field names.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    rmp_serde::to_vec_named(value).map_err(CodecError::new)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    // Reading moves the start of `rest` on, so that what is left over can be seen.
    let mut rest = bytes;
    let value = T::deserialize(&mut rmp_serde::Deserializer::new(&mut rest)).map_err(CodecError::new)?;
    if !rest.is_empty() {
        return Err(CodecError::new(format_args!("{} bytes are left over", rest.len())));
    }
    Ok(value)
}
