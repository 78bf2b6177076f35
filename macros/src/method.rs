//! `#[larder::cached]` on a method: a cache within the method itself.
//!
//! An attribute on a method sees neither the `impl` nor its parameters, and can add no items beside it. But a closure in
//! the method may name all of them. So the body becomes a closure; its type, which is another one for each instance of the
//! `impl` and the method, tells the instances apart and has their names.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{FnArg, Pat};

use crate::cached::{body, body_name, front_signature, memory};
use crate::expand::Expansion;
use crate::function::expect_to_allow;
use crate::keys::{self, Known, Receiver};
use crate::problems::Problems;
use crate::results::Results;
use crate::types::Passing;

/// The expansion of a sound method.
pub(crate) fn expand(expansion: &Expansion<'_>, problems: &mut Problems) -> TokenStream {
    let Expansion { function, signature, options, .. } = expansion;
    let by_value =
        signature.parameters.first().is_some_and(|first| first.name == "self" && !is_borrowed(&first.passing));
    if by_value && let Some(key) = &options.key {
        problems
            .at(key, "a method with a `key` of its own takes `&self`: its value is needed for the key and by the body");
    }
    let attrs = function.attrs.iter().map(expect_to_allow);
    let vis = &function.vis;
    let sig = front_signature(&function.sig);
    let memory_item = memory(options);
    let memory = match memory_item {
        Some(_) => quote! { __larder_memory },
        None => quote! { ::larder::__private::global_memory },
    };
    let code = code(expansion);
    let road = road(expansion);
    let arguments = arguments(expansion);
    let key = key(expansion);
    let call = format_ident!("{}", if key.is_some() { "call_keyed" } else { "call" });
    let note = keys::note(expansion.code, expansion.signature.name.span());
    let (compute, sibling) = compute(expansion, by_value);
    quote! {
        #(#attrs)*
        #vis #sig {
            #note
            #[allow(unexpected_cfgs)]
            static __LARDER_METHOD: ::larder::__private::MethodCell = ::larder::__private::MethodCell::new(#code);
            #memory_item
            __LARDER_METHOD.#call(#memory, #road, #arguments, #key #compute)
        }
        #sibling
    }
}

/// What is known of the method without its types.
fn code(expansion: &Expansion<'_>) -> TokenStream {
    let name = expansion.signature.name.unraw().to_string();
    let known = Known::of(expansion.code, expansion.options);
    let Known { fingerprint, depends, items, settings, inputs, toolchain } = known;
    let parameters = expansion.parameters();
    let (version, ignored) = (expansion.options.version, expansion.ignored);
    quote! {
        ::larder::__private::MethodCode {
            path: ::core::concat!(::core::module_path!(), "::", #name),
            name: #name,
            fingerprint: #fingerprint,
            version: #version,
            parameters: #parameters,
            ignored: #ignored,
            depends: #depends,
            items: #items,
            settings: #settings,
            inputs: #inputs,
            toolchain: #toolchain,
        }
    }
}

/// What is stored of an output, as functions.
fn road(expansion: &Expansion<'_>) -> TokenStream {
    let output_type = &expansion.signature.output;
    // Whether the `impl` is generic is out of sight.
    let results = Results::new(output_type, expansion.options, false);
    let output = format_ident!("output", span = Span::mixed_site());
    let stored_type = results.stored_type();
    let stored = results.stored(&output);
    let restored = results.restored(&output);
    let validity = keys::validity_of(expansion.options).unwrap_or_else(|| quote! { ::larder::Validity::always() });
    quote! {
        #[allow(unused_qualifications, clippy::all, clippy::pedantic, clippy::nursery)]
        {
            ::larder::__private::Road::<#output_type, #stored_type> {
                stored: |#output| { #stored },
                restore: |#output| #restored,
                sharing: || {
                    #[allow(unused_imports)]
                    use ::larder::__private::probe::{Shares as _, SharesNot as _};
                    (&::larder::__private::probe::SharingProbe::<#stored_type>::new()).sharing()
                },
                validity: || #validity,
            }
        }
    }
}

/// The tuple of arguments. A value that is not in the key need not be one that serde can write.
fn arguments(expansion: &Expansion<'_>) -> TokenStream {
    let unkeyed = expansion.options.key.is_some() || expansion.ignored & 1 == 1;
    let arguments = expansion.signature.parameters.iter().map(|parameter| {
        let name = &parameter.name;
        match &parameter.passing {
            Passing::Borrowed(_) if name == "self" && unkeyed => quote! { ::larder::__private::NotInKey },
            _ => quote! { #name },
        }
    });
    quote! { (#(#arguments,)*) }
}

/// What makes the key, where it is not the arguments: a closure, as one more argument.
fn key(expansion: &Expansion<'_>) -> Option<TokenStream> {
    let key = expansion.options.key.as_ref()?;
    let args = format_ident!("args", span = Span::mixed_site());
    let with = format_ident!("with", span = Span::mixed_site());
    let given = keys::given(expansion.signature, key, &args, &with, Receiver::Kept);
    Some(quote! {
        #[allow(unused_variables, clippy::all, clippy::pedantic, clippy::nursery)]
        |#args, #with| { #given },
    })
}

/// The body as a closure; where the method takes its value by itself, as a method beside it.
fn compute(expansion: &Expansion<'_>, by_value: bool) -> (TokenStream, Option<TokenStream>) {
    let function = expansion.function;
    if by_value {
        let name = body_name(&expansion.signature.name);
        let body = body(function, &name);
        let cfgs = function.cfgs();
        let arguments = expansion.arguments();
        let compute = quote! { |(#(#arguments,)*)| Self::#name(#(#arguments),*) };
        return (compute, Some(quote! { #(#cfgs)* #[doc(hidden)] #body }));
    }
    let patterns = function.sig.inputs.iter().map(|input| match input {
        FnArg::Receiver(_) => quote! { _ },
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(pattern) => quote! { #pattern },
            other => quote! { #other },
        },
    });
    let output = &expansion.signature.output;
    let body = &function.body;
    (quote! { |(#(#patterns,)*)| -> #output #body }, None)
}

fn is_borrowed(passing: &Passing) -> bool {
    matches!(passing, Passing::Borrowed(_))
}
