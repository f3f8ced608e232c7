//! Users whose last connection went a moment ago, and who count as online until their grace is over.

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{DevId, Time, UnixTime, UserId};

/// Users at a time; whoever goes beyond counts as offline at once.
const LEAVING_MAX: usize = 1_000_000;

/// By the time at which their grace is over; and since when they are really gone.
#[derive(Debug)]
pub(super) struct Leaving(Aged<(DevId, UserId), UnixTime>);

impl Leaving {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self(Aged::new(hasher))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    pub(super) fn contains(&self, dev: DevId, user: UserId) -> bool {
        self.0.contains(&(dev, user))
    }

    /// False: there is no room.
    pub(super) fn add(&mut self, dev: DevId, user: UserId, until: Time, since: UnixTime) -> bool {
        let has_room = self.0.len() < LEAVING_MAX;
        if has_room {
            self.0.insert((dev, user), until, since);
        }
        has_room
    }

    /// Whether the user was leaving, and is not any more.
    pub(super) fn take(&mut self, dev: DevId, user: UserId) -> bool {
        self.0.remove(&(dev, user)).is_some()
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.0.next_moment()
    }

    /// One whose grace is over, and since when it is gone.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<(DevId, UserId, UnixTime)> {
        self.0.pop_due(now).map(|((dev, user), since)| (dev, user, since))
    }

    /// All of them, whatever their grace.
    pub(super) fn all(&self) -> impl Iterator<Item = (DevId, UserId, UnixTime)> {
        self.0.iter().map(|((dev, user), since)| (*dev, *user, *since))
    }
}
