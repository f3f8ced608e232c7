//! Whether a connection may begin, seen from the shard where it wants to: the owner of its address says so.

use std::net::IpAddr;

use crate::model::ConnId;
use crate::ring::RingMessage;

use super::super::Output;
use super::super::effects::Effects;
use super::Local;

impl Local {
    /// Somebody at this address wants to begin a connection: answered by [`Output::Admitted`].
    pub(in crate::hub) fn ask_admission(&self, conn: ConnId, address: IpAddr, effects: &mut Effects) {
        match self.config.limits.counted(address) {
            Some(counted) => {
                let to = self.config.placement.owner_of_address(counted);
                effects.send(to, RingMessage::Admit { address, conn });
            }
            None => effects.put(Output::Admitted { conn, address, wait_s: None }),
        }
    }

    /// A connection that was admitted is not, or not any longer.
    pub(in crate::hub) fn release(&self, address: IpAddr, effects: &mut Effects) {
        let limits = &self.config.limits;
        if limits.connections_per_address_max > 0
            && !self.stopping
            && let Some(address) = limits.counted(address)
        {
            let to = self.config.placement.owner_of_address(address);
            effects.send(to, RingMessage::AddressLeft { address });
        }
    }
}
