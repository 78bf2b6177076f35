//! `cargo xtask test`: every test there is.

use crate::step::Step;

/// Runs the tests of all members, doc tests included.
///
/// Without target options `cargo test` also builds the examples, which the integration tests then run.
pub(crate) fn run() -> Result<(), String> {
    Step::cargo("test", "test --workspace --locked").run()?;
    // What the feature touches is tested with it too; the rest would be the same.
    Step::cargo("test zstd", "test --locked --features zstd --lib --test it -- blob").run()
}
