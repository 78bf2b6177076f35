//! How a worker is told from the program.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use rustix::fs::FileType;

use crate::digest::Purpose;
use crate::task::registry;
use crate::wire::channel::Channel;
use crate::wire::message::{self, PROTOCOL, Report};

/// What a worker finds in its environment: its driver's process, and what it has to prove itself by.
pub(crate) const VARIABLE: &str = "LARDER_WORKER";

/// How many programs stand above, each started by a task of the one before it.
pub(crate) const DEPTH_VARIABLE: &str = "LARDER_DEPTH";

/// loky's limit. A program whose tasks start the program again has none of its own.
const DEEPEST: u32 = 10;

/// How deep the workers of this program are.
///
/// # Errors
/// Too deep.
pub(crate) fn depth_of_workers() -> Result<u32, String> {
    let depth = std::env::var(DEPTH_VARIABLE).ok().and_then(|depth| depth.parse().ok()).unwrap_or(0);
    if depth >= DEEPEST {
        return Err(format!(
            "programs started by tasks of programs with worker processes are {depth} deep: does a task start its own \
             program?"
        ));
    }
    Ok(depth + 1)
}

/// That this process was started as a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Designation {
    pub(crate) driver: u32,
    pub(crate) nonce: u64,
}

impl Designation {
    pub(crate) fn of_this_process() -> Option<Designation> {
        let designation = Designation::parse(&std::env::var(VARIABLE).ok()?)?;
        designation.holds().then_some(designation)
    }

    /// The variable's value.
    pub(crate) fn text(self) -> String {
        format!("{} {:016x}", self.driver, self.nonce)
    }

    fn parse(text: &str) -> Option<Designation> {
        let (driver, nonce) = text.split_once(' ')?;
        Some(Designation { driver: driver.parse().ok()?, nonce: u64::from_str_radix(nonce, 16).ok()? })
    }

    /// Whether standard input is a socket of the driver's. What a worker starts inherits the environment, and not that.
    fn holds(self) -> bool {
        let stdin = rustix::stdio::stdin();
        let is_socket =
            rustix::fs::fstat(stdin).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket);
        is_socket && made_by(self.driver)
    }
}

#[cfg(target_os = "linux")]
fn made_by(driver: u32) -> bool {
    rustix::net::sockopt::socket_peercred(rustix::stdio::stdin())
        .is_ok_and(|peer| peer.pid.as_raw_nonzero().get().unsigned_abs() == driver)
}

#[cfg(not(target_os = "linux"))]
fn made_by(driver: u32) -> bool {
    std::os::unix::process::parent_id() == driver
}

/// The socket that standard input is, which becomes what nobody writes to.
pub(super) fn take_socket() -> io::Result<UnixStream> {
    let socket = rustix::stdio::stdin().try_clone_to_owned()?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(nothing)?;
    Ok(UnixStream::from(socket))
}

/// Says to the driver, if this process was started as a worker but is running the program, that it does; answers whether
/// it is so.
pub(crate) fn denounce() -> bool {
    if Designation::of_this_process().is_none() {
        return false;
    }
    let words = "it reached a run of its own without passing the entry".to_owned();
    let _ = rustix::stdio::stdin().try_clone_to_owned().and_then(|socket| {
        let mut channel = Channel::new(UnixStream::from(socket));
        channel.send(&[&message::encode(&Report::Refused(words))?], None)?;
        channel.write()
    });
    // If this fails the driver finds out all the same, only later.
    true
}

/// What two processes of one program have in common: the file that is run, and the tasks in it.
pub(crate) fn build_id() -> io::Result<[u8; 32]> {
    let program = std::fs::metadata(program_file()?)?;
    let mut tasks: Vec<_> = registry::tasks().map(|task| (task.name(), task.fingerprint())).collect();
    tasks.sort_unstable();
    let mut text = format!(
        "{PROTOCOL} {} {} {} {} {} {}",
        env!("CARGO_PKG_VERSION"),
        program.dev(),
        program.ino(),
        program.size(),
        program.mtime(),
        program.mtime_nsec(),
    );
    for (name, fingerprint) in tasks {
        text.push_str(&format!("\n{name} {fingerprint:?}"));
    }
    Ok(Purpose::Build.digest(text.as_bytes()))
}

/// The file of this program, even after another was put in its place.
#[cfg(target_os = "linux")]
pub(crate) fn program_file() -> io::Result<std::path::PathBuf> {
    Ok("/proc/self/exe".into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn program_file() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_designation_comes_back_and_anything_else_is_none() {
        let designation = Designation { driver: 77, nonce: 0xfeed };
        assert_eq!(Designation::parse(&designation.text()), Some(designation));
        for text in ["", "77", "77 ", "x 1", "77 1 1", "-1 1", "77 g"] {
            assert_eq!(Designation::parse(text), None, "{text}");
        }
    }

    #[test]
    fn words_alone_make_no_worker() {
        assert!(!Designation { driver: std::process::id(), nonce: 1 }.holds(), "standard input is no such socket");
    }

    #[test]
    fn a_build_is_known_again() {
        assert_eq!(build_id().unwrap(), build_id().unwrap());
    }
}
