//! Which dependencies a word could mean.

use super::*;

#[test]
fn a_library_may_have_a_name_of_its_own() {
    let files = Files::new(&[
        (
            "Cargo.toml",
            "[package]\nname = 'a'\n[dependencies]\nmd-5 = '1'\nserde = '1'\nnear = { path = 'near' }\n\
             renamed = { package = 'true-name', version = '1' }",
        ),
        ("near/Cargo.toml", "[package]\nname = 'near'"),
    ]);
    let package = files.package("");
    let named = |word: &str, externs: Option<&[&str]>| -> Vec<String> {
        let externs = externs.map(|names| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        package.named(word, externs.as_deref()).iter().map(|one| one.package.clone()).collect()
    };
    let known: Option<&[&str]> = Some(&["md5", "serde", "near", "renamed"]);
    for (word, externs, meant) in [
        ("serde", known, &["serde"][..]),
        ("serde", None, &["serde"]),
        ("renamed", known, &["true-name"]),
        // The compiler says that there is such a crate, and which other names are taken.
        ("md5", known, &["md-5"]),
        ("module", known, &[]),
        // Nothing is known: whatever may have another name.
        ("md5", None, &["md-5", "serde"]),
    ] {
        assert_eq!(named(word, externs), meant, "{word} among {externs:?}");
    }
}
