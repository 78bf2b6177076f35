//! `larder ls`: functions, or the entries of one.

use std::cmp::Reverse;

use clap::ArgMatches;
use larder::{EntryInfo, FunctionInfo, Memory};
use serde_json::{Value, json};

use crate::failure::{FOUND, Failure};
use crate::output::{Output, Side};
use crate::show;
use crate::words::{duration, hit_rate, percent, plain, size, time};

/// What functions can be sorted by.
pub(crate) const COLUMNS: [&str; 7] = ["bytes", "entries", "hits", "misses", "rate", "saved", "name"];

/// A table of entries is for people: this many, unless more are asked for.
const ENTRIES_SHOWN: usize = 100;

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let limit = args.get_one::<usize>("limit").copied();
    match args.get_one::<String>("function") {
        Some(function) => entries(memory, function, limit, out),
        None => {
            let mut functions = memory.functions()?;
            sort(&mut functions, args.get_one::<String>("sort").map_or("bytes", String::as_str));
            functions.truncate(limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX));
            print(&functions, out)
        }
    }
}

fn sort(functions: &mut [FunctionInfo], column: &str) {
    let by = |key: fn(&FunctionInfo) -> u128| move |function: &FunctionInfo| Reverse(key(function));
    // Stable: equal ones stay in the order of their names.
    match column {
        "name" => {}
        "entries" => functions.sort_by_key(by(|function| function.entries.into())),
        "hits" => functions.sort_by_key(by(|function| function.hits.into())),
        "misses" => functions.sort_by_key(by(|function| function.misses.into())),
        "rate" => {
            let rate = |function: &FunctionInfo| hit_rate(function.hits, function.misses).unwrap_or(-1.0);
            functions.sort_by(|one, other| rate(other).total_cmp(&rate(one)));
        }
        "saved" => functions.sort_by_key(by(|function| function.time_saved.as_nanos())),
        _ => functions.sort_by_key(by(|function| function.bytes.into())),
    }
}

fn print(functions: &[FunctionInfo], out: &mut Output) -> Result<u8, Failure> {
    if out.is_json() {
        out.document(&json!({ "functions": functions.iter().map(document).collect::<Vec<_>>() }))?;
        return Ok(0);
    }
    let columns = [
        ("FUNCTION", Side::Left),
        ("ENTRIES", Side::Right),
        ("BYTES", Side::Right),
        ("HITS", Side::Right),
        ("MISSES", Side::Right),
        ("RATE", Side::Right),
        ("SAVED", Side::Right),
    ];
    let row = |function: &FunctionInfo| {
        vec![
            plain(&function.name),
            function.entries.to_string(),
            size(function.bytes),
            function.hits.to_string(),
            function.misses.to_string(),
            percent(hit_rate(function.hits, function.misses)),
            duration(function.time_saved),
        ]
    };
    out.table(&columns, functions.iter().map(row).collect())?;
    Ok(0)
}

pub(crate) fn document(function: &FunctionInfo) -> Value {
    let codes = function.codes.iter().map(|code| {
        json!({
            "fingerprint": code.fingerprint,
            "version": code.version,
            "entries": code.entries,
            "first_stored_at": time(code.first_stored_at),
            "last_stored_at": time(code.last_stored_at),
        })
    });
    json!({
        "name": function.name,
        "by_hand": function.by_hand,
        "entries": function.entries,
        "bytes": function.bytes,
        "hits": function.hits,
        "blessed": function.blessed,
        "misses": function.misses,
        "hit_rate": hit_rate(function.hits, function.misses),
        "seconds_saved": function.time_saved.as_secs_f64(),
        "seconds_computing": function.time_computing.as_secs_f64(),
        "codes": codes.collect::<Vec<_>>(),
    })
}

fn entries(memory: &Memory, function: &str, limit: Option<usize>, out: &mut Output) -> Result<u8, Failure> {
    let of_name = memory.functions()?.into_iter().filter(|known| known.name == function);
    let all: u64 = of_name.map(|known| known.entries).sum();
    if out.is_json() {
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        return stream(memory, function, limit, out);
    }
    let limit = limit.map_or(ENTRIES_SHOWN, |limit| if limit > 0 { limit } else { usize::MAX });
    let mut listed = Vec::new();
    for entry in memory.entries_of(function).take(limit) {
        listed.push(entry?);
    }
    if listed.is_empty() {
        return Err(Failure::new(FOUND, format!("the cache holds no entry of `{}`: see `larder ls`", plain(function))));
    }
    let columns = [
        ("KEY", Side::Left),
        ("VERSION", Side::Right),
        ("BYTES", Side::Right),
        ("COMPUTED IN", Side::Right),
        ("STORED", Side::Left),
        ("HITS", Side::Right),
        ("ARGUMENTS", Side::Left),
    ];
    let shown = listed.len() as u64;
    out.table(&columns, listed.iter().map(row).collect())?;
    if shown < all && listed.len() == limit {
        out.line(&format!("{shown} of {all} entries: `--limit 0` lists all"))?;
    }
    Ok(0)
}

fn row(entry: &EntryInfo) -> Vec<String> {
    let arguments = match &entry.damage {
        Some(damage) => damage.to_string(),
        None => plain(&entry.arguments.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    vec![
        entry.key[..16].to_owned(),
        entry.version.to_string(),
        size(entry.bytes),
        duration(entry.compute_time),
        time(entry.stored_at),
        entry.hits.to_string(),
        arguments,
    ]
}

/// One document, written as entries are read: nothing is kept.
fn stream(memory: &Memory, function: &str, limit: usize, out: &mut Output) -> Result<u8, Failure> {
    let mut any = false;
    let blessings = memory.blessings(function)?;
    for entry in memory.entries_of(function).take(limit) {
        out.text(if any { ",\n" } else { "{\"entries\": [\n" })?;
        out.text(&show::document(&entry?, &blessings).to_string())?;
        any = true;
    }
    out.line(if any { "\n]}" } else { "{\"entries\": []}" })?;
    Ok(if any { 0 } else { FOUND })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted_by_any_column() {
        let dir = tempfile::tempdir().expect("room");
        let memory = Memory::open(dir.path()).expect("a cache");
        let call = |name: &str, times: usize, length: usize| {
            let text = memory.cached_fn(name, 1, |(_, length): &(usize, usize)| "x".repeat(*length));
            (0..times).for_each(|at| drop(text.call(&(at, length))));
        };
        call("b", 3, 1);
        call("a", 2, 900);
        call("c", 1, 5);
        for (column, order) in [("name", "a b c"), ("entries", "b a c"), ("bytes", "a b c"), ("rate", "a b c")] {
            let mut functions = memory.functions().expect("it is open");
            sort(&mut functions, column);
            let names: Vec<_> = functions.iter().map(|function| function.name.as_str()).collect();
            assert_eq!(names.join(" "), order, "by {column}");
        }
    }
}
