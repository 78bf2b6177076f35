//! Functions with type and const parameters: each instance is a function of its own.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder::{Function, Memory, MissReason, NotStoredReason, Parallel, delayed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::volatile;
use crate::support::{hit, miss};

static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

/// Two types that serialize equally, and mean different things.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Metres(f64);

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Feet(f64);

trait Unit {
    const IN_METRES: f64;
    fn number(&self) -> f64;
}

impl Unit for Metres {
    const IN_METRES: f64 = 1.0;
    fn number(&self) -> f64 {
        self.0
    }
}

impl Unit for Feet {
    const IN_METRES: f64 = 0.3048;
    fn number(&self) -> f64 {
        self.0
    }
}

/// Answers in metres.
#[larder::cached(memory = MEMORY)]
fn metres<U: Unit + Serialize>(length: &U) -> f64 {
    length.number() * U::IN_METRES
}

#[test]
fn instances_do_not_share_values() {
    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = volatile())]
    fn rounded<U: Unit + Serialize>(length: &U) -> f64 {
        RUNS.fetch_add(1, Relaxed);
        (length.number() * U::IN_METRES).round()
    }

    for _ in 0..2 {
        assert_eq!((rounded(&Metres(10.0)), rounded(&Feet(10.0))), (10.0, 3.0));
    }
    assert_eq!(RUNS.load(Relaxed), 2);
}

trait Numbered {
    const NUMBER: u64;
}

#[larder::task]
fn number_of<T: Numbered>() -> u64 {
    T::NUMBER
}

/// Keys go by the paths of types. Where two types have one, the second one's calls were answered with the first one's results.
#[test]
fn two_types_of_one_path_do_not_share_values() {
    let memory = volatile();
    let of_first = {
        struct Local;
        impl Numbered for Local {
            const NUMBER: u64 = 1;
        }
        || {
            let cached = memory.cached::<number_of<Local>>();
            (cached.call(()), cached.explain(()).reason())
        }
    };
    let of_second = {
        struct Local;
        impl Numbered for Local {
            const NUMBER: u64 = 2;
        }
        || {
            let cached = memory.cached::<number_of<Local>>();
            (cached.call(()), cached.explain(()).reason())
        }
    };
    for _ in 0..2 {
        assert_eq!((of_first(), of_second()), ((1, None), (2, Some(MissReason::NoKey))));
    }
}

#[test]
fn instances_are_named_as_they_are_called() {
    let memory = volatile();
    miss!(memory, NeverSeen, memory.cached::<metres<Feet>>().call((&Feet(1.0),)), 0.3048);
    miss!(memory, NeverSeen, memory.cached::<metres<Metres>>().call((&Metres(1.0),)), 1.0);
    hit!(memory, hits_hot, memory.cached::<metres<Feet>>().call((&Feet(1.0),)), 0.3048);
    assert!(metres::<Feet>::NAME.ends_with("::generics::metres"));
}

#[larder::task]
fn pairs<'a, T, const N: usize>(values: &'a [T], start: &[u8]) -> Vec<(T, usize)>
where
    T: Clone + Serialize + DeserializeOwned + 'a,
{
    values.iter().cloned().zip(start.iter().map(|start| usize::from(*start) * N)).collect()
}

#[test]
fn type_const_and_lifetime_parameters_go_together() {
    let words = ["a".to_owned(), "b".to_owned()];
    let answer = vec![("a".to_owned(), 2), ("b".to_owned(), 4)];
    assert_eq!(pairs::<_, 2>(&words, &[1, 2]), answer);
    let calls = [delayed!(pairs::<String, 2>(&words, &[1, 2])), delayed!(pairs::<String, 2>(&words, &[1, 2]))];
    assert_eq!(Parallel::new().n_jobs(2).run(calls).unwrap(), [answer.clone(), answer]);

    let memory = volatile();
    let cached = memory.cached::<pairs<u8, 1>>();
    miss!(memory, NeverSeen, cached.call((&[1, 2], &[9])), [(1, 9)]);
    hit!(memory, hits_hot, cached.call((&[1, 2], &[9])), [(1, 9)]);
}

#[larder::task]
fn same<T: Debug + Serialize + DeserializeOwned>(value: T) -> T {
    value
}

/// A probe sees nothing of a type parameter; the type's name and serde do.
#[test]
fn what_is_not_stored_is_told_of_type_parameters_too() {
    let memory = volatile();
    for _ in 0..2 {
        miss!(memory, NeverSeen, memory.cached::<same<Option<u8>>>().call((None,)), None);
        miss!(
            memory,
            NeverSeen,
            memory.cached::<same<Result<u8, String>>>().call((Err("no".into()),)),
            Err("no".into())
        );
    }
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NoneResult), 2);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::ErrorResult), 2);
    miss!(memory, NeverSeen, memory.cached::<same<Option<u8>>>().call((Some(1),)), Some(1));
    hit!(memory, hits_hot, memory.cached::<same<Option<u8>>>().call((Some(1),)), Some(1));
}

#[test]
fn an_err_of_a_type_parameter_is_a_failure() {
    let outcome = Parallel::new().run([delayed!(same::<Result<u8, String>>(Err("no".into())))]);
    assert!(outcome.is_err());
}

/// The instances of one function in one `static`, each with its own wrapper, from many threads at once.
#[test]
fn instances_are_made_once_by_many_threads() {
    static MADE: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = volatile())]
    fn counted<const N: u64>(x: u64) -> u64 {
        MADE.fetch_add(1, Relaxed);
        x + N
    }

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!((counted::<1>(1), counted::<2>(1), counted::<3>(1)), (2, 3, 4));
            });
        }
    });
    assert_eq!((counted::<1>(1), MADE.load(Relaxed)), (2, MADE.load(Relaxed)));
    let made = MADE.load(Relaxed);
    assert_eq!((counted::<1>(1), counted::<2>(1), counted::<3>(1)), (2, 3, 4));
    assert_eq!(MADE.load(Relaxed), made, "all are stored");
}

#[test]
fn a_generic_recursion_goes_through_its_cache() {
    static CALLS: AtomicU64 = AtomicU64::new(0);

    #[larder::cached(memory = MEMORY)]
    fn ways<T>(n: T) -> u64
    where
        T: Copy + Into<u64> + TryFrom<u64> + Serialize,
        <T as TryFrom<u64>>::Error: Debug,
    {
        CALLS.fetch_add(1, Relaxed);
        let number: u64 = n.into();
        if number < 2 { 1 } else { ways(T::try_from(number - 1).unwrap()) + ways(T::try_from(number - 2).unwrap()) }
    }

    assert_eq!((ways(30_u8), ways(30_u32)), (1_346_269, 1_346_269));
    assert_eq!(CALLS.load(Relaxed), 62);
}

larder::register!(same::<u16>, pairs::<u8, 2>);

#[test]
fn instances_are_registered_by_hand() {
    let registered = larder::registry::entry::<same<u16>>().unwrap();
    let args = delayed!(same::<u16>(7)).encode().unwrap();
    assert_eq!(registered.call(&args).unwrap().decode::<u16>().unwrap(), 7);
    assert!(larder::registry::entry::<same<u32>>().is_none());
    assert!(larder::registry::entry::<pairs<u8, 2>>().is_some());
}

#[cfg(all(unix, feature = "auto-worker"))]
#[test]
fn processes_run_registered_instances_and_name_the_remedy_for_others() {
    let parallel = || Parallel::new().backend(larder::Backend::Processes).n_jobs(2).inner_threads(1);
    assert_eq!(parallel().run((0..5).map(|x| delayed!(same::<u16>(x)))).unwrap(), [0, 1, 2, 3, 4]);
    let words = parallel().run([delayed!(same::<u32>(1))]).unwrap_err().to_string();
    assert!(words.contains("larder::register!(same::<..>)") && words.contains("same<u32>"), "{words}");
}
