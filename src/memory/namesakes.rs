//! Instances that no key can tell apart: keys go by the paths of types, and two types may have one.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::key::Identity;
use crate::lock::lock;

/// How the compiler spells the type of a closure.
const CLOSURE: &str = "{{closure}}";

/// The types that made each function, by its digest.
static KNOWN: Mutex<BTreeMap<[u8; 32], TypeId>> = Mutex::new(BTreeMap::new());

/// Why calls of this function, which is made of this type, can have no key; `None` where they can.
///
/// A type that comes later is told from the first one's in this program, not from what another run stored for it.
pub(super) fn refusal(function: &Identity, of: TypeId) -> Option<&'static str> {
    if holds_closure(function.name()) {
        return Some(
            "one of its types is that of a closure, and neither the code of that nor what it captures would be in the key: \
             give it a type with a name",
        );
    }
    // Without types of its own it is what its code says.
    if !function.name().contains('<') {
        return None;
    }
    let is_first = *lock(&KNOWN).entry(*function.digest()).or_insert(of) == of;
    (!is_first).then_some(
        "two of the types it is made for have one path, and keys go by that: rename one, or move it to another module",
    )
}

/// Whether a closure's type is part of a type in this path. One that something stands in is not: `main::{{closure}}::f`.
fn holds_closure(path: &str) -> bool {
    path.match_indices(CLOSURE).any(|(at, _)| !path[at + CLOSURE.len()..].starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_among_the_types_are_seen() {
        for path in ["a::f", "a::f<u8>", "a::main::{{closure}}::f", "<a::main::{{closure}}::S as a::T>::f"] {
            assert!(!holds_closure(path), "{path}");
        }
        for path in ["a::f<a::main::{{closure}}>", "a::S<(u8, a::main::{{closure}}::{{closure}}), u8>::f"] {
            assert!(holds_closure(path), "{path}");
        }
    }

    #[test]
    fn the_second_type_of_one_function_is_refused() {
        let function = Identity::by_hand("tests::namesake<S>".to_owned(), 1);
        for _ in 0..2 {
            assert_eq!(refusal(&function, TypeId::of::<u8>()), None);
            assert!(refusal(&function, TypeId::of::<u16>()).is_some());
        }
    }
}
