//! What many calls share goes to each worker once, and leaves nothing behind.

use std::fs;
use std::path::Path;

use larder::{Bulk, Payload, delayed};

use super::{Listed, alone, processes, wait_until, workers};

#[larder::task]
pub(super) fn at(x: usize, table: &Payload<Bulk<f64>>) -> (f64, bool) {
    (table[x], table.is_mapped())
}

#[larder::task]
fn word(x: usize, words: &Payload<Vec<String>>) -> String {
    words[x].clone()
}

/// How many mappings and descriptors of payloads this process has.
#[larder::task]
fn payloads_here() -> usize {
    count_payloads()
}

fn count_payloads() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let files = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let named = |name: &str| name.contains("larder-payload");
    maps.lines().filter(|line| named(line)).count() + files.filter(|file| named(&file.to_string_lossy())).count()
}

fn names_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_payload_is_encoded_once_and_mapped_by_every_worker() {
    alone(a_payload_is_encoded_once_and_mapped_by_every_worker, |place| {
        let parallel = || processes(2);
        let pids = workers(parallel(), place, 2);
        let table = Payload::new((0..100_000).map(f64::from).collect::<Bulk<f64>>());
        let mut mapped = 0;
        for encodings in [1, 0] {
            let outcome = parallel().outcome_list((0..200).map(|x| delayed!(at(x, &table)))).unwrap();
            let report = outcome.report().clone();
            assert_eq!(report.payload_encodings, encodings, "{report}");
            mapped += report.bytes_mapped;
            assert_eq!(report.bytes_encoded > 800_000, encodings == 1, "{report}");
            let expected: Vec<_> = (0..200).map(|x| (f64::from(x), true)).collect();
            assert_eq!(outcome.into_values().unwrap(), expected);
        }
        // Once by each worker, at most, and never copied.
        assert!((800_000..1_700_000).contains(&mapped), "{mapped}");
        // The only file is the program's own, and it is closed with the last clone; idle workers forget what they had.
        assert!(count_payloads() > 0);
        drop(table);
        assert_eq!(count_payloads(), 0);
        for round in 0..3 {
            let left = parallel().run_list((0..20).map(|_| delayed!(payloads_here()))).unwrap();
            assert!(left.iter().all(|count| *count == 0), "{round}: {left:?}");
        }
        assert_eq!(workers(parallel(), place, 2), pids, "the same workers had it and forgot it");
        assert_eq!(names_in(place), ["log"]);
    });
}

#[test]
fn payloads_of_every_size_cross_and_are_decoded() {
    alone(payloads_of_every_size_cross_and_are_decoded, |_| {
        for len in [1, 100, 10_000, 100_000] {
            let words = Payload::new((0..len).map(|x| format!("word {x}")).collect::<Vec<_>>());
            let outcome = processes(2).outcome_list((0..len.min(500)).map(|x| delayed!(word(x, &words)))).unwrap();
            assert_eq!(outcome.report().payload_encodings, 1, "{len}");
            let expected: Vec<_> = (0..len.min(500)).map(|x| format!("word {x}")).collect();
            assert_eq!(outcome.into_values().unwrap(), expected);
        }
    });
}

#[larder::task]
fn both(a: Payload<Vec<u32>>, b: &Payload<(Payload<Vec<u32>>, String)>) -> (bool, u32) {
    (Payload::ptr_eq(&a, &b.0), a.iter().sum())
}

#[test]
fn a_payload_within_another_is_the_same_one() {
    alone(a_payload_within_another_is_the_same_one, |_| {
        let inner = Payload::new(vec![1_u32; 50_000]);
        let outer = Payload::new((inner.clone(), "text".to_owned()));
        let outcome = processes(2).outcome_list((0..20).map(|_| delayed!(both(inner.clone(), &outer)))).unwrap();
        assert_eq!(outcome.report().payload_encodings, 2);
        assert_eq!(outcome.into_values().unwrap(), vec![(true, 50_000); 20]);
    });
}

#[test]
fn a_worker_that_took_the_place_of_another_gets_the_payload_too() {
    alone(a_worker_that_took_the_place_of_another_gets_the_payload_too, |place| {
        let table = Payload::new((0..100_000).map(f64::from).collect::<Bulk<f64>>());
        let parallel = processes(2).max_tasks_per_worker(10);
        let outcome = parallel.outcome_list((0..100).map(|x| delayed!(at(x, &table)))).unwrap();
        let report = outcome.report().clone();
        assert!(report.payload_encodings == 1 && report.workers_started >= 10, "{report}");
        assert!(report.bytes_mapped >= 10 * 800_000, "{report}");
        let expected: Vec<_> = (0..100).map(|x| (f64::from(x), true)).collect();
        assert_eq!(outcome.into_values().unwrap(), expected);
        drop(table);
        wait_until("the payload is gone from this process", || count_payloads() == 0);
        assert_eq!(names_in(place), [""; 0]);
    });
}

#[test]
fn no_file_is_left_where_files_could_be() {
    use crate::child::this_program;
    use std::process::Command;

    let mut command = Command::new(this_program());
    // The child itself makes no folder: all that it finds there is the library's.
    let temporary = crate::child::role().is_none().then(|| tempfile::tempdir().unwrap());
    command.envs(temporary.as_ref().map(|folder| ("TMPDIR", folder.path())));
    super::alone_in(no_file_is_left_where_files_could_be, command, |_| {
        let table = Payload::new((0..100_000).map(f64::from).collect::<Bulk<f64>>());
        assert_eq!(processes(2).run_list((0..50).map(|x| delayed!(at(x, &table)))).unwrap().len(), 50);
        let large = processes(2).run_list((0..4).map(|_| delayed!(super::ramp(100_000)))).unwrap();
        assert_eq!(large.len(), 4);
        // While all of it is there as well as afterwards.
        assert_eq!(names_in(&std::env::temp_dir()), [""; 0]);
    });
    let Some(temporary) = temporary else { return };
    assert_eq!(names_in(temporary.path()), [""; 0]);
    let shared =
        fs::read_dir("/dev/shm").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    assert_eq!(shared.filter(|name| name.contains("larder")).collect::<Vec<_>>(), [""; 0]);
}

/// Whether the payload is a part of a file in this folder, with the first of its numbers.
#[cfg(target_os = "linux")]
#[larder::task]
fn lies_in(folder: String, table: &Payload<Bulk<f64>>) -> (bool, bool, f64) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (table.is_mapped(), maps.lines().any(|line| line.contains(&folder)), table[1])
}

#[cfg(target_os = "linux")]
#[test]
fn a_payload_lies_in_the_folder_that_was_named_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    // A payload each, since one that has crossed stays where it is; and equal ones are one.
    let table = |first: f64| Payload::new((0..100_000).map(|x| f64::from(x) * first).collect::<Bulk<f64>>());
    let run = |parallel: larder::Parallel, first: f64| {
        let table = table(first);
        let calls: Vec<_> = (0..10).map(|_| delayed!(lies_in(path.clone(), &table))).collect();
        let found = parallel.run(calls).unwrap();
        assert!(found.iter().all(|one| *one == found[0] && one.2 == first), "{found:?}");
        (found[0].0, found[0].1)
    };
    assert_eq!(run(processes(2), 0.5), (true, false), "in memory, unless a folder is named");
    assert_eq!(run(processes(2).temp_folder(&path), 0.25), (true, true));
    let scoped = larder::config().temp_folder(&path).scope(|| run(processes(2), 0.125));
    assert_eq!(scoped, (true, true), "a scope names it too");
    assert_eq!(names_in(folder.path()), [""; 0], "there is no name to be left behind");

    let none = folder.path().join("none");
    let error = processes(2).temp_folder(&none).run([delayed!(payloads_here())]).unwrap_err();
    let words = error.to_string();
    assert!(error.is_invalid_option() && words.contains("`temp_folder` is") && words.contains("none"), "{words}");
}
