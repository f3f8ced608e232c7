//! What the edge asks of the shard it lives on: [`shards::Io`] as the server needs it, so that the simulator can watch what is asked.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use shards::{Io, SharedBytes, Token};

use crate::browsers::Browser;
use crate::metrics::Counters;
use crate::model::{Now, Publication, ShardId};
use crate::ring::RingMessage;

use super::clock;
use super::host::{Host, level};

/// The methods mean what those of [`shards::Io`] of the same name do, unless they say more.
pub(super) trait Runtime {
    /// Both clocks; the monotonic one as it was when the turn began.
    fn now(&self) -> Now;
    fn state(&mut self, conn: Token) -> Option<&mut Browser>;
    fn is_open(&self, conn: Token) -> bool;
    fn can_send(&self, conn: Token) -> bool;
    fn open_connections(&self) -> Vec<Token>;
    fn places(&self) -> u32;
    fn open_in(&self, places: Range<u32>) -> Vec<Token>;
    fn peer_address(&self, conn: Token) -> Option<SocketAddr>;

    fn write(&mut self, conn: Token, bytes: &[u8]);
    fn write_shared(&mut self, conn: Token, bytes: &SharedBytes);
    fn write_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>);
    fn write_last(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>, within: Duration);
    /// `publications` are what `bytes` hold, for who watches.
    fn fan_out(&mut self, conns: Vec<Token>, bytes: SharedBytes, publications: &[Arc<Publication>]);
    /// The publications are kept for a connection without a socket; for who watches.
    fn fan_out_to_polled(&mut self, _publications: &[Arc<Publication>]) {}
    fn fan_out_pending(&self) -> bool;

    fn close(&mut self, conn: Token);
    fn close_after_flush(&mut self, conn: Token);
    fn pause(&mut self, conn: Token);
    fn resume(&mut self, conn: Token);

    fn deadline_after(&mut self, conn: Token, after: Duration);
    fn idle_timeout(&mut self, conn: Token, duration: Duration);
    fn no_timeout(&mut self, conn: Token);

    /// On the ring of the message's own level.
    fn send(&mut self, to: ShardId, message: RingMessage);
    fn hold(&mut self, held: bool);
    fn queued_bytes(&self, conn: Token) -> usize;
    fn held_bytes(&self, conn: Token) -> usize;
    fn tell_when_drained(&mut self, conn: Token);
    fn congested(&self) -> bool;
    fn read_no_more(&mut self);

    /// Adds what the runtime of this shard has counted.
    fn add_to(&self, counters: &mut Counters);
}

impl Runtime for Io<'_, Host> {
    fn now(&self) -> Now {
        clock::now(self.turn_time())
    }

    fn state(&mut self, conn: Token) -> Option<&mut Browser> {
        self.state(conn)
    }

    fn is_open(&self, conn: Token) -> bool {
        self.is_open(conn)
    }

    fn can_send(&self, conn: Token) -> bool {
        self.can_send(conn)
    }

    fn open_connections(&self) -> Vec<Token> {
        self.open_connections()
    }

    fn places(&self) -> u32 {
        self.places()
    }

    fn open_in(&self, places: Range<u32>) -> Vec<Token> {
        self.open_in(places)
    }

    fn peer_address(&self, conn: Token) -> Option<SocketAddr> {
        self.peer_address(conn)
    }

    fn write(&mut self, conn: Token, bytes: &[u8]) {
        self.write(conn, bytes);
    }

    fn write_shared(&mut self, conn: Token, bytes: &SharedBytes) {
        self.write_shared(conn, bytes);
    }

    fn write_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>) {
        self.write_part(conn, bytes, part);
    }

    fn write_last(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>, within: Duration) {
        self.write_last_part(conn, bytes, part, within);
    }

    fn fan_out(&mut self, conns: Vec<Token>, bytes: SharedBytes, _publications: &[Arc<Publication>]) {
        self.fan_out(conns, bytes);
    }

    fn fan_out_pending(&self) -> bool {
        self.fan_out_pending()
    }

    fn close(&mut self, conn: Token) {
        self.close(conn);
    }

    fn close_after_flush(&mut self, conn: Token) {
        self.close_after_flush(conn);
    }

    fn pause(&mut self, conn: Token) {
        self.pause(conn);
    }

    fn resume(&mut self, conn: Token) {
        self.resume(conn);
    }

    fn deadline_after(&mut self, conn: Token, after: Duration) {
        self.deadline_after(conn, after);
    }

    fn idle_timeout(&mut self, conn: Token, duration: Duration) {
        self.idle_timeout(conn, duration);
    }

    fn no_timeout(&mut self, conn: Token) {
        self.no_timeout(conn);
    }

    fn send(&mut self, to: ShardId, message: RingMessage) {
        self.send(level(message.level()), to.0, message);
    }

    fn queued_bytes(&self, conn: Token) -> usize {
        self.queued_bytes(conn)
    }

    fn held_bytes(&self, conn: Token) -> usize {
        self.held_bytes(conn)
    }

    fn tell_when_drained(&mut self, conn: Token) {
        self.tell_when_drained(conn);
    }

    fn hold(&mut self, held: bool) {
        self.hold(held);
    }

    fn congested(&self) -> bool {
        self.congested()
    }

    fn read_no_more(&mut self) {
        self.read_no_more();
    }

    fn add_to(&self, counters: &mut Counters) {
        // All of them by name: one more that shards count does not compile until it is shown.
        let shards::Counters {
            accepted,
            refused_full,
            refused_by_system,
            ended,
            reads,
            bytes_in,
            bytes_out,
            sends,
            short_sends,
            fan_out_sends,
            fan_out_batches,
            messages_out,
            messages_in,
            messages_undeliverable,
            wakes_out,
            woken,
            timeouts,
            stale_events,
            turns,
            sleeps,
            congested_turns,
            longest_turn_us,
        } = *self.counters();
        counters.accepted = accepted;
        counters.ended = ended;
        counters.accept_stops = refused_full + refused_by_system;
        counters.reads = reads;
        counters.received_bytes = bytes_in;
        counters.sent_bytes = bytes_out;
        counters.sends = sends;
        counters.fan_out_sends = fan_out_sends;
        counters.fan_out_batches = fan_out_batches;
        counters.short_sends = short_sends;
        counters.stale_events = stale_events;
        counters.timeouts = timeouts;
        counters.ring_messages = messages_out;
        counters.ring_messages_taken = messages_in;
        counters.messages_undeliverable = messages_undeliverable;
        counters.ring_stalls = congested_turns;
        counters.wakes = wakes_out;
        counters.woken = woken;
        counters.turns = turns;
        counters.sleeps = sleeps;
        counters.longest_turn_us = longest_turn_us;
        let memory = self.memory();
        counters.memory_connections = (memory.entries + memory.unread + memory.timers) as u64;
        counters.memory_queues = (memory.write_queues + memory.write_queues_shared) as u64;
        counters.queued_bytes = (memory.write_queues + memory.queued_shared) as u64;
        counters.waiting_bytes = memory.waiting as u64;
        counters.memory_rings = (memory.rings + memory.backlog) as u64;
        counters.memory_buffers = (memory.buffers + memory.fan_outs) as u64;
    }
}
