//! What Cargo knows of the package being compiled: its files, its dependencies, their versions.
//!
//! A proc macro is told nothing of that. It runs inside the compiler, though, whose arguments name the crate's root file,
//! whose environment names the package, and from there the rest is read: manifests and `Cargo.lock`. Cargo itself is not
//! asked, since it may be waiting for this compilation with its locks held.
//!
//! | file           | idea                                                                 |
//! |----------------|----------------------------------------------------------------------|
//! | compilation.rs | the compiler's arguments and environment                             |
//! | package.rs     | a manifest: library, build script, dependencies, what is inherited   |
//! | workspace.rs   | the root of a package's workspace                                    |
//! | patches.rs     | directories that stand in for other packages                         |
//! | lock.rs        | `Cargo.lock`: which one is in use, and what a dependency brings along |
//! | source.rs      | a TOML file, and what to say when it is not as expected              |
//!
//! Not seen: `--config` and `include` of Cargo's configuration, and what tools other than Cargo do in its place.

mod compilation;
mod lock;
mod package;
mod patches;
mod source;
mod workspace;

#[cfg(test)]
mod test;

use std::path::{Component, Path, PathBuf};

pub(crate) use compilation::Compilation;
pub(crate) use lock::Lock;
pub(crate) use package::{Dependency, Library, Package};

/// `path` below `dir`, without `.` and `..`: one spelling for one file, so far as the text tells. As in Cargo, links are
/// not resolved.
fn below(dir: &Path, path: impl AsRef<Path>) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in dir.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
