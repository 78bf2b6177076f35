//! Why a call was computed, and why its result was not stored.

use std::fmt;

use crate::store::{Absent, Removal};

/// Why a call was computed instead of loaded.
///
/// Every miss has exactly one reason, the first that applies in this order. [`Cached::explain`](crate::Cached::explain) says
/// more of a call: which argument, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MissReason {
    /// The memory is [disabled](crate::Memory::disabled).
    Disabled,
    /// There is no key: an argument refused to be serialized, or the function is made for a type that no key can tell from
    /// another, such as a closure's; or a file that it depends on cannot be read.
    NoKey,
    /// It was asked for: [`call_forced`](crate::Cached::call_forced).
    Forced,
    /// Another call of the same key was under way: this thread must not wait for it (it is a rayon worker, or the
    /// holder itself), or waited and found that its result could not be stored.
    Claimed,
    /// The entry is older than `expires_after` allows, or its time lies ahead of the clock.
    Expired,
    /// The validation function refused the entry, or panicked.
    Rejected,
    /// The record in the index is damaged.
    DamagedRecord,
    /// The record was written by a newer release.
    NewerRecord,
    /// The blob's file is missing.
    MissingBlob,
    /// The blob's file is cut short.
    TruncatedBlob,
    /// The blob's file was altered.
    AlteredBlob,
    /// The bytes are whole, but no longer decode as the function's result type.
    Undecodable,
    /// Another program holds the cache and cannot be reached.
    NotServed,
    /// The store could not be read.
    Unreadable,
    /// There was an entry, and it was evicted to keep to a limit of bytes or entries.
    Evicted,
    /// There was an entry, and it was not used for the cache's `max_age`.
    AgedOut,
    /// There was an entry, and it was removed by hand.
    Forgotten,
    /// There is an entry for the same arguments and code in another version.
    VersionChanged,
    /// There is an entry for the same arguments by other code of the function. Which codes there are is asked once for each
    /// wrapper of a function.
    CodeChanged,
    /// There is no entry for these arguments, by any code that is known.
    NeverSeen,
}

impl MissReason {
    /// All reasons, in the order they are checked.
    pub const ALL: [MissReason; 20] = [
        MissReason::Disabled,
        MissReason::NoKey,
        MissReason::Forced,
        MissReason::Claimed,
        MissReason::Expired,
        MissReason::Rejected,
        MissReason::DamagedRecord,
        MissReason::NewerRecord,
        MissReason::MissingBlob,
        MissReason::TruncatedBlob,
        MissReason::AlteredBlob,
        MissReason::Undecodable,
        MissReason::NotServed,
        MissReason::Unreadable,
        MissReason::Evicted,
        MissReason::AgedOut,
        MissReason::Forgotten,
        MissReason::VersionChanged,
        MissReason::CodeChanged,
        MissReason::NeverSeen,
    ];
}

/// The reason of the miss that an entry leaves which was removed so.
impl From<Removal> for MissReason {
    fn from(why: Removal) -> MissReason {
        match why {
            Removal::MaxBytes | Removal::MaxEntries => MissReason::Evicted,
            Removal::MaxAge => MissReason::AgedOut,
            Removal::Forgotten => MissReason::Forgotten,
        }
    }
}

/// The reason of the miss where the store has nothing to serve.
impl From<&Absent> for MissReason {
    fn from(absent: &Absent) -> MissReason {
        match absent {
            Absent::Never => MissReason::NeverSeen,
            Absent::Removed(tombstone) => tombstone.why().into(),
            Absent::DamagedRecord => MissReason::DamagedRecord,
            Absent::NewerRecord => MissReason::NewerRecord,
            Absent::MissingBlob => MissReason::MissingBlob,
            Absent::TruncatedBlob => MissReason::TruncatedBlob,
            Absent::AlteredBlob => MissReason::AlteredBlob,
            Absent::NotServed(_) => MissReason::NotServed,
            Absent::Unreadable(_) => MissReason::Unreadable,
        }
    }
}

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MissReason::Disabled => "the memory is disabled",
            MissReason::NoKey => "there is no key",
            MissReason::Forced => "it was forced",
            MissReason::Claimed => "the same call was under way and left nothing to load",
            MissReason::Expired => "the entry has expired",
            MissReason::Rejected => "the validation function refused the entry",
            MissReason::DamagedRecord => "the record is damaged",
            MissReason::NewerRecord => "the record is of a newer release",
            MissReason::MissingBlob => "the blob is missing",
            MissReason::TruncatedBlob => "the blob is truncated",
            MissReason::AlteredBlob => "the blob was altered",
            MissReason::Undecodable => {
                "the stored bytes are of another result type (it changed, or two functions share a name)"
            }
            MissReason::NotServed => "the program that holds the cache cannot be reached",
            MissReason::Unreadable => "the store cannot be read",
            MissReason::Evicted => "the entry was evicted, to keep to a limit",
            MissReason::AgedOut => "the entry was removed, not used for `max_age`",
            MissReason::Forgotten => "the entry was removed by hand",
            MissReason::VersionChanged => "the version changed",
            MissReason::CodeChanged => "the code changed",
            MissReason::NeverSeen => "never seen with these arguments and this code",
        })
    }
}

/// Why a computed result was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NotStoredReason {
    /// The function returned an `Err`.
    ErrorResult,
    /// The function returned `None`.
    NoneResult,
    /// No codec carries the value.
    NotSerializable,
    /// The entry is larger than the whole cache may be.
    TooLarge,
    /// A file or variable that the function depends on changed while it ran, so what it read is not known.
    InputChanged,
    /// The cache is open [for reading only](crate::Memory::open_read_only).
    ReadOnly,
    /// The store refused: no space, no permission, a damaged index, nobody to reach it by.
    StoreFailed,
}

impl NotStoredReason {
    /// All reasons.
    pub const ALL: [NotStoredReason; 7] = [
        NotStoredReason::ErrorResult,
        NotStoredReason::NoneResult,
        NotStoredReason::NotSerializable,
        NotStoredReason::TooLarge,
        NotStoredReason::InputChanged,
        NotStoredReason::ReadOnly,
        NotStoredReason::StoreFailed,
    ];
}

impl fmt::Display for NotStoredReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotStoredReason::ErrorResult => "the result is an error",
            NotStoredReason::NoneResult => "the result is `None`",
            NotStoredReason::NotSerializable => "no codec carries the result there and back",
            NotStoredReason::TooLarge => "the result is larger than `max_bytes` of the cache",
            NotStoredReason::InputChanged => "what the function depends on changed while it ran",
            NotStoredReason::ReadOnly => "the cache is open for reading only",
            NotStoredReason::StoreFailed => "the store failed",
        })
    }
}
