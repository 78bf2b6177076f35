//! `larder runs show`: all of one run.

use clap::ArgMatches;
use larder::{FailureKind, Memory, RunDetails, RunItem, RunItemState, RunProgram, RunProgramState};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, Side};
use crate::runs;
use crate::words::{count, duration, plain, time};

/// A table of items is for people: this many, unless more are asked for.
const ITEMS_SHOWN: usize = 100;
/// And so many programs, the last.
const PROGRAMS_SHOWN: usize = 20;

pub(crate) fn run(memory: &Memory, name: &str, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let run = memory.run(name)?;
    let limit = args.get_one::<usize>("limit").copied();
    let failed_only = args.get_flag("failed");
    if out.is_json() {
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        return stream(&run, failed_only, limit, out);
    }
    print(&run, failed_only, limit.map_or(ITEMS_SHOWN, |limit| if limit > 0 { limit } else { usize::MAX }), out)
}

fn items(run: &RunDetails, failed_only: bool) -> Box<dyn Iterator<Item = RunItem> + '_> {
    if failed_only { Box::new(run.failed()) } else { Box::new(run.items()) }
}

fn print(run: &RunDetails, failed_only: bool, limit: usize, out: &mut Output) -> Result<u8, Failure> {
    let info = &run.info;
    let at = |when: Option<_>| when.map_or_else(|| "-".to_owned(), time);
    let mut pairs = vec![
        ("run", info.name.clone()),
        ("function", plain(&info.function)),
        ("items", format!("{}: {} done, {} failed, {} waiting", info.items, info.done, info.failed, info.waiting)),
        ("live", count(info.live, "program")),
        ("started", at(info.started_at)),
        ("last written", at(info.last_written_at)),
    ];
    pairs.extend(runs::notes(info).into_iter().map(|note| ("note", note)));
    out.pairs(&pairs)?;
    if !run.programs.is_empty() {
        let columns = [
            ("PID", Side::Right),
            ("HOST", Side::Left),
            ("WORKERS", Side::Left),
            ("ITEMS", Side::Right),
            ("STARTED", Side::Left),
            ("LAST WRITTEN", Side::Left),
            ("STATE", Side::Left),
        ];
        let hidden = run.programs.len().saturating_sub(PROGRAMS_SHOWN);
        out.line("")?;
        out.table(&columns, run.programs.iter().skip(hidden).map(program_row).collect())?;
        if hidden > 0 {
            out.line(&format!("and {} before: `--json` has all", count(hidden as u64, "program")))?;
        }
    }
    let all = if failed_only { run.failed().count() } else { run.items().len() };
    if all > 0 {
        let columns = [
            ("KEY", Side::Left),
            ("STATE", Side::Left),
            ("ATTEMPTS", Side::Right),
            ("WORKER", Side::Right),
            ("TOOK", Side::Right),
            ("WHAT FAILED", Side::Left),
        ];
        out.line("")?;
        out.table(&columns, items(run, failed_only).take(limit).map(|item| row(&item)).collect())?;
    }
    if all > limit {
        out.line(&format!("{limit} of {all} items: `--limit 0` lists all"))?;
    }
    Ok(0)
}

fn program_row(program: &RunProgram) -> Vec<String> {
    let state = match program.state {
        RunProgramState::Live => "live".to_owned(),
        RunProgramState::Ended(end) => {
            let complete = if end.complete { "" } else { ", not complete" };
            format!("ended: {} computed, {} reused, {} failed{complete}", end.computed, end.reused, end.failed)
        }
        RunProgramState::Killed => "killed".to_owned(),
        _ => "another state".to_owned(),
    };
    vec![
        program.pid.to_string(),
        plain(&program.host),
        format!("{} {}", program.workers, plain(&program.backend)),
        program.items.to_string(),
        time(program.started_at),
        time(program.last_written_at),
        state,
    ]
}

fn row(item: &RunItem) -> Vec<String> {
    let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let what = match &item.state {
        RunItemState::Failed { message, arguments, .. } => plain(&format!("{arguments}: {message}")),
        _ => String::new(),
    };
    vec![
        item.key[..16].to_owned(),
        format!("{}{}", state(item), if item.listed { "" } else { ", gone from the list" }),
        item.attempts.to_string(),
        number(item.worker.map(|worker| worker.to_string())),
        number(item.took.map(duration)),
        what,
    ]
}

fn state(item: &RunItem) -> &'static str {
    match item.state {
        RunItemState::Waiting => "waiting",
        RunItemState::Done => "done",
        RunItemState::Failed { retry: true, .. } => "to be tried again",
        RunItemState::Failed { kind, .. } => match kind {
            FailureKind::Panic => "panicked",
            FailureKind::Timeout => "timed out",
            FailureKind::Death => "worker died",
            FailureKind::Memory => "took too much memory",
            _ => "failed",
        },
        _ => "another state",
    }
}

fn kind_word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Error => "error",
        FailureKind::Panic => "panic",
        FailureKind::Timeout => "timeout",
        FailureKind::Death => "death",
        FailureKind::Memory => "memory",
        FailureKind::Serialization => "serialization",
        _ => "other",
    }
}

/// One document, with an item on each line.
fn stream(run: &RunDetails, failed_only: bool, limit: usize, out: &mut Output) -> Result<u8, Failure> {
    let mut head = runs::document(&run.info);
    head["programs"] = run.programs.iter().map(program).collect();
    let head = head.to_string();
    // The items come behind the rest, before its bracket is closed.
    out.text(head.strip_suffix('}').unwrap_or(&head))?;
    out.text(",\n\"item_list\": [")?;
    for (at, item) in items(run, failed_only).take(limit).enumerate() {
        out.text(if at == 0 { "\n" } else { ",\n" })?;
        out.text(&document(&item).to_string())?;
    }
    out.line("\n]}")?;
    Ok(0)
}

fn program(program: &RunProgram) -> Value {
    let (state, end) = match program.state {
        RunProgramState::Live => ("live", None),
        RunProgramState::Ended(end) => ("ended", Some(end)),
        RunProgramState::Killed => ("killed", None),
        _ => ("other", None),
    };
    json!({
        "pid": program.pid,
        "host": program.host,
        "function": program.function,
        "fingerprint": program.fingerprint,
        "version": program.version,
        "backend": program.backend,
        "workers": program.workers,
        "items": program.items,
        "started_at": time(program.started_at),
        "last_written_at": time(program.last_written_at),
        "state": state,
        "end": end.map(|end| json!({
            "computed": end.computed,
            "reused": end.reused,
            "failed": end.failed,
            "changed": end.changed,
            "new": end.new,
            "gone": end.gone,
            "complete": end.complete,
        })),
    })
}

fn document(item: &RunItem) -> Value {
    let state = match item.state {
        RunItemState::Waiting => "waiting",
        RunItemState::Done => "done",
        RunItemState::Failed { .. } => "failed",
        _ => "other",
    };
    let mut document = json!({
        "key": item.key,
        "state": state,
        "attempts": item.attempts,
        "worker": item.worker,
        "seconds": item.took.map(|took| took.as_secs_f64()),
        "listed": item.listed,
    });
    if let RunItemState::Failed { message, kind, arguments, retry, .. } = &item.state {
        let kind = kind_word(*kind);
        document["failure"] = json!({ "message": message, "kind": kind, "arguments": arguments, "retry": retry });
    }
    document
}
