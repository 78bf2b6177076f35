//! Progress of an ordinary loop.

use std::iter::FusedIterator;
use std::sync::Arc;

use super::observer::{Observer, Observers};
use super::reporter::{Plan, Watched};
use super::{Meter, Progress};
use crate::backend::Backend;
use crate::parallel::run::exact;

/// Shows how far a loop is: an iterator that gives what `items` gives.
///
/// For what tqdm is used every day. The total is known where the input says its length. The progress is one bar on a
/// terminal and plain lines elsewhere, unless [`style`](ProgressIter::style) says otherwise; it begins with the first item
/// and ends with the last one, or when the iterator is dropped: then it says that the loop stopped, and where. A step costs
/// about as much as a write to memory, so this can stand around the quickest loop.
///
/// An item counts as done when the next one is asked for; the last one, after a `break`, when the iterator is dropped.
///
/// # Examples
/// ```
/// let mut sum = 0;
/// for row in larder::progress(0..1000).label("rows") {
///     sum += row;
/// }
/// assert_eq!(sum, 499_500);
/// ```
pub fn progress<I: IntoIterator>(items: I) -> ProgressIter<I::IntoIter> {
    let iter = items.into_iter();
    let total = exact(iter.size_hint()).and_then(|total| total.try_into().ok());
    ProgressIter { iter, handed_out: 0, meter: None, watched: None, stage: Loop::Unshown, options: Options::new(total) }
}

/// An iterator that shows how far it is; made by [`progress`].
#[must_use = "an iterator does nothing until it is asked for items"]
pub struct ProgressIter<I> {
    iter: I,
    handed_out: u64,
    /// Where the count is shown; `None` if nothing is shown, or not yet.
    meter: Option<Arc<Meter>>,
    watched: Option<Watched>,
    stage: Loop,
    options: Options,
}

/// What is not looked at in each step.
struct Options {
    total: Option<u64>,
    label: String,
    style: Progress,
    observers: Observers,
}

impl Options {
    fn new(total: Option<u64>) -> Options {
        Options { total, label: String::new(), style: Progress::Bar, observers: Observers::default() }
    }
}

/// How far the loop is.
#[derive(PartialEq)]
enum Loop {
    Unshown,
    Running,
    Over,
}

/// Options. They count until the first item is asked for.
impl<I> ProgressIter<I> {
    /// What the loop is called. Default: nothing.
    pub fn label(mut self, label: impl Into<String>) -> ProgressIter<I> {
        self.options.label = label.into();
        self
    }

    /// How many items there are, for an input that does not say so.
    pub fn total(mut self, total: u64) -> ProgressIter<I> {
        self.options.total = Some(total);
        self
    }

    /// How the progress is shown. Default: [`Progress::Bar`].
    pub fn style(mut self, style: Progress) -> ProgressIter<I> {
        self.options.style = style;
        self
    }

    /// Tells an [`Observer`] of the beginning and the end of the loop, and how far it is.
    pub fn observer(mut self, observer: impl Observer + 'static) -> ProgressIter<I> {
        self.options.observers.push(observer);
        self
    }

    #[cold]
    fn begin(&mut self) {
        self.stage = Loop::Running;
        let Options { total, label, style, observers } = &self.options;
        let (total, progress, backend) = (*total, style, Backend::Sequential);
        self.watched = Watched::start(&Plan { progress, observers, label, total, workers: 1, backend });
        self.meter = self.watched.as_ref().map(|watched| Arc::clone(&watched.meter));
    }

    #[cold]
    fn finish(&mut self, is_whole: bool) {
        self.stage = Loop::Over;
        self.meter = None;
        if let Some(watched) = self.watched.take() {
            watched.meter.set(self.handed_out);
            watched.came_to(super::CameTo { completed: self.handed_out, ..super::CameTo::default() }, &[]);
            watched.finish(is_whole);
        }
    }
}

impl<I: Iterator> Iterator for ProgressIter<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        match &self.meter {
            // Nobody else writes there, so no step needs more than a write, and each is seen at the next look.
            Some(meter) => meter.set(self.handed_out),
            None if self.stage == Loop::Unshown => self.begin(),
            None => {}
        }
        let item = self.iter.next();
        if item.is_some() {
            self.handed_out += 1;
        } else if self.stage == Loop::Running {
            self.finish(true);
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iter.size_hint()
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for ProgressIter<I> {
    fn len(&self) -> usize {
        self.iter.len()
    }
}

impl<I: FusedIterator> FusedIterator for ProgressIter<I> {}

/// A loop that ends early leaves no thread behind.
impl<I> Drop for ProgressIter<I> {
    fn drop(&mut self) {
        if self.stage == Loop::Running {
            let is_whole = !std::thread::panicking() && self.options.total == Some(self.handed_out);
            if std::thread::panicking() {
                // The item at hand was not done.
                self.handed_out = self.handed_out.saturating_sub(1);
            }
            self.finish(is_whole);
        }
    }
}

impl<I: std::fmt::Debug> std::fmt::Debug for ProgressIter<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgressIter")
            .field("iter", &self.iter)
            .field("handed_out", &self.handed_out)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod test {
    use std::sync::mpsc::{self, Receiver};

    use super::*;

    /// Whether the loop is over, whether it came to its end, how many items are done, and of how many.
    type State = (bool, bool, u64, Option<u64>);

    /// A style that tells how far the loop is.
    fn told() -> (Progress, Receiver<State>) {
        let (states, seen) = mpsc::channel();
        let progress = Progress::callback(move |now| {
            let _ = states.send((now.finished(), now.completed(), now.done(), now.total()));
        });
        (progress, seen)
    }

    /// The last state that was told.
    fn last<I: Iterator>(items: I, run: impl FnOnce(ProgressIter<I>)) -> (bool, u64, Option<u64>) {
        let (style, seen) = told();
        run(progress(items).style(style));
        let last: Vec<_> = seen.iter().filter(|(finished, ..)| *finished).collect();
        assert_eq!(last.len(), 1, "{last:?}");
        (last[0].1, last[0].2, last[0].3)
    }

    #[test]
    fn a_loop_to_the_end_is_completed() {
        assert_eq!(last(0..5, |items| assert_eq!(items.collect::<Vec<_>>(), [0, 1, 2, 3, 4])), (true, 5, Some(5)));
        let odd = (0..5).filter(|x| x % 2 == 1);
        assert_eq!(last(odd, |items| assert_eq!(items.sum::<u32>(), 4)), (true, 2, None));
        assert_eq!(last(0..0, |items| assert_eq!(items.count(), 0)), (true, 0, Some(0)));
        // Who takes no more than there is does not ask for the end.
        assert_eq!(last(0..3, |items| assert_eq!(items.take(3).count(), 3)), (true, 3, Some(3)));
        assert_eq!(last(std::iter::repeat_n(7, 2), |mut items| while items.next().is_some() {}), (true, 2, Some(2)));
    }

    #[test]
    fn a_loop_that_ends_early_is_stopped() {
        assert_eq!(last(0..5, |mut items| assert_eq!(items.nth(2), Some(2))), (false, 3, Some(5)));
        let panics = |items: ProgressIter<std::ops::Range<u32>>| {
            let thread = std::thread::spawn(|| {
                for item in items {
                    assert!(item < 2, "the loop panics (this panic belongs to the test)");
                }
            });
            assert!(thread.join().is_err());
        };
        assert_eq!(last(0..5, panics), (false, 2, Some(5)));
    }

    #[test]
    fn each_step_of_a_slow_loop_is_shown() {
        let (style, seen) = told();
        // Each item waits until the one before is shown as done: it would wait for ever if steps were held back.
        for item in progress(0..3).style(style).total(4) {
            while seen.recv().unwrap() != (false, false, item, Some(4)) {}
        }
    }

    #[test]
    fn nothing_is_shown_before_the_first_item() {
        let (style, seen) = told();
        let unused = progress(0..3).style(style);
        assert_eq!((unused.len(), unused.size_hint()), (3, (3, Some(3))));
        drop(unused);
        assert_eq!(seen.iter().count(), 0);
        assert_eq!(progress([1, 2]).style(Progress::Off).collect::<Vec<_>>(), [1, 2]);
    }
}
