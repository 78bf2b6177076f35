//! `Cargo.lock`: which one is in use, and what a dependency brings along.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use toml::de::DeTable;

use super::Compilation;
use super::source::{self, Source};

/// Cargo.lock, read.
#[derive(Debug)]
pub(crate) struct Lock {
    file: PathBuf,
    packages: Vec<Locked>,
    /// Where in `packages` those of a name are.
    by_name: HashMap<String, Vec<usize>>,
}

/// A package in a lock.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The registry, or the repository and its commit. None for what is at a path.
    pub(crate) source: Option<String>,
    checksum: Option<String>,
    /// Where in the lock's `packages` those are that it depends on.
    depends: Vec<usize>,
}

impl Locked {
    /// For a digest, and for people: `name version source checksum`.
    fn line(&self) -> String {
        let source = self.source.as_deref().unwrap_or("path");
        let checksum = self.checksum.as_deref().unwrap_or("-");
        format!("{} {} {source} {checksum}", self.name, self.version)
    }
}

impl Lock {
    /// The lock of this compilation: the first of these that lists the package being compiled by name and version.
    ///
    /// 1. The one where the compiler runs, if that is not the package's directory: Cargo runs it in the root of the
    ///    workspace being built, for all packages below.
    /// 2. The nearest one above the directory that the compiler writes to, which is in that workspace unless told
    ///    otherwise. Before the package's own: a path dependency may come with a lock that is not in use.
    /// 3. The nearest one above the directory that Cargo was called from, as the shell says. For output elsewhere.
    /// 4. The nearest one above the package.
    ///
    /// A package that Cargo or a vendor directory holds a copy of must be listed with its source: what came along with the
    /// copy lists it without one, and is not in use.
    ///
    /// Err: no such lock, as half a sentence for people; or which of them cannot be read, if only such are left.
    pub(crate) fn find(compilation: &Compilation) -> Result<Lock, String> {
        let package = (compilation.package.as_str(), compilation.version.as_str());
        let dir = &compilation.package_dir;
        let is_copy = is_copy(dir);
        let mut files: Vec<PathBuf> = Vec::new();
        if &compilation.cwd != dir {
            files.push(compilation.cwd.join("Cargo.lock"));
        }
        for start in [&compilation.artifacts, &compilation.shell, &Some(dir.clone())].into_iter().flatten() {
            for above in start.ancestors() {
                let file = above.join("Cargo.lock");
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        let mut unread = None;
        for file in files {
            match Lock::read(file) {
                Ok(Some(lock)) if lock.listed(package).any(|one| one.source.is_some() || !is_copy) => return Ok(lock),
                Ok(_) => {}
                Err(why) => unread = unread.or(Some(why)),
            }
        }
        Err(unread.unwrap_or_else(|| format!("no Cargo.lock in use lists the package `{} {}`", package.0, package.1)))
    }

    /// The lock in that file, if it is there.
    fn read(file: PathBuf) -> Result<Option<Lock>, String> {
        let Some(source) = Source::find(file)? else { return Ok(None) };
        let mut lock = Lock { file: source.file.clone(), packages: Vec::new(), by_name: HashMap::new() };
        lock.fill(&source.parse()?).map_err(|why| source.blame(why))?;
        Ok(Some(lock))
    }

    /// The directory of the workspace being built.
    pub(crate) fn dir(&self) -> &Path {
        self.file.parent().unwrap_or(&self.file)
    }

    /// What the dependency `dependency` (the package's true name) of `package` (name, version) stands for, and all that
    /// this depends on: a line for each, `name version source checksum`, sorted, without duplicates.
    ///
    /// If several versions of that name are there, all count. So do dependencies of tests, of build scripts, of other targets
    /// and of features that are off, as far as they are locked. What is not locked is not built: no line. What `skip` says
    /// is left out, with what only that depends on.
    ///
    /// A package at a path (without a source) has no checksum: its line says nothing of its code. So `skip` is for those
    /// whose sources are read, and should ask for more than the name: one of a registry may have the same.
    pub(crate) fn closure(
        &self,
        package: (&str, &str),
        dependency: &str,
        skip: &dyn Fn(&Locked) -> bool,
    ) -> Vec<String> {
        let direct = self.listed(package).flat_map(|one| &one.depends).copied();
        let mut pending: Vec<usize> = direct.filter(|&at| self.packages[at].name == dependency).collect();
        let mut seen = vec![false; self.packages.len()];
        let mut lines = Vec::new();
        while let Some(at) = pending.pop() {
            let one = &self.packages[at];
            if seen[at] || skip(one) {
                continue;
            }
            seen[at] = true;
            lines.push(one.line());
            pending.extend(&one.depends);
        }
        lines.sort_unstable();
        lines
    }

    /// The packages of that name and version: more than one if their sources differ.
    fn listed(&self, (name, version): (&str, &str)) -> impl Iterator<Item = &Locked> {
        let named = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        named.iter().map(|&at| &self.packages[at]).filter(move |one| one.version == version)
    }

    fn fill(&mut self, file: &DeTable<'_>) -> Result<(), String> {
        let mut tables = Vec::new();
        // Before `[[package]]` listed the package at hand too.
        tables.extend(source::table(file, "root")?);
        if let Some(packages) = file.get("package") {
            let packages = packages.get_ref().as_array().ok_or("`package` is not an array")?;
            for package in packages {
                tables.push(package.get_ref().as_table().ok_or("a `package` is not a table")?);
            }
        }
        for table in &tables {
            self.add(table)?;
        }
        // Version 1 keeps the checksums here.
        if let Some(metadata) = source::table(file, "metadata")? {
            self.add_checksums(metadata)?;
        }
        for (at, table) in tables.iter().enumerate() {
            let mut depends = Vec::new();
            // A package that another one replaces keeps its own entry, which names that one.
            for text in source::texts(table, "dependencies")?.into_iter().chain(source::text(table, "replace")?) {
                let before = depends.len();
                depends.extend(self.meant_by(text));
                if depends.len() == before {
                    let one = &self.packages[at];
                    return Err(format!("`{} {}` depends on `{text}`, which is not in it", one.name, one.version));
                }
            }
            self.packages[at].depends = depends;
        }
        Ok(())
    }

    fn add(&mut self, table: &DeTable<'_>) -> Result<(), String> {
        let name = source::text(table, "name")?.ok_or("a `package` has no `name`")?;
        let version = source::text(table, "version")?.ok_or_else(|| format!("`{name}` has no `version`"))?;
        self.by_name.entry(name.to_owned()).or_default().push(self.packages.len());
        self.packages.push(Locked {
            name: name.to_owned(),
            version: version.to_owned(),
            source: source::text(table, "source")?.map(str::to_owned),
            checksum: source::text(table, "checksum")?.map(str::to_owned),
            depends: Vec::new(),
        });
        Ok(())
    }

    /// `"checksum NAME VERSION (SOURCE)" = "CHECKSUM"`.
    fn add_checksums(&mut self, metadata: &DeTable<'_>) -> Result<(), String> {
        for (key, _) in metadata {
            let Some(package) = key.get_ref().strip_prefix("checksum ") else { continue };
            let checksum = source::text(metadata, key.get_ref())?;
            let meant: Vec<usize> = self.meant_by(package).collect();
            for at in meant {
                self.packages[at].checksum = checksum.map(str::to_owned);
            }
        }
        Ok(())
    }

    /// The packages that `name`, `name version` or `name version (source)` means.
    fn meant_by(&self, text: &str) -> impl Iterator<Item = usize> {
        let mut words = text.splitn(3, ' ');
        let name = words.next().unwrap_or(text);
        let (version, origin) = (words.next(), words.next());
        let origin = origin.map(|origin| origin.trim_start_matches('(').trim_end_matches(')'));
        let named = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        named.iter().copied().filter(move |&at| {
            let one = &self.packages[at];
            version.is_none_or(|version| version == one.version)
                && origin.is_none_or(|origin| one.source.as_deref().is_some_and(|from| is_from(from, origin)))
        })
    }
}

/// Whether a package from `source` is meant by `origin`, which may leave out the commit.
fn is_from(source: &str, origin: &str) -> bool {
    source == origin || source.split_once('#').is_some_and(|(repository, _)| repository == origin)
}

/// Whether what is in `dir` is a copy, made by Cargo or for it, of a package that has its home elsewhere.
fn is_copy(dir: &Path) -> bool {
    let names: Vec<_> = dir.components().map(Component::as_os_str).collect();
    let cargos = [["registry", "src"], ["git", "checkouts"]];
    let kept_by_cargo = names.windows(2).any(|pair| cargos.iter().any(|cargo| pair == cargo));
    kept_by_cargo
        || dir.join(".cargo-checksum.json").is_file()
        || dir.ancestors().any(|above| above.join(".cargo-ok").is_file())
}
