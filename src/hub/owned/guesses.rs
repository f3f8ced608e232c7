//! Who guesses the keys of users. The owner of an address counts the wrong keys that come from there, for all shards.
//!
//! ```text
//!  quiet --wrong, key_attempts_max in all--> wary: every login from there asks the owner first, which lets a user's key be
//!    ^                                         |   tried, or has that user's next login from there wait for 1 s ... 60 s
//!    +------ no wrong key for ten minutes -----+
//! ```
//!
//! While nobody guesses, a login costs nothing more. In a wary address only the users wait whose keys were wrong: others of a
//! crowd behind one address log in as ever. A right key ends the wait of its user. Waiting means that the connection is closed
//! and comes back by itself; a key that is refused meanwhile is not looked at, or guessing would go on, and does not lengthen
//! the wait.
//!
//! Whoever tries a key or two of very many users, as no crowd does, waits after each wrong one. When more users wait than can
//! be counted, others from such addresses wait too, so many users do not help either.
//!
//! A token that was signed with the right key is no guess, even if it is over; nor is a page without a key.

use std::net::IpAddr;

use ahash::RandomState;

use crate::back_off::{ADDRESSES_MAX, AddressAndUser, BackOff};
use crate::model::{Now, ShardId, Time};
use crate::ring::{AskKey, KeyTried, RingMessage};

use super::super::Output;
use super::super::effects::Effects;

/// Users whose keys were wrong, by address, that the owner of the addresses counts.
const USERS_MAX: usize = 65_536;
/// An address with so many times `key_attempts_max` wrong keys tries very many users.
const MANY_USERS: u32 = 50;
/// Microseconds between two warnings of one shard.
const TOLD_EVERY: u64 = 60_000_000;

/// What this shard counts for the addresses that it owns.
#[derive(Debug)]
pub(super) struct Guesses {
    attempts_max: u32,
    /// All connection shards, which have to be wary together.
    shards: u16,
    addresses: BackOff<IpAddr>,
    users: BackOff<AddressAndUser>,
    warned: Option<Time>,
}

impl Guesses {
    pub(super) fn new(attempts_max: u32, shards: u16, hasher: &RandomState) -> Self {
        Self {
            attempts_max,
            shards,
            addresses: BackOff::new(attempts_max, ADDRESSES_MAX, hasher.clone()),
            users: BackOff::new(attempts_max, USERS_MAX, hasher.clone()),
            warned: None,
        }
    }

    pub(super) fn set_attempts_max(&mut self, attempts_max: u32) {
        self.attempts_max = attempts_max;
        self.addresses.set_attempts_max(attempts_max);
        self.users.set_attempts_max(attempts_max);
    }

    pub(super) fn bytes(&self) -> usize {
        self.addresses.bytes() + self.users.bytes()
    }

    /// A shard that is wary of an address asks.
    pub(super) fn asked(&mut self, from: ShardId, ask: &AskKey, now: Now, effects: &mut Effects) {
        let may_be_tried = self.may_try((ask.address, ask.dev, ask.user), now.time);
        effects.send(from, RingMessage::KeyAnswer { id: ask.id, may_be_tried });
    }

    /// A key was tried.
    pub(super) fn tried(&mut self, tried: &KeyTried, now: Now, effects: &mut Effects) {
        let KeyTried { address, dev, user, was_right } = *tried;
        if was_right {
            return self.users.succeeded((address, dev, user));
        }
        if !self.wrong(address, now.time) {
            return;
        }
        for shard in 0..self.shards {
            effects.send(ShardId(shard), RingMessage::Wary { address });
        }
        if self.warns(now.time) {
            effects.put(Output::KeysGuessed { address, wrong: self.addresses.wrong(address) });
        }
    }

    /// Whether this user's key may be tried. If so it counts as wrong until it is known to be right: several at a time must
    /// not all be looked at.
    fn may_try(&mut self, who: AddressAndUser, now: Time) -> bool {
        let has_many_users = self.addresses.wrong(who.0) >= self.attempts_max.saturating_mul(MANY_USERS);
        let has_to_wait = self.users.wait(who, now).is_some();
        if has_to_wait || has_many_users && self.users.wrong(who) == 0 && !self.users.has_room(now) {
            return false;
        }
        let counts_as = if has_many_users { self.attempts_max } else { 1 };
        let _ = self.users.failed_as(who, counts_as, now);
        true
    }

    /// One more wrong key from there. Whether every shard has to be told, which goes on while wrong keys come.
    fn wrong(&mut self, address: IpAddr, now: Time) -> bool {
        let _ = self.addresses.failed(address, now);
        let wrong = self.addresses.wrong(address);
        wrong > 0 && wrong.is_multiple_of(self.attempts_max.max(1))
    }

    /// Whether it is time for a warning.
    fn warns(&mut self, now: Time) -> bool {
        let is_due = self.warned.is_none_or(|warned| now - warned >= TOLD_EVERY);
        if is_due {
            self.warned = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DevId, UserId};

    const A: [u8; 4] = [192, 0, 2, 1];
    const B: [u8; 4] = [192, 0, 2, 2];
    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_right_key_begins_anew_and_waits_end() {
        let mut guesses = Guesses::new(2, 1, &RandomState::with_seeds(1, 2, 3, 4));
        let who = (A.into(), DevId(1), UserId::new(5).unwrap());
        assert!(guesses.may_try(who, Time(0)) && guesses.may_try(who, Time(0)), "two at a time are two");
        assert!(!guesses.may_try(who, Time(0)) && !guesses.may_try(who, Time(SECOND - 1)));
        assert!(guesses.may_try(who, Time(SECOND)) && !guesses.may_try(who, Time(2 * SECOND)));
        guesses.users.succeeded(who);
        assert!(guesses.may_try(who, Time(2 * SECOND)) && guesses.may_try(who, Time(2 * SECOND)));

        assert_eq!([1, 2, 3, 4].map(|_| guesses.wrong(A.into(), Time(0))), [false, true, false, true]);
    }

    /// Whoever tries one key of each user is not let on by filling the table of those who wait.
    #[test]
    fn many_users_do_not_help() {
        let mut guesses = Guesses::new(2, 1, &RandomState::with_seeds(1, 2, 3, 4));
        let who = |user: u32| (A.into(), DevId(1), UserId::new(user).unwrap());
        let tries = |guesses: &mut Guesses, users: std::ops::Range<u32>, now: u64| {
            users.filter(|user| guesses.may_try(who(1 + *user), Time(now))).count()
        };
        let told = (0..100).filter(|_| guesses.wrong(A.into(), Time(0))).count();
        assert_eq!(told, 50);
        assert_eq!(tries(&mut guesses, 0..200_000, 0), USERS_MAX);
        assert_eq!(tries(&mut guesses, 0..200_000, 1), 0);
        assert_eq!(tries(&mut guesses, 0..1000, SECOND), 1000, "those that were counted go on by their own waits");
        assert!(guesses.users.len() <= USERS_MAX);
        // Somebody at an address where nobody guesses.
        assert!(guesses.may_try((B.into(), DevId(1), UserId::new(1).unwrap()), Time(1)));
    }
}
