//! Every store keeps the laws, one of an outsider too; and the suite that says so finds those that do not.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder::conformance;
use larder::store::{
    Absent, Claims, DiskStore, EntryKey, Found, NewEntry, RecordInfo, Store, StoreError, VolatileStore,
};
use tempfile::TempDir;

use crate::support::most_positions;

/// A store as an outsider would write it: a directory with a file for each entry.
pub(crate) struct Files {
    dir: PathBuf,
    claims: Claims,
    /// The number of the next temporary file.
    next: AtomicU64,
}

impl Files {
    pub(crate) fn open(dir: &Path) -> io::Result<Files> {
        fs::create_dir_all(dir)?;
        let store = Files { dir: dir.to_owned(), claims: Claims::default(), next: AtomicU64::new(0) };
        for path in store.list()? {
            // What a killed program was writing.
            if path.extension().is_some() {
                fs::remove_file(path)?;
            }
        }
        Ok(store)
    }

    fn list(&self) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(&self.dir)?.map(|item| Ok(item?.path())).collect()
    }

    fn path(&self, key: &EntryKey) -> PathBuf {
        let name: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        self.dir.join(name)
    }

    /// Removes what `is_gone`, and answers how many there were.
    fn remove(&self, is_gone: impl Fn(&[u8]) -> bool) -> io::Result<u64> {
        let mut count = 0;
        for path in self.list()? {
            if path.extension().is_none() && is_gone(&fs::read(&path)?) {
                fs::remove_file(path)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> StoreError {
    move |error| StoreError::new(what, error)
}

impl Store for Files {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        match fs::read(self.path(key)) {
            Ok(record) => Found::from_record(key, record),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Absent::Never),
            Err(error) => Err(Absent::Unreadable(StoreError::new("reading an entry", error))),
        }
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        let temp = self.dir.join(format!("{}.new", self.next.fetch_add(1, Relaxed)));
        fs::write(&temp, entry.to_record()).map_err(failed("writing an entry"))?;
        fs::rename(temp, self.path(&entry.key())).map_err(failed("naming an entry"))?;
        Ok(None)
    }

    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        self.remove(|record| RecordInfo::of(record).is_ok_and(|info| info.is_of(function, by_hand)))
            .map_err(failed("clearing a function"))
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        match fs::remove_file(self.path(key)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("removing an entry")(error)),
        }
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.remove(|_| true).map(drop).map_err(failed("clearing"))
    }

    fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Opens stores in directories that last as long as this.
struct Directories<S> {
    made: Mutex<Vec<TempDir>>,
    open: fn(&Path) -> S,
}

impl<S> Directories<S> {
    fn new(open: fn(&Path) -> S) -> Directories<S> {
        Directories { made: Mutex::default(), open }
    }

    fn open_another(&self) -> S {
        let dir = tempfile::tempdir().expect("there is room");
        let store = (self.open)(dir.path());
        self.made.lock().expect("nothing panics meanwhile").push(dir);
        store
    }
}

fn on_disk(dir: &Path) -> DiskStore {
    DiskStore::open(dir).expect("the cache opens")
}

fn in_files(dir: &Path) -> Files {
    Files::open(dir).expect("the directory opens")
}

#[test]
fn the_store_in_memory_keeps_the_laws() {
    conformance::check(VolatileStore::new);
}

#[test]
fn a_store_behind_a_pointer_is_a_store() {
    conformance::check(|| Box::new(VolatileStore::new()) as Box<dyn Store>);
}

#[test]
fn the_store_on_disk_keeps_the_laws() {
    let directories = Directories::new(on_disk);
    conformance::check(|| directories.open_another());
}

#[test]
fn the_store_on_disk_is_durable() {
    conformance::check_durable(on_disk);
}

#[test]
fn the_store_on_disk_serves_no_damage() {
    let damage = conformance::check_damage(most_positions(60), |dir| DiskStore::open(dir)).unwrap();
    println!("{damage:?}");
    assert!(damage.found > 0 && damage.absent > 0, "{damage:?}");
    // The file that names the format is the only one that a directory is not opened without: "larder cache format 1".
    assert!(damage.refused <= 2 * 22, "{damage:?}");
}

/// Not a test of its own: what the test below starts and kills.
#[test]
fn child_on_disk_is_killed() {
    conformance::crash::child(on_disk);
}

#[test]
fn the_store_on_disk_keeps_what_it_acknowledged() {
    conformance::crash::check("stores::child_on_disk_is_killed", 6, on_disk);
}

#[test]
fn an_outsiders_store_keeps_the_laws() {
    let directories = Directories::new(in_files);
    conformance::check(|| directories.open_another());
    conformance::check_durable(in_files);
    let damage = conformance::check_damage(most_positions(500), Files::open).unwrap();
    // Each alteration is of one of two entries: the other is found.
    assert_eq!((damage.found, damage.absent, damage.refused), (damage.openings, damage.openings, 0));
    assert!(damage.openings > 500, "{damage:?}");
}

/// Not a test of its own: what the test below starts and kills.
#[test]
fn child_in_files_is_killed() {
    conformance::crash::child(in_files);
}

#[test]
fn an_outsiders_store_keeps_what_it_acknowledged() {
    conformance::crash::check("stores::child_in_files_is_killed", 4, in_files);
}
