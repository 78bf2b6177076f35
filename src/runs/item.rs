//! Items, programs, and what a ledger says of them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::key::ByFirstBytes;
use crate::parallel::FailureKind;

/// Messages and arguments are cut: they are for people, and a million items may fail.
const LONGEST_MESSAGE: usize = 8 << 10;
const LONGEST_TEXT: usize = 2 << 10;

/// What an item goes by: a digest of the function and the arguments, without the code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ItemId(pub(crate) [u8; 16]);

/// It is a digest.
impl Hash for ItemId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// Items by what they go by.
pub(crate) type Items = HashMap<ItemId, Item, ByFirstBytes>;

pub(crate) type Ids = HashSet<ItemId, ByFirstBytes>;

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItemId({})", crate::key::hex(&self.0))
    }
}

/// The bytes of the key of an item's entry in the cache.
pub(crate) type KeyBytes = [u8; 40];

/// An item in the list of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: ItemId,
    pub(crate) key: KeyBytes,
    /// One for each argument. At most `u16::MAX` are kept.
    pub(crate) marks: Vec<u64>,
}

/// What came of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing yet, as far as is known.
    Waiting,
    Done,
    Failed(Box<Failing>),
}

/// The failure of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    pub(crate) how: Failed,
    /// The key that the item had then: another one than now if the code or what it reads has changed since.
    pub(crate) under: KeyBytes,
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) kind: FailureKind,
    pub(crate) message: Box<str>,
    /// The arguments.
    pub(crate) text: Box<str>,
}

impl Failed {
    pub(crate) fn new(kind: FailureKind, message: &str, text: &str) -> Failed {
        Failed { kind, message: cut(message, LONGEST_MESSAGE), text: cut(text, LONGEST_TEXT) }
    }
}

fn cut(text: &str, longest: usize) -> Box<str> {
    if text.len() <= longest {
        return text.into();
    }
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    let mut short = text[..end].to_owned();
    short.push('…');
    short.into()
}

/// What a ledger says of an item, under the key that it was listed with last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: KeyBytes,
    pub(crate) marks: Vec<u64>,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) worker: u32,
    pub(crate) nanos: u64,
    /// It failed, and the next run is to try it again.
    pub(crate) retry: bool,
    /// A failure of fewer attempts than this is to be tried again; 0 where nobody asked.
    pub(super) retry_below: u32,
    /// In how many folds it was since a list had it.
    pub(super) age: u8,
}

impl Item {
    /// How it failed, if it did and has no result since.
    pub(crate) fn failing(&self) -> Option<&Failing> {
        match &self.state {
            State::Failed(failing) => Some(failing),
            State::Waiting | State::Done => None,
        }
    }
}

/// What a program takes part with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) function: String,
    pub(crate) code: Option<[u8; 32]>,
    pub(crate) version: u64,
    pub(crate) backend: String,
    pub(crate) workers: u32,
    pub(crate) items: u64,
}

/// How a program's part ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Items that it computed.
    pub(crate) computed: u64,
    /// Items that had a result.
    pub(crate) reused: u64,
    pub(crate) failed: u64,
    pub(crate) changed: u64,
    pub(crate) new: u64,
    pub(crate) gone: u64,
    /// It came to the end of its list.
    pub(crate) complete: bool,
}

/// A program that takes part, or took part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) pid: u32,
    pub(crate) host: String,
    pub(crate) begin: Begin,
    /// Milliseconds since 1970.
    pub(crate) started_at_ms: u64,
    /// It holds the lock of its segment.
    pub(crate) live: bool,
    /// `None`: it is still at it, or was killed.
    pub(crate) ended: Option<Ended>,
    /// When it wrote last. Milliseconds since 1970, never before it started.
    pub(crate) last_ms: u64,
    /// The id of its segment.
    pub(super) id: u64,
}

/// What all segments of a run say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) items: Items,
    /// The newest list that a program wrote to its end.
    pub(crate) last_list: Option<Ids>,
    /// Those that began, the earliest first.
    pub(crate) programs: Vec<Program>,
    /// Records that could not be read, as far as they can be counted.
    pub(crate) damaged: u64,
}

impl Recorded {
    /// How many programs take part just now.
    pub(crate) fn live(&self) -> usize {
        self.programs.iter().filter(|program| program.live).count()
    }

    /// What items took on average, as far as is known.
    pub(crate) fn mean_cost(&self) -> Option<Duration> {
        let noted = || self.items.values().map(|item| item.nanos).filter(|nanos| *nanos > 0);
        let sum = noted().fold(0_u64, u64::saturating_add);
        sum.checked_div(noted().count() as u64).map(Duration::from_nanos)
    }

    /// The items of the newest complete list; where there is none, all.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (&ItemId, &Item)> {
        let is_listed = |id: &ItemId| self.last_list.as_ref().is_none_or(|list| list.contains(id));
        self.items.iter().filter(move |(id, _)| is_listed(id))
    }
}
