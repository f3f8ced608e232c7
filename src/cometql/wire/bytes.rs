//! Integers and strings of the protocol: reading with every bound checked, writing into a growing buffer, and the
//! framing of packets.

/// A payload of this length is continued in the next packet; one that ends there is followed by an empty packet.
pub(super) const PACKET_FULL: usize = 0xff_ffff;

/// Length (3 bytes, little-endian) and sequence number (1 byte).
pub(super) const HEADER_LENGTH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of payload after the header, at most [`PACKET_FULL`].
    pub(super) length: usize,
    pub(super) sequence: u8,
}

impl Header {
    /// `None` while fewer than four bytes are there.
    pub(super) fn read(input: &[u8]) -> Option<Self> {
        let [low, middle, high, sequence, ..] = *input else { return None };
        Some(Self { length: u32::from_le_bytes([low, middle, high, 0]) as usize, sequence })
    }
}

/// The unread rest of a payload. Every method takes from its front, or returns `None` and then the payload is
/// malformed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length-encoded integer. The first bytes 251 (NULL) and 255 are no integers.
    pub(super) fn length_encoded(&mut self) -> Option<u64> {
        match self.u8()? {
            short @ 0..=250 => Some(u64::from(short)),
            252 => self.u16().map(u64::from),
            253 => self.array().map(|[a, b, c]| u64::from(u32::from_le_bytes([a, b, c, 0]))),
            254 => self.array().map(u64::from_le_bytes),
            251 | 255 => None,
        }
    }

    pub(super) fn length_encoded_bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length_encoded()?).ok()?;
        self.bytes(length)
    }

    /// The bytes before the next NUL, which is taken too.
    pub(super) fn until_nul(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.rest)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(text)
    }

    /// Like [`Self::until_nul`], but the last string of a payload may lack its NUL: several clients omit it.
    pub(super) fn until_nul_or_end(&mut self) -> &'a [u8] {
        self.until_nul().unwrap_or_else(|| self.rest())
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }
}

/// Makes room for `more` bytes. Doubles like a `Vec` does, but not beyond `capacity_max` unless `more` itself needs
/// it; so what is charged for a buffer is what it takes.
pub(super) fn grow(buffer: &mut Vec<u8>, more: usize, capacity_max: usize) {
    let needed = buffer.len().saturating_add(more);
    if needed > buffer.capacity() {
        let wanted = buffer.capacity().saturating_mul(2).min(capacity_max).max(needed);
        buffer.reserve_exact(wanted.saturating_sub(buffer.len()));
    }
}

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_length(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=250 => out.extend_from_slice(&bytes[..1]),
        251..=0xffff => {
            out.push(252);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(253);
            out.extend_from_slice(&bytes[..3]);
        }
        _ => {
            out.push(254);
            out.extend_from_slice(&bytes);
        }
    }
}

pub(super) fn put_length_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_length(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends one payload, written by `write`, as one packet or several. `sequence` is the last number used; returns
/// the last number used then.
pub(super) fn put_packet(out: &mut Vec<u8>, sequence: u8, write: impl FnOnce(&mut Vec<u8>)) -> u8 {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LENGTH]);
    let behind = out.len();
    write(out);
    let Some((head, payload)) = out.get_mut(start..).and_then(|packet| packet.split_first_chunk_mut::<HEADER_LENGTH>())
    else {
        never!("what is written stands behind its header");
        return sequence;
    };
    if payload.len() < PACKET_FULL {
        let sequence = sequence.wrapping_add(1);
        *head = header(payload.len(), sequence);
        return sequence;
    }
    let payload = out.split_off(behind);
    out.truncate(start);
    put_long_payload(out, sequence, &payload)
}

fn put_long_payload(out: &mut Vec<u8>, mut sequence: u8, payload: &[u8]) -> u8 {
    let mut chunks = payload.chunks(PACKET_FULL);
    loop {
        let chunk = chunks.next().unwrap_or_default();
        sequence = sequence.wrapping_add(1);
        out.extend_from_slice(&header(chunk.len(), sequence));
        out.extend_from_slice(chunk);
        if chunk.len() < PACKET_FULL {
            return sequence;
        }
    }
}

fn header(length: usize, sequence: u8) -> [u8; HEADER_LENGTH] {
    let [low, middle, high, ..] = length.to_le_bytes();
    [low, middle, high, sequence]
}
