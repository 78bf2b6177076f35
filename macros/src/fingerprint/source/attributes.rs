//! The attributes in front of an item: what they say of where it is, and for whom.

use proc_macro2::{Delimiter, Group, TokenTree};

use super::super::tokens::{self, flatten, is_punct};
use super::cursor::{is_word, path_at, text};
use super::mentions::Mentions;
use crate::attribute::Kind;
use crate::options::{Input, Options};
use crate::problems::Problems;

/// Attributes and derives that define nothing with a name of its own.
const KNOWN: [&str; 48] = [
    "allow",
    "automatically_derived",
    "cached",
    "cfg",
    "cfg_attr",
    "cold",
    "default",
    "deny",
    "deprecated",
    "derive",
    "diagnostic",
    "doc",
    "expect",
    "export_name",
    "forbid",
    "global_allocator",
    "ignore",
    "inline",
    "link",
    "link_name",
    "link_section",
    "macro_export",
    "macro_use",
    "must_use",
    "naked",
    "no_mangle",
    "non_exhaustive",
    "path",
    "proc_macro",
    "proc_macro_attribute",
    "proc_macro_derive",
    "repr",
    "rustfmt",
    "serde",
    "should_panic",
    "target_feature",
    "task",
    "test",
    "track_caller",
    "used",
    "warn",
    "larder",
    "bench",
    "error",
    "from",
    "source",
    "no_link",
    "unsafe",
];

/// Derives that define nothing with a name of its own.
const KNOWN_DERIVES: [&str; 13] = [
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "Eq",
    "Hash",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Serialize",
    "Error",
    "Display",
];

/// What stands in front of an item.
#[derive(Default)]
pub(super) struct Attributes {
    /// The number of trees.
    pub(super) length: usize,
    /// `cfg(test)`, or `cfg(all(test, ..))`.
    pub(super) test: bool,
    /// `path = ".."`, under any condition.
    pub(super) paths: Vec<String>,
    /// The names of macros that the function below implements.
    pub(super) implements: Vec<String>,
    /// Whether one is larder's.
    pub(super) ours: bool,
    /// What that one says of the world around.
    pub(super) declared: Declared,
    /// The predicates it stands under.
    pub(super) cfgs: Vec<String>,
    /// The attributes that say when it is there and in which file, as they are written.
    pub(super) conditions: String,
    /// `#[macro_use]`
    pub(super) macro_use: bool,
    /// Whether a macro from elsewhere sees the item, and may define others.
    pub(super) expands: bool,
}

/// What an attribute of larder declares that a function reads beside its code: who calls it reads that too.
#[derive(Clone, Debug, Default)]
pub(in crate::fingerprint) struct Declared {
    pub(in crate::fingerprint) inputs: Vec<Input>,
    pub(in crate::fingerprint) toolchain: bool,
}

impl Declared {
    /// Mistakes are told where the attribute is expanded.
    fn read(&mut self, options: Option<&TokenTree>) {
        let Some(TokenTree::Group(options)) = options else { return };
        let options = Options::parse(Kind::Cached, options.stream(), &mut Problems::default());
        self.inputs.extend(options.inputs);
        self.toolchain |= options.toolchain;
    }
}

impl Attributes {
    /// Reads the attributes that begin here, those of the whole file included.
    pub(super) fn at(trees: &[TokenTree], from: usize) -> Attributes {
        let mut attributes = Attributes::default();
        let mut at = from;
        while trees.get(at).is_some_and(|tree| is_punct(tree, '#')) {
            let inner = usize::from(trees.get(at + 1).is_some_and(|tree| is_punct(tree, '!')));
            let Some(TokenTree::Group(group)) = trees.get(at + 1 + inner) else { break };
            if group.delimiter() != Delimiter::Bracket {
                break;
            }
            let mut content = Vec::new();
            flatten(group.stream(), &mut content);
            let paths = attributes.paths.len();
            attributes.one(&content);
            let is_cfg = is_word(content.first(), "cfg");
            if is_cfg || (is_word(content.first(), "cfg_attr") && attributes.paths.len() > paths) {
                attributes.conditions.push_str(&crate::spelling::of(content.into_iter().collect()));
            }
            at += 2 + inner;
        }
        attributes.length = at - from;
        attributes
    }

    /// One attribute, of a whole file.
    pub(super) fn of(group: &Group) -> InnerAttribute {
        let mut content = Vec::new();
        flatten(group.stream(), &mut content);
        let mut attributes = Attributes::default();
        attributes.one(&content);
        let is_silent = match (content.first(), content.get(1)) {
            (Some(first), Some(TokenTree::Group(input))) if is_word(Some(first), "cfg_attr") => {
                let mut trees = Vec::new();
                flatten(input.stream(), &mut trees);
                trees.split(|tree| is_punct(tree, ',')).skip(1).all(|one| one.first().is_none_or(says_nothing))
            }
            (first, _) => first.is_none_or(says_nothing),
        };
        InnerAttribute { cfgs: attributes.cfgs, test: attributes.test, is_silent }
    }

    fn one(&mut self, content: &[TokenTree]) {
        let (path, length) = path_at(content, 0);
        let Some(name) = path.first() else { return };
        if path.last().is_some_and(|last| last == "cached" || last == "task") {
            self.ours = true;
            self.declared.read(content.get(length));
        }
        let input = match content.get(length) {
            Some(TokenTree::Group(group)) => Some(group),
            _ => None,
        };
        match (&**name, input) {
            ("cfg", Some(group)) => {
                self.test |= is_test(group);
                self.cfgs.push(crate::spelling::of(group.stream()));
            }
            ("cfg_attr", Some(group)) => {
                let mut trees = Vec::new();
                flatten(group.stream(), &mut trees);
                let comma = trees.iter().position(|tree| is_punct(tree, ',')).unwrap_or(trees.len());
                self.cfgs.push(crate::spelling::of(trees[..comma].iter().cloned().collect()));
                for rest in trees.split(|tree| is_punct(tree, ',')).skip(1) {
                    self.one(rest);
                }
            }
            ("macro_use", _) => self.macro_use = true,
            ("path", _) => self.paths.extend(text(content.get(length + 1))),
            ("proc_macro_derive", Some(group)) => {
                let mut trees = Vec::new();
                flatten(group.stream(), &mut trees);
                self.implements.extend(path_at(&trees, 0).0.pop());
            }
            ("derive", Some(group)) => {
                let derived = Mentions::of(group.stream()).paths;
                let known = |path: &Vec<String>| path.last().is_some_and(|last| KNOWN_DERIVES.contains(&&**last));
                self.expands |= !derived.iter().all(known);
            }
            (name, _) => self.expands |= !KNOWN.contains(&name),
        }
    }
}

/// What stands in front of a whole file.
pub(super) struct InnerAttribute {
    pub(super) cfgs: Vec<String>,
    pub(super) test: bool,
    /// Whether no result depends on it.
    pub(super) is_silent: bool,
}

/// Whether an attribute of this name only says what the compiler may complain of or be given.
fn says_nothing(name: &TokenTree) -> bool {
    ["feature", "recursion_limit", "type_length_limit", "crate_name", "crate_type"]
        .iter()
        .any(|word| is_word(Some(name), word))
        || tokens::is_silent(name)
}

/// Whether a predicate holds in tests only.
fn is_test(group: &Group) -> bool {
    let mut trees = Vec::new();
    flatten(group.stream(), &mut trees);
    match &trees[..] {
        [only] => is_word(Some(only), "test"),
        [all, TokenTree::Group(inner)] if is_word(Some(all), "all") => {
            let mut inner_trees = Vec::new();
            flatten(inner.stream(), &mut inner_trees);
            inner_trees
                .split(|tree| is_punct(tree, ','))
                .any(|one| matches!(one, [only] if is_word(Some(only), "test")))
        }
        _ => false,
    }
}
