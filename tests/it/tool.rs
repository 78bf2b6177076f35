//! The tool `larder`: each command on a small cache, alone and while this program uses it; and all that it may be given instead.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use larder::store::VolatileStore;
use larder::{Limits, Memory};
use serde_json::Value;

use crate::support::{files_in, hit, miss, open, open_telling};

const SMALL: u64 = 5;
const LARGE: u64 = 3;

fn small(memory: &Memory, x: u64) -> String {
    memory.cached_fn("small", 2, |x: &u64| format!("the text of {x}")).call(&x)
}

fn large(memory: &Memory, x: u64) -> Vec<u64> {
    memory.cached_fn("large", 1, |x: &u64| vec![(x + 1) << 40; 600]).call(&x)
}

/// Calls everything and checks it; answers how many calls were computed.
#[track_caller]
fn fill(memory: &Memory) -> u64 {
    let before = memory.stats().misses();
    (0..SMALL).for_each(|x| assert_eq!(small(memory, x), format!("the text of {x}")));
    (0..LARGE).for_each(|x| assert_eq!(large(memory, x), [(x + 1) << 40; 600]));
    memory.stats().misses() - before
}

fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is room");
    fill(&open(&dir.path().join("cache")));
    dir
}

pub(crate) fn tool() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.env_remove("LARDER_CACHE").stdin(Stdio::null());
    command
}

pub(crate) fn on(cache: &Path, args: &[&str]) -> Output {
    tool().arg("--cache").arg(cache).args(args).output().expect("the tool starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

/// What it prints, where it ends so.
#[track_caller]
pub(crate) fn ends_with(code: i32, output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "out: {out}\nerr: {err}");
    assert!(!err.contains("panicked"), "{err}");
    if matches!(code, 2..) {
        assert!(err.starts_with("larder: ") && err.lines().count() == 1, "one line that says it: {err}");
    }
    out
}

#[track_caller]
pub(crate) fn done(cache: &Path, args: &[&str]) -> String {
    let output = on(cache, args);
    assert_eq!(text(&output.stderr), "");
    ends_with(0, &output)
}

#[track_caller]
pub(crate) fn refused(code: i32, cache: &Path, args: &[&str], words: &str) {
    let output = on(cache, args);
    assert_eq!(ends_with(code, &output), "");
    let err = text(&output.stderr);
    assert!(err.contains(words), "`{words}` is not in: {err}");
}

#[track_caller]
pub(crate) fn json(cache: &Path, args: &[&str]) -> Value {
    parsed(&done(cache, &[args, &["--json"]].concat()))
}

#[track_caller]
fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"))
}

// ---- What is there.

#[track_caller]
fn tells_what_is_there(cache: &Path) {
    let lines = done(cache, &["ls"]);
    let lines: Vec<_> = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(lines[0], ["FUNCTION", "ENTRIES", "BYTES", "HITS", "MISSES", "RATE", "SAVED"]);
    assert_eq!((lines[1][..2].join(" "), lines[2][..2].join(" ")), ("large 3".to_owned(), "small 5".to_owned()));
    let by_name = json(cache, &["ls", "--sort", "entries", "--limit", "1"]);
    assert_eq!(
        (&by_name["functions"][0]["name"], by_name["functions"].as_array().unwrap().len()),
        (&"small".into(), 1)
    );
    let functions = json(cache, &["ls"]);
    let of_small = &functions["functions"][1];
    assert_eq!((&of_small["entries"], &of_small["by_hand"]), (&SMALL.into(), &true.into()));
    assert_eq!((&of_small["codes"][0]["version"], &of_small["codes"][0]["fingerprint"]), (&2.into(), &Value::Null));

    let entries = json(cache, &["ls", "small"]);
    let entries = entries["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, SMALL);
    let mut texts: Vec<_> = entries.iter().map(|entry| entry["arguments"][0]["text"].as_str().unwrap()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
    let table = done(cache, &["ls", "small", "--limit", "2"]);
    assert!(table.ends_with("2 of 5 entries: `--limit 0` lists all\n"), "{table}");
    assert_eq!(done(cache, &["ls", "small"]).lines().count() as u64, 1 + SMALL);

    let key = entries[0]["key"].as_str().unwrap();
    let mut shown = json(cache, &["show", &key[..12]]);
    // The newest code, or a closure: nothing changed since.
    assert_eq!(shown.as_object_mut().unwrap().remove("items_changed"), Some(Value::Null));
    assert_eq!(&shown, &entries[0]);
    assert_eq!((&shown["blob"], &shown["codec"], &shown["damage"]), (&Value::Null, &"bincode".into(), &Value::Null));
    let lines = done(cache, &["show", key]);
    for part in [key, "small", "version 2, given by hand", "in the index", "argument"] {
        assert!(lines.contains(part), "`{part}` is not in: {lines}");
    }

    let stats = json(cache, &["stats"]);
    assert_eq!((&stats["entries"], &stats["functions"]), (&(SMALL + LARGE).into(), &2.into()));
    assert!(stats["bytes"].as_u64().unwrap() > LARGE * 4800);
    assert!(done(cache, &["stats"]).contains("\nentries    8\n"));

    let du = json(cache, &["du"]);
    assert_eq!((&du["functions"][0]["name"], &du["disk"]["blobs"]), (&"large".into(), &LARGE.into()));
    assert!(du["disk"]["bytes"].as_u64().unwrap() > LARGE * 4800);
    assert!(done(cache, &["du"]).contains("in 3 files\n"));

    let verified = json(cache, &["verify"]);
    assert_eq!((&verified["entries"], verified["damaged"].as_array().unwrap().len()), (&(SMALL + LARGE).into(), 0));
    assert!(done(cache, &["verify"]).starts_with("8 entries, "));
}

#[test]
fn a_cache_that_nobody_uses_is_told_of() {
    let dir = filled();
    let cache = dir.path().join("cache");
    tells_what_is_there(&cache);
    assert_eq!(fill(&open(&cache)), 0, "nothing was changed");
}

#[test]
fn a_cache_that_this_program_uses_is_told_of() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let memory = open(&cache);
    tells_what_is_there(&cache);
    assert_eq!(fill(&memory), 0, "nothing was changed");
}

#[test]
fn hits_and_misses_are_told() {
    let dir = filled();
    let cache = dir.path().join("cache");
    assert_eq!(fill(&open(&cache)), 0);
    let stats = json(&cache, &["stats"]);
    assert_eq!((&stats["hits"], &stats["misses"], &stats["hit_rate"]), (&8.into(), &8.into(), &0.5.into()));
    assert!(done(&cache, &["stats"]).contains("\nhit rate   50 %\n"));
    let entries = json(&cache, &["ls", "large"]);
    for entry in entries["entries"].as_array().unwrap() {
        assert_eq!(entry["hits"], 1);
        assert!(entry["last_used_at"].as_str().unwrap() >= entry["stored_at"].as_str().unwrap());
    }
    // What a program did itself it knows at once.
    let memory = open(&cache);
    small(&memory, 0);
    assert_eq!(memory.totals().unwrap().hits, 9);
}

#[test]
fn the_cache_may_be_named_by_the_variable() {
    let dir = filled();
    let run = |name: &str| tool().env("LARDER_CACHE", name).args(["stats", "--json"]).output().expect("it starts");
    let stats = parsed(&ends_with(0, &run(dir.path().join("cache").to_str().unwrap())));
    assert_eq!(stats["entries"], SMALL + LARGE);
    ends_with(2, &run(""));
}

#[test]
fn names_do_not_steer_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    memory.cached_fn("\u{1b}[2Jname", 1, |x: &u64| x + 1).call(&1);
    let lines = done(dir.path(), &["ls"]);
    assert!(lines.contains("\\u{1b}[2Jname") && !lines.contains('\u{1b}'), "{lines:?}");
}

#[test]
fn what_is_not_there_is_told_by_the_exit_code() {
    let dir = filled();
    let cache = dir.path().join("cache");
    for (args, words) in [
        (&["show", "0123456789abcdef"][..], "no entry has a key that begins with `0123456789abcdef`"),
        (&["ls", "smal"], "holds no entry of `smal`"),
        (&["export", "out", "--function", "smal"], "knows no function `smal`"),
    ] {
        let output = on(&cache, args);
        assert_eq!(ends_with(1, &output), "");
        assert!(text(&output.stderr).contains(words), "{output:?}");
    }
    assert_eq!(parsed(&ends_with(1, &on(&cache, &["ls", "smal", "--json"])))["entries"], Value::Array(Vec::new()));
}

// ---- What is no cache, and what is no command.

const COMMANDS: [&[&str]; 10] = [
    &["ls"],
    &["show", "abcd"],
    &["stats"],
    &["du"],
    &["prune", "--max-entries", "1"],
    &["clear", "--yes"],
    &["verify"],
    &["verify", "--repair"],
    &["rebuild"],
    &["export", "-"],
];

#[test]
fn a_directory_that_is_no_cache_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, missing, foreign) = (dir.path().join("empty"), dir.path().join("missing"), dir.path().join("foreign"));
    let file = dir.path().join("file");
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.tex"), "years of work").unwrap();
    fs::write(&file, "larder cache format 1\n").unwrap();
    for command in COMMANDS {
        for place in [&empty, &missing, &foreign, &file] {
            refused(3, place, command, &format!("`{}` is no cache", place.display()));
        }
    }
    assert!(!missing.exists() && fs::read_dir(&empty).unwrap().count() == 0);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn a_cache_of_a_newer_release_is_refused() {
    let dir = filled();
    let cache = dir.path().join("cache");
    fs::write(cache.join("larder-format"), "larder cache format 99\n").unwrap();
    for command in COMMANDS {
        refused(3, &cache, command, "newer release");
    }
}

#[test]
fn a_cache_that_another_host_holds_is_refused() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let mut lock = File::options().write(true).open(cache.join("lock")).unwrap();
    lock.lock().unwrap();
    lock.set_len(0).unwrap();
    lock.write_all(b"process 7 on another-host\n").unwrap();
    for command in COMMANDS {
        refused(3, &cache, command, "process 7 on another-host");
    }
}

#[test]
fn a_command_line_that_means_nothing_is_refused() {
    let dir = filled();
    let cache = dir.path().join("cache");
    for (args, words) in [
        (&["prune"][..], "prune needs a limit"),
        (&["prune", "--max-bytes", "ten"], "`max_bytes`: `ten` is no size"),
        (&["prune", "--max-bytes", "-1G"], "`max_bytes`: `-1G` is no size"),
        (&["prune", "--max-bytes", "0"], "`max_bytes` is 0"),
        (&["prune", "--max-entries", "0"], "`max_entries` is 0"),
        (&["prune", "--max-age", "0s"], "`max_age` is 0"),
        (&["clear"], "there is no terminal to ask on: give `--yes`"),
        (&["show", "ab"], "`ab` is no key"),
        (&["show", "abcg"], "`abcg` is no key"),
    ] {
        refused(2, &cache, args, words);
    }
    for args in [&["prune", "--max-age", "soon"][..], &["list"], &["ls", "--sort", "colour"], &[], &["show"]] {
        let output = on(&cache, args);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    }
    let unnamed = tool().arg("ls").output().unwrap();
    ends_with(2, &unnamed);
    assert!(text(&unnamed.stderr).contains("give `--cache DIR`, or set LARDER_CACHE"));
    assert_eq!(fill(&open(&cache)), 0, "nothing was removed");
}

#[test]
fn help_and_completions_need_no_cache() {
    let help = tool().arg("--help").output().unwrap();
    assert!(ends_with(0, &help).contains("Exit codes:"));
    for shell in ["bash", "zsh", "fish"] {
        let script = tool().args(["completions", shell]).output().unwrap();
        let script = ends_with(0, &script);
        assert!(script.contains("larder") && script.contains("verify"), "{shell}");
    }
}

#[test]
fn who_reads_no_further_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let text_of = memory.cached_fn("text", 1, |x: &u64| x.to_string());
    // More than a pipe holds.
    (0..1000).for_each(|x| drop(text_of.call(&x)));
    for args in [&["ls", "text", "--json"][..], &["ls", "text", "--limit", "0"], &["ls"], &["--help"]] {
        let mut child = tool();
        child.arg("--cache").arg(dir.path()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{args:?}");
    }
}

// ---- What is removed.

#[test]
fn prune_says_and_removes_what_is_too_much() {
    let dir = filled();
    let cache = dir.path().join("cache");
    for in_use in [None, Some(open(&cache))] {
        let before = json(&cache, &["stats"])["entries"].as_u64().unwrap();
        let limit = (before - 2).to_string();
        let dry = json(&cache, &["prune", "--max-entries", &limit, "--dry-run"]);
        assert_eq!((&dry["entries"], &dry["dry_run"]), (&2.into(), &true.into()));
        assert_eq!(json(&cache, &["stats"])["entries"], before);
        let pruned = json(&cache, &["prune", "--max-entries", &limit]);
        assert_eq!((&pruned["entries"], &pruned["bytes"]), (&dry["entries"], &dry["bytes"]));
        assert_eq!(json(&cache, &["stats"])["entries"], before - 2);
        drop(in_use);
    }
    let nothing = done(&cache, &["prune", "--older-than", "1d"]);
    assert!(nothing.starts_with("removed 0 entries, 0 B"), "{nothing}");
    done(&cache, &["prune", "--max-bytes", "1"]);
    assert_eq!(json(&cache, &["stats"])["bytes"], 0);
    assert!(files_in(&cache, "blobs").is_empty());
    assert_eq!(fill(&open(&cache)), SMALL + LARGE);
}

#[test]
fn clear_removes_a_function_or_all() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let memory = open(&cache);
    assert_eq!(done(&cache, &["clear", "small", "--yes"]), "removed 5 entries\n");
    assert_eq!(json(&cache, &["clear", "small", "--yes"])["entries"], 0);
    assert_eq!(done(&cache, &["clear", "--yes"]), "removed 3 entries\n");
    assert!(files_in(&cache, "blobs").is_empty());
    drop(memory);
    assert_eq!(fill(&open(&cache)), SMALL + LARGE);
    assert_eq!(done(&cache, &["clear", "--yes"]), "removed 8 entries\n");
}

#[test]
fn what_goes_while_the_tool_looks_is_no_damage() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let memory = open(&cache);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let text = memory.cached_fn("evicted", 1, |x: &u64| vec![*x; 600]);
            let mut x = 0;
            while !is_over.load(SeqCst) {
                (x..x + 50).for_each(|x| assert_eq!(text.call(&x)[0], x));
                x += 50;
                memory.reduce_size(&Limits::new().max_entries(20)).expect("the store is sound");
                if x % 500 == 0 {
                    memory.clear().expect("the store is sound");
                }
            }
        });
        for round in 0..8 {
            for command in [&["ls"][..], &["stats"], &["du"], &["verify"], &["verify", "--repair"]] {
                done(&cache, command);
            }
            let listed = on(&cache, &["ls", "evicted", "--json"]);
            // All entries of a function may have gone just then.
            let code = i32::from(text(&listed.stdout) == "{\"entries\": []}\n");
            parsed(&ends_with(code, &listed));
            let file = dir.path().join(format!("{round}.larder"));
            done(&cache, &["export", file.to_str().unwrap()]);
            let other = Memory::with_store(VolatileStore::new());
            let imported = other.import(File::open(&file).unwrap()).expect("the file is whole");
            assert_eq!((imported.there_already, imported.left_out), (0, 0));
        }
        is_over.store(true, SeqCst);
    });
}

// ---- Damage.

#[test]
fn each_damage_is_found_and_repaired() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let blobs = files_in(&cache, "blobs");
    let [altered, cut, missing] = &blobs[..] else { panic!("{blobs:?}") };
    let mut file = File::options().write(true).open(altered).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(b"\xff").unwrap();
    File::options().write(true).open(cut).unwrap().set_len(1000).unwrap();
    fs::remove_file(missing).unwrap();

    let memory = open(&cache);
    let found = |args: &[&str]| {
        let document = parsed(&ends_with(1, &on(&cache, &[args, &["--json"]].concat())));
        assert_eq!(document["entries"], SMALL + LARGE);
        let mut damaged: Vec<_> = document["damaged"].as_array().unwrap().clone();
        damaged.sort_by_key(|damaged| damaged["damage"].as_str().unwrap().to_owned());
        assert!(damaged.iter().all(|damaged| damaged["function"] == "large"));
        damaged.iter().map(|each| (each["damage"].as_str().unwrap().to_owned(), each["removed"].clone())).collect()
    };
    let all = |removed: bool| -> Vec<(String, Value)> {
        ["its file is missing", "its file was altered", "its file was cut or lengthened"]
            .map(|words| (words.to_owned(), removed.into()))
            .to_vec()
    };
    let told: Vec<(String, Value)> = found(&["verify"]);
    assert_eq!(told, all(false));
    let lines = ends_with(1, &on(&cache, &["verify"]));
    assert!(lines.contains("3 damaged: `larder verify --repair` removes them"), "{lines}");
    let repaired: Vec<(String, Value)> = found(&["verify", "--repair"]);
    assert_eq!(repaired, all(true));
    assert!(done(&cache, &["verify"]).starts_with("5 entries, "));
    assert_eq!(fill(&memory), LARGE, "what was damaged is computed again, and nothing else");
    assert!(done(&cache, &["verify"]).starts_with("8 entries, "));
}

/// Flips a bit of one small result in the index.
fn alter_a_record(cache: &Path) {
    let index = sled::open(cache.join("index")).unwrap();
    let small = |item: &sled::Result<(sled::IVec, sled::IVec)>| item.as_ref().unwrap().1.ends_with(b"the text of 3");
    let (key, record) = index.iter().find(small).unwrap().unwrap();
    let mut record = record.to_vec();
    *record.last_mut().unwrap() ^= 1;
    index.insert(key, record).unwrap();
}

#[test]
fn damaged_records_are_found_and_not_taken_along() {
    let dir = filled();
    let cache = dir.path().join("cache");
    alter_a_record(&cache);
    let listed = json(&cache, &["ls", "small"]);
    let damaged: Vec<_> =
        listed["entries"].as_array().unwrap().iter().filter(|entry| !entry["damage"].is_null()).cloned().collect();
    assert_eq!((damaged.len(), &damaged[0]["damage"]), (1, &"its record is damaged".into()));
    let shown = done(&cache, &["show", damaged[0]["key"].as_str().unwrap()]);
    assert!(shown.contains("`larder verify --repair` removes it"), "{shown}");
    let found = parsed(&ends_with(1, &on(&cache, &["verify", "--json"])));
    assert_eq!((&found["damaged"][0]["key"], found["damaged"].as_array().unwrap().len()), (&damaged[0]["key"], 1));
    let exported = json(&cache, &["export", dir.path().join("all").to_str().unwrap()]);
    assert_eq!((&exported["entries"], &exported["left_out"]), (&(SMALL + LARGE - 1).into(), &1.into()));
    let rebuilt = json(&cache, &["rebuild"]);
    assert_eq!((&rebuilt["kept"], &rebuilt["dropped"]), (&(SMALL + LARGE - 1).into(), &1.into()));
    assert_eq!(fill(&open(&cache)), 1);

    alter_a_record(&cache);
    ends_with(1, &on(&cache, &["verify", "--repair"]));
    done(&cache, &["verify"]);
    assert_eq!(fill(&open(&cache)), 1);
}

#[test]
fn a_rebuilt_index_has_all_that_was_sound() {
    let dir = filled();
    let cache = dir.path().join("cache");
    {
        let memory = open(&cache);
        memory.forget_entry(&memory.entries_of("small").next().unwrap().unwrap()).unwrap();
        refused(3, &cache, &["rebuild"], &format!("is in use by process {} on ", std::process::id()));
        fill(&memory);
    }
    let rebuilt = json(&cache, &["rebuild"]);
    assert_eq!((&rebuilt["kept"], &rebuilt["dropped"]), (&(SMALL + LARGE).into(), &0.into()));
    assert_eq!((&rebuilt["taken_in"], &rebuilt["unread"]), (&0.into(), &Value::Null));
    let aside = PathBuf::from(rebuilt["aside"].as_str().unwrap());
    assert!(aside.starts_with(&cache) && aside.is_dir());
    let (memory, lines) = open_telling(&cache, 0);
    assert_eq!(fill(&memory), 0);
    assert_eq!(memory.totals().unwrap().entries, SMALL + LARGE);
    assert_eq!(lines.all(), [""; 0]);
    drop(memory);

    // A record whose file is gone, and a file that no record names, are put right.
    let blobs = files_in(&cache, "blobs");
    fs::remove_file(&blobs[0]).unwrap();
    let rebuilt = json(&cache, &["rebuild"]);
    assert_eq!((&rebuilt["kept"], &rebuilt["dropped"]), (&(SMALL + LARGE - 1).into(), &1.into()));
    assert_eq!(fill(&open(&cache)), 1);

    // An index that cannot be read costs the small results alone.
    let log = cache.join("index").join("db");
    let garbage: Vec<u8> = (0..fs::metadata(&log).unwrap().len()).map(|at| (at * 37) as u8).collect();
    fs::write(&log, garbage).unwrap();
    fs::write(cache.join("index").join("conf"), "nothing that sled knows").unwrap();
    let rebuilt = json(&cache, &["rebuild"]);
    assert_eq!((&rebuilt["kept"], &rebuilt["taken_in"]), (&0.into(), &LARGE.into()));
    assert_eq!(fill(&open(&cache)), SMALL);
    fs::remove_dir_all(cache.join("index")).unwrap();
    let rebuilt = json(&cache, &["rebuild"]);
    assert_eq!((&rebuilt["aside"], &rebuilt["taken_in"]), (&Value::Null, &LARGE.into()));
}

// ---- One file.

#[test]
fn entries_are_taken_elsewhere() {
    let dir = filled();
    let (cache, other, file) = (dir.path().join("cache"), dir.path().join("other"), dir.path().join("all.larder"));
    let file_name = file.to_str().unwrap();
    assert!(done(&cache, &["export", file_name]).starts_with("exported 8 entries, "));
    refused(3, &cache, &["export", file_name], "it is there already");
    refused(3, &other, &["import", file_name], "is no cache");
    assert!(!other.exists());
    assert_eq!(done(&other, &["import", file_name, "--create"]), "imported 8 entries, 0 were there already\n");
    let again = json(&other, &["import", file_name]);
    assert_eq!((&again["imported"], &again["there_already"]), (&0.into(), &(SMALL + LARGE).into()));
    let told = |cache: &Path| {
        let mut entries: Vec<Value> = ["small", "large"]
            .iter()
            .flat_map(|function| json(cache, &["ls", function])["entries"].as_array().unwrap().clone())
            .collect();
        // The file's name is of its header, which says how it is stored; uses are not taken along.
        entries
            .iter_mut()
            .for_each(|entry| ["hits", "last_used_at"].iter().for_each(|use_| entry[*use_] = Value::Null));
        entries
    };
    assert_eq!(told(&other), told(&cache), "keys, times and all");
    let memory = open(&other);
    assert_eq!(fill(&memory), 0);
    hit!(memory, hits_hot, small(&memory, 1), "the text of 1");

    // Through pipes, and one function alone.
    let exported = on(&cache, &["export", "-", "--function", "small"]);
    assert_eq!(exported.status.code(), Some(0));
    let third = dir.path().join("third");
    let mut import = tool();
    import.arg("--cache").arg(&third).args(["import", "-", "--create"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut import = import.spawn().unwrap();
    import.stdin.take().unwrap().write_all(&exported.stdout).unwrap();
    assert_eq!(ends_with(0, &import.wait_with_output().unwrap()), "imported 5 entries, 0 were there already\n");
    refused(3, &third, &["import", "no-such-file"], "`no-such-file` cannot be opened");
}

#[test]
fn results_that_were_there_are_kept_and_damaged_ones_replaced() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let mut file = Vec::new();
    open(&cache).export(&[], &mut file).unwrap();
    let blob = &files_in(&cache, "blobs")[0];
    File::options().write(true).open(blob).unwrap().set_len(1000).unwrap();
    let memory = open(&cache);
    let imported = memory.import(&file[..]).unwrap();
    assert_eq!((imported.imported, imported.there_already), (1, SMALL + LARGE - 1));
    assert_eq!(fill(&memory), 0);
}

/// Imports a file that is not whole, and checks that what was taken of it is right.
#[track_caller]
fn is_told(file: &[u8], what: &str) {
    let memory = Memory::with_store(VolatileStore::new());
    let error = memory.import(file).expect_err(what);
    assert!(error.is_exported_file(), "{what}: {error}");
    let taken: u64 = memory.entries().map(|entry| u64::from(entry.expect("it lists").damage.is_none())).sum();
    assert!(error.to_string().contains(&format!("{taken} of its entries were imported before")), "{what}: {error}");
    // Every call has its right value, from the file or computed.
    assert_eq!(fill(&memory), SMALL + LARGE - taken, "{what}");
}

#[test]
fn a_file_that_was_cut_or_altered_anywhere_is_told() {
    let dir = filled();
    let cache = dir.path().join("cache");
    let mut small_ones = Vec::new();
    open(&cache).export(&["small"], &mut small_ones).unwrap();
    let mut file = Vec::new();
    open(&cache).export(&[], &mut file).unwrap();
    for cut in 0..small_ones.len() {
        is_told(&small_ones[..cut], &format!("cut at {cut}"));
    }
    for at in 0..small_ones.len() {
        let mut altered = small_ones.clone();
        altered[at] ^= 0x41;
        is_told(&altered, &format!("altered at {at}"));
    }
    // Long values, here and there.
    for at in (0..file.len()).step_by(499) {
        is_told(&file[..at], &format!("cut at {at}"));
        let mut altered = file.clone();
        altered[at] ^= 0x41;
        is_told(&altered, &format!("altered at {at}"));
    }
    is_told(&[&file[..], b"\0"].concat(), "longer");

    let cut = dir.path().join("cut.larder");
    fs::write(&cut, &file[..file.len() - 100]).unwrap();
    let other = dir.path().join("other");
    refused(
        4,
        &other,
        &["import", cut.to_str().unwrap(), "--create"],
        "is cut short: export it again; 7 of its entries",
    );
    assert_eq!(fill(&open(&other)), 1, "what was whole is there");
    fs::write(&cut, "day,rain\n").unwrap();
    refused(4, &other, &["import", cut.to_str().unwrap()], "is no exported file");
}

#[test]
fn the_library_does_what_the_tool_does() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = Memory::builder().must_exist(true).open(&missing).unwrap_err();
    assert!(error.is_foreign_location() && !missing.exists(), "{error}");
    let memory = open(dir.path());
    miss!(memory, NeverSeen, small(&memory, 1), "the text of 1");
    hit!(memory, hits_hot, small(&memory, 1), "the text of 1");
    // What is removed by hand is not loaded from memory either.
    let entry = memory.entries_of("small").next().unwrap().unwrap();
    assert!(memory.forget_entry(&entry).unwrap());
    assert_eq!(small(&memory, 1), "the text of 1");
    assert_eq!(memory.stats().misses(), 2);
    assert_eq!(memory.clear_function("small").unwrap(), 1);
    assert_eq!(small(&memory, 1), "the text of 1");
    assert_eq!(memory.reduce_size(&Limits::new().max_bytes(1)).unwrap().entries, 1);
    assert_eq!(small(&memory, 1), "the text of 1");
    assert_eq!(memory.stats().misses(), 4);
    assert!(memory.reduce_size(&Limits::new().max_entries(0)).unwrap_err().is_invalid_option());

    let disabled = Memory::disabled();
    assert_eq!((disabled.functions().unwrap().len(), disabled.entries().count()), (0, 0));
    assert_eq!(disabled.verify(|_| {}).unwrap().entries, 0);
    assert!(disabled.export(&[], std::io::sink()).unwrap_err().is_invalid_option());
    let reader = Memory::open_read_only(dir.path()).unwrap();
    assert_eq!(reader.totals().unwrap().entries, 1);
    let mut file = Vec::new();
    reader.export(&[], &mut file).unwrap();
    assert!(reader.import(&file[..]).unwrap_err().to_string().contains("open for reading only"));
}

// ---- Which items changed.

#[test]
fn show_names_what_changed_since() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let memory = open(&cache);
    {
        #[larder::task]
        fn edited(x: u64) -> u64 {
            x
        }
        memory.cached::<edited>().call((1,));
    }
    let name = memory.functions().unwrap()[0].name.clone();
    let old = memory.entries_of(&name).next().unwrap().unwrap().key;
    assert!(!done(&cache, &["show", &old]).contains("changed since"));
    {
        #[larder::task]
        fn edited(x: u64) -> u64 {
            x + 1
        }
        memory.cached::<edited>().call((1,));
    }
    let keys: Vec<_> = memory.entries_of(&name).map(|entry| entry.unwrap().key).collect();
    let new = keys.iter().find(|key| **key != old).unwrap();
    // While this program has the cache open, and when none has.
    let mut memory = Some(memory);
    for _ in 0..2 {
        let shown = done(&cache, &["show", &old]);
        assert!(shown.contains(&format!("`fn edited` in {}", file!())), "{shown}");
        let change = &json(&cache, &["show", &old])["items_changed"];
        let expected = serde_json::json!([{ "kind": "changed", "name": "fn edited", "place": file!() }]);
        assert_eq!(*change, expected);
        assert_eq!(json(&cache, &["show", new])["items_changed"], Value::Null);
        drop(memory.take());
    }
}
