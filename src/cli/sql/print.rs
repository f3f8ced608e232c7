//! Answers as people and programs read them: a table, values by line, or tabs. The forms are those of the program `mysql`.

use crate::cli::client::{Answers, Column, Done};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Instant;
use unicode_width::UnicodeWidthStr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Table,
    /// A value on each line, as `\G` asks for.
    Vertical,
    /// A row on each line, with the names first; for programs.
    Tabs,
}

/// Writes what the server answers. Rows that come first decide how wide a table is: a long answer is not held.
pub(super) struct Printer<W: Write> {
    to: io::BufWriter<W>,
    look: Look,
    columns: Vec<Column>,
    /// Rows that wait for the widths of a table.
    waiting: Vec<Vec<Option<String>>>,
    waiting_bytes: usize,
    widths: Option<Vec<usize>>,
    rows: u64,
    since: Instant,
}

/// Rows that wait for the widths of a table, and their bytes.
const TABLE_ROWS_MAX: usize = 1000;
const TABLE_BYTES_MAX: usize = 1024 * 1024;

impl<W: Write> Printer<W> {
    pub(super) fn new(to: W, look: Look) -> Self {
        Self {
            to: io::BufWriter::new(to),
            look,
            columns: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            widths: None,
            rows: 0,
            since: Instant::now(),
        }
    }

    /// Also after an error amid the rows.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_waiting()?;
        self.to.flush()
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        if rows.is_empty() {
            return Ok(());
        }
        if self.widths.is_none() {
            let mut widths: Vec<usize> = self.columns.iter().map(|column| column.name.width()).collect();
            for row in &rows {
                for (width, cell) in widths.iter_mut().zip(row) {
                    *width = (*width).max(shown(cell.as_deref()).width());
                }
            }
            self.to.write_all(rule(&widths).as_bytes())?;
            let names: Vec<_> = self.columns.iter().map(|column| (column.name.clone(), false)).collect();
            self.to.write_all(table_row(&widths, &names).as_bytes())?;
            self.to.write_all(rule(&widths).as_bytes())?;
            self.widths = Some(widths);
        }
        let widths = self.widths.as_deref().unwrap_or_default();
        for row in rows {
            let numbers = self.columns.iter().map(|column| column.is_number);
            let cells: Vec<_> = row.iter().map(|cell| shown(cell.as_deref()).to_owned()).zip(numbers).collect();
            self.to.write_all(table_row(widths, &cells).as_bytes())?;
        }
        Ok(())
    }

    fn vertical(&mut self, cells: &[Option<&[u8]>]) -> io::Result<()> {
        let stars = "*".repeat(27);
        writeln!(self.to, "{stars} {}. row {stars}", self.rows)?;
        let width = self.columns.iter().map(|column| column.name.width()).max().unwrap_or_default();
        for (column, cell) in self.columns.iter().zip(cells) {
            let blanks = " ".repeat(width.saturating_sub(column.name.width()));
            writeln!(self.to, "{blanks}{}: {}", column.name, shown(visible(*cell).as_deref()))?;
        }
        Ok(())
    }

    fn tell(&mut self, words: &str) -> io::Result<()> {
        if self.look != Look::Tabs {
            writeln!(self.to, "{words} ({:.2} s)\n", self.since.elapsed().as_secs_f64())?;
        }
        self.since = Instant::now();
        Ok(())
    }
}

impl<W: Write> Answers for Printer<W> {
    fn begin(&mut self, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        (self.widths, self.rows) = (None, 0);
        if self.look == Look::Tabs {
            let names: Vec<_> = columns.iter().map(|column| escaped(Some(column.name.as_bytes()))).collect();
            self.to.write_all(&names.join(&b'\t'))?;
            self.to.write_all(b"\n")?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[Option<&[u8]>]) -> io::Result<()> {
        self.rows += 1;
        match self.look {
            Look::Vertical => self.vertical(cells),
            Look::Tabs => {
                let cells: Vec<_> = cells.iter().map(|cell| escaped(*cell)).collect();
                self.to.write_all(&cells.join(&b'\t'))?;
                self.to.write_all(b"\n")
            }
            Look::Table => {
                self.waiting_bytes += cells.iter().flatten().map(|cell| cell.len()).sum::<usize>();
                self.waiting.push(cells.iter().map(|cell| visible(*cell)).collect());
                if self.waiting.len() >= TABLE_ROWS_MAX || self.waiting_bytes >= TABLE_BYTES_MAX {
                    self.write_waiting()?;
                }
                Ok(())
            }
        }
    }

    fn end(&mut self, rows: u64) -> io::Result<()> {
        self.write_waiting()?;
        if let Some(widths) = self.widths.take() {
            self.to.write_all(rule(&widths).as_bytes())?;
        }
        match rows {
            0 => self.tell("Empty set"),
            1 => self.tell("1 row in set"),
            _ => self.tell(&format!("{rows} rows in set")),
        }
    }

    fn done(&mut self, done: &Done) -> io::Result<()> {
        let rows = if done.affected == 1 { "1 row".to_owned() } else { format!("{} rows", done.affected) };
        let warnings = match done.warnings {
            0 => String::new(),
            1 => ", 1 warning".to_owned(),
            count => format!(", {count} warnings"),
        };
        let info = if done.info.is_empty() { String::new() } else { format!(": {}", done.info) };
        self.tell(&format!("Query OK, {rows} affected{warnings}{info}"))
    }
}

/// A value as a terminal may have it: what would move the cursor or change colours is written in letters.
fn visible(cell: Option<&[u8]>) -> Option<String> {
    let text = String::from_utf8_lossy(cell?);
    if !text.chars().any(char::is_control) {
        return Some(text.into_owned());
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ if character.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\x{:02x}", u32::from(character));
            }
            _ => safe.push(character),
        }
    }
    Some(safe)
}

fn shown(cell: Option<&str>) -> &str {
    cell.unwrap_or("NULL")
}

/// As `mysql --batch` writes values.
fn escaped(cell: Option<&[u8]>) -> Vec<u8> {
    let Some(cell) = cell else { return b"NULL".to_vec() };
    let mut text = Vec::with_capacity(cell.len());
    for byte in cell {
        match byte {
            b'\t' => text.extend_from_slice(b"\\t"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\\' => text.extend_from_slice(b"\\\\"),
            0 => text.extend_from_slice(b"\\0"),
            _ => text.push(*byte),
        }
    }
    text
}

fn rule(widths: &[usize]) -> String {
    let dashes: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    format!("+{}+\n", dashes.join("+"))
}

fn table_row(widths: &[usize], cells: &[(String, bool)]) -> String {
    let mut line = String::new();
    for (width, (cell, is_number)) in widths.iter().zip(cells) {
        let blanks = " ".repeat(width.saturating_sub(cell.width()));
        let (left, right) = if *is_number { (blanks.as_str(), "") } else { ("", blanks.as_str()) };
        // Writing to a String cannot fail.
        let _ = write!(line, "| {left}{cell}{right} ");
    }
    line.push_str("|\n");
    line
}

/// Only the first value.
#[derive(Default)]
pub(super) struct First(pub Option<String>);

impl Answers for First {
    fn begin(&mut self, _columns: &[Column]) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: &[Option<&[u8]>]) -> io::Result<()> {
        if self.0.is_none() {
            self.0 = cells.first().and_then(|cell| visible(*cell));
        }
        Ok(())
    }

    fn end(&mut self, _rows: u64) -> io::Result<()> {
        Ok(())
    }

    fn done(&mut self, _done: &Done) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(look: Look, rows: &[[Option<&str>; 2]]) -> String {
        let mut bytes = Vec::new();
        let mut printer = Printer::new(&mut bytes, look);
        let column = |name: &str, is_number| Column { name: name.to_owned(), is_number };
        printer.begin(&[column("id", true), column("event", false)]).unwrap();
        for row in rows {
            printer.row(&row.map(|cell| cell.map(str::as_bytes))).unwrap();
        }
        printer.end(rows.len() as u64).unwrap();
        printer.finish().unwrap();
        drop(printer);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_table_has_columns_of_one_width() {
        let text =
            printed(Look::Table, &[[Some("5"), Some("Привет")], [Some("1000"), None], [None, Some("日本\u{1b}[2J")]]);
        let table = "\
+------+-------------+
| id   | event       |
+------+-------------+
|    5 | Привет      |
| 1000 | NULL        |
| NULL | 日本\\x1b[2J |
+------+-------------+
3 rows in set (";
        assert!(text.starts_with(table), "{text}");
        assert!(printed(Look::Table, &[]).starts_with("Empty set ("));
    }

    #[test]
    fn a_long_answer_is_not_held() {
        let mut bytes = Vec::new();
        let mut printer = Printer::new(&mut bytes, Look::Table);
        printer.begin(&[Column { name: "id".to_owned(), is_number: true }]).unwrap();
        for row in 0..5 * TABLE_ROWS_MAX {
            printer.row(&[Some(row.to_string().as_bytes())]).unwrap();
            assert!(printer.waiting.len() < TABLE_ROWS_MAX);
        }
        printer.end(5000).unwrap();
        printer.finish().unwrap();
        drop(printer);
        assert_eq!(String::from_utf8(bytes).unwrap().lines().filter(|line| line.starts_with('|')).count(), 5001);
    }

    #[test]
    fn values_by_line_and_for_programs() {
        let text = printed(Look::Vertical, &[[Some("5"), Some("a\tb")]]);
        assert!(text.contains("* 1. row *") && text.contains("\n   id: 5\nevent: a\\tb\n1 row in set ("), "{text}");
        assert_eq!(
            printed(Look::Tabs, &[[Some("5"), Some("a\tb\\")], [None, None]]),
            "id\tevent\n5\ta\\tb\\\\\nNULL\tNULL\n"
        );
    }
}
