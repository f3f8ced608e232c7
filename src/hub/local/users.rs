//! Whose connections this shard has: the authorised ones, by user.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ahash::RandomState;

use crate::model::{ConnId, DevId, UserId};

use super::super::few::Few;

#[derive(Clone, Copy, Debug)]
struct Device {
    conn: ConnId,
    /// The user's owner has given it what waited, so it gets personal messages.
    registered: bool,
}

#[derive(Debug)]
pub(super) struct Users {
    devices: HashMap<(DevId, UserId), Few<Device>, RandomState>,
    /// Connections in all lists together.
    count: usize,
}

impl Users {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { devices: HashMap::with_hasher(hasher), count: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.devices.capacity() * (size_of::<((DevId, UserId), Few<Device>)>() + 1)
            + (self.count - self.devices.len()) * size_of::<Device>()
    }

    /// Of an authorised connection, its part of the table.
    pub(super) fn bytes_of_one(&self) -> usize {
        self.bytes() / self.count.max(1)
    }

    pub(super) fn came(&mut self, dev: DevId, user: UserId, conn: ConnId) {
        self.devices.entry((dev, user)).or_default().push(Device { conn, registered: false });
        self.count += 1;
    }

    pub(super) fn went(&mut self, dev: DevId, user: UserId, conn: ConnId) {
        let Entry::Occupied(mut list) = self.devices.entry((dev, user)) else {
            return never!("an authorised connection's user has connections");
        };
        let Some(place) = list.get().iter().position(|device| device.conn == conn) else {
            return never!("an authorised connection is its user's");
        };
        list.get_mut().remove(place);
        self.count -= 1;
        if list.get().is_empty() {
            list.remove();
        }
        if self.devices.is_empty() {
            self.devices.shrink_to_fit();
        }
    }

    pub(super) fn register(&mut self, dev: DevId, user: UserId, conn: ConnId) {
        let device = self.devices.get_mut(&(dev, user)).and_then(|list| list.iter_mut().find(|it| it.conn == conn));
        if let Some(device) = device {
            device.registered = true;
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (DevId, UserId)> {
        self.devices.keys().copied()
    }

    pub(super) fn connections(&self, dev: DevId, user: UserId) -> impl Iterator<Item = ConnId> {
        self.devices.get(&(dev, user)).into_iter().flat_map(|list| list.iter()).map(|device| device.conn)
    }

    /// Those that get personal messages.
    pub(super) fn registered(&self, dev: DevId, user: UserId) -> impl Iterator<Item = ConnId> {
        let all = self.devices.get(&(dev, user)).into_iter().flat_map(|list| list.iter());
        all.filter(|device| device.registered).map(|device| device.conn)
    }
}
