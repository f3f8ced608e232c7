//! Whether a connection may begin, seen from the shard where it wants to: the owner of its address says so. And what owners
//! are told when they begin to count: who was there before.

use std::collections::HashMap;
use std::net::IpAddr;

use ahash::RandomState;

use crate::model::{ConnId, Time};
use crate::ring::RingMessage;

use super::super::Output;
use super::super::effects::Effects;
use super::Local;

/// Addresses whose owners do not know yet how many connections were there before the counting began.
#[derive(Debug)]
pub(super) struct Unreported(HashMap<IpAddr, u32, RandomState>);

/// Of them so many are reported at a time.
const REPORTED_AT_ONCE: usize = 256;

impl Unreported {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self(HashMap::with_hasher(hasher))
    }

    /// A connection that its owner has not counted.
    fn add(&mut self, address: IpAddr) {
        *self.0.entry(address).or_default() += 1;
    }

    /// A connection is gone; whether it, or one that is as good, was not reported yet.
    fn take(&mut self, address: IpAddr) -> bool {
        let Some(connections) = self.0.get_mut(&address) else { return false };
        *connections -= 1;
        if *connections == 0 {
            self.0.remove(&address);
        }
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(IpAddr, u32)>()
    }
}

impl Local {
    /// Somebody at this address wants to begin a connection: answered by [`Output::Admitted`].
    pub(in crate::hub) fn ask_admission(&self, conn: ConnId, address: IpAddr, effects: &mut Effects) {
        let limits = &self.config.limits;
        match limits.counted(address) {
            Some(counted) => {
                let to = self.config.placement.owner_of_address(counted);
                effects.send(to, RingMessage::Admit { address, conn, counting: limits.counting });
            }
            None => effects.put(Output::Admitted { conn, address, wait_s: None }),
        }
    }

    /// The owner has answered.
    pub(in crate::hub) fn admitted(
        &mut self,
        conn: ConnId,
        address: IpAddr,
        wait_s: Option<u16>,
        counting: u16,
        effects: &mut Effects,
    ) {
        // It was asked before another counting began, so in that it is not counted.
        if wait_s.is_none() && counting != self.config.limits.counting {
            self.count_later(address);
        }
        effects.put(Output::Admitted { conn, address, wait_s });
    }

    /// A connection that was admitted is not, or not any longer.
    pub(in crate::hub) fn release(&mut self, address: IpAddr, effects: &mut Effects) {
        let limits = &self.config.limits;
        let counting = limits.counting;
        if counting > 0
            && !self.stopping
            && let Some(address) = limits.counted(address)
            && !self.unreported.take(address)
        {
            let to = self.config.placement.owner_of_address(address);
            effects.send(to, RingMessage::AddressLeft { address, counting });
        }
    }

    fn count_later(&mut self, address: IpAddr) {
        if self.config.limits.counting > 0
            && let Some(address) = self.config.limits.counted(address)
        {
            self.unreported.add(address);
        }
    }

    /// Another counting has begun: all who are here, and these who were admitted, are to be reported.
    pub(in crate::hub) fn count_anew(&mut self, admitted: &[IpAddr]) {
        self.unreported = Unreported::new(self.config.placement.hasher());
        if self.config.limits.counting == 0 {
            return;
        }
        let places = self.conns.indices_from(0).filter(|index| self.conns.at(*index).is_some());
        let here: Vec<IpAddr> =
            places.filter_map(|index| Some(self.details.address(self.details.get(index)?))).collect();
        for address in here.iter().chain(admitted) {
            self.count_later(*address);
        }
    }

    /// Tells owners of some who were here before. Causes ring messages, so it is not to be called while a ring is full.
    pub(in crate::hub) fn report_addresses(&mut self, effects: &mut Effects) {
        let counting = self.config.limits.counting;
        let some: Vec<IpAddr> = self.unreported.0.keys().take(REPORTED_AT_ONCE).copied().collect();
        for address in some {
            let Some(connections) = self.unreported.0.remove(&address) else { continue };
            let to = self.config.placement.owner_of_address(address);
            effects.send(to, RingMessage::AddressHas { address, connections, counting });
        }
        if self.unreported.0.is_empty() && self.unreported.0.capacity() > 0 {
            self.unreported = Unreported::new(self.config.placement.hasher());
        }
    }

    /// When there are any.
    pub(in crate::hub) fn report_due(&self) -> Option<Time> {
        (!self.unreported.0.is_empty()).then(Time::default)
    }
}
