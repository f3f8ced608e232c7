//! A simulated shard: the production loop, with the simulated kernel below and the edge of the server above, and a record of
//! how long it has passed over whom.

use std::time::Duration;

use shards::bare::{Bare, Ground};
use shards::{Level, Settings, ShardSettings};

use crate::drain::Drain;
use crate::metrics::Counters;
use crate::model::{Now, Time};
use crate::run::host::Kind;

use super::clock;
use super::edge::Edge;
use super::kernel::Simulated;
use super::random::Random;
use super::seen::Seen;

/// A stop lasts as long as it takes: what does not come to its end is a fault here.
const STOP_GRACE: Duration = Duration::from_hours(1);

/// How the shards of one world are set up.
pub(super) struct Limits {
    pub(super) ring_capacity: usize,
    /// Receivers of fan-outs per turn.
    pub(super) slice: usize,
    pub(super) messages_per_turn: usize,
    pub(super) tick: Duration,
    pub(super) shards: Vec<ShardSettings>,
}

/// The limits of one shard, without those that mean nothing here.
pub(super) fn shard_settings(queue_bytes_max: usize, connections_max: u32, read_buffer: usize) -> ShardSettings {
    ShardSettings {
        queue_bytes_max,
        connections_max,
        read_buffer,
        unread_bytes_max: 100_000,
        ..ShardSettings::default()
    }
}

pub(super) struct Shard {
    bare: Bare<Edge>,
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
}

impl Shard {
    /// One shard for each of the edges.
    pub(super) fn all(limits: Limits, edges: Vec<Kind>, random: &mut Random, now: Now) -> Vec<Self> {
        let settings = Settings {
            shards: limits.shards,
            ring_capacity: limits.ring_capacity,
            tick: limits.tick,
            fan_out_slice: limits.slice,
            messages_per_turn: limits.messages_per_turn,
            stop_grace: STOP_GRACE,
            ..Settings::default()
        };
        let grounds = edges.iter().map(|_| {
            let kernel = Simulated::new(Random::new(random.next()), clock::instant(now.time));
            Ground { signal: kernel.bell(), kernel, listener: Some(()) }
        });
        let grounds = grounds.collect();
        let mut edges = edges.into_iter();
        let bare = Bare::all(&settings, grounds, |_| Edge::new(edges.next().expect("one for each shard")));
        let shards = bare.expect("a kernel that refuses nothing").into_iter();
        shards.map(Self::new).collect()
    }

    fn new(bare: Bare<Edge>) -> Self {
        Self { bare, passed_over: 0, messages_passed_over: 0, requests: 0, from_ends: 0 }
    }

    pub(super) fn kernel(&mut self) -> &mut Simulated {
        self.bare.kernel_mut()
    }

    pub(super) fn bare(&self) -> &Bare<Edge> {
        &self.bare
    }

    pub(super) fn edge(&self) -> &Kind {
        &self.bare.host().kind
    }

    pub(super) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.bare.host_mut().watch.seen)
    }

    /// Nobody is too slow any more.
    pub(super) fn take_any_queue(&mut self) {
        self.bare.settings_mut().queue_bytes_max = 1_000_000;
    }

    /// Nobody has been passed over yet, and a turn gets something done. With smaller slices a fan-out, and what fills the
    /// rings, takes so long that whoever caused it waits long and rightly.
    pub(super) fn begin_flood(&mut self) {
        (self.passed_over, self.messages_passed_over) = (0, 0);
        let budgets = self.bare.budgets_mut();
        budgets.fan_out_slice = 8;
        budgets.messages = budgets.messages.max(10);
    }

    /// How often storage had no room for what the edge wanted.
    pub(super) fn storage_refusals(&self) -> u64 {
        self.bare.host().storage_refusals()
    }

    pub(super) fn counters(&mut self) -> Counters {
        self.bare.ask(Edge::snapshot)
    }

    /// Whether it would take a turn now.
    pub(super) fn would_turn(&self, now: Now) -> bool {
        let due = self.bare.sleeps_until().is_some_and(|until| until <= clock::instant(now.time));
        !self.bare.is_over() && (self.bare.is_awake() || due || self.bare.kernel().has_news())
    }

    /// Whether time alone makes it look again, and soon.
    pub(super) fn polls(&self) -> bool {
        self.bare.endpoint().congested()
    }

    /// The control thread tells it.
    pub(super) fn set_drain(&mut self, drain: Option<Drain>) {
        self.bare.ask(|edge, io| edge.set_drain(io, drain));
        self.bare.waker().wake();
    }

    pub(super) fn work_due(&self) -> Option<Time> {
        self.bare.host().work_due()
    }

    /// Whether the client is not accepted because the shard is full.
    pub(super) fn is_kept_waiting(&self, socket: usize) -> bool {
        self.bare.is_full() && self.bare.kernel().waits_for_accept(socket)
    }

    /// What is left to do here when everybody sleeps.
    pub(super) fn left_undone(&self, now: Now) -> Option<&'static str> {
        let is_due = self.bare.next_timeout().is_some_and(|due| due <= clock::instant(now.time));
        let has_input = self.bare.kernel().has_input();
        let checks = [("a timeout that is due", is_due), ("bytes on a socket", has_input)];
        let left = checks.into_iter().find(|(_, is_left)| *is_left).map(|(what, _)| what);
        self.bare.left_undone().or(left)
    }

    pub(super) fn turn(&mut self, now: Now) {
        self.bare.kernel_mut().set_time(clock::instant(now.time));
        self.bare.turn().expect("a kernel that refuses nothing");
        self.count_who_was_passed_over();
    }

    fn count_who_was_passed_over(&mut self) {
        let since = std::mem::take(&mut self.bare.host_mut().watch.since);
        let endpoint = self.bare.endpoint();
        let wait = Level::ALL.into_iter().any(|level| !level.is_answer() && endpoint.has_come(level));
        let before = if since.messages > 0 { 0 } else { self.messages_passed_over };
        self.messages_passed_over = if wait { before + 1 } else { 0 };
        self.from_ends += since.backlogged_by_ends;
        let requests = endpoint.backlog_of(Level::Request);
        let gone = (self.requests + since.backlogged - requests).min(self.from_ends);
        self.from_ends = (self.from_ends - gone).min(requests);
        self.requests = requests;
        let before = if since.inputs > 0 { 0 } else { self.passed_over };
        self.passed_over = if !self.bare.has_input() || gone > 0 { 0 } else { before + 1 };
    }
}
