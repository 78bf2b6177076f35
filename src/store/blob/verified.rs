//! Which files were found whole before: a mapped blob need not be read through at each load.

use std::collections::HashMap;
use std::fs::Metadata;
use std::sync::Mutex;
use std::time::Duration;
#[cfg(unix)]
use std::time::{SystemTime, UNIX_EPOCH};

use crate::lock::lock;

/// More than any program maps at a time. Beyond it all is forgotten, and verified anew: simpler than an order of age.
const MOST: usize = 4096;
/// File systems take the time from a clock that ticks every 1 to 10 ms: of a file changed more recently than this, a
/// second change might leave no trace in its times.
const SETTLED: Duration = Duration::from_millis(100);

/// The blobs whose digest was checked in this process.
pub(super) struct Verified {
    known: Mutex<HashMap<[u8; 32], Stamp>>,
    settled: Duration,
}

/// What the system says of a file, and says otherwise once the file was changed or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None` where the system does not say enough.
    #[cfg(unix)]
    pub(crate) fn of(file: &Metadata) -> Option<Stamp> {
        use std::os::unix::fs::MetadataExt;
        Some(Stamp {
            device: file.dev(),
            inode: file.ino(),
            len: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn of(_: &Metadata) -> Option<Stamp> {
        None
    }

    /// Whether the last change is so long ago that the next one will show.
    #[cfg(unix)]
    pub(crate) fn is_settled(&self, after: Duration) -> bool {
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else {
            return false;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.checked_sub(Duration::new(seconds, nanos)).is_some_and(|age| age >= after)
    }

    #[cfg(not(unix))]
    pub(crate) fn is_settled(&self, _: Duration) -> bool {
        false
    }
}

impl Verified {
    /// A set that takes files in as soon as their last change is so long ago.
    pub(super) fn settled_after(settled: Duration) -> Verified {
        Verified { known: Mutex::default(), settled }
    }

    /// Whether this very file was found whole.
    pub(super) fn knows(&self, name: &[u8; 32], stamp: &Stamp) -> bool {
        lock(&self.known).get(name) == Some(stamp)
    }

    /// Notes that the file, which had this stamp before it was read, was found whole.
    pub(super) fn note(&self, name: &[u8; 32], stamp: Stamp) {
        if stamp.is_settled(self.settled) {
            let mut known = lock(&self.known);
            if known.len() >= MOST {
                known.clear();
            }
            known.insert(*name, stamp);
        }
    }
}

impl Default for Verified {
    fn default() -> Verified {
        Verified::settled_after(SETTLED)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn stamp(changed: i64) -> Stamp {
        Stamp { device: 1, inode: 2, len: 3, modified: (4, 5), changed: (changed, 6) }
    }

    #[test]
    fn a_file_is_known_by_name_and_stamp() {
        let verified = Verified::default();
        verified.note(&[1; 32], stamp(4));
        assert!(verified.knows(&[1; 32], &stamp(4)));
        assert!(!verified.knows(&[2; 32], &stamp(4)));
        for other in [
            Stamp { device: 9, ..stamp(4) },
            Stamp { inode: 9, ..stamp(4) },
            Stamp { len: 9, ..stamp(4) },
            Stamp { modified: (4, 9), ..stamp(4) },
            Stamp { changed: (4, 9), ..stamp(4) },
        ] {
            assert!(!verified.knows(&[1; 32], &other), "{other:?}");
        }
    }

    #[test]
    fn a_file_changed_just_now_or_by_a_clock_ahead_is_not_noted() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        for changed in [now + 1000, i64::MAX, i64::MIN, -1] {
            let verified = Verified::default();
            verified.note(&[1; 32], stamp(changed));
            assert!(!verified.knows(&[1; 32], &stamp(changed)), "{changed}");
        }
        let patient = Verified::settled_after(Duration::from_secs(1000));
        patient.note(&[1; 32], stamp(now));
        assert!(!patient.knows(&[1; 32], &stamp(now)));
    }

    #[test]
    fn the_set_is_bounded() {
        let verified = Verified::default();
        for i in 0..3 * MOST {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&i.to_le_bytes());
            verified.note(&name, stamp(4));
            assert!(verified.knows(&name, &stamp(4)));
        }
        assert!(lock(&verified.known).len() <= MOST);
    }
}
