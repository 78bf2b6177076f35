//! A batch on its way: what a driver keeps of it until its results are here, and what is held against items whose worker was
//! lost.

use std::time::Duration;

use super::failure::{Cause, FailureKind, Lost};
use super::feed::{GivenBack, Turn};
use super::work::Work;
use super::written::Written;
use crate::backend::processes::Ending;
use crate::codec::Prefer;

/// A batch that a worker has, or is about to get.
pub(super) struct Flight<'s, W: Work> {
    /// The index of its first item.
    pub(super) start: usize,
    /// How often its items were run before.
    pub(super) attempts: u32,
    pub(super) items: Vec<W::Item>,
    pub(super) out: Written<'s, W::Output>,
    /// What is under way elsewhere is waited for.
    pub(super) waits: bool,
    /// Its worker was lost while it was run: it is to be the only one of its next worker.
    pub(super) is_suspect: bool,
    /// Its number among the worker's batches, once it has one.
    pub(super) id: u64,
    /// How it was encoded, and how long that is.
    pub(super) prefer: Prefer,
    pub(super) bytes: usize,
}

impl<'s, W: Work> Flight<'s, W> {
    pub(super) fn new(start: usize, attempts: u32, items: Vec<W::Item>, out: Written<'s, W::Output>) -> Self {
        Flight { start, attempts, items, out, waits: false, is_suspect: false, id: 0, prefer: Prefer::Small, bytes: 0 }
    }

    /// The first so many items, and the others. What is written belongs to the first.
    pub(super) fn split(mut self, items: usize) -> (Self, Self) {
        let rest = self.items.split_off(items);
        let start = self.start + items;
        let (out, behind) = self.out.split_at(items, start);
        let Flight { waits, prefer, attempts, .. } = self;
        let rest = Flight { waits, prefer, ..Flight::new(start, attempts, rest, behind) };
        (Flight { out, ..self }, rest)
    }

    /// The items, to be taken again.
    pub(super) fn into_given_back(self) -> GivenBack<'s, W> {
        let Flight { start, items, out, attempts, .. } = self;
        GivenBack { start, items, out, attempts }
    }

    /// Has the items taken again, by whoever comes first.
    pub(super) fn give_back<I: Iterator<Item = W::Item>>(self, turn: &mut Turn<'_, 's, W, I>) {
        turn.give_back(self.into_given_back());
    }

    /// As [`give_back`](Flight::give_back), in two pieces: so what is wrong with one item is found out.
    pub(super) fn give_back_in_halves<I: Iterator<Item = W::Item>>(self, turn: &mut Turn<'_, 's, W, I>) {
        let half = self.items.len() / 2;
        let (first, second) = self.split(half);
        first.give_back(turn);
        second.give_back(turn);
    }
}

/// Why a worker is no more.
#[derive(Debug)]
pub(super) enum Offence {
    /// By itself, or by somebody's hand.
    Died(Ending),
    /// It was killed: its task took longer than this.
    TooLong(Duration),
    /// It was killed: it used so much, of at most so much; and whether no other task ran in it before.
    TooMuch { used: u64, limit: u64, is_fresh: bool },
    /// It was killed: it said what no worker says.
    Garbage(String),
}

/// What is held against an item: how often it was being run when its worker was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    losses: u32,
}

/// What comes of an item whose worker was lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may have been another's doing.
    RunAlone,
    Guilty,
}

/// A worker that kills itself does it again with the same item: once among others, once alone.
const BY_ITSELF: u32 = 2;
/// Who kills workers from outside may hit the same item by chance.
const BY_HAND: u32 = 4;

impl Record {
    /// Judges an item that was being run; it is told of each loss once.
    pub(super) fn judge(&mut self, offence: &Offence) -> Verdict {
        let losses = self.losses + 1;
        let most = match offence {
            // Nobody else's time was measured.
            Offence::TooLong(_) => 1,
            Offence::TooMuch { is_fresh: true, .. } => 1,
            // What others left there counts too.
            Offence::TooMuch { is_fresh: false, .. } => return Verdict::RunAlone,
            Offence::Garbage(_) => BY_ITSELF,
            Offence::Died(ending) if ending.is_by_hand() => BY_HAND,
            Offence::Died(_) => BY_ITSELF,
        };
        self.losses = losses;
        if losses >= most { Verdict::Guilty } else { Verdict::RunAlone }
    }
}

impl Offence {
    /// As the failure of the item that did it.
    pub(super) fn cause(&self) -> Cause {
        let (kind, message) = match self {
            Offence::Died(ending) => (FailureKind::Death, ending.words("its worker process", "")),
            Offence::TooLong(timeout) => {
                let message =
                    format!("it took longer than `timeout_per_task`, {timeout:?}, and its worker process was killed");
                (FailureKind::Timeout, message)
            }
            Offence::TooMuch { used, limit, .. } => {
                let message = format!(
                    "its worker process used {:.0} MB, more than `limit_memory_hard`, {:.0} MB, and was killed",
                    *used as f64 / 1e6,
                    *limit as f64 / 1e6
                );
                (FailureKind::Memory, message)
            }
            Offence::Garbage(words) => (
                FailureKind::Death,
                format!("its worker process wrote to its socket what is no message ({words}) and was killed"),
            ),
        };
        Cause::Lost(Lost { kind, message })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died(signal: Option<i32>) -> Offence {
        Offence::Died(Ending { status: "died".to_owned(), signal, last_words: vec!["help".to_owned()] })
    }

    #[test]
    fn an_item_is_guilty_when_it_was_there_too_often() {
        let (kill, segv) = (Some(9), Some(11));
        let too_much = |is_fresh| Offence::TooMuch { used: 2, limit: 1, is_fresh };
        for (offences, guilty_at) in [
            (vec![died(segv), died(segv)], 2),
            (vec![died(None), died(None)], 2),
            (vec![died(kill), died(kill), died(kill), died(kill)], 4),
            (vec![died(kill), died(segv)], 2),
            (vec![Offence::TooLong(Duration::ZERO)], 1),
            (vec![too_much(true)], 1),
            (vec![too_much(false), too_much(false), too_much(true)], 3),
        ] {
            let mut record = Record::default();
            let verdicts: Vec<_> = offences.iter().map(|offence| record.judge(offence)).collect();
            let expected = verdicts.iter().position(|verdict| *verdict == Verdict::Guilty);
            assert_eq!(expected, Some(guilty_at - 1), "{offences:?}");
        }
    }

    #[test]
    fn a_cause_says_what_the_worker_said_last() {
        let Cause::Lost(Lost { kind, message }) = died(Some(6)).cause() else { panic!("it is a loss") };
        assert_eq!(
            (kind, message.as_str()),
            (FailureKind::Death, "its worker process died; its last lines on stderr: help")
        );
    }
}
