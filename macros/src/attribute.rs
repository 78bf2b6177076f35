//! The road both attributes share: read, check, and expand only what is sound.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::Type;

use crate::expand::Expansion;
use crate::function::Function;
use crate::options::Options;
use crate::problems::Problems;
use crate::signature::Signature;
use crate::{cached, fingerprint, method, method_of, task, types};

/// Which attribute was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `#[larder::task]`
    Task,
    /// `#[larder::cached]`
    Cached,
}

impl Kind {
    /// The attribute as a user writes it, for messages.
    pub(crate) fn spelling(self) -> &'static str {
        match self {
            Kind::Task => "`#[larder::task]`",
            Kind::Cached => "`#[larder::cached]`",
        }
    }
}

/// Where a function stands, as far as its expansion cares.
pub(crate) enum Shape {
    /// A function with a type of its name beside it.
    Free,
    /// A method with a cache of its own, within itself.
    Method,
    /// A method of this type that can be delayed, with a type of its name in a constant beside it.
    MethodOf(Box<Type>),
}

impl Shape {
    /// Tells from the function and its options, since the `impl` around a method is out of an attribute's sight.
    pub(crate) fn of(kind: Kind, sig: &syn::Signature, options: &Options, problems: &mut Problems) -> Shape {
        let by_itself =
            types::mentions_self(sig.inputs.to_token_stream()) || types::mentions_self(sig.output.to_token_stream());
        if !by_itself && options.of.is_none() {
            return Shape::Free;
        }
        match &options.of {
            _ if kind == Kind::Cached && options.task.is_none() => Shape::Method,
            Some(of) if !types::mentions_self(of.to_token_stream()) => Shape::MethodOf(Box::new(of.clone())),
            written => {
                let option = match kind {
                    Kind::Task => "#[larder::task(of = Type)]",
                    Kind::Cached => "#[larder::cached(task, of = Type)]",
                };
                let message = format!(
                    "a task has a type of its own, and for that a method has to say whose it is: write `{option}` with the \
                     type of the `impl`"
                );
                match written {
                    Some(of) => problems.at(of, message),
                    None => problems.at(
                        sig.inputs.first().map_or(sig.output.to_token_stream(), ToTokens::to_token_stream),
                        message,
                    ),
                }
                Shape::Method
            }
        }
    }

    /// A type in words that mean the same outside of an `impl`, where it will stand there.
    pub(crate) fn spelled_out(&self, ty: &Type) -> Type {
        match self {
            Shape::MethodOf(own) => types::without_self(ty, own),
            Shape::Free | Shape::Method => ty.clone(),
        }
    }
}

/// Expands an attribute. Where something is wrong, the function is handed back unchanged beside the messages, so that
/// its callers do not fail to compile as well.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    let mut problems = Problems::default();
    let options = Options::parse(kind, options, &mut problems);
    let mut function = match Function::parse(kind, item.clone()) {
        Ok(function) => function,
        Err(problem) => {
            problems.push(problem);
            let problems = problems.into_tokens();
            return quote! { #item #problems };
        }
    };
    function.refuse_second_attribute(&mut problems);
    let shape = Shape::of(kind, &function.sig, &options, &mut problems);
    let signature = Signature::check(kind, &shape, &options, &function.sig, &mut problems);
    let ignored = signature.ignored(&options.ignore, &mut problems);
    if function.sig.asyncness.is_some()
        && let Some(task) = &options.task
    {
        problems.at(task, "an `async` function is awaited, not sent to a worker: leave `task` out");
    }
    let own = match &shape {
        Shape::MethodOf(own) => Some(&**own),
        Shape::Free | Shape::Method => None,
    };
    let code = match problems.is_empty() {
        true => fingerprint::of_function(&function, &options),
        false => fingerprint::Code::default(),
    };
    let expansion =
        Expansion { function: &function, signature: &signature, options: &options, ignored, own, code: &code };
    let expanded = match &shape {
        _ if !problems.is_empty() => TokenStream::new(),
        Shape::Free => match kind {
            Kind::Task => task::expand(&expansion),
            Kind::Cached => cached::expand(&expansion),
        },
        Shape::Method => method::expand(&expansion, &mut problems),
        Shape::MethodOf(own) => method_of::expand(kind, &expansion, own),
    };
    match problems.into_tokens() {
        None => expanded,
        Some(problems) => {
            let function = function.into_token_stream();
            quote! { #function #problems }
        }
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn parse(text: &str) -> TokenStream {
        text.parse().expect("a test's tokens are valid")
    }

    /// Without spaces: how quoted tokens are spaced is not ours to promise.
    fn expanded(kind: Kind, options: &str, item: &str) -> String {
        let tokens = expand(kind, parse(options), parse(item));
        syn::parse2::<syn::File>(tokens.clone()).expect("an expansion is items");
        tokens.to_string().replace(char::is_whitespace, "")
    }

    const EVERY_KIND: &str = "
        /// Documented.
        #[cfg(unix)]
        pub(crate) fn f(row: u64, name: &str, xs: &[f64], p: &std::path::Path, t: &Table<u8>, mut v: Vec<u8>) -> Out {
            body(row)
        }";

    #[test]
    fn a_task_keeps_its_function() {
        let item = parse(EVERY_KIND).to_string().replace(char::is_whitespace, "");
        assert!(expanded(Kind::Task, "", EVERY_KIND).starts_with(&item));
    }

    #[test]
    fn arguments_borrow_and_owned_arguments_do_not() {
        let text = expanded(Kind::Task, "", EVERY_KIND);
        let args =
            "typeArgs<'larder>=(u64,&'larderstr,&'larder[f64],&'larderstd::path::Path,&'larderTable<u8>,Vec<u8>,);";
        assert!(text.contains(args), "{text}");
        let owned = "(u64,::std::string::String,::std::vec::Vec<f64>,::std::path::PathBuf,Table<u8>,Vec<u8>,)";
        assert!(text.contains(owned), "{text}");
        assert!(
            text.contains("call((argument_0,&argument_1,&argument_2,&argument_3,&argument_4,argument_5,))"),
            "{text}"
        );
        assert_eq!(text.matches("#[cfg(unix)]").count(), 4, "{text}");
    }

    #[test]
    fn options_reach_the_constants() {
        let text = expanded(Kind::Cached, "version = 7, ignore(xs, row), task, memory = *HERE", EVERY_KIND);
        assert!(text.contains("VERSION:::core::primitive::u64=7u64;"), "{text}");
        assert!(text.contains("IGNORED:::core::primitive::u32=5u32;"), "{text}");
        assert!(text.contains("submit!"), "{text}");
        assert!(text.contains("::larder::Memory::clone(&(*HERE))"), "{text}");
        let plain = expanded(Kind::Cached, "", EVERY_KIND);
        assert!(!plain.contains("submit!"), "{plain}");
        assert!(plain.contains("__LARDER_CACHED.get_global().call("), "{plain}");
    }

    #[test]
    fn only_a_type_called_result_is_taken_apart() {
        let ok_side = "typeValue=<std::io::Result<u8>as::larder::__private::probe::ResultLike>::Ok;";
        assert!(expanded(Kind::Task, "", "fn f() -> std::io::Result<u8> {}").contains(ok_side));
        assert!(expanded(Kind::Task, "", "fn f() -> Outcome<u8> {}").contains("typeValue=Outcome<u8>;"));
        assert!(expanded(Kind::Task, "", "fn f() {}").contains("typeValue=();"));
        let said = "typeValue=<Outcome<u8>as::larder::__private::probe::ResultLike>::Ok;";
        assert!(expanded(Kind::Task, "result", "fn f() -> Outcome<u8> {}").contains(said));
        let whole = "typeStored=std::io::Result<u8>;";
        assert!(expanded(Kind::Task, "store(err)", "fn f() -> std::io::Result<u8> {}").contains(whole));
    }

    #[test]
    fn a_parameter_may_share_the_functions_name() {
        let text = expanded(Kind::Task, "", "fn size(size: u64) -> u64 { size }");
        assert!(text.contains("size(argument_0)"), "{text}");
    }

    #[test]
    fn names_are_bare_of_raw_marks() {
        let text = expanded(Kind::Task, "", "fn r#match(r#type: u64) {}");
        assert!(text.contains(r#""::","match""#), "{text}");
        assert!(text.contains(r#"Parameter::new("type","u64")"#), "{text}");
    }

    #[test]
    fn where_a_function_stands_is_told_by_itself() {
        let free = expanded(Kind::Cached, "", "fn f(x: u64) {}");
        assert!(free.contains("structf{}"), "{free}");
        let generic = expanded(Kind::Cached, "", "fn f<T: Clone>(x: T) {}");
        assert!(generic.contains("structf<T:?::core::marker::Sized>{"), "{generic}");
        assert!(generic.contains("get_global::<f<T>>().call("), "{generic}");
        for (options, method) in [("", "fn f(&self) {}"), ("", "fn f() -> Self {}"), ("of = Self", "fn f() {}")] {
            let text = expanded(Kind::Cached, options, method);
            assert!(text.contains("__LARDER_METHOD.call(") && !text.contains("structf"), "{text}");
        }
        for (kind, options) in [(Kind::Task, "of = Model"), (Kind::Cached, "task, of = Model")] {
            let text = expanded(kind, options, "fn f(&self, other: Option<Self>) -> Self {}");
            assert!(text.contains("const__LARDER_TASK_OF_f:()="), "{text}");
            assert!(text.contains("typeArgs<'larder>=(&'larderModel,Option<Model>,);typeOutput=Model;"), "{text}");
        }
    }

    #[test]
    fn a_refused_function_stays_callable_and_every_problem_is_named() {
        let text = expanded(Kind::Task, "speed = 1", "#[larder::cached] fn f<T>(&mut self, x: &mut u8) {}");
        assert!(text.starts_with("fnf<T>"), "{text}");
        assert_eq!(text.matches("compile_error!").count(), 5, "{text}");
    }
}
