//! Every name that some code mentions, as it is written: which item it means, `resolve` says.
//!
//! Tokens are enough for that, and the input of macros has nothing else. A name too many costs a needless recomputation, a
//! name too few a wrong result: so a local variable that is called like a function mentions that function.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::super::tokens::{flatten, is_punct, silent_attribute};
use super::cursor::{is_word, path_at, text, word};
use super::include::Include;
use super::uses;

/// Segments as written; `$crate` is `crate`, and a path with `::` in front begins with an empty segment.
pub(in crate::fingerprint) type Path = Vec<String>;

/// What a stretch of code mentions. Sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::fingerprint) struct Mentions {
    /// Paths, single names included.
    pub(in crate::fingerprint) paths: Vec<Path>,
    /// Names behind a point, or behind `::` where what stands in front is no path (`<T as A>::name`).
    pub(in crate::fingerprint) members: Vec<String>,
    /// Paths of macros.
    pub(in crate::fingerprint) macros: Vec<Path>,
    /// `use path::*` within the code.
    pub(in crate::fingerprint) globs: Vec<Path>,
    /// The predicates of `cfg`, in any of its forms.
    pub(in crate::fingerprint) cfgs: Vec<String>,
    /// The variables of `env!` and `option_env!`.
    pub(in crate::fingerprint) envs: Vec<String>,
    /// The files of `include_str!` and its like.
    pub(in crate::fingerprint) files: Vec<Include>,
    /// The names of functions that are defined within.
    pub(in crate::fingerprint) nested: Vec<String>,
    /// Whether an attribute of larder stands within.
    pub(in crate::fingerprint) annotated: bool,
}

impl Mentions {
    pub(in crate::fingerprint) fn of(tokens: TokenStream) -> Mentions {
        let mut trees = Vec::new();
        flatten(tokens, &mut trees);
        let mut mentions = Mentions::default();
        mentions.add(&trees);
        mentions.finish();
        mentions
    }

    /// Adds what these trees mention; [`finish`](Mentions::finish) ends it.
    pub(super) fn add(&mut self, trees: &[TokenTree]) {
        let mut at = 0;
        while at < trees.len() {
            at += self.one(trees, at).max(1);
        }
    }

    pub(super) fn finish(&mut self) {
        for list in [&mut self.paths, &mut self.macros, &mut self.globs] {
            list.sort_unstable();
            list.dedup();
        }
        self.files.sort_unstable();
        self.files.dedup();
        for list in [&mut self.members, &mut self.cfgs, &mut self.envs, &mut self.nested] {
            list.sort_unstable();
            list.dedup();
        }
    }

    /// Takes what begins here, and says how many trees it is.
    fn one(&mut self, trees: &[TokenTree], at: usize) -> usize {
        let silent = silent_attribute(&trees[at..]);
        if silent > 0 {
            return silent;
        }
        match &trees[at] {
            TokenTree::Group(group) => {
                self.group(group);
                1
            }
            TokenTree::Punct(punct) if punct.as_char() == '#' => self.attribute(&trees[at + 1..]) + 1,
            // A lifetime's name, a macro's variable (but `$crate` begins a path).
            TokenTree::Punct(punct) if punct.as_char() == '\'' => 2,
            TokenTree::Punct(punct) if punct.as_char() == '$' && !is_word(trees.get(at + 1), "crate") => {
                if matches!(trees.get(at + 1), Some(TokenTree::Ident(_))) { 2 } else { 1 }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => 1,
            TokenTree::Ident(_) => self.name(trees, at),
        }
    }

    fn group(&mut self, group: &Group) {
        let mut trees = Vec::new();
        flatten(group.stream(), &mut trees);
        self.add(&trees);
    }

    fn name(&mut self, trees: &[TokenTree], at: usize) -> usize {
        let Some(text) = word(&trees[at]) else { return 1 };
        match &*text {
            "use" => {
                let end = trees[at..].iter().position(|tree| is_punct(tree, ';')).unwrap_or(trees.len() - at);
                for used in uses::flatten(&trees[at + 1..at + end]) {
                    match used.name {
                        Some(_) => self.paths.push(used.path),
                        None => self.globs.push(used.path),
                    }
                }
                return end;
            }
            // What is defined here is no mention.
            "fn" | "struct" | "enum" | "union" | "trait" | "mod" | "type" | "static" | "const" => {
                let Some(defined) = trees.get(at + 1).and_then(word) else { return 1 };
                if is_keyword(&defined) {
                    return 1;
                }
                if text == "fn" {
                    self.nested.push(defined);
                } else if text == "union" && !trees.get(at + 2).is_some_and(begins_definition) {
                    return 1;
                }
                return 2;
            }
            _ => {}
        }
        if is_keyword(&text) && !matches!(&*text, "crate" | "self" | "super" | "Self") {
            return 1;
        }
        match before(trees, at) {
            Before::Point => {
                self.members.push(text);
                return 1;
            }
            Before::Colons => {
                self.members.push(text);
                return 1;
            }
            Before::Start | Before::Global => {}
        }
        let (mut path, length) = path_at(trees, at);
        if before(trees, at) == Before::Global {
            path.insert(0, String::new());
        }
        let next = trees.get(at + length);
        if is_macro(trees, at + length) {
            self.invocation(&path, trees.get(at + length + 1));
            self.macros.push(path);
            return length + 1;
        }
        // `name: ..` is a field, a parameter, a binding.
        let lone_colon = next.is_some_and(|tree| is_punct(tree, ':'))
            && !trees.get(at + length + 1).is_some_and(|tree| is_punct(tree, ':'));
        if path.len() > 1 || !lone_colon {
            self.paths.push(path);
        }
        length
    }

    /// What the macros of the language say with their input.
    fn invocation(&mut self, path: &Path, input: Option<&TokenTree>) {
        let (Some(name), Some(TokenTree::Group(group))) = (path.last(), input) else { return };
        match &**name {
            "cfg" => self.cfgs.push(predicate(group.stream())),
            "env" | "option_env" => self.envs.extend(first_text(group.stream())),
            "include_str" | "include_bytes" | "include" => self.files.push(Include::of(group.stream())),
            _ => {}
        }
    }

    /// An attribute behind its `#`.
    fn attribute(&mut self, trees: &[TokenTree]) -> usize {
        let inner = usize::from(trees.first().is_some_and(|tree| is_punct(tree, '!')));
        let Some(TokenTree::Group(group)) = trees.get(inner) else { return 0 };
        if group.delimiter() != Delimiter::Bracket {
            return 0;
        }
        let mut content = Vec::new();
        flatten(group.stream(), &mut content);
        self.attribute_content(&content);
        inner + 1
    }

    fn attribute_content(&mut self, content: &[TokenTree]) {
        let (path, length) = path_at(content, 0);
        let input = match content.get(length) {
            Some(TokenTree::Group(group)) => Some(group),
            _ => None,
        };
        match (path.last().map(String::as_str), input) {
            (Some("cfg"), Some(group)) => {
                self.cfgs.push(predicate(group.stream()));
                return;
            }
            (Some("cfg_attr"), Some(group)) => {
                let mut trees = Vec::new();
                flatten(group.stream(), &mut trees);
                let comma = trees.iter().position(|tree| is_punct(tree, ',')).unwrap_or(trees.len());
                self.cfgs.push(predicate(trees[..comma].iter().cloned().collect()));
                self.attribute_content(trees.get(comma + 1..).unwrap_or_default());
                return;
            }
            (Some("cached" | "task"), _) => self.annotated = true,
            _ => {}
        }
        if !path.is_empty() {
            self.macros.push(path);
        }
        let rest = content.get(length..).unwrap_or_default();
        // `#[derive(A, b::C)]` names macros as well as traits.
        if content.first().is_some_and(|first| is_word(Some(first), "derive"))
            && let Some(group) = input
        {
            let derived = Mentions::of(group.stream());
            self.macros.extend(derived.paths);
        }
        self.add(rest);
        self.texts_as_paths(rest);
    }

    /// `#[serde(with = "module")]`: attributes name items by texts.
    fn texts_as_paths(&mut self, trees: &[TokenTree]) {
        for tree in trees {
            match tree {
                TokenTree::Group(group) => {
                    let mut inner = Vec::new();
                    flatten(group.stream(), &mut inner);
                    self.texts_as_paths(&inner);
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { continue };
                    if let Ok(tokens) = text.parse::<TokenStream>() {
                        let named = Mentions::of(tokens);
                        self.paths.extend(named.paths);
                        self.members.extend(named.members);
                    }
                }
                TokenTree::Ident(_) | TokenTree::Punct(_) => {}
            }
        }
    }
}

/// A predicate of `cfg` as one text, however it is spaced.
fn predicate(tokens: TokenStream) -> String {
    crate::spelling::of(tokens)
}

/// The text that macro input begins with, if it is one.
fn first_text(tokens: TokenStream) -> Option<String> {
    text(tokens.into_iter().next().as_ref())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Start,
    /// A method or field.
    Point,
    /// `::` behind something that is no path.
    Colons,
    /// `::` with nothing in front.
    Global,
}

fn before(trees: &[TokenTree], at: usize) -> Before {
    let back = |by: usize| at.checked_sub(by).and_then(|at| trees.get(at));
    let is = |by: usize, character| back(by).is_some_and(|tree| is_punct(tree, character));
    if is(1, '.') {
        // `..end` is a range.
        return if is(2, '.') { Before::Start } else { Before::Point };
    }
    if !(is(1, ':') && is(2, ':')) {
        return Before::Start;
    }
    match back(3) {
        Some(TokenTree::Group(_)) => Before::Colons,
        Some(tree) if is_punct(tree, '>') => Before::Colons,
        // `x::<T>`-less chains never end in the middle: this is what a macro's variable leaves (`$t::new`).
        Some(TokenTree::Ident(name)) => {
            if is_keyword(&name.to_string()) && name != "Self" {
                Before::Global
            } else {
                Before::Colons
            }
        }
        _ => Before::Global,
    }
}

fn is_macro(trees: &[TokenTree], at: usize) -> bool {
    trees.get(at).is_some_and(|tree| is_punct(tree, '!')) && matches!(trees.get(at + 1), Some(TokenTree::Group(_)))
}

fn begins_definition(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace) || is_punct(tree, '<')
}

/// Words that name nothing. Not those that are words only in places (`union`, `auto`, `default`).
pub(in crate::fingerprint) fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "as" | "async"
            | "await"
            | "break"
            | "const"
            | "continue"
            | "crate"
            | "dyn"
            | "else"
            | "enum"
            | "extern"
            | "false"
            | "fn"
            | "for"
            | "if"
            | "impl"
            | "in"
            | "let"
            | "loop"
            | "match"
            | "mod"
            | "move"
            | "mut"
            | "pub"
            | "ref"
            | "return"
            | "self"
            | "Self"
            | "static"
            | "struct"
            | "super"
            | "trait"
            | "true"
            | "type"
            | "unsafe"
            | "use"
            | "where"
            | "while"
            | "_"
    )
}

impl Mentions {
    /// Adds those of other code, and ends it.
    pub(super) fn absorb(&mut self, other: &Mentions) {
        let Mentions { paths, members, macros, globs, cfgs, envs, files, nested, annotated } = other;
        self.paths.extend_from_slice(paths);
        self.members.extend_from_slice(members);
        self.macros.extend_from_slice(macros);
        self.globs.extend_from_slice(globs);
        self.cfgs.extend_from_slice(cfgs);
        self.envs.extend_from_slice(envs);
        self.files.extend_from_slice(files);
        self.nested.extend_from_slice(nested);
        self.annotated |= annotated;
        self.finish();
    }
}
