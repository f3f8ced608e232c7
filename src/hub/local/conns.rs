//! The connections of a shard as the hub sees them: 32 bytes each.

use crate::model::{ConnId, DevId, UserId};

use super::places::Places;

/// One connection's place in one pipe: `members[slot]` of the pipe is this connection, unless it is only expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) pipe: u32,
    pub(super) slot: u32,
}

impl Membership {
    /// Of a connection that becomes a member later. It has its place in the list at once, so that becoming a member is
    /// the change of one number, however many pipes a command names.
    pub(super) fn expected(pipe: u32) -> Self {
        Self { pipe, slot: EXPECTED }
    }

    pub(super) fn is_expected(self) -> bool {
        self.slot == EXPECTED
    }
}

/// No slot of a pipe: there are fewer connections than that.
const EXPECTED: u32 = u32::MAX;

/// Nearly every connection has one subscription or none; only the others pay for a list, and those with two or three for
/// the smallest block of the heap. It is sorted by pipe, because whoever leaves a pipe moves another member there, and what
/// others subscribed to must not decide what that costs.
#[derive(Debug, Default)]
enum Memberships {
    #[default]
    None,
    One(Membership),
    Two(Box<[Membership; 2]>),
    Three(Box<[Membership; 3]>),
    #[expect(clippy::box_collection, reason = "a Vec in line would make every connection larger")]
    Many(Box<Vec<Membership>>),
}

impl Memberships {
    fn new(mut list: Vec<Membership>) -> Self {
        match list.as_slice() {
            [] => Self::None,
            [only] => Self::One(*only),
            _ => {
                list.sort_unstable_by_key(|membership| membership.pipe);
                match *list.as_slice() {
                    [a, b] => Self::Two(Box::new([a, b])),
                    [a, b, c] => Self::Three(Box::new([a, b, c])),
                    _ => {
                        list.shrink_to_fit();
                        Self::Many(Box::new(list))
                    }
                }
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Conn {
    generation: u32,
    pub(super) dev: DevId,
    /// Anonymous until storage has confirmed the key.
    pub(super) user: UserId,
    live: bool,
    /// Waits for an answer; the edge hands in no further command.
    pub(super) busy: bool,
    memberships: Memberships,
}

const _: () = assert!(size_of::<Conn>() <= 32, "an idle connection must stay small");

impl Conn {
    pub(super) fn memberships(&self) -> &[Membership] {
        match &self.memberships {
            Memberships::None => &[],
            Memberships::One(membership) => std::slice::from_ref(membership),
            Memberships::Two(list) => &**list,
            Memberships::Three(list) => &**list,
            Memberships::Many(list) => list,
        }
    }

    /// Whether it is a member of exactly one pipe.
    pub(super) fn is_single(&self) -> bool {
        matches!(self.memberships, Memberships::One(_))
    }

    fn membership_mut(&mut self, pipe: u32) -> Option<&mut Membership> {
        let list = match &mut self.memberships {
            Memberships::None => &mut [],
            Memberships::One(membership) => std::slice::from_mut(membership),
            Memberships::Two(list) => &mut **list,
            Memberships::Three(list) => &mut **list,
            Memberships::Many(list) => list.as_mut_slice(),
        };
        let place = list.binary_search_by_key(&pipe, |membership| membership.pipe).ok()?;
        list.get_mut(place)
    }

    pub(super) fn list_bytes(&self) -> usize {
        match &self.memberships {
            Memberships::Two(_) => 2 * size_of::<Membership>(),
            Memberships::Three(_) => 3 * size_of::<Membership>(),
            Memberships::Many(list) => size_of::<Vec<Membership>>() + list.capacity() * size_of::<Membership>(),
            _ => 0,
        }
    }
}

/// Indexed by the connection's place in the shard's slab, so that nothing is hashed on the way to a subscriber.
#[derive(Debug, Default)]
pub(super) struct Conns {
    places: Places<Conn>,
    live: usize,
    /// Bytes of the lists of connections with several subscriptions.
    list_bytes: usize,
    /// Entries of lists that were written so far.
    #[cfg(test)]
    pub(super) work: usize,
}

impl Conns {
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// All places from this one on, whether somebody is there or not.
    pub(super) fn indices_from(&self, first: u32) -> impl Iterator<Item = u32> + use<> {
        self.places.indices_from(first)
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.bytes() + self.list_bytes
    }

    pub(super) fn insert(&mut self, conn: ConnId, dev: DevId) {
        if let Some(entry) = self.places.reach(conn.index) {
            *entry = Conn { generation: conn.generation, dev, live: true, ..Conn::default() };
            self.live += 1;
        }
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Conn> {
        let gone = std::mem::take(self.get_mut(conn)?);
        self.live -= 1;
        self.list_bytes -= gone.list_bytes();
        Some(gone)
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.at(conn.index).filter(|entry| entry.generation == conn.generation)
    }

    /// The living connection in this place.
    pub(super) fn at(&self, index: u32) -> Option<&Conn> {
        self.places.get(index).filter(|entry| entry.live)
    }

    pub(super) fn id(&self, index: u32) -> Option<ConnId> {
        self.at(index).map(|entry| ConnId { index, generation: entry.generation })
    }

    pub(super) fn set_busy(&mut self, conn: ConnId, busy: bool) -> bool {
        self.get_mut(conn).is_some_and(|entry| std::mem::replace(&mut entry.busy, busy) != busy)
    }

    pub(super) fn authorise(&mut self, conn: ConnId, user: UserId) {
        if let Some(entry) = self.get_mut(conn) {
            entry.user = user;
        }
    }

    pub(super) fn memberships(&self, conn: ConnId) -> &[Membership] {
        self.get(conn).map(Conn::memberships).unwrap_or_default()
    }

    /// These are all its memberships now.
    pub(super) fn replace(&mut self, conn: ConnId, memberships: Vec<Membership>) {
        #[cfg(test)]
        {
            self.work += memberships.len();
        }
        self.change(conn.index, |entry| entry.memberships = Memberships::new(memberships));
    }

    /// The member in this place stands at another slot of the pipe now.
    pub(super) fn moved(&mut self, index: u32, pipe: u32, slot: u32) {
        #[cfg(test)]
        {
            self.work += 1;
        }
        let Some(membership) = self.slot_mut(index).and_then(|entry| entry.membership_mut(pipe)) else {
            return never!("a member knows its pipe");
        };
        membership.slot = slot;
    }

    /// Whether the connection is expected in the pipe and no member yet.
    pub(super) fn is_expected(&mut self, conn: ConnId, pipe: u32) -> bool {
        self.get_mut(conn)
            .and_then(|entry| entry.membership_mut(pipe))
            .is_some_and(|membership| membership.is_expected())
    }

    fn change(&mut self, index: u32, change: impl FnOnce(&mut Conn)) {
        if let Some(entry) = self.slot_mut(index) {
            let before = entry.list_bytes();
            change(entry);
            let after = entry.list_bytes();
            self.list_bytes = self.list_bytes - before + after;
        }
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.slot_mut(conn.index).filter(|entry| entry.live && entry.generation == conn.generation)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Conn> {
        self.places.get_mut(index)
    }
}
