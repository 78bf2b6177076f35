//! "Same meaning": what earlier code stored answers for the code that is there now, once a sample agreed; and nothing changes
//! where one differs.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use larder::store::VolatileStore;
use larder::{Bless, Explanation, Memory};

use crate::support::{busy, hit, miss, open, open_telling};

/// Two codes of one function in one program: in two blocks of a test, their paths are the same.
macro_rules! codes {
    ($memory:expr, $name:ident: $([$($function:tt)*])+) => {
        ($({
            #[larder::task]
            $($function)*
            $memory.cached::<$name>()
        },)+)
    };
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("there is room")
}

#[test]
fn entries_of_earlier_code_answer_once_a_sample_agreed() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    (0..100).for_each(|x| assert_eq!(old.call((x,)), x + 1));
    assert!(matches!(new.explain((7,)), Explanation::CodeChanged { .. }));
    let blessed = new.bless(&Bless::new().by("ana")).unwrap();
    assert_eq!((blessed.entries, blessed.sampled, blessed.without_arguments), (100, 32, 0));
    assert_eq!((blessed.by.as_str(), blessed.from.len()), ("ana", 1));
    assert_eq!(
        blessed.to_string(),
        format!(
            "100 entries of earlier code answer for `{}` now; 0 of 32 differ: at 95 % fewer than 9 % of all entries would",
            blessed.function
        )
    );

    let Explanation::Hit(entry) = new.explain((7,)) else { panic!("{}", new.explain((7,))) };
    let blessing = entry.blessed.expect("it is another code's");
    assert_eq!((blessing.by.as_str(), blessing.sampled, blessing.agreed, blessing.entries), ("ana", 32, 32, 100));
    assert!(new.explain((7,)).to_string().contains(" by other code, blessed by ana on 20"), "{}", new.explain((7,)));
    assert!(new.check_call_in_cache((7,)) && !new.check_call_in_cache((1000,)));
    hit!(memory, hits_index, new.call((7,)), 8);
    hit!(memory, hits_hot, new.call((7,)), 8);
    assert_eq!(memory.stats().hits_blessed, 2, "in memory it is another code's as well");
    let shelved = new.call_and_shelve((8,)).expect("it is stored");
    assert_eq!((shelved.get().unwrap(), memory.stats().hits_blessed), (9, 3));
    // Its handle is one to the entry that answered.
    shelved.clear().unwrap();
    miss!(memory, Forgotten, new.call((8,)), 9);
    // The earlier code has its own entries, as before.
    hit!(memory, hits_index, old.call((9,)), 10);
    assert_eq!(memory.stats().hits_blessed, 3);
    miss!(memory, NeverSeen, new.call((1000,)), 1001);

    drop((old, new, memory));
    let memory = open(dir.path());
    assert_eq!(memory.blessings(&blessed.function).unwrap(), [blessing]);
    let totals = memory.totals().unwrap();
    assert_eq!((totals.blessed, totals.hits, totals.entries), (3, 4, 101));
    let used: u64 = memory.entries_of(&blessed.function).map(|entry| entry.unwrap().hits).sum();
    assert_eq!(used, 3, "the uses are the earlier entries', as far as these are there");
}

#[test]
fn what_is_loaded_so_says_so() {
    let dir = temporary();
    let (memory, lines) = open_telling(dir.path(), 2);
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    old.call((3,));
    new.bless(&Bless::new()).unwrap();
    new.call((3,));
    new.call((3,));
    let loading: Vec<_> = lines.all().into_iter().filter(|line| line.contains("Loading")).collect();
    assert_eq!(
        loading,
        [
            "[Memory] Loading edited(x = 3) from the index, blessed",
            "[Memory] Loading edited(x = 3) from memory, blessed"
        ]
    );
}

#[test]
fn one_result_that_differs_changes_nothing() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited:
        [fn edited(x: u64) -> u64 { x + 1 }]
        [fn edited(x: u64) -> u64 { if x == 77 { 0 } else { x + 1 } }]);
    (0..100).for_each(|x| _ = old.call((x,)));
    let error = new.bless(&Bless::new().sample(100)).unwrap_err();
    let difference = error.difference().expect("a result differs");
    assert_eq!((difference.old.as_str(), difference.new.as_str()), ("78", "0"));
    assert_eq!(difference.call, "edited(x = 77)");
    assert!(error.to_string().contains("edited(x = 77) was 78 and is 0 now"), "{error}");
    miss!(memory, CodeChanged, new.call((5,)), 6);
    assert_eq!(memory.blessings(memory.functions().unwrap()[0].name.as_str()).unwrap(), []);
    assert!(!new.unbless().unwrap(), "there is nothing to undo");
}

#[test]
fn a_panic_and_an_err_differ() {
    let memory = Memory::with_store(VolatileStore::default());
    let (old, new) = codes!(memory, edited:
        [fn edited(x: u64) -> u64 { x + 1 }]
        [fn edited(x: u64) -> u64 { assert!(x > 100, "too small"); x + 1 }]);
    old.call((3,));
    let error = new.bless(&Bless::new()).unwrap_err();
    let new_text = &error.difference().expect("it panics").new;
    assert!(new_text.starts_with("a panic: too small (at "), "{new_text}");

    let (old, new) = codes!(memory, fallible:
        [fn fallible(x: u64) -> Result<u64, String> { Ok(x) }]
        [fn fallible(x: u64) -> Result<u64, String> { Err(x.to_string()) }]);
    old.call((3,)).unwrap();
    let error = new.bless(&Bless::new()).unwrap_err();
    assert_eq!(error.difference().expect("it fails").new, "nothing to store: the result is an error");
}

#[test]
fn a_blessing_is_undone_without_a_trace() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    (0..10).for_each(|x| _ = old.call((x,)));
    let function = new.bless(&Bless::new()).unwrap().function;
    hit!(memory, hits_index, new.call((1,)), 2);
    assert!(new.unbless().unwrap());
    miss!(memory, CodeChanged, new.call((1,)), 2);
    miss!(memory, CodeChanged, new.call((2,)), 3);
    hit!(memory, hits_index, old.call((2,)), 3);
    // By name, as the tool does it.
    new.bless(&Bless::new()).unwrap();
    assert_eq!(memory.unbless(&function).unwrap().len(), 1);
    assert_eq!(memory.unbless(&function).unwrap(), []);
    miss!(memory, CodeChanged, new.call((3,)), 4);
}

#[test]
fn a_call_that_is_forgotten_is_computed_by_either_code() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    (0..3).for_each(|x| _ = old.call((x,)));
    new.bless(&Bless::new()).unwrap();
    hit!(memory, hits_index, new.call((1,)), 2);
    assert!(new.forget((1,)).unwrap());
    assert!(matches!(new.explain((1,)), Explanation::Removed(_)), "{}", new.explain((1,)));
    miss!(memory, Forgotten, new.call((1,)), 2);
    miss!(memory, Forgotten, old.call((1,)), 2);
    assert!(new.forget((2,)).unwrap() && !new.forget((2,)).unwrap());
    // What is removed with all others takes the blessing along.
    assert!(new.clear().unwrap() > 0);
    old.call((0,));
    miss!(memory, CodeChanged, new.call((0,)), 1);
}

#[test]
fn what_answered_for_the_earlier_code_answers_for_the_next() {
    let dir = temporary();
    let memory = open(dir.path());
    let (first, second, third) = codes!(memory, edited:
        [fn edited(x: u64) -> u64 { x + 1 }]
        [fn edited(x: u64) -> u64 { 1 + x }]
        [fn edited(x: u64) -> u64 { x.saturating_add(1) }]);
    (0..10).for_each(|x| _ = first.call((x,)));
    second.bless(&Bless::new()).unwrap();
    (10..15).for_each(|x| _ = second.call((x,)));
    let blessed = third.bless(&Bless::new()).unwrap();
    assert_eq!((blessed.entries, blessed.sampled, blessed.from.len()), (15, 15, 2));
    assert!(blessed.bound().ends_with("and these are all"), "{}", blessed.bound());
    hit!(memory, hits_index, third.call((3,)), 4);
    hit!(memory, hits_index, third.call((12,)), 13);
    // Each blessing is its own.
    second.unbless().unwrap();
    hit!(memory, hits_index, third.call((4,)), 5);
    assert!(third.unbless().unwrap());
    miss!(memory, CodeChanged, third.call((5,)), 6);
}

#[test]
fn what_earlier_code_stores_later_is_not_covered() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited:
        [fn edited(x: u64) -> u64 { x + 1 }]
        [fn edited(x: u64) -> u64 { 1 + x }]);
    old.call((1,));
    new.bless(&Bless::new()).unwrap();
    // The clock of entries counts in milliseconds.
    busy(Duration::from_millis(5));
    old.call((2,));
    hit!(memory, hits_index, new.call((1,)), 2);
    miss!(memory, CodeChanged, new.call((2,)), 3);
    // Blessed again, they are.
    old.call((3,));
    assert_eq!(new.bless(&Bless::new()).unwrap().entries, 3);
    hit!(memory, hits_index, new.call((3,)), 4);
}

#[test]
fn an_entry_is_judged_as_it_is() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    (0..3).for_each(|x| _ = old.call((x,)));
    let function = new.bless(&Bless::new()).unwrap().function;
    let choosy = memory.bless(&function, &Bless::new());
    assert!(choosy.is_ok(), "by its name too: {choosy:?}");
    let (_, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    let expiring = new.expires_after(Duration::ZERO);
    assert!(matches!(expiring.explain((1,)), Explanation::Expired { .. }), "{}", expiring.explain((1,)));
    miss!(memory, Expired, expiring.call((1,)), 2);
    let error = expiring.bless(&Bless::new()).unwrap_err();
    assert!(error.is_nothing(), "what has expired answers for nothing: {error}");
    let own = expiring.expires_after(Duration::from_secs(3600)).validate(|entry| entry.blessed.is_none());
    miss!(memory, Rejected, own.call((2,)), 3);
}

#[test]
fn maps_are_equal_in_any_order() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, counted:
    [fn counted(words: HashMap<String, u64>, options: serde_json::Value) -> HashMap<String, u64> {
        let more = options["more"].as_u64().unwrap_or(0);
        words.into_iter().map(|(word, count)| (word, count + more)).collect()
    }]
    [fn counted(words: HashMap<String, u64>, options: serde_json::Value) -> HashMap<String, u64> {
        let mut words: Vec<_> = words.into_iter().collect();
        words.sort();
        let mut counted = HashMap::with_capacity(1000);
        for (word, count) in words {
            counted.insert(word, options["more"].as_u64().unwrap_or(0) + count);
        }
        counted
    }]);
    for more in 0..5_u64 {
        let words = (0..20).map(|number| (format!("word {number}"), number)).collect();
        old.call((words, serde_json::json!({ "more": more })));
    }
    let blessed = new.bless(&Bless::new()).unwrap();
    assert_eq!((blessed.sampled, blessed.without_arguments), (5, 0), "a value that describes itself is kept too");
}

#[test]
fn arguments_that_are_not_in_the_key_are_kept() {
    let dir = temporary();
    let memory = open(dir.path());
    let old = {
        #[larder::cached(task, ignore(unit))]
        fn measured(x: u64, unit: &str) -> String {
            format!("{x} {unit}")
        }
        memory.cached::<measured>()
    };
    #[larder::cached(task, ignore(unit))]
    fn measured(x: u64, unit: &str) -> String {
        [&x.to_string(), " ", unit].concat()
    }
    let new = memory.cached::<measured>();
    old.call((3, "km"));
    new.bless(&Bless::new()).unwrap();
    hit!(memory, hits_index, new.call((3, "miles")), "3 km");
}

#[test]
fn a_function_that_reads_a_file_is_blessed_as_long_as_the_file_stays() {
    let dir = temporary();
    let memory = open(dir.path());
    let old = {
        #[larder::task(depends(file = "rustfmt.toml"))]
        fn lines(from: usize) -> usize {
            fs::read_to_string("rustfmt.toml").unwrap().lines().skip(from).count()
        }
        memory.cached::<lines>()
    };
    #[larder::task(depends(file = "rustfmt.toml"))]
    fn lines(from: usize) -> usize {
        let text = fs::read_to_string("rustfmt.toml").unwrap();
        text.lines().count().saturating_sub(from)
    }
    let new = memory.cached::<lines>();
    (0..3).for_each(|from| _ = old.call((from,)));
    let blessed = new.bless(&Bless::new()).unwrap();
    assert_eq!((blessed.sampled, blessed.without_arguments), (3, 0));
    let before = memory.stats().hits_blessed;
    new.call((1,));
    assert_eq!(memory.stats().hits_blessed - before, 1);
}

#[test]
fn long_arguments_are_not_kept() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, summed:
        [fn summed(numbers: Vec<f64>) -> f64 { numbers.iter().sum() }]
        [fn summed(numbers: Vec<f64>) -> f64 { numbers.iter().fold(0.0, |sum, number| sum + number) }]);
    old.call((vec![1.0; 10_000],));
    let error = new.bless(&Bless::new()).unwrap_err();
    assert!(error.to_string().contains("none of the 1 entries") && error.to_string().contains("4 KiB"), "{error}");
    (0..4).for_each(|number| _ = old.call((vec![f64::from(number); 400],)));
    let blessed = new.bless(&Bless::new()).unwrap();
    assert_eq!((blessed.entries, blessed.sampled, blessed.without_arguments), (5, 4, 1));
    assert!(blessed.to_string().ends_with("(1 keep no arguments and could not be among them)"), "{blessed}");
    assert_eq!(blessed.bound(), "0 of 4 differ: at 95 % fewer than 53 % of all entries would");
    hit!(memory, hits_index, new.call((vec![1.0; 10_000],)), 10_000.0);
}

#[test]
fn what_cannot_be_blessed_is_said() {
    let dir = temporary();
    let memory = open(dir.path());
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    let words = |error: larder::BlessError| error.to_string();
    let none = new.bless(&Bless::new()).unwrap_err();
    assert!(none.is_nothing() && words(none).contains("has no entries of other code"));
    new.call((1,));
    assert!(new.bless(&Bless::new()).unwrap_err().is_nothing(), "they are its own");
    let code = memory.functions().unwrap()[0].codes[0].fingerprint.clone().unwrap();
    assert!(words(new.bless(&Bless::new().from(&code[..8])).unwrap_err()).contains("has this code now"));
    old.call((1,));
    assert!(words(new.bless(&Bless::new().from("00000000")).unwrap_err()).contains("no entries of a code `00000000`"));
    assert!(new.bless(&Bless::new().from("xyz")).unwrap_err().is_invalid_option());
    assert!(new.bless(&Bless::new().sample(0)).unwrap_err().is_invalid_option());
    assert!(words(memory.bless("edited", &Bless::new()).unwrap_err()).contains("is it `"), "a name without its path");
    assert!(memory.bless("nobody::knows_me", &Bless::new()).unwrap_err().is_nothing());
    assert!(words(Memory::disabled().bless("edited", &Bless::new()).unwrap_err()).contains("task"));

    #[larder::cached]
    fn unregistered(x: u64) -> u64 {
        x
    }
    let error = memory.cached::<unregistered>().bless(&Bless::new()).unwrap_err();
    assert!(words(error).contains("#[larder::cached(task)]"));
    let reader = Memory::open_read_only(dir.path()).unwrap();
    let (_, new) = codes!(reader, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    assert!(words(new.bless(&Bless::new()).unwrap_err()).contains("reading only"));
}

#[test]
fn calls_that_have_other_keys_now_are_found_out() {
    let dir = temporary();
    let memory = open(dir.path());
    let old = {
        #[larder::task]
        fn measured(x: u64, unit: String) -> String {
            format!("{x} {unit}")
        }
        memory.cached::<measured>()
    };
    #[larder::cached(task, ignore(unit))]
    fn measured(x: u64, unit: String) -> String {
        [&x.to_string(), " ", &unit].concat()
    }
    let new = memory.cached::<measured>();
    old.call((3, "km".to_owned()));
    let error = new.bless(&Bless::new()).unwrap_err();
    assert!(error.to_string().contains("have other keys now"), "{error}");
    assert!(error.to_string().contains("measured(x = 3, unit = \"km\")"), "{error}");
}

#[test]
fn arguments_outlive_the_index() {
    let dir = temporary();
    let cache = dir.path().join("cache");
    let memory = open(&cache);
    let (old, new) = codes!(memory, large:
        [fn large(x: u64) -> Vec<u64> { vec![x; 1000] }]
        [fn large(x: u64) -> Vec<u64> { std::iter::repeat_n(x, 1000).collect() }]);
    (0..5).for_each(|x| _ = old.call((x,)));
    drop((old, new, memory));
    fs::remove_dir_all(cache.join("index")).unwrap();
    fs::remove_file(cache.join("index.closed")).unwrap();
    let memory = open(&cache);
    let (_, new) = codes!(memory, large:
        [fn large(x: u64) -> Vec<u64> { vec![x; 1000] }]
        [fn large(x: u64) -> Vec<u64> { std::iter::repeat_n(x, 1000).collect() }]);
    assert_eq!(new.bless(&Bless::new()).unwrap().sampled, 5);
    hit!(memory, hits_blob, new.call((3,)), vec![3; 1000]);
    assert_eq!(memory.stats().hits_blessed, 1);

    // And in a file that goes elsewhere.
    let mut file = Vec::new();
    memory.export(&[], &mut file).unwrap();
    let other = open(&dir.path().join("other"));
    other.import(&file[..]).unwrap();
    let (_, new) = codes!(other, large:
        [fn large(x: u64) -> Vec<u64> { vec![x; 1000] }]
        [fn large(x: u64) -> Vec<u64> { std::iter::repeat_n(x, 1000).collect() }]);
    assert!(matches!(new.explain((3,)), Explanation::CodeChanged { .. }), "blessings stay where they are");
    assert_eq!(new.bless(&Bless::new()).unwrap().sampled, 5);
}

#[test]
fn any_store_with_notes_will_do() {
    let memory = Memory::with_store(VolatileStore::default());
    let (old, new) = codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
    (0..40).for_each(|x| _ = old.call((x,)));
    assert_eq!(new.bless(&Bless::new()).unwrap().entries, 40);
    new.call((3,));
    assert_eq!(memory.stats().hits_blessed, 1);
}

#[cfg(all(unix, feature = "auto-worker"))]
mod in_other_processes {
    use larder::{Backend, Parallel, delayed};

    use super::*;

    #[test]
    fn a_run_on_processes_finds_them() {
        let dir = temporary();
        let memory = open(dir.path());
        let old = {
            #[larder::task]
            fn edited(x: u64) -> u64 {
                x + 1
            }
            memory.cached::<edited>()
        };
        #[larder::task]
        fn edited(x: u64) -> u64 {
            1 + x
        }
        (0..20).for_each(|x| _ = old.call((x,)));
        memory.cached::<edited>().bless(&Bless::new()).unwrap();
        for backend in [Backend::Threads, Backend::Processes] {
            let before = memory.stats();
            let parallel = Parallel::new().n_jobs(2).backend(backend).memory(&memory);
            let values = parallel.run((0..20).map(|x| delayed!(edited(x)))).unwrap();
            assert_eq!(values, (1..21).collect::<Vec<_>>());
            let after = memory.stats();
            assert_eq!((after.misses() - before.misses(), after.hits_blessed - before.hits_blessed), (0, 20));
        }
    }

    /// In a program that another serves.
    #[test]
    fn a_guest_finds_them() {
        let dir = temporary();
        let memory = open(dir.path());
        let old = {
            #[larder::task]
            fn edited(x: u64) -> u64 {
                x + 1
            }
            memory.cached::<edited>()
        };
        #[larder::task]
        fn edited(x: u64) -> u64 {
            1 + x
        }
        #[larder::task]
        fn as_guest(cache: &str, x: u64) -> (u64, u64, u64) {
            let memory = Memory::open(cache).expect("it is served");
            let value = memory.cached::<edited>().call((x,));
            (value, memory.stats().misses(), memory.stats().hits_blessed)
        }
        old.call((3,));
        let blessed = memory.cached::<edited>().bless(&Bless::new()).unwrap();
        assert_eq!(blessed.entries, 1);
        let cache = dir.path().to_str().unwrap();
        let parallel = Parallel::new().n_jobs(2).backend(Backend::Processes);
        let found = parallel.run([delayed!(as_guest(cache, 3))]).unwrap();
        assert_eq!(found, [(4, 0, 1)]);
    }
}

/// The tool starts the program that has the function: this one, which has both codes.
#[cfg(all(unix, feature = "auto-worker", feature = "cli"))]
mod by_the_tool {
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use serde_json::Value;

    use super::*;

    fn tool(cache: &Path, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command.env_remove("LARDER_CACHE").env("USER", "ana").stdin(Stdio::null());
        command.arg("--cache").arg(cache).args(args).output().expect("the tool starts")
    }

    /// What it prints, where it ends so.
    #[track_caller]
    fn ends(code: i32, output: Output) -> (String, String) {
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "out: {out}\nerr: {err}");
        (out, err)
    }

    fn document(output: Output) -> Value {
        let code = output.status.code().unwrap();
        serde_json::from_str(&ends(code, output).0).unwrap()
    }

    #[test]
    fn a_function_is_blessed_and_that_is_undone() {
        let dir = temporary();
        let cache = dir.path();
        let codes = |memory: &Memory| {
            codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 {
                println!("computed again");
                1 + x
            }])
        };
        let memory = open(cache);
        let old = codes(&memory).0;
        (0..50).for_each(|x| _ = old.call((x,)));
        let function = memory.functions().unwrap()[0].name.clone();
        drop((old, memory));

        // The program noted itself; what it prints is no part of the answer.
        let (out, err) = ends(0, tool(cache, &["bless", &function, "--sample", "8"]));
        assert!(
            out.starts_with(&format!("50 entries of earlier code answer for `{function}` now; 0 of 8 differ")),
            "{out}"
        );
        assert_eq!(err.matches("computed again").count(), 8, "{err}");
        let memory = open(cache);
        let new = codes(&memory).1;
        hit!(memory, hits_index, new.call((3,)), 4);
        assert_eq!(memory.stats().hits_blessed, 1);
        assert_eq!(memory.blessings(&function).unwrap()[0].by, "ana");
        drop((new, memory));

        let stats = document(tool(cache, &["stats", "--json"]));
        assert_eq!((&stats["blessed"], &stats["hits"]), (&1.into(), &1.into()));
        assert!(ends(0, tool(cache, &["stats"])).0.contains("1 (1 by entries of earlier code, blessed)"));
        let entries = document(tool(cache, &["ls", &function, "--json"]));
        let key = entries["entries"][0]["key"].as_str().unwrap().to_owned();
        let shown = document(tool(cache, &["show", &key, "--json"]));
        let answers = &shown["answers_for"][0];
        assert_eq!((&answers["by"], &answers["sampled"], &answers["agreed"]), (&"ana".into(), &8.into(), &8.into()));
        assert!(ends(0, tool(cache, &["show", &key])).0.contains(", blessed by ana on 20"));

        // While this program has the cache open, which then sees it within a second, or at once where it asks first.
        let memory = open(cache);
        let new = codes(&memory).1;
        let undone = document(tool(cache, &["bless", &function, "--undo", "--json"]));
        assert_eq!(undone["undone"][0]["entries"], 50);
        miss!(memory, CodeChanged, new.call((3,)), 4);
        assert!(ends(0, tool(cache, &["bless", &function, "--undo"])).0.contains("nothing is blessed"));
        let me = std::env::current_exe().unwrap();
        // By now both codes have entries.
        let (_, err) = ends(2, tool(cache, &["bless", &function]));
        assert!(err.contains("several functions") && err.contains("--from CODE"), "{err}");
        let code = &entries["entries"][0]["fingerprint"].as_str().unwrap()[..12];
        let again = ["bless", &function, "--from", code, "--program", me.to_str().unwrap(), "--by", "bo", "--json"];
        let blessed = document(tool(cache, &again));
        assert_eq!(
            (&blessed["entries"], &blessed["by"], &blessed["difference"]),
            (&50.into(), &"bo".into(), &Value::Null)
        );
    }

    #[test]
    fn a_result_that_differs_is_shown() {
        let dir = temporary();
        let cache = dir.path();
        let memory = open(cache);
        let (old, _) =
            codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { x + 2 }]);
        old.call((3,));
        let function = memory.functions().unwrap()[0].name.clone();
        let (out, _) = ends(1, tool(cache, &["bless", &function]));
        for words in ["nothing is blessed", "edited(x = 3)", "stored  4", "now     5"] {
            assert!(out.contains(words), "`{words}` is not in: {out}");
        }
        let output = tool(cache, &["bless", &function, "--json"]);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(document(output)["difference"]["new"], "5");
        assert_eq!(memory.blessings(&function).unwrap(), []);
    }

    #[test]
    fn what_cannot_be_started_is_said() {
        let dir = temporary();
        let cache = dir.path().join("cache");
        let memory = open(&cache);
        let (old, _) =
            codes!(memory, edited: [fn edited(x: u64) -> u64 { x + 1 }] [fn edited(x: u64) -> u64 { 1 + x }]);
        old.call((3,));
        memory.cached_fn("by hand", 1, |x: &u64| *x).call(&1);
        let function = &memory.functions().unwrap().into_iter().find(|known| !known.by_hand).unwrap().name;
        let me = std::env::current_exe().unwrap();
        let me = me.to_str().unwrap();
        let unmarked = dir.path().join("unmarked");
        fs::write(&unmarked, "no program of ours").unwrap();
        let rows: [(&[&str], i32, &str); 8] = [
            (&[function, "--program", "/nowhere/program"], 3, "`/nowhere/program` is not there"),
            (&[function, "--program", "/bin/sh"], 3, "has no entry for its workers: call `larder::init()`"),
            (&[function, "--program", unmarked.to_str().unwrap()], 3, "has no entry for its workers"),
            (&["by hand"], 3, "no program is known that has `by hand`"),
            (&["no::such", "--program", me], 1, "has no task `no::such`"),
            (&["edited", "--program", me], 1, "is it `"),
            (&[function, "--from", "123"], 2, "`123` is no code"),
            (&[function, "--sample", "0"], 2, "`sample` is 0"),
        ];
        for (args, code, words) in rows {
            let (out, err) = ends(code, tool(&cache, &[&["bless"], args].concat()));
            assert_eq!(out, "", "{args:?}");
            assert!(err.starts_with("larder: ") && err.contains(words), "{args:?}: `{words}` is not in: {err}");
        }
    }
}
