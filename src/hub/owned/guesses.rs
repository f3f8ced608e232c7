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

use crate::aged::Aged;
use crate::back_off::{ADDRESSES_MAX, AddressAndUser, BackOff, FORGOTTEN_AFTER};
use crate::model::{CloseReason, Now, ShardId, Time};

use super::super::local::login::{Guess, Login};
use super::super::{Hub, Output, Waiting};
use crate::ring::RingMessage;
use crate::ring::{AskId, AskKey, KeyTried};

/// Users whose keys were wrong, by address, that the owner of the addresses counts.
pub(in crate::hub) const USERS_MAX: usize = 65_536;
/// An address with so many times `key_attempts_max` wrong keys tries very many users.
const MANY_USERS: u32 = 50;
/// Microseconds between two warnings of one shard.
const TOLD_EVERY: u64 = 60_000_000;

#[derive(Debug)]
pub(in crate::hub) struct Guesses {
    attempts_max: u32,
    /// What this shard counts for the addresses that it owns.
    addresses: BackOff<IpAddr>,
    pub(in crate::hub) users: BackOff<AddressAndUser>,
    /// Addresses of which this shard is wary, whoever owns them: until when.
    pub(in crate::hub) wary: Aged<IpAddr, ()>,
    warned: Option<Time>,
}

impl Guesses {
    pub(in crate::hub) fn new(attempts_max: u32, hasher: &RandomState) -> Self {
        Self {
            attempts_max,
            addresses: BackOff::new(attempts_max, ADDRESSES_MAX, hasher.clone()),
            users: BackOff::new(attempts_max, USERS_MAX, hasher.clone()),
            wary: Aged::new(hasher.clone()),
            warned: None,
        }
    }

    pub(in crate::hub) fn bytes(&self) -> usize {
        self.addresses.bytes() + self.users.bytes() + self.wary.bytes()
    }

    /// Logins from this address ask its owner from now on. Of too many such addresses the one is forgotten that would be
    /// first; its owner calls again with the next wrong key.
    pub(in crate::hub) fn watch(&mut self, address: IpAddr, now: Time) {
        while self.wary.pop_due(now).is_some() {}
        self.wary.insert(address, now + FORGOTTEN_AFTER, ());
        while self.wary.len() > ADDRESSES_MAX {
            self.wary.pop_first();
        }
    }

    pub(in crate::hub) fn is_wary(&self, address: IpAddr, now: Time) -> bool {
        self.wary.moment(&address).is_some_and(|until| until > now)
    }

    /// Whether this user's key may be tried. If so it counts as wrong until it is known to be right: several at a time must
    /// not all be looked at.
    pub(in crate::hub) fn may_try(&mut self, who: AddressAndUser, now: Time) -> bool {
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
    pub(in crate::hub) fn wrong(&mut self, address: IpAddr, now: Time) -> bool {
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

impl Hub {
    /// As what the connection's address is counted, if keys are counted at all.
    fn counted_for_keys(&self, login: &Login) -> Option<IpAddr> {
        if self.config.limits.key_attempts_max == 0 {
            return None;
        }
        let detail = self.details.get(login.conn.index)?;
        self.config.limits.counted(self.details.address(detail))
    }

    /// Has the key looked at, at once or when the owner of its address says that it may be.
    pub(in crate::hub) fn try_key(&mut self, mut login: Login, now: Now) {
        let address = self.counted_for_keys(&login).filter(|_| login.guess != Guess::None);
        let (Some(address), Some(entry)) = (address, self.conns.get(login.conn)) else {
            return self.check_login(login);
        };
        if !self.guesses.is_wary(address, now.time) {
            return self.check_login(login);
        }
        let (dev, user) = (entry.dev, login.user);
        login.guess = Guess::Asked;
        let id = AskId(self.wait(login.conn, Waiting::Key(login)).0);
        let to = self.config.placement.owner_of_address(address);
        self.send(to, RingMessage::AskKey(Box::new(AskKey { id, address, dev, user })));
    }

    pub(in crate::hub) fn key_asked(&mut self, from: ShardId, ask: &AskKey, now: Now) {
        let may_be_tried = self.guesses.may_try((ask.address, ask.dev, ask.user), now.time);
        self.send(from, RingMessage::KeyAnswer { id: ask.id, may_be_tried });
    }

    pub(in crate::hub) fn key_answered(&mut self, id: AskId, may_be_tried: bool) {
        let Some(Waiting::Key(login)) = self.waiting.remove(&id.0) else { return };
        if may_be_tried {
            return self.check_login(login);
        }
        self.counters.logins_put_off += 1;
        self.outputs.push_back(Output::Close { conn: login.conn, reason: CloseReason::KeyNotTried });
    }

    /// Tells the owner of the address what became of the key, if it has to know.
    pub(in crate::hub) fn tell_key(&mut self, login: &Login, was_right: bool) {
        if login.guess == Guess::None || was_right && login.guess == Guess::Possible {
            return;
        }
        let Some((address, entry)) = self.counted_for_keys(login).zip(self.conns.get(login.conn)) else { return };
        let tried = KeyTried { address, dev: entry.dev, user: login.user, was_right };
        self.send(self.config.placement.owner_of_address(address), RingMessage::KeyTried(tried));
    }

    pub(in crate::hub) fn key_tried(&mut self, tried: &KeyTried, now: Now) {
        let KeyTried { address, dev, user, was_right } = *tried;
        if was_right {
            return self.guesses.users.succeeded((address, dev, user));
        }
        if !self.guesses.wrong(address, now.time) {
            return;
        }
        for shard in 0..self.config.placement.connection_shards() {
            self.send(ShardId(shard), RingMessage::Wary { address });
        }
        if self.guesses.warns(now.time) {
            let wrong = self.guesses.addresses.wrong(address);
            self.outputs.push_back(Output::KeysGuessed { address, wrong });
        }
    }
}
