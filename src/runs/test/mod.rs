//! Tests of more than one part.

mod bytes;
mod commits;
mod folds;
mod follows;
mod merges;
mod whole;

use super::item::{Begin, Failed, Failing, ItemId, Listed};
use super::{Ledger, Name, Recorded};
use crate::parallel::FailureKind;
use crate::runs::commit::BeforeCommit;
use std::path::Path;

fn id(number: u64) -> ItemId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    ItemId(bytes)
}

/// The item of this number under the key of this code.
fn listed(number: u64, code: u8) -> Listed {
    Listed { id: id(number), key: [code; 40], marks: vec![number, 7] }
}

fn list(numbers: impl IntoIterator<Item = u64>, code: u8) -> impl Iterator<Item = Listed> {
    numbers.into_iter().map(move |number| listed(number, code))
}

fn begin(items: u64) -> Begin {
    Begin {
        function: "crate::simulate".to_owned(),
        code: Some([3; 32]),
        version: 4,
        backend: "threads".to_owned(),
        workers: 2,
        items,
    }
}

/// A failure under the key of this code.
fn failing(kind: FailureKind, message: &str, text: &str, code: u8) -> Failing {
    Failing { how: Failed::new(kind, message, text), under: [code; 40] }
}

fn nightly() -> Name {
    Name::new("nightly").unwrap()
}

fn at_once() -> BeforeCommit {
    Box::new(|| Ok(()))
}

/// With what it says of items in the same words, however many folds these were in.
fn open(cache: &Path) -> (Ledger, Recorded) {
    let (ledger, recorded) = Ledger::open(cache, &nightly(), at_once()).unwrap();
    (ledger, ageless(recorded))
}

fn read(cache: &Path) -> Recorded {
    ageless(Recorded::read(cache, &nightly()).unwrap())
}

fn ageless(mut recorded: Recorded) -> Recorded {
    recorded.items.values_mut().for_each(|item| item.age = 0);
    recorded
}

/// The files of the run with this extension, sorted.
fn files(cache: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let dir = std::fs::read_dir(cache.join("runs/nightly")).unwrap();
    let mut found: Vec<_> = dir.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|found| found == extension));
    found.sort();
    found
}
