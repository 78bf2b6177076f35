//! The records of a segment, as bytes (docs/format.md, "The ledger of a run").

use super::item::{Begin, Ended, Failed, Failing, Item, ItemId, KeyBytes, Listed, Program, State};
use crate::parallel::FailureKind;
use crate::store::bytes::{Reader, put_block};

const BEGIN: u8 = 1;
const LIST: u8 = 2;
const LIST_END: u8 = 3;
const DONE: u8 = 4;
const FAILED: u8 = 5;
const RETRY: u8 = 6;
const ENDED: u8 = 7;
const PAST: u8 = 8;
const KEPT: u8 = 9;
const KEPT_END: u8 = 10;
const KEPT_START: u8 = 11;

/// A kind of failure is written as its place here.
pub(super) const KINDS: [FailureKind; 7] = [
    FailureKind::Error,
    FailureKind::Panic,
    FailureKind::Timeout,
    FailureKind::Death,
    FailureKind::Memory,
    FailureKind::Serialization,
    FailureKind::Input,
];

/// What came of an item in one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) id: ItemId,
    pub(super) attempts: u32,
    pub(super) worker: u32,
    pub(super) nanos: u64,
    /// `None`: it is done.
    pub(super) failure: Option<Box<Failing>>,
}

/// An item as a fold keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeptItem {
    pub(super) id: ItemId,
    /// It is in the newest complete list.
    pub(super) listed: bool,
    pub(super) item: Item,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// The segment's program begins, or begins anew.
    Begin(Program),
    List(Vec<Listed>),
    /// The list is complete with so many.
    ListEnd {
        count: u64,
    },
    Outcome {
        at_ms: u64,
        outcome: Outcome,
    },
    /// Failures of so many attempts or fewer are to be tried again.
    Retry(Vec<(ItemId, u32)>),
    Ended {
        at_ms: u64,
        ended: Ended,
    },
    /// A program whose segment was folded.
    Past(Program),
    /// So many items are kept.
    KeptStart {
        items: u64,
    },
    Kept(Vec<KeptItem>),
    /// All that was folded is there; `listed`: there was a complete list.
    KeptEnd {
        listed: bool,
    },
}

pub(super) fn put_begin(out: &mut Vec<u8>, program: &Program) {
    out.push(BEGIN);
    put_program(out, program);
}

pub(super) fn put_past(out: &mut Vec<u8>, program: &Program) {
    out.push(PAST);
    put_program(out, program);
}

fn put_program(out: &mut Vec<u8>, program: &Program) {
    let Program { pid, host, begin, started_at_ms, live: _, ended, last_ms, id } = program;
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&pid.to_le_bytes());
    out.extend_from_slice(&started_at_ms.to_le_bytes());
    out.extend_from_slice(&last_ms.to_le_bytes());
    put_block(out, host.as_bytes());
    put_block(out, begin.function.as_bytes());
    out.push(u8::from(begin.code.is_some()));
    out.extend_from_slice(&begin.code.unwrap_or_default());
    out.extend_from_slice(&begin.version.to_le_bytes());
    put_block(out, begin.backend.as_bytes());
    out.extend_from_slice(&begin.workers.to_le_bytes());
    out.extend_from_slice(&begin.items.to_le_bytes());
    out.push(u8::from(ended.is_some()));
    if let Some(ended) = ended {
        put_summary(out, ended);
    }
}

pub(super) fn put_ended(out: &mut Vec<u8>, at_ms: u64, ended: &Ended) {
    out.push(ENDED);
    out.extend_from_slice(&at_ms.to_le_bytes());
    put_summary(out, ended);
}

fn put_summary(out: &mut Vec<u8>, ended: &Ended) {
    let Ended { computed, reused, failed, changed, new, gone, complete } = ended;
    for count in [computed, reused, failed, changed, new, gone] {
        out.extend_from_slice(&count.to_le_bytes());
    }
    out.push(u8::from(*complete));
}

/// Begins a record of listed items.
pub(super) fn start_list(out: &mut Vec<u8>) {
    out.push(LIST);
}

pub(super) fn put_listed(out: &mut Vec<u8>, listed: &Listed) {
    out.extend_from_slice(&listed.id.0);
    put_key_and_marks(out, &listed.key, &listed.marks);
}

fn put_key_and_marks(out: &mut Vec<u8>, key: &KeyBytes, marks: &[u64]) {
    out.extend_from_slice(key);
    let count = u16::try_from(marks.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for mark in &marks[..usize::from(count)] {
        out.extend_from_slice(&mark.to_le_bytes());
    }
}

pub(super) fn put_list_end(out: &mut Vec<u8>, count: u64) {
    out.push(LIST_END);
    out.extend_from_slice(&count.to_le_bytes());
}

pub(super) fn put_outcome(out: &mut Vec<u8>, at_ms: u64, outcome: &Outcome) {
    out.push(if outcome.failure.is_some() { FAILED } else { DONE });
    out.extend_from_slice(&at_ms.to_le_bytes());
    out.extend_from_slice(&outcome.id.0);
    out.extend_from_slice(&outcome.attempts.to_le_bytes());
    out.extend_from_slice(&outcome.worker.to_le_bytes());
    out.extend_from_slice(&outcome.nanos.to_le_bytes());
    if let Some(failing) = &outcome.failure {
        put_failing(out, failing);
    }
}

fn put_failing(out: &mut Vec<u8>, failing: &Failing) {
    let Failing { how: Failed { kind, message, text }, under } = failing;
    let kind = KINDS.iter().position(|known| known == kind).unwrap_or_default();
    out.push(kind as u8);
    out.extend_from_slice(under);
    put_block(out, message.as_bytes());
    put_block(out, text.as_bytes());
}

/// Begins a record of items that are to be tried again.
pub(super) fn start_retry(out: &mut Vec<u8>) {
    out.push(RETRY);
}

pub(super) fn put_retried(out: &mut Vec<u8>, id: ItemId, after: u32) {
    out.extend_from_slice(&id.0);
    out.extend_from_slice(&after.to_le_bytes());
}

pub(super) fn put_kept_start(out: &mut Vec<u8>, items: u64) {
    out.push(KEPT_START);
    out.extend_from_slice(&items.to_le_bytes());
}

/// Begins a record of items that are kept in a fold.
pub(super) fn start_kept(out: &mut Vec<u8>) {
    out.push(KEPT);
}

const LISTED: u8 = 1;
const IS_DONE: u8 = 2;
const IS_FAILED: u8 = 4;

pub(super) fn put_kept(out: &mut Vec<u8>, id: ItemId, listed: bool, item: &Item) {
    let Item { key, marks, state, attempts, worker, nanos, retry: _, retry_below, age } = item;
    out.extend_from_slice(&id.0);
    let state_flags = match state {
        State::Waiting => 0,
        State::Done => IS_DONE,
        State::Failed(_) => IS_FAILED,
    };
    out.push(state_flags | (u8::from(listed) * LISTED));
    out.push(*age);
    put_key_and_marks(out, key, marks);
    out.extend_from_slice(&attempts.to_le_bytes());
    out.extend_from_slice(&worker.to_le_bytes());
    out.extend_from_slice(&nanos.to_le_bytes());
    out.extend_from_slice(&retry_below.to_le_bytes());
    if let State::Failed(failing) = state {
        put_failing(out, failing);
    }
}

pub(super) fn put_kept_end(out: &mut Vec<u8>, listed: bool) {
    out.extend_from_slice(&[KEPT_END, u8::from(listed)]);
}

impl Record {
    /// Whether these are the bytes of what came of an item.
    pub(super) fn is_outcome(bytes: &[u8]) -> bool {
        matches!(bytes.first(), Some(&DONE | &FAILED))
    }

    /// The record of these bytes, if they are one to their end.
    pub(super) fn parse(bytes: &[u8]) -> Option<Record> {
        let mut reader = Reader::new(bytes);
        let record = match reader.u8()? {
            BEGIN => Record::Begin(program(&mut reader)?),
            LIST => Record::List(all(&mut reader, listed)?),
            LIST_END => Record::ListEnd { count: reader.u64()? },
            kind @ (DONE | FAILED) => {
                let at_ms = reader.u64()?;
                Record::Outcome { at_ms, outcome: outcome(&mut reader, kind == FAILED)? }
            }
            RETRY => Record::Retry(all(&mut reader, |reader| Some((ItemId(reader.array()?), reader.u32()?)))?),
            ENDED => Record::Ended { at_ms: reader.u64()?, ended: summary(&mut reader)? },
            PAST => Record::Past(program(&mut reader)?),
            KEPT_START => Record::KeptStart { items: reader.u64()? },
            KEPT => Record::Kept(all(&mut reader, kept)?),
            KEPT_END => Record::KeptEnd { listed: flag(&mut reader)? },
            _ => return None,
        };
        reader.rest().is_empty().then_some(record)
    }
}

/// As many as the bytes hold.
fn all<'b, T>(reader: &mut Reader<'b>, one: impl Fn(&mut Reader<'b>) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    while !reader.rest().is_empty() {
        all.push(one(reader)?);
    }
    Some(all)
}

fn flag(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.u8()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn program(reader: &mut Reader<'_>) -> Option<Program> {
    let id = reader.u64()?;
    let pid = reader.u32()?;
    let (started_at_ms, last_ms) = (reader.u64()?, reader.u64()?);
    let host = reader.text()?.to_owned();
    let function = reader.text()?.to_owned();
    let (has_code, code) = (flag(reader)?, reader.array()?);
    let version = reader.u64()?;
    let backend = reader.text()?.to_owned();
    let (workers, items) = (reader.u32()?, reader.u64()?);
    let ended = if flag(reader)? { Some(summary(reader)?) } else { None };
    let begin = Begin { function, code: has_code.then_some(code), version, backend, workers, items };
    Some(Program { pid, host, begin, started_at_ms, live: false, ended, last_ms, id })
}

fn summary(reader: &mut Reader<'_>) -> Option<Ended> {
    let mut count = || reader.u64();
    let (computed, reused, failed) = (count()?, count()?, count()?);
    let (changed, new, gone) = (count()?, count()?, count()?);
    Some(Ended { computed, reused, failed, changed, new, gone, complete: flag(reader)? })
}

fn listed(reader: &mut Reader<'_>) -> Option<Listed> {
    let id = ItemId(reader.array()?);
    let (key, marks) = key_and_marks(reader)?;
    Some(Listed { id, key, marks })
}

fn key_and_marks(reader: &mut Reader<'_>) -> Option<(KeyBytes, Vec<u64>)> {
    let key = reader.array()?;
    let count = usize::from(reader.array().map(u16::from_le_bytes)?);
    let (marks, _) = reader.take(count * 8)?.as_chunks::<8>();
    Some((key, marks.iter().map(|mark| u64::from_le_bytes(*mark)).collect()))
}

fn outcome(reader: &mut Reader<'_>, failed: bool) -> Option<Outcome> {
    let id = ItemId(reader.array()?);
    let (attempts, worker, nanos) = (reader.u32()?, reader.u32()?, reader.u64()?);
    let failure = if failed { Some(Box::new(failing(reader)?)) } else { None };
    Some(Outcome { id, attempts, worker, nanos, failure })
}

fn failing(reader: &mut Reader<'_>) -> Option<Failing> {
    let kind = *KINDS.get(usize::from(reader.u8()?))?;
    let under = reader.array()?;
    Some(Failing { how: Failed { kind, message: reader.text()?.into(), text: reader.text()?.into() }, under })
}

fn kept(reader: &mut Reader<'_>) -> Option<KeptItem> {
    let id = ItemId(reader.array()?);
    let (flags, age) = (reader.u8()?, reader.u8()?);
    let (key, marks) = key_and_marks(reader)?;
    let (attempts, worker, nanos) = (reader.u32()?, reader.u32()?, reader.u64()?);
    let retry_below = reader.u32()?;
    let state = match flags & (IS_DONE | IS_FAILED) {
        0 => State::Waiting,
        IS_DONE => State::Done,
        IS_FAILED => State::Failed(Box::new(failing(reader)?)),
        _ => return None,
    };
    let age = age.saturating_add(1);
    let mut item = Item { key, marks, state, attempts, worker, nanos, retry: false, retry_below, age };
    item.settle();
    Some(KeptItem { id, listed: flags & LISTED != 0, item })
}
