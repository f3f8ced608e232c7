//! The kernel of one simulated shard: its sockets, what epoll tells of them, its eventfd and its clock. It does what Linux may
//! do, the seldom things often:
//!
//! * readiness is told at its edges, some of it in this wait and the rest in the next one, and tells what a socket is ready
//!   for when it is told and not when it became so;
//! * sends are taken as far as there is room; room is told of when a third of the buffer is free again, if a send or a wait found
//!   none;
//! * calls fail for passing reasons: they are interrupted, or there is no memory;
//! * a peer that is gone has closed or broken its end; whoever sends to one that has closed hears of it from the next call on; what
//!   came before a break can still be read;
//! * closing while input is unread breaks the connection, and the peer loses what it has not read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shards::Token;
use shards::kernel::{Errno, Kernel, Readiness, Ready, Signal, Way};

use super::random::Random;

/// The client's end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Peer {
    #[default]
    Open,
    /// It sends nothing more and still reads.
    HalfClosed,
    /// It is not there any more.
    Gone,
}

/// Both directions of a connection.
#[derive(Debug, Default)]
struct Socket {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// Bytes that `to_client` has room for.
    room: usize,
    peer: Peer,
    /// The connection is broken; `true` until somebody was told.
    broken: Option<bool>,
    /// The server sends nothing more.
    shut_down: bool,
    closed: bool,
    /// As it is watched.
    conn: Option<Token>,
    /// Among those of which the next wait tells.
    listed: bool,
    /// Somebody has found no room since room was told of.
    wants_room: bool,
}

impl Socket {
    fn free(&self) -> usize {
        self.room.saturating_sub(self.to_client.len())
    }

    /// As Linux does, which calls a socket writable when a third of its buffer is free.
    fn is_writable(&self) -> bool {
        self.broken.is_some() || self.free() > 0 && self.free() * 2 >= self.to_client.len()
    }

    fn readiness(&self) -> Readiness {
        let read_closed = self.peer != Peer::Open || self.broken.is_some();
        Readiness {
            readable: !self.to_server.is_empty() || read_closed,
            writable: self.is_writable(),
            read_closed,
            write_closed: self.broken.is_some() || read_closed && self.shut_down,
            failed: self.broken == Some(true),
        }
    }
}

/// The eventfd of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Bell(Arc<AtomicBool>);

impl Signal for Bell {
    fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) struct Simulated {
    now: Instant,
    random: Random,
    sockets: Vec<Socket>,
    /// Who was not accepted yet.
    waiting: VecDeque<usize>,
    listener_ready: bool,
    listed: VecDeque<usize>,
    bell: Bell,
    /// How many connections one wait tells of.
    told_at_once: usize,
    /// How many calls out of a hundred fail for a passing reason.
    failing_percent: usize,
}

impl Simulated {
    pub(super) fn new(mut random: Random, now: Instant) -> Self {
        // As many as a shard has connections that is soon full: newcomers must not drive out who was not listened to.
        let told_at_once = [4, 1000][random.below(2)];
        let failing_percent = [0, 3][random.below(2)];
        Self {
            now,
            random,
            sockets: Vec::new(),
            waiting: VecDeque::new(),
            listener_ready: false,
            listed: VecDeque::new(),
            bell: Bell::default(),
            told_at_once,
            failing_percent,
        }
    }

    pub(super) fn bell(&self) -> Bell {
        self.bell.clone()
    }

    pub(super) fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    /// Whether a wait would end at once.
    pub(super) fn has_news(&self) -> bool {
        self.listener_ready || !self.listed.is_empty() || self.bell.0.load(Ordering::Relaxed)
    }

    /// Whether bytes have come that nobody has read, on a connection that was accepted.
    pub(super) fn has_input(&self) -> bool {
        self.sockets.iter().any(|socket| socket.conn.is_some() && !socket.to_server.is_empty())
    }

    pub(super) fn waits_for_accept(&self, socket: usize) -> bool {
        self.waiting.contains(&socket)
    }

    // The clients' side

    /// A client comes; its connection has a buffer of so many bytes towards it.
    pub(super) fn connect(&mut self, room: usize) -> usize {
        self.sockets.push(Socket { room, ..Socket::default() });
        self.waiting.push_back(self.sockets.len() - 1);
        self.listener_ready = true;
        self.sockets.len() - 1
    }

    pub(super) fn client_sends(&mut self, at: usize, bytes: &[u8]) {
        let socket = &mut self.sockets[at];
        if socket.closed {
            socket.to_client.clear();
        } else if socket.broken.is_none() {
            socket.to_server.extend(bytes);
            self.edge(at);
        }
    }

    pub(super) fn client_reads(&mut self, at: usize, most: usize) -> Vec<u8> {
        let socket = &mut self.sockets[at];
        let bytes = super::take(&mut socket.to_client, most);
        if socket.wants_room && socket.is_writable() {
            socket.wants_room = false;
            self.edge(at);
        }
        bytes
    }

    /// Whether the server sends nothing more and the client has read all before it.
    pub(super) fn client_sees_end(&self, at: usize) -> bool {
        let socket = &self.sockets[at];
        (socket.closed || socket.shut_down) && socket.to_client.is_empty()
    }

    pub(super) fn client_leaves(&mut self, at: usize, how: Peer) {
        let socket = &mut self.sockets[at];
        socket.peer = how;
        if how == Peer::Gone {
            // Who has not read everything breaks the connection by leaving.
            let breaks = !socket.to_client.is_empty() || self.random.chance(50);
            socket.to_client.clear();
            if breaks {
                return self.break_off(at);
            }
        }
        self.edge(at);
    }

    fn break_off(&mut self, at: usize) {
        let socket = &mut self.sockets[at];
        // What was on its way may be lost.
        if self.random.chance(50) {
            socket.to_server.clear();
        }
        if socket.broken.is_none() {
            socket.broken = Some(true);
        }
        self.edge(at);
    }

    fn edge(&mut self, at: usize) {
        let socket = &mut self.sockets[at];
        if socket.conn.is_some() && !std::mem::replace(&mut socket.listed, true) {
            self.listed.push_back(at);
        }
    }

    // The server's side

    fn passing_failure(&mut self) -> Result<(), Errno> {
        if self.failing_percent == 0 || !self.random.chance(self.failing_percent) {
            return Ok(());
        }
        Err([Errno::INTR, Errno::NOBUFS, Errno::NOMEM][self.random.below(3)])
    }

    /// What a broken connection answers to a send: the first call that fails says why.
    fn failure(&mut self, at: usize) -> Result<(), Errno> {
        let socket = &mut self.sockets[at];
        match socket.broken.as_mut() {
            Some(untold) => Err(if std::mem::take(untold) { Errno::CONNRESET } else { Errno::PIPE }),
            None => Ok(()),
        }
    }

    fn take(&mut self, at: usize, bytes: &[u8]) -> usize {
        let socket = &mut self.sockets[at];
        if socket.peer == Peer::Gone {
            // They arrive where nobody is, and that is answered.
            self.break_off(at);
            return bytes.len();
        }
        let taken = bytes.len().min(socket.free());
        socket.to_client.extend(&bytes[..taken]);
        socket.wants_room |= taken < bytes.len();
        taken
    }

    fn tell(&mut self, at: usize) -> Option<Ready> {
        let socket = &mut self.sockets[at];
        socket.listed = false;
        let readiness = socket.readiness();
        // To have been told of no room is to have asked for it.
        socket.wants_room |= !readiness.writable;
        let anything = readiness.readable || readiness.writable;
        socket.conn.filter(|_| anything).map(|conn| Ready::Connection(conn, readiness))
    }
}

/// The place in the list of sockets, and one.
#[derive(Debug)]
pub(super) struct Handle(NonZeroU32);

impl Handle {
    fn new(at: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(at as u32))
    }

    fn at(&self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Which of the kernel's sockets it is, as the address of its peer tells.
pub(super) fn socket_of(address: SocketAddr) -> usize {
    usize::from(address.port()) - 1
}

impl Kernel for Simulated {
    type Socket = Handle;
    type Listener = ();
    type Signal = Bell;
    type Events = Vec<Ready>;

    fn now(&self) -> Instant {
        self.now
    }

    fn watch_listener(&mut self, (): &(), _: Way) -> io::Result<()> {
        Ok(())
    }

    fn watch_signal(&mut self, _: &Bell) -> io::Result<()> {
        Ok(())
    }

    fn watch(&mut self, socket: &Handle, conn: Token) -> io::Result<()> {
        self.sockets[socket.at()].conn = Some(conn);
        // An empty buffer has room, so there is something to tell in any case.
        self.edge(socket.at());
        Ok(())
    }

    fn accept(&mut self, (): &()) -> Result<Handle, Errno> {
        if self.failing_percent > 0 && self.random.chance(self.failing_percent) {
            return Err(Errno::CONNABORTED);
        }
        self.waiting.pop_front().map(Handle::new).ok_or(Errno::AGAIN)
    }

    fn somebody_waits(&self, (): &()) -> bool {
        !self.waiting.is_empty()
    }

    fn receive(&mut self, socket: &Handle, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.passing_failure()?;
        let socket = &mut self.sockets[socket.at()];
        let bytes = super::take(&mut socket.to_server, buffer.len());
        buffer[..bytes.len()].copy_from_slice(&bytes);
        match (bytes.len(), socket.peer, socket.broken.as_mut()) {
            (1.., ..) => Ok(bytes.len()),
            (0, _, Some(untold)) => {
                if std::mem::take(untold) {
                    Err(Errno::CONNRESET)
                } else {
                    Ok(0)
                }
            }
            (0, Peer::Open, None) => Err(Errno::AGAIN),
            (0, ..) => Ok(0),
        }
    }

    fn send(&mut self, socket: &Handle, bytes: &[u8]) -> Result<usize, Errno> {
        self.send_slices(socket, &[IoSlice::new(bytes)])
    }

    fn send_slices(&mut self, socket: &Handle, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        self.passing_failure()?;
        self.failure(socket.at())?;
        assert!(!self.sockets[socket.at()].shut_down, "bytes behind the last ones");
        match slices.iter().map(|bytes| self.take(socket.at(), bytes)).sum() {
            0 => Err(Errno::AGAIN),
            taken => Ok(taken),
        }
    }

    fn shut_down(&mut self, socket: &Handle) -> Result<(), Errno> {
        let socket = &mut self.sockets[socket.at()];
        if socket.broken.is_some() {
            return Err(Errno::NOTCONN);
        }
        socket.shut_down = true;
        Ok(())
    }

    fn close(&mut self, handle: Handle) {
        let socket = &mut self.sockets[handle.at()];
        assert!(!socket.closed, "a descriptor is closed twice");
        if !socket.to_server.is_empty() {
            socket.to_client.clear();
        }
        socket.to_server.clear();
        (socket.closed, socket.conn) = (true, None);
        if std::mem::take(&mut socket.listed) {
            self.listed.retain(|at| *at != handle.at());
        }
    }

    fn peer_address(&self, socket: &Handle) -> Option<SocketAddr> {
        let port = u16::try_from(socket.0.get()).expect("few enough connections");
        Some((Ipv4Addr::LOCALHOST, port).into())
    }

    fn local_address(&self, _: &Handle) -> Option<SocketAddr> {
        Some((Ipv4Addr::LOCALHOST, 1).into())
    }

    fn events(_: usize) -> Vec<Ready> {
        Vec::new()
    }

    /// The world wakes a shard when the time is over, or for no reason.
    fn wait(&mut self, events: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        events.clear();
        if std::mem::take(&mut self.listener_ready) && !self.waiting.is_empty() {
            events.push(Ready::Listener(Way::Port));
        }
        if self.bell.0.swap(false, Ordering::Relaxed) {
            events.push(Ready::Signal);
        }
        let count = self.listed.len().min(self.told_at_once);
        for _ in 0..count {
            let told = self.listed.pop_front().and_then(|at| self.tell(at));
            events.extend(told);
        }
        Ok(())
    }

    fn ready(events: &Vec<Ready>) -> impl Iterator<Item = Ready> {
        events.iter().copied()
    }
}
