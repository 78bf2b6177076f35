//! The forms in which options are written: a value behind `=`, or a list in parentheses.

use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, LitBool, LitInt, LitStr, Token, Type, parenthesized, token};

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

/// Something outside of the program that is read when a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The content of a file.
    File(String),
    /// The value of a variable.
    Env(String),
}

/// More than these are not looked at for each call.
const MOST_INPUTS: usize = 16;

/// What a function depends on beside its own code.
#[derive(Default)]
pub(super) struct Depends {
    /// Among types, where each function has one of its name.
    pub(super) functions: Vec<Type>,
    pub(super) inputs: Vec<Input>,
}

impl Depends {
    /// `depends(path, file = "..", env = "..")`.
    pub(super) fn parse(name: &Ident, input: ParseStream) -> syn::Result<Depends> {
        let mut depends = Depends::default();
        for one in list(name, "depends(function, module::other)", input, Dependency::parse)? {
            match one {
                Dependency::Function(ty) => depends.functions.push(*ty),
                Dependency::Input(text, input) if depends.inputs.contains(&input) => {
                    return Err(Error::new_spanned(text, "this is depended on twice: keep one"));
                }
                Dependency::Input(text, _) if depends.inputs.len() == MOST_INPUTS => {
                    let message = format!(
                        "each call would read more than {MOST_INPUTS} files and variables: make one file of several, or \
                         pass what matters as an argument"
                    );
                    return Err(Error::new_spanned(text, message));
                }
                Dependency::Input(_, input) => depends.inputs.push(input),
            }
        }
        Ok(depends)
    }
}

enum Dependency {
    Function(Box<Type>),
    Input(LitStr, Input),
}

impl Dependency {
    fn parse(input: ParseStream) -> syn::Result<Dependency> {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            let message = format!(
                "functions are named without quotes: write `depends({})`, or `depends(file = {:?})` for a file",
                text.value(),
                text.value()
            );
            return Err(Error::new_spanned(text, message));
        }
        if input.peek(Ident::peek_any) && input.peek2(Token![=]) {
            let kind = input.call(Ident::parse_any)?;
            let is_file = match &*kind.to_string() {
                "file" => true,
                "env" => false,
                _ => {
                    let message = "`depends` knows functions, `file = \"..\"` and `env = \"..\"`: write one of these";
                    return Err(Error::new_spanned(kind, message));
                }
            };
            input.parse::<Token![=]>()?;
            let text: LitStr = input.parse().map_err(|problem| {
                let example = if is_file { "file = \"data/model.bin\"" } else { "env = \"MODEL\"" };
                Error::new(problem.span(), format!("`{kind}` takes a text: write `{example}`"))
            })?;
            let value = text.value();
            let what = if is_file { "file" } else { "variable" };
            if value.is_empty() || value.contains('\0') || (!is_file && value.contains('=')) {
                return Err(Error::new_spanned(&text, format!("no {what} is called so: name one")));
            }
            let input = if is_file { Input::File(value) } else { Input::Env(value) };
            return Ok(Dependency::Input(text, input));
        }
        match input.parse()? {
            ty if matches!(types::bare(&ty), Type::Path(_)) => Ok(Dependency::Function(Box::new(ty))),
            other => Err(Error::new_spanned(other, "`depends` takes names of functions: write `depends(function)`")),
        }
    }
}

/// `name = true`.
pub(super) fn flag(name: &Ident, input: ParseStream) -> syn::Result<bool> {
    let write = format!("`{name}` takes `true` or `false`: write `{name} = true`");
    if !input.peek(Token![=]) {
        return Err(Error::new_spanned(name, write));
    }
    input.parse::<Token![=]>()?;
    let flag: LitBool = input.parse().map_err(|problem| Error::new(problem.span(), write))?;
    Ok(flag.value)
}

/// `name = "ignore"`.
pub(super) fn ignored(name: &Ident, input: ParseStream) -> syn::Result<bool> {
    let write = format!(
        "`{name}` is \"ignore\", or left out: write `{name} = \"ignore\"` to leave the versions of other packages out of the key"
    );
    if !input.peek(Token![=]) {
        return Err(Error::new_spanned(name, write));
    }
    input.parse::<Token![=]>()?;
    let word: LitStr = input.parse().map_err(|problem| Error::new(problem.span(), &write))?;
    if word.value() == "ignore" { Ok(true) } else { Err(Error::new_spanned(word, write)) }
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
