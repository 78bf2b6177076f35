//! Bytes on their way into blake3: short ones stay in a buffer, so a small key costs one compression and no allocation.

use std::sync::LazyLock;

use arrayvec::ArrayVec;
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

    #[inline]
    pub(crate) fn hasher(self) -> Hasher {
        Hasher::new_from_context_key(self.context())
    }

    #[inline]
    pub(crate) fn digest(self, bytes: &[u8]) -> [u8; 32] {
        *self.hasher().update(bytes).finalize().as_bytes()
    }
}

const BUFFER_BYTES: usize = 256;

pub(crate) struct Sink {
    purpose: Purpose,
    buffer: ArrayVec<u8, BUFFER_BYTES>,
    hasher: Option<Box<Hasher>>,
}

impl Sink {
    #[inline]
    pub(crate) fn new(purpose: Purpose) -> Sink {
        Sink { purpose, buffer: ArrayVec::new_const(), hasher: None }
    }

    /// Starts anew.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        self.hasher = None;
    }

    /// All bytes so far, while they still fit the buffer.
    #[inline]
    pub(crate) fn short(&self) -> Option<&[u8]> {
        self.hasher.is_none().then(|| &self.buffer[..])
    }

    /// Inlined always: most callers put one tag or one number, whose constant length makes this a plain store.
    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if self.buffer.try_extend_from_slice(bytes).is_err() {
            self.spill(bytes);
        }
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self, bytes: &[u8]) {
        let hasher = self.hasher.get_or_insert_with(|| Box::new(self.purpose.hasher()));
        hasher.update(&self.buffer);
        self.buffer.clear();
        if self.buffer.try_extend_from_slice(bytes).is_err() {
            hasher.update(bytes);
        }
    }

    #[inline]
    pub(crate) fn digest(&mut self) -> [u8; 32] {
        match &mut self.hasher {
            Some(hasher) => *hasher.update(&self.buffer).finalize().as_bytes(),
            None => self.purpose.digest(&self.buffer),
        }
    }
}
