use super::super::batch::{Aim, Sizer};
use super::super::cancel::CancelToken;
use super::super::halt::Halt;
use super::super::shelf::{Order, Piece};
use super::super::work::Closure;
use super::*;
use crate::panics;
use crate::sys::filled::Filled;
use std::num::NonZeroUsize;

fn rules(batch: usize, total: Option<usize>, on_error: OnError) -> Rules {
    let sizer = Sizer::new(NonZeroUsize::new(batch), 2, Aim::PROCESSES);
    Rules {
        sizer,
        workers: 2,
        total,
        on_error,
        halt: HaltAt::NEVER,
        schedule: Schedule::TopPicking,
        most: Most::Unlimited,
        reads_all: false,
        timeout: None,
        stop: Stop::default(),
        recorder: None,
    }
}

type Same = Closure<u32, fn(u32) -> u32>;

/// Work that is never done: the tests are the workers.
fn work() -> Option<Same> {
    None
}

fn feed<'s, W: Work, I: Iterator<Item = W::Item>>(
    _: Option<W>,
    items: I,
    rules: Rules,
    slots: &'s mut [MaybeUninit<W::Output>],
) -> Feed<'s, W, I> {
    Feed::new(items, rules, slots, None)
}

fn failure(index: usize, attempts: u32) -> Failure {
    let cause = Cause::Input(panics::catch(|| panic!("(this panic belongs to the test)")).unwrap_err());
    Failure { index, task: None, arguments: None, worker: 0, attempts, took: None, cause }
}

impl<'s, R> Taken<'s, R> {
    fn batch(self) -> Option<Batch<'s, R>> {
        match self {
            Taken::Batch(batch) => Some(batch),
            Taken::Wait(..) | Taken::Nothing => None,
        }
    }
}

#[test]
fn what_is_given_back_is_taken_again_before_new_input() {
    let feed = feed(work(), 0..10_u32, rules(4, Some(10), OnError::Collect), &mut []);
    assert!(!feed.reads_ahead());
    let mut items = Vec::new();
    let Batch { start, attempts, mut out, .. } = feed.turn().take(0, &mut items).batch().unwrap();
    assert_eq!((start, attempts, &items[..]), (0, 0, &[0, 1, 2, 3][..]));
    // A driver got one result, then its worker died at the second item; the others were not begun.
    out.extend([0].into_iter());
    let (before, guilty, rest) = out.part(1);
    feed.turn().hand_in([before]);
    let mut given = items.split_off(1);
    feed.turn().give_back(GivenBack { start: 2, items: given.split_off(1), out: rest, attempts: 0 });
    feed.turn().give_back(GivenBack { start: 1, items: given, out: guilty, attempts: 1 });
    feed.turn().batch_finished(0, 1, Duration::from_millis(1));
    feed.turn().tally().report.deaths += 1;

    items.clear();
    let Batch { start, attempts, mut out, .. } = feed.turn().take(1, &mut items).batch().unwrap();
    assert_eq!((start, attempts, &items[..]), (2, 0, &[2, 3][..]));
    out.extend(items.drain(..));
    feed.turn().hand_in([out]);
    feed.turn().batch_finished(1, 2, Duration::from_millis(1));
    let Batch { start, attempts, .. } = feed.turn().take(0, &mut items).batch().unwrap();
    assert_eq!((start, attempts, items.drain(..).as_slice()), (1, 1, &[1][..]));
    feed.turn().fail(failure(1, attempts + 1));
    for expected in [vec![4, 5, 6, 7], vec![8, 9]] {
        let Batch { start, mut out, .. } = feed.turn().take(0, &mut items).batch().unwrap();
        assert_eq!((start, &items), (expected[0] as usize, &expected));
        out.extend(items.drain(..));
        feed.turn().hand_in([out]);
    }
    assert!(feed.turn().take(0, &mut items).batch().is_none());
    let end = feed.end();
    assert!(end.is_whole && end.stopped.is_none());
    assert_eq!(
        (end.tally.report.items, end.tally.report.completed, end.tally.report.failed, end.tally.report.deaths),
        (10, 9, 1, 1)
    );
    assert_eq!(
        (end.tally.report.batches.count, end.tally.report.batches.smallest, end.tally.report.batches.largest),
        (5, 1, 4)
    );
    assert_eq!(end.tally.report.workers.iter().map(|worker| worker.items).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn given_back_places_of_the_list_are_filled_later() {
    let mut list = Vec::with_capacity(6);
    let filled = crate::sys::filled::fill(&mut list, 6, |slots| {
        let feed = feed(work(), 0..6_u32, rules(3, Some(6), OnError::FailFast), slots);
        let mut items = Vec::new();
        let Batch { start, mut out, .. } = feed.turn().take(0, &mut items).batch().unwrap();
        out.extend([items.remove(0)].into_iter());
        // The place behind what is written and those behind that are one strip each: given back item by item.
        let (before, second, rest) = out.part(start + 1);
        let (nothing, third, none) = rest.part(start + 2);
        feed.turn().hand_in([before, nothing, none]);
        feed.turn().give_back(GivenBack { start: 2, items: vec![items.pop().unwrap()], out: third, attempts: 1 });
        feed.turn().give_back(GivenBack { start: 1, items: vec![items.pop().unwrap()], out: second, attempts: 1 });
        while let Some(Batch { mut out, .. }) = feed.turn().take(1, &mut items).batch() {
            out.extend(items.drain(..));
            feed.turn().hand_in([out]);
        }
        let mut strips: Vec<_> = feed
            .end()
            .written
            .into_iter()
            .filter_map(|written| match written {
                Written::Placed(strip) if !strip.is_nothing() => Some(strip),
                _ => None,
            })
            .collect();
        strips.sort_by_key(Filled::place);
        strips
    });
    assert!(filled);
    assert_eq!(list, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_failure_stops_a_run_that_fails_fast_and_no_other() {
    for (on_error, stops) in [(OnError::FailFast, true), (OnError::Collect, false)] {
        let feed = feed(work(), 0.., rules(1, None, on_error), &mut []);
        let mut items = Vec::new();
        assert!(feed.turn().take(0, &mut items).batch().is_some());
        feed.turn().fail(failure(0, 1));
        items.clear();
        assert_eq!((feed.is_stopped(), feed.turn().take(0, &mut items).batch().is_none()), (stops, stops));
        assert!(!feed.end().is_whole);
    }
}

#[test]
fn a_cancelled_feed_gives_nothing_and_is_cancelled_unless_all_is_done() {
    for (total, done) in [(1, true), (2, false)] {
        let token = CancelToken::new();
        let rules = Rules { stop: Stop::new(Some(token.clone()), None), ..rules(1, Some(total), OnError::FailFast) };
        let feed = feed(work(), 0..u32::try_from(total).unwrap(), rules, &mut []);
        let mut items = Vec::new();
        let Batch { mut out, .. } = feed.turn().take(0, &mut items).batch().unwrap();
        token.cancel();
        out.extend(items.drain(..));
        feed.turn().hand_in([out]);
        assert!(feed.turn().take(0, &mut items).batch().is_none());
        let end = feed.end();
        assert_eq!((end.is_whole, end.stopped), (done, (!done).then_some(Stopped::Cancelled)));
    }
}

#[test]
fn a_full_window_is_waited_for_and_what_is_done_makes_room() {
    let rules = Rules { most: Most::Items(2), ..rules(1, None, OnError::Collect) };
    let feed = feed(work(), 0.., rules, &mut []);
    let mut taken = Vec::new();
    let mut take = || {
        let mut items = Vec::new();
        let batch = feed.turn().take(0, &mut items);
        taken.append(&mut items);
        batch
    };
    let Taken::Batch(mut first) = take() else { panic!("there is room") };
    assert!(matches!(take(), Taken::Batch(_)));
    let Taken::Wait(wait) = take() else { panic!("two are ahead") };
    first.out.extend([0].into_iter());
    feed.turn().hand_in([first.out]);
    feed.wait(wait);
    assert!(matches!(take(), Taken::Batch(_)));
    assert!(matches!(take(), Taken::Wait(..)));
    feed.turn().fail(failure(1, 1));
    assert!(matches!(take(), Taken::Batch(_)));
    assert_eq!(taken, [0, 1, 2, 3]);
}

#[test]
fn results_of_a_stream_are_ahead_until_they_are_taken() {
    let rules = Rules { most: Most::Items(1), ..rules(1, None, OnError::Collect) };
    let feed = Feed::<Same, _>::new(0.., rules, &mut [], Some(Shelf::new(Order::OfInput)));
    let mut items = Vec::new();
    let mut out = feed.turn().take(0, &mut items).batch().unwrap().out;
    out.extend(items.drain(..));
    feed.turn().hand_in([out]);
    assert!(matches!(feed.turn().take(0, &mut items), Taken::Wait(..)));
    assert!(matches!(feed.shelf().unwrap().try_take(), Some((0, Piece::Values(values))) if values == [0]));
    feed.gate().settle(1);
    assert!(feed.turn().take(0, &mut items).batch().is_some());
}

#[test]
fn all_is_read_at_once_where_that_is_asked_for_and_a_panic_of_the_input_is_its_last_item() {
    let input = || (0..7_u32).inspect(|item| assert!(*item < 5, "(this panic belongs to the test)"));
    for on_error in [OnError::Collect, OnError::FailFast] {
        let rules = Rules { reads_all: true, ..rules(2, None, on_error) };
        let feed = feed(work(), input(), rules, &mut []);
        let mut starts = Vec::new();
        loop {
            let mut items = Vec::new();
            let Some(Batch { start, mut out, .. }) = feed.turn().take(0, &mut items).batch() else { break };
            starts.push((start, items.len()));
            out.extend(items.drain(..));
            feed.turn().hand_in([out]);
        }
        let end = feed.end();
        assert_eq!((end.failures.len(), end.failures[0].index), (1, 5));
        match on_error {
            OnError::Collect => {
                assert_eq!(starts, [(0, 2), (2, 2), (4, 1)]);
                assert!(end.is_whole && end.read == 6);
            }
            _ => assert_eq!((starts, end.stopped), (Vec::new(), Some(Stopped::Failure))),
        }
    }
}

#[test]
fn what_is_to_be_run_later_is_waited_for_when_there_is_nothing_else() {
    let feed = feed(work(), 0..1_u32, rules(1, Some(1), OnError::Collect), &mut []);
    let mut items = Vec::new();
    let Batch { start, out, .. } = feed.turn().take(0, &mut items).batch().unwrap();
    let due = Instant::now() + Duration::from_millis(1);
    feed.turn().give_back_until(due, GivenBack { start, items: std::mem::take(&mut items), out, attempts: 1 });
    loop {
        let taken = feed.turn().take(0, &mut items);
        match taken {
            Taken::Batch(Batch { attempts, .. }) => {
                assert_eq!((attempts, items.as_slice()), (1, &[0][..]));
                assert!(Instant::now() >= due);
                break;
            }
            Taken::Wait(wait) => {
                assert!(wait.until.is_none_or(|until| until == due));
                feed.wait(wait);
            }
            Taken::Nothing => panic!("there is something later"),
        }
    }
}

#[test]
fn a_run_ends_at_its_number_of_failures_and_where_it_halts() {
    let most = OnError::MaxFailures(2);
    let halts = Halt::soon().done(2).at(None).unwrap();
    for (on_error, halt, reason) in
        [(most, HaltAt::NEVER, Stopped::Failure), (OnError::Collect, halts, Stopped::Halted)]
    {
        let feed = feed(work(), 0.., Rules { halt, ..rules(1, None, on_error) }, &mut []);
        let mut items = Vec::new();
        assert!(feed.turn().take(0, &mut items).batch().is_some());
        feed.turn().fail(failure(0, 1));
        items.clear();
        assert!(feed.turn().take(0, &mut items).batch().is_some());
        feed.turn().fail(failure(1, 1));
        assert!(feed.turn().take(0, &mut items).batch().is_none());
        assert_eq!(feed.end().stopped, Some(reason));
    }
}
