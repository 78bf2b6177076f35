//! From a call to 32 bytes: the only place that feeds blake3.
//!
//! `key = H(function, argument, argument, ..)`, where the function is its identity with its code (see
//! [`identity`]) and each argument is its canonical form (see [`canonical`]): up to 64 bytes as they are, or a digest of
//! more. docs/key.md lists every byte; golden vectors in `tests` hold it still.

pub(crate) mod canonical;
pub(crate) mod describe;
pub(crate) mod identity;
mod sink;
#[cfg(test)]
mod test;

use std::fmt;

use serde::Serialize;
use smallvec::SmallVec;

pub(crate) use canonical::Canonical;
pub(crate) use identity::Identity;
use sink::Sink;

use crate::walk::Halt;

/// The key of one call: 32 bytes, shown as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; 32]);

impl Key {
    /// The key as its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How the arguments of a call are laid out in its `Serialize` value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layout {
    /// A tuple with one element per parameter; set bits of the mask are left out of the key.
    Tuple { ignored: u32 },
    /// One value.
    Single,
}

impl Layout {
    /// The items that belong to arguments in the key, with their positions.
    pub(crate) fn kept<I>(self, items: impl IntoIterator<Item = I>) -> impl Iterator<Item = (usize, I)> {
        items.into_iter().enumerate().filter(move |(index, _)| self.keeps(*index))
    }

    #[inline]
    fn keeps(self, index: usize) -> bool {
        match self {
            // Past 32 parameters nothing can be ignored; the attributes stop at 16.
            Layout::Tuple { ignored } => ignored.checked_shr(index as u32).unwrap_or(0) & 1 == 0,
            Layout::Single => true,
        }
    }
}

/// The key of a call, and the forms of the arguments that it was made of.
pub(crate) struct Keyed {
    pub(crate) key: Key,
    pub(crate) forms: SmallVec<[Canonical; 4]>,
}

/// The key of calling `function` with `args`.
///
/// # Errors
/// An argument that refuses to be serialized, in its own words.
#[inline]
pub(crate) fn key<A: Serialize + ?Sized>(function: &Identity, args: &A, layout: Layout) -> Result<Keyed, Halt> {
    let mut sink = Sink::new(sink::Purpose::Key);
    sink.put(function.digest());
    let mut forms = SmallVec::new();
    let mut take = |form: Canonical| {
        form.put_framed(&mut sink);
        forms.push(form);
    };
    match layout {
        Layout::Single => take(canonical::canonical(args)?),
        Layout::Tuple { .. } => canonical::elements(args, |index, form| {
            if layout.keeps(index) {
                take(form);
            }
        })?,
    }
    Ok(Keyed { key: Key(sink.digest()), forms })
}
