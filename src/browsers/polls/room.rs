//! Who makes room when all places for connections without a socket are taken.
//!
//! Opening such a connection costs a client one request, so places are no proof of interest. In this order room is made by
//! one that is over and only waits to tell why, by one that nobody ever polled for, and at last by one of the address that
//! has most of all, if whoever comes is of an address with fewer: the one that was not polled for longest. So addresses
//! that all want more than there is have equal shares in the end, and nobody is kept out by who came before.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::ledger::tree;

/// What is known of a connection, the first to make room first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Over,
    /// Nobody has polled for it yet.
    New,
    Polled,
}

/// Where a connection stands among those of its address. Kept by the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    rank: Rank,
    /// When it got there.
    since: u64,
}

type Places = BTreeSet<(Standing, u32)>;

#[derive(Debug, Default)]
pub(super) struct Room {
    addresses: BTreeMap<IpAddr, Places>,
    /// The addresses by how many they have.
    sizes: BTreeSet<(usize, IpAddr)>,
    /// All that are over or new.
    idle: Places,
    clock: u64,
}

impl Room {
    #[must_use]
    pub(super) fn add(&mut self, index: u32, address: IpAddr) -> Standing {
        let standing = self.stand(Rank::New);
        let places = self.addresses.entry(address).or_default();
        self.sizes.remove(&(places.len(), address));
        places.insert((standing, index));
        self.sizes.insert((places.len(), address));
        self.idle.insert((standing, index));
        standing
    }

    #[must_use]
    pub(super) fn change(&mut self, index: u32, address: IpAddr, standing: Standing, rank: Rank) -> Standing {
        let Some(places) = self.addresses.get_mut(&address) else { return standing };
        if !places.remove(&(standing, index)) {
            return standing;
        }
        self.idle.remove(&(standing, index));
        self.clock += 1;
        let standing = Standing { rank, since: self.clock };
        places.insert((standing, index));
        if rank != Rank::Polled {
            self.idle.insert((standing, index));
        }
        standing
    }

    /// It does not count any more. Nothing happens if it did not.
    pub(super) fn remove(&mut self, index: u32, address: IpAddr, standing: Standing) {
        let Some(places) = self.addresses.get_mut(&address) else { return };
        let before = places.len();
        if !places.remove(&(standing, index)) {
            return;
        }
        let left = places.len();
        self.idle.remove(&(standing, index));
        self.sizes.remove(&(before, address));
        if left == 0 {
            self.addresses.remove(&address);
        } else {
            self.sizes.insert((left, address));
        }
    }

    /// Which one makes room for a newcomer of this address; `None`: the newcomer has to wait.
    pub(super) fn first(&self, newcomer: IpAddr) -> Option<u32> {
        let over = self.idle.first().filter(|(standing, _)| standing.rank == Rank::Over);
        let (most, largest) = self.sizes.last()?;
        let of_largest = self.addresses.get(largest)?.first()?;
        let new = Some(of_largest).filter(|(standing, _)| standing.rank != Rank::Polled).or(self.idle.first());
        let few = self.addresses.get(&newcomer).map_or(0, Places::len);
        let polled = Some(of_largest).filter(|_| few + 1 < *most);
        over.or(new).or(polled).map(|(_, index)| *index)
    }

    fn stand(&mut self, rank: Rank) -> Standing {
        self.clock += 1;
        Standing { rank, since: self.clock }
    }

    pub(super) fn bytes(&self) -> usize {
        let places: usize = self.sizes.iter().map(|(places, _)| places).sum();
        tree::<(Standing, u32)>(places + self.idle.len())
            + tree::<((usize, IpAddr), (IpAddr, Places))>(self.sizes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// Connections by address and standing.
    #[derive(Default)]
    struct Crowd {
        room: Room,
        connections: BTreeMap<u32, (IpAddr, Standing)>,
    }

    impl Crowd {
        fn open(&mut self, index: u32, number: u8) {
            let standing = self.room.add(index, address(number));
            self.connections.insert(index, (address(number), standing));
        }

        fn change(&mut self, index: u32, rank: Rank) {
            let (address, standing) = self.connections.get_mut(&index).unwrap();
            *standing = self.room.change(index, *address, *standing, rank);
        }

        fn gone(&mut self, index: u32) {
            let (address, standing) = self.connections.remove(&index).unwrap();
            self.room.remove(index, address, standing);
        }
    }

    #[test]
    fn what_nobody_polled_for_goes_first() {
        let mut crowd = Crowd::default();
        (0..5).for_each(|index| crowd.open(index, 1));
        crowd.open(5, 2);
        assert_eq!(crowd.room.first(address(2)), Some(0), "the oldest");
        (0..3).for_each(|index| crowd.change(index, Rank::Polled));
        assert_eq!(crowd.room.first(address(1)), Some(3), "one of its own, if there is no other");
        crowd.change(5, Rank::Over);
        assert_eq!(crowd.room.first(address(1)), Some(5), "whoever is over wants nothing but to tell it");
        crowd.gone(5);
        (3..5).for_each(|index| crowd.change(index, Rank::Polled));
        crowd.change(0, Rank::Polled);
        assert_eq!(crowd.room.first(address(1)), None, "nobody has more than its address");
        assert_eq!(crowd.room.first(address(2)), Some(1), "the one not polled for longest");
    }

    #[test]
    fn a_flood_of_many_addresses_finds_the_new_ones_of_all() {
        let mut crowd = Crowd::default();
        crowd.open(0, 1);
        crowd.change(0, Rank::Polled);
        crowd.open(1, 1);
        crowd.change(1, Rank::Polled);
        crowd.open(2, 2);
        assert_eq!(crowd.room.first(address(3)), Some(2), "one that is polled for is worth more than one that is not");
    }

    #[test]
    fn addresses_end_up_with_equal_shares() {
        let mut crowd = Crowd::default();
        let places = 60;
        for index in 0..places {
            crowd.open(index, 1);
            crowd.change(index, Rank::Polled);
        }
        let mut refused = 0;
        for index in places..400 {
            let number = 2 + (index % 2) as u8;
            let Some(first) = crowd.room.first(address(number)) else {
                refused += 1;
                continue;
            };
            crowd.gone(first);
            crowd.open(index, number);
            crowd.change(index, Rank::Polled);
        }
        let shares: Vec<usize> = crowd.room.sizes.iter().map(|(size, _)| *size).collect();
        assert_eq!(shares, [20, 20, 20]);
        assert_eq!(refused, 300, "and then nobody pushes out anybody for ever");
    }

    #[test]
    fn nothing_is_left_behind() {
        let mut crowd = Crowd::default();
        (0..100).for_each(|index| crowd.open(index, (index % 7) as u8));
        (0..50).for_each(|index| crowd.change(index, Rank::Polled));
        (20..70).for_each(|index| crowd.change(index, Rank::Over));
        (0..100).for_each(|index| crowd.gone(index));
        let Room { addresses, sizes, idle, .. } = &crowd.room;
        assert!(addresses.is_empty() && sizes.is_empty() && idle.is_empty());
        assert_eq!((crowd.room.bytes(), crowd.room.first(address(1))), (0, None));
    }
}
