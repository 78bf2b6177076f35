//! One item of a file: where it begins and ends, what it is, and its digest.

use proc_macro2::{Delimiter, Group, TokenTree};

use super::super::tokens::{feed_trees, flatten, is_punct};
use super::attributes::{Attributes, Declared};
use super::cursor::{colons, end_of_definition, end_of_statement, group_at, is_word, path_at, word};
use super::heads::ImplHead;
use super::mentions::Mentions;
use super::module::RawModule;
use super::words::is_keyword;
use super::{Kind, RawItem};

/// The rules by which an item's digest is made go with the fingerprint's context; this one keeps items apart from it.
const CONTEXT: &str = "larder 2026-11 code item v1";

/// What begins at a place where an item may stand.
pub(super) enum Definition {
    Item(Box<RawItem>),
    /// A macro's invocation, with the imports and the modules in its input.
    Invocation(Box<RawItem>, RawModule),
    /// `mod name`, with its content if that is here.
    Module {
        name: String,
        attributes: Attributes,
        content: Option<proc_macro2::TokenStream>,
        /// The whole of it, where a macro from elsewhere is its attribute.
        whole: Option<Box<RawItem>>,
    },
    /// The tokens of a declaration behind `use`.
    Use(Vec<TokenTree>, Vec<String>),
    /// `extern crate name as other`
    ExternCrate {
        name: String,
        renamed: String,
        /// Whether its macros are there without a path.
        macros: bool,
    },
    /// The input of `include!`.
    Include(proc_macro2::TokenStream),
}

/// The item that begins here, and where it ends; `None` if none does.
pub(super) fn at(trees: &[TokenTree], from: usize) -> Option<(Definition, usize)> {
    let attributes = Attributes::at(trees, from);
    let visible = from + attributes.length;
    let start = visible + visibility(trees, visible);
    let mut key = start;
    while is_word(trees.get(key), "default")
        || is_word(trees.get(key), "unsafe")
        || is_word(trees.get(key), "safe")
        || is_word(trees.get(key), "auto")
        || is_word(trees.get(key), "async")
        || (is_word(trees.get(key), "const") && qualifies(trees, key + 1))
        || (is_word(trees.get(key), "extern") && qualifies(trees, key + 1))
        || (matches!(trees.get(key), Some(TokenTree::Literal(_)))
            && key > start
            && is_word(trees.get(key - 1), "extern"))
    {
        key += 1;
    }
    let maker = Maker { trees, from, attributes, start };
    let name = || trees.get(key + 1).and_then(word).filter(|name| !is_keyword(name) || name == "_");
    let keyword = trees.get(key).and_then(word)?;
    let (definition, end) = match &*keyword {
        "fn" => {
            let end = end_of_definition(trees, key)?;
            (Definition::Item(Box::new(maker.function(name()?, end))), end)
        }
        "struct" => maker.plain(Kind::Struct, "struct", name()?, end_of_definition(trees, key)?),
        "enum" => maker.plain(Kind::Enum, "enum", name()?, end_of_definition(trees, key)?),
        "union" if name().is_some() => maker.plain(Kind::Union, "union", name()?, end_of_definition(trees, key)?),
        "const" => maker.plain(Kind::Const, "const", name()?, end_of_statement(trees, key)?),
        "static" => {
            let name = if is_word(trees.get(key + 1), "mut") { trees.get(key + 2).and_then(word) } else { name() };
            maker.plain(Kind::Static, "static", name?, end_of_statement(trees, key)?)
        }
        "type" => maker.plain(Kind::Alias, "type", name()?, end_of_statement(trees, key)?),
        "trait" => {
            let (name, end) = (name()?, end_of_definition(trees, key)?);
            (Definition::Item(Box::new(maker.of_trait(name, end))), end)
        }
        "impl" => {
            let end = end_of_definition(trees, key)?;
            (Definition::Item(Box::new(maker.of_impl(key, end))), end)
        }
        "mod" => {
            let end = end_of_definition(trees, key)?;
            let content = group_at(trees, end - 1, Delimiter::Brace).map(|group| group.stream());
            let (name, expands) = (name()?, maker.attributes.expands);
            let whole = (expands && content.is_some()).then(|| Box::new(maker.attributed_module(&name, end)));
            (Definition::Module { name, attributes: maker.attributes, content, whole }, end)
        }
        "use" => {
            let end = end_of_statement(trees, key)?;
            (Definition::Use(trees[key + 1..end - 1].to_vec(), maker.attributes.cfgs), end)
        }
        "extern" if is_word(trees.get(key + 1), "crate") => {
            let end = end_of_statement(trees, key)?;
            let name = trees.get(key + 2).and_then(word)?;
            let renamed = if is_word(trees.get(key + 3), "as") { trees.get(key + 4).and_then(word) } else { None };
            let macros = maker.attributes.macro_use;
            (Definition::ExternCrate { renamed: renamed.unwrap_or_else(|| name.clone()), name, macros }, end)
        }
        "extern" => {
            let end = end_of_definition(trees, key)?;
            (Definition::Item(Box::new(maker.foreign(end))), end)
        }
        "macro_rules" if trees.get(key + 1).is_some_and(|tree| is_punct(tree, '!')) => {
            let name = trees.get(key + 2).and_then(word)?;
            let end = behind_group(trees, key + 3)?;
            (Definition::Item(Box::new(maker.of_macro(name, end))), end)
        }
        "macro" if name().is_some() => {
            let end = end_of_definition(trees, key)?;
            (Definition::Item(Box::new(maker.of_macro(name()?, end))), end)
        }
        _ if start == key => return maker.invocation(key),
        _ => return None,
    };
    Some((definition, end))
}

/// The number of trees of `pub`, `pub(crate)`, `pub(in a::b)`.
fn visibility(trees: &[TokenTree], at: usize) -> usize {
    if !is_word(trees.get(at), "pub") {
        return 0;
    }
    1 + usize::from(group_at(trees, at + 1, Delimiter::Parenthesis).is_some())
}

/// Whether `const` or `extern` in front of this belongs to a function.
fn qualifies(trees: &[TokenTree], at: usize) -> bool {
    let mut at = at;
    if matches!(trees.get(at), Some(TokenTree::Literal(_))) {
        at += 1;
    }
    ["fn", "unsafe", "async", "extern", "safe"].iter().any(|word| is_word(trees.get(at), word))
}

/// Where a macro's input ends, with the `;` behind it.
fn behind_group(trees: &[TokenTree], at: usize) -> Option<usize> {
    let TokenTree::Group(group) = trees.get(at)? else { return None };
    let semicolon = group.delimiter() != Delimiter::Brace && trees.get(at + 1).is_some_and(|tree| is_punct(tree, ';'));
    Some(at + 1 + usize::from(semicolon))
}

/// An item's trees, in the making.
struct Maker<'t> {
    trees: &'t [TokenTree],
    /// Where its attributes begin.
    from: usize,
    attributes: Attributes,
    /// Where it begins behind its visibility.
    start: usize,
}

impl Maker<'_> {
    /// An item of all that stands up to `end`, its visibility left out.
    fn item(&self, kind: Kind, name: String, title: String, end: usize) -> RawItem {
        self.item_of(kind, name, title, end, &[])
    }

    /// The same, with the trees of what is part of it elsewhere.
    fn item_of(&self, kind: Kind, name: String, title: String, end: usize, more: &[TokenTree]) -> RawItem {
        let attributes = &self.trees[self.from..self.from + self.attributes.length];
        let parts = [attributes, &self.trees[self.start..end], more];
        let mut bytes = Vec::with_capacity(64 * (end - self.start));
        let mut mentions = Mentions::default();
        for part in parts {
            feed_trees(part, &mut bytes);
            mentions.add(part);
        }
        mentions.finish();
        RawItem {
            kind,
            name,
            title,
            digest: digest(&bytes),
            mentions,
            test: self.attributes.test,
            other_names: self.attributes.implements.clone(),
            words: Vec::new(),
            defines: Vec::new(),
            conditional: !self.attributes.cfgs.is_empty(),
            at: self.from,
            makes_names: self.attributes.expands,
            annotated: None,
            declared: Declared::default(),
            head: None,
            members: Vec::new(),
            body: None,
        }
    }

    fn plain(self, kind: Kind, word: &str, name: String, end: usize) -> (Definition, usize) {
        let title = format!("{word} {name}");
        let mut item = self.item(kind, name, title, end);
        if kind == Kind::Enum
            && let Some(group) = group_at(self.trees, end - 1, Delimiter::Brace)
        {
            item.words = variants(group);
        }
        if item.mentions.has_impls && matches!(kind, Kind::Const | Kind::Static) {
            item.body = self.body(end);
        }
        (Definition::Item(Box::new(item)), end)
    }

    fn function(self, name: String, end: usize) -> RawItem {
        let title = format!("fn {name}");
        let mut item = self.item(Kind::Function, name, title, end);
        // Its own name is among those of the functions in it.
        item.mentions.nested.retain(|nested| *nested != item.name);
        if self.attributes.ours {
            let mut bytes = Vec::new();
            feed_trees(&self.trees[self.start..end], &mut bytes);
            item.annotated = Some(digest(&bytes));
            item.declared = self.attributes.declared.clone();
        }
        if item.mentions.annotated || item.mentions.has_impls {
            item.body = self.body(end);
        }
        item
    }

    /// What is defined in its braces.
    fn body(&self, end: usize) -> Option<Box<RawModule>> {
        let mut module = RawModule::default();
        for tree in &self.trees[self.start..end] {
            if let TokenTree::Group(group) = tree
                && group.delimiter() == Delimiter::Brace
            {
                module.take_body(group.stream());
            }
        }
        (!module.is_empty()).then(|| Box::new(module))
    }

    fn of_macro(self, name: String, end: usize) -> RawItem {
        let title = format!("macro {name}");
        let mut item = self.item(Kind::Macro, name, title, end);
        item.words = words(&self.trees[self.start..end]);
        item.makes_names = joins_names(&item.words);
        defines(&self.trees[self.start + 3..end], &mut item.defines);
        item
    }

    fn foreign(self, end: usize) -> RawItem {
        let mut item = self.item(Kind::Foreign, String::new(), "extern block".to_owned(), end);
        let mut inner = Vec::new();
        if let Some(TokenTree::Group(group)) = self.trees.get(end - 1) {
            flatten(group.stream(), &mut inner);
        }
        let defined =
            inner.windows(2).filter(|pair| ["fn", "static", "type"].iter().any(|key| is_word(pair.first(), key)));
        item.other_names = defined.filter_map(|pair| word(&pair[1])).collect();
        item.words = item.other_names.clone();
        item
    }

    /// A module that a macro from elsewhere sees: any item in it may be another then.
    fn attributed_module(&self, name: &str, end: usize) -> RawItem {
        let mut item = self.item(Kind::Invocation, name.to_owned(), format!("mod {name}"), end);
        item.words = words(&self.trees[self.from..end]);
        item
    }

    /// `path! { .. }` in place of items.
    fn invocation(self, key: usize) -> Option<(Definition, usize)> {
        let from = key + if colons(self.trees, key) { 2 } else { 0 };
        let (path, length) = path_at(self.trees, from);
        let name = path.last()?.clone();
        let bang = from + length;
        if !self.trees.get(bang).is_some_and(|tree| is_punct(tree, '!')) {
            return None;
        }
        // `thread_local! name { .. }` is not Rust any more, but other macros may take a name.
        let group = bang + 1 + usize::from(matches!(self.trees.get(bang + 1), Some(TokenTree::Ident(_))));
        let end = behind_group(self.trees, group)?;
        if path.len() == 1
            && name == "include"
            && let Some(TokenTree::Group(input)) = self.trees.get(group)
        {
            return Some((Definition::Include(input.stream()), end));
        }
        let mut item = self.item(Kind::Invocation, name.clone(), format!("{name}!"), end);
        item.words = words(&self.trees[group..=group]);
        item.makes_names |= joins_names(&item.words) || name == "paste";
        let hidden = match self.trees.get(group) {
            Some(TokenTree::Group(input)) => RawModule::of_input(input.stream()),
            _ => RawModule::default(),
        };
        Some((Definition::Invocation(Box::new(item), hidden), end))
    }

    fn of_trait(self, name: String, end: usize) -> RawItem {
        let (members, rest, words) = self.members(end, &name);
        let title = format!("trait {name}");
        let body = usize::from(group_at(self.trees, end - 1, Delimiter::Brace).is_some());
        RawItem { members, words, ..self.item_of(Kind::Trait, name, title, end - body, &rest) }
    }

    fn of_impl(self, key: usize, end: usize) -> RawItem {
        let head = ImplHead::of(&self.trees[key + 1..end - 1]);
        let (members, rest, words) = self.members(end, &head.type_name);
        let title = format!("impl {}", head.title);
        let mut item = self.item_of(Kind::Impl, String::new(), title, end - 1, &rest);
        let mut mentions = Mentions::default();
        mentions.add(&self.trees[self.from..self.from + self.attributes.length]);
        mentions.add(&rest);
        mentions.absorb(&head.mentions);
        item.mentions = mentions;
        // Who invokes macros in it may define any member.
        item.makes_names =
            rest.windows(2).any(|pair| matches!(&pair[0], TokenTree::Ident(_)) && is_punct(&pair[1], '!'));
        RawItem { members, words, head: Some(head), ..item }
    }

    /// The functions in the braces, the trees of all else there, and the names of all.
    fn members(&self, end: usize, owner: &str) -> (Vec<RawItem>, Vec<TokenTree>, Vec<String>) {
        let mut trees = Vec::new();
        if let Some(group) = group_at(self.trees, end - 1, Delimiter::Brace) {
            flatten(group.stream(), &mut trees);
        }
        let (mut functions, mut rest, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        while at < trees.len() {
            match self::at(&trees, at) {
                Some((Definition::Item(mut item), next)) => {
                    if !item.name.is_empty() {
                        names.push(item.name.clone());
                    }
                    if item.kind == Kind::Function {
                        item.title = format!("fn {owner}::{}", item.name);
                        functions.push(*item);
                    } else {
                        rest.extend_from_slice(&trees[at..next]);
                    }
                    at = next;
                }
                Some((_, next)) => {
                    rest.extend_from_slice(&trees[at..next]);
                    at = next;
                }
                None => {
                    rest.push(trees[at].clone());
                    at += 1;
                }
            }
        }
        (functions, rest, names)
    }
}

/// The digest of an item's bytes.
pub(in crate::fingerprint) fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(bytes);
    *hasher.finalize().as_bytes()
}

/// All identifiers.
fn words(trees: &[TokenTree]) -> Vec<String> {
    let mut out = Vec::new();
    collect(trees, &mut out);
    out.sort_unstable();
    out.dedup();
    out
}

fn collect(trees: &[TokenTree], out: &mut Vec<String>) {
    for tree in trees {
        match tree {
            TokenTree::Group(group) => {
                let mut inner = Vec::new();
                flatten(group.stream(), &mut inner);
                collect(&inner, out);
            }
            tree => out.extend(word(tree).filter(|word| !is_keyword(word))),
        }
    }
}

/// The names of an enum's variants.
fn variants(group: &Group) -> Vec<String> {
    let mut trees = Vec::new();
    flatten(group.stream(), &mut trees);
    let name = |variant: &[TokenTree]| variant.get(Attributes::at(variant, 0).length).and_then(word);
    trees.split(|tree| is_punct(tree, ',')).filter_map(name).collect()
}

/// The names behind words that define, and all in the heads of `impl`s.
fn defines(trees: &[TokenTree], out: &mut Vec<String>) {
    let mut head = false;
    for (at, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => {
                head &= group.delimiter() != Delimiter::Brace;
                let mut inner = Vec::new();
                flatten(group.stream(), &mut inner);
                defines(&inner, out);
            }
            TokenTree::Ident(_) => {
                let Some(text) = word(tree) else { continue };
                let defined = matches!(
                    &*text,
                    "fn" | "struct" | "enum" | "union" | "trait" | "const" | "static" | "type" | "mod" | "macro_rules"
                );
                if defined {
                    let next = trees[at + 1..].iter().take(2).filter_map(word).find(|name| name != "mut");
                    out.extend(next.filter(|name| !is_keyword(name)));
                } else if text == "impl" {
                    head = true;
                } else if head && !is_keyword(&text) {
                    out.push(text);
                }
            }
            tree => head &= !is_punct(tree, ';'),
        }
    }
}

fn joins_names(words: &[String]) -> bool {
    ["paste", "concat_idents", "format_ident"].iter().any(|joins| words.iter().any(|word| word == joins))
}
