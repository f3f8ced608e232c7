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
    Message(Message<'a>),
    /// A part of a message; nothing to do yet.
    Fragment,
    /// To be answered with a pong of the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// To be ignored, but a sign of life.
    Pong,
    /// The client ends the connection.
    Close(Option<CloseCode>),
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    Text(Cow<'a, str>),
    /// Any bytes.
    Binary(Cow<'a, [u8]>),
    /// Compressed; [`Inflater::open`](super::Inflater::open) makes one of the others of it.
    Deflated {
        is_text: bool,
        payload: Cow<'a, [u8]>,
    },
}

impl<'a> Message<'a> {
    /// The command in a message: both kinds may carry one, and commands are UTF-8.
    pub fn into_text(self) -> Result<Cow<'a, str>, Violation> {
        match self {
            Self::Text(text) => Ok(text),
            // Whoever agreed to compressed messages opens them first.
            Self::Deflated { .. } => Err(Violation::ReservedBits),
            Self::Binary(Cow::Borrowed(bytes)) => text_of(bytes).map(Cow::Borrowed),
            Self::Binary(Cow::Owned(bytes)) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Violation::NotUtf8),
        }
    }
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
            return whole(limits, head, payload).map(Received::Message);
        }
        Opcode::Continuation if open.is_none() => return Err(Violation::ContinuationAlone),
        Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
    }
    let assembler = open.get_or_insert_with(|| Box::new(Assembler::new(limits)));
    let message = assembler.push(head, payload)?;
    if !assembler.is_open() {
        *open = None;
    }
    Ok(message.map_or(Received::Fragment, Received::Message))
}

/// The message that is whole in one frame (FIN set, no fragmented message open).
///
/// Only data frames hold messages: a continuation is a violation, and so is a control frame, which the caller
/// answers itself.
pub fn whole<'a>(limits: &Limits, head: FrameHead, payload: &'a [u8]) -> Result<Message<'a>, Violation> {
    match head.opcode {
        Opcode::Text | Opcode::Binary if payload.len() > limits.message_bytes_max => Err(Violation::TooLarge),
        Opcode::Text | Opcode::Binary if head.compressed => {
            Ok(Message::Deflated { is_text: head.opcode == Opcode::Text, payload: Cow::Borrowed(payload) })
        }
        Opcode::Text => text_of(payload).map(|text| Message::Text(Cow::Borrowed(text))),
        Opcode::Binary => Ok(Message::Binary(Cow::Borrowed(payload))),
        _ => Err(Violation::ContinuationAlone),
    }
}

fn text_of(payload: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(payload).map_err(|_| Violation::NotUtf8)
}

/// Collects the fragments of one message at a time. Holds at most [`Limits::message_bytes_max`] bytes of payload;
/// a message that would go over is refused before it is copied.
#[derive(Debug)]
pub struct Assembler {
    message_bytes_max: usize,
    is_open: bool,
    is_text: bool,
    is_compressed: bool,
    payload: Vec<u8>,
    /// So many bytes of an open text are whole characters.
    valid_bytes: usize,
}

impl Assembler {
    pub fn new(limits: &Limits) -> Self {
        Self {
            message_bytes_max: limits.message_bytes_max,
            is_open: false,
            is_text: false,
            is_compressed: false,
            payload: Vec::new(),
            valid_bytes: 0,
        }
    }

    /// Whether a fragmented message has begun and not ended. When not, this assembler may be thrown away.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Bytes of heap that the open message holds, for the accounting of memory.
    pub fn bytes(&self) -> usize {
        size_of::<Self>().saturating_add(self.payload.capacity())
    }

    /// Takes one data frame; gives the message that it ends. After a violation the connection is over, and the
    /// assembler holds nothing.
    pub fn push(&mut self, head: FrameHead, payload: &[u8]) -> Result<Option<Message<'static>>, Violation> {
        let added = self.add(head, payload);
        if head.fin || added.is_err() {
            self.is_open = false;
            let payload = std::mem::take(&mut self.payload);
            added?;
            if self.is_compressed {
                return Ok(Some(Message::Deflated { is_text: self.is_text, payload: Cow::Owned(payload) }));
            }
            let binary = Message::Binary(Cow::Owned(payload));
            return if self.is_text {
                binary.into_text().map(|text| Some(Message::Text(text)))
            } else {
                Ok(Some(binary))
            };
        }
        Ok(None)
    }

    fn add(&mut self, head: FrameHead, payload: &[u8]) -> Result<(), Violation> {
        match (head.opcode, self.is_open) {
            (Opcode::Text | Opcode::Binary, true) => return Err(Violation::MessageInterleaved),
            (Opcode::Text | Opcode::Binary, false) => {
                self.is_open = true;
                self.is_text = head.opcode == Opcode::Text;
                self.is_compressed = head.compressed;
                self.valid_bytes = 0;
            }
            (Opcode::Continuation, true) => {}
            // Control frames never come here; whoever sends one through gets the same answer as a stray part.
            (_, _) => return Err(Violation::ContinuationAlone),
        }
        if payload.len() > self.message_bytes_max.saturating_sub(self.payload.len()) {
            return Err(Violation::TooLarge);
        }
        self.payload.extend_from_slice(payload);
        if self.is_text && !self.is_compressed { self.check_text() } else { Ok(()) }
    }

    /// A text that cannot become UTF-8 any more is refused with the fragment that shows it (RFC 6455 section 8.1). A
    /// character that the fragment cuts is looked at again with the next one.
    fn check_text(&mut self) -> Result<(), Violation> {
        let unchecked = self.payload.get(self.valid_bytes..).unwrap_or_default();
        let valid = match simdutf8::compat::from_utf8(unchecked) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        };
        self.valid_bytes = self.valid_bytes.saturating_add(valid);
        Ok(())
    }
}
