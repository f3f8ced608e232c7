//! The packets of the client, as bytes; no socket.

use sha1::{Digest, Sha1};

pub(super) mod capabilities {
    pub(crate) const LONG_PASSWORD: u32 = 1;
    pub(crate) const LONG_FLAG: u32 = 4;
    pub(crate) const CONNECT_WITH_DB: u32 = 8;
    pub(crate) const PROTOCOL_41: u32 = 0x200;
    pub(crate) const SSL: u32 = 0x800;
    pub(crate) const TRANSACTIONS: u32 = 0x2000;
    pub(crate) const SECURE_CONNECTION: u32 = 0x8000;
    pub(crate) const MULTI_STATEMENTS: u32 = 0x1_0000;
    pub(crate) const MULTI_RESULTS: u32 = 0x2_0000;
    pub(crate) const PLUGIN_AUTH: u32 = 0x8_0000;
}

const OURS: u32 = capabilities::LONG_PASSWORD
    | capabilities::LONG_FLAG
    | capabilities::CONNECT_WITH_DB
    | capabilities::PROTOCOL_41
    | capabilities::TRANSACTIONS
    | capabilities::SECURE_CONNECTION
    | capabilities::MULTI_STATEMENTS
    | capabilities::MULTI_RESULTS
    | capabilities::PLUGIN_AUTH;

pub(super) const COM_QUERY: u8 = 3;
/// A packet of this length is continued by the next one.
pub(super) const PACKET_BYTES_MAX: usize = 0xff_ffff;
const DATABASE: &str = "CometQL_v1";
const METHOD: &str = "mysql_native_password";
const UTF8MB4: u8 = 45;
const MORE_RESULTS: u16 = 8;
const SALT_BYTES: usize = 20;

/// What the server says first.
pub(super) struct Greeting {
    capabilities: u32,
    pub salt: Vec<u8>,
}

impl Greeting {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.bytes(1)? != [10] {
            return None;
        }
        reader.until_nul()?;
        reader.bytes(4)?;
        let mut salt = reader.bytes(8)?.to_vec();
        reader.bytes(1)?;
        let low = reader.u16()?;
        reader.bytes(3)?;
        let high = reader.u16()?;
        reader.bytes(11)?;
        salt.extend_from_slice(reader.bytes(SALT_BYTES - 8)?);
        Some(Self { capabilities: u32::from(low) | u32::from(high) << 16, salt })
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.capabilities & flag != 0
    }
}

/// How the answer names its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub is_number: bool,
}

impl Column {
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        for _ in 0..4 {
            reader.text()?;
        }
        let name = String::from_utf8_lossy(reader.text()?).into_owned();
        reader.text()?;
        reader.bytes(1 + 2 + 4)?;
        let kind = reader.bytes(1)?;
        // DECIMAL to DOUBLE, LONGLONG and INT24, YEAR, NEWDECIMAL.
        let is_number = matches!(kind, [0..=5 | 8 | 9 | 13 | 246]);
        Some(Self { name, is_number })
    }
}

/// What a statement without rows was answered with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub affected: u64,
    pub warnings: u16,
    /// The words of the server, if it has some.
    pub info: String,
}

fn head(flags: u32) -> Vec<u8> {
    let mut payload = flags.to_le_bytes().to_vec();
    payload.extend_from_slice(&(1_u32 << 30).to_le_bytes());
    payload.push(UTF8MB4);
    payload.extend_from_slice(&[0; 23]);
    payload
}

/// A login cut off before its user.
pub(super) fn tls_request() -> Vec<u8> {
    head(OURS | capabilities::SSL)
}

pub(super) fn login(user: &str, password: &str, salt: &[u8], tls: bool) -> Vec<u8> {
    let mut payload = head(if tls { OURS | capabilities::SSL } else { OURS });
    payload.extend_from_slice(user.as_bytes());
    payload.push(0);
    let proof = proof(password, salt);
    payload.push(proof.len() as u8);
    payload.extend_from_slice(&proof);
    for word in [DATABASE, METHOD] {
        payload.extend_from_slice(word.as_bytes());
        payload.push(0);
    }
    payload
}

/// The answer to a server that asks for a method by its name, with a salt of its own.
pub(super) fn other_method(payload: &[u8], password: &str) -> Option<Vec<u8>> {
    let mut reader = Reader::new(payload.get(1..)?);
    (reader.until_nul()? == METHOD.as_bytes()).then_some(())?;
    Some(proof(password, reader.bytes(SALT_BYTES)?))
}

/// SHA1(password) XOR SHA1(salt, SHA1(SHA1(password))).
fn proof(password: &str, salt: &[u8]) -> Vec<u8> {
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mask = Sha1::new().chain_update(salt).chain_update(twice).finalize();
    once.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

/// A payload cut into packets.
pub(super) fn framed(payload: &[u8], sequence: &mut u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 8);
    let mut rest = payload;
    loop {
        let (packet, behind) = rest.split_at(rest.len().min(PACKET_BYTES_MAX));
        bytes.extend_from_slice(&(packet.len() as u32).to_le_bytes()[..3]);
        bytes.push(*sequence);
        *sequence = sequence.wrapping_add(1);
        bytes.extend_from_slice(packet);
        rest = behind;
        if packet.len() < PACKET_BYTES_MAX {
            return bytes;
        }
    }
}

/// Code, state and text of an error.
pub(super) fn refusal(payload: &[u8]) -> Option<(u16, String, String)> {
    let mut reader = Reader::new(payload);
    (reader.bytes(1)? == [0xff]).then_some(())?;
    let code = reader.u16()?;
    let rest = reader.rest();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match rest.split_first() {
        Some((b'#', with_state)) if with_state.len() >= 5 => {
            let (state, words) = with_state.split_at(5);
            Some((code, text(state), text(words)))
        }
        // Before the login there is no state.
        _ => Some((code, "HY000".to_owned(), text(rest))),
    }
}

/// An OK, and whether another answer follows.
pub(super) fn done(payload: &[u8]) -> Option<(Done, bool)> {
    let mut reader = Reader::new(payload);
    reader.bytes(1)?;
    let affected = reader.number()?;
    reader.number()?;
    let status = reader.u16()?;
    let warnings = reader.u16()?;
    let info = reader.text().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    Some((Done { affected, warnings, info }, status & MORE_RESULTS != 0))
}

/// The end of columns or rows, and whether another answer follows; `None` for whatever else.
pub(super) fn end(payload: &[u8]) -> Option<bool> {
    let mut reader = Reader::new(payload);
    (reader.bytes(1)? == [0xfe] && payload.len() < 9).then_some(())?;
    reader.u16()?;
    Some(reader.u16()? & MORE_RESULTS != 0)
}

/// The values of a row; `None` unless they are as many as there are columns.
pub(super) fn cells(payload: &[u8], columns: usize) -> Option<Vec<Option<&[u8]>>> {
    let mut reader = Reader::new(payload);
    let mut cells = Vec::with_capacity(columns.min(PACKET_BYTES_MAX / 64));
    for _ in 0..columns {
        let is_null = reader.peek() == Some(0xfb);
        cells.push(if is_null { reader.bytes(1).map(|_| None)? } else { Some(reader.text()?) });
    }
    reader.rest().is_empty().then_some(cells)
}

/// Bytes read from the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.bytes(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let bytes = self.bytes(end)?;
        self.bytes(1)?;
        Some(bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// A number of one to nine bytes.
    pub(super) fn number(&mut self) -> Option<u64> {
        let width = match self.bytes(1)? {
            [small @ 0..=0xfa] => return Some(u64::from(*small)),
            [0xfc] => 2,
            [0xfd] => 3,
            [0xfe] => 8,
            _ => return None,
        };
        let mut bytes = [0; 8];
        bytes.get_mut(..width)?.copy_from_slice(self.bytes(width)?);
        Some(u64::from_le_bytes(bytes))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the protocol's documentation: any password and salt give what the server's own check computes.
    #[test]
    fn a_proof_hides_the_password() {
        let proof = proof("secret", &[7; SALT_BYTES]);
        let twice = Sha1::digest(Sha1::digest(b"secret"));
        let mask = Sha1::new().chain_update([7; SALT_BYTES]).chain_update(twice).finalize();
        let once: Vec<u8> = proof.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(Sha1::digest(once), twice);
    }

    #[test]
    fn a_long_payload_is_cut_into_packets() {
        let mut sequence = 0;
        let bytes = framed(&vec![1; PACKET_BYTES_MAX], &mut sequence);
        assert_eq!(bytes.len(), PACKET_BYTES_MAX + 8);
        assert_eq!((&bytes[..4], &bytes[PACKET_BYTES_MAX + 4..]), (&[0xff, 0xff, 0xff, 0][..], &[0, 0, 0, 1][..]));
        assert_eq!(sequence, 2);
    }

    #[test]
    fn rows_and_their_end() {
        assert_eq!(cells(b"\x01a\xfb\x00", 3), Some(vec![Some(&b"a"[..]), None, Some(&b""[..])]));
        assert_eq!(cells(b"\x01a", 2), None);
        assert_eq!(cells(b"\x01a\x01b", 1), None);
        assert_eq!(cells(b"\x09a", 1), None);
        assert_eq!(end(&[0xfe, 0, 0, 8, 0]), Some(true));
        assert_eq!(end(&[0xfe, 0, 0, 2, 0]), Some(false));
        assert_eq!(end(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0, b'x']), None);
    }

    #[test]
    fn refusals_with_and_without_a_state() {
        let words = |code, state: &str, text: &str| Some((code, state.to_owned(), text.to_owned()));
        assert_eq!(refusal(b"\xff\x03\x00#42000no"), words(3, "42000", "no"));
        assert_eq!(refusal(b"\xff\x10\x04Too many"), words(1040, "HY000", "Too many"));
        assert_eq!(refusal(b"\x00\x10"), None);
    }

    /// Nothing that a peer sends makes the client panic.
    #[test]
    fn cut_off_anywhere() {
        let greeting =
            b"\x0a8.0\0\x01\0\0\0saltsalt\0\xff\xff\x2d\x02\0\xff\xff\x15\0\0\0\0\0\0\0\0\0\0saltsaltsalt\0name\0";
        assert_eq!(Greeting::read(greeting).map(|found| found.salt), Some(b"saltsaltsaltsaltsalt".to_vec()));
        for length in 0..greeting.len() {
            let cut = &greeting[..length];
            let _ = (Greeting::read(cut), Column::read(cut), done(cut), end(cut), cells(cut, 2), refusal(cut));
            let _ = other_method(cut, "x");
        }
    }
}
