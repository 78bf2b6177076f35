//! What is put is found, that and nothing else, until it is cleared.

use std::borrow::Cow;
use std::sync::Arc;

use super::Law;
use super::sample::Sample;
use crate::store::{EntryKey, Store};

pub(super) const LAWS: &[Law] = &[
    ("what is put is found, of any length", of_any_length),
    ("a value is put in any parts", in_any_parts),
    ("the last entry of a key is found", the_last_is_found),
    ("entries of other keys are other entries", others_are_others),
    ("a key that differs in one bit has nothing", one_bit_matters),
    ("a function is cleared, and it alone", a_function_is_cleared),
    ("an entry is forgotten, and it alone", an_entry_is_forgotten),
    ("a list has every entry once", a_list_has_every_entry),
    ("clearing removes everything", clearing_removes_everything),
    ("notes are kept, or refused", notes_are_kept),
];

/// Around 4 KiB a store may begin to keep values elsewhere.
const LENGTHS: [usize; 9] = [0, 1, 63, 4095, 4096, 4097, 100_000, (1 << 20) + 1, 3 << 20];

fn of_any_length(store: &Arc<dyn Store>) {
    let samples = (0..)
        .zip(LENGTHS.iter().chain(&LENGTHS))
        .map(|(argument, len)| Sample { costly: argument >= LENGTHS.len() as u64, ..Sample::new(argument, *len) });
    let samples: Vec<_> = samples.collect();
    for sample in &samples {
        sample.must_not_be_in(store);
        sample.put(store);
        sample.must_be_in(store);
    }
    // All of them, and twice: a look changes nothing.
    for sample in samples.iter().chain(&samples) {
        sample.must_be_in(store);
    }
}

fn in_any_parts(store: &Arc<dyn Store>) {
    let cuts: [&[usize]; 6] = [&[], &[0], &[1], &[0, 0, 1000], &[4096, 4097], &[1, 2, 3, 9000, 9999, 10_000]];
    for (argument, cuts) in (0..).zip(cuts) {
        for len in [10_000, 1_500_000] {
            let sample = Sample::new(argument * 2 + u64::from(len > 10_000), len);
            let value = sample.value();
            let mut parts = Vec::new();
            let mut start = 0;
            for end in cuts.iter().copied().chain([len]) {
                parts.push(Cow::Borrowed(&value[start..end]));
                start = end;
            }
            if let Err(error) = sample.try_put(store, &parts) {
                panic!("{sample:?} in {} parts could not be put: {error}", parts.len());
            }
            sample.must_be_in(store);
        }
    }
    let empty = Sample::new(100, 0);
    if let Err(error) = empty.try_put(store, &[]) {
        panic!("{empty:?} in no part could not be put: {error}");
    }
    empty.must_be_in(store);
}

fn the_last_is_found(store: &Arc<dyn Store>) {
    let bystander = Sample::new(1, 5000);
    bystander.put(store);
    for (round, len) in (0..).zip([10, 20, 5000, 6000, 30, 0, 200_000, 7, 7]) {
        let sample = Sample { round, costly: round % 2 == 0, ..Sample::new(0, len) };
        sample.put(store);
        sample.must_be_in(store);
        // The same once more, as two programs may do that computed it both.
        sample.put(store);
        sample.must_be_in(store);
    }
    bystander.must_be_in(store);
}

/// Functions whose names are alike, by hand or not, in versions, with arguments.
fn family() -> Vec<Sample> {
    let mut samples = Vec::new();
    for function in ["a", "b", "a::b", "a ", "", "ä/../\0\n"] {
        for by_hand in [false, true] {
            for version in [0, 1, u64::MAX] {
                for argument in 0..3 {
                    let len = if argument == 2 { 5000 } else { 50 };
                    samples.push(Sample { function, by_hand, version, ..Sample::new(argument, len) });
                }
            }
        }
    }
    samples
}

fn others_are_others(store: &Arc<dyn Store>) {
    let family = family();
    for (at, sample) in family.iter().enumerate() {
        sample.must_not_be_in(store);
        sample.put(store);
        family[..=at].iter().rev().take(20).for_each(|sample| sample.must_be_in(store));
    }
    family.iter().for_each(|sample| sample.must_be_in(store));
}

fn one_bit_matters(store: &Arc<dyn Store>) {
    let sample = Sample::new(0, 100);
    sample.put(store);
    let key = *sample.key().as_bytes();
    for bit in 0..key.len() * 8 {
        let mut near = key;
        near[bit / 8] ^= 1 << (bit % 8);
        let met = store.get(&EntryKey::from_bytes(near));
        assert!(met.is_err(), "bit {bit} of the key was altered, and {met:?} was found");
    }
    sample.must_be_in(store);
}

fn a_function_is_cleared(store: &Arc<dyn Store>) {
    let family = family();
    family.iter().for_each(|sample| sample.put(store));
    // An entry that was replaced counts once.
    for sample in family.iter().step_by(2) {
        Sample { round: 1, ..*sample }.put(store);
    }
    let mut left: Vec<_> =
        (0..).zip(&family).map(|(at, sample)| Sample { round: u64::from(at % 2 == 0), ..*sample }).collect();
    for (function, by_hand) in [("a", true), ("a", false), ("", false), ("ä/../\0\n", true), ("nobody", true)] {
        let is_cleared = |sample: &Sample| sample.function == function && sample.by_hand == by_hand;
        let (gone, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(is_cleared);
        let what = format!("clearing `{function}`, by hand: {by_hand}");
        match store.clear_function(function, by_hand) {
            Ok(count) => assert_eq!(count, gone.len() as u64, "{what}: how many there were"),
            Err(error) => panic!("{what}: {error}"),
        }
        gone.iter().for_each(|sample| sample.must_not_be_in(store));
        rest.iter().for_each(|sample| sample.must_be_in(store));
        let again = store.clear_function(function, by_hand);
        assert!(matches!(again, Ok(0)), "{what} a second time: {again:?}");
        left = rest;
    }
    // What is put again is there again.
    let back = family.iter().find(|sample| sample.function == "a").expect("it is in the family");
    back.put(store);
    back.must_be_in(store);
}

fn an_entry_is_forgotten(store: &Arc<dyn Store>) {
    let family = family();
    family.iter().for_each(|sample| sample.put(store));
    let (gone, rest): (Vec<_>, Vec<_>) = (0..).zip(&family).partition(|(at, _)| at % 7 == 3);
    for (_, sample) in &gone {
        for was_there in [true, false] {
            match store.forget(&sample.key()) {
                Ok(answer) => assert_eq!(answer, was_there, "forgetting {sample:?}: whether it was there"),
                Err(error) => panic!("{sample:?} could not be forgotten: {error}"),
            }
            sample.must_not_be_in(store);
        }
    }
    rest.iter().for_each(|(_, sample)| sample.must_be_in(store));
    gone.iter().for_each(|(_, sample)| sample.put(store));
    family.iter().for_each(|sample| sample.must_be_in(store));
}

/// A store that keeps no list may say so.
fn a_list_has_every_entry(store: &Arc<dyn Store>) {
    let family = family();
    family.iter().for_each(|sample| sample.put(store));
    for function in [None, Some("a"), Some("b")] {
        let mut listed = Vec::new();
        loop {
            match store.page(function, listed.last()) {
                Ok(page) if page.is_empty() => break,
                Ok(page) => listed.extend(page.iter().map(|entry| entry.key())),
                Err(_) if listed.is_empty() => return,
                Err(error) => panic!("the list broke off after {} entries: {error}", listed.len()),
            }
        }
        let wanted = |sample: &&Sample| function.is_none_or(|function| sample.function == function);
        let mut keys: Vec<_> = family.iter().filter(wanted).map(Sample::key).collect();
        keys.sort_unstable();
        assert_eq!(listed, keys, "the list of {function:?}");
    }
}

fn clearing_removes_everything(store: &Arc<dyn Store>) {
    let family = family();
    for _ in 0..2 {
        family.iter().for_each(|sample| sample.put(store));
        if let Err(error) = store.clear() {
            panic!("clearing: {error}");
        }
        family.iter().for_each(|sample| sample.must_not_be_in(store));
        let count = store.clear_function("a", true);
        assert!(matches!(count, Ok(0)), "clearing a function when nothing is left: {count:?}");
    }
    family[0].put(store);
    family[0].must_be_in(store);
}

/// A store that keeps no notes may say so.
fn notes_are_kept(store: &Arc<dyn Store>) {
    let note = |name: &[u8]| match store.note(name) {
        Ok(note) => note,
        Err(error) => panic!("the note {name:?} could not be read: {error}"),
    };
    let set = |name: &[u8], note: Option<&[u8]>| {
        if let Err(error) = store.set_note(name, note) {
            panic!("the note {name:?} could not be written: {error}");
        }
    };
    let name_of =
        |kind: u8, function: &str, rest: &[u8]| [&[kind][..], &EntryKey::function_prefix(function)[..], rest].concat();
    let (a, a2, b) = (name_of(b'c', "a", b"1"), name_of(b'c', "a", b"2"), name_of(b'c', "b", b"1"));
    let other_kind = name_of(b'z', "a", b"");
    assert_eq!(note(&a), None, "a note that nobody made");
    if store.set_note(&a, Some(b"one")).is_err() {
        assert_eq!(note(&a), None, "a note that was refused");
        return;
    }
    let large = vec![7; 900_000];
    for (name, content) in [(&a, &b"one"[..]), (&a2, b""), (&b, &large), (&other_kind, b"two"), (&a, b"three")] {
        set(name, Some(content));
        assert_eq!(note(name).as_deref(), Some(content), "the note {name:?}");
    }
    let list = |prefix: &[u8]| match store.notes(prefix) {
        Ok(notes) => notes,
        Err(error) => panic!("the notes could not be listed: {error}"),
    };
    let mut all = vec![
        (a.clone(), b"three".to_vec()),
        (a2.clone(), Vec::new()),
        (b.clone(), large),
        (other_kind.clone(), b"two".to_vec()),
    ];
    all.sort_unstable();
    assert!(list(b"") == all, "the list of all notes");
    assert!(list(b"c") == all[..3], "the list of the notes of a kind");
    assert!(list(&name_of(b'c', "a", b"")).len() == 2, "the list of a function's notes");
    set(&a2, None);
    set(&a2, None);
    assert_eq!(note(&a2), None, "a note that was removed");
    let cleared = |by_hand| assert!(store.clear_function("a", by_hand).is_ok(), "clearing a function with notes");
    cleared(true);
    assert_eq!(
        note(&a).as_deref(),
        Some(&b"three"[..]),
        "the note of a function, once a closure of its name is cleared"
    );
    cleared(false);
    assert_eq!((note(&a), note(&other_kind)), (None, None), "the notes of a function that was cleared");
    assert!(note(&b).is_some(), "the note of another function");
    assert!(store.clear().is_ok(), "clearing a store with notes");
    assert!(list(b"").is_empty(), "the list of notes after everything was cleared");
}
