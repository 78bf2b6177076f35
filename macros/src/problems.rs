//! What is wrong with a use of an attribute: collected, so that one compilation names everything.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Error;

/// The problems found so far.
#[derive(Default)]
pub(crate) struct Problems {
    found: Option<Error>,
}

impl Problems {
    /// Adds a problem of these tokens.
    pub(crate) fn at(&mut self, place: impl ToTokens, message: impl Display) {
        self.push(Error::new_spanned(place, message));
    }

    /// Adds a problem that knows its place.
    pub(crate) fn push(&mut self, problem: Error) {
        match &mut self.found {
            Some(found) => found.combine(problem),
            None => self.found = Some(problem),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_none()
    }

    /// The problems as `compile_error!` items, if there are any.
    pub(crate) fn into_tokens(self) -> Option<TokenStream> {
        self.found.map(|found| found.to_compile_error())
    }

    /// The messages, for tests of a rule.
    #[cfg(test)]
    pub(crate) fn messages(self) -> Vec<String> {
        self.found.into_iter().flatten().map(|problem| problem.to_string()).collect()
    }
}
