//! Edits, and whether they must change the fingerprint of a function.
//!
//! | file                                | idea                                                              |
//! |-------------------------------------|-------------------------------------------------------------------|
//! | table.rs, changes_*.rs, stays_*.rs  | edits of one package of many files                                |
//! | small_*.rs                          | edits of packages so small that one thing is in them              |
//! | formatted.rs                        | what rustfmt makes of all of these                                |

mod small;
mod small_calls;
mod small_files;
mod small_macros;
mod small_names;
mod small_stays;
mod small_types;
