//! How fast a run is just now: a mean of its speed that forgets.

use std::time::Duration;

/// What is older than this counts for less than a third of what is new: long enough that an estimate does not jump about,
/// short enough that it follows a run that changes.
const MEMORY: f64 = 3.0;

/// Slow items come in bursts, one for each worker, so so many rounds of them are looked back upon.
const ROUNDS: f64 = 3.0;

/// Smoothes the speed of a run, exponentially over time; the same counts at the same times give the same speeds.
///
/// As tqdm's `smoothing`, but by the time that passed and not by the number of looks, so that it does not matter how often
/// anyone looks. A stretch without progress is no speed of 0: it counts when it ends, or as soon as it is longer than an
/// item should take, as though one item ended just now.
#[derive(Clone, Debug)]
pub(super) struct Speed {
    workers: f64,
    /// The last moment at which something had been done, and how much.
    at: f64,
    done: u64,
    /// Speeds, each with its weight, and the weights: of these some are missing at the beginning.
    sum: f64,
    weight: f64,
}

impl Speed {
    pub(super) fn new(workers: usize) -> Speed {
        Speed { workers: workers.max(1) as f64, at: 0.0, done: 0, sum: 0.0, weight: 0.0 }
    }

    /// Items per second, after `done` items in `elapsed`; `None` as long as there is nothing to go by.
    pub(super) fn update(&mut self, elapsed: Duration, done: u64) -> Option<f64> {
        let now = elapsed.as_secs_f64();
        let passed = now - self.at;
        if done > self.done {
            if passed > 0.0 {
                (self.sum, self.weight) = self.with(passed, (done - self.done) as f64 / passed, done);
                (self.at, self.done) = (now, done);
            }
            return self.speed(self.sum, self.weight);
        }
        // Fewer than before: work was lost with a worker, and will be counted anew.
        self.done = done;
        if done == 0 {
            return None;
        }
        if passed > self.item_seconds(done) {
            let (sum, weight) = self.with(passed, 1.0 / passed, done);
            return self.speed(sum, weight);
        }
        self.speed(self.sum, self.weight)
    }

    fn speed(&self, sum: f64, weight: f64) -> Option<f64> {
        (weight > 0.0).then(|| sum / weight)
    }

    /// Sum and weight with a stretch of so many seconds at such a speed.
    fn with(&self, seconds: f64, speed: f64, done: u64) -> (f64, f64) {
        let memory = MEMORY.max(ROUNDS * self.item_seconds(done));
        let kept = (-seconds / memory).exp();
        (self.sum * kept + speed * (1.0 - kept), self.weight * kept + (1.0 - kept))
    }

    /// What an item takes on its worker, on average until the last one was done.
    fn item_seconds(&self, done: u64) -> f64 {
        self.at * self.workers / done.max(1) as f64
    }
}

#[cfg(test)]
mod test {
    use super::*;

    /// Looks each tenth of a second for so long, with `done` as a function of the seconds; the last speed.
    fn after(seconds: f64, workers: usize, done: impl Fn(f64) -> f64) -> f64 {
        let mut speed = Speed::new(workers);
        let looks = (1..=(seconds * 10.0).round() as u32).map(|look| f64::from(look) / 10.0);
        looks.map(|at| speed.update(Duration::from_secs_f64(at), done(at) as u64).unwrap_or(0.0)).last().unwrap()
    }

    fn is_near(speed: f64, expected: f64) -> bool {
        (speed / expected - 1.0).abs() < 0.02
    }

    #[test]
    fn a_constant_speed_is_known_from_the_first_look() {
        for seconds in [0.1, 1.0, 60.0] {
            let speed = after(seconds, 2, |at| at * 1000.0);
            assert!(is_near(speed, 1000.0), "{speed} after {seconds} s");
        }
    }

    #[test]
    fn it_does_not_matter_how_often_one_looks() {
        let mut seldom = Speed::new(1);
        let done = |at: f64| if at < 20.0 { at * 100.0 } else { 2000.0 + (at - 20.0) * 300.0 };
        let looks = [10.0, 20.0, 22.0].map(|at| seldom.update(Duration::from_secs_f64(at), done(at) as u64));
        let (seldom, often) = (looks[2].unwrap(), after(22.0, 1, done));
        assert!(is_near(seldom, often), "{seldom} and {often}");
    }

    #[test]
    fn a_speed_up_is_followed_within_seconds() {
        let done = |at: f64| if at < 60.0 { at * 10.0 } else { 600.0 + (at - 60.0) * 1000.0 };
        let (soon, later) = (after(63.0, 2, done), after(75.0, 2, done));
        assert!(500.0 < soon && soon < 800.0, "after 3 s: {soon}");
        assert!(is_near(later, 1000.0), "after 15 s: {later}");
    }

    #[test]
    fn a_stall_slows_down_without_end_and_is_forgotten_afterwards() {
        let stalled = |at: f64| at.min(10.0) * 100.0 + (at - 40.0).max(0.0) * 100.0;
        let speeds = [11.0, 15.0, 25.0, 40.0].map(|at| after(at, 1, stalled));
        assert!(speeds.is_sorted_by(|a, b| a > b), "{speeds:?}");
        assert!(speeds[0] > 60.0 && speeds[3] < 1.0, "{speeds:?}");
        assert!(is_near(after(55.0, 1, stalled), 100.0));
    }

    #[test]
    fn slow_items_are_no_stall_between_two_of_them() {
        let one = |at: f64| (at / 10.0).floor();
        for at in [30.0, 34.0, 39.9, 40.0] {
            assert!(is_near(after(at, 1, one), 0.1), "at {at}");
        }
        // Eight workers end eight items within a second, and then none for nine.
        let bursts = |at: f64| (at / 10.0).floor() * 8.0 + ((at % 10.0) * 8.0).min(8.0) - 8.0;
        let speeds: Vec<f64> = (60..80).map(|at| after(f64::from(at), 8, |at| bursts(at).max(0.0))).collect();
        assert!(speeds.iter().all(|speed| (0.5..1.2).contains(speed)), "{speeds:?}");
    }

    #[test]
    fn nothing_done_is_nothing_to_go_by() {
        let mut speed = Speed::new(1);
        assert_eq!(speed.update(Duration::from_secs(9), 0), None);
        assert_eq!(speed.update(Duration::from_secs(10), 5), Some(0.5));
        // Work that was lost with a worker.
        assert!(speed.update(Duration::from_secs(10), 3).is_some_and(f64::is_finite));
        assert_eq!(speed.update(Duration::from_secs(10), 0), None);
        assert_eq!(Speed::new(1).update(Duration::ZERO, 3), None, "no time has passed");
    }
}
