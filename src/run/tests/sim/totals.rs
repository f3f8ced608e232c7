//! What the runs have exercised.

macro_rules! totals {
    ($($name:ident: $what:literal,)+) => {
        /// What a run has exercised.
        #[derive(Debug, Default)]
        pub(super) struct Totals { $(pub(super) $name: usize,)+ }

        impl Totals {
            pub(super) fn add(&mut self, run: &Self) {
                $(self.$name += run.$name;)+
            }

            pub(super) fn print(&self) {
                $(println!("{:>12} {}", self.$name, $what);)+
            }

            /// A simulation in which nothing bad happens proves nothing.
            pub(super) fn assert_that_everything_was_exercised(&self) {
                $(assert!(self.$name > 0, "no {} in the whole run", $what);)+
            }
        }
    };
}

totals! {
    received: "publications received",
    answered: "statements answered",
    by_http: "requests answered by HTTP",
    reports: "delivery reports",
    spared: "publications that were not for a browser that was there",
    vanished: "vanished clients",
    half_closed: "half-closed clients",
    repeated: "publications that were not published again",
    slow: "slow consumers",
    made_room: "half-open connections that made room",
    timed_out: "timeouts",
    held: "turns of congested shards",
    joined: "joined publications",
    sleeps: "sleeps",
    woken_for_nothing: "turns for nothing",
    floods: "floods",
    stops: "stops",
    reloads: "other configurations",
    acknowledged_at_stops: "publications acknowledged amid stops",
    storage_failures: "storage failures",
    drains: "drains",
    asked_to_move: "pages that were asked to move",
    moved: "connections that were sent away",
    sent_elsewhere: "pages that were not let in amid a drain",
    departed: "users seen last",
    letters: "personal messages",
    from_queues: "personal messages from queues",
    half_written: "personal messages from queues that sockets took late",
    hashes_deleted: "connections whose users' hashes were deleted",
    expired: "connections whose tokens expired",
    revoked: "connections whose tokens were revoked",
    polled_from_queues: "personal messages from queues that pages polled for",
    kept: "messages kept",
    logs: "histories told",
    lists: "lists of subscribers",
    recovered: "recoveries",
    newest: "messages that were told because they were the newest",
    missed: "messages that were missed and came over WebSocket",
    missed_events: "messages that were missed and came as events",
    missed_polled: "messages that were missed and came to a page that polls",
    gaps_in_history: "gaps that histories had",
    gaps_after_failures: "gaps because storage failed or had no room",
    gaps_after_changes: "gaps because a setting was changed meanwhile",
    returns: "pages that came back",
    event_ids: "pages that came back with the id of an event",
    polls: "polls with messages",
    empty_polls: "polls without messages",
    repeated_polls: "polls that were answered once more",
    lost_requests: "requests that were lost",
    elsewhere: "polls on another shard",
    rival_polls: "polls beside another one",
    abandoned: "connections that nobody polls for any more",
    idle_polls: "polled connections that ended because nobody polled",
    overflows: "polled connections that ended because nothing was acknowledged",
    changes: "changed subscriptions of pages",
}
