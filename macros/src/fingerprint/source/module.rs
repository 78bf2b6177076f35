//! The content of a module, and of a function's body that has modules' content in it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::super::tokens::{feed_trees, flatten, is_punct};
use super::attributes::Attributes;
use super::definition::{self, Definition};
use super::include::Include;
use super::uses::{self, Use};
use super::{Kind, RawItem};

/// What stands in a file, or between the braces of a module.
#[derive(Clone, Debug, Default)]
pub(in crate::fingerprint) struct RawModule {
    pub(in crate::fingerprint) items: Vec<RawItem>,
    pub(in crate::fingerprint) uses: Vec<Use>,
    pub(in crate::fingerprint) modules: Vec<ModuleDeclaration>,
    pub(in crate::fingerprint) includes: Vec<Include>,
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
    pub(in crate::fingerprint) content: Content,
}

#[derive(Clone, Debug)]
pub(in crate::fingerprint) enum Content {
    Inline(RawModule),
    File,
}

impl RawModule {
    pub(super) fn of(tokens: TokenStream) -> RawModule {
        let mut trees = Vec::new();
        flatten(tokens, &mut trees);
        let mut module = RawModule::default();
        let mut rest = Vec::new();
        let mut at = 0;
        while at < trees.len() {
            match definition::at(&trees, at) {
                Some((definition, next)) => {
                    module.take(definition);
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

    /// What is defined in a body, in its blocks too, but not in the functions that are.
    pub(super) fn of_body(tokens: TokenStream) -> RawModule {
        let mut module = RawModule::default();
        module.take_body(tokens);
        module
    }

    fn take_body(&mut self, tokens: TokenStream) {
        let mut trees = Vec::new();
        flatten(tokens, &mut trees);
        let mut starts = true;
        let mut at = 0;
        while at < trees.len() {
            if starts
                && let Some((definition, next)) = definition::at(&trees, at)
                && !matches!(&definition, Definition::Item(item) if item.kind == Kind::Invocation)
            {
                self.take(definition);
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

    fn take(&mut self, definition: Definition) {
        match definition {
            Definition::Item(item) => self.items.push(*item),
            Definition::Use(trees, cfgs) => {
                let used = uses::flatten(&trees).into_iter();
                self.uses.extend(used.map(|used| Use { cfgs: cfgs.clone(), ..used }));
            }
            Definition::ExternCrate { name, renamed } => {
                self.uses.push(Use { name: Some(renamed), path: vec![String::new(), name], cfgs: Vec::new() });
            }
            Definition::Include(input) => self.includes.push(Include::of(input)),
            Definition::Module { name, attributes, content } => self.modules.push(ModuleDeclaration {
                name,
                test: attributes.test,
                paths: attributes.paths,
                cfgs: attributes.cfgs,
                content: content.map_or(Content::File, |content| Content::Inline(RawModule::of(content))),
            }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.uses.is_empty() && self.modules.is_empty() && self.includes.is_empty()
    }
}
