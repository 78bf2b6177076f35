//! Where a cache cannot be: each error names the path and a remedy. Other processes, and disks without room.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use larder::{Error, Memory, MissReason, NotStoredReason};

use crate::child::{self, Other, say, this_program};
use crate::support::{NO_FILES, busy, files_in, hit, miss, open, open_telling};

// ---- Places that no cache can have.

/// The error of opening `path`, which names it.
#[track_caller]
fn refusal(path: &Path) -> Error {
    let error = Memory::open(path).expect_err("this place cannot be opened");
    let words = error.to_string();
    assert!(words.contains(&format!("the cache location `{}` ", path.display())), "{words}");
    assert!(error.is_location(), "{words}");
    assert!(!error.is_invalid_option() && error.task_failure().is_none());
    error
}

#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    for part in parts {
        assert!(error.to_string().contains(part), "`{part}` is not in: {error}");
    }
}

/// What a location error is: foreign, of a newer format.
fn kinds(error: &Error) -> (bool, bool) {
    (error.is_foreign_location(), error.is_newer_format())
}

#[test]
fn a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weather.csv");
    fs::write(&file, "day,rain\n").unwrap();
    let error = refusal(&file);
    says(&error, &["is a file, not a directory", "give the path of a directory"]);
    assert_eq!(kinds(&error), (false, false));
    assert_eq!(fs::read_to_string(&file).unwrap(), "day,rain\n");
}

#[test]
fn a_path_through_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("weather.csv");
    fs::write(&file, "").unwrap();
    let error = refusal(&file.join("cache"));
    says(&error, &["check the path"]);
    assert_eq!(kinds(&error), (false, false));
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    let error = refusal(dir.path());
    says(&error, &["is not a cache and not empty", "`thesis.tex`", "give an empty or a new directory"]);
    assert_eq!(kinds(&error), (true, false));
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.tex"]);
}

#[test]
fn a_cache_of_a_newer_release_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("larder-format"), "larder cache format 99\n").unwrap();
    let error = refusal(dir.path());
    says(&error, &["newer release", "format 99", "upgrade the `larder` crate", "choose another directory"]);
    assert_eq!(kinds(&error), (false, true));
    assert_eq!(fs::read_to_string(dir.path().join("larder-format")).unwrap(), "larder cache format 99\n");
}

#[test]
fn a_format_that_is_garbage_is_refused() {
    for garbage in [&b"larder cache format 0\n"[..], b"larder cache format x", b"something else", b"\xff\xfe\0", b""] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        fs::write(dir.path().join("larder-format"), garbage).unwrap();
        let error = refusal(dir.path());
        says(&error, &["damaged `larder-format`", "write `larder cache format 1` into that file"]);
        assert_eq!(kinds(&error), (true, false));
        // The remedy works.
        fs::write(dir.path().join("larder-format"), "larder cache format 1").unwrap();
        drop(open(dir.path()));
    }
}

#[test]
fn a_directory_that_a_cache_began_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("blobs")).unwrap();
    fs::write(dir.path().join("lock"), "").unwrap();
    let memory = open(dir.path());
    miss!(memory, NeverSeen, double(&memory, 4), 8);
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_cannot_be_made_is_refused() {
    let error = refusal(Path::new("/proc/larder/cache"));
    says(&error, &["cannot be created", "check the path and its permissions", "choose another directory"]);
    assert_eq!(kinds(&error), (false, false));
    assert!(std::error::Error::source(&error).is_some_and(|source| source.is::<io::Error>()), "{error:?}");
}

fn double(memory: &Memory, x: u64) -> u64 {
    memory.cached_fn("double", 1, |x: &u64| x * 2).call(&x)
}

// ---- This program again, as another process.

const CHILD: &str = "location::child_holds_a_cache";

/// Not a test of its own: what the children of the tests below run. Does nothing where nobody asked for it.
#[test]
fn child_holds_a_cache() {
    let Some((role, place)) = child::role() else { return };
    let place = Path::new(&place);
    match &*role {
        "hold" => {
            let memory = open(place);
            for x in 0..3 {
                assert_eq!(costly(&memory, x), x + 100);
            }
            assert_eq!(costly_and_large(&memory), vec![9; 50_000]);
            say("ready");
            // Until it is killed, or its parent is gone.
            let _ = io::stdin().read(&mut [0]);
        }
        "read-only" => {
            let error = refusal(place);
            says(&error, &["check its permissions", "choose another directory"]);
            assert_eq!(kinds(&error), (false, false));
            let error = refusal(&place.join("cache"));
            says(&error, &["cannot be created", "check the path and its permissions"]);
        }
        "no-room-for-blobs" => no_room_for_blobs(place),
        "no-room-for-the-index" => no_room_for_the_index(place),
        "no-room-at-all" => {
            let error = refusal(place);
            says(&error, &["free space", "choose another directory"]);
            assert_eq!(kinds(&error), (false, false));
        }
        other => panic!("an unknown role `{other}`"),
    }
    say("done");
}

/// Above the 10 ms from which a result is made safe before the call returns.
fn costly(memory: &Memory, x: u64) -> u64 {
    let compute = |x: &u64| {
        busy(Duration::from_millis(12));
        x + 100
    };
    memory.cached_fn("costly", 1, compute).call(&x)
}

fn costly_and_large(memory: &Memory) -> Vec<u8> {
    let compute = |_: &u8| {
        busy(Duration::from_millis(12));
        vec![9; 50_000]
    };
    memory.cached_fn("costly_and_large", 1, compute).call(&1)
}

#[test]
fn a_cache_that_another_process_holds_is_shared_and_then_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let mut other = Other::start(Command::new(this_program()), CHILD, "hold", &place);
    other.wait_for("ready");
    let (memory, lines) = open_telling(&place, 0);
    hit!(memory, hits_index, costly(&memory, 0), 100);
    hit!(memory, hits_blob, costly_and_large(&memory), vec![9; 50_000]);
    miss!(memory, NeverSeen, double(&memory, 4), 8);
    assert!(other.end().success());
    hit!(memory, hits_index, costly(&memory, 1), 101);
    miss!(memory, NeverSeen, double(&memory, 5), 10);
    drop(memory);
    let memory = open(&place);
    hit!(memory, hits_index, double(&memory, 4), 8);
    hit!(memory, hits_index, double(&memory, 5), 10);
    assert_eq!(lines.all(), [""; 0]);
}

/// kill -9: what took more than 10 ms was safe when its call returned.
#[test]
fn what_was_costly_survives_a_killed_process() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let mut other = Other::start(Command::new(this_program()), CHILD, "hold", &place);
    other.wait_for("ready");
    other.child.kill().unwrap();
    assert!(!other.end().success());
    let (memory, lines) = open_telling(&place, 0);
    for x in 0..3 {
        hit!(memory, hits_index, costly(&memory, x), x + 100);
    }
    hit!(memory, hits_blob, costly_and_large(&memory), vec![9; 50_000]);
    assert_eq!(lines.all(), [""; 0]);
    assert_eq!(files_in(&place, "temp"), NO_FILES);
}

/// sled's own lock is no damage: setting the index aside would throw small results away. It may be held for a moment
/// after a memory was closed (by sled's threads, or by a child that another thread is starting).
#[test]
fn an_index_that_someone_holds_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, double(&memory, 4), 8);
    }
    {
        let _held = sled::Config::new().path(dir.path().join("index")).open().unwrap();
        let error = refusal(dir.path());
        assert_eq!(kinds(&error), (false, false), "{error}");
    }
    let (memory, lines) = open_telling(dir.path(), 0);
    assert_eq!(lines.all(), [""; 0]);
    hit!(memory, hits_index, double(&memory, 4), 8);
}

// ---- A place that cannot be written to.

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let place = dir.path().join("read-only");
    fs::create_dir(&place).unwrap();
    allow(&place, 0o555);
    let mut other = Other::start(child::as_nobody(dir.path()), CHILD, "read-only", &place);
    other.wait_for("done");
    assert!(other.end().success());
    allow(&place, 0o755);
    drop(open(&place));
}

// ---- A place without room: files are limited, as on a full disk writes fail.

/// Runs a role where no file may become larger than `blocks` times 512 bytes (1024 in some shells).
#[cfg(unix)]
fn run_limited(role: &str, blocks: u32, place: &Path) {
    let mut command = Command::new("sh");
    // Ignored, so that a write beyond the limit is an error and not a signal.
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(this_program());
    let mut other = Other::start(command, CHILD, role, place);
    other.wait_for("done");
    assert!(other.end().success());
}

const TOO_LARGE: usize = 24 << 20;

fn blob(memory: &Memory, len: usize) -> Vec<u8> {
    memory.cached_fn("blob", 1, |len: &usize| vec![3; *len]).call(&len)
}

fn no_room_for_blobs(place: &Path) {
    let (memory, lines) = open_telling(place, 0);
    miss!(memory, NeverSeen, blob(&memory, 10_000), vec![3; 10_000]);
    for attempt in 1..=2 {
        miss!(memory, NeverSeen, blob(&memory, TOO_LARGE), vec![3; TOO_LARGE]);
        assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), attempt);
    }
    assert_eq!(memory.stats().stores, 1);
    assert_eq!(files_in(place, "temp"), NO_FILES);
    assert_eq!(files_in(place, "blobs").len(), 1);
    let said = lines.warnings();
    assert_eq!(said.len(), 1, "said once: {said:?}");
    assert!(said[0].contains("a result of `blob` could not be stored"), "{said:?}");
    // The cache goes on.
    miss!(memory, NeverSeen, blob(&memory, 20_000), vec![3; 20_000]);
    hit!(memory, hits_hot, blob(&memory, 10_000), vec![3; 10_000]);
    assert_eq!(memory.stats().stores, 2);
}

#[cfg(unix)]
#[test]
fn without_room_for_a_blob_its_value_is_returned_and_nothing_is_half_stored() {
    let dir = tempfile::tempdir().unwrap();
    run_limited("no-room-for-blobs", 16_384, dir.path());
    let memory = open(dir.path());
    hit!(memory, hits_blob, blob(&memory, 10_000), vec![3; 10_000]);
    hit!(memory, hits_blob, blob(&memory, 20_000), vec![3; 20_000]);
    miss!(memory, NeverSeen, blob(&memory, TOO_LARGE), vec![3; TOO_LARGE]);
    drop(memory);
    let memory = open(dir.path());
    hit!(memory, hits_blob, blob(&memory, TOO_LARGE), vec![3; TOO_LARGE]);
}

fn page(memory: &Memory, number: u64) -> String {
    memory.cached_fn("page", 1, |number: &u64| format!("{number:04000}")).call(&number)
}

const PAGES: u64 = 3000;

fn no_room_for_the_index(place: &Path) {
    let (memory, lines) = open_telling(place, 0);
    for number in 0..PAGES {
        assert_eq!(page(&memory, number), format!("{number:04000}"));
    }
    let stats = memory.stats();
    assert_eq!(stats.misses(), PAGES, "{:?}", lines.all());
    let failed = stats.not_stored_for(NotStoredReason::StoreFailed);
    assert_eq!(failed + stats.stores, PAGES);
    assert!(failed > 0, "12 MB do not fit into files of 2 MB");
    let said = lines.warnings();
    assert_eq!(said.iter().filter(|line| line.contains("could not be stored")).count(), 1, "said once: {said:?}");
}

#[cfg(unix)]
#[test]
fn without_room_for_the_index_calls_go_on() {
    let dir = tempfile::tempdir().unwrap();
    run_limited("no-room-for-the-index", 4096, dir.path());
    let memory = open(dir.path());
    for number in 0..PAGES {
        assert_eq!(page(&memory, number), format!("{number:04000}"));
    }
    let stats = memory.stats();
    assert_eq!(stats.misses_for(MissReason::NeverSeen), PAGES - stats.hits(), "{stats:?}");
    assert_eq!(stats.not_stored_for(NotStoredReason::StoreFailed), 0);
    drop(memory);
    let memory = open(dir.path());
    for number in (0..PAGES).step_by(100) {
        hit!(memory, hits_index, page(&memory, number), format!("{number:04000}"));
    }
}

#[cfg(unix)]
#[test]
fn without_any_room_opening_says_so() {
    let dir = tempfile::tempdir().unwrap();
    run_limited("no-room-at-all", 0, dir.path());
    // Once there is room, the place is as good as new.
    let memory = open(dir.path());
    miss!(memory, NeverSeen, double(&memory, 4), 8);
}
