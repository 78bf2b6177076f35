//! Never a wrong value, whatever happened to the files.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::obeyed;
use super::sample::Sample;
use crate::store::Store;

/// What [`check_damage`] met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// How often the store was opened with a byte altered.
    pub openings: u64,
    /// How many entries were found whole all the same.
    pub found: u64,
    /// How many were not served, for whatever reason.
    pub absent: u64,
    /// How often the store refused to open.
    pub refused: u64,
}

/// Alters the files of a small, closed store, a byte at a time: each of its bits, and one of them. The store must then answer
/// each entry right or not at all, and store what is put anew.
///
/// `open` is called with the path of a directory, empty at first and later with the altered files; it may refuse with an
/// error, if a program that uses the store would meet that error too. The directory is in memory where the system has `/dev/shm`. Of each file, bytes are altered at `most` positions,
/// spread over what is not zero and over all of it; with [`usize::MAX`] each byte is. Each takes two openings.
///
/// # Errors
/// The files cannot be read or written.
///
/// # Panics
/// The store panicked, served a wrong value, refused what was put anew, or did not end within two minutes: the message says
/// at which byte of which file.
pub fn check_damage<S: Store, E: Display>(most: usize, open: impl Fn(&Path) -> Result<S, E>) -> io::Result<Damage> {
    let whole = directory()?;
    match open(whole.path()) {
        Ok(store) => obeyed("entries are put into a new store", move || {
            entries().for_each(|sample| sample.put(&store));
            entries().for_each(|sample| sample.must_be_in(&store));
        }),
        Err(error) => panic!("a store cannot be opened in an empty directory: {error}"),
    }
    let files = files_under(whole.path())?;
    drop(whole);
    let mut damage = Damage::default();
    for (name, content) in &files {
        for at in positions(content, most) {
            for mask in [0xff, 1 << (at % 8)] {
                let dir = directory()?;
                let mut altered = content.clone();
                altered[at] ^= mask;
                write(files.iter().filter(|(other, _)| *other != name).chain([(name, &altered)]), dir.path())?;
                damage.openings += 1;
                let what = format!("byte {at} of `{}` xor {mask:#x} is no wrong value", name.display());
                let opened = open(dir.path());
                match opened {
                    Err(_) => damage.refused += 1,
                    Ok(store) => {
                        let found = obeyed(&what, move || count_found(&store));
                        damage.found += found;
                        damage.absent += entries().count() as u64 - found;
                    }
                }
            }
        }
    }
    Ok(damage)
}

/// A directory in memory, where the system has such: it is made anew for each byte, and a disk would take its time.
fn directory() -> io::Result<TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

/// A short value and one that a store may keep elsewhere.
fn entries() -> impl Iterator<Item = Sample> {
    (0..).zip([40, 4097]).map(|(argument, len)| Sample { costly: true, ..Sample::new(argument, len) })
}

/// How many entries are served, all of them right; and puts them anew.
fn count_found(store: &dyn Store) -> u64 {
    let mut count = 0;
    for sample in entries() {
        if let Ok(found) = store.get(&sample.key()) {
            sample.must_be(&found);
            count += 1;
        }
    }
    for sample in entries() {
        let anew = Sample { round: 1, ..sample };
        anew.put(store);
        anew.must_be_in(store);
    }
    count
}

/// Where to alter: at most so many positions, half of them in what is not zero (a file may have far more room than it fills).
fn positions(content: &[u8], most: usize) -> Vec<usize> {
    if content.len() <= most {
        return (0..content.len()).collect();
    }
    let spread = |all: Vec<usize>, most: usize| {
        let step = all.len().div_ceil(most.max(1)).max(1);
        all.into_iter().step_by(step)
    };
    let filled = (0..content.len()).filter(|at| content[*at] != 0).collect();
    let mut positions: Vec<_> =
        spread(filled, most / 2).chain(spread((0..content.len()).collect(), most - most / 2)).collect();
    positions.sort_unstable();
    positions.dedup();
    positions
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// All files under `root`, by their paths from there.
fn files_under(root: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder)? {
            let item = item?;
            let (path, kind) = (item.path(), item.file_type()?);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && let Ok(name) = path.strip_prefix(root)
            {
                files.insert(name.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

fn write<'f>(files: impl Iterator<Item = (&'f PathBuf, &'f Vec<u8>)>, root: &Path) -> io::Result<()> {
    for (name, content) in files {
        let path = root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_all_or_spread() {
        let mut content = vec![0; 1000];
        content[990..].fill(7);
        assert_eq!(positions(&content, usize::MAX), (0..1000).collect::<Vec<_>>());
        let some = positions(&content, 20);
        assert!((990..1000).all(|at| some.contains(&at)), "{some:?}");
        assert!(some.contains(&0) && some.len() <= 20, "{some:?}");
        assert_eq!(positions(&[1, 2, 3], 1), [0]);
        assert!(positions(&[], 10).is_empty());
    }
}
