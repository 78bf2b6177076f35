//! `larder plan`: what the next start of a run would compute, why, and how long that would take.

use clap::ArgMatches;
use larder::{Memory, MissReason};
use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::words::{count, duration};

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let name = args.get_one::<String>("name").map_or("", String::as_str);
    let plan = memory.plan_run(name)?;
    let summary = &plan.summary;
    if out.is_json() {
        let reason = |(reason, items): &(MissReason, u64)| json!({ "reason": reason.to_string(), "items": items });
        out.document(&json!({
            "name": name,
            "items": summary.items,
            "with_result": summary.reused,
            "to_compute": plan.misses,
            "reasons": plan.reasons.iter().map(reason).collect::<Vec<_>>(),
            "failed_before": summary.failed_before,
            "compute_seconds": plan.compute_time.as_secs_f64(),
            "longest_seconds": plan.longest.as_secs_f64(),
            "unpriced": plan.unpriced,
            "workers": plan.workers,
            "estimate_seconds": plan.estimate().as_secs_f64(),
            "live": summary.others,
            "damaged": summary.damaged,
        }))?;
        return Ok(0);
    }
    let mut pairs = vec![
        ("run", name.to_owned()),
        ("items", summary.items.to_string()),
        ("with a result", summary.reused.to_string()),
        ("to compute", plan.misses.to_string()),
    ];
    pairs.extend(plan.reasons.iter().map(|(reason, items)| ("because", format!("{items}: {reason}"))));
    if summary.failed_before > 0 {
        let words = format!(
            "{}, left alone: `larder runs retry {name}` has them tried again",
            count(summary.failed_before, "item")
        );
        pairs.push(("failed before", words));
    }
    if plan.misses > 0 {
        let unpriced = match plan.unpriced {
            0 => String::new(),
            unpriced => format!(", and {} of which nothing is known", count(unpriced, "item")),
        };
        pairs.push(("computing", format!("{}{unpriced}", duration(plan.compute_time))));
        pairs.push(("estimate", format!("{} on {}", duration(plan.estimate()), count(plan.workers as u64, "worker"))));
    }
    if summary.others > 0 {
        pairs.push(("live", format!("{} at it just now", count(summary.others, "program"))));
    }
    if summary.damaged > 0 {
        pairs.push(("damaged", format!("{} of the ledger cannot be read", count(summary.damaged, "record"))));
    }
    out.pairs(&pairs)?;
    Ok(0)
}
