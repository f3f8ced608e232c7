//! What a hub holds and what it counts.

use crate::metrics::part;

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

part! {
    /// What a hub counts; all since the start.
    pub struct HubCounters {
        publications,
        deliveries,
        history_messages,
        personal_deliveries,
        personal_queued,
        repeats_possible,
        logins,
        logins_refused,
        logins_put_off,
        names_refused,
        publications_refused,
        recoveries,
        recoveries_failed,
        recovered_messages,
        last_seen_lost,
    }
}
