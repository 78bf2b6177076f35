//! A cache directory: what makes it one, and who holds it.
//!
//! ```text
//! larder-format     "larder cache format 1"
//! CACHEDIR.TAG      so that backup programs pass it by (https://bford.info/cachedir/)
//! .gitignore        "*"
//! lock              held by the process that owns the index
//! socket            where it serves the others
//! guests/           a file for each of these, held by it
//! index/            sled
//! blobs/ab/abcd…    large values
//! temp/             what is being written
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, LocationReason};

/// The version of the directory's layout.
const FORMAT: u32 = 1;
const LOCK: &str = "lock";
const FORMAT_WORDS: &str = "larder cache format ";
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of the larder crate: safe to delete.\n";

/// An existing cache directory, held by this process.
pub(crate) struct Location {
    pub(crate) path: PathBuf,
    /// Its lock ends with the file.
    lock: File,
}

/// What trying to hold a directory met.
pub(super) enum Hold {
    Mine(Location),
    Held(Holder),
}

/// Who holds a directory, as far as its lock file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    words: String,
}

impl Holder {
    fn current() -> Holder {
        Holder { words: format!("process {} on {}", std::process::id(), host()) }
    }

    /// Whether it runs on another host: then the directory is on a network file system.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.words.split_once(" on ").is_some_and(|(_, at)| at != host())
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.words.is_empty() { "another process" } else { &self.words })
    }
}

/// This host's name.
fn host() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Makes the directory at `path` if it is missing, and checks that it is a cache or can become one.
///
/// # Errors
/// `path` is a file, foreign, from a newer release, or the system refuses.
pub(crate) fn prepare(path: &Path) -> Result<(), Error> {
    let io = |what: &str, error: io::Error| failed(path, what, LocationReason::Io, Some(error));
    if path.as_os_str().is_empty() {
        return Err(failed(path, "is empty: give the path of a directory", LocationReason::Io, None));
    }
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let what = "is a file, not a directory: give the path of a directory, which is made if it is missing";
            return Err(failed(path, what, LocationReason::Io, None));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(path).map_err(|error| {
            io("cannot be created: check the path and its permissions, or choose another directory", error)
        })?,
        Err(error) => return Err(io("cannot be looked at: check the path and its permissions", error)),
    }
    check_format(path)
}

impl Location {
    /// Tries to take the lock of a directory that is [prepared](prepare), and makes it a cache if it is new.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn try_hold(path: &Path) -> Result<Hold, Error> {
        let refused = |error| {
            let what = "cannot be written to: check its permissions and the free space, or choose another directory";
            failed(path, what, LocationReason::Io, Some(error))
        };
        for folder in ["blobs", "temp", "guests"] {
            fs::create_dir_all(path.join(folder)).map_err(refused)?;
        }
        let lock = match take_lock(path).map_err(|error| {
            let what = "cannot be locked: check its permissions and the free space, or choose another directory";
            failed(path, what, LocationReason::Io, Some(error))
        })? {
            Ok(lock) => lock,
            Err(holder) => return Ok(Hold::Held(holder)),
        };
        write_missing(path, "CACHEDIR.TAG", TAG).map_err(refused)?;
        write_missing(path, ".gitignore", "*\n").map_err(refused)?;
        write_missing(path, "larder-format", &format!("{FORMAT_WORDS}{FORMAT}\n")).map_err(refused)?;
        Ok(Hold::Mine(Location { path: path.to_owned(), lock }))
    }

    /// Whether the directory at this path is still the one that is held: not removed, not replaced.
    pub(super) fn is_in_place(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            match (fs::metadata(self.path.join(LOCK)), self.lock.metadata()) {
                (Ok(there), Ok(held)) => id(there) == id(held),
                (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
                // A lock that cannot be looked at tells nothing.
                (_, Err(_)) => true,
            }
        }
        #[cfg(not(unix))]
        self.path.join(LOCK).exists()
    }
}

/// A shared hold on a directory that is only read, so that nobody opens its index meanwhile; `None` where there is no lock
/// to take.
///
/// # Errors
/// Who holds it, or that the system refuses.
pub(super) fn hold_to_read(path: &Path) -> Result<Option<File>, Result<Holder, io::Error>> {
    let mut file = match File::open(path.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Err(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Ok(holder_of(&mut file))),
        Err(TryLockError::Error(error)) => Err(Err(error)),
    }
}

/// Checks that the directory at `path` is a cache, and touches nothing.
///
/// # Errors
/// It is none, it is of a newer release, or it cannot be read.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    match fs::metadata(path.join("larder-format")) {
        Ok(_) => check_format(path),
        Err(error) => {
            let what = "is no cache: open it once for writing, or give the directory of one";
            Err(failed(path, what, LocationReason::Foreign, Some(error)))
        }
    }
}

pub(crate) fn failed(path: &Path, what: &str, reason: LocationReason, source: Option<io::Error>) -> Error {
    Error::new(Kind::Location {
        path: path.to_owned(),
        what: what.to_owned(),
        reason,
        source: source.map(|error| error.into()),
    })
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    failed(path, "cannot be read: check its permissions", LocationReason::Io, Some(error))
}

fn check_format(path: &Path) -> Result<(), Error> {
    let words = match fs::read_to_string(path.join("larder-format")) {
        Ok(words) => words,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check_unused(path),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => {
            return Err(failed(path, "has a `larder-format` that cannot be read", LocationReason::Io, Some(error)));
        }
    };
    match words.strip_prefix(FORMAT_WORDS).and_then(|number| number.trim_end().parse::<u32>().ok()) {
        Some(FORMAT) => Ok(()),
        Some(newer) if newer > FORMAT => {
            let what = format!(
                "was written by a newer release (format {newer}, this one knows {FORMAT}): \
                 upgrade the `larder` crate, or choose another directory"
            );
            Err(failed(path, &what, LocationReason::NewerFormat, None))
        }
        _ => {
            let what = format!(
                "has a damaged `larder-format`: if it is a cache, write `{FORMAT_WORDS}{FORMAT}` into that file; \
                 otherwise choose another directory"
            );
            Err(failed(path, &what, LocationReason::Foreign, None))
        }
    }
}

/// A directory without a format file is taken over only if it holds nothing, or just what a cache cut short at its
/// birth holds.
fn check_unused(path: &Path) -> Result<(), Error> {
    const OURS: [&str; 6] = ["blobs", "temp", "guests", "lock", "CACHEDIR.TAG", ".gitignore"];
    let list = fs::read_dir(path)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(|error| failed(path, "cannot be listed: check its permissions", LocationReason::Io, Some(error)))?;
    match list.iter().find(|item| !OURS.iter().any(|ours| item.file_name() == *ours)) {
        None => Ok(()),
        // Another program made it a cache since.
        Some(_) if path.join("larder-format").exists() => check_format(path),
        Some(foreign) => {
            let what = format!(
                "is not a cache and not empty (it holds `{}`): give an empty or a new directory",
                foreign.file_name().display()
            );
            Err(failed(path, &what, LocationReason::Foreign, None))
        }
    }
}

fn take_lock(path: &Path) -> io::Result<Result<File, Holder>> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => {
            let holder = format!("{}\n", Holder::current());
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()))?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => Ok(Err(holder_of(&mut file))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn holder_of(lock: &mut File) -> Holder {
    let mut words = String::new();
    // The words only help a person; without them it is someone.
    let _ = lock.take(1000).read_to_string(&mut words);
    Holder { words: words.trim_end().to_owned() }
}

/// Tries until there is an answer, for half a second.
///
/// A lock may be held for a moment by nobody who means to: a process that this one, or the last holder, is just starting
/// has a copy of every open file between its fork and its exec. The system has no call that waits for a lock so long
/// and no longer, hence the looking again.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    const PATIENCE: Duration = Duration::from_millis(500);
    const PAUSE: Duration = Duration::from_millis(5);
    let start = Instant::now();
    loop {
        match attempt() {
            None if start.elapsed() < PATIENCE => std::thread::park_timeout(PAUSE),
            answer => return answer,
        }
    }
}

/// Writes a file that is missing, whole or not at all.
fn write_missing(path: &Path, name: &str, words: &str) -> io::Result<()> {
    let path_to = path.join(name);
    if path_to.exists() {
        return Ok(());
    }
    let mut temp = super::blob::temporary(&path.join("temp"))?;
    temp.write_all(words.as_bytes())?;
    temp.persist(path_to).map_err(|error| error.error)?;
    Ok(())
}
