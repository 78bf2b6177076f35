//! Records as bytes, whole and damaged.

use super::super::frame::{FrameReader, Frames, HEADER_BYTES, Header, Kind, NoHeader, Tail};
use super::super::item::{Begin, Ended, Failed, Failing, Item, ItemId, Listed, Program, State};
use super::super::merge::Merge;
use super::super::record::{self, KeptItem, Outcome, Record};
use super::{failing, id, listed};
use crate::parallel::FailureKind;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn put(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Begin(program) => record::put_begin(out, program),
        Record::List(items) => {
            record::start_list(out);
            items.iter().for_each(|listed| record::put_listed(out, listed));
        }
        Record::ListEnd { count } => record::put_list_end(out, *count),
        Record::Outcome { at_ms, outcome } => record::put_outcome(out, *at_ms, outcome),
        Record::Retry(items) => {
            record::start_retry(out);
            items.iter().for_each(|(id, after)| record::put_retried(out, *id, *after));
        }
        Record::Ended { at_ms, ended } => record::put_ended(out, *at_ms, ended),
        Record::Past(program) => record::put_past(out, program),
        Record::KeptStart { items } => record::put_kept_start(out, *items),
        Record::Kept(items) => {
            record::start_kept(out);
            // In the next fold it is older.
            let younger = |item: &Item| Item { age: item.age - 1, ..item.clone() };
            items.iter().for_each(|kept| record::put_kept(out, kept.id, kept.listed, &younger(&kept.item)));
        }
        Record::KeptEnd { listed } => record::put_kept_end(out, *listed),
    }
}

const ID: u64 = 77;

fn segment(records: &[Record]) -> Vec<u8> {
    let mut bytes = Header { kind: Kind::Program, id: ID, sequence: 1 }.encode().to_vec();
    let mut frames = Frames::new(ID);
    frames.restart(HEADER_BYTES as u64);
    records.iter().for_each(|record| frames.push(|out| put(out, record)));
    bytes.extend_from_slice(frames.as_bytes());
    bytes
}

/// As a segment is read, without its file.
fn parse(bytes: &[u8]) -> (Vec<Record>, Result<Tail, NoHeader>) {
    let mut records = Vec::new();
    let Some((header, rest)) = bytes.split_first_chunk() else { return (records, Err(NoHeader::Damaged)) };
    let header = match Header::parse(header) {
        Ok(header) => header,
        Err(error) => return (records, Err(error)),
    };
    let mut merge = Merge::default();
    merge.start(&header, false, bytes.len() as u64);
    let tail = FrameReader::new(rest, header.id).read(|payload| match Record::parse(payload) {
        Some(record) => {
            merge.add(record.clone());
            records.push(record);
            true
        }
        None => false,
    });
    (records, Ok(tail.unwrap()))
}

prop_compose! {
    fn ended()(counts: [u64; 6], complete: bool) -> Ended {
        let [computed, reused, failed, changed, new, gone] = counts;
        Ended { computed, reused, failed, changed, new, gone, complete }
    }
}

prop_compose! {
    fn program()(
        (id, pid, started_at_ms, last_ms) in any::<(u64, u32, u64, u64)>(), host: String, function: String, backend: String,
        code: Option<[u8; 32]>, (version, workers, items) in any::<(u64, u32, u64)>(), ended in option::of(ended()),
    ) -> Program {
        let begin = Begin { function, code, version, backend, workers, items };
        Program { pid, host, begin, started_at_ms, live: false, ended, last_ms, id }
    }
}

fn an_id() -> impl Strategy<Value = ItemId> {
    any::<[u8; 16]>().prop_map(ItemId)
}

fn key() -> impl Strategy<Value = [u8; 40]> {
    any::<([u8; 32], [u8; 8])>().prop_map(|(call, prefix)| {
        let mut key = [0; 40];
        key[..32].copy_from_slice(&call);
        key[32..].copy_from_slice(&prefix);
        key
    })
}

prop_compose! {
    fn failed()(kind in 0..record::KINDS.len(), message: String, text: String) -> Failed {
        Failed::new(record::KINDS[kind], &message, &text)
    }
}

prop_compose! {
    fn an_item()(
        id in an_id(), listed: bool, key in key(), marks: Vec<u64>, state in 0..3, how in failed(), under in key(),
        (attempts, worker, nanos, retry_below) in any::<(u32, u32, u64, u32)>(), age in 1..u8::MAX,
    ) -> KeptItem {
        let failed = state == 2;
        let state = match state {
            0 => State::Waiting,
            1 => State::Done,
            _ => State::Failed(Box::new(Failing { how, under })),
        };
        let retry = failed && attempts < retry_below;
        KeptItem { id, listed, item: Item { key, marks, state, attempts, worker, nanos, retry, retry_below, age } }
    }
}

prop_compose! {
    fn outcome()(
        id in an_id(), (attempts, worker, nanos) in any::<(u32, u32, u64)>(), failure in option::of((failed(), key())),
    ) -> Outcome {
        let failure = failure.map(|(how, under)| Box::new(Failing { how, under }));
        Outcome { id, attempts, worker, nanos, failure }
    }
}

fn record() -> impl Strategy<Value = Record> {
    let list = vec((an_id(), key(), any::<Vec<u64>>()).prop_map(|(id, key, marks)| Listed { id, key, marks }), 0..4);
    prop_oneof![
        program().prop_map(Record::Begin),
        list.prop_map(Record::List),
        any::<u64>().prop_map(|count| Record::ListEnd { count }),
        (any::<u64>(), outcome()).prop_map(|(at_ms, outcome)| Record::Outcome { at_ms, outcome }),
        vec((an_id(), any::<u32>()), 0..4).prop_map(Record::Retry),
        (any::<u64>(), ended()).prop_map(|(at_ms, ended)| Record::Ended { at_ms, ended }),
        program().prop_map(Record::Past),
        any::<u64>().prop_map(|items| Record::KeptStart { items }),
        vec(an_item(), 0..4).prop_map(Record::Kept),
        any::<bool>().prop_map(|listed| Record::KeptEnd { listed }),
    ]
}

/// Records as a program and a fold write them.
fn sample() -> Vec<Record> {
    let program = Program {
        pid: 12,
        host: "here".to_owned(),
        begin: Begin { items: 2, code: Some([9; 32]), ..Begin::default() },
        started_at_ms: 5,
        live: false,
        ended: Some(Ended { computed: 1, complete: true, ..Ended::default() }),
        last_ms: 6,
        id: ID,
    };
    let failure = Some(Box::new(failing(FailureKind::Panic, "no", "x = 1", 1)));
    let done = Outcome { id: id(1), attempts: 1, worker: 2, nanos: 3, failure: None };
    let failed = Outcome { id: id(2), failure, ..done.clone() };
    let item = Item {
        key: [1; 40],
        marks: vec![4],
        state: State::Done,
        attempts: 1,
        worker: 1,
        nanos: 1,
        retry: false,
        retry_below: 0,
        age: 1,
    };
    vec![
        Record::Begin(program.clone()),
        Record::List(vec![listed(1, 1), listed(2, 1)]),
        Record::ListEnd { count: 2 },
        Record::Outcome { at_ms: 7, outcome: done },
        Record::Outcome { at_ms: 7, outcome: failed },
        Record::Retry(vec![(id(2), 1)]),
        Record::Ended { at_ms: 8, ended: Ended::default() },
        Record::Past(program),
        Record::KeptStart { items: 1 },
        Record::Kept(vec![KeptItem { id: id(3), listed: true, item }]),
        Record::KeptEnd { listed: true },
    ]
}

#[test]
fn what_was_cut_anywhere_gives_what_is_before() {
    let records = sample();
    let bytes = segment(&records);
    let ends: Vec<usize> = (0..=records.len()).map(|count| segment(&records[..count]).len()).collect();
    for len in 0..=bytes.len() {
        let (found, tail) = parse(&bytes[..len]);
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(found, records[..whole.saturating_sub(1)], "cut at {len}");
        let expected = match whole {
            0 => Err(NoHeader::Damaged),
            _ if ends.contains(&len) => Ok(Tail::Whole),
            _ => Ok(Tail::Cut),
        };
        assert_eq!(tail, expected, "cut at {len}");
    }
}

#[test]
fn no_altered_byte_is_believed() {
    let records = sample();
    let bytes = segment(&records);
    let ends: Vec<usize> = (0..=records.len()).map(|count| segment(&records[..count]).len()).collect();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << bit;
            let (found, tail) = parse(&altered);
            let before = ends.iter().filter(|end| **end <= at).count().saturating_sub(1);
            assert_eq!(found, records[..before], "bit {bit} of byte {at}");
            assert_ne!(tail, Ok(Tail::Whole), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn what_is_behind_damage_is_counted() {
    let records = sample();
    let mut bytes = segment(&records);
    let at = segment(&records[..3]).len();
    bytes[at + 12] ^= 1;
    assert_eq!(parse(&bytes), (records[..3].to_vec(), Ok(Tail::Altered(records.len() as u64 - 3))));
}

#[test]
fn a_frame_counts_in_its_place_only() {
    let records = sample();
    let (two, three) = (segment(&records[..2]), segment(&records[..3]));
    let mut moved = two.clone();
    moved.extend_from_slice(&segment(&records[2..3])[HEADER_BYTES..]);
    assert_eq!(moved.len(), three.len());
    assert_eq!(parse(&moved).1, Ok(Tail::Altered(1)));
    let mut elsewhere = Header { kind: Kind::Program, id: ID + 1, sequence: 1 }.encode().to_vec();
    elsewhere.extend_from_slice(&two[HEADER_BYTES..]);
    assert_eq!(parse(&elsewhere), (Vec::new(), Ok(Tail::Altered(1))));
}

#[test]
fn a_length_out_of_reason_asks_for_no_memory() {
    for len in [u32::MAX, (16 << 20) + 1, 16 << 20] {
        let mut bytes = segment(&[]);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&[0; 100]);
        let expected = if len > 16 << 20 { Tail::Altered(1) } else { Tail::Cut };
        assert_eq!(parse(&bytes), (Vec::new(), Ok(expected)));
    }
}

#[test]
fn a_newer_format_is_told_apart() {
    let mut bytes = segment(&[]);
    bytes[8] = 2;
    assert_eq!(parse(&bytes).1, Err(NoHeader::Newer(2)));
}

#[test]
fn long_texts_are_cut_between_characters() {
    let failed = Failed::new(FailureKind::Error, &"ä".repeat(10_000), &"€".repeat(10_000));
    assert!(failed.message.len() <= (8 << 10) + 3 && failed.message.ends_with("ä…"));
    assert!(failed.text.len() <= (2 << 10) + 3 && failed.text.ends_with("€…"));
    assert_eq!(&*Failed::new(FailureKind::Error, "short", "x").message, "short");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn records_come_back(records in vec(record(), 0..6)) {
        prop_assert_eq!(parse(&segment(&records)), (records, Ok(Tail::Whole)));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, kind in 0..14_u8) {
        let mut payload = vec![kind];
        payload.extend_from_slice(&bytes);
        if let Some(record) = Record::parse(&payload) {
            let mut again = Vec::new();
            put(&mut again, &record);
            prop_assert!(Record::parse(&again) == Some(record), "what is read can be written");
        }
        let mut file = segment(&[]);
        file.extend_from_slice(&bytes);
        let (records, _) = parse(&file);
        prop_assert!(records.is_empty());
    }

    #[test]
    fn records_in_any_order_are_merged_without_a_panic(records in vec(record(), 0..12)) {
        let mut merge = Merge::default();
        merge.start(&Header { kind: Kind::Fold, id: 1, sequence: 1 }, true, 100);
        records.into_iter().for_each(|record| merge.add(record));
        prop_assert!(merge.finish().live() == 0);
    }
}
