//! All items of the crate at hand and of its path dependencies, by where they are and what they are called.

use std::collections::{BTreeSet, HashMap};
use std::mem;
use std::ops::Deref;
use std::path::{Path as FilePath, PathBuf};

use super::source::{Kind, RawItem, RawModule, Use, digest, is_standard_macro};

/// Macros and attributes of other packages that define nothing but what their input names.
const PLAIN_MAKERS: [&str; 14] = [
    "bitflags",
    "cfg",
    "cfg_attr",
    "cfg_if",
    "collect",
    "compile_error",
    "const_assert",
    "criterion_group",
    "criterion_main",
    "derive",
    "lazy_static",
    "macro_use",
    "submit",
    "thread_local",
];

pub(super) type CrateId = usize;
pub(super) type ModuleId = usize;
pub(super) type ItemId = usize;
/// A package that is not read, as one of those that are depends on it: whoever made the index knows the number.
pub(super) type LockedId = usize;

/// The sources of one compilation, as far as they were read. Plain data: it outlives the macro invocation that read it.
#[derive(Default)]
pub(super) struct Index {
    pub(super) crates: Vec<Crate>,
    pub(super) modules: Vec<Module>,
    pub(super) items: Vec<Item>,
    /// What could not be read, in sentences for people.
    pub(super) problems: Vec<String>,
    /// Macros by name: they are found wherever they are.
    pub(super) macros: HashMap<String, Vec<ItemId>>,
    /// Functions of `impl`s and traits by name.
    pub(super) members: HashMap<String, Vec<ItemId>>,
    /// Free items by name, for where a path says too little.
    pub(super) by_name: HashMap<String, Vec<ItemId>>,
    /// Macro invocations in place of items, by the words in them.
    pub(super) invocations: HashMap<String, Vec<ItemId>>,
    /// The same, by the names that macros at hand give by themselves to what they define.
    pub(super) made: HashMap<String, Vec<ItemId>>,
    /// Items beside which others may appear whose names are put together.
    pub(super) makers: Vec<ItemId>,
    pub(super) impls: Vec<ItemId>,
}

/// What is to be read of a crate.
#[derive(Clone, Debug)]
pub(super) struct CrateSource {
    pub(super) name: String,
    pub(super) root: PathBuf,
    /// The package's directory: places are told from there.
    pub(super) base: PathBuf,
    /// In front of its places; empty for the crate at hand.
    pub(super) prefix: String,
    /// Of the crate at hand, if it has one.
    pub(super) out_dir: Option<PathBuf>,
    /// The crates it can name. A name may mean several packages, where only one of them is in use.
    pub(super) externs: HashMap<String, Vec<Extern>>,
    /// The features that the packages at hand ask of its package.
    pub(super) asked: BTreeSet<String>,
    /// The build script of its package.
    pub(super) build_script: Option<PathBuf>,
    /// Whether it is of the package that is being compiled.
    pub(super) own_package: bool,
}

impl CrateSource {
    /// A file as people and digests name it: from the package's directory.
    fn place(&self, file: &FilePath) -> String {
        let inside = file.strip_prefix(&self.base).unwrap_or(file);
        format!("{}{}", self.prefix, inside.to_string_lossy().replace('\\', "/"))
    }
}

/// A crate by the name that another uses for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extern {
    /// Its sources are read.
    Read(CrateId),
    /// A package that the lock file speaks for.
    Locked(LockedId),
    /// The library itself and what belongs to the compiler: no part of a fingerprint.
    Silent,
}

pub(super) struct Crate {
    /// Other crates by the names that `extern crate` gives them in the root: all modules know these.
    pub(super) aliases: HashMap<String, String>,
    /// The crates whose macros `#[macro_use]` brings into all modules.
    pub(super) macro_crates: Vec<String>,
    pub(super) source: CrateSource,
    pub(super) root: ModuleId,
    /// Digests of what stands in its files and could not be understood, with the files.
    pub(super) opaque: Vec<(String, [u8; 32])>,
}

pub(super) struct Module {
    pub(super) krate: CrateId,
    pub(super) parent: Option<ModuleId>,
    /// `crate_name::stats::inner`
    pub(super) path: String,
    /// Of a function: what it does not know, the module around it may.
    pub(super) body: bool,
    pub(super) test: bool,
    /// The predicates it stands under.
    pub(super) cfgs: Vec<String>,
    /// Whether one of them is its own, so that it may not be there.
    pub(super) conditional: bool,
    /// Where it begins in the module around it, to be compared.
    pub(super) at: usize,
    /// Invocations of macros that may define anything.
    pub(super) makers: Vec<ItemId>,
    pub(super) items: HashMap<String, Vec<ItemId>>,
    pub(super) children: HashMap<String, Vec<ModuleId>>,
    pub(super) uses: Vec<Use>,
}

pub(super) struct Item {
    /// As its file has it, but for what is put into other lists: its members, its body, its other names. `test` and `at` are those of
    /// what it is in, where that says more.
    raw: RawItem,
    /// The file, from the package's directory.
    pub(super) place: String,
    pub(super) file: PathBuf,
    /// What tells it from all others: its module, its head, its title.
    pub(super) label: String,
    pub(super) module: ModuleId,
    /// The `impl` or trait that a function is of.
    pub(super) parent: Option<ItemId>,
    /// The functions of an `impl` or a trait.
    pub(super) members: Vec<ItemId>,
    /// The module of what is defined in its body.
    pub(super) body: Option<ModuleId>,
}

impl Deref for Item {
    type Target = RawItem;

    fn deref(&self) -> &RawItem {
        &self.raw
    }
}

impl Index {
    pub(super) fn add_crate(&mut self, source: CrateSource) -> CrateId {
        let krate = self.crates.len();
        let root = self.modules.len();
        // Two packages may have libraries of one name.
        let path = match self.crates.iter().filter(|other| other.source.name == source.name).count() {
            0 => source.name.clone(),
            others => format!("{}#{others}", source.name),
        };
        self.modules.push(Module::new(krate, None, path));
        let (aliases, macro_crates, opaque) = (HashMap::new(), Vec::new(), Vec::new());
        self.crates.push(Crate { aliases, macro_crates, source, root, opaque });
        krate
    }

    /// What stands in a file of a crate and is not understood. A file may have several such stretches.
    pub(super) fn add_opaque(&mut self, krate: CrateId, file: &FilePath, bytes: [u8; 32]) {
        let known = &mut self.crates[krate];
        let place = known.source.place(file);
        match known.opaque.iter_mut().find(|(other, _)| *other == place) {
            Some((_, all)) => *all = digest(&[*all, bytes].concat()),
            None => known.opaque.push((place, bytes)),
        }
    }

    /// A module below another.
    pub(super) fn add_module(
        &mut self,
        parent: ModuleId,
        name: &str,
        test: bool,
        cfgs: &[String],
        at: usize,
    ) -> ModuleId {
        let above = &self.modules[parent];
        let mut module = Module::new(above.krate, Some(parent), format!("{}::{name}", above.path));
        module.test = above.test || test;
        module.cfgs = above.cfgs.iter().chain(cfgs).cloned().collect();
        module.conditional = !cfgs.is_empty();
        module.at = at;
        let id = self.modules.len();
        self.modules.push(module);
        self.modules[parent].children.entry(name.to_owned()).or_default().push(id);
        id
    }

    /// The module of what is defined in a function's body.
    pub(super) fn add_body(&mut self, parent: ModuleId, title: &str, at: usize) -> ModuleId {
        let above = &self.modules[parent];
        let mut module = Module::new(above.krate, Some(parent), format!("{}::{{{title}}}", above.path));
        module.test = above.test;
        module.cfgs = above.cfgs.clone();
        module.body = true;
        module.at = at;
        self.modules.push(module);
        self.modules.len() - 1
    }

    /// Takes an item in, with its members, and finds it by its names. What is defined in bodies is handed to the caller.
    pub(super) fn add_item(
        &mut self,
        mut raw: RawItem,
        module: ModuleId,
        file: &FilePath,
        parent: Option<ItemId>,
        bodies: &mut Vec<(ItemId, RawModule)>,
    ) -> ItemId {
        let id = self.items.len();
        let source = &self.crates[self.modules[module].krate].source;
        let place = source.place(file);
        let label = match parent {
            Some(parent) => format!("{} {}", self.items[parent].label, raw.title),
            None => format!("{} {}", self.modules[module].path, raw.title),
        };
        let (members, body) = (mem::take(&mut raw.members), raw.body.take());
        let other_names = mem::take(&mut raw.other_names);
        if let Some(parent) = parent {
            raw.at = self.items[parent].at;
            raw.test |= self.items[parent].test;
        }
        raw.test |= self.modules[module].test;
        self.items.push(Item {
            raw,
            place,
            file: file.to_owned(),
            label,
            module,
            parent,
            members: Vec::new(),
            body: None,
        });
        self.register(id, &other_names);
        bodies.extend(body.map(|body| (id, *body)));
        for member in members {
            let member = self.add_item(member, module, file, Some(id), bodies);
            self.items[id].members.push(member);
        }
        id
    }

    fn register(&mut self, id: ItemId, other_names: &[String]) {
        let Index { modules, items, macros, members, by_name, invocations, makers, impls, .. } = self;
        let item = &items[id];
        if item.makes_names && !matches!(item.kind, Kind::Impl | Kind::Macro | Kind::Invocation) {
            makers.push(id);
        }
        if item.parent.is_some() {
            members.entry(item.name.clone()).or_default().push(id);
            return;
        }
        let names = Some(&item.name).filter(|name| !name.is_empty() && item.kind != Kind::Invocation).into_iter();
        for name in names.chain(other_names) {
            modules[item.module].items.entry(name.clone()).or_default().push(id);
            by_name.entry(name.clone()).or_default().push(id);
        }
        match item.kind {
            Kind::Macro => macros.entry(item.name.clone()).or_default().push(id),
            // A procedural macro.
            Kind::Function => other_names.iter().for_each(|name| macros.entry(name.clone()).or_default().push(id)),
            Kind::Impl => impls.push(id),
            Kind::Invocation => {
                for word in &item.words {
                    invocations.entry(word.clone()).or_default().push(id);
                }
            }
            _ => {}
        }
    }

    /// Tells of each invocation what its macro does, once all is read.
    pub(super) fn finish(&mut self) {
        for krate in &mut self.crates {
            for used in &self.modules[krate.root].uses {
                if let ([none, name], Some(alias)) = (&used.path[..], &used.name)
                    && none.is_empty()
                {
                    krate.aliases.insert(alias.clone(), name.clone());
                    krate.macro_crates.extend(used.macros.then(|| name.clone()));
                }
            }
        }
        for id in 0..self.items.len() {
            if self.items[id].kind != Kind::Invocation {
                continue;
            }
            let (defines, joins, foreign) = self.made_by(id);
            for name in defines {
                self.made.entry(name).or_default().push(id);
            }
            let item = &mut self.items[id];
            if foreign {
                self.modules[item.module].makers.push(id);
            }
            item.raw.makes_names |= joins;
            if item.makes_names || foreign {
                self.makers.push(id);
            }
        }
    }

    /// What the macros at hand that an invocation leads to define by themselves, whether they put names together, and whether
    /// one is from elsewhere and may make names of its own.
    fn made_by(&self, invocation: ItemId) -> (Vec<String>, bool, bool) {
        let (mut defines, mut joins, mut foreign) = (Vec::new(), false, false);
        let mut seen: Vec<ItemId> = Vec::new();
        let mut pending = vec![invocation];
        // `each!(define)`: a macro may be handed to another.
        pending.extend(self.items[invocation].words.iter().filter_map(|word| self.macros.get(word)).flatten());
        while let Some(id) = pending.pop() {
            for name in self.items[id].mentions.macros.iter().filter_map(|path| path.last()) {
                match self.macros.get(name) {
                    Some(known) => pending.extend(known.iter().filter(|known| !seen.contains(known))),
                    // What stands in a macro's body is mostly in expressions; there it is `makes_names` that tells.
                    None => foreign |= id == invocation && !is_standard_macro(name) && !PLAIN_MAKERS.contains(&&**name),
                }
                seen.extend(self.macros.get(name).into_iter().flatten());
            }
            if id != invocation {
                defines.extend_from_slice(&self.items[id].defines);
                joins |= self.items[id].makes_names;
            }
        }
        defines.sort_unstable();
        defines.dedup();
        (defines, joins, foreign)
    }

    /// Macros that are found in the root of their crate, wherever they are.
    pub(super) fn exported_macros(&self, name: &str, krate: CrateId) -> impl Iterator<Item = ItemId> {
        let is_exported = move |id: &ItemId| {
            let macros = &self.items[*id].mentions.macros;
            self.crate_of(*id) == krate
                && macros.iter().any(|path| matches!(&path[..], [only] if only == "macro_export"))
        };
        self.macros.get(name).into_iter().flatten().copied().filter(is_exported)
    }

    /// Whether a macro comes before a place in the same module, or in one within it; `None` where that is no matter.
    pub(super) fn precedes(&self, id: ItemId, module: ModuleId, at: usize) -> Option<bool> {
        let (mut module, mut at) = (module, at);
        while module != self.items[id].module {
            at = self.modules[module].at;
            module = self.modules[module].parent?;
        }
        Some(self.items[id].at < at)
    }

    pub(super) fn crate_of(&self, item: ItemId) -> CrateId {
        self.modules[self.items[item].module].krate
    }
}

impl Module {
    fn new(krate: CrateId, parent: Option<ModuleId>, path: String) -> Module {
        Module {
            krate,
            parent,
            path,
            body: false,
            test: false,
            cfgs: Vec::new(),
            conditional: false,
            at: 0,
            makers: Vec::new(),
            items: HashMap::new(),
            children: HashMap::new(),
            uses: Vec::new(),
        }
    }
}

impl Kind {
    /// Whether its name stands among types (and modules), values, macros.
    pub(super) fn spaces(self) -> (bool, bool, bool) {
        match self {
            Kind::Function | Kind::Const | Kind::Static => (false, true, false),
            // A unit or tuple struct is a value, too.
            Kind::Struct => (true, true, false),
            Kind::Enum | Kind::Union | Kind::Trait | Kind::Alias => (true, false, false),
            Kind::Macro => (false, false, true),
            Kind::Impl | Kind::Invocation => (false, false, false),
            Kind::Foreign => (true, true, false),
        }
    }

    pub(super) fn is_type(self) -> bool {
        matches!(self, Kind::Struct | Kind::Enum | Kind::Union | Kind::Alias)
    }
}
