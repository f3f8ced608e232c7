//! RFC 6455 frames as seen by a client: cutting the server's frames out of bytes, writing the client's own.
//!
//! Pure: bytes in, values out. Reassembly of fragments and answers to pings belong to the clients.

use std::fmt;

pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The largest payload accepted from a server; more is an error, so that a wrong length cannot fill the memory.
pub const PAYLOAD_BYTES_MAX: u64 = 16 << 20;

/// One frame of the server, borrowed from the bytes it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub fin: bool,
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Bytes of the whole frame, header included.
    pub bytes: usize,
}

/// How a server's frame breaks RFC 6455 section 5.2 to 5.5. Always the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    ReservedBits(u8),
    UnknownOpcode(u8),
    Masked,
    /// A longer length field than the length needs.
    LengthNotMinimal,
    TooLong(u64),
    ControlTooLong,
    ControlFragmented,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedBits(byte) => write!(f, "a frame with reserved bits set (first byte {byte:#04x})"),
            Self::UnknownOpcode(opcode) => write!(f, "a frame with the unknown opcode {opcode:#x}"),
            Self::Masked => f.write_str("a masked frame from a server"),
            Self::LengthNotMinimal => f.write_str("a frame with a longer length field than needed"),
            Self::TooLong(length) => {
                write!(f, "a frame of {length} bytes, more than the {PAYLOAD_BYTES_MAX} that are accepted")
            }
            Self::ControlTooLong => f.write_str("a control frame of more than 125 bytes"),
            Self::ControlFragmented => f.write_str("a control frame without FIN"),
        }
    }
}

/// The first frame in `input`, or `None` while it is incomplete. Errors are found as soon as the header is there.
pub fn parse(input: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    let [first, second, rest @ ..] = input else {
        return Ok(None);
    };
    let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
    if first & 0x70 != 0 {
        return Err(FrameError::ReservedBits(*first));
    }
    if !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(FrameError::UnknownOpcode(opcode));
    }
    if second & 0x80 != 0 {
        return Err(FrameError::Masked);
    }
    let (length, header_bytes) = match second & 0x7F {
        0x7E => {
            let Some(field) = rest.first_chunk::<2>() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*field)), 4_usize)
        }
        0x7F => {
            let Some(field) = rest.first_chunk::<8>() else { return Ok(None) };
            (u64::from_be_bytes(*field), 10)
        }
        short => (u64::from(short), 2),
    };
    if (header_bytes == 4 && length < 126) || (header_bytes == 10 && length <= 0xFFFF) {
        return Err(FrameError::LengthNotMinimal);
    }
    if length > PAYLOAD_BYTES_MAX {
        return Err(FrameError::TooLong(length));
    }
    if opcode >= CLOSE {
        if length > 125 {
            return Err(FrameError::ControlTooLong);
        }
        if !fin {
            return Err(FrameError::ControlFragmented);
        }
    }
    let bytes = header_bytes + length as usize;
    Ok(input.get(header_bytes..bytes).map(|payload| Frame { fin, opcode, payload, bytes }))
}

/// Appends a client's frame: masked with `mask`, the length in its shortest form.
pub fn write_client_frame(out: &mut Vec<u8>, fin: bool, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    write_header(out, fin, opcode, payload.len(), 0x80);
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Appends a server's whole text frame, as the bare send loop needs it.
pub fn write_server_text(out: &mut Vec<u8>, payload: &[u8]) {
    write_header(out, true, TEXT, payload.len(), 0);
    out.extend_from_slice(payload);
}

fn write_header(out: &mut Vec<u8>, fin: bool, opcode: u8, length: usize, mask_bit: u8) {
    let fin_bit = if fin { 0x80 } else { 0 };
    out.push(fin_bit | (opcode & 0x0F));
    match length {
        0..=125 => out.push(mask_bit | length as u8),
        126..=0xFFFF => {
            out.push(mask_bit | 0x7E);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 0x7F);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
