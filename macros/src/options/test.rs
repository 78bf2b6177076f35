//! Options that are right, and the words for those that are wrong.

use quote::ToTokens;

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
    let text = "key = (a.len(), b), depends(f, g::<u8>, h::i,), expires_after = \"12h\", validate = crate::is_new, \
                store(none, err,), result, of = Model<f64>";
    let (options, problems) = read(Kind::Task, text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(options.depends.len(), 3);
    assert!(options.inputs.is_empty() && !options.toolchain && !options.ignores_dependencies);
    assert!(options.key.is_some() && options.validate.is_some() && options.of.is_some());
    assert!(options.store.err.is_some() && options.store.none.is_some() && options.result.is_some());
    let time = options.expires_after.map_or_else(String::new, |time| time.to_token_stream().to_string());
    assert!(time.contains("43200u64"), "{time}");
}

#[test]
fn what_code_alone_does_not_say() {
    let text = "depends(f, file = \"data/a.bin\", env = \"HOME\", g), toolchain = true, dependencies = \"ignore\"";
    let (options, problems) = read(Kind::Task, text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(options.depends.len(), 2);
    assert_eq!(options.inputs, [Input::File("data/a.bin".to_owned()), Input::Env("HOME".to_owned())]);
    assert!(options.toolchain && options.ignores_dependencies);
    assert!(!read(Kind::Task, "toolchain = false").0.toolchain);
    let many: String = (0..17).map(|number| format!("file = \"{number}\", ")).collect();
    assert!(read(Kind::Task, &format!("depends({many})")).1[0].starts_with("each call would read more than 16 files"));
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
        ("key", "`key` takes a value: write `key = (a, b.id)`"),
        (
            "key = a, ignore(b)",
            "`key` takes the place of all arguments, so there is nothing to ignore: keep one of the two",
        ),
        ("depends", "`depends` takes a list in parentheses: write `depends(function, module::other)`"),
        ("depends()", "`depends` names nothing: write `depends(function, module::other)`, or leave the option out"),
        (
            "depends(\"f\")",
            "functions are named without quotes: write `depends(f)`, or `depends(file = \"f\")` for a file",
        ),
        ("depends(file = data)", "`file` takes a text: write `file = \"data/model.bin\"`"),
        ("depends(env = 7)", "`env` takes a text: write `env = \"MODEL\"`"),
        ("depends(file = \"\")", "no file is called so: name one"),
        ("depends(env = \"A=B\")", "no variable is called so: name one"),
        ("depends(f, env = \"A\", file = \"A\", env = \"A\")", "this is depended on twice: keep one"),
        ("depends(path = \"a\")", "`depends` knows functions, `file = \"..\"` and `env = \"..\"`: write one of these"),
        ("toolchain", "`toolchain` takes `true` or `false`: write `toolchain = true`"),
        ("toolchain = \"stable\"", "`toolchain` takes `true` or `false`: write `toolchain = true`"),
        (
            "dependencies = \"lock\"",
            "`dependencies` is \"ignore\", or left out: write `dependencies = \"ignore\"` to leave the versions of other \
             packages out of the key",
        ),
        (
            "dependencies(serde)",
            "`dependencies` is \"ignore\", or left out: write `dependencies = \"ignore\"` to leave the versions of other \
             packages out of the key",
        ),
        ("depends(&f)", "`depends` takes names of functions: write `depends(function)`"),
        ("expires_after", "`expires_after` takes a value: write `expires_after = \"30d\"`"),
        ("expires_after = \"0d\"", "what expires at once is never loaded: give a longer time, or leave the option out"),
        ("validate", "`validate` takes a value: write `validate = path::of::a_function`"),
        ("store", "`store` takes a list in parentheses: write `store(err, none)`"),
        ("store()", "`store` names nothing: write `store(err, none)`, or leave the option out"),
        ("store(ok)", "`store` knows `err` and `none`: write `store(err, none)`"),
        ("store(err, err)", "`err` is stored twice: keep one"),
        ("of = \"Model\"", "a type is written without quotes: write `of = Model`"),
        ("task task", "expected `,` between two options"),
    ] {
        assert_eq!(read(Kind::Cached, text).1, [message], "{text}");
    }
}
