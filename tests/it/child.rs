//! This test program again, as another process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::support::FOREVER;

/// Says what a child is to do: a word, and a path or more.
pub(crate) const ROLE: &str = "LARDER_IT_CHILD";

/// What this process was started to do, if it is a child: a word, and what stands behind it.
pub(crate) fn role() -> Option<(String, String)> {
    let role = std::env::var(ROLE).ok()?;
    let (word, rest) = role.split_once(' ')?;
    Some((word.to_owned(), rest.to_owned()))
}

/// A line of its own for the parent: the test harness prints before and after.
pub(crate) fn say(word: &str) {
    let mut out = io::stdout();
    out.write_all(format!("\n{word}\n").as_bytes()).expect("the parent listens");
    out.flush().expect("the parent listens");
}

/// A child and what it says. Killed with its test.
pub(crate) struct Other {
    pub(crate) child: Child,
    lines: mpsc::Receiver<String>,
    heard: Vec<String>,
}

impl Other {
    /// Starts this program again, with a test that asks for its [role].
    pub(crate) fn start(mut command: Command, test: &str, role: &str, place: &Path) -> Other {
        let mut child = command
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, format!("{role} {}", place.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let (sender, lines) = mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().expect("it is a pipe")),
            Box::new(child.stderr.take().expect("it is a pipe")),
        ];
        for pipe in pipes {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    // The test may have ended.
                    let _ = sender.send(line);
                }
            });
        }
        Other { child, lines, heard: Vec::new() }
    }

    /// Waits for a word of the child.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, word: &str) {
        loop {
            match self.lines.recv_timeout(FOREVER) {
                Ok(line) if line == word => return,
                Ok(line) => self.heard.push(line),
                Err(end) => panic!("the child did not say `{word}` ({end}): {:#?}", self.heard),
            }
        }
    }

    /// Lets a child go on that reads a byte.
    pub(crate) fn go(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("it is a pipe");
        stdin.write_all(b"\n").expect("the child listens");
    }

    /// Waits for the child's end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.child.stdin.take());
        self.child.wait().expect("the child can be waited for")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Both fail where the child has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().expect("the system knows")
}

/// The user that owns nothing.
#[cfg(unix)]
pub(crate) const NOBODY: u32 = 65_534;

/// This program as another user, if this one may do that: permissions do not bind the superuser. Else as this user.
#[cfg(unix)]
pub(crate) fn as_nobody(dir: &Path) -> Command {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is this user's");
    };
    allow(dir, 0o755);
    // Another user may not be allowed to read this program where it is.
    let program = dir.join("program");
    std::fs::copy(this_program(), &program).expect("there is room");
    allow(&program, 0o755);
    let mut command = Command::new(program);
    command.current_dir("/");
    if std::fs::metadata(dir).expect("it is there").uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
