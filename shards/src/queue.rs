//! What waits to be sent on one connection: own bytes and references to shared ones.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use crate::host::SharedBytes;
use crate::shares::Shares;

/// Own bytes are joined up to this size, so that many small writes are few chunks.
const JOINED_MAX: usize = 16 * 1024;

/// Shared bytes below this size are copied: a reference would cost as much.
const SHARED_MIN: usize = 512;

/// Chunks given to the kernel in one call.
pub(crate) const SLICES_MAX: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are sent already.
    sent: usize,
    /// Unsent bytes in all chunks.
    unsent: usize,
    /// Bytes allocated for own chunks.
    owned: usize,
    /// Bytes referred to by shared chunks.
    shared: usize,
    /// The part of them that counts as held here, see [`Shared::charge`].
    charged: usize,
}

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Shared),
}

/// A part of shared bytes.
#[derive(Debug)]
struct Shared {
    bytes: SharedBytes,
    part: Range<usize>,
    /// What counts as held here: the bytes divided by those who had them when they were taken. So what many have is counted
    /// a few times at most, and what nobody else has is counted in full.
    charge: usize,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(shared) => shared.bytes.get(shared.part.clone()).unwrap_or_default(),
        }
    }
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.unsent == 0
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.unsent
    }

    /// Bytes held, of which the second number is shared with other queues.
    pub(crate) fn memory(&self) -> (usize, usize) {
        (self.owned + self.chunks.capacity() * size_of::<Chunk>(), self.shared)
    }

    /// Bytes that this queue holds on to, what it shares with others counted in part.
    pub(crate) fn held(&self) -> usize {
        self.owned + self.chunks.capacity() * size_of::<Chunk>() + self.charged
    }

    /// Copies `bytes` to the end.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.unsent += bytes.len();
        if let Some(Chunk::Owned(last)) = self.chunks.back_mut()
            && last.len() + bytes.len() <= JOINED_MAX
        {
            let before = last.capacity();
            last.extend_from_slice(bytes);
            self.owned += last.capacity() - before;
            return;
        }
        self.owned += bytes.len();
        self.chunks.push_back(Chunk::Owned(bytes.to_vec()));
    }

    /// Refers to this part of `bytes`. `shares`: what all queues refer to.
    pub(crate) fn push_shared(&mut self, bytes: &SharedBytes, part: Range<usize>, shares: &mut Shares) {
        let rest = bytes.get(part.clone()).unwrap_or_default();
        if rest.len() < SHARED_MIN {
            return self.push(rest);
        }
        let charge = bytes.len() / SharedBytes::strong_count(bytes).max(1);
        self.unsent += rest.len();
        self.shared += bytes.len();
        shares.take(bytes);
        self.charged += charge;
        self.chunks.push_back(Chunk::Shared(Shared { bytes: SharedBytes::clone(bytes), part, charge }));
    }

    /// The first chunks, for one call to the kernel.
    pub(crate) fn slices(&self) -> ([IoSlice<'_>; SLICES_MAX], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut skip = self.sent;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk.bytes().get(skip..).unwrap_or_default());
            skip = 0;
            count += 1;
        }
        (slices, count)
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self, shares: &mut Shares) {
        for chunk in &self.chunks {
            if let Chunk::Shared(shared) = chunk {
                shares.give(&shared.bytes);
            }
        }
        *self = Self::default();
    }

    /// Drops the first `count` bytes: they are sent.
    pub(crate) fn advance(&mut self, count: usize, shares: &mut Shares) {
        self.unsent = self.unsent.saturating_sub(count);
        self.sent += count;
        while let Some(first) = self.chunks.front() {
            let len = first.bytes().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            match first {
                Chunk::Owned(bytes) => self.owned -= bytes.capacity(),
                Chunk::Shared(shared) => {
                    self.shared -= shared.bytes.len();
                    shares.give(&shared.bytes);
                    self.charged -= shared.charge;
                }
            }
            self.chunks.pop_front();
        }
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests;
