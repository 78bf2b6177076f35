//! What a function's result depends on beside its own code.

use super::Function;

/// A function whose code is part of another one's cache key: `depends(..)` of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub(crate) name: &'static str,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) version: u64,
    pub(crate) depends: &'static [Dependency],
}

impl Dependency {
    /// The function `F`, with all that it depends on itself.
    #[doc(hidden)]
    pub const fn of<F: Function>() -> Dependency {
        Dependency { name: F::NAME, fingerprint: F::FINGERPRINT, version: F::VERSION, depends: F::DEPENDS }
    }

    /// The function's module and name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}
