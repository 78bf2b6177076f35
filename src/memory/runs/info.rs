//! A run and its programs, as they are told of.

use std::time::SystemTime;

use crate::key::hex;
use crate::runs::{Ended, Name, Program, Recorded, State};
use crate::store::time_at;

/// A named run, as its ledger has it: what a program wrote down is in it at once.
///
/// The ledger says what came of items. Whether their results are still in the cache, [`Memory::plan_run`](crate::Memory::plan_run)
/// finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInfo {
    /// Its name.
    pub name: String,
    /// The function of the last program; empty if no program got so far.
    pub function: String,
    /// The items of the newest list that a program wrote to its end; where there is none, of all that were begun.
    pub items: u64,
    /// Of these, those that are done.
    pub done: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those of which nothing is known yet.
    pub waiting: u64,
    /// Of those that failed, those that the next program is to try again: see [`Memory::retry_run`](crate::Memory::retry_run).
    pub retry: u64,
    /// The programs that are at it just now.
    pub live: u64,
    /// When the last program began, by the clock of its machine; `None` if none did.
    pub started_at: Option<SystemTime>,
    /// When a program wrote last, likewise.
    pub last_written_at: Option<SystemTime>,
    /// Results of another code of the function were stored since the last program began, so a new one may compute more than the
    /// ledger lets expect. `None`: that is not known.
    pub code_changed: Option<bool>,
    /// Records of the ledger that could not be read; items of theirs may count as waiting, and are looked for in the cache before
    /// they are computed.
    pub damaged: u64,
    /// Why the ledger could not be read at all; then all counts are 0.
    pub unread: Option<String>,
}

impl RunInfo {
    pub(super) fn new(name: &Name, recorded: &Recorded, code_changed: Option<bool>) -> RunInfo {
        let mut info = RunInfo { code_changed, damaged: recorded.damaged, ..RunInfo::nameless() };
        name.as_str().clone_into(&mut info.name);
        info.live = recorded.live() as u64;
        if let Some(last) = recorded.programs.last() {
            info.function.clone_from(&last.begin.function);
            info.started_at = Some(time_at(last.started_at_ms));
        }
        info.last_written_at = recorded.programs.iter().map(|program| program.last_ms).max().map(time_at);
        for (_, item) in recorded.listed() {
            info.items += 1;
            match item.state {
                State::Waiting => info.waiting += 1,
                State::Done => info.done += 1,
                State::Failed(_) => info.failed += 1,
            }
            info.retry += u64::from(item.retry);
        }
        info
    }

    pub(super) fn of_unread(name: &Name, why: &std::io::Error) -> RunInfo {
        RunInfo { name: name.as_str().to_owned(), unread: Some(why.to_string()), ..RunInfo::nameless() }
    }

    fn nameless() -> RunInfo {
        RunInfo {
            name: String::new(),
            function: String::new(),
            items: 0,
            done: 0,
            failed: 0,
            waiting: 0,
            retry: 0,
            live: 0,
            started_at: None,
            last_written_at: None,
            code_changed: None,
            damaged: 0,
            unread: None,
        }
    }
}

/// A program that takes part in a run, or took part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunProgram {
    /// Its process id.
    pub pid: u32,
    /// The name of its host.
    pub host: String,
    /// The function that it ran.
    pub function: String,
    /// The fingerprint of the function's code, as 64 hexadecimal digits.
    pub fingerprint: Option<String>,
    /// The version that was given by hand beside the attribute.
    pub version: u64,
    /// What its items ran on: `threads`, `processes`, `sequential`.
    pub backend: String,
    /// Its workers.
    pub workers: u32,
    /// The items of its list.
    pub items: u64,
    /// When it began, by the clock of its machine.
    pub started_at: SystemTime,
    /// When it wrote last, likewise; never before it began.
    pub last_written_at: SystemTime,
    /// Whether it is still at it.
    pub state: RunProgramState,
}

/// Whether a program is still at a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunProgramState {
    /// It is.
    Live,
    /// It ended its run, complete or not.
    Ended(RunEnd),
    /// It was killed, or ended in the middle of it.
    Killed,
}

/// What a program wrote at the end of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunEnd {
    /// The items that it computed.
    pub computed: u64,
    /// Those that had a result.
    pub reused: u64,
    /// Those that failed, also before.
    pub failed: u64,
    /// Those that had changed.
    pub changed: u64,
    /// Those that no run of the name had.
    pub new: u64,
    /// Those of the list before that were not in its own.
    pub gone: u64,
    /// Every item had a result.
    pub complete: bool,
}

impl From<Program> for RunProgram {
    fn from(program: Program) -> RunProgram {
        let Program { pid, host, begin, started_at_ms, live, ended, last_ms, .. } = program;
        let state = match ended {
            Some(ended) => RunProgramState::Ended(ended.into()),
            None if live => RunProgramState::Live,
            None => RunProgramState::Killed,
        };
        RunProgram {
            pid,
            host,
            function: begin.function,
            fingerprint: begin.code.map(|code| hex(&code)),
            version: begin.version,
            backend: begin.backend,
            workers: begin.workers,
            items: begin.items,
            started_at: time_at(started_at_ms),
            last_written_at: time_at(last_ms),
            state,
        }
    }
}

impl From<Ended> for RunEnd {
    fn from(ended: Ended) -> RunEnd {
        let Ended { computed, reused, failed, changed, new, gone, complete } = ended;
        RunEnd { computed, reused, failed, changed, new, gone, complete }
    }
}
