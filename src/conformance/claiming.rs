//! One computation of a key at a time, and nobody waits for ever.

use std::sync::{Arc, Barrier};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use super::Law;
use super::sample::Sample;
use crate::store::{Absent, Claimant, Claimed, End, EntryKey, Lookup, Patience, Store};

pub(super) const LAWS: &[Law] = &[
    ("one of many threads has the claim", one_of_many),
    ("a claim is its holder's until it releases it", held_until_released),
    ("claims of other keys are other claims", other_keys),
    ("a claimant never waits for itself", never_for_itself),
    ("a lookup claims where nothing is there, and only there", a_lookup_claims),
    ("all who wait learn how it ended", all_learn_the_end),
    ("a wait that would close a ring is refused", no_ring),
    ("who waits has patience, and no more", patience_ends),
];

const NOT_AT_ALL: Patience = Patience::AtMost(Duration::ZERO);

fn key(argument: u64) -> EntryKey {
    Sample::new(argument, 0).key()
}

/// Another thread, which is not there to wait.
fn another() -> Claimant {
    thread::spawn(Claimant::current).join().expect("it only says its name")
}

/// Claims without waiting.
#[track_caller]
fn expect(store: &dyn Store, key: &EntryKey, who: Claimant, what: Claimed) {
    assert_eq!(store.claim(key, who, NOT_AT_ALL), what);
}

fn one_of_many(store: &Arc<dyn Store>) {
    const THREADS: usize = 8;
    for round in 0..50 {
        let start = Barrier::new(THREADS);
        let met: Vec<_> = thread::scope(|scope| {
            let claim = || {
                start.wait();
                // By either road.
                if round % 2 == 0 {
                    return store.claim(&key(round), Claimant::current(), NOT_AT_ALL);
                }
                match store.get_or_claim(&key(round), Claimant::current(), NOT_AT_ALL) {
                    Lookup::Mine(Absent::Never) => Claimed::Mine,
                    Lookup::Claimed(claimed) => claimed,
                    met => panic!("a key with no entry was looked up and claimed: {met:?}"),
                }
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(claim)).collect();
            threads.into_iter().map(joined).collect()
        });
        let mine = met.iter().filter(|met| **met == Claimed::Mine).count();
        let busy = met.iter().filter(|met| **met == Claimed::Busy).count();
        assert_eq!((mine, busy), (1, THREADS - 1), "what the threads met: {met:?}");
    }
}

/// What a thread answered; its panic is this one's.
fn joined<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn held_until_released(store: &Arc<dyn Store>) {
    let (me, other) = (Claimant::current(), another());
    for end in [End::Stored, End::NotStored] {
        expect(store, &key(0), me, Claimed::Mine);
        expect(store, &key(0), other, Claimed::Busy);
        store.release(&key(0), other, end);
        expect(store, &key(0), other, Claimed::Busy);
        store.release(&key(0), me, end);
        expect(store, &key(0), other, Claimed::Mine);
        // Its claim ended before.
        store.release(&key(0), me, end);
        expect(store, &key(0), me, Claimed::Busy);
        store.release(&key(0), other, end);
    }
    // Nothing to release.
    store.release(&key(1), me, End::Stored);
    expect(store, &key(1), other, Claimed::Mine);
    // Whatever is stored there.
    Sample::new(2, 10).put(store);
    expect(store, &key(2), me, Claimed::Mine);
    expect(store, &key(2), other, Claimed::Busy);
}

fn other_keys(store: &Arc<dyn Store>) {
    let (me, other) = (Claimant::current(), another());
    for argument in 0..200 {
        expect(store, &key(argument), if argument % 2 == 0 { me } else { other }, Claimed::Mine);
    }
    for argument in (0..200).step_by(2) {
        store.release(&key(argument), me, End::NotStored);
        expect(store, &key(argument), other, Claimed::Mine);
        expect(store, &key(argument + 1), me, Claimed::Busy);
    }
}

fn never_for_itself(store: &Arc<dyn Store>) {
    let me = Claimant::current();
    expect(store, &key(0), me, Claimed::Mine);
    for patience in [NOT_AT_ALL, Patience::AtMost(Duration::from_secs(3600)), Patience::Unbounded] {
        assert_eq!(store.claim(&key(0), me, patience), Claimed::MustNotWait, "{patience:?}");
        let met = store.get_or_claim(&key(0), me, patience);
        assert!(matches!(met, Lookup::Claimed(Claimed::MustNotWait)), "{patience:?}: {met:?}");
    }
    store.release(&key(0), me, End::Stored);
    expect(store, &key(0), me, Claimed::Mine);
}

fn a_lookup_claims(store: &Arc<dyn Store>) {
    let (me, other) = (Claimant::current(), another());
    let sample = Sample::new(0, 5000);
    let met = store.get_or_claim(&sample.key(), me, Patience::Unbounded);
    assert!(matches!(met, Lookup::Mine(Absent::Never)), "nothing is there: {met:?}");
    let met = store.get_or_claim(&sample.key(), other, NOT_AT_ALL);
    assert!(matches!(met, Lookup::Claimed(Claimed::Busy)), "another has it: {met:?}");
    sample.put(store);
    store.release(&sample.key(), me, End::Stored);
    for who in [me, other, me] {
        match store.get_or_claim(&sample.key(), who, NOT_AT_ALL) {
            Lookup::Found(found) => sample.must_be(&found),
            met => panic!("{sample:?} was put: {met:?}"),
        }
    }
    expect(store, &sample.key(), other, Claimed::Mine);
    store.release(&sample.key(), other, End::NotStored);
    if let Err(error) = store.clear() {
        panic!("clearing: {error}");
    }
    let met = store.get_or_claim(&sample.key(), other, NOT_AT_ALL);
    assert!(matches!(met, Lookup::Mine(Absent::Never)), "nothing is there any more: {met:?}");
}

/// Waits until the holder of `its_key` waits for `me`, in the end. There is nothing to see it by but this: who holds a key
/// and waits for me must not be waited for. While I look, the other must not wait for me either, and [asks again](patiently).
fn until_it_waits(store: &dyn Store, its_key: &EntryKey, me: Claimant) {
    loop {
        match store.claim(its_key, me, Patience::AtMost(Duration::from_nanos(1))) {
            Claimed::Busy => thread::yield_now(),
            Claimed::MustNotWait => return,
            met => panic!("another holds the key, and waits or is about to: {met:?}"),
        }
    }
}

/// Claims until it is not refused for the moment's sake.
fn patiently(mut claim: impl FnMut() -> Claimed) -> Claimed {
    loop {
        match claim() {
            Claimed::MustNotWait => thread::yield_now(),
            met => return met,
        }
    }
}

/// Ends a claim when this goes, so that a law that is broken leaves nobody waiting.
struct Release<'s>(&'s dyn Store, EntryKey, Claimant, End);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.release(&self.1, self.2, self.3);
    }
}

fn all_learn_the_end(store: &Arc<dyn Store>) {
    const WAITERS: u64 = 6;
    let me = Claimant::current();
    for end in [End::Stored, End::NotStored] {
        expect(store, &key(0), me, Claimed::Mine);
        let holds = &Barrier::new(WAITERS as usize + 1);
        thread::scope(|scope| {
            let wait = |waiter: u64| {
                move || {
                    let who = Claimant::current();
                    expect(store, &key(waiter), who, Claimed::Mine);
                    holds.wait();
                    // The second it has only where the law is broken; then the others must not wait for it.
                    let _both = [waiter, 0].map(|argument| Release(store, key(argument), who, End::NotStored));
                    patiently(|| match waiter % 3 {
                        0 => store.claim(&key(0), who, Patience::Unbounded),
                        1 => store.claim(&key(0), who, Patience::AtMost(Duration::from_secs(3600))),
                        _ => match store.get_or_claim(&key(0), who, Patience::Unbounded) {
                            Lookup::Claimed(claimed) => claimed,
                            met => panic!("who waits learns the end: {met:?}"),
                        },
                    })
                }
            };
            let waiters: Vec<_> = (1..=WAITERS).map(|waiter| scope.spawn(wait(waiter))).collect();
            let mine = Release(store, key(0), me, end);
            holds.wait();
            (1..=WAITERS).for_each(|waiter| until_it_waits(store, &key(waiter), me));
            drop(mine);
            for waiter in waiters {
                assert_eq!(joined(waiter), Claimed::Ended(end), "who waited");
            }
        });
    }
}

fn no_ring(store: &Arc<dyn Store>) {
    // Each has a key and waits for the next one's: the last would close the ring.
    const RING: u64 = 4;
    let me = Claimant::current();
    expect(store, &key(0), me, Claimed::Mine);
    let holds = Barrier::new(RING as usize);
    thread::scope(|scope| {
        let others: Vec<_> = (1..RING)
            .map(|at| {
                let holds = &holds;
                scope.spawn(move || {
                    let who = Claimant::current();
                    expect(store, &key(at), who, Claimed::Mine);
                    holds.wait();
                    let _both = [at, at - 1].map(|argument| Release(store, key(argument), who, End::Stored));
                    patiently(|| store.claim(&key(at - 1), who, Patience::Unbounded))
                })
            })
            .collect();
        let mine = Release(store, key(0), me, End::Stored);
        holds.wait();
        // Each of them waits for me, in the end: so I must wait for none, with whatever patience.
        (1..RING).for_each(|at| until_it_waits(store, &key(at), me));
        for at in 1..RING {
            assert_eq!(store.claim(&key(at), me, Patience::Unbounded), Claimed::MustNotWait, "a ring of {}", at + 1);
            let met = store.get_or_claim(&key(at), me, Patience::Unbounded);
            assert!(matches!(met, Lookup::Claimed(Claimed::MustNotWait)), "a ring of {}: {met:?}", at + 1);
        }
        drop(mine);
        for other in others {
            assert_eq!(joined(other), Claimed::Ended(End::Stored), "once the ring is open, all go on");
        }
    });
}

fn patience_ends(store: &Arc<dyn Store>) {
    let (me, other) = (Claimant::current(), another());
    expect(store, &key(0), other, Claimed::Mine);
    // The holder does nothing: who waited longer than it said would wait for ever.
    for micros in [0, 1, 100, 3000] {
        let patience = Patience::AtMost(Duration::from_micros(micros));
        assert_eq!(store.claim(&key(0), me, patience), Claimed::Busy, "{patience:?}");
        let met = store.get_or_claim(&key(0), me, patience);
        assert!(matches!(met, Lookup::Claimed(Claimed::Busy)), "{patience:?}: {met:?}");
    }
    store.release(&key(0), other, End::Stored);
    expect(store, &key(0), me, Claimed::Mine);
    // Who gave up waiting is waited for: no trace of its wait is left.
    let met = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let who = Claimant::current();
            expect(store, &key(1), who, Claimed::Mine);
            let met = store.claim(&key(0), who, Patience::AtMost(Duration::from_micros(100)));
            (who, met)
        });
        joined(waiter)
    });
    assert_eq!(met.1, Claimed::Busy);
    expect(store, &key(1), me, Claimed::Busy);
    let brief = Patience::AtMost(Duration::from_micros(100));
    assert_eq!(store.claim(&key(1), me, brief), Claimed::Busy, "it waits no more, so it may be waited for");
    store.release(&key(1), met.0, End::NotStored);
    expect(store, &key(1), me, Claimed::Mine);
}
