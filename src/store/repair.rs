//! Opening an index, whatever state it is in.

use std::fs;
use std::io;
use std::path::Path;

use super::blob::Blobs;
use super::catalog::now_ms;
use super::index::{self, Index, OpenFailure};
use super::location::failed;
use super::reconcile::reconcile;
use crate::error::{Error, LocationReason};

/// An index that was opened.
pub(super) struct Opened {
    pub(super) index: Index,
    /// It is as an earlier owner closed it.
    pub(super) as_closed: bool,
    /// What had to be repaired, as words for the user.
    pub(super) repair: Option<String>,
}

/// The error of an index that cannot be used.
pub(super) fn refused(path: &Path, error: impl ToString) -> Error {
    let what = "cannot hold an index: check its permissions and the free space, or choose another directory";
    failed(path, what, LocationReason::Io, Some(io::Error::other(error.to_string())))
}

/// What is known of the time before an opening.
#[derive(Clone, Copy)]
pub(super) struct Before {
    /// Nobody else writes there.
    pub(super) alone: bool,
    /// A program was killed that may have left a blob without its record.
    pub(super) killed: bool,
}

/// Opens the index of the store at `path`, which this process holds; a damaged one is set aside, and blobs that it does
/// not know are taken in.
///
/// # Errors
/// The system refuses the index its files.
pub(super) fn open(path: &Path, blobs: &Blobs, before: Before) -> Result<Opened, Error> {
    let Before { alone, killed } = before;
    let refused = |error: io::Error| refused(path, error);
    let give_up = |failure| match failure {
        OpenFailure::System(error) => refused(error),
        OpenFailure::Damaged(why) => refused(io::Error::other(why)),
        OpenFailure::InUse => refused(io::Error::other("its index is open in a program that does not hold its lock")),
    };
    let dir = path.join("index");
    let (index, as_closed, damage) = match Index::open(&dir) {
        Ok((index, as_closed)) => (index, as_closed && !killed, None),
        Err(OpenFailure::Damaged(why)) => {
            let aside = index::set_aside(&dir, now_ms()).map_err(refused)?;
            let (index, _) = Index::open(&dir).map_err(give_up)?;
            (index, false, Some((why, aside)))
        }
        Err(failure) => return Err(give_up(failure)),
    };
    let taken_in = if as_closed {
        0
    } else {
        reconcile(&index, blobs, alone).map_err(|error| refused(io::Error::other(error.to_string())))?
    };
    if !as_closed && !alone {
        // What was left because another program may be writing it is looked at again at the next opening.
        index.close_unsettled();
    }
    let repair = match damage {
        Some((why, aside)) => Some(format!(
            "the index of the cache `{}` was damaged ({why}); it was set aside as `{}` and made anew: \
             {taken_in} large results were kept, small ones will be computed again",
            path.display(),
            aside.display()
        )),
        None if taken_in > 0 => Some(format!(
            "the index of the cache `{}` did not know {taken_in} of the large results beside it, after a crash or \
             damage; they were taken in again",
            path.display()
        )),
        None => None,
    };
    Ok(Opened { index, as_closed, repair })
}

/// Opens a copy, made in `dir`, of the index of the store at `path`: that itself is only read.
///
/// # Errors
/// It cannot be read or copied, or is damaged.
pub(super) fn open_copy(path: &Path, dir: &Path, blobs: &Blobs) -> Result<(Index, bool), Error> {
    let refused = |error| {
        let what =
            "has an index that cannot be read: check its permissions; opened for writing, a damaged one is repaired";
        failed(path, what, LocationReason::Io, Some(error))
    };
    let copy = dir.join("index");
    copy_files(&path.join("index"), &copy).map_err(refused)?;
    for name in ["index.closed", "index.damaged"] {
        match fs::copy(path.join(name), dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => {}
        }
    }
    let (index, as_closed) = Index::open(&copy).map_err(|failure| {
        refused(match failure {
            OpenFailure::System(error) => error,
            OpenFailure::Damaged(why) => io::Error::other(why),
            OpenFailure::InUse => io::Error::other("the copy is in use"),
        })
    })?;
    if !as_closed {
        reconcile(&index, blobs, false).map_err(|error| refused(io::Error::other(error.to_string())))?;
    }
    Ok((index, as_closed))
}

pub(super) fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let files = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    for file in files {
        let file = file?;
        let to = to.join(file.file_name());
        if file.file_type()?.is_dir() {
            copy_files(&file.path(), &to)?;
        } else {
            fs::copy(file.path(), to)?;
        }
    }
    Ok(())
}
