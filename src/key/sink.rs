//! Bytes on their way into blake3: short ones stay in a buffer, so a small key costs one compression and no allocation.

use arrayvec::ArrayVec;
use blake3::Hasher;

use crate::digest::Purpose;

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
