//! Progress as bars on a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Snapshot;
use super::lines::status;
use super::reporter::Draw;
use crate::screen::OnScreen;

/// More bars flicker (indicatif #708) and push the user's own output off the screen.
const WORKER_BARS: usize = 8;

/// One bar, or one per worker and a total. Their number never changes: a bar added after the first draw would garble the
/// screen (indicatif #454).
pub(super) struct Bars {
    workers: Vec<ProgressBar>,
    total: ProgressBar,
    _on_screen: OnScreen,
}

impl Bars {
    /// The target on stderr, `None` where bars cannot be shown: no terminal, or `TERM` is unset or `dumb`.
    pub(super) fn stderr() -> Option<ProgressDrawTarget> {
        // Each change of a bar asks for a draw, and a limit of 10 Hz would let the first of a tick through, which shows
        // one bar of nine anew. So the limit is low and `draw` forces one whole picture per tick.
        let target = ProgressDrawTarget::stderr_with_hz(1);
        (!target.is_hidden()).then_some(target)
    }

    /// Bars for `workers` workers, none for 0, and the total.
    pub(super) fn new(target: ProgressDrawTarget, workers: usize, total: Option<u64>, label: &str) -> Bars {
        let screen = MultiProgress::with_draw_target(target);
        screen.set_move_cursor(true);
        let label = if label.is_empty() { "total" } else { label };
        let width = label.chars().count().clamp(9, 20);
        // Widths that leave most runs a line of 80 columns.
        let style = |rest: &str| {
            ProgressStyle::with_template(&format!("{{prefix:>{width}!}} {rest}"))
                .expect("only the width varies")
                .progress_chars("=> ")
        };
        let worker = style("[{bar:20}] {pos} ({percent}%)");
        let whole = style(if total.is_some() { "[{bar:20}] {msg}" } else { "{msg}" });
        // Named and styled before they are added: on the screen, setting a prefix would draw.
        let add = |length: Option<u64>, style: &ProgressStyle, name: String| {
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
            screen.add(bar.with_style(style.clone()).with_prefix(name))
        };
        let names = (0..workers.min(WORKER_BARS)).map(|row| match row {
            row if row + 1 == WORKER_BARS && workers > WORKER_BARS => "others".to_owned(),
            row => format!("worker {row}"),
        });
        Bars {
            _on_screen: OnScreen::show(&screen),
            workers: names.map(|name| add(None, &worker, name)).collect(),
            total: add(total, &whole, label.to_owned()),
        }
    }
}

impl Draw for Bars {
    fn draw(&mut self, snapshot: &Snapshot<'_>) {
        for (bar, count) in self.workers.iter().zip(rows(snapshot.per_worker)) {
            bar.update(|state| {
                // Work is shared out as it comes, so a worker has no length of its own: the bar is its share.
                state.set_len(snapshot.done.max(1));
                state.set_pos(count);
            });
        }
        self.total.update(|state| state.set_pos(snapshot.done));
        if snapshot.finished() {
            self.workers.iter().for_each(ProgressBar::abandon);
            self.total.abandon_with_message(status(snapshot));
        } else {
            self.total.set_message(status(snapshot));
            self.total.force_draw();
        }
    }
}

/// One count per worker bar: the last one sums up the workers that have none.
pub(super) fn rows(per_worker: &[u64]) -> Vec<u64> {
    if per_worker.len() <= WORKER_BARS {
        return per_worker.to_vec();
    }
    let (shown, others) = per_worker.split_at(WORKER_BARS - 1);
    shown.iter().copied().chain([others.iter().sum()]).collect()
}

#[cfg(test)]
mod test {
    use std::time::Duration;

    use indicatif::{InMemoryTerm, TermLike};

    use super::super::Stage;
    use super::*;

    fn snapshot(per_worker: &[u64], total: Option<u64>, stage: Stage) -> Snapshot<'_> {
        let (done, elapsed) = (per_worker.iter().sum(), Duration::from_secs(2));
        Snapshot { total, done, per_worker, elapsed, stage, ..Snapshot::default() }
    }

    /// The lines on an 80-column screen below one of the program's own, after drawing these states.
    fn screen(workers: usize, total: Option<u64>, label: &str, states: &[Snapshot<'_>]) -> Vec<String> {
        let term = InMemoryTerm::new(24, 80);
        term.write_line("before").expect("memory takes it");
        let mut bars = Bars::new(ProgressDrawTarget::term_like(Box::new(term.clone())), workers, total, label);
        assert_eq!(term.contents(), "before", "nothing is drawn before the first tick");
        states.iter().for_each(|state| bars.draw(state));
        let picture = term.contents();
        drop(bars);
        assert_eq!(term.contents() == picture, states.iter().any(Snapshot::finished), "the last state stays");
        picture.lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn one_bar_is_redrawn_in_place_until_it_stays() {
        let running = snapshot(&[100, 150], Some(1000), Stage::Running);
        let done = snapshot(&[400, 600], Some(1000), Stage::Completed);
        assert_eq!(
            screen(0, Some(1000), "approximate_pi", std::slice::from_ref(&running)),
            ["approximate_pi [=====>              ] 250/1000 (25%), 125/s, eta 6.0s"]
        );
        assert_eq!(
            screen(0, Some(1000), "approximate_pi", &[running, done]),
            ["approximate_pi [====================] 1000/1000 done in 2.0s, 500/s"]
        );
        let stopped = snapshot(&[500], Some(1000), Stage::Stopped);
        assert_eq!(
            screen(0, Some(1000), "", &[stopped]),
            ["    total [==========>         ] stopped at 500/1000 after 2.0s, 250/s"]
        );
        let unknown = snapshot(&[500], None, Stage::Running);
        assert_eq!(screen(0, None, "f", &[unknown]), ["        f 500, 250/s"]);
    }

    #[test]
    fn workers_show_their_share_and_the_last_bar_sums_up_the_rest() {
        let nothing = snapshot(&[0; 10], Some(1000), Stage::Running);
        let running = snapshot(&[100, 0, 0, 0, 0, 0, 0, 50, 40, 10], Some(1000), Stage::Running);
        let lines = screen(10, Some(1000), "a_name_that_is_far_too_long", &[nothing, running]);
        assert_eq!(lines.len(), WORKER_BARS + 1);
        assert_eq!(lines[0], "            worker 0 [==========>         ] 100 (50%)");
        assert_eq!(lines[1], "            worker 1 [                    ] 0 (0%)");
        assert_eq!(lines[7], "              others [==========>         ] 100 (50%)");
        assert_eq!(lines[8], "that_is_far_too_long [====>               ] 200/1000 (20%), 100/s, eta 8.0s");
    }

    #[test]
    fn eight_workers_need_no_others() {
        let counts = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(rows(&counts), counts);
        let lines = screen(8, Some(36), "f", &[snapshot(&counts, Some(36), Stage::Completed)]);
        assert_eq!(lines[7], " worker 7 [====>               ] 8 (22%)");
    }
}
