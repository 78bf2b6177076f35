//! Reads all segments of a run.

use std::fs;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;

use super::folder::{self, Segment};
use super::frame::{FrameReader, Tail};
use super::item::Recorded;
use super::merge::Merge;
use super::name::Name;
use super::record::Record;

/// Read at once.
const STEP_BYTES: usize = 1 << 18;

/// What is in the folder of a run.
pub(super) struct Survey {
    pub(super) recorded: Recorded,
    pub(super) segments: Vec<Seen>,
}

/// A segment that was read.
pub(super) struct Seen {
    pub(super) segment: Segment,
    pub(super) tail: Tail,
    /// Where the next frame would begin.
    pub(super) end: u64,
}

impl Survey {
    /// Of all segments but the one with this id.
    ///
    /// # Errors
    /// A segment cannot be read, or is of a newer release.
    pub(super) fn of(dir: &Path, except: Option<u64>) -> io::Result<Survey> {
        let mut merge = Merge::default();
        let mut segments = Vec::new();
        for segment in folder::segments(dir)? {
            if segment.header.is_some_and(|header| Some(header.id) == except) {
                continue;
            }
            let (tail, end) = merge.read(&segment)?;
            match tail {
                Tail::Whole => {}
                // Its writer may be at it just now.
                Tail::Cut if segment.live => {}
                Tail::Cut => merge.add_damaged(1),
                Tail::Altered(records) => merge.add_damaged(records),
            }
            segments.push(Seen { segment, tail, end });
        }
        Ok(Survey { recorded: merge.finish(), segments })
    }

    /// Higher than the sequence numbers of all segments.
    pub(super) fn next_sequence(segments: &[Segment]) -> u64 {
        let highest = segments.iter().filter_map(|segment| segment.header).map(|header| header.sequence).max();
        highest.map_or(1, |highest| highest.saturating_add(1))
    }
}

impl Merge {
    /// Answers how the reading ended, and where.
    fn read(&mut self, segment: &Segment) -> io::Result<(Tail, u64)> {
        let Some(header) = segment.header else {
            // One that is empty lost its first bytes to a power loss, and never had more.
            return Ok((if segment.bytes == 0 { Tail::Whole } else { Tail::Altered(1) }, 0));
        };
        self.start(&header, segment.live, segment.bytes);
        let bytes = BufReader::with_capacity(STEP_BYTES, &segment.file);
        let mut frames = FrameReader::new(bytes, header.id);
        let read = frames.read(|payload| match Record::parse(payload) {
            Some(record) => {
                self.add(record);
                true
            }
            None => false,
        });
        let tail = read.map_err(|error| folder::about(&segment.path, "cannot be read", error))?;
        Ok((tail, frames.place()))
    }
}

impl Recorded {
    /// What the ledger of this run says; nothing, if there is no such run. Programs may be writing to it meanwhile.
    ///
    /// # Errors
    /// A segment cannot be read, or is of a newer release.
    pub(crate) fn read(cache: &Path, name: &Name) -> io::Result<Recorded> {
        Ok(Survey::of(&folder::of_run(cache, name), None)?.recorded)
    }
}

/// The names of all runs that have a ledger in this cache, sorted.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn names(cache: &Path) -> io::Result<Vec<String>> {
    let dir = folder::all_runs(cache);
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| folder::about(&dir, "cannot be listed", error))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| folder::about(&dir, "cannot be listed", error))?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
            && Name::new(&name).is_ok()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
