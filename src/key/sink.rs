//! Bytes on their way into blake3: short ones stay in a buffer, so a small key costs one compression and no allocation.

use std::sync::LazyLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

/// What is hashed. Each purpose has its own `derive_key` context, so no two can be taken for each other.
///
/// A change to the bytes of any purpose is a new context string here, a line in docs/key.md and a Breaking entry in the
/// changelog: entries under the old context are then never found, and so never misread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Key,
    Function,
    Value,
    Run,
}

impl Purpose {
    fn context(self) -> &'static ContextKey {
        static KEYS: LazyLock<[ContextKey; 4]> = LazyLock::new(|| {
            [
                hash_derive_key_context("larder 2026-11 call key v1"),
                hash_derive_key_context("larder 2026-11 function identity v1"),
                hash_derive_key_context("larder 2026-11 canonical value v1"),
                hash_derive_key_context("larder 2026-11 run of numbers v1"),
            ]
        });
        &KEYS[self as usize]
    }

    pub(crate) fn hasher(self) -> Hasher {
        Hasher::new_from_context_key(self.context())
    }
}

const BUFFER_BYTES: usize = 256;

pub(crate) struct Sink {
    purpose: Purpose,
    len: usize,
    buffer: [u8; BUFFER_BYTES],
    hasher: Option<Box<Hasher>>,
}

impl Sink {
    #[inline]
    pub(crate) fn new(purpose: Purpose) -> Sink {
        Sink { purpose, len: 0, buffer: [0; BUFFER_BYTES], hasher: None }
    }

    /// Starts anew.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.hasher = None;
    }

    /// All bytes so far, while they still fit the buffer.
    #[inline]
    pub(crate) fn short(&self) -> Option<&[u8]> {
        self.hasher.is_none().then(|| &self.buffer[..self.len])
    }

    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.buffer.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        } else {
            self.spill(bytes);
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        let hasher = self.hasher.get_or_insert_with(|| Box::new(self.purpose.hasher()));
        hasher.update(&self.buffer[..self.len]);
        self.len = 0;
        if bytes.len() < BUFFER_BYTES {
            self.buffer[..bytes.len()].copy_from_slice(bytes);
            self.len = bytes.len();
        } else {
            hasher.update(bytes);
        }
    }

    #[inline]
    pub(crate) fn digest(&mut self) -> [u8; 32] {
        let rest = &self.buffer[..self.len];
        match &mut self.hasher {
            Some(hasher) => *hasher.update(rest).finalize().as_bytes(),
            None => *self.purpose.hasher().update(rest).finalize().as_bytes(),
        }
    }
}
