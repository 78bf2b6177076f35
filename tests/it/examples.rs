//! The examples, run as programs: what they print, what they refuse and with which words.
//!
//! `cargo test` builds examples before it runs tests. `cargo test --test it` does not: it runs those built before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Column, number of values, mean: computed from examples/data/weather.csv by Python, with exact fractions.
const WEATHER: [(&str, u64, f64); 13] = [
    ("year", 26115, 2013.0),
    ("month", 26115, 6.503733486502011),
    ("day", 26115, 15.675320696917481),
    ("hour", 26115, 11.490790733295041),
    ("temp", 26114, 55.26039212682852),
    ("dewp", 26114, 41.43998468254576),
    ("humid", 26114, 62.53005897219882),
    ("wind_dir", 25655, 199.7610602221789),
    ("wind_speed", 26111, 10.517488384205889),
    ("wind_gust", 5337, 25.487070931234776),
    ("precip", 26115, 0.004469079073329504),
    ("pressure", 23386, 1017.8987513897204),
    ("visib", 26115, 9.255372008424278),
];
const WEATHER_COLUMNS: u64 = WEATHER.len() as u64;

/// How a program ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The one JSON object that a program that succeeded printed.
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        let value: Value = serde_json::from_str(&self.stdout).expect("stdout is one JSON value");
        assert!(value.is_object(), "{value}");
        value
    }

    /// A complaint with this exit code and, among others, these words, and nothing on stdout.
    #[track_caller]
    fn complains(&self, code: i32, words: &[&str]) {
        assert_eq!((self.code, &*self.stdout), (Some(code), ""), "{}", self.stderr);
        for words in words {
            assert!(self.stderr.contains(words), "`{words}` is missing in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

/// Where cargo puts examples: beside the folder of the test executable.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let target = test.parent().and_then(Path::parent).expect("test executables are in target/*/deps");
    let path = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.exists(), "`{}` is missing: run `cargo build --examples`, or `cargo test` whole", path.display());
    path
}

/// Runs an example in `folder`.
fn run_in(folder: &Path, name: &str, args: &[&str]) -> Ended {
    let output = Command::new(program(name)).args(args).current_dir(folder).output().expect("the example starts");
    let text = |bytes| String::from_utf8(bytes).expect("examples print UTF-8");
    Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs an example in a fresh folder, and demands that it leaves nothing there.
fn run(name: &str, args: &[&str]) -> Ended {
    let folder = fresh();
    let ended = run_in(folder.path(), name, args);
    assert_eq!(names_in(folder.path()), [""; 0]);
    ended
}

fn fresh() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn names_in(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).expect("the folder can be listed");
    items.map(|item| item.expect("the folder can be listed").file_name().to_string_lossy().into_owned()).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("a JSON object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Runs `column_mean` on a file `table.csv` with this content, without sleeping.
fn column_mean_of(content: &[u8]) -> Ended {
    let folder = fresh();
    fs::write(folder.path().join("table.csv"), content).expect("the table can be written");
    run_in(folder.path(), "column_mean", &["--csv", "table.csv", "--sleep", "0", "--json"])
}

#[track_caller]
fn assert_weather(report: &Value) {
    assert_eq!(keys(report), ["cache", "counts", "means", "rows", "seconds"]);
    assert_eq!(keys(&report["seconds"]), ["cached", "parallel", "sequential"]);
    assert_eq!(report["rows"], 26115);
    assert_eq!((keys(&report["means"]).len(), keys(&report["counts"]).len()), (WEATHER.len(), WEATHER.len()));
    for (name, count, mean) in WEATHER {
        assert_eq!(report["counts"][name], count, "{name}");
        let found = report["means"][name].as_f64().expect("a mean is a number");
        assert!((found - mean).abs() <= 1e-9 * mean.abs(), "{name}: {found}, not {mean}");
    }
}

#[test]
fn column_mean_finds_the_means_of_the_weather() {
    let ended = run("column_mean", &["--sleep", "0", "--json", "--jobs", "2"]);
    let report = ended.json();
    assert_weather(&report);
    // The parallel run computed, the cached run loaded.
    assert_eq!(report["cache"], serde_json::json!({ "hits": WEATHER_COLUMNS, "misses": WEATHER_COLUMNS }));
    for name in ["origin", "time_hour"] {
        assert!(ended.stderr.contains(&format!("`{name}` is not numeric")), "{}", ended.stderr);
    }
}

#[test]
fn column_mean_computes_nothing_in_a_second_process_whatever_the_sleep() {
    let folder = fresh();
    let first = run_in(folder.path(), "column_mean", &["--sleep", "0", "--json", "--cache", "kept"]).json();
    assert_eq!(first["cache"], serde_json::json!({ "hits": WEATHER_COLUMNS, "misses": WEATHER_COLUMNS }));

    let second = run_in(folder.path(), "column_mean", &["--sleep", "1e-9", "--json", "--cache", "kept"]).json();
    // Two of its three runs ask the cache, and both found every column.
    assert_eq!(second["cache"], serde_json::json!({ "hits": 2 * WEATHER_COLUMNS, "misses": 0 }));
    assert_weather(&second);
    assert_eq!((&second["means"], &second["counts"]), (&first["means"], &first["counts"]));
    assert_eq!(names_in(folder.path()), ["kept"]);
}

#[test]
fn column_mean_prints_the_timings_side_by_side() {
    let ended = run("column_mean", &["--sleep", "0"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let (table, timings) = ended.stdout.split_once("26115 rows, 13 numeric columns").expect("a summary");
    assert!(table.contains("55.260392127"), "{table}");
    let words: Vec<&str> = timings.split_whitespace().collect();
    assert!(words.windows(3).any(|words| words == ["sequential", "parallel", "cached"]), "{timings}");
    assert_eq!(words[words.len() - 4..], ["computed", "13", "13", "0"]);
}

#[test]
fn column_mean_skips_missing_cells_and_reads_what_other_programs_write() {
    let csv = b"\xef\xbb\xbfa,\"b\nc\",name,none\r\n 1 ,NA,nan,\r\n\r\n,2.5,\"x\ny\",NA\r\n3,-7.5e0,,";
    let ended = column_mean_of(csv);
    let report = ended.json();
    assert_eq!(report["rows"], 3);
    assert_eq!(report["means"], serde_json::json!({ "a": 2.0, "b\nc": -2.5 }));
    assert_eq!(report["counts"], serde_json::json!({ "a": 2, "b\nc": 2 }));
    assert!(ended.stderr.contains("`name` is not numeric: \"nan\" in line 3"), "{}", ended.stderr);
    assert!(ended.stderr.contains("`none` has no values"), "{}", ended.stderr);
}

#[test]
fn column_mean_says_where_a_row_is_ragged() {
    // Empty lines are no rows, but are counted, whatever ends a line; so are line breaks within cells.
    column_mean_of(b"a,b\n1,2\n\n3\n4,5\n").complains(1, &["`table.csv`: line 4, column 2", "length 1"]);
    column_mean_of(b"a,b\r\n1,2\r\n\r\n3,4,5\r\n").complains(1, &["`table.csv`: line 4, column 3", "length 3"]);
    column_mean_of(b"a,b\n\"x\ny\",1\n2").complains(1, &["`table.csv`: line 4, column 2"]);
}

#[test]
fn column_mean_says_why_no_column_is_numeric() {
    let words = ["`table.csv`: line 3, column 2: no numeric column", "\"two\""];
    column_mean_of(b"a,b\nNA,1\n,two\n").complains(1, &words);
    column_mean_of(b"a,b\nNA,\n").complains(1, &["`table.csv`: line 2, column 1: no numeric column"]);
}

#[test]
fn column_mean_says_that_there_are_no_rows() {
    column_mean_of(b"a,b\n").complains(1, &["`table.csv`: line 2, column 1: no rows"]);
    column_mean_of(b"a,b").complains(1, &["`table.csv`: line 2, column 1: no rows"]);
    column_mean_of(b"").complains(1, &["`table.csv`: line 1, column 1: the file is empty"]);
    column_mean_of(b"\n\n").complains(1, &["`table.csv`: line 1, column 1: the file is empty"]);
}

#[test]
fn column_mean_says_where_text_is_not_utf_8() {
    column_mean_of(b"a,b\n1,2\n3,\xff\n").complains(1, &["`table.csv`: line 3, column 2: not UTF-8"]);
    column_mean_of(b"\xff\xfea\0,\0b\0\n\0").complains(1, &["`table.csv`: line 1, column 1: not UTF-8"]);
}

#[test]
fn column_mean_refuses_what_would_give_a_wrong_mean() {
    column_mean_of(b"a,b,a\n1,2,3\n").complains(1, &["`table.csv`: line 1, column 3: `a` is the name of column 1"]);
    column_mean_of(b"a\n1e308\n1e308\n").complains(1, &["the sum of column `a` is too large"]);
}

#[test]
fn column_mean_names_the_file_or_cache_it_cannot_use() {
    run("column_mean", &["--csv", "no/such.csv"]).complains(1, &["`no/such.csv`"]);
    let file = program("square");
    let file = file.to_str().expect("the target folder has a UTF-8 name");
    run("column_mean", &["--sleep", "0", "--cache", file]).complains(1, &[file]);
}

#[test]
fn pi_approximation_is_exact_to_the_last_bit() {
    let ended = run("pi_approximation", &["--items", "4", "--order", "6", "--jobs", "2", "--json"]);
    let report = ended.json();
    assert_eq!(keys(&report), ["items", "seconds", "value"]);
    assert_eq!(keys(&report["seconds"]), ["batched", "individual", "serial"]);
    assert_eq!(report["items"], 4);
    // As text: reading a number back may cost its last bit.
    assert!(ended.stdout.contains("\"value\":3.1415916535897743}"), "{}", ended.stdout);
}

/// What each way of sending 960 bytes to 7 items encoded: how often the payload, and how many bytes in all.
fn serial_vs_batched(backend: &str) -> [(u64, u64); 3] {
    let size = ["--rows", "4", "--cols", "5", "--depth", "6", "--items", "7", "--batch", "3", "--json"];
    let report = run("serial_vs_batched", &[&size[..], &["--backend", backend]].concat()).json();
    assert_eq!(keys(&report), ["backend", "items", "once", "payload_bytes", "per_batch", "per_item"]);
    assert_eq!((&report["backend"], &report["items"]), (&backend.into(), &7.into()));
    assert_eq!(report["payload_bytes"], 960);
    ["per_item", "per_batch", "once"].map(|way| {
        let way = &report[way];
        assert_eq!(keys(way), ["bytes_encoded", "payload_encodings", "seconds"]);
        assert!(way["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{way}");
        let count = |key: &str| way[key].as_u64().expect("a count");
        (count("payload_encodings"), count("bytes_encoded"))
    })
}

#[cfg(unix)]
#[test]
fn serial_vs_batched_counts_how_often_the_payload_is_encoded() {
    for ((encodings, bytes), wanted) in serial_vs_batched("processes").into_iter().zip([7, 3, 1]) {
        assert_eq!(encodings, wanted);
        // Beside the numbers: their outline, the other arguments, the results.
        let (least, most) = (960 * encodings, (960 + 80) * encodings + 7 * 20);
        assert!((least..=most).contains(&bytes), "{encodings} times: {bytes} bytes");
    }
}

#[test]
fn serial_vs_batched_encodes_nothing_for_threads() {
    assert_eq!(serial_vs_batched("threads"), [(0, 0); 3]);
}

/// Memory of workers is known on Linux only.
#[cfg(target_os = "linux")]
#[test]
fn faulty_tasks_cost_nothing_but_themselves() {
    let faults = ["--abort", "3,30", "--hang", "7", "--eat-memory", "50", "--timeout-ms", "500"];
    // Less memory than by default: a busy machine may take longer than the timeout to give out that.
    let args = [&["--items", "60", "--memory-mb", "40", "--json"], &faults[..]].concat();
    let report = run("faulty_tasks", &args).json();
    assert_eq!(keys(&report), ["failures", "results", "seconds"]);
    assert_eq!(report["results"], 56);
    let failures = report["failures"].as_array().expect("a list");
    let kinds = failures.iter().map(|failure| {
        assert_eq!(keys(failure), ["arguments", "index", "kind", "message"]);
        assert!(failure["message"].as_str().is_some_and(|message| !message.is_empty()), "{failure}");
        (failure["index"].as_u64().expect("a number"), failure["kind"].as_str().expect("a word"))
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [(3, "death"), (7, "timeout"), (30, "death"), (50, "memory")]);
    for (failure, arguments) in failures.iter().zip(["3, Abort", "7, Hang", "30, Abort", "50, EatMemory"]) {
        let (item, fault) = arguments.split_once(", ").expect("two of them");
        let said = failure["arguments"].as_str().expect("the arguments are described");
        assert!(said.contains(item) && said.contains(fault), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn faulty_tasks_says_in_words_what_became_of_each() {
    let ended = run("faulty_tasks", &["--items", "20", "--abort", "4", "--panic", "11", "--jobs", "1"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.starts_with("18 of 20 tasks have a result"), "{}", ended.stdout);
    for line in ["\ndeath: task 4", "\npanic: task 11", " started, "] {
        assert!(ended.stdout.contains(line), "`{line}` is missing in {}", ended.stdout);
    }
}

#[test]
fn square_computes_once_and_leaves_only_its_cache() {
    let folder = fresh();
    let computed = |ended: &Ended| ended.stdout.matches("computing the square of 3").count();
    let first = run_in(folder.path(), "square", &[]);
    assert_eq!((first.code, computed(&first)), (Some(0), 1), "{}{}", first.stdout, first.stderr);
    assert!(first.stdout.contains("second call: 9\ncomputed 1, loaded 1"), "{}", first.stdout);

    let again = run_in(folder.path(), "square", &[]);
    assert_eq!((again.code, computed(&again)), (Some(0), 0), "{}{}", again.stdout, again.stderr);
    assert!(again.stdout.contains("first call: 9\nsecond call: 9\ncomputed 0, loaded 2"), "{}", again.stdout);
    assert_eq!(names_in(folder.path()), ["cache"]);
}

#[test]
fn help_names_every_option() {
    for (name, options) in [
        ("column_mean", &["--csv", "--jobs", "--sleep", "--cache", "--json", "--help"][..]),
        ("pi_approximation", &["--items", "--order", "--jobs", "--json", "--help"]),
        ("serial_vs_batched", &["--backend", "--items", "--batch", "--jobs", "--rows", "--cols", "--depth", "--json"]),
        ("faulty_tasks", &["--items", "--abort", "--hang", "--eat-memory", "--panic", "--jobs", "--timeout-ms"]),
        ("faulty_tasks", &["--memory-mb", "--json", "--help"]),
        ("square", &["--help"]),
    ] {
        let ended = run(name, &["--help"]);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{name}");
        for option in options {
            assert!(ended.stdout.contains(option), "{name}: `{option}` is missing in {}", ended.stdout);
        }
    }
}

#[test]
fn options_that_mean_nothing_are_usage_errors() {
    for name in ["column_mean", "faulty_tasks", "pi_approximation", "serial_vs_batched", "square"] {
        run(name, &["--no-such-option"]).complains(2, &["--no-such-option"]);
        run(name, &["stray"]).complains(2, &["stray"]);
    }
    for name in ["column_mean", "faulty_tasks", "pi_approximation", "serial_vs_batched"] {
        run(name, &["--jobs"]).complains(2, &["--jobs"]);
        run(name, &["--jobs", "many"]).complains(2, &["--jobs many"]);
        run(name, &["--jobs", "0"]).complains(2, &["n_jobs"]);
    }
    run("column_mean", &["--sleep", "-1"]).complains(2, &["--sleep -1"]);
    run("pi_approximation", &["--items", "0"]).complains(2, &["--items 0"]);
    run("pi_approximation", &["--order", "13"]).complains(2, &["--order 13"]);
    run("serial_vs_batched", &["--batch", "0"]).complains(2, &["--batch 0"]);
    run("serial_vs_batched", &["--backend", "fibres"]).complains(2, &["--backend fibres", "processes and threads"]);
    run("faulty_tasks", &["--abort", "3,x"]).complains(2, &["--abort 3,x", "`x` is no number"]);
    run("faulty_tasks", &["--hang", "-1"]).complains(2, &["--hang -1"]);
    run("faulty_tasks", &["--panic"]).complains(2, &["--panic"]);
    run("faulty_tasks", &["--items", "1", "--timeout-ms", "0"]).complains(2, &["timeout_per_task"]);
    run("serial_vs_batched", &["--rows", "9999999999999"]).complains(2, &["9999999999999 x 500 x 100"]);
}

#[test]
fn shared_work_is_shared_by_two_copies() {
    let folder = fresh();
    let args = ["--cache", "cache", "--items", "60", "--task-ms", "5", "--json"];
    let start =
        || Command::new(program("shared_work")).args(args).current_dir(folder.path()).stdout(Stdio::piped()).spawn();
    let copies = [start().expect("it starts"), start().expect("it starts")];
    let mut computed = 0;
    for copy in copies {
        let output = copy.wait_with_output().expect("it ends");
        assert!(output.status.success());
        let words = String::from_utf8(output.stdout).expect("examples print UTF-8");
        assert!(words.starts_with(r#"{"items":60,"computed":"#), "{words}");
        let said: Value = serde_json::from_str(&words).expect("stdout is one JSON value");
        let own = said["computed"].as_u64().expect("a count");
        assert_eq!(own + said["loaded"].as_u64().expect("a count"), 60);
        computed += own;
    }
    assert_eq!(computed, 60, "each item once");
}

#[test]
fn shared_work_says_that_it_needs_a_cache() {
    run("shared_work", &[]).complains(2, &["there is no `--cache`"]);
}
