//! How long an address that sent wrong passwords must wait before its next login is looked at.
//!
//! It owns the count of wrong passwords by address and nothing else: whose login it was, what the client is told and
//! who has to be let through in any case are the caller's to decide. Time is an argument.
//!
//! ```text
//!  unknown --wrong--> counted --wrong, attempts_max in all--> waits 1 s --over, wrong--> waits 2 s ... 60 s
//!     ^                  |                                        |                          |
//!     +------------------+--- right, or quiet for FORGOTTEN_AFTER, or the oldest of too many -+
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ahash::RandomState;

use crate::model::{Time, counted_address};

/// The first wait in microseconds; each wrong password after it doubles it.
pub const WAIT_MIN: u64 = 1_000_000;
/// The longest wait in microseconds.
pub const WAIT_MAX: u64 = 60_000_000;
/// Microseconds after its last wrong password at which an address begins anew.
pub const FORGOTTEN_AFTER: u64 = 600_000_000;
/// Addresses counted at a time; the one whose last wrong password is the oldest makes room.
pub const ADDRESSES_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    wrong: u32,
    last: Time,
    /// Place in the order of last wrong passwords.
    order: u64,
}

/// See the module. While nobody sends a wrong password it holds no memory.
#[derive(Debug)]
pub struct BackOff {
    /// Wrong passwords before the first wait; 0 never lets anybody wait.
    attempts_max: u32,
    addresses_max: usize,
    counts: HashMap<IpAddr, Count, RandomState>,
    /// The same addresses, the oldest last wrong password first.
    order: BTreeMap<u64, IpAddr>,
    next_order: u64,
}

impl BackOff {
    pub fn new(attempts_max: u32, addresses_max: usize, hasher: RandomState) -> Self {
        Self {
            attempts_max,
            addresses_max,
            counts: HashMap::with_hasher(hasher),
            order: BTreeMap::new(),
            next_order: 0,
        }
    }

    /// Microseconds that a login from this address has to wait; `None` if it may be looked at.
    pub fn wait(&self, address: IpAddr, now: Time) -> Option<u64> {
        let count = self.counts.get(&counted_address(address))?;
        let end = count.last + self.delay(count.wrong);
        Some(end - now).filter(|left| *left > 0)
    }

    /// The address sent a wrong password at a time at which it did not have to wait. Returns the wait that this
    /// begins, in microseconds.
    #[must_use]
    pub fn failed(&mut self, address: IpAddr, now: Time) -> Option<u64> {
        if self.attempts_max == 0 {
            return None;
        }
        self.forget_old(now);
        let address = counted_address(address);
        let wrong = self.remove(address).map_or(0, |count| count.wrong).saturating_add(1);
        while self.counts.len() >= self.addresses_max.max(1) {
            self.forget_oldest();
        }
        let order = self.next_order;
        self.next_order += 1;
        self.counts.insert(address, Count { wrong, last: now, order });
        self.order.insert(order, address);
        Some(self.delay(wrong)).filter(|delay| *delay > 0)
    }

    /// The address proved the password: it begins anew.
    pub fn succeeded(&mut self, address: IpAddr) {
        self.remove(counted_address(address));
        if self.counts.is_empty() {
            self.counts.shrink_to_fit();
        }
    }

    /// Addresses that are counted.
    pub fn addresses(&self) -> usize {
        self.counts.len()
    }

    pub fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<(IpAddr, Count)>() + self.order.len() * size_of::<(u64, IpAddr)>()
    }

    /// How long so many wrong passwords make an address wait after the last of them.
    fn delay(&self, wrong: u32) -> u64 {
        match wrong.checked_sub(self.attempts_max) {
            Some(doublings) => WAIT_MIN.checked_shl(doublings.min(DOUBLINGS_MAX)).map_or(WAIT_MAX, |d| d.min(WAIT_MAX)),
            None => 0,
        }
    }

    fn forget_old(&mut self, now: Time) {
        while let Some((_, oldest)) = self.order.first_key_value() {
            let quiet = self.counts.get(oldest).map_or(0, |count| now - count.last);
            if quiet < FORGOTTEN_AFTER {
                return;
            }
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.order.pop_first() {
            self.counts.remove(&oldest);
        }
    }

    fn remove(&mut self, address: IpAddr) -> Option<Count> {
        let count = self.counts.remove(&address)?;
        self.order.remove(&count.order);
        Some(count)
    }
}

/// More doublings would only repeat [`WAIT_MAX`].
const DOUBLINGS_MAX: u32 = 6;

#[cfg(test)]
mod tests;
