//! The owner's side of the socket: a thread per connection answers one request after the other.
//!
//! A request that waits for a claim blocks its thread, as the caller that it stands for is blocked; so one thread serves
//! one thread of another program, and nothing has to be woken twice.

use std::collections::{HashMap, HashSet};
use std::io::BufReader;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::catalog::{Catalog, Looked, Met, Wish};
use super::claims::{Claimant, Claimed, Patience};
use super::socket;
use super::types::StoreError;
use super::wire::{LONGEST, LONGEST_WAIT, PROTOCOL, Reply, Request};
use crate::lock::lock;
use crate::{frame, panics};

/// More connections than this are refused: those programs compute without the store.
const MOST_CONNECTIONS: usize = 4096;
/// A program that does not read its answers for so long is cut off.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Enough for sled; there may be many.
const STACK_BYTES: usize = 512 << 10;

pub(super) struct Server {
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    catalog: Arc<Catalog>,
    listener: UnixListener,
    dir: PathBuf,
    closing: AtomicBool,
    connections: Mutex<Connections>,
}

/// The session of those who only read, and claim nothing.
pub(super) const READER: u64 = 0;

/// Who is at the other end of a connection, as it says.
#[derive(Clone, Copy)]
struct Caller {
    program: u64,
    session: u64,
    is_main: bool,
}

impl Caller {
    /// A thread of this session. Sessions, not programs, are who claims here: what an old session of a program leaves
    /// behind must not be taken for the new one's.
    fn claimant(self, thread: u64) -> Claimant {
        Claimant { program: self.session, thread }
    }
}

#[derive(Default)]
struct Connections {
    last: u64,
    open: HashMap<u64, (UnixStream, Option<JoinHandle<()>>)>,
    /// Threads whose connection ended, to be joined.
    ended: Vec<JoinHandle<()>>,
    /// Those whose main connection is open.
    sessions: HashSet<u64>,
}

impl Server {
    /// Serves the catalog beside the store at `dir`.
    pub(super) fn start(dir: &Path, catalog: Arc<Catalog>) -> Result<Server, StoreError> {
        let failed = |error| StoreError::new("opening the socket for other programs", error);
        let listener = socket::listen(dir).map_err(failed)?;
        let shared = Arc::new(Shared {
            catalog,
            listener,
            dir: dir.to_owned(),
            closing: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let started = thread::Builder::new()
            .name("larder-serve".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || for_thread.listen())
            .map_err(failed)?;
        Ok(Server { shared, listening: Mutex::new(Some(started)) })
    }

    /// Cuts everyone off; returns when no thread of it is left.
    ///
    /// With `vacate`, the socket's file goes too: not where the directory is another's by now.
    pub(super) fn stop(&self, vacate: bool) {
        let shared = &self.shared;
        if shared.closing.swap(true, SeqCst) {
            return;
        }
        if vacate {
            // One that stays is met by nobody who listens, and replaced by the next owner.
            let _ = socket::remove(&shared.dir);
        }
        socket::stop_listening(&shared.listener, &shared.dir);
        if let Some(thread) = lock(&self.listening).take() {
            // Its panics are caught where they can happen.
            let _ = thread.join();
        }
        let threads: Vec<_> = {
            let mut connections = lock(&shared.connections);
            for (stream, _) in connections.open.values() {
                // Who is gone already needs no telling.
                let _ = stream.shutdown(Shutdown::Both);
            }
            let open = std::mem::take(&mut connections.open);
            let ended = std::mem::take(&mut connections.ended);
            open.into_values().filter_map(|(_, thread)| thread).chain(ended).collect()
        };
        let sessions = std::mem::take(&mut lock(&shared.connections).sessions);
        for session in &sessions {
            // Wakes the threads that wait for it, so that they see the end.
            shared.catalog.claims.release_program(*session);
        }
        for thread in threads {
            let _ = thread.join();
        }
        for session in sessions {
            // What was claimed for it in the meantime.
            shared.catalog.claims.release_program(session);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(true);
    }
}

impl Shared {
    fn listen(self: &Arc<Shared>) {
        loop {
            let accepted = self.listener.accept();
            if self.closing.load(SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, _)) => self.admit(stream),
                // No descriptors or no memory left: the caller meets a closed connection, and computes for itself.
                Err(_) => thread::park_timeout(Duration::from_millis(10)),
            }
        }
    }

    fn admit(self: &Arc<Shared>, stream: UnixStream) {
        let mut connections = lock(&self.connections);
        for thread in connections.ended.drain(..) {
            let _ = thread.join();
        }
        let is_welcome = connections.open.len() < MOST_CONNECTIONS && socket::is_same_user(&stream).unwrap_or(false);
        let Ok(handle) = stream.try_clone() else { return };
        if !is_welcome {
            // Dropping the connection says the rest, if even this cannot be written.
            let refused = Reply::Refused("it belongs to another user, or serves too many programs already");
            let _ = frame::write(&mut &stream, &refused.encode(), LONGEST);
            return;
        }
        connections.last += 1;
        let id = connections.last;
        let shared = Arc::clone(self);
        let started = thread::Builder::new()
            .name(format!("larder-serve-{id}"))
            .stack_size(STACK_BYTES)
            .spawn(move || shared.serve(id, stream));
        if let Ok(thread) = started {
            connections.open.insert(id, (handle, Some(thread)));
        }
    }

    fn serve(&self, id: u64, stream: UnixStream) {
        let mut caller = None;
        // What a hostile or damaged message can do ends here, whatever it is.
        let _ = panics::catch(|| self.answer_all(stream, &mut caller));
        let mut connections = lock(&self.connections);
        if let Some(Caller { program, session, is_main }) = caller {
            if is_main {
                connections.sessions.remove(&session);
                self.catalog.claims.checked_in(program);
            }
            // Another connection's request may have been read after the session's end: its claim or limit is nobody's.
            if session != READER && !connections.sessions.contains(&session) {
                self.catalog.claims.release_program(session);
                self.catalog.keeping.limited.end_of(session);
            }
        }
        if let Some((_, Some(thread))) = connections.open.remove(&id) {
            connections.ended.push(thread);
        }
    }

    /// Answers until the stream ends or fails, or says what is no request.
    fn answer_all(&self, stream: UnixStream, known: &mut Option<Caller>) {
        if stream.set_write_timeout(Some(WRITE_TIMEOUT)).is_err() {
            return;
        }
        let mut reader = BufReader::with_capacity(4096, &stream);
        let mut message = Vec::new();
        while let Ok(true) = frame::read(&mut reader, &mut message, LONGEST) {
            let Some(request) = Request::parse(&message) else { return };
            let answered = match (request, *known) {
                (Request::Hello { protocol, program, session, main }, None) => {
                    if protocol != PROTOCOL {
                        let words = format!("it speaks protocol {PROTOCOL} and this program {protocol}");
                        // The connection ends either way.
                        let _ = frame::write(&mut &stream, &Reply::Refused(&words).encode(), LONGEST);
                        return;
                    }
                    let mut connections = lock(&self.connections);
                    let is_new = match (session, main) {
                        (READER, main) => !main,
                        (_, true) => connections.sessions.insert(session),
                        (_, false) => connections.sessions.contains(&session),
                    };
                    drop(connections);
                    if !is_new {
                        return;
                    }
                    *known = Some(Caller { program, session, is_main: main });
                    frame::write(&mut &stream, &Reply::Done.encode(), LONGEST)
                }
                (Request::Release { key, thread, end }, Some(caller)) => {
                    self.catalog.claims.release(&key, caller.claimant(thread), end);
                    Ok(())
                }
                (request, Some(caller)) => {
                    let is_gone = match request {
                        Request::Put { costly, .. } => !self.catalog.is_in_place(costly),
                        Request::ClearFunction { .. }
                        | Request::Clear
                        | Request::Forget { .. }
                        | Request::SetNote { .. }
                        | Request::Reduce { .. } => !self.catalog.is_in_place(true),
                        _ => false,
                    };
                    if is_gone {
                        // Its directory was removed or replaced: the caller finds the one that is there now.
                        return;
                    }
                    let mut answer = Vec::new();
                    self.answer(request, caller, &mut |reply| answer = reply.encode());
                    frame::write(&mut &stream, &answer, LONGEST)
                }
                // Who does not say hello first is no guest.
                (_, None) => return,
            };
            if answered.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: Request<'_>, caller: Caller, reply: &mut dyn FnMut(Reply<'_>)) {
        let catalog = &self.catalog;
        let mut failed = |error: StoreError| reply(Reply::Failed(&error.to_string()));
        match &request {
            Request::Get { .. } | Request::Ready | Request::Page { .. } => {}
            Request::Functions { .. } | Request::Function(_) => {}
            Request::Note { .. } | Request::Notes { .. } => {}
            Request::Reduce { most: 0, .. } => {}
            _ if caller.session != READER => {}
            _ => return failed(StoreError::new("answering", "it is open for reading only")),
        }
        match request {
            Request::Get { key } => match catalog.get(&key) {
                Ok(Looked::Record(record)) => reply(Reply::Record(&record)),
                Ok(Looked::Gone(tombstone)) => reply(Reply::Gone(tombstone)),
                Ok(Looked::Nothing) => reply(Reply::Absent),
                Err(error) => failed(error),
            },
            Request::Claim { key, thread, look, wait_ms } => {
                let patience = Patience::AtMost(Duration::from_millis(wait_ms.into()).min(LONGEST_WAIT));
                let who = caller.claimant(thread);
                match catalog.get_or_claim(who, Wish { key: &key, patience, look }) {
                    Ok(Met::Record(record)) => reply(Reply::Record(&record)),
                    // Its own claim, taken over from an earlier owner: it asks again because that one never answered.
                    Ok(Met::Claimed(Claimed::MustNotWait)) if catalog.claims.holds(&key, who) => {
                        reply(Reply::Claimed(Claimed::Mine));
                    }
                    Ok(Met::Mine(None)) => reply(Reply::Claimed(Claimed::Mine)),
                    Ok(Met::Mine(Some(tombstone))) => reply(Reply::MineGone(tombstone)),
                    Ok(Met::Claimed(claimed)) => reply(Reply::Claimed(claimed)),
                    Err(error) => failed(error),
                }
            }
            // On a main connection, records are told that an earlier owner may have lost; what is there is newer.
            Request::Put { key, .. } if caller.is_main && !matches!(catalog.get(&key), Ok(Looked::Nothing)) => {
                reply(Reply::Done);
            }
            Request::Put { key, costly, record } => match catalog.put(&key, record, costly) {
                Ok(None) => reply(Reply::Done),
                Ok(Some(late)) => reply(Reply::Late(&late.to_string())),
                Err(error) if error.is_too_large() => reply(Reply::TooLarge),
                Err(error) => failed(error),
            },
            Request::ClearFunction { by_hand, name } => match catalog.clear_function(name, by_hand) {
                Ok(count) => reply(Reply::Count(count)),
                Err(error) => failed(error),
            },
            Request::Clear => match catalog.clear() {
                Ok(()) => reply(Reply::Done),
                Err(error) => failed(error),
            },
            Request::Forget { key } => match catalog.forget(&key) {
                Ok(was_there) => reply(Reply::Count(was_there.into())),
                Err(error) => failed(error),
            },
            Request::Page { function, after } => match catalog.page(function, after.as_ref()) {
                Ok(page) => reply(Reply::Page(page)),
                Err(error) => failed(error),
            },
            Request::Functions { after } => reply(Reply::Functions(catalog.functions(after.as_ref()))),
            Request::Function(function) => {
                reply(Reply::Functions(catalog.function(&function).into_iter().collect()));
            }
            Request::Uses(uses) => match catalog.note_uses(&uses) {
                Ok(()) => reply(Reply::Done),
                Err(error) => failed(error),
            },
            Request::Note { name } => match catalog.note(name) {
                Ok(Some(note)) => reply(Reply::Record(&note)),
                Ok(None) => reply(Reply::Absent),
                Err(error) => failed(error),
            },
            Request::SetNote { name, note } => match catalog.set_note(name, note) {
                Ok(()) => reply(Reply::Done),
                Err(error) => failed(error),
            },
            Request::Notes { prefix, after } => match catalog.notes(prefix, after) {
                Ok(notes) => reply(Reply::Notes(notes)),
                Err(error) => failed(error),
            },
            Request::Limit(caps) => {
                catalog.keeping.limited.want(caller.session, caps);
                reply(Reply::Done);
            }
            Request::Reduce { caps, most } => {
                match if most == 0 { catalog.would_reduce(caps) } else { catalog.reduce(caps, most) } {
                    Ok(reduced) => reply(Reply::Reduced(reduced)),
                    Err(error) => failed(error),
                }
            }
            Request::Adopt(claim) => {
                catalog.claims.adopt(caller.session, &claim);
                reply(Reply::Done);
            }
            Request::Ready => {
                if caller.is_main {
                    catalog.claims.checked_in(caller.program);
                }
                reply(Reply::Done);
            }
            Request::Hello { .. } | Request::Release { .. } => reply(Reply::Failed("out of order")),
        }
    }
}
