//! What is read of manifests.

use super::*;

#[test]
fn tables_renames_and_targets() {
    let files = Files::new(&[
        (
            "Cargo.toml",
            r#"
            [package]
            name = "a-package"
            version = "1.2.3"

            [dependencies]
            plain = "1"
            with-dash = { version = "2", optional = true }
            new-name = { package = "true-name", version = "1" }
            near = { path = "near", version = "0.1" }
            near-too = { path = "./x/../near", package = "near" }
            from-git = { git = "https://example.com/x" }

            [dependencies.long]
            version = "1"
            features = ["a"]

            [dev-dependencies]
            plain = "1"
            tests = { path = "../tests" }

            [build-dependencies]
            cc = "1"

            [target.'cfg(unix)'.dependencies]
            unix = "1"
            [target.'cfg(windows)'.dependencies]
            win = { path = "win" }
            [target.x86_64-unknown-linux-gnu.dev-dependencies]
            linux = "1"
            [target.'cfg(windows)'.build-dependencies]
            winres = "1"
            "#,
        ),
        ("near/Cargo.toml", "[package]\nname = 'near'"),
    ]);
    let package = files.package("");
    assert_eq!((package.name.as_str(), package.version.as_str()), ("a-package", "1.2.3"));
    assert_eq!((package.library.as_ref(), package.build_script.as_ref()), (None, None));
    let tests = package.dependencies.iter().find(|one| one.package == "tests").expect("it is there");
    assert_eq!(tests.path.as_deref(), Some(&*below(&files.path(""), "../tests")));
    let others = Package {
        dependencies: package.dependencies.iter().filter(|one| one.package != "tests").cloned().collect(),
        ..package.clone()
    };
    assert_eq!(
        files.dependencies(&others),
        [
            listed("from_git", "from-git", None),
            listed("linux", "linux", None),
            listed("long", "long", None),
            listed("near", "near", Some("near")),
            listed("near_too", "near", Some("near")),
            listed("new_name", "true-name", None),
            listed("plain", "plain", None),
            listed("unix", "unix", None),
            listed("win", "win", Some("win")),
            listed("with_dash", "with-dash", None),
        ]
    );
    assert_eq!(files.package("near").version, "0.0.0");
}

#[test]
fn libraries_and_build_scripts() {
    let root = |name: &str, root: &str, proc_macro| Some((name.to_owned(), root.to_owned(), proc_macro));
    for (manifest, library, build) in [
        ("", root("a_b", "src/lib.rs", false), Some("build.rs")),
        ("build = false\nautolib = false", None, None),
        ("build = true", root("a_b", "src/lib.rs", false), Some("build.rs")),
        ("build = 'tool/make.rs'", root("a_b", "src/lib.rs", false), Some("tool/make.rs")),
        ("[lib]\nname = 'other-name'", root("other_name", "src/lib.rs", false), Some("build.rs")),
        ("[lib]\npath = './code/../code/all.rs'", root("a_b", "code/all.rs", false), Some("build.rs")),
        ("autolib = false\n[lib]\nproc-macro = true", root("a_b", "src/lib.rs", true), Some("build.rs")),
    ] {
        let text = format!("[package]\nname = 'a-b'\n{manifest}");
        let files = Files::new(&[("Cargo.toml", &text), ("src/lib.rs", ""), ("build.rs", "")]);
        let package = files.package("");
        let library = library.map(|(name, root, proc_macro)| Library { root: files.path(&root), name, proc_macro });
        assert_eq!(package.library, library, "{manifest}");
        assert_eq!(package.build_script, build.map(|path| files.path(path)), "{manifest}");
    }
    let files = Files::new(&[("Cargo.toml", "package = { name = 'tool' }"), ("src/main.rs", "")]);
    assert_eq!((files.package("").library, files.package("").build_script), (None, None));
}

const ROOT: &str = r#"
    [workspace]
    members = ["member", "../outside", "hidden/listed"]
    exclude = ["hidden"]
    [workspace.package]
    version = "7.8.9"
    [workspace.dependencies]
    plain = "1"
    near = { path = "libs/near" }
    odd = { path = "libs/odd", default-features = false }
    new = { package = "true-name", version = "1" }
"#;

const MEMBER: &str = r#"
    [package]
    name = "member"
    version.workspace = true
    [dependencies]
    plain = { workspace = true, features = ["x"] }
    near.workspace = true
    odd.workspace = true
    [dev-dependencies]
    new.workspace = true
"#;

#[test]
fn what_a_member_inherits() {
    let elsewhere = MEMBER.replace("[package]", "[package]\nworkspace = '../root'");
    let own_root = format!("{MEMBER}{ROOT}");
    let files = Files::new(&[
        ("root/Cargo.toml", ROOT),
        ("root/libs/near/Cargo.toml", "[package]\nname = 'near'"),
        ("root/libs/odd/Cargo.toml", "[package]\nname = 'odd'\n[lib]\nname = 'quite-odd'"),
        ("root/member/Cargo.toml", MEMBER),
        ("root/hidden/listed/Cargo.toml", MEMBER),
        ("root/hidden/alone/Cargo.toml", MEMBER),
        ("outside/Cargo.toml", &elsewhere),
        ("both/Cargo.toml", &own_root),
    ]);
    for dir in ["root/member", "root/hidden/listed", "outside"] {
        let package = files.package(dir);
        assert_eq!(package.version, "7.8.9", "{dir}");
        assert_eq!(
            files.dependencies(&package),
            [
                listed("near", "near", Some("root/libs/near")),
                listed("new", "true-name", None),
                listed("plain", "plain", None),
                // Not renamed, so its library's own name counts.
                listed("quite_odd", "odd", Some("root/libs/odd")),
            ],
            "{dir}"
        );
    }
    let both = files.package("both");
    assert_eq!(both.version, "7.8.9");
    assert!(files.dependencies(&both).contains(&listed("near", "near", Some("both/libs/near"))));
    let why = Package::read(&files.path("root/hidden/alone")).expect_err("it is excluded");
    assert!(why.contains("root/hidden/alone/Cargo.toml: "), "{why}");
    assert!(why.contains("is inherited, but there is none in [workspace."), "{why}");
}

#[test]
fn path_dependencies_of_path_dependencies() {
    let files = Files::new(&[
        ("a/Cargo.toml", "[package]\nname = 'a'\n[dependencies]\nb = { path = '../b' }"),
        ("b/Cargo.toml", "[package]\nname = 'b'\n[dependencies]\nc = { path = 'inner/c' }\n[workspace]"),
        ("b/inner/c/Cargo.toml", "[package]\nname = 'c'\n[dependencies]\nd = '1'"),
    ]);
    let a = files.package("a");
    let b = Package::read(a.dependencies[0].path.as_deref().expect("a path")).expect("b");
    let c = Package::read(b.dependencies[0].path.as_deref().expect("a path")).expect("c");
    assert_eq!((c.name.as_str(), &c.dir), ("c", &files.path("b/inner/c")));
    assert_eq!(files.dependencies(&c), [listed("d", "d", None)]);
}

#[test]
fn a_bad_manifest_is_named_with_what_is_wrong() {
    for (text, wrong) in [
        ("[package]\nname = \"x\"\nversion = \n", "Cargo.toml: line 3: "),
        ("[workspace]", "Cargo.toml: it has no [package]"),
        ("[package]\nversion = '1.0.0'", "its [package] has no `name`"),
        ("[package]\nname = 1", "`name` is not a text but of type integer"),
        ("[package]\nname = 'x'\nversion = 1.0", "the `version` of its [package] is not a text"),
        ("[package]\nname = 'x'\nbuild = 1", "`build` is neither a text nor false but of type integer"),
        (
            "[package]\nname = 'x'\n[dependencies]\ny = 1",
            "the dependency `y` is neither a text nor a table but of type integer",
        ),
        ("dependencies = 'y'\n[package]\nname = 'x'", "`dependencies` is not a table but of type string"),
        ("[package]\nname = 'x'\n[dependencies]\ny.path = true", "`path` is not a text but of type boolean"),
        (
            "[package]\nname = 'x'\n[dependencies]\ny.workspace = true",
            "`y` is inherited, but there is none in [workspace.dependencies]",
        ),
        (
            "[package]\nname = 'x'\nversion.workspace = true",
            "`version` is inherited, but there is none in [workspace.package]",
        ),
    ] {
        let files = Files::new(&[("Cargo.toml", text)]);
        let why = Package::read(&files.path("")).expect_err(text);
        assert!(why.contains(wrong), "{text}: {why}");
        assert!(why.contains(files.path("Cargo.toml").to_str().expect("a text")), "{text}: {why}");
    }
    let files = Files::new(&[("Cargo.toml", "[workspace")]);
    files.write("member/Cargo.toml", "[package]\nname = 'x'");
    let why = Package::read(&files.path("member")).expect_err("a bad root");
    assert!(why.contains(&format!("{}: line 1: ", files.path("Cargo.toml").display())), "{why}");
}
