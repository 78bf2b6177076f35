//! What an entry goes by.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::digest::Purpose;
use crate::key::{Key, hex};

pub(super) const PREFIX_BYTES: usize = 8;
const BYTES: usize = PREFIX_BYTES + 32;

/// What an entry goes by: 8 bytes of the digest of its function's name, then the 32 bytes of the call's key (docs/key.md).
/// So the entries of one function stand side by side in a store that sorts them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKey([u8; BYTES]);

impl EntryKey {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// The entry key of these bytes.
    pub fn from_bytes(bytes: [u8; BYTES]) -> EntryKey {
        EntryKey(bytes)
    }

    /// The first 8 bytes of the keys of all entries of a function, in all versions of its code. Another function may have the
    /// same ones: [`RecordInfo`](super::RecordInfo) tells them apart.
    pub fn function_prefix(function: &str) -> [u8; 8] {
        Prefix::of(function).0
    }

    /// The call's key.
    pub(crate) fn call(&self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(&self.0[PREFIX_BYTES..]);
        Key::from_bytes(key)
    }
}

/// By the call's key: the first bytes are one function's.
impl Hash for EntryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0[PREFIX_BYTES..]);
    }
}

impl fmt::Debug for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryKey({})", hex(&self.0))
    }
}

/// The first bytes of the keys of all entries of a function, in all versions of its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix([u8; PREFIX_BYTES]);

impl Prefix {
    pub(crate) fn of(function: &str) -> Prefix {
        let digest = Purpose::FunctionName.digest_of(&[function]);
        Prefix(std::array::from_fn(|at| digest[at]))
    }

    pub(crate) fn entry(self, key: &Key) -> EntryKey {
        let mut bytes = [0; BYTES];
        bytes[..PREFIX_BYTES].copy_from_slice(&self.0);
        bytes[PREFIX_BYTES..].copy_from_slice(key.as_bytes());
        EntryKey(bytes)
    }

    pub(super) fn from_bytes(bytes: [u8; PREFIX_BYTES]) -> Prefix {
        Prefix(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
