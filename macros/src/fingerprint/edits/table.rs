//! Edits of the package of many files.

use std::collections::BTreeSet;

use super::super::Code;
use super::super::sample::Sample;
use super::package::PACKAGE;
use super::small;

/// What is edited, the file, the text and what stands in its place (at the end of the file, or in a new one, where there is
/// no text), and the items that the list must name with other digests: none where nothing may change.
pub(super) type Edit = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

/// Names of items with their digests.
fn lines(code: &Code) -> BTreeSet<(String, String)> {
    let line = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        (parts.next().expect("a digest"), parts.next().expect("a name"))
    };
    code.items.lines().map(line).collect()
}

/// All edits that did not do as expected, at once.
pub(super) fn check(edits: &[Edit]) {
    let files = small::files(PACKAGE);
    let texts: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let sample = Sample::new(&texts);
    let code = || sample.code("src/lib.rs", "src/lib.rs", "analyse");
    let before = code();
    let mut wrong = Vec::new();
    for (what, file, from, to, named) in edits {
        let text = files.iter().find(|(path, _)| path == file).map_or("", |(_, text)| &**text);
        if from.is_empty() {
            sample.write(file, &format!("{text}{to}"));
        } else {
            assert_eq!(text.matches(from).count(), 1, "{what}: {file} has `{from}` once");
            sample.edit(file, from, to);
        }
        let after = code();
        let is_new = text.is_empty();
        if is_new {
            std::fs::remove_file(sample.path(file)).expect("the file was there");
        } else {
            sample.write(file, text);
        }
        let (listed, known) = (lines(&after), lines(&before));
        let changed: BTreeSet<&str> = listed.symmetric_difference(&known).map(|(_, name)| &**name).collect();
        let differs = after.digest != before.digest;
        if differs == named.is_empty() || !named.iter().all(|name| changed.contains(name) || *name == "…") {
            wrong.push(format!("{what}: changed {differs}, by {changed:?}, and not {named:?}"));
        }
    }
    assert_eq!(code().digest, before.digest, "all edits were undone");
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), before.items);
}
