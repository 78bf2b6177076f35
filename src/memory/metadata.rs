//! What is known of a stored result, beside the result.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::bless::Blessing;
use crate::key::hex;
use crate::store::entry::{Argument, Facts, Origin};
use crate::store::{RecordInfo, time_at};

/// What is known of a stored result without loading it: given to [`validate`](crate::CachedFn::validate) functions, and by
/// [`Shelved::metadata`](crate::Shelved::metadata). joblib's `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The function's full name, or that given by hand.
    pub function: String,
    /// The digest of its code in hexadecimal digits; `None` for a closure.
    pub fingerprint: Option<String>,
    /// Its version.
    pub version: u64,
    /// The arguments in the key. joblib's `input_args`.
    pub arguments: Vec<ArgumentInfo>,
    /// When the result was stored, by the clock of the machine that did. joblib's `time`.
    pub stored_at: SystemTime,
    /// What it took to compute. joblib's `duration`.
    pub compute_time: Duration,
    /// The bytes of the encoded result.
    pub value_bytes: u64,
    /// Who said that this result of earlier code answers for the call at hand, and on what evidence; `None` where the entry is
    /// the call's own. See [`Cached::bless`](crate::Cached::bless).
    pub blessed: Option<Blessing>,
}

/// One argument of a stored call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArgumentInfo {
    /// The parameter's name; empty for a closure's. For what the function depends on (`depends(file = "..", env = "..")`),
    /// `file PATH` or `env VARIABLE`.
    pub name: String,
    /// A digest of the argument, in hexadecimal digits.
    pub digest: String,
    /// The argument as a short text, cut where it is long.
    pub text: String,
}

impl Metadata {
    pub(crate) fn of(info: &RecordInfo<'_>) -> Metadata {
        Metadata {
            stored_at: info.created_at(),
            compute_time: info.compute_time(),
            value_bytes: info.value_bytes(),
            ..Metadata::unstored(info.origin())
        }
    }

    /// Of an entry that is just being stored.
    pub(super) fn new(origin: &Origin<'_>, facts: &Facts) -> Metadata {
        Metadata {
            stored_at: time_at(facts.created_at_ms),
            compute_time: Duration::from_nanos(facts.compute_nanos),
            value_bytes: facts.value_bytes,
            ..Metadata::unstored(origin)
        }
    }

    /// Of a call without an entry.
    pub(super) fn unstored(origin: &Origin<'_>) -> Metadata {
        Metadata {
            function: origin.function.to_string(),
            fingerprint: origin.fingerprint.map(|fingerprint| hex(&fingerprint)),
            version: origin.version,
            arguments: origin.arguments.iter().map(ArgumentInfo::of).collect(),
            stored_at: SystemTime::now(),
            compute_time: Duration::ZERO,
            value_bytes: 0,
            blessed: None,
        }
    }

    /// Of an entry that answers for other code.
    pub(super) fn blessed_by(self, blessing: Option<&Blessing>) -> Metadata {
        Metadata { blessed: blessing.cloned(), ..self }
    }
}

impl ArgumentInfo {
    pub(super) fn of(argument: &Argument<'_>) -> ArgumentInfo {
        ArgumentInfo { name: argument.name.to_string(), digest: hex(&argument.digest), text: argument.text.to_string() }
    }
}

/// `name(x = 1)`: the call.
impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.rsplit("::").next().unwrap_or(&self.function))?;
        for (at, argument) in self.arguments.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{argument}")?;
        }
        f.write_str(")")
    }
}

/// `x = 1`.
impl fmt::Display for ArgumentInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.text),
            name => write!(f, "{name} = {}", self.text),
        }
    }
}
