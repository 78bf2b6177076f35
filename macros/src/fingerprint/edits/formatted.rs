//! What rustfmt makes of the package of many files: nothing that counts.

use std::process::{Command, Stdio};

use super::super::sample::Sample;
use super::package::PACKAGE;
use super::small;

#[test]
fn rustfmt_changes_nothing() {
    let files = small::files(PACKAGE);
    let texts: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
    let sample = Sample::new(&texts);
    let before = sample.code("src/lib.rs", "src/lib.rs", "analyse");
    let mut changed = 0;
    for config in ["max_width=60", "max_width=200,use_small_heuristics=Max", "max_width=40,tab_spaces=2,hard_tabs=true"]
    {
        for (path, text) in texts.iter().filter(|(path, _)| path.ends_with(".rs")) {
            sample.write(path, text);
            let mut rustfmt = Command::new("rustfmt");
            rustfmt.args(["--edition", "2024", "--config", config]).arg(sample.path(path)).stdin(Stdio::null());
            let output = rustfmt.output().expect("rustfmt is there, as for `cargo fmt`");
            assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
            changed += usize::from(std::fs::read_to_string(sample.path(path)).expect("a file") != *text);
        }
        let after = sample.code("src/lib.rs", "src/lib.rs", "analyse");
        let differ = |(one, other): &(&str, &str)| one != other;
        let differing: Vec<_> = before.items.lines().zip(after.items.lines()).filter(differ).collect();
        assert_eq!(differing, [], "{config}");
        assert_eq!(before.digest, after.digest, "{config}");
    }
    assert!(changed > 3, "rustfmt changed {changed} files");
}
