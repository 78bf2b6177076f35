//! The content of a module, and of a function's body that has modules' content in it.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::super::tokens::{feed_trees, flatten, is_punct};
use super::RawItem;
use super::attributes::Attributes;
use super::cursor::is_word;
use super::definition::{self, Definition};
use super::include::Include;
use super::uses::{self, Use};

/// What stands in a file, or between the braces of a module.
#[derive(Clone, Debug, Default)]
pub(in crate::fingerprint) struct RawModule {
    pub(in crate::fingerprint) items: Vec<RawItem>,
    pub(in crate::fingerprint) uses: Vec<Use>,
    pub(in crate::fingerprint) modules: Vec<ModuleDeclaration>,
    pub(in crate::fingerprint) includes: Vec<Include>,
    /// The predicates of `#![cfg(..)]`.
    pub(in crate::fingerprint) cfgs: Vec<String>,
    /// Of tests only, as it says itself.
    pub(in crate::fingerprint) test: bool,
    /// What names neither an item nor a module: tokens of a syntax that is not known here.
    pub(in crate::fingerprint) rest: Option<[u8; 32]>,
}

/// `mod name`
#[derive(Clone, Debug)]
pub(in crate::fingerprint) struct ModuleDeclaration {
    pub(in crate::fingerprint) name: String,
    /// Of tests only.
    pub(in crate::fingerprint) test: bool,
    /// The values of its `path` attributes.
    pub(in crate::fingerprint) paths: Vec<String>,
    /// The predicates it stands under.
    pub(in crate::fingerprint) cfgs: Vec<String>,
    /// The attributes that say when it is there and in which file.
    pub(in crate::fingerprint) conditions: String,
    pub(in crate::fingerprint) content: Content,
    /// Where it begins in its module, to be compared.
    pub(in crate::fingerprint) at: usize,
}

#[derive(Clone, Debug)]
pub(in crate::fingerprint) enum Content {
    Inline(RawModule),
    File,
}

impl ModuleDeclaration {
    /// One in a file, if there is such a file.
    pub(in crate::fingerprint) fn uncertain(name: String) -> ModuleDeclaration {
        let cfgs = vec![String::new()];
        ModuleDeclaration {
            name,
            test: false,
            paths: Vec::new(),
            cfgs,
            conditions: String::new(),
            content: Content::File,
            at: 0,
        }
    }
}

impl RawModule {
    pub(super) fn of(tokens: TokenStream) -> RawModule {
        let mut trees = Vec::new();
        flatten(tokens, &mut trees);
        let mut module = RawModule::default();
        let mut rest = Vec::new();
        let mut at = module.take_inner(&trees, &mut rest);
        while at < trees.len() {
            match definition::at(&trees, at) {
                Some((definition, next)) => {
                    module.take(definition, at);
                    at = next;
                }
                None => {
                    // An attribute of the whole file, a stray `;`, or what is not known.
                    let attributes = Attributes::at(&trees, at).length.max(1);
                    rest.extend_from_slice(&trees[at..(at + attributes).min(trees.len())]);
                    at += attributes;
                }
            }
        }
        let mut bytes = Vec::new();
        rest.retain(|tree| !is_punct(tree, ';'));
        feed_trees(&rest, &mut bytes);
        module.rest = (!bytes.is_empty()).then(|| definition::digest(&bytes));
        module
    }

    /// The attributes of the whole: those that say something go to `rest`. Returns the number of their trees.
    fn take_inner(&mut self, trees: &[TokenTree], rest: &mut Vec<TokenTree>) -> usize {
        let mut at = 0;
        while let [hash, bang, TokenTree::Group(group), ..] = &trees[at..]
            && is_punct(hash, '#')
            && is_punct(bang, '!')
        {
            let attribute = Attributes::of(group);
            if !attribute.is_silent {
                rest.extend_from_slice(&trees[at..at + 3]);
            }
            self.cfgs.extend(attribute.cfgs);
            self.test |= attribute.test;
            at += 3;
        }
        at
    }

    /// The imports and the file modules in the input of a macro (`cfg_if!`): whether they are there is not known.
    pub(super) fn of_input(tokens: TokenStream) -> RawModule {
        let mut module = RawModule::default();
        module.take_input(tokens);
        module
    }

    fn take_input(&mut self, tokens: TokenStream) {
        let mut trees = Vec::new();
        flatten(tokens, &mut trees);
        let mut at = 0;
        while at < trees.len() {
            if is_word(trees.get(at), "use") || is_word(trees.get(at), "mod") {
                match definition::at(&trees, at) {
                    Some((Definition::Use(used, _), next)) => {
                        let unknown = || vec![String::new()];
                        let used = uses::flatten(&used).into_iter();
                        self.uses.extend(used.map(|used| Use { cfgs: unknown(), ..used }));
                        at = next;
                        continue;
                    }
                    Some((Definition::Module { name, content: None, .. }, next)) => {
                        self.modules.push(ModuleDeclaration::uncertain(name));
                        at = next;
                        continue;
                    }
                    _ => {}
                }
            }
            if let TokenTree::Group(group) = &trees[at] {
                self.take_input(group.stream());
            }
            at += 1;
        }
    }

    /// Takes what is defined in a body, in its blocks too, but not in the functions that are.
    pub(super) fn take_body(&mut self, tokens: TokenStream) {
        let mut trees = Vec::new();
        flatten(tokens, &mut trees);
        let mut starts = true;
        let mut at = 0;
        while at < trees.len() {
            if starts
                && let Some((definition, next)) = definition::at(&trees, at)
                && !matches!(&definition, Definition::Invocation(..))
            {
                self.take(definition, at);
                at = next;
                continue;
            }
            match &trees[at] {
                TokenTree::Group(group) => {
                    self.take_body(group.stream());
                    starts = group.delimiter() == Delimiter::Brace;
                }
                tree => starts = is_punct(tree, ';'),
            }
            at += 1;
        }
    }

    fn take(&mut self, definition: Definition, at: usize) {
        match definition {
            Definition::Item(item) => self.items.push(*item),
            Definition::Invocation(item, hidden) => {
                self.items.push(*item);
                self.uses.extend(hidden.uses);
                self.modules.extend(hidden.modules);
            }
            Definition::Use(trees, cfgs) => {
                let used = uses::flatten(&trees).into_iter();
                self.uses.extend(used.map(|used| Use { cfgs: cfgs.clone(), ..used }));
            }
            Definition::ExternCrate { name, renamed, macros } => {
                let path = vec![String::new(), name];
                self.uses.push(Use { name: Some(renamed), path, cfgs: Vec::new(), macros });
            }
            Definition::Include(input) => self.includes.push(Include::of(input)),
            Definition::Module { name, attributes, content, whole } => {
                self.items.extend(whole.map(|whole| *whole));
                self.modules.push(ModuleDeclaration {
                    name,
                    test: attributes.test,
                    paths: attributes.paths,
                    cfgs: attributes.cfgs,
                    conditions: attributes.conditions,
                    content: content.map_or(Content::File, |content| Content::Inline(RawModule::of(content))),
                    at,
                });
            }
        }
    }

    /// See [`RawItem::add_included`].
    pub(in crate::fingerprint) fn add_included(&mut self, file: &Path) {
        self.items.iter_mut().for_each(|item| item.add_included(file));
        for module in &mut self.modules {
            if let Content::Inline(inner) = &mut module.content {
                inner.add_included(file);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.uses.is_empty() && self.modules.is_empty() && self.includes.is_empty()
    }
}
