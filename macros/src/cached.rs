//! `#[larder::cached]`: the function asks its cache, and its body moves aside.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{FnArg, Pat};

use crate::expand::Expansion;
use crate::function::{Function, expect_to_allow, is_lint_level};
use crate::instance;
use crate::options::Options;
use crate::task;

/// The expansion of a sound function.
pub(crate) fn expand(expansion: &Expansion<'_>) -> TokenStream {
    let front = front(expansion);
    let task_type = expansion.task_type();
    let body_name = body_name(&expansion.signature.name);
    // The body stands beside the implementations, out of reach of their `allow`s: a user's code is linted as usual.
    let body = body(expansion.function, &body_name);
    let implementation = expansion.implementation(Some(&body_name));
    let implementation = task::beside(expansion, &quote! { #body #implementation });
    let entry = expansion.options.task.is_some().then(|| task::entry(expansion));
    quote! { #front #task_type #implementation #entry }
}

/// The function its callers see.
fn front(expansion: &Expansion<'_>) -> TokenStream {
    let Expansion { function, signature, options, .. } = expansion;
    let attrs = function.attrs.iter().map(expect_to_allow);
    let vis = &function.vis;
    let mut sig = front_signature(&function.sig);
    let arguments = signature.parameters.iter().map(|parameter| &parameter.name);
    let ty = expansion.ty();
    let generic = signature.instance.is_generic();
    if generic {
        sig.generics = instance::outliving(&sig.generics);
    }
    let (memory, get) = match (&options.memory, generic) {
        (None, false) => (None, quote! { get_global() }),
        (None, true) => (None, quote! { get_global::<#ty>() }),
        (Some(_), false) => (memory(options), quote! { get(__larder_memory) }),
        (Some(_), true) => (memory(options), quote! { get::<#ty>(__larder_memory) }),
    };
    let cell = match generic {
        false => quote! { CachedCell<#ty> = ::larder::__private::CachedCell },
        true => quote! { Instances = ::larder::__private::Instances },
    };
    let call = match function.sig.asyncness {
        Some(_) => quote! { call_async((#(#arguments,)*)).await },
        None => quote! { call((#(#arguments,)*)) },
    };
    quote! {
        #(#attrs)*
        #vis #sig {
            static __LARDER_CACHED: ::larder::__private::#cell::new();
            #memory
            __LARDER_CACHED.#get.#call
        }
    }
}

/// The signature without `mut`: the front only passes arguments on, so it would be reported as unused there.
pub(crate) fn front_signature(sig: &syn::Signature) -> syn::Signature {
    let mut sig = sig.clone();
    for input in &mut sig.inputs {
        match input {
            FnArg::Typed(typed) => {
                if let Pat::Ident(pattern) = &mut *typed.pat {
                    pattern.mutability = None;
                }
            }
            FnArg::Receiver(receiver) => receiver.mutability = None,
        }
    }
    sig
}

/// The memory of the option, as a function.
///
/// A nested function, not a closure: the memory is chosen once, so it cannot depend on one call's arguments.
pub(crate) fn memory(options: &Options) -> Option<TokenStream> {
    options.memory.as_ref().map(|memory| {
        quote! {
            #[allow(clippy::all, clippy::pedantic)]
            fn __larder_memory() -> ::larder::Memory {
                ::larder::Memory::clone(&(#memory))
            }
        }
    })
}

/// The function's own code under another name, so that a call by its name goes through the cache.
///
/// It takes the lint levels along, and no other attribute: the rest is about the function its callers see. Lints about
/// the signature are answered there as well, and `const` is refused.
pub(crate) fn body(function: &Function, name: &Ident) -> TokenStream {
    let lints = function.attrs.iter().filter(|attr| is_lint_level(attr)).map(expect_to_allow);
    let mut sig = function.sig.clone();
    sig.ident = name.clone();
    sig.generics = instance::outliving(&sig.generics);
    let body = &function.body;
    quote! {
        #(#lints)*
        #[allow(non_snake_case, clippy::too_many_arguments, clippy::missing_const_for_fn)]
        #sig #body
    }
}

/// A name that says in a backtrace whose body runs. Item names are not hygienic, so it is an unlikely one.
pub(crate) fn body_name(name: &Ident) -> Ident {
    format_ident!("__larder_body_of_{}", name)
}
