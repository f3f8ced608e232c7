//! Counters and gauges of one shard: their names, units and meaning, in one list.
//!
//! A shard adds to its own [`Counters`] without sharing anything; whoever wants to show them merges copies of all
//! shards first. Nothing here knows when that happens.

mod text;

pub use text::{Format, Page, Process};

use crate::model::CloseReason;

/// Whether a number only grows, or says how much there is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// The largest that was seen since the start: of several shards the largest of all.
    Peak,
}

impl Kind {
    /// The number of two shards together.
    fn merged(self, mine: u64, theirs: u64) -> u64 {
        match self {
            Self::Counter | Self::Gauge => mine.saturating_add(theirs),
            Self::Peak => mine.max(theirs),
        }
    }
}

/// What one number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// One sentence, with the unit where it is not simply "how many".
    pub help: &'static str,
}

/// Places of a histogram of latencies: up to half a minute.
pub const LATENCIES: usize = 26;

macro_rules! counters {
    ($($name:ident: $kind:ident, $help:literal;)+) => {
        /// The numbers of one shard, or of several merged. All are `u64` and wrap never in practice; additions
        /// saturate all the same.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $help] pub $name: u64,)+
            /// Connections and sessions that ended, by [`CloseReason`]; read with [`Counters::closed`].
            closed: [u64; CloseReason::ALL.len()],
            /// Publications by the time from their acceptance to the writes of a shard; read with [`Counters::latencies`].
            latencies: [u64; LATENCIES],
            /// The sum of those times in microseconds.
            latency_us: u64,
        }

        /// All numbers but those by close reason, in the order of [`Counters::rows`].
        pub const METRICS: &[Metric] = &[
            $(Metric { name: stringify!($name), kind: Kind::$kind, help: $help },)+
        ];

        impl Counters {
            fn values(&self) -> impl Iterator<Item = u64> {
                [$(self.$name,)+].into_iter()
            }

            /// Adds another shard's numbers to these. Gauges add up as well: each shard tells of its own part.
            pub fn merge(&mut self, other: &Self) {
                $(self.$name = Kind::$kind.merged(self.$name, other.$name);)+
                let mine = self.closed.iter_mut().chain(&mut self.latencies);
                for (mine, theirs) in mine.zip(other.closed.into_iter().chain(other.latencies)) {
                    *mine = mine.saturating_add(theirs);
                }
                self.latency_us = self.latency_us.saturating_add(other.latency_us);
            }
        }
    };
}

/// Declares what one core counts: some of the numbers above, under the same names. A name that is not in the list does not
/// compile, and adding a core's numbers to those of its shard is generated. So what is counted is shown.
macro_rules! part {
    ($(#[$about:meta])* pub struct $part:ident { $($name:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $part {
            $(#[doc = concat!("See [`Counters::", stringify!($name), "`](crate::metrics::Counters).")] pub $name: u64,)+
        }

        impl $part {
            /// Adds these to the numbers of a shard.
            pub fn add_to(&self, counters: &mut $crate::metrics::Counters) {
                $(counters.$name = counters.$name.saturating_add(self.$name);)+
            }
        }
    };
}
pub(crate) use part;

counters! {
    connections: Gauge, "Browser connections open now.";
    polled: Gauge, "Connections without a socket that browsers poll for, those among them that are over included.";
    sessions: Gauge, "CometQL sessions open now.";
    draining: Gauge, "0 while no drain is under way; 1 while balancers get to know of it, 2 while connections leave, 3 when they have.";
    sessions_tls: Gauge, "CometQL sessions with TLS open now.";
    accepted: Counter, "Browser connections and CometQL sessions accepted.";
    ended: Counter, "Browser connections and CometQL sessions that ended.";
    accept_stops: Counter, "Times that accepting stopped because a maximum was reached or the system had no descriptors left.";
    handshakes: Counter, "Browser handshakes completed.";
    http_requests: Counter, "Plain HTTP requests answered.";
    commands: Counter, "Browser commands executed.";
    asked_to_move: Counter, "Browser connections that were asked to go elsewhere.";
    commands_slowed: Counter, "Times that a connection had to wait for the next second because it had sent too many commands.";
    connections_refused: Counter, "Browsers that were refused because their address had, or made, too many connections.";
    publications_refused: Counter, "Messages of browsers that were refused because their user published too fast.";
    answers: Counter, "Messages sent to browsers that are not publications.";
    logins: Counter, "Browsers that proved to be their user.";
    logins_refused: Counter, "Browsers whose key was wrong.";
    logins_put_off: Counter, "Browsers whose key was not looked at, because keys of their users are guessed from their addresses.";
    names_refused: Counter, "Pipes that browsers could not subscribe to.";
    publications: Counter, "Publications accepted, counted by the owner of their pipe.";
    deliveries: Counter, "Publications handed to subscribers, one for each subscriber.";
    history_messages: Counter, "Publications written into histories.";
    personal_deliveries: Counter, "Personal messages handed to connections, one for each connection.";
    personal_queued: Counter, "Personal messages put into queues, because no connection took them.";
    repeats_possible: Counter, "Personal messages that were taken and could not be deleted, so they may come again.";
    recoveries: Counter, "Histories looked into for what a browser had missed.";
    recoveries_failed: Counter, "Histories that did not have all of it.";
    recovered_messages: Counter, "Messages that browsers got because they had missed them.";
    statements: Counter, "CometQL statements executed, prepared ones included.";
    statement_errors: Counter, "CometQL statements answered with an error.";
    batches: Counter, "Requests by HTTP to carry out statements.";
    inserts: Counter, "Publications that CometQL inserted, rows and not statements.";
    session_logins: Counter, "CometQL logins.";
    session_logins_refused: Counter, "CometQL logins refused.";
    session_logins_held_off: Counter, "CometQL logins refused because their address had to wait after wrong passwords.";
    storage_queue: Gauge, "Requests that wait for storage's next group.";
    storage_jobs: Counter, "Requests that storage carried out.";
    storage_groups: Counter, "Groups of requests, each with one commit at the most.";
    storage_busy_us: Counter, "Microseconds that storage spent on them.";
    storage_refusals: Counter, "Requests that storage was too busy to take.";
    storage_down: Gauge, "1 while the database cannot be reached, else 0.";
    storage_full: Gauge, "1 while nothing is written because the disk is full, else 0.";
    storage_write_fails: Gauge, "1 while writes fail for another reason, else 0.";
    storage_read_fails: Gauge, "1 while reads fail, else 0.";
    storage_failures: Counter, "Requests that storage could not carry out.";
    storage_unfit: Counter, "Writes that the database did not take because they do not fit into its tables.";
    storage_waiting: Gauge, "Writes that wait for the database to be reached again.";
    storage_waiting_bytes: Gauge, "Bytes of those writes.";
    storage_retries: Counter, "Tries to reach the database again.";
    storage_given_up: Counter, "Writes that failed because the database could not be reached in time.";
    storage_expired: Counter, "Stored messages and revoked tokens removed because of their age.";
    last_seen_waiting: Gauge, "Users whose time of leaving storage does not have yet.";
    last_seen_lost: Counter, "Users whose time of leaving was lost because too many waited for storage.";
    reads: Counter, "Reads from sockets.";
    received_bytes: Counter, "Bytes read from sockets.";
    sent_bytes: Counter, "Bytes written to sockets.";
    sends: Counter, "Writes to sockets outside of fan-outs.";
    fan_out_sends: Counter, "Writes to sockets within fan-outs; one may carry several publications.";
    fan_out_batches: Counter, "Batches in which writes within fan-outs were handed to the system.";
    short_sends: Counter, "Writes that the system took only in part or not at all.";
    stale_events: Counter, "Readiness of connections that had ended before.";
    timeouts: Counter, "Timeouts and deadlines of connections that were reached.";
    ring_messages: Counter, "Messages handed to shards.";
    ring_messages_taken: Counter, "Messages that shards took from their rings.";
    messages_undeliverable: Counter, "Messages dropped because their shard had ended.";
    ring_stalls: Counter, "Turns in which a full ring stopped the reading of sources.";
    wakes: Counter, "Wakes of other shards.";
    woken: Counter, "Times that a shard was woken by another one.";
    turns: Counter, "Turns of the shards' loops.";
    sleeps: Counter, "Turns before which a shard slept.";
    longest_turn_us: Peak, "The longest turn of a shard, in microseconds, without its sleep.";
    log_lines_lost: Counter, "Lines of the log that could not be written, or that found too many others waiting.";
    never: Counter, "Times that something was found that cannot be: faults of this server, told in the log.";
    waiting_bytes: Gauge, "Unsent and unread bytes of connections, what they share counted about once, and what the system keeps of those who do not read.";
    queued_bytes: Gauge, "Bytes waiting to be sent, shared ones counted once for each connection.";
    memory_connections: Gauge, "Bytes of connections, their unread input and timers.";
    memory_queues: Gauge, "Bytes waiting to be sent, shared ones counted once.";
    memory_rings: Gauge, "Bytes of rings and their backlog.";
    memory_buffers: Gauge, "Bytes of buffers and pending fan-outs.";
    memory_hub: Gauge, "Bytes of subscriptions, pipes and users.";
    memory_publications: Gauge, "Bytes of publications that wait for their fan-out.";
    memory_polls: Gauge, "Bytes of connections without a socket, and of what waits for them.";
    memory_edge: Gauge, "Bytes of open fragmented messages, bodies of requests, and deferred reports.";
    memory_sessions: Gauge, "Bytes of CometQL sessions.";
    memory_tls: Gauge, "Bytes of TLS on CometQL sessions, by measurement.";
    memory_storage: Gauge, "Bytes of SQLite, as it counts them; or of the MySQL client.";
    memory_storage_waiting: Gauge, "Bytes of requests that wait for storage, or for the database to be reached again.";
    memory_completions: Gauge, "Bytes of storage's answers on their way to the shards.";
    memory_files: Gauge, "Bytes of static files that are being sent.";
    memory_pages: Gauge, "Bytes of the server's own pages, packed.";
    memory_configuration: Gauge, "Bytes of the configuration, and of certificates and keys that it names.";
    memory_figures: Gauge, "Bytes of the past hour, the log's last warnings and its waiting lines.";
}

impl Counters {
    /// One connection or session ended.
    pub fn add_closed(&mut self, reason: CloseReason) {
        let count = &mut self.closed[reason as usize];
        *count = count.saturating_add(1);
    }

    /// A shard has written a publication to its subscribers, so many microseconds after it was accepted.
    pub fn add_latency(&mut self, micros: u64) {
        let place = (u64::BITS - micros.leading_zeros()) as usize;
        let count = &mut self.latencies[place.min(LATENCIES - 1)];
        *count = count.saturating_add(1);
        self.latency_us = self.latency_us.saturating_add(micros);
    }

    /// How many took less than 2 to the power of their place in microseconds, but not less than the place before; the last
    /// place has all the rest.
    pub fn latencies(&self) -> &[u64; LATENCIES] {
        &self.latencies
    }

    /// The number of this name in [`METRICS`].
    pub fn named(&self, name: &str) -> Option<u64> {
        METRICS.iter().zip(self.values()).find_map(|(metric, value)| (metric.name == name).then_some(value))
    }

    pub fn closed(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }

    /// Every number by name; those by close reason as `closed_<reason>`.
    pub fn rows(&self) -> Vec<(String, u64)> {
        let named = METRICS.iter().map(|metric| metric.name.to_owned()).zip(self.values());
        let closed = CloseReason::ALL.iter().map(|reason| format!("closed_{}", reason.as_str())).zip(self.closed);
        named.chain(closed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every number different, so that a mix-up of two shows.
    fn distinct() -> Counters {
        let mut counters = Counters { connections: 1, sessions: 2, publications: 3, ..Counters::default() };
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| counters.add_closed(reason));
        }
        counters
    }

    #[test]
    fn close_reasons_have_their_own_place_and_name() {
        let counters = distinct();
        let rows = counters.rows();
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(counters.closed(reason), index as u64 + 1);
            let name = format!("closed_{}", reason.as_str());
            let row = rows.iter().find(|row| row.0 == name).expect("each reason has a row");
            assert_eq!(row.1, index as u64 + 1, "{name}");
        }
    }

    #[test]
    fn rows_have_unique_names() {
        let rows = distinct().rows();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.0.as_str()).collect();
        assert_eq!(names.len(), rows.len());
        assert_eq!(rows.len(), METRICS.len() + CloseReason::ALL.len());
        let value = |name| rows.iter().find(|row| row.0 == name).map(|row| row.1);
        assert_eq!((distinct().named("sessions"), distinct().named("none")), (Some(2), None));
        assert_eq!([value("connections"), value("sessions"), value("publications")], [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn merging_adds_everything() {
        let mut sum = distinct();
        sum.merge(&distinct());
        let doubled: Vec<(String, u64)> =
            distinct().rows().into_iter().map(|(name, value)| (name, value * 2)).collect();
        assert_eq!(sum.rows(), doubled);
        let mut full = Counters { deliveries: u64::MAX, ..Counters::default() };
        full.merge(&Counters { deliveries: 1, ..Counters::default() });
        assert_eq!(full.deliveries, u64::MAX);
    }

    #[test]
    fn the_longest_turn_of_two_shards_is_the_longer_one() {
        let mut sum = Counters { longest_turn_us: 5, turns: 5, ..Counters::default() };
        sum.merge(&Counters { longest_turn_us: 7, turns: 7, ..Counters::default() });
        sum.merge(&Counters { longest_turn_us: 6, turns: 6, ..Counters::default() });
        assert_eq!((sum.longest_turn_us, sum.turns), (7, 18));
    }

    #[expect(unreachable_pub, reason = "the macro is for cores, whose counters are public")]
    mod core {
        part! {
            /// Two of them.
            pub struct Few {
                deliveries,
                logins,
            }
        }
    }

    #[test]
    fn what_a_core_counts_is_added_under_the_same_names() {
        let mut counters = Counters { deliveries: 5, turns: 1, ..Counters::default() };
        core::Few { deliveries: 2, logins: 3 }.add_to(&mut counters);
        assert_eq!(counters, Counters { deliveries: 7, logins: 3, turns: 1, ..Counters::default() });
    }

    #[test]
    fn latencies_by_powers_of_two() {
        let mut counters = Counters::default();
        for micros in [0, 1, 2, 3, 4, 1 << 24, u64::MAX] {
            counters.add_latency(micros);
        }
        let mut expected = [0; LATENCIES];
        (expected[0], expected[1], expected[2], expected[3], expected[25]) = (1, 1, 2, 1, 2);
        assert_eq!(counters.latencies(), &expected);
        let other = counters.clone();
        counters.merge(&other);
        assert_eq!(counters.latencies()[2], 4);
    }
}
