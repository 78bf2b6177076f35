//! The terminal, shared by progress bars and by lines.
//!
//! Bars are redrawn in place: what anyone else prints meanwhile is painted over. Lines that go through here are set above
//! the bars instead.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard};

use indicatif::MultiProgress;

use crate::lock::lock;

/// The bars on the screen, the latest last.
static BARS: Mutex<Vec<MultiProgress>> = Mutex::new(Vec::new());

/// Writes a line to stderr, above the progress bars if there are any.
///
/// For what a task or a program says while a [`Parallel`](crate::Parallel) shows bars: `eprintln!` and `println!` would
/// be painted over. A closed stderr is no error.
///
/// # Examples
/// ```
/// let squares = larder::Parallel::new().progress(larder::Progress::Bar).map(0..3, |x| {
///     larder::print_line(&format!("squaring {x}"));
///     x * x
/// })?;
/// # Ok::<(), larder::Error>(())
/// ```
pub fn print_line(line: &str) {
    print_to(Stream::Err, line);
}

/// Where a line goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    #[cfg_attr(not(unix), expect(dead_code, reason = "only worker processes write there"))]
    Out,
    Err,
}

/// Writes a line, above the progress bars if there are any.
pub(crate) fn print_to(stream: Stream, line: &str) {
    let bars = bars().last().cloned();
    let write = || {
        // Whoever closed the stream does not want to hear of it.
        let _ = match stream {
            Stream::Out => writeln!(io::stdout().lock(), "{line}"),
            Stream::Err => writeln!(io::stderr().lock(), "{line}"),
        };
    };
    match bars {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Bars that are on the screen until this drops.
pub(crate) struct OnScreen {
    id: usize,
}

impl OnScreen {
    pub(crate) fn show(drawn: &MultiProgress) -> OnScreen {
        let mut bars = bars();
        bars.push(drawn.clone());
        OnScreen { id: bars.len() }
    }
}

impl Drop for OnScreen {
    fn drop(&mut self) {
        // Runs at once have no order; the last bars to go leave none.
        let mut bars = bars();
        let last = self.id.min(bars.len());
        if last > 0 {
            bars.remove(last - 1);
        }
    }
}

fn bars() -> MutexGuard<'static, Vec<MultiProgress>> {
    lock(&BARS)
}
