//! The MySQL protocol as a client needs it: packets, the greeting, the login, OK, ERR, columns and rows. Pure.
//!
//! Every layout is the one of the MySQL client/server protocol documentation; names of the pages are given.

use sha1::{Digest as _, Sha1};
use std::fmt;

/// The largest payload accepted, joined from its packets; more is an error.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// A packet of this many bytes is continued by the next one (page "`MySQL` Packets").
const CONTINUED: usize = 0x00FF_FFFF;

const LONG_PASSWORD: u32 = 0x1;
const LONG_FLAG: u32 = 0x4;
const CONNECT_WITH_DB: u32 = 0x8;
const PROTOCOL_41: u32 = 0x200;
const TRANSACTIONS: u32 = 0x2000;
const SECURE_CONNECTION: u32 = 0x8000;
const PLUGIN_AUTH: u32 = 0x8_0000;
const NATIVE_PASSWORD: &str = "mysql_native_password";

/// What is wrong with a server's packet. Always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    TooLong,
    /// The sequence number is not the expected one.
    Sequence {
        expected: u8,
        found: u8,
    },
    /// The packet ends before its content; the text names the content.
    Short(&'static str),
    NotUtf8(&'static str),
    Unexpected(&'static str),
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a packet of more than {PAYLOAD_BYTES_MAX} bytes"),
            Self::Sequence { expected, found } => write!(f, "packet number {found} where {expected} was due"),
            Self::Short(what) => write!(f, "a packet that ends within its {what}"),
            Self::NotUtf8(what) => write!(f, "a {what} that is not UTF-8"),
            Self::Unexpected(what) => write!(f, "a packet that is no {what}"),
        }
    }
}

/// Collects bytes and gives out whole payloads, joining continued packets and checking sequence numbers.
#[derive(Debug, Default)]
pub struct PacketReader {
    bytes: Vec<u8>,
    /// Bytes at the front that were given out already.
    used: usize,
    joined: Vec<u8>,
}

impl PacketReader {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next payload, `None` until it is complete. `sequence` is the number due and is counted on.
    pub fn next(&mut self, sequence: &mut u8) -> Result<Option<Vec<u8>>, PacketError> {
        loop {
            let rest = self.bytes.get(self.used..).unwrap_or_default();
            let Some([low, middle, high, number]) = rest.first_chunk::<4>().copied() else { return Ok(None) };
            let length = usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16;
            if self.joined.len() + length > PAYLOAD_BYTES_MAX {
                return Err(PacketError::TooLong);
            }
            if number != *sequence {
                return Err(PacketError::Sequence { expected: *sequence, found: number });
            }
            let Some(payload) = rest.get(4..4 + length) else { return Ok(None) };
            self.joined.extend_from_slice(payload);
            self.used += 4 + length;
            *sequence = sequence.wrapping_add(1);
            if length < CONTINUED {
                return Ok(Some(std::mem::take(&mut self.joined)));
            }
        }
    }

    /// Whether bytes wait that were not given out.
    pub fn is_empty(&self) -> bool {
        self.used == self.bytes.len() && self.joined.is_empty()
    }
}

/// Appends `payload` as packets, the first with number `sequence`.
pub fn write_packets(out: &mut Vec<u8>, mut sequence: u8, payload: &[u8]) {
    let mut rest = payload;
    loop {
        let (part, more) = rest.split_at(rest.len().min(CONTINUED));
        out.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
        out.push(sequence);
        out.extend_from_slice(part);
        sequence = sequence.wrapping_add(1);
        rest = more;
        // A payload that ends exactly at the limit is followed by an empty packet.
        if part.len() < CONTINUED {
            return;
        }
    }
}

/// Appends a command of one byte and its text.
pub fn write_command(out: &mut Vec<u8>, command: u8, text: &[u8]) {
    let mut payload = Vec::with_capacity(1 + text.len());
    payload.push(command);
    payload.extend_from_slice(text);
    write_packets(out, 0, &payload);
}

/// Reads a payload from front to back.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], PacketError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PacketError::Short(what))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A little-endian number of up to 8 bytes.
    pub fn number(&mut self, bytes: usize, what: &'static str) -> Result<u64, PacketError> {
        Ok(self.take(bytes, what)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes up to a NUL, which is skipped; a missing NUL ends the text with the packet.
    pub fn nul_text(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        text
    }

    /// A length-encoded number; `None` is NULL.
    pub fn lenenc(&mut self, what: &'static str) -> Result<Option<u64>, PacketError> {
        match self.number(1, what)? {
            251 => Ok(None),
            252 => self.number(2, what).map(Some),
            253 => self.number(3, what).map(Some),
            254 => self.number(8, what).map(Some),
            255 => Err(PacketError::Unexpected("length-encoded number")),
            short => Ok(Some(short)),
        }
    }

    /// A length-encoded text; `None` is NULL.
    pub fn lenenc_text(&mut self, what: &'static str) -> Result<Option<String>, PacketError> {
        let Some(length) = self.lenenc(what)? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| PacketError::TooLong)?;
        let bytes = self.take(length, what)?;
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|_| PacketError::NotUtf8(what))
    }
}

/// The server's first packet (page `Protocol::HandshakeV10`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    pub version: String,
    pub connection_id: u32,
    pub capabilities: u32,
    pub character_set: u8,
    pub status: u16,
    /// 20 bytes.
    pub salt: Vec<u8>,
    pub plugin: String,
}

impl Greeting {
    pub fn parse(payload: &[u8]) -> Result<Self, PacketError> {
        const WHAT: &str = "greeting";
        let mut cursor = Cursor(payload);
        if cursor.number(1, WHAT)? != 10 {
            return Err(PacketError::Unexpected("greeting of protocol 10"));
        }
        let version = String::from_utf8_lossy(cursor.nul_text()).into_owned();
        let connection_id = cursor.number(4, WHAT)? as u32;
        let mut salt = cursor.take(8, WHAT)?.to_vec();
        cursor.take(1, WHAT)?;
        let low = cursor.number(2, WHAT)? as u32;
        let character_set = cursor.number(1, WHAT)? as u8;
        let status = cursor.number(2, WHAT)? as u16;
        let capabilities = low | (cursor.number(2, WHAT)? as u32) << 16;
        cursor.take(11, WHAT)?;
        salt.extend_from_slice(cursor.take(12, WHAT)?);
        cursor.take(1, WHAT)?;
        let plugin = String::from_utf8_lossy(cursor.nul_text()).into_owned();
        Ok(Self { version, connection_id, capabilities, character_set, status, salt, plugin })
    }
}

/// The native password's answer to a salt of 20 bytes; empty for an empty password
/// (page "Native Authentication").
pub fn native_token(password: &str, salt: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mut hash = Sha1::new();
    hash.update(salt);
    hash.update(twice);
    once.iter().zip(hash.finalize()).map(|(left, right)| left ^ right).collect()
}

/// The client's answer to the greeting (page `Protocol::HandshakeResponse41`), as a payload.
pub fn login_payload(greeting: &Greeting, user: &str, password: &str, database: Option<&str>) -> Vec<u8> {
    let token = native_token(password, &greeting.salt);
    let mut flags = LONG_PASSWORD | LONG_FLAG | PROTOCOL_41 | TRANSACTIONS | SECURE_CONNECTION;
    flags |= greeting.capabilities & PLUGIN_AUTH;
    if database.is_some() {
        flags |= CONNECT_WITH_DB;
    }
    let mut payload = Vec::new();
    payload.extend_from_slice(&flags.to_le_bytes());
    payload.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
    payload.push(33);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(user.as_bytes());
    payload.push(0);
    payload.push(token.len() as u8);
    payload.extend_from_slice(&token);
    if let Some(database) = database {
        payload.extend_from_slice(database.as_bytes());
        payload.push(0);
    }
    if flags & PLUGIN_AUTH != 0 {
        payload.extend_from_slice(NATIVE_PASSWORD.as_bytes());
        payload.push(0);
    }
    payload
}

/// The answer to "use another plugin" (page `Protocol::AuthSwitchRequest`); only the native plugin is spoken.
pub fn switch_payload(request: &[u8], password: &str) -> Result<Vec<u8>, PacketError> {
    let mut cursor = Cursor(request);
    cursor.take(1, "plugin request")?;
    if cursor.nul_text() != NATIVE_PASSWORD.as_bytes() {
        return Err(PacketError::Unexpected("request for mysql_native_password"));
    }
    let salt = cursor.take(20, "salt")?;
    Ok(native_token(password, salt))
}

/// OK packet (page `OK_Packet`): affected rows, insert id, status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkPacket {
    pub affected: u64,
    pub insert_id: u64,
    pub status: u16,
}

pub fn parse_ok(payload: &[u8]) -> Result<OkPacket, PacketError> {
    const WHAT: &str = "OK packet";
    let mut cursor = Cursor(payload);
    if cursor.number(1, WHAT)? != 0 {
        return Err(PacketError::Unexpected(WHAT));
    }
    let affected = cursor.lenenc(WHAT)?.unwrap_or_default();
    let insert_id = cursor.lenenc(WHAT)?.unwrap_or_default();
    Ok(OkPacket { affected, insert_id, status: cursor.number(2, WHAT)? as u16 })
}

/// ERR packet (page `ERR_Packet`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPacket {
    pub code: u16,
    /// Five characters, empty if the packet has none.
    pub sqlstate: String,
    pub text: String,
}

pub fn is_error(payload: &[u8]) -> bool {
    payload.first() == Some(&0xFF)
}

pub fn parse_error(payload: &[u8]) -> Result<ErrorPacket, PacketError> {
    const WHAT: &str = "error packet";
    let mut cursor = Cursor(payload);
    if cursor.number(1, WHAT)? != 0xFF {
        return Err(PacketError::Unexpected(WHAT));
    }
    let code = cursor.number(2, WHAT)? as u16;
    let mut sqlstate = String::new();
    if cursor.0.first() == Some(&b'#') {
        cursor.take(1, WHAT)?;
        sqlstate = String::from_utf8_lossy(cursor.take(5, WHAT)?).into_owned();
    }
    Ok(ErrorPacket { code, sqlstate, text: String::from_utf8_lossy(cursor.0).into_owned() })
}

pub fn is_eof(payload: &[u8]) -> bool {
    payload.first() == Some(&0xFE) && payload.len() < 9
}

/// The status word of an EOF packet; 0 if it has none.
pub fn eof_status(payload: &[u8]) -> u16 {
    payload.get(3..5).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// The name in a column definition (page `Protocol::ColumnDefinition41`).
pub fn parse_column_name(payload: &[u8]) -> Result<String, PacketError> {
    const WHAT: &str = "column definition";
    let mut cursor = Cursor(payload);
    for _ in 0..4 {
        cursor.lenenc_text(WHAT)?;
    }
    Ok(cursor.lenenc_text(WHAT)?.unwrap_or_default())
}

/// A row of the text protocol, `None` for NULL.
pub fn parse_row(payload: &[u8], columns: usize) -> Result<Vec<Option<String>>, PacketError> {
    let mut cursor = Cursor(payload);
    let values = (0..columns).map(|_| cursor.lenenc_text("value")).collect::<Result<_, _>>()?;
    if cursor.0.is_empty() { Ok(values) } else { Err(PacketError::Unexpected("row of the announced columns")) }
}

#[cfg(test)]
mod tests;
