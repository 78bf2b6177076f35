//! All that a function can reach by name.
//!
//! Free items are reached by the paths that mention them. Which method a call means is a matter of types, and types are not
//! known here; but a method can only be called on a value of a type that is reached, and a type whose values are at hand is
//! named by some item that is reached: in a signature, in a field, in an alias. So (as in rapid type analysis: Bacon and
//! Sweeney, "Fast static analysis of C++ virtual function calls", OOPSLA 1996) a method belongs to the closure if its name is
//! mentioned and its type is reached. More precisely:
//!
//! | what | belongs to it if |
//! |---|---|
//! | a method of a type | its name is mentioned, and its type is reached |
//! | the `impl` of a trait from elsewhere (`Add`, `Drop`, `Iterator`) | its type is reached: operators and other crates call it unnamed |
//! | a method in the `impl` of a trait at hand | its name is mentioned, and its type is reached, or the trait is named by anything but an `impl` (`dyn`, a bound), or the type is foreign or any |
//! | a trait's default method | its name is mentioned, and the trait is reached |
//! | a macro invocation in place of items | a reached name is among its words |

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use super::index::{Index, ItemId, LockedId, ModuleId};
use super::names::{Names, Resolved};
use super::source::Kind;

/// What a function reaches.
#[derive(Default)]
pub(super) struct Closure {
    pub(super) items: Vec<ItemId>,
    pub(super) locked: BTreeSet<LockedId>,
    pub(super) cfgs: BTreeSet<String>,
    pub(super) modules: HashSet<ModuleId>,
}

/// Takes the closure.
pub(super) struct Walk<'i> {
    index: &'i Index,
    names: &'i Names,
    closure: Closure,
    reached: HashSet<ItemId>,
    /// Traits that are named by more than an `impl`.
    open: HashSet<ItemId>,
    members: HashSet<String>,
    /// Members that nothing was asked about yet.
    new_members: Vec<String>,
    /// Traits that are reached, and `impl`s whose type or trait is: a new member may be theirs.
    candidates: Vec<ItemId>,
    /// Invocations whose macros define a member that is named.
    makers: Vec<ItemId>,
    unknown: HashSet<String>,
    /// What is no part of it, though it is named: the function itself.
    left_out: Vec<ItemId>,
    work: Vec<ItemId>,
}

impl<'i> Walk<'i> {
    pub(super) fn new(index: &'i Index, names: &'i Names, left_out: Vec<ItemId>) -> Walk<'i> {
        Walk {
            index,
            names,
            closure: Closure::default(),
            reached: HashSet::new(),
            open: HashSet::new(),
            members: HashSet::new(),
            new_members: Vec::new(),
            candidates: Vec::new(),
            makers: Vec::new(),
            unknown: HashSet::new(),
            left_out,
            work: Vec::new(),
        }
    }

    /// Takes in what some code mentions.
    pub(super) fn mentioned(&mut self, resolved: &Resolved) {
        for item in &resolved.items {
            self.named(*item);
        }
        for member in &resolved.members {
            self.member(member);
        }
        for name in &resolved.unknown {
            self.unknown(name);
        }
        self.closure.locked.extend(&resolved.locked);
        self.closure.cfgs.extend(resolved.cfgs.iter().cloned());
    }

    /// Takes in an item, whoever names it.
    pub(super) fn named(&mut self, item: ItemId) {
        self.reach(item);
        if self.index.items[item].kind == Kind::Trait && self.open.insert(item) {
            self.consider_all(self.names.impls_of_trait(item));
        }
    }

    /// Takes in an item. A trait that is named by no more than this has those `impl`s only whose types are reached.
    pub(super) fn reach(&mut self, item: ItemId) {
        if self.left_out.contains(&item) || !self.reached.insert(item) {
            return;
        }
        self.work.push(item);
    }

    /// All that follows.
    pub(super) fn finish(mut self) -> Closure {
        loop {
            while let Some(item) = self.work.pop() {
                self.expand(item);
            }
            if self.new_members.is_empty() {
                break;
            }
            for name in std::mem::take(&mut self.new_members) {
                self.names.foreign(&name).iter().for_each(|id| self.consider(*id));
                let made = self.index.made.get(&name).into_iter().flatten();
                self.makers.extend(made.filter(|id| self.names.test || !self.index.items[**id].test));
            }
            for at in 0..self.candidates.len() {
                self.consider(self.candidates[at]);
            }
            for at in 0..self.makers.len() {
                self.consider_maker(self.makers[at]);
            }
        }
        let mut items: Vec<ItemId> = self.reached.into_iter().collect();
        items.sort_by(|a, b| {
            let (a, b) = (&self.index.items[*a], &self.index.items[*b]);
            (&a.label, &a.digest).cmp(&(&b.label, &b.digest))
        });
        self.closure.items = items;
        self.closure
    }

    fn expand(&mut self, id: ItemId) {
        let item = &self.index.items[id];
        self.closure.modules.insert(item.module);
        self.closure.cfgs.extend(self.index.modules[item.module].cfgs.iter().cloned());
        let resolved: Rc<Resolved> = self.names.of_item(self.index, id);
        self.mentioned(&resolved);
        if let Some(parent) = item.parent {
            self.reach(parent);
        }
        match item.kind {
            kind if kind.is_type() => self.consider_all(self.names.impls_of_type(id)),
            Kind::Trait => {
                self.consider_all(&[id]);
                // `impl PartialEq for dyn Shape`
                self.consider_all(self.names.impls_of_type(id));
            }
            // Whoever has one of these names may be linked.
            Kind::Foreign => {
                for name in &item.words {
                    for defined in self.index.by_name.get(name).into_iter().flatten() {
                        if self.index.items[*defined].kind != Kind::Foreign {
                            self.named(*defined);
                        }
                    }
                }
            }
            Kind::Impl => {
                for of_trait in self.names.traits_of(id) {
                    self.reach(*of_trait);
                }
            }
            _ => {}
        }
        if item.parent.is_none() && !item.name.is_empty() {
            self.words(&item.name);
        }
    }

    /// Invocations that have this word in them, or whose macro gives this name to what it defines.
    fn words(&mut self, word: &str) {
        let index = self.index;
        let all = [&index.invocations, &index.made].into_iter().filter_map(|names| names.get(word)).flatten();
        for invocation in all {
            if self.names.test || !self.index.items[*invocation].test {
                self.reach(*invocation);
            }
        }
    }

    /// Takes in a name of methods and other associated items.
    pub(super) fn member(&mut self, name: &str) {
        if self.members.insert(name.to_owned()) {
            self.new_members.push(name.to_owned());
        }
    }

    /// Looks at these now, and with each new member.
    fn consider_all(&mut self, ids: &[ItemId]) {
        self.candidates.extend_from_slice(ids);
        ids.iter().for_each(|id| self.consider(*id));
    }

    /// Takes in an invocation whose macro defines a member that is named, unless it is all of types that are not reached.
    fn consider_maker(&mut self, id: ItemId) {
        let index = self.index;
        let words = index.items[id].words.iter().filter_map(|word| index.by_name.get(word));
        let types: Vec<ItemId> = words.flatten().copied().filter(|item| index.items[*item].kind.is_type()).collect();
        if types.is_empty() || types.iter().any(|of_type| self.is_reached(of_type)) {
            self.reach(id);
        }
    }

    /// A name that nobody has: a local variable, a generic parameter, or what a macro makes.
    fn unknown(&mut self, name: &str) {
        if !self.unknown.insert(name.to_owned()) {
            return;
        }
        self.words(name);
        for maker in self.names.makers_of(self.index, name) {
            self.reach(maker);
        }
    }

    fn is_named(&self, member: ItemId) -> bool {
        self.members.contains(&self.index.items[member].name)
    }

    fn is_reached(&self, item: &ItemId) -> bool {
        self.reached.contains(item)
    }

    /// Takes in those functions of an `impl` or a trait that are called, as far as is known.
    fn consider(&mut self, id: ItemId) {
        let index = self.index;
        let item = &index.items[id];
        if item.test && !self.names.test {
            return;
        }
        let called: Vec<ItemId> = item.members.iter().copied().filter(|member| self.is_named(*member)).collect();
        if item.kind == Kind::Trait {
            if self.is_reached(&id) {
                called.into_iter().for_each(|member| self.reach(member));
            }
            return;
        }
        let names = self.names;
        let Some(implemented) = names.implemented(id) else { return };
        let at_hand = implemented.own.iter().any(|own| self.is_reached(own));
        match &implemented.of_trait {
            // What macros make in it has any name; its constants are part of it.
            None if at_hand && (item.makes_names || item.words.iter().any(|word| self.members.contains(word))) => {
                self.reach(id);
            }
            None => return,
            Some(traits) if traits.is_empty() => {
                let at_hand = at_hand
                    || (implemented.own.is_empty() && implemented.arguments.iter().any(|type_| self.is_reached(type_)));
                if !at_hand {
                    return;
                }
                self.reach(id);
                item.members.iter().for_each(|member| self.reach(*member));
            }
            Some(traits) => {
                let open = traits.iter().any(|of_trait| self.open.contains(of_trait));
                if !(at_hand || open || implemented.own.is_empty()) {
                    return;
                }
                let declared = |name: &String| self.members.contains(name);
                let used = open
                    || !called.is_empty()
                    || item.words.iter().any(declared)
                    || traits.iter().any(|of_trait| index.items[*of_trait].words.iter().any(declared));
                if !used {
                    return;
                }
                self.reach(id);
            }
        }
        called.into_iter().for_each(|member| self.reach(member));
    }
}
