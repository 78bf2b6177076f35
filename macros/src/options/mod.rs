//! What stands in the attribute's parentheses.

mod duration;
mod forms;
#[cfg(test)]
mod test;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, Token, Type};

use crate::attribute::Kind;
use crate::problems::Problems;
pub(crate) use forms::Input;
use forms::{Depends, Store, flag, ignored, names, number, of_type, value};

/// The options of one attribute.
#[derive(Default)]
pub(crate) struct Options {
    /// `version = N`; 0 where unset.
    pub(crate) version: u64,
    /// `ignore(a, b)`; whether such parameters exist is for the signature to say.
    pub(crate) ignore: Vec<Ident>,
    /// `key = EXPR`; all arguments where unset.
    pub(crate) key: Option<Expr>,
    /// `depends(path, ..)`: the types of those functions.
    pub(crate) depends: Vec<Type>,
    /// `depends(file = "..", env = "..")`: what is read when a call is made.
    pub(crate) inputs: Vec<Input>,
    /// `toolchain = true`: compiler and target are part of the key.
    pub(crate) toolchain: bool,
    /// `dependencies = "ignore"`: the versions of other packages are no part of the fingerprint.
    pub(crate) ignores_dependencies: bool,
    /// `expires_after = EXPR`, as an expression of type `Duration`; never where unset.
    pub(crate) expires_after: Option<Expr>,
    /// `validate = PATH`; always valid where unset.
    pub(crate) validate: Option<Expr>,
    /// `store(err, none)`: what is stored beside values.
    pub(crate) store: Store,
    /// `result`: the return type is a `Result` by another name.
    pub(crate) result: Option<Ident>,
    /// `of = TYPE`: the function stands in an `impl` of that type.
    pub(crate) of: Option<Type>,
    /// `memory = EXPR`; the program's own where unset.
    pub(crate) memory: Option<Expr>,
    /// `task`: whether a cached function is registered as well.
    pub(crate) task: Option<Ident>,
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
        if options.key.is_some()
            && let Some(ignored) = options.ignore.first()
        {
            problems.at(
                ignored,
                "`key` takes the place of all arguments, so there is nothing to ignore: keep one of the two",
            );
        }
        options
    }

    fn one(&mut self, kind: Kind, seen: &mut Vec<Ident>, input: ParseStream) -> syn::Result<()> {
        let name = input
            .call(Ident::parse_any)
            .map_err(|problem| Error::new(problem.span(), format!("expected an option; {}", known(kind))))?;
        match &*name.to_string() {
            "version" => self.version = number(&name, input)?,
            "ignore" => self.ignore = names(&name, input)?,
            "key" => self.key = Some(value(&name, "key = (a, b.id)", input)?),
            "depends" => Depends { functions: self.depends, inputs: self.inputs } = Depends::parse(&name, input)?,
            "toolchain" => self.toolchain = flag(&name, input)?,
            "dependencies" => self.ignores_dependencies = ignored(&name, input)?,
            "expires_after" => {
                let time = value(&name, "expires_after = \"30d\"", input)?;
                self.expires_after = Some(duration::expression(time)?);
            }
            "validate" => self.validate = Some(value(&name, "validate = path::of::a_function", input)?),
            "store" => self.store = Store::parse(&name, input)?,
            "result" => self.result = Some(name.clone()),
            "of" => self.of = Some(of_type(&name, input)?),
            "memory" if kind == Kind::Cached => self.memory = Some(value(&name, "memory = MEMORY", input)?),
            "task" if kind == Kind::Cached => self.task = Some(name.clone()),
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
    let both = "`version = N`, `ignore(parameter, ..)`, `key = EXPR`, \
                `depends(function, file = \"..\", env = \"..\")`, `toolchain = true`, `dependencies = \"ignore\"`, \
                `expires_after = DURATION`, `validate = FUNCTION`, `store(err, none)`, `result`";
    let options = match kind {
        Kind::Task => format!("{both} and `of = TYPE`"),
        Kind::Cached => format!("{both}, `of = TYPE`, `memory = EXPR` and `task`"),
    };
    format!("the options of {} are {options}", kind.spelling())
}

fn skip_to_comma(input: ParseStream) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}
