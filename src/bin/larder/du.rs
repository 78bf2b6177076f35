//! `larder du`: what takes room.

use larder::Memory;
use serde_json::json;

use crate::failure::Failure;
use crate::output::{Output, Side};
use crate::words::{plain, size};

pub(crate) fn run(memory: &Memory, out: &mut Output) -> Result<u8, Failure> {
    let mut functions = memory.functions()?;
    functions.sort_by_key(|function| std::cmp::Reverse(function.bytes));
    let disk = memory.disk_usage()?;
    if out.is_json() {
        let function = |function: &larder::FunctionInfo| json!({ "name": function.name, "by_hand": function.by_hand, "entries": function.entries, "bytes": function.bytes });
        out.document(&json!({
            "functions": functions.iter().map(function).collect::<Vec<_>>(),
            "disk": {
                "index_bytes": disk.index_bytes,
                "blob_bytes": disk.blob_bytes,
                "blobs": disk.blobs,
                "set_aside_bytes": disk.set_aside_bytes,
                "other_bytes": disk.other_bytes,
                "bytes": disk.bytes(),
            },
        }))?;
        return Ok(0);
    }
    let row = |function: &larder::FunctionInfo| {
        vec![plain(&function.name), function.entries.to_string(), size(function.bytes)]
    };
    let columns = [("FUNCTION", Side::Left), ("ENTRIES", Side::Right), ("BYTES", Side::Right)];
    out.table(&columns, functions.iter().map(row).collect())?;
    out.line("")?;
    let mut pairs = vec![
        ("index", size(disk.index_bytes)),
        ("blobs", format!("{} in {} files", size(disk.blob_bytes), disk.blobs)),
        ("other", size(disk.other_bytes)),
    ];
    if disk.set_aside_bytes > 0 {
        let what = "of indexes that were set aside (`index.damaged-*`), which can be deleted";
        pairs.push(("set aside", format!("{} {what}", size(disk.set_aside_bytes))));
    }
    pairs.push(("on disk", size(disk.bytes())));
    out.pairs(&pairs)?;
    Ok(0)
}
