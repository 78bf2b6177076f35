//! What code has in scope without naming it: traits, whose methods are called as if they were the type's own.

use super::index::{Index, ItemId, LockedId, ModuleId};
use super::resolve::{Resolver, starts_upper};
use super::source::{Kind, Use};

/// Traits of the standard library with methods that another has, too: which of them is imported may decide what is called.
const AMBIGUOUS: [&str; 9] = ["Any", "Borrow", "BorrowMut", "BufRead", "Error", "Read", "Seek", "ToOwned", "Write"];

/// What is in scope in a module.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// The packages that may have traits there.
    pub(super) locked: Vec<LockedId>,
    /// Traits at hand.
    pub(super) traits: Vec<ItemId>,
    /// Names from elsewhere that could be of traits, and modules from elsewhere of which all names are there.
    pub(super) foreign: Vec<String>,
}

impl Scope {
    pub(super) fn of(resolver: &Resolver<'_>, module: ModuleId) -> Scope {
        let mut scope = Scope::default();
        scope.add(resolver, module, &mut Vec::new());
        scope.locked.sort_unstable();
        scope.locked.dedup();
        scope.traits.sort_unstable();
        scope.traits.dedup();
        scope.foreign.sort_unstable();
        scope.foreign.dedup();
        scope
    }

    fn add(&mut self, resolver: &Resolver<'_>, module: ModuleId, seen: &mut Vec<ModuleId>) {
        if seen.contains(&module) {
            return;
        }
        seen.push(module);
        let index = resolver.index;
        let here = &index.modules[module];
        self.add_traits(index, here.items.values().flatten());
        for used in &here.uses {
            self.add_use(resolver, module, used, seen);
        }
        if let Some(parent) = here.parent.filter(|_| here.body) {
            self.add(resolver, parent, seen);
        }
    }

    fn add_use(&mut self, resolver: &Resolver<'_>, module: ModuleId, used: &Use, seen: &mut Vec<ModuleId>) {
        let may_be_trait = used.name.as_deref().is_none_or(|name| name == "_" || starts_upper(name));
        if !may_be_trait {
            return;
        }
        let meaning = resolver.path(&used.path, module, &[]);
        self.locked.extend(&meaning.locked);
        self.add_traits(resolver.index, meaning.items.iter());
        let last = used.path.last().map_or("", String::as_str);
        let is_ambiguous = used.name.as_deref().is_none_or(|name| name == "_") || AMBIGUOUS.contains(&last);
        if !meaning.locked.is_empty() || (meaning.silent && is_ambiguous) {
            self.foreign.push(meaning.beyond.join(" "));
        }
        if used.name.is_none() {
            meaning.modules.iter().for_each(|all| self.add(resolver, *all, seen));
        }
    }

    fn add_traits<'a>(&mut self, index: &Index, items: impl Iterator<Item = &'a ItemId>) {
        self.traits.extend(items.filter(|item| index.items[**item].kind == Kind::Trait));
    }
}
