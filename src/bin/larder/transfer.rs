//! `larder export` and `larder import`: entries as one file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use larder::Memory;
use serde_json::json;

use crate::failure::{self, FOUND, Failure, MIDWAY, NOT_OPENED};
use crate::open;
use crate::output::Output;
use crate::words::{plain, size};

fn file_of(args: &ArgMatches) -> Result<&Path, Failure> {
    args.get_one::<PathBuf>("file").map(PathBuf::as_path).ok_or_else(|| Failure::usage("give a file"))
}

pub(crate) fn export(memory: &Memory, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let file = file_of(args)?;
    let functions: Vec<&str> = args.get_many::<String>("function").into_iter().flatten().map(String::as_str).collect();
    let known = memory.functions()?;
    if let Some(unknown) = functions.iter().find(|name| !known.iter().any(|known| known.name == **name)) {
        let words = format!("the cache knows no function `{}`: see `larder ls`", plain(unknown));
        return Err(Failure::new(FOUND, words));
    }
    let to_stdout = file == Path::new("-");
    let exported = if to_stdout {
        let exported = memory.export(&functions, out.bytes());
        // Who reads no further is not to be told so.
        out.end()?;
        exported?
    } else {
        to_file(memory, &functions, file)?
    };
    let document = json!({ "entries": exported.entries, "bytes": exported.bytes, "left_out": exported.left_out });
    let words = match exported.left_out {
        0 => format!("exported {} entries, {}", exported.entries, size(exported.bytes)),
        left_out => format!(
            "exported {} entries, {}; {left_out} that are damaged or of a newer release were left out",
            exported.entries,
            size(exported.bytes)
        ),
    };
    match (to_stdout, out.is_json()) {
        (true, _) => failure::note(&words),
        (false, true) => out.document(&document)?,
        (false, false) => out.line(&words)?,
    }
    Ok(0)
}

/// The file appears when it is whole.
fn to_file(memory: &Memory, functions: &[&str], path: &Path) -> Result<larder::Exported, Failure> {
    let not_opened = |words: &dyn std::fmt::Display| {
        let words = format!("the file `{}` cannot be made: {words}; choose another place or name", path.display());
        Failure::new(NOT_OPENED, words)
    };
    if path.exists() {
        return Err(not_opened(&"it is there already"));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp =
        tempfile::Builder::new().prefix(".larder-export-").tempfile_in(folder).map_err(|error| not_opened(&error))?;
    let exported = memory.export(functions, temp.as_file_mut())?;
    temp.as_file()
        .sync_all()
        .map_err(|error| Failure::new(MIDWAY, format!("writing `{}`: {error}", path.display())))?;
    temp.persist_noclobber(path).map_err(|error| not_opened(&error.error))?;
    Ok(exported)
}

pub(crate) fn import(matches: &ArgMatches, args: &ArgMatches, out: &mut Output) -> Result<u8, Failure> {
    let file = file_of(args)?;
    let reader: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).map_err(|error| {
            let words = format!("the file `{}` cannot be opened: {error}; check its name", file.display());
            Failure::new(NOT_OPENED, words)
        })?)
    };
    let memory = open::memory_at(&open::directory(matches)?, !args.get_flag("create"))?;
    let done = memory.import(reader)?;
    if out.is_json() {
        out.document(&json!({
            "imported": done.imported,
            "there_already": done.there_already,
            "left_out": done.left_out,
        }))?;
        return Ok(0);
    }
    let left_out = match done.left_out {
        0 => String::new(),
        left_out => format!(", {left_out} were left out: larger than the cache may be, or of a newer release"),
    };
    out.line(&format!("imported {} entries, {} were there already{left_out}", done.imported, done.there_already))?;
    Ok(0)
}
