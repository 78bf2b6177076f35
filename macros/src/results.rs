//! What is stored of an output, and what a run hands out of it.
//!
//! An attribute sees names and not what they stand for. So an output *called* `Result`, or said to be one (`result`), is
//! taken apart, and any other is stored whole; of that one, a probe finds out whether it is an `Err` or a `None`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;

use crate::options::Options;
use crate::types;

/// A return type, and what is to be stored of it.
pub(crate) struct Results<'o> {
    output: &'o Type,
    /// Whether it is a `Result` by its name or by the option `result`.
    apart: bool,
    store_err: bool,
    store_none: bool,
    /// Whether the type is known where the function is written. A probe sees nothing of a type parameter.
    concrete: bool,
}

impl<'o> Results<'o> {
    pub(crate) fn new(output: &'o Type, options: &Options, concrete: bool) -> Results<'o> {
        Results {
            output,
            apart: options.result.is_some() || types::is_called_result(output),
            store_err: options.store.err.is_some(),
            store_none: options.store.none.is_some(),
            concrete,
        }
    }

    /// The type of what a run hands out, of the user's own tokens: a missing serde trait is reported where they are.
    pub(crate) fn value(&self) -> TokenStream {
        let output = self.output;
        if self.apart {
            quote_spanned! { output.span() => <#output as ::larder::__private::probe::ResultLike>::Ok }
        } else {
            output.to_token_stream()
        }
    }

    /// The type of what is stored.
    pub(crate) fn stored_type(&self) -> TokenStream {
        if self.store_err { self.output.to_token_stream() } else { self.value() }
    }

    /// The methods of `Function` about outputs.
    pub(crate) fn methods(&self) -> TokenStream {
        let output = format_ident!("output", span = Span::mixed_site());
        let failed = self.failed(&quote! { #output });
        let stored = self.stored(&output);
        let restored = self.restored(&output);
        let from_value = if self.apart {
            from_ok(&output)
        } else {
            quote! { #output }
        };
        let into_value = self.split(&output);
        quote! {
            fn failed(#output: &Self::Output) -> ::core::primitive::bool {
                #failed
            }

            fn stored(
                #output: &Self::Output,
            ) -> ::core::result::Result<&Self::Stored, ::larder::NotStoredReason> {
                #stored
            }

            fn restore(#output: Self::Stored) -> Self::Output {
                #restored
            }

            fn into_value(#output: Self::Output) -> ::core::result::Result<Self::Value, ::larder::TaskError> {
                #into_value
            }

            fn from_value(#output: Self::Value) -> Self::Output {
                #from_value
            }
        }
    }

    /// What is stored of the output that `output` refers to, as a `Result`.
    pub(crate) fn stored(&self, output: &Ident) -> TokenStream {
        if self.apart {
            return if self.store_err {
                quote! { ::core::result::Result::Ok(#output) }
            } else {
                quote! {
                    ::larder::__private::probe::ResultLike::as_result(#output)
                        .map_err(|_| ::larder::NotStoredReason::ErrorResult)
                }
            };
        }
        let failed = self.failed(&quote! { #output });
        let none = self.none(output);
        let unless = |is: TokenStream, reason: TokenStream| {
            quote! {
                if #is {
                    return ::core::result::Result::Err(::larder::NotStoredReason::#reason);
                }
            }
        };
        let failed = (!self.store_err).then(|| unless(failed, quote! { ErrorResult }));
        let none = (!self.store_none).then(|| unless(none, quote! { NoneResult }));
        quote! {
            #failed
            #none
            ::core::result::Result::Ok(#output)
        }
    }

    /// The output that the stored value stands for.
    pub(crate) fn restored(&self, stored: &Ident) -> TokenStream {
        if self.apart && !self.store_err {
            from_ok(stored)
        } else {
            quote! { #stored }
        }
    }

    /// Whether the output that `output` refers to is an `Err`.
    fn failed(&self, output: &TokenStream) -> TokenStream {
        if self.apart {
            quote! { ::larder::__private::probe::ResultLike::as_result(#output).is_err() }
        } else if self.concrete {
            quote! {
                {
                    #[allow(unused_imports)]
                    use ::larder::__private::probe::{Fails as _, FailsNot as _};
                    (&::larder::__private::probe::FailedProbe(#output)).failed()
                }
            }
        } else {
            quote! { ::larder::__private::probe::is_err(#output) }
        }
    }

    /// Whether the output that `output` refers to is `None`.
    fn none(&self, output: &Ident) -> TokenStream {
        if self.concrete {
            quote! {
                {
                    #[allow(unused_imports)]
                    use ::larder::__private::probe::{Lacks as _, LacksNot as _};
                    (&::larder::__private::probe::NoneProbe(#output)).is_none()
                }
            }
        } else {
            quote! { ::larder::__private::probe::is_none(#output) }
        }
    }

    fn split(&self, output: &Ident) -> TokenStream {
        let probes = quote! {
            #[allow(unused_imports)]
            use ::larder::__private::probe::{BoxedError as _, DebugError as _, DisplayError as _, SilentError as _};
        };
        if self.apart {
            return quote! {
                #probes
                ::larder::__private::probe::ResultLike::into_result(#output)
                    .map_err(|error| (&&&&::larder::__private::probe::ErrorProbe::new(error)).task_error())
            };
        }
        // An `Err` that was not known for one is reported by whatever text the whole output has.
        quote! {
            #probes
            if Self::failed(&#output) {
                ::core::result::Result::Err((&&&&::larder::__private::probe::ErrorProbe::new(#output)).task_error())
            } else {
                ::core::result::Result::Ok(#output)
            }
        }
    }
}

fn from_ok(value: &Ident) -> TokenStream {
    quote! { ::larder::__private::probe::ResultLike::from_ok(#value) }
}
