//! `larder bless`: entries of earlier code answer for a function, once a sample gave the same results again.

use std::path::PathBuf;

use clap::ArgMatches;
use larder::{Bless, BlessError, Blessed, Memory};
use serde_json::json;

use crate::blessings::{codes, document, words};
use crate::failure::{FOUND, Failure, MIDWAY, NOT_OPENED};
use crate::output::Output;
use crate::words::plain;

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let text = |name| args.get_one::<String>(name).map(String::as_str);
    let function = text("function").unwrap_or_default();
    if args.get_flag("undo") {
        return undo(memory, function, out);
    }
    let mut options = Bless::new().sample(args.get_one::<u32>("sample").copied().unwrap_or(32));
    if let Some(code) = text("from") {
        options = options.from(code);
    }
    if let Some(name) = text("by") {
        options = options.by(name);
    }
    let program = args.get_one::<PathBuf>("program").map(PathBuf::as_path);
    match memory.bless_in(program, function, &options) {
        Ok(blessed) => {
            tell(&blessed, out)?;
            Ok(0)
        }
        Err(error) => differs(&error, function, out),
    }
}

fn tell(blessed: &Blessed, out: &mut Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.document(&json!({
            "function": blessed.function,
            "fingerprint": blessed.fingerprint,
            "version": blessed.version,
            "from": codes(&blessed.from),
            "by": blessed.by,
            "entries": blessed.entries,
            "sampled": blessed.sampled,
            "without_arguments": blessed.without_arguments,
            "bound": blessed.bound(),
            "difference": null,
        }));
    }
    out.line(&plain(&blessed.to_string()))
}

/// One result that differs is what was asked for; all else is a failure.
fn differs(error: &BlessError, function: &str, out: &mut Output) -> Result<u8, Failure> {
    let Some(difference) = error.difference() else {
        let code = match () {
            () if error.is_nothing() => FOUND,
            () if error.is_program() => NOT_OPENED,
            () if error.is_invalid_option() => return Err(Failure::usage(error)),
            () => MIDWAY,
        };
        return Err(Failure::new(code, error));
    };
    if out.is_json() {
        out.document(&json!({
            "function": function,
            "difference": {
                "call": difference.call,
                "old": difference.old,
                "new": difference.new,
                "agreed": difference.agreed,
            },
        }))?;
        return Ok(FOUND);
    }
    out.line("nothing is blessed: the meaning changed")?;
    out.pairs(&[
        ("call", plain(&difference.call)),
        ("stored", plain(&difference.old)),
        ("now", plain(&difference.new)),
        ("agreed", format!("{} calls before it", difference.agreed)),
    ])?;
    Ok(FOUND)
}

fn undo(memory: &Memory, function: &str, out: &mut Output) -> Result<u8, Failure> {
    let undone = memory.unbless(function)?;
    if out.is_json() {
        out.document(&json!({ "undone": undone.iter().map(document).collect::<Vec<_>>() }))?;
        return Ok(0);
    }
    if undone.is_empty() {
        out.line(&format!("nothing is blessed of `{}`", plain(function)))?;
    }
    for blessing in &undone {
        out.line(&format!("taken back: code {:.12}, blessed {}", blessing.fingerprint, words(blessing)))?;
    }
    Ok(0)
}
