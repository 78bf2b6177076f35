//! Edits, and whether they must change the fingerprint of a function.
//!
//! | file                                | idea                                                              |
//! |-------------------------------------|-------------------------------------------------------------------|
//! | package.rs, table.rs, changes.rs, stays.rs | edits of one package of many files                   |
//! | small*.rs                                  | edits of packages so small that one thing is in them |

mod changes;
mod formatted;
mod package;
mod small;
mod small_calls;
mod small_files;
mod small_macros;
mod small_names;
mod small_stays;
mod small_types;
mod stays;
mod table;
