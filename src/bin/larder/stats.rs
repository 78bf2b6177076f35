//! `larder stats`: what the cache holds, and whether it is worth it.

use larder::{Memory, Totals};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::words::{duration, hit_rate, percent, size};

pub(crate) fn run(memory: &Memory, out: &mut Output) -> Result<u8, Failure> {
    let totals = memory.totals()?;
    let rate = hit_rate(totals.hits, totals.misses);
    let location = memory.location().map(|path| path.display().to_string()).unwrap_or_default();
    if out.is_json() {
        out.document(&json!({
            "cache": location,
            "functions": totals.functions,
            "entries": totals.entries,
            "bytes": totals.bytes,
            "hits": totals.hits,
            "blessed": totals.blessed,
            "misses": totals.misses,
            "hit_rate": rate,
            "seconds_saved": totals.time_saved.as_secs_f64(),
            "seconds_computing": totals.time_computing.as_secs_f64(),
        }))?;
        return Ok(0);
    }
    let hits = match totals.blessed {
        0 => totals.hits.to_string(),
        blessed => format!("{} ({blessed} by entries of earlier code, blessed)", totals.hits),
    };
    out.pairs(&[
        ("cache", location),
        ("functions", totals.functions.to_string()),
        ("entries", totals.entries.to_string()),
        ("bytes", size(totals.bytes)),
        ("hits", hits),
        ("misses", totals.misses.to_string()),
        ("hit rate", percent(rate)),
        ("saved", duration(totals.time_saved)),
        ("computing", duration(totals.time_computing)),
        ("worth it", worth(&totals)),
    ])?;
    Ok(0)
}

/// What the cache saved, beside what went into computing.
fn worth(totals: &Totals) -> String {
    let (saved, computing) = (totals.time_saved.as_secs_f64(), totals.time_computing.as_secs_f64());
    match () {
        () if totals.hits + totals.misses == 0 => "no program has told of its calls yet".to_owned(),
        () if totals.hits == 0 => "not yet: nothing was loaded so far".to_owned(),
        () => {
            let share = 100.0 * saved / (saved + computing).max(f64::MIN_POSITIVE);
            let each = duration(totals.time_saved / u32::try_from(totals.hits).unwrap_or(u32::MAX).max(1));
            format!("without it {share:.0} % of all computing would have been done again; a hit saves {each}")
        }
    }
}
