//! Which entries are computed again, and what it says if none of them differs.

/// An entry that can be computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// The call's key: a digest, so its order is one by chance.
    pub(super) key: [u8; 32],
    pub(super) compute_nanos: u64,
}

/// At most so many groups by cost.
const MOST_STRATA: usize = 8;

/// All candidates by their place in the list: the first `size` are the sample, the others stand in for those of it that cannot
/// be used.
///
/// The candidates are grouped by what they cost, in groups of one size, so that quick and slow calls are all looked at; within
/// a group they are taken at equal steps in the order of their keys, which spreads them over the arguments. One list has
/// one answer, whatever its order.
pub(super) fn order(candidates: &[Candidate], size: usize) -> Vec<usize> {
    let count = candidates.len();
    let size = size.min(count);
    let mut by_cost: Vec<usize> = (0..count).collect();
    by_cost.sort_unstable_by_key(|at| (candidates[*at].compute_nanos, candidates[*at].key));
    let strata = MOST_STRATA.min(size.max(1));
    let share = |of: usize, stratum: usize| of * stratum / strata;
    let (mut picked, mut rest) = (Vec::with_capacity(count), Vec::new());
    for stratum in 0..strata {
        let mut group = by_cost[share(count, stratum)..share(count, stratum + 1)].to_vec();
        group.sort_unstable_by_key(|at| candidates[*at].key);
        let wanted = (share(size, stratum + 1) - share(size, stratum)).min(group.len());
        let step = |pick: usize| (2 * pick + 1) * group.len() / (2 * wanted);
        let taken: Vec<usize> = (0..wanted).map(step).collect();
        picked.extend(taken.iter().map(|at| group[*at]));
        rest.extend((0..group.len()).filter(|at| taken.binary_search(at).is_err()).map(|at| group[at]));
    }
    rest.sort_unstable_by_key(|at| candidates[*at].key);
    picked.extend(rest);
    picked
}

/// If none of so many differed, fewer than this share of all do, at 95 %.
pub(super) fn bound(sampled: u32) -> f64 {
    1.0 - 0.05_f64.powf(1.0 / f64::from(sampled.max(1)))
}

/// The bound in words.
pub(super) fn words(sampled: u32, entries: u64) -> String {
    if u64::from(sampled) >= entries {
        return format!("0 of {sampled} differ, and these are all");
    }
    let percent = 100.0 * bound(sampled);
    // Rounded up: it is a promise.
    let percent = match percent {
        1.0.. => format!("{:.0}", percent.ceil()),
        _ => format!("{:.2}", (100.0 * percent).ceil() / 100.0),
    };
    format!("0 of {sampled} differ: at 95 % fewer than {percent} % of all entries would")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::digest::Purpose;

    fn candidate(number: u64, compute_nanos: u64) -> Candidate {
        Candidate { key: Purpose::Value.digest(&number.to_le_bytes()), compute_nanos }
    }

    fn keys(candidates: &[Candidate], size: usize) -> Vec<[u8; 32]> {
        order(candidates, size)[..size].iter().map(|at| candidates[*at].key).collect()
    }

    #[test]
    fn each_candidate_is_named_once() {
        for count in [0, 1, 2, 7, 8, 9, 31, 32, 33, 100, 1000] {
            let candidates: Vec<_> = (0..count).map(|number| candidate(number, number % 5)).collect();
            for size in [1, 2, 5, 8, 9, 32, 33, 2000] {
                let named: BTreeSet<usize> = order(&candidates, size).into_iter().collect();
                assert_eq!(named.into_iter().collect::<Vec<_>>(), (0..candidates.len()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_sample_has_quick_and_slow_calls() {
        // One call in eight takes long, and most take the same time.
        let candidates: Vec<_> =
            (0..800).map(|number| candidate(number, if number % 8 == 0 { 1_000_000 + number } else { 10 })).collect();
        let sample = &order(&candidates, 32)[..32];
        let slow = sample.iter().filter(|at| candidates[**at].compute_nanos > 10).count();
        assert_eq!(slow, 4, "as many as there are of all");
        assert_eq!(order(&candidates, 1).len(), 800);
    }

    #[test]
    fn a_sample_is_spread_over_the_keys() {
        let candidates: Vec<_> = (0..4096).map(|number| candidate(number, 10)).collect();
        let quarters: BTreeSet<u8> = keys(&candidates, 64).iter().map(|key| key[0] / 64).collect();
        assert_eq!(quarters.len(), 4);
        let last = keys(&candidates, 64).iter().map(|key| key[0]).max();
        assert!(last.is_some_and(|last| last > 200), "{last:?}");
    }

    #[test]
    fn one_cache_has_one_sample() {
        let candidates: Vec<_> = (0..500).map(|number| candidate(number, number * 7 % 90)).collect();
        let backwards: Vec<_> = candidates.iter().rev().copied().collect();
        assert_eq!(keys(&candidates, 32), keys(&backwards, 32));
    }

    #[test]
    fn the_bound_is_said_in_words() {
        assert!((bound(32) - 0.0894).abs() < 0.0001);
        assert_eq!(words(32, 1000), "0 of 32 differ: at 95 % fewer than 9 % of all entries would");
        assert_eq!(words(412, 1000), "0 of 412 differ: at 95 % fewer than 0.73 % of all entries would");
        assert_eq!(words(1, 1000), "0 of 1 differ: at 95 % fewer than 95 % of all entries would");
        assert_eq!(words(5, 5), "0 of 5 differ, and these are all");
    }
}
