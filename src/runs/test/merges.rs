//! What records say together.

use super::super::frame::{Header, Kind};
use super::super::item::{self, Failing, Item, Program, Recorded, State};
use super::super::merge::Merge;
use super::super::record::{Outcome, Record};
use super::{begin, id, listed};
use crate::parallel::FailureKind;

/// What a program says of item 1.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// It lists the item under the key of this code.
    List(u8),
    Done(u32),
    Failed(u32),
    Retry(u32),
}
use Says::*;

/// In the segment of a program that runs this code.
fn record(says: Says, code: u8) -> Record {
    let outcome = |attempts, failure| Record::Outcome {
        at_ms: 1,
        outcome: Outcome { id: id(1), attempts, worker: attempts, nanos: 1, failure },
    };
    match says {
        List(code) => Record::List(vec![listed(1, code)]),
        Done(attempts) => outcome(attempts, None),
        Failed(attempts) => {
            let how = item::Failed::new(FailureKind::Error, &format!("no {attempts}"), "x");
            outcome(attempts, Some(Box::new(Failing { how, under: [code; 40] })))
        }
        Retry(after) => Record::Retry(vec![(id(1), after)]),
    }
}

fn merged(segments: &[&[Says]]) -> Recorded {
    let mut merge = Merge::default();
    for (at, says) in segments.iter().enumerate() {
        let id = at as u64 + 1;
        merge.start(&Header { kind: Kind::Program, id, sequence: id }, false, 1000);
        let mut code = 0;
        for says in *says {
            if let List(listed) = says {
                code = *listed;
            }
            merge.add(record(*says, code));
        }
    }
    merge.finish()
}

/// Key, state in a word, attempts, and whether it is to be tried again.
fn brief(item: &Item) -> (u8, String, u32, bool) {
    let state = match &item.state {
        State::Waiting => "waiting".to_owned(),
        State::Done => "done".to_owned(),
        State::Failed(failing) => failing.how.message.to_string(),
    };
    assert_eq!(item.worker, item.attempts, "all of an item is of one outcome");
    (item.key[0], state, item.attempts, item.retry)
}

#[test]
fn outcomes_are_merged_by_what_they_say() {
    let waiting = |code| (code, "waiting", 0, false);
    let done = |code, attempts| (code, "done", attempts, false);
    type Case<'c> = (&'c [&'c [Says]], (u8, &'c str, u32, bool));
    let cases: &[Case<'_>] = &[
        (&[&[List(1)]], waiting(1)),
        (&[&[List(1), Done(1)]], done(1, 1)),
        (&[&[List(1), Failed(1)]], (1, "no 1", 1, false)),
        // The last attempt says what came of an item, in one program and between two, in either order.
        (&[&[List(1), Failed(1), Done(2)]], done(1, 2)),
        (&[&[List(1), Done(1)], &[List(1), Failed(3)]], (1, "no 3", 3, false)),
        (&[&[List(1), Failed(3)], &[List(1), Done(1)]], (1, "no 3", 3, false)),
        // Of two at once, one that is done counts.
        (&[&[List(1), Done(2)], &[List(1), Failed(2)]], done(1, 2)),
        (&[&[List(1), Failed(2)], &[List(1), Done(2)]], done(1, 2)),
        // More attempts beat fewer.
        (&[&[List(1), Failed(2)], &[List(1), Failed(1)]], (1, "no 2", 2, false)),
        (&[&[List(1), Failed(1)], &[List(1), Failed(2)]], (1, "no 2", 2, false)),
        // A list forgets nothing of the same key.
        (&[&[List(1), Done(1)], &[List(1)]], done(1, 1)),
        // Another key is another work.
        (&[&[List(1), Done(1)], &[List(2)]], waiting(2)),
        (&[&[List(1), Done(1)], &[List(2), Failed(1)]], (2, "no 1", 1, false)),
        (&[&[List(1), Failed(5)], &[Retry(5)], &[List(2), Failed(1)]], (2, "no 1", 1, false)),
        // A failure is known until something comes of the item under its new key.
        (&[&[List(1), Failed(5)], &[List(2)]], (2, "no 5", 5, false)),
        (&[&[List(1), Failed(5)], &[List(2)], &[List(1)]], (1, "no 5", 5, false)),
        (&[&[List(1), Failed(5)], &[Retry(5)], &[List(2)]], (2, "no 5", 5, true)),
        (&[&[List(1), Failed(5)], &[List(2), Done(1)]], done(2, 1)),
        // What failed is tried again when asked for, until it was.
        (&[&[List(1), Failed(1)], &[Retry(1)]], (1, "no 1", 1, true)),
        (&[&[List(1), Failed(1)], &[Retry(1)], &[List(1), Failed(2)]], (1, "no 2", 2, false)),
        (&[&[List(1), Failed(1)], &[Retry(1)], &[List(1), Failed(2)], &[Retry(2)]], (1, "no 2", 2, true)),
        (&[&[List(1), Failed(2)], &[Retry(1)]], (1, "no 2", 2, false)),
        (&[&[List(1), Failed(1)], &[Retry(1)], &[List(1), Done(2)]], done(1, 2)),
        (&[&[List(1), Failed(0)]], (1, "no 0", 0, false)),
        (&[&[List(1), Failed(u32::MAX)], &[Retry(u32::MAX)]], (1, "no 4294967295", u32::MAX, false)),
    ];
    for (segments, (code, state, attempts, retry)) in cases {
        let recorded = merged(segments);
        let expected = (*code, (*state).to_owned(), *attempts, *retry);
        assert_eq!(brief(&recorded.items[&id(1)]), expected, "{segments:?}");
        assert_eq!(recorded.damaged, 0, "{segments:?}");
    }
}

#[test]
fn what_comes_of_an_item_that_nobody_listed_is_of_no_key() {
    let recorded = merged(&[&[Done(1)], &[Retry(1)]]);
    assert!(recorded.items.is_empty());
    assert_eq!(recorded.damaged, 1);
}

fn program(items: u64) -> Record {
    Record::Begin(Program {
        pid: 1,
        host: String::new(),
        begin: begin(items),
        started_at_ms: 9,
        live: false,
        ended: None,
        last_ms: 9,
        id: 0,
    })
}

#[test]
fn the_newest_whole_list_counts() {
    let list = |numbers: &[u64]| Record::List(numbers.iter().map(|number| listed(*number, 1)).collect());
    let mut merge = Merge::default();
    let mut segment = |id, records: Vec<Record>| {
        merge.start(&Header { kind: Kind::Program, id, sequence: id }, false, 1000);
        records.into_iter().for_each(|record| merge.add(record));
    };
    segment(1, vec![program(1), list(&[1]), Record::ListEnd { count: 1 }]);
    // In two parts, and twice: the last list of a program replaces its earlier one.
    let twice = [program(1), list(&[9]), Record::ListEnd { count: 1 }];
    segment(
        2,
        twice.into_iter().chain([program(3), list(&[2, 3]), list(&[4]), Record::ListEnd { count: 3 }]).collect(),
    );
    // Killed while it listed.
    segment(3, vec![program(2), list(&[5])]);
    let recorded = merge.finish();
    let mut last: Vec<_> = recorded.last_list.unwrap().into_iter().collect();
    last.sort();
    assert_eq!(last, [id(2), id(3), id(4)]);
    assert_eq!(recorded.items.len(), 6);
    assert_eq!(recorded.programs.len(), 3);
    assert_eq!(recorded.programs.iter().map(|program| program.begin.items).collect::<Vec<_>>(), [1, 3, 2]);
}

#[test]
fn an_absurd_number_of_items_asks_for_no_memory() {
    let mut merge = Merge::default();
    merge.start(&Header { kind: Kind::Program, id: 1, sequence: 1 }, false, 1000);
    merge.add(program(u64::MAX));
    merge.add(Record::KeptStart { items: u64::MAX });
    assert!(merge.finish().items.capacity() < 1000);
}

#[test]
fn a_program_wrote_last_when_its_last_record_says() {
    let mut merge = Merge::default();
    merge.start(&Header { kind: Kind::Program, id: 1, sequence: 1 }, true, 1000);
    merge.add(program(1));
    merge.add(record(List(1), 1));
    let how = item::Failed::new(FailureKind::Timeout, "no", "x");
    let failure = Some(Box::new(Failing { how, under: [1; 40] }));
    let outcome = Outcome { id: id(1), attempts: 1, worker: 1, nanos: 1, failure };
    merge.add(Record::Outcome { at_ms: 17, outcome });
    let recorded = merge.finish();
    assert_eq!((recorded.programs[0].last_ms, recorded.programs[0].live), (17, true));
    let failing = recorded.items[&id(1)].failing().unwrap();
    assert_eq!((failing.how.kind, failing.under), (FailureKind::Timeout, [1; 40]));
}
