//! The memory tier: recent values, decoded, bounded in bytes.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::metadata::Metadata;
use crate::codec::CodecId;
use crate::key::{ByFirstBytes, Key};
use crate::store::EntryKey;
use crate::store::used::FunctionName;

/// A value larger than this share of the tier would push out all else.
const LARGEST_SHARE: u64 = 16;
/// About what an entry costs beside its value.
const OVERHEAD_BYTES: u64 = 128;

/// A recent value, and what is to be known of its entry.
pub(crate) struct Hot {
    pub(crate) value: HotValue,
    pub(crate) bytes: u64,
    pub(crate) stored_at_ms: u64,
    /// Where the function's validity asks for it.
    pub(crate) metadata: Option<Arc<Metadata>>,
    pub(crate) used: Arc<HotUse>,
}

/// How a recent value is used. Apart from it, so that what is still to be told keeps no value in memory.
pub(crate) struct HotUse {
    pub(crate) entry: EntryKey,
    pub(crate) function: Arc<FunctionName>,
    pub(crate) compute_nanos: u64,
    /// The entry is one of earlier code.
    pub(crate) blessed: bool,
    /// Since the store was told last.
    pub(crate) hits: AtomicU64,
}

pub(crate) enum HotValue {
    /// A value that can be cloned.
    Decoded(Arc<dyn Any + Send + Sync>),
    /// One that cannot: it is decoded each time, and must come back in its shape.
    Encoded { codec: CodecId, shape: u64, bytes: Arc<[u8]> },
}

pub(crate) struct HotTier {
    cache: Cache<Key, Arc<Hot>, ByBytes, ByFirstBytes>,
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
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Hot>> {
        self.cache.get(key)
    }

    /// Whether a value of this size is kept at all.
    pub(crate) fn admits(&self, bytes: u64) -> bool {
        bytes + OVERHEAD_BYTES <= self.largest
    }

    pub(crate) fn insert(&self, key: Key, hot: Hot) {
        if self.admits(hot.bytes) {
            self.cache.insert(key, Arc::new(hot));
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&self, key: &Key) -> bool {
        self.cache.remove(key).is_some()
    }

    pub(crate) fn clear(&self) {
        self.cache.clear();
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Arc<Hot>> for ByBytes {
    fn weight(&self, _: &Key, hot: &Arc<Hot>) -> u64 {
        hot.bytes + OVERHEAD_BYTES
    }
}
