//! Pairs of programs that must share a fingerprint, and pairs that must not.

use proc_macro2::{Delimiter, Group, TokenTree};

use super::*;
use crate::attribute::Kind;
use crate::problems::Problems;

fn of_text(text: &str) -> [u8; 32] {
    of_tokens(text.parse().unwrap_or_else(|_| panic!("not tokens: {text}")))
}

#[test]
fn what_formatting_and_documentation_change() {
    for (one, other) in [
        // White space and comments.
        ("fn f(){x+1}", "fn f() {\n    // why\n    x /* so */ + 1\n}"),
        ("let x=-1;", "let x = -1;"),
        ("|x|-1", "|x| -1"),
        ("let v: Vec<Vec<u8>>=w;", "let v: Vec<Vec<u8> > = w;"),
        ("a<-1", "a < -1"),
        ("x=&y", "x = &y"),
        // Documentation and lint levels, anywhere.
        ("/// Docs.\nfn f() {}", "fn f() {}"),
        ("fn f() { /** docs */ struct S { /// field\n x: u8 } }", "fn f() { struct S { x: u8 } }"),
        ("fn f() { //! inner\n x }", "fn f() { x }"),
        ("#[inline(always)] #[must_use] #[cold] #[doc(hidden)] fn f() {}", "fn f() {}"),
        ("{ #[allow(unused)] let x = 1; }", "{ let x = 1; }"),
        ("{ #![allow(unused)] x }", "{ x }"),
        ("#[expect(dead_code, reason = \"r\")] #[warn(a)] #[deny(b)] #[forbid(c)] fn f() {}", "fn f() {}"),
        ("#[rustfmt::skip] fn f() {}", "fn f() {}"),
        // Trailing commas.
        ("f(a, b,)", "f(a, b)"),
        ("f(a,)", "f(a)"),
        ("f(a)(b,)", "f(a)(b)"),
        ("f?(b,)", "f?(b)"),
        ("x.f(a,).g(b,)", "x.f(a).g(b)"),
        ("fn f(a: u8,) {}", "fn f(a: u8) {}"),
        ("fn f<T: A<B>, F: Fn() -> T>(a: T,) {}", "fn f<T: A<B>, F: Fn() -> T>(a: T) {}"),
        ("struct S<T>(T,);", "struct S<T>(T);"),
        ("a.f::<T, Vec<T>>(b,)", "a.f::<T, Vec<T>>(b)"),
        ("[1, 2,]", "[1, 2]"),
        ("[1,]", "[1]"),
        ("vec![1,]", "vec![1]"),
        ("S { a, b, }", "S { a, b }"),
        ("(a, b,)", "(a, b)"),
        ("HashMap<A, B,>", "HashMap<A, B>"),
        ("match x { A => 1, B => 2, }", "match x { A => 1, B => 2 }"),
        ("match x { A => { 1 }, B => 2 }", "match x { A => { 1 } B => 2 }"),
        // Raw identifiers.
        ("r#abc", "abc"),
        // Braces that depend on the length of a line.
        ("match x { A => { f(a) } B => 2 }", "match x { A => f(a), B => 2, }"),
        ("match x { A => { f(a) }, B => { 2 } }", "match x { A => f(a), B => 2 }"),
        ("v.map(|x| { f(x) })", "v.map(|x| f(x))"),
        ("v.map(move || { f(x) }).g()", "v.map(move || f(x)).g()"),
        ("let f = |a, b| { a + b };", "let f = |a, b| a + b;"),
        ("match x { A => |x| { f(x) }, B => 2 }", "match x { A => |x| f(x), B => 2 }"),
        ("match x { A => { return 1; } B => 2 }", "match x { A => return 1, B => 2 }"),
        ("let Some(x) = y else { return None };", "let Some(x) = y else { return None; };"),
        ("{ f(); if a {} break 'b x }", "{ f(); if a {} break 'b x; }"),
        // Imports in a body, and the end of bounds.
        ("{ use b::c; use a::{e, d}; x }", "{ use a::{d, e}; use b::c; x }"),
        ("fn f<T>() where T: A {}", "fn f<T>() where T: A, {}"),
    ] {
        assert_eq!(of_text(one), of_text(other), "{one}\n{other}");
    }
}

#[test]
fn what_may_change_a_result() {
    for (one, other) in [
        ("x + 1", "x + 2"),
        ("x + 1", "y + 1"),
        ("x + 1", "x - 1"),
        ("ab", "a b"),
        ("1 2", "12"),
        ("1", "1u64"),
        ("\"a b\"", "\"a  b\""),
        ("\"a\"", "b\"a\""),
        ("'a'", "\"a\""),
        ("'a", "a"),
        ("a", "\"a\""),
        // Operators of the same characters.
        ("a && b", "a & &b"),
        ("a || b", "a | |b| c"),
        ("a == b", "a = b"),
        ("0..=9", "0..9"),
        ("a <= b", "a < b"),
        ("a << b", "a < b"),
        // Groups.
        ("(a) b", "(a b)"),
        ("{ a }", "( a )"),
        ("[a]", "(a)"),
        ("((a))", "(a)"),
        ("f(a), b", "f(a, b)"),
        ("f()", "f"),
        // A tuple of one is not its element.
        ("(x,)", "(x)"),
        ("return (x,)", "return (x)"),
        ("let y = (x,);", "let y = (x);"),
        ("a > (x,)", "a > (x)"),
        ("a < b && c > (x,)", "a < b && c > (x)"),
        ("fn f<T>() -> (T,) {}", "fn f<T>() -> (T) {}"),
        ("{ f::<T>(|x| match x { A => (x,) }) }", "{ f::<T>(|x| match x { A => (x) }) }"),
        ("{ let f: fn() -> (x,) = y; }", "{ let f: fn() -> (x) = y; }"),
        ("fn f() -> (u8,) {}", "fn f() -> (u8) {}"),
        ("(HashMap<A, B>,)", "(HashMap<A, B>)"),
        ("(fn(A) -> B,)", "(fn(A) -> B)"),
        ("match x { A => {}, }", "match x { A => (), }"),
        // Commas that separate.
        ("[{ a }, -1]", "[{ a } - 1]"),
        ("f(a, |b| c)", "f(a |b| c)"),
        ("a => b, c", "a => b c"),
        // Braces with a say.
        ("a | { b && c }", "a | b && c"),
        ("f(a || { b && c })", "f(a || b && c)"),
        ("x | y | { a && b }", "x | y | a && b"),
        ("match x { A => { f(a); } B => 2 }", "match x { A => f(a), B => 2 }"),
        ("match x { A => {} B => 2 }", "match x { A => (), B => 2 }"),
        ("|x| { a } + b", "|x| a + b"),
        ("{ f(return); }", "{ f(return) }"),
        ("{ let x = { y }; }", "{ let x = { y } }"),
        ("go!(|x| { a, b })", "go!(|x| a, b)"),
        ("{ use a::b; }", "{ use a::c; }"),
        ("{ use a::b as c; }", "{ use a::b; }"),
        ("{ use $a::b; }", "{ use $c::b; }"),
        ("fn f() -> impl A + use<'a> {}", "fn f() -> impl A + use<'b> {}"),
        ("[a, {b}]", "[a {b}]"),
        // Attributes with a say.
        ("#[cfg(unix)] let x = 1;", "let x = 1;"),
        ("#[target_feature(enable = \"avx2\")] fn f() {}", "fn f() {}"),
        ("{ #[larder::cached(version = 1)] fn g() {} }", "{ #[larder::cached(version = 2)] fn g() {} }"),
        ("#(allow)", ""),
        // The signature.
        ("fn f(x: u32) {}", "fn f(x: u64) {}"),
        ("fn f(a: u8, b: u8) {}", "fn f(b: u8, a: u8) {}"),
        ("fn f() {}", "fn g() {}"),
        ("r#match", "match"),
    ] {
        assert_ne!(of_text(one), of_text(other), "{one}\n{other}");
    }
}

#[test]
fn invisible_groups_leave_no_trace() {
    let grouped = Group::new(Delimiter::None, "a + b".parse().expect("tokens"));
    let tokens: TokenStream = [TokenTree::Group(grouped)].into_iter().collect();
    assert_eq!(of_tokens(tokens), of_text("a + b"));
}

#[test]
fn visibility_is_no_code() {
    let of_item = |text: &str| {
        own(&Function::parse(Kind::Task, text.parse().expect("tokens")).expect("a function"), &Options::default())
    };
    assert_eq!(of_item("pub(crate) fn f(x: u8) -> u8 { x }"), of_item("/// Docs.\nfn f(x: u8,) -> u8 { x }"));
    assert_ne!(of_item("fn f(x: u8) -> u8 { x }"), of_item("fn f(x: u8) -> u8 { x + 1 }"));
}

#[test]
fn what_the_attribute_says_of_keys_and_values_is_code() {
    let function = Function::parse(Kind::Task, "fn f(x: u8) -> u8 { x }".parse().expect("tokens")).expect("a function");
    let of_options = |text: &str| {
        let mut problems = Problems::default();
        let options = Options::parse(Kind::Cached, text.parse().expect("tokens"), &mut problems);
        assert_eq!(problems.messages(), Vec::<String>::new(), "{text}");
        own(&function, &options)
    };
    let texts = ["", "key = x", "key = x + 1", "store(err)", "result", "result, store(err)"];
    let digests: std::collections::HashSet<_> = texts.iter().map(|text| of_options(text)).collect();
    assert_eq!(digests.len(), texts.len());
    // In the key by themselves, or no matter of a key.
    for text in ["version = 2", "ignore(x)", "memory = M", "task", "expires_after = \"1d\"", "store(none)"] {
        assert_eq!(of_options(text), of_options(""), "{text}");
    }
}

/// Stored results are found by these bytes: a change of the rules is a change of `CONTEXT`, and of this line.
#[test]
fn the_rules_of_this_version() {
    let hex: String =
        of_text("fn f(x: &u8,) -> u8 { /* why */ x + 1 }").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "3fe8c1c9b5d9a9cec76d97fd78c0fd2add6a25d2d4216b0da140de99e3c30ffb");
}
