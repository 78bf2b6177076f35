//! What a call found of the files and variables that its function reads: forms of a key, behind those of the arguments.

use super::canonical::{Form, INLINE_BYTES};
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
        tell(if form.len() > INLINE_BYTES { Form::Digest(Purpose::Value.digest(&form)) } else { Form::Short(&form) })
    }
}
