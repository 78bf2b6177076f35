//! `#[larder::task]`: the function stays, its type and its entry in the registry are added.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand::Expansion;
use crate::function::Function;
use crate::options::Options;
use crate::signature::Signature;

/// The expansion of a sound function.
pub(crate) fn expand(function: &Function, signature: &Signature, options: &Options, ignored: u32) -> TokenStream {
    let expansion = Expansion { function, signature, version: options.version, ignored };
    let task_type = expansion.task_type();
    let implementation = expansion.implementation(None);
    let entry = expansion.entry();
    quote! { #function #task_type #implementation #entry }
}
