//! How what the process may hold for all browsers is parted among its shards.

use crate::config::Ws;

/// Unsent bytes of a browser's connection that the system keeps, about; beyond, they wait here, where they are counted and
/// shared. The system itself would keep megabytes for each reader that has stopped.
pub(super) const UNSENT_LOW_WATER: u32 = 64 * 1024;

/// The same of a session, whose answers are longer and not shared.
pub(super) const SESSIONS_UNSENT_LOW_WATER: u32 = 256 * 1024;

/// What waits for all sessions together; four of the longest packets at least.
pub(super) const SESSIONS_WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A shard's part of `[ws] waiting_bytes_max`. The port is shared evenly, so all parts are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Unsent and unread bytes of its sockets.
    pub(super) sockets: usize,
    /// What connections without a socket have not acknowledged.
    pub(super) polled: usize,
}

impl Waiting {
    /// Polls get a quarter. Each part has room for a few connections that hold all they may.
    pub(super) fn of_a_shard(ws: &Ws, shards: u16) -> Self {
        let part = ws.waiting_bytes_max / usize::from(shards.max(1));
        let least = LONGEST_QUEUES * ws.queue_bytes_max;
        Self { sockets: (part / 4 * 3).max(least), polled: (part / 4).max(least) }
    }
}

/// Connections that may hold all that one may, whatever is configured.
const LONGEST_QUEUES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_shards_are_the_whole() {
        let ws = Ws { waiting_bytes_max: 256 << 20, queue_bytes_max: 1 << 20, ..Ws::default() };
        for shards in [1, 2, 8] {
            let Waiting { sockets, polled } = Waiting::of_a_shard(&ws, shards);
            assert_eq!((sockets + polled) * usize::from(shards), 256 << 20);
        }
        let Waiting { sockets, polled } = Waiting::of_a_shard(&ws, 512);
        assert_eq!((sockets, polled), (4 << 20, 4 << 20), "a few connections in any case");
    }
}
