//! Users whose last connection went a moment ago, and who count as online until their grace is over.

use std::collections::{BTreeSet, HashMap};

use ahash::RandomState;

use crate::model::{DevId, Time, UnixTime, UserId};

use super::pipes::shrink;

type Key = (DevId, UserId);

/// Users at a time; whoever goes beyond counts as offline at once.
const LEAVING_MAX: usize = 1_000_000;

#[derive(Debug)]
pub(in crate::hub) struct Leaving {
    /// Until when, and since when really.
    users: HashMap<Key, (Time, UnixTime), RandomState>,
    order: BTreeSet<(Time, Key)>,
}

impl Leaving {
    pub(in crate::hub) fn new(hasher: RandomState) -> Self {
        Self { users: HashMap::with_hasher(hasher), order: BTreeSet::new() }
    }

    pub(in crate::hub) fn bytes(&self) -> usize {
        self.users.capacity() * size_of::<(Key, (Time, UnixTime))>() + self.order.len() * size_of::<(Time, Key)>()
    }

    pub(in crate::hub) fn contains(&self, dev: DevId, user: UserId) -> bool {
        self.users.contains_key(&(dev, user))
    }

    /// False: there is no room.
    pub(in crate::hub) fn add(&mut self, dev: DevId, user: UserId, until: Time, since: UnixTime) -> bool {
        if self.users.len() >= LEAVING_MAX {
            return false;
        }
        self.take(dev, user);
        self.users.insert((dev, user), (until, since));
        self.order.insert((until, (dev, user)))
    }

    /// Whether the user was leaving, and is not any more.
    pub(in crate::hub) fn take(&mut self, dev: DevId, user: UserId) -> bool {
        let Some((until, _)) = self.users.remove(&(dev, user)) else { return false };
        shrink(&mut self.users);
        self.order.remove(&(until, (dev, user)))
    }

    pub(in crate::hub) fn next_deadline(&self) -> Option<Time> {
        self.order.first().map(|(until, _)| *until)
    }

    /// One whose grace is over, and since when it is gone.
    pub(in crate::hub) fn pop_due(&mut self, now: Time) -> Option<(DevId, UserId, UnixTime)> {
        let (_, (dev, user)) = self.order.first().copied().filter(|(until, _)| *until <= now)?;
        let (_, since) = *self.users.get(&(dev, user))?;
        self.take(dev, user);
        Some((dev, user, since))
    }

    /// All of them, whatever their grace.
    pub(in crate::hub) fn all(&self) -> impl Iterator<Item = (DevId, UserId, UnixTime)> {
        self.users.iter().map(|((dev, user), (_, since))| (*dev, *user, *since))
    }
}
