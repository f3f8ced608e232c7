//! The plain INSERT, taken apart in one pass over its bytes.
//!
//! Most of what a comet server is sent is `INSERT INTO pipes_messages (name, event, message) VALUES (…)`. This
//! recognises exactly that shape and says "not mine" to everything else, also to all errors: the general parser
//! then decides and finds the words for them. Where both understand a text they give the same values.

use std::borrow::Cow;

use super::literal::{decode, quoted};
use super::modes::Reading;
use super::scanner::{is_blank, is_word_byte};
use super::statement::{Insert, TableName, Value};
use super::words::is_session_word;

/// What [`insert`] gives: an [`Insert`] that borrows from the query.
pub type FastInsert<'a> = Insert<'a>;

/// Values the fast path takes; larger statements go to the general parser, which knows the limits.
const VALUES_MAX: usize = 20_000;

/// `INSERT INTO name (names) VALUES (values)[, (values)] [;]` in any keyword case, with any of the three quotes around
/// names and values; `None` for everything else, which includes text that is not UTF-8.
pub fn insert(query: &[u8], reading: impl Into<Reading>) -> Option<FastInsert<'_>> {
    let query = simdutf8::basic::from_utf8(query).ok()?;
    let mut cursor = Cursor { text: query, bytes: query.as_bytes(), at: 0, reading: reading.into() };
    cursor.blanks();
    cursor.keyword(b"INSERT")?;
    cursor.blanks();
    cursor.keyword(b"INTO")?;
    cursor.blanks();
    let table = TableName::new(cursor.name()?);
    cursor.blanks();
    let mut columns = Vec::with_capacity(4);
    cursor.list(|cursor| {
        columns.push(Cow::Borrowed(cursor.name()?));
        Some(())
    })?;
    cursor.blanks();
    cursor.keyword(b"VALUES")?;
    let mut values = Vec::with_capacity(columns.len());
    let mut width = 0;
    loop {
        cursor.blanks();
        let before = values.len();
        cursor.list(|cursor| {
            values.push(cursor.value()?);
            Some(())
        })?;
        let row = values.len().saturating_sub(before);
        if width == 0 {
            width = row;
        }
        if row != width || values.len() > VALUES_MAX {
            return None;
        }
        cursor.blanks();
        match cursor.peek() {
            Some(b',') => cursor.step(),
            Some(b';') => {
                cursor.step();
                cursor.blanks();
                return cursor.at_end(table, columns, values, width);
            }
            _ => return cursor.at_end(table, columns, values, width),
        }
    }
}

struct Cursor<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    reading: Reading,
}

impl<'a> Cursor<'a> {
    fn at_end(
        &self,
        table: TableName<'a>,
        columns: Vec<Cow<'a, str>>,
        values: Vec<Value<'a>>,
        width: usize,
    ) -> Option<FastInsert<'a>> {
        (self.at == self.bytes.len()).then_some(Insert {
            table,
            columns: Some(columns),
            values,
            width,
            uneven: false,
            ignore: false,
        })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn skip_while(&mut self, accepts: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&accepts) {
            self.step();
        }
    }

    fn blanks(&mut self) {
        self.skip_while(is_blank);
    }

    fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    fn keyword(&mut self, keyword: &[u8]) -> Option<()> {
        let end = self.at.checked_add(keyword.len())?;
        let word = self.bytes.get(self.at..end)?;
        let ends = !self.bytes.get(end).copied().is_some_and(is_word_byte);
        (ends && word.eq_ignore_ascii_case(keyword)).then(|| self.at = end)
    }

    /// `( element {, element} )`
    fn list(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.peek() != Some(b'(') {
            return None;
        }
        loop {
            self.step();
            self.blanks();
            element(self)?;
            self.blanks();
            match self.peek()? {
                b',' => {}
                b')' => {
                    self.step();
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Letters, digits and `_`, bare or in any quotes.
    fn name(&mut self) -> Option<&'a str> {
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"' | b'`'));
        if quote.is_some() {
            self.step();
        }
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let name = self.since(start)?;
        if name.bytes().next()?.is_ascii_digit() {
            return None;
        }
        if quote.is_some() {
            if self.peek() != quote {
                return None;
            }
            self.step();
        }
        // Anything glued to a name, such as a second quote, makes it something else.
        matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b',')).then_some(name)
    }

    fn value(&mut self) -> Option<Value<'a>> {
        let start = self.at;
        let first = self.peek()?;
        let value = match first {
            b'\'' | b'"' | b'`' => {
                let token = quoted(self.bytes, start, self.reading)?;
                let inner = self.text.get(start.checked_add(1)?..token.close)?;
                self.at = token.close.checked_add(1)?;
                let text = if token.plain { Cow::Borrowed(inner) } else { decode(inner, first, self.reading) };
                Value::Text(text)
            }
            b'-' | b'0'..=b'9' => {
                if first == b'-' {
                    self.step();
                }
                let digits = self.at;
                self.skip_while(|byte| byte.is_ascii_digit());
                if digits == self.at {
                    return None;
                }
                Value::Number(Cow::Borrowed(self.since(start)?))
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let word = self.since(start)?;
                if is_session_word(word) {
                    return None;
                }
                Value::Text(Cow::Borrowed(word))
            }
            _ => return None,
        };
        matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n' | b')' | b',')).then_some(value)
    }
}
