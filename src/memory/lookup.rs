//! How the lookup of a run's item ended, for who dispatched it: noted by the thread that makes the call.

use std::cell::Cell;

use super::reason::MissReason;

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    Hit,
    Miss(MissReason),
}

/// What came of an item's lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) looked: Looked,
    pub(crate) kept: Kept,
}

/// Whether the result of an item is in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kept {
    /// That is not known, or it is not.
    #[default]
    Unknown,
    /// It was found there, or computed and put there.
    Stored,
    /// It is a `None`, and those are not stored.
    Nothing,
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
    Ended(Answer),
}

/// Who makes an item's result safe from a killed process, once it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Safe {
    /// The call itself, before it returns, where that is worth it.
    #[default]
    ByCall,
    /// Whoever runs it, who does that for many results at once.
    ByRun,
}

thread_local! {
    static NOTE: Cell<Note> = const { Cell::new(Note::Unasked) };
    static SAFE: Cell<Safe> = const { Cell::new(Safe::ByCall) };
    /// What of the code changed, where that made the item's own lookup a miss. Apart, so that the note is a plain number.
    static CHANGED: Cell<Option<String>> = const { Cell::new(None) };
}

/// Asks how the lookup of the next item ends that this thread runs. Within an item there may be a run with items of its own.
pub(crate) struct Asking {
    before: Note,
    safe_before: Safe,
    changed_before: Option<String>,
}

impl Asking {
    pub(crate) fn begin(safe: Safe) -> Asking {
        Asking { before: NOTE.replace(Note::Asked), safe_before: SAFE.replace(safe), changed_before: CHANGED.take() }
    }

    /// What of the code changed, if it ended with that.
    pub(crate) fn changed(&self) -> Option<String> {
        CHANGED.take()
    }

    /// How it ended; `None` if nothing was looked up.
    pub(crate) fn answer(self) -> Option<Answer> {
        match NOTE.get() {
            Note::Ended(answer) => Some(answer),
            _ => None,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        NOTE.set(self.before);
        SAFE.set(self.safe_before);
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

/// A lookup ended. Answers whether it was an item's own.
#[inline]
pub(super) fn ended(looked: Looked) -> bool {
    let is_items = matches!(NOTE.get(), Note::UnderWay);
    if is_items {
        NOTE.set(Note::Ended(Answer { looked, kept: Kept::Unknown }));
    }
    is_items
}

/// Who makes the result of the item at hand safe.
pub(super) fn safe() -> Safe {
    SAFE.get()
}

/// Says whether the result of the item at hand is in the store, whose own lookup has ended.
pub(super) fn kept(kept: Kept) {
    if let Note::Ended(answer) = NOTE.get() {
        NOTE.set(Note::Ended(Answer { kept, ..answer }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lookup_of_an_item_is_its_own() {
        ended(Looked::Hit);
        let outer = Asking::begin(Safe::ByCall);
        ended(Looked::Hit);
        met_other_code(|| panic!("nothing is looked up"));
        begins();
        met_other_code(|| Some("of the outer one".to_owned()));
        assert!(ended(Looked::Miss(MissReason::CodeChanged)));
        met_other_code(|| panic!("it has ended"));
        ended(Looked::Hit);
        let inner = Asking::begin(Safe::ByCall);
        begins();
        assert_eq!(inner.changed(), None);
        met_other_code(|| Some("of the inner one".to_owned()));
        ended(Looked::Hit);
        begins();
        assert_eq!(inner.answer(), Some(Answer { looked: Looked::Hit, kept: Kept::Unknown }));
        assert!(!ended(Looked::Hit));
        assert_eq!(outer.changed().as_deref(), Some("of the outer one"));
        let looked = Looked::Miss(MissReason::CodeChanged);
        assert_eq!(outer.answer(), Some(Answer { looked, kept: Kept::Unknown }));
    }

    #[test]
    fn an_item_without_a_lookup_has_no_answer() {
        let asking = Asking::begin(Safe::ByCall);
        // Of the function's own.
        ended(Looked::Hit);
        assert_eq!(asking.answer(), None);
        begins();
        assert_eq!(Asking::begin(Safe::ByCall).answer(), None);
    }

    #[test]
    fn a_computed_result_is_stored_when_that_is_said() {
        let asking = Asking::begin(Safe::ByRun);
        begins();
        assert!(ended(Looked::Miss(MissReason::NeverSeen)));
        {
            let _inner = Asking::begin(Safe::ByCall);
            assert_eq!(safe(), Safe::ByCall);
            kept(Kept::Nothing);
        }
        assert_eq!(safe(), Safe::ByRun);
        kept(Kept::Stored);
        assert_eq!(asking.answer().map(|answer| answer.kept), Some(Kept::Stored));
        assert_eq!(safe(), Safe::ByCall);
    }
}
