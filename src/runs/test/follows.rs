//! What one program hears of another.

use super::super::Ledger;
use super::super::item::Ended;
use super::{begin, failing, files, id, list, open};
use crate::parallel::FailureKind;

/// The attempts after which an item failed elsewhere, as soon as a look says what is `expected`.
fn hears(ledger: &Ledger, number: u64, expected: Option<u32>) {
    let hears = || ledger.others().failed(id(number)).map(|(attempts, _)| attempts);
    let start = std::time::Instant::now();
    while hears() != expected {
        assert!(start.elapsed().as_secs() < 60, "item {number}: {:?} and not {expected:?}", hears());
        std::thread::yield_now();
    }
}

#[test]
fn failures_of_others_are_heard_of_from_when_one_began() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path();
    let fails = |ledger: &Ledger, number, attempts| {
        ledger.failed(id(number), attempts, 0, 1, failing(FailureKind::Error, "no", "x", 1));
        while ledger.written() == 0 {
            std::thread::yield_now();
        }
    };
    let (first, _) = open(cache);
    first.begin(&begin(9), &mut list(0..9, 1)).unwrap();
    fails(&first, 1, 1);
    // What was there when it began, the ledger said.
    let (second, recorded) = open(cache);
    second.begin(&begin(9), &mut list(0..9, 1)).unwrap();
    assert!(recorded.items[&id(1)].failing().is_some());
    fails(&first, 2, 3);
    hears(&second, 2, Some(3));
    assert!(second.others().failed(id(1)).is_none());
    // The first was there before.
    fails(&second, 4, 1);
    hears(&first, 4, Some(1));
    // Its own failures are no others'.
    assert!(first.others().failed(id(2)).is_none());
    // One that is there later is heard of from its beginning; and what it tries again in time.
    let (third, _) = open(cache);
    third.begin(&begin(9), &mut list(0..9, 1)).unwrap();
    fails(&third, 5, 1);
    hears(&second, 5, Some(1));
    hears(&first, 5, Some(1));
    third.done(id(5), 2, 0, 1);
    hears(&second, 5, None);
    // What was said at the end is heard too.
    third.failed(id(6), 1, 0, 1, failing(FailureKind::Error, "no", "x", 1));
    third.end(&Ended::default());
    hears(&first, 6, Some(1));
    // And who came and went between two looks.
    let (fourth, _) = open(cache);
    fourth.begin(&begin(9), &mut list(0..9, 1)).unwrap();
    fourth.failed(id(7), 1, 0, 1, failing(FailureKind::Error, "no", "x", 1));
    fourth.end(&Ended::default());
    hears(&second, 7, Some(1));
    assert!(files(cache, "log").len() >= 4);
}
