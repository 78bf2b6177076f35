//! `#[larder::cached]`: the function asks its cache, and its body moves aside.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{FnArg, Pat};

use crate::expand::Expansion;
use crate::function::{Function, expect_to_allow, is_lint_level};
use crate::options::Options;
use crate::signature::Signature;

/// The expansion of a sound function.
pub(crate) fn expand(function: &Function, signature: &Signature, options: &Options, ignored: u32) -> TokenStream {
    let expansion = Expansion { function, signature, version: options.version, ignored };
    let front = front(function, signature, options);
    let task_type = expansion.task_type();
    let body_name = body_name(&signature.name);
    let body = body(function, &body_name);
    let implementation = expansion.implementation(Some((&body_name, body)));
    let entry = options.task.then(|| expansion.entry());
    quote! { #front #task_type #implementation #entry }
}

/// The function its callers see.
fn front(function: &Function, signature: &Signature, options: &Options) -> TokenStream {
    let attrs = function.attrs.iter().map(expect_to_allow);
    let vis = &function.vis;
    let name = &signature.name;
    let mut sig = function.sig.clone();
    for input in &mut sig.inputs {
        // The front only passes arguments on, so `mut` would be reported as unused here.
        if let FnArg::Typed(typed) = input
            && let Pat::Ident(pattern) = &mut *typed.pat
        {
            pattern.mutability = None;
        }
    }
    let arguments = signature.parameters.iter().map(|parameter| &parameter.name);
    // A nested function, not a closure: the memory is chosen once, so it cannot depend on one call's arguments.
    let memory = options.memory.as_ref().map(|memory| {
        quote! {
            #[allow(clippy::all, clippy::pedantic)]
            fn __larder_memory() -> ::larder::Memory {
                ::larder::Memory::clone(&(#memory))
            }
        }
    });
    let get = match options.memory {
        Some(_) => quote! { get(__larder_memory) },
        None => quote! { get_global() },
    };
    quote! {
        #(#attrs)*
        #vis #sig {
            static __LARDER_CACHED: ::larder::__private::CachedCell<#name> = ::larder::__private::CachedCell::new();
            #memory
            __LARDER_CACHED.#get.call((#(#arguments,)*))
        }
    }
}

/// The function's own code under another name, so that a call by its name goes through the cache.
///
/// It takes the lint levels along, and no other attribute: the rest is about the function its callers see. Lints about
/// the signature are answered there as well, and `const` is refused.
fn body(function: &Function, name: &Ident) -> TokenStream {
    let lints = function.attrs.iter().filter(|attr| is_lint_level(attr)).map(expect_to_allow);
    let mut sig = function.sig.clone();
    sig.ident = name.clone();
    let body = &function.body;
    quote! {
        #(#lints)*
        #[allow(non_snake_case, clippy::too_many_arguments, clippy::missing_const_for_fn)]
        #sig #body
    }
}

/// A name that says in a backtrace whose body runs. Item names are not hygienic, so it is an unlikely one.
fn body_name(name: &Ident) -> Ident {
    format_ident!("__larder_body_of_{}", name)
}
