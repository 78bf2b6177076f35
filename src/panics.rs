//! Where panics of the user's code are caught: a panic of a task is a value with its message and place.
//!
//! `catch_unwind` alone loses where the panic happened; only a panic hook is told. A hook is set once, in front of the
//! one that stood before, and keeps quiet on threads that are just then catching: their panic will be reported as a
//! failure, by whoever asked for the call. A program that sets a hook later replaces this one; then only the message is
//! known, and the program's own hook prints.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, Once};

use crate::lock::whole;

/// A caught panic.
#[derive(Debug)]
pub struct Panic {
    message: String,
    place: Option<Place>,
    /// Behind a lock, which nobody else ever wants: so an error can be shared between threads, as boxed errors must be.
    payload: Option<Mutex<Box<dyn Any + Send>>>,
}

#[derive(Debug)]
struct Place {
    location: String,
    backtrace: Option<String>,
}

impl Panic {
    /// A panic in another process, by what that one says of it.
    #[cfg(unix)]
    pub(crate) fn told(message: String, location: Option<String>, backtrace: Option<String>) -> Panic {
        let place = location.map(|location| Place { location, backtrace });
        Panic { message, place, payload: None }
    }

    /// What the panic said; a sentence of ours where its payload is no text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where it happened, as `file:line:column`, if known.
    pub fn location(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.location.as_str())
    }

    /// The stack at the panic, if the program asks for backtraces (`RUST_BACKTRACE=1`).
    pub fn backtrace(&self) -> Option<&str> {
        self.place.as_ref().and_then(|place| place.backtrace.as_deref())
    }

    /// Panics again with what the first panic carried, without a second report.
    pub fn resume(self) -> ! {
        match self.payload {
            Some(payload) => panic::resume_unwind(whole(payload.into_inner())),
            None => panic::resume_unwind(Box::new(self.message)),
        }
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.location() {
            Some(location) => write!(f, " (at {location})"),
            None => Ok(()),
        }
    }
}

thread_local! {
    /// How many catches are under way on this thread.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    static LAST: RefCell<Option<Place>> = const { RefCell::new(None) };
}

fn take_last() -> Option<Place> {
    LAST.try_with(RefCell::take).ok().flatten()
}

/// Runs `f`; its panic, if any, becomes the error.
///
/// What `f` was changing when it panicked may be half changed: callers drop it or do not look at it again.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    static HOOK: Once = Once::new();
    // The hook cannot be changed by a thread that is panicking; then this catch is without a place.
    let install = |hook: &Once, set: &dyn Fn()| {
        if !std::thread::panicking() {
            hook.call_once(set)
        }
    };
    install(&HOOK, &|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CATCHING.get() == 0 {
                return before(info);
            }
            let backtrace = Backtrace::capture();
            let place = Place {
                location: info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string),
                backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
            };
            // Gone at the very end of a thread: then the panic has no place.
            let _ = LAST.try_with(|last| last.replace(Some(place)));
        }));
    });
    // What an earlier panic left, that was caught by others.
    take_last();
    CATCHING.set(CATCHING.get() + 1);
    let end = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(CATCHING.get() - 1);
    end.map_err(|payload| {
        let message = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "a panic with a payload that is no text".to_owned(),
        };
        Panic { message, place: take_last(), payload: Some(Mutex::new(payload)) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_value_with_its_place() {
        let panic = catch(|| panic!("no {}", "good")).unwrap_err();
        assert_eq!(panic.message(), "no good");
        assert!(panic.location().is_some_and(|place| place.starts_with("src/panics.rs:")), "{panic:?}");
        assert_eq!(catch(|| 7).unwrap(), 7);
    }

    #[test]
    fn an_error_can_be_boxed_as_others_can() {
        fn boxed(error: crate::Error) -> Box<dyn std::error::Error + Send + Sync> {
            error.into()
        }
        let error = crate::Parallel::new().n_jobs(0).map(0..1, |x| x).unwrap_err();
        assert!(boxed(error).to_string().contains("`n_jobs` is 0"));
    }

    #[test]
    fn a_resumed_panic_keeps_its_payload() {
        let panic = catch(|| panic::panic_any(42_u8)).unwrap_err();
        let again = panic::catch_unwind(AssertUnwindSafe(|| panic.resume())).unwrap_err();
        assert_eq!(again.downcast_ref::<u8>(), Some(&42));
    }

    #[test]
    fn an_inner_catch_does_not_silence_the_outer_one() {
        let outer = catch(|| {
            let inner = catch(|| panic!("inner")).unwrap_err();
            panic!("outer after {}", inner.message());
        });
        assert_eq!(outer.unwrap_err().message(), "outer after inner");
    }
}
