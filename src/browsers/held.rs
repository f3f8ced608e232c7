//! What connections take: the hub knows its part of it, here is known what waits.

use crate::model::{ConnId, DevId, ShardId};
use crate::ring::{Answered, AskId, ConnectionInfo, HeldByTenant, Replies, RingMessage};

use super::Browsers;
use super::effects::Effects;
use super::recipient::queued_bytes;

impl Browsers {
    /// Bytes beside the hub's.
    fn held_bytes(&self, io: &impl Effects, conn: ConnId) -> usize {
        if conn.is_polled() {
            return self.polls.held_bytes(conn);
        }
        io.held_bytes(conn) + self.fragments.held_bytes(conn)
    }

    /// What waits to be sent, and what all of it takes, is known here only.
    pub(super) fn fill_in(&self, io: &impl Effects, connections: &mut [ConnectionInfo]) {
        for connection in connections {
            connection.queued_bytes = queued_bytes(io, &self.polls, connection.conn) as u64;
            connection.memory += self.held_bytes(io, connection.conn) as u64;
        }
    }

    /// Answers for the connections in some places, of this tenant or of all.
    pub(super) fn tell_held(
        &self,
        io: &mut impl Effects,
        (to, id): (ShardId, AskId),
        dev: Option<DevId>,
        after: Option<u32>,
    ) {
        let mut held: Vec<HeldByTenant> = Vec::new();
        let edge = &*io;
        let next = self.hub.visit_held(after, &mut |owner, conn, bytes| {
            if dev.is_some_and(|dev| dev != owner) {
                return;
            }
            let bytes = (bytes + self.held_bytes(edge, conn)) as u64;
            // Neighbours are mostly of one tenant; whoever adds up does not mind one that is named twice.
            match held.last_mut().filter(|last| last.dev == owner) {
                Some(last) => (last.connections, last.bytes) = (last.connections + 1, last.bytes + bytes),
                None => held.push(HeldByTenant { dev: owner, connections: 1, bytes }),
            }
        });
        io.send(to, RingMessage::Answered(Box::new(Answered { id, replies: Replies::Held { held, next } })));
    }
}
