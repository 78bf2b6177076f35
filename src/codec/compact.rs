//! bincode: the only file that names it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::CodecError;

/// The configuration is part of what codec 1 means on disk and must never change.
const CONFIG: bincode::config::Configuration = bincode::config::standard();

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, CONFIG).map_err(CodecError::new)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, read) = bincode::serde::decode_from_slice(bytes, CONFIG).map_err(CodecError::new)?;
    if read != bytes.len() {
        return Err(CodecError::new(format_args!("{} bytes are left over", bytes.len() - read)));
    }
    Ok(value)
}
