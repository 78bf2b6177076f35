//! What stands in the attribute's parentheses.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, LitInt, LitStr, Token, parenthesized, token};

use crate::attribute::Kind;
use crate::problems::Problems;

/// The options of one attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// `version = N`; 0 where unset.
    pub(crate) version: u64,
    /// `ignore(a, b)`; whether such parameters exist is for the signature to say.
    pub(crate) ignore: Vec<Ident>,
    /// `memory = EXPR`; the program's own where unset.
    pub(crate) memory: Option<Expr>,
    /// `task`: whether a cached function is registered as well.
    pub(crate) task: bool,
}

impl Options {
    /// Reads the options, going on after each mistake so that all are reported.
    pub(crate) fn parse(kind: Kind, tokens: TokenStream, problems: &mut Problems) -> Options {
        let mut options = Options::default();
        let mut seen = Vec::new();
        let parser = |input: ParseStream| {
            while !input.is_empty() {
                if let Err(problem) = options.one(kind, &mut seen, input) {
                    problems.push(problem);
                    skip_to_comma(input);
                } else if !input.is_empty() && !input.peek(Token![,]) {
                    problems.push(input.error("expected `,` between two options"));
                    skip_to_comma(input);
                }
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(problem) = parser.parse2(tokens) {
            problems.push(problem);
        }
        options
    }

    fn one(&mut self, kind: Kind, seen: &mut Vec<Ident>, input: ParseStream) -> syn::Result<()> {
        let name = input
            .call(Ident::parse_any)
            .map_err(|problem| Error::new(problem.span(), format!("expected an option; {}", known(kind))))?;
        match &*name.to_string() {
            "version" => self.version = version(&name, input)?,
            "ignore" => self.ignore = ignore(&name, input)?,
            "memory" if kind == Kind::Cached => {
                let equals = input.parse::<Token![=]>();
                equals.map_err(|_| Error::new_spanned(&name, "`memory` takes a value: write `memory = MEMORY`"))?;
                self.memory = Some(input.parse()?);
            }
            "task" if kind == Kind::Cached => self.task = true,
            "memory" | "task" => {
                let message = format!("`{name}` belongs to `#[larder::cached]`; {}", known(kind));
                return Err(Error::new_spanned(name, message));
            }
            _ => return Err(Error::new_spanned(&name, format!("unknown option `{name}`; {}", known(kind)))),
        }
        if seen.contains(&name) {
            return Err(Error::new_spanned(&name, format!("`{name}` is given twice: keep one")));
        }
        seen.push(name);
        Ok(())
    }
}

fn known(kind: Kind) -> String {
    let options = match kind {
        Kind::Task => "`version = N` and `ignore(parameter, ..)`",
        Kind::Cached => "`version = N`, `ignore(parameter, ..)`, `memory = EXPR` and `task`",
    };
    format!("the options of {} are {options}", kind.spelling())
}

fn version(name: &Ident, input: ParseStream) -> syn::Result<u64> {
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

fn ignore(name: &Ident, input: ParseStream) -> syn::Result<Vec<Ident>> {
    if !input.peek(token::Paren) {
        let message = "`ignore` takes parameter names in parentheses: write `ignore(name)`";
        return Err(Error::new_spanned(name, message));
    }
    let content;
    parenthesized!(content in input);
    if content.is_empty() {
        return Err(Error::new_spanned(name, "`ignore` names no parameter: name one, or leave the option out"));
    }
    let names = Punctuated::<_, Token![,]>::parse_terminated_with(&content, |input| {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            let message = format!("parameter names are written without quotes: write `ignore({})`", text.value());
            return Err(Error::new_spanned(text, message));
        }
        input.call(Ident::parse_any)
    });
    // A parenthesis that is not read to its end would be an error of its own.
    content.parse::<TokenStream>()?;
    let names: Vec<Ident> = names?.into_iter().collect();
    for (position, name) in names.iter().enumerate() {
        if names.iter().take(position).any(|earlier| earlier == name) {
            return Err(Error::new_spanned(name, format!("`{name}` is ignored twice: keep one")));
        }
    }
    Ok(names)
}

fn skip_to_comma(input: ParseStream) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn read(kind: Kind, text: &str) -> (Options, Vec<String>) {
        let mut problems = Problems::default();
        let options = Options::parse(kind, text.parse().expect("a test's tokens are valid"), &mut problems);
        (options, problems.messages())
    }

    #[test]
    fn every_option_in_any_order() {
        let (options, problems) = read(Kind::Cached, "task, ignore(a, r#type,), memory = open(1, 2), version = 0x10,");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!((options.version, options.task), (16, true));
        assert_eq!(options.ignore.iter().map(Ident::to_string).collect::<Vec<_>>(), ["a", "r#type"]);
        assert!(options.memory.is_some());
    }

    #[test]
    fn mistakes_are_collected() {
        let (_, problems) =
            read(Kind::Task, "speed = 3, ignore(\"a\"), version = -1, 7, memory = M, version = 1, version = 2");
        let starts = [
            "unknown option `speed`; the options of `#[larder::task]` are `version = N` and",
            "parameter names are written without quotes: write `ignore(a)`",
            "`version` takes a whole number",
            "expected an option; the options of",
            "`memory` belongs to `#[larder::cached]`; the options of `#[larder::task]`",
            "`version` is given twice: keep one",
        ];
        assert_eq!(problems.len(), starts.len(), "{problems:#?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }

    #[test]
    fn each_wrong_form_says_what_to_write() {
        for (text, message) in [
            ("ignore = \"a\"", "`ignore` takes parameter names in parentheses: write `ignore(name)`"),
            ("ignore", "`ignore` takes parameter names in parentheses: write `ignore(name)`"),
            ("ignore()", "`ignore` names no parameter: name one, or leave the option out"),
            ("ignore(a, b, a)", "`a` is ignored twice: keep one"),
            ("version", "`version` takes a whole number: write `version = 1`"),
            ("version = 18446744073709551616", "`version` is at most 2^64 - 1: use a smaller number"),
            ("memory", "`memory` takes a value: write `memory = MEMORY`"),
            ("task task", "expected `,` between two options"),
        ] {
            assert_eq!(read(Kind::Cached, text).1, [message], "{text}");
        }
    }
}
