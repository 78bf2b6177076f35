//! What must not count.

use super::small::{Small, check};

#[test]
fn what_does_not_count() {
    check(EDITS, false);
}

const EDITS: &[Small] = &[
    (
        "an import that others need",
        "#[cached] fn root() -> u8 { 1 + len() } fn len() -> u8 { 1 } fn other() {}",
        "fn other() {}",
        "use std::collections::HashMap; fn other() { HashMap::<u8, u8>::new(); }",
    ),
    (
        "an unrelated trait's import",
        "mod m { pub trait T { fn odd(&self) {} } } #[cached] fn root() -> u8 { 1u8.max(2) } fn other() {}",
        "fn other() {}",
        "use m::T; fn other() { 1u8.odd() }",
    ),
    (
        "a macro's place",
        "macro_rules! go { () => { 1 } }\nfn other() {}\n#[cached] fn root() -> u8 { go!() }",
        "macro_rules! go { () => { 1 } }\nfn other() {}",
        "fn other() {}\nmacro_rules! go { () => { 1 } }",
    ),
    (
        "an unrelated invocation of the same macro",
        "macro_rules! make { ($n:ident) => { fn $n() -> u8 { 1 } } } make!(one); make!(two); #[cached] fn root() -> u8 { one() }",
        "make!(two)",
        "make!(three)",
    ),
    (
        "an unrelated type's impl by the same macro",
        "macro_rules! methods { ($t:ident, $n:literal) => { impl $t { fn go(&self) -> u8 { $n } } } } struct A; struct B; methods!(A, 1); methods!(B, 2); #[cached] fn root(a: A) -> u8 { a.go() }",
        "B, 2",
        "B, 3",
    ),
    (
        "an unrelated file beside",
        "mod a; #[cached] fn root() -> u8 { a::f() }\n//- src/a.rs\npub fn f() -> u8 { 1 } pub fn g() -> u8 { 2 }",
        "{ 2 }",
        "{ 3 }",
    ),
    (
        "an unrelated arm of cfg_if's module",
        "cfg_if::cfg_if! { if #[cfg(unix)] { mod unix; use unix::f; } } #[cached] fn root() -> u8 { f() }\n//- src/unix.rs\npub fn f() -> u8 { 1 } pub fn g() -> u8 { 2 }",
        "{ 2 }",
        "{ 3 }",
    ),
    (
        "a test's impl of a type that is reached",
        "struct A; #[cached] fn root(a: A) -> u8 { a.go() } impl A { fn go(&self) -> u8 { 1 } } #[cfg(test)] mod tests { use super::*; impl Default for A { fn default() -> A { A } } impl A { fn go(&self) -> u8 { 5 } } }",
        "{ 5 }",
        "{ 6 }",
    ),
    (
        "an unrelated associated constant of another type",
        "struct A; impl A { const N: u8 = 1; } struct B; impl B { const N: u8 = 2; } #[cached] fn root() -> u8 { A::N }",
        "= 2",
        "= 3",
    ),
    (
        "a text that names a file where nothing reads it",
        "#[cached] fn root() -> usize { \"a.txt\".len() }\n//- src/a.txt\none",
        "one",
        "two",
    ),
    (
        "an unrelated enum's variants",
        "mod m { pub enum E { A } pub enum F { C } } use m::E::*; use m::F::*; #[cached] fn root() -> u8 { A as u8 }",
        "{ C }",
        "{ C, D }",
    ),
    (
        "braces that are none",
        "#[cached] fn root() -> &'static str { \"{helper} {{}} {:?}\" } fn other() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a dependency's unrelated function",
        "#[cached] fn root() -> u8 { other::f() }\n//- Cargo.toml\n[package]\nname = \"sample\"\nversion = \"0.1.0\"\n[dependencies]\nother = { path = \"other\" }\n//- other/Cargo.toml\n[package]\nname = \"other\"\nversion = \"1.0.0\"\n//- other/src/lib.rs\npub fn f() -> u8 { 1 } pub fn g() -> u8 { 2 }",
        "{ 2 }",
        "{ 3 }",
    ),
];
