//! `larder show`: all of one entry.

use clap::ArgMatches;
use larder::{Blessing, CodecId, EntryInfo, ItemChange, ItemChangeKind, Memory};
use serde_json::{Value, json};

use crate::blessings;
use crate::failure::{FOUND, Failure};
use crate::output::Output;
use crate::words::{duration, plain, size, time};

pub(crate) fn run(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let key = args.get_one::<String>("key").map_or("", String::as_str);
    let found = memory.find_entry(key)?;
    let entry = match &found[..] {
        [entry] => entry,
        [] => {
            let words = format!("no entry has a key that begins with `{key}`: see `larder ls FUNCTION`");
            return Err(Failure::new(FOUND, words));
        }
        several => {
            const NAMED: usize = 5;
            let keys: Vec<_> = several.iter().take(NAMED).map(|entry| &entry.key[..16]).collect();
            let words =
                format!("{} keys begin with `{key}`: give more digits ({}, ..)", several.len(), keys.join(", "));
            return Err(Failure::usage(words));
        }
    };
    let (changes, blessings) = (memory.items_changed_since(entry)?, memory.blessings(&entry.function)?);
    if out.is_json() {
        let mut document = document(entry, &blessings);
        document["items_changed"] = changes.as_deref().map_or(Value::Null, items);
        out.document(&document)?;
        return Ok(0);
    }
    let mut pairs = pairs(entry);
    if let Some(changes) = &changes {
        // Behind the code.
        pairs.splice(3..3, since(changes));
    }
    for blessing in answers_for(entry, &blessings) {
        let words = format!("code {:.12}, blessed {}", blessing.fingerprint, blessings::words(blessing));
        pairs.push(("answers for", words));
    }
    out.pairs(&pairs)?;
    Ok(0)
}

/// Those of a function's blessings by which an entry of its answers for another code.
fn answers_for<'b>(entry: &'b EntryInfo, blessings: &'b [Blessing]) -> impl Iterator<Item = &'b Blessing> {
    blessings.iter().filter(|blessing| {
        blessing.from.iter().any(|code| {
            entry.fingerprint.as_ref() == Some(&code.fingerprint)
                && entry.version == code.version
                && entry.stored_at <= code.until
        })
    })
}

/// More changes than these are only counted.
const MOST_CHANGES: usize = 20;

fn since(changes: &[ItemChange]) -> Vec<(&'static str, String)> {
    if changes.is_empty() {
        return vec![("changed since", "not known: one of the codes was stored without its items".to_owned())];
    }
    let mut lines: Vec<_> =
        changes.iter().take(MOST_CHANGES).map(|change| ("changed since", plain(&change.to_string()))).collect();
    if changes.len() > MOST_CHANGES {
        lines.push(("changed since", format!("and {} more", changes.len() - MOST_CHANGES)));
    }
    lines
}

fn items(changes: &[ItemChange]) -> Value {
    let item = |change: &ItemChange| {
        let kind = match change.kind {
            ItemChangeKind::Changed => "changed",
            ItemChangeKind::Added => "added",
            ItemChangeKind::Removed => "removed",
            _ => "other",
        };
        json!({ "kind": kind, "name": change.name, "place": change.place })
    };
    changes.iter().map(item).collect()
}

fn pairs(entry: &EntryInfo) -> Vec<(&'static str, String)> {
    let code = match &entry.fingerprint {
        Some(fingerprint) => format!("fingerprint {fingerprint}, version {}", entry.version),
        None => format!("version {}, given by hand", entry.version),
    };
    let place = match &entry.blob {
        Some(name) => format!("blobs/{}/{name}", &name[..2]),
        None => "in the index".to_owned(),
    };
    let mut pairs = vec![
        ("key", entry.key.clone()),
        ("function", plain(&entry.function)),
        ("code", code),
        ("stored", time(entry.stored_at)),
        ("computed in", duration(entry.compute_time)),
        ("bytes", format!("{} ({} bytes)", size(entry.bytes), entry.bytes)),
        ("value", format!("{} bytes, {}", entry.value_bytes, entry.codec.map_or("unknown", codec))),
        ("place", place),
        ("hits", entry.hits.to_string()),
        ("last used", entry.last_used.map_or_else(|| "not since it was stored".to_owned(), time)),
    ];
    for given in &entry.arguments {
        pairs.push(("argument", format!("{} (digest {})", plain(&given.to_string()), given.digest)));
    }
    if let Some(damage) = &entry.damage {
        pairs.push(("damage", format!("{damage}: `larder verify --repair` removes it")));
    }
    pairs
}

fn codec(codec: CodecId) -> &'static str {
    match codec {
        CodecId::Compact => "bincode",
        CodecId::SelfDescribing => "MessagePack",
        CodecId::Numbers => "numbers",
        CodecId::Sections => "bincode and numbers",
        _ => "another codec",
    }
}

pub(crate) fn document(entry: &EntryInfo, blessings: &[Blessing]) -> Value {
    let arguments = entry
        .arguments
        .iter()
        .map(|argument| json!({ "name": argument.name, "text": argument.text, "digest": argument.digest }));
    json!({
        "key": entry.key,
        "function": entry.function,
        "by_hand": entry.by_hand,
        "version": entry.version,
        "fingerprint": entry.fingerprint,
        "arguments": arguments.collect::<Vec<_>>(),
        "stored_at": time(entry.stored_at),
        "compute_seconds": entry.compute_time.as_secs_f64(),
        "bytes": entry.bytes,
        "value_bytes": entry.value_bytes,
        "codec": entry.codec.map(codec),
        "blob": entry.blob,
        "hits": entry.hits,
        "last_used_at": entry.last_used.map(time),
        "damage": entry.damage.as_ref().map(ToString::to_string),
        "answers_for": answers_for(entry, blessings).map(blessings::document).collect::<Vec<_>>(),
    })
}
