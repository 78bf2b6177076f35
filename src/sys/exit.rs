//! Work for the end of the program.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::panic::catch_unwind;
use std::sync::{Mutex, Once};

use crate::lock::lock;

/// What is left to do at the end, set once.
static WORK: Mutex<Option<fn()>> = Mutex::new(None);

/// Has `work` done when the program ends by returning from `main` or by `std::process::exit`. The first call counts.
///
/// Other threads may still be running then, and thread-local values of the main thread may be gone. A program that is
/// killed or aborts does no such work.
pub(crate) fn at_exit(work: fn()) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        *lock(&WORK) = Some(work);
        // SAFETY: `atexit` of the C library, which std links on every platform that has processes, takes a function
        // without arguments and keeps its address; `run` is a static function and never unwinds into its caller.
        let refused = unsafe { atexit(run) };
        // Where no place is left for it, cheap results of the last moments are lost, as in a kill.
        debug_assert_eq!(refused, 0, "the C standard promises room for 32 functions");
    });
}

unsafe extern "C" {
    fn atexit(work: extern "C" fn()) -> c_int;
}

extern "C" fn run() {
    let work = WORK.try_lock().ok().and_then(|mut work| work.take());
    if let Some(work) = work {
        // Nobody is left to tell; the program's end must not become an abort.
        let _ = catch_unwind(work);
    }
}
