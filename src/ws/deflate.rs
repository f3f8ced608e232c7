//! permessage-deflate (RFC 7692), always without context takeover: a message is compressed by itself, so that one
//! compressed form serves all receivers, and a connection keeps nothing but the size of its window.
//!
//! One [`Deflater`] and one [`Inflater`] serve a whole shard; their state is made when they are first needed.

use std::borrow::Cow;
use std::num::NonZeroU8;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Limits, Message, Violation};

#[cfg(test)]
mod tests;

/// Smaller payloads are sent as they are: what deflate saves on them is less than it costs.
pub const DEFLATE_BYTES_MIN: usize = 128;

/// Of 1 to 9; what is compressed once for all receivers may cost a little.
const LEVEL: u32 = 6;

/// What ends every compressed message and is not sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

const NAME: &[u8] = b"permessage-deflate";
const WINDOW_BITS_MIN: u8 = 8;
const WINDOW_BITS_MAX: u8 = 15;

/// How far back a client can look while it inflates: two to the power of 8 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(NonZeroU8);

impl Window {
    const LARGEST: Self = Self::new(WINDOW_BITS_MAX).unwrap();

    const fn new(bits: u8) -> Option<Self> {
        match NonZeroU8::new(bits) {
            Some(bits) if bits.get() >= WINDOW_BITS_MIN && bits.get() <= WINDOW_BITS_MAX => Some(Self(bits)),
            _ => None,
        }
    }

    /// Whether the client can inflate a payload of so many bytes, which was compressed with the largest window: nothing
    /// in it refers to what is farther back than its own beginning.
    pub fn holds(self, payload_bytes: usize) -> bool {
        self == Self::LARGEST || payload_bytes <= 1 << self.0.get()
    }
}

/// What a client offered and the server agrees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    pub window: Window,
    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub answer: String,
}

/// The first of a client's offers that can be served; `offers` are the parts of its `Sec-WebSocket-Extensions`. An offer
/// with an unknown, repeated or senseless parameter is declined, as RFC 7692 section 7.1 demands.
pub fn agree<'a>(mut offers: impl Iterator<Item = &'a [u8]>) -> Option<Agreement> {
    let Offer { window } = offers.find_map(parse_offer)?;
    let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let answer = match window {
        Some(window) => format!("{answer}; server_max_window_bits={}", window.0),
        None => answer.to_owned(),
    };
    Some(Agreement { window: window.unwrap_or(Window::LARGEST), answer })
}

struct Offer {
    /// What it asks the server to keep to.
    window: Option<Window>,
}

/// `None` for an offer that is declined.
fn parse_offer(offer: &[u8]) -> Option<Offer> {
    let mut parts = offer.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    parts.next().filter(|name| name.eq_ignore_ascii_case(NAME))?;
    let mut window = None;
    let mut seen = Vec::new();
    for part in parts {
        let mut sides = part.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let (name, value) = (sides.next()?, sides.next());
        if seen.contains(&name) {
            return None;
        }
        match (name, value) {
            (b"server_no_context_takeover" | b"client_no_context_takeover" | b"client_max_window_bits", None) => {}
            // The inflater's window is the largest, whatever the client keeps to.
            (b"client_max_window_bits", Some(bits)) => drop(window_bits(bits)?),
            (b"server_max_window_bits", Some(bits)) => window = Some(window_bits(bits)?),
            _ => return None,
        }
        seen.push(name);
    }
    Some(Offer { window })
}

/// 8 to 15, with or without quotes.
fn window_bits(value: &[u8]) -> Option<Window> {
    let digits = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    let bits = match digits {
        [digit @ b'8'..=b'9'] => digit & 0x0f,
        [b'1', digit @ b'0'..=b'5'] => 10_u8.saturating_add(digit & 0x0f),
        _ => return None,
    };
    Window::new(bits)
}

/// Compresses what many get.
#[derive(Debug, Default)]
pub struct Deflater {
    state: Option<Compress>,
}

impl Deflater {
    /// The compressed payload without its tail; `None` if compressing it is not worth it.
    pub fn deflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        if payload.len() < DEFLATE_BYTES_MIN {
            return None;
        }
        let state = self.state.get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        state.reset();
        // What does not fit is not smaller than the payload.
        let mut deflated = Vec::with_capacity(payload.len().saturating_add(TAIL.len()));
        state.compress_vec(payload, &mut deflated, FlushCompress::Sync).ok()?;
        let whole = state.total_in() == payload.len() as u64 && deflated.len() < deflated.capacity();
        let bytes = deflated.strip_suffix(&TAIL).filter(|bytes| whole && bytes.len() < payload.len())?.len();
        deflated.truncate(bytes);
        Some(deflated)
    }
}

/// Gives clients' messages back their size.
#[derive(Debug, Default)]
pub struct Inflater {
    state: Option<Decompress>,
}

impl Inflater {
    /// A message as its client meant it. One that would become larger than messages may be is given up when it does.
    pub fn open<'a>(&mut self, message: Message<'a>, limits: &Limits) -> Result<Message<'a>, Violation> {
        let Message::Deflated { is_text, payload } = message else { return Ok(message) };
        let message = Message::Binary(Cow::Owned(self.inflate(&payload, limits.message_bytes_max)?));
        if is_text { message.into_text().map(Message::Text) } else { Ok(message) }
    }

    fn inflate(&mut self, payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, Violation> {
        let state = self.state.get_or_insert_with(|| Decompress::new(false));
        state.reset(false);
        let mut message = Vec::new();
        for mut input in [payload, &TAIL] {
            loop {
                if message.len() == message.capacity() {
                    grow(&mut message, bytes_max);
                }
                let (used, room) = (state.total_in(), message.capacity().saturating_sub(message.len()));
                let before = message.len();
                let status = state.decompress_vec(input, &mut message, FlushDecompress::Sync);
                let status = status.map_err(|_| Violation::BadDeflate)?;
                let used = usize::try_from(state.total_in().saturating_sub(used)).unwrap_or(usize::MAX);
                input = input.get(used..).unwrap_or_default();
                if message.len() > bytes_max {
                    return Err(Violation::TooLarge);
                }
                if status == Status::StreamEnd {
                    // A last block may be followed by others (RFC 7692 section 7.2.3.4).
                    state.reset(false);
                    if input.is_empty() {
                        break;
                    }
                } else if message.len().saturating_sub(before) < room {
                    // There was more room, so the input was not enough.
                    break;
                }
            }
        }
        Ok(message)
    }
}

/// Twice the room, at first a kibibyte, and never more than one byte above the cap: that byte tells that it is passed.
fn grow(message: &mut Vec<u8>, bytes_max: usize) {
    const FIRST: usize = 1024;
    let wanted = message.len().saturating_mul(2).max(FIRST).min(bytes_max.saturating_add(1));
    message.reserve_exact(wanted.saturating_sub(message.len()).max(1));
}
