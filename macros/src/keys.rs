//! What a key is made of beside the arguments, and how long what it leads to holds.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::Expr;

use crate::fingerprint::{Code, Setting};
use crate::options::{Input, Options};
use crate::signature::Signature;
use crate::spelling;
use crate::types::Passing;

/// A warning at the function's name that says what was not seen. There is no other way for a macro to warn than a name that is
/// deprecated.
pub(crate) fn note(code: &Code, name: Span) -> Option<TokenStream> {
    let note = format!("larder does not see all of the code in its keys: {}", code.note.as_ref()?);
    let constant = Ident::new("CODE_IN_KEYS", name);
    Some(quote! {
        #[warn(deprecated)]
        const _: () = {
            #[deprecated(note = #note)]
            const #constant: () = ();
            #constant
        };
    })
}

/// What is known of a function's code, as expressions.
pub(crate) struct Known {
    pub(crate) fingerprint: TokenStream,
    pub(crate) depends: TokenStream,
    pub(crate) items: TokenStream,
    pub(crate) settings: TokenStream,
    pub(crate) inputs: TokenStream,
    pub(crate) toolchain: TokenStream,
}

impl Known {
    pub(crate) fn of(code: &Code, options: &Options) -> Known {
        let fingerprint = code.digest;
        let depends = &code.depends;
        let items = &code.items;
        let settings = code.settings.iter().map(setting);
        let inputs = options.inputs.iter().chain(&code.inputs).map(|input| match input {
            Input::File(path) => quote! { ::larder::Input::File(#path) },
            Input::Env(name) => quote! { ::larder::Input::Env(#name) },
        });
        let toolchain = options.toolchain || code.toolchain;
        Known {
            fingerprint: quote! { [#(#fingerprint),*] },
            depends: quote! { &[#(<#depends as ::larder::__private::Depended>::DEPENDENCY),*] },
            items: quote! { #items },
            // A constant of its own: what a call gives is no static otherwise.
            settings: quote! { const { &[#(#settings),*] } },
            inputs: quote! { &[#(#inputs),*] },
            toolchain: quote! { #toolchain },
        }
    }

    /// The constants of a function, but for those that are as they are without words.
    pub(crate) fn constants(&self, code: &Code, options: &Options) -> TokenStream {
        let Known { fingerprint, depends, items, settings, inputs, toolchain } = self;
        let depends =
            (!code.depends.is_empty()).then(|| quote! { const DEPENDS: &'static [::larder::Dependency] = #depends; });
        let items = (!code.items.is_empty()).then(|| quote! { const ITEMS: &'static ::core::primitive::str = #items; });
        let settings =
            (!code.settings.is_empty()).then(|| quote! { const SETTINGS: &'static [::larder::Setting] = #settings; });
        let inputs = (!(options.inputs.is_empty() && code.inputs.is_empty()))
            .then(|| quote! { const INPUTS: &'static [::larder::Input] = #inputs; });
        let toolchain = (options.toolchain || code.toolchain)
            .then(|| quote! { const TOOLCHAIN: ::core::primitive::bool = #toolchain; });
        quote! {
            const FINGERPRINT: [::core::primitive::u8; 32] = #fingerprint;
            #depends
            #items
            #settings
            #inputs
            #toolchain
        }
    }
}

/// What the compiler answers where the function is, under the name it has for people.
fn setting(setting: &Setting) -> TokenStream {
    match setting {
        Setting::Cfg(predicate) => {
            let name = format!("cfg({})", spelling::of(predicate.clone()));
            quote! {
                ::larder::Setting::new(#name, if ::core::cfg!(#predicate) {
                    ::core::option::Option::Some("set")
                } else {
                    ::core::option::Option::None
                })
            }
        }
        Setting::Env(variable) => {
            let name = format!("env {variable}");
            quote! { ::larder::Setting::new(#name, ::core::option_env!(#variable)) }
        }
    }
}

/// `fn with_key`, where `key` is given.
pub(crate) fn with_key(signature: &Signature, options: &Options) -> Option<TokenStream> {
    let key = options.key.as_ref()?;
    let args = format_ident!("args", span = Span::mixed_site());
    let with = format_ident!("with", span = Span::mixed_site());
    let maker = format_ident!("__LarderWith", span = Span::mixed_site());
    let given = given(signature, key, &args, &with, Receiver::Renamed);
    Some(quote! {
        #[allow(unused_variables)]
        fn with_key<#maker: ::larder::WithKey>(#args: &Self::Args<'_>, #with: #maker) -> #maker::Out {
            #given
        }
    })
}

/// What `self` is in the expression of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// The method's own.
    Kept,
    /// An argument like the others, under another name.
    Renamed,
}

/// Evaluates `key` with each parameter's name bound to a reference of its argument, and gives it to `with`.
pub(crate) fn given(signature: &Signature, key: &Expr, args: &Ident, with: &Ident, receiver: Receiver) -> TokenStream {
    let this = format_ident!("this", span = Span::mixed_site());
    let name = |name: &Ident| match (name == "self", receiver) {
        (true, Receiver::Renamed) => Some(this.clone()),
        (true, Receiver::Kept) => None,
        _ => Some(name.clone()),
    };
    let names = signature.parameters.iter().map(|parameter| match name(&parameter.name) {
        Some(name) => name.into_token_stream(),
        None => quote! { _ },
    });
    // What is borrowed already is not borrowed again.
    let borrowed = signature.parameters.iter().filter_map(|parameter| {
        let name = name(&parameter.name)?;
        matches!(parameter.passing, Passing::Borrowed(_)).then(|| quote! { let #name = *#name; })
    });
    let key = match receiver {
        Receiver::Kept => key.to_token_stream(),
        Receiver::Renamed => renamed(key.to_token_stream(), &this),
    };
    quote! {
        let (#(#names,)*) = #args;
        #(#borrowed)*
        ::larder::WithKey::given(#with, &(#key))
    }
}

/// `fn validity`, where stored results do not hold for good.
pub(crate) fn validity(options: &Options) -> Option<TokenStream> {
    let validity = validity_of(options)?;
    Some(quote! {
        fn validity() -> ::larder::Validity {
            #validity
        }
    })
}

/// The validity as an expression, where there is one.
pub(crate) fn validity_of(options: &Options) -> Option<TokenStream> {
    if options.expires_after.is_none() && options.validate.is_none() {
        return None;
    }
    let expires = options.expires_after.iter();
    let validate = options.validate.iter();
    Some(quote! { ::larder::Validity::always() #(.expires_after(#expires))* #(.validate(#validate))* })
}

/// The expression with another word for `self`.
fn renamed(tokens: TokenStream, this: &Ident) -> TokenStream {
    let tree = |tree| match tree {
        TokenTree::Ident(word) if word == "self" => TokenTree::Ident(Ident::new(&this.to_string(), this.span())),
        TokenTree::Group(group) => {
            let mut other = Group::new(group.delimiter(), renamed(group.stream(), this));
            other.set_span(group.span());
            TokenTree::Group(other)
        }
        other => other,
    };
    tokens.into_iter().map(tree).collect()
}

#[cfg(test)]
mod test {
    use super::*;

    fn text(tokens: &TokenStream) -> String {
        tokens.to_string().replace(char::is_whitespace, "")
    }

    #[test]
    fn what_is_known_of_code_is_in_its_constants() {
        let options = Options::default();
        let bare = Code { digest: [7; 32], items: String::new(), settings: Vec::new(), ..Code::default() };
        let constants = text(&Known::of(&bare, &options).constants(&bare, &options));
        assert!(constants.starts_with("constFINGERPRINT:") && constants.matches("const").count() == 1, "{constants}");

        let settings = vec![Setting::Cfg(quote! { any(unix, feature = "fast") }), Setting::Env("BUILT_BY".to_owned())];
        let code = Code { items: "0123456789abcdef\tfn f\tsrc/f.rs".to_owned(), settings, ..bare };
        let inputs = vec![Input::File("a.bin".to_owned()), Input::Env("HOME".to_owned())];
        let options = Options { inputs, toolchain: true, ..Options::default() };
        let constants = text(&Known::of(&code, &options).constants(&code, &options));
        for part in [
            r#"constITEMS:&'static::core::primitive::str="0123456789abcdef\tfnf\tsrc/f.rs";"#,
            r#"::larder::Setting::new("cfg(any(unix,feature=\"fast\"))",if::core::cfg!(any(unix,feature="fast")){"#,
            r#"::larder::Setting::new("envBUILT_BY",::core::option_env!("BUILT_BY"))"#,
            r#"constINPUTS:&'static[::larder::Input]=&[::larder::Input::File("a.bin"),::larder::Input::Env("HOME")];"#,
            "constTOOLCHAIN:::core::primitive::bool=true;",
        ] {
            assert!(constants.contains(part), "{part} is not in {constants}");
        }
    }
}
