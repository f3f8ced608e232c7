//! The CometQL shard's core: sessions, and what their statements cause on the rings and in storage.
//!
//! Bytes of a session go in through [`Exec::receive`], answers come out as [`Output::Write`], one per session and
//! turn. It lacks sockets, threads and clocks like the hub does, and the simulator runs both together.
//!
//! Answers leave in the order of the statements. Publications and personal messages of one session overlap: a client
//! that pipelines has many under way. Everything else waits until all before it is answered, and holds back what comes
//! after it.
//!
//! ```text
//!  bytes -> wire -> sql -> plan -> queue of entries -> bytes
//!                                   |  Planned    not begun; begins at the front of the queue
//!                                   |  Ordering   so many owners have yet to say whether it is done
//!                                   |  Writing    storage has yet to commit
//!                                   |  Instructing  the control thread has yet to do it
//!                                   |  Streaming  rows are fetched in pieces and written as they come
//!                                   v  Ready      encoded answer
//! ```
//!
//! What a client has not read yet holds up its session only: beyond a few hundred kilobytes nothing is begun or fetched
//! for it until the edge says [`Exec::drained`].

mod answers;
mod batch;
mod carry_out;
mod commands;
mod config;
mod cursor;
mod held;
mod instruct;
mod kept;
mod leaving;
mod login;
mod memories;
mod numbers;
mod output;
mod script;
mod session;
mod stage;
mod tenants;
mod told;
mod turns;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;

use crate::back_off::{self, BackOff};
use crate::metrics::part;
use crate::model::{CloseReason, ConnId, DevId, Now, ShardId, UserId};
use crate::ring::{Answered, AskId, EndedUsers, Replies, RingMessage, StatementId};
use crate::storage::Completion;

use super::errors::{Code, Error};
use super::rows::Row;
use super::wire::{Connection, Event, Salt, ServerSettings};

use carry_out::refused;
use session::{Session, UNSENT_MAX};
use stage::Entry;
use tenants::{BoundSessions, Reach};
use turns::Turn;

pub use batch::{ANSWER_BYTES_MAX, BATCHES_MAX};
pub use config::{ExecConfig, Tls};
pub use output::{LiveRows, Output, Peer, Received};
pub use tenants::Tenants;
pub use told::{Label, Tell, Told};

part! {
    /// What is counted; all since the start.
    pub struct ExecCounters {
        session_logins,
        session_logins_refused,
        session_logins_held_off,
        statements,
        statement_errors,
        inserts,
        batches,
    }
}

/// Whose a storage request is.
#[derive(Debug)]
struct StoredFor {
    session: ConnId,
    dev: DevId,
    /// Users who lose their connections when it is committed.
    hashes_deleted: Vec<UserId>,
    /// Tokens whose connections end then.
    tokens_revoked: Vec<Arc<str>>,
}

pub struct Exec {
    config: ExecConfig,
    /// By place in the shard's slab.
    sessions: Vec<Option<Box<Session>>>,
    /// Those without a socket, by the place behind [`ConnId::POLLED_FIRST`].
    batches: Vec<Option<Box<Session>>>,
    last_batch: u32,
    /// Those among them that are done.
    finished: VecDeque<ConnId>,
    /// By the id that clients know. Places are used again at once, and whoever ends a session by its id must not hit the
    /// next one in its place; so these are given out one after the other.
    connections: HashMap<u32, ConnId, RandomState>,
    last_connection: u32,
    open: usize,
    /// Sessions with something to write.
    touched: Vec<ConnId>,
    /// Sessions whose next statement may begin.
    startable: VecDeque<ConnId>,
    turn: Turn,
    bound: BoundSessions,
    /// Bytes of the rows that all sessions hold.
    held: usize,
    /// Bytes that all sessions hold of what their clients sent.
    kept: usize,
    /// Bytes of the prepared statements of all sessions.
    prepared: usize,
    prepared_bytes_max: usize,
    /// Bytes of the variables of all sessions, as far as they share a bound.
    remembered: usize,
    /// Who asked, and which of its keys the answer is for.
    asks: HashMap<u64, (ConnId, Vec<usize>), RandomState>,
    jobs: HashMap<u64, StoredFor, RandomState>,
    /// Who instructed the server.
    instructed: HashMap<u64, ConnId, RandomState>,
    next_number: u64,
    back_off: BackOff,
    /// Of passwords by HTTP, apart: what pages and proxies do must not hold off backends.
    back_off_by_http: BackOff,
    /// Sessions are sent elsewhere.
    sends_away: bool,
    outputs: VecDeque<Output>,
    counters: ExecCounters,
}

impl Exec {
    pub fn new(config: ExecConfig) -> Self {
        let hasher = config.placement.hasher();
        let back_off = BackOff::new(config.login_attempts_max, back_off::ADDRESSES_MAX, hasher.clone());
        let back_off_by_http = BackOff::new(config.login_attempts_max, back_off::ADDRESSES_MAX, hasher.clone());
        Self {
            config,
            sessions: Vec::new(),
            batches: Vec::new(),
            last_batch: 0,
            finished: VecDeque::new(),
            connections: HashMap::with_hasher(hasher.clone()),
            last_connection: 0,
            open: 0,
            touched: Vec::new(),
            startable: VecDeque::new(),
            turn: Turn::default(),
            bound: BoundSessions::default(),
            held: 0,
            kept: 0,
            prepared: 0,
            prepared_bytes_max: kept::ALL_PREPARED_BYTES_MAX,
            remembered: 0,
            asks: HashMap::with_hasher(hasher.clone()),
            jobs: HashMap::with_hasher(hasher.clone()),
            instructed: HashMap::with_hasher(hasher),
            next_number: 0,
            back_off,
            back_off_by_http,
            sends_away: false,
            outputs: VecDeque::new(),
            counters: ExecCounters::default(),
        }
    }

    /// From now on this is configured; placement and the server's port are as before. Sessions that are there go on with what
    /// they agreed on, but those end whose tenants have no password any more by which they came in.
    pub fn reconfigure(&mut self, config: ExecConfig) {
        for back_off in [&mut self.back_off, &mut self.back_off_by_http] {
            back_off.set_attempts_max(config.login_attempts_max);
        }
        let passwords = config.tenants.passwords.clone();
        self.config = config;
        let has_none = |session: &&Session| session.bound_to.is_some_and(|dev| !passwords.contains_key(&dev));
        let ended: Vec<ConnId> = self.all_sessions().filter(has_none).map(|session| session.id).collect();
        for id in ended {
            if id.is_polled() {
                self.kill_batch(id);
            } else {
                self.outputs.push_back(Output::Close { session: id, reason: CloseReason::Killed });
            }
        }
    }

    pub fn sessions(&self) -> usize {
        self.open
    }

    pub fn counters(&self) -> ExecCounters {
        self.counters
    }

    /// Bytes of sessions, of what they wait for, and of addresses that sent wrong passwords.
    pub fn memory(&self) -> usize {
        let sessions: usize = self.all_sessions().map(Session::bytes).sum();
        sessions
            + (self.sessions.capacity() + self.batches.capacity()) * size_of::<Option<Box<Session>>>()
            + self.connections.capacity() * size_of::<(u32, ConnId)>()
            + self.asks.capacity() * size_of::<(u64, (ConnId, Vec<usize>))>()
            + self.jobs.capacity() * size_of::<(u64, StoredFor)>()
            + self.instructed.capacity() * size_of::<(u64, ConnId)>()
            + self.turn_bytes()
            + self.bound.bytes()
            + self.back_off.bytes()
            + self.back_off_by_http.bytes()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A client has connected. `random` must come from a cryptographic source.
    pub fn opened(&mut self, id: ConnId, peer: Peer, random: [u8; Salt::LENGTH]) {
        let place = id.index as usize;
        if self.sessions.len() <= place {
            self.sessions.resize_with(place + 1, || None);
        }
        let connection = self.draw_connection(id);
        let mut session = Box::new(Session::new(id, peer, Connection::new(connection, Salt::from_random(random))));
        session.escapes = self.config.escapes;
        let (version, method) = (self.config.server.version, self.config.method);
        let settings = ServerSettings { version, method, tls: self.config.tls != Tls::Off };
        session.wire.greeting(&settings, &mut session.out);
        self.touch(&mut session);
        self.open += 1;
        self.put_back(session);
    }

    pub fn closed(&mut self, id: ConnId) {
        if let Some(session) = self.take(id) {
            self.forget(session);
        }
    }

    fn forget(&mut self, mut session: Box<Session>) {
        self.bound.leave(&mut session);
        self.connections.remove(&session.wire.id());
        self.forget_memory(&mut session);
        self.held -= session.held;
        self.kept -= session.kept as usize;
        self.prepared -= session.prepared_bytes();
        self.open -= 1;
    }

    /// Everything of a session that was not used before, and what has arrived since.
    pub fn receive(&mut self, id: ConnId, input: &[u8], now: Now, live: LiveRows<'_>) -> Received {
        let Some(mut session) = self.take(id) else {
            return Received { used: input.len(), pause: false, start_tls: false };
        };
        let prepared = session.prepared_bytes();
        let mut used = 0;
        let mut start_tls = false;
        session.heard = now.unix;
        while !session.is_closing() && !self.must_wait(&session) {
            match session.wire.next(&self.config.packets, input.get(used..).unwrap_or_default()) {
                Ok(None) => break,
                Ok(Some((taken, event))) => {
                    used += taken;
                    start_tls |= event == Event::Tls;
                    self.event(&mut session, event, now, live);
                    self.advance(&mut session, live);
                }
                Err(fatal) => {
                    let mut answer = Vec::new();
                    session.wire.reply(fatal.sequence, &mut answer).error(fatal.code, fatal.text);
                    session.push(Entry::ready(answer));
                    session.close_when_answered(fatal.reason);
                    self.advance(&mut session, live);
                }
            }
        }
        if session.is_closing() {
            used = input.len();
        }
        session.paused = self.must_wait(&session);
        let received = Received { used, pause: session.paused, start_tls };
        self.count_kept(&mut session, input.len() - used, prepared);
        self.put_back(session);
        self.make_room();
        received
    }

    /// The bytes handed in from now on are deciphered.
    pub fn tls_started(&mut self, id: ConnId) {
        if let Some(mut session) = self.take(id) {
            session.wire.tls_started();
            self.put_back(session);
        }
    }

    /// The edge knows that nothing more comes from the session. What was asked before is still answered.
    pub fn end(&mut self, id: ConnId, reason: CloseReason) {
        if let Some(mut session) = self.take(id) {
            session.close_when_answered(reason);
            self.touch(&mut session);
            self.put_back(session);
        }
    }

    /// What owners say. Causes no [`Output::Ring`]: what can begin now waits for [`Exec::go_on`].
    pub fn ring(&mut self, message: RingMessage) {
        match message {
            RingMessage::Accepted { statement: StatementId { session, number }, rows } => {
                self.with(session, |session| session.ordered(number, Ok(rows)));
            }
            RingMessage::Repeated { statement: StatementId { session, number } } => {
                self.with(session, |session| session.repeated(number));
            }
            RingMessage::Refused { statement: StatementId { session, number }, refusal } => {
                self.with(session, |session| session.ordered(number, Err(refused(&refusal))));
            }
            RingMessage::Answered(answered) => {
                let Answered { id: AskId(id), replies } = *answered;
                let Some((session, places)) = self.asks.remove(&id) else {
                    never!("a question is answered once");
                    return;
                };
                let placement = self.config.placement.clone();
                self.with(session, |session| match replies {
                    Replies::Killed(found) => session.killed(found),
                    replies => session.heard(|cursor| cursor.answered(&places, replies, &placement)),
                });
            }
            _ => never!("a session's shard is sent answers only"),
        }
    }

    /// What memory is for, in rows of [`MEMORY_COLUMNS`](super::introspection::MEMORY_COLUMNS): the answer to
    /// [`Output::AskLedger`]. What can begin now waits for [`Exec::go_on`].
    pub fn ledger(&mut self, AskId(id): AskId, rows: Vec<Row>) {
        let Some((session, _)) = self.asks.remove(&id) else {
            never!("the ledger answers once");
            return;
        };
        self.with(session, |session| session.heard(|cursor| cursor.ledger(rows)));
    }

    /// What storage says. Whose right to be here is gone is told to the shards; what can begin now waits for
    /// [`Exec::go_on`].
    pub fn stored(&mut self, completion: Completion) {
        let Some(StoredFor { session, dev, hashes_deleted, tokens_revoked }) = self.jobs.remove(&completion.ticket.0)
        else {
            never!("a request to storage is completed once");
            return;
        };
        // Also if the session is gone by now: what is committed holds.
        if completion.result.is_ok() {
            if !hashes_deleted.is_empty() {
                let ended = Arc::new(EndedUsers::new(dev, hashes_deleted));
                self.tell_shards(|| RingMessage::EndUsers(ended.clone()));
            }
            for token in tokens_revoked {
                self.tell_shards(|| RingMessage::EndToken { dev, token: token.clone() });
            }
        }
        self.with(session, |session| session.stored(completion.result));
    }

    /// What came of an instruction: a sentence, or why nothing was done. What can begin now waits for [`Exec::go_on`].
    pub fn carried_out(&mut self, number: u64, result: Result<Box<str>, Error>) {
        let Some(session) = self.instructed.remove(&number) else {
            never!("an instruction is carried out once");
            return;
        };
        self.with(session, |session| session.carried_out(result));
    }

    /// Everything written to the session is sent: after [`Output::TellWhenDrained`]. What goes on now waits for
    /// [`Exec::go_on`].
    pub fn drained(&mut self, id: ConnId) {
        self.with(id, |session| (session.unsent, session.draining) = (0, false));
    }

    fn tell_shards(&mut self, message: impl Fn() -> RingMessage) {
        for shard in 0..self.config.placement.connection_shards() {
            self.outputs.push_back(Output::Ring { to: ShardId(shard), message: message() });
        }
    }

    /// Begins what waits in one session for nothing but its turn; false: in none. To be called until then at the end of
    /// each turn, but not while the rings are congested: it is new work as the bytes of a socket are. A session that has
    /// done enough in this turn goes on after [`Exec::next_turn`].
    pub fn go_on(&mut self, live: LiveRows<'_>) -> bool {
        let Some(id) = self.startable.pop_front() else { return false };
        if let Some(mut session) = self.take(id) {
            session.startable = false;
            self.advance(&mut session, live);
            self.put_back(session);
        }
        true
    }

    /// Hands out what this turn wrote.
    pub fn end_turn(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            if id.is_polled() {
                self.end_turn_of_batch(id);
                continue;
            }
            let Some(session) = self.sessions.get_mut(id.index as usize).and_then(Option::as_mut) else { continue };
            if session.id != id {
                continue;
            }
            session.touched = false;
            if !session.out.is_empty() {
                session.unsent = session.unsent.saturating_add(session.out.len());
                self.outputs.push_back(Output::Write { session: id, bytes: std::mem::take(&mut session.out) });
            }
            if session.unsent >= UNSENT_MAX && !session.draining {
                session.draining = true;
                self.outputs.push_back(Output::TellWhenDrained { session: id });
            }
            if let (Some(reason), true) = (session.closing, session.queue.is_empty()) {
                self.outputs.push_back(Output::Close { session: id, reason });
            } else if session.paused && !session.rests && !session.holds_back(self.config.pipeline_max) {
                session.paused = false;
                self.outputs.push_back(Output::Resume { session: id });
            }
        }
    }

    // Sessions

    /// Those with a socket, then those without.
    fn all_sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().chain(&self.batches).flatten().map(|session| &**session)
    }

    fn place(&mut self, id: ConnId) -> Option<&mut Option<Box<Session>>> {
        match id.index.checked_sub(ConnId::POLLED_FIRST) {
            Some(place) => self.batches.get_mut(place as usize),
            None => self.sessions.get_mut(id.index as usize),
        }
    }

    fn session(&mut self, id: ConnId) -> Option<&Session> {
        self.place(id)?.as_deref().filter(|session| session.id == id)
    }

    fn take(&mut self, id: ConnId) -> Option<Box<Session>> {
        self.place(id)?.take_if(|session| session.id == id)
    }

    fn put_back(&mut self, mut session: Box<Session>) {
        let held = session.rows_bytes();
        self.held = self.held - session.held + held;
        session.held = held;
        if let Some(place) = self.place(session.id) {
            *place = Some(session);
        }
    }

    fn touch(&mut self, session: &mut Session) {
        if !session.touched {
            session.touched = true;
            self.touched.push(session.id);
        }
    }

    fn with(&mut self, id: ConnId, change: impl FnOnce(&mut Session)) {
        let Some(mut session) = self.take(id) else { return };
        change(&mut session);
        let held = session.rows_bytes();
        let most = self.config.held_bytes_max;
        let most = if session.reach == Reach::Tenant { most / 2 } else { most };
        if held > session.held && self.held - session.held + held > most {
            session.fail_rows(Error::new(Code::TooLong, TOO_MUCH_HELD));
        }
        self.answer_front(&mut session);
        if session.can_go_on() && !session.startable {
            session.startable = true;
            self.startable.push_back(id);
        }
        self.put_back(session);
    }

    // Commands

    /// The next id that no open session has; never 0.
    fn draw_connection(&mut self, session: ConnId) -> u32 {
        loop {
            self.last_connection = self.last_connection.wrapping_add(1).max(1);
            if !self.connections.contains_key(&self.last_connection) {
                self.connections.insert(self.last_connection, session);
                return self.last_connection;
            }
        }
    }

    fn draw_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

const TOO_MUCH_HELD: &str = "The answers under way hold too many rows together: ask again later, or without ORDER BY";
