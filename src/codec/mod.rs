//! Values to bytes and back.
//!
//! Codecs are told apart by an id that every entry carries. [`numbers`] is for vectors of numbers, and is what memory
//! holds; [`sections`] for values that hold such vectors. Of the two for everything else, [`compact`] is bincode (small and fast, but it cannot carry
//! what describes itself, such as `serde_json::Value`, untagged or flattened types, fields that are skipped) and
//! [`self_describing`] is MessagePack with field names, and carries those. [`encode`] picks by trying: a value goes out
//! compact only if it is known to come back the same.

mod bounded;
mod compact;
mod guard;
mod numbers;
mod outline;
mod sections;
mod self_describing;
mod shape;
#[cfg(test)]
mod test;

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::key::canonical::canonical;
#[cfg(unix)]
use crate::panics;
use crate::sys::map::Mapped;
use bounded::Bounded;
use numbers::AsBytes;
pub(crate) use shape::{is_err, is_none, shape_of};

/// Which codec wrote some bytes. The numbers are on disk for ever (docs/format.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CodecId {
    /// bincode 2, standard configuration.
    Compact,
    /// MessagePack with named fields.
    SelfDescribing,
    /// The little-endian bytes of a vector of numbers, side by side.
    Numbers,
    /// bincode, with the vectors of numbers apart and aligned.
    Sections,
}

impl CodecId {
    pub(crate) fn as_byte(self) -> u8 {
        match self {
            CodecId::Compact => 1,
            CodecId::SelfDescribing => 2,
            CodecId::Numbers => 3,
            CodecId::Sections => 4,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Option<CodecId> {
        match byte {
            1 => Some(CodecId::Compact),
            2 => Some(CodecId::SelfDescribing),
            3 => Some(CodecId::Numbers),
            4 => Some(CodecId::Sections),
            _ => None,
        }
    }
}

/// A value as bytes, with the codec that wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    pub(crate) codec: CodecId,
    pub(crate) bytes: Vec<u8>,
}

impl Encoded {
    /// Bytes that were encoded elsewhere.
    pub fn new(codec: CodecId, bytes: Vec<u8>) -> Encoded {
        Encoded { codec, bytes }
    }

    /// The codec that wrote the bytes.
    pub fn codec(&self) -> CodecId {
        self.codec
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value.
    ///
    /// # Errors
    /// The bytes are not a whole value of this type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        decode(self.codec, &self.bytes)
    }
}

/// Why a value has no bytes, or bytes have no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError {
    words: String,
}

impl CodecError {
    pub(crate) fn new(words: impl fmt::Display) -> CodecError {
        CodecError { words: words.to_string() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for CodecError {}

/// Encodes `value` with the first codec that gives it back unchanged.
///
/// "Unchanged" is judged by the canonical form, the one that keys use, after decoding the bytes again. That is done for
/// every value but vectors of numbers: one value of a type says nothing of the next (an `Option`, an enum, a
/// `serde_json::Value` deep within), and a value that cannot come back would be a miss for ever.
///
/// # Errors
/// Neither codec carries the value; says what each one met.
pub(crate) fn encode<T: Serialize + DeserializeOwned>(value: &T) -> Result<Encoded, CodecError> {
    encode_ref(value).map(|encoding| Encoded::new(encoding.codec, encoding.concat().into_owned()))
}

/// A value as bytes, in parts that lie one behind the other: an array is the part that it is in memory.
pub(crate) struct Encoding<'v> {
    pub(crate) codec: CodecId,
    /// The value asks to be mapped when it is loaded.
    pub(crate) mapped: bool,
    pub(crate) parts: Vec<Part<'v>>,
}

/// Some of a value's bytes.
pub(crate) enum Part<'v> {
    Owned(Vec<u8>),
    Borrowed(&'v [u8]),
    /// Numbers that are shared: the value holds them too.
    Shared(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl Deref for Part<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Part::Owned(bytes) => bytes,
            Part::Borrowed(bytes) => bytes,
            Part::Shared(bytes) => (**bytes).as_ref(),
        }
    }
}

impl AsRef<[u8]> for Part<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<'v> Encoding<'v> {
    fn new(codec: CodecId, bytes: Vec<u8>) -> Encoding<'v> {
        Encoding { codec, mapped: false, parts: vec![Part::Owned(bytes)] }
    }

    /// A vector of numbers as it is.
    fn numbers(AsBytes { bytes, is_bulk }: AsBytes<'v>) -> Encoding<'v> {
        Encoding { codec: CodecId::Numbers, mapped: is_bulk, parts: vec![Part::Borrowed(bytes)] }
    }

    /// The parts as who stores them wants them.
    pub(crate) fn borrowed(&self) -> Vec<Cow<'_, [u8]>> {
        self.parts.iter().map(|part| Cow::Borrowed(&**part)).collect()
    }

    /// How many bytes the parts have together.
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// The parts as one.
    pub(crate) fn concat(&self) -> Cow<'_, [u8]> {
        match &self.parts[..] {
            [part] => Cow::Borrowed(part),
            _ => Cow::Owned(self.borrowed().concat()),
        }
    }
}

/// As [`encode`], without a copy of a vector of numbers.
pub(crate) fn encode_ref<T: Serialize + DeserializeOwned>(value: &T) -> Result<Encoding<'_>, CodecError> {
    if let Some(bytes) = numbers::as_bytes(value) {
        return Ok(Encoding::numbers(bytes));
    }
    let look = shape::look_at(value);
    let compact = if look.skips_fields {
        Err(CodecError::new("the value leaves fields out, which the compact codec cannot express"))
    } else {
        if look.has_numbers
            && let Ok(Some(split)) = sections::encode(value, lasting(value), |back| same_form(value, &back))
        {
            return Ok(Encoding { codec: CodecId::Sections, mapped: split.has_bulk, parts: split.parts });
        }
        proved(CodecId::Compact, value, compact::encode(value))
    };
    let compact = match compact {
        Ok(bytes) => return Ok(Encoding::new(CodecId::Compact, bytes)),
        Err(error) => error,
    };
    match proved(CodecId::SelfDescribing, value, self_describing::encode(value)) {
        Ok(bytes) => Ok(Encoding::new(CodecId::SelfDescribing, bytes)),
        Err(error) => Err(CodecError::new(format_args!("compact codec: {compact}; self-describing codec: {error}"))),
    }
}

/// The numbers of a value that is one array, which need not be copied.
#[cfg(feature = "ndarray")]
fn lasting<T>(value: &T) -> Option<&[u8]> {
    crate::array::in_bulk(value).map(|array| array.as_bytes())
}

#[cfg(not(feature = "ndarray"))]
fn lasting<T>(_: &T) -> Option<&[u8]> {
    None
}

/// Encodes the arguments of a call, which are borrowed and so cannot be tried backwards here: the far side decodes
/// them or says that it cannot.
///
/// # Errors
/// The value refuses to be serialized.
pub(crate) fn encode_args<T: Serialize>(value: &T) -> Result<Encoded, CodecError> {
    let encoding = encode_unproved(value, Prefer::Small)?;
    Ok(Encoded::new(encoding.codec, encoding.concat().into_owned()))
}

/// What matters in bytes that the far side decodes, or says that it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prefer {
    Small,
    /// Every type that serde knows comes back, as far as its own words do.
    SelfDescribing,
}

/// Encodes a value that travels to a process which decodes it at once: it is not decoded here to see whether it comes back.
///
/// # Errors
/// The value refuses to be serialized.
pub(crate) fn encode_unproved<T: Serialize>(value: &T, prefer: Prefer) -> Result<Encoding<'_>, CodecError> {
    if let Some(bytes) = numbers::as_bytes(value) {
        return Ok(Encoding::numbers(bytes));
    }
    let look = shape::look_at(value);
    if look.skips_fields || prefer == Prefer::SelfDescribing {
        return Ok(Encoding::new(CodecId::SelfDescribing, self_describing::encode(value)?));
    }
    if look.has_numbers
        && let Some(split) = sections::encode_unproved(value, lasting(value))?
    {
        return Ok(Encoding { codec: CodecId::Sections, mapped: split.has_bulk, parts: split.parts });
    }
    Ok(Encoding::new(CodecId::Compact, compact::encode(value)?))
}

/// The arguments of a call, where they take up to so many bytes with a codec that `comes_back`: the compact one, else the
/// self-describing one. What is longer costs no more than the first of its bytes.
pub(crate) fn encode_small<T: Serialize>(
    value: &T,
    most: usize,
    comes_back: impl Fn(&Encoded) -> bool,
) -> Option<Encoded> {
    let mut bounded = Bounded::new(most);
    let written = compact::encode_into(value, &mut bounded);
    if bounded.is_full() {
        return None;
    }
    let encoded = Encoded::new(CodecId::Compact, bounded.into_bytes());
    if written.is_ok() && comes_back(&encoded) {
        return Some(encoded);
    }
    let mut bounded = Bounded::new(most);
    self_describing::encode_into(value, &mut bounded).ok()?;
    Some(Encoded::new(CodecId::SelfDescribing, bounded.into_bytes())).filter(comes_back)
}

/// Runs code that runs a user's `Serialize` or `Deserialize`: a panic of theirs is an error too.
#[cfg(unix)]
pub(crate) fn guarded<R>(code: impl FnOnce() -> Result<R, CodecError>) -> Result<R, CodecError> {
    panics::catch(code).unwrap_or_else(|panic| Err(CodecError::new(panic)))
}

/// A value of the toolkit's own as bytes that only this program reads.
///
/// # Errors
/// The value refuses to be serialized.
pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    compact::encode(value)
}

/// What [`to_bytes`] made.
///
/// # Errors
/// The bytes are not a whole value of this type.
pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    compact::decode(bytes)
}

/// Decodes what [`encode`] made.
///
/// # Errors
/// The bytes are not a whole value of this type.
pub(crate) fn decode<T: DeserializeOwned>(codec: CodecId, bytes: &[u8]) -> Result<T, CodecError> {
    match codec {
        CodecId::Compact => compact::decode(bytes),
        CodecId::SelfDescribing => self_describing::decode(bytes),
        CodecId::Numbers => numbers::from_bytes(bytes).ok_or_else(not_these_numbers),
        CodecId::Sections => sections::decode(bytes, None),
    }
}

/// As [`decode`], for bytes that belong to the value from here on: what it can keep of them is not copied.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_large<T: DeserializeOwned>(codec: CodecId, bytes: Large) -> Result<T, CodecError> {
    match (codec, bytes) {
        (CodecId::Numbers, large) => numbers::from_large(large).ok_or_else(not_these_numbers),
        (CodecId::Sections, Large::Mapped(mapped)) => sections::decode(&mapped, Some(&mapped)),
        (codec, bytes) => decode(codec, bytes.as_slice()),
    }
}

/// The bytes of a large value, aligned for any number.
pub(crate) enum Large {
    /// Read from a file.
    Read(Words),
    /// The file itself.
    Mapped(Mapped),
}

impl Large {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Large::Read(words) => words.as_slice(),
            Large::Mapped(mapped) => mapped,
        }
    }

    /// The same bytes for another value; mapped ones are not copied.
    #[cfg(unix)]
    pub(crate) fn again(&self) -> Large {
        match self {
            Large::Read(words) => Large::Read(words.clone()),
            Large::Mapped(mapped) => Large::Mapped(mapped.clone()),
        }
    }
}

fn not_these_numbers() -> CodecError {
    CodecError::new("the bytes are not a vector of such numbers")
}

/// Bytes in words of eight, so that numbers among them are aligned.
#[derive(Clone)]
pub(crate) struct Words {
    words: Vec<u64>,
    bytes: usize,
}

impl Words {
    /// So many zero bytes.
    pub(crate) fn zeroed(bytes: usize) -> Words {
        Words { words: vec![0; bytes.div_ceil(8)], bytes }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.bytes]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.bytes]
    }
}

/// The bytes, if they come back as the value they were made of.
fn proved<T: Serialize + DeserializeOwned>(
    codec: CodecId,
    value: &T,
    bytes: Result<Vec<u8>, CodecError>,
) -> Result<Vec<u8>, CodecError> {
    let bytes = bytes?;
    same_form(value, &decode(codec, &bytes)?)?;
    Ok(bytes)
}

/// Whether a value came back, as far as keys can tell.
fn same_form<T: Serialize>(value: &T, back: &T) -> Result<(), CodecError> {
    match (canonical(value), canonical(back)) {
        (Ok(sent), Ok(returned)) if sent == returned => Ok(()),
        (Ok(_), Ok(_)) => Err(CodecError::new("the value comes back changed")),
        (Err(refused), _) | (_, Err(refused)) => Err(CodecError::new(refused)),
    }
}
