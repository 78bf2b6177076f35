//! Large values between the processes of one run: files without a name that others could open, and gone with their last
//! descriptor, however a program ends. In memory only, or in a folder that was named for them.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use crate::sys::map::Mapped;

/// A whole file that nobody can change any more.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    file: File,
    len: usize,
}

impl MemoryFile {
    /// A file of these parts, one behind the other. `name` is seen in `/proc/*/maps` only.
    ///
    /// # Errors
    /// The system refuses the file or the room for it.
    pub(crate) fn write(name: &str, parts: &[impl AsRef<[u8]>]) -> io::Result<MemoryFile> {
        let mut file = os::create(name)?;
        let len = write_parts(&mut file, parts)?;
        Ok(MemoryFile { file: os::seal(file)?, len })
    }

    /// As [`write`](MemoryFile::write), on the disk: in this folder, without a name there. Nobody can write to what is left
    /// of it, a descriptor to read from.
    ///
    /// # Errors
    /// As [`write`](MemoryFile::write).
    pub(crate) fn write_in(folder: &Path, parts: &[impl AsRef<[u8]>]) -> io::Result<MemoryFile> {
        let mut file = tempfile::tempfile_in(folder)?;
        let len = write_parts(&mut file, parts)?;
        Ok(MemoryFile { file: os::to_read_only(file)?, len })
    }

    /// A file that came from another process, with `len` bytes as it says.
    ///
    /// # Errors
    /// It is not such a file: it can still be changed, or has another length.
    pub(crate) fn received(file: File, len: usize) -> io::Result<MemoryFile> {
        if !os::is_sealed(&file)? {
            return Err(refused("a memory file that can still be changed"));
        }
        MemoryFile::of_length(file, len)
    }

    /// As [`received`](MemoryFile::received), from the program that this worker belongs to: it may be one of
    /// [`write_in`](MemoryFile::write_in) too.
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn lent(file: File, len: usize) -> io::Result<MemoryFile> {
        if !os::is_sealed(&file)? && !os::is_read_only(&file)? {
            return Err(refused("a file that can still be changed"));
        }
        MemoryFile::of_length(file, len)
    }

    fn of_length(file: File, len: usize) -> io::Result<MemoryFile> {
        if file.metadata()?.len() != len as u64 {
            return Err(refused("a memory file of another length than was said"));
        }
        Ok(MemoryFile { file, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The content as memory, which all who map the file share.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn map(&self) -> io::Result<Mapped> {
        Mapped::whole(&self.file)
    }

    /// As [`map`](MemoryFile::map), for content that many map: each has all of it at once. A page that only one of them has
    /// touched would pass for its own, to whoever adds up what processes use.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn map_all(&self) -> io::Result<Mapped> {
        let mapped = self.map()?;
        mapped.touch();
        Ok(mapped)
    }
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A file for a few words that two processes share and both change.
///
/// # Errors
/// The system refuses.
pub(crate) fn shared_words(bytes: u64) -> io::Result<File> {
    let file = os::create("larder-board")?;
    file.set_len(bytes)?;
    os::fix_length(&file)?;
    Ok(file)
}

fn refused(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Writes these parts, one behind the other, and answers how long they are.
fn write_parts(file: &mut File, parts: &[impl AsRef<[u8]>]) -> io::Result<usize> {
    let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part.as_ref())).collect();
    write_all(file, &mut slices)?;
    Ok(parts.iter().map(|part| part.as_ref().len()).sum())
}

fn write_all(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// memfd: sealed by the kernel.
#[cfg(target_os = "linux")]
mod os {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fcntl_getfl, memfd_create};
    use rustix::process::geteuid;

    pub(super) fn create(name: &str) -> io::Result<File> {
        Ok(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?.into())
    }

    pub(super) fn seal(file: File) -> io::Result<File> {
        fcntl_add_seals(&file, sealed() | SealFlags::SEAL)?;
        Ok(file)
    }

    pub(super) fn is_sealed(file: &File) -> io::Result<bool> {
        match fcntl_get_seals(file) {
            Ok(seals) => Ok(seals.contains(sealed())),
            // What lies on a disk has none.
            Err(rustix::io::Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn to_read_only(file: File) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
    }

    /// Whether it is one of this user's, without a name by which someone could open it to write, and open to read only.
    pub(super) fn is_read_only(file: &File) -> io::Result<bool> {
        let about = file.metadata()?;
        let is_nameless = about.is_file() && about.nlink() == 0 && about.uid() == geteuid().as_raw();
        Ok(is_nameless && fcntl_getfl(file)? & OFlags::RWMODE == OFlags::RDONLY)
    }

    pub(super) fn fix_length(file: &File) -> io::Result<()> {
        Ok(fcntl_add_seals(file, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?)
    }

    fn sealed() -> SealFlags {
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK
    }
}

/// Temporary files that have no name any more. Only the processes of one program get their descriptors, and none of
/// them writes once a file is whole.
#[cfg(not(target_os = "linux"))]
mod os {
    use std::fs::File;
    use std::io;

    pub(super) fn create(_: &str) -> io::Result<File> {
        tempfile::tempfile()
    }

    pub(super) fn seal(file: File) -> io::Result<File> {
        Ok(file)
    }

    pub(super) fn is_sealed(_: &File) -> io::Result<bool> {
        Ok(true)
    }

    pub(super) fn to_read_only(file: File) -> io::Result<File> {
        Ok(file)
    }

    pub(super) fn is_read_only(_: &File) -> io::Result<bool> {
        Ok(true)
    }

    pub(super) fn fix_length(_: &File) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_mapped_and_cannot_be_changed() {
        let parts: Vec<Vec<u8>> = (0..3000_u32).map(|part| part.to_le_bytes().repeat(3)).collect();
        let written = MemoryFile::write("test", &parts).unwrap();
        assert_eq!(&*written.map().unwrap(), parts.concat());
        assert_eq!(written.len(), 36_000);
        if cfg!(target_os = "linux") {
            assert!((&written.file).write_all(b"more").is_err());
            assert!(written.file.set_len(1).is_err());
        }
        let copy = written.file.try_clone().unwrap();
        assert_eq!(&*MemoryFile::received(copy, 36_000).unwrap().map().unwrap(), parts.concat());
        assert!(MemoryFile::received(written.file.try_clone().unwrap(), 7).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_can_still_be_changed_is_refused() {
        let mut file = os::create("test").unwrap();
        file.write_all(b"open").unwrap();
        assert!(MemoryFile::received(file, 4).is_err());
        assert!(MemoryFile::received(tempfile::tempfile().unwrap(), 0).is_err(), "no memory file at all");
    }

    #[test]
    fn in_a_folder_it_has_no_name_and_is_taken_by_workers_only() {
        let folder = tempfile::tempdir().unwrap();
        let written = MemoryFile::write_in(folder.path(), &[b"one ".as_slice(), b"two"]).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(&*written.map().unwrap(), b"one two");
        let copy = || written.file.try_clone().unwrap();
        assert_eq!(&*MemoryFile::lent(copy(), 7).unwrap().map().unwrap(), b"one two");
        assert!(MemoryFile::lent(copy(), 8).is_err());
        if cfg!(target_os = "linux") {
            assert!((&written.file).write_all(b"more").is_err());
            assert!(MemoryFile::received(copy(), 7).is_err(), "a program takes none of its workers");
            assert!(MemoryFile::lent(tempfile::tempfile().unwrap(), 0).is_err(), "it can be written to");
            let named = tempfile::NamedTempFile::new().unwrap();
            assert!(MemoryFile::lent(File::open(named.path()).unwrap(), 0).is_err(), "it has a name");
        }
        assert!(MemoryFile::write_in(&folder.path().join("none"), &[b""]).is_err());
        // Sealed ones are taken as well.
        let sealed = MemoryFile::write("test", &[b"three"]).unwrap();
        assert!(MemoryFile::lent(sealed.file.try_clone().unwrap(), 5).is_ok());
    }

    #[test]
    fn nothing_is_a_file_too() {
        let written = MemoryFile::write("test", &[[0; 0]; 2]).unwrap();
        assert_eq!(written.len(), 0);
    }
}
