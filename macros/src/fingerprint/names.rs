//! What the names in an item mean: found out once for each item.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::index::{Index, ItemId, LockedId, ModuleId};
use super::resolve::{Meaning, Memo, Resolver, starts_upper};
use super::scope::Scope;
use super::source::{ImplHead, Kind, Mentions, digest, is_standard_macro};

/// Shorter words are in too many names.
const SHORTEST_PART: usize = 3;

/// What an item's mentions lead to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) items: Vec<ItemId>,
    /// Names of methods and other associated items.
    pub(super) members: Vec<String>,
    /// Names that nothing is known of.
    pub(super) unknown: Vec<String>,
    pub(super) locked: Vec<LockedId>,
    pub(super) cfgs: Vec<String>,
    /// The digest of the code and of what its names mean.
    pub(super) digest: [u8; 32],
}

/// Where some code stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) module: ModuleId,
    /// Where in the module, if that is known.
    pub(super) at: Option<usize>,
    /// It is a macro's, and stands where the macro is used.
    pub(super) loose: bool,
}

/// An `impl`, with its names looked up.
#[derive(Debug, Default)]
pub(super) struct Implemented {
    /// Its type; where that is foreign, those that are in it. Empty: it is of foreign types alone, or of any.
    pub(super) own: Vec<ItemId>,
    /// The trait: empty for one from elsewhere, `None` where it is of none.
    pub(super) of_trait: Option<Vec<ItemId>>,
    /// The types in the trait's arguments.
    pub(super) arguments: Vec<ItemId>,
}

/// What is known of an index's names, for code of tests or without it.
#[derive(Default)]
pub(super) struct Names {
    pub(super) test: bool,
    memo: Memo,
    items: RefCell<HashMap<ItemId, Rc<Resolved>>>,
    scopes: RefCell<HashMap<ModuleId, Rc<Scope>>>,
    impls: HashMap<ItemId, Implemented>,
    by_type: HashMap<ItemId, Vec<ItemId>>,
    by_trait: HashMap<ItemId, Vec<ItemId>>,
    /// The `impl`s of traits at hand for foreign types or any, by the names of what they and their traits have.
    foreign: HashMap<String, Vec<ItemId>>,
}

impl Names {
    pub(super) fn new(index: &Index, test: bool) -> Names {
        let mut names = Names { test, ..Names::default() };
        let impls: Vec<(ItemId, Implemented)> = index
            .impls
            .iter()
            .filter(|id| test || !index.items[**id].test)
            .filter_map(|id| Some((*id, names.head(index, *id)?)))
            .collect();
        for (id, implemented) in &impls {
            for own in implemented.own.iter().chain(&implemented.arguments) {
                names.by_type.entry(*own).or_default().push(*id);
            }
            let traits = implemented.of_trait.as_deref().unwrap_or_default();
            for of_trait in traits {
                names.by_trait.entry(*of_trait).or_default().push(*id);
            }
            if implemented.own.is_empty() && !traits.is_empty() {
                let words = traits.iter().chain([id]).flat_map(|item| &index.items[*item].words);
                for word in words {
                    names.foreign.entry(word.clone()).or_default().push(*id);
                }
            }
        }
        names.impls = impls.into_iter().collect();
        names
    }

    fn head(&self, index: &Index, id: ItemId) -> Option<Implemented> {
        let item = &index.items[id];
        let ImplHead { of_trait, head, own, arguments, .. } = item.head.as_ref()?;
        let resolver = Resolver::new(index, &self.memo);
        let types_in = |path: &Vec<String>, module: ModuleId| {
            let mut found = resolver.path(path, module, &[]).items;
            found.retain(|found| index.items[*found].kind.is_type() || index.items[*found].kind == Kind::Trait);
            found
        };
        let types = |path: &Vec<String>| types_in(path, item.module);
        let head = head.as_ref().map(types).unwrap_or_default();
        let mut own = if head.is_empty() { own.iter().flat_map(types).collect() } else { head };
        // An alias is another name for what it stands for, and that may be an alias.
        let mut at = 0;
        while let Some(alias) = own.get(at).copied() {
            if index.items[alias].kind == Kind::Alias {
                let aliased = index.items[alias].mentions.paths.iter();
                let aliased = aliased.flat_map(|path| types_in(path, index.items[alias].module));
                let new: Vec<ItemId> = aliased.filter(|aliased| !own.contains(aliased)).collect();
                own.extend(new);
            }
            at += 1;
        }
        let of_trait = of_trait.as_ref().map(|path| {
            let mut found = resolver.path(path, item.module, &[]).items;
            found.retain(|found| index.items[*found].kind == Kind::Trait);
            found
        });
        if item.head.as_ref().is_some_and(|head| head.projected) && of_trait.as_ref().is_some_and(|of| !of.is_empty()) {
            own.clear();
        }
        Some(Implemented { own, of_trait, arguments: arguments.iter().flat_map(types).collect() })
    }

    pub(super) fn implemented(&self, id: ItemId) -> Option<&Implemented> {
        self.impls.get(&id)
    }

    pub(super) fn impls_of_type(&self, id: ItemId) -> &[ItemId] {
        self.by_type.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn impls_of_trait(&self, id: ItemId) -> &[ItemId] {
        self.by_trait.get(&id).map_or(&[], Vec::as_slice)
    }

    pub(super) fn foreign(&self, name: &str) -> &[ItemId] {
        self.foreign.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn traits_of(&self, id: ItemId) -> &[ItemId] {
        self.impls.get(&id).and_then(|implemented| implemented.of_trait.as_deref()).unwrap_or_default()
    }

    /// What an item's mentions lead to.
    pub(super) fn of_item(&self, index: &Index, id: ItemId) -> Rc<Resolved> {
        if let Some(known) = self.items.borrow().get(&id) {
            return Rc::clone(known);
        }
        let item = &index.items[id];
        let place = Place { module: item.module, at: Some(item.at), loose: item.kind == Kind::Macro };
        let resolved = Rc::new(self.of_code(index, &item.mentions, place, &item.label, &item.digest));
        self.items.borrow_mut().insert(id, Rc::clone(&resolved));
        resolved
    }

    /// The items that a path means in a module, and the associated names behind it.
    pub(super) fn meaning(&self, index: &Index, path: &[String], module: ModuleId) -> (Vec<ItemId>, Vec<String>) {
        let meaning = Resolver::new(index, &self.memo).path(path, module, &[]);
        let members = path.iter().skip(meaning.taken).cloned().collect();
        (meaning.items, members)
    }

    /// What some code mentions.
    pub(super) fn of_code(
        &self,
        index: &Index,
        mentions: &Mentions,
        place: Place,
        label: &str,
        own: &[u8; 32],
    ) -> Resolved {
        let Place { module, at, loose } = place;
        let resolver = Resolver::new(index, &self.memo);
        let mut resolved =
            Resolved { members: mentions.members.clone(), cfgs: mentions.cfgs.clone(), ..Resolved::default() };
        let mut bytes = Vec::with_capacity(256);
        put(&mut bytes, label);
        bytes.extend_from_slice(own);
        let is_seen = |id: &ItemId| self.test || !index.items[*id].test;
        for path in &mentions.paths {
            if matches!(&path[..], [only] if matches!(&**only, "self" | "Self" | "super" | "crate")) {
                continue;
            }
            let mut meaning = resolver.path(path, module, &mentions.globs);
            if meaning.is_nothing() {
                let known = path[0].is_empty() || matches!(&*path[0], "Self" | "self" | "super" | "crate");
                resolved.unknown.extend(path.iter().skip(usize::from(known)).cloned());
                resolved.members.extend(path.iter().skip(1).cloned());
            } else {
                resolved.members.extend(path.iter().skip(meaning.taken).cloned());
            }
            // What a macro names without `$crate` is looked for where the macro is used, and that may be anywhere.
            if loose && !matches!(&*path[0], "crate" | "") {
                let named = path.iter().filter_map(|name| index.by_name.get(name)).flatten();
                meaning.items.extend(named.filter(|id| is_seen(id)));
            }
            let makers = meaning.lacking.iter().flat_map(|module| &index.modules[*module].makers);
            resolved.items.extend(makers);
            put_meaning(&mut bytes, path, &meaning, index);
            resolved.items.extend(meaning.items);
            resolved.locked.extend(meaning.locked);
            resolved.cfgs.extend(meaning.cfgs);
        }
        for path in &mentions.macros {
            let mut meaning = resolver.path(path, module, &mentions.globs);
            // Macros are known by the order of files, too, and wherever they are exported.
            let by_name = path.last().and_then(|last| index.macros.get(last)).into_iter().flatten();
            meaning.items.extend(by_name.filter(|id| is_seen(id)));
            meaning.items.sort_unstable();
            meaning.items.dedup();
            if let ([name], Some(at)) = (&path[..], at) {
                put_order(&mut bytes, name, &meaning.items, (module, at), index);
            }
            if meaning.is_nothing() && path.len() == 1 && !is_standard_macro(&path[0]) {
                for krate in &index.crates[index.modules[module].krate].macro_crates {
                    meaning.locked.extend(resolver.path(&[String::new(), krate.clone()], module, &[]).locked);
                }
            }
            // Another macro may define it.
            if meaning.is_nothing() {
                resolved.unknown.extend(path.last().filter(|name| !is_standard_macro(name)).cloned());
            }
            put_meaning(&mut bytes, path, &meaning, index);
            resolved.items.extend(meaning.items);
            resolved.locked.extend(meaning.locked);
        }
        for path in &mentions.texts {
            // Which functions of it are called, whoever takes the text knows.
            for named in resolver.path(path, module, &mentions.globs).modules {
                let functions = index.modules[named].items.values().flatten();
                resolved.items.extend(functions.filter(|id| index.items[**id].kind == Kind::Function && is_seen(id)));
            }
        }
        for parts in &mentions.joins {
            self.joined(index, parts, &mut resolved);
        }
        let scope = self.scope(&resolver, module);
        resolved.locked.extend(&scope.locked);
        put_scope(&mut bytes, &scope, &resolved.members, index);
        resolved.items.sort_unstable();
        resolved.items.dedup();
        resolved.locked.sort_unstable();
        resolved.locked.dedup();
        resolved.unknown.sort_unstable();
        resolved.unknown.dedup();
        resolved.digest = digest(&bytes);
        resolved
    }

    /// The items whose names have all these parts, as far as they are long enough to say anything.
    fn joined(&self, index: &Index, parts: &[String], resolved: &mut Resolved) {
        let parts: Vec<String> =
            parts.iter().map(|part| fold(part)).filter(|part| part.len() >= SHORTEST_PART).collect();
        let fits = |name: &str| {
            let name = fold(name);
            !parts.is_empty() && parts.iter().all(|part| name.contains(part))
        };
        let is_seen = |id: &&ItemId| self.test || !index.items[**id].test;
        let free = index.by_name.iter().filter(|(name, _)| fits(name)).flat_map(|(_, items)| items);
        resolved.items.extend(free.filter(is_seen));
        resolved.members.extend(index.members.keys().filter(|name| fits(name)).cloned());
    }

    fn scope(&self, resolver: &Resolver<'_>, module: ModuleId) -> Rc<Scope> {
        if let Some(known) = self.scopes.borrow().get(&module) {
            return Rc::clone(known);
        }
        let scope = Rc::new(Scope::of(resolver, module));
        self.scopes.borrow_mut().insert(module, Rc::clone(&scope));
        scope
    }

    /// The items beside which a macro may have made one of this name: `get_width` of `width`, `ConfigBuilder` of `Config`.
    pub(super) fn makers_of(&self, index: &Index, name: &str) -> Vec<ItemId> {
        let folded = fold(name);
        let is_part = |word: &str| {
            let word = fold(word);
            word.len() >= SHORTEST_PART && folded.contains(&word)
        };
        let makes = |id: &&ItemId| {
            let item = &index.items[**id];
            match item.kind {
                _ if item.test && !self.test => false,
                Kind::Invocation => item.words.iter().any(|word| is_part(word)),
                _ => starts_upper(name) && is_part(&item.name),
            }
        };
        index.makers.iter().filter(makes).copied().collect()
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(|character| *character != '_').flat_map(char::to_lowercase).collect()
}

/// What a path means is part of the code: an import that changes is a change of all that goes by it.
fn put_meaning(bytes: &mut Vec<u8>, path: &[String], meaning: &Meaning, index: &Index) {
    if meaning.items.is_empty() && meaning.beyond.is_empty() {
        return;
    }
    let mut labels: Vec<&str> = meaning.items.iter().map(|item| &*index.items[*item].label).collect();
    labels.sort_unstable();
    labels.dedup();
    put(bytes, &path.join("::"));
    bytes.extend_from_slice(&(labels.len() as u32).to_le_bytes());
    for label in labels.into_iter().chain(meaning.beyond.iter().map(String::as_str)) {
        put(bytes, label);
    }
}

/// Of macros with one name, that one is meant which comes last before its use; so it is with one that takes a standard name.
fn put_order(bytes: &mut Vec<u8>, name: &str, macros: &[ItemId], place: (ModuleId, usize), index: &Index) {
    let of_macro = |id: &&ItemId| index.items[**id].kind == Kind::Macro;
    if macros.iter().filter(of_macro).count() < if is_standard_macro(name) { 1 } else { 2 } {
        return;
    }
    let mut last: Option<ItemId> = None;
    for id in macros.iter().filter(of_macro) {
        let is_later = |other: ItemId| index.items[*id].at > index.items[other].at;
        if index.precedes(*id, place.0, place.1) == Some(true) && last.is_none_or(is_later) {
            last = Some(*id);
        }
    }
    put(bytes, name);
    bytes.extend_from_slice(&last.map_or([0; 32], |id| index.items[id].digest));
}

/// Which traits are in scope may decide what a method means.
fn put_scope(bytes: &mut Vec<u8>, scope: &Scope, members: &[String], index: &Index) {
    let members: HashSet<&str> = members.iter().map(String::as_str).collect();
    let has_one = |id: &&ItemId| index.items[**id].words.iter().any(|word| members.contains(&**word));
    let mut labels: Vec<&str> = scope.traits.iter().filter(has_one).map(|id| &*index.items[*id].label).collect();
    labels.sort_unstable();
    for label in labels.into_iter().chain(scope.foreign.iter().map(String::as_str)) {
        put(bytes, label);
    }
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}
