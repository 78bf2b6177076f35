//! From a call to 32 bytes. All that enters a key is hashed here, with the contexts of [`crate::digest`].
//!
//! `key = H(function, argument, argument, ..)`, where the function is its identity with its code (see
//! [`identity`]) and each argument is its canonical form (see [`canonical`]): up to 64 bytes as they are, or a digest of
//! more. docs/key.md lists every byte; golden vectors in `tests` hold it still.

pub(crate) mod canonical;
pub(crate) mod describe;
pub(crate) mod identity;
mod inputs;
mod run;
mod sink;
#[cfg(test)]
mod test;

use std::fmt;
use std::hash::{BuildHasher, Hasher};

use arrayvec::ArrayVec;
use serde::Serialize;

use canonical::Form;
pub(crate) use identity::Identity;
pub(crate) use inputs::Seen;

use crate::digest::Purpose;
use crate::store::bytes::Reader;
use crate::walk::Halt;

/// The key of one call: 32 bytes, shown as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
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

/// Hashes keys for maps in memory: they are digests, so their first bytes are as good a hash as any.
#[derive(Clone, Default)]
pub(crate) struct ByFirstBytes;

#[derive(Default)]
pub(crate) struct FirstBytes(u64);

impl BuildHasher for ByFirstBytes {
    type Hasher = FirstBytes;
    fn build_hasher(&self) -> FirstBytes {
        FirstBytes(0)
    }
}

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of the array, which all keys share.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
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

/// The 32 bytes that [`hex`] wrote so.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let digit = |letter: u8| match letter {
            b'0'..=b'9' => Some(letter - b'0'),
            b'a'..=b'f' => Some(letter - b'a' + 10),
            _ => None,
        };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
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

    fn keeps(self, index: usize) -> bool {
        match self {
            Layout::Tuple { ignored } => !ignores(ignored, index),
            Layout::Single => true,
        }
    }
}

/// Whether the mask leaves out the argument at `index`. Past 32 nothing can be left out; the attributes stop at 16.
#[inline]
fn ignores(mask: u32, index: usize) -> bool {
    mask.checked_shr(index as u32).unwrap_or(0) & 1 == 1
}

/// A function's digest, and 16 arguments (where the attributes and serde's tuples stop) in their longest form.
const MOST_BYTES: usize = 32 + 16 * (1 + canonical::INLINE_BYTES);

/// What a key is made of: the function's digest and the forms of the arguments, each behind its length.
#[derive(Default)]
pub(crate) struct MadeOf {
    forms: ArrayVec<u8, MOST_BYTES>,
    given: Option<String>,
    /// What the function reads, as it was when the call was made.
    seen: Vec<Seen>,
}

/// Stands in a form's length for "a digest follows".
const DIGEST_FOLLOWS: u8 = u8::MAX;

impl MadeOf {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        self.forms
            .try_extend_from_slice(bytes)
            .map_err(|_| Halt::Refused("there are more than 16 arguments".to_owned()))
    }

    #[inline]
    fn put_form(&mut self, form: Form<'_>) -> Result<(), Halt> {
        match form {
            Form::Short(bytes) => {
                // At most 64.
                self.put(&[bytes.len() as u8])?;
                self.put(bytes)
            }
            Form::Digest(digest) => {
                self.put(&[DIGEST_FOLLOWS])?;
                self.put(&digest)
            }
        }
    }

    /// The key of the same arguments for another function, or another code of this one.
    pub(crate) fn key_of(&self, function: &Identity) -> Option<Key> {
        let forms = self.forms.get(32..)?;
        Some(Key(Purpose::Key.digest_of(&[&function.digest()[..], forms, &self.framed_seen()])))
    }

    /// The same, whatever the function reads.
    pub(crate) fn key_without_inputs(&self, function: &Identity) -> Option<Key> {
        let forms = self.forms.get(32..)?;
        Some(Key(Purpose::Key.digest_of(&[&function.digest()[..], forms])))
    }

    /// The key, of what the function reads as well.
    pub(crate) fn key_with(&mut self, seen: Vec<Seen>) -> Key {
        self.seen = seen;
        Key(Purpose::Key.digest_of(&[&self.forms[..], &self.framed_seen()]))
    }

    /// What the function reads, as it was when the call was made.
    pub(crate) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    fn framed_seen(&self) -> Vec<u8> {
        let mut framed = Vec::new();
        for seen in &self.seen {
            seen.form(|form| match form {
                Form::Short(bytes) => {
                    // At most 64.
                    framed.push(bytes.len() as u8);
                    framed.extend_from_slice(bytes);
                }
                Form::Digest(digest) => {
                    framed.push(DIGEST_FOLLOWS);
                    framed.extend_from_slice(&digest);
                }
            });
        }
        framed
    }

    /// The text of the value that stands for all arguments (`key = ..`), if one does.
    pub(crate) fn given(&self) -> Option<&str> {
        self.given.as_deref()
    }

    /// The digest of each argument in the key, and behind them those of what the function reads.
    pub(crate) fn digests(&self) -> impl Iterator<Item = [u8; 32]> {
        let mut reader = Reader::new(&self.forms);
        reader.take(32);
        let arguments = std::iter::from_fn(move || match reader.u8()? {
            DIGEST_FOLLOWS => reader.array(),
            len => reader.take(usize::from(len)).map(|form| Form::Short(form).digest()),
        });
        arguments.chain(self.seen.iter().map(|seen| seen.form(|form| form.digest())))
    }
}

/// The key of calling `function` with `args`; `made_of`, empty before, tells afterwards what it was made of.
///
/// # Errors
/// An argument that refuses to be serialized, in its own words.
#[inline]
pub(crate) fn key<A: Serialize + ?Sized>(
    function: &Identity,
    args: &A,
    layout: Layout,
    made_of: &mut MadeOf,
) -> Result<Key, Halt> {
    made_of.put(function.digest())?;
    let mut fits = Ok(());
    let mut take = |form: Form<'_>| {
        if fits.is_ok() {
            fits = made_of.put_form(form);
        }
    };
    match layout {
        Layout::Tuple { ignored } => canonical::elements(args, ignored, take)?,
        Layout::Single => canonical::single(args, &mut take)?,
    }
    fits?;
    Ok(Key(Purpose::Key.digest(&made_of.forms)))
}

/// The key of a call of which `given` tells all that there is to tell. See [`key`].
///
/// # Errors
/// A value that refuses to be serialized, in its own words.
pub(crate) fn given<K: Serialize + ?Sized>(function: &Identity, given: &K, made_of: &mut MadeOf) -> Result<Key, Halt> {
    let key = key(function, given, Layout::Single, made_of)?;
    made_of.given = Some(describe::value(given));
    Ok(key)
}
