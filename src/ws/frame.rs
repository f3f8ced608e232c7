//! Frames from clients: one function from received bytes to the next whole frame.
//!
//! The header is read by hand rather than through tungstenite's `FrameHeader`: this way its first byte is judged as
//! soon as it is there, reserved opcodes have no value to be matched later, and nothing is asserted about lengths.

use std::ops::Range;

use super::{Limits, Violation};

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
/// The first of the reserved bits: the message is compressed (RFC 7692 section 6).
const COMPRESSED: u8 = 0x40;
const MASKED: u8 = 0x80;
const MASK_BYTES: usize = 4;
/// Most payload bytes of a control frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// The defined opcodes of RFC 6455 section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What stands before a frame's payload and matters after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// Whether this frame ends its message.
    pub fin: bool,
    pub opcode: Opcode,
    /// Whether its message is compressed; only the first frame of a message says so.
    pub compressed: bool,
}

/// What the received bytes begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Not a whole frame yet; the bytes were left as they are and must be handed in again with more behind them.
    Incomplete,
    /// A whole frame of `used` bytes, its payload unmasked in place.
    Frame { used: usize, head: FrameHead, payload: Range<usize> },
}

/// The next frame in `bytes` (client to server). Bytes behind a whole frame are not touched.
///
/// A violation is told as early as the bytes show it, so a frame over its cap is refused before its payload
/// arrives.
pub fn next_frame(limits: &Limits, bytes: &mut [u8]) -> Result<Step, Violation> {
    next(limits, RESERVED, bytes)
}

/// As [`next_frame`], of a client with which permessage-deflate was agreed.
pub fn next_frame_with_deflate(limits: &Limits, bytes: &mut [u8]) -> Result<Step, Violation> {
    next(limits, RESERVED & !COMPRESSED, bytes)
}

fn next(limits: &Limits, reserved: u8, bytes: &mut [u8]) -> Result<Step, Violation> {
    let Some(found) = parse_head(limits, reserved, bytes)? else { return Ok(Step::Incomplete) };
    let end = found.payload_at.saturating_add(found.payload_bytes);
    let Some(payload) = bytes.get_mut(found.payload_at..end) else { return Ok(Step::Incomplete) };
    unmask(payload, found.mask);
    Ok(Step::Frame { used: end, head: found.head, payload: found.payload_at..end })
}

/// XORs `payload` with the four mask bytes in turn (RFC 6455 section 5.3), eight bytes at a time.
pub fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, tail) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    // Whole chunks are multiples of the mask's length, so the tail begins with its first byte again.
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

struct ParsedHead {
    head: FrameHead,
    mask: [u8; 4],
    payload_at: usize,
    payload_bytes: usize,
}

fn parse_head(limits: &Limits, reserved: u8, bytes: &[u8]) -> Result<Option<ParsedHead>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let head = parse_first_byte(first, reserved)?;
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & MASKED == 0 {
        return Err(Violation::Unmasked);
    }
    let short = second & !MASKED;
    if head.opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(Violation::ControlTooLong);
    }
    let Some((length, mask_at)) = parse_length(short, bytes)? else { return Ok(None) };
    let payload_bytes =
        usize::try_from(length).ok().filter(|&n| n <= limits.frame_bytes_max).ok_or(Violation::TooLarge)?;
    let Some(mask) = array_at(bytes, mask_at) else { return Ok(None) };
    Ok(Some(ParsedHead { head, mask, payload_at: mask_at.saturating_add(MASK_BYTES), payload_bytes }))
}

fn parse_first_byte(first: u8, reserved: u8) -> Result<FrameHead, Violation> {
    if first & reserved != 0 {
        return Err(Violation::ReservedBits);
    }
    let fin = first & FIN != 0;
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::UnknownOpcode)?;
    if opcode.is_control() && !fin {
        return Err(Violation::ControlFragmented);
    }
    let compressed = first & COMPRESSED != 0;
    if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(Violation::ReservedBits);
    }
    Ok(FrameHead { fin, opcode, compressed })
}

/// The payload's length and where the mask begins, or `None` while length bytes are missing.
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, mask_at, least) = match short {
        126 => (array_at(bytes, 2).map(u16::from_be_bytes).map(u64::from), 4, 126),
        127 => (array_at(bytes, 2).map(u64::from_be_bytes), 10, 65_536),
        _ => (Some(u64::from(short)), 2, 0),
    };
    let Some(length) = length else { return Ok(None) };
    if length > i64::MAX as u64 {
        return Err(Violation::LengthTopBit);
    }
    if length < least {
        return Err(Violation::LengthNotMinimal);
    }
    Ok(Some((length, mask_at)))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
