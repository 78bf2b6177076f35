//! What a key is made of beside the arguments, and how long what it leads to holds.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::Expr;

use crate::options::Options;
use crate::signature::Signature;
use crate::types::Passing;

/// `const DEPENDS`, where there are any.
pub(crate) fn depends(options: &Options) -> Option<TokenStream> {
    let list = dependencies(options)?;
    Some(quote! { const DEPENDS: &'static [::larder::Dependency] = #list; })
}

/// The list of dependencies, where there are any.
pub(crate) fn dependencies(options: &Options) -> Option<TokenStream> {
    let depends = &options.depends;
    (!depends.is_empty()).then(|| quote! { &[#(<#depends as ::larder::__private::Depended>::DEPENDENCY),*] })
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
