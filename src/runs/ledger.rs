//! The ledger of a program that takes part in a run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::commit::{BeforeCommit, Committer, Kept};
use super::fold::{self, RECORD_BYTES};
use super::folder::{self, NewSegment};
use super::follow::Follower;
use super::frame::Kind;
use super::item::{Begin, Ended, Failing, ItemId, Listed, Program, Recorded};
use super::log::Log;
use super::name::Name;
use super::read::Survey;
use super::record::{self, Outcome};
use crate::lock::lock;

/// So often another program may take a segment that is being made for one that was left over.
const TRIES: usize = 10;

/// This program's segment. It is held until this is dropped; dropped without [`end`](Ledger::end) it is like one of a program
/// that was killed, but that all that was told is written.
pub(crate) struct Ledger {
    id: u64,
    path: PathBuf,
    committer: Committer,
    others: Follower,
    /// Why segments could not be folded, which loses nothing.
    not_folded: Option<io::Error>,
    /// A write that did not reach the segment before any item was done.
    not_begun: Mutex<Option<io::Error>>,
}

impl Ledger {
    /// Begins a segment, and answers what all others say. Those of programs that are gone are folded into one, if no other
    /// program takes part.
    ///
    /// `before_commit` makes the values durable of all items that were told to be done before it was called.
    ///
    /// # Errors
    /// The folder cannot be written, a segment cannot be read or is of a newer release, or the system refuses a thread.
    pub(crate) fn open(cache: &Path, name: &Name, before_commit: BeforeCommit) -> io::Result<(Ledger, Recorded)> {
        let dir = folder::make(cache, name)?;
        let (file, header, path) = begin_segment(&dir)?;
        let survey = Survey::of(&dir, Some(header.id))?;
        let not_folded = fold::fold(&dir, &survey).err();
        let committer = Committer::start(Log::new(Box::new(file), header.id), before_commit)?;
        let Survey { recorded, segments } = survey;
        let others = Follower::new(&dir, header.id, segments);
        let ledger = Ledger { id: header.id, path, committer, others, not_folded, not_begun: Mutex::default() };
        Ok((ledger, recorded))
    }

    /// Tells what this program takes part with, and its list; once more to replace them.
    ///
    /// # Errors
    /// Not all of it could be written: what comes of items that are not listed will not be known.
    pub(crate) fn begin(&self, begin: &Begin, list: &mut dyn Iterator<Item = Listed>) -> io::Result<()> {
        let written = self.write_list(begin, list);
        self.committer.sync_soon();
        if let Err(error) = &written {
            *lock(&self.not_begun) = Some(io::Error::new(error.kind(), error.to_string()));
        }
        written
    }

    fn write_list(&self, begin: &Begin, list: &mut dyn Iterator<Item = Listed>) -> io::Result<()> {
        let log = self.committer.log();
        let started_at_ms = lock(log).time(folder::now_ms());
        let program = Program {
            pid: std::process::id(),
            host: folder::host(),
            begin: begin.clone(),
            started_at_ms,
            live: true,
            ended: None,
            last_ms: started_at_ms,
            id: self.id,
        };
        lock(log).write(|frames| frames.push(|out| record::put_begin(out, &program)))?;
        let mut record = Vec::with_capacity(RECORD_BYTES * 2);
        let write = |record: &[u8]| lock(log).write(|frames| frames.push(|out| out.extend_from_slice(record)));
        let mut count = 0;
        for listed in list {
            if record.is_empty() {
                record::start_list(&mut record);
            }
            record::put_listed(&mut record, &listed);
            count += 1;
            if record.len() >= RECORD_BYTES {
                write(&record)?;
                record.clear();
            }
        }
        if !record.is_empty() {
            write(&record)?;
        }
        lock(log).write(|frames| frames.push(|out| record::put_list_end(out, count)))
    }

    /// The item has a result. `attempts`: those of earlier programs, which [`Item::attempts`](super::Item) says, are counted too.
    pub(crate) fn done(&self, id: ItemId, attempts: u32, worker: u32, nanos: u64) {
        self.committer.add(Outcome { id, attempts, worker, nanos, failure: None });
    }

    /// The item failed. `attempts` as in [`done`](Ledger::done): a failure counts only if it has more than the last one.
    pub(crate) fn failed(&self, id: ItemId, attempts: u32, worker: u32, nanos: u64, failing: Failing) {
        self.committer.add(Outcome { id, attempts, worker, nanos, failure: Some(Box::new(failing)) });
    }

    /// What other programs see fail.
    pub(crate) fn others(&self) -> &Follower {
        &self.others
    }

    /// Records that are written: they survive `kill -9`, and a power loss 200 ms later.
    #[cfg(test)]
    pub(crate) fn written(&self) -> u64 {
        self.committer.written()
    }

    /// Leaves nothing of a program that did not begin. What cannot be removed says nothing, and goes with the next fold.
    pub(crate) fn discard(self) {
        let Ledger { path, committer, .. } = self;
        drop(committer);
        let removed = std::fs::remove_file(&path);
        if let (Ok(()), Some(dir)) = (removed, path.parent()) {
            // Unless there are others.
            let _ = std::fs::remove_dir(dir);
        }
    }

    /// Writes all that was told, and this summary, and syncs.
    pub(crate) fn end(self, ended: &Ended) -> Kept {
        let mut kept = self.committer.end(ended.clone());
        kept.error = kept.error.or(lock(&self.not_begun).take()).or(self.not_folded);
        kept
    }
}

/// A segment of this program, behind all that are there.
fn begin_segment(dir: &Path) -> io::Result<(std::fs::File, super::frame::Header, PathBuf)> {
    let mut tries = 1;
    loop {
        let sequence = Survey::next_sequence(&folder::segments(dir)?);
        match NewSegment::create(dir, Kind::Program, sequence)?.publish() {
            Ok(segment) => return Ok(segment),
            Err(error) if error.kind() == io::ErrorKind::NotFound && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
