//! Every name that some code mentions, as it is written: which item it means, `resolve` says.
//!
//! Tokens are enough for that, and the input of macros has nothing else. A name too many costs a needless recomputation, a
//! name too few a wrong result: so a local variable that is called like a function mentions that function.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::super::tokens::{flatten, is_punct, silent_attribute};
use super::cursor::{is_word, path_at, text, word};
use super::include::Include;
use super::words::{is_keyword, is_standard_macro};
use super::{inline, uses};

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
    /// The files of `include!` that are code: what they mention is added where the file that has it is known.
    pub(in crate::fingerprint) included: Vec<Include>,
    /// Paths in the texts of attributes: where one is of a module, all its functions are meant.
    pub(in crate::fingerprint) texts: Vec<Path>,
    /// Names that are put together (`[<get_ $name>]`), by the parts that are known.
    pub(in crate::fingerprint) joins: Vec<Vec<String>>,
    /// The names of functions that are defined within.
    pub(in crate::fingerprint) nested: Vec<String>,
    /// Whether an attribute of larder stands within.
    pub(in crate::fingerprint) annotated: bool,
    /// Whether an `impl` may stand within: it counts for the whole crate.
    pub(in crate::fingerprint) has_impls: bool,
    /// While it is taken: whether this is the input of a macro.
    input: Input,
}

/// Whose input some code is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Input {
    #[default]
    None,
    /// Of a macro whose input is expressions and texts with names in braces.
    Plain,
    /// Of a macro that may do anything with its tokens: `name: value` can be a call, and `name` a method's.
    Any,
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
        for list in [&mut self.paths, &mut self.macros, &mut self.globs, &mut self.texts, &mut self.joins] {
            list.sort_unstable();
            list.dedup();
        }
        for list in [&mut self.files, &mut self.included] {
            list.sort_unstable();
            list.dedup();
        }
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
            TokenTree::Literal(literal) => {
                if self.input != Input::None {
                    self.literal(&literal.to_string());
                }
                1
            }
            TokenTree::Punct(_) => 1,
            TokenTree::Ident(_) => self.name(trees, at),
        }
    }

    fn group(&mut self, group: &Group) {
        let mut trees = Vec::new();
        flatten(group.stream(), &mut trees);
        if self.input == Input::Any && group.delimiter() == Delimiter::Bracket {
            self.joined(&trees);
        }
        self.add(&trees);
    }

    /// A text in the input of a macro: `{name}` and `{:name$}` are names, and the whole may be that of a file.
    fn literal(&mut self, literal: &str) {
        for name in inline::names(literal) {
            self.paths.push(vec![name]);
        }
        if self.input == Input::Any {
            self.files.extend(Include::named(literal));
        }
    }

    /// `[<get_ name>]`
    fn joined(&mut self, trees: &[TokenTree]) {
        match inline::join(trees) {
            Some(inline::Join::Name(name)) => {
                self.members.push(name.clone());
                self.paths.push(vec![name]);
            }
            Some(inline::Join::Parts(parts)) => self.joins.push(parts),
            None => {}
        }
    }

    /// A module within code: what is above it there is here.
    fn module(&mut self, group: &Group) {
        let mut inner = Mentions { input: self.input, ..Mentions::default() };
        inner.group(group);
        for list in [&mut inner.paths, &mut inner.macros, &mut inner.globs] {
            let below = |path: &&Path| path.len() > 1 && matches!(&*path[0], "super" | "self");
            let here: Vec<Path> = list.iter().filter(below).map(|path| path[1..].to_vec()).collect();
            list.extend(here);
        }
        self.absorb(&inner);
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
                if self.input == Input::Any {
                    self.members.push(defined.clone());
                    self.paths.push(vec![defined.clone()]);
                }
                if text == "fn" {
                    self.nested.push(defined);
                } else if text == "union" && !trees.get(at + 2).is_some_and(begins_definition) {
                    return 1;
                } else if text == "mod"
                    && let Some(TokenTree::Group(group)) = trees.get(at + 2)
                {
                    self.module(group);
                    return 3;
                }
                return 2;
            }
            "impl" => self.has_impls |= begins_statement(trees, at),
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
            let outer = self.input;
            let plain = outer != Input::Any && path.last().is_some_and(|name| is_standard_macro(name));
            self.input = if plain { Input::Plain } else { Input::Any };
            self.add(&trees[at + length + 1..=at + length + 1]);
            self.input = outer;
            self.macros.push(path);
            return length + 2;
        }
        // `name: ..` is a field, a parameter, a binding.
        let lone_colon = next.is_some_and(|tree| is_punct(tree, ':'))
            && !trees.get(at + length + 1).is_some_and(|tree| is_punct(tree, ':'));
        if self.input == Input::Any && path.len() == 1 {
            self.members.push(path[0].clone());
        }
        if path.len() > 1 || !lone_colon || self.input == Input::Any {
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
            "include_str" | "include_bytes" => self.files.push(Include::of(group.stream())),
            "include" => {
                self.files.push(Include::of(group.stream()));
                self.included.push(Include::of(group.stream()));
            }
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
                    self.files.extend(Include::named(&text));
                    let Some(text) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { continue };
                    if let Ok(tokens) = text.parse::<TokenStream>() {
                        let named = Mentions::of(tokens);
                        self.texts.extend_from_slice(&named.paths);
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
        // `-> ::a::B`, `=> ::a::f()`
        Some(tree) if is_punct(tree, '>') => match is(4, '-') || is(4, '=') {
            true => Before::Global,
            false => Before::Colons,
        },
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

/// Whether an item may begin here.
fn begins_statement(trees: &[TokenTree], at: usize) -> bool {
    match at.checked_sub(1).and_then(|before| trees.get(before)) {
        None => true,
        Some(TokenTree::Group(group)) => group.delimiter() != Delimiter::Parenthesis,
        Some(TokenTree::Ident(word)) => word == "unsafe" || word == "default",
        Some(tree) => is_punct(tree, ';'),
    }
}

fn begins_definition(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace) || is_punct(tree, '<')
}

impl Mentions {
    /// Adds what the code mentions that is included in this, which stands in `file`. What cannot be read is not there for
    /// the compiler either; as bytes it counts anyway.
    pub(in crate::fingerprint) fn add_included(&mut self, file: &std::path::Path) {
        for include in std::mem::take(&mut self.included) {
            let Include::Beside(path) = include else { continue };
            let Some(path) = file.parent().map(|dir| dir.join(path)) else { continue };
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if let Ok(tokens) = text.parse::<TokenStream>() {
                self.absorb(&Mentions::of(tokens));
            }
        }
    }

    /// Adds those of other code, and ends it.
    pub(super) fn absorb(&mut self, other: &Mentions) {
        let Mentions {
            paths,
            members,
            macros,
            globs,
            cfgs,
            envs,
            files,
            included,
            texts,
            joins,
            nested,
            annotated,
            has_impls,
            input: _,
        } = other;
        self.paths.extend_from_slice(paths);
        self.members.extend_from_slice(members);
        self.macros.extend_from_slice(macros);
        self.globs.extend_from_slice(globs);
        self.cfgs.extend_from_slice(cfgs);
        self.envs.extend_from_slice(envs);
        self.files.extend_from_slice(files);
        self.included.extend_from_slice(included);
        self.texts.extend_from_slice(texts);
        self.joins.extend_from_slice(joins);
        self.nested.extend_from_slice(nested);
        self.has_impls |= has_impls;
        self.annotated |= annotated;
        self.finish();
    }
}
