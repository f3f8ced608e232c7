//! What a shard asks of the system while it turns, so that the loop can run on a simulated one.
//!
//! A host names its kernel by a type, so every call is static and [`Linux`](crate::Linux) costs what the bare calls would.
//! What happens once, before the first turn, is not here: ports, threads and descriptor tables are Linux's own.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::host::Token;
use crate::sender::plain;
use crate::stats::Engine;

pub use rustix::io::Errno;

pub use crate::sender::{Incomplete, Item};

/// Every call returns at once but [`wait`](Self::wait); errors are those of Linux.
pub trait Kernel: Sized {
    /// An open connection, at most 4 bytes with what says that there is none.
    type Socket;
    /// Where connections come in; dropped when nobody is accepted any more.
    type Listener;
    type Signal: Signal;
    /// What became ready, as one wait told it.
    type Events;

    /// Never goes back.
    fn now(&self) -> Instant;

    /// Lets another thread have the core, between two looks for input.
    fn yield_core(&self) {}

    /// Has [`wait`](Self::wait) tell when somebody may be waiting to be accepted, at the edge.
    fn watch_listener(&mut self, listener: &Self::Listener, way: Way) -> io::Result<()>;

    /// Has [`wait`](Self::wait) end whenever the signal is given.
    fn watch_signal(&mut self, signal: &Self::Signal) -> io::Result<()>;

    /// Has [`wait`](Self::wait) tell of input, room, end and failure of the connection: each at its edge, under this token,
    /// until the connection is closed. What is there already counts as an edge.
    fn watch(&mut self, socket: &Self::Socket, token: Token) -> io::Result<()>;

    /// `AGAIN`: nobody waits.
    fn accept(&mut self, listener: &Self::Listener) -> Result<Self::Socket, Errno>;

    /// Whether an accept would find a client, if there were a place for it.
    fn somebody_waits(&self, listener: &Self::Listener) -> bool;

    /// Takes what has come, as far as the buffer goes: less than its length says that there was no more. 0: the peer has
    /// closed. `AGAIN`: nothing has come.
    fn receive(&mut self, socket: &Self::Socket, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Returns how many bytes were taken; if not all were, room is told at its edge. `AGAIN`: there was none.
    fn send(&mut self, socket: &Self::Socket, bytes: &[u8]) -> Result<usize, Errno>;

    /// As [`send`](Self::send), of several pieces.
    fn send_slices(&mut self, socket: &Self::Socket, slices: &[IoSlice<'_>]) -> Result<usize, Errno>;

    /// Sends all items, at most one for each connection, and puts those that were not taken whole into `incomplete`, by their
    /// place in `items`.
    fn send_batch(&mut self, items: &[Item<'_, Self::Socket>], incomplete: &mut Vec<(usize, Incomplete)>) {
        plain::send(items, 0, incomplete, |socket, bytes| self.send(socket, bytes));
    }

    /// Tells the peer that nothing more will be sent.
    fn shut_down(&mut self, socket: &Self::Socket) -> Result<(), Errno>;

    fn close(&mut self, socket: Self::Socket);

    fn peer_address(&self, socket: &Self::Socket) -> Option<SocketAddr>;

    fn local_address(&self, socket: &Self::Socket) -> Option<SocketAddr>;

    /// Whose process is at the other end of a connection that came by the door, by its number.
    fn peer_user(&self, _socket: &Self::Socket) -> Option<u32> {
        None
    }

    /// Room for what one wait can tell.
    fn events(capacity: usize) -> Self::Events;

    /// Waits until something becomes ready, a signal is given or the time is over; may end before for no reason. `None`:
    /// for ever. What was in `events` is replaced.
    fn wait(&mut self, events: &mut Self::Events, timeout: Option<Duration>) -> io::Result<()>;

    fn ready(events: &Self::Events) -> impl Iterator<Item = Ready>;

    /// How batches are sent.
    fn engine(&self) -> Engine {
        Engine::Plain
    }
}

/// Ends the wait of a shard, from any thread.
pub trait Signal {
    /// Whatever was done before is visible to the shard when its wait has ended.
    fn give(&self);
}

/// By which of its listeners a connection comes to a shard.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Way {
    Port,
    /// A Unix socket.
    Door,
}

/// What became ready.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    Listener(Way),
    Signal,
    Connection(Token, Readiness),
}

/// What a connection is ready for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
    /// The peer sends nothing more.
    pub read_closed: bool,
    /// Nothing can be sent any more.
    pub write_closed: bool,
    pub failed: bool,
}
