//! Whether what a store holds is whole: every record, and every file that a record names.

use std::fmt;

use rayon::prelude::*;

use super::entry::OriginHead;
use super::listed::Listed;
use super::types::{Absent, StoreError};
use super::{EntryKey, Store, entry};
use crate::key::hex;

/// What is wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Its record fails its digest or does not parse.
    Record,
    /// The file with its value is gone.
    MissingBlob,
    /// That file is shorter or longer than it says.
    TruncatedBlob,
    /// The bytes of that file fail their digest.
    AlteredBlob,
    /// It cannot be read now, as the system says; it may be whole.
    Unreadable(String),
}

impl Damage {
    /// `None` where nothing is damaged: there is no entry, or only a newer release can read it.
    pub(crate) fn of(absent: &Absent) -> Option<Damage> {
        Some(match absent {
            Absent::DamagedRecord => Damage::Record,
            Absent::MissingBlob => Damage::MissingBlob,
            Absent::TruncatedBlob => Damage::TruncatedBlob,
            Absent::AlteredBlob => Damage::AlteredBlob,
            Absent::Unreadable(error) | Absent::NotServed(error) => Damage::Unreadable(error.to_string()),
            Absent::Never | Absent::Removed(_) | Absent::NewerRecord => return None,
        })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Record => f.write_str("its record is damaged"),
            Damage::MissingBlob => f.write_str("its file is missing"),
            Damage::TruncatedBlob => f.write_str("its file was cut or lengthened"),
            Damage::AlteredBlob => f.write_str("its file was altered"),
            Damage::Unreadable(words) => write!(f, "it cannot be read: {words}"),
        }
    }
}

/// An entry that is damaged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Damaged {
    /// What the entry goes by in its store.
    pub entry: EntryKey,
    /// The call's key, as 64 hexadecimal digits.
    pub key: String,
    /// The function whose result it was; `None` where its record does not say.
    pub function: Option<String>,
    /// What is wrong.
    pub damage: Damage,
    /// It was removed: the next such call is computed.
    pub removed: bool,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Entries that were looked at.
    pub entries: u64,
    /// The bytes that were read for them, as they are stored.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Verified {
    /// Entries that were looked at, damaged or not.
    pub entries: u64,
    /// The bytes that were read for them, as they are stored.
    pub bytes: u64,
    /// Entries that only a newer release can read. They are left alone.
    pub newer: u64,
    /// Entries that are damaged.
    pub damaged: Vec<Damaged>,
}

/// So many entries are looked at before it is told how far that is.
const AT_ONCE: usize = 64;

/// Looks at every entry; with `repair`, removes what is damaged.
///
/// # Errors
/// The store has no list, or fails.
pub(crate) fn verify(
    store: &dyn Store,
    repair: bool,
    mut on_progress: impl FnMut(VerifyProgress),
) -> Result<Verified, StoreError> {
    let mut verified = Verified::default();
    let mut suspects = Vec::new();
    let mut after = None;
    loop {
        let page = store.page(None, after.as_ref())?;
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        for some in page.chunks(AT_ONCE) {
            // On all cores: one reads and hashes its file slower than its processor hashes alone.
            let looked: Vec<_> = some.par_iter().map(|listed| store.verify(listed)).collect();
            for (listed, looked) in some.iter().zip(looked) {
                verified.entries += 1;
                match looked {
                    Ok(bytes) => verified.bytes += bytes,
                    Err(Absent::NewerRecord) => verified.newer += 1,
                    // Some go while others use the store.
                    Err(absent) if Damage::of(&absent).is_none() => {}
                    Err(_) => suspects.push(listed.clone()),
                }
                on_progress(VerifyProgress { entries: verified.entries, bytes: verified.bytes });
            }
        }
    }
    // Once more: someone may have been removing or replacing it just then.
    for listed in suspects {
        let Err(absent) = store.verify(&listed) else { continue };
        let Some(damage) = Damage::of(&absent) else { continue };
        let removed = repair && !matches!(damage, Damage::Unreadable(_)) && store.forget(&listed.key)?;
        let key = hex(listed.key.call().as_bytes());
        verified.damaged.push(Damaged { entry: listed.key, key, function: function_of(&listed), damage, removed });
    }
    Ok(verified)
}

fn function_of(listed: &Listed) -> Option<String> {
    let (_, origin) = entry::fields(&listed.record).ok()?;
    OriginHead::parse(origin).map(|head| head.function.to_owned())
}
