//! What a call found of the files and variables that its function reads: forms of a key, behind those of the arguments.

use super::canonical::{Form, INLINE_BYTES};
use super::describe;
use crate::digest::Purpose;

/// The state of a file or variable, when a call was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// There is no such file.
    Missing,
    File {
        bytes: u64,
        digest: [u8; 32],
    },
    /// The variable is not set.
    Unset,
    /// Its value, which may be no UTF-8.
    Value(Vec<u8>),
}

const NOTHING: &[u8] = b"N";
const SOMETHING: u8 = b'S';

impl Seen {
    /// Tells the form.
    pub(super) fn form<R>(&self, tell: impl FnOnce(Form<'_>) -> R) -> R {
        let content: &[u8] = match self {
            Seen::Missing | Seen::Unset => return tell(Form::Short(NOTHING)),
            Seen::File { digest, .. } => digest,
            Seen::Value(value) => value,
        };
        let form = [&[SOMETHING], content].concat();
        // Framed like an argument's.
        tell(if form.len() > INLINE_BYTES { Form::Digest(Purpose::Value.digest(&form)) } else { Form::Short(&form) })
    }

    /// The state as a short text.
    pub(crate) fn text(&self) -> String {
        match self {
            Seen::Missing => "missing".to_owned(),
            Seen::File { bytes: 1, .. } => "1 byte".to_owned(),
            Seen::File { bytes, .. } => format!("{bytes} bytes"),
            Seen::Unset => "unset".to_owned(),
            // In marks, or the text `unset` could not be told from none.
            Seen::Value(value) => format!("`{}`", describe::cut(&String::from_utf8_lossy(value))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &[u8]) -> Seen {
        Seen::Value(text.to_vec())
    }

    #[test]
    fn no_two_states_share_a_form() {
        let long = [b'x'; 100];
        let file = Seen::File { bytes: 3, digest: [b'x'; 32] };
        let states = [
            Seen::Unset,
            value(b""),
            value(b"N"),
            value(b"\xff"),
            value(&long[..63]),
            value(&long[..64]),
            value(&long),
        ];
        let digests = |states: &[Seen]| states.iter().map(|seen| seen.form(|form| form.digest())).collect::<Vec<_>>();
        let all = digests(&states);
        for (at, digest) in all.iter().enumerate() {
            assert!(!all[..at].contains(digest), "{:?}", states[at]);
        }
        // Files are told from variables by the function's identity.
        assert_ne!(digests(&[Seen::Missing]), digests(&[file]));
        value(&long[..63]).form(|form| assert!(matches!(form, Form::Short(bytes) if bytes.len() == INLINE_BYTES)));
        value(&long[..64]).form(|form| assert!(matches!(form, Form::Digest(_))));
    }

    #[test]
    fn texts_are_short_and_plain() {
        assert_eq!(value(b"a\nb\xff").text(), "`a\\nb\u{fffd}`");
        assert_eq!(value("\u{e9}".repeat(100).as_bytes()).text(), format!("`{}\u{2026}`", "\u{e9}".repeat(80)));
        assert_eq!((Seen::Unset.text(), value(b"unset").text()), ("unset".to_owned(), "`unset`".to_owned()));
        assert_eq!(Seen::File { bytes: 12, digest: [0; 32] }.text(), "12 bytes");
    }
}
