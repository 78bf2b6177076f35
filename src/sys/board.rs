//! A few numbers that two processes share.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;

use memmap2::{MmapOptions, MmapRaw};

use crate::memory_file;

/// What a worker and its driver tell each other without a message: written by one, read by the other, a word at a time.
pub(crate) struct Board {
    map: MmapRaw,
}

/// What a worker notes of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    /// How many it has begun, in all its life.
    pub(crate) begun: u64,
    /// How many of them ended.
    pub(crate) ended: u64,
    /// It only waits for somebody who has begun the same task.
    pub(crate) waits: bool,
}

const WORDS: usize = 4;
const BYTES: usize = WORDS * size_of::<AtomicU64>();

impl Board {
    /// A new board of zeros, and the file by which another process opens it.
    ///
    /// # Errors
    /// The system refuses the file or the mapping.
    pub(crate) fn create() -> io::Result<(Board, File)> {
        let file = memory_file::shared_words(BYTES as u64)?;
        Ok((Board::open(&file)?, file))
    }

    /// The board that another process created.
    ///
    /// # Errors
    /// The file is too short, or the system refuses the mapping.
    pub(crate) fn open(file: &File) -> io::Result<Board> {
        if file.metadata()?.len() < BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a board that is too short"));
        }
        Ok(Board { map: MmapOptions::new().len(BYTES).map_raw(file)? })
    }

    /// How many tasks the worker has begun in its life.
    pub(crate) fn begun(&self) -> &AtomicU64 {
        self.word(0)
    }

    /// How many of them ended.
    pub(crate) fn ended(&self) -> &AtomicU64 {
        self.word(1)
    }

    /// Batches up to this one are to be ended early. Written by the driver.
    pub(crate) fn stop(&self) -> &AtomicU64 {
        self.word(2)
    }

    /// Whether the task at hand waits for somebody else who has begun the same: that is no time of its own.
    pub(crate) fn waiting(&self) -> &AtomicU64 {
        self.word(3)
    }

    /// Where the worker stands.
    pub(crate) fn stand(&self) -> Stand {
        let ended = self.ended().load(Acquire);
        Stand { begun: self.begun().load(Acquire), ended, waits: self.waiting().load(Acquire) != 0 }
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "the board has no such word");
        // SAFETY: the mapping begins at a page and holds `WORDS` words, which `open` checked against a file whose length
        // is fixed (by a seal where there are seals; elsewhere only the two processes have it, and neither cuts it). It lives
        // as long as `self`, which the reference borrows. It is only ever used through atomics, in both processes.
        unsafe { &*self.map.as_ptr().cast::<AtomicU64>().add(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn two_mappings_are_one_board() {
        let (here, file) = Board::create().unwrap();
        let there = Board::open(&file).unwrap();
        here.begun().store(7, Relaxed);
        there.stop().fetch_add(3, Relaxed);
        assert_eq!((there.begun().load(Relaxed), here.ended().load(Relaxed), here.stop().load(Relaxed)), (7, 0, 3));
    }

    #[test]
    fn a_file_that_is_too_short_is_refused() {
        assert!(Board::open(&tempfile::tempfile().unwrap()).is_err());
    }
}
