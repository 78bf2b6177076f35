//! Token trees to bytes, in one way for all spellings that rustfmt and the lexer treat alike.
//!
//! | token      | bytes                                                                     |
//! |------------|---------------------------------------------------------------------------|
//! | identifier | `i`, length (u32, little endian), text; without `r#` unless it is a keyword |
//! | literal    | `l`, length, text as written                                              |
//! | operator   | `o`, length, text: `&&` and `& &` differ, `=-` and `= -` do not           |
//! | imports    | `u`, length, path and name: one for each name, those in a row in order      |
//! | group      | `(`, `[` or `{`, its tokens, `e`; invisible groups leave only their tokens, and so do |
//! |            | the braces around the one expression of an arm or a closure                |

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

use super::layout;
use super::source::is_keyword;

/// Attributes without a say in what a function returns, by their first word.
///
/// The attribute being expanded is not among the tokens. One on a function *inside* the body counts, with its version.
const SILENT: [&str; 10] =
    ["doc", "allow", "warn", "deny", "forbid", "expect", "inline", "must_use", "cold", "rustfmt"];

/// What the lexer reads as one token. Nothing that begins with `<` or `>`: `Vec<Vec<u8>>=x` and `Vec<Vec<u8>> = x` are
/// one program, and no valid program changes meaning when `>` `=` is read for `>=`.
const OPERATORS: [&str; 18] =
    ["..=", "...", "::", "->", "=>", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|=", ".."];

/// Words after which a parenthesis opens a tuple and not the arguments of a call.
const BEFORE_TUPLE: [&str; 24] = [
    "as", "async", "break", "const", "continue", "dyn", "else", "for", "if", "impl", "in", "let", "loop", "match",
    "move", "mut", "ref", "return", "static", "type", "unsafe", "use", "where", "while",
];

/// Appends the bytes of some code to `out`.
pub(super) fn feed(code: TokenStream, out: &mut Vec<u8>) {
    let mut trees = Vec::new();
    flatten(code, &mut trees);
    feed_trees(&trees, out);
}

/// As [`feed`], for trees without invisible groups.
pub(super) fn feed_trees(trees: &[TokenTree], out: &mut Vec<u8>) {
    walk(trees, TrailingComma::Kept, out);
}

/// Whether a comma before the closing delimiter says something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TrailingComma {
    Kept,
    Dropped,
}

fn walk(trees: &[TokenTree], trailing: TrailingComma, out: &mut Vec<u8>) {
    let mut at = 0;
    let mut bounds = false;
    while let Some(tree) = trees.get(at) {
        let silent = silent_attribute(&trees[at..]);
        if silent > 0 {
            at += silent;
            continue;
        }
        match tree {
            TokenTree::Group(group) => {
                bounds &= group.delimiter() != Delimiter::Brace;
                if let Some(inner) = layout::idle_braces(trees, at, group) {
                    walk(&inner, TrailingComma::Kept, out);
                    // Behind braces an arm needs no comma.
                    if layout::is_arm(&trees[..at]) {
                        at += usize::from(trees.get(at + 1).is_some_and(|next| is_punct(next, ',')));
                        if trees.get(at + 1).is_some() {
                            token(b'o', ",", out);
                        }
                    }
                } else {
                    walk_group(group, &trees[..at], out);
                }
            }
            TokenTree::Ident(word) if word == "use" => match layout::imports(trees, at) {
                Some((names, length)) => {
                    names.iter().for_each(|name| token(b'u', name, out));
                    at += length;
                    continue;
                }
                None => token(b'i', "use", out),
            },
            TokenTree::Ident(word) => {
                let text = word.to_string();
                bounds |= text == "where";
                let bare = text.strip_prefix("r#").filter(|bare| !is_keyword(bare));
                token(b'i', bare.unwrap_or(&text), out);
            }
            TokenTree::Literal(literal) => token(b'l', &literal.to_string(), out),
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                // `where T: A, {`
                let ends_bounds = bounds && trees.get(at + 1).is_some_and(is_braces);
                if !ends_bounds && !is_idle_comma(trees, at, trailing) {
                    token(b'o', ",", out);
                }
            }
            TokenTree::Punct(_) if layout::is_idle_semicolon(trees, at) => {}
            TokenTree::Punct(_) => {
                let operator = operator(&trees[at..]);
                token(b'o', &operator, out);
                // All operators are ASCII: as many tokens as bytes.
                at += operator.len() - 1;
            }
        }
        at += 1;
    }
}

fn is_braces(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn walk_group(group: &Group, before: &[TokenTree], out: &mut Vec<u8>) {
    let open = match group.delimiter() {
        Delimiter::Parenthesis => b'(',
        Delimiter::Bracket => b'[',
        Delimiter::Brace => b'{',
        // Flattened on the way in; what macro_rules! groups is no different from what is written out.
        Delimiter::None => b' ',
    };
    let mut trees = Vec::new();
    flatten(group.stream(), &mut trees);
    let tuple_of_one = group.delimiter() == Delimiter::Parenthesis && !is_call(before) && commas(&trees) == 1;
    out.push(open);
    walk(&trees, if tuple_of_one { TrailingComma::Kept } else { TrailingComma::Dropped }, out);
    out.push(b'e');
}

fn token(tag: u8, text: &str, out: &mut Vec<u8>) {
    out.push(tag);
    // No token of a source file is longer than 4 GiB.
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The trees of some code, without invisible groups at this level.
pub(super) fn flatten(tokens: TokenStream, trees: &mut Vec<TokenTree>) {
    for tree in tokens {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => flatten(group.stream(), trees),
            tree => trees.push(tree),
        }
    }
}

/// The number of tokens of the silent attribute that begins here, or 0. Doc comments are attributes by now.
pub(super) fn silent_attribute(trees: &[TokenTree]) -> usize {
    let length = match trees {
        [hash, TokenTree::Group(_), ..] if is_punct(hash, '#') => 2,
        [hash, bang, TokenTree::Group(_), ..] if is_punct(hash, '#') && is_punct(bang, '!') => 3,
        _ => return 0,
    };
    let Some(TokenTree::Group(group)) = trees.get(length - 1) else { return 0 };
    if group.delimiter() != Delimiter::Bracket {
        return 0;
    }
    match group.stream().into_iter().next() {
        Some(name) if is_silent(&name) => length,
        _ => 0,
    }
}

/// Whether an attribute that begins with this word has no say in what a function returns.
pub(super) fn is_silent(name: &TokenTree) -> bool {
    matches!(name, TokenTree::Ident(word) if SILENT.iter().any(|silent| word == silent))
}

/// The longest operator that begins here.
fn operator(trees: &[TokenTree]) -> String {
    let mut text = String::new();
    for tree in trees.iter().take(3) {
        let TokenTree::Punct(punct) = tree else { break };
        text.push(punct.as_char());
        if punct.spacing() == Spacing::Alone {
            break;
        }
    }
    let longest = OPERATORS.iter().find(|operator| text.starts_with(**operator));
    match longest {
        Some(operator) => (*operator).to_owned(),
        None => text.chars().take(1).collect(),
    }
}

/// Whether rustfmt may add or remove this comma.
fn is_idle_comma(trees: &[TokenTree], at: usize, trailing: TrailingComma) -> bool {
    match trees.get(at + 1) {
        None => return trailing == TrailingComma::Dropped,
        // `<A, B,>`: no expression, pattern or type begins with `>`.
        Some(next) if is_punct(next, '>') => return true,
        Some(_) => {}
    }
    // `=> { .. },`: an arm with a block ends with or without it.
    match &trees[..at] {
        [.., equals, arrow, TokenTree::Group(block)] => {
            is_punct(equals, '=') && is_punct(arrow, '>') && block.delimiter() == Delimiter::Brace
        }
        _ => false,
    }
}

/// Whether a parenthesis after these tokens holds arguments, so that `f(x,)` is `f(x)`.
///
/// After `>` it does where that ends `fn f<T>` or `f::<T>`. Else, and after `]`, it may be either, and counts as a tuple; so does the input of a macro, whose commas are its own.
fn is_call(before: &[TokenTree]) -> bool {
    match before.last() {
        Some(TokenTree::Ident(word)) => !BEFORE_TUPLE.iter().any(|keyword| word == keyword),
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Parenthesis,
        Some(tree) if is_punct(tree, '>') => layout::ends_generics(before),
        Some(tree) => is_punct(tree, '?'),
        None => false,
    }
}

/// The commas of a parenthesis, without those between `<` and `>`.
///
/// In `(a < b, c > d,)` those are comparisons; then it is taken for a tuple of one, and reformatting it is a change.
pub(super) fn commas(trees: &[TokenTree]) -> usize {
    let mut depth = 0usize;
    let mut commas = 0;
    let mut previous = ' ';
    for tree in trees {
        let TokenTree::Punct(punct) = tree else {
            previous = ' ';
            continue;
        };
        match punct.as_char() {
            '<' => depth += 1,
            '>' if previous != '-' && previous != '=' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => commas += 1,
            _ => {}
        }
        previous = punct.as_char();
    }
    commas
}

pub(super) fn is_punct(tree: &TokenTree, character: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == character)
}
