//! What every connection costs: 32 bytes in the slab, and a box of more only while something waits.

use crate::holders::Place;
use crate::queue::Queue;
use crate::unread::Unread;

/// One place of the slab, with the host's state `S` and a socket `K`.
pub(crate) struct Entry<S, K> {
    /// Unread rest and write queue; dropped when both are empty.
    pub(crate) ext: Option<Box<Ext>>,
    /// The host's.
    pub(crate) state: S,
    /// `None` in a vacant place and in one whose connection is ending.
    pub(crate) socket: Option<K>,
    /// Part of the token; changes whenever the place becomes vacant. Never 0.
    pub(crate) generation: u32,
    /// The tick from which `timeout` counts: the last activity, or when an absolute deadline was set. Together with
    /// `timeout` the link to the next vacant place while this one is vacant.
    pub(crate) tick: u16,
    /// In ticks, at most [`TIMEOUT_TICKS_MAX`]; 0: none.
    pub(crate) timeout: u16,
    /// The tick at which the wheel visits this place, valid while SCHEDULED is set. The wheel may hold older records of
    /// the place; they are told by their tick.
    pub(crate) scheduled: u16,
    pub(crate) flags: Flags,
}

/// Ticks are compared in 16 bits, so a timeout may span half of their range at most.
pub const TIMEOUT_TICKS_MAX: u16 = i16::MAX as u16;

impl<S: Default, K> Entry<S, K> {
    pub(crate) fn vacant() -> Self {
        // The crate's promise about memory, and the limits of the host's state, are checked where they would break.
        const { assert!(size_of::<S>() <= 8 && align_of::<S>() <= 8, "Host::State holds at most 8 bytes") };
        const { assert!(size_of::<Self>() <= 32, "an entry holds at most 32 bytes") };
        Self {
            ext: None,
            state: S::default(),
            socket: None,
            generation: 1,
            tick: 0,
            timeout: 0,
            scheduled: 0,
            flags: Flags::default(),
        }
    }
}

impl<S, K> Entry<S, K> {
    /// Whether the host may still use the connection.
    pub(crate) fn is_open(&self) -> bool {
        self.flags.has(Flags::OCCUPIED) && !self.flags.has_any(Flags::ENDING | Flags::CLOSING)
    }

    pub(crate) fn has_queue(&self) -> bool {
        self.ext.as_ref().is_some_and(|ext| !ext.queue.is_empty())
    }

    /// Ticks until the timeout as seen at tick `now`; zero or less: it has passed.
    pub(crate) fn remaining(&self, now: u64) -> i16 {
        self.tick.wrapping_add(self.timeout).wrapping_sub(now as u16) as i16
    }

    pub(crate) fn next_vacant(&self) -> u32 {
        u32::from(self.tick) << 16 | u32::from(self.timeout)
    }

    pub(crate) fn set_next_vacant(&mut self, index: u32) {
        self.tick = (index >> 16) as u16;
        self.timeout = index as u16;
    }
}

/// What an idle connection has no need of.
#[derive(Debug, Default)]
pub(crate) struct Ext {
    /// What the host left unused.
    pub(crate) unread: Unread,
    pub(crate) queue: Queue,
    /// Input thrown away while the connection lingers.
    pub(crate) drained: usize,
    /// The host wants to know when the queue is empty. Says nothing once it is, so it keeps no box.
    pub(crate) tell_when_sent: bool,
    /// Among those for whom something waits.
    pub(crate) place: Option<Place>,
}

impl Ext {
    /// Bytes that wait for this connection; `kernel` are those that the system keeps of it if it takes no more.
    pub(crate) fn held(&self, kernel: usize) -> usize {
        let in_kernel = if self.queue.is_empty() { 0 } else { kernel };
        size_of::<Self>() + self.unread.memory() + self.queue.held() + in_kernel
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.queue.is_empty() && self.drained == 0
    }
}

/// Facts about a connection, one bit each.
#[derive(Copy, Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// The place holds a connection, from accept until the host was told of its end.
    pub(crate) const OCCUPIED: u16 = 1;
    /// The socket is closed; the host is told soon.
    pub(crate) const ENDING: u16 = 1 << 1;
    /// Flushing before the end; nothing is handed in or accepted for writing.
    pub(crate) const CLOSING: u16 = 1 << 2;
    /// Flushed and shut down for writing; input is thrown away until the peer closes.
    pub(crate) const LINGERING: u16 = 1 << 3;
    /// CLOSING because the peer closed, not because the host did.
    pub(crate) const ENDED_BY_PEER: u16 = 1 << 4;
    /// The host wants nothing handed in.
    pub(crate) const PAUSED: u16 = 1 << 5;
    /// The kernel reported input that has not been read to its end.
    pub(crate) const READABLE: u16 = 1 << 6;
    /// The kernel reported that the peer closed or broke the connection: read until it says so itself.
    pub(crate) const FINISHED: u16 = 1 << 7;
    /// In the list of connections to be read.
    pub(crate) const READ_LISTED: u16 = 1 << 8;
    /// In the list of connections to be flushed.
    pub(crate) const FLUSH_LISTED: u16 = 1 << 9;
    /// In the batch that is being gathered: a second send must wait for the next one.
    pub(crate) const IN_BATCH: u16 = 1 << 10;
    /// `timeout` is an absolute deadline, which activity does not move.
    pub(crate) const DEADLINE: u16 = 1 << 11;
    /// The wheel will visit the place at tick `scheduled`. Belongs to the place: survives its connection.
    pub(crate) const SCHEDULED: u16 = 1 << 12;
    /// The first idle interval was already randomised.
    pub(crate) const SPREAD: u16 = 1 << 13;
    /// The unread rest is to be handed in again although nothing came behind it.
    pub(crate) const HAND_IN: u16 = 1 << 14;
    /// A send failed for good: what is written is dropped, what was received is still handed in.
    pub(crate) const BROKEN: u16 = 1 << 15;

    pub(crate) fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    pub(crate) fn has_any(self, flags: u16) -> bool {
        self.0 & flags != 0
    }

    pub(crate) fn set(&mut self, flags: u16) {
        self.0 |= flags;
    }

    pub(crate) fn clear(&mut self, flags: u16) {
        self.0 &= !flags;
    }

    /// Keeps only `flags` of what is set.
    pub(crate) fn retain(&mut self, flags: u16) {
        self.0 &= flags;
    }
}
