//! What lives on a simulated shard: the edge of the server as it lives on a real one, and somebody who watches what passes
//! between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shards::{End, Io, Level, SharedBytes, Token};

use crate::browsers::Browser;
use crate::drain::Drain;
use crate::metrics::Counters;
use crate::model::{Now, Publication, ShardId, Time};
use crate::ring::RingMessage;
use crate::run::host::{Kind, level};
use crate::run::runtime::Runtime;

use super::clock;
use super::kernel::{Simulated, socket_of};
use super::seen::Seen;

pub(super) struct Edge {
    pub(super) kind: Kind,
    pub(super) watch: Watch,
}

/// What was seen, and what is needed to see it.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) seen: Vec<Seen>,
    /// Of each connection that was accepted and has not ended.
    sockets: BTreeMap<Token, usize>,
    let_in: BTreeSet<Token>,
    formed: Vec<Arc<Publication>>,
    /// The level of the message that is being handled.
    handling: Option<Level>,
    /// Since the shard was asked last.
    pub(super) since: Since,
    pub(super) farewells: usize,
    /// The edge has as much to send as it should keep.
    held: bool,
}

/// What has happened in a turn.
#[derive(Default)]
pub(super) struct Since {
    /// Connections whose input was looked at.
    pub(super) inputs: usize,
    /// Messages that are no answers.
    pub(super) messages: usize,
    /// Requests that went into the backlog, and those of them that ends of connections have caused.
    pub(super) backlogged: usize,
    pub(super) backlogged_by_ends: usize,
}

impl Edge {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, watch: Watch::default() }
    }

    pub(super) fn commands(&self) -> u64 {
        match &self.kind {
            Kind::Browsers(edge) => edge.counted().commands,
            Kind::Sessions(edge) => edge.counted().commands,
        }
    }

    /// How often storage had no room for what the edge wanted.
    pub(super) fn storage_refusals(&self) -> u64 {
        match &self.kind {
            Kind::Browsers(edge) => edge.counted().storage_refusals,
            Kind::Sessions(edge) => edge.counted().storage_refusals,
        }
    }

    pub(super) fn snapshot(&mut self, io: &mut Io<'_, Self>) -> Counters {
        let io = Watched { io, watch: &mut self.watch };
        match &self.kind {
            Kind::Browsers(edge) => edge.snapshot(&io),
            Kind::Sessions(edge) => edge.snapshot(&io),
        }
    }

    pub(super) fn set_drain(&mut self, io: &mut Io<'_, Self>, drain: Option<Drain>) {
        self.kind.set_drain(&mut Watched { io, watch: &mut self.watch }, drain);
    }

    fn next_deadline(&self) -> Option<Time> {
        self.kind.next_deadline()
    }

    /// When there is something to do without any input, but for polls, which always wait for some time.
    pub(super) fn work_due(&self) -> Option<Time> {
        match &self.kind {
            Kind::Browsers(edge) => edge.work_due(),
            Kind::Sessions(edge) => edge.next_deadline(),
        }
    }
}

/// Calls the edge with a watched runtime.
macro_rules! call {
    ($host:expr, $io:expr, $edge:ident, $watched:ident => $call:expr) => {{
        let mut runtime = Watched { io: $io, watch: &mut $host.watch };
        let $watched = &mut runtime;
        match &mut $host.kind {
            Kind::Browsers($edge) => $call,
            Kind::Sessions($edge) => $call,
        }
    }};
}

impl shards::Host for Edge {
    type Kernel = Simulated;
    type Message = RingMessage;
    type State = Browser;

    fn accepted(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        let address = io.peer_address(conn).expect("a connection that was accepted");
        self.watch.sockets.insert(conn, socket_of(address));
        call!(self, io, edge, watched => edge.accepted(watched, conn));
    }

    fn full(&mut self, io: &mut Io<'_, Self>) {
        call!(self, io, edge, watched => edge.full(watched));
    }

    fn received(&mut self, io: &mut Io<'_, Self>, conn: Token, bytes: &mut [u8]) -> usize {
        self.watch.since.inputs += 1;
        let before = self.commands();
        let used = call!(self, io, edge, watched => edge.received(watched, conn, bytes));
        let count = self.commands() - before;
        if count > 0 {
            let socket = self.watch.sockets[&conn];
            self.watch.seen.push(Seen::Commands { socket, count });
        }
        used
    }

    fn half_closed(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        if let Kind::Browsers(browsers) = &mut self.kind {
            browsers.half_closed(&mut Watched { io, watch: &mut self.watch }, conn);
        }
    }

    fn drained(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        if io.can_send(conn) {
            let socket = self.watch.sockets[&conn];
            self.watch.seen.push(Seen::Drained { socket });
        }
        match &mut self.kind {
            Kind::Browsers(browsers) => browsers.drained(&mut Watched { io, watch: &mut self.watch }, conn),
            Kind::Sessions(sessions) => sessions.drained(conn),
        }
    }

    fn ended(&mut self, io: &mut Io<'_, Self>, conn: Token, end: End) {
        call!(self, io, edge, watched => edge.ended(watched, conn, end));
        let socket = self.watch.sockets.remove(&conn).expect("told once");
        self.watch.let_in.remove(&conn);
        self.watch.seen.push(Seen::Ended { socket });
    }

    fn timed_out(&mut self, io: &mut Io<'_, Self>, conn: Token) {
        call!(self, io, edge, watched => edge.timed_out(watched, conn));
    }

    fn message(&mut self, io: &mut Io<'_, Self>, from: u16, message: RingMessage) {
        let level = level(message.level());
        assert!(level.is_answer() || !self.watch.held, "a shard that is held was handed a request");
        self.watch.handling = Some(level);
        self.watch.since.messages += usize::from(!level.is_answer());
        call!(self, io, edge, watched => edge.message(watched, ShardId(from), message));
        self.watch.handling = None;
    }

    fn woken(&mut self, io: &mut Io<'_, Self>) {
        call!(self, io, edge, watched => edge.woken(watched));
    }

    fn turn_ended(&mut self, io: &mut Io<'_, Self>) {
        call!(self, io, edge, watched => edge.turn_ended(watched));
        let publications = std::mem::take(&mut self.watch.formed);
        self.watch.seen.push(Seen::Formed { publications });
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_deadline().map(clock::instant)
    }

    fn stopping(&mut self, _: &mut Io<'_, Self>) {
        self.kind.stopping();
    }

    fn owes_answers(&self) -> bool {
        self.kind.owes_answers()
    }

    fn has_work(&self) -> bool {
        self.kind.has_work()
    }

    fn farewell(&mut self, io: &mut Io<'_, Self>) {
        self.watch.farewells += 1;
        assert!(!self.kind.owes_answers(), "goodbye comes before an answer");
        call!(self, io, edge, watched => edge.farewell(watched));
    }
}

/// The shard as the edge sees it.
struct Watched<'a, 'b> {
    io: &'a mut Io<'b, Edge>,
    watch: &'a mut Watch,
}

impl Watched<'_, '_> {
    /// Writes, and notes personal messages. What is written to a connection that was found broken before goes nowhere, and the
    /// server may write it again.
    fn write_noted(&mut self, conn: Token, bytes: &[u8], write: impl FnOnce(&mut Io<'_, Edge>)) {
        let could_send = self.io.can_send(conn);
        write(self.io);
        if could_send
            && memchr::memmem::find(bytes, b"\"pipe\":\"msg\"").is_some()
            && let Some(socket) = self.watch.sockets.get(&conn).copied()
        {
            // A connection that this write has found broken is still there, but nobody gets what was written to it.
            let (open, sent) = (self.io.can_send(conn), self.io.queued_bytes(conn) == 0);
            self.watch.seen.push(Seen::Letters { socket, bytes: bytes.to_vec(), open, sent });
        }
    }

    fn note_login(&mut self, conn: Token, bytes: &[u8]) {
        const AUTHORISED: &[u8] = b"{\"authorized\":true,";
        if memchr::memmem::find(bytes, AUTHORISED).is_some()
            && let Some(socket) = self.watch.sockets.get(&conn).copied()
            && self.watch.let_in.insert(conn)
        {
            self.watch.seen.push(Seen::LetIn { socket });
        }
    }
}

impl Runtime for Watched<'_, '_> {
    fn now(&self) -> Now {
        clock::now(self.io.turn_time())
    }

    fn state(&mut self, conn: Token) -> Option<&mut Browser> {
        self.io.state(conn)
    }

    fn is_open(&self, conn: Token) -> bool {
        self.io.is_open(conn)
    }

    fn can_send(&self, conn: Token) -> bool {
        self.io.can_send(conn)
    }

    fn places(&self) -> u32 {
        self.io.places()
    }

    fn open_in(&self, places: Range<u32>) -> Vec<Token> {
        self.io.open_in(places)
    }

    fn open_connections(&self) -> Vec<Token> {
        self.io.open_connections()
    }

    fn peer_address(&self, conn: Token) -> Option<SocketAddr> {
        self.io.peer_address(conn)
    }

    fn write(&mut self, conn: Token, bytes: &[u8]) {
        self.note_login(conn, bytes);
        self.write_noted(conn, bytes, |io| io.write(conn, bytes));
    }

    fn write_shared(&mut self, conn: Token, bytes: &SharedBytes) {
        self.write_noted(conn, bytes, |io| io.write_shared(conn, bytes));
    }

    fn write_part(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>) {
        self.write_noted(conn, &bytes[part.clone()], |io| io.write_part(conn, bytes, part));
    }

    fn write_last(&mut self, conn: Token, bytes: &SharedBytes, part: Range<usize>, within: Duration) {
        self.io.write_last_part(conn, bytes, part, within);
    }

    fn fan_out(&mut self, conns: Vec<Token>, bytes: SharedBytes, publications: &[Arc<Publication>]) {
        let publications: Arc<[Arc<Publication>]> = publications.into();
        self.watch.formed.extend(publications.iter().cloned());
        for conn in &conns {
            let socket = *self.watch.sockets.get(conn).expect("fan-outs go to connections whose end was not told");
            self.watch.seen.push(Seen::Handed { socket, publications: publications.clone() });
        }
        self.io.fan_out(conns, bytes);
    }

    fn fan_out_to_polled(&mut self, publications: &[Arc<Publication>]) {
        self.watch.seen.push(Seen::HandedToPolled { publications: publications.into() });
    }

    fn fan_out_pending(&self) -> bool {
        self.io.fan_out_pending()
    }

    fn close(&mut self, conn: Token) {
        self.io.close(conn);
    }

    fn close_after_flush(&mut self, conn: Token) {
        self.watch.seen.extend(self.watch.sockets.get(&conn).map(|socket| Seen::LetGo { socket: *socket }));
        self.io.close_after_flush(conn);
    }

    fn pause(&mut self, conn: Token) {
        self.io.pause(conn);
    }

    fn resume(&mut self, conn: Token) {
        self.io.resume(conn);
    }

    fn deadline_after(&mut self, conn: Token, after: Duration) {
        self.io.deadline_after(conn, after);
    }

    fn idle_timeout(&mut self, conn: Token, duration: Duration) {
        self.io.idle_timeout(conn, duration);
    }

    fn no_timeout(&mut self, conn: Token) {
        self.io.no_timeout(conn);
    }

    fn send(&mut self, to: ShardId, message: RingMessage) {
        let level = level(message.level());
        // The argument that full rings cannot lock each other rests on this; ends of connections excepted.
        let is_end = super::is_of_an_end(&message);
        let handling = self.watch.handling;
        assert!(is_end || handling.is_none_or(|handled| handled < level), "{handling:?} causes {message:?}");
        let before = self.io.backlog_of(Level::Request);
        self.io.send(level, to.0, message);
        let more = self.io.backlog_of(Level::Request) - before;
        self.watch.since.backlogged += more;
        self.watch.since.backlogged_by_ends += if is_end { more } else { 0 };
    }

    fn hold(&mut self, held: bool) {
        self.watch.held = held;
        self.io.hold(held);
    }

    fn held_bytes(&self, conn: Token) -> usize {
        self.io.held_bytes(conn)
    }

    fn queued_bytes(&self, conn: Token) -> usize {
        self.io.queued_bytes(conn)
    }

    fn tell_when_drained(&mut self, conn: Token) {
        self.io.tell_when_drained(conn);
    }

    fn congested(&self) -> bool {
        self.io.congested()
    }

    fn read_no_more(&mut self) {
        self.io.read_no_more();
    }

    fn add_to(&self, _: &mut Counters) {}
}
