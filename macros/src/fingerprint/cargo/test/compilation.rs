//! What is read of arguments and environment.

use super::*;

/// The environment that Cargo gives for a package `stats` in `dir`.
fn environment(dir: PathBuf) -> impl Fn(&str) -> Option<String> {
    move |name| match name {
        "CARGO_MANIFEST_DIR" => Some(dir.to_str()?.to_owned()),
        "CARGO_PKG_NAME" => Some("stats-tool".to_owned()),
        "CARGO_PKG_VERSION" => Some("1.2.3-rc.1+x".to_owned()),
        "CARGO_CRATE_NAME" => Some("stats_tool".to_owned()),
        _ => None,
    }
}

fn of(args: &[&str], files: &Files) -> Result<Compilation, String> {
    let args = args.iter().map(|&arg| arg.to_owned());
    Compilation::of(args, &files.path(""), &environment(files.path("member")))
}

#[test]
fn the_root_is_the_one_rust_file_among_the_arguments() {
    let files = Files::new(&[
        ("member/src/lib.rs", ""),
        ("other.rs", ""),
        ("args", "--crate-name\nstats_tool\nmember/src/lib.rs\n--out-dir=target/debug/deps\n"),
    ]);
    for args in [
        // As Cargo writes it.
        "rustc --crate-name stats_tool --edition=2024 member/src/lib.rs --error-format=json --crate-type lib -C debuginfo=1",
        // Behind a wrapper, and clippy's.
        "clippy-driver /usr/bin/rustc --crate-name stats_tool member/src/lib.rs -D warnings",
        // A value is not the root, whatever it looks like.
        "rustc --cfg other.rs -o other.rs --extern other.rs -L other.rs -C other.rs -Z other.rs member/src/lib.rs",
        "rustc --cfg=other.rs -Lother.rs member/src/lib.rs",
        // Rust files that are not there.
        "rustc nowhere.rs member/src/lib.rs",
        // The first one is it.
        "rustc member/src/lib.rs other.rs",
        "rustdoc --crate-type lib member/./src/../src/lib.rs -o target/doc",
        "rustc @args",
        "clippy-driver rustc @args -W clippy::all",
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let found = of(&args, &files).unwrap_or_else(|why| panic!("{args:?}: {why}"));
        assert_eq!(found.crate_root, files.path("member/src/lib.rs"), "{args:?}");
    }
    let absolute = files.path("other.rs");
    let found = of(&["rustc", absolute.to_str().expect("a text")], &files).expect("a compilation");
    assert_eq!(found.crate_root, absolute);
}

#[test]
fn what_else_arguments_and_environment_say() {
    let files = Files::new(&[("src/main.rs", ""), ("args", "--extern\nb=b.rlib\n")]);
    let args = "rustc --crate-name given src/main.rs --out-dir target/debug/deps -o elsewhere --extern a=liba:1.rlib \
                --extern=noprelude,priv:c=c.rlib --extern proc_macro @args";
    let args: Vec<&str> = args.split_whitespace().collect();
    let found = of(&args, &files).expect("a compilation");
    assert_eq!(found.crate_name, "stats_tool");
    assert_eq!(found.package_dir, files.path("member"));
    assert_eq!((found.package.as_str(), found.version.as_str()), ("stats-tool", "1.2.3-rc.1+x"));
    assert_eq!(found.out_dir, None);
    assert_eq!(found.artifacts, Some(files.path("target/debug/deps")));
    assert_eq!(found.externs.expect("known"), ["a", "c", "proc_macro", "b"]);

    // A crate of a doctest has no name in the environment; a build script wrote somewhere; a shell stood somewhere.
    let usual = environment(files.path("member"));
    let env = |name: &str| match name {
        "CARGO_CRATE_NAME" => None,
        "OUT_DIR" => Some("/target/out".to_owned()),
        "PWD" => Some("/home".to_owned()),
        name => usual(name),
    };
    let found = Compilation::of(args.iter().map(|&arg| arg.to_owned()), &files.path(""), &env).expect("a compilation");
    assert_eq!(found.crate_name, "given");
    assert_eq!(found.out_dir, Some(PathBuf::from("/target/out")));
    assert_eq!(found.shell, Some(PathBuf::from("/home")));
}

#[test]
fn what_cannot_be_known_is_said() {
    let files = Files::new(&[("src/lib.rs", "")]);
    // rust-analyzer's server; a program on standard input; an editor that asks for help only.
    for args in [&["rust-analyzer-proc-macro-srv"][..], &["rustc", "-"], &["rustc", "--explain", "src/lib.rs"]] {
        let why = of(args, &files).expect_err("no root");
        assert_eq!(why, "the crate's root file is not among the compiler's arguments");
    }
    let why = of(&["rustc", "@nowhere"], &files).expect_err("no such file");
    assert!(why.contains("nowhere cannot be read"), "{why}");
    for missing in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        let usual = environment(files.path("member"));
        let env = |name: &str| if name == missing { Some(String::new()) } else { usual(name) };
        let args = ["rustc", "src/lib.rs"].map(str::to_owned);
        let why = Compilation::of(args.into_iter(), &files.path(""), &env).expect_err("a variable is missing");
        assert_eq!(why, format!("Cargo's variable {missing} is not set"));
    }
}

#[test]
fn a_test_stands_where_the_package_is() {
    let files = Files::new(&[("Cargo.toml", "[package]\nname = \"a-b\"\nversion = \"1.0.0\""), ("src/lib.rs", "")]);
    let found = Compilation::at(files.path("src/lib.rs"), files.path(""), "a_b").expect("a compilation");
    assert_eq!((found.package.as_str(), found.version.as_str()), ("a-b", "1.0.0"));
    let why = Compilation::at(files.path("src/lib.rs"), files.path("src"), "a_b").expect_err("no manifest");
    assert!(why.contains("src/Cargo.toml cannot be read"), "{why}");
}
