//! What the attributes accept, and the words with which they refuse.

use std::fs;
use std::path::PathBuf;

/// rustc lists types that do implement a trait in this one's message, and the list differs between its releases.
const NOT_COMPARED: &str = "missing_serde.rs";

#[test]
fn the_attributes_accept_and_refuse_what_they_should() {
    let mut refused: Vec<PathBuf> = fs::read_dir("tests/ui/fail").unwrap().map(|item| item.unwrap().path()).collect();
    refused.retain(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with(NOT_COMPARED));
    refused.sort();
    assert!(refused.len() >= 15, "{refused:?}");

    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    for case in refused {
        cases.compile_fail(case);
    }
}
