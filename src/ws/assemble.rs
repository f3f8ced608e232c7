//! Frames to messages: the stateless way for whole messages, an [`Assembler`] while a fragmented one is open.
//!
//! ```text
//!                 data frame, FIN                   data frame, no FIN
//!   +--- closed <----------------- closed ---------------------------------> open ---+
//!   |    (the message)                ^                                        |  ^   | continuation,
//!   |                                 +--------- continuation, FIN -----------+  +---+ no FIN
//!   +- continuation: violation                     (the message)      data frame: violation
//! ```
//!
//! Control frames pass at any time and change nothing here (RFC 6455 section 5.4).

use std::borrow::Cow;

use super::{CloseCode, FrameHead, Limits, Opcode, Violation, parse_close};

/// What a frame meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A whole message, text or binary: both carry commands and both are UTF-8.
    Message(Cow<'a, str>),
    /// A part of a message; nothing to do yet.
    Fragment,
    /// To be answered with a pong of the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// To be ignored, but a sign of life.
    Pong,
    /// The client ends the connection.
    Close(Option<CloseCode>),
}

/// What the frame means for the connection. `open` is that connection's only state: `None` unless a fragmented
/// message is open.
pub fn receive<'a>(
    open: &mut Option<Box<Assembler>>,
    limits: &Limits,
    head: FrameHead,
    payload: &'a [u8],
) -> Result<Received<'a>, Violation> {
    match head.opcode {
        Opcode::Ping => return Ok(Received::Ping(payload)),
        Opcode::Pong => return Ok(Received::Pong),
        Opcode::Close => return parse_close(payload).map(Received::Close),
        Opcode::Text | Opcode::Binary if head.fin && open.is_none() => {
            return whole(limits, head.opcode, payload).map(|text| Received::Message(Cow::Borrowed(text)));
        }
        Opcode::Continuation if open.is_none() => return Err(Violation::ContinuationAlone),
        Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
    }
    let assembler = open.get_or_insert_with(|| Box::new(Assembler::new(limits)));
    let message = assembler.push(head.opcode, head.fin, payload)?;
    if !assembler.is_open() {
        *open = None;
    }
    Ok(message.map_or(Received::Fragment, |text| Received::Message(Cow::Owned(text))))
}

/// The text of a message that is whole in one frame (FIN set, no fragmented message open).
///
/// Only data frames hold messages: a continuation is a violation, and so is a control frame, which the caller
/// answers itself.
pub fn whole<'a>(limits: &Limits, opcode: Opcode, payload: &'a [u8]) -> Result<&'a str, Violation> {
    match opcode {
        Opcode::Text | Opcode::Binary if payload.len() > limits.message_bytes_max => Err(Violation::TooLarge),
        Opcode::Text | Opcode::Binary => simdutf8::basic::from_utf8(payload).map_err(|_| Violation::NotUtf8),
        _ => Err(Violation::ContinuationAlone),
    }
}

/// Collects the fragments of one message at a time. Holds at most [`Limits::message_bytes_max`] bytes of payload;
/// a message that would go over is refused before it is copied.
#[derive(Debug)]
pub struct Assembler {
    message_bytes_max: usize,
    is_open: bool,
    payload: Vec<u8>,
}

impl Assembler {
    pub fn new(limits: &Limits) -> Self {
        Self { message_bytes_max: limits.message_bytes_max, is_open: false, payload: Vec::new() }
    }

    /// Whether a fragmented message has begun and not ended. When not, this assembler may be thrown away.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Bytes of heap that the open message holds, for the accounting of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.capacity()
    }

    /// Takes one data frame; gives the message that it ends. After a violation the connection is over, and the
    /// assembler holds nothing.
    pub fn push(&mut self, opcode: Opcode, fin: bool, payload: &[u8]) -> Result<Option<String>, Violation> {
        let added = self.add(opcode, payload);
        if fin || added.is_err() {
            self.is_open = false;
            let message = std::mem::take(&mut self.payload);
            added?;
            return String::from_utf8(message).map(Some).map_err(|_| Violation::NotUtf8);
        }
        Ok(None)
    }

    fn add(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), Violation> {
        match (opcode, self.is_open) {
            (Opcode::Text | Opcode::Binary, true) => return Err(Violation::MessageInterleaved),
            (Opcode::Text | Opcode::Binary, false) => self.is_open = true,
            (Opcode::Continuation, true) => {}
            // Control frames never come here; whoever sends one through gets the same answer as a stray part.
            (_, _) => return Err(Violation::ContinuationAlone),
        }
        if payload.len() > self.message_bytes_max.saturating_sub(self.payload.len()) {
            return Err(Violation::TooLarge);
        }
        self.payload.extend_from_slice(payload);
        Ok(())
    }
}
