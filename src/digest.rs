//! blake3, with a context for each thing that is hashed.

use std::sync::LazyLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

/// What is hashed. Each purpose has its own `derive_key` context, so no two can be taken for each other.
///
/// A change to the bytes of any purpose is a new context string here, a line in docs/key.md or docs/format.md and a Breaking
/// entry in the changelog: entries under the old context are then never found, and so never misread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Key,
    Function,
    Value,
    Run,
    Record,
    BlobHeader,
    StoredValue,
    FunctionName,
    Build,
    Payload,
    ItemSeed,
    ChildSeed,
    Dependencies,
    ExportFront,
    Note,
    InputFile,
    CodeItem,
    #[cfg(feature = "rand")]
    Generator,
}

impl Purpose {
    fn context(self) -> &'static ContextKey {
        static KEYS: LazyLock<[ContextKey; 18]> = LazyLock::new(|| {
            [
                hash_derive_key_context("larder 2026-11 call key v1"),
                hash_derive_key_context("larder 2026-11 function identity v1"),
                hash_derive_key_context("larder 2026-11 canonical value v1"),
                hash_derive_key_context("larder 2026-11 run of numbers v1"),
                hash_derive_key_context("larder 2026-11 index record v1"),
                hash_derive_key_context("larder 2026-11 blob header v1"),
                hash_derive_key_context("larder 2026-11 stored value v1"),
                hash_derive_key_context("larder 2026-11 function name v1"),
                hash_derive_key_context("larder 2026-11 build v1"),
                hash_derive_key_context("larder 2026-11 payload v1"),
                hash_derive_key_context("larder 2026-11 item seed v1"),
                hash_derive_key_context("larder 2026-11 child seed v1"),
                hash_derive_key_context("larder 2026-11 dependencies v2"),
                hash_derive_key_context("larder 2026-11 export front v1"),
                hash_derive_key_context("larder 2026-11 note v1"),
                hash_derive_key_context("larder 2026-11 input file v1"),
                hash_derive_key_context("larder 2026-11 code item v1"),
                hash_derive_key_context("larder 2026-11 seed generator v1"),
            ]
        });
        &KEYS[self as usize]
    }

    /// A digest under way.
    #[inline]
    pub(crate) fn hasher(self) -> Hasher {
        Hasher::new_from_context_key(self.context())
    }

    #[inline]
    pub(crate) fn digest(self, bytes: &[u8]) -> [u8; 32] {
        self.digest_of(&[bytes])
    }

    /// The digest of `parts`, one after the other.
    #[inline]
    pub(crate) fn digest_of(self, parts: &[impl AsRef<[u8]>]) -> [u8; 32] {
        let mut hasher = self.hasher();
        for part in parts {
            hasher.update(part.as_ref());
        }
        *hasher.finalize().as_bytes()
    }
}
