//! The annotated function, and where it stands among the items that were read.

use std::path::PathBuf;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

use super::index::{Index, ItemId, ModuleId};
use super::source::{Kind, Mentions, bare, digest};
use super::{load, tokens};
use crate::function::Function;

/// Traits that say nothing of what a function does with a value, or that the library itself asks for.
pub(super) const PLAIN_BOUNDS: [&str; 11] = [
    "Send",
    "Sync",
    "Sized",
    "Unpin",
    "Copy",
    "Clone",
    "Any",
    "Serialize",
    "Deserialize",
    "DeserializeOwned",
    "UnwindSafe",
];

/// A function as its attribute sees it.
pub(super) struct Root {
    pub(super) name: String,
    /// The digest of its own tokens, and of the options that are code.
    pub(super) own: [u8; 32],
    /// The digest by which it is found among items.
    token: [u8; 32],
    pub(super) mentions: Mentions,
    /// The traits of its bounds: whose types will be given is not known here.
    pub(super) bounds: Vec<String>,
    /// Where it was written, if the compiler says.
    pub(super) file: Option<PathBuf>,
}

/// Where it stands.
#[derive(Default)]
pub(super) struct Place {
    /// The modules whose names it knows: more than one where it cannot be told which.
    pub(super) modules: Vec<ModuleId>,
    /// The function itself.
    pub(super) own: Vec<ItemId>,
    /// What it belongs to: its `impl` or trait, or the item that it is hidden in.
    pub(super) around: Vec<ItemId>,
    pub(super) test: bool,
}

impl Root {
    pub(super) fn of(function: &Function, own: [u8; 32]) -> Root {
        let mut tokens = function.sig.to_token_stream();
        function.body.to_tokens(&mut tokens);
        let mut bytes = Vec::new();
        tokens::feed(tokens.clone(), &mut bytes);
        let mut code = TokenStream::new();
        function.attrs.iter().for_each(|attribute| attribute.to_tokens(&mut code));
        code.extend(tokens);
        let generics = &function.sig.generics;
        let mut bounds = generics.to_token_stream();
        generics.where_clause.to_tokens(&mut bounds);
        let bounds = Mentions::of(bounds).paths.into_iter().filter_map(|mut path| path.pop());
        Root {
            name: bare(&function.sig.ident),
            own,
            token: digest(&bytes),
            mentions: Mentions::of(code),
            bounds: match generics.params.is_empty() {
                true => Vec::new(),
                false => bounds.filter(|bound| !PLAIN_BOUNDS.contains(&&**bound)).collect(),
            },
            file: file_of(function.sig.ident.span()).or_else(|| file_of(Span::call_site())),
        }
    }

    /// The file it stands in, as far as it is known.
    pub(super) fn file(&self, place: &Place, index: &Index) -> Option<PathBuf> {
        self.file.clone().or_else(|| place.own.first().map(|own| index.items[*own].file.clone()))
    }

    /// Finds the function. Where its file does not have it, a macro made it: then it stands where the macro is invoked; and
    /// where that is not to be seen, in the root of the crate.
    pub(super) fn place(&self, index: &Index) -> Place {
        let named =
            [&index.by_name, &index.members].into_iter().filter_map(|names| names.get(&self.name)).flatten().copied();
        let mut candidates: Vec<ItemId> = named
            .filter(|id| {
                index.items[*id].kind == Kind::Function && index.crates[index.crate_of(*id)].source.own_package
            })
            .collect();
        self.narrow(&mut candidates, |id| self.file.as_ref().is_none_or(|file| *file == index.items[id].file));
        self.narrow(&mut candidates, |id| index.items[id].annotated == Some(self.token));
        let in_file = |id: &ItemId| self.file.as_ref().is_none_or(|file| *file == index.items[*id].file);
        if candidates.iter().any(in_file) && candidates.iter().any(|id| index.items[*id].annotated.is_some()) {
            return Place {
                modules: each_once(candidates.iter().map(|id| index.items[*id].module)),
                around: each_once(candidates.iter().filter_map(|id| index.items[*id].parent)),
                test: candidates.iter().any(|id| index.items[*id].test),
                own: candidates,
            };
        }
        // Within another function, or made by a macro.
        let hides = |id: &ItemId| {
            let item = &index.items[*id];
            let within = item.mentions.nested.contains(&self.name)
                || (item.kind == Kind::Invocation && item.words.contains(&self.name));
            within && index.crates[index.crate_of(*id)].source.own_package
        };
        let mut hidden: Vec<ItemId> = (0..index.items.len()).filter(hides).collect();
        self.narrow(&mut hidden, |id| self.file.as_ref().is_none_or(|file| *file == index.items[id].file));
        let mut modules = each_once(hidden.iter().map(|id| index.items[*id].module));
        if modules.is_empty() {
            modules.push(index.crates[0].root);
        }
        // Who it is hidden in may be the whole of a program: only what a macro makes of names put together needs all of it.
        Place { modules, test: hidden.iter().any(|id| index.items[*id].test), around: hidden, own: Vec::new() }
    }

    fn narrow(&self, items: &mut Vec<ItemId>, fits: impl Fn(ItemId) -> bool) {
        if items.iter().any(|id| fits(*id)) {
            items.retain(|id| fits(*id));
        }
    }
}

/// The file that a span is of, which only the compiler knows.
fn file_of(span: Span) -> Option<PathBuf> {
    proc_macro::is_available().then(|| span.unwrap().local_file()).flatten().map(load::canonical)
}

fn each_once<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}
