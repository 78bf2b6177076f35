//! An index made anew, by hand: from the blobs, and from what still verifies in the old one.

use std::fs;
use std::path::{Path, PathBuf};

use super::blob::{Blobs, Compression};
use super::bytes::Reader;
use super::catalog::now_ms;
use super::census::FunctionTotals;
use super::entry::{self, Place};
use super::entry_key::EntryKey;
use super::index::{self, Index, OpenFailure, Side};
use super::location::{self, Hold, Location};
use super::reconcile::reconcile;
use super::repair::{copy_files, refused};
use super::seat;
use super::types::StoreError;
use crate::error::{Error, LocationReason};

/// What [`rebuild`] made.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Rebuilt {
    /// Records that were sound in the old index, and are in the new one.
    pub kept: u64,
    /// Results that the old index did not know, or not rightly, and that were taken in from their files.
    pub taken_in: u64,
    /// Records of the old index that were damaged, or whose file is gone.
    pub dropped: u64,
    /// Where the old index is now; `None` if there was none. Nothing reads it again.
    pub aside: Option<PathBuf>,
    /// Why the old index could not be read to its end, if it could not.
    pub unread: Option<String>,
}

/// Makes the index of the cache in a directory anew, from the files of large results and from what is still sound in the
/// old one, which is set aside as `index.damaged-T`. For an index that one does not trust: what is plainly damaged is
/// made anew at the next opening by itself.
///
/// What was kept of use, removals and calls is kept, and what was noted of functions. The cache must not be in use; while this runs, it cannot be opened.
///
/// # Errors
/// The directory is no cache, is in use (the error names by whom), or cannot be written to. Whatever happens, the old index
/// is still there, in its place or aside, and the next opening finds all large results.
///
/// # Examples
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let dir = dir.path();
/// let square = |x: &f64| x * x;
/// larder::Memory::open(dir)?.cached_fn("square", 1, square).call(&3.0);
///
/// let rebuilt = larder::rebuild(dir)?;
/// assert_eq!((rebuilt.kept, rebuilt.dropped), (1, 0));
///
/// let memory = larder::Memory::open(dir)?;
/// assert!(larder::rebuild(dir).is_err()); // in use
/// assert_eq!(memory.cached_fn("square", 1, square).call(&3.0), 9.0);
/// assert_eq!(memory.stats().hits(), 1);
/// # Ok::<(), larder::Error>(())
/// ```
pub fn rebuild(path: impl AsRef<Path>) -> Result<Rebuilt, Error> {
    rebuild_at(path.as_ref())
}

fn rebuild_at(path: &Path) -> Result<Rebuilt, Error> {
    location::check(path)?;
    // Held to the end: nobody opens the cache meanwhile.
    let location = hold(path)?;
    let failed = |error: StoreError| refused(path, error);
    let system = |error: std::io::Error| refused(path, error);
    let dir = path.join("index");
    let mut rebuilt = Rebuilt::default();
    if dir.exists() {
        rebuilt.aside = Some(index::set_aside(&dir, now_ms()).map_err(system)?);
    }
    let blobs = Blobs::new(path.join("blobs"), path.join("temp"), Compression::Off, false);
    let new = Index::open(&dir).map_err(|failure| refused(path, words_of(failure)))?.0;
    if let Some(aside) = &rebuilt.aside {
        // A copy is read, so that what was set aside stays as it is.
        let copies = tempfile::tempdir_in(path.join("temp")).map_err(system)?;
        let copy = copies.path().join("index");
        match copy_files(aside, &copy).map_err(|error| error.to_string()).and_then(|()| open(&copy)) {
            Ok(old) => {
                let carried = carry_over(&old, &new, &blobs, &mut rebuilt).map_err(failed)?;
                rebuilt.unread = carried.err().map(|error| error.to_string());
            }
            Err(words) => rebuilt.unread = Some(words),
        }
    }
    rebuilt.taken_in = reconcile(&new, &blobs, true).map_err(failed)?;
    drop(new);
    drop(location);
    Ok(rebuilt)
}

fn hold(path: &Path) -> Result<Location, Error> {
    let in_use = |who: &str| {
        let what = format!("is in use by {who}: its index can be made anew only while nobody uses it; end that first");
        location::failed(path, &what, LocationReason::Io, None)
    };
    let mut holder = String::new();
    let held = location::patiently(|| match Location::try_hold(path) {
        Ok(Hold::Mine(location)) => Some(Ok(location)),
        Ok(Hold::Held(who)) => {
            holder = who.to_string();
            None
        }
        Err(error) => Some(Err(error)),
    });
    let location = held.unwrap_or_else(|| Err(in_use(&holder)))?;
    // Programs whose owner has just ended: one of them is about to be the next.
    if seat::others(path).alive.is_empty() { Ok(location) } else { Err(in_use("programs that were served here")) }
}

fn open(dir: &Path) -> Result<Index, String> {
    fs::metadata(dir).map_err(|error| error.to_string())?;
    Index::open(dir).map(|(index, _)| index).map_err(words_of)
}

fn words_of(failure: OpenFailure) -> String {
    match failure {
        OpenFailure::System(error) => error.to_string(),
        OpenFailure::Damaged(why) => why,
        OpenFailure::InUse => "its index is open in a program that does not hold its lock".to_owned(),
    }
}

/// Takes over what is sound. The inner error is the old index's, and ends the reading; the outer one the new index's.
fn carry_over(
    old: &Index,
    new: &Index,
    blobs: &Blobs,
    rebuilt: &mut Rebuilt,
) -> Result<Result<(), StoreError>, StoreError> {
    let mut written = Ok(());
    let read = old.for_each(|slot, record| {
        if written.is_err() {
            return;
        }
        match slot.try_into().map(EntryKey::from_bytes) {
            Ok(key) if is_sound(&key, record, blobs) => {
                written = new.insert(&key, record).map(drop);
                rebuilt.kept += 1;
            }
            _ => rebuilt.dropped += 1,
        }
    });
    written?;
    let mut noted = Ok(());
    let mut note = |side: Side, slot: &[u8], value: &[u8]| {
        if noted.is_ok() {
            noted = new.side_put(side, slot, value);
        }
    };
    let sides = old
        .side_for_each(Side::Used, |slot, value| note(Side::Used, slot, value))
        .and_then(|()| old.side_for_each(Side::Gone, |slot, value| note(Side::Gone, slot, value)))
        .and_then(|()| {
            old.side_for_each(Side::Census, |slot, value| {
                // Of the totals the calls are kept; the entries are counted anew, since nothing says that they are complete.
                if FunctionTotals::take(&mut Reader::new(value)).is_some() {
                    note(Side::Census, slot, value);
                }
            })
        })
        .and_then(|()| {
            old.side_for_each(Side::Notes, |name, value| {
                if super::notes::verified(name, value).is_some() {
                    note(Side::Notes, name, value);
                }
            })
        });
    noted?;
    new.flush()?;
    Ok(read.and(sides))
}

/// Whether a record verifies, and the file that it names is there with a header of that name.
fn is_sound(key: &EntryKey, record: &[u8], blobs: &Blobs) -> bool {
    match entry::parse(key, record) {
        Ok(entry::Record { place: Place::Inline { .. }, .. }) => true,
        // One that cannot be read now may be whole.
        Ok(entry::Record { place: Place::Blob { name }, .. }) => match blobs.head(&name) {
            Ok(head) => head.is_some(),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        },
        Err(super::Absent::NewerRecord) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::CodecId;
    use crate::key::Key;
    use crate::store::entry::Origin;
    use crate::store::used::{Calls, FunctionName, Used, Uses};
    use crate::store::{Absent, DiskStore, NewEntry, Prefix, Removal, Store};

    fn put(store: &DiskStore, key: EntryKey, value: &[u8]) {
        let origin = Origin { function: "f".into(), fingerprint: None, version: 1, arguments: Vec::new(), call: None };
        let entry = NewEntry {
            key,
            codec: CodecId::Compact,
            shape: 0,
            compute_nanos: 5,
            origin: &origin,
            parts: &[value.into()],
            mapped: false,
            costly: false,
            created_at_ms: Some(1_700_000_000_000),
        };
        assert!(matches!(store.put(&entry), Ok(None)));
    }

    #[test]
    fn uses_calls_tombstones_and_notes_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let [small, large, gone] = [1, 2, 3].map(|byte| Prefix::of("f").entry(&Key::from_bytes([byte; 32])));
        let function = FunctionName { name: "f".to_owned(), by_hand: true };
        let calls = Calls { hits: 7, misses: 3, nanos_saved: 35, nanos_computing: 15, blessed: 2 };
        {
            let store = DiskStore::open(dir.path()).unwrap();
            put(&store, small, b"small");
            put(&store, large, &[7; 10_000]);
            put(&store, gone, b"gone");
            assert!(matches!(store.forget(&gone), Ok(true)));
            let uses = Uses {
                entries: vec![(small, Used { last_ms: 9, hits: 7 })],
                functions: vec![(function.clone(), calls)],
            };
            store.note_uses(&uses).unwrap();
            store.set_note(b"cname", Some(b"note")).unwrap();
        }
        let rebuilt = rebuild(dir.path()).unwrap();
        assert_eq!((rebuilt.kept, rebuilt.taken_in, rebuilt.dropped, rebuilt.unread), (2, 0, 0, None));
        let store = DiskStore::open(dir.path()).unwrap();
        let page = store.page(None, None).unwrap();
        assert_eq!((page.len(), page[0].hits()), (2, 7));
        let totals = store.function("f", true).unwrap().unwrap();
        assert_eq!((totals.entries(), totals.tally.calls), (2, calls));
        match store.get(&gone) {
            Err(Absent::Removed(tombstone)) => assert_eq!(tombstone.why(), Removal::Forgotten),
            met => panic!("{met:?}"),
        }
        assert_eq!(store.get(&large).unwrap().value(), [7; 10_000]);
        assert_eq!(store.note(b"cname").unwrap().as_deref(), Some(&b"note"[..]));
    }

    #[test]
    fn of_two_files_of_one_call_the_one_that_the_index_names_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let key = Prefix::of("f").entry(&Key::from_bytes([1; 32]));
        let spared = {
            let store = DiskStore::open(dir.path()).unwrap();
            put(&store, key, &[1; 10_000]);
            let [name] = Blobs::new(dir.path().join("blobs"), dir.path().join("temp"), Compression::Off, false)
                .names()
                .unwrap()[..]
            else {
                panic!("one blob")
            };
            let path =
                Blobs::new(dir.path().join("blobs"), dir.path().join("temp"), Compression::Off, false).path(&name);
            let bytes = fs::read(&path).unwrap();
            put(&store, key, &[2; 10_000]);
            (path, bytes)
        };
        // What it replaced was not removed in time.
        fs::create_dir_all(spared.0.parent().unwrap()).unwrap();
        fs::write(&spared.0, spared.1).unwrap();
        let rebuilt = rebuild(dir.path()).unwrap();
        assert_eq!((rebuilt.kept, rebuilt.taken_in), (1, 0));
        assert!(!spared.0.exists());
        assert_eq!(DiskStore::open(dir.path()).unwrap().get(&key).unwrap().value(), [2; 10_000]);
    }
}
