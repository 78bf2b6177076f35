//! The item that a thread runs just now, for those below on the stack who have something to tell of it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use super::event::EventKind;
use super::mailbox::Mailbox;
use super::meter::Meter;
use crate::memory::{Answer, Asking, Looked, Safe};

/// Who observes an item, and which one it is.
#[derive(Clone)]
pub(crate) struct Here {
    mailbox: Arc<Mailbox>,
    worker: usize,
    index: usize,
}

thread_local! {
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

impl Here {
    /// Tells of the item that this thread runs, if that is observed: `kind` is given its worker and its index.
    pub(crate) fn tell(kind: impl FnOnce(usize, usize) -> EventKind) {
        let here = HERE.try_with(|here| here.borrow().clone()).ok().flatten();
        if let Some(Here { mailbox, worker, index }) = here {
            mailbox.post(kind(worker, index));
        }
    }
}

/// An item that is run, and that somebody observes.
pub(crate) struct Observed {
    here: Here,
    before: Option<Here>,
    asking: Option<Asking>,
    began: Instant,
}

impl Observed {
    /// This thread begins an item; `None` if nobody observes it.
    pub(crate) fn begin(meter: Option<&Meter>, worker: usize, index: usize, safe: Safe) -> Option<Observed> {
        let mailbox = Arc::clone(meter?.mailbox()?);
        let here = Here { mailbox, worker, index };
        if here.mailbox.wants_tasks {
            here.mailbox.post(EventKind::TaskStarted { worker, index });
        }
        let before = HERE.try_with(|slot| slot.replace(Some(here.clone()))).ok().flatten();
        Some(Observed { here, before, asking: Some(Asking::begin(safe)), began: Instant::now() })
    }

    /// As [`begin`](Observed::begin), if someone wants to be told of each item.
    pub(crate) fn begin_task(meter: Option<&Meter>, worker: usize, index: usize) -> Option<Observed> {
        if meter.is_some_and(Meter::wants_tasks) { Observed::begin(meter, worker, index, Safe::ByCall) } else { None }
    }

    /// The item came to an end; `has_result` is whether it gave a result. Answers what came of its lookup, if there was one.
    pub(crate) fn end(mut self, has_result: bool) -> Option<Answer> {
        let Here { ref mailbox, worker, index } = self.here;
        let changed = self.asking.as_ref().and_then(Asking::changed);
        let answer = self.asking.take().and_then(Asking::answer);
        match answer.map(|answer| answer.looked) {
            Some(Looked::Hit) => mailbox.post(EventKind::CacheHit { worker, index: Some(index), calls: 1 }),
            Some(Looked::Miss(reason)) => {
                mailbox.post(EventKind::CacheMiss { worker, index: Some(index), calls: 1, reason, changed });
            }
            None => {}
        }
        if has_result && mailbox.wants_tasks {
            mailbox.post(EventKind::TaskEnded { worker, index, took: Some(self.began.elapsed()) });
        }
        answer
    }
}

/// The thread goes on with what it did before: a run may be within a task of another.
impl Drop for Observed {
    fn drop(&mut self) {
        let before = self.before.take();
        // Gone at the very end of a thread.
        let _ = HERE.try_with(|slot| slot.replace(before));
    }
}

#[cfg(test)]
mod test {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_told_is_told_of_the_innermost_item() {
        let mailbox = Arc::new(Mailbox::new(true));
        let meter = Meter::with(1, Some(Arc::clone(&mailbox)));
        let retried = |attempt| {
            Here::tell(|worker, index| EventKind::TaskRetried { worker, index, attempt, why: String::new() });
        };
        retried(0);
        let outer = Observed::begin(Some(&meter), 0, 7, Safe::ByCall).unwrap();
        retried(1);
        let inner = Observed::begin_task(Some(&meter), 3, 8).unwrap();
        retried(2);
        inner.end(false);
        retried(3);
        outer.end(true);
        retried(4);
        let mut events = Vec::new();
        mailbox.take(Duration::ZERO, &mut events);
        let told: Vec<_> = events
            .into_iter()
            .map(|(_, kind)| match kind {
                EventKind::TaskRetried { worker, index, attempt, .. } => (worker, index, attempt),
                EventKind::TaskStarted { worker, index } => (worker, index, 100),
                EventKind::TaskEnded { worker, index, took: Some(_) } => (worker, index, 200),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, [(0, 7, 100), (0, 7, 1), (3, 8, 100), (3, 8, 2), (0, 7, 3), (0, 7, 200)]);
        assert!(Observed::begin(Some(&Meter::new(1)), 0, 0, Safe::ByCall).is_none());
    }
}
