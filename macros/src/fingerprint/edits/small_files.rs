//! Where code is.

use super::small::{Small, check};

#[test]
fn where_code_is() {
    check(EDITS, true);
}

const EDITS: &[Small] = &[
    (
        "a module of a module in files",
        "mod a; #[cached] fn root() -> u8 { a::b::f() }
//- src/a.rs
        pub mod b;
//- src/a/b.rs
        pub fn f() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "mod.rs",
        "mod a; #[cached] fn root() -> u8 { a::b::f() }
//- src/a/mod.rs
        pub mod b;
//- src/a/b/mod.rs
        pub fn f() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a path",
        "#[path = \"odd/place.rs\"] mod a; #[cached] fn root() -> u8 { a::b::f() }
//- src/odd/place.rs
        pub mod b;
//- src/odd/b.rs
        pub fn f() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a path within a module of the same file",
        "mod a; #[cached] fn root() -> u8 { a::inline::b::f() }
//- src/a.rs
        pub mod inline { #[path = \"other.rs\"] pub mod b; }
//- src/a/inline/other.rs
        pub fn f() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a path under a condition",
        "#[cfg_attr(unix, path = \"unix.rs\")] #[cfg_attr(windows, path = \"windows.rs\")] mod os; #[cached] fn root() -> u8 { os::f() }
//- src/unix.rs
        pub fn f() -> u8 { 1 }
//- src/windows.rs
        pub fn f() -> u8 { 3 }",
        "{ 3 }",
        "{ 2 }",
    ),
    (
        "which of two files holds when",
        "#[cfg_attr(unix, path = \"one.rs\")] #[cfg_attr(windows, path = \"two.rs\")] mod os; #[cached] fn root() -> u8 { os::f() }
//- src/one.rs
        pub fn f() -> u8 { 1 }
//- src/two.rs
        pub fn f() -> u8 { 3 }",
        "(unix, path = \"one.rs\")] #[cfg_attr(windows, path = \"two.rs\")]",
        "(unix, path = \"two.rs\")] #[cfg_attr(windows, path = \"one.rs\")]",
    ),
    (
        "the usual file beside a path under a condition",
        "#[cfg_attr(unix, path = \"unix.rs\")] mod os; #[cached] fn root() -> u8 { os::f() }
//- src/unix.rs
        pub fn f() -> u8 { 1 }
//- src/os.rs
        pub fn f() -> u8 { 3 }",
        "{ 3 }",
        "{ 2 }",
    ),
    (
        "items that are included",
        "mod a { include!(\"a.in\"); } #[cached] fn root() -> u8 { a::f() }
//- src/a.in
        pub fn f() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a module of an included file",
        "mod a { include!(\"sub/a.in\"); } #[cached] fn root() -> u8 { a::b::f() }
//- src/sub/a.in
        pub mod b;
//- src/sub/b.rs
        pub fn f() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an expression that is included",
        "#[cached] fn root() -> u8 { include!(\"a.in\") } fn helper() -> u8 { 1 }
//- src/a.in
        helper() + 5",
        "+ 5",
        "+ 6",
    ),
    (
        "what an included expression calls",
        "#[cached] fn root() -> u8 { include!(\"a.in\") } fn helper() -> u8 { 1 }
//- src/a.in
        helper() + 5",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "what an included expression of a callee calls",
        "#[cached] fn root() -> u8 { a() } fn a() -> u8 { include!(\"a.in\") } fn helper() -> u8 { 1 }
//- src/a.in
        helper() + 5",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a text that is included",
        "#[cached] fn root() -> &'static str { TEXT } const TEXT: &str = include_str!(\"a.txt\");
//- src/a.txt
one",
        "one",
        "two",
    ),
    (
        "a text at a joined path",
        "#[cached] fn root() -> &'static str { include_str!(concat!(\"a\", \".txt\")) }
//- src/a.txt
one",
        "one",
        "two",
    ),
    (
        "a text at a path from the package",
        "#[cached] fn root() -> &'static str { include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/data/a.txt\")) }
//- data/a.txt
one",
        "one",
        "two",
    ),
    (
        "a text that a macro includes",
        "macro_rules! text { ($f:literal) => { include_str!($f) } } #[cached] fn root() -> &'static str { text!(\"a.txt\") }
//- src/a.txt
one",
        "one",
        "two",
    ),
    (
        "a file that a macro from elsewhere reads",
        "#[derive(Template)] #[template(path = \"page.html\")] struct Page; #[cached] fn root(p: Page) -> String { p.to_string() }
//- templates/page.html
one",
        "one",
        "two",
    ),
    (
        "a file of code that is not understood",
        "mod a; #[cached] fn root() -> u8 { a::f() }
//- src/a.rs
        pub fn f() -> u8 { 1 } \" ",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "the features of a dependency",
        "#[cached] fn root() -> u8 { other::f() }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
other = { version = \"1\", features = [\"one\"] }
//- Cargo.lock
version = 4
[[package]]
name = \"sample\"
version = \"0.1.0\"
dependencies = [\"other\"]
[[package]]
name = \"other\"
version = \"1.0.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"aa\"",
        "[\"one\"]",
        "[\"two\"]",
    ),
    (
        "the features of a dependency at a path",
        "#[cached] fn root() -> u8 { other::f() }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
other = { path = \"other\", features = [\"one\"] }
//- other/Cargo.toml
[package]
name = \"other\"
version = \"1.0.0\"
//- other/src/lib.rs
#[cfg(feature = \"one\")] pub fn f() -> u8 { 1 }
#[cfg(not(feature = \"one\"))] pub fn f() -> u8 { 2 }",
        "features = [\"one\"]",
        "features = []",
    ),
    (
        "a version behind a prelude of all names",
        "mod prelude { pub use other::Rng; } mod m { use crate::prelude::*; #[cached] fn root(x: u8) -> u8 { x.shake() } }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
other = \"1\"
//- Cargo.lock
version = 4
[[package]]
name = \"sample\"
version = \"0.1.0\"
dependencies = [\"other\"]
[[package]]
name = \"other\"
version = \"1.0.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"aa\"",
        "\"aa\"",
        "\"bb\"",
    ),
    (
        "a version behind the macros of a crate",
        "#[macro_use] extern crate other; mod m { #[cached] fn root() -> u8 { shake!() } }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
other = \"1\"
//- Cargo.lock
version = 4
[[package]]
name = \"sample\"
version = \"0.1.0\"
dependencies = [\"other\"]
[[package]]
name = \"other\"
version = \"1.0.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"aa\"",
        "\"aa\"",
        "\"bb\"",
    ),
    (
        "a crate under another name in a module below",
        "extern crate other as o; mod m { #[cached] fn root() -> u8 { o::shake() } }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
other = \"1\"
//- Cargo.lock
version = 4
[[package]]
name = \"sample\"
version = \"0.1.0\"
dependencies = [\"other\"]
[[package]]
name = \"other\"
version = \"1.0.0\"
source = \"registry+https://github.com/rust-lang/crates.io-index\"
checksum = \"aa\"",
        "\"aa\"",
        "\"bb\"",
    ),
    (
        "which of two crates of one name",
        "use a::f as p; use b::f as q; #[cached] fn root() -> u8 { p() - q() }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
a = { package = \"other\", path = \"one\" }
b = { package = \"other\", path = \"two\" }
//- one/Cargo.toml
[package]
name = \"other\"
version = \"1.0.0\"
//- one/src/lib.rs
pub fn f() -> u8 { 1 }
//- two/Cargo.toml
[package]
name = \"other\"
version = \"2.0.0\"
//- two/src/lib.rs
pub fn f() -> u8 { 2 }",
        "use a::f as p; use b::f as q;",
        "use b::f as p; use a::f as q;",
    ),
    (
        "a module of the build script of a dependency",
        "#[cached] fn root() -> u8 { other::f() }
//- Cargo.toml
[package]
name = \"sample\"
version = \"0.1.0\"
[dependencies]
other = { path = \"other\" }
//- other/Cargo.toml
[package]
name = \"other\"
version = \"1.0.0\"
//- other/build.rs
mod made; fn main() { made::make() }
//- other/made.rs
pub fn make() { println!(\"1\") }
//- other/src/lib.rs
pub fn f() -> u8 { 1 }",
        "\"1\"",
        "\"2\"",
    ),
];
