//! How many items the next batch takes: old size and measured seconds in, new size out.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How many items are dispatched together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchSize {
    /// Grows while batches are short, shrinks when they are long and towards the end of the input.
    #[default]
    Auto,
    /// So many, always; the last may be shorter. 0 is an error when the run starts.
    Fixed(usize),
}

impl From<usize> for BatchSize {
    fn from(items: usize) -> BatchSize {
        BatchSize::Fixed(items)
    }
}

/// What the sizes of batches aim at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    /// A batch that takes less is too short, one that takes more than the second too long; between them the size stays.
    band: (Duration, Duration),
    /// What a batch should take whose size is changed.
    target: Duration,
    /// Towards the end, batches shrink so that the workers finish together, but not below this.
    shortest: Duration,
    /// A batch may be so many times the one before.
    growth: usize,
    /// Quick items, which are bundled by the thousand, are handed over within so many bytes.
    buffer_bytes: usize,
}

impl Aim {
    /// A batch on threads should take about 2 ms: next to it the cost of dispatch (some 0.3 us) is nothing, and a run can
    /// still be stopped, balanced and watched in such steps.
    pub(crate) const THREADS: Aim = Aim {
        band: (Duration::from_millis(2), Duration::from_millis(2)),
        target: Duration::from_millis(2),
        shortest: Duration::from_micros(20),
        growth: 8,
        // In a core's own cache.
        buffer_bytes: 64 << 10,
    };
    /// joblib's rule: a batch also pays for serialization and two wake-ups. Its times vary, so sizes stay while they are
    /// within the band.
    pub(crate) const PROCESSES: Aim = Aim {
        band: (Duration::from_millis(200), Duration::from_secs(2)),
        target: Duration::from_millis(400),
        shortest: Duration::from_millis(2),
        growth: 8,
        buffer_bytes: 1 << 20,
    };
}

/// Items that take less are looked after by the handful.
const QUICK: Duration = Duration::from_micros(1);
/// Items that take longer are looked at one by one: next to them a look at the clock, some 30 ns, is nothing.
const WORTH_TIMING: Duration = Duration::from_micros(10);
/// Near the end a batch is at most the worker's share of what is left, divided by this.
const TAIL: usize = 4;

/// Decides batch sizes.
#[derive(Clone, Debug)]
pub(crate) struct Sizer {
    fixed: Option<NonZeroUsize>,
    workers: usize,
    aim: Aim,
    size: usize,
    /// Smoothed as joblib does: 0.8 old + 0.2 new.
    item_nanos: Option<f64>,
}

impl Sizer {
    /// `fixed` is `None` for automatic sizes.
    pub(crate) fn new(fixed: Option<NonZeroUsize>, workers: usize, aim: Aim) -> Sizer {
        Sizer { fixed, workers: workers.max(1), aim, size: fixed.map_or(1, usize::from), item_nanos: None }
    }

    /// Items of one batch take no more room than this.
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.aim.buffer_bytes
    }

    /// Between so many items a worker looks whether to stop, and counts: after each, unless they are known to be so quick
    /// that the compiler's loop over them counts for more.
    pub(crate) fn stride(&self) -> usize {
        match self.item_nanos {
            Some(nanos) if nanos < nanos_of(QUICK) => 256,
            _ => 1,
        }
    }

    /// Whether each item is worth a look at the clock. Of the first ones nobody knows.
    pub(crate) fn is_worth_timing(&self) -> bool {
        self.item_nanos.is_none_or(|nanos| nanos >= nanos_of(WORTH_TIMING))
    }

    /// The size of the next batch, with so many items left, if that is known, and room for so many at once, which
    /// automatic sizes respect.
    pub(crate) fn next(&self, left: Option<usize>, room: usize) -> usize {
        match (self.fixed, left) {
            (Some(fixed), _) => fixed.get(),
            (None, None) => self.size.min(room).max(1),
            (None, Some(left)) => {
                let share = left.div_ceil(self.workers * TAIL);
                let shortest = self.item_nanos.map_or(1.0, |nanos| nanos_of(self.aim.shortest) / nanos.max(0.1));
                // `as` saturates, which is what a floor wants.
                self.size.min(share.max(shortest as usize)).min(room).max(1)
            }
        }
    }

    /// A batch of `items` took `took`.
    pub(crate) fn finished(&mut self, items: usize, took: Duration) {
        if items == 0 {
            return;
        }
        let measured = took.as_nanos() as f64 / items as f64;
        let nanos = self.item_nanos.map_or(measured, |old| 0.8 * old + 0.2 * measured);
        self.item_nanos = Some(nanos);
        if self.fixed.is_some() {
            return;
        }
        let (least, most) = self.aim.band;
        let batch = nanos * self.size as f64;
        if nanos_of(least) <= batch && batch <= nanos_of(most) {
            return;
        }
        let ideal = (nanos_of(self.aim.target) / nanos.max(0.1)) as usize;
        self.size = ideal.clamp(1, self.size.saturating_mul(self.aim.growth));
    }
}

fn nanos_of(duration: Duration) -> f64 {
    duration.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(item: Duration, items: usize, workers: usize) -> Vec<usize> {
        sizes_for(Aim::THREADS, item, items, workers)
    }

    /// Runs a sizer over items that all take `item`, and answers the sizes.
    fn sizes_for(aim: Aim, item: Duration, items: usize, workers: usize) -> Vec<usize> {
        let mut sizer = Sizer::new(None, workers, aim);
        let (mut left, mut sizes) = (items, Vec::new());
        while left > 0 {
            let size = sizer.next(Some(left), usize::MAX).min(left);
            sizer.finished(size, item * u32::try_from(size).unwrap());
            left -= size;
            sizes.push(size);
        }
        sizes
    }

    #[test]
    fn slow_items_go_alone() {
        assert!(sizes(Duration::from_millis(50), 100, 4).iter().all(|size| *size == 1));
    }

    #[test]
    fn quick_items_are_bundled_up_to_the_target_and_thin_out_at_the_end() {
        let sizes = sizes(Duration::from_micros(1), 100_000, 2);
        assert_eq!(&sizes[..4], [1, 8, 64, 512]);
        assert_eq!(sizes.iter().max(), Some(&2000), "2 ms of 1 us each");
        assert!(*sizes.last().unwrap() <= 20, "{sizes:?}");
        assert!(sizes.len() < 120, "{}", sizes.len());
    }

    #[test]
    fn a_slow_stretch_shrinks_the_batches() {
        let mut sizer = Sizer::new(None, 2, Aim::THREADS);
        for _ in 0..6 {
            sizer.finished(sizer.next(None, usize::MAX), Duration::from_micros(1));
        }
        let before = sizer.next(None, usize::MAX);
        for _ in 0..20 {
            sizer.finished(10, Duration::from_millis(100));
        }
        assert!(
            sizer.next(None, usize::MAX) < before && sizer.next(None, usize::MAX) == 1,
            "{} -> {}",
            before,
            sizer.next(None, usize::MAX)
        );
    }

    #[test]
    fn a_fixed_size_stays() {
        let mut sizer = Sizer::new(NonZeroUsize::new(7), 2, Aim::THREADS);
        sizer.finished(7, Duration::from_secs(9));
        assert_eq!(sizer.next(Some(3), 1), 7);
    }

    #[test]
    fn processes_get_batches_of_joblibs_length() {
        let sizes = sizes_for(Aim::PROCESSES, Duration::from_millis(1), 100_000, 2);
        assert_eq!(&sizes[..5], [1, 8, 64, 400, 400], "0.4 s of 1 ms each");
        assert!(*sizes.last().unwrap() <= 2, "{sizes:?}");
        let slow = sizes_for(Aim::PROCESSES, Duration::from_secs(3), 50, 4);
        assert!(slow.iter().all(|size| *size == 1), "{slow:?}");
    }

    #[test]
    fn a_size_stays_while_batches_take_neither_too_little_nor_too_long() {
        let mut sizer = Sizer::new(None, 2, Aim::PROCESSES);
        let mut finish = |item: Duration| {
            let size = sizer.next(None, usize::MAX);
            sizer.finished(size, item * u32::try_from(size).unwrap());
            sizer.next(None, usize::MAX)
        };
        let steady = [1, 1, 1, 1].map(|_| finish(Duration::from_millis(10)));
        assert_eq!(steady, [8, 40, 40, 40]);
        // Smoothed, an item takes 42 ms at last: 1.7 s for 40 of them.
        assert_eq!([0, 0].map(|_| finish(Duration::from_millis(100))), [40, 40]);
        let slower = [0; 9].map(|_| finish(Duration::from_secs(1)));
        assert!(slower.is_sorted_by(|a, b| a >= b) && slower[8] == 1, "{slower:?}");
    }
}
