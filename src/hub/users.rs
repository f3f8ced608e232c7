//! Whose connections this shard has: the authorised ones, by user.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;

use crate::model::{ConnId, DevId, UserId};

#[derive(Debug)]
pub(super) struct Users {
    connections: HashMap<(DevId, UserId), Vec<ConnId>, RandomState>,
    /// Connections in all lists together.
    count: usize,
}

impl Users {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { connections: HashMap::with_hasher(hasher), count: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.connections.capacity() * (size_of::<((DevId, UserId), Vec<ConnId>)>() + 1)
            + self.count * size_of::<ConnId>()
    }

    pub(super) fn came(&mut self, dev: DevId, user: UserId, conn: ConnId) {
        // Nearly every user has one connection; the usual first step of growth would take four.
        let list = self.connections.entry((dev, user)).or_insert_with(|| Vec::with_capacity(1));
        list.push(conn);
        self.count += 1;
    }

    pub(super) fn went(&mut self, dev: DevId, user: UserId, conn: ConnId) {
        let Entry::Occupied(mut list) = self.connections.entry((dev, user)) else { return };
        let Some(place) = list.get().iter().position(|known| *known == conn) else { return };
        list.get_mut().swap_remove(place);
        self.count -= 1;
        if list.get().is_empty() {
            list.remove();
        }
        if self.connections.is_empty() {
            self.connections.shrink_to_fit();
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (DevId, UserId)> {
        self.connections.keys().copied()
    }

    pub(super) fn connections(&self, dev: DevId, user: UserId) -> impl Iterator<Item = ConnId> {
        self.connections.get(&(dev, user)).into_iter().flatten().copied()
    }
}
