//! The CometQL shard's edge: bytes of backends go to [`Exec`], its outputs become writes.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use rustls::ServerConfig;
use shards::{End, Token};
use tracing::{debug, error, info, warn};

use crate::browsers::{HalfOpen, Phase};
use crate::cometql::exec::{Exec, ExecConfig, Label, Output, Peer, Received, Told};
use crate::drain::{self, Drain};
use crate::metrics::Counters;
use crate::model::{CloseReason, ConnId, ShardId, Time};
use crate::ring::{Batch, RingMessage};

use super::board::Board;
use super::control::ControlClient;
use super::host::{close_reason, id, token};
use super::in_force::InForce;
use super::ledger::LedgerClient;
use super::live;
use super::notice::NoticeReader;
use super::runtime::Runtime;
use super::storage::StorageClient;
use super::tls::{State, Tls};

pub(super) struct SessionsConfig {
    pub(super) exec: ExecConfig,
    pub(super) login_timeout: Duration,
    /// Zero: never.
    pub(super) idle_timeout: Duration,
    /// `None`: TLS is not offered.
    pub(super) tls: Option<Arc<ServerConfig>>,
}

/// Where its work goes, and who looks on.
pub(super) struct Ends {
    pub(super) storage: StorageClient,
    pub(super) control: ControlClient,
    pub(super) ledger: LedgerClient,
    pub(super) in_force: NoticeReader<InForce>,
    /// What this shard is told of what is in force.
    pub(super) configure: Configure,
    pub(super) board: Board,
}

type Configure = Box<dyn Fn(&InForce) -> SessionsConfig>;

pub(super) struct Sessions {
    config: SessionsConfig,
    exec: Exec,
    storage: StorageClient,
    control: ControlClient,
    in_force: NoticeReader<InForce>,
    ledger: LedgerClient,
    configure: Configure,
    /// Sessions that asked for TLS; the others are not in here.
    tls: HashMap<ConnId, Tls, RandomState>,
    /// Those among them that go on with what they hold deciphered.
    resumed: VecDeque<Token>,
    /// Batches that other shards handed over: work from outside, begun at the end of the turn.
    batches_noted: VecDeque<(ShardId, Box<Batch>)>,
    half_open: HalfOpen,
    /// Sessions go on in the next turn, which is to come at once.
    again: bool,
    drain: Option<Drain>,
    drain_phase: Option<drain::Phase>,
    board: Board,
    counters: Counters,
}

impl Sessions {
    pub(super) fn new(config: SessionsConfig, ends: Ends) -> Self {
        let exec = Exec::new(config.exec.clone());
        let tls = HashMap::with_hasher(config.exec.placement.hasher());
        let Ends { storage, control, ledger, in_force, configure, board } = ends;
        Self {
            config,
            exec,
            storage,
            control,
            in_force,
            ledger,
            configure,
            tls,
            resumed: VecDeque::new(),
            batches_noted: VecDeque::new(),
            half_open: HalfOpen::default(),
            again: false,
            drain: None,
            drain_phase: None,
            board,
            counters: Counters::default(),
        }
    }

    pub(super) fn accepted(&mut self, io: &mut impl Runtime, conn: Token) {
        // A client that is gone already has no address.
        let Some(peer) = io.peer_address(conn) else { return io.close(conn) };
        self.opened(io, conn, Peer::Address(peer.ip().to_canonical()));
    }

    /// The files of the server are its own user's and those of the machine's, so to them it need not be proved who asks.
    pub(super) fn accepted_at_door(&mut self, io: &mut impl Runtime, conn: Token, user: Option<u32>) {
        const ROOT: u32 = 0;
        let own = rustix::process::geteuid().as_raw();
        let is_trusted = user.is_some_and(|user| user == own || user == ROOT);
        let peer = if is_trusted { Peer::Trusted } else { Peer::Address(Ipv4Addr::LOCALHOST.into()) };
        self.opened(io, conn, peer);
    }

    fn opened(&mut self, io: &mut impl Runtime, conn: Token, peer: Peer) {
        let mut random = [0; 20];
        if let Err(error) = getrandom::fill(&mut random) {
            // Without random numbers a recorded login could be replayed, so nobody logs in.
            error!(%error, "the system gives no random numbers");
            return io.close(conn);
        }
        io.deadline_after(conn, self.config.login_timeout);
        self.half_open.push(id(conn), |conn| is_half_open(io, conn));
        self.exec.opened(id(conn), peer, random);
        self.carry_out(io);
    }

    /// Whoever has not logged in longest makes room.
    pub(super) fn full(&mut self, io: &mut impl Runtime) {
        if let Some(conn) = self.half_open.take_oldest(|conn| is_half_open(io, conn)).map(token) {
            if io.is_open(conn) {
                self.counters.add_closed(CloseReason::NoRoom);
            }
            io.close(conn);
        }
    }

    pub(super) fn received(&mut self, io: &mut impl Runtime, conn: Token, bytes: &mut [u8]) -> usize {
        let used =
            if self.tls.contains_key(&id(conn)) { self.decipher(io, conn, bytes) } else { self.plain(io, conn, bytes) };
        self.carry_out(io);
        used
    }

    fn plain(&mut self, io: &mut impl Runtime, conn: Token, bytes: &[u8]) -> usize {
        let Received { used, pause, start_tls } = self.hand_in(io, conn, bytes);
        if pause {
            io.pause(conn);
        }
        let Some(config) = self.config.tls.as_ref().filter(|_| start_tls) else { return used };
        match Tls::new(config) {
            Ok(tls) => {
                // What is there so far goes out in plain text: the client reads the greeting before it begins.
                self.carry_out(io);
                self.tls.insert(id(conn), tls);
                self.exec.tls_started(id(conn));
                used + self.decipher(io, conn, bytes.get(used..).unwrap_or_default())
            }
            Err(error) => {
                error!(%error, "TLS cannot be started");
                io.close(conn);
                bytes.len()
            }
        }
    }

    /// Deciphers as long as the session takes what it holds; returns how much of the ciphertext was used.
    fn decipher(&mut self, io: &mut impl Runtime, conn: Token, cipher: &[u8]) -> usize {
        let mut rest = cipher;
        while !self.hand_in_deciphered(io, conn) && !rest.is_empty() {
            let Some(tls) = self.tls.get_mut(&id(conn)) else { break };
            if let Err(error) = tls.decipher(&mut rest) {
                debug!(%error, "a TLS session failed");
                self.exec.end(id(conn), CloseReason::ProtocolError);
            }
            tls.flush(|bytes| io.write(conn, bytes));
        }
        cipher.len() - rest.len()
    }

    /// Hands in what is deciphered. Whether the session has to wait before it takes more.
    fn hand_in_deciphered(&mut self, io: &mut impl Runtime, conn: Token) -> bool {
        let Some(mut tls) = self.tls.remove(&id(conn)) else { return false };
        let mut pause = false;
        if !tls.plain().is_empty() {
            let received = self.hand_in(io, conn, tls.plain());
            tls.use_plain(received.used);
            pause = received.pause;
        }
        if pause {
            io.pause(conn);
        } else if tls.state() == State::Ended {
            self.exec.end(id(conn), CloseReason::PeerClosed);
        }
        self.tls.insert(id(conn), tls);
        pause
    }

    fn hand_in(&mut self, io: &impl Runtime, conn: Token, bytes: &[u8]) -> Received {
        let board = self.board.clone();
        self.exec.receive(id(conn), bytes, io.now(), &|figures, dev| live::rows(&board, figures, dev))
    }

    pub(super) fn ended(&mut self, io: &mut impl Runtime, conn: Token, end: End) {
        if let Some(reason) = close_reason(end) {
            self.counters.add_closed(reason);
        }
        self.tls.remove(&id(conn));
        self.exec.closed(id(conn));
        self.carry_out(io);
    }

    pub(super) fn timed_out(&mut self, io: &mut impl Runtime, conn: Token) {
        self.counters.add_closed(CloseReason::TimedOut);
        io.close(conn);
    }

    pub(super) fn message(&mut self, io: &mut impl Runtime, from: ShardId, message: RingMessage) {
        match message {
            RingMessage::Batch(batch) => self.batches_noted.push_back((from, batch)),
            message => {
                self.exec.ring(message);
                self.carry_out(io);
            }
        }
    }

    /// All that was written to the session is sent. What it goes on with waits for the end of the turn.
    pub(super) fn drained(&mut self, conn: Token) {
        self.exec.drained(id(conn));
    }

    pub(super) fn woken(&mut self, io: &mut impl Runtime) {
        if let Some(in_force) = self.in_force.news() {
            let config = (self.configure)(&in_force);
            self.exec.reconfigure(config.exec.clone());
            // Sessions that are enciphered go on with what they began with.
            self.config = config;
            self.carry_out(io);
        }
        self.take_completions(io);
    }

    /// Completions and what sessions go on with are work from outside as bytes are: not while the rings are congested.
    fn take_completions(&mut self, io: &mut impl Runtime) {
        while !io.congested()
            && let Some(completion) = self.storage.poll()
        {
            self.exec.stored(completion);
            self.carry_out(io);
        }
        while !io.congested()
            && let Some((number, result)) = self.control.poll()
        {
            self.exec.carried_out(number, result);
            self.carry_out(io);
        }
        while !io.congested()
            && let Some((id, rows)) = self.ledger.poll()
        {
            self.exec.ledger(id, rows);
            self.carry_out(io);
        }
    }

    pub(super) fn turn_ended(&mut self, io: &mut impl Runtime) {
        self.follow_drain(io);
        self.take_completions(io);
        self.begin_batches(io);
        loop {
            self.begin_statements(io);
            self.exec.end_turn();
            self.carry_out(io);
            // What a session that goes on had deciphered already is not heard of again by itself.
            if !self.hand_in_resumed(io) {
                break;
            }
        }
        while !io.congested() && self.exec.next_finished() {
            self.carry_out(io);
        }
        // While the rings are congested that would be too early, and their end causes a turn by itself.
        self.again = self.exec.next_turn() && !io.congested();
    }

    /// When the next turn is to come, whatever happens.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let phase_ends = match (self.drain, self.drain_phase) {
            (Some(drain), Some(drain::Phase::Notice)) => Some(drain.leaving_at()),
            (Some(drain), Some(drain::Phase::Leaving)) => Some(drain.empty_at()),
            _ => None,
        };
        if self.again { Some(Time(0)) } else { phase_ends }
    }

    fn begin_batches(&mut self, io: &mut impl Runtime) {
        let board = self.board.clone();
        while !io.congested()
            && let Some((from, batch)) = self.batches_noted.pop_front()
        {
            self.exec.begin_batch(from, *batch, io.now(), &|figures, dev| live::rows(&board, figures, dev));
            self.carry_out(io);
        }
    }

    fn begin_statements(&mut self, io: &mut impl Runtime) {
        let board = self.board.clone();
        while !io.congested() && self.exec.go_on(&|figures, dev| live::rows(&board, figures, dev)) {
            self.carry_out(io);
        }
    }

    /// Whether any session was handed something, to which answers may be due in the same turn.
    fn hand_in_resumed(&mut self, io: &mut impl Runtime) -> bool {
        let mut handed_in = false;
        while !io.congested()
            && let Some(conn) = self.resumed.pop_front()
        {
            handed_in = true;
            if !self.hand_in_deciphered(io, conn) {
                io.resume(conn);
            }
            self.carry_out(io);
        }
        handed_in
    }

    /// Statements that were read before the server stopped, and what is deciphered of such.
    pub(super) fn owes_answers(&self) -> bool {
        self.exec.owes_answers() || !self.resumed.is_empty() || !self.batches_noted.is_empty()
    }

    pub(super) fn set_drain(&mut self, drain: Option<Drain>) {
        self.drain = drain;
    }

    /// Sessions leave last: whoever is there still wants what they publish.
    fn follow_drain(&mut self, io: &mut impl Runtime) {
        self.drain_phase = self.drain.map(|drain| drain.phase(io.now().time));
        self.exec.send_away(self.drain_phase == Some(drain::Phase::Empty));
        self.carry_out(io);
    }

    pub(super) fn farewell(&mut self, io: &mut impl Runtime) {
        for conn in io.open_connections() {
            self.counters.add_closed(CloseReason::ShuttingDown);
            self.close_after_flush(io, conn);
        }
    }

    #[cfg(test)]
    pub(super) fn counted(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn snapshot(&self, io: &impl Runtime) -> Counters {
        let mut counters = self.counters.clone();
        self.exec.counters().add_to(&mut counters);
        counters.draining = self.drain_phase.map_or(0, |phase| phase as u64);
        counters.sessions = self.exec.sessions() as u64;
        counters.memory_sessions = (self.exec.memory() + self.half_open.bytes()) as u64;
        counters.sessions_tls = self.tls.len() as u64;
        let places = self.tls.capacity() * size_of::<(ConnId, Tls)>();
        counters.memory_tls = (places + self.tls.values().map(Tls::bytes).sum::<usize>()) as u64;
        io.add_to(&mut counters);
        counters
    }

    fn write(&mut self, io: &mut impl Runtime, conn: Token, bytes: &[u8]) {
        match self.tls.get_mut(&id(conn)) {
            Some(tls) => tls.encipher(bytes, |bytes| io.write(conn, bytes)),
            None => io.write(conn, bytes),
        }
    }

    fn close_after_flush(&mut self, io: &mut impl Runtime, conn: Token) {
        if let Some(tls) = self.tls.get_mut(&id(conn)) {
            tls.end(|bytes| io.write(conn, bytes));
        }
        io.close_after_flush(conn);
    }

    fn logged_in(&mut self, io: &mut impl Runtime, conn: Token) {
        if let Some(state) = io.state(conn) {
            state.phase = Phase::Open;
        }
        if self.config.idle_timeout.is_zero() {
            io.no_timeout(conn);
        } else {
            io.idle_timeout(conn, self.config.idle_timeout);
        }
    }

    /// The session may be read again, after what it holds deciphered.
    fn resume(&mut self, io: &mut impl Runtime, conn: Token) {
        if self.tls.contains_key(&id(conn)) {
            self.resumed.push_back(conn);
        } else {
            io.resume(conn);
        }
    }

    fn carry_out(&mut self, io: &mut impl Runtime) {
        while let Some(output) = self.exec.poll_output() {
            match output {
                Output::Write { session, bytes } => self.write(io, token(session), &bytes),
                Output::Ring { to, message } => io.send(to, message),
                Output::Store(job) => {
                    if let Err(refused) = self.storage.send(job, None) {
                        self.counters.storage_refusals += 1;
                        self.exec.stored(refused);
                    }
                }
                Output::Instruct { number, instruction } => {
                    if let Err(refused) = self.control.send(number, instruction) {
                        self.exec.carried_out(number, Err(refused));
                    }
                }
                Output::AskLedger(id) => {
                    if !self.ledger.ask(id) {
                        self.exec.ledger(id, Vec::new());
                    }
                }
                Output::Close { session, reason } => {
                    self.counters.add_closed(reason);
                    self.close_after_flush(io, token(session));
                }
                Output::Resume { session } => self.resume(io, token(session)),
                Output::TellWhenDrained { session } => io.tell_when_drained(token(session)),
                Output::HeldOff { address } => {
                    warn!(%address, "wrong passwords: logins from this address have to wait");
                }
                Output::Told(told) => tell(io, &told),
                Output::LoggedIn { session } => self.logged_in(io, token(session)),
            }
        }
    }
}

/// One line for a statement. It has a target of its own, so that it can be told from what the server says of itself.
fn tell(io: &impl Runtime, told: &Told) {
    let Told { session, user, address, tenant, label, begun, outcome, text } = told;
    let Label { verb, table } = *label;
    let took_us = io.now().time.0.saturating_sub(begun.0);
    let (rows, error) = (outcome.ok(), outcome.err());
    let address = address.map_or_else(|| "localhost".to_owned(), |address| address.to_string());
    let (tenant, text) = (tenant.0, text.as_deref());
    info!(target: "encke::statements", session, user, address, tenant, table, took_us, rows, error, text, "{verb}");
}

fn is_half_open(io: &mut impl Runtime, conn: ConnId) -> bool {
    io.state(token(conn)).is_some_and(|state| state.phase.is_half_open())
}
