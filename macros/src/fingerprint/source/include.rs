//! Which file a macro of the `include` family takes.

use proc_macro2::{TokenStream, TokenTree};

use super::super::tokens::{flatten, is_punct};
use super::cursor::{path_at, text, word};

/// No text longer than this is asked for among files.
const LONGEST_PATH: usize = 200;

/// A file, as the macro's input says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::fingerprint) enum Include {
    /// From the directory of the file at hand.
    Beside(String),
    /// In `OUT_DIR`.
    Generated(String),
    /// In `CARGO_MANIFEST_DIR`.
    InPackage(String),
    /// Perhaps: a text that could be a path, from the directory of the file at hand or of the package.
    Named(String),
    /// Not to be told from tokens.
    Unknown(String),
}

impl Include {
    /// `"file"`, or `concat!(env!("OUT_DIR"), "/file")`.
    pub(super) fn of(input: TokenStream) -> Include {
        let mut trees = Vec::new();
        flatten(input.clone(), &mut trees);
        if let Some(file) = text(trees.first()) {
            return Include::Beside(file);
        }
        joined(&trees).unwrap_or_else(|| Include::Unknown(crate::spelling::of(input)))
    }

    /// A literal that macros from elsewhere may take for a path: `"templates/page.html"`.
    pub(super) fn named(literal: &str) -> Option<Include> {
        let text = literal.strip_prefix('"')?.strip_suffix('"')?;
        let could_be = text.len() < LONGEST_PATH
            && text.contains(['.', '/'])
            && !text.contains(|character: char| character.is_whitespace() || "{}\\\"<>*?".contains(character));
        could_be.then(|| Include::Named(text.to_owned()))
    }
}

fn joined(trees: &[TokenTree]) -> Option<Include> {
    let (path, length) = path_at(trees, 0);
    let Some(TokenTree::Group(parts)) = trees.get(length + 1) else { return None };
    if path.last()? != "concat" {
        return None;
    }
    let mut inner = Vec::new();
    flatten(parts.stream(), &mut inner);
    let mut parts = inner.split(|tree| is_punct(tree, ',')).filter(|part| !part.is_empty());
    if let Some(whole) = parts.clone().map(|part| text(part.first())).collect::<Option<String>>() {
        return Some(Include::Beside(whole));
    }
    let [env, _, TokenTree::Group(variable)] = parts.next()? else { return None };
    if word(env)? != "env" {
        return None;
    }
    let variable = text(variable.stream().into_iter().next().as_ref())?;
    let rest = parts.map(|part| text(part.first())).collect::<Option<String>>()?;
    let file = rest.trim_start_matches('/').to_owned();
    match &*variable {
        "OUT_DIR" => Some(Include::Generated(file)),
        "CARGO_MANIFEST_DIR" => Some(Include::InPackage(file)),
        _ => None,
    }
}
