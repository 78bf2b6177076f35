//! What was put is there in the next program.

use std::path::Path;
use std::sync::Arc;

use super::obeyed;
use super::sample::Sample;
use crate::store::{Claimant, Claimed, Patience, Store};

/// Checks that entries outlive the store's end: it is dropped and opened again. `open` is called several times with the path
/// of a directory, empty at first, to open what the store last opened there left.
///
/// # Panics
/// A law is broken, or does not end within two minutes: the message says which. Or there is no room for a temporary
/// directory.
pub fn check_durable<S: Store>(open: impl Fn(&Path) -> S) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    // The store is dropped with its thread.
    let reopened = |name, law: fn(&dyn Store)| {
        let store: Arc<dyn Store> = Arc::new(open(dir.path()));
        obeyed(name, move || law(&*store));
    };
    reopened("entries are put into a new store", |store| {
        entries().for_each(|sample| sample.must_not_be_in(store));
        entries().for_each(|sample| sample.put(store));
        let met = store.claim(&claimed().key(), Claimant::current(), Patience::Unbounded);
        assert_eq!(met, Claimed::Mine);
    });
    reopened("what was put before the store was closed is there", |store| {
        entries().for_each(|sample| sample.must_be_in(store));
    });
    reopened("what was put is there after a program that only looked", |store| {
        entries().for_each(|sample| sample.must_be_in(store));
        // The thread that had it is no more the holder of anything.
        let met = store.claim(&claimed().key(), Claimant::current(), Patience::Unbounded);
        assert_eq!(met, Claimed::Mine, "a claim ends with its store");
        entries().filter(is_replaced).for_each(|sample| replacing(&sample).put(store));
    });
    reopened("what was put last is there", |store| {
        for sample in entries() {
            if is_replaced(&sample) { replacing(&sample) } else { sample }.must_be_in(store);
        }
        let cleared = store.clear_function("gone", true);
        assert!(matches!(cleared, Ok(LENGTHS_COUNT)), "clearing a function of {LENGTHS_COUNT} entries: {cleared:?}");
    });
    reopened("what was cleared is not there", |store| {
        for sample in entries() {
            match () {
                () if sample.function == "gone" => sample.must_not_be_in(store),
                () if is_replaced(&sample) => replacing(&sample).must_be_in(store),
                () => sample.must_be_in(store),
            }
        }
        let cleared = store.clear();
        assert!(cleared.is_ok(), "clearing everything: {cleared:?}");
    });
    reopened("nothing is there once all was cleared", |store| {
        entries().for_each(|sample| sample.must_not_be_in(store));
    });
}

const LENGTHS: [usize; 7] = [0, 1, 4096, 4097, 60_000, 1 << 20, 77];
const LENGTHS_COUNT: u64 = LENGTHS.len() as u64;

fn entries() -> impl Iterator<Item = Sample> {
    [("kept", false), ("gone", true), ("kept", true)].into_iter().flat_map(|(function, by_hand)| {
        (0..).zip(LENGTHS).map(move |(argument, len)| Sample {
            function,
            by_hand,
            costly: argument % 2 == 0,
            ..Sample::new(argument, len)
        })
    })
}

fn claimed() -> Sample {
    Sample::new(100, 0)
}

fn is_replaced(sample: &Sample) -> bool {
    sample.argument.is_multiple_of(3) && sample.function == "kept"
}

/// Short ones become long, long ones short.
fn replacing(sample: &Sample) -> Sample {
    Sample { round: 1, len: if sample.len > 4096 { 50 } else { 5000 }, ..*sample }
}
