//! What a name means.

use super::small::{Small, check};

#[test]
fn what_names_mean() {
    check(EDITS, true);
}

const EDITS: &[Small] = &[
    (
        "an import of the standard library under another name",
        "use std::cmp::max as pick; #[cached] fn root() -> u8 { pick(1, 2) }",
        "max as",
        "min as",
    ),
    (
        "all names of a module of the standard library",
        "use std::f64::consts::*; #[cached] fn root() -> f64 { PI as f64 }",
        "f64::consts",
        "f32::consts",
    ),
    (
        "which trait is in scope",
        "mod m { pub trait A { fn go(&self) -> u8 { 1 } } pub trait B { fn go(&self) -> u8 { 2 } } impl A for u8 {} impl B for u8 {} }
        use m::A; #[cached] fn root() -> u8 { 1u8.go() }",
        "use m::A",
        "use m::B",
    ),
    (
        "which trait is in scope of a callee",
        "mod m { pub trait A { fn go(&self) -> u8 { 1 } } pub trait B { fn go(&self) -> u8 { 2 } } impl A for u8 {} impl B for u8 {} }
        mod n { use super::m::A as _; pub fn callee() -> u8 { 1u8.go() } } #[cached] fn root() -> u8 { n::callee() }",
        "m::A as",
        "m::B as",
    ),
    (
        "which foreign trait is in scope",
        "use std::fmt::Write; #[cached] fn root(mut t: T) -> u8 { t.flush(); 1 } struct T;",
        "fmt::Write",
        "io::Write",
    ),
    (
        "a name that hides what a condition may take away",
        "mod m { pub fn helper() -> u8 { 1 } } use m::*; #[cfg(unix)] fn helper() -> u8 { 2 } #[cached] fn root() -> u8 { helper() }",
        "{ 1 }",
        "{ 3 }",
    ),
    (
        "an import that hides what a condition may take away",
        "mod m { pub fn helper() -> u8 { 1 } } mod n { pub fn helper() -> u8 { 2 } }
        use m::*; #[cfg(unix)] use n::helper; #[cached] fn root() -> u8 { helper() }",
        "{ 1 }",
        "{ 3 }",
    ),
    (
        "which of two imports holds when",
        "mod a { pub fn f() -> u8 { 1 } } mod b { pub fn f() -> u8 { 2 } } #[cfg(unix)] use a::f; #[cfg(not(unix))] use b::f; #[cached] fn root() -> u8 { f() }",
        "#[cfg(unix)] use a::f; #[cfg(not(unix))] use b::f;",
        "#[cfg(not(unix))] use a::f; #[cfg(unix)] use b::f;",
    ),
    (
        "which of two modules holds when",
        "#[cfg(unix)] mod m { pub fn f() -> u8 { 1 } } #[cfg(not(unix))] mod m { pub fn f() -> u8 { 2 } } #[cached] fn root() -> u8 { m::f() }",
        "#[cfg(unix)] mod m { pub fn f() -> u8 { 1 } } #[cfg(not(unix))] mod m { pub fn f() -> u8 { 2 } }",
        "#[cfg(not(unix))] mod m { pub fn f() -> u8 { 1 } } #[cfg(unix)] mod m { pub fn f() -> u8 { 2 } }",
    ),
    (
        "which of two arms of cfg_if holds when",
        "mod a { pub fn f() -> u8 { 1 } } mod b { pub fn f() -> u8 { 2 } } cfg_if::cfg_if! { if #[cfg(unix)] { use a::f; } else { use b::f; } } #[cached] fn root() -> u8 { f() }",
        "if #[cfg(unix)] { use a::f; } else { use b::f; }",
        "if #[cfg(unix)] { use b::f; } else { use a::f; }",
    ),
    (
        "super within a module in a body",
        "mod m { #[cached] fn root() -> u8 { mod inner { pub fn f() -> u8 { super::helper() } } inner::f() } fn helper() -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "super::super",
        "fn helper() -> u8 { 1 } mod a { mod b { #[cached] fn root() -> u8 { super::super::helper() } } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a chain of use super",
        "fn helper() -> u8 { 1 } mod a { use super::*; mod b { use super::*; #[cached] fn root() -> u8 { helper() } } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a prelude's re-export",
        "mod m { pub fn helper() -> u8 { 1 } } mod prelude { pub use crate::m::helper as aid; } mod a { use crate::prelude::*; #[cached] fn root() -> u8 { aid() } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "the variants of an enum",
        "mod m { pub enum E { A, B } impl E { pub fn go(&self) -> u8 { 1 } } } use m::E::*; #[cached] fn root() -> u8 { A.go() }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "the variants of an enum in small letters",
        "mod m { pub enum E { first, second } } use m::E::*; #[cached] fn root() -> u8 { first as u8 }",
        "{ first,",
        "{ zeroth, first,",
    ),
    (
        "one variant by import",
        "mod m { pub enum E { A, B } } use m::E::B; #[cached] fn root() -> u8 { B as u8 }",
        "{ A, B }",
        "{ B, A }",
    ),
    (
        "a variant under another name",
        "mod m { pub enum E { A, B } } use m::E::B as X; #[cached] fn root() -> u8 { X as u8 }",
        "B as X",
        "A as X",
    ),
    (
        "a name of all, hidden by one",
        "mod m { pub fn helper() -> u8 { 1 } } use m::*; #[cached] fn root() -> u8 { helper() } fn other() {}",
        "fn other() {}",
        "fn other() {} fn helper() -> u8 { 2 }",
    ),
    (
        "a name of the prelude, hidden",
        "#[cached] fn root(x: u8) { drop(x) } fn other() {}",
        "fn other() {}",
        "fn other() {} fn drop(_: u8) { panic!() }",
    ),
    (
        "paths of 2015: an import from the root",
        "mod m { pub fn helper() -> u8 { 1 } } mod n { use m::helper; #[cached] fn root() -> u8 { helper() } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "paths of 2015: two colons for the root",
        "mod m { pub fn helper() -> u8 { 1 } } mod n { #[cached] fn root() -> u8 { ::m::helper() } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "raw names",
        "mod r#mod { pub fn r#fn() -> u8 { 1 } } use r#mod::r#fn as go; #[cached] fn root() -> u8 { go() }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an item of the function's own block",
        "#[cached] fn root() -> u8 { fn inner() -> u8 { helper() } inner() } fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an item beside a nested function",
        "fn outer() { const N: u8 = 1; #[cached] fn root() -> u8 { N } }",
        "= 1",
        "= 2",
    ),
    (
        "a module beside a nested function",
        "fn outer() { mod m { pub fn helper() -> u8 { 1 } } use m::helper as aid; #[cached] fn root() -> u8 { aid() } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an import in the function's own block",
        "mod m { pub fn helper() -> u8 { 1 } } #[cached] fn root() -> u8 { use m::helper as aid; aid() }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "all names in a callee's block",
        "mod m { pub fn helper() -> u8 { 1 } } #[cached] fn root() -> u8 { a() } fn a() -> u8 { use m::*; helper() }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "two colons behind an arrow",
        "extern crate self as me; #[cached] fn root() -> u8 { match 1 { _ => ::me::helper() } } fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an enum and a function of one name",
        "mod m { pub struct Thing; } use m::Thing; #[cached] fn root() -> u8 { Thing::go() } impl m::Thing { fn go() -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a union's field",
        "#[cached] fn root(u: U) -> u8 { unsafe { u.a } } union U { a: u8, b: i8 }",
        "a: u8",
        "a: u16",
    ),
    (
        "what tests put in a function's place",
        "#[cached] fn root() -> u8 { now() } #[cfg(not(test))] fn now() -> u8 { 1 } #[cfg(test)] fn now() -> u8 { 2 }",
        "{ 2 }",
        "{ 3 }",
    ),
    (
        "what tests import in a function's place",
        "#[cached] fn root() -> u8 { now() } #[cfg(not(test))] use std::process::id as now; #[cfg(test)] use mock::now; #[cfg(test)] mod mock { pub fn now() -> u8 { 2 } }",
        "{ 2 }",
        "{ 3 }",
    ),
    (
        "the library itself by its name in a crate's own path",
        "#[cached] fn root() -> u8 { crate::m::n::helper() } mod m { pub mod n { pub use super::deep::*; } mod deep { pub fn helper() -> u8 { 1 } } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "imports that go round",
        "mod a { pub use super::b::*; pub fn x() -> u8 { y() } } mod b { pub use super::a::*; pub fn y() -> u8 { 1 } } use a::*; #[cached] fn root() -> u8 { x() }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "where the module of a list of imports is from",
        "mod a { pub mod c { pub fn f() -> u8 { 1 } } } mod b { pub mod c { pub fn f() -> u8 { 2 } } } use a::c::{self as d, f}; #[cached] fn root() -> u8 { d::f() + f() }",
        "use a::c",
        "use b::c",
    ),
    (
        "a name in a trait's default constant",
        "trait T { const N: u8 = helper(); } struct S; impl T for S {} #[cached] fn root() -> u8 { <S as T>::N } const fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
];
