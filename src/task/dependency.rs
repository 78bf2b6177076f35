//! What a function's result depends on beside its own code.

use super::{Function, Input, Setting};

/// A function whose code is part of another one's cache key: `depends(..)` of the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    pub(crate) name: &'static str,
    pub(crate) fingerprint: [u8; 32],
    pub(crate) version: u64,
    pub(crate) depends: &'static [Dependency],
    pub(crate) items: &'static str,
    pub(crate) settings: &'static [Setting],
    pub(crate) inputs: &'static [Input],
    pub(crate) toolchain: bool,
}

impl Dependency {
    /// The function's module and name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the function reads as it is called, and those that it depends on: each once.
    pub(crate) fn all_inputs(&self) -> Vec<Input> {
        let mut all = Vec::new();
        self.gather_inputs(&mut all);
        all
    }

    fn gather_inputs(&self, all: &mut Vec<Input>) {
        for input in self.inputs {
            if !all.contains(input) {
                all.push(*input);
            }
        }
        self.depends.iter().for_each(|other| other.gather_inputs(all));
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
    const DEPENDENCY: Dependency = Dependency {
        name: F::NAME,
        fingerprint: F::FINGERPRINT,
        version: F::VERSION,
        depends: F::DEPENDS,
        items: F::ITEMS,
        settings: F::SETTINGS,
        inputs: F::INPUTS,
        toolchain: F::TOOLCHAIN,
    };
}
