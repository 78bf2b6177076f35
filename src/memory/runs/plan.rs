//! What a run would cost, from its ledger and the cache alone.

use std::time::Duration;

use crate::error::Result;
use crate::memory::shelves::Shelves;
use crate::memory::{MissReason, store_failed};
use crate::parallel::{Change, RunPlan, RunSummary};
use crate::runs::{Item, Recorded, State};
use crate::store::{Absent, EntryKey};

/// Compares the newest list of a ledger with what is in the cache.
///
/// # Errors
/// The cache cannot be read: then nothing is known of any item.
pub(super) fn plan(shelves: &Shelves, recorded: &Recorded) -> Result<RunPlan> {
    let last = recorded.programs.last();
    let of_function = match last {
        Some(program) => mean_cost(shelves, &program.begin.function)?,
        None => None,
    };
    // A program that was killed may not have told the cache what its calls came to.
    let mean = of_function.or_else(|| recorded.mean_cost());
    let workers = last.map_or(1, |program| program.begin.workers.max(1) as usize);
    let mut plan = RunPlan { workers, ..RunPlan::default() };
    let mut summary = RunSummary { others: recorded.live() as u64, damaged: recorded.damaged, ..RunSummary::default() };
    let mut changes = Vec::new();
    let mut items: Vec<&Item> = recorded.listed().map(|(_, item)| item).collect();
    // As they stand in the index: so it is read from one end to the other.
    items.sort_unstable_by_key(|item| item.key);
    for item in items {
        summary.items += 1;
        let Some((reason, cost)) = missing(shelves, item)? else {
            summary.reused += 1;
            continue;
        };
        match item.state {
            State::Failed(_) if !item.retry => {
                summary.failed_before += 1;
                continue;
            }
            // It was done, so its result is gone.
            State::Done if reason == MissReason::NeverSeen => changes.push(Change::Gone),
            State::Done => changes.push(Change::Miss(reason)),
            State::Failed(_) | State::Waiting => summary.unfinished += 1,
        }
        plan.add(reason, cost.or(mean));
    }
    summary.changed = RunSummary::count(changes.into_iter());
    plan.summary = summary;
    plan.sort();
    Ok(plan)
}

/// Why an item has no result, and what it took the last time as far as anybody knows; `None`: it has one.
fn missing(shelves: &Shelves, item: &Item) -> Result<Option<(MissReason, Option<Duration>)>> {
    let known = |time: Duration| (!time.is_zero()).then_some(time);
    let noted = known(Duration::from_nanos(item.nanos));
    Ok(match shelves.store.peek(&EntryKey::from_bytes(item.key)) {
        Ok(found) => found.info().err().map(|absent| (MissReason::from(&absent), noted)),
        Err(Absent::NotServed(error) | Absent::Unreadable(error)) => return Err(store_failed(shelves, &error)),
        Err(Absent::Removed(tombstone)) => Some((tombstone.why().into(), known(tombstone.compute_time()).or(noted))),
        Err(absent) => Some((MissReason::from(&absent), noted)),
    })
}

fn mean_cost(shelves: &Shelves, function: &str) -> Result<Option<Duration>> {
    let totals = shelves.store.function(function, false).map_err(|error| store_failed(shelves, &error))?;
    Ok(totals.and_then(|totals| totals.tally.calls.mean_cost()))
}
