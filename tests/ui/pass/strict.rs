//! The expansions pass where unsafe code is forbidden, warnings are errors, and every name of the prelude is taken.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, missing_debug_implementations, missing_copy_implementations, unreachable_pub)]
#![deny(unused_qualifications, single_use_lifetimes, elided_lifetimes_in_paths, unnameable_types)]
#![deny(clippy::all, clippy::pedantic, clippy::nursery)]

/// A task among hostile names.
pub mod shadowed {
    #![allow(dead_code, non_camel_case_types, missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

    struct Option;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct String;
    struct Vec;
    struct str;
    struct Clone;
    mod core {}
    mod std {}
    mod larder_macros {}

    #[larder::task]
    fn plain(x: u64, rows: &[u64]) -> u64 {
        x + rows.iter().sum::<u64>()
    }

    #[larder::cached(task)]
    fn cached(x: u64, rows: &[u64]) -> u64 {
        x + rows.iter().sum::<u64>()
    }
}

/// Adds.
#[larder::task]
#[must_use]
pub fn add(one: u64, other: u64) -> u64 {
    [one, other].iter().sum()
}

/// Adds a number that is written out.
///
/// # Errors
/// Text that is not a number.
#[larder::cached]
pub fn add_text(text: &str, mut row: u64) -> Result<u64, std::num::ParseIntError> {
    row += text.parse::<u64>()?;
    Ok(row)
}

fn main() {
    assert_eq!(larder::delayed!(add(1, 2)).call(), 3);
}
