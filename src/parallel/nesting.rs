//! How deep the runs are that a thread's work stands in: one that starts itself without end is an error, and not an overflow
//! of the stack.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::context::Scope;
use crate::error::{Error, Result};

/// So many runs, each started by a task of the one before. Within a task a run works on the task's own thread, so they lie
/// above each other on one stack, which has 2 MiB on threads that are not the program's first: some 80 KiB for each. loky
/// lets 10 pools of processes start each other.
const DEEPEST: u32 = 24;

thread_local! {
    static HERE: Cell<Here> = Cell::new(Here { depth: u32::from(crate::worker::cores().is_some()), run: 0 });
}

/// The run that a thread works for: how many it stands in, itself too, and its number in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Here {
    depth: u32,
    run: u64,
}

/// What this thread works for.
pub(crate) fn here() -> Here {
    HERE.get()
}

/// How many runs this thread's work stands in. In a worker process one at least: that of its driver.
fn depth() -> u32 {
    HERE.get().depth
}

/// As long as it lives, what this thread does belongs to a run: it is one deeper, and no [scope](super::Config::scope) reaches it.
#[must_use]
pub(crate) struct Inside {
    before: Here,
    _scope: Scope,
    /// It belongs to its thread.
    _here: PhantomData<*const ()>,
}

impl Inside {
    /// A run begins, on the thread that asked for it.
    ///
    /// # Errors
    /// It would be too deep.
    pub(crate) fn enter() -> Result<Inside> {
        let depth = depth();
        if depth >= DEEPEST {
            return Err(Error::invalid_option(format!(
                "this run would be number {} of runs that were started by a task of the one before, and at most \
                 {DEEPEST} may be: does a task start a run of itself without end? End the recursion earlier, or put what \
                 the inner run has to do into the input of the outer one",
                depth + 1
            )));
        }
        static RUNS: AtomicU64 = AtomicU64::new(1);
        Ok(Inside::at(Here { depth: depth + 1, run: RUNS.fetch_add(1, Relaxed) }))
    }

    /// This thread works for this run.
    pub(crate) fn at(here: Here) -> Inside {
        Inside { before: HERE.replace(here), _scope: Scope::enter(None), _here: PhantomData }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        HERE.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_may_be_so_deep_and_no_deeper() {
        let runs: Vec<Inside> = (0..DEEPEST).map(|_| Inside::enter().unwrap()).collect();
        let error = Inside::enter().err().unwrap();
        assert!(error.is_invalid_option());
        assert!(error.to_string().starts_with("this run would be number 25 of runs"), "{error}");
        // The first to be made is the last to end, as on a stack.
        runs.into_iter().rev().for_each(drop);
        assert_eq!(depth(), 0);
        assert!(Inside::enter().is_ok());
    }

    #[test]
    fn another_thread_is_as_deep_as_it_is_told() {
        let _run = Inside::enter().unwrap();
        let here = here();
        let there = std::thread::spawn(move || {
            let before = depth();
            let within = {
                let _run = Inside::at(here);
                depth()
            };
            (before, within, depth())
        });
        assert_eq!(there.join().unwrap(), (0, 1, 0));
    }

    #[test]
    fn a_panic_leaves_the_depth_as_it_was() {
        let caught = crate::panics::catch(|| {
            let _run = Inside::enter().unwrap();
            panic!("(this panic belongs to the test)");
        });
        assert!(caught.is_err());
        assert_eq!(depth(), 0);
    }
}
