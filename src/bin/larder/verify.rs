//! `larder verify`: whether everything is whole.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use larder::{Damaged, Memory, VerifyProgress};
use serde_json::json;

use crate::failure::{FOUND, Failure};
use crate::output::{Output, Side};
use crate::words::{plain, size};

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let repair = args.get_flag("repair");
    let mut shown = Shown::new();
    let on_progress = |progress| shown.show(progress);
    let verified = if repair { memory.repair(on_progress) } else { memory.verify(on_progress) };
    shown.end();
    let verified = verified?;
    let code = if verified.damaged.is_empty() { 0 } else { FOUND };
    if out.is_json() {
        let damaged = |damaged: &Damaged| {
            json!({
                "key": damaged.key,
                "function": damaged.function,
                "damage": damaged.damage.to_string(),
                "removed": damaged.removed,
            })
        };
        out.document(&json!({
            "entries": verified.entries,
            "bytes": verified.bytes,
            "newer": verified.newer,
            "damaged": verified.damaged.iter().map(damaged).collect::<Vec<_>>(),
        }))?;
        return Ok(code);
    }
    if !verified.damaged.is_empty() {
        let row = |damaged: &Damaged| {
            let function = damaged.function.as_deref().map_or_else(|| "?".to_owned(), plain);
            let removed = if damaged.removed { " (removed)" } else { "" };
            vec![damaged.key[..16].to_owned(), function, format!("{}{removed}", damaged.damage)]
        };
        let columns = [("KEY", Side::Left), ("FUNCTION", Side::Left), ("DAMAGE", Side::Left)];
        out.table(&columns, verified.damaged.iter().map(row).collect())?;
    }
    let left = verified.damaged.iter().filter(|damaged| !damaged.removed).count();
    let remedy = match left {
        0 => "",
        _ if repair => ": what cannot be read stays; check the disk and the permissions",
        _ => ": `larder verify --repair` removes them, and they are computed again",
    };
    out.line(&format!(
        "{} entries, {}: {} damaged{remedy}",
        verified.entries,
        size(verified.bytes),
        verified.damaged.len()
    ))?;
    if verified.newer > 0 {
        out.line(&format!("{} entries are of a newer release, and were left alone", verified.newer))?;
    }
    Ok(code)
}

/// A line that tells how far it is, where somebody watches.
struct Shown {
    last: Option<Instant>,
}

impl Shown {
    const EVERY: Duration = Duration::from_millis(200);

    fn new() -> Shown {
        Shown { last: io::stderr().is_terminal().then(Instant::now) }
    }

    fn show(&mut self, progress: VerifyProgress) {
        let Some(last) = &mut self.last else { return };
        if last.elapsed() >= Shown::EVERY {
            *last = Instant::now();
            // What cannot be shown is missed by nobody.
            let _ = write!(io::stderr(), "\r{} entries, {} \x1b[K", progress.entries, size(progress.bytes));
        }
    }

    fn end(&self) {
        if self.last.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
