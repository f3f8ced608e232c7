//! RFC 6455 as pure functions on bytes: accept keys, frames from clients, messages made of fragments, frames to
//! clients; and RFC 7692, compressed messages.
//!
//! Owned here: what is a valid frame, message and close payload, and which close code its violation has. Deliberately
//! absent: the HTTP head around a handshake (`http`), buffers, deadlines, and the decision whether a close frame is
//! answered (classic clients must not get one).
//!
//! A connection without an open fragmented message holds no state of this module.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod accept;
mod assemble;
mod close;
mod deflate;
mod encode;
mod frame;

#[cfg(test)]
mod tests;

pub use accept::accept_key;
pub use assemble::{Assembler, Message, Received, receive, whole};
pub use close::{CloseCode, parse_close};
pub use deflate::{Agreement, DEFLATE_BYTES_MIN, Deflater, Inflater, Window, agree};
pub use encode::{
    SmallHead, append_text_frame, close, close_with_reason, deflated_text_frame, payload_of, ping, pong, text_frame,
    text_frame_head,
};
pub use frame::{FrameHead, Opcode, Step, next_frame, next_frame_with_deflate, unmask};

use crate::model::CloseReason;

/// The caps on what a client sends. Whoever goes over one is answered with [`Violation::TooLarge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one frame.
    pub frame_bytes_max: usize,
    /// Payload bytes of one message, whether in one frame or in fragments.
    pub message_bytes_max: usize,
}

impl Limits {
    /// What browsers could send to the server's predecessor: a 16-bit length.
    pub const BYTES_MAX_DEFAULT: usize = 65_535;
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame_bytes_max: Self::BYTES_MAX_DEFAULT, message_bytes_max: Self::BYTES_MAX_DEFAULT }
    }
}

/// What a client did against RFC 6455 or our caps. Always the peer's fault; always ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// An RSV bit is set that no negotiated extension gives a meaning there (5.2).
    ReservedBits,
    /// Opcodes 3 to 7 and 11 to 15 (5.2).
    UnknownOpcode,
    /// Clients must mask every frame (5.1).
    Unmasked,
    /// A control frame with more than 125 bytes of payload (5.5).
    ControlTooLong,
    /// A control frame without FIN (5.5).
    ControlFragmented,
    /// A length that is not written in the fewest bytes (5.2).
    LengthNotMinimal,
    /// A 64-bit length with its top bit set (5.2).
    LengthTopBit,
    /// A frame or message above its cap.
    TooLarge,
    /// A new data frame while a fragmented message is open (5.4).
    MessageInterleaved,
    /// A continuation frame while none is open (5.4).
    ContinuationAlone,
    /// A text or close reason that is not UTF-8 (8.1), or a binary message that is to be a command and is not.
    NotUtf8,
    /// A compressed message that does not inflate (RFC 7692).
    BadDeflate,
    /// A close payload of one byte, or with a code that must not be sent (7.4).
    BadClose,
}

impl Violation {
    /// The code a client with a closing handshake is told.
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::TooLarge => CloseCode::Size,
            Self::NotUtf8 | Self::BadDeflate => CloseCode::Invalid,
            _ => CloseCode::Protocol,
        }
    }

    /// What is counted when the connection ends because of this.
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::TooLarge => CloseReason::TooLarge,
            _ => CloseReason::ProtocolError,
        }
    }
}
