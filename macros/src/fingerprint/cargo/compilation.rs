//! The compilation that a proc macro runs in, from the compiler's arguments and environment.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(test)]
use super::Package;
use super::below;

/// Options of rustc and rustdoc whose value is the next argument unless it is written behind them. One left out here is
/// harmless: a value would also have to be the path of a Rust file to be taken for the crate's root.
const WITH_VALUE: [&str; 43] = [
    "-A",
    "-C",
    "-D",
    "-F",
    "-L",
    "-W",
    "-Z",
    "-e",
    "-l",
    "-o",
    "--allow",
    "--cap-lints",
    "--cfg",
    "--check-cfg",
    "--codegen",
    "--color",
    "--crate-name",
    "--crate-type",
    "--deny",
    "--diagnostic-width",
    "--edition",
    "--emit",
    "--env-set",
    "--error-format",
    "--explain",
    "--extern",
    "--forbid",
    "--force-warn",
    "--json",
    "--out-dir",
    "--output",
    "--output-format",
    "--print",
    "--remap-path-prefix",
    "--remap-path-scope",
    "--sysroot",
    "--target",
    "--test-args",
    "--test-builder",
    "--test-run-directory",
    "--test-runtool",
    "--test-runtool-arg",
    "--warn",
];

/// The compilation that this proc macro runs in.
#[derive(Clone, Debug)]
pub(crate) struct Compilation {
    /// The file that holds the crate's root module, absolute.
    pub(crate) crate_root: PathBuf,
    /// As paths in the code name it, with underscores.
    pub(crate) crate_name: String,
    /// The directory of the manifest of the package that the crate belongs to, absolute.
    pub(crate) package_dir: PathBuf,
    /// That package's name.
    pub(crate) package: String,
    /// That package's version.
    pub(crate) version: String,
    /// Where its build script wrote, if it has one: `OUT_DIR`.
    pub(crate) out_dir: Option<PathBuf>,
    /// The names of the crates that were handed to the compiler. None where it is not known, as in a test of the engine.
    pub(crate) externs: Option<Vec<String>>,
    /// Where the compiler runs.
    pub(super) cwd: PathBuf,
    /// Where the compiler writes.
    pub(super) artifacts: Option<PathBuf>,
    /// Where the shell stood that Cargo was called from, so far as it says so.
    pub(super) shell: Option<PathBuf>,
}

impl Compilation {
    /// The compilation of this process.
    ///
    /// Err: why it cannot be known, as half a sentence for people.
    pub(crate) fn current() -> Result<Compilation, String> {
        let cwd = env::current_dir().map_err(|error| format!("the current directory is not known ({error})"))?;
        // What is no UTF-8 becomes a path that does not exist.
        let args = env::args_os().map(|arg| arg.to_string_lossy().into_owned());
        Compilation::of(args, &cwd, &|name| env::var(name).ok())
    }

    /// The compilation of a compiler with these arguments, this directory and this environment.
    pub(crate) fn of(
        args: impl Iterator<Item = String>,
        cwd: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Compilation, String> {
        let given = Given::read(args, cwd)?;
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let needed = |name: &str| env(name).ok_or_else(|| format!("Cargo's variable {name} is not set"));
        let crate_root = given.crate_root.ok_or("the crate's root file is not among the compiler's arguments")?;
        let crate_name = match env("CARGO_CRATE_NAME").or(given.crate_name) {
            Some(name) => name.replace('-', "_"),
            None => {
                return Err("the crate's name is neither in the environment nor among the compiler's arguments".into());
            }
        };
        Ok(Compilation {
            crate_root,
            crate_name,
            package_dir: below(cwd, needed("CARGO_MANIFEST_DIR")?),
            package: needed("CARGO_PKG_NAME")?,
            version: needed("CARGO_PKG_VERSION")?,
            out_dir: env("OUT_DIR").map(|dir| below(cwd, dir)),
            externs: Some(given.externs),
            cwd: cwd.to_owned(),
            artifacts: given.artifacts,
            shell: env("PWD").map(PathBuf::from).filter(|dir| dir.is_absolute()),
        })
    }

    /// The compilation of a crate of the package in `manifest_dir`, as if Cargo was called there.
    #[cfg(test)]
    pub(crate) fn at(crate_root: PathBuf, manifest_dir: PathBuf, crate_name: &str) -> Result<Compilation, String> {
        let package = Package::read(&manifest_dir)?;
        Ok(Compilation {
            crate_root,
            crate_name: crate_name.to_owned(),
            package_dir: manifest_dir.clone(),
            package: package.name,
            version: package.version,
            out_dir: None,
            externs: None,
            cwd: manifest_dir,
            artifacts: None,
            shell: None,
        })
    }
}

/// What the arguments say.
#[derive(Default)]
struct Given {
    crate_root: Option<PathBuf>,
    crate_name: Option<String>,
    artifacts: Option<PathBuf>,
    externs: Vec<String>,
}

impl Given {
    fn read(args: impl Iterator<Item = String>, cwd: &Path) -> Result<Given, String> {
        let mut given = Given::default();
        let mut args = with_files(args, cwd)?.into_iter();
        while let Some(arg) = args.next() {
            if !arg.starts_with('-') {
                // The others are the compiler itself: `rustc`, or `clippy-driver /path/to/rustc`.
                if given.crate_root.is_none() && arg.ends_with(".rs") {
                    given.crate_root = Some(below(cwd, &arg)).filter(|file| file.is_file());
                }
            } else if WITH_VALUE.contains(&arg.as_str()) {
                if let Some(value) = args.next() {
                    given.option(&arg, &value, cwd);
                }
            } else if let Some((name, value)) = arg.split_once('=') {
                given.option(name, value, cwd);
            }
        }
        Ok(given)
    }

    fn option(&mut self, name: &str, value: &str, cwd: &Path) {
        match name {
            "--crate-name" => self.crate_name = Some(value.to_owned()),
            "--out-dir" => self.artifacts = Some(below(cwd, value)),
            // A directory for rustdoc, a file for rustc, for which `--out-dir` goes first here: Cargo gives only that.
            "-o" | "--output" if self.artifacts.is_none() => self.artifacts = Some(below(cwd, value)),
            "--extern" => {
                // `name`, `name=file`, `noprelude,priv:name=file`.
                let name = value.split_once('=').map_or(value, |(name, _)| name);
                let name = name.split_once(':').map_or(name, |(_, name)| name);
                self.externs.push(name.to_owned());
            }
            _ => {}
        }
    }
}

/// The arguments, with those of a file `@path` (one a line) in its place. A file within a file is none, as in rustc.
fn with_files(args: impl Iterator<Item = String>, cwd: &Path) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for arg in args {
        let Some(path) = arg.strip_prefix('@') else {
            all.push(arg);
            continue;
        };
        let file = cwd.join(path);
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("the compiler's arguments in {} cannot be read ({error})", file.display()))?;
        all.extend(text.lines().map(str::to_owned));
    }
    Ok(all)
}
