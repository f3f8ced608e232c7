//! Addresses from which keys of users seem to be guessed, as the shard of the connections knows them: whoever comes from there
//! with a key asks the owner of the address first, whether it may be tried. Why and how long: see the owner's side,
//! `owned/guesses.rs`.

use std::net::IpAddr;

use ahash::RandomState;

use crate::aged::Aged;
use crate::back_off::{ADDRESSES_MAX, FORGOTTEN_AFTER};
use crate::model::Time;

/// By the time until which this shard is wary of them, whoever owns them.
#[derive(Debug)]
pub(in crate::hub) struct Wary(Aged<IpAddr, ()>);

impl Wary {
    pub(in crate::hub) fn new(hasher: RandomState) -> Self {
        Self(Aged::new(hasher))
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// Logins from this address ask its owner from now on. Of too many such addresses the one is forgotten that would be
    /// first; its owner calls again with the next wrong key.
    pub(in crate::hub) fn add(&mut self, address: IpAddr, now: Time) {
        while self.0.pop_due(now).is_some() {}
        self.0.insert(address, now + FORGOTTEN_AFTER, ());
        while self.0.len() > ADDRESSES_MAX {
            self.0.pop_first();
        }
    }

    pub(in crate::hub) fn has(&self, address: IpAddr, now: Time) -> bool {
        self.0.moment(&address).is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn an_address_is_forgotten_after_ten_minutes_and_of_too_many_the_first_one() {
        let mut wary = Wary::new(RandomState::with_seed(1));
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        wary.add(one, Time(0));
        assert!(wary.has(one, Time(599 * SECOND)) && !wary.has(one, Time(600 * SECOND)));
        wary.add(other, Time(600 * SECOND));
        assert_eq!(wary.0.len(), 1);
        (0..20_000).for_each(|number: u32| wary.add(number.to_be_bytes().into(), Time(600 * SECOND)));
        assert_eq!(wary.0.len(), ADDRESSES_MAX);
        assert!(!wary.has(other, Time(600 * SECOND)));
    }
}
