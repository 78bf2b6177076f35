//! `use` declarations, taken apart: one path for each name.

use proc_macro2::{Delimiter, TokenTree};

use super::super::tokens::{flatten as flat, is_punct};
use super::cursor::{colons, group_at, is_word, path_at, word};
use super::mentions::Path;

/// One name that a declaration brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::fingerprint) struct Use {
    /// `None` for `*`.
    pub(in crate::fingerprint) name: Option<String>,
    pub(in crate::fingerprint) path: Path,
    /// The predicates it stands under.
    pub(in crate::fingerprint) cfgs: Vec<String>,
    /// Whether it brings all macros of a crate, too.
    pub(in crate::fingerprint) macros: bool,
}

/// The names of a declaration, from behind `use` to its `;`.
pub(in crate::fingerprint) fn flatten(trees: &[TokenTree]) -> Vec<Use> {
    let mut out = Vec::new();
    tree(trees, &Vec::new(), &mut out);
    out
}

fn tree(trees: &[TokenTree], prefix: &Path, out: &mut Vec<Use>) {
    let mut at = 0;
    let mut path = prefix.clone();
    if colons(trees, at) {
        // Of the names of all crates.
        if path.is_empty() {
            path.push(String::new());
        }
        at += 2;
    }
    let (written, length) = path_at(trees, at);
    path.extend(written);
    at += length;
    if colons(trees, at) {
        at += 2;
    }
    if let Some(group) = group_at(trees, at, Delimiter::Brace) {
        let mut inner = Vec::new();
        flat(group.stream(), &mut inner);
        for branch in inner.split(|tree| is_punct(tree, ',')).filter(|branch| !branch.is_empty()) {
            tree(branch, &path, out);
        }
        return;
    }
    if trees.get(at).is_some_and(|tree| is_punct(tree, '*')) {
        out.push(Use { name: None, path, cfgs: Vec::new(), macros: false });
        return;
    }
    if length == 0 {
        return;
    }
    // `a::{self}` is `a`.
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let renamed = is_word(trees.get(at), "as").then(|| trees.get(at + 1).and_then(word)).flatten();
    let Some(name) = renamed.or_else(|| path.last().cloned()) else { return };
    out.push(Use { name: Some(name), path, cfgs: Vec::new(), macros: false });
}
