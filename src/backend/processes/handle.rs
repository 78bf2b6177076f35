//! A worker process as its driver has it.

use std::collections::HashMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::keeper;
use super::output::Output;
use crate::codec::{CodecId, Large};
use crate::payload::travel::{Content, Sealed, kept};
use crate::sys::board::Board;
use crate::wire::channel::{Channel, Read};
use crate::wire::message::{self, Done, Order, Report};

/// Between so long waits a driver looks whether its run goes on.
pub(crate) const TICK: Duration = Duration::from_millis(20);

pub(crate) struct Handle {
    /// `None` once somebody else sees to its end.
    child: Option<Child>,
    pub(crate) channel: Channel,
    /// Where the worker notes what it is doing, if the system has room for that.
    pub(crate) board: Option<Board>,
    output: Arc<Output>,
    /// The payloads the worker has.
    payloads: HashMap<u64, Weak<Sealed>>,
    /// How many batches it was ever given; the number of the last.
    pub(crate) batches: u64,
    /// How many calls it made, by all its reports so far.
    pub(crate) calls: u64,
    /// How many it was ever given.
    pub(crate) given: u64,
    /// With so many payloads it is time to look which are needed.
    sweep_at: usize,
}

/// Why there is no report.
#[derive(Debug)]
pub(crate) enum Unheard {
    Cancelled,
    Late,
    /// The worker closed its socket: mostly it is dead.
    Gone,
    Garbage(io::Error),
}

/// How a worker ended.
#[derive(Debug)]
pub(crate) struct Ending {
    /// "was killed by signal 9 (SIGKILL)".
    pub(crate) status: String,
    pub(crate) signal: Option<i32>,
    pub(crate) last_words: Vec<String>,
}

impl Handle {
    pub(super) fn new(child: Child, channel: Channel, output: Arc<Output>) -> Handle {
        Handle {
            child: Some(child),
            channel,
            board: None,
            output,
            payloads: HashMap::new(),
            batches: 0,
            calls: 0,
            given: 0,
            sweep_at: SWEEP,
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The number of this worker in its run, for what it prints.
    pub(crate) fn belongs_to(&self, worker: usize) {
        self.output.belongs_to(worker);
    }

    /// Waits until what it has printed so far is passed on.
    pub(super) fn settle_output(&self) {
        self.output.settle();
    }

    /// Whether the process is there: what it did while it was idle is not known otherwise.
    pub(super) fn is_alive(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !is_dead(child))
    }

    /// Has an order sent, now or with the next [`exchange`](Handle::exchange).
    ///
    /// # Errors
    /// It cannot be expressed: it is longer than 4 GiB.
    pub(crate) fn order(&mut self, order: &Order, body: &[u8]) -> io::Result<()> {
        self.channel.send(&[&message::encode(order)?, body], None)
    }

    /// The numbers of payloads that are not needed any more, which the worker is told to forget.
    pub(crate) fn forget_payloads(&mut self) -> io::Result<()> {
        let gone: Vec<u64> =
            self.payloads.iter().filter(|(_, sealed)| sealed.strong_count() == 0).map(|(id, _)| *id).collect();
        for id in gone {
            self.payloads.remove(&id);
            self.order(&Order::Forget { id }, &[])?;
        }
        Ok(())
    }

    /// As [`forget_payloads`](Handle::forget_payloads), when there are twice as many as the last time.
    ///
    /// # Errors
    /// None that is known.
    pub(crate) fn sweep_payloads(&mut self) -> io::Result<()> {
        if self.payloads.len() >= self.sweep_at {
            self.forget_payloads()?;
            self.sweep_at = (2 * self.payloads.len()).max(SWEEP);
        }
        Ok(())
    }

    /// Sends a payload, unless the worker has it. Answers how many bytes it maps now.
    ///
    /// # Errors
    /// It cannot be expressed.
    pub(crate) fn send_payload(&mut self, sealed: &Arc<Sealed>) -> io::Result<u64> {
        if self.payloads.contains_key(&sealed.id) {
            return Ok(0);
        }
        let order = Order::Payload {
            id: sealed.id,
            codec: sealed.codec.into(),
            form: sealed.form.as_ref().map(|form| form.as_bytes().to_vec()),
            file_bytes: sealed.content.file_bytes(),
        };
        self.channel.send_with(&message::encode(&order)?, &sealed.content)?;
        self.payloads.insert(sealed.id, Arc::downgrade(sealed));
        Ok(sealed.content.file_bytes().unwrap_or(0))
    }

    /// Sends a batch, and answers its number.
    ///
    /// # Errors
    /// It cannot be expressed: it is longer than 4 GiB, and the system has no file for it.
    pub(crate) fn send_batch(&mut self, waits: bool, codec: CodecId, content: &Content) -> io::Result<u64> {
        let id = self.batches + 1;
        let order = Order::Batch { id, waits, codec: codec.into(), file_bytes: content.file_bytes() };
        self.channel.send_with(&message::encode(&order)?, content)?;
        self.batches = id;
        Ok(id)
    }

    /// Writes and reads what the socket allows; if there is nothing to read, waits for it so long at most.
    ///
    /// # Errors
    /// The worker is gone.
    pub(crate) fn exchange(&mut self, wait: Duration) -> Result<(), Unheard> {
        // A worker that is gone may have left reports, which are read before that is noticed.
        let wrote = self.channel.write();
        match self.channel.read() {
            Ok(Read::Some) => return Ok(()),
            Ok(Read::Nothing) => {}
            Ok(Read::End) | Err(_) => return Err(Unheard::Gone),
        }
        let _ = wrote.map_err(|_| Unheard::Gone)?;
        let mut flags = PollFlags::IN;
        if self.channel.has_more_to_write() {
            flags |= PollFlags::OUT;
        }
        let wait = Timespec { tv_sec: wait.as_secs() as _, tv_nsec: wait.subsec_nanos() as _ };
        match poll(&mut [PollFd::new(&self.channel, flags)], Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(_) => return Err(Unheard::Gone),
        }
        let wrote = self.channel.write();
        match self.channel.read() {
            Ok(Read::Some) => Ok(()),
            Ok(Read::Nothing) => wrote.map(|_| ()).map_err(|_| Unheard::Gone),
            Ok(Read::End) | Err(_) => Err(Unheard::Gone),
        }
    }

    /// The next report and what belongs to it, if it was read already.
    ///
    /// # Errors
    /// What the worker sent is no report.
    pub(crate) fn next_report(&mut self) -> Result<Option<(Report, Large)>, Unheard> {
        let message = self.channel.next().map_err(Unheard::Garbage)?;
        let Some(message) = message else { return Ok(None) };
        let (report, body) = message::decode(message).map_err(Unheard::Garbage)?;
        let Report::Done(Done { file_bytes: Some(len), .. }) = report else { return Ok(Some((report, kept(body)))) };
        let mapped = self.channel.memory_file(len).and_then(|file| file.map());
        Ok(Some((report, Large::Mapped(mapped.map_err(Unheard::Garbage)?))))
    }

    /// Waits for a report.
    pub(super) fn hear(&mut self, deadline: Option<Instant>, cancelled: &dyn Fn() -> bool) -> Result<Report, Unheard> {
        loop {
            if let Some((report, _)) = self.next_report()? {
                return Ok(report);
            }
            if cancelled() {
                return Err(Unheard::Cancelled);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(Unheard::Late);
            }
            self.exchange(TICK)?;
        }
    }

    /// Kills the worker, and what it started.
    pub(crate) fn kill(mut self) {
        if let Some(mut child) = self.child.take() {
            kill(&mut child);
            // It is dead, or cannot be killed, which nobody here can change.
            let _ = child.wait();
        }
    }

    /// How a worker ended that closed its socket by itself. What it started is killed.
    pub(crate) fn await_end(mut self) -> Ending {
        let Some(mut child) = self.child.take() else {
            return Ending { status: "is gone".to_owned(), signal: None, last_words: Vec::new() };
        };
        // A process that dies closes its files before it can be waited for.
        let until = Instant::now() + DYING;
        while !is_dead(&child) && Instant::now() < until {
            std::thread::yield_now();
        }
        let ended_itself = is_dead(&child);
        kill(&mut child);
        let (status, signal) = match child.wait() {
            Ok(status) if ended_itself => (words(status), status.signal()),
            Ok(_) => ("closed its socket and was killed".to_owned(), None),
            Err(error) => (format!("is gone ({error})"), None),
        };
        Ending { status, signal, last_words: self.output.last_words() }
    }
}

/// Whether a process has ended. It is not waited for: as long as it is not, its number, and that of its group, is nobody
/// else's.
pub(super) fn is_dead(child: &Child) -> bool {
    let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return true };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(process), options), Ok(None))
}

/// So many payloads are no matter.
const SWEEP: usize = 16;

impl Handle {
    /// Closes the socket, at which the worker ends; its process is to be waited for.
    pub(super) fn let_go(mut self) -> Option<Child> {
        self.child.take()
    }
}

/// Between a dying process's closing of its files and its end.
const DYING: Duration = Duration::from_millis(500);

impl Drop for Handle {
    /// The worker ends by itself when its socket closes; somebody sees to it.
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            keeper::bury(child);
        }
    }
}

/// Kills a process that leads a group, and the group.
pub(super) fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may be a child that is no leader yet; then the next line is enough.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // It may be dead already.
    let _ = child.kill();
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => match name(signal) {
            Some(name) => format!("was ended by signal {signal} ({name})"),
            None => format!("was ended by signal {signal}"),
        },
        (None, None) => format!("ended ({status})"),
    }
}

fn name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL, an illegal instruction"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT, an abort"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL, by hand or for want of memory"),
        (Signal::SEGV, "SIGSEGV, a segmentation fault or an overflow of the stack"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    names.into_iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| name)
}

impl Ending {
    /// How "its worker process" ended, and what it said last.
    pub(crate) fn words(&self, who: &str, when: &str) -> String {
        let mut words = format!("{who} {}{when}", self.status);
        if !self.last_words.is_empty() {
            words.push_str("; its last lines on stderr: ");
            words.push_str(&self.last_words.join(" | "));
        }
        words
    }

    /// Whether it was ended by a signal that processes do not send themselves.
    pub(crate) fn is_by_hand(&self) -> bool {
        let by_hand = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
        self.signal.is_some_and(|signal| by_hand.iter().any(|known| known.as_raw() == signal))
    }
}
