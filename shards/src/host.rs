//! What lives on a shard: the interface between this crate and the server.

use std::sync::Arc;
use std::time::Instant;

use crate::io::Io;
use crate::kernel::Kernel;

/// Bytes that many connections share: one encoded frame, written to all its receivers.
pub type SharedBytes = Arc<[u8]>;

/// A connection on its shard: place in the slab and the generation of that place. A place is used again, a pair
/// never is while anything can still name it. The default value names no connection: generations begin at 1.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default, Ord, PartialOrd)]
pub struct Token {
    pub index: u32,
    pub generation: u32,
}

/// Why a connection ended.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
pub enum End {
    /// The peer closed its side; everything it had sent was handed in before.
    PeerClosed,
    /// The peer or the network broke the connection.
    Reset,
    /// More bytes waited to be sent than `queue_bytes_max`.
    SlowConsumer,
    /// The host left more bytes unused than `unread_bytes_max`.
    TooMuchUnread,
    /// More bytes waited for all connections than `waiting_bytes_max`, and most of them for this one.
    NoRoom,
    /// The host called `close` or `close_after_flush`.
    Local,
    /// The grace time of a stopping server was over.
    Stopped,
}

/// What lives on a shard: one value per thread, made in its thread and dropped there.
///
/// No method is called while another one runs. Whatever a method asks of [`Io`] that would need such a call is done
/// later in the same turn; in particular [`ended`](Self::ended) never comes from inside `write` or `close`.
pub trait Host: Sized {
    /// What it runs on: [`Linux`](crate::Linux), but in a simulation.
    type Kernel: Kernel;
    /// What crosses the rings.
    type Message: Send + 'static;
    /// What the host keeps inline per connection: at most 8 bytes with an alignment of at most 8.
    type State: Copy + Default + 'static;

    /// A new connection, its state is the default.
    fn accepted(&mut self, io: &mut Io<'_, Self>, conn: Token);

    /// The same for a process of this machine that came by the door, and by the number of its user if the system tells it.
    fn accepted_at_door(&mut self, io: &mut Io<'_, Self>, conn: Token, user: Option<u32>) {
        let _ = user;
        self.accepted(io, conn);
    }

    /// Somebody waits for an accept, and there is no place or no descriptor for another connection. A host that ends one
    /// with [`Io::close`] makes room; otherwise accepting stops until one ends.
    fn full(&mut self, _io: &mut Io<'_, Self>) {}

    /// Everything unread so far: the rest kept from earlier and the new bytes, never empty. Returns how many bytes
    /// are used up; the rest is kept and handed in again together with what comes next. May change the bytes in
    /// place, but only those that it uses up.
    fn received(&mut self, io: &mut Io<'_, Self>, conn: Token, bytes: &mut [u8]) -> usize;

    /// The peer closed its side while bytes wait to be sent to it. They are sent, but nothing can be written any more;
    /// `ended` comes when they are out, after `close_time_max` in any case.
    fn half_closed(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        let _ = (io, conn);
    }

    /// Nothing waits to be sent on a connection, as [`Io::tell_when_drained`] asked to be told. Not for one that is being
    /// closed.
    fn drained(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        let _ = (io, conn);
    }

    /// Exactly once per accepted connection, whoever ended it. The state can still be read; the token is dead
    /// afterwards.
    fn ended(&mut self, io: &mut Io<'_, Self>, conn: Token, end: End);

    /// The deadline or the idle timeout that the host had set has passed.
    fn timed_out(&mut self, io: &mut Io<'_, Self>, conn: Token);

    /// A message of another shard, or of this one to itself.
    fn message(&mut self, io: &mut Io<'_, Self>, from: u16, message: Self::Message);

    /// After every wake by an outside thread: take what is in your channels.
    fn woken(&mut self, io: &mut Io<'_, Self>);

    /// At the end of every turn, before the shard may sleep.
    fn turn_ended(&mut self, io: &mut Io<'_, Self>);

    /// When to call [`turn_ended`](Self::turn_ended) again without any input; at most a millisecond late on an idle
    /// machine.
    fn deadline(&self) -> Option<Instant>;

    /// The server stops: nothing more is accepted or read, and what was handed in before is to be answered. Called once.
    fn stopping(&mut self, io: &mut Io<'_, Self>) {
        let _ = io;
    }

    /// While the server stops: whether answers to what was handed in are still to come.
    fn owes_answers(&self) -> bool {
        false
    }

    /// While the server stops: whether something that a message has caused waits in the host for a later turn, so that
    /// messages or writes may still come of it.
    fn has_work(&self) -> bool {
        false
    }

    /// Close what is open, flushing first. Called once, after [`stopping`](Self::stopping), when no shard owes an answer any
    /// more and all messages that these have caused were handled, or when half of the grace time is over. The shard ends when
    /// the connections of all shards are gone and the messages that this caused have been handled, or when all of the grace time
    /// is over.
    fn farewell(&mut self, io: &mut Io<'_, Self>);
}
