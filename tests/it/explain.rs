//! Why a call would be computed: one row per reason.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use larder::{Explanation, Limits, Memory, MissReason, Removal, Task};

use crate::support::{files_in, miss, open, open_telling};

#[larder::task]
#[allow(clippy::too_many_arguments)]
fn ten(a: u8, b: u16, c: u32, d: u64, e: i8, f: f32, g: f64, h: bool, i: &str, j: Vec<u64>) -> f64 {
    let sum = f64::from(a) + f64::from(b) + f64::from(c) + d as f64 + f64::from(e) + f64::from(f) + g;
    sum + f64::from(u8::from(h)) + i.len() as f64 + j.len() as f64
}

#[larder::task]
fn large(x: u64) -> Vec<u64> {
    vec![x; 1000]
}

type Ten = <ten as larder::Function>::Args<'static>;

fn some() -> Ten {
    (1, 2, 3, 4, 5, 6.0, 7.0, true, "nine", vec![10; 100])
}

/// What the row is called, what is done to a cache, and what must be said of `ten(some())`.
type Row = (&'static str, fn(&Path) -> Explanation, fn(&Explanation) -> bool, Option<MissReason>, &'static str);

const ROWS: &[Row] = &[
    (
        "disabled",
        |_| Memory::disabled().cached::<ten>().explain(some()),
        |explanation| *explanation == Explanation::Disabled,
        Some(MissReason::Disabled),
        "the memory is disabled",
    ),
    (
        "no key",
        |dir| {
            let unwritable = |_: &Unwritable| 1u8;
            open(dir).cached_fn("f", 1, unwritable).explain(&Unwritable)
        },
        |explanation| matches!(explanation, Explanation::NoKey(words) if words == "not today"),
        Some(MissReason::NoKey),
        "there is no key: not today",
    ),
    (
        "hit",
        |dir| {
            let memory = open(dir);
            let called = memory.cached::<ten>();
            called.call(some());
            called.explain(some())
        },
        |explanation| match explanation {
            Explanation::Hit(entry) => entry.arguments.len() == 10 && entry.arguments[8].to_string() == r#"i = "nine""#,
            _ => false,
        },
        None,
        "it would be loaded: stored 20",
    ),
    (
        "never seen",
        |dir| open(dir).cached::<ten>().explain(some()),
        |explanation| *explanation == Explanation::NeverSeen,
        Some(MissReason::NeverSeen),
        "never seen with these arguments and this code",
    ),
    (
        "one argument of ten",
        |dir| {
            let memory = open(dir);
            let called = memory.cached::<ten>();
            called.call(some());
            called.call((9, 9, 9, 9, 9, 9.0, 9.0, false, "other", vec![]));
            let mut other = some();
            other.6 = 7.5;
            called.explain(other)
        },
        |explanation| match explanation {
            Explanation::ArgumentsChanged { changes, .. } => {
                let [change] = &changes[..] else { return false };
                let (old, new) = (change.old.as_ref().unwrap(), change.new.as_ref().unwrap());
                change.name() == "g" && (&*old.text, &*new.text) == ("7.0", "7.5") && old.digest != new.digest
            }
            _ => false,
        },
        Some(MissReason::NeverSeen),
        "argument `g`: 7.0 -> 7.5 (the nearest entry was stored ",
    ),
    (
        "an argument that differs behind where its text is cut",
        |dir| {
            let memory = open(dir);
            let called = memory.cached::<ten>();
            called.call(some());
            let mut other = some();
            other.9[99] = 11;
            called.explain(other)
        },
        |explanation| matches!(explanation, Explanation::ArgumentsChanged { changes, .. } if changes[0].name() == "j"),
        Some(MissReason::NeverSeen),
        "argument `j`: [10, 10, ",
    ),
    (
        "version",
        |dir| {
            let memory = open(dir);
            memory.cached_fn("f", 1, |x: &u8| *x).call(&3);
            memory.cached_fn("f", 2, |x: &u8| *x).explain(&3)
        },
        |explanation| matches!(explanation, Explanation::VersionChanged { old: 1, new: 2, .. }),
        Some(MissReason::VersionChanged),
        "the version changed: 1 -> 2 (the entry was stored ",
    ),
    (
        "code",
        |dir| {
            let memory = open(dir);
            // Two blocks of one function: the paths of what is in them are the same.
            {
                #[larder::task]
                fn edited(x: u64) -> u64 {
                    x + 1
                }
                memory.cached::<edited>().call((3,));
            }
            #[larder::task]
            fn edited(x: u64) -> u64 {
                1 + x
            }
            memory.cached::<edited>().call((4,));
            memory.cached::<edited>().explain((3,))
        },
        |explanation| match explanation {
            Explanation::CodeChanged { old, new, since, .. } => old != new && old.len() == 64 && since.is_some(),
            _ => false,
        },
        Some(MissReason::CodeChanged),
        "the code changed: ",
    ),
    (
        "expired",
        |dir| {
            let memory = open(dir);
            memory.cached::<ten>().call(some());
            memory.cached::<ten>().expires_after(Duration::ZERO).explain(some())
        },
        |explanation| matches!(explanation, Explanation::Expired { entry, at } if *at == entry.stored_at),
        Some(MissReason::Expired),
        "the entry has expired: stored 20",
    ),
    (
        "rejected",
        |dir| {
            let memory = open(dir);
            memory.cached::<ten>().call(some());
            memory.cached::<ten>().validate(|entry| entry.arguments.is_empty()).explain(some())
        },
        |explanation| matches!(explanation, Explanation::Rejected(_)),
        Some(MissReason::Rejected),
        "the validation function refuses the entry stored 20",
    ),
    (
        "a validation that panics",
        |dir| {
            let (memory, lines) = open_telling(dir, 0);
            memory.cached::<ten>().call(some());
            let called = memory.cached::<ten>().validate(|_| panic!("no idea"));
            let explanation = called.explain(some());
            assert_eq!(called.call(some()), ten::compute(some()), "the call goes on");
            let warnings = lines.warnings();
            assert!(warnings.len() == 1 && warnings[0].contains("computed: no idea"), "{warnings:?}");
            explanation
        },
        |explanation| matches!(explanation, Explanation::Rejected(_)),
        Some(MissReason::Rejected),
        "the validation function refuses",
    ),
    (
        "evicted",
        |dir| {
            let memory = open(dir);
            memory.cached::<ten>().call(some());
            memory.cached::<large>().call((1,));
            memory.reduce_size(&Limits::new().max_bytes(1)).unwrap();
            memory.cached::<ten>().explain(some())
        },
        |explanation| {
            let Explanation::Removed(tombstone) = explanation else { return false };
            let recent = SystemTime::now().duration_since(tombstone.at()).unwrap() < Duration::from_secs(60);
            tombstone.why() == Removal::MaxBytes && recent && tombstone.bytes() > 100
        },
        Some(MissReason::Evicted),
        "the entry was evicted, to keep to `max_bytes` on 20",
    ),
    (
        "evicted by number",
        |dir| {
            let memory = open(dir);
            memory.cached::<ten>().call(some());
            memory.cached_fn("costly", 1, |()| crate::support::busy(Duration::from_millis(20))).call(&());
            memory.reduce_size(&Limits::new().max_entries(1)).unwrap();
            memory.cached::<ten>().explain(some())
        },
        |explanation| matches!(explanation, Explanation::Removed(tombstone) if tombstone.why() == Removal::MaxEntries),
        Some(MissReason::Evicted),
        "the entry was evicted, to keep to `max_entries` on 20",
    ),
    (
        "not used for too long",
        |dir| {
            let memory = open(dir);
            memory.cached::<ten>().call(some());
            crate::support::busy(Duration::from_millis(5));
            memory.reduce_size(&Limits::new().max_age(Duration::from_millis(1))).unwrap();
            memory.cached::<ten>().explain(some())
        },
        |explanation| matches!(explanation, Explanation::Removed(tombstone) if tombstone.why() == Removal::MaxAge),
        Some(MissReason::AgedOut),
        "the entry was removed, not used for `max_age` on 20",
    ),
    (
        "forgotten",
        |dir| {
            let memory = open(dir);
            let called = memory.cached::<ten>();
            called.call(some());
            assert!(called.forget(some()).unwrap());
            assert!(!called.forget(some()).unwrap(), "it is gone");
            called.explain(some())
        },
        |explanation| matches!(explanation, Explanation::Removed(tombstone) if tombstone.why() == Removal::Forgotten),
        Some(MissReason::Forgotten),
        "the entry was removed by hand on 20",
    ),
    (
        "an altered blob",
        |dir| {
            let blob = with_blob(dir);
            let mut bytes = fs::read(&blob).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(&blob, bytes).unwrap();
            open(dir).cached::<large>().explain((1,))
        },
        |explanation| *explanation == Explanation::Damaged(MissReason::AlteredBlob),
        Some(MissReason::AlteredBlob),
        "the blob was altered",
    ),
    (
        "a missing blob",
        |dir| {
            fs::remove_file(with_blob(dir)).unwrap();
            open(dir).cached::<large>().explain((1,))
        },
        |explanation| *explanation == Explanation::Damaged(MissReason::MissingBlob),
        Some(MissReason::MissingBlob),
        "the blob is missing",
    ),
    (
        "another result type",
        |dir| {
            let memory = open(dir);
            memory.cached_fn("f", 1, |x: &u8| f64::from(*x)).call(&3);
            memory.cached_fn("f", 1, |x: &u8| vec![x.to_string()]).explain(&3)
        },
        |explanation| *explanation == Explanation::Damaged(MissReason::Undecodable),
        Some(MissReason::Undecodable),
        "the stored bytes are of another result type",
    ),
];

/// A cache with one large result, closed; its blob.
fn with_blob(dir: &Path) -> std::path::PathBuf {
    open(dir).cached::<large>().call((1,));
    let [blob] = &files_in(dir, "blobs")[..] else { panic!("there is one large result") };
    blob.clone()
}

struct Unwritable;

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not today"))
    }
}

#[test]
fn each_reason_is_said() {
    for (name, done, is_right, reason, start) in ROWS {
        let dir = tempfile::tempdir().unwrap();
        let explanation = done(dir.path());
        assert!(is_right(&explanation), "{name}: {explanation:?}");
        assert_eq!((explanation.reason(), explanation.is_hit()), (*reason, reason.is_none()), "{name}");
        assert!(explanation.to_string().starts_with(start), "{name}: {explanation}");
        assert!(!explanation.to_string().contains('\n'), "{name}");
    }
}

#[test]
fn explaining_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let called = memory.cached::<ten>().expires_after(Duration::ZERO);
    called.call(some());
    let before = memory.stats();
    for _ in 0..3 {
        assert!(!called.check_call_in_cache(some()));
        assert!(memory.cached::<ten>().check_call_in_cache(some()));
    }
    assert_eq!(memory.stats(), before);
}

#[test]
fn a_miss_is_counted_under_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::builder().memory_tier_bytes(0).open(dir.path()).unwrap();
    let called = memory.cached::<ten>();
    miss!(memory, NeverSeen, called.call(some()), ten::compute(some()));
    miss!(memory, Forced, called.call_forced(some()), ten::compute(some()));
    called.forget(some()).unwrap();
    miss!(memory, Forgotten, called.call(some()), ten::compute(some()));
    memory.reduce_size(&Limits::new().max_bytes(1)).unwrap();
    miss!(memory, Evicted, called.call(some()), ten::compute(some()));
    let expiring = memory.cached::<ten>().expires_after(Duration::ZERO);
    miss!(memory, Expired, expiring.call(some()), ten::compute(some()));
    let choosy = memory.cached::<ten>().validate(|_| false);
    miss!(memory, Rejected, choosy.call(some()), ten::compute(some()));
    memory.cached_fn("f", 1, |x: &u8| *x).call(&3);
    let second = memory.cached_fn("f", 2, |x: &u8| *x);
    miss!(memory, VersionChanged, second.call(&3), 3);
    miss!(memory, NeverSeen, second.call(&4), 4);
    assert!(memory.cached::<ten>().check_call_in_cache(some()), "what replaced the refused entry is whole");
}

#[test]
fn a_miss_is_told_with_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 2);
    let called = memory.cached::<ten>();
    called.call(some());
    let mut other = some();
    other.2 = 4;
    called.call(other);
    let told = lines.all();
    let why: Vec<_> = told.iter().filter(|line| line.starts_with("[Memory] Computing ten(a = 1, b = 2, ")).collect();
    assert!(why[0].ends_with(": never seen with these arguments and this code"), "{told:#?}");
    assert!(why[1].contains("): argument `c`: 3 -> 4 (the nearest entry was stored 20"), "{told:#?}");
}
