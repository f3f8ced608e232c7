//! The loop of one shard.
//!
//! ```text
//!   sleep -> readiness -> timers -> wakes -> flushes -> reads -> accepts -> timeouts -> messages
//!     ^                                                                                    |
//!     +- stop? <- slice of a fan-out <- wake the shards that got messages <- turn_ended <--+
//! ```
//!
//! Messages come before the sockets when the sockets had their chance, see [`Order`].
//!
//! Every step has a budget, so that no connection, shard or fan-out keeps the others waiting; what is left over makes
//! the next turn begin without a sleep. A shard with nothing left over and nothing due sleeps without a limit of time.

use std::io;
use std::time::{Duration, Instant};

use crate::core::{Core, Expired};
use crate::entry::Flags;
use crate::host::{End, Host, Token};
use crate::io::Io;
use crate::kernel::{Kernel, Readiness, Ready, Way};
use crate::listen::{self, Accepted};
use crate::mesh::{BACKLOG_POLL, Level};
use crate::stop::Stop;
use crate::turn::{Order, Steps};
use crate::waker::Waker;

/// Events taken from the kernel at once.
pub(crate) const EVENTS_MAX: usize = 1024;

/// Accepts per turn.
const ACCEPTS_PER_TURN: usize = 64;

/// Timeouts handed in per turn.
const TIMEOUTS_PER_TURN: usize = 1024;

/// How long after the system ran out of descriptors or memory an accept is tried again; also when a connection ends.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

pub(crate) struct Shard<H: Host> {
    pub(crate) host: H,
    pub(crate) core: Core<H>,
    pub(crate) events: <H::Kernel as Kernel>::Events,
    /// One for all connections; what is left in it after a read is copied to the connection.
    pub(crate) buffer: Box<[u8]>,
    pub(crate) acceptor: Acceptor<<H::Kernel as Kernel>::Listener>,
    /// Of the Unix socket.
    pub(crate) door: Acceptor<<H::Kernel as Kernel>::Listener>,
    /// Of all shards, by number.
    pub(crate) wakers: Vec<Waker<<H::Kernel as Kernel>::Signal>>,
    pub(crate) stop: Stop<<H::Kernel as Kernel>::Signal>,
    /// Another turn is needed before the host may be left alone: something happened after its `turn_ended`.
    pub(crate) again: bool,
    pub(crate) order: Order,
    /// Others were told that the shard sleeps.
    pub(crate) announced: bool,
    /// The server has stopped, and this shard has no part in it any more.
    pub(crate) last: bool,
}

impl<H: Host> Steps for Shard<H> {
    fn begin(&mut self) {
        self.core.counters.turns += 1;
        self.again = false;
        self.core.reads_no_more = false;
        self.take_events();
        self.core.advance_wheel();
        self.call_woken();
        self.tell_ends();
    }

    fn take_from_sockets(&mut self) {
        self.flush_listed();
        self.tell_drained();
        self.read_listed();
        self.accept();
        self.tell_timeouts();
    }

    fn take_messages(&mut self) {
        for _ in 0..self.core.budgets.messages {
            let Some((from, message)) = self.core.endpoint.receive() else { return };
            self.core.counters.messages_in += 1;
            self.host.message(&mut Io::new(&mut self.core), from, message);
            self.tell_ends();
        }
    }

    fn has_room(&mut self) -> bool {
        !self.core.endpoint.congested() || self.core.endpoint.flush()
    }

    fn may_receive(&self) -> bool {
        self.core.endpoint.may_receive(Level::Request)
    }

    fn end(&mut self) {
        self.host.turn_ended(&mut Io::new(&mut self.core));
        let ended_before = self.core.counters.ended;
        self.tell_ends();
        self.pass_messages();
        if !self.core.fan_outs.is_empty() {
            self.core.send_slice();
            self.again = true;
        }
        self.tell_ends();
        // Last of all, because it is the end of a turn that shows whether anything is left.
        self.last = self.follow_stop();
        self.tell_ends();
        self.pass_messages();
        let drained = !self.core.sent.is_empty() && !self.core.endpoint.congested();
        self.again |= self.core.counters.ended != ended_before || drained;
    }
}

/// The listener and why it may not be asked at the moment.
#[derive(Debug)]
pub(crate) struct Acceptor<L> {
    pub(crate) listener: Option<L>,
    /// The kernel reported connections and none of the accepts since said that there are no more.
    pub(crate) ready: bool,
    /// Full or out of descriptors: nothing before a connection has ended or, in the second case, this time has come.
    pub(crate) blocked: Option<Blocked>,
}

impl<L> Default for Acceptor<L> {
    fn default() -> Self {
        Self { listener: None, ready: false, blocked: None }
    }
}

impl<L> Acceptor<L> {
    fn can_accept(&self) -> bool {
        self.ready && self.blocked.is_none()
    }

    /// When an accept is tried again.
    fn retry(&self) -> Option<Instant> {
        match self.blocked {
            Some(Blocked::Until(time)) => Some(time),
            _ => None,
        }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Blocked {
    Full,
    Until(Instant),
}

impl<H: Host> Shard<H> {
    pub(crate) fn new(
        host: H,
        core: Core<H>,
        listener: Option<<H::Kernel as Kernel>::Listener>,
        wakers: Vec<Waker<<H::Kernel as Kernel>::Signal>>,
        stop: Stop<<H::Kernel as Kernel>::Signal>,
    ) -> Self {
        Self {
            host,
            events: H::Kernel::events(EVENTS_MAX),
            buffer: vec![0; core.settings.read_buffer].into_boxed_slice(),
            core,
            acceptor: Acceptor { listener, ..Acceptor::default() },
            door: Acceptor::default(),
            wakers,
            stop,
            again: true,
            order: Order::default(),
            announced: false,
            last: false,
        }
    }

    /// Registers what the loop itself watches.
    pub(crate) fn register(&mut self) -> io::Result<()> {
        let kernel = &mut self.core.kernel;
        for (acceptor, way) in [(&self.acceptor, Way::Port), (&self.door, Way::Door)] {
            if let Some(listener) = &acceptor.listener {
                kernel.watch_listener(listener, way)?;
            }
        }
        if let Some(waker) = self.wakers.get(usize::from(self.core.number)) {
            kernel.watch_signal(waker.signal())?;
        }
        Ok(())
    }

    fn own_waker(&self) -> Option<&Waker<<H::Kernel as Kernel>::Signal>> {
        self.wakers.get(usize::from(self.core.number))
    }

    /// Turns until the server stops. An error is one of the poll itself, which nothing can go on without.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        while !self.turn()? {}
        Ok(())
    }

    /// One turn. Returns whether it was the last.
    fn turn(&mut self) -> io::Result<bool> {
        if !self.look_around()? {
            let timeout = self.lie_down();
            self.wake_up(timeout)?;
        }
        self.work();
        Ok(self.last)
    }

    /// Decides how long to sleep: not at all if work is left. Whoever has something for the shard sees that it sleeps, until
    /// [`wake_up`](Self::wake_up).
    pub(crate) fn lie_down(&mut self) -> Option<Duration> {
        const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);
        let timeout = self.time_to_sleep();
        if timeout == NOT_AT_ALL {
            return NOT_AT_ALL;
        }
        self.announced = self.own_waker().is_some_and(|waker| waker.parking().announce());
        if !self.announced || self.core.endpoint.can_receive() {
            return NOT_AT_ALL;
        }
        self.core.counters.sleeps += 1;
        timeout
    }

    /// Waits for readiness, wakes and what is due, as [`lie_down`](Self::lie_down) has said.
    pub(crate) fn wake_up(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let result = self.core.kernel.wait(&mut self.events, timeout);
        if std::mem::take(&mut self.announced)
            && let Some(waker) = self.own_waker()
        {
            waker.parking().withdraw();
        }
        result
    }

    /// What a turn does once it is awake.
    pub(crate) fn work(&mut self) {
        let begun = self.core.kernel.now();
        self.core.turn_time = begun;
        let mut order = self.order;
        order.turn(self);
        self.order = order;
        let elapsed = self.core.kernel.now().saturating_duration_since(begun).as_micros() as u64;
        self.core.counters.longest_turn_us = self.core.counters.longest_turn_us.max(elapsed);
    }

    /// Looks for input for the time of `busy_poll`. Returns whether there is any. What is looked for may have to come from
    /// a shard on the same core, so that one gets its turn between two looks.
    fn look_around(&mut self) -> io::Result<bool> {
        let busy_poll = self.core.busy_poll;
        if busy_poll.is_zero() {
            return Ok(false);
        }
        let limit = self.time_to_sleep().map_or(busy_poll, |timeout| timeout.min(busy_poll));
        let begun = self.core.kernel.now();
        while self.core.kernel.now().saturating_duration_since(begun) < limit {
            let notified = self.own_waker().is_some_and(|waker| waker.parking().is_notified());
            self.core.kernel.wait(&mut self.events, Some(Duration::ZERO))?;
            let is_ready = H::Kernel::ready(&self.events).next().is_some();
            if notified || is_ready || self.core.endpoint.can_receive() {
                return Ok(true);
            }
            self.core.kernel.yield_core();
        }
        Ok(false)
    }

    /// `None`: nothing is due, sleep until something happens.
    fn time_to_sleep(&self) -> Option<Duration> {
        let core = &self.core;
        let congested = core.endpoint.congested();
        let can_read = !core.readers.is_empty() && !congested;
        let can_accept = (self.acceptor.can_accept() || self.door.can_accept()) && !congested;
        let can_expire = !core.due.is_empty() && !congested;
        let work = self.again || can_read || can_accept || can_expire || !core.flushers.is_empty();
        if work || core.endpoint.can_receive() {
            return Some(Duration::ZERO);
        }
        let retries = [self.acceptor.retry(), self.door.retry()];
        let due = [core.next_timeout(), self.host.deadline(), self.stop.deadline()];
        let earliest = due.into_iter().chain(retries).flatten().min();
        let time = earliest.map(|time| time.saturating_duration_since(core.kernel.now()));
        if congested { Some(time.map_or(BACKLOG_POLL, |time| time.min(BACKLOG_POLL))) } else { time }
    }

    /// Notes what became ready; reads and accepts come later in the turn, flushes of writable queues at once.
    fn take_events(&mut self) {
        let events = std::mem::replace(&mut self.events, H::Kernel::events(0));
        for ready in H::Kernel::ready(&events) {
            match ready {
                Ready::Listener(way) => self.acceptor_of(way).ready = true,
                Ready::Signal => {}
                Ready::Connection(conn, readiness) => self.take_readiness(conn, readiness),
            }
        }
        self.events = events;
    }

    fn take_readiness(&mut self, conn: Token, readiness: Readiness) {
        let Some(entry) = self.core.slab.get_mut(conn) else {
            self.core.counters.stale_events += 1;
            return;
        };
        let closed = readiness.read_closed || readiness.failed;
        let broken = readiness.failed || (readiness.read_closed && readiness.write_closed);
        if readiness.readable || closed {
            entry.flags.set(Flags::READABLE);
        }
        if closed {
            entry.flags.set(Flags::FINISHED);
        }
        let (flags, has_queue) = (entry.flags, entry.has_queue());
        if broken && flags.has(Flags::PAUSED) {
            return self.core.end(conn, End::Reset);
        }
        if has_queue && (readiness.writable || broken) {
            self.core.flush(conn);
        }
        if flags.has(Flags::READABLE) && !flags.has(Flags::PAUSED) {
            self.core.list_reader(conn);
        }
    }

    fn call_woken(&mut self) {
        if self.own_waker().is_some_and(|waker| waker.parking().take_notified()) {
            self.core.counters.woken += 1;
            self.host.woken(&mut Io::new(&mut self.core));
            if std::mem::take(&mut self.core.has_changed) {
                (self.acceptor.blocked, self.door.blocked) = (None, None);
            }
        }
    }

    /// Tells the host of ends until there are none; what it does meanwhile may end more.
    pub(crate) fn tell_ends(&mut self) {
        while let Some((conn, end)) = self.core.endings.pop_front() {
            self.core.counters.ended += 1;
            self.host.ended(&mut Io::new(&mut self.core), conn, end);
            // Its socket was closed when it ended.
            let _ = self.core.slab.remove(conn);
            self.acceptor.blocked = None;
            self.door.blocked = None;
        }
    }

    /// Wakes each shard that got messages since the last time, if it sleeps.
    fn pass_messages(&mut self) {
        let congested = self.core.endpoint.congested();
        self.core.endpoint.flush();
        // The host may have waited for that in its `turn_ended`.
        self.again |= congested && !self.core.endpoint.congested();
        let (wakers, counters) = (&self.wakers, &mut self.core.counters);
        self.core.endpoint.take_targets(|target| {
            let written = wakers.get(usize::from(target)).is_some_and(Waker::wake_for_messages);
            counters.wakes_out += u64::from(written);
        });
        counters.messages_undeliverable = self.core.endpoint.undeliverable();
    }

    fn flush_listed(&mut self) {
        for _ in 0..self.core.flushers.len() {
            let Some(conn) = self.core.flushers.pop_front() else { return };
            if let Some(entry) = self.core.slab.get_mut(conn) {
                entry.flags.clear(Flags::FLUSH_LISTED);
                self.core.flush(conn);
            }
        }
        self.tell_ends();
    }

    /// Tells the host whose queues are empty; those that become so meanwhile are for the next turn. None while the rings
    /// are congested, as with timeouts.
    fn tell_drained(&mut self) {
        for _ in 0..self.core.sent.len() {
            if self.core.endpoint.congested() {
                return;
            }
            let Some(conn) = self.core.sent.pop_front() else { return };
            if !self.core.is_open(conn) {
                continue;
            }
            if self.core.queued_bytes(conn) > 0 {
                self.core.tell_when_sent(conn);
            } else {
                self.host.drained(&mut Io::new(&mut self.core), conn);
                self.tell_ends();
            }
        }
    }

    /// None while the rings are congested: what a host does then usually causes messages.
    fn tell_timeouts(&mut self) {
        for _ in 0..self.core.due.len().min(TIMEOUTS_PER_TURN) {
            if self.core.endpoint.congested() {
                return;
            }
            let Some(conn) = self.core.due.pop_front() else { return };
            match self.core.expire(conn) {
                Expired::No => {}
                Expired::Closing => self.core.end(conn, End::Local),
                Expired::Yes => {
                    self.core.counters.timeouts += 1;
                    self.host.timed_out(&mut Io::new(&mut self.core), conn);
                }
            }
            self.tell_ends();
        }
    }

    fn acceptor_of(&mut self, way: Way) -> &mut Acceptor<<H::Kernel as Kernel>::Listener> {
        match way {
            Way::Port => &mut self.acceptor,
            Way::Door => &mut self.door,
        }
    }

    /// Whether there is no place for another connection that comes this way.
    fn is_full(&self, way: Way) -> bool {
        self.core.slab.is_full() || way == Way::Port && self.core.slab.len() >= self.core.settings.connections_max
    }

    fn accept(&mut self) {
        self.accept_by(Way::Door);
        self.accept_by(Way::Port);
    }

    fn accept_by(&mut self, way: Way) {
        let now = self.core.turn_time;
        let acceptor = self.acceptor_of(way);
        acceptor.blocked.take_if(|blocked| matches!(blocked, Blocked::Until(time) if *time <= now));
        for _ in 0..ACCEPTS_PER_TURN {
            let is_full = self.is_full(way);
            let (core, acceptor) = match way {
                Way::Port => (&mut self.core, &mut self.acceptor),
                Way::Door => (&mut self.core, &mut self.door),
            };
            if !acceptor.can_accept() || core.endpoint.congested() {
                return;
            }
            let Some(listener) = &acceptor.listener else { return };
            if is_full {
                if !core.kernel.somebody_waits(listener) {
                    acceptor.ready = false;
                    return;
                }
                if !self.make_room() {
                    self.core.counters.refused_full += 1;
                    self.acceptor_of(way).blocked = Some(Blocked::Full);
                }
                continue;
            }
            match listen::classify(core.kernel.accept(listener)) {
                Accepted::Connection(socket) => self.admit(socket, way),
                Accepted::Nobody => acceptor.ready = false,
                Accepted::Next => {}
                // The system looks for a descriptor first, whether anybody waits or not.
                Accepted::Exhausted if !core.kernel.somebody_waits(listener) => acceptor.ready = false,
                Accepted::Exhausted if self.make_room() => {}
                Accepted::Exhausted => self.refused_by_system(way),
            }
        }
    }

    /// Whether the host has ended a connection for one that waits.
    fn make_room(&mut self) -> bool {
        let before = self.core.counters.ended;
        self.host.full(&mut Io::new(&mut self.core));
        self.tell_ends();
        self.core.counters.ended > before
    }

    fn refused_by_system(&mut self, way: Way) {
        self.core.counters.refused_by_system += 1;
        self.acceptor_of(way).blocked = Some(Blocked::Until(self.core.turn_time + ACCEPT_RETRY));
    }

    fn admit(&mut self, socket: <H::Kernel as Kernel>::Socket, way: Way) {
        let core = &mut self.core;
        let Some(conn) = core.slab.insert(socket) else { return };
        let socket = core.slab.get(conn).and_then(|entry| entry.socket.as_ref());
        if socket.is_none_or(|socket| core.kernel.watch(socket, conn).is_err()) {
            if let Some(socket) = core.slab.remove(conn) {
                core.kernel.close(socket);
            }
            return self.refused_by_system(way);
        }
        self.core.counters.accepted += 1;
        match way {
            Way::Port => self.host.accepted(&mut Io::new(&mut self.core), conn),
            Way::Door => {
                let user = socket_of(&self.core, conn).and_then(|socket| self.core.kernel.peer_user(socket));
                self.host.accepted_at_door(&mut Io::new(&mut self.core), conn, user);
            }
        }
        self.tell_ends();
    }
}

fn socket_of<H: Host>(core: &Core<H>, conn: Token) -> Option<&<H::Kernel as Kernel>::Socket> {
    core.slab.get(conn)?.socket.as_ref()
}
