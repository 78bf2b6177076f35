//! `delayed!` of functions whose path has more than names: `f::<f64>(x)`, `<Model>::score(&model)`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Ident, PathArguments, Type, TypePath};

use crate::method_of;
use crate::problems::Problems;

const WRITE: &str = "`delayed!` takes one call of a task: `delayed!(name(arguments))`";

/// The packed call.
pub(crate) fn expand(call: TokenStream) -> TokenStream {
    let Some((path, arguments)) = split(call.clone()) else { return refusal(&call, WRITE) };
    let arguments = arguments.stream();
    let Ok(path) = syn::parse2::<TypePath>(path.clone()) else { return refusal(&path, WRITE) };
    let task = match method(&path) {
        Some((own, name)) => {
            let number = method_of::number(&name.unraw().to_string());
            quote! { <#own as ::larder::__private::Method<#number, _>>::Task }
        }
        None => path.to_token_stream(),
    };
    let comma = (!arguments.is_empty() && !ends_with_comma(&arguments)).then(|| quote! { , });
    quote! { <#task as ::larder::Task>::delay((#arguments #comma)) }
}

/// What is called, and the parenthesis with the arguments.
fn split(call: TokenStream) -> Option<(TokenStream, Group)> {
    let mut trees: Vec<TokenTree> = call.into_iter().collect();
    match trees.pop()? {
        TokenTree::Group(arguments) if arguments.delimiter() == Delimiter::Parenthesis => {
            Some((trees.into_iter().collect(), arguments))
        }
        _ => None,
    }
}

/// The type and the name, if this is the path of a method: `<Model>::score`, or `Model::score`, where types are told from
/// modules by their first letter.
fn method(path: &TypePath) -> Option<(Type, Ident)> {
    let name = path.path.segments.last().filter(|last| last.arguments.is_empty())?.ident.clone();
    if let Some(own) = &path.qself {
        return (own.position == 0 && path.path.segments.len() == 1).then(|| ((*own.ty).clone(), name));
    }
    let mut own = path.clone();
    own.path.segments.pop();
    own.path.segments.pop_punct();
    let last = own.path.segments.last_mut()?;
    if let PathArguments::AngleBracketed(arguments) = &mut last.arguments {
        arguments.colon2_token = None;
    }
    let is_type = last.ident.unraw().to_string().starts_with(char::is_uppercase);
    is_type.then(|| (Type::Path(own), name))
}

fn ends_with_comma(tokens: &TokenStream) -> bool {
    matches!(tokens.clone().into_iter().last(), Some(TokenTree::Punct(last)) if last.as_char() == ',')
}

fn refusal(at: &TokenStream, words: &str) -> TokenStream {
    let mut problems = Problems::default();
    problems.at(at, words);
    problems.into_tokens().unwrap_or_default()
}

#[cfg(test)]
mod test {
    use super::*;

    fn expanded(call: &str) -> String {
        expand(call.parse().expect("tokens")).to_string().replace(' ', "")
    }

    #[test]
    fn paths_are_types() {
        for (call, delayed) in [
            ("f::<f64>(x, y)", "<f::<f64>as::larder::Task>::delay((x,y,))"),
            ("a::f::<3>()", "<a::f::<3>as::larder::Task>::delay(())"),
            ("a::b(x,)", "<a::bas::larder::Task>::delay((x,))"),
            ("r#f(x)", "<r#fas::larder::Task>::delay((x,))"),
        ] {
            assert_eq!(expanded(call), delayed);
        }
    }

    #[test]
    fn methods_are_found_from_their_types() {
        let number = method_of::number("score").to_string();
        for (call, own) in [
            ("Model::score(&m)", "Model"),
            ("<Model>::score(&m)", "Model"),
            ("a::Model::score(&m)", "a::Model"),
            ("a::Model::<f64>::r#score(&m)", "a::Model<f64>"),
            ("<[f64; 3]>::score(&m)", "[f64;3]"),
        ] {
            let delayed =
                format!("<<{own}as::larder::__private::Method<{number},_>>::Taskas::larder::Task>::delay((&m,))");
            assert_eq!(expanded(call), delayed, "{call}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for call in ["", "f", "|x| x", "f(x)?", "f[x]", "x.f()", "1 + f(x)"] {
            assert!(expanded(call).contains("`delayed!`takesonecallofatask"), "{call}: {}", expanded(call));
        }
    }
}
