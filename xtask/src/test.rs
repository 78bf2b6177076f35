//! `cargo xtask test`: every test there is.

use crate::step::Step;

/// Runs the tests of all members with all features, doc tests included, and those that a feature could change without any.
///
/// Without target options `cargo test` also builds the examples, which the integration tests then run.
pub(crate) fn run() -> Result<(), String> {
    Step::cargo("test", "test --workspace --all-features --locked").run()?;
    // Arrays must be stored alike whether their feature is on or not.
    Step::cargo("test without features", "test --locked --lib").run()?;
    // With the feature `auto-worker` there is no program without an entry.
    Step::cargo("test of the entry", "test --locked --test entry").run()
}
