//! What is done with the kept arguments of a task's calls: the call is known again, and made again.
//!
//! Here alone are the task's types known; a registered task brings these functions in its entry.

use crate::codec::{CodecId, Encoded};
use crate::key::canonical::canonical;
use crate::key::{Identity, Key, Layout, MadeOf, describe};
use crate::memory::arguments::MakeKey;
use crate::memory::inputs;
use crate::memory::load::decode_found;
use crate::memory::validity::Validity;
use crate::panics;
use crate::store::{EntryKey, Found, Prefix};
use crate::task::remote::Remote;

/// A task as its entries are looked at again.
#[derive(Clone, Copy)]
pub(crate) struct Recall {
    pub(crate) identity: fn() -> Identity,
    pub(crate) validity: fn() -> Validity,
    /// The key of the call with these arguments, for a code of the function; `None` if they do not decode.
    pub(crate) key: fn(&Identity, CodecId, &[u8]) -> Option<Key>,
    /// Makes a call again and compares its result with that of its entry.
    pub(crate) compare: fn(Again<'_>) -> Compared,
}

/// A call to be made again.
pub(crate) struct Again<'a> {
    /// The function with the code of the entry.
    pub(crate) identity: &'a Identity,
    pub(crate) entry: EntryKey,
    pub(crate) codec: CodecId,
    pub(crate) arguments: &'a [u8],
    pub(crate) found: Found,
}

/// What came of a call that was made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    Equal,
    Differs {
        /// What is stored, as a short text.
        old: String,
        /// What came of it now.
        new: String,
    },
    /// The arguments no longer decode, or what the function reads beside them is another.
    NoArguments,
    /// The arguments have another key now, so that the entry is never found.
    OtherKey,
}

impl Recall {
    pub(crate) const fn of<T: Remote>() -> Recall {
        Recall { identity: Identity::of_task::<T>, validity: T::validity, key: key::<T>, compare: compare::<T> }
    }
}

fn decode<T: Remote>(codec: CodecId, arguments: &[u8]) -> Option<T::Owned> {
    crate::codec::decode(codec, arguments).ok()
}

fn key<T: Remote>(function: &Identity, codec: CodecId, arguments: &[u8]) -> Option<Key> {
    // The arguments' `Deserialize` and `Serialize` are the user's, and may panic.
    panics::catch(|| key_of::<T>(function, decode::<T>(codec, arguments)?)).ok().flatten()
}

fn key_of<T: Remote>(function: &Identity, owned: T::Owned) -> Option<Key> {
    let (layout, mut made_of) = (Layout::Tuple { ignored: T::IGNORED }, MadeOf::default());
    let mut key = None;
    T::with(owned, &mut |args| key = T::with_key(&args, MakeKey { function, layout, made_of: &mut made_of }).0.ok());
    if function.inputs().is_empty() {
        return key;
    }
    key?;
    Some(made_of.key_with(inputs::look(function.inputs()).ok()?))
}

fn compare<T: Remote>(again: Again<'_>) -> Compared {
    let Again { identity, entry, codec, arguments, found } = again;
    let Some(key) = key::<T>(identity, codec, arguments) else { return Compared::NoArguments };
    if Prefix::of(identity.name()).entry(&key) != entry {
        // A file that the call read has another content now: it cannot be made again.
        return if identity.inputs().is_empty() { Compared::OtherKey } else { Compared::NoArguments };
    }
    let old = decode_found::<T::Stored>(found);
    let made = panics::catch(|| {
        let mut output = None;
        T::with(decode::<T>(codec, arguments)?, &mut |args| output = Some(T::compute(args)));
        output
    });
    let output = match made {
        Ok(Some(output)) => output,
        Ok(None) => return Compared::NoArguments,
        Err(panic) => return Compared::Differs { old: text_of(old.as_ref()), new: format!("a panic: {panic}") },
    };
    let new = match T::stored(&output) {
        Ok(new) => new,
        Err(reason) => {
            return Compared::Differs { old: text_of(old.as_ref()), new: format!("nothing to store: {reason}") };
        }
    };
    let same = |old: &T::Stored| {
        panics::catch(|| canonical(old).ok().zip(canonical(new).ok()).is_some_and(|(old, new)| old == new))
            .unwrap_or(false)
    };
    match &old {
        Some(old) if same(old) => Compared::Equal,
        old => Compared::Differs { old: text_of(old.as_ref()), new: text_of(Some(new)) },
    }
}

fn text_of<V: serde::Serialize>(value: Option<&V>) -> String {
    match value {
        Some(value) => panics::catch(|| describe::value(value)).unwrap_or_else(|panic| format!("<{panic}>")),
        None => "a value of another type".to_owned(),
    }
}

/// Whether these bytes are the arguments of the call of this key.
pub(crate) fn are_of(recall: &Recall, function: &Identity, key: &Key, encoded: &Encoded) -> bool {
    (recall.key)(function, encoded.codec(), encoded.as_bytes()) == Some(*key)
}
