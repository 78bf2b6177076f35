//! Recognises vectors and slices behind a type parameter.

#![allow(unsafe_code)]

use std::any::TypeId;
use std::mem::ManuallyDrop;

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

/// The elements of `value`, if `T` is `Vec<P>` behind a type parameter.
pub(crate) fn of_vec<T, P: 'static>(value: &T) -> Option<&[P]> {
    // SAFETY: as in `as_slice`; `Vec<P>` has no lifetimes of its own, so `T` is that very type.
    (typeid::of::<T>() == TypeId::of::<Vec<P>>())
        .then(|| unsafe { (*std::ptr::from_ref(value).cast::<Vec<P>>()).as_slice() })
}

/// `values` as a `T`, if `T` is `Vec<P>` behind a type parameter.
pub(crate) fn from_vec<T, P: 'static>(values: Vec<P>) -> Option<T> {
    if typeid::of::<T>() != TypeId::of::<Vec<P>>() {
        return None;
    }
    let values = ManuallyDrop::new(values);
    // SAFETY: as in `as_slice`; `Vec<P>` has no lifetimes of its own, so `T` is that very type. The value is moved: its
    // first place is never used or dropped again.
    Some(unsafe { std::ptr::read(std::ptr::from_ref(&*values).cast::<T>()) })
}

#[cfg(test)]
mod tests {
    use super::{as_slice, from_vec, of_vec};
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
    fn a_vector_becomes_only_its_own_type() {
        assert_eq!(from_vec::<Vec<f64>, f64>(vec![1.0, 2.0]), Some(vec![1.0, 2.0]));
        assert_eq!(from_vec::<Vec<u64>, f64>(vec![1.0]), None);
        assert_eq!(of_vec::<_, f64>(&vec![1.0, 2.0]), Some(&[1.0, 2.0][..]));
        assert_eq!(of_vec::<_, f64>(&vec![1_u64]), None);
        assert_eq!(from_vec::<Option<Vec<f64>>, f64>(vec![1.0]), None);
        assert_eq!(from_vec::<Vec<String>, String>(vec!["a".to_owned()]), Some(vec!["a".to_owned()]));
    }
}
