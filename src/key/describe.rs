//! Short texts of values: what a report, a failure or a record shows of an argument.

use std::fmt::Write;

use serde::Serialize;

use super::ignores;
use crate::task::{Parameter, Task};
use crate::walk::{Group, Halt, Primitive, Step, Visit, walk};

/// A text stops after about this many characters; long arrays are never read to their end.
const TEXT_CHARS: usize = 80;

/// `name(x = 1, table = [1.0, 2.0, …])`: a call of `T` as text.
pub(crate) fn call<T: Task>(args: &T::Args<'_>) -> String {
    let name = T::NAME.rsplit("::").next().unwrap_or(T::NAME);
    format!("{name}({})", arguments(args, T::PARAMETERS))
}

/// `x = 1, table = [1.0, 2.0, …]`: the elements of an argument tuple with their names.
pub(crate) fn arguments<A: Serialize + ?Sized>(args: &A, parameters: &[Parameter]) -> String {
    named(&each(args, 0), parameters)
}

/// Texts of arguments with their parameters' names.
pub(crate) fn named(texts: &[String], parameters: &[Parameter]) -> String {
    let mut line = String::new();
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        if let Some(parameter) = parameters.get(index) {
            line.push_str(parameter.name);
            line.push_str(" = ");
        }
        line.push_str(text);
    }
    line
}

/// The text of each element of an argument tuple; those whose bit in `ignored` is set are not looked at, and are `_`.
pub(crate) fn each<A: Serialize + ?Sized>(args: &A, ignored: u32) -> Vec<String> {
    let mut text = Text { elements: Some(Vec::new()), ignored, ..Text::default() };
    let end = walk(args, &mut text);
    let mut texts = text.elements.take().unwrap_or_default();
    if let Err(Halt::Refused(words)) = end {
        texts.push(format!("<{words}>"));
    }
    texts
}

/// The text of one value.
pub(crate) fn value<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = Text::default();
    match walk(value, &mut text) {
        Err(Halt::Refused(words)) => format!("<{words}>"),
        _ => text.take(),
    }
}

/// A text as it is, without control characters, and cut where it is long.
pub(crate) fn cut(text: &str) -> String {
    let mut end = text.char_indices().skip(TEXT_CHARS);
    match end.next() {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}

#[derive(Default)]
struct Text {
    line: String,
    /// Characters in `line`.
    chars: usize,
    depth: usize,
    /// Set while the elements of the outermost tuple are told apart.
    elements: Option<Vec<String>>,
    /// Which of the elements are passed over.
    ignored: u32,
    full: bool,
}

/// Whether an element was written in this group before, and what closes it.
struct Frame {
    started: bool,
    close: &'static str,
    separates_elements: bool,
}

impl Text {
    fn put(&mut self, text: &str) -> Step {
        let room = TEXT_CHARS.saturating_sub(self.chars);
        match text.char_indices().nth(room) {
            None => {
                self.chars += if text.is_ascii() { text.len() } else { text.chars().count() };
                self.line.push_str(text);
                Ok(())
            }
            Some((cut, _)) => {
                self.line.push_str(&text[..cut]);
                self.chars = TEXT_CHARS;
                self.full = true;
                Err(Halt::Enough)
            }
        }
    }

    /// Formats straight into the line.
    fn put_fmt(&mut self, words: std::fmt::Arguments<'_>) -> Step {
        // The only error of `put` is that the line is full, which `full` says.
        match self.write_fmt(words) {
            Ok(()) => Ok(()),
            Err(_) => Err(Halt::Enough),
        }
    }

    fn take(&mut self) -> String {
        let mut line = std::mem::take(&mut self.line);
        self.chars = 0;
        if std::mem::take(&mut self.full) {
            line.push('…');
        }
        line
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.put(text).map_err(|_| std::fmt::Error)
    }
}

impl Visit for Text {
    type Frame = Frame;
    const FOR_PEOPLE: bool = true;

    fn primitive<P: Primitive>(&mut self, value: P) -> Step {
        match P::TAG {
            b'c' => self.put_fmt(format_args!("'{value}'")),
            b'f' | b'd' => {
                let start = self.line.len();
                self.put_fmt(format_args!("{value}"))?;
                if self.line[start..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
                    self.put(".0")?;
                }
                Ok(())
            }
            _ => self.put_fmt(format_args!("{value}")),
        }
    }

    fn run<P: Primitive>(&mut self, values: &[P]) -> Step {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.put(", ")?;
            }
            self.primitive(*value)?;
        }
        Ok(())
    }

    fn text(&mut self, value: &str) -> Step {
        // Only as much as can be shown is quoted and escaped.
        let shown = value.char_indices().nth(TEXT_CHARS + 1).map_or(value, |(cut, _)| &value[..cut]);
        self.put_fmt(format_args!("{shown:?}"))
    }

    fn unit(&mut self, name: &'static str) -> Step {
        self.put(if name.is_empty() { "()" } else { name })
    }

    fn none(&mut self) -> Step {
        self.put("None")
    }

    fn unit_variant(&mut self, _: &'static str, variant: &'static str) -> Step {
        self.put(variant)
    }

    fn begin(&mut self, group: Group) -> Result<Frame, Halt> {
        self.depth += 1;
        if self.depth == 1 && self.elements.is_some() && group == Group::Tuple {
            return Ok(Frame { started: false, close: "", separates_elements: true });
        }
        let (name, open, close) = match group {
            Group::Some => ("Some", "(", ")"),
            Group::List => ("", "[", "]"),
            Group::Set | Group::Map => ("", "{", "}"),
            Group::Tuple => ("", "(", ")"),
            Group::Newtype(name) | Group::TupleStruct(name) => (name, "(", ")"),
            Group::Struct(name) => (name, " { ", " }"),
            Group::NewtypeVariant(_, variant) | Group::TupleVariant(_, variant) => (variant, "(", ")"),
            Group::StructVariant(_, variant) => (variant, " { ", " }"),
        };
        self.put(name)?;
        self.put(open)?;
        Ok(Frame { started: false, close, separates_elements: false })
    }

    fn item(&mut self, frame: &mut Frame, field: Option<&'static str>) -> Step {
        if frame.started && !frame.separates_elements {
            self.put(", ")?;
        }
        frame.started = true;
        match field {
            Some(field) => self.put_fmt(format_args!("{field}: ")),
            None => Ok(()),
        }
    }

    fn arrow(&mut self) -> Step {
        self.put(": ")
    }

    fn passes_over(&mut self, frame: &mut Frame) -> bool {
        match &mut self.elements {
            Some(elements) if frame.separates_elements && ignores(self.ignored, elements.len()) => {
                elements.push("_".to_owned());
                true
            }
            _ => false,
        }
    }

    /// A cut argument does not cost the next ones their turn.
    fn goes_on(&self, frame: &Frame) -> bool {
        frame.separates_elements
    }

    fn item_end(&mut self, frame: &mut Frame) -> Step {
        if frame.separates_elements {
            self.depth = 1;
            let text = self.take();
            if let Some(elements) = &mut self.elements {
                elements.push(text);
            }
        }
        Ok(())
    }

    fn end(&mut self, _: Group, frame: Frame) -> Step {
        self.depth -= 1;
        self.put(frame.close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    struct Point {
        x: f64,
        label: Option<&'static str>,
    }

    #[test]
    fn texts_read_like_rust() {
        let point = Point { x: 2.0, label: Some("a\"b") };
        assert_eq!(value(&point), r#"Point { x: 2.0, label: Some("a\"b") }"#);
        assert_eq!(value(&vec![1u8, 2]), "[1, 2]");
        assert_eq!(value(&(1, 'x', ())), "(1, 'x', ())");
        assert_eq!(value(&BTreeMap::from([("k", f64::NAN)])), r#"{"k": NaN}"#);
        assert_eq!(each(&(1, "two", vec![3.5]), 0), ["1", "\"two\"", "[3.5]"]);
    }

    #[test]
    fn long_values_are_cut_and_the_next_argument_still_shows() {
        let long: Vec<u64> = (0..1_000_000).collect();
        let text = value(&long);
        assert!(
            text.starts_with("[0, 1, 2") && text.ends_with('…') && text.chars().count() <= TEXT_CHARS + 1,
            "{text}"
        );
        let texts = each(&(&long, 7), 0);
        assert_eq!(texts[1], "7");
        assert_eq!(value(&"é".repeat(500)).chars().count(), TEXT_CHARS + 1);
    }

    #[test]
    fn ignored_arguments_are_not_looked_at() {
        struct Handle;
        impl Serialize for Handle {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                unreachable!("nobody looks at it")
            }
        }
        assert_eq!(each(&(Handle, 1, Handle, (2, 3)), 0b101), ["_", "1", "_", "(2, 3)"]);
    }
}
