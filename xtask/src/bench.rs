//! `cargo xtask bench`: the benches, at full length.

use crate::step::Step;

/// Runs one bench, or all of them.
///
/// `--bench '*'` keeps cargo from building the library's unit tests in release mode, which hold no benches.
pub(crate) fn run(name: Option<&str>) -> Result<(), String> {
    Step::cargo("bench", "bench --locked --features cli --bench").arg(name.unwrap_or("*")).run()
}
