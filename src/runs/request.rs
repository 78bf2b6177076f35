//! What is done to a run from outside.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::fold::RECORD_BYTES;
use super::folder::{self, NewSegment};
use super::frame::Kind;
use super::item::ItemId;
use super::log::Log;
use super::name::Name;
use super::read::Survey;
use super::record;

/// What a ledger is called while it is removed, with a number behind: no run has such a name.
const REMOVED: &str = ".removed-";

/// Has the next run of this name try again what failed. Answers how many items that are.
///
/// # Errors
/// A segment cannot be read or is of a newer release, or the folder cannot be written.
pub(crate) fn retry(cache: &Path, name: &Name) -> io::Result<u64> {
    let dir = folder::of_run(cache, name);
    let Survey { recorded, segments } = Survey::of(&dir, None)?;
    let failed = || recorded.items.iter().filter(|(_, item)| item.failing().is_some());
    let count = failed().count() as u64;
    let mut found: Vec<_> = failed().filter(|(_, item)| !item.retry).map(|(id, item)| (*id, item.attempts)).collect();
    found.sort_unstable();
    if found.is_empty() {
        return Ok(count);
    }
    let segments: Vec<_> = segments.into_iter().map(|seen| seen.segment).collect();
    let new = NewSegment::create(&dir, Kind::Request, Survey::next_sequence(&segments))?;
    let mut log = Log::new(Box::new(new.file.try_clone()?), new.header.id);
    let mut left = &found[..];
    while !left.is_empty() {
        let (now, later) = left.split_at(left.len().min(RECORD_BYTES / size_of::<(ItemId, u32)>()));
        left = later;
        log.write(|frames| {
            frames.push(|out| {
                record::start_retry(out);
                now.iter().for_each(|(id, after)| record::put_retried(out, *id, *after));
            });
        })
        .map_err(|error| folder::about(&dir, "cannot be written", error))?;
    }
    new.publish()?;
    Ok(count)
}

/// Forgets a run of this name; its results stay in the cache. Answers whether there was one.
///
/// # Errors
/// A program takes part just now (`ResourceBusy`), or the folder cannot be read or removed.
pub(crate) fn remove(cache: &Path, name: &Name) -> io::Result<bool> {
    let all = folder::all_runs(cache);
    let dir = folder::of_run(cache, name);
    if !dir.is_dir() {
        return remove_leftovers(&all).map(|()| false);
    }
    if folder::is_live(&dir)? {
        let what = "a program takes part in it just now: wait for its end, or end it";
        return Err(io::Error::new(ErrorKind::ResourceBusy, what));
    }
    // Away at once and as a whole; a program that comes just now begins a new one.
    let away = all.join(format!("{REMOVED}{:016x}", RandomState::new().hash_one(std::process::id())));
    fs::rename(&dir, &away).map_err(|error| folder::about(&dir, "cannot be removed", error))?;
    remove_leftovers(&all).map(|()| true)
}

/// Removes what was moved away, also by one that was stopped then.
fn remove_leftovers(all: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(all) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(REMOVED) {
            match fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(folder::about(&entry.path(), "cannot be removed", error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
