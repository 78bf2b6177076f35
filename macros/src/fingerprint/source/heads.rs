//! The head of an `impl`: whose it is, and of which trait.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Generics, Token, Type};

use super::cursor::bare;
use super::mentions::{Mentions, Path};
use crate::spelling;

/// Who has it, and what of.
#[derive(Clone, Debug, Default)]
pub(in crate::fingerprint) struct ImplHead {
    /// The trait's path, if it is one's.
    pub(in crate::fingerprint) of_trait: Option<Path>,
    /// The type's own path, if it has one.
    pub(in crate::fingerprint) head: Option<Path>,
    /// All paths in the type.
    pub(in crate::fingerprint) own: Vec<Path>,
    /// The paths in the trait's arguments.
    pub(in crate::fingerprint) arguments: Vec<Path>,
    /// The traits of its bounds, by their last names.
    pub(in crate::fingerprint) bounds: Vec<String>,
    /// Whether its type is another's associated one: it may be any.
    pub(in crate::fingerprint) projected: bool,
    /// What it mentions beside the trait itself.
    pub(in crate::fingerprint) mentions: Mentions,
    /// The type without parameters, for people.
    pub(in crate::fingerprint) type_name: String,
    /// `Add<f64> for Point`, for people.
    pub(in crate::fingerprint) title: String,
}

impl ImplHead {
    /// Reads what stands between `impl` and the braces. Where this is newer than what is known here, all its names are the
    /// type's.
    pub(super) fn of(trees: &[TokenTree]) -> ImplHead {
        let tokens: TokenStream = trees.iter().cloned().collect();
        parse.parse2(tokens.clone()).unwrap_or_else(|_| {
            let mentions = Mentions::of(tokens.clone());
            let title = spelling::of(tokens);
            ImplHead { own: mentions.paths.clone(), mentions, type_name: title.clone(), title, ..ImplHead::default() }
        })
    }
}

fn parse(input: ParseStream) -> syn::Result<ImplHead> {
    let generics: Generics = if input.peek(Token![<]) { input.parse()? } else { Generics::default() };
    input.parse::<Option<Token![const]>>()?;
    input.parse::<Option<Token![!]>>()?;
    let first: Type = input.parse()?;
    let (of_trait, own) = if input.parse::<Option<Token![for]>>()?.is_some() {
        (Some(first), input.parse::<Type>()?)
    } else {
        (None, first)
    };
    let clause: TokenStream = input.parse()?;
    let parameters: Vec<String> = generics.type_params().map(|parameter| bare(&parameter.ident)).collect();
    let foreign = |path: &Path| !(path.len() == 1 && parameters.contains(&path[0]));
    let mut own_paths: Vec<Path> = Vec::new();
    let own_mentions = Mentions::of(own.to_token_stream()).paths;
    own_paths.extend(own_mentions.into_iter().filter(foreign));
    let mut rest = generics.to_token_stream();
    rest.extend(clause);
    let bounds = Mentions::of(rest.clone()).paths.into_iter().filter_map(|mut path| path.pop());
    let bounds = if generics.params.is_empty() { Vec::new() } else { bounds.collect() };
    own.to_tokens(&mut rest);
    let (mut path, mut arguments) = (None, Vec::new());
    if let Some(Type::Path(named)) = &of_trait {
        let mut segments: Path = named.path.segments.iter().map(|segment| bare(&segment.ident)).collect();
        if named.path.leading_colon.is_some() {
            segments.insert(0, String::new());
        }
        path = Some(segments);
        let given: TokenStream =
            named.path.segments.iter().map(|segment| segment.arguments.to_token_stream()).collect();
        arguments = Mentions::of(given.clone()).paths.into_iter().filter(foreign).collect();
        rest.extend(given);
    } else if let Some(odd) = &of_trait {
        odd.to_tokens(&mut rest);
    }
    let type_name = bare_name(&own);
    let title = match &of_trait {
        Some(of_trait) => {
            format!("{} for {}", spelling::of(of_trait.to_token_stream()), spelling::of(own.to_token_stream()))
        }
        None => spelling::of(own.to_token_stream()),
    };
    let head = head_of(&own).filter(foreign);
    let projected = matches!(&own, Type::Path(path) if path.qself.is_some());
    let mentions = Mentions::of(rest);
    Ok(ImplHead { of_trait: path, head, own: own_paths, arguments, bounds, projected, mentions, type_name, title })
}

fn head_of(ty: &Type) -> Option<Path> {
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            Some(path.path.segments.iter().map(|segment| bare(&segment.ident)).collect())
        }
        Type::Reference(reference) => head_of(&reference.elem),
        Type::Paren(inner) => head_of(&inner.elem),
        Type::Group(inner) => head_of(&inner.elem),
        _ => None,
    }
}

fn bare_name(ty: &Type) -> String {
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
        }
        Type::Reference(reference) => bare_name(&reference.elem),
        other => spelling::of(other.to_token_stream()),
    }
}
