//! What a host has left unused, kept until more comes or it is asked for.
//!
//! Using up moves a mark and not the bytes. They are moved when the used ones are the larger half, so taking a rest in
//! small pieces costs no more than twice its length in all.

/// A rest below this size keeps its allocation.
const SHRINK_MIN: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Unread {
    bytes: Vec<u8>,
    /// How many of them are used up already; less than half of them.
    used: usize,
}

impl Unread {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.used
    }

    /// Bytes allocated.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn rest_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.used..).unwrap_or_default()
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Drops the first `count` bytes of the rest.
    pub(crate) fn advance(&mut self, count: usize) {
        self.used = (self.used + count).min(self.bytes.len());
        if self.used * 2 < self.bytes.len() {
            return;
        }
        self.bytes.drain(..self.used);
        self.used = 0;
        if self.bytes.capacity() > SHRINK_MIN && self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests;
