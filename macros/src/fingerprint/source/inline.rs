//! Names that are no tokens of their own: those in the texts of `format!` and its like, and those that are put together.

use proc_macro2::TokenTree;

use super::super::tokens::is_punct;
use super::cursor::word;

/// The names in a literal's braces: `{name}`, `{name:?}`, `{:width$.digits$}`.
pub(super) fn names(literal: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = literal;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(escaped) = rest.strip_prefix('{') {
            rest = escaped;
            continue;
        }
        let Some(close) = rest.find('}') else { break };
        let (argument, spec) = rest[..close].split_once(':').unwrap_or((&rest[..close], ""));
        names.extend(name(argument.trim()));
        // What ends with `$` is a name, or a number.
        for part in spec.split('$').rev().skip(1) {
            let start = part.rfind(|character: char| !(character.is_alphanumeric() || character == '_'));
            let start = start.map_or(0, |at| at + part[at..].chars().next().map_or(1, char::len_utf8));
            names.extend(name(&part[start..]));
        }
        rest = &rest[close..];
    }
    names
}

fn name(text: &str) -> Option<String> {
    let starts = text.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
    let is_name = starts && text.chars().all(|character| character.is_alphanumeric() || character == '_');
    is_name.then(|| text.to_owned())
}

/// What the content of `[<..>]` stands for.
pub(super) enum Join {
    Name(String),
    /// Some of its parts are a macro's variables: these are not.
    Parts(Vec<String>),
}

/// The content of brackets, if it is of that form.
pub(super) fn join(trees: &[TokenTree]) -> Option<Join> {
    let [open, inner @ .., close] = trees else { return None };
    if !is_punct(open, '<') || !is_punct(close, '>') {
        return None;
    }
    let mut parts = Vec::new();
    let mut whole = true;
    let mut at = 0;
    while let Some(tree) = inner.get(at) {
        match tree {
            // `$name`
            TokenTree::Punct(punct) if punct.as_char() == '$' => {
                whole = false;
                at += 1;
            }
            // `name:snake`: some other spelling of it.
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                whole = false;
                at += 1;
            }
            TokenTree::Literal(literal) => parts.push(literal.to_string().trim_matches('"').to_owned()),
            tree => parts.extend(word(tree)),
        }
        at += 1;
    }
    Some(if whole { Join::Name(parts.concat()) } else { Join::Parts(parts) })
}
