//! This program's segment: records are appended, and what a failed write left is cut off before the next one.

use std::fs::File;
use std::io::{self, Write};

use super::frame::{Frames, HEADER_BYTES};

/// What a segment is written to.
pub(super) trait Sink: Send {
    /// Appends all of it. Where that fails, some of it may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Makes it survive a power loss.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()?;
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::nlink(&self.metadata()?) == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the ledger was removed while the run was under way"));
        }
        Ok(())
    }
}

pub(super) struct Log {
    sink: Box<dyn Sink>,
    frames: Frames,
    /// So much of it is whole.
    good: u64,
    /// There may be something behind that.
    torn: bool,
    /// The last time that was written.
    last_ms: u64,
}

impl Log {
    /// For a segment with this id that has a header and no more.
    pub(super) fn new(sink: Box<dyn Sink>, id: u64) -> Log {
        Log { sink, frames: Frames::new(id), good: HEADER_BYTES as u64, torn: false, last_ms: 0 }
    }

    /// Appends the frames that `put` adds: all or, as a reader sees it, none.
    pub(super) fn write(&mut self, put: impl FnOnce(&mut Frames)) -> io::Result<()> {
        if self.torn {
            self.sink.cut(self.good)?;
            self.torn = false;
        }
        self.frames.restart(self.good);
        put(&mut self.frames);
        let bytes = self.frames.as_bytes();
        self.torn = true;
        self.sink.append(bytes)?;
        self.torn = false;
        self.good += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.sink.sync()
    }

    /// The time to write, for this time by the clock: in one segment it never goes back.
    pub(super) fn time(&mut self, now_ms: u64) -> u64 {
        self.last_ms = self.last_ms.max(now_ms);
        self.last_ms
    }
}
