//! Others that lie: programs at the socket that speak nonsense or nothing, records that claim what is not so.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use larder::{Memory, MissReason, NotStoredReason};
use serde::{Deserialize, Serialize};

use crate::child::{self, Other, say, this_program};
use crate::places::{is_superuser, until};
use crate::support::{FOREVER, Lines, ends, files_in, hit, miss, open, open_telling, telling};

const CHILD: &str = "hostile::child_is_another_program";

fn small(memory: &Memory, x: u64) -> u64 {
    memory.cached_fn("small", 1, |x: &u64| x * 2).call(&x)
}

fn large(memory: &Memory, x: u64) -> Vec<u64> {
    memory.cached_fn("large", 1, |x: &u64| vec![x << 40; 700]).call(&x)
}

fn check(memory: &Memory, x: u64) {
    assert_eq!(small(memory, x), x * 2);
    assert_eq!(large(memory, x), vec![x << 40; 700]);
}

fn open_cold(place: &Path) -> (Memory, Lines) {
    let (builder, lines) = telling(0);
    (builder.memory_tier_bytes(0).open(place).unwrap(), lines)
}

/// Not a test of its own: what the children of the tests below run.
#[test]
fn child_is_another_program() {
    let Some((role, rest)) = child::role() else { return };
    match &*role {
        "version" => {
            let (version, place) = rest.split_once(' ').unwrap();
            let memory = open(Path::new(place));
            say("ready");
            let _ = std::io::stdin().read(&mut [0]);
            versions(&memory, version.parse().unwrap());
        }
        "hold" => {
            let memory = open(Path::new(&rest));
            check(&memory, 1);
            say("ready");
            let _ = std::io::stdin().read(&mut [0]);
        }
        "impostor" => {
            let _impostor = Impostor::start(Path::new(&rest), |mut stream| {
                // Welcomes everyone.
                while read_message(&mut stream).is_some() && say_to(&mut stream, &[0]) {}
            });
            // Everybody may connect.
            let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
            fs::set_permissions(Path::new(&rest).join("socket"), all).unwrap();
            say("ready");
            let _ = std::io::stdin().read(&mut [0]);
        }
        "no-room" => {
            let (memory, lines) = open_cold(Path::new(&rest));
            let text = |len: usize| memory.cached_fn("text", 1, |len: &usize| "x".repeat(*len)).call(&len);
            assert_eq!(text(10_000).len(), 10_000);
            assert_eq!(text(8 << 20).len(), 8 << 20);
            assert_eq!(text(100).len(), 100);
            assert_eq!((memory.stats().stores, lines.warnings().len()), (2, 1), "{:?}", lines.all());
            assert_eq!(memory.stats().not_stored_for(NotStoredReason::StoreFailed), 1);
        }
        other => panic!("an unknown role `{other}`"),
    }
    say("done");
}

// ---- Programs that are honest.

fn versions(memory: &Memory, version: u64) {
    for x in 0..200 {
        let value = memory.cached_fn("shared name", version, |x: &u64| (version, x * version)).call(&x);
        assert_eq!(value, (version, x * version));
    }
}

#[test]
fn two_versions_of_a_program_at_once_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    let start = |version| {
        let role = format!("version {version}");
        let mut child = Other::start(Command::new(this_program()), CHILD, &role, &place);
        child.wait_for("ready");
        child
    };
    let mut children = [start(1), start(2), start(3)];
    children.iter_mut().for_each(Other::go);
    for mut child in children {
        child.wait_for("done");
        assert!(child.end().success());
    }
    let memory = open(&place);
    (1..=3).for_each(|version| versions(&memory, version));
    assert_eq!(memory.stats().misses(), 0);
}

#[test]
fn a_guest_without_room_stores_what_there_is_room_for() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let mut command = Command::new("sh");
    // Ignored, so that a write beyond the limit is an error and not a signal.
    command.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\""]).arg(this_program());
    let mut child = Other::start(command, CHILD, "no-room", dir.path());
    child.wait_for("done");
    assert!(child.end().success());
    let text = |len: usize| memory.cached_fn("text", 1, |len: &usize| "x".repeat(*len)).call(&len);
    assert_eq!((text(10_000).len(), text(100).len(), memory.stats().misses()), (10_000, 100, 0));
    assert_eq!((files_in(dir.path(), "blobs").len(), files_in(dir.path(), "temp").len()), (1, 0));
}

/// A stopped owner holds its guests up for some seconds; then they do without, until it goes on.
#[test]
fn calls_go_on_while_the_owner_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = Other::start(Command::new(this_program()), CHILD, "hold", dir.path());
    owner.wait_for("ready");
    let signal = |signal: &str, owner: &Other| {
        let sent = Command::new("kill").args([signal, &owner.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    };
    let (memory, lines) = open_cold(dir.path());
    check(&memory, 1);
    signal("-STOP", &owner);
    let (memory, stats) = ends(move || {
        for x in 10..300 {
            check(&memory, x);
        }
        let stats = memory.stats();
        (memory, stats)
    });
    assert!(stats.misses_for(MissReason::NotServed) > 500, "{stats:?}");
    signal("-CONT", &owner);
    until(|| {
        let hits = memory.stats().hits();
        check(&memory, 5000);
        memory.stats().hits() == hits + 2
    });
    // What it was asked for while it was stopped is nobody's: another program gets every claim.
    let memory = ends(move || {
        for x in 10..300 {
            check(&memory, x);
        }
        memory
    });
    let told = lines.warnings().iter().filter(|line| line.contains("; until it can be reached")).count();
    assert_eq!(told, 1, "{:?}", lines.all());
    owner.child.kill().unwrap();
    drop(owner);
    check(&memory, 5000);
}

// ---- Owners that are not.

/// Holds a cache and listens at its socket.
struct Impostor {
    place: PathBuf,
    is_over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
    lock: Option<File>,
    met: Arc<AtomicUsize>,
}

impl Impostor {
    fn start(place: &Path, each: impl Fn(UnixStream) + Send + Sync + 'static) -> Impostor {
        let lock = File::options().read(true).write(true).open(place.join("lock")).unwrap();
        lock.lock().unwrap();
        let listener = UnixListener::bind(place.join("socket")).unwrap();
        let (is_over, met, each) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(each));
        let (ends, meets) = (Arc::clone(&is_over), Arc::clone(&met));
        let accept = move || {
            for stream in listener.incoming() {
                if ends.load(SeqCst) {
                    break;
                }
                meets.fetch_add(1, SeqCst);
                let each = Arc::clone(&each);
                // Ends with its connection.
                thread::spawn(move || each(stream.unwrap()));
            }
        };
        let accepting = Some(thread::spawn(accept));
        Impostor { place: place.to_owned(), is_over, accepting, lock: Some(lock), met }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        // Wakes it.
        let _ = UnixStream::connect(self.place.join("socket"));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().unwrap();
        }
        fs::remove_file(self.place.join("socket")).unwrap();
        drop(self.lock.take());
    }
}

fn read_message(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut message = vec![0; u32::from_le_bytes(len) as usize];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

/// Answers whether the other side is still there.
fn say_to(stream: &mut UnixStream, message: &[u8]) -> bool {
    let framed = [&(message.len() as u32).to_le_bytes(), message].concat();
    stream.write_all(&framed).is_ok()
}

/// A closed cache with the results of 1.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    check(&open(dir.path()), 1);
    dir
}

/// Opens a cache that such an owner holds, and computes; then the owner ends, and all is well. Answers what was said.
#[track_caller]
fn computes_beside(each: impl Fn(UnixStream) + Send + Sync + 'static) -> Vec<String> {
    let dir = filled();
    let impostor = Impostor::start(dir.path(), each);
    let place = dir.path().to_owned();
    let (memory, lines) = ends(move || {
        let (memory, lines) = open_cold(&place);
        check(&memory, 1);
        check(&memory, 2);
        (memory, lines)
    });
    assert!(impostor.met.load(SeqCst) > 0, "it was asked");
    let stats = memory.stats();
    assert_eq!((stats.hits(), stats.misses()), (0, 4), "{stats:?}");
    assert!(lines.warnings().len() <= 3, "each said once: {:?}", lines.all());
    drop(impostor);
    until(|| {
        let hits = memory.stats().hits();
        check(&memory, 1);
        memory.stats().hits() == hits + 2
    });
    let said = lines.all();
    ends(move || drop(memory));
    check(&open(dir.path()), 1);
    said
}

#[track_caller]
fn is_said_once(said: &[String], words: &str) {
    let told: Vec<_> = said.iter().filter(|line| line.contains(&format!("{words}; until"))).collect();
    assert_eq!(told.len(), 1, "`{words}`: {said:?}");
}

#[test]
fn an_owner_that_answers_nonsense_is_not_asked_again() {
    let said = computes_beside(|mut stream| {
        read_message(&mut stream);
        say_to(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    assert!(said[0].contains("what it answers is not understood"), "{said:?}");
}

#[test]
fn an_owner_whose_answer_claims_two_gigabytes_is_not_believed() {
    let said = computes_beside(|mut stream| {
        read_message(&mut stream);
        // Gone if it is not believed.
        let _ = stream.write_all(&(1_u32 << 31).to_le_bytes());
        let _ = stream.read(&mut [0]);
    });
    is_said_once(&said, "what it answers is not understood: a message of 2147483648 bytes");
}

#[test]
fn an_owner_of_another_protocol_says_so() {
    let said = computes_beside(|mut stream| {
        read_message(&mut stream);
        say_to(&mut stream, b"\x01it speaks protocol 77 and this program 4");
    });
    is_said_once(&said, "it speaks protocol 77 and this program 4");
}

/// It hangs up before it hears anything; what it said before that is heard.
#[test]
fn an_owner_that_refuses_and_hangs_up_at_once_is_understood() {
    let said = computes_beside(|mut stream| {
        say_to(&mut stream, b"\x01it serves too many programs already");
    });
    is_said_once(&said, "it serves too many programs already");
}

#[test]
fn an_owner_that_says_nothing_is_given_up() {
    let said = computes_beside(|mut stream| {
        // Until the other side gives up.
        while read_message(&mut stream).is_some() {}
    });
    is_said_once(&said, "it does not answer");
}

/// Admits everyone, and answers every question with the same message.
fn always(answer: Vec<u8>) -> impl Fn(UnixStream) + Send + Sync + 'static {
    move |mut stream| {
        while let Some(message) = read_message(&mut stream) {
            let answer = match message.first() {
                // A greeting, a claim from before, that all were told.
                Some(0..=2) => &[0][..],
                // Needs no answer.
                Some(5) => continue,
                _ => &answer,
            };
            if !say_to(&mut stream, answer) {
                break;
            }
        }
    }
}

#[test]
fn an_owner_whose_answers_are_garbage_is_not_believed() {
    // A record of noise; an empty one; a claim for a put; words that are no text; nothing at all.
    for answer in [&[2, 7, 7, 7][..], &[2], &[4], &[10, 0xff, 0xfe], &[]] {
        computes_beside(always(answer.to_vec()));
    }
}

#[test]
fn an_owner_whose_records_lie_is_not_believed() {
    let dir = filled();
    let mut hostile = Vec::new();
    with_index(dir.path(), |db| {
        let (slot, record) = small_one(db);
        hostile = forged(&slot, &record, Lie::Length);
    });
    computes_beside(always([&[2], &hostile[..]].concat()));
}

#[test]
fn a_socket_of_another_user_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("cache");
    check(&open(&place), 1);
    if !is_superuser(&place) {
        // Nobody else's programs can be started.
        return;
    }
    for path in [place.clone(), place.join("lock")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut impostor = Other::start(child::as_nobody(dir.path()), CHILD, "impostor", &place);
    impostor.wait_for("ready");
    let (memory, lines) = open_cold(&place);
    miss!(memory, NotServed, small(&memory, 1), 2);
    is_said_once(&lines.all(), "it belongs to another user");
    impostor.child.kill().unwrap();
    drop(impostor);
    until(|| {
        let hits = memory.stats().hits();
        check(&memory, 1);
        memory.stats().hits() == hits + 2
    });
}

// ---- Guests that are none.

fn connect(place: &Path) -> UnixStream {
    let stream = UnixStream::connect(place.join("socket")).unwrap();
    stream.set_read_timeout(Some(FOREVER)).unwrap();
    stream
}

/// What a guest says first, of whatever protocol.
fn hello(protocol: u32, rest: &[u8]) -> Vec<u8> {
    [&[0], &b"LARDSOCK"[..], &protocol.to_le_bytes(), rest].concat()
}

#[test]
fn a_guest_of_another_protocol_is_told_why_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    for rest in [&[7; 9][..], &[7; 17], &[7; 500], &[]] {
        let mut stream = connect(dir.path());
        assert!(say_to(&mut stream, &hello(77, rest)));
        let answer = read_message(&mut stream).expect("it answers");
        assert_eq!(answer, b"\x01it speaks protocol 4 and this program 77", "{}", String::from_utf8_lossy(&answer));
        assert_eq!(read_message(&mut stream), None, "and hangs up");
    }
    check(&memory, 1);
    assert_eq!(lines.all(), [""; 0]);
}

#[test]
fn guests_that_speak_nonsense_are_cut_off_and_harm_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let rest = [&7_u64.to_le_bytes()[..], &9_u64.to_le_bytes(), &[1]].concat();
    let framed = |message: &[u8]| [&(message.len() as u32).to_le_bytes(), message].concat();
    let greeting = framed(&hello(4, &rest));
    let key = [3; 40];
    let sent: [Vec<u8>; 8] = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 5000],
        framed(&[]),
        framed(&[8]),
        [&greeting[..], &framed(&[99])].concat(),
        [&greeting[..], &greeting].concat(),
        [&greeting[..], &framed(&[3, 1, 2])].concat(),
        [&greeting[..], &(1_u32 << 31).to_le_bytes()].concat(),
    ];
    for message in sent {
        let mut stream = connect(dir.path());
        // It may hang up in the middle.
        let _ = stream.write_all(&message);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Until it hangs up; what it answers to the part that it understands is of no interest.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // One that claims a key, for ever, and one that waits for it longer than anybody lives, hold up no end.
    let mut holder = connect(dir.path());
    let claim = |thread: u64, wait_ms: u32| {
        framed(&[&[4], &key[..], &thread.to_le_bytes(), &[0], &wait_ms.to_le_bytes()].concat())
    };
    holder.write_all(&[&greeting[..], &claim(1, 0)].concat()).unwrap();
    assert_eq!((read_message(&mut holder), read_message(&mut holder)), (Some(vec![0]), Some(vec![4])));
    let mut waiter = connect(dir.path());
    let other = [&8_u64.to_le_bytes()[..], &10_u64.to_le_bytes(), &[1]].concat();
    waiter.write_all(&[&framed(&hello(4, &other))[..], &claim(1, u32::MAX)].concat()).unwrap();
    assert_eq!(read_message(&mut waiter), Some(vec![0]));
    check(&memory, 1);
    ends(move || drop(memory));
    check(&open(dir.path()), 1);
}

/// A request that was read after its program's end once left a claim that nobody would ever end.
#[test]
fn claims_of_a_session_that_is_over_are_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let framed = |message: &[u8]| [&(message.len() as u32).to_le_bytes(), message].concat();
    let greet = |session: u64, main: u8| {
        let rest = [&7_u64.to_le_bytes()[..], &session.to_le_bytes(), &[main]].concat();
        let mut stream = connect(dir.path());
        stream.write_all(&framed(&hello(4, &rest))).unwrap();
        (read_message(&mut stream), stream)
    };
    let claim = framed(&[&[4], &[3; 40][..], &1_u64.to_le_bytes(), &[0], &0_u32.to_le_bytes()].concat());
    let (_, main) = greet(20, 1);
    let (_, mut side) = greet(20, 0);
    drop(main);
    // Until the end of the session has come through.
    until(|| greet(20, 0).0.is_none());
    side.write_all(&claim).unwrap();
    assert_eq!(read_message(&mut side), Some(vec![4]));
    drop(side);
    let (_, mut other) = greet(21, 1);
    until(|| {
        other.write_all(&claim).unwrap();
        read_message(&mut other) == Some(vec![4])
    });
    drop(memory);
}

// ---- Records that lie.

fn with_index(dir: &Path, work: impl FnOnce(&sled::Db)) {
    let db = sled::Config::new().path(dir.join("index")).open().unwrap();
    work(&db);
    db.flush().unwrap();
}

/// The shortest record, which is that of `small`.
fn small_one(db: &sled::Db) -> (Vec<u8>, Vec<u8>) {
    let all = db.iter().map(|item| item.unwrap());
    let (slot, record) = all.min_by_key(|(_, record)| record.len()).unwrap();
    (slot.to_vec(), record.to_vec())
}

#[derive(Clone, Copy, Debug)]
enum Lie {
    /// A list of 2^60 elements.
    Length,
    /// 2^60 bytes of a value.
    ValueBytes,
    /// A hundred thousand levels.
    Depth,
    /// A blob that nobody wrote.
    Blob,
    /// An origin of 4 GB.
    Origin,
    /// A time to come.
    Future,
}

/// The record with a lie in it, under a digest that is right (docs/format.md).
fn forged(slot: &[u8], record: &[u8], lie: Lie) -> Vec<u8> {
    let mut rest = record[32..].to_vec();
    let origin_end = {
        let len = u32::from_le_bytes(rest[36..40].try_into().unwrap()) as usize;
        40 + len
    };
    let set_value = |rest: &mut Vec<u8>, value: &[u8]| {
        rest.truncate(origin_end);
        rest.extend_from_slice(value);
        rest[28..36].copy_from_slice(&(value.len() as u64).to_le_bytes());
    };
    match lie {
        Lie::Length => set_value(&mut rest, &[&[253], &(1_u64 << 60).to_le_bytes()[..], &[1; 100]].concat()),
        Lie::ValueBytes => rest[28..36].copy_from_slice(&(1_u64 << 60).to_le_bytes()),
        Lie::Depth => set_value(&mut rest, &[1; 100_000]),
        Lie::Blob => {
            set_value(&mut rest, &[9; 32]);
            rest[2] = 1;
        }
        Lie::Origin => rest[36..40].copy_from_slice(&u32::MAX.to_le_bytes()),
        Lie::Future => rest[4..12].copy_from_slice(&u64::MAX.to_le_bytes()),
    }
    let mut hasher = blake3::Hasher::new_derive_key("larder 2026-11 index record v1");
    hasher.update(&slot[8..]).update(&rest);
    [&hasher.finalize().as_bytes()[..], &rest].concat()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
}

#[test]
fn records_that_lie_are_misses_with_a_reason() {
    let lies = [
        (Lie::Length, MissReason::Undecodable),
        (Lie::ValueBytes, MissReason::DamagedRecord),
        (Lie::Depth, MissReason::Undecodable),
        (Lie::Blob, MissReason::MissingBlob),
        (Lie::Origin, MissReason::DamagedRecord),
    ];
    for (lie, reason) in lies {
        let dir = tempfile::tempdir().unwrap();
        let list = |memory: &Memory| memory.cached_fn("list", 1, |_: &u8| vec!["a".to_owned()]).call(&1);
        let tree = |memory: &Memory| memory.cached_fn("tree", 1, |_: &u8| Tree::Node(Box::new(Tree::Leaf))).call(&1);
        {
            let memory = open(dir.path());
            list(&memory);
            tree(&memory);
        }
        with_index(dir.path(), |db| {
            for item in db.iter() {
                let (slot, record) = item.unwrap();
                db.insert(&slot, forged(&slot, &record, lie)).unwrap();
            }
        });
        for _ in 0..2 {
            let (memory, _) = open_cold(dir.path());
            assert_eq!(list(&memory), ["a".to_owned()], "{lie:?}");
            assert_eq!(tree(&memory), Tree::Node(Box::new(Tree::Leaf)), "{lie:?}");
            let stats = memory.stats();
            let met = stats.misses_for(reason);
            assert!((met, stats.misses()) == (2, 2) || stats.hits_index == 2, "{lie:?}: {stats:?}");
        }
        let memory = open(dir.path());
        hit!(memory, hits_index, list(&memory), ["a".to_owned()]);
    }
}

/// A clock that was set back leaves results of tomorrow: they are served.
#[test]
fn a_result_of_a_time_to_come_is_served() {
    let dir = filled();
    with_index(dir.path(), |db| {
        let (slot, record) = small_one(db);
        let forged = forged(&slot, &record, Lie::Future);
        assert_ne!(forged, record);
        db.insert(slot, forged).unwrap();
    });
    let memory = open(dir.path());
    hit!(memory, hits_index, small(&memory, 1), 2);
}

/// Closing waits for nobody who looks for an owner.
#[test]
fn a_memory_can_be_closed_while_it_looks_for_an_owner() {
    let dir = filled();
    let served = Arc::new(Mutex::new(Some(Vec::new())));
    let serving = Arc::clone(&served);
    let impostor = Impostor::start(dir.path(), move |stream| {
        // After the end, it hangs up on everyone.
        let Some(streams) = &mut *serving.lock().unwrap() else { return };
        streams.push(stream.try_clone().unwrap());
        thread::spawn(move || always(vec![3])(stream));
    });
    let (memory, lines) = open_cold(dir.path());
    assert_eq!(lines.all(), [""; 0], "it is a guest");
    for stream in served.lock().unwrap().take().unwrap() {
        // Who has hung up already is gone.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    let met = impostor.met.load(SeqCst);
    until(|| impostor.met.load(SeqCst) > met + 2);
    ends(move || drop(memory));
    drop(impostor);
    let memory = open(dir.path());
    hit!(memory, hits_index, small(&memory, 1), 2);
}
