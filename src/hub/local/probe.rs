//! What only tests ask of this wing.

use crate::model::{ConnId, DevId, UserId};

use super::Local;

impl Local {
    pub(in crate::hub) fn rights_bytes(&self) -> usize {
        self.rights.bytes()
    }

    pub(in crate::hub) fn has_no_rights(&self) -> bool {
        self.rights.is_empty()
    }

    /// Whether nothing is held for anybody and nobody is a newcomer.
    pub(in crate::hub) fn is_at_rest(&self) -> bool {
        self.expected.is_empty() && self.arrivals.message_bytes() == 0 && self.pipes.held_bytes() == 0
    }

    /// Whether no pipe has a subscriber, nor takes memory.
    pub(in crate::hub) fn has_no_pipes(&self) -> bool {
        self.pipes.is_empty()
    }

    pub(in crate::hub) fn pipes_bytes(&self) -> usize {
        self.pipes.bytes()
    }

    /// Subscribers of all pipes together.
    pub(in crate::hub) fn all_subscribers(&self) -> usize {
        self.pipes.between(0, usize::MAX).map(|(_, subscribers)| subscribers as usize).sum()
    }

    /// Entries of lists that were written so far.
    pub(in crate::hub) fn work(&self) -> usize {
        self.conns.work
    }

    pub(in crate::hub) fn has_connections_of(&self, dev: DevId, user: UserId) -> bool {
        self.users.connections(dev, user).next().is_some()
    }

    /// Every member knows its slot, and the slot knows its member. Returns how many memberships there are.
    pub(in crate::hub) fn checked_memberships(&self, conns: impl Iterator<Item = ConnId>) -> usize {
        let mut count = 0;
        for conn in conns {
            let memberships = self.conns.memberships(conn);
            count += memberships.len();
            assert!(memberships.is_sorted_by(|left, right| left.pipe < right.pipe));
            for membership in memberships {
                assert_eq!(self.pipes.members(membership.pipe)[membership.slot as usize], conn.index);
            }
        }
        count
    }
}
