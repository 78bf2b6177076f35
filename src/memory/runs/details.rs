//! All of one run.

use std::fmt;
use std::time::Duration;

use super::info::{RunInfo, RunProgram};
use crate::key::hex;
use crate::parallel::FailureKind;
use crate::runs::{Item, ItemId, Recorded, State};
use crate::store::EntryKey;

/// One run: what [`Memory::run`](crate::Memory::run) found in its ledger.
#[non_exhaustive]
pub struct RunDetails {
    /// In short.
    pub info: RunInfo,
    /// The programs that take part, or took part, in the order in which they came; of very many the last hundred.
    pub programs: Vec<RunProgram>,
    items: Vec<Kept>,
}

struct Kept {
    item: Item,
    listed: bool,
}

impl RunDetails {
    pub(super) fn new(info: RunInfo, recorded: Recorded) -> RunDetails {
        let Recorded { items, last_list, programs, .. } = recorded;
        let is_listed = |id: &ItemId| last_list.as_ref().is_none_or(|list| list.contains(id));
        let mut items: Vec<Kept> = items.into_iter().map(|(id, item)| Kept { listed: is_listed(&id), item }).collect();
        items.sort_unstable_by_key(|kept| (!kept.listed, rank(&kept.item.state), kept.item.key));
        RunDetails { info, programs: programs.into_iter().map(RunProgram::from).collect(), items }
    }

    /// Every item of the newest complete list, and behind them those of earlier ones: first what failed, then what waits, then
    /// what is done, in the order of the keys. The ledger does not know their places in the list.
    pub fn items(&self) -> impl ExactSizeIterator<Item = RunItem> + '_ {
        self.items.iter().map(RunItem::of)
    }

    /// The items of the newest complete list that failed.
    pub fn failed(&self) -> impl Iterator<Item = RunItem> + '_ {
        let failed = |kept: &&Kept| kept.listed && kept.item.failing().is_some();
        self.items.iter().take_while(failed).map(RunItem::of)
    }
}

/// The counts; a million items are nothing to read.
impl fmt::Debug for RunDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunDetails")
            .field("info", &self.info)
            .field("programs", &self.programs)
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

fn rank(state: &State) -> u8 {
    match state {
        State::Failed(_) => 0,
        State::Waiting => 1,
        State::Done => 2,
    }
}

/// An item of a run, as its ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunItem {
    /// What its entry in the cache goes by, by the code that it was listed with last.
    pub entry: EntryKey,
    /// The call's key, as 64 hexadecimal digits: see [`Memory::find_entry`](crate::Memory::find_entry).
    pub key: String,
    /// What came of it.
    pub state: RunItemState,
    /// How often it was run, in all programs; 0 also where its result was found in the cache.
    pub attempts: u32,
    /// The worker that ran it last, by its number in its program; `None` if none did.
    pub worker: Option<u32>,
    /// What it took; `None` where that was not measured: of what was found in the cache, and of what failed in a worker process.
    pub took: Option<Duration>,
    /// It is in the newest complete list.
    pub listed: bool,
}

/// What came of an item of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunItemState {
    /// Nothing, as far as is known.
    Waiting,
    /// It is done: its result was stored before the ledger was told.
    Done,
    /// It failed.
    #[non_exhaustive]
    Failed {
        /// In its words; very long ones are cut.
        message: String,
        /// In what way.
        kind: FailureKind,
        /// Its arguments as text; very long ones are cut.
        arguments: String,
        /// The next program is to try it again.
        retry: bool,
    },
}

impl RunItem {
    fn of(kept: &Kept) -> RunItem {
        let Kept { item, listed } = kept;
        let entry = EntryKey::from_bytes(item.key);
        RunItem {
            entry,
            key: hex(entry.call().as_bytes()),
            state: match &item.state {
                State::Waiting => RunItemState::Waiting,
                State::Done => RunItemState::Done,
                State::Failed(failing) => RunItemState::Failed {
                    message: failing.how.message.to_string(),
                    kind: failing.how.kind,
                    arguments: failing.how.text.to_string(),
                    retry: item.retry,
                },
            },
            attempts: item.attempts,
            worker: (item.attempts > 0).then_some(item.worker),
            took: (item.nanos > 0).then(|| Duration::from_nanos(item.nanos)),
            listed: *listed,
        }
    }
}
