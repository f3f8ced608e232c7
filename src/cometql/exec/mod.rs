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
//!                                   |  Streaming  rows are fetched in pieces and written as they come
//!                                   v  Ready      encoded answer
//! ```
//!
//! What a client has not read yet holds up its session only: beyond a few hundred kilobytes nothing is begun or fetched
//! for it until the edge says [`Exec::drained`].

mod batch;
mod carry_out;
mod cursor;
mod kept;
mod memories;
mod numbers;
mod script;
mod session;
mod tenants;
mod turns;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ahash::RandomState;

use crate::back_off::{self, BackOff};
use crate::model::{CloseReason, ConnId, DevId, Now, ShardId, Time, UserId};
use crate::ring::{Answered, AskId, EndedUsers, Placement, Replies, RingMessage, StatementId};
use crate::storage::{Completion, Job};

use super::errors::{Code, Error};
use super::plan::{self, CATALOG_STEPS_MAX, Database, Figures, Plan, Row, Server, StatementLimits, User};
use super::sql::{self, Meter, StringEscapes};
use super::wire::{self, Command, Connection, Event, Login, Method, Salt, ServerSettings, Verdict};

use carry_out::refused;
use script::Read;
use session::{Asked, Entry, Phase, Session, Stage, Start, UNSENT_MAX};
use tenants::{BoundSessions, Reach};
use turns::{STATEMENT_WORK, Turn};

pub use batch::{ANSWER_BYTES_MAX, BATCHES_MAX};
pub use tenants::Tenants;

#[derive(Clone)]
pub struct ExecConfig {
    pub placement: Placement,
    /// The server's password. It opens all tenants, but those of `tenants` only if that says so.
    pub password: Box<str>,
    pub tenants: Tenants,
    pub packets: wire::Limits,
    pub statements: StatementLimits,
    pub escapes: StringEscapes,
    /// What the server tells of itself.
    pub server: Server,
    /// How the greeting asks for the password.
    pub method: Method,
    /// Statements of one session under way; a session with so many is not read.
    pub pipeline_max: usize,
    /// Sessions of one tenant, and of all, that logged in with a tenant's own password.
    pub tenant_sessions_max: usize,
    pub tenants_sessions_max: usize,
    /// Bytes of rows that all sessions may hold together, of which those with a tenant's password get half. Beyond it an
    /// ORDER BY gets error 11; other answers hold a page, which has its own bound.
    pub held_bytes_max: usize,
    /// Bytes that all sessions, also before their login, may hold together of what their clients sent: what is unread,
    /// packets of which a part has come, long data. Beyond it the session that holds most ends.
    pub kept_bytes_max: usize,
    /// Wrong passwords from one address after which its logins have to wait; 0: never.
    pub login_attempts_max: u32,
    pub tls: Tls,
    /// Whether DELETE tells how many rows are gone; CppComet always said 0.
    pub delete_counts: bool,
}

/// All but the password, so that no log and no panic can tell it.
impl fmt::Debug for ExecConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Taken apart, so that a new field is either shown or hidden on purpose.
        let Self {
            placement,
            password: _,
            tenants,
            packets,
            statements,
            escapes,
            server,
            method,
            pipeline_max,
            tenant_sessions_max,
            tenants_sessions_max,
            held_bytes_max,
            kept_bytes_max,
            login_attempts_max,
            tls,
            delete_counts,
        } = self;
        f.debug_struct("ExecConfig")
            .field("placement", placement)
            .field("tenants", tenants)
            .field("packets", packets)
            .field("statements", statements)
            .field("escapes", escapes)
            .field("server", server)
            .field("method", method)
            .field("pipeline_max", pipeline_max)
            .field("tenant_sessions_max", tenant_sessions_max)
            .field("tenants_sessions_max", tenants_sessions_max)
            .field("held_bytes_max", held_bytes_max)
            .field("kept_bytes_max", kept_bytes_max)
            .field("login_attempts_max", login_attempts_max)
            .field("tls", tls)
            .field("delete_counts", delete_counts)
            .finish_non_exhaustive()
    }
}

/// Whether sessions are enciphered. The edge does it; here it is offered and demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Off,
    /// For clients that ask for it.
    Offered,
    /// Nobody logs in without it.
    Required,
}

#[derive(Debug)]
pub enum Output {
    /// All answers of a turn to one session.
    Write {
        session: ConnId,
        bytes: Vec<u8>,
    },
    Ring {
        to: ShardId,
        message: RingMessage,
    },
    Store(Job),
    /// After what was written before has been sent.
    Close {
        session: ConnId,
        reason: CloseReason,
    },
    /// The session may be read again.
    Resume {
        session: ConnId,
    },
    /// [`Exec::drained`] is to be called once everything written to the session is sent.
    TellWhenDrained {
        session: ConnId,
    },
    /// The password was proved: the session's time to log in is over.
    LoggedIn {
        session: ConnId,
    },
    /// Logins from this address are refused for a time that grows from now on.
    HeldOff {
        address: IpAddr,
    },
}

/// Gives the rows of live figures for a tenant: what only the edge knows.
pub type LiveRows<'a> = &'a dyn Fn(Figures, DevId) -> Vec<Row>;

/// What a session's bytes led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Received {
    /// The rest is to be handed in again with what follows it.
    pub used: usize,
    /// Nothing is to be handed in before [`Output::Resume`].
    pub pause: bool,
    /// What follows the used bytes is ciphertext: after [`Exec::tls_started`] its plain text is to be handed in. What
    /// was polled before that is written as it is, all that comes later enciphered.
    pub start_tls: bool,
}

/// What is counted; all since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecCounters {
    pub logins: u64,
    pub logins_refused: u64,
    /// Those among them whose address had to wait.
    pub logins_held_off: u64,
    pub statements: u64,
    pub errors: u64,
    /// Rows inserted into `pipes_messages`.
    pub publications: u64,
    /// Batches of statements that came by HTTP.
    pub batches: u64,
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
    next_number: u64,
    back_off: BackOff,
    /// Of passwords by HTTP, apart: what pages and proxies do must not hold off backends.
    back_off_by_http: BackOff,
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
            jobs: HashMap::with_hasher(hasher),
            next_number: 0,
            back_off,
            back_off_by_http,
            outputs: VecDeque::new(),
            counters: ExecCounters::default(),
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
            + self.turn_bytes()
            + self.bound.bytes()
            + self.back_off.bytes()
            + self.back_off_by_http.bytes()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// A client has connected from this address. `random` must come from a cryptographic source.
    pub fn opened(&mut self, id: ConnId, address: IpAddr, random: [u8; Salt::LENGTH]) {
        let place = id.index as usize;
        if self.sessions.len() <= place {
            self.sessions.resize_with(place + 1, || None);
        }
        let connection = self.draw_connection(id);
        let mut session = Box::new(Session::new(id, address, Connection::new(connection, Salt::from_random(random))));
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
            RingMessage::Refused { statement: StatementId { session, number }, refusal } => {
                self.with(session, |session| session.ordered(number, Err(refused(&refusal))));
            }
            RingMessage::Answered(answered) => {
                let Answered { id: AskId(id), replies } = *answered;
                let Some((session, places)) = self.asks.remove(&id) else { return };
                let placement = self.config.placement.clone();
                self.with(session, |session| match replies {
                    Replies::Killed(found) => session.killed(found),
                    replies => session.heard(|cursor| cursor.answered(&places, replies, &placement)),
                });
            }
            // Nothing else is ever sent to this shard.
            _ => {}
        }
    }

    /// What storage says. Whose right to be here is gone is told to the shards; what can begin now waits for
    /// [`Exec::go_on`].
    pub fn stored(&mut self, completion: Completion) {
        let Some(StoredFor { session, dev, hashes_deleted, tokens_revoked }) = self.jobs.remove(&completion.ticket.0)
        else {
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

    fn event(&mut self, session: &mut Session, event: Event<'_>, now: Now, live: LiveRows<'_>) {
        match event {
            Event::Login(login) => self.login(session, &login, now.time),
            Event::AuthSwitchResponse(auth) => {
                let verdict = self.verdict(session, |wire, password| wire.verdict_after_switch(auth, password));
                self.judge(session, verdict, now.time);
            }
            // A greeting that has not left yet is the last thing in plain text.
            Event::Tls if !session.out.is_empty() => {
                let bytes = std::mem::take(&mut session.out);
                self.outputs.push_back(Output::Write { session: session.id, bytes });
            }
            Event::Tls | Event::Partial => {}
            Event::Command { sequence, command } => {
                // Statements count when they begin: one command may hold a thousand.
                if !matches!(command, Command::Query(_) | Command::Execute(_) | Command::TooLong) {
                    self.spend(session, STATEMENT_WORK);
                }
                self.command(session, sequence, command, now, live);
            }
        }
    }

    fn login(&mut self, session: &mut Session, login: &Login<'_>, now: Time) {
        session.asked = Some(Box::new(Asked { user: login.user.into(), database: login.database.map(Into::into) }));
        let verdict = self.verdict(session, |wire, password| wire.verdict(login, password));
        self.judge(session, verdict, now);
    }

    /// Whether the login of the session's user is right, and how far it reaches.
    fn verdict(&self, session: &Session, check: impl Fn(&Connection, &[u8]) -> Verdict) -> (Verdict, Reach) {
        let user = session.asked.as_ref().map_or(&[] as &[u8], |asked| &asked.user);
        let dev = User::parse(user, self.config.statements.dev_max).ok().map(User::dev);
        self.config.tenants.verdict(dev, &self.config.password, |password| check(&session.wire, password))
    }

    fn judge(&mut self, session: &mut Session, (verdict, reach): (Verdict, Reach), now: Time) {
        let method = match verdict {
            // A probe tries no password, so it neither waits nor makes anybody wait; nor has it anything to encipher.
            Verdict::Empty if session.asked.as_ref().is_some_and(|asked| asked.user.starts_with(b"haproxy_check")) => {
                session.asked = None;
                session.phase = Phase::Probe;
                return answer_login(session, Connection::accept_unproved);
            }
            _ if self.config.tls == Tls::Required && !session.wire.is_tls() => {
                return self.refuse(session, &Error::new(Code::Authentication, TLS_REQUIRED));
            }
            Verdict::SwitchPlugin(method) => {
                return answer_login(session, |wire, answer| wire.switch_plugin(method, answer));
            }
            // Whether the password is right is not told, or guessing would go on.
            _ if let Some(left) = self.back_off.wait(session.address, now) => {
                self.counters.logins_held_off += 1;
                let seconds = left.div_ceil(1_000_000);
                let text = format!("Too many wrong passwords from this address: wait {seconds} s and log in again");
                return self.refuse(session, &Error::new(Code::Authentication, text));
            }
            Verdict::Accepted(method) => method,
            Verdict::Empty | Verdict::Wrong => {
                self.outputs.extend(count_wrong_password(&mut self.back_off, session.address, now));
                return self.refuse(session, &Error::new(Code::Authentication, WRONG_PASSWORD));
            }
        };
        self.bound.leave(session);
        self.forget_memory(session);
        match self.admit(session, reach).and_then(|()| self.bound.enter(session, &self.config)) {
            Ok(()) => {
                // A tenant's own password proves nothing of the server's: or whoever knows one could guess the other.
                if reach == Reach::Everywhere {
                    self.back_off.succeeded(session.address);
                }
                self.counters.logins += 1;
                session.phase = Phase::Ready;
                answer_login(session, |wire, answer| wire.accept(method, answer));
                self.outputs.push_back(Output::LoggedIn { session: session.id });
            }
            Err(error) => self.refuse(session, &error),
        }
    }

    /// The user name selects the tenant; a database named at login may change it.
    fn admit(&self, session: &mut Session, reach: Reach) -> Result<(), Error> {
        let Asked { user, database } = session.asked.take().map(|asked| *asked).unwrap_or_default();
        session.user = User::parse(&user, self.config.statements.dev_max)?;
        session.dev = session.user.dev();
        session.reach = reach;
        session.database = None;
        session.forget_all();
        if let Some(name) = database {
            let database = plan::parse_database(&name, self.config.statements.dev_max)?;
            session.may_enter(database)?;
            session.use_database(database);
        }
        Ok(())
    }

    fn refuse(&mut self, session: &mut Session, error: &Error) {
        self.counters.logins_refused += 1;
        answer_login(session, |wire, answer| wire.refuse(error.code.number(), &error.text, answer));
        session.close_when_answered(CloseReason::LoginRefused);
    }

    fn command(&mut self, session: &mut Session, sequence: u8, command: Command<'_>, now: Now, live: LiveRows<'_>) {
        let mut answer = Vec::new();
        let mut reply = session.wire.reply(sequence, &mut answer);
        // A probe has proved nothing; queries, statements and databases say so themselves.
        let forbidden = matches!(command, Command::KillProcess(_) | Command::Statistics | Command::FieldList { .. });
        if forbidden && session.phase != Phase::Ready {
            reply.error(Code::AccessDenied.number(), NOT_LOGGED_IN);
            session.push(Entry::ready(answer));
            return;
        }
        match command {
            Command::Query(text) => return self.query(session, sequence, &text, now),
            Command::TooLong => {
                let error = match session.phase {
                    Phase::Ready => plan::query_too_long(&self.config.statements),
                    _ => Error::new(Code::AccessDenied, NOT_LOGGED_IN),
                };
                return self.push_read(session, Err(error), Start::At(sequence));
            }
            Command::Prepare(text) => return self.prepare(session, sequence, &text, now),
            Command::Execute(execute) => return self.execute(session, sequence, &execute, now),
            Command::ChangeUser(login) => {
                session.phase = Phase::Login;
                return self.login(session, &login, now.time);
            }
            Command::Quit => return session.close_when_answered(CloseReason::Quit),
            Command::LongData { .. } => return,
            Command::CloseStatement(id) => return session.forget(id),
            Command::InitDatabase(name) => match plan::parse_database(name, self.config.statements.dev_max) {
                Ok(_) if session.phase != Phase::Ready => reply.error(Code::AccessDenied.number(), NOT_LOGGED_IN),
                Ok(database) => match session.may_enter(database) {
                    Ok(()) => {
                        reply.ok(0, 0, false);
                        session.use_database(database);
                    }
                    Err(error) => reply.error(error.code.number(), &error.text),
                },
                Err(error) => reply.error(error.code.number(), &error.text),
            },
            Command::ResetConnection => {
                session.forget_all();
                // The answer says what the session is then.
                self.forget_memory(session);
                answer.clear();
                session.wire.reply(sequence, &mut answer).ok(0, 0, false);
            }
            Command::Ping | Command::ResetStatement(_) => reply.ok(0, 0, false),
            Command::Statistics => reply.text(&self.statistics_line(live)),
            // The command is old and clients use it for completing names only; no columns is a legal answer.
            Command::FieldList { .. } | Command::SetOption(_) | Command::Debug => reply.eof(),
            Command::Fetch { .. } => reply.error(wire::code::NO_CURSOR, "There is no open cursor"),
            Command::KillProcess(id) => {
                let plan = Plan::Kill(id.into());
                session.push(Entry {
                    start: Start::At(sequence),
                    more: false,
                    binary: false,
                    stage: Stage::Planned(Box::new(plan)),
                });
                return;
            }
            Command::Refused(refusal) => reply.error(refusal.code, refusal.text),
            Command::Unknown(code) => {
                reply.error(Code::UnknownCommand.number(), &format!("Command {code} is not part of CometQL"));
            }
        }
        session.push(Entry::ready(answer));
    }

    fn query(&mut self, session: &mut Session, sequence: u8, text: &[u8], now: Now) {
        let (meter, steps) = (Meter::default(), Cell::new(CATALOG_STEPS_MAX));
        let read = self.read(session, text, now, &meter, &steps);
        self.spend_on_reading(session, &meter, &steps);
        self.push_read(session, read, Start::At(sequence));
    }

    fn push_read(&mut self, session: &mut Session, read: Result<Read, Error>, start: Start) {
        let planned = match read {
            Ok(Read::Several(script)) => return session.push(Entry::script(start, Box::new(script))),
            Ok(Read::Lone(plan)) => Ok(plan),
            Err(error) => Err(error),
        };
        self.counters.statements += 1;
        // Publications of a lone statement go out at once and overlap with those before them.
        let stage = self.stage(session, planned);
        session.push(Entry { start, more: false, binary: false, stage });
    }

    /// The text of a query behind its cluster prefix, whose tenant the session has entered.
    fn enter<'t>(&self, session: &mut Session, text: &'t [u8]) -> Result<&'t [u8], Error> {
        if session.phase != Phase::Ready {
            return Err(Error::new(Code::AccessDenied, NOT_LOGGED_IN));
        }
        plan::check_length(text, &self.config.statements)?;
        let (dev, text) = plan::take_cluster_prefix(text, self.config.statements.dev_max)?;
        if let Some(dev) = dev {
            session.may_enter(Database::Tenant(dev))?;
            session.dev = dev;
        }
        Ok(text)
    }

    fn prepare(&mut self, session: &mut Session, sequence: u8, text: &[u8], now: Now) {
        let (meter, steps) = (Meter::default(), Cell::new(CATALOG_STEPS_MAX));
        let prepared = if session.phase == Phase::Ready {
            let view = session.view(now.unix, &self.config, &steps);
            let read = |text| sql::prepare_among(text, self.reading(&view), view.names(), &meter);
            plan::check_length(text, &self.config.statements)
                .and_then(|()| Ok(read(plan::check_text(text)?)?))
                .and_then(|statement| plan::result_columns(&statement, &view).map(|columns| (statement, columns)))
        } else {
            Err(Error::new(Code::AccessDenied, NOT_LOGGED_IN))
        };
        let registered = prepared.and_then(|(statement, columns)| {
            let parameters = u16::try_from(statement.placeholders())
                .map_err(|_| Error::new(Code::TooManyValues, "The statement has too many placeholders"))?;
            let has_room = self.has_room_for_prepared(session, statement.bytes());
            if !has_room || session.prepared_bytes() + statement.bytes() > PREPARED_BYTES_MAX {
                return Err(Error::new(
                    Code::TooManyStatements,
                    "The prepared statements are too large together: close some first",
                ));
            }
            let id = session
                .wire
                .add_statement(&self.config.packets, parameters)
                .ok_or_else(|| Error::new(Code::TooManyStatements, "Too many prepared statements: close some first"))?;
            session.remember(id, statement);
            Ok((id, columns, parameters))
        });
        self.spend_on_reading(session, &meter, &steps);
        let mut answer = Vec::new();
        let mut reply = session.wire.reply(sequence, &mut answer);
        match registered {
            Ok((id, columns, parameters)) => reply.prepared(id, &session::columns(&columns), parameters),
            Err(error) => {
                self.counters.errors += 1;
                reply.error(error.code.number(), &error.text);
            }
        }
        session.push(Entry::ready(answer));
    }

    fn execute(&mut self, session: &mut Session, sequence: u8, execute: &wire::Execute<'_>, now: Now) {
        self.counters.statements += 1;
        let (meter, steps) = (Meter::default(), Cell::new(CATALOG_STEPS_MAX));
        let planned = self.plan_execution(session, execute, now, &meter, &steps);
        self.spend_on_reading(session, &meter, &steps);
        let stage = self.stage(session, planned);
        session.push(Entry { start: Start::At(sequence), more: false, binary: true, stage });
    }

    fn plan_execution(
        &self,
        session: &Session,
        execute: &wire::Execute<'_>,
        now: Now,
        meter: &Meter,
        steps: &Cell<u32>,
    ) -> Result<Plan, Error> {
        meter.scanned(execute.bytes());
        let statement = session
            .prepared(execute.statement)
            .ok_or_else(|| Error::new(Code::UnknownStatement, "There is no such prepared statement"))?;
        let values = execute.parameters().map(script::value_of).collect::<Result<Vec<_>, Error>>()?;
        meter.bound(statement);
        let bound = statement.bind(&values)?;
        session.plan(bound, &session.view(now.unix, &self.config, steps))
    }

    /// The answer to `COM_STATISTICS`, one line of names and numbers.
    fn statistics_line(&self, live: LiveRows<'_>) -> String {
        let status = live(Figures::Status(sql::StatusFlag::Global), DevId(0));
        let uptime = status.iter().find(|row| row.first().is_some_and(|name| &**name == "uptime"));
        let uptime = uptime.and_then(|row| row.get(1)).map_or("0", |value| value);
        let ExecCounters { statements, errors, .. } = self.counters;
        format!("Uptime: {uptime}  Threads: {}  Questions: {statements}  Errors: {errors}", self.open)
    }

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

/// A wrong password counts against its address. The output tells that the address has to wait from now on; a further
/// mistake while it waits is not told again.
fn count_wrong_password(back_off: &mut BackOff, address: IpAddr, now: Time) -> Option<Output> {
    (back_off.failed(address, now) == Some(back_off::WAIT_MIN)).then_some(Output::HeldOff { address })
}

/// The answer to a login stands behind the answers to what came before: a change of user may follow publications that are still under way.
fn answer_login(session: &mut Session, write: impl FnOnce(&mut Connection, &mut Vec<u8>)) {
    let mut answer = Vec::new();
    write(&mut session.wire, &mut answer);
    session.push(Entry::ready(answer));
}

const TLS_REQUIRED: &str = "Logins are accepted over TLS only: connect with --ssl (mysql) or MYSQLI_CLIENT_SSL (PHP)";

const WRONG_PASSWORD: &str = "Authentication failed: wrong user name or password";

const TOO_MUCH_HELD: &str = "The answers under way hold too many rows together: ask again later, or without ORDER BY";

const NOT_LOGGED_IN: &str = "Access denied: this session did not log in with the password";

/// Bytes of memory of all prepared statements of a session, as [`sql::Prepared::bytes`] estimates them.
const PREPARED_BYTES_MAX: usize = 4 * 1024 * 1024;
