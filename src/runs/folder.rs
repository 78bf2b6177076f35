//! The segments of a run: where they are, whose are alive, and how one begins.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::frame::{HEADER_BYTES, Header, Kind, NoHeader};
use super::name::Name;

const FOLDER: &str = "runs";
const SEGMENT: &str = "log";
/// A segment that is being made. Nothing reads it.
const NEW: &str = "new";
/// A segment that was altered and folded as far as it could be read. Nothing reads it again.
const DAMAGED: &str = "damaged";
/// Folds move the segments away while they are looked for; more of them in a row than this do not happen.
const LOOKS: usize = 100;

/// Where the ledgers of all runs are.
pub(super) fn all_runs(cache: &Path) -> PathBuf {
    cache.join(FOLDER)
}

/// Where the ledger of a run is.
pub(super) fn of_run(cache: &Path, name: &Name) -> PathBuf {
    all_runs(cache).join(name.as_str())
}

/// Makes the folder of a run, but not the cache: one that was removed is not to rise again in parts.
pub(super) fn make(cache: &Path, name: &Name) -> io::Result<PathBuf> {
    let dir = of_run(cache, name);
    make_one(&all_runs(cache), cache)?;
    make_one(&dir, &all_runs(cache))?;
    Ok(dir)
}

fn make_one(dir: &Path, within: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => sync(within),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(about(dir, "cannot be made", error)),
    }
}

/// Makes the names in a folder as safe as the bytes.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// The same error, with the path it is about.
pub(super) fn about(path: &Path, what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}` of the ledger {what}: {error}", path.display()))
}

/// A segment that was found.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Read up to behind the header.
    pub(super) file: File,
    /// Someone holds its lock: it may grow.
    pub(super) live: bool,
    /// `None`: it is damaged.
    pub(super) header: Option<Header>,
    pub(super) bytes: u64,
}

impl Segment {
    /// # Errors
    /// It cannot be read, or is of a newer release.
    pub(super) fn open(path: PathBuf) -> io::Result<Segment> {
        let file = File::open(&path)?;
        let unreadable = |error| about(&path, "cannot be read", error);
        // Before anything is read: what is dead now does not grow.
        let live = is_held(&file).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut start = Vec::with_capacity(HEADER_BYTES);
        (&file).take(HEADER_BYTES as u64).read_to_end(&mut start).map_err(unreadable)?;
        let header = match start.first_chunk().map(Header::parse) {
            Some(Ok(header)) => Some(header),
            Some(Err(NoHeader::Newer(format))) => {
                let what = format!(
                    "`{}` of the ledger was written by a newer release (format {format}): upgrade the `larder` crate",
                    path.display()
                );
                return Err(io::Error::new(ErrorKind::Unsupported, what));
            }
            Some(Err(NoHeader::Damaged)) | None => None,
        };
        Ok(Segment { path, file, live, header, bytes })
    }

    /// How it stands among the others: those that were there when it began come first, and a fold behind what it was made of.
    pub(super) fn order(&self) -> impl Ord + use<> {
        self.header.map(|header| (header.sequence, header.kind == Kind::Fold, self.path.clone()))
    }

    pub(super) fn set_aside(&self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension(DAMAGED))
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Whether someone holds the lock of this file.
pub(super) fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a program takes part just now. Also where segments cannot be understood: they are of a newer release, or damaged.
pub(super) fn is_live(dir: &Path) -> io::Result<bool> {
    for path in list(dir, SEGMENT)? {
        match File::open(&path).and_then(|file| is_held(&file)) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(about(&path, "cannot be read", error)),
        }
    }
    Ok(false)
}

/// All segments of a run, in the order in which they are to be merged; none, if there is no such run.
///
/// # Errors
/// One cannot be read or is of a newer release.
pub(super) fn segments(dir: &Path) -> io::Result<Vec<Segment>> {
    for _ in 0..LOOKS {
        let names = list(dir, SEGMENT)?;
        // A list that is made while a fold takes the place of others may have neither it nor them. Then the next one has.
        if names != list(dir, SEGMENT)? {
            continue;
        }
        match names.into_iter().map(Segment::open).collect::<io::Result<Vec<_>>>() {
            Ok(mut segments) => {
                segments.sort_by_cached_key(Segment::order);
                return Ok(segments);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let what = format!("`{}` of the ledger changes faster than it can be read: try again", dir.display());
    Err(io::Error::new(ErrorKind::WouldBlock, what))
}

/// The paths of all segments of a run, sorted.
pub(super) fn paths(dir: &Path) -> io::Result<Vec<PathBuf>> {
    list(dir, SEGMENT)
}

/// The files of a folder with this extension, sorted.
fn list(dir: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| about(dir, "cannot be listed", error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| about(dir, "cannot be listed", error))?.path();
        if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what programs left that were stopped while they made a segment.
pub(super) fn remove_leftovers(dir: &Path) -> io::Result<()> {
    for path in list(dir, NEW)? {
        let removed = match File::open(&path) {
            // Whoever made it and has not locked it yet makes another one.
            Ok(file) if !is_held(&file)? => fs::remove_file(&path),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(about(&path, "cannot be removed", error)),
            _ => {}
        }
    }
    Ok(())
}

/// A segment that is being made: held, with its header, and under a name that nobody reads.
pub(super) struct NewSegment {
    pub(super) file: File,
    pub(super) header: Header,
    path: PathBuf,
}

impl NewSegment {
    pub(super) fn create(dir: &Path, kind: Kind, sequence: u64) -> io::Result<NewSegment> {
        let id = RandomState::new().hash_one((std::process::id(), SystemTime::now()));
        let header = Header { kind, id, sequence };
        let name = format!("{:013}-{}-{id:016x}.{NEW}", now_ms(), std::process::id());
        let path = dir.join(name);
        let made = || {
            let mut file = OpenOptions::new().create_new(true).append(true).open(&path)?;
            file.lock()?;
            file.write_all(&header.encode())?;
            Ok(file)
        };
        let file = made().map_err(|error| about(&path, "cannot be made", error))?;
        Ok(NewSegment { file, header, path })
    }

    /// Gives it a name that is read; it is whole by then, also after a power loss. It is still held.
    ///
    /// # Errors
    /// The system refuses; of the kind `NotFound` where another program took it for what a killed one left.
    pub(super) fn publish(self) -> io::Result<(File, Header, PathBuf)> {
        let path = self.path.with_extension(SEGMENT);
        let named = |error| about(&path, "cannot be made", error);
        self.file.sync_data().map_err(named)?;
        fs::rename(&self.path, &path).map_err(named)?;
        path.parent().map_or(Ok(()), sync).map_err(named)?;
        Ok((self.file, self.header, path))
    }
}

/// By the clock of this machine, which may be set at any time: nothing is put in order by it.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// This host's name.
pub(super) fn host() -> String {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
