//! What a connection takes in the hub.

use crate::model::{ConnId, DevId};

use super::Local;
use super::conns::Conn;
use super::details::Detail;

impl Local {
    /// Bytes for the connection in this place: its own, and its share of what is kept by pipe and user.
    pub(super) fn held_bytes(&self, index: u32) -> usize {
        let Some(conn) = self.conns.at(index) else { return 0 };
        let own = size_of::<Conn>() + size_of::<Detail>() + conn.list_bytes() + self.details.held_bytes(index);
        let slots = size_of::<u32>() * conn.memberships().len();
        let device = if conn.user.is_anonymous() { 0 } else { self.users.bytes_of_one() };
        own + slots + device
    }

    /// Hands the connections in some places, from behind one on, to `visit`: whose it is, its name, its bytes here. Returns
    /// where to go on, if there are more.
    pub(in crate::hub) fn visit_held(
        &self,
        after: Option<u32>,
        visit: &mut dyn FnMut(DevId, ConnId, usize),
    ) -> Option<u32> {
        let mut places = self.conns.indices_from(after.map_or(0, |after| after + 1));
        let mut last = None;
        for index in places.by_ref().take(PLACES_AT_ONCE) {
            last = Some(index);
            if let Some((conn, id)) = self.conns.at(index).zip(self.conns.id(index)) {
                visit(conn.dev, id, self.held_bytes(index));
            }
        }
        places.next().and(last)
    }
}

/// Places that are looked at for one question: some tenths of a millisecond.
const PLACES_AT_ONCE: usize = 2_048;
