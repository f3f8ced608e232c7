//! One shard's runtime and its sockets, simulated. It shares the order of a turn with the real one, and keeps the rules of waking and what each
//! operation of [`shards::Io`] means; readiness is told at its edges only, sends are taken in part, and what would never be
//! told by a kernel, a ring or a waker is not known here either.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use shards::turn::{Order, Steps};
use shards::{End, Endpoint, Level, SharedBytes, Token};

use crate::metrics::Counters;
use crate::model::{Now, Publication, ShardId, Time};
use crate::ring::RingMessage;
use crate::run::browsers::{Browser, Browsers};
use crate::run::host::level;
use crate::run::runtime::Runtime;
use crate::run::sessions::Sessions;

use super::random::Random;
use super::seen::Seen;

/// As [`shards::mesh::BACKLOG_POLL`], in microseconds.
const BACKLOG_POLL: u64 = 1000;

/// Time for flushing and lingering, in microseconds.
const CLOSE_TIME_MAX: u64 = 5_000_000;

/// Reads of one connection in one visit.
const READS_PER_VISIT: usize = 4;

/// The client's end of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Peer {
    #[default]
    Open,
    /// It sends nothing more and still reads.
    HalfClosed,
    /// It broke the connection.
    Gone,
}

/// Both directions of a connection, as the kernel holds them.
#[derive(Debug, Default)]
struct Socket {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// Bytes that `to_client` has room for.
    room: usize,
    peer: Peer,
    /// The server has closed its side.
    closed: bool,
    conn: Option<Token>,
    /// In the list of events.
    listed: bool,
    readable: bool,
    /// Room was made after a send was taken in part.
    writable: bool,
    full: bool,
}

#[derive(Debug, Default)]
struct Conn {
    generation: u32,
    occupied: bool,
    state: Browser,
    socket: usize,
    unread: Vec<u8>,
    queue: VecDeque<u8>,
    flags: Flags,
    deadline: Option<Time>,
    /// Silence after which the host is told, in microseconds.
    idle: Option<u64>,
    heard: Time,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    ending: bool,
    closing: bool,
    lingering: bool,
    ended_by_peer: bool,
    paused: bool,
    hand_in: bool,
    readable: bool,
    read_listed: bool,
    tell_when_sent: bool,
    let_in: bool,
}

impl Conn {
    fn is_open(&self) -> bool {
        self.occupied && !self.flags.ending && !self.flags.closing
    }
}

struct FanOut {
    conns: Vec<Token>,
    next: usize,
    bytes: SharedBytes,
}

pub(super) struct Limits {
    pub(super) queue_bytes_max: usize,
    pub(super) unread_bytes_max: usize,
    pub(super) connections_max: usize,
    /// Receivers of fan-outs per turn.
    pub(super) slice: usize,
    pub(super) messages_per_turn: usize,
}

/// What the edge sees of the machine.
pub(super) struct Machine {
    pub(super) limits: Limits,
    now: Now,
    random: Random,
    sockets: Vec<Socket>,
    conns: Vec<Conn>,
    vacant: Vec<u32>,
    waiting: VecDeque<usize>,
    accept_ready: bool,
    accept_blocked: bool,
    events: VecDeque<usize>,
    readers: VecDeque<Token>,
    reads_no_more: bool,
    /// Whose queues are empty, as the host wanted to know.
    sent: VecDeque<Token>,
    endings: VecDeque<(Token, End)>,
    fan_outs: VecDeque<FanOut>,
    pub(super) endpoint: Endpoint<RingMessage>,
    /// The level of the message that is being handled.
    handling: Option<Level>,
    formed: Vec<Arc<Publication>>,
    pub(super) seen: Vec<Seen>,
    // Why it does not sleep, or what ends its sleep.
    again: bool,
    awake: bool,
    pub(super) notified: bool,
    pub(super) got_messages: bool,
    polls_at: Option<Time>,
    /// When the host has something to do without any input.
    host_due: Option<Time>,
    /// The same without polls, which always wait for some time.
    pub(super) work_due: Option<Time>,
    /// Turns one after the other that ended with input waiting, looked at none and came no nearer to it, see `from_ends`.
    pub(super) passed_over: usize,
    /// Turns one after the other that ended with messages waiting that are no answers, and took none of them.
    pub(super) messages_passed_over: usize,
    /// Requests in the backlog.
    requests: usize,
    /// Those of connections that have ended or changed their subscriptions, about: others that leave count as well. Ends cannot be
    /// put off, and input has to wait for all that they say. But each is told once and nobody is accepted meanwhile, so as
    /// long as these leave, the wait is finite.
    from_ends: usize,
    pub(super) sleeps: usize,
    pub(super) held_turns: usize,
    /// The server stops: only connections that linger are read, and nobody is accepted.
    pub(super) stopping: bool,
}

impl Machine {
    pub(super) fn new(limits: Limits, random: Random, endpoint: Endpoint<RingMessage>, now: Now) -> Self {
        Self {
            limits,
            now,
            random,
            sockets: Vec::new(),
            conns: Vec::new(),
            vacant: Vec::new(),
            waiting: VecDeque::new(),
            accept_ready: false,
            accept_blocked: false,
            events: VecDeque::new(),
            readers: VecDeque::new(),
            reads_no_more: false,
            sent: VecDeque::new(),
            endings: VecDeque::new(),
            fan_outs: VecDeque::new(),
            endpoint,
            handling: None,
            formed: Vec::new(),
            seen: Vec::new(),
            again: false,
            awake: true,
            notified: false,
            got_messages: false,
            polls_at: None,
            host_due: None,
            work_due: None,
            passed_over: 0,
            messages_passed_over: 0,
            requests: 0,
            from_ends: 0,
            sleeps: 0,
            held_turns: 0,
            stopping: false,
        }
    }

    // The clients' side

    /// A client comes; its connection has a buffer of so many bytes towards it.
    pub(super) fn connect(&mut self, room: usize) -> usize {
        self.sockets.push(Socket { room, ..Socket::default() });
        self.waiting.push_back(self.sockets.len() - 1);
        self.accept_ready = true;
        self.awake = true;
        self.sockets.len() - 1
    }

    pub(super) fn client_sends(&mut self, socket: usize, bytes: &[u8]) {
        if !self.sockets[socket].closed {
            self.sockets[socket].to_server.extend(bytes);
            self.readiness(socket, |socket| socket.readable = true);
        }
    }

    pub(super) fn client_reads(&mut self, socket: usize, most: usize) -> Vec<u8> {
        let taken = most.min(self.sockets[socket].to_client.len());
        let bytes = super::take(&mut self.sockets[socket].to_client, taken);
        if taken > 0 && std::mem::take(&mut self.sockets[socket].full) {
            self.readiness(socket, |socket| socket.writable = true);
        }
        bytes
    }

    /// Whether the server has closed and the client has read all before it.
    pub(super) fn client_sees_end(&self, socket: usize) -> bool {
        self.sockets[socket].closed && self.sockets[socket].to_client.is_empty()
    }

    pub(super) fn client_leaves(&mut self, socket: usize, how: Peer) {
        self.sockets[socket].peer = how;
        if how == Peer::Gone {
            self.sockets[socket].to_server.clear();
            self.sockets[socket].to_client.clear();
        }
        self.readiness(socket, |socket| (socket.readable, socket.writable) = (true, true));
    }

    fn readiness(&mut self, at: usize, change: impl FnOnce(&mut Socket)) {
        let socket = &mut self.sockets[at];
        if socket.conn.is_some() {
            change(socket);
            if !std::mem::replace(&mut socket.listed, true) {
                self.events.push_back(at);
            }
        }
    }

    /// Whether the client is not accepted because the shard is full.
    pub(super) fn is_kept_waiting(&self, socket: usize) -> bool {
        self.accept_blocked && self.waiting.contains(&socket)
    }

    // Waking

    /// Whether the real shard would take a turn now.
    pub(super) fn would_turn(&self, now: Now) -> bool {
        let due = self.next_time().is_some_and(|time| time <= now.time);
        self.awake || !self.events.is_empty() || self.notified || self.got_messages || due
    }

    /// Whether time alone makes it look again, and soon.
    pub(super) fn polls(&self) -> bool {
        self.polls_at.is_some()
    }

    fn next_time(&self) -> Option<Time> {
        // Timeouts of connections wait while the rings are congested, and what waits does not hold up the time.
        let conns = self.conns.iter().filter(|_| !self.endpoint.congested()).filter_map(Conn::due);
        conns.chain(self.polls_at).chain(self.host_due).min()
    }

    fn has_work(&self) -> bool {
        let congested = self.endpoint.congested();
        let can_read = !self.readers.is_empty() && !congested;
        let can_accept = self.accept_ready && !self.accept_blocked && !congested;
        let can_tell = !self.sent.is_empty() && !congested;
        self.again || can_read || can_accept || can_tell || self.endpoint.can_receive()
    }

    // Connections

    fn get(&self, conn: Token) -> Option<&Conn> {
        self.conns.get(conn.index as usize).filter(|entry| entry.occupied && entry.generation == conn.generation)
    }

    fn get_mut(&mut self, conn: Token) -> Option<&mut Conn> {
        self.conns.get_mut(conn.index as usize).filter(|entry| entry.occupied && entry.generation == conn.generation)
    }

    fn open_mut(&mut self, conn: Token) -> Option<&mut Conn> {
        self.get_mut(conn).filter(|entry| entry.is_open())
    }

    pub(super) fn connections(&self) -> usize {
        self.conns.len() - self.vacant.len()
    }

    fn admit(&mut self, socket: usize) -> Token {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.conns.push(Conn::default());
            self.conns.len() as u32 - 1
        });
        let generation = self.conns[index as usize].generation + 1;
        let heard = self.now.time;
        self.conns[index as usize] = Conn { generation, occupied: true, socket, heard, ..Conn::default() };
        let conn = Token { index, generation };
        self.sockets[socket].conn = Some(conn);
        if !self.sockets[socket].to_server.is_empty() || self.sockets[socket].peer != Peer::Open {
            self.readiness(socket, |socket| socket.readable = true);
        }
        conn
    }

    fn remove(&mut self, conn: Token) {
        if let Some(entry) = self.get_mut(conn) {
            entry.occupied = false;
            entry.unread = Vec::new();
            let socket = entry.socket;
            self.vacant.push(conn.index);
            self.sockets[socket].conn = None;
            self.seen.push(Seen::Ended { socket });
        }
    }

    fn end(&mut self, conn: Token, end: End) {
        let Some(entry) = self.get_mut(conn).filter(|entry| !entry.flags.ending) else { return };
        let end = match (entry.flags.closing, entry.flags.ended_by_peer) {
            (true, true) => End::PeerClosed,
            (true, false) => End::Local,
            (false, _) => end,
        };
        entry.flags.ending = true;
        entry.queue.clear();
        (entry.deadline, entry.idle) = (None, None);
        let socket = entry.socket;
        self.sockets[socket].closed = true;
        self.endings.push_back((conn, end));
    }

    fn list_reader(&mut self, conn: Token) {
        if let Some(entry) = self.get_mut(conn)
            && !std::mem::replace(&mut entry.flags.read_listed, true)
        {
            self.readers.push_back(conn);
        }
    }

    // Output

    /// What the kernel takes of these bytes.
    fn give(&mut self, socket: usize, bytes: &[u8]) -> usize {
        let socket = &mut self.sockets[socket];
        if socket.peer == Peer::Gone {
            return bytes.len();
        }
        let taken = bytes.len().min(socket.room - socket.to_client.len());
        socket.to_client.extend(&bytes[..taken]);
        socket.full |= taken < bytes.len();
        taken
    }

    fn put(&mut self, conn: Token, bytes: &[u8], bounded: bool) {
        let most = self.limits.queue_bytes_max;
        let Some(entry) = self.open_mut(conn).filter(|_| !bytes.is_empty()) else { return };
        let (socket, queued) = (entry.socket, entry.queue.len());
        let taken = if queued > 0 { 0 } else { self.give(socket, bytes) };
        let rest = &bytes[taken..];
        if bounded && queued > 0 && queued + rest.len() > most {
            return self.end(conn, End::SlowConsumer);
        }
        if let Some(entry) = self.open_mut(conn) {
            entry.queue.extend(rest);
        }
    }

    fn note_letters(&mut self, conn: Token, bytes: &[u8]) {
        if memchr::memmem::find(bytes, b"\"pipe\":\"msg\"").is_some()
            && let Some(entry) = self.get(conn)
        {
            let (socket, open, sent) = (entry.socket, entry.is_open(), entry.queue.is_empty());
            self.seen.push(Seen::Letters { socket, bytes: bytes.to_vec(), open, sent });
        }
    }

    fn flush(&mut self, conn: Token) {
        let Some(entry) = self.get_mut(conn).filter(|entry| !entry.queue.is_empty()) else { return };
        let (socket, mut queue) = (entry.socket, std::mem::take(&mut entry.queue));
        let taken = self.give(socket, queue.make_contiguous());
        queue.drain(..taken);
        let is_empty = queue.is_empty();
        let Some(entry) = self.get_mut(conn) else { return };
        entry.queue = queue;
        if is_empty && std::mem::take(&mut entry.flags.tell_when_sent) {
            self.sent.push_back(conn);
        }
        let Some(entry) = self.get_mut(conn) else { return };
        if is_empty && entry.flags.ended_by_peer {
            self.end(conn, End::PeerClosed);
        } else if is_empty && entry.flags.closing {
            self.linger(conn);
        }
    }

    fn linger(&mut self, conn: Token) {
        if let Some(entry) = self.get_mut(conn)
            && !std::mem::replace(&mut entry.flags.lingering, true)
        {
            let socket = entry.socket;
            self.sockets[socket].closed = true;
            self.list_reader(conn);
        }
    }

    fn send_slice(&mut self) {
        for _ in 0..self.limits.slice {
            let Some(job) = self.fan_outs.front_mut() else { return };
            let (conn, bytes) = (job.conns[job.next], job.bytes.clone());
            job.next += 1;
            if job.next == job.conns.len() {
                self.fan_outs.pop_front();
            }
            self.put(conn, &bytes, true);
        }
    }

    // Input

    fn take_events(&mut self) {
        while let Some(at) = self.events.pop_front() {
            let socket = &mut self.sockets[at];
            socket.listed = false;
            let (readable, writable) = (std::mem::take(&mut socket.readable), std::mem::take(&mut socket.writable));
            let (peer, conn) = (socket.peer, socket.conn);
            let Some(conn) = conn else { continue };
            let Some(entry) = self.get_mut(conn) else { continue };
            entry.flags.readable |= readable;
            let (paused, has_queue) = (entry.flags.paused, !entry.queue.is_empty());
            if peer == Peer::Gone && paused {
                self.end(conn, End::Reset);
                continue;
            }
            if has_queue && writable {
                self.flush(conn);
            }
            if readable && !paused {
                self.list_reader(conn);
            }
        }
    }

    fn peer_closed(&mut self, conn: Token) {
        let until = self.now.time + CLOSE_TIME_MAX;
        let Some(entry) = self.open_mut(conn) else { return };
        if entry.queue.is_empty() {
            return self.end(conn, End::PeerClosed);
        }
        (entry.flags.closing, entry.flags.ended_by_peer) = (true, true);
        entry.deadline = Some(until);
    }

    fn drain(&mut self, conn: Token) {
        let Some(socket) = self.get(conn).map(|entry| entry.socket) else { return };
        let socket = &mut self.sockets[socket];
        socket.to_server.clear();
        if socket.peer != Peer::Open {
            self.end(conn, End::Local);
        }
    }

    /// Whether nothing is on its way in or out of here.
    pub(super) fn is_at_rest(&self) -> bool {
        let rings = !self.endpoint.can_receive() && !self.endpoint.congested();
        let conns = self.conns.iter().filter(|entry| entry.occupied).all(|entry| {
            let input = self.sockets[entry.socket].to_server.is_empty() && entry.unread.is_empty();
            input && entry.queue.is_empty() && !entry.flags.paused && !entry.flags.ending && !entry.flags.closing
        });
        rings && conns && self.fan_outs.is_empty() && self.sent.is_empty() && self.endings.is_empty()
    }
}

impl Conn {
    fn due(&self) -> Option<Time> {
        let idle = self.idle.map(|idle| self.heard + idle);
        self.deadline.into_iter().chain(idle).min().filter(|_| self.occupied && !self.flags.ending)
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

impl Runtime for Machine {
    fn now(&self) -> Now {
        self.now
    }

    fn state(&mut self, conn: Token) -> Option<&mut Browser> {
        self.get_mut(conn).map(|entry| &mut entry.state)
    }

    fn is_open(&self, conn: Token) -> bool {
        self.get(conn).is_some_and(Conn::is_open)
    }

    /// Writes to a peer that is gone are lost like those that are on their way; its end is told at once.
    fn can_send(&self, conn: Token) -> bool {
        Runtime::is_open(self, conn)
    }

    fn open_connections(&self) -> Vec<Token> {
        let all = self.conns.iter().zip(0..).filter(|(entry, _)| entry.is_open());
        all.map(|(entry, index)| Token { index, generation: entry.generation }).collect()
    }

    fn peer_address(&self, _: Token) -> Option<SocketAddr> {
        Some((Ipv4Addr::LOCALHOST, 1).into())
    }

    fn write(&mut self, conn: Token, bytes: &[u8]) {
        const AUTHORISED: &[u8] = b"{\"authorized\":true,";
        if let Some(entry) = self.get_mut(conn)
            && !entry.flags.let_in
            && memchr::memmem::find(bytes, AUTHORISED).is_some()
        {
            entry.flags.let_in = true;
            let socket = entry.socket;
            self.seen.push(Seen::LetIn { socket });
        }
        self.put(conn, bytes, true);
        self.note_letters(conn, bytes);
    }

    fn write_shared(&mut self, conn: Token, bytes: &SharedBytes) {
        self.put(conn, bytes, true);
        self.note_letters(conn, bytes);
    }

    fn write_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>) {
        self.write_shared(conn, &bytes[part].into());
    }

    fn write_last(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>, _within: Duration) {
        self.put(conn, &bytes[part], false);
        self.close_after_flush(conn);
    }

    fn fan_out(&mut self, conns: Vec<Token>, bytes: SharedBytes, publications: &[Arc<Publication>]) {
        let publications: Arc<[Arc<Publication>]> = publications.into();
        self.formed.extend(publications.iter().cloned());
        for conn in &conns {
            let socket = self.get(*conn).expect("fan-outs go to connections whose end was not told").socket;
            self.seen.push(Seen::Handed { socket, publications: publications.clone() });
        }
        if !conns.is_empty() && !bytes.is_empty() {
            self.fan_outs.push_back(FanOut { conns, next: 0, bytes });
        }
    }

    fn fan_out_to_polled(&mut self, publications: &[Arc<Publication>]) {
        self.seen.push(Seen::HandedToPolled { publications: publications.into() });
    }

    fn fan_out_pending(&self) -> bool {
        !self.fan_outs.is_empty()
    }

    fn close(&mut self, conn: Token) {
        self.end(conn, End::Local);
    }

    fn close_after_flush(&mut self, conn: Token) {
        let until = self.now.time + CLOSE_TIME_MAX;
        let Some(entry) = self.open_mut(conn) else { return };
        entry.flags.closing = true;
        (entry.flags.paused, entry.flags.hand_in) = (false, false);
        entry.deadline = Some(until);
        entry.unread = Vec::new();
        if entry.queue.is_empty() {
            self.linger(conn);
        }
    }

    fn pause(&mut self, conn: Token) {
        if let Some(entry) = self.open_mut(conn) {
            (entry.flags.paused, entry.flags.hand_in) = (true, false);
        }
    }

    fn resume(&mut self, conn: Token) {
        if let Some(entry) = self.open_mut(conn)
            && std::mem::take(&mut entry.flags.paused)
        {
            entry.flags.hand_in = true;
            self.list_reader(conn);
        }
    }

    fn deadline_after(&mut self, conn: Token, after: Duration) {
        let time = self.now.time + micros(after);
        if let Some(entry) = self.open_mut(conn) {
            (entry.deadline, entry.idle) = (Some(time), None);
        }
    }

    fn idle_timeout(&mut self, conn: Token, duration: Duration) {
        let heard = self.now.time;
        if let Some(entry) = self.open_mut(conn) {
            (entry.deadline, entry.idle) = (None, Some(micros(duration)));
            entry.heard = heard;
        }
    }

    fn no_timeout(&mut self, conn: Token) {
        if let Some(entry) = self.open_mut(conn) {
            (entry.deadline, entry.idle) = (None, None);
        }
    }

    fn send(&mut self, to: ShardId, message: RingMessage) {
        let level = level(message.level());
        // The argument that full rings cannot lock each other rests on this; ends of connections excepted.
        let is_end = super::is_of_an_end(&message);
        assert!(
            is_end || self.handling.is_none_or(|handled| handled < level),
            "{:?} causes {message:?}",
            self.handling
        );
        let before = self.endpoint.backlog_of(Level::Request);
        self.endpoint.send(level, to.0, message);
        let more = self.endpoint.backlog_of(Level::Request) - before;
        self.requests += more;
        self.from_ends += if is_end { more } else { 0 };
    }

    fn hold(&mut self, held: bool) {
        self.endpoint.hold(held);
    }

    fn queued_bytes(&self, conn: Token) -> usize {
        self.get(conn).map_or(0, |entry| entry.queue.len())
    }

    fn tell_when_drained(&mut self, conn: Token) {
        let Some(entry) = self.open_mut(conn) else { return };
        if entry.queue.is_empty() {
            self.sent.push_back(conn);
        } else {
            entry.flags.tell_when_sent = true;
        }
    }

    fn congested(&self) -> bool {
        self.endpoint.congested()
    }

    fn read_no_more(&mut self) {
        self.reads_no_more = true;
    }

    fn add_to(&self, _: &mut Counters) {}
}

pub(super) enum Host {
    Browsers(Box<Browsers>),
    Sessions(Box<Sessions>),
}

macro_rules! each {
    ($host:expr, $edge:ident => $call:expr) => {
        match $host {
            Host::Browsers($edge) => $call,
            Host::Sessions($edge) => $call,
        }
    };
}

/// The machine and the edge that lives on it.
pub(super) struct Shard {
    pub(super) host: Host,
    pub(super) machine: Machine,
    order: Order,
    /// Shards that got messages in this turn.
    targets: Vec<u16>,
}

impl Steps for Shard {
    fn begin(&mut self) {
        let machine = &mut self.machine;
        (machine.again, machine.got_messages, machine.polls_at) = (false, false, None);
        machine.reads_no_more = false;
        machine.held_turns += usize::from(machine.endpoint.congested());
        machine.take_events();
        if std::mem::take(&mut machine.notified) {
            each!(&mut self.host, edge => edge.woken(machine));
        }
        self.tell_ends();
    }

    fn take_from_sockets(&mut self) {
        self.tell_drained();
        self.read_listed();
        self.accept();
        self.tell_timeouts();
    }

    fn take_messages(&mut self) {
        for _ in 0..self.machine.limits.messages_per_turn {
            let Some((from, message)) = self.machine.endpoint.receive() else { return };
            let level = level(message.level());
            self.machine.handling = Some(level);
            if !level.is_answer() {
                self.machine.messages_passed_over = 0;
            }
            each!(&mut self.host, edge => edge.message(&mut self.machine, ShardId(from), message));
            self.machine.handling = None;
            self.tell_ends();
        }
    }

    fn has_room(&mut self) -> bool {
        !self.machine.endpoint.congested() || self.machine.endpoint.flush()
    }

    fn may_receive(&self) -> bool {
        self.machine.endpoint.may_receive(Level::Request)
    }

    fn end(&mut self) {
        each!(&mut self.host, edge => edge.turn_ended(&mut self.machine));
        let publications = std::mem::take(&mut self.machine.formed);
        self.machine.seen.push(Seen::Formed { publications });
        let mut ended = self.tell_ends();
        self.pass_messages();
        if !self.machine.fan_outs.is_empty() {
            self.machine.send_slice();
            self.machine.again = true;
        }
        ended |= self.tell_ends();
        self.pass_messages();
        self.machine.again |= ended;
        self.fall_asleep();
    }
}

impl Shard {
    pub(super) fn new(host: Host, machine: Machine) -> Self {
        Self { host, machine, order: Order::default(), targets: Vec::new() }
    }

    /// How often storage had no room for what the edge wanted.
    pub(super) fn storage_refusals(&self) -> u64 {
        each!(&self.host, edge => edge.counters.storage_refusals)
    }

    pub(super) fn counters(&self) -> Counters {
        each!(&self.host, edge => edge.snapshot(&self.machine))
    }

    /// One turn. Returns the shards to be woken.
    pub(super) fn turn(&mut self, now: Now) -> Vec<u16> {
        self.machine.now = now;
        let mut order = self.order;
        order.turn(self);
        self.order = order;
        std::mem::take(&mut self.targets)
    }

    fn fall_asleep(&mut self) {
        let machine = &mut self.machine;
        machine.host_due = each!(&self.host, edge => edge.next_deadline());
        machine.work_due = match &self.host {
            Host::Browsers(browsers) => browsers.work_due(),
            Host::Sessions(_) => machine.host_due,
        };
        machine.awake = machine.has_work();
        machine.sleeps += usize::from(!machine.awake);
        machine.polls_at = machine.endpoint.congested().then_some(machine.now.time + BACKLOG_POLL);
        let wait = Level::ALL.into_iter().any(|level| !level.is_answer() && machine.endpoint.has_come(level));
        machine.messages_passed_over = if wait { machine.messages_passed_over + 1 } else { 0 };
        let requests = machine.endpoint.backlog_of(Level::Request);
        let gone = (machine.requests - requests).min(machine.from_ends);
        machine.from_ends = (machine.from_ends - gone).min(requests);
        machine.requests = requests;
        machine.passed_over = if machine.readers.is_empty() || gone > 0 { 0 } else { machine.passed_over + 1 };
    }

    fn tell_drained(&mut self) {
        for _ in 0..self.machine.sent.len() {
            if self.machine.endpoint.congested() {
                return;
            }
            let Some(conn) = self.machine.sent.pop_front() else { return };
            if !self.machine.is_open(conn) {
                continue;
            }
            if self.machine.queued_bytes(conn) > 0 {
                self.machine.tell_when_drained(conn);
                continue;
            }
            let socket = self.machine.get(conn).map(|entry| entry.socket);
            self.machine.seen.extend(socket.map(|socket| Seen::Drained { socket }));
            match &mut self.host {
                Host::Browsers(browsers) => browsers.drained(&mut self.machine, conn),
                Host::Sessions(sessions) => sessions.drained(conn),
            }
            self.tell_ends();
        }
    }

    fn tell_ends(&mut self) -> bool {
        let mut any = false;
        while let Some((conn, end)) = self.machine.endings.pop_front() {
            any = true;
            each!(&mut self.host, edge => edge.ended(&mut self.machine, conn, end));
            self.machine.remove(conn);
            self.machine.accept_blocked = false;
        }
        any
    }

    fn read_listed(&mut self) {
        for _ in 0..self.machine.readers.len() {
            if self.machine.endpoint.congested() && !self.machine.endpoint.flush() {
                return;
            }
            if self.machine.reads_no_more {
                return;
            }
            let Some(conn) = self.machine.readers.pop_front() else { return };
            let Some(entry) = self.machine.get_mut(conn) else { continue };
            entry.flags.read_listed = false;
            if entry.flags.lingering {
                self.machine.drain(conn);
            } else if entry.is_open() && !self.machine.stopping {
                self.read(conn);
            }
            self.tell_ends();
        }
    }

    fn read(&mut self, conn: Token) {
        self.machine.passed_over = 0;
        if let Some(entry) = self.machine.get_mut(conn)
            && std::mem::take(&mut entry.flags.hand_in)
        {
            self.hand_in(conn, &[]);
        }
        for _ in 0..READS_PER_VISIT {
            let Some(entry) = self.machine.open_mut(conn) else { return };
            if entry.flags.paused || !entry.flags.readable {
                return;
            }
            if entry.flags.hand_in || self.machine.endpoint.congested() {
                return self.machine.list_reader(conn);
            }
            let now = self.machine.now.time;
            let Some(socket) = self.machine.get(conn).map(|entry| entry.socket) else { return };
            let most = 1 + self.machine.random.below(300);
            let socket = &mut self.machine.sockets[socket];
            let count = most.min(socket.to_server.len());
            let bytes = super::take(&mut socket.to_server, count);
            let (left, peer) = (!socket.to_server.is_empty(), socket.peer);
            let Some(entry) = self.machine.open_mut(conn) else { return };
            match (count, peer) {
                (0, Peer::Gone) => return self.machine.end(conn, End::Reset),
                (0, Peer::HalfClosed) => return self.half_close(conn),
                (0, Peer::Open) => {
                    entry.flags.readable = false;
                    return;
                }
                _ => {
                    entry.flags.readable = left || peer != Peer::Open;
                    entry.heard = now;
                    self.hand_in(conn, &bytes);
                }
            }
        }
        self.machine.list_reader(conn);
    }

    fn half_close(&mut self, conn: Token) {
        self.machine.peer_closed(conn);
        let is_closing = self.machine.get(conn).is_some_and(|entry| entry.flags.closing);
        if let (true, Host::Browsers(browsers)) = (is_closing, &mut self.host) {
            browsers.half_closed(&mut self.machine, conn);
        }
    }

    fn hand_in(&mut self, conn: Token, fresh: &[u8]) {
        let Some(entry) = self.machine.get_mut(conn) else { return };
        let socket = entry.socket;
        let mut unread = std::mem::take(&mut entry.unread);
        unread.extend_from_slice(fresh);
        if unread.is_empty() {
            return;
        }
        let before = self.commands();
        let used = each!(&mut self.host, edge => edge.received(&mut self.machine, conn, &mut unread));
        let count = self.commands() - before;
        if count > 0 {
            self.machine.seen.push(Seen::Commands { socket, count });
        }
        unread.drain(..used.min(unread.len()));
        let most = self.machine.limits.unread_bytes_max;
        let Some(entry) = self.machine.open_mut(conn) else { return };
        let paused = entry.flags.paused || entry.flags.hand_in;
        if !paused && unread.len() > most {
            return self.machine.end(conn, End::TooMuchUnread);
        }
        entry.unread = unread;
    }

    fn commands(&self) -> u64 {
        each!(&self.host, edge => edge.counters.commands)
    }

    fn accept(&mut self) {
        self.machine.accept_ready &= !self.machine.stopping;
        while self.machine.accept_ready && !self.machine.accept_blocked && !self.machine.endpoint.congested() {
            if self.machine.waiting.is_empty() {
                self.machine.accept_ready = false;
                return;
            }
            if self.machine.connections() >= self.machine.limits.connections_max {
                each!(&mut self.host, edge => edge.full(&mut self.machine));
                self.machine.accept_blocked = !self.tell_ends();
                continue;
            }
            if let Some(socket) = self.machine.waiting.pop_front() {
                let conn = self.machine.admit(socket);
                each!(&mut self.host, edge => edge.accepted(&mut self.machine, conn));
                self.tell_ends();
            }
        }
    }

    fn tell_timeouts(&mut self) {
        let now = self.machine.now.time;
        for index in 0..self.machine.conns.len() {
            if self.machine.endpoint.congested() {
                return;
            }
            let entry = &mut self.machine.conns[index];
            if entry.due().is_none_or(|due| due > now) {
                continue;
            }
            let conn = Token { index: index as u32, generation: entry.generation };
            if entry.flags.closing {
                self.machine.end(conn, End::Local);
            } else {
                entry.deadline = None;
                entry.heard = now;
                each!(&mut self.host, edge => edge.timed_out(&mut self.machine, conn));
            }
            self.tell_ends();
        }
    }

    fn pass_messages(&mut self) {
        let endpoint = &mut self.machine.endpoint;
        let congested = endpoint.congested();
        endpoint.flush();
        self.machine.again |= congested && !endpoint.congested();
        endpoint.take_targets(|target| self.targets.push(target));
    }
}
