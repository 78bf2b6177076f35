//! Which entries go first where a cache is full: pure, but for what the caller looks up.
//!
//! A heap of scores, each as it was when it was pushed. An entry that was used or replaced since has another one by now: so
//! whoever pops looks the entry up, and pushes it again where that is so. Nothing has to be found in the heap.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::entry::Facts;
use super::entry_key::EntryKey;
use super::used::Used;

/// The time in which the worth of an unused entry halves.
const HALF_LIFE_MS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;
/// What any computation is worth beside its time: the lookup that did not find it.
const LEAST_NANOS: f64 = 1000.0;

/// What a ranking goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The logarithm (base 2) of the nanoseconds that an entry saves for each byte, with a day of not being used taking one
    /// off. As all entries age alike, their order does not change with time.
    Worth,
    /// When an entry was used last, in milliseconds; storing it counts.
    LastUse,
}

impl Order {
    /// The score of an entry; it only rises with its use. What a clock that was wrong put into the future was used just now: else
    /// it would outlive all others for as long as it is ahead.
    pub(super) fn score(self, facts: &Facts, used: Used, bytes: u64, now_ms: u64) -> f64 {
        let last_use = facts.created_at_ms.max(used.last_ms).min(now_ms) as f64;
        match self {
            Order::Worth => {
                let saves = (facts.compute_nanos as f64 + LEAST_NANOS) * (used.hits as f64 + 1.0);
                (saves / (bytes.max(1) as f64)).log2() + last_use / HALF_LIFE_MS
            }
            Order::LastUse => last_use,
        }
    }
}

/// Entries by a score, lowest first.
pub(super) struct Ranking {
    pub(super) order: Order,
    heap: BinaryHeap<Ranked>,
}

pub(super) struct Ranked {
    pub(super) score: f64,
    pub(super) key: EntryKey,
}

impl Ranking {
    pub(super) fn new(order: Order) -> Ranking {
        Ranking { order, heap: BinaryHeap::new() }
    }

    pub(super) fn push(&mut self, score: f64, key: EntryKey) {
        self.heap.push(Ranked { score, key });
    }

    /// Takes the lowest, if its score is below this.
    pub(super) fn pop_below(&mut self, limit: f64) -> Option<Ranked> {
        if self.heap.peek()?.score < limit { self.heap.pop() } else { None }
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

/// The heap gives the greatest: so the lowest score is that.
impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| other.key.cmp(&self.key))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecId;

    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    fn facts(compute_nanos: u64, created_at_ms: u64) -> Facts {
        Facts { codec: CodecId::Compact, shape: 0, created_at_ms, compute_nanos, value_bytes: 0 }
    }

    #[test]
    fn cheap_large_and_long_unused_entries_are_worth_the_least() {
        let unused = Used::default();
        let now = 20_000 * DAY_MS;
        let worth = |facts: &Facts, used, bytes| Order::Worth.score(facts, used, bytes, now);
        let some = worth(&facts(1_000_000, now), unused, 1000);
        assert!(worth(&facts(10_000, now), unused, 1000) < some, "cheap");
        assert!(worth(&facts(1_000_000, now), unused, 100_000) < some, "large");
        assert!(worth(&facts(1_000_000, now - DAY_MS), unused, 1000) < some, "long unused");
        let used = Used { last_ms: now, hits: 3 };
        assert!(worth(&facts(1_000_000, now - DAY_MS), used, 1000) > some, "used");
        let daily = worth(&facts(1_000_000, now), unused, 1000) - worth(&facts(1_000_000, now - DAY_MS), unused, 1000);
        assert!((daily - 1.0).abs() < 1e-9, "half of it for each day");
        let from_the_future = facts(1_000_000, now + 3650 * DAY_MS);
        assert_eq!(worth(&from_the_future, unused, 1000), some, "no better than one of today");
        assert_eq!(Order::LastUse.score(&from_the_future, unused, 1000, now), now as f64);
    }

    #[test]
    fn the_lowest_comes_first() {
        let mut ranking = Ranking::new(Order::LastUse);
        for (score, key) in [(2.0, 2), (-1.0, 9), (1.5, 1), (-1.0, 3)] {
            ranking.push(score, EntryKey::from_bytes([key; 40]));
        }
        let mut order = Vec::new();
        while let Some(ranked) = ranking.pop_below(2.0) {
            order.push(ranked.key.as_bytes()[0]);
        }
        assert_eq!((order, ranking.len()), (vec![3, 9, 1], 1));
    }
}
