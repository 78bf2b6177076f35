//! Programs that are edited and built again, on one cache: what a change of code does to stored results.
//!
//! The package is built by the real compiler, with the attribute on a function whose callee is in another file.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const MANIFEST: &str = r#"[package]
name = "rebuilt"
version = "0.1.0"
edition = "2024"

[workspace]

[dependencies]
larder = { path = "LARDER" }

[profile.dev]
debug = false
"#;

const MAIN: &str = r#"//! Answers each number on its input by the result, and how it was had.
mod stats;

use std::io::{BufRead, Write};

#[larder::cached]
fn score(x: u64) -> u64 {
    stats::weigh(x) + 1
}

fn main() {
    let memory = larder::Memory::open(std::env::args().nth(1).expect("a cache is named")).expect("the cache opens");
    memory.make_global().expect("there is no other");
    for line in std::io::stdin().lock().lines() {
        let x = line.expect("a line").parse().expect("a number");
        let before = memory.cached::<score>().explain((x,));
        let was = memory.stats().hits();
        let value = score(x);
        let how = if memory.stats().hits() > was { "loaded".to_owned() } else { format!("computed; {before}") };
        println!("{value} {how}");
        std::io::stdout().flush().expect("the output is read");
    }
}
"#;

const STATS: &str =
    "pub(crate) fn weigh(x: u64) -> u64 {\n    x * FACTOR\n}\n\nconst FACTOR: u64 = 10;\n\nfn unrelated() {}\n";

/// A program that was built.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(program: &Path, cache: &Path) -> Program {
        let mut child = Command::new(program)
            .arg(cache)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("it has an input");
        let output = BufReader::new(child.stdout.take().expect("it has an output"));
        Program { child, input, output }
    }

    fn call(&mut self, x: u64) -> String {
        writeln!(self.input, "{x}").expect("the program reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the program answers");
        line.trim_end().to_owned()
    }

    fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().expect("the program ends").success());
    }
}

/// The package, and where what was built of it is kept.
struct Package {
    dir: tempfile::TempDir,
}

impl Package {
    fn new() -> Package {
        let package = Package { dir: tempfile::tempdir().expect("a temporary directory") };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        package.write("Cargo.toml", &MANIFEST.replace("LARDER", &root.to_string_lossy()));
        // The versions that are there already.
        fs::copy(root.join("Cargo.lock"), package.path("Cargo.lock")).expect("the lock file is copied");
        package.write("src/main.rs", MAIN);
        package.write("src/stats.rs", STATS);
        package
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(path, text).expect("a file is written");
    }

    /// Builds it, and keeps the program under a name of its own.
    fn build(&self, name: &str) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rebuilt");
        let output = Command::new(env!("CARGO"))
            .args(["build", "--offline", "--quiet", "--manifest-path"])
            .arg(self.path("Cargo.toml"))
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_INCREMENTAL", "0")
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let program = self.path(name);
        fs::copy(target.join("debug").join(format!("rebuilt{}", std::env::consts::EXE_SUFFIX)), &program)
            .expect("the program is kept");
        program
    }
}

/// One test, because each build takes the whole machine.
#[test]
fn two_programs_of_different_code_never_see_each_others_values() {
    let package = Package::new();
    let cache = package.path("cache");
    let first = package.build("first");
    package.write("src/stats.rs", &STATS.replace("= 10", "= 100"));
    let second = package.build("second");

    // Both at once, as in the script in which joblib gets two of five calls wrong.
    let mut a = Program::start(&first, &cache);
    assert!(a.call(1).starts_with("11 computed; "));
    let mut b = Program::start(&second, &cache);
    let answer = b.call(2);
    assert!(answer.starts_with("201 computed; "), "{answer}");
    assert!(a.call(2).starts_with("21 computed; "));
    assert!(a.call(3).starts_with("31 computed; "));
    let answer = b.call(3);
    assert!(answer.starts_with("301 computed; the code changed: `const FACTOR` in src/stats.rs"), "{answer}");
    // Each has its own by now.
    assert_eq!((&*a.call(1), &*a.call(2), &*a.call(3)), ("11 loaded", "21 loaded", "31 loaded"));
    assert_eq!((&*b.call(2), &*b.call(3)), ("201 loaded", "301 loaded"));
    a.end();
    b.end();

    // Back to the older code, formatted otherwise, with other words around it and another function beside it.
    let reformatted = "//! Statistics.\n\nfn unrelated() -> u8 { 1 }\n#[allow(dead_code)]\npub(crate) fn weigh(\n    x: u64,\n) -> u64 { x*FACTOR } // as ever\n\n/// Ten.\nconst FACTOR: u64 = 10;\n#[cfg(test)] mod tests {}\n";
    package.write("src/stats.rs", reformatted);
    package.write("src/main.rs", &MAIN.replace("stats::weigh(x) + 1", "stats::weigh(x) +\n        1"));
    let mut again = Program::start(&package.build("again"), &cache);
    assert_eq!((&*again.call(1), &*again.call(2), &*again.call(3)), ("11 loaded", "21 loaded", "31 loaded"));
    again.end();
}
