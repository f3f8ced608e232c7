//! A shard without its host: connections, their timers and their ends. Sending is in `output`, the loop in `shard`.
//!
//! Nothing in here calls the host. What the host must be told is put into lists that the loop works off.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::entry::{Entry, Ext, Flags, TIMEOUT_TICKS_MAX};
use crate::fan_out::FanOuts;
use crate::holders::Holders;
use crate::host::{End, Host, Token};
use crate::kernel::Kernel;
use crate::mesh::Endpoint;
use crate::settings::{Budgets, Changeable, ShardSettings};
use crate::shares::Shares;
use crate::slab::Slab;
use crate::stats::{Counters, Memory};
use crate::wheel::Wheel;

pub(crate) struct Core<H: Host> {
    pub(crate) number: u16,
    pub(crate) settings: ShardSettings,
    pub(crate) tick: Duration,
    pub(crate) budgets: Budgets,
    pub(crate) busy_poll: Duration,
    /// There may be places for connections again.
    pub(crate) has_changed: bool,
    pub(crate) started: Instant,
    /// Read once per turn.
    pub(crate) turn_time: Instant,
    pub(crate) slab: Slab<H::State, <H::Kernel as Kernel>::Socket>,
    pub(crate) kernel: H::Kernel,
    pub(crate) wheel: Wheel,
    /// Connections whose timeout may have passed.
    pub(crate) due: VecDeque<Token>,
    pub(crate) random: Random,
    /// Connections whose socket is closed and whose host must be told.
    pub(crate) endings: VecDeque<(Token, End)>,
    /// Connections with unread input, each once.
    pub(crate) readers: VecDeque<Token>,
    /// The host has had enough of them in this turn.
    pub(crate) reads_no_more: bool,
    /// Connections whose queue can be flushed further, each once.
    pub(crate) flushers: VecDeque<Token>,
    /// Connections whose queue is empty, as the host wanted to know; it does not know yet.
    pub(crate) sent: VecDeque<Token>,
    pub(crate) fan_outs: FanOuts,
    pub(crate) endpoint: Endpoint<H::Message>,
    pub(crate) counters: Counters,
    pub(crate) waiting: Waiting,
    /// Connections for which something waits.
    holders: Holders<Token>,
    /// Bytes of the loop's own buffers.
    pub(crate) buffer_bytes: usize,
}

impl<H: Host> Core<H> {
    pub(crate) fn new(
        number: u16,
        settings: ShardSettings,
        tick: Duration,
        budgets: Budgets,
        kernel: H::Kernel,
        endpoint: Endpoint<H::Message>,
    ) -> Self {
        let now = kernel.now();
        Self {
            number,
            tick,
            budgets,
            busy_poll: Duration::ZERO,
            has_changed: false,
            started: now,
            turn_time: now,
            slab: Slab::new(settings.places()),
            kernel,
            wheel: Wheel::new(),
            due: VecDeque::new(),
            random: Random::new(u64::from(number)),
            endings: VecDeque::new(),
            readers: VecDeque::new(),
            reads_no_more: false,
            flushers: VecDeque::new(),
            sent: VecDeque::new(),
            fan_outs: FanOuts::default(),
            endpoint,
            counters: Counters::default(),
            waiting: Waiting::default(),
            holders: Holders::default(),
            buffer_bytes: settings.read_buffer,
            settings,
        }
    }

    pub(crate) fn change(&mut self, changeable: Changeable) {
        let Changeable { connections_max, queue_bytes_max, unread_bytes_max, waiting_bytes_max, busy_poll } =
            changeable;
        let settings = &mut self.settings;
        settings.connections_max = connections_max;
        settings.queue_bytes_max = queue_bytes_max;
        settings.unread_bytes_max = unread_bytes_max;
        settings.waiting_bytes_max = waiting_bytes_max;
        self.slab.set_max(settings.places());
        self.busy_poll = busy_poll;
        self.has_changed = true;
    }

    pub(crate) fn state(&mut self, conn: Token) -> Option<&mut H::State> {
        self.slab.get_mut(conn).map(|entry| &mut entry.state)
    }

    pub(crate) fn is_open(&self, conn: Token) -> bool {
        self.slab.get(conn).is_some_and(Entry::is_open)
    }

    pub(crate) fn can_send(&self, conn: Token) -> bool {
        self.slab.get(conn).is_some_and(|entry| entry.is_open() && !entry.flags.has(Flags::BROKEN))
    }

    /// Closes the socket and drops what waits; the host is told later in the turn. The reason of a connection that was
    /// closing already is what made it close.
    pub(crate) fn end(&mut self, conn: Token, end: End) {
        let Some(entry) = self.slab.get_mut(conn) else { return };
        if entry.flags.has(Flags::ENDING) {
            return;
        }
        let end = match (entry.flags.has(Flags::CLOSING), entry.flags.has(Flags::ENDED_BY_PEER)) {
            (true, true) => End::PeerClosed,
            (true, false) => End::Local,
            (false, _) => end,
        };
        entry.flags.set(Flags::ENDING);
        entry.timeout = 0;
        if let Some(socket) = entry.socket.take() {
            self.kernel.close(socket);
        }
        let ext = entry.ext.take();
        self.waiting.subtract(ext.as_deref(), self.settings.unsent_in_kernel());
        if let Some(mut ext) = ext {
            ext.queue.clear(&mut self.waiting.shares);
            let _ = self.holders.put(conn, ext.place, 0);
        }
        self.endings.push_back((conn, end));
    }

    /// Ends whoever holds most, until what waits for all connections is no more than it may be.
    pub(crate) fn relieve(&mut self) {
        self.relieve_to(self.settings.waiting_bytes_max);
    }

    pub(crate) fn relieve_to(&mut self, waiting_bytes: usize) {
        while self.waiting.held > waiting_bytes
            && let Some(conn) = self.holders.first()
        {
            self.end(conn, End::NoRoom);
        }
    }

    pub(crate) fn held_bytes(&self, conn: Token) -> usize {
        let Some(entry) = self.slab.get(conn) else { return 0 };
        size_of_val(entry) + Wheel::PLACE_BYTES + entry.ext.as_deref().map_or(0, |ext| ext.held(0))
    }

    /// Changes what waits on a connection, keeping the books; the box is made and dropped as needed. Nothing waits on one that
    /// has ended.
    pub(crate) fn edit_ext<R>(&mut self, conn: Token, edit: impl FnOnce(&mut Ext) -> R) -> Option<R> {
        self.edit_queue(conn, |ext, _| edit(ext))
    }

    /// The same for who changes the queue, which may share bytes with others.
    pub(crate) fn edit_queue<R>(&mut self, conn: Token, edit: impl FnOnce(&mut Ext, &mut Shares) -> R) -> Option<R> {
        let kernel = self.settings.unsent_in_kernel();
        let entry = self.slab.get_mut(conn).filter(|entry| !entry.flags.has(Flags::ENDING))?;
        self.waiting.subtract(entry.ext.as_deref(), kernel);
        let ext = entry.ext.get_or_insert_default();
        let result = edit(ext, &mut self.waiting.shares);
        let is_empty = ext.is_empty();
        let held = if is_empty { 0 } else { ext.held(kernel) };
        ext.place = self.holders.put(conn, ext.place, held);
        if is_empty {
            entry.ext = None;
        }
        self.waiting.add(entry.ext.as_deref(), kernel);
        Some(result)
    }

    /// Sees to it that the connection is read in this turn or the next.
    pub(crate) fn list_reader(&mut self, conn: Token) {
        if let Some(entry) = self.slab.get_mut(conn)
            && !entry.flags.has(Flags::READ_LISTED)
        {
            entry.flags.set(Flags::READ_LISTED);
            self.readers.push_back(conn);
        }
    }

    /// Sees to it that the connection is flushed in this turn or the next.
    pub(crate) fn list_flusher(&mut self, conn: Token) {
        if let Some(entry) = self.slab.get_mut(conn)
            && !entry.flags.has(Flags::FLUSH_LISTED)
        {
            entry.flags.set(Flags::FLUSH_LISTED);
            self.flushers.push_back(conn);
        }
    }

    /// Sees to it that the host is told when nothing waits to be sent.
    pub(crate) fn tell_when_sent(&mut self, conn: Token) {
        let Some(entry) = self.slab.get(conn).filter(|entry| entry.is_open()) else { return };
        if entry.has_queue() {
            self.edit_ext(conn, |ext| ext.tell_when_sent = true);
        } else {
            self.sent.push_back(conn);
        }
    }

    pub(crate) fn pause(&mut self, conn: Token) {
        if let Some(entry) = self.slab.get_mut(conn).filter(|entry| entry.is_open()) {
            entry.flags.set(Flags::PAUSED);
            entry.flags.clear(Flags::HAND_IN);
        }
    }

    pub(crate) fn resume(&mut self, conn: Token) {
        let Some(entry) = self.slab.get_mut(conn).filter(|entry| entry.is_open()) else { return };
        if entry.flags.has(Flags::PAUSED) {
            entry.flags.clear(Flags::PAUSED);
            entry.flags.set(Flags::HAND_IN);
            self.list_reader(conn);
        }
    }

    /// The peer sent its last byte and all of it was handed in. What waits to be sent is still sent.
    pub(crate) fn peer_closed(&mut self, conn: Token) {
        let Some(entry) = self.slab.get_mut(conn).filter(|entry| entry.is_open()) else { return };
        if entry.flags.has(Flags::BROKEN) {
            return self.end(conn, End::Reset);
        }
        if !entry.has_queue() {
            return self.end(conn, End::PeerClosed);
        }
        entry.flags.set(Flags::CLOSING | Flags::ENDED_BY_PEER);
        self.set_deadline(conn, self.settings.close_time_max);
    }

    /// Activity: an idle timeout counts from now.
    pub(crate) fn touch(&mut self, conn: Token) {
        let now = self.wheel.now() as u16;
        if let Some(entry) = self.slab.get_mut(conn)
            && !entry.flags.has(Flags::DEADLINE)
        {
            entry.tick = now;
        }
    }

    pub(crate) fn deadline_after(&mut self, conn: Token, after: Duration) {
        if self.is_open(conn) {
            self.set_deadline(conn, after);
        }
    }

    pub(crate) fn set_deadline(&mut self, conn: Token, after: Duration) {
        let (now, ticks) = (self.wheel.now() as u16, self.ticks(after));
        let Some(entry) = self.slab.get_mut(conn) else { return };
        entry.flags.set(Flags::DEADLINE);
        entry.tick = now;
        entry.timeout = ticks;
        self.schedule(conn.index);
    }

    /// Brings a deadline that is further ahead than this forward.
    pub(crate) fn deadline_within(&mut self, conn: Token, within: Duration) {
        let (now, ticks) = (self.wheel.now(), self.ticks(within));
        if self.slab.get(conn).is_some_and(|entry| i32::from(entry.remaining(now)) > i32::from(ticks)) {
            self.set_deadline(conn, within);
        }
    }

    pub(crate) fn idle_timeout(&mut self, conn: Token, duration: Duration) {
        let (now, ticks) = (self.wheel.now() as u16, self.ticks(duration));
        let early = self.random.below(u32::from(ticks / 2).max(1)) as u16;
        let Some(entry) = self.slab.get_mut(conn).filter(|entry| entry.is_open()) else { return };
        entry.flags.clear(Flags::DEADLINE);
        entry.timeout = ticks;
        entry.tick = now;
        if !entry.flags.has(Flags::SPREAD) {
            // Connections that came together must not all be due together for the rest of their lives.
            entry.flags.set(Flags::SPREAD);
            entry.tick = now.wrapping_sub(early);
        }
        self.schedule(conn.index);
    }

    pub(crate) fn no_timeout(&mut self, conn: Token) {
        if let Some(entry) = self.slab.get_mut(conn).filter(|entry| entry.is_open()) {
            entry.timeout = 0;
            entry.flags.clear(Flags::DEADLINE);
        }
    }

    /// Ticks after which a duration that begins within the current tick has surely passed.
    fn ticks(&self, duration: Duration) -> u16 {
        let ticks = duration.as_nanos().div_ceil(self.tick.as_nanos().max(1)) + 1;
        u16::try_from(ticks).unwrap_or(TIMEOUT_TICKS_MAX).min(TIMEOUT_TICKS_MAX)
    }

    /// Has the wheel visit the place when its timeout passes, unless it will be there before anyway.
    fn schedule(&mut self, index: u32) {
        let now = self.wheel.now();
        let Some(entry) = self.slab.place_mut(index) else { return };
        let ahead = (entry.remaining(now).max(1) as u64).min(Wheel::AHEAD_MAX);
        let visited_before =
            entry.flags.has(Flags::SCHEDULED) && u64::from(entry.scheduled.wrapping_sub(now as u16)) <= ahead;
        if !visited_before {
            entry.flags.set(Flags::SCHEDULED);
            entry.scheduled = (now + ahead) as u16;
            self.wheel.insert(index, ahead);
        }
    }

    /// Moves the wheel to this turn's time and lists the connections whose timeout has passed.
    pub(crate) fn advance_wheel(&mut self) {
        let elapsed = self.turn_time.saturating_duration_since(self.started).as_nanos();
        let tick = (elapsed / self.tick.as_nanos().max(1)) as u64;
        while self.wheel.now() < tick && self.wheel.ticks_to_next().is_some() {
            // After a long stop the wheel goes on in steps of one round, so that no 16-bit tick is overtaken.
            let step = tick.min(self.wheel.now() + Wheel::AHEAD_MAX);
            while let Some((visited, places)) = self.wheel.take_until(step) {
                for index in places {
                    self.visit(index, visited, step);
                }
            }
        }
        self.wheel.skip_to(tick);
    }

    /// When the wheel has to be moved next.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let ticks = self.wheel.now() + self.wheel.ticks_to_next()?;
        Some(self.started + Duration::from_nanos((self.tick.as_nanos() as u64).saturating_mul(ticks)))
    }

    fn visit(&mut self, index: u32, visited: u64, now: u64) {
        let Some(entry) = self.slab.place_mut(index) else { return };
        if !entry.flags.has(Flags::SCHEDULED) || entry.scheduled != visited as u16 {
            return; // An older record: the place was put into an earlier slot since.
        }
        entry.flags.clear(Flags::SCHEDULED);
        if !entry.flags.has(Flags::OCCUPIED) || entry.flags.has(Flags::ENDING) || entry.timeout == 0 {
            return;
        }
        if entry.remaining(now) > 0 {
            self.schedule(index);
        } else {
            self.due.push_back(Token { index, generation: entry.generation });
        }
    }

    /// Whether a listed connection's timeout has passed; sees to its next visit.
    pub(crate) fn expire(&mut self, conn: Token) -> Expired {
        let now = self.wheel.now();
        let Some(entry) = self.slab.get_mut(conn) else { return Expired::No };
        if entry.timeout == 0 || entry.flags.has(Flags::ENDING) {
            return Expired::No;
        }
        if entry.remaining(now) > 0 {
            self.schedule(conn.index);
            return Expired::No;
        }
        if entry.flags.has(Flags::CLOSING) {
            return Expired::Closing;
        }
        if entry.flags.has(Flags::DEADLINE) {
            entry.timeout = 0;
            entry.flags.clear(Flags::DEADLINE);
        } else {
            entry.tick = now as u16;
            self.schedule(conn.index);
        }
        Expired::Yes
    }

    pub(crate) fn memory(&self) -> Memory {
        let lists = [&self.readers, &self.flushers, &self.due, &self.sent];
        let lists = lists.map(|list| list.capacity() * size_of::<Token>()).iter().sum::<usize>();
        let endings = self.endings.capacity() * size_of::<(Token, End)>();
        Memory {
            entries: self.slab.bytes(),
            unread: self.waiting.unread,
            write_queues: self.waiting.queues,
            write_queues_shared: self.waiting.shares.bytes(),
            queued_shared: self.waiting.shared,
            waiting: self.waiting.held,
            timers: self.wheel.bytes(),
            rings: self.endpoint.ring_bytes(),
            backlog: self.endpoint.backlog_bytes(),
            fan_outs: self.fan_outs.bytes(),
            buffers: self.buffer_bytes + lists + endings + self.holders.bytes(),
        }
    }
}

/// What the visit of a listed connection showed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expired {
    /// Activity or the host has moved it.
    No,
    /// The host is to be told.
    Yes,
    /// The time for flushing and lingering is over.
    Closing,
}

/// The books about all boxes of waiting bytes.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    unread: usize,
    queues: usize,
    shared: usize,
    shares: Shares,
    /// What counts for [`ShardSettings::waiting_bytes_max`].
    held: usize,
}

impl Waiting {
    fn add(&mut self, ext: Option<&Ext>, kernel: usize) {
        let Some(ext) = ext else { return };
        self.held += ext.held(kernel);
        let (owned, shared) = ext.queue.memory();
        self.unread += ext.unread.memory();
        self.queues += owned + size_of::<Ext>();
        self.shared += shared;
    }

    fn subtract(&mut self, ext: Option<&Ext>, kernel: usize) {
        let Some(ext) = ext else { return };
        self.held -= ext.held(kernel);
        let (owned, shared) = ext.queue.memory();
        self.unread -= ext.unread.memory();
        self.queues -= owned + size_of::<Ext>();
        self.shared -= shared;
    }
}

/// A small generator (xorshift) for spreading timers; nothing secret depends on it.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number from 0 to `limit` - 1; `limit` is at least 1.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(limit)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests;
