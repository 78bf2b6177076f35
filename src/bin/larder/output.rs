//! What the tool prints: tables for people, or one JSON document.

use std::io::{self, BufWriter, StdoutLock, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::failure::Failure;

/// The standard output.
pub(crate) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    json: bool,
}

/// How a column of a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

impl Output {
    pub(crate) fn new(json: bool) -> Output {
        Output { stdout: BufWriter::new(io::stdout().lock()), json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.stdout.write_all(text.as_bytes())?)
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{line}")?)
    }

    /// The one document.
    pub(crate) fn document(&mut self, document: &Value) -> Result<(), Failure> {
        self.line(&format!("{document:#}"))
    }

    /// Bytes that are the output themselves.
    pub(crate) fn bytes(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// A table without borders.
    pub(crate) fn table(&mut self, columns: &[(&str, Side)], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|(name, _)| *name));
        table.add_rows(rows);
        let last = columns.len().saturating_sub(1);
        for (at, (column, (_, side))) in table.column_iter_mut().zip(columns).enumerate() {
            column.set_padding((0, if at == last { 0 } else { 2 }));
            column.set_cell_alignment(match side {
                Side::Left => CellAlignment::Left,
                Side::Right => CellAlignment::Right,
            });
        }
        for line in table.lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Names and values, one below the other.
    pub(crate) fn pairs(&mut self, pairs: &[(&str, String)]) -> Result<(), Failure> {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        pairs.iter().try_for_each(|(name, value)| self.line(format!("{name:width$}  {value}").trim_end()))
    }

    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }
}
