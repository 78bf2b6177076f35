//! A program is killed while it stores.
//!
//! Two tests make it: one that calls [`child`], and one that calls [`check`] with the name of the first, which it starts
//! again and again in a process of its own. Everywhere else the first does nothing.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::sample::Sample;
use super::{FOREVER, obeyed};
use crate::store::Store;

/// Tells a child what it is to do: the number of its first entry, and the directory.
const ROLE: &str = "LARDER_CONFORMANCE_CRASH";
const THREADS: u64 = 2;
/// Keys of each thread that are put again and again.
const SLOTS: u64 = 3;
/// A child that nobody kills ends by itself after so many puts of each thread.
const MOST: u64 = 1_000_000;

/// What a thread of the children puts as its `number`th, counted through all of them.
fn put_as(thread: u64, number: u64) -> Sample {
    let len = [60, 5000, 0, 4096, 20_000][(number % 5) as usize];
    let is_slot = number % 2 == 1;
    let argument = if is_slot { number / 2 % SLOTS } else { number };
    Sample {
        function: if is_slot { "conformance::crash::replaced" } else { "conformance::crash::put_once" },
        // Whoever finds it cheap to lose the last of a key may lose those before: so all of these are costly.
        costly: is_slot || number.is_multiple_of(4),
        round: number,
        ..Sample::new(argument * THREADS + thread, len)
    }
}

/// The body of a `#[test]` that [`check`] starts in another process: there it stores until it is killed. It returns at once
/// where it was not started so, as in a run of all tests.
///
/// `open` is as in [`check`].
///
/// # Panics
/// In the other process: the store fails, or the parent is gone.
pub fn child<S: Store>(open: impl Fn(&Path) -> S) {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (first, dir) = role.split_once(' ').expect("the parent says a number and a directory");
    let first: u64 = first.parse().expect("the parent says a number");
    let store = &open(Path::new(dir));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for number in first..first + MOST {
                    put_as(thread, number).put(store);
                    // In one piece, on a line of its own: the test harness prints before and after.
                    let mut out = io::stdout().lock();
                    let said = out.write_all(format!("\nput {thread} {number}\n").as_bytes());
                    said.and_then(|()| out.flush()).expect("the parent listens");
                }
            });
        }
    });
}

/// Checks what is left of a program that is killed while it stores. In each of `rounds` rounds this test program is started
/// anew with the test `test` only (its full name, as the test harness prints it), which calls [`child`]; it is killed after
/// it acknowledged some entries, and the store is opened again. Every entry that was acknowledged and costly must be there,
/// every other right or not there, and nothing else.
///
/// `open` is called with the path of a directory, empty at first, to open what the store last opened there left.
///
/// # Panics
/// A law is broken, or does not end within two minutes: the message says which. Or the test program cannot be started again,
/// or ends by itself.
pub fn check<S: Store>(test: &str, rounds: u64, open: impl Fn(&Path) -> S) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        // Early and late, the same in every run.
        let acknowledged = 1 + round * 37 % 150;
        ledger.run_child(test, dir.path(), acknowledged);
        let store: Arc<dyn Store> = Arc::new(open(dir.path()));
        let expected = ledger.keys();
        let name = format!("what was acknowledged outlives a killed program, round {round}");
        obeyed(&name, move || expected.iter().for_each(|key| key.must_hold(&*store)));
    }
    let store: Arc<dyn Store> = Arc::new(open(dir.path()));
    let expected = ledger.keys();
    obeyed("what was never put is not there", move || nothing_else(&*store, &expected));
}

/// What the children said.
#[derive(Default)]
struct Ledger {
    /// The number of the first put of the next child.
    next: u64,
    /// By thread: the ranges of numbers put by each child, and whether each of them was acknowledged but for the last.
    puts: Vec<Puts>,
}

/// The puts of one thread of one child: all up to `acknowledged` (excluded) were acknowledged; one more may be there.
struct Puts {
    thread: u64,
    first: u64,
    acknowledged: u64,
}

impl Ledger {
    /// Starts a child, kills it once it has acknowledged so many puts, and notes what it did.
    fn run_child(&mut self, test: &str, dir: &Path, enough: u64) {
        let first = self.next;
        let mut child = Running::start(test, &format!("{first} {}", dir.display()));
        let mut acknowledged = [first; THREADS as usize];
        let mut count = 0;
        while let Some(line) = child.next_line() {
            let Some((thread, number)) = acknowledgement(&line) else { continue };
            assert_eq!(acknowledged[thread], number, "thread {thread} puts one after the other");
            acknowledged[thread] = number + 1;
            count += 1;
            if count == enough {
                // What it says until then counts.
                child.kill();
            }
        }
        assert!(
            count >= enough,
            "the child ended by itself after {count} puts: is `{test}` a test that calls `crash::child`? It said: {:#?}",
            child.heard
        );
        for (thread, acknowledged) in (0..).zip(acknowledged) {
            self.puts.push(Puts { thread, first, acknowledged });
            self.next = self.next.max(acknowledged + 1);
        }
    }

    /// What must hold of each key that was put.
    fn keys(&self) -> Vec<Expected> {
        let mut keys = BTreeMap::new();
        for puts in &self.puts {
            for number in puts.first..=puts.acknowledged {
                let sample = put_as(puts.thread, number);
                let expected = keys.entry(sample.key()).or_insert_with(Expected::default);
                if number < puts.acknowledged && sample.costly {
                    // Those before may be there no more.
                    expected.candidates.clear();
                    expected.must_be_there = true;
                }
                expected.candidates.push(sample);
            }
        }
        keys.into_values().collect()
    }
}

/// What may be found under one key.
#[derive(Default)]
struct Expected {
    /// In the order they were put.
    candidates: Vec<Sample>,
    must_be_there: bool,
}

impl Expected {
    fn must_hold(&self, store: &dyn Store) {
        let Some(first) = self.candidates.first() else { return };
        match store.get(&first.key()) {
            Ok(found) => match self.candidates.iter().find(|sample| sample.round == found.facts.compute_nanos) {
                Some(sample) => sample.must_be(&found),
                None => panic!("put number {} was found instead of {first:?}", found.facts.compute_nanos),
            },
            Err(absent) => {
                assert!(!self.must_be_there, "{first:?} was acknowledged, and is not there: {absent:?}");
            }
        }
    }
}

fn nothing_else(store: &dyn Store, expected: &[Expected]) {
    // Numbers that no child came to.
    for thread in 0..THREADS {
        for number in (MOST..MOST + 20).step_by(2) {
            put_as(thread, number).must_not_be_in(store);
        }
    }
    for function in ["conformance::crash::put_once", "conformance::crash::replaced"] {
        let of_function =
            || expected.iter().filter_map(|key| key.candidates.first()).filter(|sample| sample.function == function);
        let there = of_function().filter(|sample| store.get(&sample.key()).is_ok()).count() as u64;
        let put = of_function().count() as u64;
        match store.clear_function(function, false) {
            // An entry that is there and cannot be served may be counted or not.
            Ok(count) => {
                assert!((there..=put).contains(&count), "of {put} entries {there} are there, {count} were cleared")
            }
            Err(error) => panic!("clearing after the kills: {error}"),
        }
        of_function().for_each(|sample| sample.must_not_be_in(store));
    }
    let cleared = store.clear();
    assert!(cleared.is_ok(), "clearing everything after the kills: {cleared:?}");
}

fn acknowledgement(line: &str) -> Option<(usize, u64)> {
    let (thread, number) = line.strip_prefix("put ")?.split_once(' ')?;
    Some((thread.parse().ok()?, number.parse().ok()?))
}

/// A child, killed with whoever has it.
struct Running {
    child: Child,
    lines: Receiver<String>,
    /// What it said beside acknowledgements.
    heard: Vec<String>,
}

impl Running {
    fn start(test: &str, role: &str) -> Running {
        let program = std::env::current_exe().expect("the system knows this program");
        let mut child = Command::new(program)
            .args(["--exact", test, "--nocapture", "--include-ignored"])
            .env(ROLE, role)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let (sender, lines) = channel();
        let out = child.stdout.take().map(|out| Box::new(out) as Box<dyn Read + Send>);
        let err = child.stderr.take().map(|err| Box::new(err) as Box<dyn Read + Send>);
        for pipe in out.into_iter().chain(err) {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in whole_lines(pipe) {
                    // Nobody listens once the check has failed.
                    let _ = sender.send(line);
                }
            });
        }
        Running { child, lines, heard: Vec::new() }
    }

    /// The next line of the child; `None` at its end.
    fn next_line(&mut self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.lines.recv_timeout(FOREVER) {
            Ok(line) => {
                if acknowledgement(&line).is_none() && !line.is_empty() {
                    self.heard.push(line.clone());
                }
                Some(line)
            }
            Err(Disconnected) => None,
            Err(Timeout) => panic!("the child is silent since {FOREVER:?}; it said: {:#?}", self.heard),
        }
    }

    fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        // Its files are free once it is gone.
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that were written whole: the last may have been cut by the kill.
fn whole_lines(pipe: impl Read) -> impl Iterator<Item = String> {
    let mut pipe = BufReader::new(pipe);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        pipe.read_until(b'\n', &mut line).ok()?;
        let whole = line.strip_suffix(b"\n")?;
        Some(String::from_utf8_lossy(whole).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_does_not_count() {
        let said = "running 1 test\n\nput 0 17\n\nput 1 3\n\nput 0 1";
        let heard: Vec<_> = whole_lines(said.as_bytes()).filter_map(|line| acknowledgement(&line)).collect();
        assert_eq!(heard, [(0, 17), (1, 3)]);
    }

    #[test]
    fn what_is_expected_follows_from_what_was_acknowledged() {
        let mut ledger = Ledger::default();
        let slots = |ledger: &Ledger| {
            let of_slot = |key: &Expected| key.candidates[0].function.ends_with("replaced");
            let keys = ledger.keys().into_iter().filter(of_slot);
            keys.map(|key| key.candidates.iter().map(|sample| sample.round).collect::<Vec<_>>()).collect::<Vec<_>>()
        };
        // 1, 3, 5 and 7 are puts into slots; 7 goes where 1 went, and was not acknowledged.
        ledger.puts.push(Puts { thread: 0, first: 0, acknowledged: 7 });
        let mut met = slots(&ledger);
        met.sort_unstable();
        assert_eq!(met, [vec![1, 7], vec![3], vec![5]]);
        ledger.puts.push(Puts { thread: 0, first: 8, acknowledged: 14 });
        let mut met = slots(&ledger);
        met.sort_unstable();
        assert_eq!(met, [vec![9], vec![11], vec![13]]);
        let once =
            ledger.keys().into_iter().filter(|key| key.candidates[0].round == 2 || key.candidates[0].round == 14);
        let must: Vec<_> = once.map(|key| key.must_be_there).collect();
        assert_eq!(must, [false, false], "cheap, and not acknowledged");
    }
}
