//! The road of one call: key, memory tier, claim, store, codec, value.

use std::any::TypeId;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{Arguments, MakeKey, Refused};
use super::claim::{Guard, Met};
use super::computation::Computation;
use super::load::Answer;
use super::lookup::{self, Kept, Looked};
use super::reason::{MissReason, NotStoredReason};
use super::stats::{Place, Source};
use super::validity::Validity;
use super::waiting::{self, Waiting};
use super::{Memory, Shelves, bless, inputs, namesakes};
use crate::codec::{self, Encoded};
use crate::key::{Identity, Key, Layout, MadeOf, describe};
use crate::panics;
use crate::store::census::Code;
use crate::store::entry::{Argument, Origin};
use crate::store::used::FunctionName;
use crate::store::{Absent, Claimant, Claimed, End, EntryKey, Lookup, Patience, Prefix};
use crate::task::Parameter;
use crate::task::probe::Sharing;
use crate::task::registry::TaskEntry;

/// More codes of a function than these are not asked about a missing entry.
const MOST_CODES: usize = 8;
/// Arguments that take more are not kept.
const MOST_KEPT_BYTES: usize = 4096;

/// A wrapped function as the road needs it: who it is, and what its output is to the store.
pub(super) struct Subject<O, V> {
    pub(super) identity: Identity,
    pub(super) prefix: Prefix,
    pub(super) layout: Layout,
    pub(super) parameters: &'static [Parameter],
    pub(super) stored: fn(&O) -> Result<&V, NotStoredReason>,
    pub(super) restore: fn(V) -> O,
    pub(super) sharing: Option<Sharing<V>>,
    pub(super) validity: Validity,
    pub(super) function: Arc<FunctionName>,
    /// Why its calls have no key, where they can have none.
    refusal: Option<&'static str>,
    /// Its other codes that have entries, as they were when an entry was missing first.
    other_codes: OnceLock<Vec<Identity>>,
    /// Looks for its entry among the tasks, where it can be one.
    find_task: fn() -> Option<&'static TaskEntry>,
    task: OnceLock<Option<&'static TaskEntry>>,
    /// What changed since the newest of them, as it was when someone wanted to know first.
    changed: OnceLock<Option<String>>,
}

/// What a wrapped function does with its output.
pub(super) struct Results<O, V> {
    pub(super) stored: fn(&O) -> Result<&V, NotStoredReason>,
    pub(super) restore: fn(V) -> O,
    pub(super) sharing: Option<Sharing<V>>,
}

/// The key of the call at hand, with what its record says of it.
pub(super) struct Keyed<'k> {
    pub(super) key: Key,
    pub(super) entry: EntryKey,
    pub(super) made_of: &'k MadeOf,
}

/// Why a call is not answered by an entry of its own.
pub(super) enum NotOwn {
    /// Its entry does not hold or cannot be loaded.
    Refused(MissReason),
    /// It has none; so much had been removed before that was found out.
    Absent(Absent, u64),
}

impl Keyed<'_> {
    /// The call's own entry.
    pub(super) fn own(&self) -> Answer {
        Answer { key: self.key, entry: self.entry, blessing: None }
    }
}

impl<O, V: Serialize + DeserializeOwned> Subject<O, V> {
    pub(super) fn new(
        identity: Identity,
        layout: Layout,
        parameters: &'static [Parameter],
        results: Results<O, V>,
        validity: Validity,
    ) -> Subject<O, V> {
        let Results { stored, restore, sharing } = results;
        let name = identity.name().to_owned();
        let function = Arc::new(FunctionName { name, by_hand: identity.fingerprint().is_none() });
        let prefix = Prefix::of(identity.name());
        Subject {
            identity,
            prefix,
            layout,
            parameters,
            stored,
            restore,
            sharing,
            validity,
            function,
            refusal: None,
            other_codes: OnceLock::new(),
            find_task: || None,
            task: OnceLock::new(),
            changed: OnceLock::new(),
        }
    }

    /// The same, of a function that may be a registered task.
    pub(super) fn of_task(self, find_task: fn() -> Option<&'static TaskEntry>) -> Subject<O, V> {
        Subject { find_task, ..self }
    }

    /// The function's entry among the tasks of this program, if it has one.
    pub(super) fn task(&self) -> Option<&'static TaskEntry> {
        *self.task.get_or_init(self.find_task)
    }

    /// The same, unless it is another function of the same name and code that is made of this type.
    pub(super) fn made_of(self, of: TypeId) -> Subject<O, V> {
        Subject { refusal: namesakes::refusal(&self.identity, of), ..self }
    }

    /// Answers one call, from wherever its result is.
    #[inline]
    pub(super) fn call<A: Arguments>(&self, memory: &Memory, args: A, compute: impl FnOnce(A) -> O) -> O {
        match self.call_unless_busy(memory, args, compute, Waiting::AsThreadMay) {
            Ok(output) => output,
            // Only who does not wait is sent away.
            Err((args, compute)) => compute(args),
        }
    }

    /// As [`call`](Subject::call); gives back what it was given if the same call is under way elsewhere and it is not to
    /// wait for it.
    #[inline]
    pub(super) fn call_unless_busy<A: Arguments, F: FnOnce(A) -> O>(
        &self,
        memory: &Memory,
        args: A,
        compute: F,
        waiting: Waiting,
    ) -> Result<O, (A, F)> {
        let computation = Computation { subject: self, memory };
        let Some(shelves) = &memory.inner.place else {
            return Ok(computation.unkeyed(args, compute, MissReason::Disabled));
        };
        let mut made_of = MadeOf::default();
        let Some(key) = self.key(memory, &args, &mut made_of) else {
            return Ok(computation.unkeyed(args, compute, MissReason::NoKey));
        };
        if let Some((output, source)) = self.hot_value(memory, shelves, &key) {
            self.say_loaded(memory, source, &args);
            return Ok(output);
        }
        let keyed = Keyed { key, entry: self.prefix.entry(&key), made_of: &made_of };
        self.beyond_hot(memory, shelves, &keyed, args, compute, waiting)
    }

    /// The key of a call, and in `made_of` what it was made of. Whoever asked is told where there is none.
    #[inline]
    pub(super) fn key<A: Arguments>(&self, memory: &Memory, args: &A, made_of: &mut MadeOf) -> Option<Key> {
        let refused = match self.try_key(args, made_of) {
            Ok(key) => return Some(key),
            Err(refused) => refused,
        };
        let (subject, words) = refused.warning(self.identity.name());
        memory.inner.reporter.warn_once(&subject, || words);
        None
    }

    #[inline]
    pub(super) fn try_key<A: Arguments>(&self, args: &A, made_of: &mut MadeOf) -> Result<Key, Refused> {
        if let Some(words) = self.refusal {
            return Err(Refused::Function(words));
        }
        let maker = MakeKey { function: &self.identity, layout: self.layout, made_of };
        let key = args.key(maker).0.map_err(Refused::Argument)?;
        if self.identity.inputs().is_empty() {
            return Ok(key);
        }
        Ok(made_of.key_with(inputs::look(self.identity.inputs()).map_err(Refused::Input)?))
    }

    /// Whether what the function depends on is as it was when the key was made.
    pub(super) fn inputs_stayed(&self, made_of: &MadeOf) -> bool {
        let inputs = self.identity.inputs();
        inputs.is_empty() || inputs::look(inputs).is_ok_and(|now| now == made_of.seen())
    }

    /// The result of a call if it can be loaded, without a claim and without a miss if it cannot.
    pub(super) fn find<A: Arguments>(&self, memory: &Memory, args: &A) -> Option<O> {
        let shelves = memory.inner.place.as_ref()?;
        let mut made_of = MadeOf::default();
        let key = self.try_key(args, &mut made_of).ok()?;
        let keyed = Keyed { key, entry: self.prefix.entry(&key), made_of: &made_of };
        let (output, source) = match self.find_own(memory, shelves, &keyed.own()) {
            Ok(found) => found,
            Err(NotOwn::Absent(absent, removals)) => {
                self.load_blessed(memory, shelves, &keyed, &absent, removals)?.ok()?
            }
            Err(NotOwn::Refused(_)) => return None,
        };
        self.say_loaded(memory, source, args);
        Some(output)
    }

    /// The result of a call by the entry of its own, and where it was.
    pub(super) fn find_own(&self, memory: &Memory, shelves: &Shelves, own: &Answer) -> Result<(O, Source), NotOwn> {
        if let Some(hot) = self.hot_value(memory, shelves, &own.key) {
            return Ok(hot);
        }
        let removals = shelves.removals();
        match shelves.store.get(&own.entry) {
            Ok(found) => self.load(memory, shelves, own, found, removals).map_err(NotOwn::Refused),
            Err(absent) => Err(NotOwn::Absent(absent, removals)),
        }
    }

    #[inline(never)]
    fn beyond_hot<A: Arguments, F: FnOnce(A) -> O>(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        args: A,
        compute: F,
        waiting: Waiting,
    ) -> Result<O, (A, F)> {
        let who = Claimant::current();
        match self.seek(memory, shelves, keyed, who, waiting) {
            Met::Loaded(output, source) => {
                self.say_loaded(memory, source, &args);
                Ok(output)
            }
            Met::Missing(claim, reason) => {
                let computation = Computation { subject: self, memory };
                let (output, stored) = computation.keyed(shelves, keyed, args, compute, reason);
                if let Some(claim) = claim {
                    claim.end(stored);
                }
                Ok(output)
            }
            Met::Busy => Err((args, compute)),
        }
    }

    /// Asks the store for the result of a call, or for the claim to compute it.
    pub(super) fn seek<S: Deref<Target = Shelves>>(
        &self,
        memory: &Memory,
        shelves: S,
        keyed: &Keyed<'_>,
        who: Claimant,
        waiting: Waiting,
    ) -> Met<O, S> {
        let store = &*shelves.store;
        let Keyed { key, entry, made_of } = keyed;
        loop {
            let removals = shelves.removals();
            return match waiting::get_or_claim(store, entry, who, waiting) {
                Lookup::Found(found) => match self.load(memory, &shelves, &keyed.own(), found, removals) {
                    Ok((output, source)) => Met::Loaded(output, source),
                    Err(reason) => match store.claim(entry, who, waiting.patience()) {
                        Claimed::Mine => {
                            let claim = Guard::new(shelves, *entry, who);
                            // Another may have replaced it before the claim was given.
                            let again = claim
                                .shelves()
                                .store
                                .get(entry)
                                .map(|found| self.load(memory, claim.shelves(), &keyed.own(), found, removals));
                            match again {
                                Ok(Ok((output, source))) => {
                                    claim.end(true);
                                    Met::Loaded(output, source)
                                }
                                _ => Met::Missing(Some(claim), reason),
                            }
                        }
                        // It was replaced.
                        Claimed::Ended(End::Stored) => continue,
                        // Whoever has it is replacing what cannot be loaded.
                        Claimed::Busy if waiting != Waiting::AsThreadMay => Met::Busy,
                        _ => Met::Missing(None, reason),
                    },
                },
                Lookup::Mine(absent) => {
                    let claim = Guard::new(shelves, *entry, who);
                    match self.load_blessed(memory, claim.shelves(), keyed, &absent, removals) {
                        Some(Ok((output, source))) => {
                            claim.end(true);
                            Met::Loaded(output, source)
                        }
                        Some(Err(reason)) => Met::Missing(Some(claim), reason),
                        None => {
                            let reason = self.miss_reason(memory, claim.shelves(), made_of, absent);
                            Met::Missing(Some(claim), reason)
                        }
                    }
                }
                Lookup::Claimed(Claimed::Ended(End::Stored)) => match self.hot_value(memory, &shelves, key) {
                    Some((output, source)) => Met::Loaded(output, source),
                    // On disk if it is too large for memory; or gone again already.
                    None => continue,
                },
                Lookup::Claimed(Claimed::Busy) => Met::Busy,
                Lookup::Claimed(_) => Met::Missing(None, MissReason::Claimed),
                Lookup::Unclaimed(absent) => Met::Missing(None, self.miss_reason(memory, &shelves, made_of, absent)),
            };
        }
    }

    pub(super) fn miss_reason(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        made_of: &MadeOf,
        absent: Absent,
    ) -> MissReason {
        match absent {
            Absent::Never => self.changed(shelves, made_of).unwrap_or(MissReason::NeverSeen),
            absent => self.store_reason(memory, absent),
        }
    }

    /// Why a call is computed whose entry cannot be had from the store.
    pub(super) fn store_reason(&self, memory: &Memory, absent: Absent) -> MissReason {
        if let Absent::Unreadable(error) = &absent {
            memory
                .inner
                .reporter
                .warn_once("store unreadable", || format!("the cache cannot be read, so calls are computed: {error}"));
        }
        MissReason::from(&absent)
    }

    /// The other codes of the function that had entries when an entry was missing first, newest first.
    pub(super) fn others(&self, shelves: &Shelves) -> &[Identity] {
        self.other_codes.get_or_init(|| self.ask_other_codes(shelves))
    }

    /// Whether the same arguments have an entry by another code of the function.
    fn changed(&self, shelves: &Shelves, made_of: &MadeOf) -> Option<MissReason> {
        let others = self.others(shelves);
        let has_entry = |other: &&Identity| {
            made_of.key_of(other).is_some_and(|key| shelves.store.peek(&self.prefix.entry(&key)).is_ok())
        };
        others.iter().find(has_entry).map(|other| self.change_from(other))
    }

    /// What changed since the newest of the other codes: the first item. Told of many calls, so it is looked up once.
    pub(super) fn first_item_changed(&self, shelves: &Shelves) -> Option<String> {
        let look = || {
            let newest = self.other_codes.get()?.first()?;
            let changes = shelves.items_changed_since(&self.identity, self.prefix, newest);
            changes.first().map(ToString::to_string)
        };
        self.changed.get_or_init(look).clone()
    }

    /// What makes this function another than that.
    pub(super) fn change_from(&self, other: &Identity) -> MissReason {
        if other.fingerprint() == self.identity.fingerprint() {
            MissReason::VersionChanged
        } else {
            MissReason::CodeChanged
        }
    }

    /// The other codes of the function that have entries, newest first.
    pub(super) fn ask_other_codes(&self, shelves: &Shelves) -> Vec<Identity> {
        let FunctionName { name, by_hand } = &*self.function;
        // Without an answer the miss is a plainer one.
        let Ok(Some(totals)) = shelves.store.function(name, *by_hand) else { return Vec::new() };
        let own = bless::code_of(&self.identity);
        let mut codes: Vec<_> = totals.tally.codes.iter().filter(|tally| tally.code != own).collect();
        // Of those of one moment, what came later is newer.
        codes.reverse();
        codes.sort_by_key(|tally| std::cmp::Reverse(tally.last_ms));
        let identity = |code: &Code| self.identity.with_code(code.fingerprint, code.version);
        codes.iter().take(MOST_CODES).map(|tally| identity(&tally.code)).collect()
    }

    #[inline]
    pub(super) fn say_loaded<A: Arguments>(&self, memory: &Memory, source: Source, args: &A) {
        // What is in memory may not be in the store, which may have refused it.
        if lookup::ended(Looked::Hit) && (source.place != Place::Hot || source.blessed) {
            lookup::kept(Kept::Stored);
        }
        if memory.inner.reporter.is_verbose(2) {
            let call = self.call_text(&self.texts(args));
            memory.inner.reporter.line(&format!("[Memory] Loading {call} from {source}"));
        }
    }

    pub(super) fn texts<A: Arguments>(&self, args: &A) -> Vec<String> {
        match self.layout {
            Layout::Tuple { ignored } => describe::each(args, ignored),
            Layout::Single => vec![describe::value(args)],
        }
    }

    pub(super) fn call_text(&self, texts: &[String]) -> String {
        format!("{}({})", self.identity.short_name(), describe::named(texts, self.parameters))
    }

    /// What is kept of the arguments of a call that is computed.
    pub(super) fn told<A: Arguments>(&self, keyed: &Keyed<'_>, args: &A) -> Told {
        Told { texts: self.texts(args), call: self.kept_arguments(keyed, args), is_items: false }
    }

    /// The arguments themselves, where the call can be made again by them: those of a task, where they are short and come back
    /// as they are.
    fn kept_arguments<A: Arguments>(&self, keyed: &Keyed<'_>, args: &A) -> Option<Encoded> {
        let recall = self.task()?.recall();
        let comes_back = |encoded: &Encoded| bless::are_of(recall, &self.identity, &keyed.key, encoded);
        // What the key was made of was serialized already; what is ignored may still refuse, or panic.
        panics::catch(|| codec::encode_small(args, MOST_KEPT_BYTES, comes_back)).ok().flatten()
    }

    /// What the key was made of; `texts` are those of the arguments.
    pub(super) fn origin<'o>(&'o self, made_of: &MadeOf, texts: Vec<String>) -> Origin<'o> {
        let mut kept: Vec<(Cow<'o, str>, String)> = match made_of.given() {
            // It stands for all arguments.
            Some(given) => vec![("key".into(), given.to_owned())],
            None => {
                let name = |index: usize| self.parameters.get(index).map_or("", |parameter| parameter.name);
                self.layout.kept(texts).map(|(index, text)| (name(index).into(), text)).collect()
            }
        };
        let inputs = self.identity.inputs().iter().zip(made_of.seen());
        kept.extend(inputs.map(|(input, seen)| (input.to_string().into(), seen.text())));
        let arguments = made_of
            .digests()
            .zip(kept)
            .map(|(digest, (name, text))| Argument { name, digest, text: Cow::Owned(text) })
            .collect();
        Origin {
            function: Cow::Borrowed(self.identity.name()),
            fingerprint: self.identity.fingerprint(),
            version: self.identity.version(),
            arguments,
            call: None,
        }
    }
}

/// What is kept of the arguments of a call, taken before it is made: they are the function's from then on.
pub(super) struct Told {
    pub(super) texts: Vec<String>,
    /// The arguments themselves.
    pub(super) call: Option<Encoded>,
    /// The call is an item of a run.
    pub(super) is_items: bool,
}

impl Waiting {
    /// How long one waits for a claim who has nothing else to do meanwhile.
    fn patience(self) -> Patience {
        match self {
            Waiting::AsThreadMay if rayon::current_thread_index().is_none() => Patience::Unbounded,
            Waiting::ToTheEnd => Patience::Unbounded,
            Waiting::AsThreadMay | Waiting::Not | Waiting::AWhile => Patience::AtMost(Duration::ZERO),
        }
    }
}
