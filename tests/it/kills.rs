//! Programs that are killed at any moment: what was promised is there afterwards, nothing is wrong, nothing is left over.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use larder::Memory;

use crate::child::{self, Other, say, this_program};
use crate::support::{NO_FILES, busy, files_in, open, rounds, telling};

const CHILD: &str = "kills::child_works";
const THREADS: u64 = 3;

/// Two of six take so long that they must survive; every other one is a blob.
fn is_costly(item: u64) -> bool {
    item % 6 < 2
}

fn is_large(item: u64) -> bool {
    item % 2 == 1
}

fn expected(item: u64) -> Vec<u64> {
    vec![item.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1; if is_large(item) { 700 } else { 3 }]
}

fn result(memory: &Memory, item: u64) -> Vec<u64> {
    let compute = |item: &u64| {
        if is_costly(*item) {
            busy(Duration::from_millis(12));
        }
        expected(*item)
    };
    memory.cached_fn("result", 1, compute).call(&item)
}

/// Not a test of its own: what the children of the tests below run, until they are killed or told to end.
#[test]
fn child_works() {
    let Some((role, rest)) = child::role() else { return };
    assert_eq!(role, "work");
    let (start, place) = rest.split_once(' ').unwrap();
    let (start, place): (u64, _) = (start.parse().unwrap(), Path::new(place));
    let log = OpenOptions::new().append(true).create(true).open(place.with_extension("log")).unwrap();
    let memory = open(place);
    let (memory, log, told) = (&memory, &log, &AtomicBool::new(false));
    say("ready");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for item in (start + thread..).step_by(THREADS as usize) {
                    if told.load(SeqCst) {
                        break;
                    }
                    assert_eq!(result(memory, item), expected(item));
                    // One write, so that programs do not mix their lines.
                    (&*log).write_all(format!("{item}\n").as_bytes()).unwrap();
                }
            });
        }
        let _ = std::io::stdin().read(&mut [0]);
        told.store(true, SeqCst);
    });
}

struct Round {
    // Before the directory, which they write to.
    children: Vec<Other>,
    place: PathBuf,
    _dir: tempfile::TempDir,
}

impl Round {
    /// Programs that work on items from these on; the first opens the cache before the others.
    fn start(starts: &[u64]) -> Round {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("cache");
        let start = |start: &u64| {
            let mut child = Other::start(Command::new(this_program()), CHILD, &format!("work {start}"), &place);
            child.wait_for("ready");
            child
        };
        Round { children: starts.iter().map(start).collect(), place, _dir: dir }
    }

    /// The items whose calls have returned.
    fn log(&self) -> Vec<u64> {
        let log = fs::read_to_string(self.place.with_extension("log")).unwrap_or_default();
        log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
    }

    fn wait_for_lines(&self, count: usize) {
        while self.log().len() < count {
            thread::yield_now();
        }
    }

    fn kill(&mut self, child: usize) {
        self.children[child].child.kill().unwrap();
        self.children[child].child.wait().unwrap();
    }

    /// Opens the cache that all have left, and looks at everything in it.
    #[track_caller]
    fn check(&self, round: &str) {
        let logged: BTreeSet<u64> = self.log().into_iter().collect();
        let (builder, lines) = telling(0);
        let memory = builder.memory_tier_bytes(0).open(&self.place).unwrap();
        assert_eq!(files_in(&self.place, "temp"), NO_FILES, "{round}");
        assert_eq!(files_in(&self.place, "guests"), NO_FILES, "{round}");
        let blobs = files_in(&self.place, "blobs").len() as u64;
        let last = logged.last().copied().unwrap_or(0) + 8 * THREADS;
        let mut large = 0;
        for item in 0..=last {
            let before = memory.stats();
            assert_eq!(result(&memory, item), expected(item), "{round}: {item}");
            let after = memory.stats();
            let is_hit = after.hits() > before.hits();
            assert!(is_hit || !(is_costly(item) && logged.contains(&item)), "{round}: {item} is lost: {after:?}");
            large += after.hits_blob - before.hits_blob;
        }
        assert_eq!(blobs, large, "{round}: blobs that nothing names; {:?}", lines.all());
        let reasons = [larder::MissReason::NeverSeen, larder::MissReason::MissingBlob];
        let stats = memory.stats();
        assert_eq!(
            reasons.map(|reason| stats.misses_for(reason)).iter().sum::<u64>(),
            stats.misses(),
            "{round}: {stats:?}"
        );
        memory.clear().unwrap();
        assert_eq!(files_in(&self.place, "blobs"), NO_FILES, "{round}");
    }
}

/// Some number below `end`, another one each time.
fn any(end: usize) -> usize {
    RandomState::new().hash_one(0) as usize % end
}

#[test]
fn a_program_killed_at_any_moment_loses_nothing_that_was_costly() {
    for _ in 0..rounds(4) {
        let lines = 1 + any(120);
        let mut round = Round::start(&[0]);
        round.wait_for_lines(lines);
        round.kill(0);
        round.check(&format!("killed after {lines} lines"));
    }
}

/// Its owner goes on, and closes the cache in order: what the killed one left half done must be found all the same.
#[test]
fn a_guest_killed_at_any_moment_leaves_nothing_behind() {
    for _ in 0..rounds(3) {
        let lines = 1 + any(120);
        let mut round = Round::start(&[0, 30]);
        round.wait_for_lines(lines);
        round.kill(1);
        round.wait_for_lines(round.log().len() + 10);
        assert!(round.children.remove(0).end().success());
        round.check(&format!("guest killed after {lines} lines"));
    }
}

#[test]
fn an_owner_killed_at_any_moment_leaves_all_to_its_guest() {
    for _ in 0..rounds(3) {
        let (lines, more) = (1 + any(120), any(60));
        let mut round = Round::start(&[0, 30]);
        round.wait_for_lines(lines);
        round.kill(0);
        round.wait_for_lines(round.log().len() + more);
        let mut guest = round.children.remove(1);
        if more % 2 == 0 {
            guest.child.kill().unwrap();
            guest.child.wait().unwrap();
        } else {
            assert!(guest.end().success());
        }
        round.check(&format!("owner killed after {lines} lines, its guest ended after {more} more"));
    }
}

/// The moment between a blob and its record, as a killed guest leaves it to an owner that closes in order.
#[test]
fn a_blob_of_a_killed_guest_is_taken_in_or_removed_at_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let (place, other) = (dir.path().join("cache"), dir.path().join("other"));
    for item in [1, 3] {
        assert_eq!(result(&open(&other), item), expected(item));
    }
    assert_eq!(result(&open(&place), 3), expected(3));
    for blob in files_in(&other, "blobs") {
        let to = place.join(blob.strip_prefix(&other).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&blob, to).unwrap();
    }
    fs::write(place.join("guests").join("00000000deadbeef"), "").unwrap();
    let memory = open(&place);
    assert_eq!(files_in(&place, "guests"), NO_FILES);
    assert_eq!(files_in(&place, "blobs").len(), 2, "the second one of item 3 stands for nothing");
    for item in [1, 3] {
        assert_eq!(result(&memory, item), expected(item));
    }
    assert_eq!((memory.stats().hits_blob, memory.stats().misses()), (2, 0));
}
