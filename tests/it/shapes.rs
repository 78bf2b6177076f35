//! The attributes on functions of all shapes, and their options: which calls are one, which are another, and what is kept.

#[cfg(feature = "async")]
mod awaited;
mod generics;
mod methods;
mod options;

use larder::Memory;
use larder::store::VolatileStore;

/// A memory for a `static`, which nobody drops: it leaves no folder behind.
fn volatile() -> Memory {
    Memory::with_store(VolatileStore::new())
}
