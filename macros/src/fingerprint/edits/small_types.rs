//! Types, and values that are part of a result.

use super::small::{Small, check};

#[test]
fn what_types_and_values_are() {
    check(EDITS, true);
}

const EDITS: &[Small] = &[
    (
        "a field's type",
        "#[cached] fn root(a: A) -> usize { size_of::<A>() } struct A { x: B } struct B { y: u8 }",
        "y: u8",
        "y: u16",
    ),
    (
        "the order of fields",
        "#[cached] fn root(a: A) -> bool { a < a } #[derive(PartialEq, PartialOrd)] struct A { x: u8, y: u8 }",
        "x: u8, y: u8",
        "y: u8, x: u8",
    ),
    ("the order of variants", "#[cached] fn root(a: A) -> u8 { a as u8 } enum A { X, Y }", "X, Y", "Y, X"),
    ("a discriminant", "#[cached] fn root(a: A) -> u8 { a as u8 } enum A { X = N } const N: u8 = 1;", "= 1", "= 2"),
    ("an alias", "#[cached] fn root(x: f64) -> f64 { x as Real as f64 } type Real = f32;", "f32", "f64"),
    (
        "a representation",
        "#[cached] fn root() -> usize { size_of::<A>() } #[repr(C)] struct A { x: u8 }",
        "repr(C)",
        "repr(C, align(8))",
    ),
    (
        "a derive",
        "#[cached] fn root(a: A) -> String { format!(\"{a:?}\") } #[derive(Debug)] struct A;",
        "#[derive(Debug)] struct A;",
        "struct A; impl std::fmt::Debug for A { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { Ok(()) } }",
    ),
    ("a static's value", "#[cached] fn root() -> u8 { m::N } mod m { pub static N: u8 = 1; }", "= 1", "= 2"),
    ("a mutable static's value", "#[cached] fn root() -> u8 { unsafe { N } } static mut N: u8 = 1;", "= 1", "= 2"),
    (
        "a constant of a constant",
        "#[cached] fn root() -> u8 { N } const N: u8 = M + 1; const M: u8 = L; const L: u8 = 1;",
        "L: u8 = 1",
        "L: u8 = 2",
    ),
    (
        "a bound that picks an impl",
        "#[cached] fn root() -> u8 { A.go() } struct A; trait Go { fn go(&self) -> u8; } impl<T: Small> Go for T { fn go(&self) -> u8 { T::N } } trait Small { const N: u8; } impl Small for A { const N: u8 = 1; }",
        "= 1",
        "= 2",
    ),
    (
        "a lifetime's impl",
        "#[cached] fn root(a: A<'static>) -> u8 { a.go() } struct A<'a>(&'a u8); impl<'a> A<'a> { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an impl for an array",
        "#[cached] fn root() -> u8 { [1u8; 3].go() } trait Go { fn go(&self) -> u8; } impl<const N: usize> Go for [u8; N] { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an impl for a tuple",
        "#[cached] fn root() -> u8 { (1, 2).go() } trait Go { fn go(&self) -> u8; } impl Go for (i32, i32) { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an impl for a closure",
        "#[cached] fn root() -> u8 { (|| 1).go() } trait Go { fn go(&self) -> u8; } impl<F: Fn() -> u8> Go for F { fn go(&self) -> u8 { self() + 1 } }",
        "+ 1",
        "+ 2",
    ),
    (
        "an impl for a box of a trait",
        "#[cached] fn root(s: Box<dyn S>) -> bool { s == s } trait S {} impl PartialEq for Box<dyn S> { fn eq(&self, _: &Self) -> bool { true } }",
        "{ true }",
        "{ false }",
    ),
    (
        "a sum of one's own",
        "#[cached] fn root(v: Vec<A>) -> A { v.into_iter().sum() } struct A(u8); impl std::iter::Sum for A { fn sum<I: Iterator<Item = A>>(_: I) -> A { A(1) } }",
        "A(1)",
        "A(2)",
    ),
    (
        "a parse of one's own",
        "#[cached] fn root(s: String) -> A { s.parse().unwrap() } struct A(u8); impl std::str::FromStr for A { type Err = (); fn from_str(_: &str) -> Result<A, ()> { Ok(A(1)) } }",
        "A(1)",
        "A(2)",
    ),
    (
        "a hasher",
        "#[cached] fn root(v: Map) -> usize { v.len() } type Map = std::collections::HashMap<u8, u8, S>; #[derive(Default)] struct S; impl std::hash::BuildHasher for S { type Hasher = H; fn build_hasher(&self) -> H { H } } struct H; impl std::hash::Hasher for H { fn finish(&self) -> u64 { 1 } fn write(&mut self, _: &[u8]) {} }",
        "u64 { 1 }",
        "u64 { 2 }",
    ),
    (
        "a condition in an expression",
        "#[cached] fn root() -> u8 { helper() } fn helper() -> u8 { if cfg!(unix) { 1 } else { 2 } }",
        "cfg!(unix)",
        "cfg!(windows)",
    ),
    (
        "a condition of a statement",
        "#[cached] fn root() -> u8 { helper() } fn helper() -> u8 { #[cfg(unix)] return 1; 2 }",
        "cfg(unix)",
        "cfg(windows)",
    ),
    (
        "the condition of a module",
        "#[cached] fn root() -> u8 { m::f() } #[cfg(unix)] mod m { pub fn f() -> u8 { 1 } } #[cfg(not(unix))] mod m { pub fn f() -> u8 { 2 } }",
        "{ 2 }",
        "{ 3 }",
    ),
    (
        "an attribute of a callee",
        "#[cached] fn root() -> u8 { helper() } #[target_feature(enable = \"avx\")] fn helper() -> u8 { 1 }",
        "avx",
        "sse",
    ),
    (
        "a callee that is cached itself",
        "#[cached] fn root() -> u8 { helper() } #[cached] fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a callee's callee that calls back",
        "#[cached] fn root(n: u8) -> u8 { even(n) } fn even(n: u8) -> u8 { odd(n) } fn odd(n: u8) -> u8 { if n == 0 { 1 } else { root(n) } }",
        "{ 1 }",
        "{ 2 }",
    ),
    ("the attributes of a whole file", "#![no_std]\n#[cached] fn root() -> u8 { 1 }", "#![no_std]", "#![feature(x)]"),
    (
        "what stands in a module and is not understood",
        "mod r; mod a { ? } mod b { ! }\n//- src/r.rs\n#[cached] fn root() -> u8 { 1 }",
        "?",
        "? ?",
    ),
];
