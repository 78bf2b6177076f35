//! What is called without being named, or named in a way of its own.

use super::small::{Small, check};

#[test]
fn what_is_called_unnamed() {
    check(EDITS, true);
}

const EDITS: &[Small] = &[
    (
        "a method found by dereferencing twice",
        "#[cached] fn root(a: A) -> u8 { a.go() }
        struct A(B); struct B(C); struct C;
        impl std::ops::Deref for A { type Target = B; fn deref(&self) -> &B { &self.0 } }
        impl std::ops::Deref for B { type Target = C; fn deref(&self) -> &C { &self.0 } }
        impl C { fn go(&self) -> u8 { 1 } }",
        "u8 { 1 }",
        "u8 { 2 }",
    ),
    (
        "the Drop of a temporary",
        "#[cached] fn root() -> u8 { guard(); 1 }
        fn guard() -> impl Sized { Guard }
        struct Guard; impl Drop for Guard { fn drop(&mut self) { note(1) } } fn note(_: u8) {}",
        "note(1)",
        "note(2)",
    ),
    (
        "an index",
        "#[cached] fn root(t: T) -> u8 { t[0] }
        struct T; impl std::ops::Index<usize> for T { type Output = u8; fn index(&self, _: usize) -> &u8 { &1 } }",
        "&1",
        "&2",
    ),
    (
        "an operator on references",
        "#[cached] fn root(a: T, b: T) -> u8 { (&a + &b).0 }
        struct T(u8); impl<'a> std::ops::Add<&'a T> for &'a T { type Output = T; fn add(self, _: &T) -> T { T(1) } }",
        "T(1)",
        "T(2)",
    ),
    (
        "an operator of a number with a type at hand",
        "#[cached] fn root(a: T) -> u8 { 2.0 * a }
        struct T; impl std::ops::Mul<T> for f64 { type Output = u8; fn mul(self, _: T) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a for loop",
        "#[cached] fn root(t: T) -> u8 { let mut n = 0; for x in t { n += x } n }
        struct T; struct I; impl IntoIterator for T { type Item = u8; type IntoIter = I; fn into_iter(self) -> I { I } }
        impl Iterator for I { type Item = u8; fn next(&mut self) -> Option<u8> { Some(1) } }",
        "Some(1)",
        "Some(2)",
    ),
    (
        "an error converted by a question mark",
        "#[cached] fn root() -> Result<u8, E> { helper()?; Ok(1) }
        struct E(u8); struct F; fn helper() -> Result<u8, F> { Err(F) }
        impl From<F> for E { fn from(_: F) -> E { E(1) } }",
        "E(1)",
        "E(2)",
    ),
    (
        "Display within format",
        "#[cached] fn root(t: T) -> String { format!(\"{t}\") }
        struct T; impl std::fmt::Display for T {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str(\"1\") } }",
        "\"1\"",
        "\"2\"",
    ),
    (
        "Ord within sort",
        "#[cached] fn root(mut t: Vec<T>) -> u8 { t.sort(); t[0].0 }
        #[derive(PartialEq, Eq, PartialOrd)] struct T(u8);
        impl Ord for T { fn cmp(&self, b: &T) -> std::cmp::Ordering { self.0.cmp(&b.0) } }",
        "self.0.cmp(&b.0)",
        "b.0.cmp(&self.0)",
    ),
    (
        "Hash within HashMap",
        "#[cached] fn root(t: std::collections::HashMap<T, u8>) -> usize { t.len() }
        #[derive(PartialEq, Eq)] struct T(u8);
        impl std::hash::Hash for T { fn hash<H: std::hash::Hasher>(&self, h: &mut H) { h.write_u8(self.0) } }",
        "h.write_u8(self.0)",
        "h.write_u8(0)",
    ),
    (
        "Default within a struct update",
        "#[cached] fn root() -> u8 { T { a: 1, ..Default::default() }.b }
        struct T { a: u8, b: u8 } impl Default for T { fn default() -> T { T { a: 0, b: 1 } } }",
        "b: 1",
        "b: 2",
    ),
    (
        "a conversion by a blanket",
        "#[cached] fn root(a: A) -> u8 { let b: B = a.into(); b.0 }
        struct A; struct B(u8); impl<T: AsRef<A>> From<T> for B { fn from(_: T) -> B { B(1) } }",
        "B(1)",
        "B(2)",
    ),
    (
        "an adaptor's closure, a function by name",
        "#[cached] fn root(v: Vec<u8>) -> Vec<u8> { v.into_iter().map(T::of).map(|t| t.0).collect() }
        struct T(u8); impl T { fn of(x: u8) -> T { T(x) } }",
        "T(x)",
        "T(x + 1)",
    ),
    (
        "a closure in a static",
        "use std::sync::LazyLock; #[cached] fn root() -> u8 { *TABLE }
        static TABLE: LazyLock<u8> = LazyLock::new(|| seed()); fn seed() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a function pointer in a table",
        "#[cached] fn root(i: usize) -> u8 { TABLE[i](1) }
        const TABLE: [fn(u8) -> u8; 2] = [one, two]; fn one(x: u8) -> u8 { x } fn two(x: u8) -> u8 { x + 2 }",
        "x + 2",
        "x + 3",
    ),
    (
        "a trait object that the caller made",
        "#[cached] fn root(s: Box<dyn Shape>) -> u8 { s.area() }
        trait Shape { fn area(&self) -> u8; } struct Hidden; impl Shape for Hidden { fn area(&self) -> u8 { helper() } }
        fn helper() -> u8 { 1 }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a generic instance that the caller chose",
        "#[cached] fn root<S: Shape>(s: S) -> u8 { s.area() }
        trait Shape { fn area(&self) -> u8; } struct Hidden; impl Shape for Hidden { fn area(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a foreign trait of a generic instance",
        "#[cached] fn root<S: ToString>(s: S) -> String { s.to_string() }
        struct Hidden; impl ToString for Hidden { fn to_string(&self) -> String { \"1\".into() } }",
        "\"1\"",
        "\"2\"",
    ),
    (
        "a trait of the impl that the function is in",
        "struct W<T>(T); impl<T: std::fmt::Display> W<T> { #[cached] fn root(self) -> String { self.0.to_string() } }
        struct Hidden; impl std::fmt::Display for Hidden {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { f.write_str(\"1\") } }",
        "\"1\"",
        "\"2\"",
    ),
    (
        "an associated constant by a generic parameter",
        "#[cached] fn root() -> u8 { helper::<A>() } fn helper<T: K>() -> u8 { T::N }
        trait K { const N: u8; } struct A; impl K for A { const N: u8 = 1; }",
        "N: u8 = 1",
        "N: u8 = 2",
    ),
    (
        "an associated constant of a type",
        "#[cached] fn root() -> u8 { A::N } struct A; impl A { const N: u8 = 1; }",
        "= 1",
        "= 2",
    ),
    (
        "an associated constant by Self",
        "struct A; impl A { #[cached] fn root() -> u8 { Self::N } } impl A { const N: u8 = M; } const M: u8 = 1;",
        "M: u8 = 1",
        "M: u8 = 2",
    ),
    (
        "an associated type",
        "#[cached] fn root(a: A) -> u8 { a.start().go() } trait S { type Out; fn start(&self) -> Self::Out; }
        struct A; struct B; impl S for A { type Out = B; fn start(&self) -> B { B } } impl B { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a constant as an argument of a type",
        "#[cached] fn root() -> usize { make().0.len() } fn make() -> B<{ SIZE }> { B([0; SIZE]) }
        struct B<const N: usize>([u8; N]); const SIZE: usize = 1;",
        "= 1",
        "= 2",
    ),
    (
        "what hides behind impl Trait",
        "#[cached] fn root() -> u8 { make().go() } fn make() -> impl Go { Hidden }
        trait Go { fn go(&self) -> u8; } struct Hidden; impl Go for Hidden { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a function behind an extern block",
        "#[cached] fn root() -> u8 { unsafe { far() } } unsafe extern \"C\" { fn far() -> u8; }
        mod other { #[unsafe(no_mangle)] extern \"C\" fn far() -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a future's poll",
        "#[cached] fn root() -> u8 { block(work()) } async fn work() -> u8 { F.await } struct F;
        impl Future for F { type Output = u8; fn poll(self: P, _: C) -> std::task::Poll<u8> { std::task::Poll::Ready(1) } }
        fn block<T>(_: T) -> u8 { 1 }",
        "Ready(1)",
        "Ready(2)",
    ),
    (
        "a constant within a format string",
        "#[cached] fn root() -> String { format!(\"{SCALE}\") } const SCALE: u8 = 1;",
        "= 1",
        "= 2",
    ),
    (
        "a width within a format string",
        "#[cached] fn root() -> String { format!(\"{:>WIDTH$}\", 1) } const WIDTH: usize = 1;",
        "= 1",
        "= 2",
    ),
    (
        "a constant within a format string of a callee's assertion",
        "#[cached] fn root() -> String { a() } fn a() -> String { let x = 1; format!(r\"{x:.DIGITS$} {{}}\") } const DIGITS: usize = 1;",
        "= 1",
        "= 2",
    ),
    (
        "a method of dyn Trait",
        "#[cached] fn root(s: &dyn Shape) -> u8 { s.twice() } trait Shape { fn area(&self) -> u8; }
        impl dyn Shape { fn twice(&self) -> u8 { self.area() * 2 } }",
        "* 2",
        "* 3",
    ),
    (
        "an operator of dyn Trait",
        "#[cached] fn root(s: &dyn Shape, t: &dyn Shape) -> bool { s == t } trait Shape { fn area(&self) -> u8; }
        impl PartialEq for dyn Shape { fn eq(&self, b: &dyn Shape) -> bool { self.area() == b.area() } }",
        "self.area() ==",
        "self.area() !=",
    ),
    (
        "a supertrait's method",
        "#[cached] fn root(s: &dyn Square) -> u8 { s.area() } trait Shape { fn area(&self) -> u8; } trait Square: Shape {}
        struct A; impl Shape for A { fn area(&self) -> u8 { 1 } } impl Square for A {}",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a default method that another calls",
        "#[cached] fn root(a: A) -> u8 { a.twice() } trait S { fn once(&self) -> u8 { 1 } fn twice(&self) -> u8 { self.once() * 2 } }
        struct A; impl S for A {}",
        "{ 1 }",
        "{ 3 }",
    ),
    (
        "a default associated constant",
        "#[cached] fn root() -> u8 { A::N } trait S { const N: u8 = 1; } struct A; impl S for A {}",
        "= 1",
        "= 2",
    ),
    (
        "a method of all types with a trait",
        "#[cached] fn root(a: A) -> u8 { a.go() } struct A; trait Base { fn n(&self) -> u8 { 3 } } impl Base for A {}
        trait Go { fn go(&self) -> u8; } impl<T: Base> Go for T { fn go(&self) -> u8 { self.n() } }",
        "{ self.n() }",
        "{ self.n() + 1 }",
    ),
    (
        "an impl within another function's body",
        "#[cached] fn root(a: A) -> u8 { a.go() } struct A; trait Go { fn go(&self) -> u8; }
        fn elsewhere() { impl Go for A { fn go(&self) -> u8 { 1 } } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "an impl within an unnamed constant",
        "#[cached] fn root(a: A) -> u8 { a + a } struct A; const _: () = { use std::ops::Add;
        impl Add for A { type Output = u8; fn add(self, _: A) -> u8 { 1 } } };",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a method of a raw name's type",
        "#[cached] fn root(a: r#move) -> u8 { a.r#do() } struct r#move; impl r#move { fn r#do(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a method of an alias of an alias",
        "#[cached] fn root(a: A) -> u8 { a.go() } struct A; type B = A; type C = B; impl C { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
    (
        "a method for what a projection stands for",
        "#[cached] fn root(a: A) -> u8 { a.go() } struct A; struct Z; trait P { type Out; } impl P for Z { type Out = A; }
        trait Go { fn go(&self) -> u8; } impl Go for <Z as P>::Out { fn go(&self) -> u8 { 1 } }",
        "{ 1 }",
        "{ 2 }",
    ),
];
