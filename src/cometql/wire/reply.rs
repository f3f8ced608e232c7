//! Answers. A [`Reply`] appends packets to a caller's buffer; a [`RowWriter`] permits only rows and an end.

use std::borrow::Cow;

use super::bytes::{put_length, put_length_bytes, put_packet, put_u16, put_u32};
use super::capabilities::Capabilities;
use super::code;

/// What OK packets and the ends of lists say of the session. Clients act on it: by one flag they choose their way of
/// escaping, by another whether there is a transaction to commit.
///
/// Source: "Status Flags" of the `MySQL` protocol documentation; the last one is `MariaDB`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusFlags(u16);

impl StatusFlags {
    pub const IN_TRANSACTION: Self = Self(0x0001);
    pub const AUTOCOMMIT: Self = Self(0x0002);
    const MORE_RESULTS: Self = Self(0x0008);
    pub const NO_BACKSLASH_ESCAPES: Self = Self(0x0200);
    pub const ANSI_QUOTES: Self = Self(0x8000);

    pub fn put(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }

    pub(super) fn bits(self) -> u16 {
        self.0
    }
}

impl Default for StatusFlags {
    /// Of a session that has said nothing yet.
    fn default() -> Self {
        Self::AUTOCOMMIT
    }
}

/// The longest error text clients have room for, in bytes.
const ERROR_TEXT_MAX: usize = 511;

/// First byte of a row's field that is NULL.
const NULL_FIELD: u8 = 0xfb;

const TYPE_LONG_LONG: u8 = 0x08;
const TYPE_NEW_DECIMAL: u8 = 0xf6;
const TYPE_VAR_STRING: u8 = 0xfd;

/// The flag of columns without a character set.
const FLAG_BINARY: u16 = 0x0080;
/// `utf8mb4_general_ci`
const CHARSET_TEXT: u16 = 45;
const CHARSET_BINARY: u16 = 63;

/// A column of a result set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: Cow<'static, str>,
    /// The table as the client named it; empty for none.
    pub table: Cow<'static, str>,
    pub kind: ColumnKind,
}

/// What a column holds, and so the type that clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    /// Whole numbers of 64 bits: text in one form of rows, eight bytes in the other.
    Integer,
    /// Numbers with so many digits behind the point: text in both forms.
    Decimal(u8),
}

impl Column {
    pub fn new(name: impl Into<Cow<'static, str>>, kind: ColumnKind) -> Self {
        Self { name: name.into(), table: Cow::Borrowed(""), kind }
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_definition(out, self.table.as_bytes(), self.name.as_bytes(), Shape::of(self.kind));
    }
}

/// What the definition of a column says of its values.
#[derive(Clone, Copy)]
struct Shape {
    charset: u16,
    /// Bytes.
    length: u32,
    column_type: u8,
    flags: u16,
    decimals: u8,
}

impl Shape {
    /// A parameter.
    const UNKNOWN: Self = Self { charset: CHARSET_BINARY, length: 0, ..Self::TEXT };
    const TEXT: Self = Self {
        charset: CHARSET_TEXT,
        // The most characters a VARCHAR can have.
        length: 65_532,
        column_type: TYPE_VAR_STRING,
        flags: 0,
        // Not a fixed number of decimals.
        decimals: 31,
    };
    const NUMBER: Self = Self {
        charset: CHARSET_BINARY,
        // The digits of 64 bits, and a sign.
        length: 21,
        column_type: TYPE_LONG_LONG,
        flags: FLAG_BINARY,
        decimals: 0,
    };

    fn of(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Text => Self::TEXT,
            ColumnKind::Integer => Self::NUMBER,
            ColumnKind::Decimal(decimals) => {
                Self { length: 67, column_type: TYPE_NEW_DECIMAL, decimals, ..Self::NUMBER }
            }
        }
    }
}

/// Shape: catalog `def`, schema, table, original table, name, original name (all length-encoded), 12, character set
/// (2), length (4), type (1), flags (2), decimals (1), two zero bytes.
fn put_definition(out: &mut Vec<u8>, table: &[u8], name: &[u8], shape: Shape) {
    for text in [b"def".as_slice(), b"", table, table, name, name] {
        put_length_bytes(out, text);
    }
    out.push(0x0c);
    put_u16(out, shape.charset);
    put_u32(out, shape.length);
    out.push(shape.column_type);
    put_u16(out, shape.flags);
    out.extend_from_slice(&[shape.decimals, 0, 0]);
}

/// The answer to one command. Packets are numbered on from the command's own number.
///
/// `more` announces that another result of the same command follows, which only clients of multi-statements expect;
/// write it with the same `Reply`, or with one that begins at this one's [`Self::sequence`].
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    sequence: u8,
    capabilities: Capabilities,
    status: StatusFlags,
}

impl<'a> Reply<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, sequence: u8, capabilities: Capabilities, status: StatusFlags) -> Self {
        Self { out, sequence, capabilities, status }
    }

    /// The last number used, by the client or by this reply.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Shape: 0, affected rows, insert id (length-encoded), status (2), warnings (2).
    pub fn ok(&mut self, affected: u64, insert_id: u64, more: bool) {
        self.ok_warning(affected, insert_id, 0, more);
    }

    /// The same with so many warnings, which SHOW WARNINGS lists.
    pub fn ok_warning(&mut self, affected: u64, insert_id: u64, warnings: u16, more: bool) {
        self.put_ok(0, affected, insert_id, warnings, more);
    }

    /// The same with a sentence behind it (length-encoded, as clients read it whatever the documentation says).
    pub fn ok_told(&mut self, text: &str, more: bool) {
        let status = self.status_with(more);
        self.packet(|out| {
            put_ok_head(out, 0, 0, 0, status, 0);
            put_length_bytes(out, text.as_bytes());
        });
    }

    /// Shape: 255, code (2), `#` and the state (5), text. A text beyond 511 bytes is cut.
    pub fn error(&mut self, code: u16, text: &str) {
        let text = &text[..text.floor_char_boundary(ERROR_TEXT_MAX)];
        let state: &[u8] = match code {
            _ if !self.capabilities.has(Capabilities::PROTOCOL_41) => b"",
            code::NO_SUCH_TABLE => b"#42S02",
            code::NOT_ALLOWED => b"#42000",
            code::SERVER_LEFT => b"#08S01",
            _ => b"#HY000",
        };
        self.packet(|out| {
            out.push(0xff);
            put_u16(out, code);
            out.extend_from_slice(state);
            out.extend_from_slice(text.as_bytes());
        });
    }

    /// The end of a list, in the form that the client chose: 254, warnings (2), status (2); or an OK with 254 as its
    /// first byte.
    pub fn eof(&mut self) {
        self.put_end(false);
    }

    /// A bare text, the answer to `COM_STATISTICS`.
    pub fn text(&mut self, text: &str) {
        self.packet(|out| out.extend_from_slice(text.as_bytes()));
    }

    /// The answer to `COM_STMT_PREPARE`: 0, id (4), columns (2), parameters (2), 0, warnings (2); then the definitions
    /// of both. The columns may be left out: clients take them from the execution.
    pub fn prepared(&mut self, statement: u32, columns: &[Column], parameters: u16) {
        let columns = columns.get(..usize::from(u16::MAX)).unwrap_or(columns);
        self.packet(|out| {
            out.push(0);
            put_u32(out, statement);
            put_u16(out, columns.len() as u16);
            put_u16(out, parameters);
            out.extend_from_slice(&[0, 0, 0]);
        });
        if parameters > 0 {
            for _ in 0..parameters {
                self.packet(|out| put_definition(out, b"", b"?", Shape::UNKNOWN));
            }
            self.end_definitions();
        }
        if !columns.is_empty() {
            self.definitions(columns);
        }
    }

    /// The answer to `COM_FIELD_LIST`: definitions with a default of NULL, then the end.
    pub fn fields(&mut self, columns: &[Column]) {
        for column in columns {
            self.packet(|out| {
                column.put(out);
                out.push(NULL_FIELD);
            });
        }
        self.eof();
    }

    /// Begins the result set of a query. There must be a column at least, else clients read it as an OK.
    pub fn start(self, columns: &[Column]) -> RowWriter<'a> {
        self.begin(columns, RowForm::Text)
    }

    /// Begins the result set of an executed statement.
    pub fn start_binary(self, columns: &[Column]) -> RowWriter<'a> {
        self.begin(columns, RowForm::Binary)
    }

    fn begin(mut self, columns: &[Column], form: RowForm) -> RowWriter<'a> {
        debug_assert!(!columns.is_empty(), "a result set without columns");
        self.packet(|out| put_length(out, columns.len() as u64));
        self.definitions(columns);
        let places = (0..u64::BITS).zip(columns);
        let integers =
            places.filter(|(_, column)| column.kind == ColumnKind::Integer).map(|(place, _)| 1 << place).sum();
        RowWriter { columns: columns.len(), integers, form, reply: self }
    }

    fn definitions(&mut self, columns: &[Column]) {
        for (place, column) in columns.iter().enumerate() {
            // Which columns are integers is remembered of the first ones only.
            if place < u64::BITS as usize || column.kind == ColumnKind::Text {
                self.packet(|out| column.put(out));
            } else {
                self.packet(|out| Column { kind: ColumnKind::Text, ..column.clone() }.put(out));
            }
        }
        self.end_definitions();
    }

    fn end_definitions(&mut self) {
        if !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.eof();
        }
    }

    fn put_ok(&mut self, first: u8, affected: u64, insert_id: u64, warnings: u16, more: bool) {
        let status = self.status_with(more);
        self.packet(|out| put_ok_head(out, first, affected, insert_id, status, warnings));
    }

    fn put_end(&mut self, more: bool) {
        if self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            return self.put_ok(0xfe, 0, 0, 0, more);
        }
        let status = self.status_with(more);
        self.packet(|out| {
            out.push(0xfe);
            put_u16(out, 0);
            put_u16(out, status);
        });
    }

    fn status_with(&self, more: bool) -> u16 {
        let mut status = self.status;
        status.put(StatusFlags::MORE_RESULTS, more);
        status.bits()
    }

    /// Asks the client to prove itself by another method. Shape: 254, plugin NUL, salt NUL.
    pub(super) fn switch_plugin(&mut self, plugin: &str, salt: &[u8]) {
        self.packet(|out| {
            out.push(0xfe);
            for text in [plugin.as_bytes(), salt] {
                out.extend_from_slice(text);
                out.push(0);
            }
        });
    }

    /// Tells a client of `caching_sha2_password` that its response was right.
    pub(super) fn fast_accepted(&mut self) {
        self.packet(|out| out.extend_from_slice(&[1, 3]));
    }

    fn packet(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.sequence = put_packet(self.out, self.sequence, write);
    }
}

fn put_ok_head(out: &mut Vec<u8>, first: u8, affected: u64, insert_id: u64, status: u16, warnings: u16) {
    out.push(first);
    put_length(out, affected);
    put_length(out, insert_id);
    put_u16(out, status);
    put_u16(out, warnings);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowForm {
    Text,
    Binary,
}

/// Whether the value could be written.
fn put_value(out: &mut Vec<u8>, value: &[u8], integer: bool) -> bool {
    if !integer {
        put_length_bytes(out, value);
        return true;
    }
    let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<i64>().ok());
    number.inspect(|number| out.extend_from_slice(&number.to_le_bytes())).is_some()
}

/// The rows of a begun result set. It must be ended, broken off by an error, or paused.
#[derive(Debug)]
#[must_use]
pub struct RowWriter<'a> {
    reply: Reply<'a>,
    columns: usize,
    /// The places of columns of integers, as bits.
    integers: u64,
    form: RowForm,
}

/// A result set that goes on in a later turn, with `Connection::resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct PausedRows {
    pub(super) sequence: u8,
    columns: usize,
    integers: u64,
    form: RowForm,
}

impl<'a> RowWriter<'a> {
    pub(super) fn resume(reply: Reply<'a>, paused: PausedRows) -> Self {
        Self { reply, columns: paused.columns, integers: paused.integers, form: paused.form }
    }

    /// Bytes in the caller's buffer, for one who streams.
    pub fn buffered(&self) -> usize {
        self.reply.out.len()
    }

    /// One row: a value for each column, `None` for NULL. Values beyond the columns are left out, missing ones are
    /// NULL.
    ///
    /// Shape: in text, each value length-encoded or 251 for NULL. In binary: 0, a bitmap of NULLs that begins at its
    /// third bit, then each other value: an integer as eight bytes, all others length-encoded. What should be an integer
    /// and is none is NULL there.
    pub fn row<V: AsRef<[u8]>>(&mut self, values: impl IntoIterator<Item = Option<V>>) {
        let mut values = values.into_iter();
        let (columns, integers) = (self.columns, self.integers);
        match self.form {
            RowForm::Text => self.reply.packet(|out| {
                for _ in 0..columns {
                    match values.next().flatten() {
                        Some(value) => put_length_bytes(out, value.as_ref()),
                        None => out.push(NULL_FIELD),
                    }
                }
            }),
            RowForm::Binary => self.reply.packet(|out| {
                out.push(0);
                let bitmap = out.len();
                // The first two bits of the bitmap stand for nothing.
                out.resize(bitmap.saturating_add(columns.saturating_add(2).div_ceil(8)), 0);
                for place in 0..columns {
                    let integer = place < u64::BITS as usize && integers & 1 << place != 0;
                    let put = values.next().flatten().is_some_and(|value| put_value(out, value.as_ref(), integer));
                    let bit = place.saturating_add(2);
                    if !put && let Some(byte) = out.get_mut(bitmap.saturating_add(bit / 8)) {
                        *byte |= 1 << (bit % 8);
                    }
                }
            }),
        }
    }

    /// All rows are written. The reply goes on with the next result if `more` was announced.
    pub fn end(mut self, more: bool) -> Reply<'a> {
        self.reply.put_end(more);
        self.reply
    }

    /// The rest of the rows will not come. Nothing follows, not even after `more`.
    pub fn error(mut self, code: u16, text: &str) {
        self.reply.error(code, text);
    }

    /// Stops here, to go on with `Connection::resume`.
    pub fn pause(self) -> PausedRows {
        PausedRows { sequence: self.reply.sequence, columns: self.columns, integers: self.integers, form: self.form }
    }
}
