//! Why a call would be computed, or that it would not: [`Cached::explain`](crate::Cached::explain).

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::Arguments;
use super::bless::{Blessing, code_of};
use super::call::{Keyed, Subject};
use super::items::{self, ItemChange};
use super::load::decode_found;
use super::metadata::{ArgumentInfo, Metadata};
use super::reason::MissReason;
use super::{Memory, Shelves, time};
use crate::key::{Key, MadeOf, hex};
use crate::store::entry::{Argument, Origin};
use crate::store::{Absent, Found, RecordInfo, Store, Tombstone, time_at};

/// The text of a file that is not there.
const MISSING: &str = "missing";

/// A miss that is told of as it happens looks for the nearest entry among so many.
const LOOKED_AT: usize = 1024;

/// What would become of a call, and why. Nothing is computed, stored, counted or removed to find out.
///
/// The order of the checks is that of the variants: the first that applies is the answer. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explanation {
    /// It would be computed: the memory is disabled.
    Disabled,
    /// It would be computed: there is no key, as an argument refuses to be serialized in these words, or for what they say.
    NoKey(String),
    /// It would be loaded.
    Hit(Box<Metadata>),
    /// It would be computed: the entry is older than `expires_after` allows.
    Expired {
        /// The entry.
        entry: Box<Metadata>,
        /// When it did.
        at: SystemTime,
    },
    /// It would be computed: the validation function refuses the entry.
    Rejected(Box<Metadata>),
    /// It would be computed: there is an entry that cannot be loaded, for this reason.
    Damaged(MissReason),
    /// It would be computed: the store cannot be asked, in these words.
    Unreadable(String),
    /// It would be computed: there was an entry, and it was removed, evicted or not used for too long.
    Removed(Tombstone),
    /// It would be computed: the function has another version than an entry with the same code and arguments.
    VersionChanged {
        /// The version of the entry.
        old: u64,
        /// The version of the function.
        new: u64,
        /// The entry.
        entry: Box<Metadata>,
    },
    /// It would be computed: the function has other code than an entry with the same arguments.
    CodeChanged {
        /// The digest of the entry's code, in hexadecimal digits.
        old: String,
        /// The digest of the function's code.
        new: String,
        /// When a result of the new code was stored first, if one was.
        since: Option<SystemTime>,
        /// The items of the code that changed, as far as both codes' are known: those whose words did first, then the new ones,
        /// then those that are gone.
        items: Vec<ItemChange>,
        /// The entry.
        entry: Box<Metadata>,
    },
    /// It would be computed: the arguments are new. These are the ones that differ from the nearest entry by the same code,
    /// which is the one that differs in the fewest, of those the last.
    ArgumentsChanged {
        /// The arguments that differ.
        changes: Vec<ArgumentChange>,
        /// The nearest entry.
        nearest: Box<Metadata>,
    },
    /// It would be computed: there is no entry of the function's code to compare it with.
    NeverSeen,
}

/// An argument that differs between a call and an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArgumentChange {
    /// The argument in the entry; `None` if it has none of that name.
    pub old: Option<ArgumentInfo>,
    /// The argument in the call; `None` if it has none of that name.
    pub new: Option<ArgumentInfo>,
}

impl ArgumentChange {
    /// The parameter's name; empty for a closure's. For what the function depends on, `file PATH` or `env VARIABLE`.
    pub fn name(&self) -> &str {
        self.new.as_ref().or(self.old.as_ref()).map_or("", |argument| &argument.name)
    }
}

impl Explanation {
    /// Whether the call would be loaded.
    pub fn is_hit(&self) -> bool {
        matches!(self, Explanation::Hit(_))
    }

    /// The reason that the miss would be counted under; `None` for a hit.
    pub fn reason(&self) -> Option<MissReason> {
        Some(match self {
            Explanation::Hit(_) => return None,
            Explanation::Disabled => MissReason::Disabled,
            Explanation::NoKey(_) => MissReason::NoKey,
            Explanation::Expired { .. } => MissReason::Expired,
            Explanation::Rejected(_) => MissReason::Rejected,
            Explanation::Damaged(reason) => *reason,
            Explanation::Unreadable(_) => MissReason::Unreadable,
            Explanation::Removed(tombstone) => tombstone.why().into(),
            Explanation::VersionChanged { .. } => MissReason::VersionChanged,
            Explanation::CodeChanged { .. } => MissReason::CodeChanged,
            Explanation::ArgumentsChanged { .. } | Explanation::NeverSeen => MissReason::NeverSeen,
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Explanation::Hit(entry) => {
                write!(f, "it would be loaded: stored {}", time::utc(entry.stored_at))?;
                match &entry.blessed {
                    Some(blessing) => write!(f, " by other code, blessed {blessing}"),
                    None => Ok(()),
                }
            }
            Explanation::Expired { entry, at } => {
                write!(f, "the entry has expired: stored {}, held until {}", time::utc(entry.stored_at), time::utc(*at))
            }
            Explanation::Rejected(entry) => {
                write!(f, "the validation function refuses the entry stored {}", time::utc(entry.stored_at))
            }
            Explanation::NoKey(words) => write!(f, "there is no key: {words}"),
            Explanation::Unreadable(words) => write!(f, "the store cannot be read: {words}"),
            Explanation::Removed(tombstone) => {
                let (seconds, bytes) = (tombstone.compute_time().as_secs_f64(), tombstone.bytes());
                let when = time::utc(tombstone.at());
                write!(f, "the entry was {} on {when} ({bytes} bytes, {seconds:.3} s to compute)", tombstone.why())
            }
            Explanation::VersionChanged { old, new, entry } => {
                write!(f, "the version changed: {old} -> {new} (the entry was stored {})", time::utc(entry.stored_at))
            }
            Explanation::CodeChanged { old, new, since, items, entry } => {
                match &items[..] {
                    [] => write!(f, "the code changed: {:.12} -> {:.12}", old, new)?,
                    items => write!(f, "the code changed: {}", items::first_of(items))?,
                }
                if let Some(since) = since {
                    write!(f, " since {}", time::utc(*since))?;
                }
                write!(f, " (the entry was stored {})", time::utc(entry.stored_at))
            }
            Explanation::ArgumentsChanged { changes, nearest } => {
                for (at, change) in changes.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{change}")?;
                }
                write!(f, " (the nearest entry was stored {})", time::utc(nearest.stored_at))
            }
            other => match other.reason() {
                Some(reason) => reason.fmt(f),
                None => Ok(()),
            },
        }
    }
}

/// `argument x: 1 -> 2`.
impl fmt::Display for ArgumentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |side: &Option<ArgumentInfo>| match (side, &self.old, &self.new) {
            (None, ..) => "none".to_owned(),
            // What is cut the same differs behind the cut.
            (Some(argument), Some(old), Some(new)) if old.text == new.text => {
                format!("{} [{:.8}]", argument.text, argument.digest)
            }
            (Some(argument), ..) => argument.text.clone(),
        };
        if let Some(path) = self.name().strip_prefix("file ") {
            let is_there = |side: &Option<ArgumentInfo>| side.as_ref().is_some_and(|file| file.text != MISSING);
            return match (is_there(&self.old), is_there(&self.new)) {
                _ if self.old.is_none() => write!(f, "file `{path}` was no part of the key"),
                _ if self.new.is_none() => write!(f, "file `{path}` is no part of the key"),
                (false, _) => write!(f, "file `{path}` was missing"),
                (_, false) => write!(f, "file `{path}` is missing"),
                (true, true) => write!(f, "file `{path}` changed"),
            };
        }
        if let Some(variable) = self.name().strip_prefix("env ") {
            return write!(f, "env `{variable}`: {} -> {}", text(&self.old), text(&self.new));
        }
        let name = match self.name() {
            "" => "the argument".to_owned(),
            name => format!("argument `{name}`"),
        };
        write!(f, "{name}: {} -> {}", text(&self.old), text(&self.new))
    }
}

impl<O, V: Serialize + DeserializeOwned> Subject<O, V> {
    /// What would become of a call.
    pub(super) fn explain<A: Arguments>(&self, memory: &Memory, args: &A) -> Explanation {
        let Some(shelves) = &memory.inner.place else { return Explanation::Disabled };
        let mut made_of = MadeOf::default();
        let key = match self.try_key(args, &mut made_of) {
            Ok(key) => key,
            Err(refused) => return Explanation::NoKey(refused.to_string()),
        };
        let keyed = Keyed { key, entry: self.prefix.entry(&key), made_of: &made_of };
        let origin = self.origin(&made_of, self.texts(args));
        let absent = match shelves.store.get(&keyed.entry) {
            Ok(found) => return self.explain_found(memory, found, None),
            Err(absent) => absent,
        };
        if let Some((blessing, Ok(listed))) = self.blessed_entry(memory, shelves, &made_of, &absent) {
            return match shelves.store.get(&listed.key()) {
                Ok(found) => self.explain_found(memory, found, Some(&blessing)),
                Err(absent) => self.explain_absent(memory, shelves, &keyed, &origin, absent, usize::MAX),
            };
        }
        match self.hot_metadata(memory, shelves, &key, &origin) {
            Some(entry) => Explanation::Hit(Box::new(entry)),
            None => self.explain_absent(memory, shelves, &keyed, &origin, absent, usize::MAX),
        }
    }

    /// What becomes of a call that this entry answers for.
    fn explain_found(&self, memory: &Memory, found: Found, blessing: Option<&Blessing>) -> Explanation {
        let known = || found.info().map(|info| Box::new(Metadata::of(&info).blessed_by(blessing)));
        let Some(entry) = known() else { return Explanation::Damaged(MissReason::DamagedRecord) };
        match self.judged(memory, &found, blessing) {
            Err(MissReason::Expired) => {
                let at = self.validity.expires_at(entry.stored_at).unwrap_or(entry.stored_at);
                Explanation::Expired { entry, at }
            }
            Err(_) => Explanation::Rejected(entry),
            Ok(_) if decode_found::<V>(found).is_some() => Explanation::Hit(entry),
            Ok(_) => Explanation::Damaged(MissReason::Undecodable),
        }
    }

    /// More of a miss that was met.
    pub(super) fn explain_miss<A: Arguments>(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        args: &A,
        reason: MissReason,
    ) -> Explanation {
        match reason {
            MissReason::NeverSeen
            | MissReason::CodeChanged
            | MissReason::VersionChanged
            | MissReason::Evicted
            | MissReason::AgedOut
            | MissReason::Forgotten => {
                let origin = self.origin(keyed.made_of, self.texts(args));
                let absent = shelves.store.peek(&keyed.entry).err().unwrap_or(Absent::Never);
                self.explain_absent(memory, shelves, keyed, &origin, absent, LOOKED_AT)
            }
            reason => Explanation::Damaged(reason),
        }
    }

    /// What is known of a value that only memory has.
    fn hot_metadata(&self, memory: &Memory, shelves: &Shelves, key: &Key, origin: &Origin<'_>) -> Option<Metadata> {
        let hot = shelves.hot.get(key)?;
        self.judge(memory, hot.stored_at_ms, || hot.metadata.clone()).ok()?;
        Some(Metadata {
            stored_at: time_at(hot.stored_at_ms),
            compute_time: Duration::from_nanos(hot.used.compute_nanos),
            value_bytes: hot.bytes,
            ..Metadata::unstored(origin)
        })
    }

    /// When a result of this code was stored first.
    fn first_stored(&self, shelves: &Shelves) -> Option<SystemTime> {
        let totals = shelves.store.function(&self.function.name, self.function.by_hand).ok()??;
        let own = code_of(&self.identity);
        let tally = totals.tally.codes.iter().find(|tally| tally.code == own)?;
        Some(time_at(tally.first_ms))
    }

    fn explain_absent(
        &self,
        memory: &Memory,
        shelves: &Shelves,
        keyed: &Keyed<'_>,
        origin: &Origin<'_>,
        absent: Absent,
        most: usize,
    ) -> Explanation {
        // Where the call never had an entry, what became of one that answered for it says more.
        let absent = match self.blessed_entry(memory, shelves, keyed.made_of, &absent) {
            Some((_, Err(gone))) => gone,
            _ => absent,
        };
        match absent {
            Absent::Removed(tombstone) => Explanation::Removed(tombstone),
            Absent::Never => self
                .explain_change(shelves, keyed)
                .or_else(|| nearest(&*shelves.store, origin, most))
                .unwrap_or(Explanation::NeverSeen),
            Absent::NotServed(error) | Absent::Unreadable(error) => Explanation::Unreadable(error.to_string()),
            Absent::DamagedRecord => Explanation::Damaged(MissReason::DamagedRecord),
            Absent::NewerRecord => Explanation::Damaged(MissReason::NewerRecord),
            Absent::MissingBlob => Explanation::Damaged(MissReason::MissingBlob),
            Absent::TruncatedBlob => Explanation::Damaged(MissReason::TruncatedBlob),
            Absent::AlteredBlob => Explanation::Damaged(MissReason::AlteredBlob),
        }
    }

    /// The entry of the same arguments by another code.
    fn explain_change(&self, shelves: &Shelves, keyed: &Keyed<'_>) -> Option<Explanation> {
        self.ask_other_codes(shelves).iter().find_map(|other| {
            let entry = self.prefix.entry(&keyed.made_of.key_of(other)?);
            let listed = shelves.store.peek(&entry).ok()?;
            let entry = Box::new(Metadata::of(&listed.info().ok()?));
            Some(match self.change_from(other) {
                MissReason::VersionChanged => {
                    Explanation::VersionChanged { old: other.version(), new: self.identity.version(), entry }
                }
                _ => Explanation::CodeChanged {
                    old: entry.fingerprint.clone().unwrap_or_default(),
                    new: self.identity.fingerprint().map(|code| hex(&code)).unwrap_or_default(),
                    since: self.first_stored(shelves),
                    items: shelves.items_changed_since(&self.identity, self.prefix, other),
                    entry,
                },
            })
        })
    }
}

/// The entry of the same code that differs in the fewest arguments, of those the last, among the first so many.
fn nearest(store: &dyn Store, origin: &Origin<'_>, most: usize) -> Option<Explanation> {
    let mut best: Option<(usize, SystemTime, Metadata)> = None;
    let mut after = None;
    let mut looked_at = 0;
    // A store without lists has no nearest entry.
    while let Ok(page) = store.page(Some(&origin.function), after.as_ref())
        && let Some(last) = page.last()
        && looked_at < most
    {
        after = Some(last.key());
        looked_at += page.len();
        for info in page.iter().filter_map(|listed| listed.info().ok()).filter(|info| is_of_code(info, origin)) {
            let differ = differences(&info.origin().arguments, &origin.arguments);
            let stored_at = info.created_at();
            if best.as_ref().is_none_or(|(fewest, last, _)| (differ, *last) < (*fewest, stored_at)) {
                best = Some((differ, stored_at, Metadata::of(&info)));
            }
        }
    }
    let nearest = best?.2;
    let new: Vec<ArgumentInfo> = origin.arguments.iter().map(ArgumentInfo::of).collect();
    Some(Explanation::ArgumentsChanged { changes: changes(&nearest.arguments, &new), nearest: Box::new(nearest) })
}

fn is_of_code(info: &RecordInfo<'_>, origin: &Origin<'_>) -> bool {
    let other = info.origin();
    other.function == origin.function && other.fingerprint == origin.fingerprint && other.version == origin.version
}

/// How many arguments differ, those that only one side has included.
fn differences(old: &[Argument<'_>], new: &[Argument<'_>]) -> usize {
    let same = new
        .iter()
        .filter(|argument| old.iter().any(|old| old.name == argument.name && old.digest == argument.digest))
        .count();
    old.len().max(new.len()) - same
}

fn changes(old: &[ArgumentInfo], new: &[ArgumentInfo]) -> Vec<ArgumentChange> {
    let of = |side: &[ArgumentInfo], name: &str| side.iter().find(|argument| argument.name == name).cloned();
    let gone = old.iter().filter(|old| of(new, &old.name).is_none());
    new.iter()
        .map(|argument| ArgumentChange { old: of(old, &argument.name), new: Some(argument.clone()) })
        .filter(|change| match (&change.old, &change.new) {
            (Some(old), Some(new)) => old.digest != new.digest,
            _ => true,
        })
        .chain(gone.map(|argument| ArgumentChange { old: Some(argument.clone()), new: None }))
        .collect()
}
