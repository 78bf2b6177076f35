//! The items of a run, compared with the cache and with the ledger: what there is, what changed, what is new, what is gone.

use std::collections::HashMap;
use std::time::Duration;

use super::summary::{Change, RunPlan, RunSummary};
use crate::memory::MissReason;
use crate::memory::survey::{Identified, Missing};
use crate::runs::{Failed, Ids, Item, ItemId, Recorded, State};
use crate::task::{Input, Parameter};

/// What is known of one item before the run.
pub(super) struct Known {
    pub(super) who: Identified,
    pub(super) has: Has,
}

/// What there is of an item.
pub(super) enum Has {
    Result,
    /// A result that is in this program's memory only.
    Unkept,
    /// The error that it gave, of a function that stores its errors.
    Failure(Box<Failed>),
    Nothing(Missing),
}

impl Known {
    pub(super) fn id(&self) -> ItemId {
        ItemId(self.who.id)
    }

    /// What it takes to compute, as far as the cache or the ledger knows.
    pub(super) fn cost(&self, recorded: Option<&Item>) -> Option<Duration> {
        let by_cache = match &self.has {
            Has::Nothing(missing) => missing.cost,
            _ => None,
        };
        let by_ledger = || recorded.map(|item| item.nanos).filter(|nanos| *nanos > 0).map(Duration::from_nanos);
        by_cache.or_else(by_ledger)
    }

    fn is_failing(&self) -> bool {
        matches!(self.has, Has::Failure(_))
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

/// What is to be done with an item, by what its ledger says.
pub(super) fn todo(known: &Known, recorded: Option<&Item>, wanted: Wanted) -> Todo {
    if matches!(known.has, Has::Result | Has::Unkept) {
        return Todo::Nothing;
    }
    let failing = recorded.and_then(Item::failing);
    let is_failing = known.is_failing() || failing.is_some();
    if wanted.only_failed {
        // Whatever its code is by now.
        return if is_failing { Todo::Compute } else { Todo::LeaveOut };
    }
    // A failure is one of the code that it happened in, and of what that read.
    let fails_now = known.is_failing() || failing.is_some_and(|failing| failing.under == *known.who.key.as_bytes());
    let again = wanted.retry_failed || recorded.is_some_and(|item| item.retry);
    if fails_now && !again { Todo::LeaveFailed } else { Todo::Compute }
}

/// What a function takes and reads.
#[derive(Clone, Copy)]
pub(super) struct Signature<'f> {
    pub(super) parameters: &'f [Parameter],
    /// Those that are not in the key.
    pub(super) ignored: u32,
    pub(super) inputs: &'f [Input],
}

impl Signature<'_> {
    /// The name of the argument of this number among those in the key.
    fn argument(&self, at: usize) -> String {
        let in_key = self.parameters.iter().enumerate().filter(|(place, _)| self.ignored & (1 << place) == 0);
        in_key.map(|(_, parameter)| parameter.name.to_owned()).nth(at).unwrap_or_default()
    }

    /// Those marks that are of arguments; the others are of inputs.
    fn split<'m>(&self, marks: &'m [u64]) -> (&'m [u64], &'m [u64]) {
        marks.split_at(marks.len().saturating_sub(self.inputs.len()))
    }

    /// Why the result of an item does not hold, which the ledger knows as it was.
    fn change(&self, known: &Known, missing: &Missing, item: &Item) -> Change {
        let (_, now) = self.split(&known.who.marks);
        let (_, before) = self.split(&item.marks);
        let other = now.iter().zip(before).position(|(now, before)| now != before);
        match other.and_then(|at| self.inputs.get(at)) {
            // What nobody computed with what is read now.
            Some(input) if missing.reason == MissReason::NeverSeen => Change::Input(input.to_string()),
            None if missing.reason == MissReason::NeverSeen && item.key == *known.who.key.as_bytes() => Change::Gone,
            _ => Change::Miss(missing.reason),
        }
    }
}

/// Compares a list with what the ledger says of earlier ones; `items` are its items there.
pub(super) fn summarize(
    all: &[Known],
    todo: &[Todo],
    items: &[Option<&Item>],
    recorded: &Recorded,
    signature: Signature<'_>,
) -> RunSummary {
    let ids: Ids = all.iter().map(Known::id).collect();
    let gone: Vec<&ItemId> = recorded.last_list.iter().flatten().filter(|id| !ids.contains(id)).collect();
    let mut summary = RunSummary { items: all.len() as u64, damaged: recorded.damaged, ..RunSummary::default() };
    let mut unknown = Vec::new();
    let mut changes = Vec::new();
    for ((known, todo), item) in all.iter().zip(todo).zip(items) {
        match (&known.has, item, todo) {
            (Has::Result | Has::Unkept, ..) => summary.reused += 1,
            (_, _, Todo::LeaveFailed) => summary.failed_before += 1,
            (Has::Failure(_), ..) => summary.unfinished += 1,
            (Has::Nothing(missing), Some(item), _) => {
                let is_same = item.key == *known.who.key.as_bytes();
                match item.state {
                    // It was done: so its result is gone, or was made of something else.
                    State::Done => changes.push(signature.change(known, missing, item)),
                    // A result of other code, of which this ledger does not know.
                    _ if !is_same && missing.reason != MissReason::NeverSeen => {
                        changes.push(Change::Miss(missing.reason));
                    }
                    State::Waiting | State::Failed(_) => summary.unfinished += 1,
                }
            }
            (Has::Nothing(missing), None, _) => match missing.reason {
                MissReason::NeverSeen => unknown.push(signature.split(&known.who.marks).0),
                // The cache knows it, though no run of this name does.
                _ => summary.new += 1,
            },
        }
    }
    let gone_marks = gone.iter().filter_map(|id| recorded.items.get(id)).map(|item| signature.split(&item.marks).0);
    let paired = pair(&unknown, &gone_marks.collect::<Vec<_>>());
    summary.gone = (gone.len() - paired.len()) as u64;
    summary.new += (unknown.len() - paired.len()) as u64;
    changes.extend(paired.into_iter().map(|at| Change::Argument(signature.argument(at))));
    summary.changed = RunSummary::count(changes.into_iter());
    summary
}

/// New items that are old ones with another argument: an argument that only one of the new and only one of the old has tells
/// which. Answers, for each pair, the first argument that differs.
fn pair(new: &[&[u64]], old: &[&[u64]]) -> Vec<usize> {
    let mut pairs = Vec::new();
    if new.is_empty() || old.is_empty() {
        return pairs;
    }
    let mut taken_new = vec![false; new.len()];
    let mut taken_old = vec![false; old.len()];
    let arguments = new.iter().map(|marks| marks.len()).max().unwrap_or(0);
    for at in 0..arguments {
        let unique_new = only(new.iter().map(|marks| marks.get(at)));
        let unique_old = only(old.iter().map(|marks| marks.get(at)));
        for (mark, new_at) in unique_new {
            let Some(old_at) = unique_old.get(&mark) else { continue };
            if taken_new[new_at] || taken_old[*old_at] {
                continue;
            }
            let differs = (0..arguments).find(|other| new[new_at].get(*other) != old[*old_at].get(*other));
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

/// What the items that are to be computed cost.
pub(super) fn price(
    all: &[Known],
    todo: &[Todo],
    items: &[Option<&Item>],
    mean: Option<Duration>,
    workers: usize,
    summary: RunSummary,
) -> RunPlan {
    let mut plan = RunPlan { summary, workers, ..RunPlan::default() };
    for ((known, todo), item) in all.iter().zip(todo).zip(items) {
        if *todo == Todo::Compute {
            let reason = match &known.has {
                Has::Nothing(missing) => missing.reason,
                // It has what it gave the last time, and is to be tried again.
                _ => MissReason::Forced,
            };
            plan.add(reason, known.cost(*item).or(mean));
        }
    }
    plan.sort();
    plan
}

#[cfg(test)]
mod test;
