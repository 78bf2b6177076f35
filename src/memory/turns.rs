//! Among the tasks of this program that await the same call, one at a time goes on.
//!
//! This stands before the store's claims, for which a thread waits. Ten thousand tasks that await one call take no thread:
//! the first one asks the store, computes and stores while the others are parked, and then they find the result in memory.
//! A task that fails, panics or is dropped ends its turn as well, and the next one has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_lock::{Mutex as TurnLock, MutexGuardArc};

use crate::key::ByFirstBytes;
use crate::lock::lock;
use crate::store::{End, EntryKey};

/// The calls that are awaited just now.
#[derive(Default)]
pub(super) struct Turns {
    awaited: Mutex<HashMap<EntryKey, Awaited, ByFirstBytes>>,
}

struct Awaited {
    /// How many tasks have a ticket.
    tickets: usize,
    /// Held by the task whose turn it is, with how the last turn ended.
    turn: Arc<TurnLock<Option<End>>>,
}

/// The turn of a task: ends when this goes.
pub(super) struct Turn {
    /// Before the ticket: the next one's turn begins first, and then this task leaves.
    last: MutexGuardArc<Option<End>>,
    _ticket: Ticket,
}

impl Turn {
    /// How the turn before ended; `None` if this is the first.
    pub(super) fn last(&self) -> Option<End> {
        *self.last
    }

    /// Says how this turn ends, to those who come after it.
    pub(super) fn set_end(&mut self, end: End) {
        *self.last = Some(end);
    }
}

/// A task's place among those that await a call.
struct Ticket {
    turns: Arc<Turns>,
    key: EntryKey,
}

impl Turns {
    /// Waits for the turn of the calling task.
    pub(super) async fn take(self: &Arc<Turns>, key: EntryKey) -> Turn {
        let (ticket, turn) = self.ticket(key);
        let last = turn.lock_arc().await;
        Turn { last, _ticket: ticket }
    }

    fn ticket(self: &Arc<Turns>, key: EntryKey) -> (Ticket, Arc<TurnLock<Option<End>>>) {
        let mut awaited = lock(&self.awaited);
        let call = awaited.entry(key).or_insert_with(|| Awaited { tickets: 0, turn: Arc::default() });
        call.tickets += 1;
        (Ticket { turns: Arc::clone(self), key }, Arc::clone(&call.turn))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut awaited = lock(&self.turns.awaited);
        if let Some(call) = awaited.get_mut(&self.key) {
            call.tickets -= 1;
            if call.tickets == 0 {
                awaited.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn turn<F: Future<Output = Turn>>(future: std::pin::Pin<&mut F>) -> Turn {
        match poll(future) {
            Poll::Ready(turn) => turn,
            Poll::Pending => panic!("it is another's turn"),
        }
    }

    #[test]
    fn one_at_a_time_and_whoever_leaves_lets_the_next_one_go_on() {
        let turns = Arc::new(Turns::default());
        let key = EntryKey::from_bytes([3; 40]);
        let mut first = turn(pin!(turns.take(key)));
        assert_eq!(first.last(), None);
        let mut second = pin!(turns.take(key));
        assert!(poll(second.as_mut()).is_pending());
        {
            let mut gone = pin!(turns.take(key));
            assert!(poll(gone.as_mut()).is_pending(), "it leaves while it waits");
        }
        let other = turn(pin!(turns.take(EntryKey::from_bytes([4; 40]))));
        assert_eq!(lock(&turns.awaited).len(), 2);
        first.set_end(End::NotStored);
        drop(first);
        assert_eq!(turn(second).last(), Some(End::NotStored));
        drop(other);
        assert_eq!(lock(&turns.awaited).len(), 0, "nobody awaits anything");
        assert_eq!(turn(pin!(turns.take(key))).last(), None, "what was before is forgotten");
    }
}
