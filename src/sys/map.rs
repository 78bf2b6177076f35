//! Files as memory.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

/// A part of a file as memory that is only read. Clones share the mapping; it ends with the last.
#[derive(Clone)]
pub(crate) struct Mapped {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl Mapped {
    /// Maps a whole file that nobody modifies.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn whole(file: &File) -> io::Result<Mapped> {
        // SAFETY: the only files mapped are blobs and memory files. A blob gets its name when it is whole, is never written to
        // again by any release of this crate, and is removed by unlinking, which leaves a mapping as it is. Who writes into
        // or cuts a file of the cache by other means breaks that promise, which the documentation of `Bulk` says. A memory
        // file is sealed against both by the kernel, or, where there are no seals or it lies in a temporary folder, known
        // only to the processes of one program, which do neither: there it has no name, and only descriptors to read from
        // are left when it is whole.
        let map = unsafe { Mmap::map(file)? };
        let range = 0..map.len();
        Ok(Mapped { map: Arc::new(map), range })
    }

    /// Has the system map each page now, instead of when it is first looked at. A wish; nothing depends on it.
    #[cfg(unix)]
    pub(crate) fn touch(&self) {
        #[cfg(target_os = "linux")]
        // Before Linux 5.14 this is not known, and refused.
        let _ = self.map.advise(memmap2::Advice::PopulateRead);
    }

    /// A part of this part, or `None` if it is not within it.
    pub(crate) fn part(&self, part: Range<usize>) -> Option<Mapped> {
        self.get(part.clone())?;
        let start = self.range.start;
        Some(Mapped { map: Arc::clone(&self.map), range: start + part.start..start + part.end })
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}
