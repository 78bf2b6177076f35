//! What macros make.

use super::small::{Small, check};

#[test]
fn what_macros_make() {
    check(EDITS, true);
}

const EDITS: &[Small] = &[
    (
        "a function with a name that the macro gives",
        "macro_rules! make { ($n:literal) => { fn helper() -> u8 { $n } } } make!(1); #[cached] fn root() -> u8 { helper() }",
        "make!(1)",
        "make!(2)",
    ),
    (
        "the same by a macro that invokes another",
        "macro_rules! make { ($n:literal) => { fn helper() -> u8 { $n } } } macro_rules! outer { ($n:literal) => { make!($n); } } outer!(1);
        #[cached] fn root() -> u8 { helper() }",
        "outer!(1)",
        "outer!(2)",
    ),
    (
        "a method of a number by a macro",
        "trait Twice { fn twice(self) -> f64; } macro_rules! twice { ($t:ty, $n:literal) => { impl Twice for $t { fn twice(self) -> f64 { $n } } } }
        twice!(f64, 2.0); #[cached] fn root() -> f64 { 1.0.twice() }",
        "(f64, 2.0)",
        "(f64, 3.0)",
    ),
    (
        "a method of a type that the macro names",
        "struct A; macro_rules! methods { ($n:literal) => { impl A { fn go(&self) -> u8 { $n } } } } methods!(1);
        #[cached] fn root(a: A) -> u8 { a.go() }",
        "methods!(1)",
        "methods!(2)",
    ),
    (
        "an operator by a macro",
        "struct A(u8); macro_rules! ops { ($t:ident, $n:literal) => { impl std::ops::Neg for $t { type Output = u8; fn neg(self) -> u8 { $n } } } } ops!(A, 1);
        #[cached] fn root(a: A) -> u8 { -a }",
        "(A, 1)",
        "(A, 2)",
    ),
    (
        "a macro's body in another file",
        "#[macro_use] mod macros; fn helper() -> u8 { 1 } #[cached] fn root() -> u8 { go!() }
//- src/macros.rs
        macro_rules! go { () => { helper() } }",
        "helper() }",
        "helper() + 1 }",
    ),
    (
        "a name that means another thing where the macro is used",
        "mod a { macro_rules! go { () => { helper() } } pub(crate) use go; pub fn helper() -> u8 { 0 } } 
        mod b { fn helper() -> u8 { 1 } #[cached] fn root() -> u8 { crate::a::go!() } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a macro under another name",
        "mod m { #[macro_export] macro_rules! go { () => { 1 } } } use crate::go as run; #[cached] fn root() -> u8 { run!() }",
        "=> { 1 }",
        "=> { 2 }",
    ),
    (
        "$crate",
        "mod m { #[macro_export] macro_rules! go { () => { $crate::m::helper() } } pub fn helper() -> u8 { 1 } } #[cached] fn root() -> u8 { go!() }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a method by a macro's argument",
        "macro_rules! call { ($o:expr, $m:ident) => { $o.$m() } } struct A; impl A { fn area(&self) -> u8 { 1 } } #[cached] fn root(a: A) -> u8 { call!(a, area) }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a function by a macro's argument with a colon",
        "macro_rules! call { ($f:ident: $x:expr) => { $f($x) } } fn square(x: u8) -> u8 { x * x } #[cached] fn root() -> u8 { call!(square: 3) }",
        "x * x",
        "x + x",
    ),
    (
        "which of two macros of one name comes before",
        "macro_rules! go { () => { 1 } }\nmacro_rules! go { () => { 2 } }\n#[cached] fn root() -> u8 { go!() }",
        "macro_rules! go { () => { 2 } }\n#[cached] fn root() -> u8 { go!() }",
        "#[cached] fn root() -> u8 { go!() }\nmacro_rules! go { () => { 2 } }",
    ),
    (
        "which of two macros of one name comes before a module",
        "macro_rules! go { () => { 1 } }\nmacro_rules! go { () => { 2 } }\nmod m { #[cached] fn root() -> u8 { go!() } }",
        "macro_rules! go { () => { 2 } }\nmod m { #[cached] fn root() -> u8 { go!() } }",
        "mod m { #[cached] fn root() -> u8 { go!() } }\nmacro_rules! go { () => { 2 } }",
    ),
    (
        "a macro of the standard library, hidden before",
        "#[cached] fn root() -> u8 { vec![1][0] }\nmacro_rules! vec { ($x:expr) => { [2] } }",
        "#[cached] fn root() -> u8 { vec![1][0] }\nmacro_rules! vec { ($x:expr) => { [2] } }",
        "macro_rules! vec { ($x:expr) => { [2] } }\n#[cached] fn root() -> u8 { vec![1][0] }",
    ),
    (
        "a thread-local",
        "thread_local! { static N: u8 = const { helper() }; } #[cached] fn root() -> u8 { N.with(|n| *n) } const fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a name that paste puts together in an item",
        "macro_rules! getter { ($n:ident, $v:literal) => { paste::paste! { fn [<get_ $n>]() -> u8 { $v } } } } getter!(width, 1);
        #[cached] fn root() -> u8 { get_width() }",
        "width, 1",
        "width, 2",
    ),
    (
        "a name that paste puts together where it is called",
        "use paste::paste; #[cached] fn root() -> u8 { paste! { [<get_ width>]() } } fn get_width() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a name that a macro puts together where it is called",
        "macro_rules! get { ($n:ident) => { paste::paste! { [<get_ $n>]() } } } #[cached] fn root() -> u8 { get!(width) } fn get_width() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "what a macro from elsewhere makes of a name",
        "builder::make!(Config, 1); #[cached] fn root() -> u8 { ConfigBuilder::new().n() }",
        "(Config, 1)",
        "(Config, 2)",
    ),
    (
        "what an attribute from elsewhere makes of a name",
        "#[builder::builder] struct Config { n: u8 } #[cached] fn root() -> u8 { ConfigBuilder::new().n() }",
        "n: u8",
        "n: u16",
    ),
    (
        "what an attribute from elsewhere makes of a module",
        "#[bridge::bridge(1)] mod ffi { type Made; } #[cached] fn root() -> u8 { ffi::made() }",
        "bridge(1)",
        "bridge(2)",
    ),
    (
        "what a macro from elsewhere makes of nothing but a text",
        "mod proto { tonic::include_proto!(\"one\"); } #[cached] fn root() -> u8 { proto::Request::new().n() }",
        "one",
        "two",
    ),
    (
        "a module that a macro declares",
        "macro_rules! mods { ($($n:ident),*) => { $(mod $n;)* } } mods!(alpha, beta); #[cached] fn root() -> u8 { alpha::f() }
//- src/alpha.rs
        pub fn f() -> u8 { 1 }
//- src/beta.rs
        pub fn f() -> u8 { 3 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a module and an import in cfg_if",
        "cfg_if::cfg_if! { if #[cfg(unix)] { mod unix; use unix::f; } else { fn f() -> u8 { 9 } } } #[cached] fn root() -> u8 { f() }
//- src/unix.rs
        pub fn f() -> u8 { helper() } fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a re-export in cfg_if",
        "mod m { cfg_if::cfg_if! { if #[cfg(unix)] { mod unix; pub use self::unix::*; } } } #[cached] fn root() -> u8 { m::f() }
//- src/m/unix.rs
        pub fn f() -> u8 { helper() } fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a macro that is handed to another",
        "macro_rules! each { ($cb:ident) => { $cb!(1); } } macro_rules! def { ($n:literal) => { const N: u8 = $n + 0; } } each!(def); #[cached] fn root() -> u8 { N }",
        "$n + 0",
        "$n + 1",
    ),
    (
        "a macro that hands a value to another",
        "macro_rules! each { ($cb:ident) => { $cb!(1); } } macro_rules! def { ($n:literal) => { const N: u8 = $n; } } each!(def); #[cached] fn root() -> u8 { N }",
        "$cb!(1)",
        "$cb!(2)",
    ),
    (
        "a macro that a macro defines",
        "macro_rules! outer { () => { macro_rules! inner { () => { 1 } } } } outer!(); #[cached] fn root() -> u8 { inner!() }",
        "=> { 1 }",
        "=> { 2 }",
    ),
    (
        "a macro by a macro's argument",
        "macro_rules! run { ($m:ident) => { $m!() } } macro_rules! one { () => { 1 } } #[cached] fn root() -> u8 { run!(one) }",
        "=> { 1 }",
        "=> { 2 }",
    ),
    (
        "a type's name that a macro gives",
        "macro_rules! alias { ($n:ident, $t:ty) => { type $n = $t; } } alias!(Real, f32); #[cached] fn root(x: f64) -> f64 { x as Real as f64 }",
        "f32",
        "f64",
    ),
    (
        "a macro of a path dependency",
        "use dep::go; #[cached] fn root() -> u8 { go!() }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
dep = { path = \"dep\" }
//- dep/Cargo.toml
[package]
name = \"dep\"
version = \"1.0.0\"
//- dep/src/lib.rs
mod m; pub fn help() -> u8 { 1 }
//- dep/src/m.rs
#[macro_export] macro_rules! go { () => { $crate::help() } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "what a text of an attribute names",
        "#[derive(Serialize)] struct A { #[serde(with = \"m::format\")] x: u8 } mod m { pub mod format { pub fn serialize() -> u8 { 1 } } }
        #[cached] fn root(a: A) -> String { to_text(&a) } fn to_text(_: &A) -> String { String::new() }",
        "{ 1 }",
        "{ 2 }",
    ),
];
