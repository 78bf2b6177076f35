//! What several modules share: memories that tell what they say, the words `hit!` and `miss!`, a watchdog.

use std::collections::BTreeMap;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use larder::{Memory, MemoryBuilder};

/// Far longer than any of these tests takes on a busy machine: only what would never end meets it.
pub(crate) const FOREVER: Duration = Duration::from_secs(60);

/// What [`files_in`] an empty folder are.
pub(crate) const NO_FILES: [PathBuf; 0] = [];

/// A load: `hit!(memory, hits_index, call, value)`. Nothing may be computed.
macro_rules! hit {
    ($memory:expr, $source:ident, $call:expr, $value:expr) => {{
        let before = $memory.stats();
        assert_eq!($call, $value);
        let after = $memory.stats();
        let counted = (after.$source - before.$source, after.hits() - before.hits(), after.misses() - before.misses());
        assert_eq!(counted, (1, 1, 0), "{}, hits, misses of `{}`", stringify!($source), stringify!($call));
    }};
}

/// A computation and its reason: `miss!(memory, NeverSeen, call, value)`.
macro_rules! miss {
    ($memory:expr, $reason:ident, $call:expr, $value:expr) => {{
        let before = $memory.stats();
        assert_eq!($call, $value);
        let after = $memory.stats();
        let for_reason = larder::MissReason::ALL
            .into_iter()
            .filter(|reason| after.misses_for(*reason) > before.misses_for(*reason))
            .collect::<Vec<_>>();
        assert_eq!(for_reason, [larder::MissReason::$reason], "misses of `{}`", stringify!($call));
        let counted = (after.misses() - before.misses(), after.hits() - before.hits());
        assert_eq!(counted, (1, 0), "misses, hits of `{}`", stringify!($call));
    }};
}

pub(crate) use {hit, miss};

/// The lines that a memory said.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("the test did not panic while a line was added").clone()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.all().into_iter().filter(|line| line.starts_with("larder: warning: ")).collect()
    }
}

pub(crate) fn open(dir: &Path) -> Memory {
    Memory::open(dir).expect("the cache opens")
}

/// A builder whose lines are kept.
pub(crate) fn telling(verbose: u8) -> (MemoryBuilder, Lines) {
    let lines = Lines::default();
    let told = lines.clone();
    let builder = Memory::builder().verbose(verbose).report_to(move |line| {
        told.0.lock().expect("the test did not panic while a line was added").push(line.to_owned());
    });
    (builder, lines)
}

pub(crate) fn open_telling(dir: &Path, verbose: u8) -> (Memory, Lines) {
    let (builder, lines) = telling(verbose);
    (builder.open(dir).expect("the cache opens"), lines)
}

/// A directory in memory, where the system has such: for tests that make hundreds, and need no disk.
pub(crate) fn quick_directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("there is room")
}

/// At how many positions of a file a byte is altered, in turn: at each if `LARDER_IT_FULL` is set.
pub(crate) fn most_positions(usual: usize) -> usize {
    if std::env::var_os("LARDER_IT_FULL").is_some() { usize::MAX } else { usual }
}

/// Every file under `dir`, by its path from there, with its content.
pub(crate) fn image(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(dir: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for item in fs::read_dir(dir).expect("the directory can be listed") {
            let path = item.expect("the directory can be listed").path();
            if path.is_dir() {
                add(&path, root, files);
            } else {
                let name = path.strip_prefix(root).expect("it is under the root").to_owned();
                files.insert(name, fs::read(&path).expect("the file can be read"));
            }
        }
    }
    let mut files = BTreeMap::new();
    add(dir, dir, &mut files);
    files
}

/// Writes files as [`image`] gave them.
pub(crate) fn restore(image: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path) {
    for (name, content) in image {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
        fs::write(path, content).expect("the file can be written");
    }
}

/// The files in the folder `folder` of a cache, at any depth.
pub(crate) fn files_in(cache: &Path, folder: &str) -> Vec<PathBuf> {
    image(&cache.join(folder)).into_keys().map(|name| cache.join(folder).join(name)).collect()
}

/// The result of `work`, which must end: a deadlock fails the test instead of holding up the run.
pub(crate) fn ends<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, result) = mpsc::channel();
    let worker = thread::spawn(move || {
        // Nobody listens once the time is up.
        let _ = sender.send(work());
    });
    match result.recv_timeout(FOREVER) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("not ended after {FOREVER:?}: a deadlock"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => panic!("the work ended without a result"),
        },
    }
}

/// Computes for at least `time`: what a costly function does.
pub(crate) fn busy(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// How many rounds of a test with chance in it: `LARDER_IT_ROUNDS`, or so many.
pub(crate) fn rounds(usual: usize) -> usize {
    std::env::var("LARDER_IT_ROUNDS").map_or(usual, |rounds| rounds.parse().expect("a number of rounds"))
}
