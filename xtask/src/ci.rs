//! `cargo xtask ci`: what a commit must pass, the quick checks first.

use std::time::Instant;

use crate::step::Step;
use crate::test;

/// Runs all checks; the first failure ends it.
pub(crate) fn run() -> Result<(), String> {
    let start = Instant::now();
    // Asked before the slow steps. A missing tool is a failure: a check that skips itself is no check.
    if !Step::cargo("deny", "deny --version").succeeds() {
        return Err("cargo-deny is missing; run `.ci/run`, which installs it, or `cargo install cargo-deny --version \
                    0.20.2 --locked`"
            .to_owned());
    }
    Step::cargo("fmt", "fmt --all --check").run()?;
    Step::cargo("deny", "deny --locked check bans licenses sources").run()?;
    Step::cargo("clippy", "clippy --workspace --all-targets --all-features --locked -- -D warnings").run()?;
    test::run()?;
    Step::cargo("docs", "doc --workspace --no-deps --all-features --locked")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()?;
    Step::cargo("readme", "run --release --locked --example column_mean -- --json").run()?;
    eprintln!("== ci: all passed in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
