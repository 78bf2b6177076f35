//! The items of a run, compared with the cache and with the ledger: what there is, what changed, what is new, what is gone.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::summary::{Change, RunPlan, RunSummary};
use crate::memory::MissReason;
use crate::memory::survey::{Identified, Missing};
use crate::runs::{Item, ItemId, Recorded, State};
use crate::task::Parameter;

/// What is known of one item before the run.
pub(super) struct Known {
    pub(super) who: Identified,
    /// `None`: it has a result.
    pub(super) missing: Option<Missing>,
    /// The result is in this program's memory only.
    pub(super) unkept: bool,
}

impl Known {
    pub(super) fn new(who: Identified, missing: Option<Missing>) -> Known {
        Known { who, missing, unkept: false }
    }
}

/// What is to be done with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Todo {
    /// It has a result.
    Nothing,
    Compute,
    /// It failed in an earlier run, and nobody asked to try it again.
    LeaveFailed,
    /// Only what failed was asked for, and it did not.
    LeaveOut,
}

/// What was asked of items that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) retry_failed: bool,
    pub(super) only_failed: bool,
}

pub(super) fn id_of(who: &Identified) -> ItemId {
    ItemId(who.id)
}

/// What is to be done with an item, by what its ledger says.
pub(super) fn todo(known: &Known, recorded: Option<&Item>, wanted: Wanted) -> Todo {
    let Some(_) = &known.missing else { return Todo::Nothing };
    let failed = recorded.filter(|item| matches!(item.state, State::Failed { .. }));
    match failed {
        // Whatever its code is by now.
        Some(_) if wanted.only_failed => Todo::Compute,
        None if wanted.only_failed => Todo::LeaveOut,
        // A failure is one of the code that it happened in.
        Some(item) if item.key == *known.who.key.as_bytes() && !wanted.retry_failed && !item.retry => Todo::LeaveFailed,
        _ => Todo::Compute,
    }
}

/// Compares a list with what the ledger says of earlier ones.
pub(super) fn summarize(
    all: &[Known],
    todo: &[Todo],
    recorded: &Recorded,
    parameters: &[Parameter],
    ignored: u32,
) -> RunSummary {
    let ids: HashSet<ItemId> = all.iter().map(|known| id_of(&known.who)).collect();
    let gone: Vec<&ItemId> = recorded.last_list.iter().flatten().filter(|id| !ids.contains(id)).collect();
    let mut summary = RunSummary { items: all.len() as u64, damaged: recorded.damaged, ..RunSummary::default() };
    let mut unknown = Vec::new();
    let mut changes = Vec::new();
    for (known, todo) in all.iter().zip(todo) {
        let item = recorded.items.get(&id_of(&known.who));
        match (&known.missing, item, todo) {
            (None, ..) => summary.reused += 1,
            (Some(_), _, Todo::LeaveFailed) => summary.failed_before += 1,
            (Some(missing), Some(item), _) => match item.state {
                // It was done: so its result is gone, or was another code's.
                State::Done => changes.push(Change::Miss(missing.reason)),
                _ if item.key != *known.who.key.as_bytes() => changes.push(Change::Miss(missing.reason)),
                State::Waiting => summary.unfinished += 1,
                State::Failed { .. } => summary.unfinished += 1,
            },
            (Some(missing), None, _) => match missing.reason {
                MissReason::NeverSeen => unknown.push(known),
                // The cache knows it, though no run of this name does.
                _ => summary.new += 1,
            },
        }
    }
    let gone_items: Vec<&Item> = gone.iter().filter_map(|id| recorded.items.get(id)).collect();
    let argument = |at: usize| argument_name(parameters, ignored, at);
    let paired = pair(&unknown.iter().map(|known| &*known.who.marks).collect::<Vec<_>>(), &gone_items);
    summary.gone = (gone.len() - paired.len()) as u64;
    summary.new += (unknown.len() - paired.len()) as u64;
    changes.extend(paired.into_iter().map(|at| Change::Argument(argument(at))));
    summary.changed = RunSummary::count(changes.into_iter());
    summary
}

/// New items that are old ones with another argument: an argument that only one of the new and only one of the old has tells
/// which. Answers, for each pair, the first argument that differs.
fn pair(new: &[&[u64]], old: &[&Item]) -> Vec<usize> {
    let mut pairs = Vec::new();
    if new.is_empty() || old.is_empty() {
        return pairs;
    }
    let mut taken_new = vec![false; new.len()];
    let mut taken_old = vec![false; old.len()];
    let arguments = new.iter().map(|marks| marks.len()).max().unwrap_or(0);
    for at in 0..arguments {
        let unique_new = only(new.iter().map(|marks| marks.get(at)));
        let unique_old = only(old.iter().map(|item| item.marks.get(at)));
        for (mark, new_at) in unique_new {
            let Some(old_at) = unique_old.get(&mark) else { continue };
            if taken_new[new_at] || taken_old[*old_at] {
                continue;
            }
            let differs = (0..arguments).find(|other| new[new_at].get(*other) != old[*old_at].marks.get(*other));
            if let Some(differs) = differs {
                (taken_new[new_at], taken_old[*old_at]) = (true, true);
                pairs.push(differs);
            }
        }
    }
    pairs.sort_unstable();
    pairs
}

/// Where each mark is that only one has.
fn only<'m>(marks: impl Iterator<Item = Option<&'m u64>>) -> HashMap<u64, usize> {
    let mut places: HashMap<u64, Option<usize>> = HashMap::new();
    for (at, mark) in marks.enumerate() {
        if let Some(mark) = mark {
            places.entry(*mark).and_modify(|place| *place = None).or_insert(Some(at));
        }
    }
    places.into_iter().filter_map(|(mark, place)| Some((mark, place?))).collect()
}

/// The name of the argument of this number among those in the key.
fn argument_name(parameters: &[Parameter], ignored: u32, at: usize) -> String {
    let in_key = parameters.iter().enumerate().filter(|(place, _)| ignored & (1 << place) == 0);
    in_key.map(|(_, parameter)| parameter.name.to_owned()).nth(at).unwrap_or_default()
}

/// What the items that are to be computed cost.
pub(super) fn price(
    all: &[Known],
    todo: &[Todo],
    mean: Option<Duration>,
    workers: usize,
    summary: RunSummary,
) -> RunPlan {
    let mut plan = RunPlan { summary, workers, ..RunPlan::default() };
    for (known, _) in all.iter().zip(todo).filter(|(_, todo)| **todo == Todo::Compute) {
        let Some(missing) = &known.missing else { continue };
        plan.add(missing.reason, missing.cost.or(mean));
    }
    plan.sort();
    plan
}
