//! What stands in for other packages.

use super::*;

const ALONE: &str = "[package]\nname = 'a'\n[dependencies]\nfoo = '1'\nbar = { git = 'https://example.com/bar' }\n\
                     mine = { path = 'mine' }\nother = { package = 'foo', version = '2' }\nbaz = '1'\n";

#[test]
fn a_patch_is_a_further_meaning() {
    let manifest = format!(
        "{ALONE}
        [patch.crates-io]
        foo = {{ path = 'patched/foo' }}
        foo-two = {{ path = 'patched/foo2', package = 'foo' }}
        baz = {{ git = 'https://example.com/baz' }}
        mine = {{ path = 'not/this' }}
        [patch.'https://example.com/bar']
        bar = {{ path = '../bar' }}
        "
    );
    let files = Files::new(&[("a/Cargo.toml", &manifest)]);
    let a = files.package("a");
    assert_eq!(
        files.dependencies(&a),
        [
            listed("bar", "bar", None),
            listed("bar", "bar", Some("bar")),
            listed("baz", "baz", None),
            listed("foo", "foo", None),
            listed("foo", "foo", Some("a/patched/foo")),
            listed("foo", "foo", Some("a/patched/foo2")),
            // What has a path keeps it.
            listed("mine", "mine", Some("a/mine")),
            listed("other", "foo", None),
            listed("other", "foo", Some("a/patched/foo")),
            listed("other", "foo", Some("a/patched/foo2")),
        ]
    );
}

#[test]
fn patches_are_those_of_the_workspace_that_is_built() {
    let files = Files::new(&[
        ("a/Cargo.toml", ALONE),
        ("root/Cargo.toml", "[workspace]\n[patch.crates-io]\nfoo = { path = 'foo' }"),
        ("root/member/Cargo.toml", ALONE),
    ]);
    let paths = |package: &Package| -> Vec<_> {
        let named = package.dependencies.iter().filter(|one| one.extern_name == "foo");
        named.map(|one| one.path.clone()).collect()
    };
    assert_eq!(paths(&files.package("a")), [None]);
    assert_eq!(paths(&files.package("root/member")), [None, Some(files.path("root/foo"))]);
    let within = Package::read_within(&files.path("a"), &files.path("root")).expect("a package");
    assert_eq!(paths(&within), [None, Some(files.path("root/foo"))]);
    // Without a manifest there are none: what the lock lies beside may be anything.
    let within = Package::read_within(&files.path("root/member"), &files.path("nowhere")).expect("a package");
    assert_eq!(paths(&within), [None]);
}

#[test]
fn replacements_and_configuration_count_too() {
    for (file, text, path) in [
        ("a/Cargo.toml", format!("{ALONE}\n[replace]\n'foo:1.0.0' = {{ path = 'p' }}"), "a/p"),
        ("a/Cargo.toml", format!("{ALONE}\n[replace]\n'foo@1.0.0' = {{ path = 'p' }}"), "a/p"),
        ("a/Cargo.toml", format!("{ALONE}\n[replace]\n'https://e.com/x#foo:1.0.0' = {{ path = 'p' }}"), "a/p"),
        ("a/.cargo/config.toml", "[patch.crates-io]\nfoo = { path = 'p' }".to_owned(), "a/p"),
        (".cargo/config.toml", "[patch.crates-io]\nfoo = { path = 'p' }".to_owned(), "p"),
        (".cargo/config", "[patch.crates-io]\nfoo = { path = 'p' }".to_owned(), "p"),
        (".cargo/config.toml", "paths = ['nothing', 'local']".to_owned(), "local"),
    ] {
        let files = Files::new(&[("a/Cargo.toml", ALONE), ("local/Cargo.toml", "[package]\nname = 'foo'")]);
        files.write(file, &text);
        let a = files.package("a");
        assert!(files.dependencies(&a).contains(&listed("foo", "foo", Some(path))), "{file}: {text}");
    }
}

#[test]
fn bad_configuration_is_named() {
    let files = Files::new(&[("a/Cargo.toml", ALONE), (".cargo/config.toml", "paths = 1")]);
    let why = Package::read(&files.path("a")).expect_err("bad configuration");
    let file = files.path(".cargo/config.toml");
    assert!(why.contains(&format!("{}: `paths` is not an array of texts", file.display())), "{why}");
}
