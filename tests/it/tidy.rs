//! The repository agrees with itself: versions, links, lists of files, and words that must not be in the sources.
//!
//! Text searches only. Each test collects everything it finds, so one run names all places, as `file:line: what`.

use std::fs;
use std::path::{Component, Path, PathBuf};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const SOURCES: [&str; 2] = ["src", "macros/src"];
const MAX_LINES: usize = 500;

#[test]
fn the_changelog_opens_with_this_version() {
    let text = read("CHANGELOG.md");
    let newest = text
        .lines()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, line.strip_prefix("## ")?.trim())))
        .find(|(_, heading)| *heading != "Unreleased");
    let Some((line, heading)) = newest else { panic!("CHANGELOG.md: no section `## {VERSION}`") };
    // A date may follow the number.
    assert_eq!(
        heading.split_whitespace().next(),
        Some(VERSION),
        "CHANGELOG.md:{line}: the newest section is `## {heading}`, the package is {VERSION}"
    );
}

#[test]
fn the_macros_have_the_version_of_the_library() {
    let lock = read("Cargo.lock");
    let macros = lock.lines().skip_while(|line| *line != "name = \"larder-macros\"").nth(1);
    assert_eq!(
        macros,
        Some(format!("version = \"{VERSION}\"").as_str()),
        "Cargo.lock: `larder-macros` is not {VERSION}"
    );

    // An exact requirement: what the attributes write and what the library offers to them change together.
    let manifest = read("Cargo.toml");
    let requirement = manifest.lines().enumerate().find(|(_, line)| line.starts_with("larder-macros = "));
    let Some((index, line)) = requirement else { panic!("Cargo.toml: no dependency `larder-macros`") };
    assert!(
        line.contains(&format!("version = \"={VERSION}\"")),
        "Cargo.toml:{}: `larder-macros` must be required as `={VERSION}`",
        index + 1
    );
}

#[test]
fn the_sources_hold_no_unfinished_or_sleeping_code() {
    // In two halves, so that this file does not hold what it looks for.
    let needles = [
        (concat!("#[", "ignore"), "a test that does not run tests nothing: mend it or remove it"),
        (concat!("todo", "!("), "unfinished code"),
        (concat!("unimplemented", "!("), "unfinished code"),
        (
            concat!("thread::", "sleep"),
            "wait for the event itself, on a channel or a condition variable with a timeout",
        ),
    ];
    let mut problems = Vec::new();
    for file in SOURCES.into_iter().flat_map(rust_files) {
        for (line, code) in code_lines(&read(&file)) {
            for (needle, why) in needles {
                if code.contains(needle) {
                    problems.push(format!("{file}:{line}: `{needle}`: {why}"));
                }
            }
        }
    }
    assert_none(&problems);
}

/// `unsafe fn` is not among the words: without a block it does nothing, and messages of the macros speak of it.
#[test]
fn unsafe_code_lives_in_sys_alone() {
    let needles = [
        concat!("unsafe", " {"),
        concat!("unsafe", "{"),
        concat!("unsafe", " impl"),
        concat!("unsafe", " extern"),
        concat!("[", "unsafe("),
    ];
    let mut problems = Vec::new();
    // Programs as texts, which are never run.
    let is_text = |file: &String| file.starts_with("macros/src/fingerprint/edits/");
    let files = SOURCES.into_iter().flat_map(rust_files).filter(|file| !file.starts_with("src/sys/") && !is_text(file));
    for file in files {
        for (line, code) in code_lines(&read(&file)) {
            if needles.iter().any(|needle| code.contains(needle)) {
                problems.push(format!("{file}:{line}: unsafe code outside src/sys: `{}`", code.trim()));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn source_files_stay_short() {
    let mut problems = Vec::new();
    for file in SOURCES.into_iter().flat_map(rust_files) {
        let lines = read(&file).lines().count();
        if lines > MAX_LINES {
            problems.push(format!(
                "{file}:{}: {lines} lines, at most {MAX_LINES} are wanted: split it by ideas, or move its tests to a file",
                MAX_LINES + 1
            ));
        }
    }
    assert_none(&problems);
}

#[test]
fn the_readme_lists_every_example() {
    let readme = read("README.md");
    let words: Vec<&str> = readme.split_whitespace().collect();
    let problems: Vec<String> = files("examples", "rs")
        .into_iter()
        .filter(|file| {
            let name = stem(file);
            let run = words
                .windows(2)
                .any(|pair| pair[0] == "--example" && pair[1].trim_end_matches(['`', '.', ',']) == name);
            !run && !readme.contains(file)
        })
        .map(|file| format!("README.md: does not mention `{file}`, nor `--example {}`", stem(&file)))
        .collect();
    assert_none(&problems);
}

#[test]
fn every_page_is_linked_from_another() {
    let linked: Vec<(String, String)> = pages()
        .into_iter()
        .flat_map(|page| relative_links(&page).into_iter().map(move |(_, to)| (page.clone(), to)))
        .collect();
    let problems: Vec<String> = files("docs", "md")
        .into_iter()
        .filter(|file| !linked.iter().any(|(from, to)| to == file && from != file))
        .map(|file| format!("{file}: linked neither from README.md nor from another page in docs/"))
        .collect();
    assert_none(&problems);
}

#[test]
fn relative_links_point_to_files() {
    let mut problems = Vec::new();
    for page in pages() {
        for (line, target) in relative_links(&page) {
            if !root().join(&target).exists() {
                problems.push(format!("{page}:{line}: the link leads to `{target}`, which does not exist"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn links_are_found_where_markdown_has_them() {
    let text = "\
[`a`](docs/a.md#part) and [b](b.md \"title\"), ![c](<c d.svg>)
`[no](code.md)` [web](https://x.y/z.md) [here](#part) [mail](mailto:a@b)
```text
[no](fence.md)
```
[ref]: ../up.md
[^note]: no link
";
    let found: Vec<(usize, String)> = links(text);
    let expected = [(1, "docs/a.md"), (1, "b.md"), (1, "c d.svg"), (6, "../up.md")];
    assert_eq!(found, expected.map(|(line, target)| (line, target.to_owned())));
    assert_eq!(resolved("docs/a.md", "../README.md"), "README.md");
    assert_eq!(resolved("docs/a.md", "./deep/b.md"), "docs/deep/b.md");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} to mend:\n{}", problems.len(), problems.join("\n"));
}

#[track_caller]
fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: cannot be read: {error}"))
}

/// The paths in a folder, relative to the root with `/`, in order.
#[track_caller]
fn entries(folder: &str) -> Vec<String> {
    let list = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: cannot be listed: {error}"));
    let mut entries: Vec<String> = list
        .map(|entry| entry.unwrap_or_else(|error| panic!("{folder}: cannot be listed: {error}")))
        .map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()))
        .collect();
    entries.sort();
    entries
}

fn files(folder: &str, extension: &str) -> Vec<String> {
    entries(folder)
        .into_iter()
        .filter(|path| Path::new(path).extension().is_some_and(|found| found == extension))
        .collect()
}

/// The `.rs` files of a folder and of the folders in it.
fn rust_files(folder: &str) -> Vec<String> {
    let mut found = files(folder, "rs");
    for path in entries(folder) {
        if root().join(&path).is_dir() {
            found.extend(rust_files(&path));
        }
    }
    found
}

fn stem(file: &str) -> &str {
    Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(file)
}

/// The numbered lines without their comments. A `//` inside a literal after a blank ends the line too early: accepted.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(index, line)| {
        let code = line.split_once(" //").map_or(line, |(code, _)| code);
        (index + 1, code)
    })
}

fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    pages.extend(files("docs", "md"));
    pages
}

/// The page's links to files of the repository: line, path from the root.
#[track_caller]
fn relative_links(page: &str) -> Vec<(usize, String)> {
    links(&read(page)).into_iter().map(|(line, target)| (line, resolved(page, &target))).collect()
}

/// The targets of inline links and link definitions outside code, without web addresses and `#` parts.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            let prose: String = line.split('`').step_by(2).collect();
            let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let definition = prose.strip_prefix('[').filter(|rest| !rest.starts_with('^'));
            let definition = definition.and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
            let targets = inline.chain(definition).filter_map(file_target);
            found.extend(targets.map(|target| (index + 1, target)));
        }
    }
    found
}

/// The file that a link names, if it names one.
fn file_target(link: &str) -> Option<String> {
    let link = link.trim();
    let target = match link.strip_prefix('<') {
        Some(rest) => rest.split('>').next(),
        None => link.split_whitespace().next(),
    };
    let path = target?.split('#').next().unwrap_or_default();
    let outside = path.contains("://") || path.starts_with("mailto:");
    (!path.is_empty() && !outside).then(|| path.to_owned())
}

/// A link on a page as a path from the root.
fn resolved(page: &str, target: &str) -> String {
    let mut path = PathBuf::from(page);
    path.pop();
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
