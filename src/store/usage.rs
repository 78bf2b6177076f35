//! What a cache directory takes on its disk.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

/// What a cache directory takes on its disk: compressed, and with what file systems and the index add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskUsage {
    /// The index, with all small results.
    pub index_bytes: u64,
    /// The files of large results.
    pub blob_bytes: u64,
    /// How many there are.
    pub blobs: u64,
    /// Indexes that were set aside, which nothing reads again: `index.damaged-*` can be deleted.
    pub set_aside_bytes: u64,
    /// The rest: files that are being written, and some small ones.
    pub other_bytes: u64,
}

impl DiskUsage {
    /// All of it.
    pub fn bytes(&self) -> u64 {
        self.index_bytes + self.blob_bytes + self.set_aside_bytes + self.other_bytes
    }
}

/// Walks the directory. What goes meanwhile is not counted.
pub(crate) fn disk_usage(path: &Path) -> io::Result<DiskUsage> {
    let mut usage = DiskUsage::default();
    for item in list(path)? {
        let item = item?;
        let name = item.file_name();
        let Sum { bytes, files } = sum(&item.path())?;
        match name.to_str().unwrap_or_default() {
            "index" => usage.index_bytes += bytes,
            "blobs" => (usage.blob_bytes, usage.blobs) = (bytes, files),
            name if name.starts_with("index.damaged-") => usage.set_aside_bytes += bytes,
            _ => usage.other_bytes += bytes,
        }
    }
    Ok(usage)
}

#[derive(Default)]
struct Sum {
    bytes: u64,
    /// Directories are none.
    files: u64,
}

fn sum(path: &Path) -> io::Result<Sum> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sum::default()),
        metadata => metadata?,
    };
    let mut all = Sum { bytes: allocated(&metadata), files: u64::from(!metadata.is_dir()) };
    if metadata.is_dir() {
        for item in list(path)? {
            let Sum { bytes, files } = sum(&item?.path())?;
            all = Sum { bytes: all.bytes + bytes, files: all.files + files };
        }
    }
    Ok(all)
}

fn list(path: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        items => Ok(Some(items?).into_iter().flatten()),
    }
}

/// What the file system has set apart for a file, which may have holes.
fn allocated(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::blocks(metadata) * 512;
    #[cfg(not(unix))]
    metadata.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_counted_apart() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: usize| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![1; bytes]).unwrap();
        };
        write("index/db", 100_000);
        write("index.damaged-17/db", 50_000);
        write("blobs/ab/abcd", 200_000);
        write("blobs/ac/acde", 1);
        write("larder-format", 22);
        let usage = disk_usage(dir.path()).unwrap();
        assert!(usage.index_bytes >= 100_000 && usage.set_aside_bytes >= 50_000, "{usage:?}");
        assert!(usage.blob_bytes > 200_000 && usage.other_bytes >= 22, "{usage:?}");
        assert_eq!(usage.blobs, 2);
        assert_eq!(disk_usage(&dir.path().join("none")).unwrap(), DiskUsage::default());
    }
}
