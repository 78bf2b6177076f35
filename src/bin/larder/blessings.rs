//! What is blessed, as it is told.

use larder::{BlessedCode, Blessing};
use serde_json::{Value, json};

use crate::words::{plain, time};

/// Who blessed it, when, and on what evidence.
pub(crate) fn words(blessing: &Blessing) -> String {
    plain(&blessing.to_string())
}

/// A blessing for programs.
pub(crate) fn document(blessing: &Blessing) -> Value {
    json!({
        "fingerprint": blessing.fingerprint,
        "version": blessing.version,
        "from": codes(&blessing.from),
        "by": blessing.by,
        "at": time(blessing.at),
        "entries": blessing.entries,
        "sampled": blessing.sampled,
        "agreed": blessing.agreed,
    })
}

pub(crate) fn codes(from: &[BlessedCode]) -> Vec<Value> {
    let code = |code: &BlessedCode| json!({ "fingerprint": code.fingerprint, "version": code.version, "until": time(code.until) });
    from.iter().map(code).collect()
}
