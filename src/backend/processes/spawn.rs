//! Starting a worker: from the command to the moment it is ready.

use std::ffi::OsString;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::handle::{Handle, Unheard};
use super::output::Output;
use super::{Refusal, keeper};
use crate::lock::lock;
use crate::sys::board::Board;
use crate::wire::channel::Channel;
use crate::wire::message::{self, Hello, Order, PROTOCOL, Report, Setup};
use crate::worker::{DEPTH_VARIABLE, Designation, VARIABLE, build_id, depth_of_workers, program_file};

/// A worker that did not say who it is by then never will: the program does something else.
const HELLO_DEADLINE: Duration = Duration::from_secs(3);

/// How a worker is to be: those that are alike are used for each other's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Beyond what the program's own environment has.
    pub(crate) environment: Vec<(String, OsString)>,
    /// A worker stays where the program was, and has the environment that it had.
    pub(crate) surroundings: Surroundings,
    pub(crate) setup: Setup,
}

/// What a process inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    directory: Option<PathBuf>,
    /// Of the environment.
    hash: u64,
}

impl Surroundings {
    pub(crate) fn here() -> Surroundings {
        let mut hasher = DefaultHasher::new();
        std::env::vars_os().for_each(|variable| variable.hash(&mut hasher));
        Surroundings { directory: std::env::current_dir().ok(), hash: hasher.finish() }
    }
}

/// Starts a worker and waits until it is ready, or `cancelled` says not to.
///
/// # Errors
/// The system refuses a process, or what was started is no worker, or it cannot be set up.
pub(super) fn start(spec: &Spec, cancelled: &dyn Fn() -> bool) -> Result<Handle, Refusal> {
    // Only one is started before it is known that what is started is a worker: a program that goes on as itself would
    // start the next ones. What is known then holds as long as this program runs.
    static PROBE: Mutex<Probe> = Mutex::new(Probe::Unknown);
    let mut probe = lock(&PROBE);
    match &*probe {
        Probe::Proved => drop(probe),
        Probe::Failed(words) => return Err(Refusal::Stray(words.clone())),
        Probe::Unknown => {
            let begun = begin(spec, cancelled);
            match &begun {
                Ok(_) => *probe = Probe::Proved,
                Err(Refusal::Stray(words)) => *probe = Probe::Failed(words.clone()),
                Err(_) => {}
            }
            drop(probe);
            return begun?.set_up(spec, cancelled);
        }
    }
    begin(spec, cancelled)?.set_up(spec, cancelled)
}

/// Whether what this program starts becomes a worker.
enum Probe {
    Unknown,
    Proved,
    Failed(String),
}

/// A process that has proved to be a worker.
struct Proved(Handle);

fn begin(spec: &Spec, cancelled: &dyn Fn() -> bool) -> Result<Proved, Refusal> {
    let refused =
        |what: &str, error: io::Error| Refusal::Resource(format!("cannot start a worker process: {what}"), error);
    let depth = depth_of_workers().map_err(Refusal::Setup)?;
    let build = build_id().map_err(|error| refused("this program's file cannot be read", error))?;
    let (ours, theirs) = UnixStream::pair().map_err(|error| refused("no socket", error))?;
    let nonce = RandomState::new().build_hasher().finish();
    let designation = Designation { driver: std::process::id(), nonce };
    let program = program_file().map_err(|error| refused("this program's file is unknown", error))?;
    let mut command = Command::new(program);
    command.arg0(std::env::args_os().next().unwrap_or_default());
    command.env(VARIABLE, designation.text()).env(DEPTH_VARIABLE, depth.to_string());
    command.envs(spec.environment.iter().map(|(name, value)| (name, value)));
    command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(|error| refused("the system refuses", error))?;
    // It holds the other end of the socket: open here, the worker's end would not be noticed.
    drop(command);
    let output = match (child.stdout.take(), child.stderr.take()) {
        (Some(out), Some(err)) => Output::forward(out, err),
        _ => Err(io::Error::other("its output is no pipe")),
    };
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            keeper::bury(child);
            return Err(refused("its output cannot be read", error));
        }
    };
    let mut handle = Handle::new(child, Channel::new(ours), output);
    handle.channel.set_nonblocking(true).map_err(|error| refused("no socket", error))?;
    let deadline = Instant::now() + HELLO_DEADLINE;
    let refusal = match handle.hear(Some(deadline), cancelled) {
        Ok(Report::Hello(hello)) => match hello {
            Hello { nonce: said, .. } if said != nonce => {
                Refusal::Stray("it does not know what it was started with".to_owned())
            }
            Hello { protocol: PROTOCOL, build: same, .. } if same == build => return Ok(Proved(handle)),
            _ => Refusal::OtherBuild,
        },
        Ok(Report::Refused(words)) => Refusal::Stray(words),
        Ok(_) => Refusal::Stray("it says what no worker says".to_owned()),
        Err(Unheard::Cancelled) => Refusal::Cancelled,
        Err(Unheard::Late) => {
            Refusal::Stray(format!("it did not come to the entry within {} s", HELLO_DEADLINE.as_secs()))
        }
        Err(Unheard::Garbage(error)) => Refusal::Stray(format!("it says what no worker says ({error})")),
        Err(Unheard::Gone) => {
            let ending = handle.await_end();
            let words = ending.words("it", " before it came to the entry");
            return Err(if ending.is_by_hand() { Refusal::Killed(words) } else { Refusal::Stray(words) });
        }
    };
    // Whatever it is doing, it is not what it was started for.
    handle.kill();
    Err(refusal)
}

impl Proved {
    fn set_up(self, spec: &Spec, cancelled: &dyn Fn() -> bool) -> Result<Handle, Refusal> {
        let Proved(mut handle) = self;
        let mut setup = spec.setup.clone();
        // Without a board it takes one call at a time.
        let board = Board::create().ok();
        setup.has_board = board.is_some();
        let (board, file) = board.unzip();
        handle.board = board;
        let file = file.map(|file| Arc::new(file) as Arc<dyn AsFd + Send + Sync>);
        let said = message::encode(&Order::Setup(setup)).and_then(|head| handle.channel.send(&[&head], file));
        said.map_err(|error| Refusal::Resource("a worker process cannot be set up".to_owned(), error))?;
        match handle.hear(None, cancelled) {
            Ok(Report::Ready) => Ok(handle),
            Ok(Report::Refused(words)) => Err(Refusal::Setup(words)),
            Err(Unheard::Cancelled) => {
                handle.kill();
                Err(Refusal::Cancelled)
            }
            Ok(_) | Err(Unheard::Late | Unheard::Garbage(_)) => {
                handle.kill();
                Err(Refusal::Setup("it says what no worker says".to_owned()))
            }
            Err(Unheard::Gone) => {
                let ending = handle.await_end();
                let init = spec.setup.init.as_ref().map(|init| format!(" by `worker_init`, `{}`", init.task.name));
                let words = ending.words("it", &format!(" before it was set up{}", init.unwrap_or_default()));
                Err(if ending.is_by_hand() { Refusal::Killed(words) } else { Refusal::Setup(words) })
            }
        }
    }
}
