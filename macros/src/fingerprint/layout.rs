//! What rustfmt adds or takes away beside white space, so that it can be left out.
//!
//! Two programs that differ may only be taken for one if they do the same, or if one of them does not compile.

use proc_macro2::{Delimiter, Group, TokenTree};

use super::source::uses_of;
use super::tokens::{commas, flatten, is_punct};

/// Words that a closure may follow.
const BEFORE_CLOSURE: [&str; 6] = ["async", "break", "else", "move", "return", "static"];

/// The content of braces that rustfmt may add or take away: those of an arm (`=> { x }`) and those of a closure
/// (`|y| { x }`), around one expression. Whether they are there depends on how long the line is.
pub(super) fn idle_braces(trees: &[TokenTree], at: usize, group: &Group) -> Option<Vec<TokenTree>> {
    if group.delimiter() != Delimiter::Brace || !(is_arm(&trees[..at]) || is_closure(trees, at)) {
        return None;
    }
    let mut inner = Vec::new();
    flatten(group.stream(), &mut inner);
    if let Some(last) = inner.len().checked_sub(1)
        && is_idle_semicolon(&inner, last)
    {
        inner.pop();
    }
    // With a comma it is no expression, save one between `<` and `>`; an attribute goes with its statement.
    let is_one = !inner.is_empty()
        && !inner.iter().any(|tree| is_punct(tree, ';'))
        && commas(&inner) == 0
        && !inner.first().is_some_and(|first| is_punct(first, '#'));
    is_one.then_some(inner)
}

/// Whether rustfmt may add or remove this semicolon: behind `return`, `break` and `continue` at the end of a block.
pub(super) fn is_idle_semicolon(trees: &[TokenTree], at: usize) -> bool {
    if at + 1 != trees.len() || !is_punct(&trees[at], ';') {
        return false;
    }
    for (before, tree) in trees[..at].iter().enumerate().rev() {
        let begins = match before.checked_sub(1).map(|previous| &trees[previous]) {
            None => true,
            Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
            Some(previous) => is_punct(previous, ';'),
        };
        match tree {
            TokenTree::Ident(word) if begins => return word == "return" || word == "break" || word == "continue",
            tree if is_punct(tree, ';') => return false,
            _ => {}
        }
    }
    false
}

/// Whether the body of an arm follows.
pub(super) fn is_arm(before: &[TokenTree]) -> bool {
    matches!(before, [.., equals, arrow] if is_punct(equals, '=') && is_punct(arrow, '>'))
}

/// `->` or `=>`
fn is_arrow(before: &[TokenTree]) -> bool {
    is_arm(before) || matches!(before, [.., dash, arrow] if is_punct(dash, '-') && is_punct(arrow, '>'))
}

/// Whether this is the whole body of a closure: behind its parameters, and nothing behind it.
fn is_closure(trees: &[TokenTree], at: usize) -> bool {
    let ends = trees.get(at + 1).is_none_or(|next| is_punct(next, ',') || is_punct(next, ';'));
    if !ends || !trees[..at].last().is_some_and(|last| is_punct(last, '|')) {
        return false;
    }
    // Between the bars of a closure there is no other. `a | b | { c }` has a name where a closure cannot begin.
    let Some(open) = trees[..at - 1].iter().rposition(|tree| is_punct(tree, '|')) else { return false };
    match trees[..open].last() {
        None => true,
        Some(TokenTree::Ident(word)) => BEFORE_CLOSURE.iter().any(|keyword| word == keyword),
        Some(TokenTree::Punct(punct)) => match punct.as_char() {
            '=' | ',' | ';' | ':' | '&' => true,
            '>' => is_arm(&trees[..open]),
            _ => false,
        },
        Some(TokenTree::Group(_) | TokenTree::Literal(_)) => false,
    }
}

/// Whether this ends with the generics of a function or of what has fields (`fn f<T>`, `struct S<T>`), or with the arguments
/// of a path (`f::<T>`).
pub(super) fn ends_generics(before: &[TokenTree]) -> bool {
    let is = |at: usize, character| before.get(at).is_some_and(|tree| is_punct(tree, character));
    if is_arrow(before) {
        return false;
    }
    let mut depth = 0_usize;
    let mut at = before.len();
    while at > 0 {
        at -= 1;
        if is(at, '>') && !is_arrow(&before[..=at]) {
            depth += 1;
        } else if is(at, '<') {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                break;
            }
        } else if is(at, ';') {
            return false;
        }
    }
    let definition = |word: &TokenTree| matches!(word, TokenTree::Ident(word) if word == "fn" || word == "struct");
    match &before[..at] {
        [.., one, other] if is_punct(one, ':') && is_punct(other, ':') => true,
        [.., word, TokenTree::Ident(_)] => definition(word),
        _ => false,
    }
}

/// The imports in a row that begin here, each name for itself and in order, and the number of their trees: rustfmt sorts
/// them, and their order says nothing.
pub(super) fn imports(trees: &[TokenTree], at: usize) -> Option<(Vec<String>, usize)> {
    let begins = match trees[..at].last() {
        None => true,
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
        Some(tree) => is_punct(tree, ';'),
    };
    let mut names = Vec::new();
    let mut end = at;
    while begins && matches!(trees.get(end), Some(TokenTree::Ident(word)) if word == "use") {
        let Some(length) = trees[end..].iter().position(|tree| is_punct(tree, ';')) else { break };
        let declaration = &trees[end + 1..end + length];
        if !declaration.iter().all(is_of_import) {
            break;
        }
        for used in uses_of(declaration) {
            names.push(format!("{} as {}", used.path.join("::"), used.name.as_deref().unwrap_or("*")));
        }
        end += length + 1;
    }
    names.sort_unstable();
    names.dedup();
    (end > at).then_some((names, end - at))
}

/// A macro's variable is not.
fn is_of_import(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Ident(_) => true,
        TokenTree::Punct(punct) => matches!(punct.as_char(), ':' | '*' | ','),
        TokenTree::Group(group) => {
            let mut inner = Vec::new();
            flatten(group.stream(), &mut inner);
            group.delimiter() == Delimiter::Brace && inner.iter().all(is_of_import)
        }
        TokenTree::Literal(_) => false,
    }
}
