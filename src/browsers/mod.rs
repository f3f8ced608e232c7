//! The core of a connection shard: bytes of browsers become inputs of the hub, its outputs become [`Effects`].
//!
//! ```text
//!  Head --101--> Open --close, error--> (gone)
//!   ^ |            ^ frames, while the hub is not busy with the connection
//!   | +--static file--> File --answer--+
//!   | +--long body--> Body --all of it-+
//!   | +--anything else: an answer------+--> (gone, unless the connection stays)
//!   |                                  v
//!   +------------- all is sent ------ Sending
//! ```
//!
//! A request for Server-Sent Events goes to Subscribing and is looked at once more there, when the hub knows who asked; then
//! to Events, where nothing is read any more.
//!
//! While a connection is in File or Sending, it is not read: requests are answered one after the other.

mod admission;
mod batches;
mod budget;
mod chunked;
mod effects;
mod fan_out;
mod figures;
mod file;
mod fragments;
mod goodbye;
mod half_open;
mod letters;
mod old_clients;
mod pace;
mod pages;
mod polling;
mod polls;
mod recent;
mod requests;
mod storing;
mod wanted;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;

use crate::http;
use crate::hub::{Credentials, Details, Hub, HubConfig, Input, Output};
use crate::jsapi::{self, Command, Hello, HelloError, TrackPipePage};
use crate::metrics::Counters;
use crate::model::{
    Answer, ApiError, CloseReason, ConnId, Network, Now, PipeKey, PipeName, Position, Publication, RealIpHeader,
    ShardId, SharedBytes, Time, WireForm,
};
use crate::ring::{Flush, Poll, RingMessage};
use crate::storage::{Beginning, Completion, Job};
use crate::ws::{self, Assembler, Deflater, Inflater, Received, Step};

use admission::Admission;
use batches::Batches;
pub(crate) use batches::{BODIES_BYTES_MAX, BatchConfig};
use budget::{NAMES_PER_FRAME, NEWCOMERS_BYTES_PER_TURN, RECOVERY_IN_NAMES, TurnBudget};
use chunked::ChunkedBodies;
pub(crate) use effects::{Effects, Trouble};
use fan_out::fan_out;
use figures::ShardFigures;
pub(crate) use file::{Asker, FileAnswer, Found, Part};
use fragments::Fragments;
pub(crate) use half_open::HalfOpen;
use letters::fill_in_queues;
use pace::Pace;
pub(crate) use pages::Pages;
use polling::Asking;
pub(crate) use polls::PollLimits;
use polls::Polls;
use recent::Recent;

/// What `serverInfo` tells browsers.
pub(crate) const PRODUCT: &str = concat!("Encke ", env!("CARGO_PKG_VERSION"));

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its request, or the login of a session, is not complete.
    #[default]
    Head,
    /// The owner of its address is asked whether it may begin a connection.
    Admission,
    /// Its file is being looked for.
    File,
    /// Its request has a body that is collected.
    Body,
    /// An answer is on its way, and another request may follow.
    Sending,
    Open,
    /// Gets Server-Sent Events, and its request is read once more for the pipes it wants.
    Subscribing,
    /// Gets Server-Sent Events.
    Events,
    /// Its request waits for a connection without a socket to get something, or for statements to be carried out.
    Polling,
}

impl Phase {
    /// Whether it has not shown yet what it is for.
    pub(super) fn is_half_open(self) -> bool {
        matches!(self, Self::Head | Self::Admission | Self::Body | Self::File | Self::Sending)
    }

    /// Whether what stands behind the request has to wait.
    fn is_answering(self) -> bool {
        matches!(self, Self::Admission | Self::File | Self::Sending)
    }

    fn is_events(self) -> bool {
        matches!(self, Self::Subscribing | Self::Events)
    }
}

/// What the edge keeps per connection, in the shard's slab. Of a session it is the phase only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Browser {
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
    /// Plain requests that it was answered.
    requests: u8,
}

pub(crate) struct BrowserConfig {
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
    /// Peers that name the browser whose request they pass on, and where they do.
    pub(super) trusted_proxies: Arc<[Network]>,
    pub(super) real_ip_header: RealIpHeader,
    pub(super) handshake_timeout: Duration,
    /// Zero: never ping.
    pub(super) ping_interval: Duration,
    /// Fragmented messages open at the same time; with a further one the oldest ends its connection.
    pub(super) fragments_max: usize,
    /// Bytes of all of them; with more the same happens.
    pub(super) fragments_bytes_max: usize,
    pub(super) pages: Arc<Pages>,
    pub(super) polls: PollLimits,
    pub(super) batches: BatchConfig,
    /// Where the server's figures go.
    pub(super) figures: Arc<PipeKey>,
}

pub(crate) struct Browsers {
    config: BrowserConfig,
    hub: Hub,
    fragments: Fragments,
    /// Parts of queues that sockets have not taken whole, and who wants to know when they have.
    flushing: HashMap<ConnId, (Box<Flush>, ShardId, Time), RandomState>,
    /// What storage refused to take, until the end of the turn. No more than jobs were made in it.
    refused: VecDeque<Completion>,
    /// Until when, in the order in which they began; entries of those that are through stay until then.
    flushing_until: VecDeque<(Time, ConnId)>,
    /// Ring messages that wait until the fan-outs before them are out.
    deferred: VecDeque<(ShardId, RingMessage)>,
    turn_budget: TurnBudget,
    scratch: Vec<u8>,
    pace: Pace,
    deflater: Deflater,
    inflater: Inflater,
    half_open: HalfOpen,
    polls: Polls,
    recent: Recent,
    /// Requests that other shards handed over, and connections without a socket that are not busy any more: work from
    /// outside, begun at the end of the turn.
    polls_noted: VecDeque<(ShardId, Box<Poll>)>,
    polls_resumed: VecDeque<ConnId>,
    /// Of requests that may begin a connection, or may not, until they are carried out.
    admissions: HashMap<ConnId, Admission, RandomState>,
    /// Addresses of those that were admitted when they had gone.
    unused_admissions: VecDeque<IpAddr>,
    /// When users whose grace is over are looked for again, although a ring is full.
    leaving_retry: Time,
    /// Connections whose request waits.
    asking: HashMap<ConnId, Asking, RandomState>,
    batches: Batches,
    chunked: ChunkedBodies,
    figures: ShardFigures,
    /// What the fan-outs hold that are not out yet.
    on_its_way: Vec<Position>,
    /// Something was left over by a turn that could have done it a step earlier: the next turn must come at once.
    unfinished: bool,
    /// Connections that were told goodbye; the hub hears of them at the end of the turn.
    dismissed: VecDeque<ConnId>,
    stopping: bool,
    /// A handshake's answer that is not written yet.
    head_of: Option<(ConnId, Vec<u8>)>,
    pub(super) counters: Counters,
}

impl Browsers {
    pub(super) fn new(config: BrowserConfig, beginning: Beginning) -> Self {
        let mut hub = Hub::new(config.hub.clone());
        hub.handle(Input::Begin(Box::new(beginning)), Now::default());
        let hasher = config.hub.placement.hasher();
        let pace = Pace::new(config.commands_per_second_max, hasher.clone());
        let fragments = Fragments::new(config.fragments_max, config.fragments_bytes_max, hasher.clone());
        let counters = Counters::default();
        let polls = Polls::new(config.polls);
        let recent = Recent::new(hasher.clone());
        let asking = HashMap::with_hasher(hasher.clone());
        let admissions = HashMap::with_hasher(hasher.clone());
        let batches = Batches::new(hasher.clone());
        let chunked = ChunkedBodies::new(hasher.clone());
        let figures = ShardFigures::new(config.figures.clone(), config.hub.shard, &config.hub.placement, &mut hub);
        Self {
            config,
            hub,
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
            polls,
            recent,
            polls_noted: VecDeque::new(),
            polls_resumed: VecDeque::new(),
            admissions,
            unused_admissions: VecDeque::new(),
            leaving_retry: Time::default(),
            asking,
            batches,
            chunked,
            figures,
            on_its_way: Vec::new(),
            unfinished: false,
            dismissed: VecDeque::new(),
            stopping: false,
            head_of: None,
            counters,
        }
    }

    pub(super) fn accepted(&mut self, io: &mut impl Effects, conn: ConnId) {
        io.deadline_after(conn, self.config.handshake_timeout);
        self.half_open.push(conn, |conn| is_half_open(io, conn));
    }

    /// Whoever has not finished a handshake longest makes room.
    pub(super) fn full(&mut self, io: &mut impl Effects) {
        if let Some(conn) = self.half_open.take_oldest(|conn| is_half_open(io, conn)) {
            self.drop_connection(io, conn, CloseReason::NoRoom);
        }
    }

    pub(super) fn received(&mut self, io: &mut impl Effects, conn: ConnId, bytes: &mut [u8]) -> usize {
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
                Phase::Body => self.collect_body(io, conn, rest),
                Phase::Subscribing => self.subscribe_events(io, conn, rest),
                // Nothing is expected, and nothing is kept.
                Phase::Events => Progress::Used(rest.len()),
                Phase::Admission | Phase::File | Phase::Sending | Phase::Polling => break,
            };
            let is_over = self.turn_budget.is_used_up_by_all(now);
            if is_over {
                io.read_no_more();
            }
            match step {
                Progress::Used(count) => used += count,
                Progress::Wait => break,
                Progress::Over => return bytes.len(),
            }
            if !io.is_open(conn) {
                return bytes.len();
            }
            // The next request waits for the answer to this one, as a command does.
            let is_answering = browser_mut(io, conn).is_some_and(|browser| browser.phase.is_answering());
            if is_answering || self.hub.is_busy(conn) {
                io.pause(conn);
                break;
            }
            // The rest comes in the next turn, after everybody else, and not before the rings have room.
            if self.turn_budget.is_used_up() || is_over || io.congested() {
                io.pause(conn);
                io.resume(conn);
                break;
            }
        }
        used
    }

    /// A browser that half-closes is gone: what waits for it may still arrive, but it is nobody's subscriber.
    pub(super) fn half_closed(&mut self, io: &mut impl Effects, conn: ConnId) {
        self.let_go(io, conn);
    }

    /// `reason`: none if the core itself ended the connection.
    pub(super) fn ended(&mut self, io: &mut impl Effects, conn: ConnId, reason: Option<CloseReason>) {
        if let Some(reason) = reason {
            self.counters.add_closed(reason);
        }
        self.asking.remove(&conn);
        self.forget_admission(io, conn);
        self.batches.forget(conn);
        self.chunked.forget(conn);
        self.let_go(io, conn);
    }

    /// All that was written to the connection is sent.
    pub(super) fn drained(&mut self, io: &mut impl Effects, conn: ConnId) {
        if let Some((flush, to, _)) = self.flushing.remove(&conn) {
            return self.input(io, Input::QueueWritten { flush, to, taken: true });
        }
        self.batches.sent(conn);
        requests::answer_sent(io, conn);
    }

    pub(super) fn timed_out(&mut self, io: &mut impl Effects, conn: ConnId) {
        if self.give_up_batch(io, conn) {
            return;
        }
        let Some(browser) = browser_mut(io, conn) else { return };
        if browser.phase == Phase::Head && browser.requests > 0 {
            // It was answered all it asked.
            return self.drop_connection(io, conn, CloseReason::HttpDone);
        }
        if browser.phase.is_half_open() || browser.phase == Phase::Polling || browser.pinged {
            return self.drop_connection(io, conn, CloseReason::TimedOut);
        }
        if browser.phase.is_events() {
            // Nobody answers this ping, but whoever is there takes it before the next one is due.
            io.write(conn, http::EVENTS_PING);
            let is_stuck = io.queued_bytes(conn) > 0;
            if let Some(browser) = browser_mut(io, conn) {
                browser.pinged = is_stuck;
            }
            return;
        }
        browser.pinged = true;
        self.scratch.clear();
        ws::ping(&mut self.scratch);
        io.write(conn, &self.scratch);
    }

    pub(super) fn message(&mut self, io: &mut impl Effects, from: ShardId, message: RingMessage) {
        match message {
            RingMessage::Poll(poll) => self.polls_noted.push_back((from, poll)),
            RingMessage::Polled(polled) => self.polled(io, polled.asker, polled.outcome),
            RingMessage::BatchDone(done) => self.batch_done(io, done.asker, done.answer),
            message => self.input(io, Input::Ring { from, message }),
        }
    }

    pub(super) fn woken(&mut self, io: &mut impl Effects) {
        self.take_completions(io);
        self.read_files(io);
    }

    pub(super) fn turn_ended(&mut self, io: &mut impl Effects) {
        self.forget_dismissed(io);
        self.send_deferred(io);
        for conn in self.pace.take_due(io.now().time) {
            if conn.is_polled() {
                self.polls_resumed.push_back(conn);
            } else if !self.hub.is_busy(conn) {
                // Whoever waits for an answer as well is resumed with it.
                io.resume(conn);
            }
        }
        self.go_on_with_polls(io);
        self.go_on_with_admissions(io);
        self.tell_presence(io);
        self.go_on_with_figures(io);
        let mut given = 0;
        while given < NEWCOMERS_BYTES_PER_TURN && self.hub.has_arrivals() && !io.fan_out_pending() {
            given += self.hub.end_turn();
            self.on_its_way.extend(self.hub.formed());
            self.carry_out(io);
            // A turn without receivers has nothing to wait for.
            self.send_deferred(io);
            io.hold(self.hub.is_full());
        }
        self.end_slow_flushes(io);
        self.recent.forget(io.now().time);
        if self.hub.next_deadline().is_some() {
            self.hub.time_passed(io.now());
            self.carry_out(io);
        }
        self.take_completions(io);
        self.answer_polls(io);
        // Forming fan-outs may have ended a hold under which polls were left, and completions may have brought arrivals. No
        // wake comes for that; while the rings are full, the runtime looks again by itself.
        let arrived = self.hub.has_arrivals() && !io.fan_out_pending();
        let polled = !self.polls_noted.is_empty() || !self.polls_resumed.is_empty();
        self.unfinished = !io.congested() && (arrived || polled);
    }

    /// When `turn_ended` has something to do without any input.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        self.work_due().into_iter().chain(self.polls.next_deadline()).min()
    }

    /// The same without polls: one that waits is never far from its deadline.
    pub(super) fn work_due(&self) -> Option<Time> {
        let flushing = self.flushing_until.front().map(|(until, _)| *until);
        let leaving = self.hub.presence_deadline().map(|due| due.max(self.leaving_retry));
        let at_once = self.unfinished.then(Time::default);
        let recent = self.recent.next_deadline();
        let timers =
            [at_once, self.hub.next_deadline(), flushing, self.pace.due(), leaving, self.figures.due(), recent];
        timers.into_iter().flatten().min()
    }

    /// Timers are work from outside: what follows from them waits while a ring is full.
    fn tell_presence(&mut self, io: &mut impl Effects) {
        let now = io.now();
        if self.hub.presence_deadline().is_none_or(|due| due.max(self.leaving_retry) > now.time) {
            return;
        }
        if io.congested() {
            self.leaving_retry = now.time + LEAVING_RETRY_AFTER;
            return;
        }
        self.hub.tell_presence(now);
        self.carry_out(io);
    }

    /// The user's other devices, and who writes to the user, wait for the one that takes the queue.
    fn end_slow_flushes(&mut self, io: &mut impl Effects) {
        while let Some((_, conn)) = self.flushing_until.pop_front_if(|(until, _)| *until <= io.now().time) {
            if self.flushing.get(&conn).is_some_and(|(_, _, until)| *until <= io.now().time) {
                self.drop_connection(io, conn, CloseReason::SlowConsumer);
            }
        }
    }

    fn send_deferred(&mut self, io: &mut impl Effects) {
        if !io.fan_out_pending() {
            for (to, message) in std::mem::take(&mut self.deferred) {
                io.send(to, message);
            }
            if !self.on_its_way.is_empty() {
                let now = io.now().unix_micros();
                for position in self.on_its_way.drain(..) {
                    self.counters.add_latency(now.saturating_sub(position.micros()));
                }
            }
        }
    }

    fn go_on_with_figures(&mut self, io: &mut impl Effects) {
        self.figures.notice(io, &mut self.hub);
        let Some(due) = self.figures.due() else { return };
        let now = io.now().time;
        if now < due {
            return;
        }
        if io.congested() {
            return self.figures.put_off(now);
        }
        if let Some(publication) = self.figures.tell(io, &mut self.hub, now) {
            self.input(io, Input::Announce { publication });
        }
    }

    pub(super) fn snapshot(&self) -> Counters {
        let memory = self.hub.memory();
        let mut counters = self.counters.clone();
        self.hub.counters().add_to(&mut counters);
        counters.connections = self.hub.connections() as u64;
        counters.polled = self.polls.len() as u64;
        counters.last_seen_waiting = self.hub.departed() as u64;
        counters.memory_hub =
            (memory.connections + memory.pipes + memory.owned_pipes + memory.users + memory.waiting + memory.arrivals)
                as u64;
        counters.memory_edge = (self.fragments.bytes()
            + self.scratch.capacity()
            + self.pace.bytes()
            + self.half_open.bytes()
            + self.polls.bytes()
            + self.recent.bytes()
            + self.polls_noted.capacity() * size_of::<(ShardId, Box<Poll>)>()
            + self.asking.capacity() * size_of::<(ConnId, Asking)>()
            + self.admissions.capacity() * size_of::<(ConnId, Admission)>()
            + self.unused_admissions.capacity() * size_of::<IpAddr>()
            + self.batches.bytes()
            + self.chunked.bytes()
            + self.flushing.capacity() * size_of::<(ConnId, (Box<Flush>, ShardId, Time))>()
            + self.flushing_until.capacity() * size_of::<(Time, ConnId)>()
            + self.refused.capacity() * size_of::<Completion>()
            + self.dismissed.capacity() * size_of::<ConnId>()
            + self.deferred.capacity() * size_of::<(ShardId, RingMessage)>()) as u64;
        counters
    }

    /// The shard's last words: who has gone is told to storage, which outlives all shards.
    pub(super) fn last_job(&mut self) -> Option<Job> {
        self.hub.last_job()
    }

    /// Connections of this shard, and those of all shards that it counts by their addresses.
    #[cfg(test)]
    pub(super) fn connections(&self) -> (usize, usize) {
        (self.hub.connections(), self.hub.counted_connections())
    }

    /// Whether publications, messages or ends of connections wait here for a turn.
    pub(super) fn has_work(&self) -> bool {
        let has_polls = !self.polls_noted.is_empty() || !self.polls_resumed.is_empty() || self.polls.has_over();
        let has_messages = self.hub.has_arrivals() || !self.deferred.is_empty() || !self.refused.is_empty();
        has_messages || has_polls || !self.dismissed.is_empty()
    }

    /// The request line's fields say who it is.
    fn hello(&mut self, io: &mut impl Effects, conn: ConnId, target: &str, admitted: bool, details: Details) {
        let Some(browser) = browser_mut(io, conn) else { return };
        browser.phase = Phase::Open;
        let hello = jsapi::parse_hello(target.as_bytes(), self.config.dev_max).and_then(|hello| {
            if admitted { Ok(hello) } else { Err(HelloError { code: ORIGIN_REFUSED, form: hello.form }) }
        });
        match hello {
            Ok(hello) => {
                browser.classic = hello.classic;
                self.connect(io, conn, hello, details);
            }
            Err(error) => {
                browser.form = error.form;
                self.answer(io, conn, &Answer::Error(ApiError::Handshake(error.code)));
                self.counters.add_closed(CloseReason::HandshakeError);
                io.close_after_flush(conn);
            }
        }
    }

    /// Tells the hub of it, and from now on there are pings instead of a deadline.
    fn connect(&mut self, io: &mut impl Effects, conn: ConnId, hello: Hello, details: Details) {
        let Some(browser) = browser_mut(io, conn) else { return };
        browser.form = hello.form;
        if self.config.ping_interval.is_zero() {
            io.no_timeout(conn);
        } else {
            io.idle_timeout(conn, self.config.ping_interval);
        }
        self.begin(io, conn, conn, hello, details);
    }

    /// Hands the hub a connection that the request on `asker` begins.
    fn begin(&mut self, io: &mut impl Effects, asker: ConnId, conn: ConnId, hello: Hello, details: Details) {
        // From now on the hub knows when it is gone.
        self.admissions.remove(&asker);
        self.counters.handshakes += 1;
        let Hello { dev, user, key, uuid, .. } = hello;
        let credentials = Credentials { dev, user, key, details: Details { uuid, ..details } };
        self.input(io, Input::Connected { conn, credentials });
    }

    // Frames

    fn frame(&mut self, io: &mut impl Effects, conn: ConnId, browser: Browser, bytes: &mut [u8]) -> Progress {
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
    fn put_fragments(&mut self, io: &mut impl Effects, conn: ConnId, open: Option<Box<Assembler>>) {
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
        io: &mut impl Effects,
        conn: ConnId,
        browser: Browser,
        violation: ws::Violation,
    ) -> Progress {
        self.close(io, conn, browser, violation.close_reason(), violation.close_code());
        Progress::Over
    }

    fn command(&mut self, io: &mut impl Effects, conn: ConnId, browser: Browser, text: &str) {
        self.counters.commands += 1;
        self.pace.charge(conn, io.now().time);
        let Ok(command) = jsapi::parse_command(text) else {
            return self.close(io, conn, browser, CloseReason::UnknownCommand, ws::CloseCode::Policy);
        };
        let conn_id = conn;
        let input = match command {
            Command::Subscription(list) => {
                let (pipes, errors) = list.collect(self.config.hub.pipes_per_connection_max);
                self.errors(io, conn, errors);
                let names = self.hub.subscriptions(conn_id) + pipes.len();
                self.turn_budget.charge(io.now().time, conn, names / NAMES_PER_FRAME);
                Ok(Input::Subscribe { conn: conn_id, pipes })
            }
            // Classic clients do not know them, so for them they are not there.
            Command::Subscription2(_) | Command::TrackPipePage(_) if browser.form != WireForm::Extended => {
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
            | Command::TrackPipeUsers(Err(error))
            | Command::TrackPipePage(Err(error)) => Err(vec![error]),
            Command::UserStatus(user) => Ok(Input::ReadUserStatus { conn: conn_id, user }),
            Command::PipeLog(Ok(wanted)) => {
                Ok(Input::ReadHistory { conn: conn_id, pipe: wanted.pipe, marker: wanted.marker })
            }
            Command::TrackPipePage(Ok(wanted)) => {
                let TrackPipePage { pipe, marker, cursor } = wanted;
                Ok(Input::PageTrackUsers { conn: conn_id, pipe, marker, cursor })
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

    fn errors(&mut self, io: &mut impl Effects, conn: ConnId, errors: Vec<ApiError>) {
        for error in errors {
            self.answer(io, conn, &Answer::Error(error));
        }
    }

    // Outputs

    fn input(&mut self, io: &mut impl Effects, input: Input) {
        self.hub.handle(input, io.now());
        self.carry_out(io);
        if self.hub.is_full() {
            io.hold(true);
        }
    }

    fn carry_out(&mut self, io: &mut impl Effects) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Admitted { conn, address, wait_s } => self.admission_known(io, conn, address, wait_s),
                Output::Answer { conn, answer } => self.answer(io, conn, &answer),
                Output::FanOut { publications, conns } => {
                    fan_out(io, &mut self.polls, &mut self.deflater, &publications, conns);
                }
                Output::Ring { to, mut message } => {
                    fill_in_queues(io, &self.polls, &mut message);
                    io.send(to, message);
                }
                Output::Queue { flush, to } => self.write_queue(io, flush, to),
                Output::Personal { personal, conns, ask, to } => self.write_personal(io, &personal, conns, ask, to),
                Output::Subscribed(subscribed) => self.write_subscribed(io, *subscribed),
                Output::History { conn, key, marker, messages } => {
                    self.write_history(io, conn, &key, marker, &messages);
                }
                Output::RingAfterFanOut { to, message } => self.deferred.push_back((to, message)),
                Output::Store(job) => self.store(io, job, None),
                Output::Ask { job, address } => self.store(io, job, Some(address)),
                Output::KeysGuessed { address, wrong } => io.keys_guessed(address, wrong),
                Output::Close { conn, reason } if conn.is_polled() => self.end_polled(io, conn, reason),
                Output::Close { conn, reason } => self.dismiss(io, conn, reason),
                Output::Resume { conn } if conn.is_polled() => self.polls_resumed.push_back(conn),
                Output::Resume { conn } => io.resume(conn),
            }
        }
    }

    fn answer(&mut self, io: &mut impl Effects, conn: ConnId, answer: &Answer) {
        let Some(browser) = browser(io, conn) else { return self.answer_polled(io, conn, answer) };
        self.scratch.clear();
        if let Some((_, head)) = self.head_of.take_if(|(owner, _)| *owner == conn) {
            self.scratch.extend_from_slice(&head);
        }
        let now = io.now().unix;
        append(&mut self.scratch, browser, None, |out| {
            jsapi::encode_answer(answer, browser.form, now, PRODUCT, out);
        });
        io.write(conn, &self.scratch);
        self.counters.answers += 1;
    }

    /// Ends a connection as its client understands it.
    fn close(
        &mut self,
        io: &mut impl Effects,
        conn: ConnId,
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
    fn let_go(&mut self, io: &mut impl Effects, conn: ConnId) {
        if let Some(browser) = browser_mut(io, conn)
            && std::mem::take(&mut browser.fragments)
        {
            self.fragments.forget(conn);
        }
        if let Some((flush, to, _)) = self.flushing.remove(&conn) {
            self.input(io, Input::QueueWritten { flush, to, taken: false });
        }
        self.input(io, Input::Disconnected { conn: conn });
    }

    fn drop_connection(&mut self, io: &mut impl Effects, conn: ConnId, reason: CloseReason) {
        if io.is_open(conn) {
            self.counters.add_closed(reason);
        }
        io.close(conn);
    }
}

/// Microseconds until it is looked again whether the rings have room.
const LEAVING_RETRY_AFTER: u64 = 10_000;

/// The protocol's number for a page of a host that is not on the list.
const ORIGIN_REFUSED: u16 = 423;

enum Progress {
    Used(usize),
    /// More bytes are needed.
    Wait,
    /// The connection ends; nothing more is looked at.
    Over,
}

fn append_publication(out: &mut Vec<u8>, browser: Browser, publication: &Publication) {
    let frame = frame(publication, browser.form);
    let event_id = publication.kept.then_some((&publication.pipe.name, publication.position));
    append(out, browser, event_id, |out| out.extend_from_slice(ws::payload_of(&frame)));
}

/// Appends one message as the connection's transport wants it. `event_id` is where it stands in a history.
fn append(
    out: &mut Vec<u8>,
    browser: Browser,
    event_id: Option<(&PipeName, Position)>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    if browser.phase.is_events() {
        let event_id = event_id.map(|(pipe, position)| format!("{pipe}:{position}"));
        http::append_event(out, event_id.as_deref(), write);
    } else {
        ws::append_text_frame(out, write);
    }
}

fn frame(publication: &Publication, form: WireForm) -> SharedBytes {
    publication.frame(form, |publication| jsapi::frame_publication(publication, form)).clone()
}

fn browser(io: &mut impl Effects, conn: ConnId) -> Option<Browser> {
    browser_mut(io, conn).copied()
}

fn browser_mut(io: &mut impl Effects, conn: ConnId) -> Option<&mut Browser> {
    io.state(conn)
}

fn is_half_open(io: &mut impl Effects, conn: ConnId) -> bool {
    browser(io, conn).is_some_and(|browser| browser.phase.is_half_open())
}
