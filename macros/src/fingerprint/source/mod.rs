//! Source files, read into items. Nothing here knows what a name means.
//!
//! The bodies of functions are read as tokens and never parsed, so that syntax newer than this crate costs nothing, and
//! 50,000 lines little. All that is kept is plain data: files are read on several threads, and what they hold outlives the
//! macro invocation that needed it first.

mod attributes;
mod cursor;
mod definition;
mod heads;
mod include;
mod inline;
mod mentions;
mod module;
mod uses;
mod words;

pub(super) use attributes::Declared;
pub(super) use cursor::bare;
pub(super) use definition::digest;
pub(super) use heads::ImplHead;
pub(super) use include::Include;
pub(super) use mentions::{Mentions, Path};
pub(super) use module::{Content, ModuleDeclaration, RawModule};
pub(super) use uses::{Use, flatten as uses_of};
pub(super) use words::{is_keyword, is_standard_macro};

use std::path::Path as FilePath;

use proc_macro2::TokenStream;

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Function,
    Struct,
    Enum,
    Union,
    Trait,
    Impl,
    Const,
    Static,
    Alias,
    Macro,
    /// A macro's invocation in place of items.
    Invocation,
    /// `extern { .. }`
    Foreign,
}

/// An item as its file has it.
#[derive(Clone, Debug)]
pub(super) struct RawItem {
    pub(super) kind: Kind,
    /// Its name; the macro's of an invocation; empty for an `impl`.
    pub(super) name: String,
    /// What people call it: `fn normalise`, `impl Add for Point`.
    pub(super) title: String,
    /// The digest of its tokens, without those of its `members`.
    pub(super) digest: [u8; 32],
    pub(super) mentions: Mentions,
    /// Of tests only, as it says itself.
    pub(super) test: bool,
    /// Other names by which it is found: those of what an `extern` block declares, of the macro that a function implements.
    pub(super) other_names: Vec<String>,
    /// The names of all that its invocation could define, of the associated items of an `impl` or a trait, of the variants of
    /// an enum, of what an `extern` block declares.
    pub(super) words: Vec<String>,
    /// The names that a macro gives by itself to what it defines, and those in the heads of its `impl`s.
    pub(super) defines: Vec<String>,
    /// Whether it stands under a `cfg`, and may not be there.
    pub(super) conditional: bool,
    /// Where it begins in its module, to be compared.
    pub(super) at: usize,
    /// Whether names could be put together in it, or be made by a macro from elsewhere.
    pub(super) makes_names: bool,
    /// Of a function with an attribute of larder: the digest of its signature and body.
    pub(super) annotated: Option<[u8; 32]>,
    pub(super) declared: Declared,
    /// Of an `impl`.
    pub(super) head: Option<ImplHead>,
    /// The functions of an `impl` or a trait.
    pub(super) members: Vec<RawItem>,
    /// What is defined within a function, where an attribute of larder stands there.
    pub(super) body: Option<Box<RawModule>>,
}

impl RawItem {
    /// Adds what the code mentions that is included in this item's, which stands in `file`.
    pub(super) fn add_included(&mut self, file: &FilePath) {
        self.mentions.add_included(file);
        self.members.iter_mut().for_each(|member| member.add_included(file));
        if let Some(body) = &mut self.body {
            body.add_included(file);
        }
    }
}

/// Reads a file's text.
///
/// # Errors
/// Why it is no sequence of tokens.
pub(super) fn read(text: &str) -> Result<RawModule, String> {
    // A byte order mark, `#!/usr/bin/env ..`
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = match text.strip_prefix("#!") {
        Some(rest) if !rest.trim_start().starts_with('[') => rest.split_once('\n').map_or("", |(_, rest)| rest),
        _ => text,
    };
    let tokens: TokenStream = text.parse().map_err(|problem| format!("{problem}"))?;
    Ok(RawModule::of(tokens))
}

/// The digest of a text's tokens, if it is a sequence of such.
pub(super) fn digest_of_text(text: &str) -> Option<[u8; 32]> {
    let tokens: TokenStream = text.parse().ok()?;
    let mut bytes = Vec::new();
    super::tokens::feed(tokens, &mut bytes);
    Some(digest(&bytes))
}
