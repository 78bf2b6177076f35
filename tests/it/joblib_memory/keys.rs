//! The key: argument binding, `joblib.hash`, `ignore`.

use std::rc::Rc;
use std::sync::LazyLock;

use larder::Memory;
use larder::store::VolatileStore;
use serde::Serialize;

use super::volatile;
use crate::support::{Lines, hit, miss, telling};

/// Bound methods include `self`.
#[test]
fn argument_binding_of_a_bound_method_includes_self() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    #[derive(Serialize)]
    struct Scale {
        factor: u64,
    }

    impl Scale {
        #[larder::cached(memory = MEMORY)]
        fn scaled(&self, x: u64) -> u64 {
            self.factor * x
        }
    }

    let (two, three) = (Scale { factor: 2 }, Scale { factor: 3 });
    miss!(MEMORY, NeverSeen, two.scaled(5), 10);
    miss!(MEMORY, NeverSeen, three.scaled(5), 15);
    hit!(MEMORY, hits_hot, two.scaled(5), 10);
    hit!(MEMORY, hits_hot, Scale { factor: 3 }.scaled(5), 15);
}

/// Whether two arguments have one key.
fn have_one_key<A: Serialize, B: Serialize>(a: &A, b: &B) -> bool {
    let (builder, _) = telling(0);
    let memory = builder.with_store(VolatileStore::new());
    memory.cached_fn("hashed", 1, |_: &A| 1_u8).call(a);
    memory.cached_fn("hashed", 1, |_: &B| 1_u8).check_call_in_cache(b)
}

/// joblib: `1 != 1.0`, `1 != True`, `0.0 != -0.0`, a NaN is itself, a list is no tuple.
#[test]
fn hash_tells_values_apart_as_joblib_does() {
    assert!(have_one_key(&1_u64, &1_u64));
    assert!(!have_one_key(&1_u64, &1.0_f64));
    assert!(!have_one_key(&1_u64, &true));
    assert!(!have_one_key(&0.0_f64, &-0.0_f64));
    assert!(have_one_key(&f64::NAN, &f64::NAN));
    assert!(!have_one_key(&vec![1_u64, 2], &(1_u64, 2_u64)));
    assert!(!have_one_key(&Some(0_u8), &None::<u8>));
    assert!(!have_one_key(&"1", &1_u64));
}

/// joblib's `[l, l]` and `[l, copy of l]` hash apart, since it sees which object is which. A key here is of content alone.
#[test]
fn hash_knows_content_and_not_identity() {
    let list = Rc::new(vec![1_u64, 2]);
    let copy = Rc::new(vec![1_u64, 2]);
    assert!(have_one_key(&[Rc::clone(&list), Rc::clone(&list)], &[list, copy]));
}

/// joblib still takes the `repr` of ignored arguments, which can be slow or large. Here they leave no trace.
#[test]
fn ignore_leaves_nothing_in_the_metadata() {
    #[larder::task(ignore(threads))]
    fn summed(xs: &[u64], threads: usize) -> u64 {
        let _ = threads;
        xs.iter().sum()
    }

    let memory = volatile();
    let shelved = memory.cached::<summed>().call_and_shelve((&[1, 2], 8)).unwrap();
    let metadata = shelved.metadata().unwrap().unwrap();
    assert_eq!(metadata.to_string(), "summed(xs = [1, 2])");
    assert_eq!(metadata.arguments.len(), 1);
}

/// An ignored argument that refuses to be serialized took those behind it out of the record, so nothing could be explained; one
/// that panicked took the call along.
#[test]
fn ignore_of_what_cannot_be_serialized_leaves_the_others_known() {
    struct Handle;
    impl Serialize for Handle {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("a handle is no data (this panic belongs to the test)")
        }
    }

    #[larder::cached(ignore(handle), memory = MEMORY)]
    fn row(handle: &Handle, number: u64) -> u64 {
        let Handle = handle;
        number + 1
    }

    static LINES: LazyLock<(Memory, Lines)> = LazyLock::new(|| {
        let (builder, lines) = telling(1);
        (builder.with_store(VolatileStore::new()), lines)
    });
    static MEMORY: LazyLock<Memory> = LazyLock::new(|| LINES.0.clone());

    miss!(MEMORY, NeverSeen, row(&Handle, 1), 2);
    hit!(MEMORY, hits_hot, row(&Handle, 1), 2);
    let why = MEMORY.cached::<row>().explain((&Handle, 2)).to_string();
    assert!(why.starts_with("argument `number`: 1 -> 2 ("), "{why}");
    assert!(LINES.1.all()[0].ends_with("\nrow(handle = _, number = 1)"), "{:?}", LINES.1.all());
}
