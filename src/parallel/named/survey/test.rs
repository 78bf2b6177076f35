//! What is made of the cache's word and the ledger's.

use super::*;
use crate::parallel::FailureKind;
use crate::runs::{Failing, Items};
use crate::store::EntryKey;

const INPUTS: [Input; 2] = [Input::File("model.bin"), Input::Env("MODEL")];
const PARAMETERS: [Parameter; 2] = [Parameter::new("id", "u64"), Parameter::new("value", "u64")];

fn signature() -> Signature<'static> {
    Signature { parameters: &PARAMETERS, ignored: 0, inputs: &INPUTS }
}

/// An item of this number, whose key is that of a code, and whose marks are two arguments and two inputs.
fn known(number: u8, code: u8, marks: [u64; 4], has: Has) -> Known {
    let who = Identified { id: [number; 16], key: EntryKey::from_bytes([code; 40]), marks: marks.to_vec() };
    Known { who, has }
}

fn missing(reason: MissReason) -> Has {
    Has::Nothing(Missing { reason, cost: None })
}

fn item(code: u8, marks: [u64; 4], state: State) -> Item {
    let mut item = Item::waiting([code; 40], marks.to_vec());
    item.state = state;
    item
}

fn failed(under: u8) -> State {
    let how = Failed::new(FailureKind::Error, "no", "x = 1");
    State::Failed(Box::new(Failing { how, under: [under; 40] }))
}

#[test]
fn what_is_to_be_done_follows_from_what_is_known_and_wanted() {
    use Todo::*;
    let plain = Wanted::default();
    let retry = Wanted { retry_failed: true, ..plain };
    let only = Wanted { only_failed: true, ..plain };
    let mut asked = item(1, [0; 4], failed(1));
    asked.retry = true;
    let error = || Has::Failure(Box::new(Failed::new(FailureKind::Error, "no", "x = 1")));
    let never = || missing(MissReason::NeverSeen);
    // What the cache has, what the ledger has, and what is done as nothing, a retry, and only the failed are wanted.
    type Row = (Has, Option<Item>, [Todo; 3]);
    let rows: [Row; 10] = [
        (Has::Result, None, [Nothing, Nothing, Nothing]),
        (Has::Unkept, Some(item(1, [0; 4], failed(1))), [Nothing, Nothing, Nothing]),
        (never(), None, [Compute, Compute, LeaveOut]),
        (never(), Some(item(1, [0; 4], State::Waiting)), [Compute, Compute, LeaveOut]),
        (missing(MissReason::Forgotten), Some(item(1, [0; 4], State::Done)), [Compute, Compute, LeaveOut]),
        (never(), Some(item(1, [0; 4], failed(1))), [LeaveFailed, Compute, Compute]),
        (never(), Some(asked), [Compute, Compute, Compute]),
        // Of earlier code, by whatever key the ledger has the item.
        (never(), Some(item(1, [0; 4], failed(7))), [Compute, Compute, Compute]),
        (error(), None, [LeaveFailed, Compute, Compute]),
        (error(), Some(item(1, [0; 4], failed(7))), [LeaveFailed, Compute, Compute]),
    ];
    for (at, (has, item, expected)) in rows.into_iter().enumerate() {
        let known = known(1, 1, [0; 4], has);
        let found = [plain, retry, only].map(|wanted| todo(&known, item.as_ref(), wanted));
        assert_eq!(found, expected, "row {at}");
    }
}

/// The changes, and how many are new, not finished, and gone.
fn told(all: &[Known], before: Vec<(u8, Item)>) -> (Vec<String>, [u64; 3]) {
    let items: Items = before.into_iter().map(|(number, item)| (ItemId([number; 16]), item)).collect();
    let recorded = Recorded { last_list: Some(items.keys().copied().collect()), items, ..Recorded::default() };
    let items: Vec<_> = all.iter().map(|known| recorded.items.get(&known.id())).collect();
    let todo: Vec<_> = all.iter().zip(&items).map(|(known, item)| todo(known, *item, Wanted::default())).collect();
    let summary = summarize(all, &todo, &items, &recorded, signature());
    let changes = summary.changed.iter().map(|(change, count)| format!("{count} {change}")).collect();
    (changes, [summary.new, summary.unfinished, summary.gone])
}

#[test]
fn changes_are_told_by_what_is_another_now() {
    let never = || missing(MissReason::NeverSeen);
    let changed = || missing(MissReason::CodeChanged);
    let one = |has, marks, item| told(&[known(1, 2, marks, has)], vec![(1, item)]);
    let was = [1, 2, 3, 4];
    let code = format!("1 {}", MissReason::CodeChanged);
    assert_eq!(one(changed(), was, item(1, was, State::Done)), (vec![code.clone()], [0, 0, 0]));
    assert_eq!(one(never(), [1, 2, 9, 4], item(1, was, State::Done)), (vec!["1 file model.bin".to_owned()], [0, 0, 0]));
    assert_eq!(one(never(), [1, 2, 3, 9], item(1, was, State::Done)), (vec!["1 env MODEL".to_owned()], [0, 0, 0]));
    // It was there.
    let gone = known(1, 1, was, never());
    assert_eq!(
        told(&[gone], vec![(1, item(1, was, State::Done))]),
        (vec!["1 the result is gone from the cache".to_owned()], [0, 0, 0])
    );
    // Nobody ever finished it, of whatever code.
    assert_eq!(one(never(), was, item(1, was, State::Waiting)), (vec![], [0, 1, 0]));
    assert_eq!(one(never(), was, item(1, was, failed(1))), (vec![], [0, 1, 0]));
    // The ledger does not know that somebody did.
    assert_eq!(one(changed(), was, item(1, was, State::Waiting)), (vec![code], [0, 0, 0]));
    // Inputs are those of all items: none tells which item was another.
    let other = known(2, 2, [8, 9, 3, 4], never());
    assert_eq!(told(&[other], vec![(1, item(1, was, State::Done))]), (vec![], [1, 0, 1]));
    let other = known(2, 2, [1, 9, 3, 4], never());
    assert_eq!(
        told(&[other], vec![(1, item(1, was, State::Done))]),
        (vec!["1 argument `value`".to_owned()], [0, 0, 0])
    );
}

#[test]
fn a_price_is_what_is_known_of_the_item_itself_before_what_calls_take_on_average() {
    let mut noted = item(1, [0; 4], failed(1));
    noted.nanos = 5_000_000;
    let by_cache = Has::Nothing(Missing { reason: MissReason::Forgotten, cost: Some(Duration::from_millis(7)) });
    let all = [
        known(1, 1, [0; 4], by_cache),
        known(2, 1, [0; 4], missing(MissReason::NeverSeen)),
        known(3, 1, [0; 4], missing(MissReason::NeverSeen)),
        known(4, 1, [0; 4], Has::Result),
    ];
    let items = [Some(&noted), Some(&noted), None, None];
    let todo = [Todo::Compute, Todo::Compute, Todo::Compute, Todo::Nothing];
    let plan = price(&all, &todo, &items, Some(Duration::from_millis(1)), 2, RunSummary::default());
    assert_eq!((plan.misses, plan.compute_time, plan.unpriced), (3, Duration::from_millis(13), 0));
    let plan = price(&all, &todo, &items, None, 2, RunSummary::default());
    assert_eq!((plan.compute_time, plan.unpriced), (Duration::from_millis(12), 1));
}
