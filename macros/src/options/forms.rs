//! The forms in which options are written: a value behind `=`, or a list in parentheses.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, LitInt, LitStr, Token, Type, parenthesized, token};

use crate::types;

/// What is stored beside values.
#[derive(Default)]
pub(crate) struct Store {
    /// `Err`, with the whole `Result`.
    pub(crate) err: Option<Ident>,
    /// `None`.
    pub(crate) none: Option<Ident>,
}

impl Store {
    /// `store(err, none)`.
    pub(super) fn parse(name: &Ident, input: ParseStream) -> syn::Result<Store> {
        let mut store = Store::default();
        for what in list(name, "store(err, none)", input, Ident::parse_any)? {
            let place = match &*what.to_string() {
                "err" => &mut store.err,
                "none" => &mut store.none,
                _ => return Err(Error::new_spanned(what, "`store` knows `err` and `none`: write `store(err, none)`")),
            };
            if place.is_some() {
                return Err(Error::new_spanned(&what, format!("`{what}` is stored twice: keep one")));
            }
            *place = Some(what);
        }
        Ok(store)
    }
}

/// `name = VALUE`, with an example for who left the value out.
pub(super) fn value<T: Parse>(name: &Ident, example: &str, input: ParseStream) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(Error::new_spanned(name, format!("`{name}` takes a value: write `{example}`")));
    }
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `version = N`.
pub(super) fn number(name: &Ident, input: ParseStream) -> syn::Result<u64> {
    const WRITE: &str = "`version` takes a whole number: write `version = 1`";
    if !input.peek(Token![=]) {
        return Err(Error::new_spanned(name, WRITE));
    }
    input.parse::<Token![=]>()?;
    let number: LitInt = input.parse().map_err(|problem| Error::new(problem.span(), WRITE))?;
    if number.base10_digits().starts_with('-') {
        return Err(Error::new_spanned(number, WRITE));
    }
    number.base10_parse().map_err(|_| Error::new_spanned(number, "`version` is at most 2^64 - 1: use a smaller number"))
}

/// `of = TYPE`, the type without quotes.
pub(super) fn of_type(name: &Ident, input: ParseStream) -> syn::Result<Type> {
    let ahead = input.fork();
    if ahead.parse::<Token![=]>().is_ok()
        && let Ok(text) = ahead.parse::<LitStr>()
    {
        let message = format!("a type is written without quotes: write `of = {}`", text.value());
        return Err(Error::new_spanned(text, message));
    }
    value(name, "of = Type", input)
}

/// `ignore(a, b)`.
pub(super) fn names(name: &Ident, input: ParseStream) -> syn::Result<Vec<Ident>> {
    if !input.peek(token::Paren) {
        let message = "`ignore` takes parameter names in parentheses: write `ignore(name)`";
        return Err(Error::new_spanned(name, message));
    }
    let names: Vec<Ident> = list(name, "ignore(name)", input, |input| {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            let message = format!("parameter names are written without quotes: write `ignore({})`", text.value());
            return Err(Error::new_spanned(text, message));
        }
        input.call(Ident::parse_any)
    })?;
    for (position, name) in names.iter().enumerate() {
        if names.iter().take(position).any(|earlier| earlier == name) {
            return Err(Error::new_spanned(name, format!("`{name}` is ignored twice: keep one")));
        }
    }
    Ok(names)
}

/// `depends(path, ..)`: among types, where each function has one of its name.
pub(super) fn functions(name: &Ident, input: ParseStream) -> syn::Result<Vec<Type>> {
    list(name, "depends(function, module::other)", input, |input| {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            let message = format!("functions are named without quotes: write `depends({})`", text.value());
            return Err(Error::new_spanned(text, message));
        }
        match input.parse()? {
            ty if matches!(types::bare(&ty), Type::Path(_)) => Ok(ty),
            other => Err(Error::new_spanned(other, "`depends` takes names of functions: write `depends(function)`")),
        }
    })
}

/// `name(item, ..)`.
fn list<T>(
    name: &Ident,
    example: &str,
    input: ParseStream,
    item: fn(ParseStream) -> syn::Result<T>,
) -> syn::Result<Vec<T>> {
    if !input.peek(token::Paren) {
        return Err(Error::new_spanned(name, format!("`{name}` takes a list in parentheses: write `{example}`")));
    }
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        let message = match &*name.to_string() {
            "ignore" => "`ignore` names no parameter: name one, or leave the option out".to_owned(),
            _ => format!("`{name}` names nothing: write `{example}`, or leave the option out"),
        };
        return Err(Error::new_spanned(name, message));
    }
    let items = Punctuated::<T, Token![,]>::parse_terminated_with(&content, item);
    // A parenthesis that is not read to its end would be an error of its own.
    content.parse::<TokenStream>()?;
    Ok(items?.into_iter().collect())
}
