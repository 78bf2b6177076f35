//! The files and variables that a function reads beside its arguments, looked at when a call is made.
//!
//! Of a file the content counts. Its digest is kept for the process with what the system says of the file, so a call costs one
//! `stat` for each file as long as nothing changes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use crate::digest::Purpose;
use crate::key::Seen;
use crate::lock::lock;
use crate::store::blob::Stamp;
use crate::task::Input;

/// Of a file that changed more recently than this, a second change might leave no trace in its times: some file systems
/// have them in steps of two seconds. It is read with each call until then.
const SETTLED: Duration = Duration::from_secs(2);

/// The files of this program's functions, as they were read last.
static KNOWN: LazyLock<Mutex<HashMap<&'static str, (Stamp, Seen)>>> = LazyLock::new(Mutex::default);

/// How the inputs are now.
///
/// # Errors
/// One of them cannot be read, in words that name it.
pub(super) fn look(inputs: &[Input]) -> Result<Vec<Seen>, String> {
    inputs.iter().map(look_at).collect()
}

fn look_at(input: &Input) -> Result<Seen, String> {
    match input {
        Input::File(path) => file(path),
        Input::Env(name) => {
            Ok(std::env::var_os(name).map_or(Seen::Unset, |value| Seen::Value(value.into_encoded_bytes())))
        }
    }
}

fn file(path: &'static str) -> Result<Seen, String> {
    let failed = |error: io::Error| format!("the file `{path}`, which it depends on, cannot be read: {error}");
    let met = match fs::metadata(path) {
        Ok(met) => met,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Seen::Missing);
        }
        Err(error) => return Err(failed(error)),
    };
    // A directory has no content, and of a pipe the function would find nothing left.
    if !met.is_file() {
        return Err(format!("`{path}`, which it depends on, is no file: name the files that count, each by itself"));
    }
    if let Some(stamp) = Stamp::of(&met)
        && let Some((known, seen)) = lock(&KNOWN).get(path)
        && *known == stamp
    {
        return Ok(seen.clone());
    }
    match File::open(path) {
        Ok(opened) => read(path, &opened).map_err(failed),
        // Removed since.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Seen::Missing),
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &'static str, opened: &File) -> io::Result<Seen> {
    let stamp = || io::Result::Ok(Stamp::of(&opened.metadata()?));
    let before = stamp()?.filter(|stamp| stamp.is_settled(SETTLED));
    let mut hasher = Purpose::InputFile.hasher();
    hasher.update_reader(opened)?;
    let seen = Seen::File { bytes: hasher.count(), digest: *hasher.finalize().as_bytes() };
    // A file that the system makes as it is read (`/proc`) has another length than it says, and its times stand still.
    let is_stored = |seen: &Seen| matches!(seen, Seen::File { bytes, .. } if opened.metadata().is_ok_and(|met| met.len() == *bytes));
    if let Some(before) = before
        && stamp()? == Some(before)
        && is_stored(&seen)
    {
        lock(&KNOWN).insert(path, (before, seen.clone()));
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaked(path: &std::path::Path) -> &'static str {
        Box::leak(path.to_str().unwrap().to_owned().into_boxed_str())
    }

    #[test]
    fn a_file_is_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| leaked(&dir.path().join(name)));
        assert_eq!(file(a), Ok(Seen::Missing));
        assert_eq!(file(leaked(&dir.path().join("a/within"))), Ok(Seen::Missing));
        fs::write(a, "one").unwrap();
        assert_eq!(file(leaked(&dir.path().join("a/within"))), Ok(Seen::Missing));
        fs::write(b, "one").unwrap();
        let one = file(a).unwrap();
        assert!(matches!(one, Seen::File { bytes: 3, .. }));
        assert_eq!(file(b).unwrap(), one);
        // Of the same length, and within the same tick of the clock.
        fs::write(a, "two").unwrap();
        assert_ne!(file(a).unwrap(), one);
        fs::write(a, "one").unwrap();
        assert_eq!(file(a).unwrap(), one);
        fs::remove_file(a).unwrap();
        assert_eq!(file(a), Ok(Seen::Missing));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_has_settled_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let young = leaked(&dir.path().join("young"));
        assert_eq!(file(young), Ok(Seen::Missing));
        fs::write(young, "one").unwrap();
        assert!(file(young).is_ok());
        assert!(!lock(&KNOWN).contains_key(young), "its times may not tell of the next change");

        // As old as the checkout: the build alone took longer than two seconds.
        let old = concat!(env!("CARGO_MANIFEST_DIR"), "/LICENSE-MIT");
        let first = file(old).unwrap();
        let stamp = Stamp::of(&fs::metadata(old).unwrap()).unwrap();
        let other = Seen::File { bytes: 1, digest: [7; 32] };
        let known = lock(&KNOWN).insert(old, (stamp, other.clone()));
        assert_eq!(known, Some((stamp, first.clone())));
        assert_eq!(file(old), Ok(other.clone()), "it was read again");
        let before = Stamp::of(&fs::metadata(young).unwrap()).unwrap();
        lock(&KNOWN).insert(old, (before, other));
        assert_eq!(file(old), Ok(first), "it is another file by now");
    }

    #[test]
    fn what_has_no_content_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = leaked(dir.path());
        let words = file(path).unwrap_err();
        assert!(words.contains(path) && words.contains("is no file"), "{words}");
    }

    #[test]
    fn variables_are_their_values() {
        // One that every run of tests has, and one that none has.
        assert_eq!(
            look(&[Input::Env("PATH"), Input::Env("LARDER_TEST_NO_SUCH_VARIABLE")]),
            Ok(vec![Seen::Value(std::env::var_os("PATH").unwrap().into_encoded_bytes()), Seen::Unset])
        );
    }
}
