//! Cache directories that change under a running program: removed, replaced, forbidden, held by someone out of reach.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use larder::{Memory, MissReason, NotStoredReason};

use crate::child::{self, Other, say, this_program};
use crate::support::{FOREVER, Lines, busy, ends, files_in, hit, image, miss, open, telling};

const CHILD: &str = "places::child_does_as_told";

fn small(memory: &Memory, x: u64) -> u64 {
    memory.cached_fn("small", 1, |x: &u64| x * 2).call(&x)
}

fn large(memory: &Memory, x: u64) -> Vec<u64> {
    memory.cached_fn("large", 1, |x: &u64| vec![x << 40; 700]).call(&x)
}

/// Above the 10 ms from which a result is safe when its call returns.
fn costly(memory: &Memory, x: u64) -> u64 {
    let compute = |x: &u64| {
        busy(Duration::from_millis(12));
        x + 100
    };
    memory.cached_fn("costly", 1, compute).call(&x)
}

/// The costly one first: with it, a program looks whether its directory is still there.
#[track_caller]
fn check(memory: &Memory, x: u64) {
    assert_eq!(costly(memory, x), x + 100);
    assert_eq!(large(memory, x), vec![x << 40; 700]);
    assert_eq!(small(memory, x), x * 2);
}

/// A memory that loads from the disk each time.
fn open_cold(place: &Path) -> (Memory, Lines) {
    let (builder, lines) = telling(0);
    (builder.memory_tier_bytes(0).open(place).unwrap(), lines)
}

/// Not a test of its own: what the children of the tests below run.
#[test]
fn child_does_as_told() {
    let Some((role, place)) = child::role() else { return };
    let place = Path::new(&place);
    match &*role {
        "open" => {
            let memory = open(place);
            check(&memory, 1);
            say("ready");
            let _ = std::io::stdin().read(&mut [0]);
            check(&memory, 3);
            say("stored");
            let _ = std::io::stdin().read(&mut [0]);
        }
        "forbidden" => forbidden(place),
        "not-mine" => {
            let (memory, lines) = open_cold(place);
            check(&memory, 7);
            assert_eq!(memory.stats().misses_for(MissReason::NotServed), 3, "{:?}", lines.all());
            assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 3);
            let told: Vec<_> = lines.all().into_iter().filter(|line| line.contains("to another user; until")).collect();
            assert_eq!(told.len(), 1, "{:?}", lines.all());
        }
        "read" => {
            let memory = Memory::open_read_only(place).unwrap();
            hit!(memory, hits_index, costly(&memory, 1), 101);
            hit!(memory, hits_blob, large(&memory, 1), vec![1 << 40; 700]);
            miss!(memory, NeverSeen, small(&memory, 50), 100);
        }
        other => panic!("an unknown role `{other}`"),
    }
    say("done");
}

fn other(role: &str, place: &Path) -> Other {
    Other::start(Command::new(this_program()), CHILD, role, place)
}

/// What a program finds that opens the place now.
#[track_caller]
fn holds(place: &Path, x: u64) {
    let (memory, lines) = open_cold(place);
    check(&memory, x);
    assert_eq!((memory.stats().hits(), memory.stats().misses()), (3, 0), "{x}: {:?}", lines.all());
}

// ---- Removed and replaced.

#[test]
fn a_directory_removed_under_its_owner_is_made_anew_by_any_result() {
    for first in [large as fn(&Memory, u64) -> Vec<u64>, |memory, x| vec![costly(memory, x)]] {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("cache");
        let (memory, lines) = open_cold(&place);
        check(&memory, 1);
        fs::remove_dir_all(&place).unwrap();
        first(&memory, 2);
        check(&memory, 2);
        check(&memory, 1);
        assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 0, "{:?}", lines.all());
        drop(memory);
        holds(&place, 2);
    }
}

#[test]
fn a_directory_removed_under_a_guest_is_made_anew_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let mut owner = other("open", &place);
    owner.wait_for("ready");
    let (memory, lines) = open_cold(&place);
    check(&memory, 2);
    fs::remove_dir_all(&place).unwrap();
    check(&memory, 4);
    check(&memory, 5);
    // The old owner finds the new one.
    owner.go();
    owner.wait_for("stored");
    check(&memory, 3);
    assert_eq!(memory.stats().misses(), 9, "{:?}", lines.all());
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 0, "{:?}", lines.all());
    assert!(owner.end().success());
    drop(memory);
    for x in [3, 4, 5] {
        holds(&place, x);
    }
}

/// What the old index would write by name must not meet the new one: not with the next result, nor when it is closed.
#[test]
fn a_directory_replaced_by_another_cache_is_left_to_its_owner() {
    for stores_again in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("cache");
        let (memory, lines) = open_cold(&place);
        check(&memory, 8);
        fs::rename(&place, dir.path().join("old")).unwrap();
        let mut new = other("open", &place);
        new.wait_for("ready");
        let before = state(&place);
        if stores_again {
            check(&memory, 9);
            hit!(memory, hits_index, small(&memory, 1), 2);
        }
        drop(memory);
        if !stores_again {
            assert_eq!(state(&place), before);
        }
        assert!(place.join("socket").exists() && !place.join("index.closed").exists());
        new.go();
        new.wait_for("stored");
        assert!(new.end().success());
        holds(&place, 1);
        holds(&place, 3);
        if stores_again {
            holds(&place, 9);
        }
        assert_eq!(lines.all(), [""; 0]);
    }
}

/// To clear a cache whose directory was replaced is to clear the one that is there now.
#[test]
fn a_replaced_directory_is_cleared_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let (memory, _) = open_cold(&place);
    check(&memory, 8);
    fs::rename(&place, dir.path().join("old")).unwrap();
    let mut new = other("open", &place);
    new.wait_for("ready");
    memory.clear().unwrap();
    miss!(memory, NeverSeen, large(&memory, 1), vec![1 << 40; 700]);
    miss!(memory, NeverSeen, small(&memory, 1), 2);
    assert_eq!(files_in(&place, "blobs").len(), 1);
    assert!(new.end().success());
}

// ---- Forbidden.

#[cfg(unix)]
fn forbidden(place: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let allow = |folder: &str, mode| {
        fs::set_permissions(place.join(folder), fs::Permissions::from_mode(mode)).unwrap();
    };
    let (memory, lines) = open_cold(place);
    check(&memory, 1);
    // As a file system that is mounted anew, for reading only.
    let folders: Vec<_> = fs::read_dir(place.join("blobs")).unwrap().map(|item| item.unwrap().file_name()).collect();
    let folders = folders.iter().map(|name| format!("blobs/{}", name.to_str().unwrap()));
    let folders: Vec<_> = folders.chain(["blobs".to_owned(), "temp".to_owned(), String::new()]).collect();
    folders.iter().for_each(|folder| allow(folder, 0o555));
    check(&memory, 1);
    assert_eq!(memory.stats().misses(), 3);
    check(&memory, 2);
    let refused = memory.stats().not_stored_for(NotStoredReason::StoreFailed);
    assert!(refused >= 1, "a blob needs a new file");
    assert_eq!(lines.warnings().len(), 1, "{:?}", lines.all());
    // Not to be entered at all.
    allow("blobs", 0);
    check(&memory, 1);
    allow("", 0);
    check(&memory, 3);
    folders.iter().rev().for_each(|folder| allow(folder, 0o755));
    check(&memory, 4);
    drop(memory);
    holds(place, 1);
    holds(place, 4);
}

#[cfg(unix)]
#[test]
fn permissions_that_are_lost_fail_no_call() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("open");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    let mut child = Other::start(child::as_nobody(dir.path()), CHILD, "forbidden", &place.join("cache"));
    child.wait_for("done");
    assert!(child.end().success());
}

/// Makes everything in a cache everybody's.
#[cfg(unix)]
fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|item| open_to_all(&item.unwrap().path()));
    }
}

#[cfg(unix)]
#[test]
fn a_program_of_another_user_computes_for_itself_and_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let memory = open(&place);
    check(&memory, 1);
    if is_superuser(&place) {
        // Even where the socket's own permissions would let it in.
        open_to_all(&place);
        let mut child = Other::start(child::as_nobody(dir.path()), CHILD, "not-mine", &place);
        child.wait_for("done");
        assert!(child.end().success());
    }
    check(&memory, 2);
    drop(memory);
    holds(&place, 1);
    holds(&place, 2);
}

#[cfg(unix)]
pub(crate) fn is_superuser(path: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap()) == 0
}

// ---- Out of reach.

#[cfg(target_os = "linux")]
#[test]
fn a_place_with_a_path_too_long_for_a_socket_is_shared() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("long".repeat(30)).join("cache");
    let mut owner = other("open", &place);
    owner.wait_for("ready");
    let (memory, lines) = open_cold(&place);
    check(&memory, 1);
    check(&memory, 2);
    assert_eq!((memory.stats().hits(), memory.stats().misses()), (3, 3), "{:?}", lines.all());
    owner.child.kill().unwrap();
    drop(owner);
    check(&memory, 4);
    // What the killed owner knew of its blobs and its index did not may be taken in again, and told.
    assert!(lines.all().iter().all(|line| line.contains("taken in again")), "{:?}", lines.all());
    drop(memory);
    holds(&place, 4);
}

#[test]
fn a_cache_that_another_host_holds_is_used_once_it_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    check(&open(&place), 1);
    let mut held = File::options().read(true).write(true).open(place.join("lock")).unwrap();
    held.lock().unwrap();
    held.set_len(0).unwrap();
    held.write_all(b"process 12 on some-other-host\n").unwrap();
    let before = image(&place.join("index"));
    let (memory, lines) = open_cold(&place);
    for round in 1..=2 {
        check(&memory, round);
    }
    let stats = memory.stats();
    assert_eq!((stats.hits(), stats.misses_for(MissReason::NotServed)), (0, 6), "{:?}", lines.all());
    assert_eq!(stats.not_stored_for(NotStoredReason::StoreFailed), 6);
    let told = |words: &str| lines.warnings().iter().filter(|line| line.contains(words)).count();
    assert_eq!(
        told("held by process 12 on some-other-host, and a network file system carries no socket from there; until"),
        1,
        "{:?}",
        lines.all()
    );
    assert_eq!(lines.all().len(), 2, "and once that a result was not stored: {:?}", lines.all());
    assert_eq!(image(&place.join("index")), before);
    assert_eq!(files_in(&place, "blobs").len(), 1);
    drop(held);
    until(|| {
        let failed = memory.stats().not_stored_for(NotStoredReason::StoreFailed);
        small(&memory, 5);
        memory.stats().not_stored_for(NotStoredReason::StoreFailed) == failed
    });
    check(&memory, 6);
    hit!(memory, hits_index, costly(&memory, 1), 101);
    drop(memory);
    holds(&place, 6);
}

/// Tries until it is so.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < FOREVER, "it never came to be");
        std::thread::yield_now();
    }
}

/// A program that this one started, and that is still there when the cache is closed, holds nothing of it.
#[cfg(unix)]
#[test]
fn a_started_program_inherits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    check(&memory, 1);
    let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    drop(memory);
    let (memory, lines) = open_cold(dir.path());
    check(&memory, 1);
    assert_eq!((memory.stats().hits(), lines.all().len()), (3, 0), "{:?}", lines.all());
    cat.kill().unwrap();
    cat.wait().unwrap();
}

// ---- For reading only.

/// Every file and folder, with its content and when it was last changed.
fn state(place: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
    fn add(path: &Path, all: &mut BTreeMap<PathBuf, (SystemTime, Vec<u8>)>) {
        let is_folder = path.is_dir();
        let is_file = path.is_file();
        let content = if is_file { fs::read(path).unwrap() } else { Vec::new() };
        all.insert(path.to_owned(), (path.metadata().unwrap().modified().unwrap(), content));
        if is_folder {
            fs::read_dir(path).unwrap().for_each(|item| add(&item.unwrap().path(), all));
        }
    }
    let mut all = BTreeMap::new();
    add(place, &mut all);
    all
}

/// Reads what is there, computes what is not, and tries to change something.
#[track_caller]
fn reads(place: &Path) {
    let (builder, lines) = telling(0);
    let memory = builder.memory_tier_bytes(0).open_read_only(place).unwrap();
    hit!(memory, hits_index, costly(&memory, 1), 101);
    hit!(memory, hits_blob, large(&memory, 1), vec![1 << 40; 700]);
    miss!(memory, NeverSeen, costly(&memory, 77), 177);
    miss!(memory, NeverSeen, large(&memory, 77), vec![77 << 40; 700]);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::ReadOnly), 2);
    memory.clear().unwrap_err();
    memory.cached_fn("large", 1, |_: &u64| vec![0_u64]).clear().unwrap_err();
    hit!(memory, hits_blob, large(&memory, 1), vec![1 << 40; 700]);
    assert_eq!(lines.all().len(), 1, "two closures of one name: {:?}", lines.all());
}

#[test]
fn who_only_reads_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    {
        // With an owner, which has come to rest.
        let mut owner = other("open", &place);
        owner.wait_for("ready");
        {
            let memory = open(&place);
            until(|| {
                let before = state(&place);
                check(&memory, 1);
                state(&place) == before
            });
        }
        let before = state(&place);
        reads(&place);
        let mut after = state(&place);
        // The owner flushes as it likes.
        after.retain(|path, _| !path.starts_with(place.join("index")));
        assert!(after.iter().all(|(path, state)| before.get(path) == Some(state)), "{:?}", after.keys());
        // After a crash.
        owner.child.kill().unwrap();
        owner.child.wait().unwrap();
    }
    let before = state(&place);
    reads(&place);
    assert_eq!(state(&place), before);
    check(&open(&place), 1);
    // As it was closed.
    let before = state(&place);
    reads(&place);
    assert_eq!(state(&place), before);
}

#[test]
fn who_reads_and_who_writes_in_one_program_share_a_cache() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    check(&open(&place), 1);
    let reader = Memory::builder().memory_tier_bytes(0).open_read_only(&place).unwrap();
    ends(move || {
        let writer = open(&place);
        check(&writer, 2);
        drop(reader);
        let reader = Memory::builder().memory_tier_bytes(0).open_read_only(&place).unwrap();
        check(&reader, 2);
        assert_eq!((reader.stats().hits(), reader.stats().misses()), (3, 0));
        reader.clear().unwrap_err();
        // The owner ends; the reader goes on with a copy.
        drop(writer);
        check(&reader, 1);
        assert_eq!((reader.stats().hits(), reader.stats().misses()), (6, 0));
        let writer = open(&place);
        check(&writer, 2);
        assert_eq!((writer.stats().hits(), writer.stats().misses()), (3, 0));
    });
}

#[cfg(unix)]
#[test]
fn who_may_only_read_does() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    check(&open(&place), 1);
    fs::set_permissions(&place, fs::Permissions::from_mode(0o555)).unwrap();
    let before = state(&place);
    let mut child = Other::start(child::as_nobody(dir.path()), CHILD, "read", &place);
    child.wait_for("done");
    assert!(child.end().success());
    assert_eq!(state(&place), before);
}

#[test]
fn what_cannot_be_read_is_an_error_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |place: &Path| Memory::open_read_only(place).unwrap_err().to_string();
    let place = dir.path().join("cache");
    assert!(refusal(&place).contains("is no cache: open it once for writing"), "{}", refusal(&place));
    assert!(!place.exists());
    check(&open(&place), 1);
    fs::write(place.join("index").join("conf"), "garbage that is no configuration").unwrap();
    let before = state(&place);
    assert!(refusal(&place).contains("opened for writing, a damaged one is repaired"), "{}", refusal(&place));
    assert_eq!(state(&place), before);
    assert_eq!(large(&open(&place), 1), vec![1 << 40; 700]);
}
