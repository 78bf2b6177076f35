//! What a named run found, compared with the runs of its name before it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::memory::{ItemChange, MissReason};

/// What of a named run there was, and what there was not: by the content of its items, never by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary {
    /// The items of the list.
    pub items: u64,
    /// Those that had a result.
    pub reused: u64,
    /// Those whose result does not hold any more, by the reason; and those of which an argument has another value, while one
    /// that is theirs alone has the same.
    pub changed: Vec<(Change, u64)>,
    /// Those that no run of this name had.
    pub new: u64,
    /// Those that a run of this name had before, and that have no result: it did not come to them, they failed and are tried again, or
    /// a program that is at it just now has not come to them yet.
    pub unfinished: u64,
    /// Those that failed in an earlier run, and are not tried again: nobody asked for that.
    pub failed_before: u64,
    /// Those of an earlier list that are not in this one.
    pub gone: u64,
    /// Other programs that are at a run of this name just now.
    pub others: u64,
    /// Records of the ledger that could not be read: their items were looked for in the cache.
    pub damaged: u64,
    /// The items of the function's code that changed, where that is why results do not hold.
    pub code: Vec<ItemChange>,
}

/// Why a result of an earlier run does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Change {
    /// As a call misses it in the cache.
    Miss(MissReason),
    /// The argument of this name has another value.
    Argument(String),
    /// It was computed with these arguments and this code, and the cache knows nothing of it any more: it was cleared, or lost.
    Gone,
    /// What the function reads, and says so with `depends`, is another by now: `file data/model.bin`, `env MODEL`.
    Input(String),
}

impl RunSummary {
    /// How many items changed.
    pub fn changed(&self) -> u64 {
        self.changed.iter().map(|(_, items)| items).sum()
    }

    pub(crate) fn count(changes: impl Iterator<Item = Change>) -> Vec<(Change, u64)> {
        let mut counts: BTreeMap<Change, u64> = BTreeMap::new();
        changes.for_each(|change| *counts.entry(change).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, items)| std::cmp::Reverse(*items));
        counts
    }
}

/// `812 reused, 3 changed (the code changed: `fn norm` in src/util.rs), 20 new, 2 gone`
impl fmt::Display for RunSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} reused, {} changed", self.reused, self.changed())?;
        for (at, (change, items)) in self.changed.iter().enumerate() {
            f.write_str(if at == 0 { " (" } else { "; " })?;
            if self.changed.len() > 1 {
                write!(f, "{items}: ")?;
            }
            write!(f, "{change}")?;
            if let (Change::Miss(MissReason::CodeChanged), Some(first)) = (change, self.code.first()) {
                write!(f, ": {first}")?;
                if self.code.len() > 1 {
                    write!(f, " and {} more", self.code.len() - 1)?;
                }
            }
        }
        if !self.changed.is_empty() {
            f.write_str(")")?;
        }
        write!(f, ", {} new, {} gone", self.new, self.gone)?;
        for (count, one, many) in [
            (self.unfinished, "not finished before", "not finished before"),
            (self.failed_before, "failed before and not tried again", "failed before and not tried again"),
            (self.others, "other program at it", "other programs at it"),
            (self.damaged, "record of the ledger unreadable", "records of the ledger unreadable"),
        ] {
            if count > 0 {
                write!(f, ", {count} {}", if count == 1 { one } else { many })?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Miss(reason) => reason.fmt(f),
            Change::Argument(name) => write!(f, "argument `{name}`"),
            Change::Gone => f.write_str("the result is gone from the cache"),
            Change::Input(input) => f.write_str(input),
        }
    }
}

/// What a named run would cost, found out without running anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunPlan {
    /// What there is and what there is not.
    pub summary: RunSummary,
    /// The items that would be computed.
    pub misses: u64,
    /// Those by the reason for which each has no result.
    pub reasons: Vec<(MissReason, u64)>,
    /// What computing them takes, as far as it is known: what each took the last time, else what calls of the function took on
    /// average.
    pub compute_time: Duration,
    /// The items of which nothing is known, and which are not in that time.
    pub unpriced: u64,
    /// The longest item, as far as it is known.
    pub longest: Duration,
    /// The workers that share the work.
    pub workers: usize,
}

impl RunPlan {
    /// An item that would be computed.
    pub(crate) fn add(&mut self, reason: MissReason, cost: Option<Duration>) {
        self.misses += 1;
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, items)) => *items += 1,
            None => self.reasons.push((reason, 1)),
        }
        match cost {
            Some(cost) => {
                self.compute_time += cost;
                self.longest = self.longest.max(cost);
            }
            None => self.unpriced += 1,
        }
    }

    /// The commonest reason first.
    pub(crate) fn sort(&mut self) {
        self.reasons.sort_by_key(|(_, items)| std::cmp::Reverse(*items));
    }

    /// How long the run takes: the time of computing, shared among the workers, and never less than the longest item.
    pub fn estimate(&self) -> Duration {
        let shared = self.compute_time / u32::try_from(self.workers.max(1)).unwrap_or(u32::MAX);
        shared.max(self.longest)
    }
}

/// `20 of 835 to compute, 3.1 s of work (some 1.6 s on 2 workers)`, and the summary.
impl fmt::Display for RunPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} to compute", self.misses, self.summary.items)?;
        if self.misses > 0 && self.unpriced == self.misses {
            f.write_str(", never measured")?;
        } else if self.misses > 0 {
            let (work, estimate) = (self.compute_time, self.estimate());
            write!(f, ", {work:.1?} of work (some {estimate:.1?} on {} workers)", self.workers)?;
            if self.unpriced > 0 {
                write!(f, ", {} of them never measured", self.unpriced)?;
            }
        }
        write!(f, "; {}", self.summary)
    }
}
