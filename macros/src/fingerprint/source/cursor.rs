//! Looking at token trees without consuming them.

use proc_macro2::{Delimiter, Group, Ident, TokenTree};

use super::super::tokens::is_punct;
use super::mentions::Path;
use super::words::is_keyword;

/// The text of an identifier, without `r#` unless it is a keyword.
pub(super) fn word(tree: &TokenTree) -> Option<String> {
    match tree {
        TokenTree::Ident(word) => Some(bare(word)),
        _ => None,
    }
}

/// The same, of an identifier at hand.
pub(in crate::fingerprint) fn bare(word: &Ident) -> String {
    let text = word.to_string();
    match text.strip_prefix("r#") {
        Some(bare) if !is_keyword(bare) => bare.to_owned(),
        _ => text,
    }
}

pub(super) fn is_word(tree: Option<&TokenTree>, text: &str) -> bool {
    matches!(tree, Some(TokenTree::Ident(word)) if word == text)
}

/// The path that begins here, without generic arguments, and the number of its trees.
pub(super) fn path_at(trees: &[TokenTree], at: usize) -> (Path, usize) {
    let mut path = Vec::new();
    let mut end = at;
    while let Some(segment) = trees.get(end).and_then(word) {
        path.push(segment);
        end += 1;
        let goes_on = colons(trees, end) && matches!(trees.get(end + 2), Some(TokenTree::Ident(_)));
        if !goes_on {
            break;
        }
        end += 2;
    }
    (path, end - at)
}

/// Whether `::` stands here.
pub(super) fn colons(trees: &[TokenTree], at: usize) -> bool {
    let is_colon = |at: usize| trees.get(at).is_some_and(|tree| is_punct(tree, ':'));
    is_colon(at) && is_colon(at + 1)
}

pub(super) fn group_at(trees: &[TokenTree], at: usize, delimiter: Delimiter) -> Option<&Group> {
    match trees.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group),
        _ => None,
    }
}

/// Where a definition ends that begins here: behind its `;`, or behind the braces of its body.
///
/// Braces between `<` and `>` are an argument (`Buffer<{ SIZE }>`).
pub(super) fn end_of_definition(trees: &[TokenTree], from: usize) -> Option<usize> {
    let mut depth = 0_u32;
    let mut previous = ' ';
    for (at, tree) in trees.iter().enumerate().skip(from) {
        match tree {
            TokenTree::Punct(punct) => {
                match punct.as_char() {
                    ';' => return Some(at + 1),
                    '<' => depth += 1,
                    '>' if previous != '-' && previous != '=' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                previous = punct.as_char();
                continue;
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && depth == 0 => return Some(at + 1),
            _ => {}
        }
        previous = ' ';
    }
    None
}

/// Where a statement ends that begins here: behind its `;`.
pub(super) fn end_of_statement(trees: &[TokenTree], from: usize) -> Option<usize> {
    trees.iter().skip(from).position(|tree| is_punct(tree, ';')).map(|offset| from + offset + 1)
}

/// The value of a text literal.
pub(super) fn text(tree: Option<&TokenTree>) -> Option<String> {
    match tree? {
        TokenTree::Literal(literal) => {
            syn::parse_str::<syn::LitStr>(&literal.to_string()).ok().map(|text| text.value())
        }
        _ => None,
    }
}
