//! `larder rebuild`: the index made anew.

use std::path::Path;

use serde_json::json;

use crate::failure::{Failure, NOT_OPENED};
use crate::output::Output;

pub(crate) fn run(cache: &Path, out: &mut Output) -> Result<u8, Failure> {
    let rebuilt = larder::rebuild(cache).map_err(|error| Failure::new(NOT_OPENED, error))?;
    let aside = rebuilt.aside.map(|aside| aside.display().to_string());
    if out.is_json() {
        out.document(&json!({
            "kept": rebuilt.kept,
            "taken_in": rebuilt.taken_in,
            "dropped": rebuilt.dropped,
            "aside": aside,
            "unread": rebuilt.unread,
        }))?;
        return Ok(0);
    }
    out.line(&format!(
        "{} entries were kept, {} were taken in from their files, {} that were damaged were dropped",
        rebuilt.kept, rebuilt.taken_in, rebuilt.dropped
    ))?;
    if let Some(why) = rebuilt.unread {
        out.line(&format!("the old index could not be read to its end: {}", why.replace('\n', " ")))?;
    }
    if let Some(aside) = aside {
        out.line(&format!("the old index is now `{aside}`; delete it when all is well"))?;
    }
    Ok(0)
}
