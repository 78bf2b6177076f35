//! A TOML file of Cargo's, and what to say when it is not as expected.

use std::fs;
use std::io;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file's text. What is parsed from it borrows from it.
pub(super) struct Source {
    pub(super) file: PathBuf,
    text: String,
}

impl Source {
    /// Err: which file cannot be read, and why.
    pub(super) fn read(file: PathBuf) -> Result<Source, String> {
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Source { file, text }),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        }
    }

    /// None where there is no such file.
    pub(super) fn find(file: PathBuf) -> Result<Option<Source>, String> {
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Some(Source { file, text })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(format!("{} cannot be read: {error}", file.display())),
        }
    }

    pub(super) fn parse(&self) -> Result<DeTable<'_>, String> {
        DeTable::parse(&self.text).map(Spanned::into_inner).map_err(|error| {
            let before = error.span().and_then(|span| self.text.get(..span.start)).unwrap_or("");
            let line = before.matches('\n').count() + 1;
            self.blame(format!("line {line}: {}", error.message()))
        })
    }

    /// What is wrong, behind the file that it is wrong in.
    pub(super) fn blame(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.file.display())
    }
}

/// The table of that name, if it is there. Err: it is something else.
pub(super) fn table<'a>(within: &'a DeTable<'_>, key: &str) -> Result<Option<&'a DeTable<'a>>, String> {
    let Some(value) = within.get(key) else { return Ok(None) };
    let found = value.get_ref();
    found.as_table().map(Some).ok_or_else(|| unlike(key, "a table", found))
}

/// The text of that name, if it is there. Err: it is something else.
pub(super) fn text<'a>(within: &'a DeTable<'_>, key: &str) -> Result<Option<&'a str>, String> {
    let Some(value) = within.get(key) else { return Ok(None) };
    let found = value.get_ref();
    found.as_str().map(Some).ok_or_else(|| unlike(key, "a text", found))
}

/// The texts of that name; none if it is not there. Err: it is something else.
pub(super) fn texts<'a>(within: &'a DeTable<'_>, key: &str) -> Result<Vec<&'a str>, String> {
    let Some(value) = within.get(key) else { return Ok(Vec::new()) };
    let found = value.get_ref();
    let wrong = || unlike(key, "an array of texts", found);
    let array = found.as_array().ok_or_else(wrong)?;
    array.iter().map(|text| text.get_ref().as_str().ok_or_else(wrong)).collect()
}

/// Whether that name is there and `true`.
pub(super) fn is_true(within: &DeTable<'_>, key: &str) -> bool {
    within.get(key).and_then(|value| value.get_ref().as_bool()) == Some(true)
}

fn unlike(key: &str, wanted: &str, found: &DeValue<'_>) -> String {
    format!("`{key}` is not {wanted} but of type {}", found.type_str())
}
