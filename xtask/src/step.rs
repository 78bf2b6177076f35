//! One cargo command of a longer check: announced, timed, and repeatable by hand when it fails.

use std::env;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A named cargo command.
pub(crate) struct Step {
    name: &'static str,
    args: Vec<String>,
    env: Option<(&'static str, &'static str)>,
}

impl Step {
    /// The command `cargo <line>`; words are parted by blanks.
    pub(crate) fn cargo(name: &'static str, line: &str) -> Step {
        Step { name, args: line.split_whitespace().map(str::to_owned).collect(), env: None }
    }

    /// Adds one argument, blanks and all.
    pub(crate) fn arg(mut self, arg: &str) -> Step {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets one environment variable for the command.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Step {
        self.env = Some((name, value));
        self
    }

    /// Runs the command in the workspace's root, its output shown.
    pub(crate) fn run(&self) -> Result<(), String> {
        eprintln!("== {}: {self}", self.name);
        let start = Instant::now();
        let status = self.command().status();
        let seconds = start.elapsed().as_secs_f64();
        let reason = match status {
            Ok(status) if status.success() => {
                eprintln!("== {}: passed in {seconds:.1} s", self.name);
                return Ok(());
            }
            Ok(status) => status.to_string(),
            Err(error) => format!("cargo did not start: {error}"),
        };
        Err(self.failure(seconds, &reason))
    }

    fn failure(&self, seconds: f64, reason: &str) -> String {
        format!("`{}` failed after {seconds:.1} s ({reason}); to repeat it:\n  {self}", self.name)
    }

    /// Whether the command succeeds, its output thrown away.
    pub(crate) fn succeeds(&self) -> bool {
        self.command().stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    fn command(&self) -> Command {
        // Set by the cargo that started us, so that all steps use the same toolchain.
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(&self.args).envs(self.env).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        command
    }
}

/// The line to paste into a shell.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str("cargo")?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod test {
    use super::Step;

    #[test]
    fn the_repeat_line_can_be_pasted() {
        let step = Step::cargo("docs", "doc --no-deps  --locked").env("RUSTDOCFLAGS", "-D warnings").arg("*");
        assert_eq!(step.to_string(), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --locked '*'");
        assert_eq!(Step::cargo("x", "run --").arg("it's").to_string(), r"cargo run -- 'it'\''s'");
    }

    #[test]
    fn a_failure_names_the_step_and_the_command() {
        let step = Step::cargo("fmt", "fmt --all --check");
        let expected = "`fmt` failed after 0.1 s (exit status: 1); to repeat it:\n  cargo fmt --all --check";
        assert_eq!(step.failure(0.12, "exit status: 1"), expected);
        assert!(!Step::cargo("nothing", "no-such-subcommand").succeeds());
    }
}
