//! What decides a result beside a function's own words: files and variables that it reads, the toolchain, what it depends on;
//! and that a miss names what changed of it.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use larder::{Explanation, Function, Input, ItemChange, ItemChangeKind, Memory, MissReason, NotStoredReason, Task};

use crate::child::{self, ROLE, say, this_program};
use crate::support::{hit, miss, open, open_telling};

const VARIABLE: &str = "LARDER_TEST_CODE_MODEL";

static COMPUTED: AtomicU64 = AtomicU64::new(0);

fn computed<R>(result: R) -> R {
    COMPUTED.fetch_add(1, SeqCst);
    result
}

#[larder::task(depends(file = "data/model.bin", env = "LARDER_TEST_CODE_MODEL"))]
fn reads(x: u64) -> u64 {
    computed(x)
}

/// What another one reads counts too.
#[larder::task(depends(reads))]
fn asks_another(x: u64) -> u64 {
    computed(x)
}

#[larder::task(key = x % 10, depends(env = "LARDER_TEST_CODE_MODEL", file = "data/model.bin"))]
fn keyed(x: u64) -> u64 {
    computed(x)
}

#[larder::task(ignore(loud), depends(file = "data/model.bin", env = "LARDER_TEST_CODE_MODEL"))]
fn ignores(x: u64, loud: bool) -> u64 {
    let _ = loud;
    computed(x)
}

#[larder::task(depends(file = "data/model.bin"))]
fn writes(x: u64) -> std::io::Result<u64> {
    fs::create_dir_all("data")?;
    fs::write("data/model.bin", x.to_string())?;
    Ok(computed(x))
}

/// The cache of the child.
static MEMORY: LazyLock<Memory> = LazyLock::new(|| open(Path::new(&child::role().expect("only a child calls it").1)));

#[derive(serde::Serialize)]
struct Model;

impl Model {
    #[larder::cached(memory = MEMORY, depends(file = "data/model.bin", env = "LARDER_TEST_CODE_MODEL"))]
    fn score(&self, x: u64) -> u64 {
        computed(x)
    }
}

fn child_test() -> &'static str {
    let test = concat!(module_path!(), "::child_calls_in_its_directory");
    test.split_once("::").map_or(test, |(_, within)| within)
}

/// Whether a call ran the function.
fn ran<R>(call: impl FnOnce() -> R) -> &'static str {
    let before = COMPUTED.load(SeqCst);
    call();
    if COMPUTED.load(SeqCst) > before { "computed" } else { "loaded" }
}

/// Not a test of its own: a program with a current directory and variables as a row below has them.
#[test]
fn child_calls_in_its_directory() {
    let Some((role, place)) = child::role() else { return };
    let (memory, lines) = open_telling(Path::new(&place), 0);
    let said = |what: &str, words: &dyn Debug| say(&format!("said {what} {words:?}"));
    match role.as_str() {
        "calls" => {
            said("why", &memory.cached::<reads>().explain((7,)).to_string());
            said("reads", &ran(|| memory.cached::<reads>().call((7,))));
            said("asks_another", &ran(|| memory.cached::<asks_another>().call((7,))));
            said("keyed", &ran(|| memory.cached::<keyed>().call((7,))));
            said("ignores", &ran(|| memory.cached::<ignores>().call((7, true))));
            said("score", &ran(|| Model.score(7)));
            // Alike, whatever is not in the key.
            said("keyed again", &ran(|| memory.cached::<keyed>().call((17,))));
            said("warnings", &lines.warnings());
            said("no key", &memory.stats().misses_for(MissReason::NoKey));
        }
        "writes" => {
            let calls: Vec<_> = (0..3).map(|_| ran(|| memory.cached::<writes>().call((7,)).unwrap())).collect();
            said("calls", &calls);
            said("changed", &memory.stats().not_stored_for(NotStoredReason::InputChanged));
        }
        role => panic!("{role}"),
    }
}

/// Starts the child in a directory, and answers what it said.
fn said_in(dir: &Path, role: &str, value: Option<&std::ffi::OsStr>) -> Vec<(String, String)> {
    let mut command = Command::new(this_program());
    command.args(["--exact", child_test(), "--nocapture"]).current_dir(dir);
    command.env(ROLE, format!("{role} {}", dir.join("cache").display())).env_remove(VARIABLE);
    if let Some(value) = value {
        command.env(VARIABLE, value);
    }
    let output = command.output().expect("this program can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let said = text.lines().filter_map(|line| {
        let (what, words) = line.strip_prefix("said ")?.split_at(line[5..].find(['"', '[']).unwrap_or(line.len() - 6));
        Some((what.trim().to_owned(), words.trim_matches('"').to_owned()))
    });
    said.collect()
}

/// What a row makes of the world.
struct World {
    file: Option<&'static [u8]>,
    variable: Option<&'static [u8]>,
}

const BARE: World = World { file: None, variable: None };

#[cfg(unix)]
#[test]
fn what_a_function_reads_is_in_its_key() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    const LONG: &[u8] = &[b'x'; 500];
    let new = "computed";
    let rows: &[(&str, World, &str, &str)] = &[
        ("at first", BARE, new, "never seen"),
        ("as it was", BARE, "loaded", "it would be loaded: "),
        (
            "the file appears",
            World { file: Some(b"one"), ..BARE },
            new,
            "file `data/model.bin` was missing (the nearest",
        ),
        ("as it was", World { file: Some(b"one"), ..BARE }, "loaded", "it would be loaded: "),
        (
            "of the same length",
            World { file: Some(b"two"), ..BARE },
            new,
            "file `data/model.bin` changed (the nearest ",
        ),
        ("empty", World { file: Some(b""), ..BARE }, new, "file `data/model.bin` changed (the nearest "),
        ("back to what it was", World { file: Some(b"one"), ..BARE }, "loaded", "it would be loaded: "),
        ("the file is gone", BARE, "loaded", "it would be loaded: "),
        (
            "the variable is set",
            World { variable: Some(b"a"), ..BARE },
            new,
            "env `LARDER_TEST_CODE_MODEL`: unset -> `a` (the nearest ",
        ),
        (
            "to another value",
            World { variable: Some(b"b"), ..BARE },
            new,
            "env `LARDER_TEST_CODE_MODEL`: `a` -> `b` (the nearest ",
        ),
        (
            "to nothing",
            World { variable: Some(b""), ..BARE },
            new,
            "env `LARDER_TEST_CODE_MODEL`: `b` -> `` (the nearest ",
        ),
        ("as it was", World { variable: Some(b"a"), ..BARE }, "loaded", "it would be loaded: "),
        (
            "to what is no text",
            World { variable: Some(b"\xff"), ..BARE },
            new,
            "env `LARDER_TEST_CODE_MODEL`: `` -> `\u{fffd}` (the nearest ",
        ),
        (
            "to other bytes that show alike",
            World { variable: Some(b"\xfe"), ..BARE },
            new,
            "env `LARDER_TEST_CODE_MODEL`: `\u{fffd}` [",
        ),
        ("to much", World { variable: Some(LONG), ..BARE }, new, "env `LARDER_TEST_CODE_MODEL`: `\u{fffd}` -> `xxxx"),
        (
            "both",
            World { file: Some(b"one"), variable: Some(b"a") },
            new,
            // The one or the other, whichever was stored last.
            "file `data/model.bin` was missing (the nearest ",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let path = dir.path().join("data/model.bin");
    for (what, world, expected, why) in rows {
        match world.file {
            Some(content) => fs::write(&path, content).unwrap(),
            None => drop(fs::remove_file(&path)),
        }
        let said = said_in(dir.path(), "calls", world.variable.map(OsStr::from_bytes));
        let of = |name: &str| said.iter().find(|(what, _)| what == name).map_or("nothing", |(_, words)| words);
        assert!(of("why").starts_with(why), "{what}: {said:?}");
        assert!(!of("why").contains(&"x".repeat(100)), "{what}: {said:?}");
        for name in ["reads", "asks_another", "keyed", "ignores", "score"] {
            assert_eq!(of(name), *expected, "{what}, of `{name}`: {said:?}");
        }
        assert_eq!((of("keyed again"), of("warnings")), ("loaded", "[]"), "{what}");
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_no_key_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("data/model.bin")).unwrap();
    let said = said_in(dir.path(), "calls", None);
    let of = |name: &str| said.iter().find(|(what, _)| what == name).map_or("nothing", |(_, words)| words);
    assert!(of("why").starts_with("there is no key: `data/model.bin`, which it depends on, is no file"), "{said:?}");
    assert_eq!((of("reads"), of("keyed again"), of("score")), ("computed", "computed", "computed"));
    let warnings = of("warnings");
    // Once of each function, in the memory of this program.
    assert_eq!(warnings.matches("has no key, so it is computed: `data/model.bin`").count(), 4, "{said:?}");
}

/// What it had read was kept under the key of what it left behind.
#[test]
fn what_changes_while_a_function_runs_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let said = said_in(dir.path(), "writes", None);
    let [(_, calls), (_, changed)] = &said[..] else { panic!("{said:?}") };
    // The second one finds what the first one wrote, and leaves it as it is.
    assert_eq!(calls, r#"["computed", "computed", "loaded"]"#);
    assert_eq!(changed, "1");
}

// ---- what changed of the code

fn items(explanation: &Explanation) -> Vec<String> {
    match explanation {
        Explanation::CodeChanged { items, .. } => items.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

/// The file of these functions, as lists of code have it.
fn place() -> &'static str {
    file!()
}

#[test]
fn the_toolchain_is_in_the_key_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    {
        #[larder::task]
        fn built(x: u64) -> u64 {
            x
        }
        const { assert!(!built::TOOLCHAIN) };
        memory.cached::<built>().call((1,));
    }
    let package = module_path!().split("::").next().unwrap();
    {
        #[larder::task(toolchain = true)]
        fn built(x: u64) -> u64 {
            x
        }
        const { assert!(built::TOOLCHAIN) };
        let built = memory.cached::<built>();
        let why = built.explain((1,));
        assert_eq!(items(&why), [format!("`toolchain` in the build of {package} is new")]);
        assert!(why.to_string().starts_with("the code changed: `toolchain` in the build of "), "{why}");
        miss!(memory, CodeChanged, built.call((1,)), 1);
        hit!(memory, hits_hot, built.call((1,)), 1);
    }
    #[larder::task]
    fn built(x: u64) -> u64 {
        x
    }
    hit!(memory, hits_hot, memory.cached::<built>().call((1,)), 1);
}

#[test]
fn a_miss_names_the_function_that_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (memory, lines) = open_telling(dir.path(), 2);
    {
        #[larder::task]
        fn step(x: u64) -> u64 {
            x + 1
        }
        #[larder::task(depends(step))]
        fn walked(x: u64) -> u64 {
            step(x) * 2
        }
        memory.cached::<walked>().call((1,));
        // The newest code, so far.
        let entry = memory.entries_of(Memory::functions(&memory).unwrap()[0].name.as_str()).next().unwrap().unwrap();
        assert_eq!(memory.items_changed_since(&entry).unwrap(), None);
    }
    #[larder::task(version = 1)]
    fn step(x: u64) -> u64 {
        x + 2
    }
    #[larder::task(depends(step))]
    fn walked(x: u64) -> u64 {
        step(x) * 2
    }
    let walked = memory.cached::<walked>();
    let why = walked.explain((1,));
    let expected = [format!("`fn step` in {}", place()), format!("`version of step` in {} is new", module_path!())];
    assert_eq!(items(&why), expected);
    let start = format!("the code changed: `fn step` in {} (and 1 more) (the entry was stored ", place());
    assert!(why.to_string().starts_with(&start), "{why}");
    miss!(memory, CodeChanged, walked.call((1,)), 6);
    let told = lines.all();
    let told = told.iter().rfind(|line| line.starts_with("[Memory] Computing")).unwrap();
    assert!(told.starts_with(&format!("[Memory] Computing walked(x = 1): {start}")), "{told}");
    walked.call((2,));

    // The same of the entries, for who looks through them.
    let entries: Vec<_> = memory.entries().map(Result::unwrap).collect();
    let changes: Vec<_> = entries.iter().map(|entry| memory.items_changed_since(entry).unwrap()).collect();
    assert_eq!(changes.iter().flatten().count(), 1, "{changes:?}");
    let changes: &Vec<ItemChange> = changes.iter().flatten().next().unwrap();
    assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    assert_eq!((changes[0].kind, changes[1].kind), (ItemChangeKind::Changed, ItemChangeKind::Added));
    assert_eq!((changes[0].name.as_str(), changes[0].place.as_str()), ("fn step", place()));
}

#[test]
fn an_observed_run_is_told_what_changed() {
    use std::sync::{Arc, Mutex};
    type Told = Vec<(MissReason, Option<String>)>;
    struct Misses(Arc<Mutex<Told>>);
    impl larder::Observer for Misses {
        fn event(&self, event: &larder::Event<'_>) {
            if let larder::EventKind::CacheMiss { reason, changed, .. } = &event.kind {
                self.0.lock().unwrap().push((*reason, changed.clone()));
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    {
        #[larder::task]
        fn edited(x: u64) -> u64 {
            x
        }
        memory.cached::<edited>().call((1,));
    }
    #[larder::task]
    fn edited(x: u64) -> u64 {
        x + 1
    }
    let told = Arc::default();
    let run = larder::Parallel::new().n_jobs(1).memory(&memory).observer(Misses(Arc::clone(&told)));
    run.run((1..3).map(|x| larder::delayed!(edited(x)))).unwrap();
    let changed = format!("`fn edited` in {}", place());
    let told: Told = std::mem::take(&mut told.lock().unwrap());
    assert_eq!(told, [(MissReason::CodeChanged, Some(changed)), (MissReason::NeverSeen, None)]);
}

/// Items and settings, as the attributes write them.
macro_rules! by_hand {
    ($items:literal, $fingerprint:literal, $($setting:expr),*) => {{
        struct Mean;

        impl Function for Mean {
            const NAME: &'static str = concat!(module_path!(), "::mean");
            const FINGERPRINT: [u8; 32] = [$fingerprint; 32];
            const VERSION: u64 = 0;
            const PARAMETERS: &'static [larder::Parameter] = &[larder::Parameter::new("x", "u64")];
            const IGNORED: u32 = 0;
            const ITEMS: &'static str = $items;
            const SETTINGS: &'static [larder::Setting] = &[$($setting),*];
            const INPUTS: &'static [Input] = &[];

            type Args<'a> = (u64,);
            type Output = u64;
            type Value = u64;
            type Stored = u64;

            fn failed(_: &u64) -> bool {
                false
            }

            fn stored(output: &u64) -> Result<&u64, NotStoredReason> {
                Ok(output)
            }

            fn restore(stored: u64) -> u64 {
                stored
            }

            fn into_value(output: u64) -> Result<u64, larder::TaskError> {
                Ok(output)
            }

            fn from_value(value: u64) -> u64 {
                value
            }

            fn copy_args<'a>(args: &Self::Args<'a>) -> Option<Self::Args<'a>> {
                Some(*args)
            }

            fn sharing() -> Option<larder::__private::probe::Sharing<u64>> {
                None
            }
        }

        impl Task for Mean {
            fn call((x,): (u64,)) -> u64 {
                x
            }
        }

        |memory: &Memory| memory.cached::<Mean>()
    }};
}

#[test]
fn items_and_settings_are_named_by_the_place_they_have() {
    use larder::Setting;
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let first = by_hand!(
        "00000000000000aa\tfn mean\tsrc/stats.rs\n00000000000000bb\tfn normalise\tsrc/stats.rs\n",
        1,
        Setting::new("cfg(feature = \"fast\")", None)
    );
    let second = by_hand!(
        "00000000000000aa\tfn mean\tsrc/stats.rs\n00000000000000cc\tfn normalise\tsrc/stats.rs\n",
        2,
        Setting::new("cfg(feature = \"fast\")", None)
    );
    // The same words, in another build.
    let third = by_hand!(
        "00000000000000aa\tfn mean\tsrc/stats.rs\n00000000000000cc\tfn normalise\tsrc/stats.rs\n",
        2,
        Setting::new("cfg(feature = \"fast\")", Some("set"))
    );
    miss!(memory, NeverSeen, first(&memory).call((1,)), 1);
    assert_eq!(items(&second(&memory).explain((1,))), ["`fn normalise` in src/stats.rs"]);
    miss!(memory, CodeChanged, second(&memory).call((1,)), 1);
    let package = module_path!().split("::").next().unwrap();
    let build = format!("`cfg(feature = \"fast\")` in the build of {package}");
    assert_eq!(items(&third(&memory).explain((1,))), [build]);
    miss!(memory, CodeChanged, third(&memory).call((1,)), 1);
    hit!(memory, hits_hot, first(&memory).call((1,)), 1);
}

#[test]
fn lists_of_code_go_with_the_function_and_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    macro_rules! edited {
        ($body:expr) => {{
            #[larder::task]
            fn edited(x: u64) -> u64 {
                $body + x
            }
            memory.cached::<edited>()
        }};
    }
    edited!(1).call((1,));
    let named = [format!("`fn edited` in {}", place())];
    assert_eq!(items(&edited!(2).explain((1,))), named);
    edited!(1).clear().unwrap();
    assert_eq!(edited!(2).explain((1,)), Explanation::NeverSeen);
    // This program kept the list once already.
    edited!(1).call((1,));
    assert_eq!(items(&edited!(2).explain((1,))), named);
    memory.clear().unwrap();
    edited!(1).call((1,));
    assert_eq!(items(&edited!(2).explain((1,))), named);
}
