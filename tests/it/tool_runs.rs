//! `larder runs` and `larder plan`: while a run is live, after it was killed, of what failed, of what is damaged. The tool has none
//! of the functions that are run: it goes by ledger and cache alone.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use larder::store::VolatileStore;
use larder::{Memory, OnError, Parallel, RunProgramState, delayed};
use serde_json::Value;

use crate::examples::program;
use crate::support::{image, open};
use crate::tool::{done, json, on, refused};

fn resumable(cache: &Path, name: &str, more: &[&str]) -> Command {
    let mut command = Command::new(program("resumable_run"));
    command.arg("--cache").arg(cache).args(["--name", name, "--jobs", "2", "--json"]).args(more);
    command.env_remove("LARDER_CACHE").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The last line of a run that comes to its end.
#[track_caller]
fn ended(mut command: Command) -> Value {
    let output = command.output().expect("the example starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("it prints text");
    serde_json::from_str(said.lines().last().expect("a last line")).expect("it is JSON")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Asks for the run until so many of its items are done.
fn wait_for(cache: &Path, name: &str, wanted: u64, child: &mut Child) -> Value {
    loop {
        let runs = json(cache, &["runs"]);
        if let Some(run) = runs["runs"].as_array().expect("a list").iter().find(|run| run["name"] == name)
            && number(&run["done"]) >= wanted
        {
            return run.clone();
        }
        assert!(
            child.try_wait().expect("it can be asked").is_none(),
            "it ended before {wanted} items were done: {runs}"
        );
    }
}

#[test]
fn a_live_run_is_told_of_and_after_its_killing_too() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    // Made first: the tool makes no cache.
    drop(open(&cache));
    assert_eq!(json(&cache, &["runs"])["runs"].as_array().unwrap().len(), 0);
    // So many that it does not come to its end here.
    let arguments = ["--items", "2000", "--task-ms", "40"];
    let mut child = resumable(&cache, "nightly", &arguments).spawn().unwrap();
    let run = wait_for(&cache, "nightly", 10, &mut child);
    assert_eq!((&run["items"], &run["live"], &run["failed"]), (&2000.into(), &1.into(), &0.into()));
    assert!(run["function"].as_str().unwrap().ends_with("::work"), "{run}");
    assert_eq!(number(&run["done"]) + number(&run["waiting"]), 2000);
    assert_eq!((&run["damaged"], &run["unread"]), (&0.into(), &Value::Null));

    let shown = json(&cache, &["runs", "show", "nightly", "--limit", "2000"]);
    let first = &shown["programs"][0];
    assert_eq!((&first["pid"], &first["state"], &first["end"]), (&child.id().into(), &"live".into(), &Value::Null));
    assert_eq!((&first["backend"], &first["workers"]), (&"threads".into(), &2.into()));
    let items = shown["item_list"].as_array().unwrap();
    let done_items: Vec<_> = items.iter().filter(|item| item["state"] == "done").collect();
    assert_eq!((items.len(), done_items.len() as u64), (2000, number(&shown["done"])));
    for item in done_items {
        assert!(item["seconds"].as_f64().unwrap() >= 0.04 && number(&item["attempts"]) == 1, "{item}");
        // Stored before it was told.
        let key = item["key"].as_str().unwrap();
        assert_eq!(json(&cache, &["show", key])["key"], item["key"]);
    }
    let plan = json(&cache, &["plan", "nightly"]);
    assert_eq!((&plan["live"], &plan["items"]), (&1.into(), &2000.into()));
    assert_eq!(number(&plan["with_result"]) + number(&plan["to_compute"]), 2000);
    refused(1, &cache, &["runs", "remove", "nightly"], "wait for its end");

    let table = done(&cache, &["runs"]);
    assert!(table.starts_with("RUN  ") && table.contains("\nnightly  "), "{table}");
    let table = done(&cache, &["runs", "show", "nightly"]);
    assert!(table.contains("  live\n") && table.ends_with("100 of 2000 items: `--limit 0` lists all\n"), "{table}");

    let before = number(&json(&cache, &["runs"])["runs"][0]["done"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let run = &json(&cache, &["runs"])["runs"][0];
    assert_eq!((&run["live"], &run["items"]), (&0.into(), &2000.into()));
    assert!(number(&run["done"]) >= before, "what was told stays: {run}");
    assert_eq!(json(&cache, &["runs", "show", "nightly"])["programs"][0]["state"], "killed");
    let plan = json(&cache, &["plan", "nightly"]);
    assert!(number(&plan["to_compute"]) <= number(&run["waiting"]), "what is done has a result: {plan} {run}");
    assert_eq!((&plan["unpriced"], number(&plan["reasons"][0]["items"])), (&0.into(), number(&plan["to_compute"])));
    let (work, left) = (plan["compute_seconds"].as_f64().unwrap(), number(&plan["to_compute"]) as f64);
    assert!(work >= left * 0.04 && plan["estimate_seconds"].as_f64().unwrap() >= work / 2.0 * 0.999, "{plan}");

    // The run is forgotten, its results are not.
    assert!(done(&cache, &["runs", "remove", "nightly"]).contains("forgotten"));
    assert_eq!(json(&cache, &["runs"])["runs"].as_array().unwrap().len(), 0);
    let entries = number(&json(&cache, &["stats"])["entries"]);
    assert!(entries >= before);
}

#[test]
fn what_failed_is_shown_and_tried_again_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let run = || resumable(&cache, "fails", &["--items", "12", "--task-ms", "1", "--fail", "3"]);
    assert_eq!(ended(run())["failed"], 1);
    let shown = json(&cache, &["runs", "show", "fails", "--failed"]);
    assert_eq!((&shown["done"], &shown["failed"], &shown["retry"]), (&11.into(), &1.into(), &0.into()));
    let items = shown["item_list"].as_array().unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0]["state"], &items[0]["attempts"]), (&"failed".into(), &1.into()));
    let failure = &items[0]["failure"];
    assert_eq!((&failure["message"], &failure["kind"]), (&"item 3 was to fail".into(), &"error".into()));
    assert!(failure["arguments"].as_str().unwrap().starts_with("item = 3, "), "{failure}");
    let end = &shown["programs"][0]["end"];
    assert_eq!((&end["computed"], &end["failed"], &end["complete"]), (&11.into(), &1.into(), &false.into()));
    let table = done(&cache, &["runs", "show", "fails", "--failed"]);
    assert!(
        table.contains("ended: 11 computed, 0 reused, 1 failed, not complete") && table.contains("item = 3, "),
        "{table}"
    );
    let plan = done(&cache, &["plan", "fails"]);
    assert!(plan.contains("`larder runs retry fails` has them tried again") && !plan.contains("estimate"), "{plan}");

    // Not by itself.
    ended(run());
    let attempts = |shown: &Value| number(&shown["item_list"][0]["attempts"]);
    assert_eq!(attempts(&json(&cache, &["runs", "show", "fails", "--failed"])), 1);
    assert_eq!(json(&cache, &["runs", "retry", "fails"])["items"], 1);
    assert!(done(&cache, &["runs"]).contains("1 failed item to be tried again"));
    let shown = json(&cache, &["runs", "show", "fails", "--failed"]);
    assert_eq!((&shown["retry"], &shown["item_list"][0]["failure"]["retry"]), (&1.into(), &true.into()));
    assert_eq!(json(&cache, &["plan", "fails"])["to_compute"], 1);
    assert!(
        done(&cache, &["runs", "retry", "fails"]).ends_with("tries 1 failed item again\n"),
        "asked once more, the same"
    );
    ended(run());
    let shown = json(&cache, &["runs", "show", "fails", "--failed"]);
    assert_eq!((attempts(&shown), &shown["retry"]), (2, &0.into()), "it was tried again, once: {shown}");
    ended(run());
    assert_eq!(attempts(&json(&cache, &["runs", "show", "fails", "--failed"])), 2);

    ended(resumable(&cache, "sound", &["--items", "3", "--task-ms", "1"]));
    assert_eq!(done(&cache, &["runs", "retry", "sound"]), "no item of `sound` failed\n");
    // The newest comes first.
    let runs = json(&cache, &["runs"]);
    assert_eq!((&runs["runs"][0]["name"], &runs["runs"][1]["name"]), (&"sound".into(), &"fails".into()));
}

#[test]
fn what_means_nothing_is_refused_with_the_runs_that_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    drop(open(&cache));
    refused(1, &cache, &["plan", "nightly"], "there is no run `nightly` in this cache: it has none");
    ended(resumable(&cache, "weekly", &["--items", "3", "--task-ms", "1"]));
    let before = image(&cache.join("runs"));
    for command in [&["plan"][..], &["runs", "show"], &["runs", "retry"], &["runs", "remove"]] {
        let with = |name: &'static str| [command, &[name]].concat();
        refused(1, &cache, &with("nightly"), "there is no run `nightly` in this cache: it has `weekly`");
        refused(2, &cache, &with("a/b"), "the character '/'");
        refused(2, &cache, &with(".."), "begins or ends with a dot");
        let unnamed = on(&cache, command);
        assert_eq!(unnamed.status.code(), Some(2));
    }
    assert_eq!(on(&cache, &["runs", "nonsense"]).status.code(), Some(2));
    refused(3, &dir.path().join("nowhere"), &["runs"], "nowhere");
    refused(3, &dir.path().join("nowhere"), &["plan", "weekly"], "nowhere");
    assert_eq!(image(&cache.join("runs")), before, "nothing was changed");
}

#[test]
fn a_damaged_ledger_is_shown_as_far_as_it_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    ended(resumable(&cache, "sound", &["--items", "5", "--task-ms", "1"]));
    ended(resumable(&cache, "hurt", &["--items", "50", "--task-ms", "1"]));
    let segments: Vec<_> = fs::read_dir(cache.join("runs/hurt")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(segments.len(), 1);
    let whole = fs::read(&segments[0]).unwrap();

    // Behind the list.
    let mut bytes = whole.clone();
    let at = bytes.len() - 300;
    bytes[at] ^= 1;
    fs::write(&segments[0], &bytes).unwrap();
    let shown = json(&cache, &["runs", "show", "hurt"]);
    assert!(number(&shown["damaged"]) > 0 && number(&shown["done"]) < 50, "{shown}");
    assert_eq!((&shown["items"], &shown["unread"]), (&50.into(), &Value::Null));
    assert!(done(&cache, &["runs"]).contains(" of the ledger cannot be read"));
    // The cache knows better.
    let plan = json(&cache, &["plan", "hurt"]);
    assert_eq!((&plan["with_result"], &plan["to_compute"]), (&50.into(), &0.into()));
    assert!(number(&plan["damaged"]) > 0);

    // All of it.
    fs::write(&segments[0], b"nothing of a ledger, but longer than a header is").unwrap();
    let shown = json(&cache, &["runs", "show", "hurt"]);
    assert_eq!((&shown["items"], &shown["function"], &shown["started_at"]), (&0.into(), &"".into(), &Value::Null));
    assert_eq!(json(&cache, &["plan", "hurt"])["items"], 0);

    // Of a newer release: the others are told of all the same.
    let mut bytes = whole;
    bytes[8] = 99;
    fs::write(&segments[0], &bytes).unwrap();
    let runs = json(&cache, &["runs"]);
    let of = |name: &str| runs["runs"].as_array().unwrap().iter().find(|run| run["name"] == name).unwrap().clone();
    assert!(of("hurt")["unread"].as_str().unwrap().contains("written by a newer release"), "{runs}");
    assert_eq!((&of("sound")["done"], &of("sound")["unread"]), (&5.into(), &Value::Null));
    refused(4, &cache, &["runs", "show", "hurt"], "written by a newer release");
    refused(4, &cache, &["plan", "hurt"], "written by a newer release");
    // And can be removed.
    done(&cache, &["runs", "remove", "hurt"]);
    assert!(!cache.join("runs/hurt").exists());
}

#[larder::task]
fn gone_soon(x: u64) -> u64 {
    x + 1
}

/// The tool has no function, and here the cache has forgotten it too.
#[test]
fn a_function_that_is_no_more_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let memory = open(dir.path());
    let calls = || (0..20).map(|x| delayed!(gone_soon(x)));
    let run = Parallel::new().n_jobs(2).on_error(OnError::Collect).named("old", &memory).unwrap();
    run.run(calls()).unwrap().into_values().unwrap();
    assert!(memory.cached::<gone_soon>().forget((7,)).unwrap());
    // While this program has the cache.
    let plan = json(dir.path(), &["plan", "old"]);
    assert_eq!((&plan["with_result"], &plan["to_compute"]), (&19.into(), &1.into()));
    assert_eq!(plan["reasons"][0]["reason"], "the entry was removed by hand");
    let ours = memory.plan_run("old").unwrap();
    assert_eq!(ours.misses, run.plan(calls()).unwrap().misses);

    let name = memory.functions().unwrap()[0].name.clone();
    memory.clear().unwrap();
    let shown = json(dir.path(), &["runs", "show", "old"]);
    assert_eq!((shown["function"].as_str(), &shown["done"]), (Some(&*name), &20.into()));
    assert_eq!(shown["code_changed"], Value::Null);
    let plan = json(dir.path(), &["plan", "old"]);
    assert_eq!((&plan["with_result"], &plan["to_compute"], &plan["unpriced"]), (&0.into(), &20.into(), &0.into()));
    assert!(done(dir.path(), &["plan", "old"]).contains("because        20: "));
}

/// Without the owner and without writing.
#[test]
fn runs_are_read_where_nothing_may_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    {
        let memory = open(&cache);
        let calls = (0..20).map(|x| delayed!(gone_soon(x)));
        Parallel::new().n_jobs(2).run_named("kept", &memory, calls).unwrap().into_values().unwrap();
    }
    let before = image(&cache.join("runs"));
    let memory = Memory::open_read_only(&cache).unwrap();
    let runs = memory.runs().unwrap();
    assert_eq!((runs.len(), &*runs[0].name, runs[0].done, runs[0].live), (1, "kept", 20, 0));
    assert_eq!(runs[0].code_changed, Some(false));
    let details = memory.run("kept").unwrap();
    assert_eq!((details.items().len(), details.failed().count()), (20, 0));
    let RunProgramState::Ended(end) = details.programs[0].state else { panic!("{details:?}") };
    assert_eq!((end.computed, end.complete, details.programs[0].pid), (20, true, std::process::id()));
    assert_eq!(memory.plan_run("kept").unwrap().summary.reused, 20);
    for error in [memory.retry_run("kept").unwrap_err(), memory.remove_run("kept").unwrap_err()] {
        assert!(error.is_invalid_option() && error.to_string().contains("for reading only"), "{error}");
    }
    assert_eq!(image(&cache.join("runs")), before);

    // Held by whom it cannot be shared with: the ledger is read, the cache is not.
    drop(memory);
    let mut lock = fs::File::options().write(true).open(cache.join("lock")).unwrap();
    lock.lock().unwrap();
    lock.set_len(0).unwrap();
    lock.write_all(b"process 7 on another-host\n").unwrap();
    for command in [&["runs", "--json"][..], &["runs", "show", "kept", "--json"]] {
        let output = on(&cache, command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("process 7 on another-host"), "{said}");
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let run = shown["runs"].get(0).unwrap_or(&shown);
        assert_eq!((&run["done"], &run["code_changed"]), (&20.into(), &Value::Null));
    }
    refused(3, &cache, &["plan", "kept"], "process 7 on another-host");

    // Where there is no directory there are no runs.
    for memory in [Memory::disabled(), Memory::with_store(VolatileStore::default())] {
        assert_eq!(memory.runs().unwrap(), []);
        assert!(memory.run("kept").unwrap_err().is_no_such_run());
        assert!(memory.plan_run("kept").unwrap_err().is_no_such_run());
        assert!(memory.remove_run("kept").unwrap_err().is_no_such_run());
    }
}
