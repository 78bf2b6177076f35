//! Worker processes, as they see themselves.
//!
//! A worker is this very program, started again by a run on [`Backend::Processes`](crate::Backend::Processes). It must not do
//! what the program does, so it goes its own way at the [entry](init), before `main` has done anything: it says
//! [who it is](crate::wire::message::Hello), takes [orders](crate::wire::message::Order), and ends with its driver.
//!
//! A process is a worker only if all of it is true: its environment says so and names the program that started it, and
//! its standard input is a socket of that very program. So what a task starts is no worker, whatever it inherits.

#[cfg(unix)]
mod batch;
#[cfg(unix)]
mod entry;
#[cfg(unix)]
mod serve;
#[cfg(unix)]
pub(crate) mod usage;

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

#[cfg(unix)]
pub(crate) use entry::{DEPTH_VARIABLE, Designation, VARIABLE, build_id, denounce, depth_of_workers, program_file};

const NOT_ENTERED: u8 = 0;
const PROGRAM: u8 = 1;
const WORKER: u8 = 2;

/// Stands in programs that have the entry, and is named nowhere else: so whoever would start one can see it beforehand.
#[cfg_attr(not(unix), expect(dead_code, reason = "there are no workers"))]
static MARK: [u8; 40] = *b"\xf7\xfflarder: the entry of worker processes\xff";

/// What is looked for in a program. Not as it stands there, or whoever looks for it would have it too.
#[cfg(unix)]
pub(crate) fn mark() -> Vec<u8> {
    const REVERSED: [u8; 40] = {
        let mut reversed = MARK;
        reversed.reverse();
        reversed
    };
    std::hint::black_box(&REVERSED).iter().rev().copied().collect()
}

/// Which way this process went at the entry.
static WAY: AtomicU8 = AtomicU8::new(NOT_ENTERED);

/// The cores a worker's tasks may use; 0 where this is no worker.
static CORES: AtomicUsize = AtomicUsize::new(0);

/// The entry of worker processes: to be called as the first thing in `main` by programs that use
/// [`Backend::Processes`](crate::Backend::Processes).
///
/// Workers are the same program, started again. In a worker this function never returns: what stands behind it is not run
/// there. Elsewhere it does nothing. [`#[larder::main]`](macro@crate::main) is the same; with the feature `auto-worker`, which
/// is meant for tests and benches, neither is needed.
///
/// # Examples
/// ```standalone_crate
/// use larder::{Backend, Parallel, delayed};
///
/// #[larder::task]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn main() -> larder::Result<()> {
///     larder::init();
///     let squares = Parallel::new()
///         .backend(Backend::Processes)
///         .n_jobs(2)
///         .run((0..100).map(|x| delayed!(square(x))))?;
///     assert_eq!(squares[99], 9801);
///     Ok(())
/// }
/// ```
pub fn init() {
    std::hint::black_box(&MARK);
    if WAY.load(Relaxed) != NOT_ENTERED {
        return;
    }
    #[cfg(unix)]
    if let Some(designation) = Designation::of_this_process() {
        WAY.store(WORKER, Relaxed);
        serve::run(designation);
    }
    WAY.store(PROGRAM, Relaxed);
}

/// Whether this program has an entry for its workers.
pub(crate) fn has_entry() -> bool {
    WAY.load(Relaxed) != NOT_ENTERED
}

/// The cores that this process may use, if it is a worker.
pub(crate) fn cores() -> Option<usize> {
    Some(CORES.load(Relaxed)).filter(|cores| *cores > 0)
}
