//! Tasks that meddle with what their worker speaks through.

use std::fs;
use std::io::Write;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use larder::{FailureKind, OnError, delayed};
use serde::{Deserialize, Serialize};

use super::{Listed, processes};
use crate::support::ends;

/// The sockets of this process.
fn sockets() -> Vec<RawFd> {
    let all = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap());
    let sockets =
        all.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")));
    sockets.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Meddling {
    /// Writes what is no message.
    Garbage,
    /// Writes a few bytes, fewer than any message has.
    Crumbs,
    /// Closes every socket.
    Close,
    /// Tells the other side that nothing comes any more.
    ShutDown,
    /// Stops, all threads of it, until it is killed.
    Stop,
}

#[larder::task]
fn meddle(x: usize, how: Option<Meddling>, ballast: Vec<u8>) -> usize {
    let Some(how) = how else { return x * 10 + ballast.len() };
    if how == Meddling::Stop {
        Command::new("kill").args(["-STOP", &std::process::id().to_string()]).status().unwrap();
        return x;
    }
    let sockets = sockets();
    assert!(!sockets.is_empty(), "a worker speaks through a socket");
    for socket in sockets {
        // SAFETY: it was open a moment ago, and nothing else runs in this worker that could have closed it.
        let stream = UnixStream::from(unsafe { BorrowedFd::borrow_raw(socket) }.try_clone_to_owned().unwrap());
        match how {
            Meddling::Garbage => (&stream).write_all(b"thread 'main' panicked at src/main.rs\n").unwrap(),
            Meddling::Crumbs => (&stream).write_all(b"oh").unwrap(),
            Meddling::ShutDown => stream.shutdown(std::net::Shutdown::Both).unwrap(),
            // SAFETY: as above; the worker's own handle of it is left without one, which is what this is about.
            Meddling::Close => drop(unsafe { OwnedFd::from_raw_fd(socket) }),
            Meddling::Stop => unreachable!(),
        }
    }
    x
}

#[test]
fn who_meddles_with_the_socket_fails_and_no_other() {
    ends(|| {
        for (how, kind) in [
            (Meddling::Garbage, FailureKind::Death),
            (Meddling::Crumbs, FailureKind::Death),
            (Meddling::Close, FailureKind::Death),
            (Meddling::ShutDown, FailureKind::Death),
            (Meddling::Stop, FailureKind::Timeout),
        ] {
            for size in [1, 10] {
                let parallel = processes(2).on_error(OnError::Collect).timeout_per_task(Duration::from_secs(2));
                let calls = (0..40).map(|x| delayed!(meddle(x, (x == 23).then_some(how), Vec::new())));
                let outcome = parallel.batch_size(size).outcome_list(calls).unwrap();
                let expected: Vec<_> = (0..40).map(|x| (x != 23).then_some(x * 10)).collect();
                assert_eq!(outcome.results(), expected, "{how:?}, {size}: {outcome:?}");
                let failed: Vec<_> =
                    outcome.failures().iter().map(|failure| (failure.index(), failure.kind())).collect();
                assert_eq!(failed, [(23, kind)], "{how:?}, {size}: {outcome:?}");
            }
        }
    });
}

#[test]
fn a_worker_that_stops_reading_holds_up_nobody() {
    ends(|| {
        // Far more waits for the worker than its socket holds.
        let parallel = processes(2).on_error(OnError::Collect).timeout_per_task(Duration::from_secs(2)).batch_size(1);
        let ballast = 200 << 10;
        let calls = (0..40).map(|x| delayed!(meddle(x, (x == 5).then_some(Meddling::Stop), vec![1; ballast])));
        let outcome = parallel.outcome_list(calls).unwrap();
        let expected: Vec<_> = (0..40).map(|x| (x != 5).then_some(x * 10 + ballast)).collect();
        assert_eq!(outcome.results(), expected);
        assert_eq!(outcome.failures().iter().map(|failure| failure.kind()).collect::<Vec<_>>(), [FailureKind::Timeout]);
    });
}
