//! Packages made of texts, in temporary directories.

mod compilation;
mod lock;
mod named;
mod package;
mod patches;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

/// A directory of files, gone with it.
struct Files {
    temporary: TempDir,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Files {
        let made = Files { temporary: tempfile::tempdir().expect("a temporary directory") };
        for (path, text) in files {
            made.write(path, text);
        }
        made
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().expect("a file is in a directory")).expect("a directory");
        fs::write(file, text).expect("a file");
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temporary.path().join(path)
    }

    fn package(&self, dir: &str) -> Package {
        Package::read(&self.path(dir)).expect("a package")
    }

    /// Each dependency as `extern name, package, path`, the path as seen from here.
    fn dependencies(&self, package: &Package) -> Vec<(String, String, Option<String>)> {
        let seen = |path: &PathBuf| {
            let inner = path.strip_prefix(self.temporary.path()).expect("a path below the temporary directory");
            inner.to_str().expect("a text").to_owned()
        };
        let list = package.dependencies.iter();
        list.map(|one| (one.extern_name.clone(), one.package.clone(), one.path.as_ref().map(seen))).collect()
    }
}

fn listed(name: &str, package: &str, path: Option<&str>) -> (String, String, Option<String>) {
    (name.to_owned(), package.to_owned(), path.map(str::to_owned))
}

#[test]
fn one_spelling_for_one_file() {
    for (dir, path, plain) in [
        ("/a/b", "c.rs", "/a/b/c.rs"),
        ("/a/b", "./c.rs", "/a/b/c.rs"),
        ("/a/b", "../c/./d.rs", "/a/c/d.rs"),
        ("/a/b", "/x/../y.rs", "/y.rs"),
        ("/a/./b", "", "/a/b"),
        ("/a", "../../..", "/"),
    ] {
        assert_eq!(below(Path::new(dir), path), Path::new(plain), "{dir} and {path}");
    }
}
