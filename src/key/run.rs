//! Numbers of one type that follow each other in a list: kept while they are few, hashed in bulk when they are many.

use crate::digest::Purpose;
use crate::walk::Primitive;

/// Runs up to this many bytes stand in a form as they are.
const INLINE_BYTES: usize = 1024;
/// Bytes go to the hasher in such pieces: enough for all its lanes, and still in cache after the look for NaNs.
const PIECE_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct Run {
    tag: u8,
    count: u64,
    bytes: Vec<u8>,
    /// Takes the bytes as soon as they are more than fit inline.
    hasher: Option<Box<blake3::Hasher>>,
}

/// A run that ended.
pub(super) struct Closed {
    pub(super) tag: u8,
    pub(super) count: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    Short(Vec<u8>),
    Long([u8; 32]),
}

impl Run {
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.count > 0
    }

    /// Whether numbers of this tag belong to the open run, if there is one.
    #[inline]
    pub(super) fn takes(&self, tag: u8) -> bool {
        self.count == 0 || self.tag == tag
    }

    #[inline]
    pub(super) fn open(&mut self, tag: u8) {
        self.tag = tag;
    }

    pub(super) fn close(&mut self) -> Closed {
        let Run { tag, count, bytes, hasher } = std::mem::take(self);
        let content = match hasher {
            None if bytes.len() <= INLINE_BYTES => Content::Short(bytes),
            hasher => {
                let mut hasher = hasher.unwrap_or_else(|| Box::new(Purpose::Run.hasher()));
                Content::Long(*hasher.update(&bytes).finalize().as_bytes())
            }
        };
        Closed { tag, count, content }
    }

    /// The room of a closed run serves the next one.
    pub(super) fn reuse(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.bytes = bytes;
    }

    #[inline]
    pub(super) fn push<P: Primitive>(&mut self, value: P) {
        self.bytes.extend_from_slice(value.canonical().as_ref());
        self.count += 1;
        if self.bytes.len() >= PIECE_BYTES {
            self.hash(&[]);
        }
    }

    /// Many numbers at once: hashed where they lie, but for pieces that hold a NaN.
    pub(super) fn extend<P: Primitive>(&mut self, values: &[P]) {
        for values in values.chunks(PIECE_BYTES / size_of::<P>().max(1)) {
            match P::as_bytes(values) {
                Some(bytes) if !has_nan(values) => {
                    self.count += values.len() as u64;
                    if self.hasher.is_none() && self.bytes.len() + bytes.len() <= INLINE_BYTES {
                        self.bytes.extend_from_slice(bytes);
                    } else {
                        self.hash(bytes);
                    }
                }
                _ => values.iter().for_each(|value| self.push(*value)),
            }
        }
    }

    /// Hashes what is kept, and then `more`.
    fn hash(&mut self, more: &[u8]) {
        let hasher = self.hasher.get_or_insert_with(|| Box::new(Purpose::Run.hasher()));
        hasher.update(&self.bytes).update(more);
        self.bytes.clear();
    }
}

/// Looks at every value, without stopping early: the loop then runs on vectors.
fn has_nan<P: Primitive>(values: &[P]) -> bool {
    values.iter().fold(false, |found, value| found | value.is_nan())
}
