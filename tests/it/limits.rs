//! A cache that keeps to limits on every write, and totals that are right.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use larder::store::{DiskStore, Store};
use larder::{Limits, Memory, MissReason, NotStoredReason};

use crate::child::{self, Other};
use crate::support::{busy, files_in, image, open};

/// A large result: a blob of some 8 KB for each of `size`.
fn stored(memory: &Memory, name: &str, x: u64, size: usize, takes: Duration) {
    let compute = move |x: &u64| {
        busy(takes);
        vec![*x; size * 1000]
    };
    assert_eq!(memory.cached_fn(name, 1, compute).call(&x).len(), size * 1000);
}

fn has(memory: &Memory, name: &str, x: u64) -> bool {
    memory.cached_fn(name, 1, |_: &u64| vec![0u64]).explain(&x).reason() != Some(MissReason::Evicted)
}

fn no_tier(limits: impl FnOnce(larder::MemoryBuilder) -> larder::MemoryBuilder, dir: &Path) -> Memory {
    limits(Memory::builder().memory_tier_bytes(0)).open(dir).expect("the cache opens")
}

/// Bytes of the blobs in a cache.
fn blob_bytes(dir: &Path) -> u64 {
    image(&dir.join("blobs")).values().map(|content| content.len() as u64).sum()
}

/// What the totals of a closed cache say, and what a list of its entries comes to.
fn counted(dir: &Path) -> ((u64, u64), (u64, u64)) {
    let store = DiskStore::open(dir).expect("the cache opens");
    let mut told = (0, 0);
    let mut last = None;
    loop {
        let page = store.functions(last.as_ref()).expect("the totals can be read");
        told = page.iter().fold(told, |(entries, bytes), totals| (entries + totals.entries(), bytes + totals.bytes()));
        match page.into_iter().last() {
            Some(totals) => last = Some(totals),
            None => break,
        }
    }
    let mut listed = (0, 0);
    let mut after = None;
    loop {
        let page = store.page(None, after.as_ref()).expect("the entries can be listed");
        for entry in &page {
            listed = (listed.0 + 1, listed.1 + entry.bytes());
        }
        match page.last() {
            Some(entry) => after = Some(entry.key()),
            None => return (told, listed),
        }
    }
}

#[test]
fn a_cache_is_never_above_its_cap_and_one_value() {
    const CAP: u64 = 200_000;
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = no_tier(|builder| builder.max_bytes(CAP), dir.path());
        for x in 0..300 {
            stored(&memory, "f", x, 1 + x as usize % 3, Duration::ZERO);
            let bytes = blob_bytes(dir.path());
            assert!(bytes <= CAP, "{bytes} bytes after {x}");
        }
        assert!(blob_bytes(dir.path()) > CAP / 2, "no more goes than must");
    }
    let (told, listed) = counted(dir.path());
    assert_eq!(told, listed, "entries and bytes");
    assert!(listed.0 > 5 && listed.1 <= CAP, "{listed:?}");
    assert_eq!(files_in(dir.path(), "blobs").len() as u64, listed.0, "no file without an entry");
}

#[test]
fn a_number_of_entries_is_kept_to() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = no_tier(|builder| builder.max_entries(10), dir.path());
        let square = memory.cached_fn("square", 1, |x: &u64| x * x);
        (0..1000).for_each(|x| assert_eq!(square.call(&x), x * x));
        let there = (0..1000).filter(|x| square.check_call_in_cache(x)).count();
        assert_eq!(there, 10);
    }
    assert_eq!(counted(dir.path()), ((10, counted(dir.path()).1.1), (10, counted(dir.path()).1.1)));
}

#[test]
fn what_is_cheap_large_and_unused_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let long = Duration::from_millis(40);
    stored(&memory, "costly", 1, 2, long);
    stored(&memory, "cheap", 1, 2, Duration::from_millis(1));
    stored(&memory, "large", 1, 60, long);
    stored(&memory, "used", 1, 60, long);
    // In memory: what the store is told of it comes later, but comes.
    (0..10).for_each(|_| stored(&memory, "used", 1, 60, long));
    assert_eq!(memory.stats().hits_hot, 10);
    let left = |memory: &Memory| {
        ["costly", "cheap", "large", "used"].into_iter().filter(|name| has(memory, name, 1)).collect::<Vec<_>>()
    };
    let keep = |entries| {
        let limits = Limits::new().max_entries(entries);
        let would = memory.would_reduce(&limits).unwrap();
        let reduced = memory.reduce_size(&limits).unwrap();
        assert_eq!((would, reduced.entries), (reduced, 1), "one is too much, and it was foreseen which");
        left(&memory)
    };
    assert_eq!(keep(3), ["costly", "large", "used"]);
    assert_eq!(keep(2), ["costly", "used"]);
    assert_eq!(keep(1), ["costly"]);
}

#[test]
fn what_was_just_stored_stays() {
    let dir = tempfile::tempdir().unwrap();
    let memory = no_tier(|builder| builder.max_entries(1), dir.path());
    stored(&memory, "costly", 1, 1, Duration::from_millis(40));
    stored(&memory, "cheap", 1, 50, Duration::ZERO);
    assert!(has(&memory, "cheap", 1) && !has(&memory, "costly", 1));
}

#[test]
fn a_result_larger_than_the_cache_is_not_stored_and_nothing_goes_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let memory = no_tier(|builder| builder.max_bytes("100K"), dir.path());
    stored(&memory, "small", 1, 1, Duration::ZERO);
    stored(&memory, "huge", 1, 20, Duration::ZERO);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::TooLarge), 1);
    assert!(has(&memory, "small", 1));
    assert_eq!(files_in(dir.path(), "blobs").len(), 1);
    assert_eq!(files_in(dir.path(), "temp").len(), 0);
}

#[test]
fn entries_that_nobody_uses_age_out() {
    let dir = tempfile::tempdir().unwrap();
    let memory = no_tier(|builder| builder.max_age(Duration::from_millis(2)), dir.path());
    let square = memory.cached_fn("square", 1, |x: &u64| x * x);
    square.call(&1);
    busy(Duration::from_millis(5));
    square.call(&2);
    assert_eq!(square.explain(&1).reason(), Some(MissReason::AgedOut));
    assert_eq!(memory.stats().misses(), 2);
    square.call(&1);
    assert_eq!(memory.stats().misses_for(MissReason::AgedOut), 1);
}

#[test]
fn limits_that_mean_nothing_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    for (builder, start) in [
        (Memory::builder().max_bytes(0), "`max_bytes` is 0, which would keep nothing"),
        (Memory::builder().max_bytes(-5), "`max_bytes`: -5 is no size"),
        (Memory::builder().max_bytes("lots"), "`max_bytes`: `lots` is no size"),
        (Memory::builder().max_entries(0), "`max_entries` is 0"),
        (Memory::builder().max_age(Duration::ZERO), "`max_age` is 0"),
    ] {
        let error = builder.open(&cache).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().starts_with(start), "{error}");
    }
    assert!(!cache.exists(), "nothing was made");
    let memory = open(&cache);
    assert!(memory.reduce_size(&Limits::new().max_entries(0)).unwrap_err().is_invalid_option());
    assert_eq!(memory.reduce_size(&Limits::new()).unwrap().entries, 0, "no limits remove nothing");
    let error = Memory::builder().max_entries(1).open_read_only(&cache).unwrap_err();
    assert!(error.to_string().starts_with("a cache that is open for reading only removes nothing"), "{error}");
    assert_eq!(Memory::disabled().reduce_size(&Limits::new().max_entries(1)).unwrap().entries, 0);
}

/// The first store under a new limit removed all that was too much by then, for minutes in a large cache.
#[test]
fn what_is_too_much_already_goes_at_the_opening() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let square = memory.cached_fn("square", 1, |x: &u64| x * x);
    (0..20).for_each(|x| assert_eq!(square.call(&x), x * x));
    let limited = no_tier(|builder| builder.max_entries(5), dir.path());
    assert_eq!(limited.would_reduce(&Limits::new().max_entries(1)).unwrap().entries, 4);
}

/// As a child: opens the cache with a limit, and keeps it open.
#[test]
fn a_guests_limits_hold_while_it_is_there() {
    if let Some((word, path)) = child::role() {
        assert_eq!(word, "limits");
        let memory = Memory::builder().max_entries(5).open(path).unwrap();
        child::say("open");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        drop(memory);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let memory = no_tier(|builder| builder, dir.path());
    let square = memory.cached_fn("square", 1, |x: &u64| x * x);
    let there = || (0..60).filter(|x| square.check_call_in_cache(x)).count();
    let command = Command::new(child::this_program());
    let mut guest = Other::start(command, "limits::a_guests_limits_hold_while_it_is_there", "limits", dir.path());
    guest.wait_for("open");
    (0..20).for_each(|x| assert_eq!(square.call(&x), x * x));
    assert_eq!(there(), 5);
    guest.go();
    assert!(guest.end().success());
    // Its end is seen when its connection is: from then on everything stays.
    let mut x = 20;
    crate::support::ends({
        let memory = memory.clone();
        move || {
            let square = memory.cached_fn("square", 1, |x: &u64| x * x);
            while (20..x).filter(|x| square.check_call_in_cache(x)).count() < 10 {
                square.call(&x);
                x += 1;
            }
        }
    });
}

/// As a child: stores until it is killed.
#[test]
fn totals_are_right_after_a_kill() {
    if let Some((word, path)) = child::role() {
        assert_eq!(word, "totals");
        let memory = Memory::builder().max_entries(50).memory_tier_bytes(0).open(path).unwrap();
        for x in 0.. {
            stored(&memory, "f", x, 1, Duration::ZERO);
            memory.cached_fn("g", 1, |x: &u64| *x).call(&x);
            if x == 100 {
                child::say("stored");
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let command = Command::new(child::this_program());
        let mut other = Other::start(command, "limits::totals_are_right_after_a_kill", "totals", dir.path());
        other.wait_for("stored");
        drop(other);
        let (told, listed) = counted(dir.path());
        assert_eq!(told, listed);
        assert!((1..=51).contains(&listed.0), "{listed:?}");
    }
}

/// A removal that came between a store and its count was counted as nothing, and what it had removed then for ever.
#[test]
fn totals_are_right_whoever_stores_and_removes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = no_tier(|builder| builder.max_entries(2), dir.path());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let one = memory.cached_fn("one", 1, |x: &u64| *x);
                    (0..1500).for_each(|round| assert_eq!(one.call_forced(&(round % 3)), round % 3));
                });
            }
            scope.spawn(|| {
                let one = memory.cached_fn("one", 1, |x: &u64| *x);
                (0..1500).for_each(|round| drop(one.forget(&(round % 3)).unwrap()));
            });
            scope.spawn(|| {
                let one = memory.cached_fn("one", 1, |x: &u64| *x);
                (0..200).for_each(|_| drop(one.clear().unwrap()));
                (0..20).for_each(|_| memory.clear().unwrap());
            });
        });
    }
    let (told, listed) = counted(dir.path());
    assert_eq!(told, listed);
}
