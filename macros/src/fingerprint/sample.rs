//! Packages for tests: files in a temporary directory, and the code of their functions as the attribute would see it.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::Visit;

use super::cargo::Compilation;
use super::code;
use super::root::Root;
use super::sources::Sources;
use super::{Code, own};
use crate::attribute::Kind;
use crate::function::Function;
use crate::options::Options;
use crate::problems::Problems;

/// A package in a directory of its own.
pub(super) struct Sample {
    dir: tempfile::TempDir,
}

impl Sample {
    /// The files of a package, by their paths in it.
    pub(super) fn new(files: &[(&str, &str)]) -> Sample {
        let sample = Sample { dir: tempfile::tempdir().expect("a temporary directory") };
        for (path, text) in files {
            sample.write(path, text);
        }
        sample
    }

    pub(super) fn write(&self, path: &str, text: &str) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(file, text).expect("a file");
    }

    /// Puts one text in place of another, which must be there.
    pub(super) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).expect("the file is there");
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The code of the function of this name in a file, in the crate with this root file.
    pub(super) fn code(&self, root: &str, file: &str, function: &str) -> Code {
        let compilation = Compilation::at(self.path(root), self.dir.path().to_owned(), "sample").expect("a package");
        let sources = Sources::read(&compilation).expect("the sources are there");
        let (options, item) = find(&self.path(file), function);
        let function = Function::parse(Kind::Cached, item).expect("a function");
        let mut problems = Problems::default();
        let options = Options::parse(Kind::Cached, options, &mut problems);
        assert_eq!(problems.messages(), Vec::<String>::new());
        let own = own(&function, &options);
        let mut root = Root::of(&function, own);
        root.file = Some(super::load::canonical(self.path(file)));
        code::of(&sources, &root, &options)
    }
}

/// A function's attribute's options, and its tokens without that attribute.
fn find(file: &Path, name: &str) -> (TokenStream, TokenStream) {
    let text = fs::read_to_string(file).expect("the file is there");
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}\n{text}", file.display()));
    let mut finder = Finder { name, found: None };
    finder.visit_file(&parsed);
    finder.found.unwrap_or_else(|| panic!("no annotated `{name}` in {}", file.display()))
}

struct Finder<'n> {
    name: &'n str,
    found: Option<(TokenStream, TokenStream)>,
}

impl Finder<'_> {
    fn take(&mut self, attrs: &[syn::Attribute], sig: &syn::Signature, item: TokenStream) {
        let ours = |attr: &&syn::Attribute| attr.path().segments.last().is_some_and(|last| last.ident == "cached");
        if sig.ident != self.name {
            return;
        }
        if let Some(attr) = attrs.iter().find(ours) {
            let options = match &attr.meta {
                syn::Meta::List(list) => list.tokens.clone(),
                _ => TokenStream::new(),
            };
            self.found = Some((options, item));
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let mut bare = item.clone();
        bare.attrs.retain(|attr| attr.path().segments.last().is_none_or(|last| last.ident != "cached"));
        self.take(&item.attrs, &item.sig, bare.into_token_stream());
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let mut bare = item.clone();
        bare.attrs.retain(|attr| attr.path().segments.last().is_none_or(|last| last.ident != "cached"));
        self.take(&item.attrs, &item.sig, bare.into_token_stream());
        syn::visit::visit_impl_item_fn(self, item);
    }
}
