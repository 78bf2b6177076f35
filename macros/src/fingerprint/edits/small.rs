//! Packages of one idea: a text, and an edit of it.

use super::super::sample::Sample;

/// What the edit is of, the files, the text that is edited and what stands in its place.
///
/// The files are one text: `//- path` begins another than `src/lib.rs`.
pub(super) type Small = (&'static str, &'static str, &'static str, &'static str);

const MANIFEST: &str = "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

/// The files of a text, the manifest included.
pub(super) fn files(text: &str) -> Vec<(String, String)> {
    let mut files = vec![("src/lib.rs".to_owned(), String::new())];
    for line in text.lines() {
        match line.strip_prefix("//- ") {
            Some(path) => files.push((path.to_owned(), String::new())),
            None => {
                let (_, content) = files.last_mut().expect("there is one");
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    if !files.iter().any(|(path, _)| path == "Cargo.toml") {
        files.push(("Cargo.toml".to_owned(), MANIFEST.to_owned()));
    }
    files
}

/// What an edit did to the digest of `root`: whether it changed.
///
/// # Errors
/// Where the directory of the package counts.
fn changed(what: &str, text: &str, from: &str, to: &str) -> Result<bool, String> {
    let files = files(text);
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let sample = Sample::new(&files);
    let root = files.iter().find(|(_, text)| text.contains("fn root")).map_or("src/lib.rs", |(path, _)| *path);
    let before = sample.code("src/lib.rs", root, "root");
    let elsewhere = Sample::new(&files).code("src/lib.rs", root, "root");
    if before.digest != elsewhere.digest {
        return Err(format!("the directory counts:\n{}", before.items));
    }
    let (file, _) = files.iter().find(|(_, text)| text.contains(from)).unwrap_or_else(|| panic!("{what}: no `{from}`"));
    sample.edit(file, from, to);
    Ok(sample.code("src/lib.rs", root, "root").digest != before.digest)
}

/// All that did not do as expected, at once.
pub(super) fn check(edits: &[Small], expected: bool) {
    let mut wrong = Vec::new();
    for (what, text, from, to) in edits {
        match changed(what, text, from, to) {
            Ok(changed) if changed == expected => {}
            Ok(_) => wrong.push((*what).to_owned()),
            Err(why) => wrong.push(format!("{what}: {why}")),
        }
    }
    let verb =
        if expected { "must change the fingerprint and do not" } else { "must not change the fingerprint and do" };
    assert!(wrong.is_empty(), "these {verb}:\n{}", wrong.join("\n"));
}
