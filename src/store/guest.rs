//! The side of a program that does not own the store: it asks the owner for records and claims.
//!
//! Each call has a connection to itself while it asks, from a pool that grows to as many as ask at once; so an answer
//! needs one wake-up on each side. One more connection, the main one, is only waited on: its end is the owner's end, and
//! for the owner its end is this program's.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::catalog::{Looked, Met, Wish};
use super::census::FunctionTotals;
use super::claims::{Claimant, Claimed, End, OwnClaim, Patience};
use super::entry_key::{EntryKey, Prefix};
use super::limits::{Caps, Reduced};
use super::listed::Listed;
use super::notes::Note;
use super::program;
use super::server::READER;
use super::socket::{self, Wakeful};
use super::types::{RecordBytes, StoreError};
use super::used::{FunctionName, Uses};
use super::wire::{LONGEST, LONGEST_WAIT, PROTOCOL, Reply, Request};
use crate::frame;
use crate::lock::lock;

/// An owner that does not answer for so long is taken for stopped: what it cannot serve is computed.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The same for what may look through all entries, which someone asked for and waits for.
const LONG_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) struct Guest {
    dir: PathBuf,
    session: u64,
    idle: Mutex<Vec<Connection>>,
    main: UnixStream,
    /// The claims that the owner was told of at the start.
    adopted: Vec<OwnClaim>,
}

/// Why a guest has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The owner is gone, or does not answer.
    Lost(StoreError),
    /// The owner answered that it failed.
    Failed(StoreError),
}

/// Why a program does not become a guest.
pub(super) enum NotAdmitted {
    /// Nobody listens now: the owner is opening, ending, or gone.
    Nobody,
    /// Whoever listens does not serve this program.
    Refused(String),
}

struct Connection {
    stream: BufReader<Wakeful>,
    message: Vec<u8>,
}

impl Connection {
    fn open(dir: &Path, session: u64, main: bool) -> Result<Connection, NotAdmitted> {
        let refused = |words: &dyn std::fmt::Display| NotAdmitted::Refused(words.to_string());
        let stream = socket::connect(dir).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => {
                NotAdmitted::Nobody
            }
            _ => refused(&error),
        })?;
        match socket::is_same_user(&stream) {
            Ok(true) => {}
            Ok(false) => return Err(refused(&"it belongs to another user")),
            Err(error) => return Err(refused(&error)),
        }
        let set = stream.set_read_timeout(Some(TIMEOUT)).and_then(|()| stream.set_write_timeout(Some(TIMEOUT)));
        set.map_err(|error| refused(&error))?;
        let mut connection =
            Connection { stream: BufReader::with_capacity(8192, Wakeful(stream)), message: Vec::with_capacity(1024) };
        let hello = Request::Hello { protocol: PROTOCOL, program: program(), session, main };
        match connection.ask(&hello) {
            Ok(Reply::Done) => Ok(connection),
            Ok(Reply::Refused(words)) => Err(refused(&words)),
            Ok(reply) => Err(refused(&format_args!("it answered {reply:?} to a greeting"))),
            Err(error) => Err(not_admitted(error)),
        }
    }

    fn tell(&mut self, request: &Request<'_>) -> io::Result<()> {
        frame::write(&mut self.stream.get_mut().0, &request.encode(), LONGEST)
    }

    /// As [`ask`](Connection::ask), with another patience.
    fn ask_within(&mut self, timeout: Duration, request: &Request<'_>) -> io::Result<Reply<'_>> {
        if timeout == TIMEOUT {
            return self.ask(request);
        }
        let patience = |stream: &Self, timeout| stream.stream.get_ref().0.set_read_timeout(Some(timeout));
        patience(self, timeout)?;
        let asked = self.ask(request).map(drop);
        patience(self, TIMEOUT)?;
        asked.and_then(|()| self.reply())
    }

    fn ask(&mut self, request: &Request<'_>) -> io::Result<Reply<'_>> {
        // Who refuses a program says why and hangs up, maybe before it was asked.
        let told = self.tell(request);
        if told.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe) {
            told?;
        }
        if !frame::read(&mut self.stream, &mut self.message, LONGEST)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reply()
    }

    /// The answer that was read last.
    fn reply(&self) -> io::Result<Reply<'_>> {
        Reply::parse(&self.message).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no answer"))
    }
}

/// What an answer that failed says of the owner.
fn not_admitted(error: io::Error) -> NotAdmitted {
    match error.kind() {
        io::ErrorKind::WouldBlock => NotAdmitted::Refused("it does not answer".to_owned()),
        io::ErrorKind::InvalidData => NotAdmitted::Refused(format!("what it answers is not understood: {error}")),
        // It ends.
        _ => NotAdmitted::Nobody,
    }
}

/// A number that tells this session from all others, never [`READER`].
fn new_session() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(program()).max(READER + 1)
}

/// A main connection to an owner that serves this program.
pub(super) struct Greeted {
    dir: PathBuf,
    session: u64,
    main: Connection,
}

impl Greeted {
    /// Greets the owner of the store at `dir`; `claims`: this program may have claims, which end with this connection.
    pub(super) fn greet(dir: &Path, claims: bool) -> Result<Greeted, NotAdmitted> {
        let session = if claims { new_session() } else { READER };
        Ok(Greeted { dir: dir.to_owned(), session, main: Connection::open(dir, session, claims)? })
    }

    /// Tells the owner the limits that this program wants, the claims that it `holds` and the records that an earlier owner
    /// may have `lost`.
    pub(super) fn attach(
        self,
        caps: Caps,
        holds: Vec<OwnClaim>,
        lost: &[(EntryKey, Vec<u8>)],
    ) -> Result<Guest, NotAdmitted> {
        let Greeted { dir, session, mut main } = self;
        let limit = (caps != Caps::NONE).then_some(Request::Limit(caps));
        let adopt = limit.into_iter().chain(holds.iter().map(|claim| Request::Adopt(*claim)));
        let puts = lost.iter().map(|(key, record)| Request::Put { key: *key, costly: false, record });
        for request in adopt.chain(puts).chain([Request::Ready]) {
            // A record that is refused is a result that is computed again.
            main.ask(&request).map_err(not_admitted)?;
        }
        let Wakeful(main) = main.stream.into_inner();
        let forever = main.set_read_timeout(None);
        forever.map_err(|error| NotAdmitted::Refused(error.to_string()))?;
        Ok(Guest { dir, session, idle: Mutex::default(), main, adopted: holds })
    }
}

impl Guest {
    /// Ends the claims that were told to the owner and ended while they were: `held` says which go on.
    pub(super) fn release_ended(&self, held: impl Fn(&OwnClaim) -> bool) {
        for claim in self.adopted.iter().filter(|claim| !held(claim)) {
            self.release(&claim.key, Claimant { program: program(), thread: claim.thread }, End::NotStored);
        }
    }

    /// Waits for the owner's end.
    pub(super) fn wait_for_end(&self) {
        use std::io::Read;
        // The owner never says anything here: whatever comes, the connection is of no more use.
        let _ = (&self.main).read(&mut [0]);
    }

    /// Ends the wait for the owner's end, and this program's claims with it.
    pub(super) fn leave(&self) {
        // Gone already is gone.
        let _ = self.main.shutdown(Shutdown::Both);
    }

    pub(super) fn get(&self, key: &EntryKey) -> Result<Looked, NoAnswer> {
        self.ask(&Request::Get { key: *key }, |reply| match reply {
            Reply::Record(record) => Some(Looked::Record(RecordBytes::Own(record.to_owned()))),
            Reply::Gone(tombstone) => Some(Looked::Gone(tombstone)),
            Reply::Absent => Some(Looked::Nothing),
            _ => None,
        })
    }

    pub(super) fn get_or_claim(&self, who: Claimant, wish: Wish<'_>) -> Result<Met, NoAnswer> {
        let Wish { key, patience, look } = wish;
        let mut left = match patience {
            Patience::Unbounded => Duration::MAX,
            Patience::AtMost(longest) => longest,
        };
        loop {
            let wait = left.min(LONGEST_WAIT);
            // Cut, not rounded: zero is "not at all".
            let wait_ms = wait.as_millis() as u32;
            let request = Request::Claim { key: *key, thread: who.thread, look, wait_ms };
            let met = self.ask(&request, |reply| match reply {
                Reply::Record(record) if look => Some(Met::Record(RecordBytes::Own(record.to_owned()))),
                Reply::Claimed(Claimed::Mine) => Some(Met::Mine(None)),
                Reply::MineGone(tombstone) => Some(Met::Mine(Some(tombstone))),
                Reply::Claimed(claimed) => Some(Met::Claimed(claimed)),
                _ => None,
            })?;
            if patience != Patience::Unbounded {
                left -= wait;
            }
            if !matches!(met, Met::Claimed(Claimed::Busy)) || left.is_zero() {
                return Ok(met);
            }
        }
    }

    pub(super) fn release(&self, key: &EntryKey, who: Claimant, end: End) {
        let told = self.with(|connection| connection.tell(&Request::Release { key: *key, thread: who.thread, end }));
        if told.is_err() {
            // Others would wait for it for ever: the session ends, and with it all claims that the next is not told of.
            self.leave();
        }
    }

    pub(super) fn put(&self, key: &EntryKey, record: &[u8], costly: bool) -> Result<Option<StoreError>, NoAnswer> {
        self.ask(&Request::Put { key: *key, costly, record }, |reply| match reply {
            Reply::Done => Some(None),
            Reply::Late(words) => Some(Some(StoreError::new("the program that holds the cache", words))),
            _ => None,
        })
    }

    pub(super) fn clear_function(&self, name: &str, by_hand: bool) -> Result<u64, NoAnswer> {
        self.ask_at_length(&Request::ClearFunction { by_hand, name }, |reply| match reply {
            Reply::Count(count) => Some(count),
            _ => None,
        })
    }

    pub(super) fn clear(&self) -> Result<(), NoAnswer> {
        self.ask_at_length(&Request::Clear, |reply| (reply == Reply::Done).then_some(()))
    }

    pub(super) fn forget(&self, key: &EntryKey) -> Result<bool, NoAnswer> {
        self.ask(&Request::Forget { key: *key }, |reply| match reply {
            Reply::Count(count) => Some(count > 0),
            _ => None,
        })
    }

    pub(super) fn page(&self, function: Option<Prefix>, after: Option<EntryKey>) -> Result<Vec<Listed>, NoAnswer> {
        self.ask(&Request::Page { function, after }, |reply| match reply {
            Reply::Page(page) => Some(page),
            _ => None,
        })
    }

    pub(super) fn functions(&self, after: Option<&FunctionName>) -> Result<Vec<FunctionTotals>, NoAnswer> {
        self.ask(&Request::Functions { after: after.cloned() }, |reply| match reply {
            Reply::Functions(functions) => Some(functions),
            _ => None,
        })
    }

    pub(super) fn function(&self, function: &FunctionName) -> Result<Option<FunctionTotals>, NoAnswer> {
        self.ask(&Request::Function(function.clone()), |reply| match reply {
            Reply::Functions(mut functions) => Some(functions.pop()),
            _ => None,
        })
    }

    pub(super) fn note(&self, name: &[u8]) -> Result<Option<Vec<u8>>, NoAnswer> {
        self.ask(&Request::Note { name }, |reply| match reply {
            Reply::Record(note) => Some(Some(note.to_owned())),
            Reply::Absent => Some(None),
            _ => None,
        })
    }

    pub(super) fn set_note(&self, name: &[u8], note: Option<&[u8]>) -> Result<(), NoAnswer> {
        self.ask(&Request::SetNote { name, note }, |reply| (reply == Reply::Done).then_some(()))
    }

    pub(super) fn notes(&self, prefix: &[u8], after: Option<&[u8]>) -> Result<Vec<Note>, NoAnswer> {
        self.ask(&Request::Notes { prefix, after }, |reply| match reply {
            Reply::Notes(notes) => Some(notes),
            _ => None,
        })
    }

    pub(super) fn note_uses(&self, uses: &Uses) -> Result<(), NoAnswer> {
        self.ask(&Request::Uses(uses.clone()), |reply| (reply == Reply::Done).then_some(()))
    }

    pub(super) fn limit(&self, caps: Caps) -> Result<(), NoAnswer> {
        self.ask(&Request::Limit(caps), |reply| (reply == Reply::Done).then_some(()))
    }

    /// Removes entries, `most` at once, so that no answer takes long; or none.
    pub(super) fn reduce(&self, caps: Caps, most: u64) -> Result<Reduced, NoAnswer> {
        self.ask_at_length(&Request::Reduce { caps, most }, |reply| match reply {
            Reply::Reduced(reduced) => Some(reduced),
            _ => None,
        })
    }

    /// As [`ask`](Guest::ask), for what may look through all entries: an owner at work on that is not taken for one that is
    /// stopped, and not asked to begin again.
    fn ask_at_length<R>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(Reply<'_>) -> Option<R>,
    ) -> Result<R, NoAnswer> {
        self.ask_within(LONG_TIMEOUT, request, read)
    }

    fn ask<R>(&self, request: &Request<'_>, read: impl FnOnce(Reply<'_>) -> Option<R>) -> Result<R, NoAnswer> {
        self.ask_within(TIMEOUT, request, read)
    }

    fn ask_within<R>(
        &self,
        timeout: Duration,
        request: &Request<'_>,
        read: impl FnOnce(Reply<'_>) -> Option<R>,
    ) -> Result<R, NoAnswer> {
        let answer = self.with(|connection| {
            let reply = connection.ask_within(timeout, request)?;
            if reply == Reply::TooLarge {
                return Ok(Err(NoAnswer::Failed(StoreError::too_large())));
            }
            if let Reply::Failed(words) = reply {
                return Ok(Err(NoAnswer::Failed(StoreError::new("the program that holds the cache", words))));
            }
            let answer = read(reply).map(Ok);
            answer.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it answered something else"))
        });
        answer.unwrap_or_else(|error| {
            let refused = error.kind() == io::ErrorKind::PermissionDenied;
            let error = StoreError::new("asking the program that holds the cache", error);
            Err(if refused { NoAnswer::Failed(error) } else { NoAnswer::Lost(error) })
        })
    }

    /// Lends a connection; one that failed is not used again.
    fn with<R>(&self, work: impl FnOnce(&mut Connection) -> io::Result<R>) -> io::Result<R> {
        let idle = lock(&self.idle).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(&self.dir, self.session, false).map_err(|not| match not {
                NotAdmitted::Nobody => io::Error::from(io::ErrorKind::ConnectionRefused),
                NotAdmitted::Refused(words) => io::Error::new(io::ErrorKind::PermissionDenied, words),
            })?,
        };
        let done = work(&mut connection)?;
        lock(&self.idle).push(connection);
        Ok(done)
    }
}
