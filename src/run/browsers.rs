//! A connection shard's edge: bytes of browsers become inputs of the hub, its outputs become writes.
//!
//! ```text
//!  Head --101--> Open --close, error--> (gone)
//!    |            ^ frames, while the hub is not busy with the connection
//!    +--static file--> File --answer--> (gone)
//!    +--anything else: an answer--> (gone)
//! ```

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;
use shards::{End, Token};

use crate::http::{self, HeadStep, Method, Route};
use crate::hub::{
    AskId, Credentials, Details, Flush, Headers, Hub, HubConfig, Input, Output, Replies, RingMessage, Subscribed,
};
use crate::jsapi::{self, Command, HelloError, HistoryEntry};
use crate::metrics::Counters;
use crate::model::{
    Answer, ApiError, CloseReason, ConnId, Marker, Now, Personal, PipeName, Publication, ShardId, SharedBytes, Time,
    UnixTime, WireForm,
};
use crate::storage::{Completion, PipeSetting, StoredMessage};
use crate::ws::{self, Assembler, Deflater, Inflater, Received, Step};

use super::files::{FileAnswer, FileClient, Found};
use super::fragments::Fragments;
use super::half_open::HalfOpen;
use super::host::{count_end, id, token};
use super::pace::Pace;
use super::pages::{self, Pages};
use super::runtime::Runtime;
use super::storage::StorageClient;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its request, or the login of a session, is not complete.
    #[default]
    Head,
    File,
    Open,
}

/// What the edge keeps per connection, in the shard's slab. Of a session it is the phase only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Browser {
    pub(super) phase: Phase,
    form: WireForm,
    /// Its library reconnects only if the connection just drops: it must never see a close frame.
    classic: bool,
    /// A ping was sent and nothing has come since.
    pinged: bool,
    /// Messages may be compressed, for a client that can look back so far.
    deflate: Option<ws::Window>,
    /// A fragmented message is open, see `Browsers::fragments`.
    fragments: bool,
}

pub(super) struct BrowserConfig {
    pub(super) hub: HubConfig,
    pub(super) frames: ws::Limits,
    /// Commands of one connection; what is beyond waits for the next second. Zero: no limit.
    pub(super) commands_per_second_max: u32,
    /// Whether messages are compressed for clients that offer it.
    pub(super) deflate: bool,
    pub(super) heads: http::HeadLimits,
    /// Tenants are 0 to this minus one.
    pub(super) dev_max: u32,
    /// Hosts whose pages may connect; empty: all.
    pub(super) origins: Vec<String>,
    pub(super) handshake_timeout: Duration,
    /// Zero: never ping.
    pub(super) ping_interval: Duration,
    /// Fragmented messages open at the same time; with a further one the oldest ends its connection.
    pub(super) fragments_max: usize,
    /// Bytes of all of them; with more the same happens.
    pub(super) fragments_bytes_max: usize,
    pub(super) pages: Arc<Pages>,
}

pub(super) struct Browsers {
    config: BrowserConfig,
    hub: Hub,
    storage: StorageClient,
    files: Option<FileClient>,
    fragments: Fragments,
    /// Parts of queues that sockets have not taken whole, and who wants to know when they have.
    flushing: HashMap<Token, (Box<Flush>, ShardId, Time), RandomState>,
    /// What storage refused to take, until the end of the turn. No more than jobs were made in it.
    refused: VecDeque<Completion>,
    /// Until when, in the order in which they began; entries of those that are through stay until then.
    flushing_until: VecDeque<(Time, Token)>,
    /// Ring messages that wait until the fan-outs before them are out.
    deferred: VecDeque<(ShardId, RingMessage)>,
    turn_budget: TurnBudget,
    scratch: Vec<u8>,
    pace: Pace,
    deflater: Deflater,
    inflater: Inflater,
    half_open: HalfOpen,
    /// A handshake's answer that is not written yet.
    head_of: Option<(Token, Vec<u8>)>,
    pub(super) counters: Counters,
}

impl Browsers {
    pub(super) fn new(
        config: BrowserConfig,
        settings: Vec<PipeSetting>,
        storage: StorageClient,
        files: Option<FileClient>,
    ) -> Self {
        let mut hub = Hub::new(config.hub.clone());
        for setting in settings {
            hub.handle(Input::Setting(setting), Now::default());
        }
        let hasher = config.hub.placement.hasher();
        let pace = Pace::new(config.commands_per_second_max, hasher.clone());
        let fragments = Fragments::new(config.fragments_max, config.fragments_bytes_max, hasher.clone());
        let counters = Counters::default();
        Self {
            config,
            hub,
            storage,
            files,
            fragments,
            flushing: HashMap::with_hasher(hasher),
            flushing_until: VecDeque::new(),
            refused: VecDeque::new(),
            deferred: VecDeque::new(),
            turn_budget: TurnBudget::default(),
            scratch: Vec::new(),
            pace,
            deflater: Deflater::default(),
            inflater: Inflater::default(),
            half_open: HalfOpen::default(),
            head_of: None,
            counters,
        }
    }

    pub(super) fn accepted(&mut self, io: &mut impl Runtime, conn: Token) {
        io.deadline_after(conn, self.config.handshake_timeout);
        self.half_open.push(io, conn);
    }

    /// Whoever has not finished a handshake longest makes room.
    pub(super) fn full(&mut self, io: &mut impl Runtime) {
        if let Some(conn) = self.half_open.take_oldest(io) {
            self.drop_connection(io, conn, CloseReason::NoRoom);
        }
    }

    pub(super) fn received(&mut self, io: &mut impl Runtime, conn: Token, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get_mut(used..).filter(|rest| !rest.is_empty()) {
            let Some(browser) = browser(io, conn) else { break };
            let now = io.now().time;
            if self.pace.has_to_wait(conn, now) {
                self.counters.commands_slowed += 1;
                io.pause(conn);
                break;
            }
            self.turn_budget.charge(now, conn, 1);
            let step = match browser.phase {
                Phase::Head => self.head(io, conn, rest),
                Phase::Open => self.frame(io, conn, browser, rest),
                // Whatever a client sends behind a plain request is not looked at: the connection ends after it.
                Phase::File => Progress::Used(rest.len()),
            };
            match step {
                Progress::Used(count) => used += count,
                Progress::Wait => break,
                Progress::Over => return bytes.len(),
            }
            if !io.is_open(conn) {
                return bytes.len();
            }
            if self.hub.is_busy(id(conn)) {
                io.pause(conn);
                break;
            }
            // The rest comes in the next turn, after everybody else, and not before the rings have room.
            if self.turn_budget.is_used_up() || io.congested() {
                io.pause(conn);
                io.resume(conn);
                break;
            }
        }
        used
    }

    /// A browser that half-closes is gone: what waits for it may still arrive, but it is nobody's subscriber.
    pub(super) fn half_closed(&mut self, io: &mut impl Runtime, conn: Token) {
        self.let_go(io, conn);
    }

    pub(super) fn ended(&mut self, io: &mut impl Runtime, conn: Token, end: End) {
        count_end(&mut self.counters, end);
        self.let_go(io, conn);
    }

    /// All that was written to the connection is sent.
    pub(super) fn drained(&mut self, io: &mut impl Runtime, conn: Token) {
        if let Some((flush, to, _)) = self.flushing.remove(&conn) {
            self.input(io, Input::QueueWritten { flush, to, taken: true });
        }
    }

    pub(super) fn timed_out(&mut self, io: &mut impl Runtime, conn: Token) {
        let Some(browser) = browser_mut(io, conn) else { return };
        if browser.phase != Phase::Open || browser.pinged {
            return self.drop_connection(io, conn, CloseReason::TimedOut);
        }
        browser.pinged = true;
        self.scratch.clear();
        ws::ping(&mut self.scratch);
        io.write(conn, &self.scratch);
    }

    pub(super) fn message(&mut self, io: &mut impl Runtime, from: ShardId, message: RingMessage) {
        self.input(io, Input::Ring { from, message });
    }

    pub(super) fn woken(&mut self, io: &mut impl Runtime) {
        self.take_completions(io);
        while let Some(answer) = self.files.as_ref().and_then(FileClient::poll) {
            self.file_read(io, &answer);
        }
    }

    pub(super) fn turn_ended(&mut self, io: &mut impl Runtime) {
        self.send_deferred(io);
        while self.hub.has_arrivals() && !io.fan_out_pending() {
            self.hub.end_turn();
            self.carry_out(io);
            // A turn without receivers has nothing to wait for.
            self.send_deferred(io);
            io.hold(self.hub.is_full());
        }
        self.end_slow_flushes(io);
        for conn in self.pace.take_due(io.now().time) {
            // Whoever waits for an answer as well is resumed with it.
            if !self.hub.is_busy(id(conn)) {
                io.resume(conn);
            }
        }
        if self.hub.next_deadline().is_some() {
            self.hub.time_passed(io.now());
            self.carry_out(io);
        }
        self.take_completions(io);
    }

    /// When `turn_ended` has something to do without any input.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let flushing = self.flushing_until.front().map(|(until, _)| *until);
        self.hub.next_deadline().into_iter().chain(flushing).chain(self.pace.due()).min()
    }

    /// The user's other devices, and who writes to the user, wait for the one that takes the queue.
    fn end_slow_flushes(&mut self, io: &mut impl Runtime) {
        while let Some((_, conn)) = self.flushing_until.pop_front_if(|(until, _)| *until <= io.now().time) {
            if self.flushing.get(&conn).is_some_and(|(_, _, until)| *until <= io.now().time) {
                self.drop_connection(io, conn, CloseReason::SlowConsumer);
            }
        }
    }

    /// Completions may cause messages, so they wait as bytes do while the rings are congested. That holds for refusals too:
    /// one that came while a message is handled must not let that message cause what it may not.
    fn take_completions(&mut self, io: &mut impl Runtime) {
        while !io.congested()
            && let Some(completion) = self.refused.pop_front().or_else(|| self.storage.poll())
        {
            self.input(io, Input::Stored(completion));
        }
    }

    fn send_deferred(&mut self, io: &mut impl Runtime) {
        if !io.fan_out_pending() {
            for (to, message) in std::mem::take(&mut self.deferred) {
                io.send(to, message);
            }
        }
    }

    pub(super) fn stopping(&mut self, io: &mut impl Runtime) {
        self.input(io, Input::Stopping);
        // Dropped without a close frame, so that the browsers come back to the next server by themselves.
        for conn in io.open_connections() {
            self.drop_connection(io, conn, CloseReason::ShuttingDown);
        }
    }

    pub(super) fn snapshot(&self, io: &impl Runtime) -> Counters {
        let (hub, memory) = (self.hub.counters(), self.hub.memory());
        let mut counters = self.counters.clone();
        counters.connections = self.hub.connections() as u64;
        counters.publications = hub.publications;
        counters.deliveries = hub.deliveries;
        counters.logins = hub.logins;
        counters.logins_refused = hub.logins_refused;
        counters.names_refused = hub.names_refused;
        counters.recoveries = hub.recoveries;
        counters.recoveries_failed = hub.recoveries_failed;
        counters.recovered_messages = hub.recovered_messages;
        counters.last_seen_waiting = self.hub.departed() as u64;
        counters.last_seen_lost = hub.last_seen_lost;
        counters.memory_hub =
            (memory.connections + memory.pipes + memory.owned_pipes + memory.users + memory.waiting + memory.arrivals)
                as u64;
        counters.memory_edge = (self.fragments.bytes()
            + self.scratch.capacity()
            + self.pace.bytes()
            + self.half_open.bytes()
            + self.flushing.capacity() * size_of::<(Token, (Box<Flush>, ShardId, Time))>()
            + self.flushing_until.capacity() * size_of::<(Time, Token)>()
            + self.refused.capacity() * size_of::<Completion>()
            + self.deferred.capacity() * size_of::<(ShardId, RingMessage)>()) as u64;
        io.add_to(&mut counters);
        counters
    }

    /// Whether publications or messages wait here for a turn.
    #[cfg(test)]
    pub(super) fn has_work(&self) -> bool {
        self.hub.has_arrivals() || !self.deferred.is_empty() || !self.refused.is_empty()
    }

    // Requests

    fn head(&mut self, io: &mut impl Runtime, conn: Token, bytes: &[u8]) -> Progress {
        let head = match http::parse_head(bytes, &self.config.heads) {
            Ok(HeadStep::Incomplete) => return Progress::Wait,
            Ok(HeadStep::Head(head)) => head,
            Err(error) => {
                let answer = error.answer().into();
                return self.end_http(io, conn, &answer, CloseReason::BadRequest);
            }
        };
        match http::route(&head) {
            Route::WebSocket(target) => match self.upgrade(&head) {
                Ok(answer) => {
                    if let Some(browser) = browser_mut(io, conn) {
                        browser.deflate = answer.deflate;
                    }
                    // Sent with the first message if that is known at once, as it is for everybody who is anonymous.
                    self.head_of = Some((conn, answer.bytes));
                    let origin = head.header("Origin");
                    let admitted = http::origin_allowed(&self.config.origins, true, origin);
                    let header = |name, bytes_max| cut(head.header(name).unwrap_or_default(), bytes_max);
                    let headers = Headers {
                        agent: header("User-Agent", 250),
                        origin: header("Origin", 250),
                        language: header("Accept-Language", 64),
                    };
                    self.hello(io, conn, target, admitted, headers);
                    if let Some((conn, bytes)) = self.head_of.take() {
                        io.write(conn, &bytes);
                    }
                    Progress::Used(head.used)
                }
                Err(refused) => {
                    let answer = refused.answer().into();
                    self.end_http(io, conn, &answer, CloseReason::BadRequest)
                }
            },
            Route::Static(path) if self.config.pages.serves(&path) => {
                self.file(io, conn, path, head.method != Method::Head)
            }
            route => {
                let answer = self.config.pages.answer(&head, &route);
                self.end_http(io, conn, &answer, CloseReason::HttpDone)
            }
        }
    }

    fn upgrade(&self, head: &http::Head<'_>) -> Result<http::UpgradeAnswer, http::RefusedUpgrade> {
        if self.config.deflate { http::upgrade_with_deflate(head) } else { http::upgrade(head) }
    }

    fn file(&mut self, io: &mut impl Runtime, conn: Token, path: String, with_body: bool) -> Progress {
        let asked = self.files.as_ref().is_some_and(|files| files.request(id(conn), path, with_body));
        if !asked {
            let answer = pages::busy();
            return self.end_http(io, conn, &answer, CloseReason::NoRoom);
        }
        if let Some(browser) = browser_mut(io, conn) {
            browser.phase = Phase::File;
        }
        Progress::Over
    }

    fn end_http(&mut self, io: &mut impl Runtime, conn: Token, answer: &SharedBytes, reason: CloseReason) -> Progress {
        if io.is_open(conn) {
            self.counters.add_closed(reason);
            self.counters.http_requests += 1;
            io.write_last(conn, answer, HTTP_ANSWER_TIME_MAX);
        }
        Progress::Over
    }

    fn file_read(&mut self, io: &mut impl Runtime, answer: &FileAnswer) {
        let conn = token(answer.conn);
        let pages = &self.config.pages;
        match &answer.found {
            Found::Content(content) => {
                io.write_shared(conn, &pages.file_head(&answer.path, content.len() as u64));
                self.end_http(io, conn, content, CloseReason::HttpDone);
            }
            Found::Length(length) => {
                let head = pages.file_head(&answer.path, *length);
                self.end_http(io, conn, &head, CloseReason::HttpDone);
            }
            Found::Missing => {
                let not_found = pages.not_found();
                self.end_http(io, conn, &not_found, CloseReason::HttpDone);
            }
            Found::Busy => {
                self.end_http(io, conn, &pages::busy(), CloseReason::NoRoom);
            }
        }
    }

    /// The request line's fields say who it is.
    fn hello(&mut self, io: &mut impl Runtime, conn: Token, target: &str, admitted: bool, headers: Headers) {
        let Some(browser) = browser_mut(io, conn) else { return };
        browser.phase = Phase::Open;
        let hello = jsapi::parse_hello(target.as_bytes(), self.config.dev_max).and_then(|hello| {
            if admitted { Ok(hello) } else { Err(HelloError { code: ORIGIN_REFUSED, form: hello.form }) }
        });
        match hello {
            Ok(hello) => {
                browser.form = hello.form;
                browser.classic = hello.classic;
                if self.config.ping_interval.is_zero() {
                    io.no_timeout(conn);
                } else {
                    io.idle_timeout(conn, self.config.ping_interval);
                }
                self.counters.handshakes += 1;
                let address = io.peer_address(conn).map_or(NO_ADDRESS, |address| address.ip());
                let details = Details { uuid: hello.uuid, address, headers, since: io.now().unix };
                let credentials = Credentials { dev: hello.dev, user: hello.user, key: hello.key, details };
                self.input(io, Input::Connected { conn: id(conn), credentials });
            }
            Err(error) => {
                browser.form = error.form;
                self.answer(io, conn, &Answer::Error(ApiError::Handshake(error.code)));
                self.counters.add_closed(CloseReason::HandshakeError);
                io.close_after_flush(conn);
            }
        }
    }

    // Frames

    fn frame(&mut self, io: &mut impl Runtime, conn: Token, browser: Browser, bytes: &mut [u8]) -> Progress {
        let limits = &self.config.frames;
        let step = match browser.deflate {
            Some(_) => ws::next_frame_with_deflate(limits, bytes),
            None => ws::next_frame(limits, bytes),
        };
        let (used, head, payload) = match step {
            Ok(Step::Incomplete) => return Progress::Wait,
            Ok(Step::Frame { used, head, payload }) => (used, head, payload),
            Err(violation) => return self.violation(io, conn, browser, violation),
        };
        if browser.pinged
            && let Some(browser) = browser_mut(io, conn)
        {
            browser.pinged = false;
        }
        let payload = bytes.get(payload).unwrap_or_default();
        let mut open = if browser.fragments { self.fragments.take(conn) } else { None };
        let received = ws::receive(&mut open, &self.config.frames, head, payload);
        if browser.fragments || open.is_some() {
            self.put_fragments(io, conn, open);
            if !io.is_open(conn) {
                return Progress::Over;
            }
        }
        match received {
            Ok(Received::Message(message)) => {
                match self.inflater.open(message, &self.config.frames).and_then(ws::Message::into_text) {
                    Ok(text) => self.command(io, conn, browser, &text),
                    Err(violation) => return self.violation(io, conn, browser, violation),
                }
            }
            Ok(Received::Fragment | Received::Pong) => {}
            Ok(Received::Ping(payload)) => {
                self.scratch.clear();
                ws::pong(payload, &mut self.scratch);
                io.write(conn, &self.scratch);
            }
            Ok(Received::Close(code)) => {
                self.close(io, conn, browser, CloseReason::CloseFrame, code.unwrap_or(ws::CloseCode::Normal));
                return Progress::Over;
            }
            Err(violation) => return self.violation(io, conn, browser, violation),
        }
        Progress::Used(used)
    }

    /// Keeps what the connection has open, and ends the connections whose messages are open longest while all of them
    /// are too much.
    fn put_fragments(&mut self, io: &mut impl Runtime, conn: Token, open: Option<Box<Assembler>>) {
        if let Some(browser) = browser_mut(io, conn) {
            browser.fragments = open.is_some();
        }
        match open {
            Some(assembler) => self.fragments.put(conn, assembler),
            None => self.fragments.forget(conn),
        }
        while let Some(oldest) = self.fragments.excess() {
            self.fragments.forget(oldest);
            if let Some(browser) = browser(io, oldest) {
                self.close(io, oldest, browser, CloseReason::NoRoom, ws::CloseCode::Again);
            }
        }
    }

    fn violation(
        &mut self,
        io: &mut impl Runtime,
        conn: Token,
        browser: Browser,
        violation: ws::Violation,
    ) -> Progress {
        self.close(io, conn, browser, violation.close_reason(), violation.close_code());
        Progress::Over
    }

    fn command(&mut self, io: &mut impl Runtime, conn: Token, browser: Browser, text: &str) {
        self.counters.commands += 1;
        self.pace.charge(conn, io.now().time);
        let Ok(command) = jsapi::parse_command(text) else {
            return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
        };
        let conn_id = id(conn);
        let input = match command {
            Command::Subscription(list) => {
                let (pipes, errors) = list.collect(self.config.hub.pipes_per_connection_max);
                self.errors(io, conn, errors);
                let names = self.hub.subscriptions(conn_id) + pipes.len();
                self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
                Ok(Input::Subscribe { conn: conn_id, pipes })
            }
            // Classic clients do not know it, so for them it is not there.
            Command::Subscription2(_) if browser.form != WireForm::Extended => {
                return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
            }
            Command::Subscription2(list) => {
                let (pipes, errors) = list.collect(self.config.hub.pipes_per_connection_max);
                self.errors(io, conn, errors);
                let names = self.hub.subscriptions(conn_id) + RECOVERY_IN_NAMES * pipes.len();
                self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
                Ok(Input::Resubscribe { conn: conn_id, pipes })
            }
            Command::WebPipe2(Ok(wanted)) => Ok(Input::Publish {
                conn: conn_id,
                pipe: wanted.pipe,
                event: wanted.event,
                message: wanted.body.into_owned().into(),
                hide_sender: wanted.hide_sender,
            }),
            Command::PipeCount(Ok(wanted)) => {
                Ok(Input::CountPipe { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::UserData(Ok(wanted)) => {
                Ok(Input::ReadUserData { conn: conn_id, user: wanted.user, marker: wanted.marker })
            }
            Command::PipeLog(Err(errors)) => Err(errors.to_vec()),
            Command::WebPipe2(Err(error))
            | Command::PipeCount(Err(error))
            | Command::UserData(Err(error))
            | Command::TrackPipeUsers(Err(error)) => Err(vec![error]),
            Command::UserStatus(user) => Ok(Input::ReadUserStatus { conn: conn_id, user }),
            Command::PipeLog(Ok(wanted)) => {
                Ok(Input::ReadHistory { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::TrackPipeUsers(Ok(wanted)) => {
                Ok(Input::ListTrackUsers { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::Statistics | Command::CgiCall | Command::CometQlCall => return,
        };
        match input {
            Ok(input) => self.input(io, input),
            Err(errors) => self.errors(io, conn, errors),
        }
    }

    fn errors(&mut self, io: &mut impl Runtime, conn: Token, errors: Vec<ApiError>) {
        for error in errors {
            self.answer(io, conn, &Answer::Error(error));
        }
    }

    // Outputs

    fn input(&mut self, io: &mut impl Runtime, input: Input) {
        self.hub.handle(input, io.now());
        self.carry_out(io);
        if self.hub.is_full() {
            io.hold(true);
        }
    }

    fn carry_out(&mut self, io: &mut impl Runtime) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Answer { conn, answer } => self.answer(io, token(conn), &answer),
                Output::FanOut { publications, conns } => fan_out(io, &mut self.deflater, &publications, conns),
                Output::Ring { to, mut message } => {
                    fill_in_queues(io, &mut message);
                    io.send(to, message);
                }
                Output::Queue { flush, to } => self.write_queue(io, flush, to),
                Output::Personal { personal, conns, ask, to } => self.write_personal(io, &personal, conns, ask, to),
                Output::Subscribed(subscribed) => self.write_subscribed(io, *subscribed),
                Output::History { conn, pipe, marker, messages } => {
                    self.write_history(io, token(conn), &pipe, &marker, &messages);
                }
                Output::RingAfterFanOut { to, message } => self.deferred.push_back((to, message)),
                Output::Store(job) => {
                    if let Err(refused) = self.storage.send(job) {
                        self.counters.storage_refusals += 1;
                        self.refused.push_back(refused);
                    }
                }
                Output::Close { conn, reason } => self.drop_connection(io, token(conn), reason),
                Output::Resume { conn } => io.resume(token(conn)),
            }
        }
    }

    fn answer(&mut self, io: &mut impl Runtime, conn: Token, answer: &Answer) {
        let Some(browser) = browser(io, conn) else { return };
        self.scratch.clear();
        if let Some((_, head)) = self.head_of.take_if(|(owner, _)| *owner == conn) {
            self.scratch.extend_from_slice(&head);
        }
        jsapi::frame_answer(answer, browser.form, io.now().unix, super::PRODUCT, &mut self.scratch);
        io.write(conn, &self.scratch);
        self.counters.answers += 1;
    }

    fn write_queue(&mut self, io: &mut impl Runtime, flush: Box<Flush>, to: ShardId) {
        let conn = token(flush.conn);
        if let Some(browser) = browser(io, conn) {
            self.scratch.clear();
            for StoredMessage { time, event, message, .. } in &flush.messages {
                ws::append_text_frame(&mut self.scratch, |out| {
                    jsapi::encode_personal(event, message, Some(UnixTime(*time)), browser.form, out);
                });
            }
            io.write(conn, &self.scratch);
        }
        let taken = io.can_send(conn);
        if taken && io.queued_bytes(conn) > 0 {
            // Taken is what the socket has. The next part waits for that too, so no queue makes a slow consumer by itself.
            let until = io.now().time + FLUSH_TIME_MAX;
            self.flushing.insert(conn, (flush, to, until));
            self.flushing_until.push_back((until, conn));
            return io.tell_when_drained(conn);
        }
        self.hub.handle(Input::QueueWritten { flush, to, taken }, io.now());
    }

    fn write_personal(
        &mut self,
        io: &mut impl Runtime,
        personal: &Personal,
        conns: Vec<ConnId>,
        ask: AskId,
        to: ShardId,
    ) {
        let mut connections = 0;
        for conn in conns.into_iter().map(token) {
            let Some(Browser { form, .. }) = browser(io, conn) else { continue };
            io.write_shared(conn, personal.frame(form, |personal| jsapi::frame_personal(personal, form)));
            connections += u32::from(io.can_send(conn));
        }
        self.hub.handle(Input::PersonalWritten { ask, to, connections }, io.now());
    }

    fn write_history(
        &mut self,
        io: &mut impl Runtime,
        conn: Token,
        pipe: &PipeName,
        marker: &Marker,
        messages: &[StoredMessage],
    ) {
        let Some(Browser { form, .. }) = browser(io, conn) else { return };
        self.scratch.clear();
        for message in messages {
            let entry = history_entry(pipe, message);
            ws::append_text_frame(&mut self.scratch, |out| jsapi::encode_history(&entry, marker, form, out));
        }
        io.write(conn, &self.scratch);
    }

    /// What it missed, the answer, and what came meanwhile.
    fn write_subscribed(&mut self, io: &mut impl Runtime, subscribed: Subscribed) {
        let Subscribed { conn, key, missed, answer, live } = subscribed;
        let conn = token(conn);
        let Some(Browser { form, .. }) = browser(io, conn) else { return };
        self.scratch.clear();
        for message in &missed {
            let entry = history_entry(&key.name, message);
            ws::append_text_frame(&mut self.scratch, |out| jsapi::encode_missed(&entry, form, out));
        }
        jsapi::frame_answer(&answer, form, io.now().unix, super::PRODUCT, &mut self.scratch);
        for publication in &live {
            self.scratch.extend_from_slice(&frame(publication, form));
        }
        io.write(conn, &self.scratch);
        self.counters.answers += 1;
    }

    /// Ends a connection as its client understands it.
    fn close(
        &mut self,
        io: &mut impl Runtime,
        conn: Token,
        browser: Browser,
        reason: CloseReason,
        code: ws::CloseCode,
    ) {
        if browser.classic {
            return self.drop_connection(io, conn, reason);
        }
        self.counters.add_closed(reason);
        self.scratch.clear();
        ws::close(code, &mut self.scratch);
        io.write(conn, &self.scratch);
        io.close_after_flush(conn);
        self.let_go(io, conn);
    }

    /// The connection will say nothing more. The hub hears of it at once: a client that keeps its side open must not
    /// count as a subscriber meanwhile. A second time changes nothing, because a place is not taken again before `ended`
    /// has returned, and then under another generation.
    fn let_go(&mut self, io: &mut impl Runtime, conn: Token) {
        if let Some(browser) = browser_mut(io, conn)
            && std::mem::take(&mut browser.fragments)
        {
            self.fragments.forget(conn);
        }
        if let Some((flush, to, _)) = self.flushing.remove(&conn) {
            self.input(io, Input::QueueWritten { flush, to, taken: false });
        }
        self.input(io, Input::Disconnected { conn: id(conn) });
    }

    fn drop_connection(&mut self, io: &mut impl Runtime, conn: Token, reason: CloseReason) {
        if io.is_open(conn) {
            self.counters.add_closed(reason);
        }
        io.close(conn);
    }
}

impl Drop for Browsers {
    /// The shard's last words: who has gone is told to storage, which outlives all shards.
    fn drop(&mut self) {
        if let Some(job) = self.hub.last_job() {
            self.storage.send_last(job);
        }
    }
}

/// Frames of one connection that are looked at in one turn; more must wait for the others.
const FRAMES_PER_TURN: usize = 64;

/// So many names that a subscription leaves or comes to count as one frame more.
const NAMES_PER_FRAME: usize = 16;

/// A name that may have to be looked for in storage counts as so many.
const RECOVERY_IN_NAMES: usize = 4;

/// What one connection has used of its turn. A connection is read several times in a row, but never after others of the
/// same turn, so one count serves all.
#[derive(Debug, Default)]
struct TurnBudget {
    of: Option<(Time, Token)>,
    frames: usize,
}

impl TurnBudget {
    fn charge(&mut self, turn: Time, conn: Token, frames: usize) {
        if self.of != Some((turn, conn)) {
            *self = Self { of: Some((turn, conn)), frames: 0 };
        }
        self.frames += frames;
    }

    fn is_used_up(&self) -> bool {
        self.frames >= FRAMES_PER_TURN
    }
}

/// Microseconds that a connection may take for one part of a queue.
const FLUSH_TIME_MAX: u64 = 5_000_000;

/// How long a client may take for the answer to a plain request.
const HTTP_ANSWER_TIME_MAX: Duration = Duration::from_mins(1);

/// Of a client that is gone already.
const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// At most so many bytes of a header's text, whole characters of it.
fn cut(text: &[u8], bytes_max: usize) -> Box<str> {
    let text = simdutf8::basic::from_utf8(text).unwrap_or_default();
    text[..text.floor_char_boundary(bytes_max)].into()
}

/// The protocol's number for a page of a host that is not on the list.
const ORIGIN_REFUSED: u16 = 423;

enum Progress {
    Used(usize),
    /// More bytes are needed.
    Wait,
    /// The connection ends; nothing more is looked at.
    Over,
}

/// What waits to be sent is known here only.
fn fill_in_queues(io: &impl Runtime, message: &mut RingMessage) {
    if let RingMessage::Answered(answered) = message
        && let Replies::Connections { connections, .. } = &mut answered.replies
    {
        for connection in connections {
            connection.queued_bytes = io.queued_bytes(token(connection.conn)) as u64;
        }
    }
}

/// What makes two receivers get the same bytes: the wire form, and whether and how far they inflate.
type Wire = (WireForm, Option<ws::Window>);

/// One write per connection and wire, encoded once for all of them.
fn fan_out(io: &mut impl Runtime, deflater: &mut Deflater, publications: &[Arc<Publication>], conns: Vec<ConnId>) {
    let mut groups: Vec<(Wire, Vec<Token>)> = Vec::new();
    let receivers = conns.len();
    // Where no position is to be told, two forms are one.
    let tells_positions = publications.iter().any(|publication| publication.kept);
    for conn in conns.into_iter().map(token) {
        let Some(Browser { mut form, deflate, .. }) = browser(io, conn) else { continue };
        if form == WireForm::Extended && !tells_positions {
            form = WireForm::Modern;
        }
        if let Some((_, conns)) = groups.iter_mut().find(|(wire, _)| *wire == (form, deflate)) {
            conns.push(conn);
        } else {
            // Nearly always all receivers are of one kind.
            let mut conns = Vec::with_capacity(if groups.is_empty() { receivers } else { 1 });
            conns.push(conn);
            groups.push(((form, deflate), conns));
        }
    }
    for (wire, conns) in groups {
        io.fan_out(conns, joined(publications, wire, deflater), publications);
    }
}

fn joined(publications: &[Arc<Publication>], (form, window): Wire, deflater: &mut Deflater) -> SharedBytes {
    let mut encoded = |publication: &Arc<Publication>| {
        let frame = frame(publication, form);
        let deflated = window.and_then(|window| {
            let deflated = publication.deflated(form, || ws::deflated_text_frame(&frame, deflater));
            deflated.filter(|deflated| window.holds(deflated.payload_bytes))
        });
        deflated.map_or(frame, |deflated| deflated.frame.clone())
    };
    match publications {
        [only] => encoded(only),
        several => several.iter().flat_map(|publication| encoded(publication).to_vec()).collect(),
    }
}

fn frame(publication: &Publication, form: WireForm) -> SharedBytes {
    publication.frame(form, |publication| jsapi::frame_publication(publication, form)).clone()
}

fn history_entry<'a>(pipe: &'a PipeName, message: &'a StoredMessage) -> HistoryEntry<'a> {
    let StoredMessage { id, time, event, message, sender } = message;
    let (event, time) = (event.as_str(), UnixTime(*time));
    HistoryEntry { pipe, event, message, sender: *sender, time, position: id.position() }
}

fn browser(io: &mut impl Runtime, conn: Token) -> Option<Browser> {
    browser_mut(io, conn).copied()
}

fn browser_mut(io: &mut impl Runtime, conn: Token) -> Option<&mut Browser> {
    io.state(conn)
}
