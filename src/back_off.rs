//! How long whoever sent wrong passwords or keys must wait before the next login is looked at.
//!
//! It owns the count of wrong ones by address, or by address and user, and nothing else: whose login it was, what the client
//! is told and who has to be let through in any case are the caller's to decide. Time is an argument.
//!
//! ```text
//!  unknown --wrong--> counted --wrong, attempts_max in all--> waits 1 s --over, wrong--> waits 2 s ... 60 s
//!     ^                  |                                        |                          |
//!     +------------------+--- right, or quiet for FORGOTTEN_AFTER, or the oldest of too many -+
//! ```

use std::hash::Hash;
use std::net::IpAddr;

use ahash::RandomState;

use crate::aged::Aged;
use crate::model::{DevId, Time, UserId, counted_address};

/// The first wait in microseconds; each wrong password after it doubles it.
pub const WAIT_MIN: u64 = 1_000_000;
/// The longest wait in microseconds.
pub const WAIT_MAX: u64 = 60_000_000;
/// Microseconds after its last wrong password at which an address begins anew.
pub const FORGOTTEN_AFTER: u64 = 600_000_000;
/// Addresses counted at a time; the one whose last wrong password is the oldest makes room.
pub const ADDRESSES_MAX: usize = 10_000;

/// Who is counted.
pub trait Key: Copy + Eq + Hash {
    /// As what: an address of version 6 stands for its network.
    #[must_use]
    fn counted(self) -> Self;
}

impl Key for IpAddr {
    fn counted(self) -> Self {
        counted_address(self)
    }
}

/// One user's key, tried from one address.
pub type AddressAndUser = (IpAddr, DevId, UserId);

impl Key for AddressAndUser {
    fn counted(self) -> Self {
        (counted_address(self.0), self.1, self.2)
    }
}

/// See the module. While nobody sends a wrong password it holds no memory.
#[derive(Debug)]
pub struct BackOff<K = IpAddr> {
    /// Wrong passwords before the first wait; 0 never lets anybody wait.
    attempts_max: u32,
    keys_max: usize,
    /// How many wrong ones each sent, by the time of the last one.
    wrong: Aged<K, u32>,
}

impl<K: Key> BackOff<K> {
    pub fn new(attempts_max: u32, keys_max: usize, hasher: RandomState) -> Self {
        Self { attempts_max, keys_max, wrong: Aged::new(hasher) }
    }

    /// From now on so many are let pass; those that were counted stay counted.
    pub fn set_attempts_max(&mut self, attempts_max: u32) {
        self.attempts_max = attempts_max;
        if attempts_max == 0 {
            while self.wrong.pop_first().is_some() {}
        }
    }

    /// Microseconds that a login from this address has to wait; `None` if it may be looked at.
    pub fn wait(&self, key: K, now: Time) -> Option<u64> {
        let key = key.counted();
        let (wrong, last) = (self.wrong.get(&key)?, self.wrong.moment(&key)?);
        let end = last + self.delay(*wrong);
        Some(end - now).filter(|left| *left > 0)
    }

    /// The wrong ones that are counted now.
    pub fn wrong(&self, key: K) -> u32 {
        self.wrong.get(&key.counted()).copied().unwrap_or(0)
    }

    /// A wrong one was sent at a time at which there was no wait. Returns the wait that this begins, in microseconds.
    #[must_use]
    pub fn failed(&mut self, key: K, now: Time) -> Option<u64> {
        self.failed_as(key, 1, now)
    }

    /// The same, and it counts as so many.
    #[must_use]
    pub fn failed_as(&mut self, key: K, wrong: u32, now: Time) -> Option<u64> {
        if self.attempts_max == 0 {
            return None;
        }
        self.forget_old(now);
        let key = key.counted();
        // Somebody may guess for as long as it takes to count to the end; the longest wait is reached long before.
        let wrong = self.wrong.remove(&key).unwrap_or(0).saturating_add(wrong);
        while self.wrong.len() >= self.keys_max.max(1) {
            self.wrong.pop_first();
        }
        self.wrong.insert(key, now, wrong);
        Some(self.delay(wrong)).filter(|delay| *delay > 0)
    }

    /// Whether the next one who is not counted yet takes the place of nobody who may be waiting.
    pub fn has_room(&self, now: Time) -> bool {
        let oldest = self.wrong.next_moment();
        self.wrong.len() < self.keys_max || oldest.is_none_or(|last| now - last >= WAIT_MAX)
    }

    /// The right one was sent: the count begins anew.
    pub fn succeeded(&mut self, key: K) {
        self.wrong.remove(&key.counted());
    }

    /// Keys that are counted.
    pub fn len(&self) -> usize {
        self.wrong.len()
    }

    pub fn is_empty(&self) -> bool {
        self.wrong.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.wrong.bytes()
    }

    /// How long one has to wait after the last of so many wrong ones.
    fn delay(&self, wrong: u32) -> u64 {
        match wrong.checked_sub(self.attempts_max) {
            Some(doublings) => WAIT_MIN.checked_shl(doublings.min(DOUBLINGS_MAX)).map_or(WAIT_MAX, |d| d.min(WAIT_MAX)),
            None => 0,
        }
    }

    fn forget_old(&mut self, now: Time) {
        while self.wrong.next_moment().is_some_and(|last| now - last >= FORGOTTEN_AFTER) {
            self.wrong.pop_first();
        }
    }
}

/// More doublings would only repeat [`WAIT_MAX`].
const DOUBLINGS_MAX: u32 = 6;

#[cfg(test)]
mod tests;
