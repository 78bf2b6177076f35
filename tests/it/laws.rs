//! The conformance suite finds the stores that break a law.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use larder::conformance;
use larder::store::{
    Absent, Claimant, Claimed, Claims, End, EntryKey, Found, Listed, Lookup, NewEntry, Patience, Store, StoreError,
    VolatileStore,
};

use crate::stores::Files;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    KeepsTheFirst,
    DropsTheLong,
    FailsLate,
    TakesPrefixesForKeys,
    FunctionsByNameOnly,
    CountsOneMore,
    ForgetsNothing,
    ListsAllButOne,
    ClearsNothing,
    AnyoneReleases,
    EveryoneHasTheClaim,
    BusyIsMine,
    WaitsForItself,
    PatienceIsWithoutEnd,
    NobodyLearnsTheEnd,
}

/// A sound store with one fault.
struct Faulty {
    store: VolatileStore,
    fault: Fault,
    claimants: Mutex<Vec<Claimant>>,
    keys: Mutex<Vec<EntryKey>>,
}

impl Faulty {
    fn new(fault: Fault) -> Faulty {
        Faulty { store: VolatileStore::new(), fault, claimants: Mutex::default(), keys: Mutex::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Another key that is there and begins alike.
    fn alike(&self, key: &EntryKey) -> EntryKey {
        let keys = self.keys.lock().expect("nothing panics meanwhile");
        let alike = |other: &&EntryKey| other.as_bytes()[..39] == key.as_bytes()[..39];
        keys.iter().find(alike).copied().unwrap_or(*key)
    }
}

impl Store for Faulty {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        let key = if self.has(Fault::TakesPrefixesForKeys) { self.alike(key) } else { *key };
        self.store.get(&key)
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        if self.has(Fault::KeepsTheFirst) && self.store.get(&entry.key()).is_ok()
            || self.has(Fault::DropsTheLong) && entry.value_bytes() > 1 << 20
        {
            return Ok(None);
        }
        self.keys.lock().expect("nothing panics meanwhile").push(entry.key());
        self.store.put(entry)?;
        Ok(self.has(Fault::FailsLate).then(|| StoreError::new("making it safe", "no")))
    }

    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        let others =
            if self.has(Fault::FunctionsByNameOnly) { self.store.clear_function(function, !by_hand)? } else { 0 };
        let count = self.store.clear_function(function, by_hand)? + others;
        Ok(if self.has(Fault::CountsOneMore) { count + 1 } else { count })
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        if self.has(Fault::ForgetsNothing) { Ok(true) } else { self.store.forget(key) }
    }

    fn page(&self, function: Option<&str>, after: Option<&EntryKey>) -> Result<Vec<Listed>, StoreError> {
        let mut page = self.store.page(function, after)?;
        if self.has(Fault::ListsAllButOne) {
            page.pop();
        }
        Ok(page)
    }

    fn clear(&self) -> Result<(), StoreError> {
        if self.has(Fault::ClearsNothing) { Ok(()) } else { self.store.clear() }
    }

    fn claims(&self) -> &Claims {
        self.store.claims()
    }

    fn get_or_claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Lookup {
        match self.store.get_or_claim(key, who, patience) {
            Lookup::Claimed(Claimed::Busy) if self.has(Fault::BusyIsMine) => Lookup::Mine(Absent::Never),
            met => met,
        }
    }

    fn claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Claimed {
        self.claimants.lock().expect("nothing panics meanwhile").push(who);
        let met = self.store.claim(key, who, patience);
        match (self.fault, met) {
            (Fault::EveryoneHasTheClaim, _) => Claimed::Mine,
            (Fault::WaitsForItself, Claimed::MustNotWait) => Claimed::Busy,
            (Fault::PatienceIsWithoutEnd, Claimed::Busy) if !is_brief(patience) => Claimed::Ended(End::NotStored),
            (Fault::NobodyLearnsTheEnd, Claimed::Ended(_)) => Claimed::Ended(End::NotStored),
            _ => met,
        }
    }

    fn release(&self, key: &EntryKey, who: Claimant, end: End) {
        self.store.release(key, who, end);
        if self.has(Fault::AnyoneReleases) {
            for claimant in self.claimants.lock().expect("nothing panics meanwhile").iter() {
                self.store.release(key, *claimant, end);
            }
        }
    }
}

/// Whether a claimant only looks.
fn is_brief(patience: Patience) -> bool {
    matches!(patience, Patience::AtMost(longest) if longest < Duration::from_micros(1))
}

/// What `check` says of a store; it must not be content.
#[track_caller]
fn complaint(check: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(check)).expect_err("a store that breaks a law passed");
    *panic.downcast::<String>().expect("the complaint is a text")
}

#[test]
fn each_fault_is_found() {
    for (fault, law) in [
        (Fault::KeepsTheFirst, "the last entry of a key is found"),
        (Fault::DropsTheLong, "what is put is found, of any length"),
        (Fault::FailsLate, "what is put is found, of any length"),
        (Fault::TakesPrefixesForKeys, "a key that differs in one bit has nothing"),
        (Fault::FunctionsByNameOnly, "a function is cleared, and it alone"),
        (Fault::CountsOneMore, "a function is cleared, and it alone"),
        (Fault::ForgetsNothing, "an entry is forgotten, and it alone"),
        (Fault::ListsAllButOne, "a list has every entry once"),
        (Fault::ClearsNothing, "clearing removes everything"),
        (Fault::AnyoneReleases, "a claim is its holder's until it releases it"),
        (Fault::EveryoneHasTheClaim, "one of many threads has the claim"),
        (Fault::BusyIsMine, "one of many threads has the claim"),
        (Fault::WaitsForItself, "a claimant never waits for itself"),
        (Fault::PatienceIsWithoutEnd, "who waits has patience, and no more"),
        (Fault::NobodyLearnsTheEnd, "all who wait learn how it ended"),
    ] {
        let complaint = complaint(|| conformance::check(|| Faulty::new(fault)));
        assert!(complaint.contains(law) && !complaint.contains("not ended"), "{fault:?}: {complaint}");
    }
}

#[test]
fn a_store_that_forgets_is_found() {
    let complaint = complaint(|| conformance::check_durable(|_: &Path| VolatileStore::new()));
    assert!(complaint.contains("what was put before the store was closed is there"), "{complaint}");
}

/// Takes what is in its files for sound.
struct Trusting(Files);

impl Store for Trusting {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        match self.0.get(key) {
            Err(Absent::DamagedRecord) => panic!("a length is beyond the end"),
            met => met,
        }
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        self.0.put(entry)
    }

    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        self.0.clear_function(function, by_hand)
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        self.0.forget(key)
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.0.clear()
    }

    fn claims(&self) -> &Claims {
        self.0.claims()
    }
}

#[test]
fn a_store_that_panics_over_damage_is_found() {
    let complaint = complaint(|| {
        conformance::check_damage(4, |dir| Files::open(dir).map(Trusting)).map(drop).expect("there is room");
    });
    assert!(complaint.contains("byte 0 of") && complaint.contains("a length is beyond the end"), "{complaint}");
}

/// Two entries in one directory whose files change places, as damage that every digest of the bytes alone would pass.
#[test]
fn an_entry_in_the_place_of_another_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let open = || larder::Memory::builder().memory_tier_bytes(0).with_store(Files::open(dir.path()).unwrap());
    let memory = open();
    let twice = |memory: &larder::Memory, x: u64| memory.cached_fn("twice", 1, |x: &u64| x * 2).call(&x);
    assert_eq!((twice(&memory, 1), twice(&memory, 2)), (2, 4));
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_unstable();
    let [first, second] = &files[..] else { panic!("{files:?}") };
    let content = fs::read(first).unwrap();
    fs::copy(second, first).unwrap();
    fs::write(second, content).unwrap();
    let memory = open();
    assert_eq!((twice(&memory, 1), twice(&memory, 2)), (2, 4));
    assert_eq!(memory.stats().misses_for(larder::MissReason::DamagedRecord), 2);
}

/// Not a test of its own: what the tests below start.
#[test]
fn child_in_memory_is_killed() {
    conformance::crash::child(|_| VolatileStore::new());
}

#[test]
fn a_store_that_a_kill_empties_is_found() {
    // The first acknowledged put of each child is of a costly entry.
    let complaint =
        complaint(|| conformance::crash::check("laws::child_in_memory_is_killed", 2, |_| VolatileStore::new()));
    assert!(complaint.contains("what was acknowledged outlives a killed program"), "{complaint}");
}

#[test]
fn a_child_that_is_none_is_found() {
    let complaint = complaint(|| {
        conformance::crash::check("laws::no_test_of_this_name", 1, |_| VolatileStore::new());
    });
    assert!(complaint.contains("ended by itself after 0 puts"), "{complaint}");
}
