//! `larder runs`: named runs, and what is done to one by hand.

use clap::ArgMatches;
use larder::{Memory, RunInfo};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{Output, Side};
use crate::run_show;
use crate::words::{count, plain, time};

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let Some((command, args)) = args.subcommand() else { return list(memory, out) };
    let name = args.get_one::<String>("name").map_or("", String::as_str);
    match command {
        "show" => run_show::run(memory, name, args, out),
        "retry" => retry(memory, name, out),
        "remove" => remove(memory, name, out),
        _ => Err(Failure::usage(format!("there is no command `runs {command}`"))),
    }
}

fn list(memory: &Memory, out: &mut Output) -> Result<u8, Failure> {
    let runs = memory.runs()?;
    if out.is_json() {
        out.document(&json!({ "runs": runs.iter().map(document).collect::<Vec<_>>() }))?;
        return Ok(0);
    }
    let columns = [
        ("RUN", Side::Left),
        ("FUNCTION", Side::Left),
        ("ITEMS", Side::Right),
        ("DONE", Side::Right),
        ("FAILED", Side::Right),
        ("WAITING", Side::Right),
        ("LIVE", Side::Right),
        ("STARTED", Side::Left),
        ("LAST WRITTEN", Side::Left),
        ("", Side::Left),
    ];
    let row = |run: &RunInfo| {
        let at = |when: Option<_>| when.map_or_else(|| "-".to_owned(), time);
        vec![
            run.name.clone(),
            plain(&run.function),
            run.items.to_string(),
            run.done.to_string(),
            run.failed.to_string(),
            run.waiting.to_string(),
            run.live.to_string(),
            at(run.started_at),
            at(run.last_written_at),
            notes(run).join("; "),
        ]
    };
    out.table(&columns, runs.iter().map(row).collect())?;
    Ok(0)
}

/// What is unusual about a run.
pub(crate) fn notes(run: &RunInfo) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &run.unread {
        notes.push(plain(why));
    }
    if run.code_changed == Some(true) {
        notes.push("there are results of other code since".to_owned());
    }
    if run.retry > 0 {
        notes.push(format!("{} to be tried again", count(run.retry, "failed item")));
    }
    if run.damaged > 0 {
        notes.push(format!("{} of the ledger cannot be read", count(run.damaged, "record")));
    }
    notes
}

pub(crate) fn document(run: &RunInfo) -> Value {
    json!({
        "name": run.name,
        "function": run.function,
        "items": run.items,
        "done": run.done,
        "failed": run.failed,
        "waiting": run.waiting,
        "retry": run.retry,
        "live": run.live,
        "started_at": run.started_at.map(time),
        "last_written_at": run.last_written_at.map(time),
        "code_changed": run.code_changed,
        "damaged": run.damaged,
        "unread": run.unread,
    })
}

fn retry(memory: &Memory, name: &str, out: &mut Output) -> Result<u8, Failure> {
    let items = memory.retry_run(name)?;
    if out.is_json() {
        out.document(&json!({ "name": name, "items": items }))?;
        return Ok(0);
    }
    let words = match items {
        0 => format!("no item of `{name}` failed"),
        items => format!("the next start of `{name}` tries {} again", count(items, "failed item")),
    };
    out.line(&words)?;
    Ok(0)
}

fn remove(memory: &Memory, name: &str, out: &mut Output) -> Result<u8, Failure> {
    memory.remove_run(name)?;
    if out.is_json() {
        out.document(&json!({ "name": name }))?;
        return Ok(0);
    }
    out.line(&format!("the run `{name}` is forgotten; its results are still in the cache"))?;
    Ok(0)
}
