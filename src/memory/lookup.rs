//! How the lookup of a run's item ended, for who dispatched it: noted by the thread that makes the call.

use std::cell::Cell;

use super::reason::MissReason;

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    Hit,
    Miss(MissReason),
}

/// What a thread knows of the item at hand.
#[derive(Clone, Copy, Debug, Default)]
enum Note {
    #[default]
    Unasked,
    /// Someone wants to know of the item's own lookup.
    Asked,
    /// The item's own lookup is under way: the next to end is that one, since what the function looks up comes later.
    UnderWay,
    Ended(Looked),
}

thread_local! {
    static NOTE: Cell<Note> = const { Cell::new(Note::Unasked) };
    /// What of the code changed, where that made the item's own lookup a miss. Apart, so that the note is a plain number.
    static CHANGED: Cell<Option<String>> = const { Cell::new(None) };
}

/// Asks how the lookup of the next item ends that this thread runs. Within an item there may be a run with items of its own.
pub(crate) struct Asking {
    before: Note,
    changed_before: Option<String>,
}

impl Asking {
    pub(crate) fn begin() -> Asking {
        Asking { before: NOTE.replace(Note::Asked), changed_before: CHANGED.take() }
    }

    /// What of the code changed, if it ended with that.
    pub(crate) fn changed(&self) -> Option<String> {
        CHANGED.take()
    }

    /// How it ended; `None` if nothing was looked up.
    pub(crate) fn answer(self) -> Option<Looked> {
        match NOTE.get() {
            Note::Ended(looked) => Some(looked),
            _ => None,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        NOTE.set(self.before);
        CHANGED.set(self.changed_before.take());
    }
}

/// A lookup begins that is the one of an item.
pub(super) fn begins() {
    if let Note::Asked = NOTE.get() {
        NOTE.set(Note::UnderWay);
    }
}

/// The lookup that is under way met other code: says what of it changed, if someone wants to know of that lookup.
pub(super) fn met_other_code(changed: impl FnOnce() -> Option<String>) {
    if let Note::UnderWay = NOTE.get() {
        CHANGED.set(changed());
    }
}

/// A lookup ended.
#[inline]
pub(super) fn ended(looked: Looked) {
    if let Note::UnderWay = NOTE.get() {
        NOTE.set(Note::Ended(looked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lookup_of_an_item_is_its_own() {
        ended(Looked::Hit);
        let outer = Asking::begin();
        ended(Looked::Hit);
        met_other_code(|| panic!("nothing is looked up"));
        begins();
        met_other_code(|| Some("of the outer one".to_owned()));
        ended(Looked::Miss(MissReason::CodeChanged));
        met_other_code(|| panic!("it has ended"));
        ended(Looked::Hit);
        let inner = Asking::begin();
        begins();
        assert_eq!(inner.changed(), None);
        met_other_code(|| Some("of the inner one".to_owned()));
        ended(Looked::Hit);
        begins();
        assert_eq!(inner.answer(), Some(Looked::Hit));
        ended(Looked::Hit);
        assert_eq!(outer.changed().as_deref(), Some("of the outer one"));
        assert_eq!(outer.answer(), Some(Looked::Miss(MissReason::CodeChanged)));
    }

    #[test]
    fn an_item_without_a_lookup_has_no_answer() {
        let asking = Asking::begin();
        // Of the function's own.
        ended(Looked::Hit);
        assert_eq!(asking.answer(), None);
        begins();
        assert_eq!(Asking::begin().answer(), None);
    }
}
