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
    /// The function's module and name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function with an attribute of larder",
    label = "no function with an attribute",
    note = "write `#[larder::task]` or `#[larder::cached]` on the function that is depended on"
)]
/// A function that others may depend on: each one that has an attribute.
pub trait Depended {
    /// The function, with all that it depends on itself.
    const DEPENDENCY: Dependency;
}

impl<F: Function> Depended for F {
    const DEPENDENCY: Dependency =
        Dependency { name: F::NAME, fingerprint: F::FINGERPRINT, version: F::VERSION, depends: F::DEPENDS };
}
