//! What a shard tells about itself.

use std::fmt;

/// How fan-outs are sent.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum Engine {
    /// Batched through `io_uring`: one system call for many sends.
    IoUring,
    /// One `send` per connection.
    Plain,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IoUring => "io_uring",
            Self::Plain => "plain",
        })
    }
}

/// What a shard has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Times that accepting had to stop because the slab was full.
    pub refused_full: u64,
    /// Times that accepting had to stop because the system had no descriptor or memory left.
    pub refused_by_system: u64,
    /// Connections whose `ended` was called.
    pub ended: u64,
    /// Successful reads from sockets, the ends of streams not counted.
    pub reads: u64,
    pub bytes_in: u64,
    /// Bytes that the kernel took.
    pub bytes_out: u64,
    /// Sends outside of fan-outs, flushes of queues included.
    pub sends: u64,
    /// Sends of any kind that the kernel took only in part or not at all.
    pub short_sends: u64,
    /// Sends within fan-outs.
    pub fan_out_sends: u64,
    /// Batches that these sends were submitted in.
    pub fan_out_batches: u64,
    /// Messages sent to shards, this one included.
    pub messages_out: u64,
    /// Messages handed to the host.
    pub messages_in: u64,
    /// Messages dropped because their shard had ended.
    pub messages_undeliverable: u64,
    /// Wakes written to other shards.
    pub wakes_out: u64,
    /// Times that the host's `woken` was called.
    pub woken: u64,
    /// Timeouts and deadlines handed to the host.
    pub timeouts: u64,
    /// Readiness of connections that had ended before.
    pub stale_events: u64,
    pub turns: u64,
    /// Turns before which the shard slept.
    pub sleeps: u64,
    /// Turns in which reading was held back by backlog of the rings.
    pub congested_turns: u64,
    /// The longest turn without its sleep, in microseconds.
    pub longest_turn_us: u64,
}

/// Bytes that a shard holds, by kind.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The slab of connections, at its peak size.
    pub entries: usize,
    /// What hosts left unread.
    pub unread: usize,
    /// Write queues, without the shared bytes they refer to, and the boxes of connections with anything waiting.
    pub write_queues: usize,
    /// Shared bytes that write queues refer to, counted once.
    pub write_queues_shared: usize,
    /// The same counted once for each queue. Not a part of the sum.
    pub queued_shared: usize,
    /// What counts for `waiting_bytes_max`. Not a part of the sum: most of it is in the numbers above.
    pub waiting: usize,
    pub timers: usize,
    /// Rings that lead to this shard.
    pub rings: usize,
    /// Messages that wait for room in rings, and messages to the shard itself.
    pub backlog: usize,
    /// Pending fan-outs: lists of receivers and bytes.
    pub fan_outs: usize,
    /// The read buffer and the lists of the loop.
    pub buffers: usize,
}

impl Memory {
    pub fn total(&self) -> usize {
        self.entries
            + self.unread
            + self.write_queues
            + self.write_queues_shared
            + self.timers
            + self.rings
            + self.backlog
            + self.fan_outs
            + self.buffers
    }
}
