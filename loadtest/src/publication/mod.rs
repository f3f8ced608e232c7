//! The publications of a load run: what is published, what must arrive, and whether it did. Pure.
//!
//! Every message carries its sequence number, so that a receiver can tell loss, repetition and disorder apart without
//! remembering what it received.

use crate::error::Error;
use crate::frame;

/// Digits of the sequence number at the front of each message.
const SEQUENCE_DIGITS: usize = 10;
/// The longest message: it must fit a frame with the 16-bit length together with its JSON.
pub const MESSAGE_BYTES_MAX: usize = 60_000;

/// All publications of a run look the same but for sequence number and time. The JSON is
/// `{"data":"<message>","event":"<event>","message_send_time":<seconds>,"pipe":"<pipe>"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationShape {
    pipe: String,
    event: String,
    /// The message behind its sequence number.
    filler: String,
    /// The JSON between the sequence number and the time.
    middle: String,
    /// The JSON behind the time.
    tail: String,
}

const FRONT: &[u8] = b"{\"data\":\"";

impl PublicationShape {
    /// `message_bytes` is 10 to [`MESSAGE_BYTES_MAX`]; names consist of name characters.
    pub fn new(pipe: &str, event: &str, message_bytes: usize) -> Result<Self, Error> {
        if !(SEQUENCE_DIGITS..=MESSAGE_BYTES_MAX).contains(&message_bytes) {
            let what = format!("a message of {message_bytes} bytes: it can have 10 to {MESSAGE_BYTES_MAX}");
            return Err(Error::usage(what));
        }
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !is_name(pipe) || !is_name(event) {
            return Err(Error::usage(format!("{pipe:?} or {event:?} is no name: use letters, digits, _ and -")));
        }
        let filler: String = ('a'..='z').cycle().take(message_bytes - SEQUENCE_DIGITS).collect();
        let middle = format!("{filler}\",\"event\":\"{event}\",\"message_send_time\":");
        let tail = format!(",\"pipe\":\"{pipe}\"}}");
        Ok(Self { pipe: pipe.to_owned(), event: event.to_owned(), filler, middle, tail })
    }

    pub fn pipe(&self) -> &str {
        &self.pipe
    }

    pub fn message(&self, sequence: u32) -> String {
        format!("{sequence:010}{}", self.filler)
    }

    /// The statement that publishes it.
    pub fn insert(&self, sequence: u32) -> String {
        format!(
            "INSERT INTO pipes_messages (name, event, message) VALUES ('{}','{}','{}')",
            self.pipe,
            self.event,
            self.message(sequence)
        )
    }

    /// The JSON a subscriber gets when the server's clock shows `seconds`.
    pub fn payload(&self, sequence: u32, seconds: u64) -> Vec<u8> {
        let mut payload = FRONT.to_vec();
        payload.extend_from_slice(format!("{sequence:010}{}{seconds}{}", self.middle, self.tail).as_bytes());
        payload
    }

    /// The same as a WebSocket frame, as a server sends it.
    pub fn frame(&self, sequence: u32, seconds: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::write_server_text(&mut bytes, &self.payload(sequence, seconds));
        bytes
    }

    /// The sequence number of a received JSON; `None` if any byte of it is not as it must be.
    pub fn check(&self, payload: &[u8]) -> Option<u32> {
        let rest = payload.strip_prefix(FRONT)?;
        let (digits, rest) = rest.split_at_checked(SEQUENCE_DIGITS)?;
        let sequence = number(digits)?;
        let seconds = rest.strip_prefix(self.middle.as_bytes())?.strip_suffix(self.tail.as_bytes())?;
        number(seconds)?;
        u32::try_from(sequence).ok()
    }
}

/// A decimal number of 1 to 10 digits: as long as seconds since 1970 are until the year 2286.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

/// What one subscriber has received: 16 bytes, whatever the number of publications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// One more than the highest sequence number received.
    next: u32,
    /// Bit i: sequence number `next - 1 - i` was received. Older ones count as received.
    seen: u64,
}

/// How a received publication stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The one due.
    InOrder,
    /// New, but others before it have not come.
    AfterGap,
    /// One of those that were missing, too late.
    Late,
    Repeated,
}

impl Ledger {
    /// Nothing received, `first` due.
    pub fn new(first: u32) -> Self {
        Self { next: first, seen: u64::MAX }
    }

    /// The sequence number that is due.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// A new round starts with `first`; what is missing of the rounds before was counted there.
    pub fn begin(&mut self, first: u32) {
        if self.next != first {
            *self = Self::new(first);
        }
    }

    pub fn note(&mut self, sequence: u32) -> Verdict {
        if let Some(gap) = sequence.checked_sub(self.next) {
            let in_order = gap == 0;
            self.seen = self.seen.checked_shl(gap.saturating_add(1)).unwrap_or(0) | 1;
            self.next = sequence.saturating_add(1);
            return if in_order { Verdict::InOrder } else { Verdict::AfterGap };
        }
        let bit = 1_u64.checked_shl(self.next - 1 - sequence).unwrap_or(0);
        if bit == 0 || self.seen & bit != 0 {
            return Verdict::Repeated;
        }
        self.seen |= bit;
        Verdict::Late
    }
}

/// Sums over many subscribers. All but `delivered` must stay 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Publications of the run that came for the first time, to whatever subscriber.
    pub delivered: u64,
    pub repeated: u64,
    /// Those that came before or after one they should have followed or preceded.
    pub disordered: u64,
    /// Frames that were no publication of the run.
    pub foreign: u64,
    /// Connections that ended.
    pub ended: u64,
    /// The first foreign frame or broken connection, for the report.
    pub first_trouble: Option<String>,
}

impl Tally {
    pub fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.disordered += other.disordered;
        self.foreign += other.foreign;
        self.ended += other.ended;
        self.first_trouble = self.first_trouble.take().or(other.first_trouble);
    }

    pub fn trouble(&mut self, text: impl FnOnce() -> String) {
        if self.first_trouble.is_none() {
            self.first_trouble = Some(text());
        }
    }

    /// Whether all `expected` deliveries came once, in order, and nothing else.
    pub fn is_exact(&self, expected: u64) -> bool {
        self.delivered == expected && self.repeated + self.disordered + self.foreign + self.ended == 0
    }
}

#[cfg(test)]
mod tests;
