//! The opening of a browser's connection: the request it sends, the answer it must get. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use std::fmt::Write as _;

/// A response head longer than this is refused.
pub const HEAD_BYTES_MAX: usize = 16 << 10;

/// A browser's request, everything but `Host` and `Sec-WebSocket-Key`, which the connection adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The request target, such as `/ws/sesion=&myid=&devid=0&v=4.09&uuid=...&api=js2`.
    pub target: String,
    /// Sent after the standard headers, in this order; a header named like a standard one replaces it.
    pub headers: Vec<(String, String)>,
}

impl Hello {
    /// An anonymous browser of tenant `dev`.
    pub fn anonymous(dev: u32, uuid: &str) -> Self {
        Self::browser("", "", dev, "4.09", uuid)
    }

    /// A browser that claims to be `user` by `key` (a hash or a JWT).
    pub fn user(dev: u32, user: u32, key: &str, uuid: &str) -> Self {
        Self::browser(key, &user.to_string(), dev, "4.09", uuid)
    }

    /// All fields free; `version` is `<major>.<minor>`.
    pub fn browser(key: &str, user: &str, dev: u32, version: &str, uuid: &str) -> Self {
        Self::from(format!("/ws/sesion={key}&myid={user}&devid={dev}&v={version}&uuid={uuid}&api=js2"))
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The request's bytes.
    pub fn encode(&self, host: &str, key: &str) -> Vec<u8> {
        let standard = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", key),
        ];
        let mut text = format!("GET {} HTTP/1.1\r\n", self.target);
        for (name, value) in standard {
            if !self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

/// The text is the request target.
impl From<String> for Hello {
    fn from(target: String) -> Self {
        Self { target, headers: Vec::new() }
    }
}

impl From<&str> for Hello {
    fn from(target: &str) -> Self {
        Self::from(target.to_owned())
    }
}

/// The 24 characters of a `Sec-WebSocket-Key` for the `number`-th connection. A client that only tests needs distinct
/// keys, not unpredictable ones.
pub fn key(number: u64) -> String {
    let mut bytes = [0x45; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    STANDARD.encode(bytes)
}

/// The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2).
pub fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

/// A response head: status line and headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Bytes up to and with the empty line.
    pub bytes: usize,
}

impl ResponseHead {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What is wrong with a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    NotHttp,
    NotUtf8,
    BadHeader,
    TooLong,
}

/// The response head at the start of `input`, `None` while it is incomplete.
pub fn parse_response(input: &[u8]) -> Result<Option<ResponseHead>, HeadError> {
    let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if input.len() > HEAD_BYTES_MAX { Err(HeadError::TooLong) } else { Ok(None) };
    };
    let text = std::str::from_utf8(input.get(..end).unwrap_or_default()).map_err(|_| HeadError::NotUtf8)?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.split(' ').next())
        .and_then(|digits| digits.parse().ok())
        .ok_or(HeadError::NotHttp)?;
    let headers = lines
        .map(|line| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned())))
        .collect::<Option<Vec<_>>>()
        .ok_or(HeadError::BadHeader)?;
    Ok(Some(ResponseHead { status, headers, bytes: end + 4 }))
}

/// Whether `head` is the right answer to a handshake with `key`.
pub fn is_upgrade(head: &ResponseHead, key: &str) -> bool {
    head.status == 101
        && head.header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && head.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade"))
        && head.header("Sec-WebSocket-Accept") == Some(accept_value(key).as_str())
}

#[cfg(test)]
mod tests;
