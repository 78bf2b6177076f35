//! Many programs on one cache: one owner, claims across processes, what happens when the owner is killed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use larder::{Memory, Parallel, delayed};

use crate::child::{self, Other, say, this_program};
use crate::support::{busy, files_in, hit, open, open_telling, rounds};

const CHILD: &str = "programs::child_shares_a_cache";
const THREADS: u64 = 8;

/// A line for each computation: who computed what, whatever happens to it afterwards.
static LOG: OnceLock<File> = OnceLock::new();

#[larder::task]
fn noted(item: u64, micros: u64) -> u64 {
    let mut log = LOG.get().expect("the child opened it");
    log.write_all(format!("{} {item}\n", std::process::id()).as_bytes()).expect("the log can be written");
    busy(Duration::from_micros(micros));
    item * item + 1
}

/// Not a test of its own: what the children of the tests below run.
#[test]
fn child_shares_a_cache() {
    let Some((role, rest)) = child::role() else { return };
    let parts: Vec<_> = rest.split(' ').collect();
    let [items, micros, place] = parts[..] else { panic!("`{rest}`") };
    let (items, micros, place) = (items.parse().unwrap(), micros.parse().unwrap(), Path::new(place));
    let log = OpenOptions::new().append(true).create(true).open(place.with_extension("log")).unwrap();
    assert!(LOG.set(log).is_ok());
    let (memory, lines) = open_telling(place, 0);
    say("ready");
    // Until the parent has started them all.
    let _ = std::io::stdin().read(&mut [0]);
    match &*role {
        "threads" => in_threads(&memory, items, micros),
        "parallel" => in_parallel(&memory, items, micros),
        other => panic!("an unknown role `{other}`"),
    }
    let stats = memory.stats();
    assert_eq!(stats.misses() + stats.hits(), if role == "threads" { items * THREADS } else { items });
    assert_eq!(lines.all(), [""; 0]);
    say("done");
}

/// Every thread asks for everything, each beginning elsewhere.
fn in_threads(memory: &Memory, items: u64, micros: u64) {
    let cached = &memory.cached::<noted>();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let start = (thread * 131 + u64::from(std::process::id()) * 17) % items;
            scope.spawn(move || {
                for item in (start..items).chain(0..start) {
                    assert_eq!(cached.call((item, micros)), item * item + 1);
                }
            });
        }
    });
}

fn in_parallel(memory: &Memory, items: u64, micros: u64) {
    let parallel = Parallel::new().n_jobs(THREADS as i32).memory(memory);
    let values = parallel.run((0..items).map(|item| delayed!(noted(item, micros)))).expect("no call fails");
    assert_eq!(values, (0..items).map(|item| item * item + 1).collect::<Vec<_>>());
}

/// How many processes share, and what each is to do.
struct Share {
    processes: usize,
    items: u64,
    micros: u64,
    role: &'static str,
}

struct Sharing {
    children: Vec<Other>,
    place: PathBuf,
}

impl Share {
    /// Starts the processes, all at the cache `place`, and lets them go at once.
    fn start(&self, place: &Path) -> Sharing {
        let start = |_| {
            let role = format!("{} {} {}", self.role, self.items, self.micros);
            Other::start(Command::new(this_program()), CHILD, &role, place)
        };
        let mut children: Vec<_> = (0..self.processes).map(start).collect();
        children.iter_mut().for_each(|child| child.wait_for("ready"));
        children.iter_mut().for_each(Other::go);
        Sharing { children, place: place.to_owned() }
    }
}

impl Sharing {
    /// The computations so far: process and item.
    fn log(&self) -> Vec<(u32, u64)> {
        let log = fs::read_to_string(self.place.with_extension("log")).unwrap_or_default();
        // The last line may be half written just now.
        let whole = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let number = |word: &str| word.parse::<u64>().expect("the log holds numbers");
        let pair = |line: &str| line.split_once(' ').map(|(a, b)| (number(a) as u32, number(b)));
        whole.filter_map(pair).collect()
    }

    /// Waits until so much was computed.
    fn wait_for_computations(&self, count: usize) {
        while self.log().len() < count {
            thread::yield_now();
        }
    }

    /// Kills whoever owns the cache, and answers its process id.
    fn kill_the_owner(&mut self) -> u32 {
        let words = fs::read_to_string(self.place.join("lock")).expect("there is an owner");
        let owner = words.split(' ').nth(1).and_then(|id| id.parse().ok()).expect("it says who it is");
        let child = self.children.iter_mut().find(|child| child.child.id() == owner).expect("it is one of them");
        child.child.kill().expect("it is alive");
        owner
    }

    /// Waits for all but the killed one.
    fn finish(&mut self, killed: Option<u32>) {
        for mut child in self.children.drain(..) {
            if Some(child.child.id()) != killed {
                child.wait_for("done");
                assert!(child.end().success());
            }
        }
    }
}

#[test]
fn eight_programs_of_eight_threads_compute_each_key_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let mut sharing = Share { processes: 8, items: 1000, micros: 300, role: "threads" }.start(&place);
    sharing.finish(None);
    let mut items: Vec<_> = sharing.log().into_iter().map(|(_, item)| item).collect();
    items.sort_unstable();
    assert_eq!(items, (0..1000).collect::<Vec<_>>());
    let memory = open(&place);
    hit!(memory, hits_index, memory.cached::<noted>().call((7, 300)), 50);
}

#[test]
fn programs_in_parallel_share_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let mut sharing = Share { processes: 3, items: 600, micros: 1000, role: "parallel" }.start(&place);
    sharing.finish(None);
    let log = sharing.log();
    assert_eq!(log.len(), 600, "each item once");
    let mut by_process = HashMap::new();
    log.iter().for_each(|(process, _)| *by_process.entry(*process).or_insert(0) += 1);
    // Who gets how much is the scheduler's; that nobody does it all alone is what the claims are for.
    assert!(by_process.len() > 1, "{by_process:?}");
}

/// No wrong value, no failed call, and only what the dead process held is computed again.
#[test]
fn an_owner_that_is_killed_takes_only_its_own_results_along() {
    for round in 0..rounds(5) {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("cache");
        let (items, role) = (1000, if round % 2 == 0 { "threads" } else { "parallel" });
        let mut sharing = Share { processes: 8, items, micros: 300, role }.start(&place);
        sharing.wait_for_computations(20 + 170 * round % 900);
        let killed = sharing.kill_the_owner();
        sharing.finish(Some(killed));
        let mut by_survivors = HashMap::new();
        let log = sharing.log();
        for (_, item) in log.iter().filter(|(process, _)| *process != killed) {
            *by_survivors.entry(*item).or_insert(0) += 1;
        }
        let twice: Vec<_> = by_survivors.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "round {round}: computed more than once by those that live: {twice:?}");
        let computed = |item| log.iter().any(|(_, other)| *other == item);
        assert!((0..items).all(computed));
        assert_eq!(files_in(&place, "temp").len(), 0);
    }
}
