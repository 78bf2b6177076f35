//! An error reaches the caller in the best form its type allows.

use std::fmt;

use larder::Function;

struct Shown;

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shown")
    }
}

#[derive(Debug)]
struct Debugged;

struct Silent;

#[larder::task]
fn shown() -> Result<u8, Shown> {
    Err(Shown)
}

#[larder::task]
fn debugged() -> Result<u8, Debugged> {
    Err(Debugged)
}

#[larder::task]
fn silent() -> Result<u8, Silent> {
    Err(Silent)
}

#[larder::task]
fn never() -> Result<u8, std::convert::Infallible> {
    Ok(1)
}

fn main() {
    assert_eq!(shown::into_value(shown()).expect_err("an error").message(), "shown");
    assert_eq!(debugged::into_value(debugged()).expect_err("an error").message(), "Debugged");
    assert!(silent::into_value(silent()).expect_err("an error").message().contains("Silent"));
    assert_eq!(never::into_value(never()).expect("no error"), 1);
}
