//! What the attributes accept, and the words with which they refuse.

#[test]
fn the_attributes_accept_and_refuse_what_they_should() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
