//! One value bound to a prepared statement, from its binary form.
//!
//! Source: "Binary Protocol Value" of the `MySQL` protocol documentation.

use std::fmt::{self, Write};

use super::bytes::Reader;

/// A value bound to a placeholder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parameter<'a> {
    Null,
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    /// Texts, blobs, decimals and everything else that travels as bytes; also long data.
    Bytes(&'a [u8]),
    /// A date, a time or both.
    Temporal(TemporalText),
}

/// A date or time as `MySQL` writes it: `2024-01-31`, `2024-01-31 23:59:59`, `-838:59:59.000001`. Microseconds are
/// there only if the client sent them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TemporalText {
    bytes: [u8; Self::LENGTH_MAX],
    length: u8,
}

impl TemporalText {
    /// `9999-12-31 23:59:59.999999`
    pub const LENGTH_MAX: usize = 26;

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn empty() -> Self {
        Self { bytes: [0; Self::LENGTH_MAX], length: 0 }
    }
}

impl fmt::Debug for TemporalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.as_bytes()).fmt(f)
    }
}

impl Write for TemporalText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.length);
        let end = start.saturating_add(text.len());
        self.bytes.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end as u8;
        Ok(())
    }
}

/// Flag of a parameter's type: the integer has no sign.
const UNSIGNED: u16 = 0x8000;

/// Column types of the protocol that are not plain bytes.
mod kind {
    pub(super) const TINY: u8 = 0x01;
    pub(super) const SHORT: u8 = 0x02;
    pub(super) const LONG: u8 = 0x03;
    pub(super) const FLOAT: u8 = 0x04;
    pub(super) const DOUBLE: u8 = 0x05;
    pub(super) const NULL: u8 = 0x06;
    pub(super) const TIMESTAMP: u8 = 0x07;
    pub(super) const LONG_LONG: u8 = 0x08;
    pub(super) const INT24: u8 = 0x09;
    pub(super) const DATE: u8 = 0x0a;
    pub(super) const TIME: u8 = 0x0b;
    pub(super) const DATE_TIME: u8 = 0x0c;
    pub(super) const YEAR: u8 = 0x0d;
    pub(super) const DECIMAL: u8 = 0x00;
    pub(super) const VARCHAR: u8 = 0x0f;
    pub(super) const BIT: u8 = 0x10;
    /// JSON, decimals, enums, blobs, strings, geometry.
    pub(super) const BYTES_FIRST: u8 = 0xf5;
}

/// Takes the value of a parameter of this type, which is not NULL by the bitmap, from the front. `None` if the
/// bytes are no such value, or the type is unknown.
pub(super) fn read<'a>(reader: &mut Reader<'a>, type_and_flags: u16) -> Option<Parameter<'a>> {
    let [kind, _] = type_and_flags.to_le_bytes();
    let unsigned = type_and_flags & UNSIGNED != 0;
    Some(match kind {
        kind::NULL => Parameter::Null,
        kind::TINY => integer(
            reader.array().map(|bytes| (i8::from_le_bytes(bytes).into(), u8::from_le_bytes(bytes).into()))?,
            unsigned,
        ),
        kind::SHORT | kind::YEAR => integer(
            reader.array().map(|bytes| (i16::from_le_bytes(bytes).into(), u16::from_le_bytes(bytes).into()))?,
            unsigned,
        ),
        kind::LONG | kind::INT24 => integer(
            reader.array().map(|bytes| (i32::from_le_bytes(bytes).into(), u32::from_le_bytes(bytes).into()))?,
            unsigned,
        ),
        kind::LONG_LONG => {
            integer(reader.array().map(|bytes| (i64::from_le_bytes(bytes), u64::from_le_bytes(bytes)))?, unsigned)
        }
        kind::FLOAT => Parameter::Float(f32::from_le_bytes(reader.array()?)),
        kind::DOUBLE => Parameter::Double(f64::from_le_bytes(reader.array()?)),
        kind::DATE => Parameter::Temporal(date(reader, DateForm::DateOnly)?),
        kind::DATE_TIME | kind::TIMESTAMP => Parameter::Temporal(date(reader, DateForm::WithTime)?),
        kind::TIME => Parameter::Temporal(time(reader)?),
        kind::DECIMAL | kind::VARCHAR | kind::BIT | kind::BYTES_FIRST.. => {
            Parameter::Bytes(reader.length_encoded_bytes()?)
        }
        _ => return None,
    })
}

fn integer((signed, unsigned): (i64, u64), is_unsigned: bool) -> Parameter<'static> {
    if is_unsigned { Parameter::Unsigned(unsigned) } else { Parameter::Signed(signed) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DateForm {
    DateOnly,
    WithTime,
}

/// Shape: length 0, 4, 7 or 11, then year (2), month, day, hour, minute, second (1 each), microseconds (4), as far as
/// the length goes; what is missing is zero.
fn date(reader: &mut Reader<'_>, form: DateForm) -> Option<TemporalText> {
    let length = usize::from(reader.u8()?);
    if !matches!(length, 0 | 4 | 7 | 11) {
        return None;
    }
    let mut fields = [0; 11];
    fields.get_mut(..length)?.copy_from_slice(reader.bytes(length)?);
    let [year_low, year_high, month, day, hour, minute, second, micros @ ..] = fields;
    let year = u16::from_le_bytes([year_low, year_high]);
    let micros = u32::from_le_bytes(micros);
    if year > 9999 || month > 12 || day > 31 || !is_clock(hour, minute, second, micros) {
        return None;
    }
    let mut text = TemporalText::empty();
    write!(text, "{year:04}-{month:02}-{day:02}").ok()?;
    if form == DateForm::WithTime {
        write!(text, " {hour:02}:{minute:02}:{second:02}").ok()?;
        if length == 11 {
            write!(text, ".{micros:06}").ok()?;
        }
    }
    Some(text)
}

/// Shape: length 0, 8 or 12, then sign (1: negative), days (4), hour, minute, second (1 each), microseconds (4), as
/// far as the length goes. At most 838 hours, the range of the SQL type.
fn time(reader: &mut Reader<'_>) -> Option<TemporalText> {
    const HOURS_MAX: u64 = 838;
    let length = usize::from(reader.u8()?);
    if !matches!(length, 0 | 8 | 12) {
        return None;
    }
    let mut fields = [0; 12];
    fields.get_mut(..length)?.copy_from_slice(reader.bytes(length)?);
    let [negative, d0, d1, d2, d3, hour, minute, second, micros @ ..] = fields;
    let micros = u32::from_le_bytes(micros);
    let days = u64::from(u32::from_le_bytes([d0, d1, d2, d3]));
    let hours = days.saturating_mul(24).saturating_add(hour.into());
    if negative > 1 || hours > HOURS_MAX || !is_clock(hour, minute, second, micros) {
        return None;
    }
    let mut text = TemporalText::empty();
    let sign = if negative == 1 { "-" } else { "" };
    write!(text, "{sign}{hours:02}:{minute:02}:{second:02}").ok()?;
    if length == 12 {
        write!(text, ".{micros:06}").ok()?;
    }
    Some(text)
}

fn is_clock(hour: u8, minute: u8, second: u8, micros: u32) -> bool {
    hour < 24 && minute < 60 && second < 60 && micros < 1_000_000
}
