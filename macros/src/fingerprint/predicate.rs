//! Predicates of `cfg` that can be asked of the compiler as they are.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::tokens::{flatten, is_punct};

/// Whether it is one, and not a macro's pattern for some (`$condition`), or of a form that needs a feature of the compiler.
pub(super) fn is_sound(tokens: TokenStream) -> bool {
    let mut trees = Vec::new();
    flatten(tokens, &mut trees);
    is_one(&trees)
}

fn is_one(trees: &[TokenTree]) -> bool {
    match trees {
        [TokenTree::Ident(_)] => true,
        [TokenTree::Ident(_), equals, TokenTree::Literal(value)] => {
            is_punct(equals, '=') && value.to_string().starts_with('"')
        }
        [TokenTree::Ident(word), TokenTree::Group(group)] if group.delimiter() == Delimiter::Parenthesis => {
            let mut inner = Vec::new();
            flatten(group.stream(), &mut inner);
            let mut parts = inner.split(|tree| is_punct(tree, ',')).filter(|part| !part.is_empty());
            match &*word.to_string() {
                "all" | "any" => parts.all(is_one),
                "not" => parts.next().is_some_and(is_one) && parts.next().is_none(),
                _ => false,
            }
        }
        _ => false,
    }
}
