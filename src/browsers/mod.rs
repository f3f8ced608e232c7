//! The core of a connection shard: bytes of browsers become inputs of the hub, its outputs become [`Effects`].
//!
//! Owned here: every step from the bytes of a connection to what it gets, over WebSocket, Server-Sent Events and long
//! polling; plain requests; and what all connections of a shard may hold. Deliberately absent: sockets, threads and clocks,
//! which are the edge's (`run/front.rs`); and who may do what, which the hub decides.
//!
//! What comes in is a method of [`Browsers`]: bytes, ring messages, the end of a connection, the end of a turn. Start reading
//! at [`Browsers::received`]; the states of a connection are drawn in `connection`, and `turn` says what a turn ends with.

mod admission;
mod batches;
mod budget;
mod chunked;
mod commands;
mod config;
mod connecting;
mod connection;
mod counting;
mod effects;
mod fan_out;
mod figures;
mod file;
mod fragments;
mod frames;
mod goodbye;
mod half_open;
mod held;
mod leaving;
mod letters;
mod metrics;
mod old_clients;
mod outputs;
mod pace;
mod pages;
mod polling;
mod polls;
mod recent;
mod recipient;
mod requests;
mod storing;
mod turn;
mod wanted;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use ahash::RandomState;

use crate::aged::Aged;
use crate::http;
use crate::hub::{Hub, Input};
use crate::metrics::Counters;
use crate::model::{CloseReason, ConnId, Now, Position, ShardId, Time};
use crate::ring::{Flush, Poll, Question, RingMessage};
use crate::storage::{Beginning, Completion, Job};
use crate::ws::{self, Deflater, Inflater};

use admission::Admission;
use batches::Batches;
use budget::TurnBudget;
use chunked::ChunkedBodies;
use connection::{browser, browser_mut, is_half_open};
use figures::ShardFigures;
use fragments::Fragments;
use leaving::Leaving;
use outputs::{append, append_publication, frame};
use pace::Pace;
use polling::Asking;
use polls::Polls;
use recent::Recent;

pub(crate) use batches::{BODIES_BYTES_MAX, BatchConfig};
pub(crate) use config::BrowserConfig;
pub(crate) use connection::{Browser, Phase};
pub(crate) use effects::{Effects, Trouble};
pub(crate) use file::{Asker, FileAnswer, Found, Part};
pub(crate) use half_open::HalfOpen;
pub(crate) use metrics::MetricsConfig;
pub(crate) use pages::{About, Pages};
pub(crate) use polls::PollLimits;

/// What `serverInfo` tells browsers.
pub(crate) const PRODUCT: &str = concat!("Encke ", env!("CARGO_PKG_VERSION"));

pub(crate) struct Browsers {
    config: BrowserConfig,
    hub: Hub,
    fragments: Fragments,
    /// Parts of queues that sockets have not taken whole, and who wants to know when they have.
    /// Each until when it has to be taken.
    flushing: Aged<ConnId, (Box<Flush>, ShardId)>,
    /// What storage refused to take, until the end of the turn. No more than jobs were made in it.
    refused: VecDeque<Completion>,
    /// Ring messages that wait until the fan-outs before them are out.
    deferred: VecDeque<(ShardId, RingMessage)>,
    turn_budget: TurnBudget,
    scratch: Vec<u8>,
    /// Whose letter `scratch` is; it is sent before the core returns.
    letter_to: Option<ConnId>,
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
    leaving: Leaving,
    /// A handshake's answer that is not written yet.
    head_of: Option<(ConnId, Vec<u8>)>,
    pub(super) counters: Counters,
}

impl Browsers {
    /// From now on this is configured. Connections that are there stay, and go on with what they agreed on.
    pub(super) fn reconfigure(&mut self, io: &mut impl Effects, config: BrowserConfig) {
        self.pace.set_commands_max(config.commands_per_second_max);
        self.fragments.set_bytes_max(config.fragments_bytes_max);
        self.polls.set_limits(config.polls);
        let granted = self.admissions.values().filter_map(|admission| match admission {
            Admission::Granted(address) => Some(*address),
            Admission::Refused(_) => None,
        });
        let admitted = granted.chain(self.unused_admissions.iter().copied()).collect();
        self.input(io, Input::Reconfigured { config: Box::new(config.hub.clone()), admitted });
        self.config = config;
    }

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
            flushing: Aged::new(hasher),
            refused: VecDeque::new(),
            deferred: VecDeque::new(),
            turn_budget: TurnBudget::default(),
            scratch: Vec::new(),
            letter_to: None,
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
            leaving: Leaving::default(),
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
        if let Some((flush, to)) = self.flushing.remove(&conn) {
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
            RingMessage::Ask(ask) if let Question::Held { dev, after } = ask.question => {
                self.tell_held(io, (from, ask.id), dev, after);
            }
            message => self.input(io, Input::Ring { from, message }),
        }
    }

    pub(super) fn woken(&mut self, io: &mut impl Effects) {
        self.take_completions(io);
        self.read_files(io);
    }

    /// The shard's last words: who has gone is told to storage, which outlives all shards.
    pub(super) fn last_job(&mut self) -> Option<Job> {
        self.hub.last_job()
    }
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
