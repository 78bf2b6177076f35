//! `#[larder::task]`: the function stays, its type and its entry in the registry are added.

use proc_macro2::TokenStream;
use quote::quote;

use crate::expand::Expansion;

/// The expansion of a sound function.
pub(crate) fn expand(expansion: &Expansion<'_>) -> TokenStream {
    let function = expansion.function;
    let task_type = expansion.task_type();
    let implementation = beside(expansion, &expansion.implementation(None));
    let entry = entry(expansion);
    quote! { #function #task_type #implementation #entry }
}

/// The entry in the registry.
pub(crate) fn entry(expansion: &Expansion<'_>) -> TokenStream {
    let cfgs = expansion.function.cfgs();
    let entry = expansion.entry();
    quote! {
        #(#cfgs)*
        #[allow(deprecated, clippy::all, clippy::pedantic, clippy::nursery)]
        const _: () = {
            #entry
        };
    }
}

/// Items beside a function, in a scope of their own.
pub(crate) fn beside(expansion: &Expansion<'_>, items: &TokenStream) -> TokenStream {
    let cfgs = expansion.function.cfgs();
    quote! {
        #(#cfgs)*
        const _: () = {
            #items
        };
    }
}
