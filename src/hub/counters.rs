//! What a hub holds and what it counts.

/// Bytes that a hub holds, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubMemory {
    pub connections: usize,
    pub pipes: usize,
    pub owned_pipes: usize,
    pub users: usize,
    pub waiting: usize,
    pub arrivals: usize,
}

/// What a hub counts; all since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Publications that this shard accepted as their pipes' owner.
    pub publications: u64,
    /// Publications handed to connections of this shard, counted once per connection.
    pub deliveries: u64,
    pub logins: u64,
    pub logins_refused: u64,
    /// Logins that were not looked at, because keys of their users are guessed from their addresses.
    pub logins_put_off: u64,
    pub names_refused: u64,
    /// Messages of users who publish faster than they may.
    pub publications_refused: u64,
    /// Personal messages, once per connection.
    pub personal_deliveries: u64,
    /// Personal messages that nobody was there to take.
    pub personal_queued: u64,
    /// Publications written into histories.
    pub history_messages: u64,
    /// Personal messages that were taken and could not be deleted, so they may come again.
    pub repeats_possible: u64,
    /// Users whose time of leaving could not be kept for storage.
    pub last_seen_lost: u64,
    /// Histories looked into for what a client missed, and those of them that did not have all of it.
    pub recoveries: u64,
    pub recoveries_failed: u64,
    pub recovered_messages: u64,
}
