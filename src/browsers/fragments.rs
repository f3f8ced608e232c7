//! The fragmented messages that are open on a shard. There are few at a time, so they are not in the connections'
//! state; and they have a maximum together, which the one that is open longest pays for: a client that sends a message
//! in parts is done in a moment, one that keeps it open only takes the room of others.

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{ConnId, Time};
use crate::ws::Assembler;

pub(super) struct Fragments {
    open_max: usize,
    bytes_max: usize,
    /// In the order in which they were opened, so the moment of all is the same. Absent while a frame is added to it.
    open: Aged<ConnId, Option<Box<Assembler>>>,
    /// Of all assemblers that are here.
    bytes: usize,
}

impl Fragments {
    /// `open_max`: messages open at the same time. `bytes_max`: what they may hold together.
    pub(super) fn new(open_max: usize, bytes_max: usize, hasher: RandomState) -> Self {
        Self { open_max, bytes_max, open: Aged::new(hasher), bytes: 0 }
    }

    pub(super) fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.open.bytes()
    }

    /// Of one connection.
    pub(super) fn held_bytes(&self, conn: ConnId) -> usize {
        self.open.get(&conn).and_then(Option::as_ref).map_or(0, |assembler| assembler.bytes())
    }

    /// The connection's open message, to be given back by [`put`](Self::put).
    pub(super) fn take(&mut self, conn: ConnId) -> Option<Box<Assembler>> {
        let assembler = self.open.get_mut(&conn)?.take()?;
        self.bytes -= assembler.bytes();
        Some(assembler)
    }

    pub(super) fn put(&mut self, conn: ConnId, assembler: Box<Assembler>) {
        self.bytes += assembler.bytes();
        match self.open.get_mut(&conn) {
            // What is added to a message does not make it younger.
            Some(open) => *open = Some(assembler),
            None => drop(self.open.insert(conn, Time::default(), Some(assembler))),
        }
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        let assembler = self.open.remove(&conn).flatten();
        self.bytes -= assembler.map_or(0, |assembler| assembler.bytes());
    }

    /// The connection that has to go while there are more messages, or more bytes of them, than may be.
    pub(super) fn excess(&self) -> Option<ConnId> {
        let is_too_much = self.open.len() > self.open_max || self.bytes > self.bytes_max;
        self.open.first().copied().filter(|_| is_too_much)
    }
}

#[cfg(test)]
mod tests {
    use super::Fragments;
    use crate::model::ConnId;
    use crate::ws::{Assembler, FrameHead, Limits, Opcode};
    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    /// Adds so many bytes to what the connection has open.
    fn add(fragments: &mut Fragments, index: u32, bytes: usize) {
        let limits = Limits { frame_bytes_max: 10_000, message_bytes_max: 10_000 };
        let open = fragments.take(conn(index));
        let opcode = if open.is_some() { Opcode::Continuation } else { Opcode::Text };
        let mut assembler = open.unwrap_or_else(|| Box::new(Assembler::new(&limits)));
        let head = FrameHead { fin: false, opcode, compressed: false };
        assembler.push(head, &vec![b'x'; bytes]).unwrap();
        fragments.put(conn(index), assembler);
    }

    #[test]
    fn the_message_that_is_open_longest_makes_room_for_a_new_one() {
        let mut fragments = Fragments::new(3, 1_000_000, ahash::RandomState::with_seed(1));
        for index in [7, 1, 5] {
            add(&mut fragments, index, 1);
            assert_eq!(fragments.excess(), None);
        }
        // What is added to a message does not make it younger.
        add(&mut fragments, 7, 1);
        add(&mut fragments, 3, 1);
        assert_eq!(fragments.excess(), Some(conn(7)));
        fragments.forget(conn(7));
        assert_eq!(fragments.excess(), None);
        add(&mut fragments, 7, 1);
        assert_eq!(fragments.excess(), Some(conn(1)));
    }

    #[test]
    fn the_bytes_of_all_open_messages_have_a_maximum() {
        let mut fragments = Fragments::new(100, 5000, ahash::RandomState::with_seed(1));
        add(&mut fragments, 1, 100);
        add(&mut fragments, 2, 2000);
        add(&mut fragments, 3, 2000);
        assert_eq!(fragments.excess(), None);
        add(&mut fragments, 3, 2000);
        assert_eq!(fragments.excess(), Some(conn(1)));
        fragments.forget(conn(1));
        assert_eq!(fragments.excess(), Some(conn(2)), "the first one was too small to help");
        fragments.forget(conn(2));
        assert_eq!(fragments.excess(), None);
        assert!(fragments.take(conn(3)).is_some());
        fragments.forget(conn(3));
        fragments.forget(conn(3));
        assert_eq!(fragments.bytes(), 0);
    }
}
