//! Groups of records, and what hinders them.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::super::commit::{BeforeCommit, Committer, MOST};
use super::super::frame::{FrameReader, HEADER_BYTES, Tail};
use super::super::item::Ended;
use super::super::log::{Log, Sink};
use super::super::record::{Outcome, Record, put_outcome};
use super::id;
use crate::lock::lock;

const ID: u64 = 5;

/// A disk of its own.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// No more fits than this.
    room: Option<usize>,
    broken: bool,
    /// Lengths of what was appended at once.
    appended: Vec<usize>,
    syncs: usize,
}

impl Sink for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.0);
        let fits = state.room.map_or(bytes.len(), |room| room.saturating_sub(state.bytes.len()).min(bytes.len()));
        state.bytes.extend_from_slice(&bytes[..fits]);
        state.appended.push(fits);
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.0);
        if state.broken {
            return Err(io::Error::other("broken"));
        }
        state.bytes.truncate(len as usize - HEADER_BYTES);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = lock(&self.0);
        state.syncs += 1;
        if state.broken { Err(io::Error::other("broken")) } else { Ok(()) }
    }
}

impl Disk {
    fn log(&self) -> Log {
        Log::new(Box::new(self.clone()), ID)
    }

    fn start(&self, before: BeforeCommit) -> Committer {
        Committer::start(self.log(), before).unwrap()
    }

    fn records(&self) -> (Vec<Record>, Tail) {
        let mut records = Vec::new();
        let bytes = lock(&self.0).bytes.clone();
        let tail = FrameReader::new(&bytes[..], ID).read(|payload| {
            records.push(Record::parse(payload).unwrap());
            true
        });
        (records, tail.unwrap())
    }

    /// The numbers of the items that something came of, in order, and whether there is a summary.
    fn outcomes(&self) -> (Vec<u64>, bool) {
        let (records, tail) = self.records();
        assert_eq!(tail, Tail::Whole);
        let ended = matches!(records.last(), Some(Record::Ended { .. }));
        let outcomes = records.iter().filter_map(|record| match record {
            Record::Outcome { outcome, .. } => Some(u64::from_le_bytes(*outcome.id.0.first_chunk().unwrap())),
            _ => None,
        });
        (outcomes.collect(), ended)
    }
}

fn outcome(number: u64) -> Outcome {
    Outcome { id: id(number), attempts: 1, worker: 0, nanos: 1, failure: None }
}

/// What a group waits for: told that it has begun, it goes on when it is let.
fn gate() -> (BeforeCommit, Receiver<()>, Sender<()>) {
    let (begun, is_begun) = channel();
    let (let_on, may_go_on) = channel();
    let may_go_on = Mutex::new(may_go_on);
    let before = move || {
        begun.send(()).map_err(io::Error::other)?;
        lock(&may_go_on).recv().map_err(io::Error::other)
    };
    (Box::new(before), is_begun, let_on)
}

fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn what_comes_while_a_group_is_written_is_the_next_group() {
    let disk = Disk::default();
    let (before, begun, go_on) = gate();
    let committer = disk.start(before);
    committer.add(outcome(0));
    begun.recv().unwrap();
    (1..=1000).for_each(|number| committer.add(outcome(number)));
    assert_eq!((lock(&disk.0).appended.len(), committer.written()), (0, 0), "nothing before the values are durable");
    go_on.send(()).unwrap();
    begun.recv().unwrap();
    assert_eq!(committer.written(), 1);
    go_on.send(()).unwrap();
    until(|| committer.written() == 1001);
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost, kept.error.is_none()), (1001, 0, true));
    assert_eq!(disk.outcomes(), ((0..=1000).collect(), true));
    assert_eq!(lock(&disk.0).appended.len(), 3, "two groups and the summary");
    assert!(lock(&disk.0).syncs >= 1);
}

#[test]
fn who_is_far_ahead_waits() {
    let disk = Disk::default();
    let (before, begun, go_on) = gate();
    let committer = Arc::new(disk.start(before));
    let ahead = MOST as u64 * 3;
    let (told, told_one) = channel();
    let adder = {
        let committer = Arc::clone(&committer);
        thread::spawn(move || (0..ahead).for_each(|number| (committer.add(outcome(number)), told.send(())).1.unwrap()))
    };
    for _ in 0..MOST {
        told_one.recv().unwrap();
    }
    begun.recv().unwrap();
    assert!(told_one.try_recv().is_err(), "so many are not written, and no more come");
    let opener = thread::spawn(move || while go_on.send(()).is_ok() {});
    adder.join().unwrap();
    until(|| committer.written() == ahead);
    let kept = Arc::into_inner(committer).unwrap().end(Ended::default());
    assert_eq!((kept.records, kept.lost), (ahead, 0));
    assert_eq!(disk.outcomes().0, (0..ahead).collect::<Vec<_>>());
    opener.join().unwrap();
}

#[test]
fn a_group_that_failed_is_written_with_the_next() {
    let disk = Disk::default();
    let fails = Arc::new(AtomicBool::new(true));
    let before = Arc::clone(&fails);
    let committer =
        disk.start(Box::new(move || if before.load(SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }));
    committer.add(outcome(1));
    until(|| committer.lost() == 1);
    committer.add(outcome(2));
    until(|| committer.lost() == 2);
    fails.store(false, SeqCst);
    committer.add(outcome(3));
    until(|| committer.written() == 3);
    assert_eq!(committer.lost(), 0);
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost, kept.error.is_none()), (3, 0, true));
    assert_eq!(disk.outcomes(), (vec![1, 2, 3], true));
}

#[test]
fn a_group_that_failed_is_tried_again_though_no_other_comes() {
    let disk = Disk::default();
    lock(&disk.0).room = Some(20);
    let committer = disk.start(Box::new(|| Ok(())));
    committer.add(outcome(1));
    until(|| committer.lost() == 1);
    lock(&disk.0).room = None;
    until(|| committer.written() == 1);
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost, kept.error.is_none()), (1, 0, true));
}

#[test]
fn a_group_that_failed_is_written_at_the_end() {
    let disk = Disk::default();
    lock(&disk.0).room = Some(20);
    let committer = disk.start(Box::new(|| Ok(())));
    committer.add(outcome(1));
    until(|| committer.lost() == 1);
    lock(&disk.0).room = None;
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost, kept.error.is_none()), (1, 0, true));
    assert_eq!(disk.outcomes(), (vec![1], true));
}

#[test]
fn what_is_never_written_is_counted_and_holds_up_nobody() {
    let disk = Disk::default();
    lock(&disk.0).room = Some(20);
    let committer = disk.start(Box::new(|| Ok(())));
    let many = MOST as u64 * 3;
    (0..many).for_each(|number| committer.add(outcome(number)));
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost), (0, many));
    assert_eq!(kept.error.unwrap().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn a_panic_before_a_group_is_a_failure() {
    let disk = Disk::default();
    let committer = disk.start(Box::new(|| panic!("of the test")));
    (0..10_000).for_each(|number| committer.add(outcome(number)));
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost), (0, 10_000));
    assert!(kept.error.unwrap().to_string().contains("panicked"));
}

#[test]
fn a_sync_that_failed_is_told() {
    let disk = Disk::default();
    lock(&disk.0).broken = true;
    let committer = disk.start(Box::new(|| Ok(())));
    committer.add(outcome(1));
    let kept = committer.end(Ended::default());
    assert_eq!((kept.records, kept.lost), (1, 1), "it is written, and may not be on the disk");
    assert_eq!(kept.error.unwrap().to_string(), "broken");
}

#[test]
fn a_sync_comes_by_itself() {
    let disk = Disk::default();
    let committer = disk.start(Box::new(|| Ok(())));
    committer.add(outcome(1));
    until(|| lock(&disk.0).syncs == 1);
    committer.sync_soon();
    until(|| lock(&disk.0).syncs == 2);
    drop(committer);
}

#[test]
fn a_ledger_that_is_dropped_is_written_and_not_ended() {
    let disk = Disk::default();
    let committer = disk.start(Box::new(|| Ok(())));
    (0..100).for_each(|number| committer.add(outcome(number)));
    drop(committer);
    assert_eq!(disk.outcomes(), ((0..100).collect(), false));
    assert!(lock(&disk.0).syncs >= 1);
}

#[test]
fn a_short_write_is_cut_off_before_the_next() {
    let write = |log: &mut Log, numbers: std::ops::Range<u64>| {
        log.write(|frames| numbers.for_each(|number| frames.push(|out| put_outcome(out, 1, &outcome(number)))))
    };
    let whole = Disk::default();
    let mut log = whole.log();
    write(&mut log, 0..1).unwrap();
    let first = lock(&whole.0).bytes.len();
    write(&mut log, 1..3).unwrap();
    let len = lock(&whole.0).bytes.len();
    for room in first..len {
        let disk = Disk::default();
        let mut log = disk.log();
        write(&mut log, 0..1).unwrap();
        lock(&disk.0).room = Some(room);
        write(&mut log, 1..3).unwrap_err();
        assert_eq!(lock(&disk.0).bytes.len(), room);
        // What is there cannot be cut off: nothing is written behind it.
        lock(&disk.0).broken = true;
        write(&mut log, 1..3).unwrap_err();
        assert_eq!(lock(&disk.0).bytes.len(), room);
        (lock(&disk.0).broken, lock(&disk.0).room) = (false, None);
        write(&mut log, 1..3).unwrap();
        assert_eq!(disk.outcomes().0, [0, 1, 2], "a write that ended at {room}");
        assert_eq!(lock(&disk.0).bytes, lock(&whole.0).bytes);
    }
}

#[test]
fn a_clock_that_is_set_back_stands_still() {
    let mut log = Disk::default().log();
    assert_eq!([5, 9, 3, 0, 10].map(|now| log.time(now)), [5, 9, 9, 9, 10]);
}
