//! Results written straight into their place in the final list, by many threads.
//!
//! The list's unused capacity is cut into strips by safe code, one per batch; a [`Filled`] owns what was written to its
//! strip. Only two steps need a promise: dropping the written part of a strip, and telling the list that all is written.

#![allow(unsafe_code)]

use std::mem::{ManuallyDrop, MaybeUninit};

/// A strip of slots, written from its start.
pub(crate) struct Filled<'s, R> {
    slots: &'s mut [MaybeUninit<R>],
    /// So many slots from the start hold a value. Only [`Filled::extend`] raises it.
    len: usize,
}

impl<'s, R> Filled<'s, R> {
    pub(crate) fn new(slots: &'s mut [MaybeUninit<R>]) -> Filled<'s, R> {
        Filled { slots, len: 0 }
    }

    /// The strip of what is written, the slot behind it (none, if there is none), and the strip of those behind that.
    pub(crate) fn part(self) -> (Filled<'s, R>, Filled<'s, R>, Filled<'s, R>) {
        let len = self.len;
        let (written, rest) = self.split_at(len);
        let behind = rest.slots.len().min(1);
        let (next, rest) = rest.split_at(behind);
        (written, next, rest)
    }

    /// The strip of the first slots, with all that is written, and the strip of the others.
    ///
    /// # Panics
    /// There is more written than those slots, or fewer slots.
    pub(crate) fn split_at(self, slots: usize) -> (Filled<'s, R>, Filled<'s, R>) {
        assert!(self.len <= slots, "what is written stays in one strip");
        let mut whole = ManuallyDrop::new(self);
        let len = whole.len;
        let (first, rest) = std::mem::take(&mut whole.slots).split_at_mut(slots);
        // The values go on belonging to one strip: the first.
        (Filled { slots: first, len }, Filled::new(rest))
    }

    /// Tells strips apart and orders them by their place in the list.
    pub(crate) fn place(&self) -> *const MaybeUninit<R> {
        self.slots.as_ptr()
    }

    /// Whether there is no slot at all.
    pub(crate) fn is_nothing(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Writes values until they or the slots end.
    #[inline]
    pub(crate) fn extend(&mut self, values: impl Iterator<Item = R>) {
        // Counted on the stack, so that nothing but the values is stored by the loop; a panic of `values` leaves the count.
        struct Count<'c> {
            len: &'c mut usize,
            now: usize,
        }
        impl Drop for Count<'_> {
            fn drop(&mut self) {
                *self.len = self.now;
            }
        }
        let start = self.len;
        let mut count = Count { len: &mut self.len, now: start };
        for (slot, value) in self.slots[start..].iter_mut().zip(values) {
            slot.write(value);
            count.now += 1;
        }
    }
}

impl<R> Drop for Filled<'_, R> {
    fn drop(&mut self) {
        let written = &mut self.slots[..self.len];
        // SAFETY: the first `len` slots were written by `extend` and not moved out of; this strip is their
        // only owner, and it is going away.
        unsafe { std::ptr::drop_in_place(std::ptr::from_mut(written) as *mut [R]) }
    }
}

/// Makes `list` as long as the strips filled it, if they are all of its capacity's start without a gap.
///
/// Answers `false`, and drops what was written, if they are not. `fill` gets the unused capacity, cut off at `wanted`
/// slots, and answers the filled strips in the order of their places.
pub(crate) fn fill<R>(
    list: &mut Vec<R>,
    wanted: usize,
    fill: impl for<'s> FnOnce(&'s mut [MaybeUninit<R>]) -> Vec<Filled<'s, R>>,
) -> bool {
    assert!(list.is_empty(), "the list is filled from its start");
    let spare = list.spare_capacity_mut();
    let end = wanted.min(spare.len());
    let spare = &mut spare[..end];
    let start = spare.as_ptr();
    let filled = fill(spare);
    let mut len = 0;
    for strip in &filled {
        let whole = strip.len == strip.slots.len();
        if strip.slots.as_ptr() != start.wrapping_add(len) || !whole {
            return false;
        }
        len += strip.len;
    }
    // The values belong to the list now.
    filled.into_iter().for_each(std::mem::forget);
    // SAFETY: the strips lie one behind the other from the start of the list's unused capacity, each written to its
    // end, so the first `len` elements hold values; `len` is within the capacity since the strips are cut from it, and
    // nobody else owns the values any more.
    unsafe { list.set_len(len) };
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn whole_strips_make_the_list() {
        let mut list = Vec::with_capacity(5);
        let done = fill(&mut list, 5, |slots| {
            let (a, b) = slots.split_at_mut(2);
            let (mut a, mut b) = (Filled::new(a), Filled::new(b));
            b.extend(["c", "d", "e"].map(str::to_owned).into_iter());
            a.extend(["a", "b"].map(str::to_owned).into_iter());
            vec![a, b]
        });
        assert!(done);
        assert_eq!(list.concat(), "abcde");
    }

    #[test]
    fn a_strip_in_parts_is_filled_in_any_order() {
        let mut list = Vec::with_capacity(4);
        let done = fill(&mut list, 4, |slots| {
            let mut strip = Filled::new(slots);
            strip.extend(["a".to_owned()].into_iter());
            let (before, mut place, mut rest) = strip.part();
            rest.extend(["c", "d"].map(str::to_owned).into_iter());
            place.extend(["b".to_owned()].into_iter());
            let (rest, none, end) = rest.part();
            assert_eq!((none.len(), end.len()), (0, 0));
            vec![before, place, rest, none, end]
        });
        assert!(done);
        assert_eq!(list.concat(), "abcd");
    }

    #[test]
    fn a_gap_drops_what_was_written_and_leaves_the_list_empty() {
        let witness = Arc::new(());
        let mut list = Vec::with_capacity(4);
        let done = fill(&mut list, 4, |slots| {
            let (a, b) = slots.split_at_mut(2);
            let (mut a, mut b) = (Filled::new(a), Filled::new(b));
            a.extend([witness.clone()].into_iter());
            b.extend([witness.clone(), witness.clone()].into_iter());
            vec![a, b]
        });
        assert!(!done);
        assert!(list.is_empty());
        assert_eq!(Arc::strong_count(&witness), 1);
        let reversed = fill(&mut list, 4, |slots| {
            let (a, b) = slots.split_at_mut(2);
            let (mut a, mut b) = (Filled::new(a), Filled::new(b));
            a.extend([witness.clone(), witness.clone()].into_iter());
            b.extend([witness.clone(), witness.clone()].into_iter());
            vec![b, a]
        });
        assert!(!reversed);
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
