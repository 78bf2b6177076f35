//! What a memory says: its verbose lines, and each warning once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lock::lock;
use crate::screen::print_line;

/// Where lines go: one call per line or block of lines, without the final line break.
pub(crate) type Sink = Arc<dyn Fn(&str) + Send + Sync>;

const WIDTH: usize = 80;

pub(crate) struct Reporter {
    verbose: u8,
    sink: Sink,
    warned: Mutex<HashSet<String>>,
}

impl Reporter {
    pub(crate) fn new(verbose: u8, sink: Option<Sink>) -> Reporter {
        let sink = sink.unwrap_or_else(|| Arc::new(print_line));
        Reporter { verbose, sink, warned: Mutex::default() }
    }

    #[inline]
    #[cfg(unix)]
    pub(crate) fn level(&self) -> u8 {
        self.verbose
    }

    pub(crate) fn is_verbose(&self, level: u8) -> bool {
        self.verbose >= level
    }

    pub(crate) fn line(&self, line: &str) {
        (self.sink)(line);
    }

    pub(crate) fn warn(&self, words: &str) {
        (self.sink)(&format!("larder: warning: {words}"));
    }

    /// Says `words` unless `subject` was warned of before.
    pub(crate) fn warn_once(&self, subject: &str, words: impl FnOnce() -> String) {
        let mut warned = lock(&self.warned);
        if warned.insert(subject.to_owned()) {
            drop(warned);
            self.warn(&words());
        }
    }
}

/// joblib's report before a call: a rule, the function's full name, the call.
pub(crate) fn calling(function: &str, call: &str) -> String {
    format!("{}\n[Memory] Calling {function}...\n{call}", "_".repeat(WIDTH))
}

/// joblib's report after a call: the name and the time it took, at the right margin.
pub(crate) fn called(short_name: &str, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let words = format!("{short_name} - {seconds:.1}s, {:.1}min", seconds / 60.0);
    format!("{words:_>WIDTH$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_joblibs() {
        let before = calling("app::mean", "mean(column = 3)");
        assert_eq!(before.lines().nth(1), Some("[Memory] Calling app::mean..."));
        assert_eq!(before.lines().nth(2), Some("mean(column = 3)"));
        let after = called("mean", Duration::from_millis(90_500));
        assert!(after.ends_with("___mean - 90.5s, 1.5min"), "{after}");
        assert_eq!(after.len(), WIDTH);
    }
}
