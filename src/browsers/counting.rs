//! What the shard has counted, and what its core holds.

use std::net::IpAddr;

use crate::metrics::Counters;
use crate::model::{ConnId, ShardId};
use crate::ring::{Poll, RingMessage};
use crate::storage::Completion;

use super::Browsers;
use super::admission::Admission;
use super::polling::Asking;

impl Browsers {
    pub(crate) fn snapshot(&self) -> Counters {
        let memory = self.hub.memory();
        let mut counters = self.counters.clone();
        self.hub.counters().add_to(&mut counters);
        counters.connections = self.hub.connections() as u64;
        counters.polled = self.polls.len() as u64;
        counters.last_seen_waiting = self.hub.departed() as u64;
        counters.memory_hub =
            (memory.connections + memory.pipes + memory.owned_pipes + memory.users + memory.waiting) as u64;
        counters.memory_publications = memory.arrivals as u64;
        counters.memory_polls = self.polls.bytes() as u64;
        counters.memory_edge = (self.fragments.bytes()
            + self.scratch.capacity()
            + self.pace.bytes()
            + self.half_open.bytes()
            + self.leaving.bytes()
            + self.recent.bytes()
            + self.polls_noted.capacity() * size_of::<(ShardId, Box<Poll>)>()
            + self.asking.capacity() * size_of::<(ConnId, Asking)>()
            + self.admissions.capacity() * size_of::<(ConnId, Admission)>()
            + self.unused_admissions.capacity() * size_of::<IpAddr>()
            + self.batches.bytes()
            + self.chunked.bytes()
            + self.flushing.bytes()
            + self.refused.capacity() * size_of::<Completion>()
            + self.dismissed.capacity() * size_of::<ConnId>()
            + self.deferred.capacity() * size_of::<(ShardId, RingMessage)>()) as u64;
        counters
    }

    /// Connections of this shard, and those of all shards that it counts by their addresses.
    #[cfg(test)]
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.hub.connections(), self.hub.counted_connections())
    }
}
