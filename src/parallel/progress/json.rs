//! What happens in a run as JSON, one object in a line.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::Mutex;
use std::time::Duration;

use super::Snapshot;
use super::event::{Event, EventKind, Field};
use super::observer::Observer;
use crate::lock::lock;
use crate::screen::print_line;

/// An [`Observer`] that writes what happens as JSON, one object in a line: to a file, a pipe, a socket.
/// [`Progress::JsonLines`](crate::Progress::JsonLines) writes the same to stderr.
///
/// Each object begins with the same four fields: `event` (the [name](EventKind::name) of the event, as `batch_ended`), `run`
/// (a number), `label` (a text) and `at` (seconds since the start of the run). The fields of the event follow, under the
/// names that [`EventKind`] has for them: times are seconds, what is not known is `null`, and a
/// [`FailureKind`](crate::FailureKind), a [`MissReason`](crate::MissReason) or a [`Backend`](crate::Backend) is its name as
/// in `never_seen`. Once a second and at the end comes an object whose `event` is `progress`, with `total`, `done`,
/// `per_worker` (a list), `rate` (items per second), `remaining` (seconds), `finished` and `completed`: what a [`Snapshot`]
/// has. Fields may be added in later releases.
///
/// Lines are written as events are told, and flushed with each `progress` and at the end of a run: a writer that is no file
/// in memory is best given a [`BufWriter`](std::io::BufWriter). When the writer fails, a line on stderr says so, and no
/// more is written to it.
///
/// # Examples
/// ```
/// use std::fs::File;
/// use std::io::BufWriter;
///
/// use larder::{JsonLines, Parallel};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("run.jsonl");
/// let log = JsonLines::new(BufWriter::new(File::create(&path).unwrap()));
/// Parallel::new().n_jobs(2).label("squares").observer(log).map(0..100, |x| x * x)?;
///
/// let text = std::fs::read_to_string(&path).unwrap();
/// assert!(text.starts_with(r#"{"event":"run_started","run":"#) && text.contains(r#""label":"squares","at":0."#));
/// assert!(text.lines().last().unwrap().starts_with(r#"{"event":"run_ended","run":"#));
/// # Ok::<(), larder::Error>(())
/// ```
pub struct JsonLines<W> {
    /// `None` once it has failed.
    writer: Mutex<Option<W>>,
    tasks: bool,
    say: fn(&str),
}

impl<W: Write + Send> JsonLines<W> {
    /// Writes to `writer`.
    pub fn new(writer: W) -> JsonLines<W> {
        JsonLines { writer: Mutex::new(Some(writer)), tasks: false, say: print_line }
    }

    /// Writes when each single item begins and ends, too: see [`Observer::wants_tasks`].
    pub fn with_tasks(self) -> JsonLines<W> {
        JsonLines { tasks: true, ..self }
    }

    fn write(&self, line: &str, flush: bool) {
        let mut slot = lock(&self.writer);
        let Some(writer) = &mut *slot else { return };
        // In one piece, so that lines of several processes do not mix.
        let written = writer.write_all(line.as_bytes());
        let written = if flush { written.and_then(|()| writer.flush()) } else { written };
        if let Err(error) = written {
            *slot = None;
            drop(slot);
            (self.say)(&format!("larder: JSON lines cannot be written, and no more are: {error}"));
        }
    }
}

impl<W: Write + Send> Observer for JsonLines<W> {
    fn event(&self, event: &Event<'_>) {
        let Event { run, label, at, kind } = *event;
        let mut object = Object::new(kind.name(), run.as_u64(), label, at);
        kind.each_field(|name, field| object.field(name, field));
        self.write(&object.end(), matches!(kind, EventKind::RunEnded { .. }));
    }

    fn tick(&self, now: &Snapshot<'_>) {
        let mut object = Object::new("progress", now.run().as_u64(), now.label(), now.elapsed());
        object.field("total", Field::Number(now.total()));
        object.field("done", Field::Number(Some(now.done())));
        object.list("per_worker", now.per_worker());
        object.float("rate", now.rate());
        object.field("remaining", Field::Time(now.remaining()));
        object.field("finished", Field::Flag(now.finished()));
        object.field("completed", Field::Flag(now.completed()));
        self.write(&object.end(), true);
    }

    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn wants_tasks(&self) -> bool {
        self.tasks
    }
}

impl<W> fmt::Debug for JsonLines<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// A JSON object in the making. Nothing fails here: it is a text in memory.
struct Object(String);

impl Object {
    fn new(event: &str, run: u64, label: &str, at: Duration) -> Object {
        let mut object = Object("{".to_owned());
        object.field("event", Field::Text(event));
        object.field("run", Field::Number(Some(run)));
        object.field("label", Field::Text(label));
        object.field("at", Field::Time(Some(at)));
        object
    }

    /// Names are ours, and need no care.
    fn name(&mut self, name: &str) {
        let separator = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{separator}\"{name}\":");
    }

    fn field(&mut self, name: &str, field: Field<'_>) {
        self.name(name);
        match field {
            Field::Number(Some(number)) => drop(write!(self.0, "{number}")),
            Field::Time(Some(time)) => drop(write!(self.0, "{:.6}", time.as_secs_f64())),
            Field::Number(None) | Field::Time(None) => self.0.push_str("null"),
            Field::Flag(flag) => drop(write!(self.0, "{flag}")),
            Field::Text(text) => self.text(text),
        }
    }

    /// JSON has no infinity, and no number that is none.
    fn float(&mut self, name: &str, float: f64) {
        self.name(name);
        let _ = if float.is_finite() { write!(self.0, "{float:.3}") } else { write!(self.0, "null") };
    }

    fn list(&mut self, name: &str, numbers: &[u64]) {
        self.name(name);
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let _ = write!(self.0, "[{}]", numbers.join(","));
    }

    /// RFC 8259: quotes, backslashes and the characters below U+0020 are escaped, and nothing else has to be.
    fn text(&mut self, text: &str) {
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                control if control < ' ' => drop(write!(self.0, "\\u{:04x}", u32::from(control))),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }

    fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

#[cfg(test)]
mod test {
    use std::io::{self, ErrorKind};
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::event::RunId;
    use super::*;
    use crate::parallel::FailureKind;

    fn written(tell: impl Fn(&JsonLines<Vec<u8>>)) -> Vec<Value> {
        let lines = JsonLines::new(Vec::new());
        tell(&lines);
        let bytes = lock(&lines.writer).take().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    }

    fn event(label: &str, kind: &EventKind) -> Value {
        let at = Duration::from_millis(1500);
        written(|lines| lines.event(&Event { run: RunId::default(), label, at, kind })).remove(0)
    }

    #[test]
    fn events_have_their_fields() {
        let message = "it said \"no\"\n\u{1}\\".to_owned();
        let failed = EventKind::TaskFailed { worker: 1, index: 7, attempts: 2, kind: FailureKind::Panic, message };
        assert_eq!(
            event("f", &failed),
            json!({
                "event": "task_failed", "run": 0, "label": "f", "at": 1.5, "worker": 1, "index": 7, "attempts": 2,
                "kind": "panic", "message": "it said \"no\"\n\u{1}\\",
            })
        );
        let hit = EventKind::CacheHit { worker: 0, index: None, calls: 3 };
        assert_eq!(event("f", &hit)["index"], Value::Null);
    }

    #[test]
    fn ticks_are_objects_too() {
        let (elapsed, per_worker) = (Duration::from_secs(2), &[3, 1][..]);
        let now = Snapshot { total: Some(8), done: 4, per_worker, elapsed, label: "f", ..Snapshot::default() };
        assert_eq!(
            written(|lines| lines.tick(&now)),
            [json!({
                "event": "progress", "run": 0, "label": "f", "at": 2.0, "total": 8, "done": 4, "per_worker": [3, 1],
                "rate": 2.0, "remaining": 2.0, "finished": false, "completed": false,
            })]
        );
        let odd = Snapshot { speed: Some(f64::INFINITY), ..Snapshot::default() };
        assert_eq!(written(|lines| lines.tick(&odd))[0]["rate"], Value::Null);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in ".*") {
            let why = text.clone();
            let died = event(&text, &EventKind::WorkerDied { worker: 0, pid: Some(1), why });
            prop_assert_eq!(&died["why"], &text);
            prop_assert_eq!(&died["label"], &text);
        }
    }

    #[test]
    fn a_writer_that_fails_is_told_once() {
        static SAID: AtomicU32 = AtomicU32::new(0);
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut lines = JsonLines::new(Full);
        lines.say = |line| {
            assert!(line.starts_with("larder: JSON lines cannot be written, and no more are: "), "{line}");
            SAID.fetch_add(1, Relaxed);
        };
        (0..3).for_each(|_| lines.tick(&Snapshot::default()));
        assert_eq!(SAID.load(Relaxed), 1);
    }
}
