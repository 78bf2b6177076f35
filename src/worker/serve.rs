//! The life of a worker: it says who it is, is set up, makes calls until its driver is gone.

use std::io::{self, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};

use super::CORES;
use super::batch::{Batch, Tally};
use super::entry::{Designation, build_id, take_socket};
use crate::codec::{CodecId, Encoded, Large};
use crate::key::canonical::Canonical;
use crate::memory::{Memory, NotBlessed};
use crate::panics;
use crate::payload::travel::{Arrivals, Arrived, kept};
use crate::sys::board::Board;
use crate::task::registry::{self, TaskEntry};
use crate::task::remote;
use crate::wire::channel::{Channel, Read};
use crate::wire::message::{self, Begin, Hello, Init, MemoryAt, Order, PROTOCOL, Report, Setup, TaskName, Unusable};

/// A worker whose driver is gone has so long to end by itself, which lets its caches settle.
const LAST_MOMENTS: Duration = Duration::from_millis(300);

/// Makes this process a worker until its driver is gone.
pub(super) fn run(designation: Designation) -> ! {
    // Whatever happens here, what stands behind the entry is not for a worker.
    let code = match panics::catch(|| Worker::enter(designation).and_then(Worker::serve)) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            eprintln!("larder: this worker process ends: {error}");
            1
        }
        Err(panic) => {
            eprintln!("larder: this worker process ends: {panic}");
            101
        }
    };
    std::process::exit(code)
}

struct Worker {
    channel: Channel,
    board: Option<Board>,
    arrivals: Arrivals,
    current: Option<Current>,
    /// It grew beyond its limit, to so many bytes.
    grown_to: Option<u64>,
    /// The memory of the last run that had one.
    memory: Option<(MemoryAt, Memory)>,
}

/// What the batches are of.
struct Current {
    entry: &'static TaskEntry,
    memory: Option<Memory>,
    begin: Begin,
    /// How many batches it had.
    batches: u64,
}

impl Worker {
    fn enter(designation: Designation) -> io::Result<Worker> {
        let socket = take_socket()?;
        watch(socket.try_clone()?)?;
        let mut worker = Worker {
            channel: Channel::new(socket),
            board: None,
            arrivals: Arrivals::default(),
            current: None,
            grown_to: None,
            memory: None,
        };
        let hello = Hello { protocol: PROTOCOL, nonce: designation.nonce, build: build_id()? };
        worker.say(&Report::Hello(hello))?;
        Ok(worker)
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            while let Some(message) = self.channel.next()? {
                let (order, body) = message::decode::<Order>(message)?;
                let body = kept(body);
                self.obey(order, body)?;
            }
            if self.channel.read()? == Read::End {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, order: Order, body: Large) -> io::Result<()> {
        match order {
            Order::Setup(setup) => match self.set_up(setup) {
                Ok(()) => self.say(&Report::Ready),
                Err(words) => self.say(&Report::Refused(words)),
            },
            Order::Begin(begin) => match self.begin(begin) {
                Ok(()) => Ok(()),
                Err(words) => self.say(&Report::Refused(words)),
            },
            Order::Payload { id, codec, form, file_bytes } => {
                let bytes = match file_bytes {
                    Some(len) => Large::Mapped(self.channel.lent_file(len)?.map_all()?),
                    None => body,
                };
                self.arrivals.add(id, Arrived::new(codec.id()?, form.map(Canonical::from_bytes), bytes));
                Ok(())
            }
            Order::Rest => {
                self.current = None;
                self.memory = None;
                Ok(())
            }
            Order::Forget { id } => {
                self.arrivals.forget(id);
                Ok(())
            }
            Order::Batch { id, waits, codec, file_bytes } => {
                let bytes = match file_bytes {
                    Some(len) => Large::Mapped(self.channel.lent_file(len)?.map()?),
                    None => body,
                };
                self.batch(id, waits, (codec.id()?, bytes))
            }
            Order::Bless { memory, function, options } => {
                let blessed = match self.memory_at(&memory) {
                    Ok(memory) => memory.bless(&function, &options).map_err(|error| error.kind),
                    Err(words) => Err(NotBlessed::Failed(words)),
                };
                // What the functions printed is on its way before the answer is.
                let _ = io::stdout().flush();
                self.say(&Report::Blessed(blessed))
            }
        }
    }

    fn set_up(&mut self, setup: Setup) -> Result<(), String> {
        let Setup { has_board, cores, affinity, init } = setup;
        if has_board {
            let board = self.channel.file().and_then(|file| Board::open(&file));
            self.board = Some(board.map_err(|error| format!("its board cannot be opened: {error}"))?);
        }
        CORES.store(cores.max(1), Relaxed);
        bind(&affinity).map_err(|error| format!("it cannot be bound to its processors: {error}"))?;
        match init {
            None => Ok(()),
            Some(Init { task, codec, args }) => {
                let entry = find(&task)?;
                let codec = codec.id().map_err(|error| error.to_string())?;
                let name = entry.name();
                entry.call(&Encoded::new(codec, args)).map_err(|error| format!("`worker_init`, `{name}`: {error}"))?;
                Ok(())
            }
        }
    }

    fn begin(&mut self, begin: Begin) -> Result<(), String> {
        self.current = None;
        let entry = find(&begin.task)?;
        let memory = match &begin.memory {
            None => None,
            Some(at) => Some(self.memory_at(at)?),
        };
        self.current = Some(Current { entry, memory, begin, batches: 0 });
        Ok(())
    }

    fn memory_at(&mut self, at: &MemoryAt) -> Result<Memory, String> {
        if let Some((known, memory)) = &self.memory
            && known == at
        {
            return Ok(memory.clone());
        }
        let builder = Memory::builder().verbose(at.verbose);
        let opened = if at.read_only { builder.open_read_only(&at.path) } else { builder.open(&at.path) };
        let memory = opened.map_err(|error| error.to_string())?;
        self.memory = Some((at.clone(), memory.clone()));
        Ok(memory)
    }

    fn batch(&mut self, id: u64, waits: bool, arguments: (CodecId, Large)) -> io::Result<()> {
        // Why there is nothing to call was said when it was found.
        let Some(Current { entry, memory, begin, batches }) = &mut self.current else { return Ok(()) };
        *batches += 1;
        let before = memory.as_ref().map(Memory::counts);
        let start = Instant::now();
        let mut batch = Batch {
            id,
            waits,
            is_first: *batches == 1,
            begin,
            memory: memory.as_ref(),
            board: self.board.as_ref(),
            arrivals: &mut self.arrivals,
            grown_to: &mut self.grown_to,
            arguments: Some(arguments),
            asking: None,
            tally: Tally::default(),
        };
        let called = entry.call_all(&mut batch);
        let (tally, busy) = (batch.tally, start.elapsed());
        // What tasks printed is on its way before their results are.
        let _ = io::stdout().flush();
        let calls = tally.calls();
        let unusable = |what, words: String| Report::Unusable { id, calls, what, words };
        match called {
            Err(remote::Unusable::Arguments(error)) => self.say(&unusable(Unusable::Arguments, error.to_string())),
            Err(remote::Unusable::Results(error)) => self.say(&unusable(Unusable::Results, error.to_string())),
            Ok(()) => {
                let counts = match (memory, before) {
                    (Some(memory), Some(before)) => {
                        memory.counts().iter().zip(before).map(|(now, before)| now - before).collect()
                    }
                    _ => Vec::new(),
                };
                let (done, results) = tally.done(id, busy, self.grown_to, counts);
                self.channel.send_with(&message::encode(&Report::Done(done))?, &results)?;
                self.channel.write().map(|_| ())
            }
        }
    }

    fn say(&mut self, report: &Report) -> io::Result<()> {
        self.channel.send(&[&message::encode(report)?], None)?;
        self.channel.write().map(|_| ())
    }
}

fn find(task: &TaskName) -> Result<&'static TaskEntry, String> {
    registry::find(&task.name, &task.fingerprint)
        .ok_or_else(|| format!("it has no task `{}` with this code: is it another build?", task.name))
}

/// Ends this process, and what its tasks started, when the driver is gone, whatever a task is doing. A process that is
/// stopped is woken by the system when its session has nobody left who could; `PR_SET_PDEATHSIG` would kill this
/// process before it could kill the others.
fn watch(socket: std::os::unix::net::UnixStream) -> io::Result<()> {
    let watching = move || {
        let mut fds = [PollFd::new(&socket, hung_up())];
        // An error that does not pass would be asked for again and again.
        while let Ok(0) | Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
        // The other thread ends the process if it is free to; nothing is ever sent here.
        let (_kept, nothing) = mpsc::channel::<()>();
        let _ = nothing.recv_timeout(LAST_MOMENTS);
        if getpgrp() == getpid() {
            let _ = kill_current_process_group(Signal::KILL);
        }
        std::process::abort()
    };
    std::thread::Builder::new().name("larder-watch".to_owned()).spawn(watching)?;
    Ok(())
}

#[cfg(target_os = "linux")]
fn hung_up() -> PollFlags {
    PollFlags::RDHUP
}

#[cfg(not(target_os = "linux"))]
fn hung_up() -> PollFlags {
    PollFlags::HUP
}

/// Binds this thread, and those it starts, to some processors.
#[cfg(target_os = "linux")]
fn bind(processors: &[usize]) -> io::Result<()> {
    if processors.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    processors.iter().for_each(|processor| set.set(*processor));
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(not(target_os = "linux"))]
fn bind(_: &[usize]) -> io::Result<()> {
    Ok(())
}
