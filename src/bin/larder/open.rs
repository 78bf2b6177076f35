//! Opening the cache.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use clap::ArgMatches;
use larder::Memory;

use crate::failure::{self, Failure, NOT_OPENED};

/// The directory that was named.
pub(crate) fn directory(matches: &ArgMatches) -> Result<PathBuf, Failure> {
    let set = || std::env::var_os("LARDER_CACHE").filter(|set| !set.is_empty()).map(PathBuf::from);
    matches
        .get_one::<PathBuf>("cache")
        .cloned()
        .or_else(set)
        .ok_or_else(|| Failure::usage("no cache was named: give `--cache DIR`, or set LARDER_CACHE to the directory"))
}

/// Opens a cache that is there.
pub(crate) fn memory(matches: &ArgMatches) -> Result<Memory, Failure> {
    memory_at(&directory(matches)?, true)
}

/// Opens the cache in a directory: served by the program that uses it, or alone.
pub(crate) fn memory_at(path: &Path, must_exist: bool) -> Result<Memory, Failure> {
    let (memory, said) = open(path, must_exist)?;
    // A cache that is held by whom it cannot be shared with opens, and does without.
    memory.totals().map_err(not_opened)?;
    said.try_iter().for_each(|line| failure::note(&line));
    Ok(memory)
}

/// Opens a cache that is there, also one that is held by whom it cannot be shared with: the ledgers of runs are files beside it.
pub(crate) fn memory_or_ledgers(matches: &ArgMatches) -> Result<Memory, Failure> {
    let path = directory(matches)?;
    match open(&path, true) {
        Ok((memory, said)) => {
            said.try_iter().for_each(|line| failure::note(&line));
            Ok(memory)
        }
        // On a full disk, or where nothing may be written, what is there can still be looked at.
        Err(refused) => Memory::open_read_only(&path).map_err(|_| refused),
    }
}

/// The lines that it says meanwhile come with it.
fn open(path: &Path, must_exist: bool) -> Result<(Memory, mpsc::Receiver<String>), Failure> {
    let (lines, said) = mpsc::channel();
    let builder = Memory::builder().must_exist(must_exist).memory_tier_bytes(0).report_to(move |line| {
        // Nobody listens once the cache is open.
        let _ = lines.send(line.to_owned());
    });
    Ok((builder.open(path).map_err(not_opened)?, said))
}

fn not_opened(error: larder::Error) -> Failure {
    Failure::new(NOT_OPENED, error)
}
