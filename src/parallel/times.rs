//! How long items took: their median, and which took longest.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Steps of a doubling: a duration is known to within an eighth.
const STEPS: u32 = 4;

/// How many items took how long, in steps that grow with the duration: a logarithmic histogram, of fixed size.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    counts: Vec<u64>,
    items: u64,
}

impl Times {
    pub(crate) fn add(&mut self, took: Duration, items: u64) {
        let step = step_of(took);
        if self.counts.len() <= step {
            self.counts.resize(step + 1, 0);
        }
        self.counts[step] = self.counts[step].saturating_add(items);
        self.items = self.items.saturating_add(items);
    }

    /// Adds what another one counted.
    #[cfg(unix)]
    pub(crate) fn merge(&mut self, other: &Times) {
        // What comes from a worker may be anything.
        let counts = &other.counts[..other.counts.len().min(STEPS as usize * 64 + 1)];
        if self.counts.len() < counts.len() {
            self.counts.resize(counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(counts) {
            *count = count.saturating_add(*more);
            self.items = self.items.saturating_add(*more);
        }
    }

    pub(crate) fn items(&self) -> u64 {
        self.items
    }

    /// So long or less took half of the items; `None` without any.
    pub(crate) fn median(&self) -> Option<Duration> {
        let mut below = 0_u64;
        let half = self.items.div_ceil(2);
        let step = self.counts.iter().position(|count| {
            below = count.saturating_add(below);
            below >= half && *count > 0
        })?;
        Some(middle_of(step))
    }
}

/// 0 ns, then four steps for each power of two.
fn step_of(took: Duration) -> usize {
    let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let Some(power) = nanos.checked_ilog2() else { return 0 };
    // The two bits below the highest one.
    let part = if power >= 2 { (nanos >> (power - 2)) & 3 } else { (nanos << (2 - power)) & 3 };
    1 + power as usize * STEPS as usize + part as usize
}

fn middle_of(step: usize) -> Duration {
    let Some(above) = step.checked_sub(1) else { return Duration::ZERO };
    let (power, part) = (above / STEPS as usize, above % STEPS as usize);
    let nanos = 2_f64.powi(power as i32) * (1.0 + (part as f64 + 0.5) / f64::from(STEPS));
    Duration::from_nanos(nanos as u64)
}

/// Items that took long, with what is known of each; of two that took as long the earlier one found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slowest<T> {
    /// The slowest first.
    items: Vec<(Duration, T)>,
}

/// So many are kept.
const KEPT: usize = 5;

impl<T> Default for Slowest<T> {
    fn default() -> Slowest<T> {
        Slowest { items: Vec::new() }
    }
}

impl<T> Slowest<T> {
    /// Whether an item that took so long is among the slowest so far.
    #[inline]
    pub(crate) fn has_place_for(&self, took: Duration) -> bool {
        self.items.len() < KEPT || self.items.last().is_some_and(|(least, _)| took > *least)
    }

    pub(crate) fn add(&mut self, took: Duration, item: T) {
        if self.has_place_for(took) {
            let place = self.items.partition_point(|(other, _)| *other >= took);
            self.items.insert(place, (took, item));
            self.items.truncate(KEPT);
        }
    }

    /// As [`add`](Slowest::add); of items that are the same by `is_same`, the slower is kept.
    pub(crate) fn add_once(&mut self, took: Duration, item: T, is_same: impl Fn(&T, &T) -> bool) {
        match self.items.iter().position(|(_, other)| is_same(other, &item)) {
            Some(place) if self.items[place].0 >= took => return,
            Some(place) => drop(self.items.remove(place)),
            None => {}
        }
        self.add(took, item);
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Duration, T)> {
        self.items.drain(..)
    }

    pub(crate) fn into_items(self) -> Vec<(Duration, T)> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_each_other_and_are_narrow() {
        let mut last = 0;
        for nanos in (0..200).chain([1000, 1500, 10_000, 1 << 20, (1 << 40) + 5, u64::MAX]) {
            let step = step_of(Duration::from_nanos(nanos));
            assert!(step >= last, "{nanos}");
            last = step;
            let middle = middle_of(step).as_nanos() as f64;
            assert!((middle - nanos as f64).abs() <= (nanos as f64 / 7.0).max(1.0), "{nanos} is near {middle}");
        }
        assert!(last < 300, "a histogram is small");
    }

    #[test]
    fn the_median_is_near_the_one_in_the_middle() {
        let mut times = Times::default();
        assert_eq!(times.median(), None);
        for micros in 1..=999 {
            times.add(Duration::from_micros(micros), 1);
        }
        times.add(Duration::from_secs(100), 100);
        let median = times.median().unwrap().as_micros();
        assert!((480..620).contains(&median), "{median}");
        assert_eq!(times.items(), 1099);
        let mut none = Times::default();
        none.add(Duration::ZERO, 3);
        assert_eq!(none.median(), Some(Duration::ZERO));
    }

    #[test]
    fn the_slowest_are_kept_in_order() {
        let mut slowest = Slowest::default();
        for (item, millis) in [3, 9, 1, 7, 9, 2, 8, 1].into_iter().enumerate() {
            slowest.add(Duration::from_millis(millis), item);
        }
        assert!(!slowest.has_place_for(Duration::from_millis(3)));
        let items: Vec<_> = slowest.into_items().into_iter().map(|(took, item)| (took.as_millis(), item)).collect();
        assert_eq!(items, [(9, 1), (9, 4), (8, 6), (7, 3), (3, 0)]);
    }
}
