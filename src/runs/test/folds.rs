//! Segments that become one, and crashes on the way.

use std::fs;
use std::path::Path;

use super::super::fold;
use super::super::folder;
use super::super::item::{Ended, Recorded, State};
use super::super::read::Survey;
use super::super::request;
use super::{begin, failing, files, id, list, nightly, open, read};
use crate::parallel::FailureKind;

/// A run of five programs, with another code in the middle, failures, and a request: seven segments.
fn history(cache: &Path) {
    // It is alive to the end, so nobody folds.
    let (watcher, _) = open(cache);
    let (first, _) = open(cache);
    first.begin(&begin(5), &mut list(0..5, 1)).unwrap();
    (0..4).for_each(|number| first.done(id(number), 1, 0, 100));
    first.failed(id(4), 1, 1, 7, failing(FailureKind::Panic, "no", "x = 4", 1));
    first.end(&Ended { computed: 4, failed: 1, complete: true, ..Ended::default() });
    let (second, _) = open(cache);
    second.begin(&begin(6), &mut list(0..6, 2)).unwrap();
    second.done(id(0), 1, 0, 200);
    second.failed(id(1), 2, 0, 200, failing(FailureKind::Error, "not yet", "x = 1", 2));
    drop(second);
    assert_eq!(request::retry(cache, &nightly()).unwrap(), 2);
    let (third, _) = open(cache);
    third.begin(&begin(7), &mut list(1..8, 1)).unwrap();
    third.done(id(2), 1, 3, 300);
    third.failed(id(6), 1, 3, 300, failing(FailureKind::Timeout, "for now", "x = 6", 1));
    drop(third);
    assert_eq!(request::retry(cache, &nightly()).unwrap(), 3);
    let (late, _) = open(cache);
    late.begin(&begin(7), &mut list(1..8, 1)).unwrap();
    late.failed(id(5), 1, 3, 300, failing(FailureKind::Memory, "never", "x = 5", 1));
    drop(late);
    // It only began to list.
    let (fourth, _) = open(cache);
    fourth.begin(&begin(0), &mut list(8..9, 1)).unwrap();
    drop(fourth);
    drop(watcher);
}

fn survey(cache: &Path) -> Survey {
    Survey::of(&folder::of_run(cache, &nightly()), None).unwrap()
}

#[test]
fn a_crash_at_any_step_of_a_fold_loses_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path();
    history(cache);
    let before = read(cache);
    check(&before);
    let seen = survey(cache);
    assert_eq!(seen.segments.len(), 8);
    let dir = folder::of_run(cache, &nightly());
    // Stopped while it was written.
    drop(fold::write(&dir, &seen).unwrap());
    assert_eq!(read(cache), before);
    assert_eq!(files(cache, "new").len(), 1);
    drop(fold::write(&dir, &seen).unwrap().publish().unwrap());
    assert_eq!(files(cache, "log").len(), 9);
    assert_eq!(read(cache), before, "with all that it stands for");
    for (at, segment) in seen.segments.iter().enumerate() {
        fold::retire(segment).unwrap();
        assert_eq!(read(cache), before, "after {} were removed", at + 1);
    }
    assert_eq!(files(cache, "log").len(), 1);
    // A fold of a fold and more; what was left over is removed.
    let (ledger, recorded) = open(cache);
    assert_eq!(recorded, before);
    drop(ledger);
    let (ledger, recorded) = open(cache);
    assert_eq!(recorded, before);
    assert_eq!(
        (files(cache, "new").len(), files(cache, "log").len()),
        (0, 2),
        "one fold and the segment of this program"
    );
    drop(ledger);
    assert_eq!(read(cache), before);
}

fn check(recorded: &Recorded) {
    assert_eq!(recorded.damaged, 0);
    assert_eq!(recorded.items.len(), 9);
    assert_eq!(recorded.last_list.as_ref().unwrap().iter().collect::<Vec<_>>(), [&id(8)]);
    assert_eq!(recorded.programs.len(), 5);
    assert_eq!(recorded.programs[0].ended.as_ref().unwrap().computed, 4);
    assert!(recorded.programs[1..].iter().all(|program| program.ended.is_none()));
    assert!(recorded.programs.iter().all(|program| !program.live && program.last_ms >= program.started_at_ms));
    let state = |number: u64| &recorded.items[&id(number)];
    assert_eq!((state(0).key, &state(0).state, state(0).nanos), ([2; 40], &State::Done, 200));
    let fails = |number: u64| state(number).failing().map(|failing| (failing.under, failing.how.kind));
    assert_eq!((state(1).key, fails(1), state(1).retry), ([1; 40], Some(([2; 40], FailureKind::Error)), true));
    assert_eq!((state(4).key, fails(4), state(4).retry), ([1; 40], Some(([1; 40], FailureKind::Panic)), true));
    assert_eq!((state(2).key, &state(2).state, state(2).worker), ([1; 40], &State::Done, 3));
    assert_eq!((fails(5), state(5).retry), (Some(([1; 40], FailureKind::Memory)), false));
    assert_eq!((fails(6), state(6).retry), (Some(([1; 40], FailureKind::Timeout)), true));
    assert_eq!(state(8).marks, [8, 7]);
}

#[test]
fn nobody_folds_while_another_takes_part() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path();
    history(cache);
    let segments = files(cache, "log");
    let (one, _) = open(cache);
    // The first was alone, and folded.
    assert_eq!(files(cache, "log").len(), 2);
    let (two, _) = open(cache);
    drop(two);
    let (three, _) = open(cache);
    assert_eq!(files(cache, "log").len(), 4, "one that is gone, and the first is there");
    assert!(segments.iter().all(|path| !path.exists()));
    drop((one, three));
}

#[test]
fn what_is_altered_is_counted_and_set_aside() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path();
    history(cache);
    let whole = read(cache);
    let path = files(cache, "log").into_iter().find(|path| fs::read(path).unwrap().len() > 400).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (ledger, recorded) = open(cache);
    assert_eq!(recorded.damaged, 1);
    assert_eq!(recorded.items.len(), whole.items.len());
    assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes);
    drop(ledger);
    assert_eq!(read(cache).damaged, 0, "it was told once");
}

#[test]
fn a_segment_without_a_header_is_no_obstacle() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path();
    history(cache);
    let dir = cache.join("runs/nightly");
    fs::write(dir.join("0-1-2.log"), b"").unwrap();
    fs::write(dir.join("0-1-3.log"), b"something else, long enough to be a header of a segment").unwrap();
    fs::write(dir.join("0-1-4.log"), b"short").unwrap();
    fs::write(dir.join("notes.txt"), b"of somebody").unwrap();
    let recorded = read(cache);
    assert_eq!((recorded.damaged, recorded.items.len()), (2, 9));
    drop(open(cache));
    assert_eq!(read(cache).damaged, 0);
    assert_eq!(files(cache, "damaged").len(), 2);
    assert!(dir.join("notes.txt").exists());
}

/// A run whose items are others each night kept all of them for ever.
#[test]
fn what_no_list_has_any_more_is_forgotten_after_some_folds() {
    let cache = tempfile::tempdir().unwrap();
    let cache = cache.path();
    for night in 0..40 {
        let (ledger, recorded) = open(cache);
        // Those of the last ten or so are known, and item 100, which each list has.
        let known: Vec<u64> = (0..night).filter(|number| recorded.items.contains_key(&id(*number))).collect();
        let oldest = known.first().copied().unwrap_or(night);
        assert!(
            known.len() as u64 == night - oldest && (10.min(night)..=13).contains(&(night - oldest)),
            "{night}: {known:?}"
        );
        assert_eq!(recorded.items.contains_key(&id(100)), night > 0);
        ledger.begin(&begin(2), &mut list([night, 100], 1)).unwrap();
        ledger.done(id(night), 1, 0, 1);
        ledger.end(&Ended::default());
    }
}
