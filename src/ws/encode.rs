//! Frames to clients: never masked, never fragmented (RFC 6455 section 5.1), lengths in the fewest bytes.

use crate::model::{Deflated, SharedBytes};

use super::frame::CONTROL_BYTES_MAX;
use super::{CloseCode, Deflater};

const FIN_TEXT: u8 = 0x81;
const FIN_TEXT_COMPRESSED: u8 = 0xC1;
const FIN_CLOSE: u8 = 0x88;
const FIN_PING: u8 = 0x89;
const FIN_PONG: u8 = 0x8A;

/// What stands before a text frame's payload: 2, 4 or 10 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallHead {
    bytes: [u8; 10],
    length: u8,
}

impl SmallHead {
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

/// The head of a text frame with `payload_bytes` of payload.
pub fn text_frame_head(payload_bytes: usize) -> SmallHead {
    let mut bytes = [0; 10];
    let (start, length) = bytes.split_at_mut(2);
    let (short, length_bytes): (u8, u8) = if payload_bytes <= CONTROL_BYTES_MAX {
        (payload_bytes as u8, 0)
    } else if let Ok(payload_bytes) = u16::try_from(payload_bytes) {
        length.iter_mut().zip(payload_bytes.to_be_bytes()).for_each(|(to, byte)| *to = byte);
        (126, 2)
    } else {
        length.copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        (127, 8)
    };
    start.copy_from_slice(&[FIN_TEXT, short]);
    SmallHead { bytes, length: length_bytes.saturating_add(2) }
}

/// A whole text frame around `json`, to be shared by all its receivers; one allocation.
pub fn text_frame(json: &[u8]) -> SharedBytes {
    shared_frame(FIN_TEXT, json)
}

/// The compressed form of a whole text frame of ours, to be shared by all receivers whose window holds its payload;
/// `None` if it is not worth it.
pub fn deflated_text_frame(frame: &[u8], deflater: &mut Deflater) -> Option<Deflated> {
    let payload = payload_of(frame);
    let deflated = deflater.deflate(payload)?;
    Some(Deflated { payload_bytes: payload.len(), frame: shared_frame(FIN_TEXT_COMPRESSED, &deflated) })
}

fn shared_frame(first: u8, payload: &[u8]) -> SharedBytes {
    let head = text_frame_head(payload.len());
    let head = head.as_slice();
    let mut frame: SharedBytes = std::iter::repeat_n(first, head.len().saturating_add(payload.len())).collect();
    // Nobody else knows this frame yet, so it can be written.
    if let Some((to_head, to_payload)) =
        std::sync::Arc::get_mut(&mut frame).and_then(|bytes| bytes.split_at_mut_checked(head.len()))
    {
        // The first byte is there already.
        to_head.iter_mut().zip(head).skip(1).for_each(|(to, byte)| *to = *byte);
        to_payload.copy_from_slice(payload);
    }
    frame
}

/// What a whole frame of ours carries.
pub fn payload_of(frame: &[u8]) -> &[u8] {
    let head = match frame.get(1) {
        Some(127) => 10,
        Some(126) => 4,
        _ => 2,
    };
    frame.get(head..).unwrap_or_default()
}

/// Appends a text frame to `out` whose payload is what `write` appends.
pub fn append_text_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    const SHORT_HEAD: [u8; 2] = [FIN_TEXT, 0];
    let start = out.len();
    out.extend_from_slice(&SHORT_HEAD);
    let behind = out.len();
    write(out);
    let head = text_frame_head(out.len().saturating_sub(behind));
    // Only a payload above 125 bytes has to move for its longer head.
    out.splice(start..behind, head.as_slice().iter().copied());
}

/// Appends a pong with the ping's payload, which is cut at 125 bytes (a ping has no more).
pub fn pong(payload: &[u8], out: &mut Vec<u8>) {
    let payload = payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload);
    out.extend_from_slice(&[FIN_PONG, payload.len() as u8]);
    out.extend_from_slice(payload);
}

/// Appends a ping without payload: two bytes that every browser answers by itself.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[FIN_PING, 0]);
}

/// Appends a close frame with `code` and no reason. Classic clients must never get one: they would stay away.
pub fn close(code: CloseCode, out: &mut Vec<u8>) {
    close_with_reason(code, "", out);
}

/// Appends a close frame with `code` and a reason. A control frame holds 123 bytes of it, so a longer one is cut.
pub fn close_with_reason(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    const CODE_BYTES: usize = 2;
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - CODE_BYTES)];
    out.extend_from_slice(&[FIN_CLOSE, CODE_BYTES.saturating_add(reason.len()) as u8]);
    out.extend_from_slice(&u16::from(code).to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}
