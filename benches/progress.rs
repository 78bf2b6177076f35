//! What progress costs: runs of 1e7 trivial steps with and without, and loops beside the bare one and tqdm's.
//!
//! `cargo bench --bench progress`, with `-- --json` for one JSON object. Progress goes to stderr as it would in use: bars if that
//! is a terminal, else lines. `LARDER_BENCH_PYTHON` is the interpreter that is measured beside (else `python3`), if it has
//! tqdm. Runs with and without take turns, since the machine's speed drifts by more than what is measured.

use std::env;
use std::hint::black_box;
use std::io::{IsTerminal, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use larder::{Event, Observer, Parallel, Progress, ProgressIter};
use serde_json::{Value, json};

const STEPS: u64 = 10_000_000;
const ROUNDS: usize = 31;
/// tqdm takes a second for these.
const PYTHON_ROUNDS: usize = 3;
/// Steps per second, as measured before on such a machine, for where they are not measured now.
const KNOWN_TQDM: f64 = 9_000_000.0;

/// Measures the others.
const PYTHON: &str = include_str!("progress.py");

fn seconds<R>(work: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A figure, and whether it is what it should be.
struct Line {
    what: &'static str,
    unit: &'static str,
    value: f64,
    aim: Option<(&'static str, bool)>,
}

/// An observer that looks at each event, and keeps none.
struct Looks;

impl Observer for Looks {
    fn event(&self, event: &Event<'_>) {
        black_box(event);
    }
}

/// The ratio of runs with these options to runs without, as the median over rounds of one of each.
fn ratio(options: impl Fn(Parallel) -> Parallel) -> f64 {
    let plain = Parallel::new().n_jobs(2);
    let watched = options(Parallel::new().n_jobs(2));
    let run = |parallel: &Parallel| {
        seconds(|| parallel.map(black_box(0)..STEPS, |x| x.wrapping_mul(3)).expect("no task fails"))
    };
    let rounds = (0..ROUNDS).map(|round| {
        // Neither is always the first.
        if round % 2 == 0 {
            let without = run(&plain);
            run(&watched) / without
        } else {
            let with = run(&watched);
            with / run(&plain)
        }
    });
    run(&plain);
    run(&watched);
    median(rounds)
}

fn runs(lines: &mut Vec<Line>) {
    // How far two series of the same differ: what is less than that is noise.
    let value = ratio(|parallel| parallel);
    lines.push(Line { what: "`map` of 1e7 steps, to the same again", unit: "times", value, aim: None });
    let mut add = |what, value: f64| {
        lines.push(Line { what, unit: "times", value, aim: Some(("at most 1.01", value <= 1.01)) });
    };
    add("`map` of 1e7 steps with `Progress::Bar`, to without", ratio(|parallel| parallel.progress(Progress::Bar)));
    add(
        "`map` of 1e7 steps with `Progress::PerWorker`, to without",
        ratio(|parallel| parallel.progress(Progress::PerWorker)),
    );
    add("`map` of 1e7 steps with an observer, to without", ratio(|parallel| parallel.observer(Looks)));
}

#[inline(never)]
fn bare(steps: u64) {
    for step in 0..steps {
        black_box(step);
    }
}

#[inline(never)]
fn shown(steps: ProgressIter<std::ops::Range<u64>>) {
    for step in steps {
        black_box(step);
    }
}

/// The answer is steps per second with a bar.
fn loops(lines: &mut Vec<Line>) -> f64 {
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let without = seconds(|| bare(black_box(STEPS)));
            (without, seconds(|| shown(larder::progress(0..black_box(STEPS)).label("steps"))))
        })
        .collect();
    let nanos = |seconds: f64| seconds * 1e9 / STEPS as f64;
    let bare = median(rounds.iter().map(|(without, _)| nanos(*without)));
    let with = median(rounds.iter().map(|(_, with)| nanos(*with)));
    let more = median(rounds.iter().map(|(without, with)| nanos(with - without)));
    lines.push(Line { what: "a step of a bare loop", unit: "ns", value: bare, aim: None });
    lines.push(Line { what: "a step of `larder::progress`", unit: "ns", value: with, aim: None });
    let aim = Some(("at most 2 ns", more <= 2.0));
    lines.push(Line { what: "what `larder::progress` adds to a step", unit: "ns", value: more, aim });
    1e9 / with
}

fn python(lines: &mut Vec<Line>, ours: f64) -> Result<String, String> {
    let interpreter = env::var_os("LARDER_BENCH_PYTHON").unwrap_or_else(|| "python3".into());
    let name = interpreter.to_string_lossy().into_owned();
    let mut script = tempfile::Builder::new().suffix(".py").tempfile().map_err(|error| error.to_string())?;
    script.write_all(PYTHON.as_bytes()).map_err(|error| error.to_string())?;
    let mut command = Command::new(interpreter);
    command.arg(script.path()).args([STEPS.to_string(), PYTHON_ROUNDS.to_string()]).stderr(Stdio::null());
    let said: Value = match command.output() {
        Ok(output) if output.status.success() => {
            serde_json::from_slice(&output.stdout).map_err(|error| format!("`{name}` said: {error}"))?
        }
        Ok(output) => return Err(format!("`{name}` could not measure: {}", output.status)),
        Err(_) => Value::Null,
    };
    let rate = |key: &str| Some(median(said[key].as_array()?.iter().filter_map(Value::as_f64)));
    let mut add = |what, unit, value, aim| lines.push(Line { what, unit, value, aim });
    if let Some(rate) = rate("loop") {
        add("Python's bare loop", "steps/s", rate, None);
    }
    let measured = rate("tqdm");
    let what = if measured.is_some() { "tqdm" } else { "tqdm (known figure, not measured)" };
    let tqdm = measured.unwrap_or(KNOWN_TQDM);
    add(what, "steps/s", tqdm, None);
    add("`larder::progress`", "steps/s", ours, None);
    let times = ours / tqdm;
    add("`larder::progress` to tqdm", "times", times, Some(("at least 20", times >= 20.0)));
    Ok(match (&said["version"], &said["tqdm_version"]) {
        (Value::String(python), Value::String(tqdm)) => format!("Python {python}, tqdm {tqdm}"),
        (Value::String(python), _) => format!("Python {python}, which has no tqdm"),
        _ => format!("no `{name}`"),
    })
}

fn run(json: bool) -> Result<(), String> {
    let mut lines = Vec::new();
    runs(&mut lines);
    let ours = loops(&mut lines);
    let words = python(&mut lines, ours)?;
    let shown = if std::io::stderr().is_terminal() { "bars" } else { "lines" };
    if json {
        let lines: Vec<Value> = lines
            .iter()
            .map(|Line { what, unit, value, aim }| {
                json!({ "what": what, "unit": unit, "value": value, "reached": aim.map(|(_, reached)| reached) })
            })
            .collect();
        println!("{}", json!({ "shown": shown, "python": words, "lines": lines }));
        return Ok(());
    }
    println!("progress was shown as {shown}; {words}");
    for Line { what, unit, value, aim } in lines {
        let digits = if value < 1000.0 { 3 } else { 0 };
        let aim = aim.map_or_else(String::new, |(aim, reached)| {
            format!("; aim: {aim}: {}", if reached { "reached" } else { "MISSED" })
        });
        println!("{what}\n    {value:.digits$} {unit}{aim}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let (mut is_bench, mut json) = (false, false);
    for arg in env::args().skip(1) {
        match &*arg {
            "--bench" => is_bench = true,
            "--json" => json = true,
            _ if !is_bench => {}
            _ => {
                eprintln!("error: `{arg}`: there is `--json`");
                return ExitCode::from(2);
            }
        }
    }
    if !is_bench {
        println!("nothing is measured: `cargo bench --bench progress` does");
        return ExitCode::SUCCESS;
    }
    match run(json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("error: {words}");
            ExitCode::FAILURE
        }
    }
}
