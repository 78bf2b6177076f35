//! `key`, `depends`, `store`, `result`, `expires_after`, `validate`.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder::{Backend, Function, Memory, Metadata, NotStoredReason, Parallel, Task, delayed};
use serde::{Deserialize, Serialize};

use super::volatile;
use crate::support::{hit, miss, open, open_telling};

/// Serializes to nothing that two of them would differ in.
#[derive(Serialize)]
struct Picture {
    id: u64,
    pixels: Vec<u8>,
}

fn picture(id: u64, pixel: u8) -> Picture {
    Picture { id, pixels: vec![pixel] }
}

// ---- key

#[test]
fn a_key_takes_the_place_of_all_arguments() {
    #[larder::cached(memory = volatile(), key = (picture.id, name.len()))]
    fn shade(picture: &Picture, name: &str, exact: bool) -> u8 {
        picture.pixels[0] + name.len() as u8 + u8::from(exact)
    }

    static RUNS: AtomicU64 = AtomicU64::new(0);
    #[larder::cached(memory = volatile(), key = *x % 2)]
    fn parity(x: u64) -> u64 {
        RUNS.fetch_add(1, Relaxed);
        x % 2
    }

    assert_eq!(shade(&picture(1, 10), "ab", false), 12);
    assert_eq!(shade(&picture(1, 20), "cd", true), 12, "the same identity and length");
    assert_eq!(shade(&picture(2, 20), "cd", true), 23);
    assert_eq!(shade(&picture(1, 20), "cde", true), 24);
    assert_eq!([1, 2, 3, 4, 5].map(parity), [1, 0, 1, 0, 1]);
    assert_eq!(RUNS.load(Relaxed), 2);
}

/// Names that the expansion uses too, and arguments that are borrowed, owned and consumed.
#[test]
fn a_key_sees_parameters_by_their_names() {
    #[larder::task(key = (with, args, argument_0.len(), this.is_empty()))]
    fn named(with: u8, args: &str, argument_0: Vec<u8>, this: &[u8]) -> usize {
        with as usize + args.len() + argument_0.into_iter().map(usize::from).sum::<usize>() + this.len()
    }

    let memory = volatile();
    let cached = memory.cached::<named>();
    miss!(memory, NeverSeen, cached.call((1, "a", vec![7, 8], &[])), 17);
    hit!(memory, hits_hot, cached.call((1, "a", vec![9, 9], &[])), 17);
    miss!(memory, NeverSeen, cached.call((1, "a", vec![9, 9], &[1])), 21);
    miss!(memory, NeverSeen, cached.call((1, "b", vec![9, 9], &[1])), 21);
}

/// Before, the one argument was the key; its bytes are those of the key that is given now.
#[test]
fn a_key_that_is_given_is_no_argument() {
    mod before {
        #[larder::task]
        pub(super) fn next(x: u64) -> u64 {
            x + 1
        }
    }
    mod after {
        #[larder::task(key = x + 0)]
        pub(super) fn next(x: u64) -> u64 {
            x + 1
        }
    }
    assert_ne!(before::next::FINGERPRINT, after::next::FINGERPRINT);
}

#[test]
fn a_key_goes_with_delayed_calls() {
    #[larder::task(key = x / 10)]
    fn tens(x: u64) -> u64 {
        x / 10
    }

    let memory = volatile();
    let parallel = Parallel::new().n_jobs(2).memory(&memory);
    parallel.run([delayed!(tens(10)), delayed!(tens(20))]).unwrap();
    assert_eq!(parallel.run((10..30).map(|x| delayed!(tens(x)))).unwrap().iter().sum::<u64>(), 30);
    assert_eq!((memory.stats().misses(), memory.stats().hits()), (2, 20));
}

#[test]
fn a_key_that_cannot_be_made_is_said_and_computed() {
    struct Refused;
    impl Serialize for Refused {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not me"))
        }
    }

    #[larder::task(key = Refused)]
    fn keyless(x: u8) -> u8 {
        x
    }

    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 0);
    miss!(memory, NoKey, memory.cached::<keyless>().call((1,)), 1);
    assert!(lines.warnings()[0].contains("not me"), "{:?}", lines.warnings());
}

// ---- depends

mod first {
    #[larder::task]
    pub(super) fn helper(x: u64) -> u64 {
        x + 1
    }

    #[larder::task(depends(helper))]
    pub(super) fn middle(x: u64) -> u64 {
        helper(x)
    }
}

/// The same, with another helper.
mod second {
    #[larder::task]
    pub(super) fn helper(x: u64) -> u64 {
        x + 2
    }

    #[larder::task(depends(helper))]
    pub(super) fn middle(x: u64) -> u64 {
        helper(x)
    }
}

/// One function by two definitions of what it depends on: nothing else in its key differs.
macro_rules! depending {
    ($name:ident, $($helper:path),*) => {
        mod $name {
            #[larder::task(depends($($helper),*))]
            pub(super) fn outer(x: u64) -> u64 {
                x
            }
        }
    };
}
depending!(on_the_first, super::first::middle);
depending!(on_the_second, super::second::middle);
depending!(on_both, super::first::middle, super::second::middle);

#[test]
fn what_a_function_depends_on_is_listed() {
    let names = |list: &[larder::Dependency]| list.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>();
    assert!(names(on_the_first::outer::DEPENDS)[0].ends_with("options::first::middle"));
    assert_eq!(on_both::outer::DEPENDS.len(), 2);
    assert!(first::helper::DEPENDS.is_empty());
}

#[test]
fn a_change_of_what_a_function_depends_on_is_a_miss() {
    let memory = volatile();
    // Two of one path and code: as one function before and after a change elsewhere.
    macro_rules! outer {
        ($helper:path) => {{
            #[larder::task(depends($helper))]
            fn outer(x: u64) -> u64 {
                x
            }
            memory.cached::<outer>().call((1,))
        }};
    }
    miss!(memory, NeverSeen, outer!(first::helper), 1);
    hit!(memory, hits_hot, outer!(first::helper), 1);
    miss!(memory, NeverSeen, outer!(second::helper), 1);
    // Their own code is the same: what differs lies below it.
    assert_eq!(first::middle::FINGERPRINT, second::middle::FINGERPRINT);
    miss!(memory, NeverSeen, outer!(first::middle), 1);
    miss!(memory, NeverSeen, outer!(second::middle), 1);
    hit!(memory, hits_hot, outer!(first::helper), 1);
}

// ---- store

#[larder::task]
fn found(x: u8) -> Option<u8> {
    (x > 0).then_some(x)
}

#[test]
fn none_is_not_stored() {
    let memory = volatile();
    let cached = memory.cached::<found>();
    miss!(memory, NeverSeen, cached.call((0,)), None);
    miss!(memory, NeverSeen, cached.call((0,)), None);
    miss!(memory, NeverSeen, cached.call((1,)), Some(1));
    hit!(memory, hits_hot, cached.call((1,)), Some(1));
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::NoneResult), 2);
    assert_eq!(memory.stats().not_stored_for(NotStoredReason::ErrorResult), 0);
}

#[test]
fn none_is_no_failure() {
    let memory = volatile();
    let parallel = Parallel::new().n_jobs(2).memory(&memory).retry(larder::Retry::times(3));
    assert_eq!(parallel.run([delayed!(found(0)), delayed!(found(1))]).unwrap(), [None, Some(1)]);
    assert_eq!(memory.stats().misses(), 2, "nothing was tried again");
}

type Perhaps<T> = Option<T>;

#[test]
fn none_by_another_name_is_not_stored_and_none_within_is() {
    #[larder::task]
    fn aliased() -> Perhaps<u8> {
        None
    }
    #[larder::task]
    fn within() -> (Option<u8>, Option<Option<u8>>) {
        (None, Some(None))
    }
    #[larder::task]
    fn nested() -> Option<Option<u8>> {
        Some(None)
    }
    let memory = volatile();
    assert_eq!((memory.cached::<aliased>().call(()), memory.stats().stores), (None, 0));
    assert_eq!((memory.cached::<within>().call(()), memory.stats().stores), ((None, Some(None)), 1));
    assert_eq!((memory.cached::<nested>().call(()), memory.stats().stores), (Some(None), 2));
}

#[test]
fn none_is_stored_where_that_is_said() {
    #[larder::task(store(none))]
    fn kept(x: u8) -> Option<u8> {
        (x > 0).then_some(x)
    }
    let memory = volatile();
    miss!(memory, NeverSeen, memory.cached::<kept>().call((0,)), None);
    hit!(memory, hits_hot, memory.cached::<kept>().call((0,)), None);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Trouble {
    TooSmall { least: u8 },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too small")
    }
}

#[larder::task(store(err))]
fn checked(x: u8) -> Result<u8, Trouble> {
    if x < 3 { Err(Trouble::TooSmall { least: 3 }) } else { Ok(x) }
}

#[test]
fn an_err_is_stored_where_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    {
        let memory = open(dir.path());
        miss!(memory, NeverSeen, memory.cached::<checked>().call((1,)), Err(Trouble::TooSmall { least: 3 }));
        miss!(memory, NeverSeen, memory.cached::<checked>().call((5,)), Ok(5));
        hit!(memory, hits_hot, memory.cached::<checked>().call((1,)), Err(Trouble::TooSmall { least: 3 }));
    }
    let memory = open(dir.path());
    hit!(memory, hits_index, memory.cached::<checked>().call((1,)), Err(Trouble::TooSmall { least: 3 }));
    hit!(memory, hits_index, memory.cached::<checked>().call((5,)), Ok(5));
}

#[test]
fn a_stored_err_is_a_failure_all_the_same() {
    let memory = volatile();
    let parallel = Parallel::new().backend(Backend::Sequential).memory(&memory);
    for _ in 0..2 {
        let values: Vec<u8> = parallel.run([delayed!(checked(4)), delayed!(checked(5))]).unwrap();
        assert_eq!(values, [4, 5]);
        let failure = parallel.run([delayed!(checked(1))]).unwrap_err();
        assert!(failure.to_string().contains("too small"), "{failure}");
    }
    assert_eq!((memory.stats().misses(), memory.stats().hits()), (3, 3));
    assert!(checked::failed(&Err(Trouble::TooSmall { least: 1 })));
}

// ---- result

/// Not for serde, and not called `Result`.
#[derive(Debug, PartialEq)]
struct Bare;

type Outcome<T> = Result<T, Bare>;

#[larder::task(result)]
fn aliased(x: u8) -> Outcome<u8> {
    if x == 0 { Err(Bare) } else { Ok(x) }
}

#[test]
fn a_result_by_another_name_is_taken_apart_where_that_is_said() {
    let memory = volatile();
    let cached = memory.cached::<aliased>();
    miss!(memory, NeverSeen, cached.call((0,)), Err(Bare));
    miss!(memory, NeverSeen, cached.call((0,)), Err(Bare));
    miss!(memory, NeverSeen, cached.call((1,)), Ok(1));
    hit!(memory, hits_hot, cached.call((1,)), Ok(1));
    let values: Vec<u8> = Parallel::new().run([delayed!(aliased(1)), delayed!(aliased(2))]).unwrap();
    assert_eq!(values, [1, 2]);
}

// ---- expires_after, validate

fn accepts(_: &Metadata) -> bool {
    true
}

#[test]
fn validity_is_as_written() {
    #[larder::task(expires_after = "2w")]
    fn weeks() {}
    #[larder::task(expires_after = std::time::Duration::from_millis(5), validate = accepts)]
    fn both() {}
    #[larder::task]
    fn always() {}

    let text = |validity: larder::Validity| format!("{validity:?}");
    assert_eq!(
        text(weeks::validity()),
        text(larder::Validity::always().expires_after(std::time::Duration::from_secs(1_209_600)))
    );
    let written = larder::Validity::always().expires_after(std::time::Duration::from_millis(5)).validate(accepts);
    assert_eq!(text(both::validity()), text(written));
    assert_ne!(text(both::validity()), text(always::validity()));
    assert_eq!(text(always::validity()), text(larder::Validity::always()));
}

/// One attribute with every option that goes with a function.
#[test]
fn all_options_at_once() {
    static MEMORY: LazyLock<Memory> = LazyLock::new(volatile);

    #[larder::cached(
        memory = MEMORY,
        version = 2,
        key = x,
        depends(checked, first::helper),
        expires_after = "30d",
        validate = accepts,
        store(err, none),
        result,
        task
    )]
    fn everything(x: u8, y: &str) -> Result<u8, String> {
        if y.is_empty() { Err("empty".to_owned()) } else { Ok(x) }
    }

    miss!(MEMORY, NeverSeen, everything(1, ""), Err("empty".to_owned()));
    hit!(MEMORY, hits_hot, everything(1, "y"), Err("empty".to_owned()));
    assert_eq!(everything::compute((1, "y")), Ok(1));
    assert!(larder::registry::entry::<everything>().is_some());
}
