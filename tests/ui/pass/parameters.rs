//! Every kind of parameter and result, called directly, by name, and as a decoded call would be.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use larder::{Function, NotStoredReason, delayed};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Table<T> {
    cells: Vec<T>,
}

/// Takes everything.
#[larder::task(version = 2, ignore(options))]
#[allow(clippy::too_many_arguments)]
pub fn everything(
    row: u64,
    name: &str,
    xs: &[f64],
    file: &Path,
    table: &Table<u8>,
    fixed: &[u8; 3],
    options: &HashMap<String, Vec<u8>>,
    mut owned: Vec<u8>,
    pair: (u8, Option<String>),
) -> Table<u8> {
    owned.extend(&table.cells);
    owned.extend(fixed);
    owned.push(row as u8 + name.len() as u8 + xs.len() as u8 + options.len() as u8 + pair.0);
    owned.push(file.components().count() as u8);
    Table { cells: owned }
}

#[larder::task]
fn nothing() {}

#[larder::task]
fn one(x: u8) -> u8 {
    x
}

/// A parameter with the function's name, and names that could collide with the expansion's.
#[larder::task]
fn size(size: usize, argument_0: usize, args: &str, output: u8, value: &[u8]) -> usize {
    size + argument_0 + args.len() + usize::from(output) + value.len()
}

#[larder::task]
fn r#match(r#type: &str) -> String {
    r#type.to_owned()
}

#[larder::task]
fn fallible(text: &str) -> Result<u64, std::num::ParseIntError> {
    text.parse()
}

#[larder::task]
fn io(file: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(file)?.len())
}

#[larder::task]
fn boxed(x: u8) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    x.checked_add(1).ok_or_else(|| "too much".into())
}

#[larder::task]
fn sentence(x: u8) -> Result<u8, &'static str> {
    x.checked_add(1).ok_or("too much")
}

type Outcome<T> = Result<T, String>;

#[larder::task]
fn aliased(x: u8) -> Outcome<u8> {
    x.checked_add(1).ok_or_else(|| "too much".to_owned())
}

#[larder::task]
const fn constant(x: u64) -> u64 {
    x + 1
}

#[cfg(any())]
#[larder::task]
fn absent(x: NoSuchType) {}

#[larder::task]
#[cfg(any())]
fn absent_too(x: NoSuchType) {}

#[larder::task]
#[deprecated = "on purpose"]
fn old(x: u8) -> u8 {
    x
}

mod inner {
    #[larder::task]
    pub(crate) fn deep(x: u8) -> u8 {
        x
    }
}

macro_rules! tasks {
    ($($name:ident: $ty:ty),*) => {
        $(#[larder::task] fn $name(x: $ty) -> usize { x.len() })*
    };
}
tasks!(text_length: &str, row_length: &[u8]);

fn main() {
    let table = Table { cells: vec![1] };
    let (xs, options) = ([0.5, 1.5], HashMap::new());
    let file = PathBuf::from("a/b");
    let call = || delayed!(everything(1, "name", &xs, &file, &table, &[1, 2, 3], &options, vec![9], (1, None)));
    assert_eq!(call().call().cells, [9, 1, 1, 2, 3, 8, 2]);
    assert_eq!(everything::VERSION, 2);
    assert_eq!(everything::IGNORED, 1 << 6);
    assert!(everything::NAME.ends_with("::everything"));
    let types: Vec<&str> = everything::PARAMETERS.iter().map(|parameter| parameter.type_name).collect();
    let expected = ["u64", "&str", "&[f64]", "&Path", "&Table<u8>", "&[u8; 3]", "&HashMap<String, Vec<u8>>", "Vec<u8>"];
    assert_eq!(types[..8], expected);
    assert_eq!(types[8], "(u8, Option<String>)");

    delayed!(nothing()).call();
    assert_eq!(delayed!(one(1)).call(), 1);
    assert_eq!(delayed!(size(1, 2, "abc", 4, &[5])).call(), 11);
    assert_eq!(delayed!(r#match("x")).call(), "x");
    assert_eq!(r#match::NAME.rsplit("::").next(), Some("match"));
    assert_eq!(delayed!(inner::deep(1)).call(), 1);
    assert_eq!(delayed!(text_length("abc")).call() + delayed!(row_length(&[1])).call(), 4);
    assert_eq!(delayed!(constant(1)).call(), const { constant(1) });
    assert_eq!(delayed!(old(1)).call(), 1);

    // What is stored of a `Result`, and what becomes of its error.
    assert_eq!(fallible::stored(&fallible("7")), Ok(&7));
    assert_eq!(fallible::stored(&fallible("x")), Err(NotStoredReason::ErrorResult));
    assert_eq!(fallible::restore(7), Ok(7));
    let error = fallible::into_value(fallible("x")).expect_err("not a number");
    assert_eq!(error.message(), "invalid digit found in string");
    assert!(std::error::Error::source(&error).is_some_and(|error| error.is::<std::num::ParseIntError>()));
    assert!(io::into_value(io(Path::new("no such file"))).is_err());
    assert_eq!(boxed::into_value(boxed(255)).expect_err("too much").message(), "too much");
    assert_eq!(sentence::into_value(sentence(255)).expect_err("too much").message(), "too much");
    assert_eq!(aliased::stored(&aliased(255)), Err(NotStoredReason::ErrorResult));
    assert_eq!(aliased::stored(&aliased(1)), Ok(&Ok(2)));
    assert_eq!(aliased::into_value(aliased(255)).expect_err("too much").message(), "Err(\"too much\")");

    // What the probes find out.
    assert!(one::copy_args(&(1,)).is_some());
    assert!(everything::copy_args(&call_args(&table, &options)).is_none());
    assert!(one::sharing().is_some());
    assert!(everything::sharing().is_none());
}

fn call_args<'a>(table: &'a Table<u8>, options: &'a HashMap<String, Vec<u8>>) -> <everything as Function>::Args<'a> {
    (1, "name", &[], Path::new(""), table, &[1, 2, 3], options, Vec::new(), (1, None))
}
