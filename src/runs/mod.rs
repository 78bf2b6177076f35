//! The ledger of named runs: which items a run is of, what came of each, and why (docs/format.md, "The ledger of a run").
//!
//! The cache is the truth about values; a ledger only knows of them. Each program that takes part in a run appends to a
//! segment of its own, whose lock it holds while it lives. Readers merge all segments, and need no lock and no owner: so a
//! run can be looked at while it is under way, and a second program joins without asking anybody.
//!
//! ```text
//! name.rs     what a run may be called
//! item.rs     items, programs, and what a ledger says of them
//! record.rs   record <-> bytes
//! frame.rs    records <-> a file that may be cut or altered anywhere
//! merge.rs    records of many segments -> what they say together (no io)
//! folder.rs   the segments of a run: found, created, dead or alive
//! read.rs     all segments -> what they say together
//! fold.rs     the segments of programs that are gone -> one
//! log.rs      this program's segment: appended to, mended after a write that failed
//! commit.rs   the thread that writes groups of records
//! ledger.rs   the ledger of a program that takes part
//! follow.rs   what other programs write meanwhile
//! request.rs  what is done to a run from outside: retry, remove
//! ```

mod commit;
mod fold;
mod folder;
mod follow;
mod frame;
mod item;
mod ledger;
mod log;
mod merge;
mod name;
mod read;
mod record;
mod request;

pub(crate) use commit::Kept;
#[cfg(test)]
pub(crate) use item::Items;
pub(crate) use item::{Begin, Ended, Failed, Failing, Ids, Item, ItemId, Listed, Program, Recorded, State};
pub(crate) use ledger::Ledger;
pub(crate) use name::Name;
pub(crate) use read::names;
pub(crate) use request::{remove, retry};

#[cfg(test)]
mod test;
