//! Options that are right, and the words for those that are wrong.

use super::*;

fn read(kind: Kind, text: &str) -> (Options, Vec<String>) {
    let mut problems = Problems::default();
    let options = Options::parse(kind, text.parse().expect("a test's tokens are valid"), &mut problems);
    (options, problems.messages())
}

#[test]
fn every_option_in_any_order() {
    let (options, problems) = read(Kind::Cached, "task, ignore(a, r#type,), memory = open(1, 2), version = 0x10,");
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!((options.version, options.task.is_some()), (16, true));
    assert_eq!(options.ignore.iter().map(Ident::to_string).collect::<Vec<_>>(), ["a", "r#type"]);
    assert!(options.memory.is_some());
}

#[test]
fn mistakes_are_collected() {
    let (_, problems) =
        read(Kind::Task, "speed = 3, ignore(\"a\"), version = -1, 7, memory = M, version = 1, version = 2");
    let starts = [
        "unknown option `speed`; the options of `#[larder::task]` are `version = N`, `ignore",
        "parameter names are written without quotes: write `ignore(a)`",
        "`version` takes a whole number",
        "expected an option; the options of",
        "`memory` belongs to `#[larder::cached]`; the options of `#[larder::task]`",
        "`version` is given twice: keep one",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for (problem, start) in problems.iter().zip(starts) {
        assert!(problem.starts_with(start), "{problem}");
    }
}

#[test]
fn each_wrong_form_says_what_to_write() {
    for (text, message) in [
        ("ignore = \"a\"", "`ignore` takes parameter names in parentheses: write `ignore(name)`"),
        ("ignore", "`ignore` takes parameter names in parentheses: write `ignore(name)`"),
        ("ignore()", "`ignore` names no parameter: name one, or leave the option out"),
        ("ignore(a, b, a)", "`a` is ignored twice: keep one"),
        ("version", "`version` takes a whole number: write `version = 1`"),
        ("version = 18446744073709551616", "`version` is at most 2^64 - 1: use a smaller number"),
        ("memory", "`memory` takes a value: write `memory = MEMORY`"),
        ("task task", "expected `,` between two options"),
    ] {
        assert_eq!(read(Kind::Cached, text).1, [message], "{text}");
    }
}
