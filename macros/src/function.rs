//! The function under an attribute, parsed as far as its signature.
//!
//! The body stays raw tokens: nothing here looks into it, and a body with syntax newer than syn's still compiles.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Abi, Attribute, Error, Meta, Signature, Token, Visibility};

use crate::attribute::Kind;
use crate::problems::Problems;

/// A function as the user wrote it.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Function {
    /// Reads a function.
    pub(crate) fn parse(kind: Kind, item: TokenStream) -> syn::Result<Function> {
        let whole = item.clone();
        let parser = |input: ParseStream| {
            let attrs = input.call(Attribute::parse_outer)?;
            let vis = input.parse()?;
            if !starts_function(input) {
                input.parse::<TokenStream>()?;
                let message = format!("{} goes on a function: move it there", kind.spelling());
                return Err(Error::new_spanned(&whole, message));
            }
            let sig: Signature = input.parse()?;
            if !input.peek(syn::token::Brace) {
                input.parse::<TokenStream>()?;
                let message = format!("{} needs the function's body: put it on the definition", kind.spelling());
                return Err(Error::new_spanned(&sig, message));
            }
            Ok(Function { attrs, vis, sig, body: input.parse()? })
        };
        parser.parse2(item)
    }

    /// Refuses, and takes off, a second attribute of this crate.
    ///
    /// Each attribute would add the type of the function's name. Taking it off keeps the second one from repeating the
    /// complaint when its turn comes.
    pub(crate) fn refuse_second_attribute(&mut self, problems: &mut Problems) {
        self.attrs.retain(|attr| {
            let second = is_ours(attr);
            if second {
                problems.at(attr, "a function takes one attribute of larder: for a cached task, write `#[larder::cached(task)]` alone");
            }
            !second
        });
    }

    /// The `#[cfg(..)]` attributes, repeated on every item that stands or falls with the function.
    pub(crate) fn cfgs(&self) -> impl Iterator<Item = &Attribute> + Clone {
        self.attrs.iter().filter(|attr| attr.path().is_ident("cfg"))
    }

    /// `#[doc(hidden)]`, where the function has it: its type hides as well.
    pub(crate) fn hidden(&self) -> Option<&Attribute> {
        self.attrs.iter().find(|attr| {
            attr.path().is_ident("doc") && matches!(&attr.meta, Meta::List(list) if list.tokens.to_string() == "hidden")
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Function { attrs, vis, sig, body } = self;
        tokens.extend(quote! { #(#attrs)* #vis #sig #body });
    }
}

/// Whether a function begins here, by all that may stand before `fn`.
fn starts_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    let qualifiers = |ahead: ParseStream| {
        ahead.parse::<Option<Token![const]>>()?;
        ahead.parse::<Option<Token![async]>>()?;
        ahead.parse::<Option<Token![unsafe]>>()?;
        Option::<Abi>::parse(ahead)
    };
    qualifiers(&ahead).is_ok() && ahead.peek(Token![fn])
}

/// Whether an attribute is one of this crate's, under its full path or imported by name.
fn is_ours(attr: &Attribute) -> bool {
    let mut segments = attr.path().segments.iter().rev();
    let ours = segments.next().is_some_and(|last| last.ident == "task" || last.ident == "cached");
    ours && segments.next().is_none_or(|krate| krate.ident == "larder" || krate.ident == "larder_macros")
}

/// Whether an attribute sets lint levels.
pub(crate) fn is_lint_level(attr: &Attribute) -> bool {
    ["allow", "expect", "warn", "deny", "forbid"].iter().any(|level| attr.path().is_ident(level))
}

/// The same attribute with `expect` turned into `allow`; see the documentation of `cached`.
pub(crate) fn expect_to_allow(attr: &Attribute) -> TokenStream {
    if !attr.path().is_ident("expect") {
        return attr.into_token_stream();
    }
    match &attr.meta {
        Meta::List(list) => {
            let lints = without_reason(list.tokens.clone());
            quote! { #[allow(#lints)] }
        }
        _ => attr.into_token_stream(),
    }
}

/// An expectation's reason says why the lint is expected, which is no reason to allow it elsewhere.
fn without_reason(lints: TokenStream) -> TokenStream {
    lints.into_iter().take_while(|tree| !matches!(tree, TokenTree::Ident(word) if word == "reason")).collect()
}
