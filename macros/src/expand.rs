//! What both attributes emit: the type of the function's name, its `Task` implementation, its entry in the registry.
//!
//! Every path is absolute (`::core::option::Option`, `::larder::..`): the tokens land in scopes where a user may have
//! given any name a meaning of their own. Arguments are called `argument_0` and so on for the same reason: a parameter
//! may be called like its function, and would hide it.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::fingerprint;
use crate::function::Function;
use crate::signature::Signature;
use crate::{spelling, types};

/// A sound function and its options, ready to be expanded.
pub(crate) struct Expansion<'f> {
    pub(crate) function: &'f Function,
    pub(crate) signature: &'f Signature,
    pub(crate) version: u64,
    pub(crate) ignored: u32,
}

impl Expansion<'_> {
    /// The type that bears the function's name. Braces keep it out of the values, where the function is.
    ///
    /// Whatever a lint would say about it, it says about the function already.
    pub(crate) fn task_type(&self) -> TokenStream {
        let cfgs = self.function.cfgs();
        let hidden = self.function.hidden();
        let vis = &self.function.vis;
        let name = &self.signature.name;
        let bare = name.unraw();
        let doc = format!("The task of the function [`{bare}`](fn@{bare}).");
        quote! {
            #(#cfgs)*
            #[allow(non_camel_case_types, dead_code, unreachable_pub)]
            #[allow(missing_copy_implementations, missing_debug_implementations)]
            #[allow(clippy::pedantic, clippy::restriction)]
            #[doc = #doc]
            #hidden
            #vis struct #name {}
        }
    }

    /// The `Task` implementation; `body` is the name and the item of the code past the cache, where there is a cache.
    pub(crate) fn implementation(&self, body: Option<(&Ident, TokenStream)>) -> TokenStream {
        let cfgs = self.function.cfgs();
        let name = &self.signature.name;
        let constants = self.constants();
        let types = self.types();
        let arguments = self.arguments();
        let pattern = quote! { (#(#arguments,)*) };
        let results = if types::is_called_result(&self.signature.output) { fallible() } else { plain() };
        let (compute, body) = match body {
            Some((code, item)) => {
                let compute = quote! {
                    fn compute(#pattern: Self::Args<'_>) -> Self::Output {
                        #code(#(#arguments),*)
                    }
                };
                (Some(compute), Some(item))
            }
            None => (None, None),
        };
        // The body stands beside the implementation, out of reach of its `allow`s: a user's code is linted as usual.
        quote! {
            #(#cfgs)*
            const _: () = {
                #body

                #[automatically_derived]
                #[allow(deprecated, unreachable_code, unused_qualifications)]
                #[allow(clippy::all, clippy::pedantic, clippy::nursery)]
                impl ::larder::Function for #name {
                    #constants
                    #types
                    #results

                    fn copy_args<'larder>(
                        args: &Self::Args<'larder>,
                    ) -> ::core::option::Option<Self::Args<'larder>> {
                        #[allow(unused_imports)]
                        use ::larder::__private::probe::{Copies as _, CopiesNot as _};
                        (&::larder::__private::probe::CopyProbe(args)).copied()
                    }

                    fn sharing() -> ::core::option::Option<::larder::__private::probe::Sharing<Self::Stored>> {
                        #[allow(unused_imports)]
                        use ::larder::__private::probe::{Shares as _, SharesNot as _};
                        (&::larder::__private::probe::SharingProbe::<Self::Stored>::new()).sharing()
                    }
                }

                #[automatically_derived]
                #[allow(deprecated, unreachable_code, unused_qualifications)]
                #[allow(clippy::all, clippy::pedantic, clippy::nursery)]
                impl ::larder::Task for #name {
                    fn call(#pattern: Self::Args<'_>) -> Self::Output {
                        #name(#(#arguments),*)
                    }
                    #compute
                }
            };
        }
    }

    /// The entry by which another process finds the function.
    pub(crate) fn entry(&self) -> TokenStream {
        let cfgs = self.function.cfgs();
        let name = &self.signature.name;
        let arguments = self.arguments();
        let owned = self.signature.parameters.iter().map(|parameter| {
            let owned = parameter.passing.owned();
            // `String` and its like are our words; a complaint about them belongs to the parameter all the same.
            respanned(owned, parameter.ty.span())
        });
        let owned = self.tuple(quote! { #(#owned,)* });
        let passed = self.signature.parameters.iter().zip(&arguments).map(|(parameter, argument)| {
            let reference = parameter.passing.reference();
            quote! { #reference #argument }
        });
        quote! {
            #(#cfgs)*
            #[allow(deprecated, clippy::all, clippy::pedantic, clippy::nursery)]
            const _: () = {
                #[automatically_derived]
                impl ::larder::__private::Remote for #name {
                    type Owned = #owned;

                    fn with(
                        (#(#arguments,)*): Self::Owned,
                        call: &mut dyn for<'larder> ::core::ops::FnMut(Self::Args<'larder>),
                    ) {
                        call((#(#passed,)*))
                    }
                }

                ::larder::__private::inventory::submit! {
                    ::larder::__private::TaskEntry::new::<#name>()
                }
            };
        }
    }

    fn constants(&self) -> TokenStream {
        let name = self.signature.name.unraw().to_string();
        let Expansion { version, ignored, .. } = self;
        let fingerprint = fingerprint::of_function(self.function);
        let parameters = self.signature.parameters.iter().map(|parameter| {
            let name = parameter.bare_name();
            let type_name = spelling::of(parameter.ty.to_token_stream());
            quote! { ::larder::Parameter::new(#name, #type_name) }
        });
        quote! {
            const NAME: &'static ::core::primitive::str = ::core::concat!(::core::module_path!(), "::", #name);
            const FINGERPRINT: [::core::primitive::u8; 32] = [#(#fingerprint),*];
            const VERSION: ::core::primitive::u64 = #version;
            const PARAMETERS: &'static [::larder::Parameter] = &[#(#parameters),*];
            const IGNORED: ::core::primitive::u32 = #ignored;
        }
    }

    /// `Args`, `Output` and `Value`, each of the user's own tokens: a missing serde trait is reported where they are.
    fn types(&self) -> TokenStream {
        let arguments = self.signature.parameters.iter().map(|parameter| {
            let argument = parameter.passing.argument();
            quote! { #argument }
        });
        let arguments = self.tuple(quote! { #(#arguments,)* });
        let output = &self.signature.output;
        let value = if types::is_called_result(output) {
            quote_spanned! { output.span() => <#output as ::larder::__private::probe::ResultLike>::Ok }
        } else {
            output.to_token_stream()
        };
        quote! {
            type Args<'larder> = #arguments;
            type Output = #output;
            type Value = #value;
            type Stored = Self::Value;
        }
    }

    /// A tuple that stands where the parameters stand, as far as messages go.
    fn tuple(&self, elements: TokenStream) -> Group {
        let mut tuple = Group::new(proc_macro2::Delimiter::Parenthesis, elements);
        tuple.set_span(self.function.sig.paren_token.span.join());
        tuple
    }

    fn arguments(&self) -> Vec<Ident> {
        let count = self.signature.parameters.len();
        (0..count).map(|index| format_ident!("argument_{}", index, span = Span::mixed_site())).collect()
    }
}

/// How a `Result` is stored: its `Ok` side alone.
fn fallible() -> TokenStream {
    quote! {
        fn failed(output: &Self::Output) -> ::core::primitive::bool {
            ::larder::__private::probe::ResultLike::as_result(output).is_err()
        }

        fn stored(
            output: &Self::Output,
        ) -> ::core::result::Result<&Self::Stored, ::larder::NotStoredReason> {
            ::larder::__private::probe::ResultLike::as_result(output)
                .map_err(|_| ::larder::NotStoredReason::ErrorResult)
        }

        fn restore(stored: Self::Stored) -> Self::Output {
            ::larder::__private::probe::ResultLike::from_ok(stored)
        }

        fn into_value(output: Self::Output) -> ::core::result::Result<Self::Value, ::larder::TaskError> {
            #[allow(unused_imports)]
            use ::larder::__private::probe::{BoxedError as _, DebugError as _, DisplayError as _, SilentError as _};
            ::larder::__private::probe::ResultLike::into_result(output)
                .map_err(|error| (&&&&::larder::__private::probe::ErrorProbe::new(error)).task_error())
        }

        fn from_value(value: Self::Value) -> Self::Output {
            ::larder::__private::probe::ResultLike::from_ok(value)
        }
    }
}

/// How anything else is stored: whole. It may still be a `Result` under another name; its `Err` is not stored, and is
/// reported by whatever text the whole output has.
fn plain() -> TokenStream {
    quote! {
        fn failed(output: &Self::Output) -> ::core::primitive::bool {
            #[allow(unused_imports)]
            use ::larder::__private::probe::{Fails as _, FailsNot as _};
            (&::larder::__private::probe::FailedProbe(output)).failed()
        }

        fn stored(
            output: &Self::Output,
        ) -> ::core::result::Result<&Self::Stored, ::larder::NotStoredReason> {
            if Self::failed(output) {
                ::core::result::Result::Err(::larder::NotStoredReason::ErrorResult)
            } else {
                ::core::result::Result::Ok(output)
            }
        }

        fn restore(stored: Self::Stored) -> Self::Output {
            stored
        }

        fn into_value(output: Self::Output) -> ::core::result::Result<Self::Value, ::larder::TaskError> {
            #[allow(unused_imports)]
            use ::larder::__private::probe::{BoxedError as _, DebugError as _, DisplayError as _, SilentError as _};
            if Self::failed(&output) {
                ::core::result::Result::Err((&&&&::larder::__private::probe::ErrorProbe::new(output)).task_error())
            } else {
                ::core::result::Result::Ok(output)
            }
        }

        fn from_value(value: Self::Value) -> Self::Output {
            value
        }
    }
}

/// The same tokens, placed elsewhere; what came from the user keeps its hygiene.
fn respanned(tokens: TokenStream, span: Span) -> TokenStream {
    tokens
        .into_iter()
        .map(|mut tree| {
            tree.set_span(tree.span().located_at(span));
            tree
        })
        .collect::<Vec<TokenTree>>()
        .into_iter()
        .collect()
}
