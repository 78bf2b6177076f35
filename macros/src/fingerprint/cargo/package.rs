//! A package whose sources are read: what its manifest says, and what that inherits.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::patches::Patches;
use super::source::{self, Source};
use super::{below, workspace};

/// A package whose sources are read: the one at hand, and path dependencies of it, and theirs.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where its manifest is, absolute.
    pub(crate) dir: PathBuf,
    /// None where it has binaries only.
    pub(crate) library: Option<Library>,
    /// The file of its build script, if it has one.
    pub(crate) build_script: Option<PathBuf>,
    /// Those of its code and of its tests, for every target; not those of its build script. In the order of their names,
    /// of which one may be there several times: each could be meant.
    pub(crate) dependencies: Vec<Dependency>,
}

/// What others see of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Library {
    /// The file of its root module, absolute.
    pub(crate) root: PathBuf,
    /// As paths in the code name it, unless a dependency renames it.
    pub(crate) name: String,
    /// Whether it runs in the compiler.
    pub(crate) proc_macro: bool,
}

/// What a package says it depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Dependency {
    /// As the code names it: the key of the table with underscores, or the name of the library where the dependency is at
    /// a path and not renamed. Elsewhere a library may have a name of its own: see [`Package::named`].
    pub(crate) extern_name: String,
    /// The package's true name.
    pub(crate) package: String,
    /// Where a path dependency is, absolute; None for one of a registry or of git. What a patch puts in the place of such a
    /// one is a further dependency of the same name, since the patch may be of a version that is not wanted here.
    pub(crate) path: Option<PathBuf>,
    /// Whether the manifest gave it another name.
    pub(crate) renamed: bool,
    /// What is asked of it: its features, sorted, and `default-features = false`. What other packages ask of it, which it is
    /// given too, is not known.
    pub(crate) asked: Vec<String>,
}

impl Package {
    /// The package of the manifest in `dir`, which is absolute.
    ///
    /// Patches are those of its own workspace: right for a package that is built from there.
    ///
    /// Err: which file is not as expected, and what is wrong in it.
    pub(crate) fn read(dir: &Path) -> Result<Package, String> {
        read(dir, None)
    }

    /// The package of the manifest in `dir`, built from the workspace in `root`, whose patches count: the directory of the
    /// lock in use ([`Lock::dir`](super::Lock::dir)).
    pub(crate) fn read_within(dir: &Path, root: &Path) -> Result<Package, String> {
        read(dir, Some(root))
    }

    /// The dependencies that `word` could mean, at the head of a path and when it names nothing else: those so named; where
    /// there are none, those whose library might have a name of its own, as `md5` of the package `md-5` has.
    ///
    /// `externs` are the crates that the compiler knows, for the package being compiled ([`Compilation::externs`]): a word
    /// that is not among them is no crate, and a name that is among them is that of its library.
    ///
    /// [`Compilation::externs`]: super::Compilation::externs
    pub(crate) fn named(&self, word: &str, externs: Option<&[String]>) -> Vec<&Dependency> {
        let given = |name: &str| externs.map(|externs| externs.iter().any(|given| given == name));
        let so_named: Vec<_> = self.dependencies.iter().filter(|one| one.extern_name == word).collect();
        if !so_named.is_empty() || given(word) == Some(false) {
            return so_named;
        }
        let uncertain = |one: &&Dependency| one.path.is_none() && !one.renamed && given(&one.extern_name) != Some(true);
        self.dependencies.iter().filter(uncertain).collect()
    }
}

fn read(dir: &Path, built_from: Option<&Path>) -> Result<Package, String> {
    let own = Source::read(dir.join("Cargo.toml"))?;
    let manifest = own.parse()?;
    let root = workspace::root(dir, &manifest).map_err(|why| own.blame(why))?;
    let root_source = match root.as_deref() {
        Some(root) if root != dir => Some(Source::read(root.join("Cargo.toml"))?),
        _ => None,
    };
    let root_manifest = root_source.as_ref().map(Source::parse).transpose()?;
    let inherited =
        Inherited { dir: root.as_deref().unwrap_or(dir), manifest: root_manifest.as_ref().unwrap_or(&manifest) };
    let patches = Patches::of(built_from.unwrap_or(inherited.dir))?;
    of_manifest(dir, &manifest, &inherited, &patches).map_err(|why| own.blame(why))
}

/// The root of the workspace, which may be the package itself.
struct Inherited<'a> {
    dir: &'a Path,
    manifest: &'a DeTable<'a>,
}

impl<'a> Inherited<'a> {
    /// The entry that `key = { workspace = true }` stands for, in `[workspace.TABLE]`.
    fn entry(&self, table: &str, key: &str) -> Result<&'a DeValue<'a>, String> {
        let found = match source::table(self.manifest, "workspace")? {
            Some(workspace) => source::table(workspace, table)?.and_then(|entries| entries.get(key)),
            None => None,
        };
        let root = || self.dir.join("Cargo.toml");
        found.map(|value| value.get_ref()).ok_or_else(|| {
            format!("`{key}` is inherited, but there is none in [workspace.{table}] of {}", root().display())
        })
    }
}

fn of_manifest(
    dir: &Path,
    manifest: &DeTable<'_>,
    inherited: &Inherited<'_>,
    patches: &Patches,
) -> Result<Package, String> {
    let package = package_table(manifest)?;
    let name = name_of(package)?;
    let mut dependencies = Vec::new();
    for table in dependency_tables(manifest)? {
        for (key, value) in table {
            dependencies.extend(dependency(dir, key.get_ref(), value.get_ref(), inherited, patches)?);
        }
    }
    dependencies.sort_unstable();
    dependencies.dedup();
    Ok(Package {
        version: version_of(package, inherited)?,
        dir: dir.to_owned(),
        library: library(dir, manifest, package, name)?,
        build_script: build_script(dir, package)?,
        dependencies,
        name: name.to_owned(),
    })
}

fn package_table<'a>(manifest: &'a DeTable<'_>) -> Result<&'a DeTable<'a>, String> {
    source::table(manifest, "package")?.ok_or_else(|| "it has no [package]".to_owned())
}

fn name_of<'a>(package: &'a DeTable<'_>) -> Result<&'a str, String> {
    source::text(package, "name")?.ok_or_else(|| "its [package] has no `name`".to_owned())
}

fn version_of(package: &DeTable<'_>, inherited: &Inherited<'_>) -> Result<String, String> {
    let Some(value) = package.get("version") else { return Ok("0.0.0".to_owned()) };
    let value = match value.get_ref() {
        DeValue::Table(table) if source::is_true(table, "workspace") => inherited.entry("package", "version")?,
        other => other,
    };
    value.as_str().map(str::to_owned).ok_or_else(|| "the `version` of its [package] is not a text".to_owned())
}

/// The name of the package in `dir`, if there is one.
pub(super) fn name_at(dir: &Path) -> Result<Option<String>, String> {
    let Some(source) = Source::find(dir.join("Cargo.toml"))? else { return Ok(None) };
    let manifest = source.parse()?;
    let name = match source::table(&manifest, "package").map_err(|why| source.blame(why))? {
        Some(package) => name_of(package).map_err(|why| source.blame(why))?,
        None => return Ok(None),
    };
    Ok(Some(name.to_owned()))
}

fn library(
    dir: &Path,
    manifest: &DeTable<'_>,
    package: &DeTable<'_>,
    package_name: &str,
) -> Result<Option<Library>, String> {
    let usual = dir.join("src/lib.rs");
    let table = source::table(manifest, "lib")?;
    let path = match table {
        Some(lib) => source::text(lib, "path")?,
        None => None,
    };
    let off = package.get("autolib").and_then(|value| value.get_ref().as_bool()) == Some(false);
    let root = match path {
        Some(path) => below(dir, path),
        None if usual.is_file() && (table.is_some() || !off) => usual,
        None => return Ok(None),
    };
    let name = library_name(table, package_name)?;
    let proc_macro = table.is_some_and(|lib| source::is_true(lib, "proc-macro") || source::is_true(lib, "proc_macro"));
    Ok(Some(Library { root, name, proc_macro }))
}

fn library_name(lib: Option<&DeTable<'_>>, package_name: &str) -> Result<String, String> {
    let own = match lib {
        Some(lib) => source::text(lib, "name")?,
        None => None,
    };
    Ok(own.unwrap_or(package_name).replace('-', "_"))
}

fn build_script(dir: &Path, package: &DeTable<'_>) -> Result<Option<PathBuf>, String> {
    let usual = dir.join("build.rs");
    let usual = || usual.is_file().then_some(usual.clone());
    match package.get("build").map(|value| value.get_ref()) {
        None | Some(DeValue::Boolean(true)) => Ok(usual()),
        Some(DeValue::Boolean(false)) => Ok(None),
        Some(DeValue::String(path)) => Ok(Some(below(dir, path.as_ref()))),
        Some(other) => Err(format!("`build` is neither a text nor false but of type {}", other.type_str())),
    }
}

/// All tables of dependencies, save those of the build script.
fn dependency_tables<'a>(manifest: &'a DeTable<'_>) -> Result<Vec<&'a DeTable<'a>>, String> {
    let mut owners = vec![manifest];
    if let Some(targets) = source::table(manifest, "target")? {
        for (target, _) in targets {
            owners.extend(source::table(targets, target.get_ref())?);
        }
    }
    let mut tables = Vec::new();
    for owner in owners {
        for name in ["dependencies", "dev-dependencies", "dev_dependencies"] {
            tables.extend(source::table(owner, name)?);
        }
    }
    Ok(tables)
}

/// An entry of such a table, and what patches put in its place.
fn dependency(
    dir: &Path,
    key: &str,
    value: &DeValue<'_>,
    inherited: &Inherited<'_>,
    patches: &Patches,
) -> Result<Vec<Dependency>, String> {
    let own = value;
    let (dir, value) = match value.as_table() {
        Some(table) if source::is_true(table, "workspace") => (inherited.dir, inherited.entry("dependencies", key)?),
        _ => (dir, value),
    };
    let mut other_name = None;
    let mut path = None;
    let mut asked = Vec::new();
    if let Some(own) = own.as_table() {
        asked.extend(asked_of(own)?);
    }
    match value {
        DeValue::String(_) => {}
        DeValue::Table(table) => {
            other_name = source::text(table, "package")?;
            path = source::text(table, "path")?.map(|path| below(dir, path));
            asked.extend(asked_of(table)?);
        }
        other => {
            return Err(format!(
                "the dependency `{key}` is neither a text nor a table but of type {}",
                other.type_str()
            ));
        }
    }
    asked.sort_unstable();
    asked.dedup();
    let package = other_name.unwrap_or(key);
    let mut places = vec![path.clone()];
    if path.is_none() {
        places.extend(patches.of_package(package).map(|dir| Some(dir.to_owned())));
    }
    let renamed = other_name.is_some();
    let mut all = Vec::new();
    for path in places {
        let library = match &path {
            Some(dir) if !renamed => library_name_at(dir)?,
            _ => None,
        };
        let extern_name = library.unwrap_or_else(|| key.replace('-', "_"));
        all.push(Dependency { extern_name, package: package.to_owned(), path, renamed, asked: asked.clone() });
    }
    Ok(all)
}

/// What an entry asks of its package.
fn asked_of(entry: &DeTable<'_>) -> Result<Vec<String>, String> {
    let mut asked: Vec<String> = source::texts(entry, "features")?.into_iter().map(str::to_owned).collect();
    let without = ["default-features", "default_features"]
        .iter()
        .any(|key| entry.get(*key).and_then(|value| value.get_ref().as_bool()) == Some(false));
    asked.extend(without.then(|| "default-features = false".to_owned()));
    Ok(asked)
}

/// The name of the library in `dir`. None where there is no manifest: whoever goes there says so.
fn library_name_at(dir: &Path) -> Result<Option<String>, String> {
    let Some(source) = Source::find(dir.join("Cargo.toml"))? else { return Ok(None) };
    let manifest = source.parse()?;
    let name = || library_name(source::table(&manifest, "lib")?, name_of(package_table(&manifest)?)?);
    name().map(Some).map_err(|why: String| source.blame(why))
}
