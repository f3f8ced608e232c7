//! The slab of connections: chunks of 1,024 entries that never move.
//!
//! Growing costs one allocation of 32 KiB and copies nothing, so there is no pause and no left-over half-size copy.
//! Chunks are kept for the life of the shard: memory stays at the peak of connections.

use std::ops::Range;

use crate::entry::{Entry, Flags};
use crate::host::Token;

pub(crate) const CHUNK: usize = 1024;

/// No place: the end of the list of vacant ones.
const NONE: u32 = u32::MAX;

pub(crate) struct Slab<S, K> {
    chunks: Vec<Box<[Entry<S, K>]>>,
    first_vacant: u32,
    used: u32,
    max: u32,
}

impl<S: Copy + Default, K> Slab<S, K> {
    /// Holds at most `max` connections.
    pub(crate) fn new(max: u32) -> Self {
        let mut slab = Self { chunks: Vec::new(), first_vacant: NONE, used: 0, max: 0 };
        slab.set_max(max);
        slab
    }

    /// Those that are there stay.
    pub(crate) fn set_max(&mut self, max: u32) {
        // The three highest indices stay free for the marks of the poll.
        self.max = max.min(NONE - 3);
    }

    pub(crate) fn len(&self) -> u32 {
        self.used
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used >= self.max
    }

    /// Takes a vacant place; `None` (and the socket is dropped) when the slab is full.
    pub(crate) fn insert(&mut self, socket: K) -> Option<Token> {
        if self.is_full() {
            return None;
        }
        if self.first_vacant == NONE {
            self.grow();
        }
        let index = self.first_vacant;
        let entry = self.place_mut(index)?;
        let next = entry.next_vacant();
        entry.state = S::default();
        entry.socket = Some(socket);
        entry.tick = 0;
        entry.timeout = 0;
        entry.flags.retain(Flags::SCHEDULED);
        entry.flags.set(Flags::OCCUPIED);
        let token = Token { index, generation: entry.generation };
        self.first_vacant = next;
        self.used += 1;
        Some(token)
    }

    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        let mut chunk: Box<[Entry<S, K>]> = (0..CHUNK).map(|_| Entry::vacant()).collect();
        for (entry, index) in chunk.iter_mut().zip(first..) {
            entry.set_next_vacant(index + 1);
        }
        if let Some(last) = chunk.last_mut() {
            last.set_next_vacant(self.first_vacant);
        }
        self.first_vacant = first;
        self.chunks.push(chunk);
    }

    /// Makes the place vacant; all that waited is dropped. The token is dead from now on. Returns the socket if it was not
    /// closed yet.
    pub(crate) fn remove(&mut self, token: Token) -> Option<K> {
        let next = self.first_vacant;
        let entry = self.get_mut(token)?;
        let socket = entry.socket.take();
        entry.ext = None;
        entry.generation = entry.generation.wrapping_add(1).max(1);
        entry.flags.retain(Flags::SCHEDULED);
        entry.set_next_vacant(next);
        self.first_vacant = token.index;
        self.used -= 1;
        socket
    }

    /// The connection of this token, if it is still the same one.
    pub(crate) fn get(&self, token: Token) -> Option<&Entry<S, K>> {
        self.chunks
            .get(token.index as usize / CHUNK)?
            .get(token.index as usize % CHUNK)
            .filter(|entry| entry.generation == token.generation && entry.flags.has(Flags::OCCUPIED))
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Entry<S, K>> {
        self.place_mut(token.index)
            .filter(|entry| entry.generation == token.generation && entry.flags.has(Flags::OCCUPIED))
    }

    /// A place, occupied or not.
    pub(crate) fn place_mut(&mut self, index: u32) -> Option<&mut Entry<S, K>> {
        self.chunks.get_mut(index as usize / CHUNK)?.get_mut(index as usize % CHUNK)
    }

    /// All connections, by place.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token> {
        let entries = self.chunks.iter().flat_map(|chunk| chunk.iter()).zip(0..);
        entries
            .filter(|(entry, _)| entry.flags.has(Flags::OCCUPIED))
            .map(|(entry, index)| Token { index, generation: entry.generation })
    }

    /// All places, occupied or not.
    pub(crate) fn places(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// The connections in some of the places.
    pub(crate) fn tokens_in(&self, places: Range<u32>) -> impl Iterator<Item = Token> {
        places.filter_map(|index| {
            let entry = self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)?;
            entry.flags.has(Flags::OCCUPIED).then_some(Token { index, generation: entry.generation })
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Entry<S, K>>() + self.chunks.capacity() * size_of::<Box<[Entry<S, K>]>>()
    }
}

#[cfg(test)]
mod tests;
