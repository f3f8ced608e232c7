//! What a host can do: the handle it gets with every call.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::host::{End, Host, SharedBytes, Token};
use crate::kernel::Kernel;
use crate::mesh::Level;
use crate::settings::Changeable;
use crate::stats::{Counters, Engine, Memory};

/// The shard as its host sees it. Calls about a connection that has ended do nothing, nor do those about one that is
/// being closed, except [`close`](Self::close).
pub struct Io<'a, H: Host> {
    core: &'a mut Core<H>,
}

impl<'a, H: Host> Io<'a, H> {
    pub(crate) fn new(core: &'a mut Core<H>) -> Self {
        Self { core }
    }

    /// This shard's number.
    pub fn shard(&self) -> u16 {
        self.core.number
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.core.endpoint.shards()
    }

    /// The time at which this turn began, after its sleep; read once per turn.
    pub fn turn_time(&self) -> Instant {
        self.core.turn_time
    }

    /// The host's state of a connection, until its `ended` has returned.
    pub fn state(&mut self, conn: Token) -> Option<&mut H::State> {
        self.core.state(conn)
    }

    /// Whether the connection can still be written to: not ended, not closing.
    pub fn is_open(&self, conn: Token) -> bool {
        self.core.is_open(conn)
    }

    /// Whether what is written to the connection may still be sent: as [`is_open`](Self::is_open), and no write has found
    /// it broken. Its end is told later in that case, after what it had sent.
    pub fn can_send(&self, conn: Token) -> bool {
        self.core.can_send(conn)
    }

    /// Sends at once if nothing is queued; what the socket does not take is copied to the queue.
    ///
    /// A connection whose queue is not empty and would pass `queue_bytes_max` ends as [`End::SlowConsumer`]. Not ordered with a fan-out
    /// that is still pending.
    pub fn write(&mut self, conn: Token, bytes: &[u8]) {
        self.core.write(conn, bytes);
    }

    /// As [`write`](Self::write), but the queue refers to the bytes instead of copying them.
    pub fn write_shared(&mut self, conn: Token, bytes: &SharedBytes) {
        self.core.write_shared(conn, bytes);
    }

    /// The last bytes of a connection: sent as by [`write_shared`](Self::write_shared), then closed as by
    /// [`close_after_flush`](Self::close_after_flush). The queue may be as long as it takes, since nothing can follow;
    /// the peer has the time `within` for all of it, and `close_time_max` to close once it is sent.
    pub fn write_last(&mut self, conn: Token, bytes: &SharedBytes, within: Duration) {
        self.core.write_last(conn, bytes, 0..bytes.len(), within);
    }

    /// As [`write_shared`](Self::write_shared), of a part of the bytes.
    pub fn write_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>) {
        self.core.write_part(conn, bytes, part);
    }

    /// As [`write_last`](Self::write_last), of a part of the bytes.
    pub fn write_last_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>, within: Duration) {
        self.core.write_last(conn, bytes, part, within);
    }

    /// Sends the same bytes to many connections, later in this turn and the following ones: in slices, with looks at
    /// readiness, rings and accepts in between. Fan-outs are sent in the order in which they were given; several for
    /// one connection keep that order.
    pub fn fan_out(&mut self, conns: Vec<Token>, bytes: SharedBytes) {
        self.core.fan_outs.push(conns, bytes);
    }

    /// Whether receivers of fan-outs are still waiting. A host forms its next fan-outs only when none are: publications
    /// that come meanwhile can be joined, and the pending ones stay bounded. `turn_ended` is called once more after
    /// the last one.
    pub fn fan_out_pending(&self) -> bool {
        !self.core.fan_outs.is_empty()
    }

    /// All connections that are open, for a host that is about to end them.
    pub fn open_connections(&self) -> Vec<Token> {
        self.core.slab.tokens().filter(|conn| self.core.is_open(*conn)).collect()
    }

    /// Places that connections have or had.
    pub fn places(&self) -> u32 {
        self.core.slab.places()
    }

    /// The connections that are open in some of the places, for a host that looks at all of them bit by bit.
    pub fn open_in(&self, places: Range<u32>) -> Vec<Token> {
        self.core.slab.tokens_in(places).filter(|conn| self.core.is_open(*conn)).collect()
    }

    /// Ends the connection at once, also one that [`close_after_flush`](Self::close_after_flush) left to its flushing.
    /// What is still queued is lost, and what the peer has not received yet may be.
    pub fn close(&mut self, conn: Token) {
        self.core.end(conn, End::Local);
    }

    /// Ends the connection when everything written so far has been sent and the peer has had the time to receive it;
    /// after `close_time_max` in any case. Nothing more is handed in. `ended` comes at the real end.
    pub fn close_after_flush(&mut self, conn: Token) {
        self.core.close_after_flush(conn);
    }

    /// Hands in no more bytes of the connection, and reads none. Its end by the peer's closing is told after
    /// [`resume`](Self::resume); its end by a broken connection at once.
    pub fn pause(&mut self, conn: Token) {
        self.core.pause(conn);
    }

    /// Hands in what was kept and reads on, later in this turn or in the next.
    pub fn resume(&mut self, conn: Token) {
        self.core.resume(conn);
    }

    /// `timed_out` comes once this time has passed, rounded up to ticks, unless the timeout is changed before. Replaces
    /// an idle timeout.
    pub fn deadline_after(&mut self, conn: Token, after: Duration) {
        self.core.deadline_after(conn, after);
    }

    /// `timed_out` comes whenever nothing was received for this time, rounded up to ticks, again and again. The first
    /// interval of a connection is cut short by up to a half, at random, so that connections that came together are
    /// not all due together. Replaces a deadline.
    pub fn idle_timeout(&mut self, conn: Token, duration: Duration) {
        self.core.idle_timeout(conn, duration);
    }

    /// No deadline and no idle timeout.
    pub fn no_timeout(&mut self, conn: Token) {
        self.core.no_timeout(conn);
    }

    /// Sends a message to a shard (`to` is below [`shards`](Self::shards)), this one included. Never fails and never
    /// waits: what the ring cannot take waits in this shard's backlog, and sockets are not read meanwhile. See
    /// [`mesh`](crate::mesh) for what a level may cause.
    pub fn send(&mut self, level: Level, to: u16, message: H::Message) {
        self.core.counters.messages_out += 1;
        self.core.endpoint.send(level, to, message);
    }

    /// Takes no new work while `held`: sockets are not read, and of messages only answers are handed in. For a host
    /// that has as much to send as it should keep; it must come free by sending, and say so. See
    /// [`Endpoint::hold`](crate::mesh::Endpoint::hold).
    pub fn hold(&mut self, held: bool) {
        self.core.endpoint.hold(held);
    }

    /// What the connections have sent is enough for this turn: those that were not read yet come first in the next one, which
    /// comes at once. What they send can make a turn long, and whoever waits for a message would wait for all of it.
    pub fn read_no_more(&mut self) {
        self.core.reads_no_more = true;
    }

    /// Whether messages wait for room in rings: a host that takes work from outside by itself should wait too. When they
    /// have found it, `turn_ended` is called once more.
    pub fn congested(&self) -> bool {
        self.core.endpoint.congested()
    }

    /// From now on these hold.
    pub fn change(&mut self, changeable: Changeable) {
        self.core.change(changeable);
    }

    /// How many messages of this level wait for room.
    pub fn backlog_of(&self, level: Level) -> usize {
        self.core.endpoint.backlog_of(level)
    }

    /// [`drained`](Host::drained) comes once, when nothing waits to be sent on the connection: in the next turn if nothing
    /// does now. What is written until then postpones it; a fan-out that is pending does not. A host that has much to
    /// send writes a part of it and the next one when the reader has taken that.
    pub fn tell_when_drained(&mut self, conn: Token) {
        self.core.tell_when_sent(conn);
    }

    /// Bytes that wait to be sent on a connection.
    pub fn queued_bytes(&self, conn: Token) -> usize {
        self.core.queued_bytes(conn)
    }

    /// Bytes that this shard holds for a connection: its place, its timer and what waits, shared bytes in part.
    pub fn held_bytes(&self, conn: Token) -> usize {
        self.core.held_bytes(conn)
    }

    /// Ends whoever holds most, until what waits for all connections is no more than this: for a host that has to make room
    /// before [`waiting_bytes_max`](crate::ShardSettings::waiting_bytes_max) is reached. They end as [`End::NoRoom`].
    pub fn relieve(&mut self, waiting_bytes: usize) {
        self.core.relieve_to(waiting_bytes);
    }

    /// Asks the system; `None` for a connection whose socket is closed.
    pub fn peer_address(&self, conn: Token) -> Option<SocketAddr> {
        self.core.kernel.peer_address(self.socket(conn)?)
    }

    /// Asks the system; `None` for a connection whose socket is closed.
    pub fn local_address(&self, conn: Token) -> Option<SocketAddr> {
        self.core.kernel.local_address(self.socket(conn)?)
    }

    fn socket(&self, conn: Token) -> Option<&<H::Kernel as Kernel>::Socket> {
        self.core.slab.get(conn)?.socket.as_ref()
    }

    /// Connections whose `ended` has not been called.
    pub fn connections(&self) -> u32 {
        self.core.slab.len()
    }

    /// Bytes that this shard holds; a few sums, so it may be asked often.
    pub fn memory(&self) -> Memory {
        self.core.memory()
    }

    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// How this shard sends its fan-outs.
    pub fn engine(&self) -> Engine {
        self.core.kernel.engine()
    }
}
