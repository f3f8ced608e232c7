//! The payload of a close frame.

pub use tungstenite::protocol::frame::coding::CloseCode;

use super::Violation;

/// The code in a client's close frame, `None` if the payload is empty.
///
/// Shape: two bytes of code, big-endian, then a reason in UTF-8. Refused: one byte, codes that may not travel
/// (0 to 999, 1004, 1005, 1006, 1014 to 2999, 5000 and above), a reason that is not UTF-8. RFC 6455 sections 5.5.1, 7.4.
pub fn parse_close(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Violation::BadClose)?;
    let code = CloseCode::from(u16::from_be_bytes(*code));
    if !code.is_allowed() {
        return Err(Violation::BadClose);
    }
    simdutf8::basic::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Some(code))
}
