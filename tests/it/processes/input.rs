//! What cannot be run on worker processes is told before or after, with words that help, and never waited for.

use std::time::Duration;

use larder::{Failure, FailureKind, Memory, OnError, Outcome, Parallel, delayed};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Listed, alone_in, limited, process, processes};
use crate::support::ends;

#[larder::task]
fn same(x: u64) -> u64 {
    x
}

#[larder::cached]
fn not_registered(x: u64) -> u64 {
    x
}

/// The error of a run that cannot even begin.
#[track_caller]
fn refused(parallel: Parallel, words: &[&str]) {
    let error = parallel.run_list((0..10).map(|x| delayed!(same(x)))).unwrap_err();
    assert!(error.is_invalid_option(), "{error}");
    for words in words {
        assert!(error.to_string().contains(words), "`{words}` is not in: {error}");
    }
    let error = parallel.outcome_list((0..10).map(|x| delayed!(same(x)))).unwrap_err();
    assert!(error.is_invalid_option(), "{error}");
}

#[test]
fn options_that_mean_nothing_are_refused() {
    ends(|| {
        refused(processes(0), &["`n_jobs` is 0"]);
        refused(processes(i32::MAX), &["n_jobs", "at most"]);
        refused(processes(2).batch_size(0), &["`batch_size` is 0"]);
        refused(processes(2).timeout_per_task(Duration::ZERO), &["`timeout_per_task` is 0"]);
        refused(processes(2).max_tasks_per_worker(0), &["`max_tasks_per_worker` is 0"]);
        refused(processes(2).inner_threads(0), &["`inner_threads` is 0"]);
        for tiny in [0, 1, 1 << 20] {
            refused(processes(2).limit_memory_soft(tiny), &["`limit_memory_soft` is", "at least"]);
            refused(processes(2).limit_memory_hard(tiny), &["`limit_memory_hard` is", "at least"]);
        }
        refused(processes(2).worker_init(delayed!(not_registered(1))), &["not_registered", "#[cached(task)]"]);
    });
}

#[test]
fn what_is_no_task_is_refused_with_the_remedy() {
    ends(|| {
        let error = processes(2).map(0..10, |x| x + 1).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains("#[larder::task]"), "{error}");
        let error = processes(2).try_map_outcome(0..10_i32, u8::try_from).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains("#[larder::task]"), "{error}");
        let error = processes(2).run_list((0..10).map(|x| delayed!(not_registered(x)))).unwrap_err();
        assert!(error.is_invalid_option() && error.to_string().contains("#[cached(task)]"), "{error}");
    });
}

#[test]
fn a_memory_that_is_nowhere_cannot_be_shared() {
    ends(|| {
        let memory = Memory::with_store(larder::store::VolatileStore::new());
        refused(processes(2).memory(&memory), &["store without a directory"]);
        // One that is off is none.
        let values = processes(2).memory(&Memory::disabled()).run_list((0..10).map(|x| delayed!(same(x)))).unwrap();
        assert_eq!(values, (0..10).collect::<Vec<_>>());
    });
}

/// What goes wrong on the way of a number that is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    WriteFails,
    WritePanics,
    ReadFails,
    ReadPanics,
}

const WAYS: [Way; 4] = [Way::WriteFails, Way::WritePanics, Way::ReadFails, Way::ReadPanics];

/// A number on a way that may end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marked(u64, Option<Way>);

impl Serialize for Marked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Some(Way::WriteFails) => return Err(S::Error::custom("not to be written")),
            Some(Way::WritePanics) => panic!("not to be written (this panic belongs to the test)"),
            _ => {}
        }
        (self.0, self.1.map(|way| way == Way::ReadFails)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Marked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Marked, D::Error> {
        match Deserialize::deserialize(deserializer)? {
            (number, None) => Ok(Marked(number, None)),
            (_, Some(true)) => Err(D::Error::custom("not to be read")),
            (_, Some(false)) => panic!("not to be read (this panic belongs to the test)"),
        }
    }
}

#[larder::task]
fn takes(marked: Marked) -> u64 {
    marked.0 * 10
}

#[larder::task]
fn gives(x: u64, bad: Option<u8>) -> Marked {
    Marked(x * 10, bad.map(|way| WAYS[usize::from(way)]))
}

#[track_caller]
fn one_is_lost<R: std::fmt::Debug + PartialEq>(way: Way, outcome: &Outcome<R>, value: impl Fn(u64) -> R) {
    let expected: Vec<_> = (0..40).map(|x| (x != 23).then(|| value(x))).collect();
    assert_eq!(outcome.results(), expected, "{way:?}: {outcome:?}");
    let [failure] = outcome.failures() else { panic!("{way:?}: {outcome:?}") };
    assert_eq!((failure.index(), failure.kind()), (23, FailureKind::Serialization), "{way:?}: {failure}");
    assert!(failure.message().contains("not to be "), "{way:?}: {failure}");
}

#[test]
fn an_argument_that_cannot_be_written_or_read_is_told_of() {
    ends(|| {
        for way in WAYS {
            let call = |x| delayed!(takes(Marked(x, (x == 23).then_some(way))));
            for size in [1, 7, 100] {
                let parallel = processes(2).on_error(OnError::Collect).batch_size(size);
                one_is_lost(way, &parallel.outcome_list((0..40).map(call)).unwrap(), |x| x * 10);
            }
            let error = processes(2).run_list((0..40).map(call)).unwrap_err();
            assert_eq!(error.task_failure().map(Failure::index), Some(23), "{way:?}: {error}");
        }
    });
}

#[test]
fn a_result_that_cannot_be_written_or_read_is_told_of() {
    ends(|| {
        for (number, way) in WAYS.into_iter().enumerate() {
            let call = |x| delayed!(gives(x, (x == 23).then_some(number as u8)));
            for size in [1, 7, 100] {
                let parallel = processes(2).on_error(OnError::Collect).batch_size(size);
                one_is_lost(way, &parallel.outcome_list((0..40).map(call)).unwrap(), |x| Marked(x * 10, None));
            }
            let error = processes(2).run_list((0..40).map(call)).unwrap_err();
            assert_eq!(error.task_failure().map(Failure::index), Some(23), "{way:?}: {error}");
        }
    });
}

/// As `gives`, and one hangs.
#[larder::task]
fn gives_or_hangs(x: u64, bad: Option<u8>, hangs: bool) -> Marked {
    if hangs {
        loop {
            std::thread::park();
        }
    }
    gives(x, bad)
}

#[test]
fn the_right_task_is_blamed_after_results_that_could_not_be_written() {
    ends(|| {
        // The first ones go in small batches, the later ones in large ones: who counts the former twice is wrong within
        // the latter.
        let parallel = processes(1).on_error(OnError::Collect).timeout_per_task(Duration::from_secs(1));
        let calls = (0..3000).map(|x| delayed!(gives_or_hangs(x, (x == 0).then_some(0), x == 2500)));
        let outcome = parallel.outcome_list(calls).unwrap();
        let failed: Vec<_> = outcome.failures().iter().map(|failure| (failure.index(), failure.kind())).collect();
        assert_eq!(failed, [(0, FailureKind::Serialization), (2500, FailureKind::Timeout)], "{outcome:?}");
    });
}

#[larder::task]
fn large(len: usize) -> Vec<u64> {
    (0..len as u64).collect()
}

#[larder::task]
fn length(numbers: Vec<u64>) -> usize {
    numbers.len()
}

/// A run where the system gives little: it comes to its end, or says which resource is missing.
fn ends_or_says_why(n_jobs: i32) -> bool {
    let parallel = processes(n_jobs).idle_timeout(Duration::ZERO);
    match parallel.run_list((0..500).map(|x| delayed!(process(x)))) {
        Ok(values) => {
            assert!(values.into_iter().map(|(x, _)| x).eq(0..500));
            true
        }
        Err(error) => {
            assert!(!error.is_worker_entry() && !error.is_cancelled() && !error.is_invalid_option(), "{error}");
            assert!(error.to_string().contains("worker process"), "{error}");
            false
        }
    }
}

#[test]
fn with_few_descriptors_a_run_ends_or_says_why() {
    alone_in(with_few_descriptors_a_run_ends_or_says_why, limited("ulimit -n 64"), |_| {
        assert!(ends_or_says_why(2), "there are enough for two workers");
        for n_jobs in [20, 40] {
            ends_or_says_why(n_jobs);
        }
        // Nothing is lost for the next one.
        assert!(ends_or_says_why(2));
        // Files come as descriptors.
        let values = processes(2).run_list((0..100).map(|_| delayed!(large(100_000)))).unwrap();
        assert!(values.iter().all(|value| value.len() == 100_000 && value[99_999] == 99_999));
        assert_eq!(
            processes(2).run_list((0..100).map(|_| delayed!(length(vec![1; 100_000])))).unwrap(),
            [100_000; 100]
        );
    });
}

#[test]
fn with_hardly_a_descriptor_a_run_says_so() {
    alone_in(with_hardly_a_descriptor_a_run_says_so, limited("ulimit -n 64"), |_| {
        let mut hoard = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            hoard.push(file);
        }
        let error = processes(2).run_list((0..10).map(|x| delayed!(same(x)))).unwrap_err();
        assert!(error.to_string().contains("cannot start a worker process"), "{error}");
        // As they become free, it works again: at the latest with all of them.
        while let Err(error) = processes(2).run_list((0..10).map(|x| delayed!(same(x)))) {
            assert!(!error.is_worker_entry(), "{error}");
            assert!(hoard.pop().is_some(), "{error}");
        }
        assert!(!hoard.is_empty(), "a run needs some descriptors, not all");
    });
}

#[test]
fn without_memory_files_results_are_right_all_the_same() {
    // No file may have a byte: a signal to those who do not ignore it, an error to this program.
    alone_in(without_memory_files_results_are_right_all_the_same, limited("trap '' XFSZ; ulimit -f 0"), |_| {
        assert!(ends_or_says_why(2));
        let values = processes(2).run_list((0..20).map(|_| delayed!(large(100_000)))).unwrap();
        assert!(values.iter().all(|value| value.len() == 100_000 && value[99_999] == 99_999));
        assert_eq!(processes(2).run_list((0..20).map(|_| delayed!(length(vec![1; 100_000])))).unwrap(), [100_000; 20]);
        let table = larder::Payload::new((0..100_000).map(f64::from).collect::<larder::Bulk<f64>>());
        let outcome = processes(2).outcome_list((0..20).map(|x| delayed!(super::payloads::at(x, &table)))).unwrap();
        assert_eq!(outcome.report().payload_encodings, 1);
        assert!(outcome.into_values().unwrap().iter().zip(0..).all(|((value, _), x)| *value == f64::from(x)));
    });
}

#[test]
fn without_memory_files_faults_are_told_of_too() {
    alone_in(without_memory_files_faults_are_told_of_too, limited("trap '' XFSZ; ulimit -f 0"), |_| {
        let parallel = processes(2).on_error(OnError::Collect).timeout_per_task(Duration::from_secs(1)).batch_size(5);
        let outcome = parallel.outcome_list((0..40).map(|x| delayed!(gives_or_hangs(x, None, x == 25)))).unwrap();
        let failed: Vec<_> = outcome.failures().iter().map(|failure| (failure.index(), failure.kind())).collect();
        assert_eq!(failed, [(25, FailureKind::Timeout)], "{outcome:?}");
    });
}
