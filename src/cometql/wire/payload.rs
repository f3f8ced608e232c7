//! Payloads of commands: lent from the unread bytes if they are there in one packet, collected otherwise.

use std::borrow::Cow;

use super::bytes::{HEADER_LENGTH, Header, PACKET_FULL, grow};

/// After login, a payload longer than this is taken into the connection piece by piece while it arrives. So a buffer
/// of this many bytes and a packet header (4), or of `Limits::packet_before_login_max` and a header if that is more,
/// is all that a caller must keep for unread bytes.
pub const BORROWED_MAX: usize = 64 * 1024;

/// What the unread bytes hold.
pub(super) enum Step<'a> {
    /// More bytes are needed.
    Wait,
    /// This many bytes were taken and kept.
    Partial(usize),
    /// A whole payload: the bytes used, its last packet's number, its first byte if it has one, and the rest.
    Payload { used: usize, sequence: u8, command: Option<u8>, body: Cow<'a, [u8]> },
}

/// The payload is longer than its cap. Known from the headers, before anything of it is kept.
pub(super) struct TooLarge {
    pub(super) sequence: u8,
}

/// The place for a long payload while it arrives; holds no heap memory otherwise.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    collected: Option<Box<Collected>>,
}

/// A long payload of which a part has arrived.
#[derive(Debug, Default)]
struct Collected {
    command: Option<u8>,
    /// What followed the command byte.
    body: Vec<u8>,
    /// Bytes of the current packet still to come.
    missing: usize,
    /// The current packet is a full one, so another follows.
    continues: bool,
    sequence: u8,
}

impl Payloads {
    pub(super) fn next<'a>(&mut self, payload_max: usize, input: &'a [u8]) -> Result<Step<'a>, TooLarge> {
        if self.collected.is_none() {
            let Some(Header { length, sequence }) = Header::read(input) else { return Ok(Step::Wait) };
            if length > payload_max {
                return Err(TooLarge { sequence });
            }
            let used = HEADER_LENGTH + length;
            if length < PACKET_FULL
                && let Some(payload) = input.get(HEADER_LENGTH..used)
            {
                return Ok(lend(used, sequence, payload));
            }
            if length <= BORROWED_MAX {
                return Ok(Step::Wait);
            }
        }
        self.collect(payload_max, input)
    }

    /// Bytes of heap memory that a payload takes.
    pub(super) fn held(&self) -> usize {
        self.collected.as_ref().map_or(0, |collected| collected.body.capacity())
    }

    fn collect<'a>(&mut self, payload_max: usize, input: &'a [u8]) -> Result<Step<'a>, TooLarge> {
        let collected = self.collected.get_or_insert_default();
        let used = collected.take(payload_max, input)?;
        if collected.missing > 0 || collected.continues {
            return Ok(if used == 0 { Step::Wait } else { Step::Partial(used) });
        }
        let Collected { command, body, sequence, .. } = std::mem::take(&mut **collected);
        self.collected = None;
        Ok(Step::Payload { used, sequence, command, body: Cow::Owned(body) })
    }
}

fn lend(used: usize, sequence: u8, payload: &[u8]) -> Step<'_> {
    let (command, body) = match payload.split_first() {
        Some((command, body)) => (Some(*command), body),
        None => (None, payload),
    };
    Step::Payload { used, sequence, command, body: Cow::Borrowed(body) }
}

impl Collected {
    /// Takes what belongs to this payload, across packets. Returns the bytes used.
    fn take(&mut self, payload_max: usize, input: &[u8]) -> Result<usize, TooLarge> {
        let mut rest = input;
        loop {
            let (taken, after) = rest.split_at(self.missing.min(rest.len()));
            self.keep(taken, payload_max);
            self.missing -= taken.len();
            rest = after;
            if self.missing > 0 || !self.awaits_header() {
                break;
            }
            let Some(Header { length, sequence }) = Header::read(rest) else { break };
            if self.length() + length > payload_max {
                return Err(TooLarge { sequence });
            }
            self.missing = length;
            self.continues = length == PACKET_FULL;
            self.sequence = sequence;
            rest = rest.get(HEADER_LENGTH..).unwrap_or_default();
        }
        Ok(input.len() - rest.len())
    }

    /// At the very start, and behind a full packet. (Nothing shorter than a byte is ever collected.)
    fn awaits_header(&self) -> bool {
        self.command.is_none() || self.continues
    }

    fn keep(&mut self, bytes: &[u8], payload_max: usize) {
        let body = match (self.command, bytes.split_first()) {
            (None, Some((command, body))) => {
                self.command = Some(*command);
                body
            }
            _ => bytes,
        };
        grow(&mut self.body, body.len(), payload_max);
        self.body.extend_from_slice(body);
    }

    fn length(&self) -> usize {
        self.body.len() + usize::from(self.command.is_some())
    }
}
