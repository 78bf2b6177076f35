//! Which items belong to a function, in small packages.

use super::sample::Sample;
use crate::options::Input;

const MANIFEST: &str = "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";

/// The names in the list of a function `root` in src/lib.rs.
fn reached(lib: &str) -> Vec<String> {
    let sample = Sample::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", lib)]);
    let code = sample.code("src/lib.rs", "src/lib.rs", "root");
    code.items.lines().skip(1).filter_map(|line| line.split('\t').nth(1)).map(str::to_owned).collect()
}

#[test]
fn what_a_function_reaches() {
    for (lib, expected) in [
        ("#[cached] fn root() { a() } fn a() { b() } fn b() {} fn c() {}", &["fn a", "fn b"][..]),
        (
            "#[cached] fn root() -> u8 { m::A } mod m { pub const A: u8 = B; const B: u8 = 1; const C: u8 = 2; }",
            &["const A", "const B"],
        ),
        (
            "#[cached] fn root(s: &S) -> f64 { s.mean() } struct S { x: T } struct T; \
             impl S { fn mean(&self) -> f64 { 1.0 } fn other(&self) {} } impl T { fn mean(&self) {} } struct U; impl U { fn mean(&self) {} }",
            &["fn S::mean", "fn T::mean", "impl S", "impl T", "struct S", "struct T"],
        ),
        (
            "#[cached] fn root(s: &dyn Shape) -> f64 { s.area() } trait Shape { fn area(&self) -> f64; fn name(&self) {} } \
             struct A; impl Shape for A { fn area(&self) -> f64 { 1.0 } } struct B; impl B { fn area(&self) {} }",
            &["fn A::area", "fn Shape::area", "impl Shape for A", "struct A", "trait Shape"],
        ),
        (
            "#[cached] fn root(a: A) -> f64 { a.area() } trait Shape { fn area(&self) -> f64 { 1.0 } } \
             struct A; impl Shape for A {} struct B; impl Shape for B {}",
            &["fn Shape::area", "impl Shape for A", "struct A", "trait Shape"],
        ),
        (
            "#[cached] fn root(a: A) -> A { a + a } #[derive(Clone, Copy)] struct A; \
             impl std::ops::Add for A { type Output = A; fn add(self, _: A) -> A { self } } fn add() {}",
            &["fn A::add", "impl std::ops::Add for A", "struct A"],
        ),
        (
            "#[cached] fn root() { go!(1) } macro_rules! go { ($x:expr) => { helper($x) } } fn helper(x: u8) {}",
            &["fn helper", "macro go"],
        ),
        (
            "#[cached] fn root() { made() } macro_rules! make { ($n:ident) => { fn $n() {} } } make!(made); make!(other);",
            &["macro make", "make!"],
        ),
        (
            "use m::*; #[cached] fn root() { a() } mod m { pub fn a() { inner::b() } mod inner { pub fn b() { super::c() } } fn c() {} fn d() {} }",
            &["fn a", "fn b", "fn c"],
        ),
        ("#[cached] fn root() { Self::x() } fn x() {}", &[]),
        ("#[cached] fn root() { a() } fn a() {} #[cfg(test)] mod tests { fn a() {} }", &["fn a"]),
        ("#[cached] fn root() { a() } #[cfg(unix)] fn a() {} #[cfg(not(unix))] fn a() { 1 }", &["fn a"]),
        (
            "#[cached] fn root() { 1.0.twice() } trait Twice { fn twice(self) -> f64; } impl Twice for f64 { fn twice(self) -> f64 { 2.0 } }",
            &["fn Twice::twice", "fn f64::twice", "impl Twice for f64", "trait Twice"],
        ),
    ] {
        assert_eq!(reached(lib), expected, "{lib}");
    }
}

#[test]
fn what_a_function_reads_its_callers_read() {
    let lib = "#[cached(depends(file = \"mine\"))] fn root() { a() } fn a() { b(); c() } \
               #[task(depends(file = \"model\", env = \"MODE\", root), toolchain = true)] fn b() {} \
               #[larder::cached(depends(file = \"model\", file = \"mine\"))] fn c() {} #[cached(depends(env = \"OTHER\"))] fn d() {}";
    let sample = Sample::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", lib)]);
    let code = sample.code("src/lib.rs", "src/lib.rs", "root");
    assert_eq!(code.inputs, [Input::File("model".to_owned()), Input::Env("MODE".to_owned())]);
    assert!(code.toolchain);
}
