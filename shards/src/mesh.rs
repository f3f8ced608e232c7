//! The mesh: bounded single-producer, single-consumer rings between all shards. Usable without threads and sockets.
//!
//! There is one ring per level, sender and receiver. Messages of one level from one shard to another arrive in the
//! order in which they were sent; between levels and between senders there is no order.
//!
//! # Nothing is lost and nobody waits for ever
//!
//! A full ring puts the message into the sender's *backlog* for that ring; later messages to it queue behind. Two
//! rules keep the backlogs small and the mesh alive:
//!
//! 1. a shard receives messages of level *k* only while it has no backlog at any level above *k*;
//! 2. a shard takes no new work from outside (bytes, connections, timeouts, completions) while it has backlog at any
//!    level. This rule is the user's to keep; [`Endpoint::congested`] tells.
//!
//! What a message lets begin without causing it, such as the next statement of a session whose last one a reply has
//! answered, counts as work from outside: it is noted, and begun under rule 2 when no message is being handled.
//!
//! *Progress.* A message of level *k* causes only messages of levels above *k*. The last level causes nothing and rule 1
//! never forbids to receive it: as long as shards take turns, its rings drain, so every backlog of that level does too.
//! Once a shard has no backlog there it receives the level below, whose rings drain in the same way; each message of it
//! causes finitely many of the last level, which drain again. The same argument goes down level by level, and when the
//! first has drained, rule 2 lets new work in. No cycle of full rings can stop this, since a shard never waits for a ring
//! of level *k* in order to empty one of a level above *k*.
//!
//! *Nobody starves.* Reports and replies answer what the shard itself has sent, so there are never more of them than it
//! gets on with its other work; they come first. The levels below are what others cause, without an end perhaps, so the one
//! that waits longest comes next, among those that rule 1 lets be received. A shard that gets little done, one message a
//! turn for instance, so hears of requests and announcements while deliveries pour in, and the other way round.
//!
//! *Bound.* While backlog of level *j* exists, no message of a level below *j* is received and no outside work is
//! taken, and messages of level *j* or above cause none of level *j*. So the backlog of a level holds at most what one
//! unit of work caused: one message of a lower level or one piece of outside work. One thing cannot be put off: that a
//! connection ends, for whatever reason. Each ends once, so what the ends say comes on top and is bounded by what the
//! connections had; it delays progress and does not prevent it.
//!
//! Messages to the own shard take a local queue. What it holds beyond the capacity of a ring counts as backlog of its
//! level, so the same rules and the same arguments hold for it.
//!
//! # Why a sender with backlog polls
//!
//! A shard with backlog looks again after [`BACKLOG_POLL`] at the latest instead of being woken by the receiver that
//! made room. That keeps every receive free of a look at the sender's state, cannot lose a wake, and costs only in
//! overload, when the shard is at work anyway. A ring of 1,024 places still passes a million messages per second.

use std::collections::VecDeque;
use std::time::Duration;

use rtrb::{Consumer, Producer, PushError, RingBuffer};

/// How long a shard with backlog sleeps at most before it looks for room again.
pub const BACKLOG_POLL: Duration = Duration::from_millis(1);

/// What a message may cause: only messages of higher levels.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Ord, PartialOrd)]
pub enum Level {
    /// May cause messages of all other levels.
    Request = 0,
    /// What a request has caused, to somebody who will deliver it.
    Announce = 1,
    Deliver = 2,
    /// What came of a delivery, to whoever has sent that and will reply.
    Report = 3,
    /// Causes no message.
    Reply = 4,
}

impl Level {
    pub const ALL: [Self; 5] = [Self::Request, Self::Announce, Self::Deliver, Self::Report, Self::Reply];

    /// Whether messages of this level come only of what their receiver has sent.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Report | Self::Reply)
    }
}

/// Makes the endpoints of all shards.
#[derive(Debug)]
pub struct Mesh;

impl Mesh {
    /// One endpoint per shard, in their order. `capacity`: messages per ring, at least 1.
    #[expect(clippy::new_ret_no_self, reason = "the mesh is nothing but its endpoints")]
    pub fn new<M>(shards: u16, capacity: usize) -> Vec<Endpoint<M>> {
        let capacity = capacity.max(1);
        let mut endpoints: Vec<Endpoint<M>> = (0..shards).map(|shard| Endpoint::new(shard, shards, capacity)).collect();
        for level in Level::ALL {
            for from in 0..endpoints.len() {
                for to in (0..endpoints.len()).filter(|to| *to != from) {
                    let (producer, consumer) = RingBuffer::new(capacity);
                    endpoints[from].lanes[level as usize].outgoing[to] = Some(producer);
                    endpoints[to].lanes[level as usize].incoming[from] = Some(consumer);
                }
            }
        }
        endpoints
    }
}

/// One shard's end of all its rings.
#[derive(Debug)]
pub struct Endpoint<M> {
    shard: u16,
    lanes: [Lane<M>; Level::ALL.len()],
    /// Shards whose rings got messages since [`Endpoint::take_targets`].
    targets: Vec<u16>,
    is_target: Vec<bool>,
    /// Messages dropped because their receiver has ended.
    undeliverable: u64,
    /// See [`Endpoint::hold`].
    held: bool,
    /// The levels that answer nothing; the one that was received longest ago comes first.
    turns: [Level; 3],
}

/// All rings of one level at one shard.
#[derive(Debug)]
struct Lane<M> {
    capacity: usize,
    /// By shard; none to itself.
    outgoing: Vec<Option<Producer<M>>>,
    incoming: Vec<Option<Consumer<M>>>,
    /// By receiver. Non-empty only while that ring is full or has not been looked at since.
    backlog: Vec<VecDeque<M>>,
    /// Messages in all of `backlog`.
    waiting: usize,
    local: VecDeque<M>,
    /// The source to be asked first, so that every source gets its turn.
    next: usize,
}

impl<M> Endpoint<M> {
    fn new(shard: u16, shards: u16, capacity: usize) -> Self {
        let count = usize::from(shards);
        Self {
            shard,
            lanes: std::array::from_fn(|_| Lane::new(count, capacity)),
            targets: Vec::with_capacity(count),
            is_target: vec![false; count],
            undeliverable: 0,
            held: false,
            turns: [Level::Deliver, Level::Announce, Level::Request],
        }
    }

    pub fn shard(&self) -> u16 {
        self.shard
    }

    pub fn shards(&self) -> u16 {
        self.is_target.len() as u16
    }

    /// Sends into the ring, or into the backlog if it is full. `to` is below [`shards`](Self::shards).
    pub fn send(&mut self, level: Level, to: u16, message: M) {
        let lane = &mut self.lanes[level as usize];
        if to == self.shard {
            lane.local.push_back(message);
            return;
        }
        let target = usize::from(to);
        if !lane.backlog[target].is_empty() {
            lane.push_backlog(target, message);
            return;
        }
        match lane.push(target, message) {
            Ok(()) => self.mark_target(target),
            Err(message) => lane.push_backlog(target, message),
        }
    }

    /// The next message that may be received now: replies and reports first, then the other levels in turn, since a host
    /// that each message may fill takes one at a time; sources in rotation.
    pub fn receive(&mut self) -> Option<(u16, M)> {
        for level in [Level::Reply, Level::Report] {
            let received = self.receive_level(level);
            if received.is_some() {
                return received;
            }
        }
        for place in 0..self.turns.len() {
            let received = self.receive_level(self.turns[place]);
            if received.is_some() {
                self.turns[place..].rotate_left(1);
                return received;
            }
        }
        None
    }

    fn receive_level(&mut self, level: Level) -> Option<(u16, M)> {
        if !self.may_receive(level) {
            return None;
        }
        self.lanes[level as usize].receive(usize::from(self.shard))
    }

    /// Rule 1, and that of a held shard. What holds for a level holds for those above.
    pub fn may_receive(&self, level: Level) -> bool {
        let above = &self.lanes[level as usize + 1..];
        (level.is_answer() || !self.held) && !above.iter().any(Lane::has_backlog)
    }

    /// Whether [`receive`](Self::receive) would return a message.
    pub fn can_receive(&self) -> bool {
        Level::ALL.into_iter().any(|level| self.lanes[level as usize].can_receive() && self.may_receive(level))
    }

    /// Whether messages of this level have come that were not received yet, whether they may be or not.
    pub fn has_come(&self, level: Level) -> bool {
        self.lanes[level as usize].can_receive()
    }

    /// Whether messages of this level wait for room.
    pub fn has_backlog(&self, level: Level) -> bool {
        self.lanes[level as usize].has_backlog()
    }

    /// Whether messages of any level wait for room, or the shard is held: then take no new work from outside.
    pub fn congested(&self) -> bool {
        self.held || self.lanes.iter().any(Lane::has_backlog)
    }

    /// A held shard receives answers only and counts as congested. For one that has more to do than it should keep:
    /// its rings fill, and those who fill them stop in turn. It must come free by its own work, without a message of a
    /// lower level; then the argument for progress holds as before.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Messages that wait for room in all rings.
    pub fn backlog_len(&self) -> usize {
        Level::ALL.into_iter().map(|level| self.backlog_of(level)).sum()
    }

    /// The same of one level.
    pub fn backlog_of(&self, level: Level) -> usize {
        let lane = &self.lanes[level as usize];
        lane.waiting + lane.local.len().saturating_sub(lane.capacity)
    }

    /// Moves backlog into rings that have room again. Returns whether none is left.
    pub fn flush(&mut self) -> bool {
        for level in Level::ALL {
            if self.lanes[level as usize].waiting > 0 {
                self.flush_level(level);
            }
        }
        !self.congested()
    }

    fn flush_level(&mut self, level: Level) {
        for target in 0..self.is_target.len() {
            let lane = &mut self.lanes[level as usize];
            let mut moved = false;
            while let Some(message) = lane.backlog[target].pop_front() {
                match lane.push(target, message) {
                    Ok(()) => {
                        lane.waiting -= 1;
                        moved = true;
                    }
                    Err(message) => {
                        lane.backlog[target].push_front(message);
                        break;
                    }
                }
            }
            if lane.is_abandoned(target) {
                self.undeliverable += lane.drop_backlog(target);
            }
            if moved {
                self.mark_target(target);
            }
        }
    }

    /// Hands out each shard whose rings got messages since the last call: these are to be woken, once each.
    pub fn take_targets(&mut self, mut wake: impl FnMut(u16)) {
        for target in self.targets.drain(..) {
            self.is_target[usize::from(target)] = false;
            wake(target);
        }
    }

    fn mark_target(&mut self, target: usize) {
        if !self.is_target[target] {
            self.is_target[target] = true;
            self.targets.push(target as u16);
        }
    }

    /// Messages dropped because their receiver has ended.
    pub fn undeliverable(&self) -> u64 {
        self.undeliverable
    }

    /// Bytes of the rings that lead to this shard.
    pub fn ring_bytes(&self) -> usize {
        self.lanes.iter().map(|lane| lane.incoming.iter().flatten().count() * lane.capacity * size_of::<M>()).sum()
    }

    /// Bytes of the backlogs and the local queues, without what the messages refer to.
    pub fn backlog_bytes(&self) -> usize {
        let queues = self.lanes.iter().flat_map(|lane| lane.backlog.iter().chain([&lane.local]));
        queues.map(|queue| queue.capacity() * size_of::<M>()).sum()
    }
}

impl<M> Lane<M> {
    fn new(count: usize, capacity: usize) -> Self {
        Self {
            capacity,
            outgoing: (0..count).map(|_| None).collect(),
            incoming: (0..count).map(|_| None).collect(),
            backlog: (0..count).map(|_| VecDeque::new()).collect(),
            waiting: 0,
            local: VecDeque::new(),
            next: 0,
        }
    }

    fn has_backlog(&self) -> bool {
        self.waiting > 0 || self.local.len() > self.capacity
    }

    fn push(&mut self, target: usize, message: M) -> Result<(), M> {
        match &mut self.outgoing[target] {
            Some(producer) => producer.push(message).map_err(|PushError::Full(message)| message),
            None => Err(message),
        }
    }

    fn push_backlog(&mut self, target: usize, message: M) {
        self.backlog[target].push_back(message);
        self.waiting += 1;
    }

    /// Whether messages wait for a shard that has ended and will never make room.
    fn is_abandoned(&self, target: usize) -> bool {
        !self.backlog[target].is_empty() && self.outgoing[target].as_ref().is_none_or(Producer::is_abandoned)
    }

    fn drop_backlog(&mut self, target: usize) -> u64 {
        let dropped = std::mem::take(&mut self.backlog[target]).len();
        self.waiting -= dropped;
        dropped as u64
    }

    fn receive(&mut self, own: usize) -> Option<(u16, M)> {
        let count = self.incoming.len();
        for step in 0..count {
            let source = (self.next + step) % count;
            let message = match &mut self.incoming[source] {
                Some(consumer) => consumer.pop().ok(),
                None if source == own => self.local.pop_front(),
                None => None,
            };
            if let Some(message) = message {
                self.next = source + 1;
                return Some((source as u16, message));
            }
        }
        None
    }

    fn can_receive(&self) -> bool {
        !self.local.is_empty() || self.incoming.iter().flatten().any(|consumer| !consumer.is_empty())
    }
}

#[cfg(test)]
mod tests;
