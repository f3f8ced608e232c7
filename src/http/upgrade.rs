//! The head that turns a request into a WebSocket connection.

use crate::ws;

use super::head::Head;
use super::response;

/// Subprotocol that classic clients ask for.
const CHAT: &[u8] = b"chat";

/// The bytes that open the connection; frames follow at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeAnswer {
    pub bytes: Vec<u8>,
    /// Agreed: messages may be compressed, for a client with this window.
    pub deflate: Option<ws::Window>,
}

/// Why a request for a connection gets none: always the peer's fault, or that of a proxy before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedUpgrade {
    /// `Sec-WebSocket-Key` is missing.
    MissingKey,
    /// The key is not the base64 of 16 bytes.
    InvalidKey,
    /// `Upgrade` or `Connection` is there and says something else: typically a proxy without WebSocket support.
    NotAnUpgrade,
    /// Another version than 13.
    WrongVersion,
}

impl RefusedUpgrade {
    pub fn status(self) -> u16 {
        match self {
            Self::WrongVersion => 426,
            Self::MissingKey | Self::InvalidKey | Self::NotAnUpgrade => 400,
        }
    }

    /// The whole answer; the connection is closed after it.
    pub fn answer(self) -> Vec<u8> {
        let (extra, text): (&[(&str, &str)], _) = match self {
            Self::MissingKey => (&[], "This address is for WebSocket: the header Sec-WebSocket-Key is missing.\n"),
            Self::InvalidKey => (&[], "The header Sec-WebSocket-Key must be 16 bytes in base64.\n"),
            Self::NotAnUpgrade => {
                (&[], "The request is not an upgrade to WebSocket; a proxy in between may not support it.\n")
            }
            Self::WrongVersion => {
                (&[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")], "WebSocket version 13 is needed.\n")
            }
        };
        response(self.status(), "text/plain", extra, text.as_bytes())
    }
}

/// Checks a request for a connection and answers it. Source: RFC 6455 sections 4.2.1 and 4.2.2.
///
/// `Upgrade`, `Connection` and `Sec-WebSocket-Version` are judged only where present, because the predecessor never
/// looked at them. The subprotocol is `chat` if offered, else the first one offered. Extensions are not accepted.
pub fn upgrade(head: &Head<'_>) -> Result<UpgradeAnswer, RefusedUpgrade> {
    accept(head, None)
}

/// As [`upgrade`], but permessage-deflate is accepted from clients that offer it (RFC 7692 section 5).
pub fn upgrade_with_deflate(head: &Head<'_>) -> Result<UpgradeAnswer, RefusedUpgrade> {
    accept(head, ws::agree(head.list("Sec-WebSocket-Extensions")))
}

fn accept(head: &Head<'_>, agreement: Option<ws::Agreement>) -> Result<UpgradeAnswer, RefusedUpgrade> {
    if !absent_or_lists(head, "Upgrade", b"websocket") || !absent_or_lists(head, "Connection", b"upgrade") {
        return Err(RefusedUpgrade::NotAnUpgrade);
    }
    if !absent_or_lists(head, "Sec-WebSocket-Version", b"13") {
        return Err(RefusedUpgrade::WrongVersion);
    }
    let key = head.header("Sec-WebSocket-Key").filter(|key| !key.is_empty()).ok_or(RefusedUpgrade::MissingKey)?;
    if !is_key(key) {
        return Err(RefusedUpgrade::InvalidKey);
    }
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: "
        .to_vec();
    bytes.extend_from_slice(&ws::accept_key(key));
    bytes.extend_from_slice(b"\r\nSec-WebSocket-Version: 13\r\n");
    if let Some(subprotocol) = choose_subprotocol(head) {
        bytes.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        bytes.extend_from_slice(subprotocol);
        bytes.extend_from_slice(b"\r\n");
    }
    if let Some(agreement) = &agreement {
        bytes.extend_from_slice(b"Sec-WebSocket-Extensions: ");
        bytes.extend_from_slice(agreement.answer.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(UpgradeAnswer { bytes, deflate: agreement.map(|agreement| agreement.window) })
}

fn absent_or_lists(head: &Head<'_>, name: &str, part: &[u8]) -> bool {
    head.header(name).is_none() || head.list(name).any(|listed| listed.eq_ignore_ascii_case(part))
}

/// 16 bytes in base64: 22 characters and two equals signs. The last character's unused bits do not matter.
fn is_key(key: &[u8]) -> bool {
    key.strip_suffix(b"==")
        .is_some_and(|key| key.len() == 22 && key.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')))
}

fn choose_subprotocol<'a>(head: &Head<'a>) -> Option<&'a [u8]> {
    let mut offered = head.list("Sec-WebSocket-Protocol").filter(|offer| is_token(offer)).peekable();
    let first = offered.peek().copied();
    offered.find(|offer| *offer == CHAT).or(first)
}

/// RFC 9110 section 5.6.2; nothing else of a client's bytes is ever sent back in a header.
fn is_token(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}
