//! What a path means, as far as modules, `use` declarations and crates say.
//!
//! After the name resolution of the language (reference, chapter "Paths" and "Use declarations"), with what can be left out
//! left out: visibility (what does not compile has no fingerprint), and the order of macros. Both sides of a `cfg` are there,
//! so a name may mean several items, and then means all of them.

use std::cell::RefCell;
use std::collections::HashMap;

use super::index::{Extern, Index, ItemId, LockedId, ModuleId};
use super::source::{Kind, Path};

/// What a path leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) items: Vec<ItemId>,
    pub(super) modules: Vec<ModuleId>,
    /// Packages that are not read.
    pub(super) locked: Vec<LockedId>,
    /// The language's own, or the library's: known, and not followed.
    pub(super) silent: bool,
    /// The predicates of the imports on the way.
    pub(super) cfgs: Vec<String>,
    /// What is not looked up: the whole path where that leads elsewhere, variants and other associated names.
    pub(super) beyond: Vec<String>,
    /// Modules on the way that have no such name: a macro may have made it there.
    pub(super) lacking: Vec<ModuleId>,
    /// How many segments it took; the others are associated names.
    pub(super) taken: usize,
}

impl Meaning {
    pub(super) fn is_nothing(&self) -> bool {
        self.items.is_empty() && self.modules.is_empty() && self.locked.is_empty() && !self.silent
    }

    fn add(&mut self, other: Meaning) {
        self.items.extend(other.items);
        self.modules.extend(other.modules);
        self.locked.extend(other.locked);
        self.silent |= other.silent;
        self.cfgs.extend(other.cfgs);
        self.beyond.extend(other.beyond);
        self.lacking.extend(other.lacking);
    }

    fn tidy(mut self) -> Meaning {
        self.items.sort_unstable();
        self.items.dedup();
        self.modules.sort_unstable();
        self.modules.dedup();
        self.locked.sort_unstable();
        self.locked.dedup();
        self.cfgs.sort_unstable();
        self.cfgs.dedup();
        self.beyond.sort_unstable();
        self.beyond.dedup();
        self
    }

    /// Which of the spaces of types, values and macros are taken, whatever conditions hold.
    fn spaces(&self, index: &Index) -> (bool, bool, bool) {
        if !self.cfgs.is_empty() {
            return (false, false, false);
        }
        // Of what is not read nothing is known: it may be anything.
        if !self.locked.is_empty() || self.silent {
            return (true, true, true);
        }
        let modules = (self.modules.iter().any(|module| !index.modules[*module].conditional), false, false);
        let of_item = |item: &ItemId| index.items[*item].kind.spaces();
        let certain = self.items.iter().filter(|item| !index.items[**item].conditional);
        certain.map(of_item).fold(modules, |a, b| (a.0 || b.0, a.1 || b.1, a.2 || b.2))
    }
}

/// Looks names up.
pub(super) struct Resolver<'i> {
    pub(super) index: &'i Index,
    memo: &'i Memo,
}

/// What was found out, of one index and for one kind of code.
#[derive(Default)]
pub(super) struct Memo {
    /// What a module's imports of all names lead to, by their numbers.
    globs: RefCell<HashMap<(ModuleId, usize), Meaning>>,
    /// Names under way: imports can go round.
    active: RefCell<Vec<(ModuleId, String)>>,
}

impl<'i> Resolver<'i> {
    pub(super) fn new(index: &'i Index, memo: &'i Memo) -> Resolver<'i> {
        Resolver { index, memo }
    }

    /// What a path means in a module; `globs` are those of the code it stands in.
    pub(super) fn path(&self, path: &[String], module: ModuleId, globs: &[Path]) -> Meaning {
        self.walk(path, module, globs).tidy()
    }

    fn walk(&self, path: &[String], module: ModuleId, globs: &[Path]) -> Meaning {
        let Some(first) = path.first() else { return Meaning::default() };
        let mut meaning = self.first(first, path, module, globs);
        let mut taken = meaning.taken.max(1);
        while let Some(segment) = path.get(taken)
            && !meaning.modules.is_empty()
        {
            let mut next = Meaning::default();
            for inside in &meaning.modules {
                let found = self.inside(*inside, segment);
                if found.is_nothing() {
                    next.lacking.push(*inside);
                }
                next.add(found);
            }
            if next.is_nothing() && meaning.items.is_empty() && meaning.locked.is_empty() && !meaning.silent {
                // A module that has no such name: a macro may have made it.
                return Meaning { taken, lacking: next.lacking, ..Meaning::default() };
            }
            // What is known of the way stays: where a type and a module share a name, either may be meant.
            next.add(Meaning { modules: Vec::new(), ..meaning });
            meaning = next;
            taken += 1;
        }
        if meaning.beyond.is_empty() && (meaning.silent || !meaning.locked.is_empty()) {
            meaning.beyond.push(path.join("::"));
        } else if taken < path.len() && !meaning.items.is_empty() {
            meaning.beyond.push(path[taken..].join("::"));
        }
        meaning.taken = taken;
        meaning
    }

    fn first(&self, first: &str, path: &[String], module: ModuleId, globs: &[Path]) -> Meaning {
        let of_module = |module| Meaning { modules: vec![module], taken: 1, ..Meaning::default() };
        match first {
            "crate" => of_module(self.index.crates[self.index.modules[module].krate].root),
            "self" => of_module(self.around(module)),
            "super" => {
                let mut above = self.around(module);
                let mut taken = 0;
                while path.get(taken).is_some_and(|segment| segment == "super") {
                    above = self.around(self.index.modules[above].parent.unwrap_or(above));
                    taken += 1;
                }
                Meaning { modules: vec![above], taken, ..Meaning::default() }
            }
            "Self" => Meaning { taken: 1, ..Meaning::default() },
            // `::name`
            "" => match path.get(1) {
                Some(name) => {
                    let mut meaning = self.krate(name, module);
                    // So it was in 2015.
                    if meaning.is_nothing() {
                        meaning = self.inside(self.index.crates[self.index.modules[module].krate].root, name);
                    }
                    Meaning { taken: 2, ..meaning }
                }
                None => Meaning::default(),
            },
            name => Meaning { taken: 1, ..self.in_scope(name, module, globs) },
        }
    }

    /// The module that a function's body stands in.
    fn around(&self, module: ModuleId) -> ModuleId {
        let mut module = module;
        while self.index.modules[module].body
            && let Some(parent) = self.index.modules[module].parent
        {
            module = parent;
        }
        module
    }

    /// A name as code in this module knows it.
    fn in_scope(&self, name: &str, module: ModuleId, globs: &[Path]) -> Meaning {
        let mut meaning = Meaning::default();
        let mut at = module;
        loop {
            let found = self.inside(at, name);
            self.add_uncovered(&mut meaning, found);
            let Some(parent) = self.index.modules[at].parent.filter(|_| self.index.modules[at].body) else { break };
            at = parent;
        }
        for glob in globs {
            let target = self.walk(glob, module, &[]);
            let found = self.in_glob(&target, name, &mut vec![module]);
            self.add_uncovered(&mut meaning, found);
        }
        if !meaning.spaces(self.index).0 {
            meaning.add(self.krate(name, module));
        }
        meaning
    }

    /// A crate by the name that this module's crate has for it.
    fn krate(&self, name: &str, module: ModuleId) -> Meaning {
        let krate = &self.index.crates[self.index.modules[module].krate];
        let mut meaning = Meaning::default();
        for known in krate.source.externs.get(name).into_iter().flatten() {
            match known {
                Extern::Read(other) => meaning.modules.push(self.index.crates[*other].root),
                Extern::Locked(package) => meaning.locked.push(*package),
                Extern::Silent => meaning.silent = true,
            }
        }
        match krate.aliases.get(name) {
            Some(own) if own == "self" => meaning.modules.push(krate.root),
            Some(other) if other != name => meaning.add(self.krate(other, module)),
            _ if name == "self" => meaning.modules.push(krate.root),
            _ => {}
        }
        meaning.silent |= matches!(name, "std" | "core" | "alloc" | "proc_macro");
        meaning
    }

    /// A name that a module has: defined or imported there, by itself or with all others.
    fn inside(&self, module: ModuleId, name: &str) -> Meaning {
        self.inside_beyond(module, name, &mut vec![module])
    }

    /// The same, past the modules that were asked for it already.
    fn inside_beyond(&self, module: ModuleId, name: &str, asked: &mut Vec<ModuleId>) -> Meaning {
        let here = &self.index.modules[module];
        let mut meaning = Meaning::default();
        // Those of tests, too: what names them is either of tests itself, or has them in the place of others there.
        meaning.items.extend(here.items.get(name).into_iter().flatten());
        meaning.modules.extend(here.children.get(name).into_iter().flatten());
        let root = self.index.crates[here.krate].root;
        if module == root {
            meaning.items.extend(self.index.exported_macros(name, here.krate));
        }
        for used in here.uses.iter().filter(|used| used.name.as_deref() == Some(name)) {
            let mut found = match &used.path[..] {
                // `use name;` is about the crate of that name, never about itself.
                [only] if only == name => self.krate(name, module),
                path => self.unless_active(module, name, || {
                    let mut meaning = self.walk(path, module, &[]);
                    // An import of 2015 begins at the root.
                    if module != root && path.len() > 1 && self.index.modules[root].children.contains_key(&path[0]) {
                        meaning.add(self.walk(path, root, &[]));
                    }
                    meaning
                }),
            };
            if !used.cfgs.is_empty() && !found.is_nothing() {
                found.beyond.push(format!("{} {}", used.cfgs.join(" "), used.path.join("::")));
            }
            found.cfgs.extend_from_slice(&used.cfgs);
            meaning.add(found);
        }
        for (number, glob) in here.uses.iter().enumerate().filter(|(_, used)| used.name.is_none()) {
            let target = self.target_of_glob(module, number, &glob.path);
            let mut found = self.in_glob(&target, name, asked);
            if !found.is_nothing() && !glob.cfgs.is_empty() {
                found.cfgs.extend_from_slice(&glob.cfgs);
                found.beyond.push(format!("{} {}", glob.cfgs.join(" "), glob.path.join("::")));
            }
            self.add_uncovered(&mut meaning, found);
        }
        meaning
    }

    fn unless_active(&self, module: ModuleId, name: &str, look: impl FnOnce() -> Meaning) -> Meaning {
        let is_active = |active: &(ModuleId, String)| active.0 == module && active.1 == name;
        if self.memo.active.borrow().iter().any(is_active) {
            return Meaning::default();
        }
        self.memo.active.borrow_mut().push((module, name.to_owned()));
        let found = look();
        self.memo.active.borrow_mut().pop();
        found
    }

    fn target_of_glob(&self, module: ModuleId, number: usize, path: &[String]) -> Meaning {
        if let Some(known) = self.memo.globs.borrow().get(&(module, number)) {
            return known.clone();
        }
        let round = format!("*{number}");
        let target = self.unless_active(module, &round, || self.walk(path, module, &[])).tidy();
        // What was found while names are under way may lack what they lead to.
        if self.memo.active.borrow().is_empty() {
            self.memo.globs.borrow_mut().insert((module, number), target.clone());
        }
        target
    }

    fn in_glob(&self, target: &Meaning, name: &str, asked: &mut Vec<ModuleId>) -> Meaning {
        let mut meaning = Meaning::default();
        for inside in &target.modules {
            if !asked.contains(inside) {
                asked.push(*inside);
                meaning.add(self.inside_beyond(*inside, name, asked));
            }
        }
        // The variants of an enum.
        let has_it = |item: &&ItemId| {
            let item = &self.index.items[**item];
            item.kind == Kind::Enum && item.words.iter().any(|variant| variant == name)
        };
        meaning.items.extend(target.items.iter().filter(has_it));
        meaning
    }

    /// What is written out hides what comes with all others, in its own space of names.
    fn add_uncovered(&self, meaning: &mut Meaning, mut found: Meaning) {
        meaning.lacking.append(&mut found.lacking);
        if found.is_nothing() {
            return;
        }
        let (types, values, macros) = meaning.spaces(self.index);
        let is_new = |item: &ItemId| {
            let of = self.index.items[*item].kind.spaces();
            (of.0 && !types) || (of.1 && !values) || (of.2 && !macros)
        };
        let items: Vec<ItemId> = found.items.into_iter().filter(is_new).collect();
        let modules = if types { Vec::new() } else { found.modules };
        let locked = if types && values { Vec::new() } else { found.locked };
        let silent = found.silent && !(types && values);
        let kept = Meaning { items, modules, locked, silent, ..Meaning::default() };
        if !kept.is_nothing() {
            meaning.add(Meaning { cfgs: found.cfgs, beyond: found.beyond, ..kept });
        }
    }
}

pub(super) fn starts_upper(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}
