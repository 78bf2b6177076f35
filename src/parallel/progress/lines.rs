//! Progress in words: the text of a state, and plain lines of it.

use std::io::Write;
use std::time::Duration;

use super::bars::rows;
use super::reporter::Draw;
use super::{Snapshot, Stage};

/// Writes a line now and then, and one at the end.
pub(super) struct Lines<W> {
    sink: W,
    label: String,
    written: u32,
    per_worker: bool,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(sink: W, label: &str) -> Lines<W> {
        Lines { sink, label: label.to_owned(), written: 0, per_worker: false }
    }

    /// Each line also has what every worker has done.
    pub(super) fn per_worker(self) -> Lines<W> {
        Lines { per_worker: true, ..self }
    }
}

impl<W: Write + Send> Draw for Lines<W> {
    fn draw(&mut self, snapshot: &Snapshot<'_>) {
        let shares = if self.per_worker { shares(snapshot.per_worker) } else { String::new() };
        write_line(&mut self.sink, &self.label, &format!("{}{shares}", status(snapshot)));
        self.written += 1;
    }

    fn pause(&mut self) -> Duration {
        pause_after(self.written)
    }
}

/// Writes `larder: label: text` in one piece, so that lines of several processes do not mix. Failing is ignored: a
/// closed stderr is no reason to fail a run (and `eprintln!` would panic).
pub(super) fn write_line(sink: &mut impl Write, label: &str, text: &str) {
    let _ = sink.write_all(format!("{}\n", line(label, text)).as_bytes());
}

/// `larder: label: text`.
pub(super) fn line(label: &str, text: &str) -> String {
    let separator = if label.is_empty() { "" } else { ": " };
    format!("larder: {label}{separator}{text}")
}

/// What each worker has done, as ` (workers: 120, 130)`: by the order of their numbers, and those beyond the bars there
/// would be in one sum.
fn shares(per_worker: &[u64]) -> String {
    let rows: Vec<String> = rows(per_worker).iter().map(u64::to_string).collect();
    match rows.split_last() {
        Some((others, shown)) if per_worker.len() > rows.len() => {
            format!(" (workers: {}; others: {others})", shown.join(", "))
        }
        _ => format!(" (workers: {})", rows.join(", ")),
    }
}

/// How long to wait before the next line: 1 s for the first, then 2, 4, 8, 16 and 30 s.
fn pause_after(lines: u32) -> Duration {
    Duration::from_secs(1 << lines.min(5)).min(Duration::from_secs(30))
}

/// The state in words, without the label.
pub(super) fn status(snapshot: &Snapshot<'_>) -> String {
    let done = snapshot.done;
    let count = snapshot.total.map_or(format!("{done}"), |total| format!("{done}/{total}"));
    let elapsed = duration(snapshot.elapsed);
    let rate = rate(snapshot.rate());
    match snapshot.stage {
        Stage::Completed => format!("{count} done in {elapsed}, {rate}"),
        // It came to its end all the same.
        Stage::Stopped if snapshot.total == Some(done) => format!("{count} done in {elapsed}, {rate}, some failed"),
        Stage::Stopped => format!("stopped at {count} after {elapsed}, {rate}"),
        Stage::Running => {
            let percent = snapshot.total.map(|total| format!(" ({}%)", percent(done, total))).unwrap_or_default();
            let eta = snapshot.remaining().map(|left| format!(", eta {}", duration(left))).unwrap_or_default();
            format!("{count}{percent}, {rate}{eta}")
        }
    }
}

/// Rounded down, so that 100 means all.
fn percent(done: u64, total: u64) -> u128 {
    u128::from(done) * 100 / u128::from(total.max(1))
}

/// Two units at most, rounded down: `35ms`, `2.1s`, `3m 05s`, `2h 05m`, `3d 04h`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.subsec_millis()),
        1..60 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// `1.2k/s`, `476/s`; slow ones by the minute or the hour: `30/min`, `3.6/h`.
fn rate(per_second: f64) -> String {
    if per_second == 0.0 {
        return "0/s".to_owned();
    }
    let scales = [(1.0, "s"), (60.0, "min"), (3600.0, "h")];
    let (seconds, unit) = scales.into_iter().find(|(seconds, _)| per_second * seconds >= 1.0).unwrap_or(scales[2]);
    let mut number = per_second * seconds;
    let mut prefix = "";
    for larger in ["k", "M", "G"] {
        // What would print as 1000 goes on to the next prefix.
        if number >= 999.5 {
            (number, prefix) = (number / 1000.0, larger);
        }
    }
    let decimals = usize::from(number < 9.95);
    format!("{number:.decimals$}{prefix}/{unit}")
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn states_read_as_documented() {
        let text = |done, total, stage| {
            let elapsed = Duration::from_millis(2100);
            status(&Snapshot { total, done, elapsed, stage, ..Snapshot::default() })
        };
        assert_eq!(text(0, Some(1000), Stage::Running), "0/1000 (0%), 0/s");
        assert_eq!(text(999, Some(1000), Stage::Running), "999/1000 (99%), 476/s, eta 2ms");
        assert_eq!(text(400, None, Stage::Running), "400, 190/s");
        assert_eq!(text(1000, Some(1000), Stage::Completed), "1000/1000 done in 2.1s, 476/s");
        assert_eq!(text(1000, None, Stage::Completed), "1000 done in 2.1s, 476/s");
        assert_eq!(text(0, Some(0), Stage::Completed), "0/0 done in 2.1s, 0/s");
        assert_eq!(text(20, Some(20), Stage::Stopped), "20/20 done in 2.1s, 9.5/s, some failed");
        assert_eq!(text(312, Some(1000), Stage::Stopped), "stopped at 312/1000 after 2.1s, 149/s");
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }

    #[test]
    fn durations_keep_two_units() {
        let short = [(0, "0ms"), (999, "999ms"), (1_000, "1.0s"), (59_999, "59.9s"), (60_000, "1m 00s")];
        let long = [(3_599_999, "59m 59s"), (7_500_000, "2h 05m"), (86_400_000, "1d 00h"), (273_600_000, "3d 04h")];
        for (millis, text) in short.into_iter().chain(long) {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn rates_keep_two_or_three_digits() {
        let slow = [(0.0, "0/s"), (0.0001, "0.4/h"), (0.001, "3.6/h"), (0.5, "30/min"), (1.0, "1.0/s")];
        let fast = [(9.94, "9.9/s"), (9.96, "10/s"), (476.2, "476/s"), (999.6, "1.0k/s"), (1_234.0, "1.2k/s")];
        let huge = [(999_600.0, "1.0M/s"), (5e12, "5000G/s")];
        for (per_second, text) in slow.into_iter().chain(fast).chain(huge) {
            assert_eq!(rate(per_second), text);
        }
    }

    #[test]
    fn lines_come_at_growing_pauses() {
        let mut sink = Vec::new();
        let mut lines = Lines::new(&mut sink, "approximate_pi");
        let mut pauses = Vec::new();
        for done in 0..7 {
            pauses.push(lines.pause().as_secs());
            let stage = if done == 6 { Stage::Completed } else { Stage::Running };
            let elapsed = Duration::from_secs(2);
            lines.draw(&Snapshot { total: Some(6), done, elapsed, stage, ..Snapshot::default() });
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        write_line(&mut sink, "", "no label");
        let text = String::from_utf8_lossy(&sink);
        assert!(text.starts_with("larder: approximate_pi: 0/6 (0%), 0/s\n"), "{text}");
        assert!(text.ends_with("\nlarder: approximate_pi: 6/6 done in 2.0s, 3.0/s\nlarder: no label\n"), "{text}");
        assert_eq!(text.lines().count(), 8);
    }

    #[test]
    fn lines_can_name_each_workers_share() {
        let text = |counts: &[u64]| {
            let mut sink = Vec::new();
            let done = counts.iter().sum();
            let elapsed = Duration::from_secs(2);
            let now = Snapshot { total: Some(100), done, per_worker: counts, elapsed, ..Snapshot::default() };
            Lines::new(&mut sink, "f").per_worker().draw(&now);
            String::from_utf8(sink).unwrap()
        };
        assert_eq!(text(&[12, 8]), "larder: f: 20/100 (20%), 10/s, eta 8.0s (workers: 12, 8)\n");
        let many = text(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(many.ends_with(" (workers: 1, 2, 3, 4, 5, 6, 7; others: 17)\n"), "{many}");
    }
}
