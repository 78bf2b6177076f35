//! A method that is a task: `of = TYPE` names the type that the attribute cannot see, so that items beside the method can.
//!
//! Items may stand in the block of an associated constant. There is the type of the method's name, and by
//! `Method<NAME, _>` it is found from the type whose method it is: `delayed!(<Model>::score(..))`.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};
use syn::Type;
use syn::ext::IdentExt;

use crate::attribute::Kind;
use crate::cached::{body, body_name, front_signature, memory};
use crate::expand::Expansion;
use crate::function::expect_to_allow;

/// The expansion of a sound method of `own`.
pub(crate) fn expand(kind: Kind, expansion: &Expansion<'_>, own: &Type) -> TokenStream {
    let name = &expansion.signature.name;
    let cfgs = expansion.function.cfgs();
    let (method, body_name) = match kind {
        Kind::Task => (quote_function(expansion), None),
        Kind::Cached => {
            let body_name = body_name(name);
            let body = body(expansion.function, &body_name);
            let cfgs = expansion.function.cfgs();
            let front = front(expansion, own);
            (quote! { #front #(#cfgs)* #[doc(hidden)] #body }, Some(body_name))
        }
    };
    let constant = format_ident!("__LARDER_TASK_OF_{}", name.unraw());
    let task_type = expansion.task_type();
    let implementation = expansion.implementation(body_name.as_ref());
    let entry = expansion.entry();
    let ty = expansion.ty();
    let number = number(&name.unraw().to_string());
    quote! {
        #method

        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_upper_case_globals, dead_code, deprecated, clippy::all, clippy::pedantic, clippy::nursery)]
        const #constant: () = {
            #task_type
            #implementation
            #entry

            #[allow(non_local_definitions)]
            impl ::larder::__private::Method<#number, #ty> for #own {
                type Task = #ty;

                fn cell() -> &'static ::larder::__private::CachedCell<#ty> {
                    static CELL: ::larder::__private::CachedCell<#ty> = ::larder::__private::CachedCell::new();
                    &CELL
                }
            }
        };
    }
}

fn quote_function(expansion: &Expansion<'_>) -> TokenStream {
    let function = expansion.function;
    quote! { #function }
}

/// The method its callers see.
fn front(expansion: &Expansion<'_>, own: &Type) -> TokenStream {
    let function = expansion.function;
    let attrs = function.attrs.iter().map(expect_to_allow);
    let vis = &function.vis;
    let sig = front_signature(&function.sig);
    let arguments = expansion.signature.parameters.iter().map(|parameter| &parameter.name);
    let number = number(&expansion.signature.name.unraw().to_string());
    let memory = memory(expansion.options);
    let get = match memory {
        Some(_) => quote! { get(__larder_memory) },
        None => quote! { get_global() },
    };
    quote! {
        #(#attrs)*
        #vis #sig {
            #memory
            <#own as ::larder::__private::Method<#number, _>>::cell().#get.call((#(#arguments,)*))
        }
    }
}

/// A method's name as a parameter of a trait: only numbers can be that.
pub(crate) fn number(name: &str) -> Literal {
    let digest = blake3::hash(name.as_bytes());
    let first = digest.as_bytes().first_chunk::<16>().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    Literal::u128_suffixed(first)
}
