//! Recognises numbers, vectors and slices behind a type parameter.

#![allow(unsafe_code)]

use std::any::TypeId;
use std::mem::ManuallyDrop;

use crate::bulk::{Bulk, Number};

/// The elements of `value` if it is a `&[P]` or a `&Vec<P>` behind a type parameter, else `None`.
///
/// serde hands `Vec<T>` and `[T]` to `Serializer::collect_seq` whole, as `&Vec<T>` and `&[T]`; knowing that the
/// elements stand side by side lets an array be hashed at memory speed instead of number by number.
pub(crate) fn as_slice<I, P: 'static>(value: &I) -> Option<&[P]> {
    let id = typeid::of::<I>();
    if id == TypeId::of::<&'static [P]>() {
        // SAFETY: `typeid::of` answers the `TypeId` of `I` with its lifetimes replaced by `'static`; equality with a
        // type whose only lifetime is the reference's means that `I` is `&'x [P]` for some `'x`, and `'x` outlives the
        // borrow of `value` that the returned slice is bound to. Reading a shared reference copies it.
        Some(unsafe { *std::ptr::from_ref(value).cast::<&[P]>() })
    } else if id == TypeId::of::<&'static Vec<P>>() {
        // SAFETY: as above, with `I` being `&'x Vec<P>`.
        Some(unsafe { (*std::ptr::from_ref(value).cast::<&Vec<P>>()).as_slice() })
    } else {
        None
    }
}

/// A type without lifetimes in it, so that its `TypeId` says all of it.
///
/// `typeid::of` cannot tell `&'short str` from `&'static str`: a cast to a type that holds a lifetime could lengthen it.
///
/// # Safety
/// The type names no lifetime, neither as a reference nor as a parameter.
pub(crate) unsafe trait Lifeless: 'static {}

macro_rules! lifeless {
    ($($type:ty),*) => {$(
        // SAFETY: a number.
        unsafe impl Lifeless for $type {}
    )*};
}

lifeless!(f64, f32, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

// SAFETY: a `Vec` adds no lifetime to its elements.
unsafe impl<P: Lifeless> Lifeless for Vec<P> {}
// SAFETY: a `Bulk` owns or shares its numbers, which have no lifetime.
unsafe impl<P: Number> Lifeless for Bulk<P> {}

// SAFETY: an owned array of numbers; its dimension is a type of ndarray's, which are the only ones and have no lifetime.
#[cfg(feature = "ndarray")]
unsafe impl<P: Number, D: ndarray::Dimension + 'static> Lifeless for ndarray::Array<P, D> {}

/// `value` as an `X`, if that is what `T` is behind a type parameter.
#[inline]
pub(crate) fn same_ref<T: ?Sized, X: Lifeless>(value: &T) -> Option<&X> {
    // SAFETY: `X` has no lifetimes, so equality of the ids means that `T` is `X`.
    (typeid::of::<T>() == TypeId::of::<X>()).then(|| unsafe { &*std::ptr::from_ref(value).cast::<X>() })
}

/// What `value` refers to, if `I` is a `&X` behind a type parameter.
#[inline]
pub(crate) fn referent<I: ?Sized, X: Lifeless>(value: &I) -> Option<&X> {
    // SAFETY: as in `as_slice`, with `I` being `&'x X`.
    (typeid::of::<I>() == TypeId::of::<&'static X>()).then(|| unsafe { *std::ptr::from_ref(value).cast::<&X>() })
}

/// A reference that knows its type at run time only: what asks for many types is compiled once, and not for each type
/// parameter that it is asked of.
#[cfg(feature = "ndarray")]
pub(crate) struct Anything<'v> {
    id: TypeId,
    place: *const (),
    _value: std::marker::PhantomData<&'v ()>,
}

#[cfg(feature = "ndarray")]
impl<'v> Anything<'v> {
    pub(crate) fn of<T: ?Sized>(value: &'v T) -> Anything<'v> {
        let place = std::ptr::from_ref(value).cast::<()>();
        Anything { id: typeid::of::<T>(), place, _value: std::marker::PhantomData }
    }

    /// As an `X`, or what it refers to if it is a `&X`.
    pub(crate) fn to<X: Lifeless>(&self) -> Option<&'v X> {
        if self.id == TypeId::of::<X>() {
            // SAFETY: `X` has no lifetimes, so equality of the ids means that the value is an `X`, which is borrowed for
            // `'v`.
            Some(unsafe { &*self.place.cast::<X>() })
        } else if self.id == TypeId::of::<&'static X>() {
            // SAFETY: as in `as_slice`, with the value being a `&'x X`; `'x` outlives `'v`, for which that is borrowed.
            Some(unsafe { *self.place.cast::<&X>() })
        } else {
            None
        }
    }
}

/// `value` as a `T`, if `T` is `X` behind a type parameter.
pub(crate) fn same<T, X: Lifeless>(value: X) -> Option<T> {
    if typeid::of::<T>() != TypeId::of::<X>() {
        return None;
    }
    let value = ManuallyDrop::new(value);
    // SAFETY: `X` has no lifetimes, so `T` is that very type. The value is moved: its first place is never used or
    // dropped again.
    Some(unsafe { std::ptr::read(std::ptr::from_ref(&*value).cast::<T>()) })
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "ndarray")]
    use super::Anything;
    use super::{as_slice, referent, same, same_ref};
    use std::collections::VecDeque;

    #[test]
    fn only_contiguous_references_of_the_very_type_are_slices() {
        let local = vec![1.0_f64, 2.0];
        assert_eq!(as_slice::<_, f64>(&&local), Some(&[1.0, 2.0][..]));
        assert_eq!(as_slice::<_, f64>(&&local[1..]), Some(&[2.0][..]));
        assert_eq!(as_slice::<_, u64>(&&local), None);
        assert_eq!(as_slice::<_, f64>(&local), None, "an owned vector is not a reference");
        assert_eq!(as_slice::<_, f64>(&&VecDeque::from(local.clone())), None);
        assert_eq!(as_slice::<_, f64>(&&[1.0_f64, 2.0]), None, "an array reference is another type");
    }

    #[test]
    #[cfg(feature = "ndarray")]
    fn anything_is_what_it_is_or_refers_to() {
        let numbers = vec![1.0_f64, 2.0];
        assert_eq!(Anything::of(&numbers).to::<Vec<f64>>(), Some(&numbers));
        assert_eq!(Anything::of(&&numbers).to::<Vec<f64>>(), Some(&numbers));
        assert_eq!(Anything::of(&&&numbers).to::<Vec<f64>>(), None);
        assert_eq!(Anything::of(&numbers).to::<Vec<u64>>(), None);
        assert_eq!(Anything::of(&numbers[..]).to::<Vec<f64>>(), None);
        assert_eq!(Anything::of("text").to::<Vec<u8>>(), None);
    }

    #[test]
    fn a_value_becomes_only_its_own_type() {
        assert_eq!(same::<Vec<f64>, _>(vec![1.0_f64, 2.0]), Some(vec![1.0, 2.0]));
        assert_eq!(same::<Vec<u64>, _>(vec![1.0_f64]), None);
        assert_eq!(same::<Option<Vec<f64>>, _>(vec![1.0_f64]), None);
        assert_eq!(same_ref::<_, Vec<f64>>(&vec![1.0, 2.0]), Some(&vec![1.0, 2.0]));
        assert_eq!(same_ref::<_, Vec<f64>>(&vec![1_u64]), None);
        assert_eq!(same_ref::<_, f64>(&1.5_f64), Some(&1.5));
        assert_eq!(same_ref::<_, f64>(&&1.5_f64), None);
        assert_eq!(referent::<_, f64>(&&1.5_f64), Some(&1.5));
        assert_eq!(referent::<_, f64>(&1.5_f64), None);
    }
}
