//! What both attributes emit: the type of the function's name, its implementations, its entry in the registry.
//!
//! Every path is absolute (`::core::option::Option`, `::larder::..`): the tokens land in scopes where a user may have
//! given any name a meaning of their own. Arguments are called `argument_0` and so on for the same reason: a parameter
//! may be called like its function, and would hide it.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::Type;
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::function::Function;
use crate::keys::Known;
use crate::options::Options;
use crate::results::Results;
use crate::signature::Signature;
use crate::{fingerprint, keys, spelling};

/// A sound function and its options, ready to be expanded.
#[derive(Clone, Copy)]
pub(crate) struct Expansion<'f> {
    pub(crate) function: &'f Function,
    pub(crate) signature: &'f Signature,
    pub(crate) options: &'f Options,
    pub(crate) ignored: u32,
    /// The type whose method it is.
    pub(crate) own: Option<&'f Type>,
    pub(crate) code: &'f fingerprint::Code,
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
        let (parameters, marker) = match self.own {
            // The type is in the parameters, so that what is implemented is as private as the type.
            Some(_) => (Some(quote! { <Of> }), Some(quote! { __larder: ::core::marker::PhantomData<fn(&Of)> })),
            None => (self.signature.instance.declared(), self.signature.instance.marker()),
        };
        quote! {
            #(#cfgs)*
            #[allow(non_camel_case_types, dead_code, unreachable_pub)]
            #[allow(missing_copy_implementations, missing_debug_implementations)]
            #[allow(clippy::pedantic, clippy::restriction)]
            #[doc = #doc]
            #hidden
            #vis struct #name #parameters { #marker }
        }
    }

    /// The type's name with its arguments.
    pub(crate) fn ty(&self) -> TokenStream {
        let name = &self.signature.name;
        let arguments = match self.own {
            Some(own) => Some(quote! { <#own> }),
            None => self.signature.instance.arguments(),
        };
        quote! { #name #arguments }
    }

    /// The implementations of `Function` and of `Task` or `AsyncTask`; `body` is how the code past the cache is called,
    /// where there is a cache.
    pub(crate) fn implementation(&self, body: Option<&Ident>) -> TokenStream {
        let ty = self.ty();
        let (bound, clause) = (self.signature.instance.bound(), self.signature.instance.clause(None));
        let constants = self.constants();
        let types = self.types();
        let note = keys::note(self.code, self.signature.name.span());
        let results = self.results();
        let (value, stored, results) = (results.value(), results.stored_type(), results.methods());
        let with_key = keys::with_key(self.signature, self.options);
        let validity = keys::validity(self.options);
        let called = self.called(body);
        quote! {
            #[automatically_derived]
            #[allow(deprecated, unreachable_code, unused_qualifications, non_local_definitions, unexpected_cfgs)]
            #[allow(clippy::all, clippy::pedantic, clippy::nursery)]
            impl #bound ::larder::Function for #ty #clause {
                #constants
                #types
                type Value = #value;
                type Stored = #stored;
                #with_key
                #validity
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

            #called

            #note
        }
    }

    /// How it is called.
    fn called(&self, body: Option<&Ident>) -> TokenStream {
        let ty = self.ty();
        let (bound, clause) = (self.signature.instance.bound(), self.signature.instance.clause(None));
        let arguments = self.arguments();
        let pattern = quote! { (#(#arguments,)*) };
        let body = body.map(|body| self.path_of(body));
        let call = self.path_of(&self.signature.name);
        let lints = quote! {
            #[automatically_derived]
            #[allow(deprecated, unreachable_code, unused_qualifications, non_local_definitions)]
            #[allow(clippy::all, clippy::pedantic, clippy::nursery)]
        };
        if self.function.sig.asyncness.is_some() {
            return quote! {
                #lints
                impl #bound ::larder::AsyncTask for #ty #clause {
                    async fn compute(#pattern: Self::Args<'_>) -> Self::Output {
                        #body(#(#arguments),*).await
                    }
                }
            };
        }
        let compute = body.map(|body| {
            quote! {
                fn compute(#pattern: Self::Args<'_>) -> Self::Output {
                    #body(#(#arguments),*)
                }
            }
        });
        quote! {
            #lints
            impl #bound ::larder::Task for #ty #clause {
                fn call(#pattern: Self::Args<'_>) -> Self::Output {
                    #call(#(#arguments),*)
                }
                #compute
            }
        }
    }

    /// The entry by which another process finds the function. Which instances of a generic function there are, only its
    /// users know: they register them.
    pub(crate) fn entry(&self) -> TokenStream {
        let ty = self.ty();
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
        let generic = self.signature.instance.is_generic();
        let bound = self.signature.instance.bound();
        let decoded = generic.then(|| quote! { #owned: ::larder::__private::DeserializeOwned });
        let clause = self.signature.instance.clause(decoded);
        let submit = (!generic).then(|| {
            quote! {
                ::larder::__private::inventory::submit! {
                    ::larder::__private::TaskEntry::new::<#ty>()
                }
            }
        });
        quote! {
            #[automatically_derived]
            #[allow(non_local_definitions)]
            impl #bound ::larder::__private::Remote for #ty #clause {
                type Owned = #owned;

                fn with(
                    (#(#arguments,)*): Self::Owned,
                    call: &mut dyn for<'larder> ::core::ops::FnMut(Self::Args<'larder>),
                ) {
                    call((#(#passed,)*))
                }
            }

            #submit
        }
    }

    /// The list of parameters, for those who describe a call.
    pub(crate) fn parameters(&self) -> TokenStream {
        let parameters = self.signature.parameters.iter().map(|parameter| {
            let name = parameter.bare_name();
            let type_name = spelling::of(parameter.ty.to_token_stream());
            quote! { ::larder::Parameter::new(#name, #type_name) }
        });
        quote! { &[#(#parameters),*] }
    }

    pub(crate) fn arguments(&self) -> Vec<Ident> {
        let count = self.signature.parameters.len();
        (0..count).map(|index| format_ident!("argument_{}", index, span = Span::mixed_site())).collect()
    }

    fn constants(&self) -> TokenStream {
        let mut path = vec![self.signature.name.unraw().to_string()];
        path.extend(self.own.map(|own| spelling::of(own.to_token_stream())));
        let path = path.iter().rev().map(|part| quote! { "::", #part });
        let Expansion { ignored, .. } = self;
        let version = self.options.version;
        let known = Known::of(self.code, self.options).constants(self.code, self.options);
        let parameters = self.parameters();
        quote! {
            const NAME: &'static ::core::primitive::str = ::core::concat!(::core::module_path!(), #(#path),*);
            const VERSION: ::core::primitive::u64 = #version;
            const PARAMETERS: &'static [::larder::Parameter] = #parameters;
            const IGNORED: ::core::primitive::u32 = #ignored;
            #known
        }
    }

    /// `Args` and `Output`, each of the user's own tokens: a missing serde trait is reported where they are.
    fn types(&self) -> TokenStream {
        let arguments = self.signature.parameters.iter().map(|parameter| {
            let argument = parameter.passing.argument();
            quote! { #argument }
        });
        let arguments = self.tuple(quote! { #(#arguments,)* });
        let output = &self.signature.output;
        quote! {
            type Args<'larder> = #arguments;
            type Output = #output;
        }
    }

    fn results(&self) -> Results<'_> {
        Results::new(&self.signature.output, self.options, !self.signature.instance.is_generic())
    }

    /// A function of this one's place and instance, to be called.
    fn path_of(&self, name: &Ident) -> TokenStream {
        let turbofish = self.signature.instance.turbofish();
        match self.own {
            Some(own) => quote! { <#own>::#name },
            None => quote! { #name #turbofish },
        }
    }

    /// A tuple that stands where the parameters stand, as far as messages go.
    fn tuple(&self, elements: TokenStream) -> Group {
        let mut tuple = Group::new(proc_macro2::Delimiter::Parenthesis, elements);
        tuple.set_span(self.function.sig.paren_token.span.join());
        tuple
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
