//! Ledgers as programs use them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use super::super::item::{Ended, State};
use super::super::{Ledger, Name, Recorded, names, remove, retry};
use super::{at_once, begin, failing, files, id, list, nightly, open, read};
use crate::parallel::FailureKind;

#[test]
fn a_run_is_known_to_the_next_program() {
    let cache = tempfile::tempdir().unwrap();
    let (ledger, recorded) = open(cache.path());
    assert_eq!(recorded, Recorded::default());
    ledger.begin(&begin(3), &mut list(0..3, 1)).unwrap();
    ledger.done(id(0), 1, 2, 300);
    let how = failing(FailureKind::Panic, "index out of bounds", "x = 1", 1);
    ledger.failed(id(1), 4, 5, 600, how.clone());
    let ended = Ended { computed: 1, failed: 1, new: 3, ..Ended::default() };
    let kept = ledger.end(&ended);
    assert_eq!((kept.records, kept.lost, kept.error.is_none()), (2, 0, true));

    let recorded = read(cache.path());
    let program = &recorded.programs[0];
    assert_eq!((&program.begin, &program.ended, program.live), (&begin(3), &Some(ended), false));
    assert_eq!(program.pid, std::process::id());
    assert!(program.last_ms >= program.started_at_ms && program.started_at_ms > 0);
    assert_eq!(recorded.last_list.as_ref().unwrap().len(), 3);
    let [done, failed, waiting] = [0, 1, 2].map(|number| &recorded.items[&id(number)]);
    assert_eq!((&done.state, done.attempts, done.worker, done.nanos), (&State::Done, 1, 2, 300));
    assert_eq!(failed.state, State::Failed(Box::new(how)));
    assert_eq!((failed.attempts, failed.worker, failed.nanos), (4, 5, 600));
    assert_eq!((&waiting.state, &waiting.key, &waiting.marks), (&State::Waiting, &[1; 40], &vec![2, 7]));
    let (_ledger, again) = open(cache.path());
    assert_eq!(again, recorded);
}

#[test]
fn what_is_written_is_seen_while_the_run_is_live() {
    let cache = tempfile::tempdir().unwrap();
    let (ledger, _) = open(cache.path());
    ledger.begin(&begin(2), &mut list(0..2, 1)).unwrap();
    ledger.done(id(0), 1, 0, 1);
    while ledger.written() == 0 {
        std::thread::yield_now();
    }
    let recorded = read(cache.path());
    assert_eq!((recorded.live(), &recorded.programs[0].ended), (1, &None));
    assert_eq!(recorded.items[&id(0)].state, State::Done);
    drop(ledger);
    assert_eq!(read(cache.path()).live(), 0);
}

#[test]
fn two_programs_write_side_by_side() {
    let cache = tempfile::tempdir().unwrap();
    let (one, _) = open(cache.path());
    let (two, _) = open(cache.path());
    one.begin(&begin(100), &mut list(0..100, 1)).unwrap();
    two.begin(&begin(100), &mut list(50..150, 1)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..75).for_each(|number| one.done(id(number), 1, 1, 1)));
        scope.spawn(|| (75..150).for_each(|number| two.done(id(number), 1, 2, 1)));
    });
    while one.written() + two.written() < 150 {
        std::thread::yield_now();
    }
    let (three, recorded) = open(cache.path());
    assert_eq!(recorded.live(), 2);
    assert_eq!(recorded.items.len(), 150);
    assert!(recorded.items.values().all(|item| item.state == State::Done));
    assert_eq!(recorded.last_list.unwrap().len(), 100);
    assert!(one.end(&Ended::default()).error.is_none());
    // What is of two is not touched while it lives.
    assert_eq!(read(cache.path()).live(), 1);
    assert!(two.end(&Ended::default()).error.is_none());
    drop(three);
    assert_eq!(read(cache.path()).programs.len(), 2);
}

#[test]
fn a_record_that_is_being_written_is_no_damage_and_a_killed_one_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let (ledger, _) = open(cache.path());
    ledger.begin(&begin(1), &mut list(0..1, 1)).unwrap();
    let path = &files(cache.path(), "log")[0];
    OpenOptions::new().append(true).open(path).unwrap().write_all(&[9; 5]).unwrap();
    assert_eq!(read(cache.path()).damaged, 0);
    drop(ledger);
    let recorded = read(cache.path());
    assert_eq!((recorded.damaged, recorded.items.len()), (1, 1));
}

#[test]
fn what_failed_is_tried_again_when_asked_for() {
    let cache = tempfile::tempdir().unwrap();
    let (ledger, _) = open(cache.path());
    ledger.begin(&begin(4), &mut list(0..4, 1)).unwrap();
    ledger.failed(id(1), 1, 0, 1, failing(FailureKind::Error, "no", "x", 1));
    ledger.done(id(3), 1, 0, 1);
    ledger.end(&Ended::default());
    let tried = || {
        let mut tried: Vec<_> = read(cache.path()).items.into_iter().filter(|(_, item)| item.retry).collect();
        tried.sort_by_key(|(id, _)| *id);
        tried.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert!(tried().is_empty());
    assert_eq!(retry(cache.path(), &nightly()).unwrap(), 1);
    assert_eq!(tried(), [id(1)]);
    // In a list of their own: what failed before is not forgotten for that.
    let (ledger, _) = open(cache.path());
    ledger.begin(&begin(2), &mut list([0, 2], 1)).unwrap();
    for number in [0, 2] {
        ledger.failed(id(number), 1, 0, 1, failing(FailureKind::Error, "no", "x", 1));
    }
    ledger.end(&Ended::default());
    assert_eq!(tried(), [id(1)]);
    assert_eq!(retry(cache.path(), &nightly()).unwrap(), 3);
    assert_eq!(tried(), [id(0), id(1), id(2)]);
    let segments = files(cache.path(), "log").len();
    assert_eq!(retry(cache.path(), &nightly()).unwrap(), 3, "asked for already");
    assert_eq!(files(cache.path(), "log").len(), segments);
    let (ledger, recorded) = open(cache.path());
    assert!(recorded.items[&id(0)].retry);
    ledger.begin(&begin(4), &mut list(0..4, 1)).unwrap();
    ledger.failed(id(0), 2, 0, 1, failing(FailureKind::Error, "still no", "x", 1));
    ledger.done(id(1), 2, 0, 1);
    ledger.end(&Ended::default());
    assert_eq!(tried(), [id(2)]);
    assert_eq!(retry(cache.path(), &Name::new("unknown").unwrap()).unwrap(), 0);
}

#[test]
fn runs_are_listed_and_removed() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(names(cache.path()).unwrap(), [""; 0]);
    assert!(!remove(cache.path(), &nightly()).unwrap());
    for name in ["weekly", "nightly"] {
        drop(Ledger::open(cache.path(), &Name::new(name).unwrap(), at_once()).unwrap());
    }
    fs::create_dir(cache.path().join("runs/.removed-1")).unwrap();
    fs::write(cache.path().join("runs/stray"), b"").unwrap();
    assert_eq!(names(cache.path()).unwrap(), ["nightly", "weekly"]);
    let (ledger, _) = open(cache.path());
    let error = remove(cache.path(), &nightly()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().contains("takes part in it"), "{error}");
    drop(ledger);
    assert!(remove(cache.path(), &nightly()).unwrap());
    assert_eq!(names(cache.path()).unwrap(), ["weekly"]);
    assert!(!cache.path().join("runs/.removed-1").exists());
    assert_eq!(read(cache.path()), Recorded::default());
}

#[test]
fn nothing_is_left_of_a_program_that_did_not_begin() {
    let cache = tempfile::tempdir().unwrap();
    open(cache.path()).0.discard();
    assert!(names(cache.path()).unwrap().is_empty());
    let (other, _) = open(cache.path());
    open(cache.path()).0.discard();
    assert_eq!(files(cache.path(), "log").len(), 1);
    assert!(other.end(&Ended::default()).error.is_none());
}

#[cfg(unix)]
#[test]
fn a_ledger_that_is_removed_under_a_run_is_told() {
    let cache = tempfile::tempdir().unwrap();
    let (ledger, _) = open(cache.path());
    ledger.begin(&begin(1), &mut list(0..1, 1)).unwrap();
    fs::remove_dir_all(cache.path().join("runs")).unwrap();
    ledger.done(id(0), 1, 0, 1);
    let kept = ledger.end(&Ended::default());
    assert_eq!(kept.lost, 1);
    assert!(kept.error.unwrap().to_string().contains("was removed"));
}

#[test]
fn a_newer_release_is_told() {
    let cache = tempfile::tempdir().unwrap();
    drop(open(cache.path()));
    let path = &files(cache.path(), "log")[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 9;
    fs::write(path, bytes).unwrap();
    for error in [
        Recorded::read(cache.path(), &nightly()).unwrap_err(),
        Ledger::open(cache.path(), &nightly(), at_once()).err().unwrap(),
        retry(cache.path(), &nightly()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("format 9): upgrade"), "{error}");
    }
    assert!(remove(cache.path(), &nightly()).unwrap());
}

#[test]
fn a_cache_that_is_gone_does_not_rise_again() {
    let cache = tempfile::tempdir().unwrap();
    let gone = cache.path().join("gone");
    let error = Ledger::open(&gone, &nightly(), at_once()).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(!gone.exists());
}

#[test]
fn values_are_durable_before_their_items_are_done() {
    let cache = tempfile::tempdir().unwrap();
    let flushed = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&flushed);
    let before = Box::new(move || {
        counted.fetch_add(1, SeqCst);
        Ok(())
    });
    let (ledger, _) = Ledger::open(cache.path(), &nightly(), before).unwrap();
    ledger.begin(&begin(1), &mut list(0..1, 1)).unwrap();
    assert_eq!(flushed.load(SeqCst), 0, "a list calls nothing done");
    ledger.done(id(0), 1, 0, 1);
    while ledger.written() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(flushed.load(SeqCst), 1);
    ledger.end(&Ended::default());
    assert_eq!(flushed.load(SeqCst), 1, "nothing was left to call done");
}

#[test]
fn many_programs_come_and_go_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let path = cache.path();
    std::thread::scope(|scope| {
        for program in 0..4_u64 {
            scope.spawn(move || {
                for round in 0..12 {
                    let (ledger, recorded) = open(path);
                    assert_eq!(recorded.damaged, 0);
                    let number = program * 100 + round;
                    if round > 0 {
                        assert_eq!(recorded.items[&id(number - 1)].state, State::Done, "of the round before");
                    }
                    ledger.begin(&begin(1), &mut list(number..number + 1, 1)).unwrap();
                    ledger.done(id(number), 1, 0, 1);
                    let kept = ledger.end(&Ended { complete: true, ..Ended::default() });
                    assert_eq!((kept.records, kept.lost), (1, 0), "{:?}", kept.error);
                    assert!(kept.error.is_none(), "{:?}", kept.error);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                assert_eq!(read(path).damaged, 0);
            }
        });
    });
    let recorded = read(path);
    assert_eq!((recorded.items.len(), recorded.live()), (48, 0));
    assert!(recorded.items.values().all(|item| item.state == State::Done));
    assert_eq!(recorded.programs.len(), 48);
}
