//! A function's signature, with everything refused that a task cannot be.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    FnArg, GenericParam, Pat, PatIdent, PatType, Receiver, ReceiverKind, ReturnType, Safety, Type, TypeTuple,
    parse_quote,
};

use crate::attribute::{Kind, Shape};
use crate::instance::Instance;
use crate::options::Options;
use crate::problems::Problems;
use crate::types::{self, Passing};

/// serde implements its traits for tuples up to this length, and the arguments travel as a tuple.
const PARAMETERS_AT_MOST: usize = 16;

/// What the expansions need of a signature.
pub(crate) struct Signature {
    pub(crate) name: Ident,
    /// A method's receiver is the first one, called `self`.
    pub(crate) parameters: Vec<Parameter>,
    /// `()` where the function has no return type.
    pub(crate) output: Type,
    pub(crate) instance: Instance,
}

/// One parameter.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    /// The type as written.
    pub(crate) ty: Type,
    pub(crate) passing: Passing,
}

impl Signature {
    /// Reads a signature. What is returned has all it can have; it is only used if there were no problems.
    pub(crate) fn check(
        kind: Kind,
        shape: &Shape,
        options: &Options,
        sig: &syn::Signature,
        problems: &mut Problems,
    ) -> Signature {
        check_qualifiers(kind, shape, sig, problems);
        let instance = match shape {
            Shape::Free => Instance::of(&sig.generics, problems),
            Shape::MethodOf(_) => {
                check_own_generics(sig, problems);
                Instance::default()
            }
            // Its types are never spelled out, so there is nothing to know of them.
            Shape::Method => Instance::default(),
        };
        let parameters: Vec<Parameter> =
            sig.inputs.iter().filter_map(|input| parameter(shape, sig, input, problems)).collect();
        if let Some(first_too_many) = sig.inputs.iter().nth(PARAMETERS_AT_MOST) {
            let message = format!("a task takes at most {PARAMETERS_AT_MOST} parameters: put some into a struct");
            problems.at(first_too_many, message);
        }
        let output = match &sig.output {
            ReturnType::Default => {
                Type::Tuple(TypeTuple { attrs: Vec::new(), paren_token: Default::default(), elems: Default::default() })
            }
            ReturnType::Type(_, ty) => {
                let ty = shape.spelled_out(ty);
                types::check_output(&ty, options.result.is_some(), problems);
                ty
            }
        };
        Signature { name: sig.ident.clone(), parameters, output, instance }
    }

    /// The bits of the parameters that `ignore(..)` names.
    pub(crate) fn ignored(&self, names: &[Ident], problems: &mut Problems) -> u32 {
        let mut bits = 0;
        for name in names {
            match self.parameters.iter().position(|parameter| parameter.name == *name) {
                Some(position) => bits |= 1u32.checked_shl(position as u32).unwrap_or(0),
                None if self.parameters.is_empty() => {
                    problems.at(name, "the function has no parameters: leave `ignore` out");
                }
                None => {
                    let known: Vec<String> = self.parameters.iter().map(|one| format!("`{}`", one.name)).collect();
                    problems.at(name, format!("no parameter is called `{name}`; there are {}", known.join(", ")));
                }
            }
        }
        bits
    }
}

impl Parameter {
    /// The name without a raw identifier's mark.
    pub(crate) fn bare_name(&self) -> String {
        self.name.unraw().to_string()
    }
}

fn check_qualifiers(kind: Kind, shape: &Shape, sig: &syn::Signature, problems: &mut Problems) {
    if let Some(constness) = sig.constness.filter(|_| kind == Kind::Cached) {
        problems.at(constness, "a cache cannot be asked at compile time: leave `const` out");
    }
    if let Some(asyncness) = sig.asyncness {
        let generic = sig.generics.params.iter().any(|param| !matches!(param, GenericParam::Lifetime(_)));
        let message = match (kind, shape) {
            (Kind::Task, _) => "a task runs to its end on one worker: make it a plain `fn`, and await around it",
            (Kind::Cached, Shape::Method | Shape::MethodOf(_)) => {
                "an `async` method cannot be cached: make it a free function that takes the value as its first parameter"
            }
            (Kind::Cached, Shape::Free) if generic => {
                "an `async` function with a cache has concrete types: write one per type around a generic function"
            }
            (Kind::Cached, Shape::Free) if !cfg!(feature = "async") => {
                "the cache of an `async` function needs the feature `async` of larder: enable it in Cargo.toml"
            }
            (Kind::Cached, Shape::Free) => "",
        };
        if !message.is_empty() {
            problems.at(asyncness, message);
        }
    }
    if let Safety::Unsafe(unsafety) = sig.safety {
        problems.at(unsafety, "tasks are called from safe code: make the function safe, with `unsafe` blocks inside");
    }
    if let Some(abi) = &sig.abi {
        problems.at(abi, "a task is a plain Rust function: leave the ABI out, and call it from an `extern` one");
    }
    if let Some(variadic) = &sig.variadic {
        problems.at(variadic, "a task has a fixed number of parameters: take the rest as a slice");
    }
}

/// Refuses type parameters of a method that is a task: `of = TYPE` names one type.
fn check_own_generics(sig: &syn::Signature, problems: &mut Problems) {
    for param in &sig.generics.params {
        if !matches!(param, GenericParam::Lifetime(_)) {
            let message = "a method that is a task has no type parameters of its own: \
                           make it a free function that takes the value as its first parameter";
            problems.at(param, message);
        }
    }
}

fn parameter(shape: &Shape, sig: &syn::Signature, input: &FnArg, problems: &mut Problems) -> Option<Parameter> {
    let PatType { attrs, pat, ty, .. } = match input {
        FnArg::Receiver(receiver) => return self_parameter(shape, receiver, problems),
        FnArg::Typed(typed) => typed,
    };
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr")) {
        problems.at(attr, "a task has the same parameters in every build: put the `#[cfg]` on the function");
    }
    let ty = shape.spelled_out(ty);
    let passing = Passing::check(&ty, shape, &sig.generics, problems);
    match &**pat {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => {
            Some(Parameter { name: ident.clone(), ty, passing })
        }
        other => {
            // Not `at(other)`: `_` alone would be underlined without its type.
            problems.push(syn::Error::new(other.span(), "a parameter needs a name: take it apart inside the function"));
            None
        }
    }
}

/// The value whose method it is, as a parameter like the others.
fn self_parameter(shape: &Shape, receiver: &Receiver, problems: &mut Problems) -> Option<Parameter> {
    let name = Ident::from(receiver.self_token);
    let own: Type = shape.spelled_out(&parse_quote! { Self });
    let (ty, passing) = match &receiver.kind {
        ReceiverKind::Value => (own.clone(), Passing::Value(own)),
        ReceiverKind::Reference(_, _, None) => (parse_quote! { &#own }, Passing::Borrowed(own)),
        ReceiverKind::Reference(_, _, Some(_)) => {
            let message = "what is remembered is not done again, so the method cannot change its value: \
                           take `&self`, and return what changed";
            problems.at(receiver, message);
            return None;
        }
        _ => {
            problems.at(receiver, "the value of a method is taken by `&self` or `self`: write one of these");
            return None;
        }
    };
    Some(Parameter { name, ty, passing })
}

#[cfg(test)]
mod test {
    use super::*;

    fn problems(kind: Kind, text: &str) -> Vec<String> {
        problems_with(kind, "", text)
    }

    fn problems_with(kind: Kind, options: &str, text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let options = Options::parse(kind, options.parse().expect("tokens"), &mut problems);
        let sig = syn::parse_str(text).expect("a signature");
        let shape = Shape::of(kind, &sig, &options, &mut problems);
        let signature = Signature::check(kind, &shape, &options, &sig, &mut problems);
        signature.ignored(&options.ignore, &mut problems);
        problems.messages()
    }

    #[test]
    fn what_a_task_can_be() {
        for text in [
            "fn f()",
            "const fn f(x: u64) -> u64",
            "fn f(mut x: (u8,), _y: [u8; N & 1]) -> Vec<[u8; { A & B }]>",
            "fn f(x: &str, xs: &[f64], p: &Path, t: &HashMap<String, u8>, a: &[u8; 4])",
            "fn f() -> Result<u8, Box<dyn Error + Send + Sync>>",
            "fn f() -> Result<u8, &'static str>",
            "fn f() -> io::Result<()>",
            "fn f() -> fmt::Result",
            "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8, n: u8, \
             o: u8, p: u8)",
            "fn f<'a, T: Clone, const N: usize>(x: &'a [T; N]) -> T where T: Copy",
        ] {
            assert_eq!(problems(Kind::Task, text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_a_method_can_be() {
        for text in [
            "fn f(&self)",
            "fn f(self)",
            "fn f(mut self, x: Self) -> Option<Self>",
            "fn f(&self, x: Option<&str>, y: Cow<'_, str>)",
            "fn f<'a, T: Into<Self::Item<'a>>>(&'a self, x: T)",
            "fn f(x: Vec<Self>)",
        ] {
            assert_eq!(problems(Kind::Cached, text), Vec::<String>::new(), "{text}");
            let own = "a task has a type of its own, and for that a method has to say whose it is: write `#[larder::task(of = Type)]`";
            assert!(problems(Kind::Task, text)[0].starts_with(own), "{text}");
        }
        for text in ["fn f(&self)", "fn f(self, x: &[Self]) -> Result<Self, ()>", "fn f<'a>(&'a self)", "fn f()"] {
            assert_eq!(problems_with(Kind::Task, "of = Model", text), Vec::<String>::new(), "{text}");
            assert_eq!(problems_with(Kind::Cached, "of = Model<f64>, task", text), Vec::<String>::new(), "{text}");
        }
        let own = "a method that is a task has no type parameters of its own";
        assert!(problems_with(Kind::Task, "of = Model", "fn f<T>(&self, x: T)")[0].starts_with(own));
    }

    #[test]
    fn what_awaits_can_have_a_cache_of_its_own() {
        let found = problems(Kind::Cached, "async fn f(x: &str) -> Result<u8, E>");
        if cfg!(feature = "async") {
            assert_eq!(found, Vec::<String>::new());
        } else {
            assert!(found.len() == 1 && found[0].contains("needs the feature `async` of larder"), "{found:?}");
        }
        for (text, start) in [
            ("async fn f<T>(x: T)", "an `async` function with a cache has concrete types"),
            ("async fn f(&self)", "an `async` method cannot be cached"),
        ] {
            let found = problems(Kind::Cached, text);
            assert!(found.len() == 1 && found[0].starts_with(start), "{text}: {found:#?}");
        }
    }

    #[test]
    fn what_a_task_cannot_be() {
        for (text, start) in [
            ("fn f(&mut self)", "what is remembered is not done again"),
            ("fn f(self: Box<Self>)", "the value of a method is taken by `&self` or `self`"),
            ("fn f(&self, x: &mut u8)", "a task cannot write"),
            ("unsafe fn f()", "tasks are called from safe code"),
            ("extern \"C\" fn f()", "a task is a plain Rust function"),
            ("const fn f()", "a cache cannot be asked at compile time"),
            ("fn f<'a, T: From<&'a str>>(x: &'a str, y: T)", "the type of the function has no lifetime"),
            ("fn f(x: &'a str)", "an argument is borrowed for one call"),
            ("fn f(x: &mut u8)", "a task cannot write"),
            ("fn f(x: &'static str)", "an argument is borrowed for one call"),
            ("fn f(x: Option<&str>)", "a reference inside a type"),
            ("fn f(x: &[&str])", "a reference inside a type"),
            ("fn f(x: &&str)", "a reference inside a type"),
            ("fn f(x: Cow<'_, str>)", "a type that borrows"),
            ("fn f(x: impl Fn(&str) -> &str)", "`impl Trait` hides"),
            ("fn f(x: &dyn Fn(&str))", "a `dyn` value cannot be sent"),
            ("fn f(x: fn(&str))", "a function pointer"),
            ("fn f(x: *const u8)", "a pointer means nothing"),
            ("fn f((a, b): (u8, u8))", "a parameter needs a name"),
            ("fn f(_: u8)", "a parameter needs a name"),
            ("fn f(ref x: u8)", "a parameter needs a name"),
            ("fn f(#[cfg(unix)] x: u8)", "a task has the same parameters"),
            ("fn f(x: u8) -> &str", "a stored result cannot borrow"),
            ("fn f(&self) -> &str", "a stored result cannot borrow"),
            ("fn f(x: u8) -> Result<&'static str, E>", "a stored result cannot borrow"),
            ("fn f(x: u8) -> Result<u8, &str>", "an error outlives"),
            ("fn f(x: u8) -> Ref<'static, u8>", "a stored result cannot borrow"),
            ("fn f() -> !", "a function that never returns"),
            ("fn f() -> impl Iterator<Item = u8>", "`impl Trait` hides"),
            ("fn f() -> Result<u8, impl Error>", "`impl Trait` hides"),
            ("fn f() -> Box<dyn Error>", "a `dyn` value cannot be stored"),
            (
                "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8, \
                 n: u8, o: u8, p: u8, q: u8)",
                "a task takes at most 16",
            ),
        ] {
            let found = problems(Kind::Cached, text);
            assert!(found.len() == 1 && found[0].starts_with(start), "{text}: {found:#?}");
            assert!(!found[0].ends_with('.') && !found[0].starts_with(char::is_uppercase), "{found:#?}");
        }
        let awaited = problems(Kind::Task, "async fn f()");
        assert!(awaited.len() == 1 && awaited[0].starts_with("a task runs to its end"), "{awaited:?}");
    }

    #[test]
    fn all_problems_of_a_signature_are_found() {
        let text = "async unsafe fn f<'a>((a, b): (T, &'a str), c: &mut u8, d: Option<&u8>) -> &'a T";
        assert_eq!(problems(Kind::Task, text).len(), 7);
    }
}
