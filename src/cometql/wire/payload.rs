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
    /// The end of a payload that is too long for its command and was not kept, and how its body began.
    Dropped { used: usize, sequence: u8, command: u8, head: [u8; HEAD] },
}

/// What is kept of the body of a payload that is dropped: enough to know whose it is.
pub(super) const HEAD: usize = 6;

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
    /// Bytes of the body so far, kept or not.
    length: usize,
    /// It is longer than its command may be: no more of it is kept than [`HEAD`].
    dropped: bool,
}

impl Payloads {
    /// `body_max`: what the body of a command may have. One that is longer, and not than `payload_max`, is dropped as it
    /// comes.
    pub(super) fn next<'a>(
        &mut self,
        payload_max: usize,
        body_max: impl Fn(u8) -> usize,
        input: &'a [u8],
    ) -> Result<Step<'a>, TooLarge> {
        if self.collected.is_none() {
            let Some(Header { length, sequence }) = Header::read(input) else { return Ok(Step::Wait) };
            if length > payload_max {
                return Err(TooLarge { sequence });
            }
            let used = HEADER_LENGTH.saturating_add(length);
            if length < PACKET_FULL
                && let Some(payload) = input.get(HEADER_LENGTH..used)
            {
                return Ok(lend(used, sequence, payload));
            }
            if length <= BORROWED_MAX {
                return Ok(Step::Wait);
            }
        }
        self.collect(payload_max, body_max, input)
    }

    /// The number of the last packet of a payload of which a part has come.
    pub(super) fn sequence(&self) -> Option<u8> {
        self.collected.as_ref().map(|collected| collected.sequence)
    }

    /// Bytes of heap memory that a payload takes.
    pub(super) fn held(&self) -> usize {
        self.collected.as_ref().map_or(0, |collected| collected.body.capacity())
    }

    fn collect<'a>(
        &mut self,
        payload_max: usize,
        body_max: impl Fn(u8) -> usize,
        input: &'a [u8],
    ) -> Result<Step<'a>, TooLarge> {
        let collected = self.collected.get_or_insert_default();
        let used = collected.take(payload_max, body_max, input)?;
        if collected.missing > 0 || collected.continues {
            return Ok(if used == 0 { Step::Wait } else { Step::Partial(used) });
        }
        let Collected { command, body, sequence, dropped, .. } = std::mem::take(&mut **collected);
        self.collected = None;
        if let (true, Some(command)) = (dropped, command) {
            let mut head = [0; HEAD];
            head.iter_mut().zip(body).for_each(|(place, byte)| *place = byte);
            return Ok(Step::Dropped { used, sequence, command, head });
        }
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
    fn take(&mut self, payload_max: usize, body_max: impl Fn(u8) -> usize, input: &[u8]) -> Result<usize, TooLarge> {
        let mut rest = input;
        loop {
            let (taken, after) = rest.split_at(self.missing.min(rest.len()));
            self.missing = self.missing.saturating_sub(taken.len());
            self.keep(taken, &body_max);
            rest = after;
            if self.missing > 0 || !self.awaits_header() {
                break;
            }
            let Some(Header { length, sequence }) = Header::read(rest) else { break };
            let so_far = self.length.saturating_add(self.command.is_some().into());
            if so_far.saturating_add(length) > payload_max {
                return Err(TooLarge { sequence });
            }
            self.missing = length;
            self.continues = length == PACKET_FULL;
            self.sequence = sequence;
            rest = rest.get(HEADER_LENGTH..).unwrap_or_default();
        }
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// At the very start, and behind a full packet. (Nothing shorter than a byte is ever collected.)
    fn awaits_header(&self) -> bool {
        self.command.is_none() || self.continues
    }

    fn keep(&mut self, bytes: &[u8], body_max: impl Fn(u8) -> usize) {
        let body = match (self.command, bytes.split_first()) {
            (None, Some((command, body))) => {
                self.command = Some(*command);
                body
            }
            _ => bytes,
        };
        let Some(most) = self.command.map(body_max) else { return };
        self.length = self.length.saturating_add(body.len());
        // The header has told how much is still to come, so most of these are dropped from their first byte on.
        if self.length.saturating_add(self.missing) > most && !self.dropped {
            self.dropped = true;
            self.body.truncate(HEAD);
            self.body.shrink_to_fit();
        }
        let kept = if self.dropped { body.len().min(HEAD.saturating_sub(self.body.len())) } else { body.len() };
        grow(&mut self.body, kept, most);
        self.body.extend_from_slice(body.get(..kept).unwrap_or_default());
    }
}
