//! Makes one segment of those of programs that are gone.
//!
//! The fold is written whole under another name, synced, and renamed; only then are the segments removed that it stands for.
//! A crash anywhere between leaves segments that say the same together (see `merge.rs`).
//!
//! Who folds holds a segment of its own and sees no other that is held; so of two programs at most one folds, and what it
//! folds has nobody who writes to it.

use std::io;
use std::path::Path;

use super::folder::{self, NewSegment};
use super::frame::{Frames, Kind, Tail};
use super::item::Recorded;
use super::log::Log;
use super::read::{Seen, Survey};
use super::record;

/// Of older programs only what came of their items is kept.
const PROGRAMS: usize = 100;
/// Items that no list had in so many folds are left out: a run whose items are others each time would grow for ever.
const AGES: u8 = 10;
/// A record is written when it is so long.
pub(super) const RECORD_BYTES: usize = 64 << 10;

/// Folds what there is, if that is more than one segment and nobody is at any of them.
pub(super) fn fold(dir: &Path, survey: &Survey) -> io::Result<()> {
    if survey.segments.iter().any(|seen| seen.segment.live) {
        return Ok(());
    }
    folder::remove_leftovers(dir)?;
    if survey.segments.len() > 1 {
        write(dir, survey)?.publish()?;
        survey.segments.iter().try_for_each(retire)?;
    }
    Ok(())
}

/// The fold, under a name that nobody reads.
pub(super) fn write(dir: &Path, survey: &Survey) -> io::Result<NewSegment> {
    let headers = survey.segments.iter().filter_map(|seen| seen.segment.header);
    let sequence = headers.map(|header| header.sequence).max().unwrap_or_default();
    let new = NewSegment::create(dir, Kind::Fold, sequence)?;
    let mut log = Log::new(Box::new(new.file.try_clone()?), new.header.id);
    put(&mut log, &survey.recorded).map_err(|error| folder::about(dir, "cannot be folded", error))?;
    Ok(new)
}

fn put(log: &mut Log, recorded: &Recorded) -> io::Result<()> {
    let Recorded { items, last_list, programs, damaged: _ } = recorded;
    log.write(|frames: &mut Frames| {
        let skipped = programs.len().saturating_sub(PROGRAMS);
        programs.iter().skip(skipped).for_each(|program| frames.push(|out| record::put_past(out, program)));
        frames.push(|out| record::put_kept_start(out, items.len() as u64));
    })?;
    let mut kept = Vec::new();
    for (id, item) in items {
        if kept.is_empty() {
            record::start_kept(&mut kept);
        }
        let listed = last_list.as_ref().is_some_and(|list| list.contains(id));
        if !listed && item.age > AGES {
            continue;
        }
        record::put_kept(&mut kept, *id, listed, item);
        if kept.len() >= RECORD_BYTES {
            log.write(|frames| frames.push(|out| out.extend_from_slice(&kept)))?;
            kept.clear();
        }
    }
    log.write(|frames| {
        if !kept.is_empty() {
            frames.push(|out| out.extend_from_slice(&kept));
        }
        frames.push(|out| record::put_kept_end(out, last_list.is_some()));
    })
}

/// Takes away a segment that a fold stands for.
pub(super) fn retire(seen: &Seen) -> io::Result<()> {
    let gone = match seen.tail {
        // What is behind the damage is not in the fold, and someone may want to look at it.
        Tail::Altered(_) => seen.segment.set_aside(),
        Tail::Whole | Tail::Cut => seen.segment.remove(),
    };
    gone.map_err(|error| folder::about(&seen.segment.path, "cannot be removed", error))
}
