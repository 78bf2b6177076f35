//! The memory tier: recent values, decoded, bounded in bytes.

use std::any::Any;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::codec::CodecId;
use crate::key::{ByFirstBytes, Key};

/// A value larger than this share of the tier would push out all else.
const LARGEST_SHARE: u64 = 16;
/// About what an entry costs beside its value.
const OVERHEAD_BYTES: u64 = 128;

#[derive(Clone)]
pub(crate) struct Hot {
    pub(crate) value: HotValue,
    pub(crate) compute_nanos: u64,
    pub(crate) bytes: u64,
}

#[derive(Clone)]
pub(crate) enum HotValue {
    /// A value that can be cloned.
    Decoded(Arc<dyn Any + Send + Sync>),
    /// One that cannot: it is decoded each time, and must come back in its shape.
    Encoded { codec: CodecId, shape: u64, bytes: Arc<[u8]> },
}

pub(crate) struct HotTier {
    cache: Cache<Key, Hot, ByBytes, ByFirstBytes>,
    largest: u64,
}

impl HotTier {
    pub(crate) fn new(bytes: u64) -> HotTier {
        // An estimate for the initial size only.
        let entries = usize::try_from(bytes / 4096).unwrap_or(usize::MAX).clamp(16, 1 << 14);
        // By default there are shards by the number of cores, each with its own share of the bytes: with many of them the
        // largest value would fit none.
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries)
            .weight_capacity(bytes)
            .shards(LARGEST_SHARE as usize / 2)
            .build();
        let cache = match options {
            Ok(options) => Cache::with_options(options, ByBytes, ByFirstBytes, DefaultLifecycle::default()),
            Err(_) => Cache::with(entries, bytes, ByBytes, ByFirstBytes, DefaultLifecycle::default()),
        };
        HotTier { cache, largest: bytes / LARGEST_SHARE }
    }

    #[inline]
    pub(crate) fn get(&self, key: &Key) -> Option<Hot> {
        self.cache.get(key)
    }

    /// Whether a value of this size is kept at all.
    pub(crate) fn admits(&self, bytes: u64) -> bool {
        bytes + OVERHEAD_BYTES <= self.largest
    }

    pub(crate) fn insert(&self, key: Key, hot: Hot) {
        if self.admits(hot.bytes) {
            self.cache.insert(key, hot);
        }
    }

    pub(crate) fn clear(&self) {
        self.cache.clear();
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Hot> for ByBytes {
    fn weight(&self, _: &Key, hot: &Hot) -> u64 {
        hot.bytes + OVERHEAD_BYTES
    }
}
