//! What is read for a compilation, once: the crate at hand, the library of its package, and the path dependencies that are
//! named.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::cargo::{Compilation, Dependency, Library, Lock, Package};
use super::index::{CrateId, CrateSource, Extern, Index, LockedId};
use super::load;
use super::names::Names;

/// The packages of this library: their own versions are no part of a fingerprint, since what they store says itself how it
/// is to be read.
const OWN_PACKAGES: [&str; 2] = ["larder", "larder-macros"];

/// All that was read.
pub(super) struct Sources {
    pub(super) index: Index,
    plain: OnceCell<Names>,
    of_tests: OnceCell<Names>,
    /// The dependencies that are not read, by their numbers.
    locked: Vec<Dependent>,
    lines: RefCell<HashMap<LockedId, Rc<Vec<String>>>>,
    scripts: RefCell<HashMap<PathBuf, [u8; 32]>>,
    lock: Result<Lock, String>,
    /// Packages whose sources are read, with their versions.
    read: HashSet<(String, String)>,
}

/// A dependency of a package.
#[derive(Debug, PartialEq, Eq)]
struct Dependent {
    /// Name and version of the package that has it.
    of: (String, String),
    package: String,
    asked: Vec<String>,
}

thread_local! {
    static NOTED: Cell<bool> = const { Cell::new(false) };
    /// Macros are expanded on one thread, in one process for each compilation.
    static CURRENT: OnceCell<Result<Sources, String>> = const { OnceCell::new() };
}

/// Whether nobody was told yet what cannot be seen. An editor that expands macros on its own sees little, and is not told.
pub(super) fn is_first_note() -> bool {
    let in_compiler = proc_macro::is_available()
        && std::env::args_os().next().is_none_or(|program| !program.to_string_lossy().contains("rust-analyzer"));
    in_compiler && !NOTED.replace(true)
}

impl Sources {
    /// The sources of the compilation at hand, read at the first call.
    pub(super) fn with_current<R>(with: impl FnOnce(Result<&Sources, &str>) -> R) -> R {
        CURRENT.with(|current| {
            let sources = current.get_or_init(|| Sources::read(&Compilation::current()?));
            with(sources.as_ref().map_err(String::as_str))
        })
    }

    /// Reads the sources of a compilation.
    ///
    /// # Errors
    /// Why they cannot be read, as half a sentence.
    pub(super) fn read(compilation: &Compilation) -> Result<Sources, String> {
        let lock = Lock::find(compilation);
        let package = match &lock {
            Ok(lock) => Package::read_within(&compilation.package_dir, lock.dir())?,
            Err(_) => Package::read(&compilation.package_dir)?,
        };
        let mut reader = Reader {
            index: Index::default(),
            packages: Vec::new(),
            loaded: HashMap::new(),
            locked: Vec::new(),
            lock_dir: lock.as_ref().ok().map(|lock| lock.dir().to_owned()),
        };
        reader.all(compilation, package);
        reader.index.finish();
        let Reader { mut index, packages, locked, .. } = reader;
        if let Err(why) = &lock {
            index.problems.push(format!("the versions of other packages are not known ({why}), and do not count"));
        }
        let read = packages.into_iter().map(|package| (package.name, package.version)).collect();
        Ok(Sources {
            index,
            plain: OnceCell::new(),
            of_tests: OnceCell::new(),
            locked,
            lines: RefCell::default(),
            scripts: RefCell::default(),
            lock,
            read,
        })
    }

    /// The names as code of tests knows them, or other code.
    pub(super) fn names(&self, test: bool) -> &Names {
        let names = if test { &self.of_tests } else { &self.plain };
        names.get_or_init(|| Names::new(&self.index, test))
    }

    /// The digest of a build script.
    pub(super) fn script(&self, file: &Path) -> [u8; 32] {
        *self.scripts.borrow_mut().entry(file.to_owned()).or_insert_with(|| load::digest_of_script(file))
    }

    /// A package that is not read and all that it depends on: a line for each.
    pub(super) fn locked(&self, id: LockedId) -> Rc<Vec<String>> {
        if let Some(known) = self.lines.borrow().get(&id) {
            return Rc::clone(known);
        }
        let Dependent { of, package, asked } = &self.locked[id];
        let mut lines = match &self.lock {
            Ok(lock) => lock.closure((&of.0, &of.1), package, &|locked| {
                OWN_PACKAGES.contains(&&*locked.name)
                    || (locked.source.is_none() && self.read.contains(&(locked.name.clone(), locked.version.clone())))
            }),
            Err(_) => Vec::new(),
        };
        if !asked.is_empty() {
            lines.push(format!("{package} features {}", asked.join(", ")));
        }
        let lines = Rc::new(lines);
        self.lines.borrow_mut().insert(id, Rc::clone(&lines));
        lines
    }
}

/// Reads crates as they are named.
struct Reader {
    index: Index,
    packages: Vec<Package>,
    /// Crates by their root files.
    loaded: HashMap<PathBuf, CrateId>,
    locked: Vec<Dependent>,
    lock_dir: Option<PathBuf>,
}

impl Reader {
    fn all(&mut self, compilation: &Compilation, package: Package) {
        let source = CrateSource {
            name: compilation.crate_name.clone(),
            root: compilation.crate_root.clone(),
            base: package.dir.clone(),
            prefix: String::new(),
            out_dir: compilation.out_dir.clone(),
            externs: HashMap::new(),
            asked: BTreeSet::new(),
            build_script: package.build_script.clone(),
            own_package: true,
        };
        self.packages.push(package);
        let mut work = vec![self.load(source, 0)];
        let mut next = 0;
        while let Some(&(krate, package)) = work.get(next) {
            next += 1;
            let given = if next == 1 { compilation.externs.as_deref() } else { None };
            self.externs(krate, package, given, &mut work);
        }
    }

    fn load(&mut self, source: CrateSource, package: usize) -> (CrateId, usize) {
        let root = load::canonical(source.root.clone());
        let krate = load::load(&mut self.index, source);
        self.loaded.insert(root, krate);
        (krate, package)
    }

    /// Finds out which crates a crate names, and has those read whose sources are at hand.
    fn externs(&mut self, krate: CrateId, package: usize, given: Option<&[String]>, work: &mut Vec<(CrateId, usize)>) {
        let words = self.words(krate);
        let mut externs: HashMap<String, Vec<Extern>> = HashMap::new();
        let own = &self.packages[package];
        let of = (own.name.clone(), own.version.clone());
        let mut wanted: Vec<(String, Dependency)> = Vec::new();
        for word in &words {
            let is_known = own.dependencies.iter().any(|dependency| dependency.extern_name == *word);
            // A library may be called otherwise than its package: only the names in imports are looked at for that.
            if is_known
                || given.is_some_and(|given| given.contains(word))
                || (given.is_none() && self.is_import(krate, word))
            {
                wanted.extend(own.named(word, given).into_iter().map(|dependency| (word.clone(), dependency.clone())));
            }
        }
        let library = own.library.clone().filter(|library| words.contains(&library.name));
        let own_root = load::canonical(self.index.crates[krate].source.root.clone());
        if let Some(library) = library
            && load::canonical(library.root.clone()) != own_root
        {
            let known = if OWN_PACKAGES.contains(&&*of.0) {
                Extern::Silent
            } else {
                Extern::Read(self.library(&library, package, self.index.crates[krate].source.own_package, work))
            };
            externs.entry(library.name).or_default().push(known);
        }
        for (word, dependency) in wanted {
            let known = if OWN_PACKAGES.contains(&&*dependency.package) {
                Extern::Silent
            } else {
                match dependency.path.as_deref().and_then(|dir| self.package(dir, work)) {
                    Some(read) => {
                        self.index.crates[read].source.asked.extend(dependency.asked);
                        Extern::Read(read)
                    }
                    None => Extern::Locked(self.lock_entry(&of, dependency)),
                }
            };
            externs.entry(word).or_default().push(known);
        }
        self.index.crates[krate].source.externs = externs;
    }

    fn lock_entry(&mut self, of: &(String, String), dependency: Dependency) -> LockedId {
        let Dependency { package, asked, .. } = dependency;
        let entry = Dependent { of: of.clone(), package, asked };
        self.locked.iter().position(|known| *known == entry).unwrap_or_else(|| {
            self.locked.push(entry);
            self.locked.len() - 1
        })
    }

    /// The library of the package in a directory, read unless it was; `None` if there is none to be read.
    fn package(&mut self, dir: &Path, work: &mut Vec<(CrateId, usize)>) -> Option<CrateId> {
        let known = self.packages.iter().position(|package| package.dir == dir);
        let package = match known {
            Some(package) => package,
            None => {
                let read = match &self.lock_dir {
                    Some(root) => Package::read_within(dir, root),
                    None => Package::read(dir),
                };
                match read {
                    Ok(package) => self.packages.push(package),
                    Err(why) => {
                        self.index.problems.push(format!("a path dependency is not read: {why}"));
                        return None;
                    }
                }
                self.packages.len() - 1
            }
        };
        let library = self.packages[package].library.clone()?;
        Some(self.library(&library, package, package == 0, work))
    }

    fn library(
        &mut self,
        library: &Library,
        package: usize,
        own_package: bool,
        work: &mut Vec<(CrateId, usize)>,
    ) -> CrateId {
        if let Some(krate) = self.loaded.get(&load::canonical(library.root.clone())) {
            return *krate;
        }
        let of = &self.packages[package];
        let source = CrateSource {
            name: library.name.clone(),
            root: library.root.clone(),
            base: of.dir.clone(),
            prefix: if own_package { String::new() } else { format!("{}/", of.name) },
            out_dir: self.index.crates[0].source.out_dir.clone().filter(|_| own_package),
            externs: HashMap::new(),
            asked: BTreeSet::new(),
            build_script: of.build_script.clone(),
            own_package,
        };
        let loaded = self.load(source, package);
        work.push(loaded);
        loaded.0
    }

    /// The words that a crate's paths begin with.
    fn words(&self, krate: CrateId) -> Vec<String> {
        let mut words: HashSet<&str> = HashSet::new();
        let head = |path: &'_ Vec<String>| usize::from(path.first().is_some_and(String::is_empty));
        for item in self.index.items.iter().filter(|item| self.index.modules[item.module].krate == krate) {
            let mentions = item.head.iter().map(|head| &head.mentions).chain([&item.mentions]);
            for path in mentions.flat_map(|of| of.paths.iter().chain(&of.macros).chain(&of.globs)) {
                words.extend(path.get(head(path)).map(String::as_str));
            }
            for path in item.head.iter().flat_map(|head| head.of_trait.iter().chain(&head.own)) {
                words.extend(path.first().map(String::as_str));
            }
        }
        for module in self.index.modules.iter().filter(|module| module.krate == krate) {
            words.extend(module.uses.iter().filter_map(|used| used.path.get(head(&used.path))).map(String::as_str));
        }
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.sort_unstable();
        words
    }

    /// Whether a word begins an import, and names nothing in the crate.
    fn is_import(&self, krate: CrateId, word: &str) -> bool {
        let known = matches!(word, "crate" | "self" | "super" | "std" | "core" | "alloc" | "proc_macro" | "");
        let mut modules = self.index.modules.iter().filter(|module| module.krate == krate);
        let begins =
            |path: &Vec<String>| path.iter().find(|segment| !segment.is_empty()).is_some_and(|head| head == word);
        !known
            && modules.clone().any(|module| module.uses.iter().any(|used| begins(&used.path)))
            && !modules.any(|module| {
                let brings = |path: &Vec<String>| path.len() > 1 && path.last().is_some_and(|last| last == word);
                module.children.contains_key(word)
                    || module.items.contains_key(word)
                    || module.uses.iter().any(|used| used.name.as_deref() == Some(word) && brings(&used.path))
            })
    }
}
