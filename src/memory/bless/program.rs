//! Blessing a function that another program has: that program is started as one of its own workers is, so nothing of its `main`
//! is run, and told what to bless.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::error::Kind;
use super::noted::program_of;
use super::{Bless, BlessError, Blessed};
use crate::memory::{GLOBAL_VARIABLE, Memory, store_failed};
use crate::wire::channel::{Channel, Read};
use crate::wire::message::{self, Hello, MemoryAt, Order, PROTOCOL, Report, Setup};
use crate::worker::{self, DEPTH_VARIABLE, Designation, VARIABLE};

type Result<T> = std::result::Result<T, BlessError>;

/// A program that did not say who it is by then is doing something else.
const HELLO_DEADLINE: Duration = Duration::from_secs(5);

fn refused(words: impl Into<String>) -> BlessError {
    BlessError::new(Kind::Program(words.into()))
}

impl Memory {
    /// As [`bless`](Memory::bless), for a task of another program, which is started for it: the one at this path, or the one that
    /// noted last that it has the function. A program notes that as it stores a result, if it has an entry for its workers
    /// ([`larder::init`](crate::init)). It is entered there, as its workers are; its `main` is not run, and it ends with this
    /// program. What it prints goes to this one's standard error. The tool `larder` does this.
    ///
    /// # Errors
    /// As [`bless`](Memory::bless); or no program is known, or it is not there, has no entry, or was built with another
    /// release ([`BlessError::is_program`]). One without an entry is not started. A memory without a directory cannot be
    /// given to another program.
    pub fn bless_in(&self, program: Option<&Path>, function: &str, options: &Bless) -> Result<Blessed> {
        options.check()?;
        let place = self.for_workers()?;
        let Some(place) = place else {
            return Err(BlessError::new(Kind::Invalid("the memory is disabled: there is nothing to bless".to_owned())));
        };
        let program = self.program(program, function)?;
        match has_mark(&program) {
            Ok(true) => {}
            Ok(false) => {
                let words = "call `larder::init()` first in its `main`, or write `#[larder::main]`, and build it again";
                return Err(refused(format!("`{}` has no entry for its workers: {words}", program.display())));
            }
            Err(error) => return Err(refused(format!("`{}` cannot be read: {error}", program.display()))),
        }
        let options = options.clone().by(options.who());
        Started::start(&program, &place)?.bless(place, function, options)
    }

    /// The program that is to be started.
    fn program(&self, given: Option<&Path>, function: &str) -> Result<PathBuf> {
        if let Some(path) = given {
            // By its full path: a bare name would be looked for elsewhere.
            return path.canonicalize().map_err(|error| {
                refused(format!(
                    "the program `{}` is not there ({error}): give the path of one that is",
                    path.display()
                ))
            });
        }
        let Some(shelves) = &self.inner.place else { return Err(refused("the memory is disabled")) };
        let noted = program_of(&*shelves.store, function).map_err(|error| store_failed(shelves, &error))?;
        let Some(path) = noted else {
            return Err(refused(format!(
                "no program is known that has `{function}`: name it (`--program PATH`), or run it once; it notes itself as it \
                 stores a result, where it has an entry for its workers (`larder::init()`) and the function is a task"
            )));
        };
        if !path.is_file() {
            return Err(refused(format!(
                "the program that had `{function}` last, `{}`, is not there any more: name another (`--program PATH`)",
                path.display()
            )));
        }
        Ok(path)
    }
}

/// Whether a program has the entry, by a mark that only the entry brings into it.
fn has_mark(program: &Path) -> io::Result<bool> {
    use io::Read as _;
    const AT_ONCE: usize = 1 << 20;
    let mark = worker::mark();
    let mut file = fs::File::open(program)?;
    let mut bytes = Vec::with_capacity(AT_ONCE + mark.len());
    loop {
        let read = (&mut file).take(AT_ONCE as u64).read_to_end(&mut bytes)?;
        if contains(&bytes, &mark) {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // It may lie across two pieces.
        bytes.drain(..bytes.len().saturating_sub(mark.len()));
    }
}

fn contains(mut bytes: &[u8], mark: &[u8]) -> bool {
    while let Some(at) = mark.first().and_then(|first| bytes.iter().position(|byte| byte == first)) {
        if bytes[at..].starts_with(mark) {
            return true;
        }
        bytes = &bytes[at + 1..];
    }
    false
}

/// A program that was started for this. It is killed where it goes unless it ended by itself.
struct Started {
    child: Child,
    name: String,
    channel: Channel,
    /// The same socket.
    socket: UnixStream,
    nonce: u64,
}

impl Started {
    fn start(program: &Path, place: &MemoryAt) -> Result<Started> {
        let name = program.display().to_string();
        let failed = |error: io::Error| refused(format!("`{name}` cannot be started: {error}"));
        let depth = worker::depth_of_workers().map_err(refused)?;
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let nonce = RandomState::new().build_hasher().finish();
        let designation = Designation { driver: std::process::id(), nonce };
        let out = io::stderr().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut command = Command::new(program);
        command.env(VARIABLE, designation.text()).env(DEPTH_VARIABLE, depth.to_string());
        // What the function calls may be cached as well.
        command.env(GLOBAL_VARIABLE, &place.path);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::from(out)).process_group(0);
        let socket = ours.try_clone().map_err(failed)?;
        let child = command.spawn().map_err(failed)?;
        // It holds the other end of the socket: open here, the program's end would not be noticed.
        drop(command);
        Ok(Started { child, name, channel: Channel::new(ours), socket, nonce })
    }

    fn bless(mut self, memory: MemoryAt, function: &str, options: Bless) -> Result<Blessed> {
        self.greet()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.say(&Order::Setup(Setup { cores, ..Setup::default() }))?;
        match self.hear()? {
            Report::Ready => {}
            Report::Refused(words) => return Err(refused(format!("`{}` refuses: {words}", self.name))),
            _ => return Err(self.is_no_worker("it says what no worker says")),
        }
        self.say(&Order::Bless { memory, function: function.to_owned(), options })?;
        let blessed = match self.hear()? {
            Report::Blessed(blessed) => blessed.map_err(BlessError::new),
            Report::Refused(words) => Err(refused(format!("`{}` refuses: {words}", self.name))),
            _ => return Err(self.is_no_worker("it says what no worker says")),
        };
        self.end();
        blessed
    }

    /// Hears who it is.
    fn greet(&mut self) -> Result<()> {
        let timeout =
            |socket: &UnixStream, time| socket.set_read_timeout(time).map_err(|error| refused(error.to_string()));
        timeout(&self.socket, Some(HELLO_DEADLINE))?;
        let said = self.hear()?;
        timeout(&self.socket, None)?;
        match said {
            Report::Hello(Hello { nonce, .. }) if nonce != self.nonce => {
                Err(self.is_no_worker("it does not know what it was started with"))
            }
            Report::Hello(Hello { protocol: PROTOCOL, .. }) => Ok(()),
            Report::Hello(_) => Err(refused(format!(
                "`{}` was built with another release of larder: build it again, or use the tool of that release",
                self.name
            ))),
            Report::Refused(words) => Err(self.is_no_worker(&words)),
            _ => Err(self.is_no_worker("it says what no worker says")),
        }
    }

    fn is_no_worker(&self, words: &str) -> BlessError {
        let remedy = "call `larder::init()` first in its `main`, or write `#[larder::main]`";
        refused(format!("`{}` does not become a worker: {words}; {remedy}", self.name))
    }

    fn say(&mut self, order: &Order) -> Result<()> {
        let sent = message::encode(order)
            .and_then(|head| self.channel.send(&[&head], None))
            .and_then(|()| self.channel.write().map(drop));
        sent.map_err(|error| refused(format!("`{}` cannot be told what to do: {error}", self.name)))
    }

    fn hear(&mut self) -> Result<Report> {
        loop {
            let heard = match self.channel.next() {
                Ok(Some(message)) => message::decode::<Report>(message).map(|(report, _)| Some(report)),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            match heard {
                Ok(Some(report)) => return Ok(report),
                Ok(None) => {}
                Err(error) => return Err(self.is_no_worker(&format!("it says what no worker says ({error})"))),
            }
            match self.channel.read() {
                Ok(Read::Some) => {}
                // Only the first word has a deadline.
                Ok(Read::Nothing) => {
                    let seconds = HELLO_DEADLINE.as_secs();
                    return Err(self.is_no_worker(&format!("it did not come to the entry within {seconds} s")));
                }
                Ok(Read::End) | Err(_) => return Err(self.ended()),
            }
        }
    }

    /// It ended before it had answered.
    fn ended(&mut self) -> BlessError {
        let status = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        refused(format!("`{}` ended ({status}) before it had answered: what it printed may say why", self.name))
    }

    /// Lets it go, and waits until it has left the cache.
    fn end(&mut self) {
        // It ends itself when nobody is left at the other end.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Whatever it is doing, it is not what it was started for. One that has ended is no error.
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_lies() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let mark = worker::mark();
        for before in [0, 1, 5000, (1 << 20) - mark.len() - 1, (1 << 20) - 7, (1 << 20) - 1, 1 << 20, 3 << 20] {
            // Its first byte is met before.
            let bytes = [&vec![mark[0]; before][..], &mark, b"more"].concat();
            fs::write(&path, &bytes).unwrap();
            assert!(has_mark(&path).unwrap(), "behind {before} bytes");
            fs::write(&path, &bytes[..before + mark.len() - 1]).unwrap();
            assert!(!has_mark(&path).unwrap(), "cut, behind {before} bytes");
        }
        assert!(has_mark(&dir.path().join("none")).is_err());
    }

    /// What comes of a program that says this, and then nothing.
    fn greeted_with(said: &[u8]) -> BlessError {
        use std::io::Write;
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let child = Command::new("/bin/sh").args(["-c", "exit 3"]).spawn().unwrap();
        let socket = ours.try_clone().unwrap();
        let mut started = Started { child, name: "program".to_owned(), channel: Channel::new(ours), socket, nonce: 7 };
        theirs.write_all(said).unwrap();
        drop(theirs);
        started.greet().unwrap_err()
    }

    /// A report as it goes over a socket.
    fn framed(report: &Report) -> Vec<u8> {
        let message = message::encode(report).unwrap();
        [&crate::frame::head(message.len()).unwrap()[..], &message].concat()
    }

    #[test]
    fn what_is_started_and_is_no_worker_of_this_release_is_refused() {
        let hello = |protocol, nonce| framed(&Report::Hello(Hello { protocol, nonce, build: [0; 32] }));
        let rows = [
            (hello(PROTOCOL - 1, 7), "was built with another release of larder: build it again"),
            (hello(PROTOCOL + 1, 7), "was built with another release of larder: build it again"),
            (hello(PROTOCOL, 8), "it does not know what it was started with; call `larder::init()`"),
            (framed(&Report::Ready), "it says what no worker says; call `larder::init()`"),
            (framed(&Report::Refused("it passed the entry".to_owned())), "it passed the entry; call `larder::init()`"),
            (b"Segmentation fault".to_vec(), "it says what no worker says ("),
            (Vec::new(), "ended (exit status: 3) before it had answered"),
        ];
        for (said, words) in rows {
            let error = greeted_with(&said);
            assert!(error.is_program() && error.to_string().contains(words), "`{words}` is not in: {error}");
        }
    }

    #[test]
    fn a_program_without_the_entry_has_no_mark() {
        assert!(!has_mark(Path::new("/bin/sh")).unwrap());
        // Whatever its features are, this program has it in it.
        std::hint::black_box(crate::init as fn());
        assert!(has_mark(&std::env::current_exe().unwrap()).unwrap(), "with `init` in it, as here");
    }
}
