//! `larder prune`: what is worth the least goes, down to limits.

use std::time::Duration;

use clap::ArgMatches;
use larder::{Limits, Memory};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::words::{duration, size};

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let mut limits = Limits::new();
    if let Some(bytes) = args.get_one::<String>("max-bytes") {
        limits = limits.max_bytes(bytes.as_str());
    }
    if let Some(entries) = args.get_one::<u64>("max-entries") {
        limits = limits.max_entries(*entries);
    }
    if let Some(age) = args.get_one::<Duration>("max-age") {
        limits = limits.max_age(*age);
    }
    if limits.is_none() {
        let words =
            "prune needs a limit: give `--max-bytes`, `--max-entries` or `--max-age`; `larder clear` removes all";
        return Err(Failure::usage(words));
    }
    limits.check()?;
    let dry = args.get_flag("dry-run");
    let reduced = if dry { memory.would_reduce(&limits)? } else { memory.reduce_size(&limits)? };
    if out.is_json() {
        out.document(&json!({
            "dry_run": dry,
            "entries": reduced.entries,
            "bytes": reduced.bytes,
            "compute_seconds": reduced.compute_time.as_secs_f64(),
        }))?;
        return Ok(0);
    }
    let what = if dry { "would remove" } else { "removed" };
    out.line(&format!(
        "{what} {} entries, {}, which took {} to compute",
        reduced.entries,
        size(reduced.bytes),
        duration(reduced.compute_time)
    ))?;
    Ok(0)
}
