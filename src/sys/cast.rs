//! Recognises borrowed slices behind a type parameter.

#![allow(unsafe_code)]

use std::any::TypeId;

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

#[cfg(test)]
mod tests {
    use super::as_slice;
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
}
