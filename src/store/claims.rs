//! Single flight: one computation per key among all who share a store.
//!
//! A caller claims a key before it computes it; others wait for the end and look again, or do something else. This is
//! the list of claims of one store; where many programs share a store, its owner keeps the list for all of them.
//!
//! Waiting is an optimisation, computing twice is always right (tasks are pure), and a wait can deadlock. So who would
//! wait for itself (recursion, or work that a thread stole while it holds the key), or close a ring of callers that wait
//! for each other, is told to go on at once. How long others wait is for the caller to say.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::EntryKey;
use crate::key::ByFirstBytes;
use crate::lock::{lock, whole};

/// Who makes a claim: a thread of a program, or a computation that is bound to no thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claimant {
    pub(crate) program: u64,
    pub(crate) thread: u64,
}

/// The claimants of this program so far.
static CLAIMANTS: AtomicU64 = AtomicU64::new(1);

impl Claimant {
    /// The calling thread. Two threads are never the same claimant, in whatever programs they are.
    pub fn current() -> Claimant {
        thread_local! {
            static THREAD: u64 = CLAIMANTS.fetch_add(1, Relaxed);
        }
        // A thread that is just ending, with its own values gone, is told from others no more: it never waits then.
        Claimant { program: super::program(), thread: THREAD.try_with(|thread| *thread).unwrap_or(0) }
    }

    /// A claimant like no other: a computation that goes from thread to thread as it is awaited.
    #[cfg(feature = "async")]
    pub(crate) fn unique() -> Claimant {
        Claimant { program: super::program(), thread: CLAIMANTS.fetch_add(1, Relaxed) }
    }
}

/// A claim of this program, as it is told to a new owner of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnClaim {
    pub(crate) key: EntryKey,
    pub(crate) thread: u64,
    /// The last owner said yes. It may have been about to; then another's claim that was granted comes first.
    pub(crate) granted: bool,
}

/// How long a caller waits for another's computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until it ends.
    Unbounded,
    /// So long; zero is not at all.
    AtMost(Duration),
}

/// How a computation ended, for those who waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The result can be looked up.
    Stored,
    /// There is nothing to look up: it failed, panicked, or could not be stored. Each computes its own.
    NotStored,
}

/// What a claim met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The key is the caller's, until it releases it.
    Mine,
    /// Another had it, and ended so.
    Ended(End),
    /// Another has it still.
    Busy,
    /// Another has it, and the caller must not wait for it.
    MustNotWait,
}

const SHARDS: usize = 16;

/// The claims of one store.
#[derive(Debug, Default)]
pub struct Claims {
    shards: [Shard; SHARDS],
    /// Who waits for whom. Only waiting touches it.
    waits: Mutex<HashMap<Claimant, Claimant>>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct Shard {
    flights: Mutex<HashMap<EntryKey, Arc<Flight>, ByFirstBytes>>,
    /// How many claims ended here with a result.
    stored: AtomicU64,
}

/// A computation under way.
#[derive(Debug)]
struct Flight {
    holder: Claimant,
    granted: bool,
    end: Mutex<Option<End>>,
    ended: Condvar,
}

impl Flight {
    fn of(holder: Claimant, granted: bool) -> Arc<Flight> {
        Arc::new(Flight { holder, granted, end: Mutex::new(None), ended: Condvar::new() })
    }

    fn wait(&self, patience: Patience) -> Option<End> {
        let start = Instant::now();
        let mut end = lock(&self.end);
        loop {
            match (*end, patience) {
                (Some(end), _) => return Some(end),
                (None, Patience::Unbounded) => end = whole(self.ended.wait(end)),
                (None, Patience::AtMost(longest)) => {
                    let left = longest.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
                    end = whole(self.ended.wait_timeout(end, left)).0;
                }
            }
        }
    }

    fn finish(&self, end: End) {
        *lock(&self.end) = Some(end);
        self.ended.notify_all();
    }
}

impl Claims {
    /// Takes the key, or waits for the one who has it.
    pub fn claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Claimed {
        if !self.gate.wait(patience) {
            return Claimed::Busy;
        }
        let flight = {
            let mut flights = lock(&self.shard(key).flights);
            match flights.get(key) {
                Some(flight) => Arc::clone(flight),
                None => {
                    flights.insert(*key, Flight::of(who, true));
                    return Claimed::Mine;
                }
            }
        };
        if flight.holder == who {
            return Claimed::MustNotWait;
        }
        if patience == Patience::AtMost(Duration::ZERO) {
            return Claimed::Busy;
        }
        {
            let mut waits = lock(&self.waits);
            let mut holder = flight.holder;
            // Whoever waits is followed to whom it waits for; an end of the chain is at work.
            loop {
                if holder == who {
                    return Claimed::MustNotWait;
                }
                match waits.get(&holder) {
                    Some(next) => holder = *next,
                    None => break,
                }
            }
            waits.insert(who, flight.holder);
        }
        let end = flight.wait(patience);
        lock(&self.waits).remove(&who);
        end.map_or(Claimed::Busy, Claimed::Ended)
    }

    /// What `look` finds, or else a claim: `look` is asked before, and again if something was stored between that and the
    /// claim, which then is given back; or if the wait for another's claim ended without a word of what was stored.
    pub(crate) fn find_or_claim<T>(
        &self,
        key: &EntryKey,
        who: Claimant,
        patience: Patience,
        mut look: impl FnMut() -> Option<T>,
    ) -> Result<T, Claimed> {
        let stored = self.stored(key);
        if let Some(found) = look() {
            return Ok(found);
        }
        let claimed = self.claim(key, who, patience);
        // A claim taken over from an earlier owner says that the caller must not wait for itself. A program that stores and
        // ends at once may be gone before its word of that is read.
        let may_be_stored = matches!(claimed, Claimed::Mine | Claimed::MustNotWait | Claimed::Ended(End::NotStored));
        if may_be_stored
            && self.stored(key) != stored
            && let Some(found) = look()
        {
            if claimed == Claimed::Mine {
                self.release(key, who, End::Stored);
            }
            return Ok(found);
        }
        Err(claimed)
    }

    /// Ends the claim of `who`, if it has one on the key.
    pub fn release(&self, key: &EntryKey, who: Claimant, end: End) {
        let shard = self.shard(key);
        let flight = {
            let mut flights = lock(&shard.flights);
            if flights.get(key).is_none_or(|flight| flight.holder != who) {
                return;
            }
            if end == End::Stored {
                shard.stored.fetch_add(1, SeqCst);
            }
            flights.remove(key)
        };
        // Who waits, or is about to, took its share of the flight under the shard's lock; waking nobody is a system call.
        if let Some(flight) = flight.filter(|flight| Arc::strong_count(flight) > 1) {
            flight.finish(end);
        }
    }

    /// A count that changes whenever a result of this key, or of a few others, was stored under a claim: who looked the
    /// key up in vain before it claimed it need not look again if the count stands where it stood before the look.
    pub fn stored(&self, key: &EntryKey) -> u64 {
        self.shard(key).stored.load(SeqCst)
    }

    /// Something was stored under the key, by whoever.
    pub(crate) fn note_stored(&self, key: &EntryKey) {
        self.shard(key).stored.fetch_add(1, SeqCst);
    }

    /// Takes over a claim that `program` made with an earlier owner of the store, unless another has the key.
    pub(crate) fn adopt(&self, program: u64, claim: &OwnClaim) {
        let mut flights = lock(&self.shard(&claim.key).flights);
        if flights.get(&claim.key).is_none_or(|flight| !flight.granted && claim.granted) {
            let who = Claimant { program, thread: claim.thread };
            let replaced = flights.insert(claim.key, Flight::of(who, claim.granted));
            drop(flights);
            if let Some(flight) = replaced {
                flight.finish(End::NotStored);
            }
        }
    }

    /// Whether `who` has the key.
    pub(crate) fn holds(&self, key: &EntryKey, who: Claimant) -> bool {
        lock(&self.shard(key).flights).get(key).is_some_and(|flight| flight.holder == who)
    }

    /// Ends all claims of a program that is gone.
    pub(crate) fn release_program(&self, program: u64) {
        for shard in &self.shards {
            let gone: Vec<_> = lock(&shard.flights).extract_if(|_, flight| flight.holder.program == program).collect();
            for (_, flight) in gone {
                flight.finish(End::NotStored);
            }
        }
        self.gate.checked_in(program);
    }

    /// The claims that threads of `program` have.
    pub(crate) fn of_program(&self, program: u64) -> Vec<OwnClaim> {
        let mut own = Vec::new();
        for shard in &self.shards {
            let flights = lock(&shard.flights);
            let of_program = flights.iter().filter(|(_, flight)| flight.holder.program == program);
            own.extend(of_program.map(|(key, flight)| OwnClaim {
                key: *key,
                thread: flight.holder.thread,
                granted: flight.granted,
            }));
        }
        own
    }

    /// Gives out no claim until all of these programs have [checked in](Claims::checked_in), or `longest` has passed: the
    /// claims they hold are not known here yet.
    pub(crate) fn expect(&self, programs: HashSet<u64>, longest: Duration) {
        self.gate.close(programs, Instant::now() + longest);
    }

    /// All claims of this program are known.
    pub(crate) fn checked_in(&self, program: u64) {
        self.gate.checked_in(program);
    }

    fn shard(&self, key: &EntryKey) -> &Shard {
        &self.shards[usize::from(key.as_bytes()[SHARD_BYTE]) % SHARDS]
    }
}

/// A byte of the call's digest: the bytes before are the function's.
const SHARD_BYTE: usize = 8;

/// Closed while programs are expected that may hold claims.
#[derive(Debug, Default)]
struct Gate {
    /// Looked at by every claim; the rest only while it is set.
    closed: AtomicBool,
    expected: Mutex<Option<(HashSet<u64>, Instant)>>,
    opened: Condvar,
}

impl Gate {
    fn close(&self, programs: HashSet<u64>, until: Instant) {
        if programs.is_empty() {
            return;
        }
        *lock(&self.expected) = Some((programs, until));
        self.closed.store(true, SeqCst);
    }

    fn checked_in(&self, program: u64) {
        if !self.closed.load(SeqCst) {
            return;
        }
        let mut expected = lock(&self.expected);
        if let Some((programs, _)) = &mut *expected {
            programs.remove(&program);
            if programs.is_empty() {
                self.open(&mut expected);
            }
        }
    }

    fn open(&self, expected: &mut Option<(HashSet<u64>, Instant)>) {
        *expected = None;
        self.closed.store(false, SeqCst);
        self.opened.notify_all();
    }

    /// Waits for the gate; answers whether it is open.
    #[inline]
    fn wait(&self, patience: Patience) -> bool {
        !self.closed.load(SeqCst) || self.wait_closed(patience)
    }

    #[cold]
    fn wait_closed(&self, patience: Patience) -> bool {
        let start = Instant::now();
        let mut expected = lock(&self.expected);
        loop {
            let now = Instant::now();
            let mut left = match &*expected {
                None => return true,
                Some((_, until)) => until.saturating_duration_since(now),
            };
            if left.is_zero() {
                self.open(&mut expected);
                return true;
            }
            if let Patience::AtMost(longest) = patience {
                match longest.checked_sub(now - start) {
                    None | Some(Duration::ZERO) => return false,
                    Some(rest) => left = left.min(rest),
                }
            }
            expected = whole(self.opened.wait_timeout(expected, left)).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const NOT_AT_ALL: Patience = Patience::AtMost(Duration::ZERO);

    fn key() -> EntryKey {
        EntryKey::from_bytes([3; 40])
    }

    fn claimant(thread: u64) -> Claimant {
        Claimant { program: 1, thread }
    }

    #[test]
    fn a_claimant_never_waits_for_itself() {
        let claims = Claims::default();
        let me = Claimant::current();
        assert_eq!(claims.claim(&key(), me, Patience::Unbounded), Claimed::Mine);
        assert_eq!(claims.claim(&key(), me, Patience::Unbounded), Claimed::MustNotWait);
        claims.release(&key(), me, End::Stored);
        assert_eq!(claims.claim(&key(), me, Patience::Unbounded), Claimed::Mine, "the claim ended");
    }

    #[test]
    fn waiters_learn_how_it_ended() {
        for end in [End::Stored, End::NotStored] {
            let claims = Claims::default();
            assert_eq!(claims.claim(&key(), claimant(0), NOT_AT_ALL), Claimed::Mine);
            let met = thread::scope(|scope| {
                let waiter = scope.spawn(|| claims.claim(&key(), claimant(1), Patience::Unbounded));
                claims.release(&key(), claimant(0), end);
                waiter.join().unwrap()
            });
            // The claim may be over before the waiter came.
            assert!(met == Claimed::Ended(end) || met == Claimed::Mine, "{met:?}");
        }
    }

    #[test]
    fn who_will_not_wait_is_told_at_once() {
        let claims = Claims::default();
        assert_eq!(claims.claim(&key(), claimant(0), NOT_AT_ALL), Claimed::Mine);
        assert_eq!(claims.claim(&key(), claimant(1), NOT_AT_ALL), Claimed::Busy);
        assert_eq!(claims.claim(&key(), claimant(1), Patience::AtMost(Duration::from_millis(2))), Claimed::Busy);
    }

    #[test]
    fn a_ring_of_waiting_claimants_is_not_closed() {
        let claims = Claims::default();
        let other = EntryKey::from_bytes([4; 40]);
        assert_eq!(claims.claim(&key(), claimant(0), NOT_AT_ALL), Claimed::Mine);
        assert_eq!(claims.claim(&other, claimant(1), NOT_AT_ALL), Claimed::Mine);
        // Each lets go of its own key once it has an answer: whoever comes second must get one without waiting.
        let met = thread::scope(|scope| {
            let first = scope.spawn(|| {
                let met = claims.claim(&other, claimant(0), Patience::Unbounded);
                claims.release(&key(), claimant(0), End::Stored);
                met
            });
            let met = claims.claim(&key(), claimant(1), Patience::Unbounded);
            claims.release(&other, claimant(1), End::Stored);
            [met, first.join().unwrap()]
        });
        assert!(met.contains(&Claimed::MustNotWait) || met.contains(&Claimed::Mine), "{met:?}");
    }

    #[test]
    fn a_program_that_is_gone_holds_nothing() {
        let claims = Claims::default();
        assert_eq!(claims.claim(&key(), claimant(0), NOT_AT_ALL), Claimed::Mine);
        let me = Claimant { program: 2, thread: 0 };
        assert_eq!(claims.claim(&key(), me, NOT_AT_ALL), Claimed::Busy);
        claims.release_program(1);
        assert_eq!(claims.claim(&key(), me, NOT_AT_ALL), Claimed::Mine);
        assert_eq!(claims.of_program(2), [OwnClaim { key: key(), thread: 0, granted: true }]);
    }

    #[test]
    fn what_a_program_stored_just_before_it_was_gone_is_found() {
        let claims = Claims::default();
        let waiter = Claimant { program: 2, thread: 0 };
        assert_eq!(claims.claim(&key(), claimant(0), NOT_AT_ALL), Claimed::Mine);
        let is_stored = AtomicBool::new(false);
        let look = || is_stored.load(SeqCst).then_some("a result");
        let met = thread::scope(|scope| {
            let met = scope.spawn(|| claims.find_or_claim(&key(), waiter, Patience::Unbounded, look));
            while !lock(&claims.waits).contains_key(&waiter) {
                thread::yield_now();
            }
            is_stored.store(true, SeqCst);
            claims.note_stored(&key());
            claims.release_program(1);
            met.join().unwrap()
        });
        assert_eq!(met, Ok("a result"));
    }

    #[test]
    fn no_claim_is_given_out_before_the_expected_have_checked_in() {
        let claims = Claims::default();
        claims.expect(HashSet::from([1]), Duration::from_secs(3600));
        let newcomer = Claimant { program: 2, thread: 0 };
        assert_eq!(claims.claim(&key(), newcomer, NOT_AT_ALL), Claimed::Busy);
        let claim = |thread, granted| OwnClaim { key: key(), thread, granted };
        claims.adopt(3, &claim(7, false));
        claims.adopt(1, &claim(0, true));
        claims.adopt(3, &claim(7, true));
        assert!(claims.holds(&key(), claimant(0)), "the first that was granted");
        claims.checked_in(1);
        assert_eq!(claims.claim(&key(), newcomer, NOT_AT_ALL), Claimed::Busy, "it is the first program's");
        claims.release(&key(), claimant(0), End::Stored);
        assert_eq!(claims.claim(&key(), newcomer, NOT_AT_ALL), Claimed::Mine);
        claims.expect(HashSet::from([1]), Duration::ZERO);
        assert_eq!(claims.claim(&EntryKey::from_bytes([5; 40]), newcomer, NOT_AT_ALL), Claimed::Mine, "too late");
    }
}
