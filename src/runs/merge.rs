//! What the records of many segments say together.
//!
//! No clock is asked. Segments come in the order of their sequence numbers, so that of two keys of an item the later one
//! counts, with what came of it; but a failure is known until something comes of the item under its new key. For one key the
//! order does not matter: more attempts beat fewer, and of as many done beats failed. So a fold may be merged behind segments that it was made of, when a crash left some of them.

use std::collections::hash_map::Entry;

use super::frame::{Header, Kind};
use super::item::{Item, ItemId, KeyBytes, Listed, Program, Recorded, State};
use super::record::{KeptItem, Outcome, Record};

/// An item's id and key in a list, the shortest way to name one: no segment names more items than it has room for.
const SHORTEST_ITEM: u64 = 16 + 40;

/// A merge under way.
#[derive(Default)]
pub(super) struct Merge {
    recorded: Recorded,
    segment: Option<Segment>,
    /// The list that is being read.
    list: Vec<ItemId>,
}

/// The segment whose records come.
#[derive(Clone, Copy)]
struct Segment {
    id: u64,
    live: bool,
    bytes: u64,
}

impl Merge {
    /// The records that come are of this segment, of so many bytes.
    pub(super) fn start(&mut self, header: &Header, live: bool, bytes: u64) {
        self.list = Vec::new();
        self.segment = Some(Segment { id: header.id, live: live && header.kind == Kind::Program, bytes });
    }

    pub(super) fn add_damaged(&mut self, records: u64) {
        self.recorded.damaged += records;
    }

    pub(super) fn finish(self) -> Recorded {
        self.recorded
    }

    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Begin(mut program) => {
                self.list.clear();
                self.make_room(program.begin.items);
                if let Some(segment) = self.segment {
                    (program.id, program.live) = (segment.id, segment.live);
                }
                self.add_program(program);
            }
            Record::Past(program) => {
                // In the fold's order, whatever is left of what it stands for.
                self.recorded.programs.retain(|known| known.id != program.id);
                self.recorded.programs.push(program);
            }
            Record::List(listed) => {
                self.list.extend(listed.iter().map(|listed| listed.id));
                listed.into_iter().for_each(|listed| self.list_item(listed));
            }
            Record::ListEnd { count } => {
                if self.list.len() as u64 == count {
                    self.end_list();
                } else {
                    self.add_damaged(1);
                }
            }
            Record::Outcome { at_ms, outcome } => {
                self.wrote_at(at_ms);
                match self.recorded.items.get_mut(&outcome.id) {
                    Some(item) => item.add(outcome),
                    // Its list could not be written or read: under which key it was done is unknown.
                    None => self.add_damaged(1),
                }
            }
            Record::Retry(items) => {
                for (id, after) in items {
                    if let Some(item) = self.recorded.items.get_mut(&id) {
                        item.retry_below = item.retry_below.max(after.saturating_add(1));
                        item.settle();
                    }
                }
            }
            Record::Ended { at_ms, ended } => {
                self.wrote_at(at_ms);
                if let Some(program) = self.program() {
                    program.ended = Some(ended);
                }
            }
            Record::KeptStart { items } => self.make_room(items),
            Record::Kept(items) => items.into_iter().for_each(|kept| self.keep(kept)),
            Record::KeptEnd { listed: true } => self.end_list(),
            Record::KeptEnd { listed: false } => {}
        }
    }

    /// Room for so many items at once, as far as the segment's length makes them worth believing: a table that grows
    /// takes half as much again.
    fn make_room(&mut self, items: u64) {
        let most = self.segment.map_or(0, |segment| segment.bytes / SHORTEST_ITEM);
        let items = usize::try_from(items.min(most)).unwrap_or(0);
        self.recorded.items.reserve(items.saturating_sub(self.recorded.items.len()));
        self.list.reserve_exact(items);
    }

    fn add_program(&mut self, program: Program) {
        match self.recorded.programs.iter_mut().find(|known| known.id == program.id) {
            Some(known) => *known = program,
            None => self.recorded.programs.push(program),
        }
    }

    /// The program of this segment.
    fn program(&mut self) -> Option<&mut Program> {
        let id = self.segment?.id;
        self.recorded.programs.iter_mut().rfind(|program| program.id == id)
    }

    fn wrote_at(&mut self, at_ms: u64) {
        if let Some(program) = self.program() {
            program.last_ms = program.last_ms.max(at_ms);
        }
    }

    fn list_item(&mut self, listed: Listed) {
        let Listed { id, key, marks } = listed;
        match self.recorded.items.entry(id) {
            Entry::Vacant(place) => {
                place.insert(Item::waiting(key, marks));
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                // A failure stays what is known of it until something comes of the item under its new key.
                if known.key == key || known.failing().is_some() {
                    (known.key, known.marks, known.age) = (key, marks, 0);
                } else {
                    *known = Item::waiting(key, marks);
                }
            }
        }
    }

    fn keep(&mut self, kept: KeptItem) {
        let KeptItem { id, listed, item } = kept;
        if listed {
            self.list.push(id);
        }
        match self.recorded.items.entry(id) {
            Entry::Vacant(place) => {
                place.insert(item);
            }
            Entry::Occupied(mut known) => known.get_mut().merge(item),
        }
    }

    fn end_list(&mut self) {
        // The old one goes first: of a million items each takes some 40 MB.
        self.recorded.last_list = None;
        self.recorded.last_list = Some(std::mem::take(&mut self.list).into_iter().collect());
    }
}

impl Item {
    pub(crate) fn waiting(key: KeyBytes, marks: Vec<u64>) -> Item {
        let state = State::Waiting;
        Item { key, marks, state, attempts: 0, worker: 0, nanos: 0, retry: false, retry_below: 0, age: 0 }
    }

    /// What counts more is higher.
    fn rank(state: &State, attempts: u32) -> (u32, u8) {
        let by_state = match state {
            State::Waiting => 0,
            State::Failed(_) => 1,
            State::Done => 2,
        };
        // Attempts are counted on from program to program: so what came of the last one is what there is to say.
        (attempts, by_state)
    }

    fn add(&mut self, outcome: Outcome) {
        let Outcome { id: _, attempts, worker, nanos, failure } = outcome;
        let state = match failure {
            None => State::Done,
            Some(failing) => State::Failed(failing),
        };
        // Whoever ran it may not have known of a failure under another key, nor did who asked for another attempt know of this.
        let was_another = self.failing().is_some_and(|failing| failing.under != self.key);
        if was_another {
            self.retry_below = 0;
        }
        if was_another || Item::rank(&state, attempts) > Item::rank(&self.state, self.attempts) {
            (self.state, self.attempts, self.worker, self.nanos) = (state, attempts, worker, nanos);
        }
        self.settle();
    }

    /// What a later segment says of the same item.
    fn merge(&mut self, later: Item) {
        let retry_below = self.retry_below.max(later.retry_below);
        let age = self.age.min(later.age);
        if self.key != later.key {
            *self = later;
            return;
        }
        if Item::rank(&later.state, later.attempts) > Item::rank(&self.state, self.attempts) {
            *self = later;
        } else {
            self.marks = later.marks;
        }
        (self.retry_below, self.age) = (retry_below, age);
        self.settle();
    }

    /// Finds out whether a failure is to be tried again.
    pub(super) fn settle(&mut self) {
        self.retry = self.failing().is_some() && self.attempts < self.retry_below;
    }
}
