//! What is read of locks, and which one is in use.

use super::super::lock::Locked;
use super::*;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// An entry of a lock. A version `2.0.0 path` is without a source.
fn entry(package: &str, depends: &[&str]) -> String {
    let (name, version) = package.split_once(' ').expect("name and version");
    let depends: String = depends.iter().map(|one| format!(" \"{one}\",\n")).collect();
    let (version, origin) = match version.strip_suffix(" path") {
        Some(version) => (version, String::new()),
        None => (version, format!("source = \"{REGISTRY}\"\nchecksum = \"sum-{name}-{version}\"\n")),
    };
    format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{origin}dependencies = [\n{depends}]\n\n")
}

fn lock(entries: &[(&str, &[&str])]) -> String {
    let entries: String = entries.iter().map(|(package, depends)| entry(package, depends)).collect();
    format!("version = 4\n\n{entries}")
}

const PACKAGE: &str = "[package]\nname = 'a'\nversion = '1.0.0'";

/// What a lock in the package's own directory says.
fn found(text: &str) -> Result<Lock, String> {
    let files = Files::new(&[("Cargo.toml", PACKAGE), ("Cargo.lock", text)]);
    Lock::find(&Compilation::at(files.path("src/lib.rs"), files.path(""), "a").expect("a compilation"))
}

fn line(package: &str) -> String {
    let (name, version) = package.split_once(' ').expect("name and version");
    format!("{name} {version} {REGISTRY} sum-{name}-{version}")
}

const A: (&str, &str) = ("a", "1.0.0");

#[test]
fn a_dependency_brings_along_what_it_depends_on() {
    let lock = found(&lock(&[
        ("a 1.0.0 path", &["b", "c", "near"]),
        ("b 1.0.0", &["d", "e 2.0.0"]),
        ("c 1.0.0", &["e 1.0.0"]),
        ("d 1.0.0", &["b"]),
        ("e 1.0.0", &[]),
        ("e 2.0.0", &[]),
        ("near 0.1.0 path", &["c", "f"]),
        ("f 1.0.0", &[]),
        ("unrelated 1.0.0", &["b"]),
    ]))
    .expect("a lock");
    let none = |_: &Locked| false;
    // Dependencies in a circle, through tests, end.
    assert_eq!(lock.closure(A, "b", &none), ["b 1.0.0", "d 1.0.0", "e 2.0.0"].map(line));
    assert_eq!(lock.closure(A, "c", &none), ["c 1.0.0", "e 1.0.0"].map(line));
    // What is skipped goes with what only it depends on.
    assert_eq!(lock.closure(A, "b", &|one| one.name == "d"), ["b 1.0.0", "e 2.0.0"].map(line));
    assert_eq!(lock.closure(A, "near", &|one| one.source.is_none()), [""; 0]);
    let near = lock.closure(A, "near", &none);
    assert_eq!(near.last().map(String::as_str), Some("near 0.1.0 path -"));
    assert_eq!(near[..3], ["c 1.0.0", "e 1.0.0", "f 1.0.0"].map(line));
    // Nothing is locked for these.
    assert_eq!(lock.closure(A, "unrelated", &none), [""; 0]);
    assert_eq!(lock.closure(("a", "2.0.0"), "b", &none), [""; 0]);
    assert_eq!(lock.closure(("b", "1.0.0"), "d", &none), ["b 1.0.0", "d 1.0.0", "e 2.0.0"].map(line));
}

#[test]
fn several_versions_and_sources_of_one_name() {
    let twin = "git+https://example.com/twin?branch=main";
    let text = lock(&[
        ("a 1.0.0 path", &["two 1.0.0", "two 2.0.0", &format!("twin 1.0.0 ({twin})")]),
        ("two 1.0.0", &[]),
        ("two 2.0.0", &[]),
        ("two 3.0.0", &[]),
        ("twin 1.0.0", &[]),
    ]) + &format!("[[package]]\nname = \"twin\"\nversion = \"1.0.0\"\nsource = \"{twin}#0123abcd\"\n");
    let lock = found(&text).expect("a lock");
    assert_eq!(lock.closure(A, "two", &|_| false), ["two 1.0.0", "two 2.0.0"].map(line));
    assert_eq!(lock.closure(A, "twin", &|_| false), [format!("twin 1.0.0 {twin}#0123abcd -")]);
}

#[test]
fn the_first_form_of_locks() {
    let text = format!(
        r#"
[root]
name = "a"
version = "1.0.0"
dependencies = ["b 1.0.0 ({REGISTRY})", "old 0.1.0 ({REGISTRY})"]

[[package]]
name = "b"
version = "1.0.0"
source = "{REGISTRY}"
dependencies = ["c 0.1.0"]

[[package]]
name = "c"
version = "0.1.0"

[[package]]
name = "old"
version = "0.1.0"
source = "{REGISTRY}"
replace = "old 0.1.0 (git+https://example.com/old#abc)"

[[package]]
name = "old"
version = "0.1.0"
source = "git+https://example.com/old#abc"

[metadata]
"checksum b 1.0.0 ({REGISTRY})" = "sum-b-1.0.0"
"checksum old 0.1.0 ({REGISTRY})" = "sum-old-0.1.0"
"#
    );
    let lock = found(&text).expect("a lock");
    assert_eq!(lock.closure(A, "b", &|_| false), [line("b 1.0.0"), "c 0.1.0 path -".to_owned()]);
    let old = ["old 0.1.0 git+https://example.com/old#abc -".to_owned(), line("old 0.1.0")];
    assert_eq!(lock.closure(A, "old", &|_| false), old);
}

#[test]
fn a_bad_lock_is_named_with_what_is_wrong() {
    for (text, wrong) in [
        ("version = 4\n[[package]\n", "line 2: "),
        ("package = 1", "`package` is not an array"),
        ("package = [1]", "a `package` is not a table"),
        ("[[package]]\nversion = '1'", "a `package` has no `name`"),
        ("[[package]]\nname = 'x'", "`x` has no `version`"),
        ("[[package]]\nname = 'x'\nversion = '1'\ndependencies = 'y'", "`dependencies` is not an array of texts"),
        (
            "[[package]]\nname = 'x'\nversion = '1'\ndependencies = ['y 2']",
            "`x 1` depends on `y 2`, which is not in it",
        ),
    ] {
        let why = found(text).expect_err(text);
        assert!(why.contains("/Cargo.lock: "), "{why}");
        assert!(why.contains(wrong), "{text}: {why}");
    }
    assert_eq!(found("version = 4").expect_err("empty"), "no Cargo.lock in use lists the package `a 1.0.0`");
}

/// Of these files and places, the directory of the lock in use.
fn used(files: &Files, dir: &str, places: [Option<&str>; 3]) -> Result<String, String> {
    let [cwd, artifacts, shell] = places.map(|place| place.map(|path| files.path(path)));
    let at = Compilation::at(files.path("src/lib.rs"), files.path(dir), "a").expect("a compilation");
    let compilation = Compilation { cwd: cwd.unwrap_or(files.path(dir)), artifacts, shell, ..at };
    let lock = Lock::find(&compilation)?;
    Ok(lock.dir().strip_prefix(files.path("")).expect("a lock among these").to_str().expect("a text").to_owned())
}

#[test]
fn which_lock_is_in_use() {
    let own = lock(&[("a 1.0.0 path", &[])]);
    let as_registry = lock(&[("a 1.0.0", &[])]);
    let other = lock(&[("z 1.0.0 path", &[]), ("a 2.0.0", &[])]);
    let cargos = "home/registry/src/index/a-1.0.0";
    let (inner, copy) = ("work/member", cargos);
    let files = Files::new(&[
        ("work/member/Cargo.toml", PACKAGE),
        ("lib/Cargo.toml", PACKAGE),
        // Left over from a time on its own.
        ("work/member/Cargo.lock", &own),
        ("work/Cargo.lock", &own),
        ("app/Cargo.lock", &own),
        ("lib/Cargo.lock", &own),
        ("user/Cargo.lock", &as_registry),
        ("stranger/Cargo.lock", &other),
        ("vendor/a/.cargo-checksum.json", "{}"),
        ("vendor/a/Cargo.toml", PACKAGE),
        ("vendor/a/Cargo.lock", &own),
        ("checkout/.cargo-ok", ""),
        ("checkout/x/a/Cargo.toml", PACKAGE),
        ("checkout/Cargo.lock", &own),
    ]);
    files.write(&format!("{cargos}/Cargo.toml"), PACKAGE);
    files.write(&format!("{cargos}/Cargo.lock"), &own);
    for (dir, places, lock) in [
        // A member: the compiler runs in the root of the workspace.
        (inner, [Some("work"), Some("work/target/debug/deps"), None], Ok("work")),
        (inner, [Some("work"), Some("elsewhere"), Some("stranger")], Ok("work")),
        // A package on its own.
        ("lib", [None, Some("lib/target/debug/deps"), Some("lib/src")], Ok("lib")),
        ("lib", [None, None, None], Ok("lib")),
        ("lib", [None, Some("elsewhere"), Some("stranger/src")], Ok("lib")),
        // A path dependency with a lock that is not in use.
        ("lib", [None, Some("app/target/debug/deps"), Some("app")], Ok("app")),
        ("lib", [None, Some("elsewhere"), Some("app/src")], Ok("app")),
        // A copy, used from a workspace.
        (copy, [None, Some("user/target/debug/deps"), None], Ok("user")),
        (copy, [None, Some("elsewhere"), Some("user/src")], Ok("user")),
        ("vendor/a", [None, Some("user/target"), None], Ok("user")),
        ("checkout/x/a", [None, Some("user/target"), None], Ok("user")),
        // A copy that is installed: what came along is not in use, nor one that lists another version.
        (copy, [None, Some("elsewhere"), None], Err(())),
        (copy, [None, Some("stranger/target"), Some("app")], Err(())),
        ("vendor/a", [None, None, None], Err(())),
        ("checkout/x/a", [None, None, None], Err(())),
    ] {
        let found = used(&files, dir, places);
        let wanted = lock.map(str::to_owned);
        let none = "no Cargo.lock in use lists the package `a 1.0.0`";
        assert_eq!(found, wanted.map_err(|()| none.to_owned()), "{dir} {places:?}");
    }
}

#[test]
fn a_lock_that_cannot_be_read_is_passed_by_and_said_if_there_is_no_other() {
    let files = Files::new(&[("app/lib/Cargo.toml", PACKAGE), ("app/lib/Cargo.lock", "<<<<<<< ours")]);
    let why = used(&files, "app/lib", [None; 3]).expect_err("it cannot be read");
    assert!(why.contains("app/lib/Cargo.lock: line 1: "), "{why}");
    files.write("app/Cargo.lock", &lock(&[("a 1.0.0 path", &[])]));
    assert_eq!(used(&files, "app/lib", [None; 3]), Ok("app".to_owned()));
}

#[test]
fn files_that_cannot_be_written() {
    let files = Files::new(&[("home/registry/src/index/a-1.0.0/Cargo.toml", PACKAGE)]);
    files.write("home/registry/src/index/a-1.0.0/src/lib.rs", "");
    files.write("user/Cargo.lock", &lock(&[("a 1.0.0", &["b"]), ("b 1.0.0", &[])]));
    let dir = files.path("home/registry/src/index/a-1.0.0");
    let listing = || -> Vec<_> {
        let entries = fs::read_dir(&dir).expect("a directory").map(|entry| entry.expect("an entry").file_name());
        entries.collect()
    };
    let before = listing();
    let protect = |read_only: bool| {
        for path in [dir.clone(), dir.join("src"), dir.join("Cargo.toml"), files.path("user/Cargo.lock")] {
            let mut permissions = fs::metadata(&path).expect("it is there").permissions();
            permissions.set_readonly(read_only);
            fs::set_permissions(&path, permissions).expect("permissions");
        }
    };
    protect(true);
    let package = Package::read(&dir);
    let at = Compilation::at(dir.join("src/lib.rs"), dir.clone(), "a");
    let lock = Lock::find(&Compilation { artifacts: Some(files.path("user/target")), ..at.expect("a compilation") });
    let after = listing();
    protect(false);
    assert_eq!(package.expect("a package").library.expect("a library").root, dir.join("src/lib.rs"));
    assert_eq!(lock.expect("a lock").closure(A, "b", &|_| false), [line("b 1.0.0")]);
    assert_eq!(before, after);
}
