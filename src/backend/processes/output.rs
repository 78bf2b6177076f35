//! What workers print: passed on line by line, and remembered for the report of a death.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::{ChildStderr, ChildStdout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::lock::{lock, whole};
use crate::screen::{self, Stream};

/// So many of the last lines on stderr are remembered.
const LINES: usize = 12;
/// A longer line is passed on in pieces.
const LONGEST_LINE: usize = 16 << 10;
/// What a dead worker said last is on its way; what its children may still say is not waited for.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The output of one worker.
pub(super) struct Output {
    /// The number of the worker in the run that has it.
    worker: AtomicUsize,
    pipes: [Arc<File>; 2],
    heard: Mutex<Heard>,
    changed: Condvar,
}

#[derive(Default)]
struct Heard {
    last: VecDeque<String>,
    /// What was read is being passed on.
    busy: bool,
    ended: bool,
}

struct Pipe {
    from: Arc<File>,
    stream: Stream,
    /// The line so far.
    line: Vec<u8>,
}

impl Output {
    /// Passes on what comes from these pipes, from a thread that ends with them.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub(super) fn forward(out: ChildStdout, err: ChildStderr) -> io::Result<Arc<Output>> {
        let file = |from: OwnedFd| Arc::new(File::from(from));
        let pipes = [file(out.into()), file(err.into())];
        let pipe = |from: &Arc<File>, stream| Pipe { from: Arc::clone(from), stream, line: Vec::new() };
        let read = vec![pipe(&pipes[0], Stream::Out), pipe(&pipes[1], Stream::Err)];
        let output =
            Arc::new(Output { worker: AtomicUsize::new(0), pipes, heard: Mutex::default(), changed: Condvar::new() });
        let own = Arc::clone(&output);
        std::thread::Builder::new().name("larder-output".to_owned()).spawn(move || own.pump(read))?;
        Ok(output)
    }

    pub(super) fn belongs_to(&self, worker: usize) {
        self.worker.store(worker, Relaxed);
    }

    /// The last lines on stderr of a worker that is dead.
    pub(super) fn last_words(&self) -> Vec<String> {
        let heard = lock(&self.heard);
        let (heard, _) = whole(self.changed.wait_timeout_while(heard, LAST_WORDS, |heard| !heard.ended));
        heard.last.iter().cloned().collect()
    }

    /// Waits until what the worker has printed so far is passed on.
    pub(super) fn settle(&self) {
        let until = Instant::now() + LAST_WORDS;
        let mut heard = lock(&self.heard);
        while !heard.ended && (heard.busy || self.has_more()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (heard, _) = whole(self.changed.wait_timeout(heard, left));
        }
    }

    /// Whether something was printed that is not read yet.
    fn has_more(&self) -> bool {
        let mut fds = [&self.pipes[0], &self.pipes[1]].map(|pipe| PollFd::new(pipe, PollFlags::IN));
        let nothing = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&nothing)).is_ok() && fds.iter().any(|fd| fd.revents().contains(PollFlags::IN))
    }

    fn pump(&self, mut pipes: Vec<Pipe>) {
        let mut bytes = [0; 8 << 10];
        while !pipes.is_empty() {
            let ready: Vec<bool> = {
                let mut fds: Vec<_> = pipes.iter().map(|pipe| PollFd::new(&pipe.from, PollFlags::IN)).collect();
                match poll(&mut fds, None) {
                    Ok(_) => fds.iter().map(|fd| !fd.revents().is_empty()).collect(),
                    Err(rustix::io::Errno::INTR) => continue,
                    // Nothing can be heard any more.
                    Err(_) => break,
                }
            };
            lock(&self.heard).busy = true;
            let mut ready = ready.into_iter();
            pipes.retain_mut(|pipe| {
                if !ready.next().unwrap_or_default() {
                    return true;
                }
                let read = match (&*pipe.from).read(&mut bytes) {
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
                    Err(_) => 0,
                };
                self.hear(pipe, &bytes[..read]);
                read > 0
            });
            lock(&self.heard).busy = false;
            self.changed.notify_all();
        }
        lock(&self.heard).ended = true;
        self.changed.notify_all();
    }

    /// Takes bytes, or the end where there are none.
    fn hear(&self, pipe: &mut Pipe, bytes: &[u8]) {
        if bytes.is_empty() && !pipe.line.is_empty() {
            return self.pass_on(pipe);
        }
        for byte in bytes {
            if *byte != b'\n' {
                pipe.line.push(*byte);
            }
            if *byte == b'\n' || pipe.line.len() >= LONGEST_LINE {
                self.pass_on(pipe);
            }
        }
    }

    fn pass_on(&self, pipe: &mut Pipe) {
        let line = String::from_utf8_lossy(&pipe.line);
        let line = line.trim_end_matches('\r');
        if matches!(pipe.stream, Stream::Err) {
            let mut heard = lock(&self.heard);
            if heard.last.len() == LINES {
                heard.last.pop_front();
            }
            heard.last.push_back(line.to_owned());
        }
        screen::print_to(pipe.stream, &format!("[worker {}] {line}", self.worker.load(Relaxed)));
        pipe.line.clear();
    }
}
